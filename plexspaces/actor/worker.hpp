// The turn loop: one worker's actors, run queue and timers.
#pragma once

#include <array>
#include <atomic>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "plexspaces/actor/block_pool.hpp"
#include "plexspaces/actor/cell.hpp"
#include "plexspaces/actor/dead_letter.hpp"
#include "plexspaces/actor/facet.hpp"
#include "plexspaces/actor/options.hpp"
#include "plexspaces/actor/published.hpp"
#include "plexspaces/actor/reply_to.hpp"
#include "plexspaces/actor/timer.hpp"
#include "plexspaces/actor/timer_wheel.hpp"
#include "plexspaces/actor/watchdog.hpp"
#include "plexspaces/env/executor.hpp"

namespace plexspaces {
class Context;
class Runtime;
}  // namespace plexspaces

namespace plexspaces::detail {

class CellTable;
class Recorder;
class Worker;
struct ExitSignal;
struct OpenTurn;

/// One wait of an open turn, embedded in the awaiter.
struct Wait : Timer {
  Worker* worker = nullptr;
  Cell* cell = nullptr;
  std::uint64_t correlation = 0;
  std::coroutine_handle<> handle;
  Envelope* reply = nullptr;
  std::optional<Error> error;

  ~Wait();
};

/// The wait of Context::send(): given up when the turn ends first, and then nothing is sent.
struct SendWait : Wait {
  std::shared_ptr<SendDecision> decision;

  ~SendWait();
};

enum class Sent : std::uint8_t {
  kOk,
  kFull,     // refused by the mailbox's bound
  kDropped,  // as kFull, and the sender is not told
  kGone,     // no such actor any more
};

/// Counters of one worker. Written by it alone, read by any thread.
struct WorkerCounters {
  std::atomic<std::uint64_t> turns{0};
  std::atomic<std::uint64_t> crashes{0};
  std::atomic<std::uint64_t> spawned{0};
  std::atomic<std::uint64_t> ended{0};
  std::atomic<std::uint64_t> given_away{0};
  std::array<std::atomic<std::uint64_t>, kDeadLetterReasons> dead_letters{};

  static void add(std::atomic<std::uint64_t>& counter, std::uint64_t n = 1) {
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
};

class Worker final : public env::Worker {
 public:
  Worker(Runtime& runtime, std::uint16_t index, TimePoint now);
  ~Worker() override;

  /// The worker whose batch runs on this thread, or null.
  static Worker* current() { return current_worker_; }

  // env::Worker
  TimePoint run_batch(TimePoint now) override;
  bool has_foreign_work() const override;

  // What a turn does. Only while this worker runs. What is said to take an envelope takes it in every case.
  Status tell(ActorId to, Envelope* envelope);          // takes it; the running actor is the sender
  Status tell(const ActorKey& to, Envelope* envelope);  // takes it
  Sent send(ActorId to, Envelope* envelope);            // takes it only when kOk
  Status send_or_bury(ActorId to, Envelope* envelope);  // takes it: what cannot be sent is a dead letter
  bool begin_ask(Wait& wait, const Context& context, NodeId node, ActorId to, Envelope* envelope,
                 Duration within);  // takes it
  bool begin_wait_for_end(Wait& wait, Cell& cell, NodeId node, ActorId target, Duration within);
  void begin_sleep(Wait& wait, Cell& cell, Duration duration);
  bool begin_send(SendWait& wait, const Context& context, NodeId node, ActorId to, Envelope* envelope,
                  Duration within);                                     // takes it
  Status tell_within(ActorId to, Envelope* envelope, Duration within);  // takes it
  Status refuse_large(ActorId to, Envelope* envelope);                  // takes it
  bool refuse_large_ask(Wait& wait, ActorId to, Envelope* envelope);    // takes it
  std::uint64_t next_correlation();
  void begin_blocking_wait(Wait& wait, Cell& cell, std::uint64_t correlation, Duration within);
  void unhandled(Context& context);
  Status stash(Context& context);
  void unstash_all(Context& context);
  void retry_stashed(Cell& cell);

  // Rest.
  Status set_idle_timeout(Cell& cell, Duration after);
  void note_message(Cell& cell);  // of an actor with an idle timeout
  Status hibernate(Cell& cell);
  static std::size_t record_bytes(const Cell& cell);

  // Links, monitors and exits of the actor whose turn this is: see Context.
  Result<MonitorRef> monitor(Cell& cell, NodeId node, ActorId target);
  void demonitor(Cell& cell, MonitorRef monitor);
  Status link(Cell& cell, NodeId node, ActorId to);
  void unlink(Cell& cell, NodeId node, ActorId to);
  Status trap_exits(Cell& cell, bool on);
  void exit(Cell& cell, ExitReason reason);
  Status signal_exit(Cell& cell, NodeId node, ActorId to, ExitReason reason, bool kill);
  Status check_reach(const Cell& cell, NodeId node) const;
  // Links them; both are on this worker, and the child has done nothing.
  Status adopt_child(Cell& parent, Cell& child);

  // Timers of the actor whose turn this is: see Context. What the actor sends itself.
  Result<TimerRef> arm_timer(Cell& cell, Duration after, Duration period, Envelope* message,
                             Envelope* (*copy)(BlockPool* pool, const Envelope& message));  // takes it
  bool cancel_timer(Cell& cell, TimerRef ref);
  Status continue_with(Cell& cell, Envelope* message);  // takes it

  // Answers. A reply is addressed by the request that it is made from, which is answered with that.
  Envelope* begin_reply(Envelope* request, std::size_t bytes, std::uint32_t flags);
  Envelope* error_reply(Envelope* request, Error error);
  Envelope* error_in_place_of(Envelope* reply, Error error);  // to the asker of `reply`, which goes nowhere then
  void send_reply(Envelope* reply);                           // takes it
  void complete_with(Envelope* reply);  // takes it: sends it, or leaves it to the facets of the running actor
  void complete_with_error(Envelope& request, Error error);
  Asker defer(Envelope& request);  // which is unanswered from here on
  static void forget_asker(Envelope& request);

  // Actors.
  Cell* new_cell();              // null: actors_max
  void return_cell(Cell& cell);  // that was never started
  static void* allocate_actor(Worker* worker, Cell& cell, std::size_t bytes, std::size_t align);
  static void free_actor_memory(Worker* worker, Cell& cell);
  void start_cell(Cell& cell, Actor* actor);
  static void configure(Cell& cell, std::uint8_t mailbox_kind, std::string name);  // before it runs
  Status start_or_end(Cell& cell);  // runs on_start(); when that fails the actor ends
  void ask_to_stop(Cell& cell);     // after the turn that it is in, and when its facets agree
  void stop_cell(Cell& cell);       // after the turn that it is in
  bool close_if_idle(Cell& cell);
  void end(Cell& cell);  // no turn of it runs

  // Open turns.
  OpenTurn& open_turn(Context& context);
  void abandon_open_turn(Context& context);
  void resume(OpenTurn& open, std::coroutine_handle<> handle);

  // Actors with facets.
  void activation_ready(Activation& activation);
  void emit(Effects effects);
  void schedule_if_runnable(Cell& cell);

  // From any thread.
  Held held() const;
  static Sent push_foreign(Runtime& runtime, Cell& cell, ActorId to, Envelope* envelope);  // takes it only when kOk
  static void adopt_later(Runtime& runtime, Cell& cell, std::uint16_t worker);
  /// Counts and keeps the message, answers its asker, and destroys it. `worker` null: outside every worker.
  static void bury(Runtime& runtime, Worker* worker, Envelope* envelope, DeadLetterReason reason, ActorId to);
  static DeadLetter letter_of(Runtime& runtime, const Envelope& envelope, DeadLetterReason reason, ActorId to);
  /// Buries a message that was not taken. @returns what its sender learns.
  static Status refused(Runtime& runtime, Worker* worker, Envelope* envelope, Sent sent, ActorId to);

  Runtime& runtime() const { return runtime_; }
  BlockPool& pool() { return pool_; }
  TimerWheel& timers() { return timers_; }
  TimePoint now() const { return now_; }
  std::uint16_t index() const { return index_; }
  Cell* running() const { return running_; }
  WorkerCounters& counters() { return counters_; }

 private:
  friend class plexspaces::Runtime;

  Sent push_local(Cell& cell, Envelope* envelope);

  // Mailboxes that are not like all others (worker_mailbox.cpp).
  static MailboxState& mailbox_state(Cell& cell);
  static void make_own_mailbox(Cell& cell);
  const MailboxKind& kind_of(const Cell& cell) const;
  Sent push_own(Cell& cell, Envelope* envelope);
  void append_any(Cell& cell, Envelope* envelope);
  void prepend_any(Cell& cell, Envelope* envelope);
  static Envelope* front_of(const Cell& cell, std::size_t level);
  Envelope* take_own(Cell& cell);
  void append_own(Cell& cell, Envelope* envelope);
  void insert_own(Cell& cell, std::size_t level, Envelope* envelope, Envelope* before);
  static void remove_queued(Cell& cell, Envelope* before, Envelope* envelope);
  std::size_t level_of(const Cell& cell, const Envelope& envelope) const;
  bool fits(const Cell& cell, const Envelope& envelope) const;
  void drop_oldest(Cell& cell);
  static void trim_inbox(Runtime& runtime, Cell& cell, ActorId to, const MailboxKind& kind);
  std::unique_lock<std::mutex> lock_out_trimming(const Cell& cell);
  Envelope* take_own_inbox(Cell& cell);
  void take_offer(Cell& cell, Envelope* order);
  void let_in(Cell& cell);
  void refuse_offer(Envelope* order, DeadLetterReason reason, ActorId to, Error error);
  void forget_taken_back(MailboxState& state);
  void end_mailbox(MailboxState& state, ActorId id);
  static void send_timed_out(Timer& timer, void* worker);
  void schedule(Cell& cell);
  Cell* next_runnable();
  Cell* next_in_unusual_times();
  Cell* pick_runnable();
  bool crashed_by_plan(Cell& cell);
  void run(Cell& cell);
  // Told to stop, and no turn of it is open, or told not to wait for that.
  static bool is_ending(const Cell& cell) {
    return (cell.flags & Cell::kStopping) != 0 &&
           (cell.extras == nullptr || cell.extras->open == nullptr || (cell.flags & Cell::kExiting) != 0);
  }
  // Whether the plain list of a mailbox like all others has no room for the message.
  bool is_full(const Cell& cell, const Envelope& envelope) const {
    return cell.queued.load(std::memory_order_relaxed) >= messages_max_ ||
           cell.queued_units.load(std::memory_order_relaxed) + envelope.charge > units_max_;
  }
  static Envelope* take_inbox(Cell& cell);
  bool batch_is_over() { return turns_in_batch_ >= next_look_ && look_at_clock(); }
  bool look_at_clock();
  bool share_is_spent(bool first);
  void drain(Cell& cell);
  static void append(Cell& cell, Envelope* envelope);
  static Envelope* take_head(Cell& cell);
  void append_system(Cell& cell, Envelope* envelope);
  void turn(Cell& cell, Envelope* envelope);
  void faceted_turn(Cell& cell, EnvelopePtr input);
  void run_through_facets(Cell& cell, Activation& activation, EnvelopePtr input);
  void system_turn(Cell& cell, Envelope* envelope);
  Status keep(std::variant<ActorId, ActorKey> to, Envelope* envelope);
  void inherit_request(Envelope& envelope, const RequestContextPtr& request);
  void count_dead_letter(const Envelope& envelope, DeadLetterReason reason, ActorId to);
  bool expired(Cell& cell, Envelope* envelope);
  void answer_or_drop(Envelope* request, const Error& error);
  static void take_back_reply(Turn& turn);
  void crash(Cell& cell, Envelope* input, std::string_view what);
  void stop_crashed(Cell& cell, std::string_view what);
  void activate(Cell& cell);
  Status run_on_start(Cell& cell);
  bool begin_last_turn(Cell& cell);
  bool end_as_told(Cell& cell);
  void unschedule(Cell& cell);
  void settle_open_turn(OpenTurn& open);
  void close_open_turn(Cell& cell);
  void drop_open_turn(Cell& cell);
  void take_foreign();
  void consider_giving(TimePoint now, std::size_t turns);
  void give_away();
  bool give(Cell& cell, Worker& to);
  static Extras& extras(Cell& cell);
  static ExitLists& exit_lists(Cell& cell);
  void set_reason(Cell& cell, ExitReason reason);
  void end_with(Cell& cell, ExitReason reason, bool kill);
  void signal(ActorId to, Envelope* order);
  bool take_at_arrival(Cell& cell, Envelope* order);
  void exit_turn(Cell& cell, Envelope* order);
  void take_exit(Cell& cell, ExitSignal& signal);
  void begin_watch(Cell& cell, std::uint64_t id, bool here, ActorId target);
  void disown_child(Cell& child);
  static Status must_handle(const Cell& cell, const MessageInfo& message);
  Status check_own_message(const Cell& cell, const MessageInfo& message) const;
  void drop_timer(ActorTimers& timers, ActorTimer& timer);
  void drop_timers(ActorTimers& timers);
  static void timer_fired(Timer& fired, void* worker);
  void tick(Cell& cell, TimerRef ref);
  bool was_active(Cell& cell, ActorTimer& timer);
  void hibernate_now(Cell& cell, Envelope* order);
  bool take_timers_off(Cell& cell);
  void put_timers_on(Cell& cell);
  void handle(Cell& cell, Envelope* envelope);
  void handle_in_place_of_input(Cell& cell, EnvelopePtr message);
  std::string describe(const Cell& cell) const;
  static bool awaits(const Cell& cell, std::uint64_t correlation);
  void start_adopted(Cell& cell);
  static bool forget_link(Cell& cell, const ExitSignal& signal);
  void refuse_order(Envelope* order);
  void announce_end(ActorId id, const ExitLists& lists);
  static void wake_home(Runtime& runtime, Cell& cell);
  void begin_wait(Wait& wait, Cell& cell, TimePoint deadline, void (*fire)(Timer& timer, void* worker));
  void resume_after(Wait& wait);
  static void wait_timed_out(Timer& timer, void* worker);
  static void slept(Timer& timer, void* worker);
  static void blocked_too_long(Timer& timer, void* worker);
  std::string log_crash(const Cell& cell, std::string_view during, std::string_view what);  // @returns the line

  static thread_local constinit Worker* current_worker_;

  Runtime& runtime_;
  CellTable& table_;
  const RuntimeOptions& options_;
  const std::uint16_t index_;
  const std::uint32_t messages_max_;  // of a mailbox like all others
  const std::uint32_t units_max_;
  TimePoint now_;
  Published<Cell*> running_{nullptr};                       // whose turn it is
  Published<const MessageInfo*> running_message_{nullptr};  // what that handles
  const RequestContextPtr* request_ = nullptr;              // of the running turn's input; null: none
  Effects* effects_ = nullptr;  // of the running turn of an actor with facets: what it emits is kept here
  bool input_taken_ = false;    // by an open turn or by stash(), in the running turn
  // What makes the turn loop leave its straight path. kSteered: a test forces moves or picks actors. kCareful: some
  // turns have been costly of late.
  enum Unusual : std::uint8_t { kSteered = 1, kCareful = 2 };
  std::uint8_t unusual_ = 0;
  std::size_t moves_in_ = 0;  // turns until the next forced move
  Cell* run_head_ = nullptr;
  Cell* run_tail_ = nullptr;
  std::size_t runnable_ = 0;
  Cell* free_cells_ = nullptr;
  std::size_t free_cell_count_ = 0;
  std::uint64_t last_correlation_;
  Published<std::size_t> turns_in_batch_{0};
  std::size_t next_look_ = 0;        // at the clock, in turns of the batch
  std::size_t careful_batches_ = 0;  // still to come
  std::size_t run_began_ = 0;        // in turns of the batch; of one that is unusual
  std::size_t give_batches_ = 0;     // of this window (consider_giving())
  std::size_t give_turns_ = 0;       // in them
  TimePoint give_began_;
  std::size_t costly_windows_ = 0;  // in a row
  BlockPool pool_;
  TimerWheel timers_;
  Recorder* const recorder_;  // RuntimeOptions::recorder
  Effects recorded_;          // what effects_ points to when there is one, so that nothing leaves; stays empty
  WorkerCounters counters_;

  // Written by other threads: stacks that their worker takes as a whole, so there is no ABA. A push is a
  // compare-and-swap after the cell's link is written, the taking an exchange with acquire, and the pushes between them
  // one release sequence: every cell that is taken is seen as it was pushed. Sequentially consistent besides, as is
  // has_foreign_work(): either the worker that has announced its park sees the push, or the pusher, in
  // Executor::wake(), sees the announcement. Who finds the list filled leaves that to the one that has found it empty.
  alignas(64) std::atomic<Cell*> wakes_{nullptr};    // linked by wake_next
  alignas(64) std::atomic<Cell*> adopted_{nullptr};  // linked by run_next
};

}  // namespace plexspaces::detail
