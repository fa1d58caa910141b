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

#include "plexspaces/actor/facet.hpp"
#include "plexspaces/actor/lifecycle/actor_cell.hpp"
#include "plexspaces/actor/lifecycle/free_cells.hpp"
#include "plexspaces/actor/lifecycle/remains.hpp"
#include "plexspaces/actor/message/block_pool.hpp"
#include "plexspaces/actor/message/dead_letter.hpp"
#include "plexspaces/actor/options.hpp"
#include "plexspaces/actor/scheduler/migration.hpp"
#include "plexspaces/actor/scheduler/published.hpp"
#include "plexspaces/actor/scheduler/run_queue.hpp"
#include "plexspaces/actor/scheduler/shared.hpp"
#include "plexspaces/actor/scheduler/timer.hpp"
#include "plexspaces/actor/scheduler/timer_wheel.hpp"
#include "plexspaces/actor/scheduler/watchdog.hpp"
#include "plexspaces/actor/turn/reply_to.hpp"
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
struct SuspendedTurn;

/// One wait of an open turn, embedded in the awaiter.
struct Wait : Timer {
  Worker* worker = nullptr;
  ActorCell* cell = nullptr;
  std::uint64_t correlation = 0;
  std::coroutine_handle<> handle;
  Wait* next = nullptr;  // of those that the turn waits for together
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
  std::atomic<std::uint64_t> handler_errors{0};
  std::atomic<std::uint64_t> spawned{0};
  std::atomic<std::uint64_t> ended{0};
  std::atomic<std::uint64_t> migrations{0};
  std::array<std::atomic<std::uint64_t>, kDeadLetterReasons> dead_letters{};

  static void add(std::atomic<std::uint64_t>& counter, std::uint64_t n = 1) {
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
};

inline constexpr std::size_t kWorkersMax = 1'024;      // of a runtime
inline constexpr std::size_t kBuriedPerBatch = 1'024;  // messages of actors that have ended

class Worker final : public env::Worker {
 public:
  Worker(Runtime& runtime, std::uint16_t index, TimePoint now);
  ~Worker() override;

  /// The worker whose batch runs on this thread, or null.
  static Worker* current() { return current_worker_; }

  // env::Worker
  TimePoint run_batch(TimePoint now) override;
  bool has_cross_worker_work() const override;

  // What a turn does. Only while this worker runs. What is said to take an envelope takes it in every case.
  TellStatus tell(ActorId to, Envelope* envelope);                 // takes it; the running actor is the sender
  TellStatus tell(const ActorKey& to, Envelope* envelope);         // takes it
  Sent send(ActorId to, Envelope* envelope);                       // takes it only when kOk
  TellStatus send_or_dead_letter(ActorId to, Envelope* envelope);  // takes it: what cannot be sent is a dead letter
  bool begin_ask(Wait& wait, const Context& context, NodeId node, ActorId to, Envelope* envelope,
                 Duration within);  // takes it
  bool begin_wait_for_end(Wait& wait, ActorCell& cell, NodeId node, ActorId target, Duration within);
  void begin_sleep(Wait& wait, ActorCell& cell, Duration duration);
  bool begin_send(SendWait& wait, const Context& context, NodeId node, ActorId to, Envelope* envelope,
                  Duration within);                                         // takes it
  TellStatus tell_within(ActorId to, Envelope* envelope, Duration within);  // takes it
  TellStatus refuse_large(ActorId to, Envelope* envelope);                  // takes it
  bool refuse_large_ask(Wait& wait, ActorId to, Envelope* envelope);        // takes it
  std::uint64_t next_correlation();
  TimePoint ask_deadline(const Envelope& ask) const;  // `ask` has a context
  void begin_blocking_wait(Wait& wait, ActorCell& cell, std::uint64_t correlation, Duration within);
  /// Sends `message` in place of the turn's input: whoever sent that is its sender, and whoever asked gets its answer.
  void forward(const Context& context, NodeId node, ActorId to, Envelope* message);  // takes it
  void unhandled(Context& context, std::string_view where);
  Status stash(Context& context);
  void unstash_all(Context& context);
  void retry_stashed(ActorCell& cell);

  // Rest.
  Status set_idle_timeout(ActorCell& cell, Duration after);
  void note_message(ActorCell& cell);  // of an actor with an idle timeout
  Status hibernate(ActorCell& cell);
  static std::size_t record_bytes(const ActorCell& cell);

  // Links, monitors and exits of the actor whose turn this is: see Context.
  Result<MonitorRef> monitor(ActorCell& cell, NodeId node, ActorId target);
  void demonitor(ActorCell& cell, MonitorRef monitor);
  Status link(ActorCell& cell, NodeId node, ActorId to);
  void unlink(ActorCell& cell, NodeId node, ActorId to);
  Status trap_exits(ActorCell& cell, bool on);
  void exit(ActorCell& cell, ExitReason reason);
  Status signal_exit(ActorCell& cell, NodeId node, ActorId to, ExitReason reason, bool kill);
  Status check_reach(const ActorCell& cell, NodeId node) const;
  // Links them; both are on this worker, and the child has done nothing.
  Status adopt_child(ActorCell& parent, ActorCell& child);

  // Timers of the actor whose turn this is: see Context. What the actor sends itself.
  Result<TimerRef> arm_timer(ActorCell& cell, Duration after, Duration period, Envelope* message,
                             Envelope* (*copy)(BlockPool* pool, const Envelope& message));  // takes it
  bool cancel_timer(ActorCell& cell, TimerRef ref);
  Status continue_with(ActorCell& cell, Envelope* message);  // takes it

  // Answers. A reply is addressed by the request that it is made from, which is answered with that.
  Envelope* begin_reply(Envelope* request, std::size_t bytes, std::uint32_t flags);
  Envelope* error_reply(Envelope* request, Error error);
  Envelope* error_in_place_of(Envelope* reply, Error error);  // to the asker of `reply`, which goes nowhere then
  void send_reply(Envelope* reply);                           // takes it
  void complete_with(Envelope* reply);  // takes it: sends it, or leaves it to the facets of the running actor
  void complete_with_error(Envelope& request, Error error);
  void fail_turn(const Context& context, Error error);  // which a handler has returned
  Asker defer(Envelope& request);                       // which is unanswered from here on
  static void forget_asker(Envelope& request);

  // Actors.
  ActorCell* new_cell() { return free_cells_.take(); }  // null: actors_max
  void return_cell(ActorCell& cell);                    // that was never started
  static void* allocate_actor(Worker* worker, ActorCell& cell, std::size_t bytes, std::size_t align);
  static void free_actor_memory(Worker* worker, ActorCell& cell);
  void start_cell(ActorCell& cell, Actor* actor);
  static void configure(ActorCell& cell, std::uint8_t mailbox_kind, std::string name);  // before it runs
  Status start_or_end(ActorCell& cell);  // runs on_start(); when that fails the actor ends
  void ask_to_stop(ActorCell& cell);     // after the turn that it is in, and when its facets agree
  void stop_cell(ActorCell& cell);       // after the turn that it is in
  bool close_if_idle(ActorCell& cell);
  void end(ActorCell& cell);            // no turn of it runs
  void bury_remains(std::size_t most);  // messages of actors that have ended

  // Open turns.
  SuspendedTurn& open_turn(Context& context);
  void abandon_open_turn(Context& context);
  void resume(SuspendedTurn& open, std::coroutine_handle<> handle);

  // Actors with facets.
  void activation_ready(Activation& activation);
  void emit(Effects effects);
  void schedule_if_runnable(ActorCell& cell);

  // From any thread.
  Held held() const;
  static Sent push_cross_worker(Runtime& runtime, ActorCell& cell, ActorId to,
                                Envelope* envelope);  // takes it only when kOk
  static void adopt_later(Runtime& runtime, ActorCell& cell, std::uint16_t worker);
  /// Counts and keeps the message, answers its asker, and destroys it. `worker` null: outside every worker.
  static void dead_letter(Runtime& runtime, Worker* worker, Envelope* envelope, DeadLetterReason reason, ActorId to);
  static DeadLetter letter_of(Runtime& runtime, const Envelope& envelope, DeadLetterReason reason, ActorId to);
  /// Buries a message that was not taken. @returns what its sender learns.
  static TellStatus refused(Runtime& runtime, Worker* worker, Envelope* envelope, Sent sent, ActorId to);

  Runtime& runtime() const { return runtime_; }
  BlockPool& pool() { return pool_; }
  /// A message for an actor of `node`: in a block of the pool, which goes to no other runtime.
  template <class M>
  Envelope* make_for(NodeId node, M&& message, std::uint32_t flags) {
    if (node != node_id_) [[unlikely]]
      return make_envelope(nullptr, std::forward<M>(message), flags);
    return make_envelope(&pool_, std::forward<M>(message), flags);
  }
  TimerWheel& timers() { return timers_; }
  /// The turn's clock: when the batch began. What a handler sees.
  TimePoint now() const { return now_; }
  /// The clock of deadlines and timers: the batch may have been long.
  TimePoint fresh_now() const;
  std::uint16_t index() const { return index_; }
  ActorCell* running() const { return running_; }
  WorkerCounters& counters() { return counters_; }

 private:
  friend class plexspaces::Runtime;

  Sent push_local(ActorCell& cell, Envelope* envelope);

  // Mailboxes that are not like all others (worker_mailbox.cpp).
  static MailboxState& mailbox_state(ActorCell& cell);
  static void make_own_mailbox(ActorCell& cell);
  const MailboxKind& kind_of(const ActorCell& cell) const;
  Sent push_own(ActorCell& cell, Envelope* envelope);
  void append_any(ActorCell& cell, Envelope* envelope);
  void prepend_any(ActorCell& cell, Envelope* envelope);
  static Envelope* front_of(const ActorCell& cell, std::size_t level);
  Envelope* take_own(ActorCell& cell);
  void append_own(ActorCell& cell, Envelope* envelope);
  void insert_own(ActorCell& cell, std::size_t level, Envelope* envelope, Envelope* before);
  static void remove_queued(ActorCell& cell, Envelope* before, Envelope* envelope);
  std::size_t level_of(const ActorCell& cell, const Envelope& envelope) const;
  bool fits(const ActorCell& cell, const Envelope& envelope) const;
  void drop_oldest(ActorCell& cell);
  static void trim_inbox(Runtime& runtime, ActorCell& cell, ActorId to, const MailboxKind& kind);
  std::unique_lock<SharedMutex> lock_out_trimming(const ActorCell& cell);
  void take_offer(ActorCell& cell, Envelope* order);
  void let_in(ActorCell& cell);
  void refuse_offer(Envelope* order, DeadLetterReason reason, ActorId to, Error error);
  void forget_taken_back(MailboxState& state);
  void end_mailbox(MailboxState& state, ActorId id);
  static void send_timed_out(Timer& timer, void* worker);
  void schedule(ActorCell& cell);
  ActorCell* next_runnable();
  ActorCell* next_in_unusual_times();
  ActorCell* pick_runnable();
  void fire_timers();
  bool crashed_by_plan(ActorCell& cell);
  void run(ActorCell& cell);
  // Told to stop, and no turn of it is open, or told not to wait for that.
  static bool is_ending(const ActorCell& cell) {
    return (cell.flags & ActorCell::kStopping) != 0 &&
           (cell.extras == nullptr || cell.extras->open == nullptr || (cell.flags & ActorCell::kExiting) != 0);
  }
  // Whether a mailbox like all others has no room for the message.
  bool is_full(const ActorCell& cell, const Envelope& envelope) const {
    if (cell.cross_worker.load(std::memory_order_relaxed) != 0) [[unlikely]]
      return !fits(cell, envelope);
    return cell.queued.load(std::memory_order_relaxed) >= messages_max_ ||
           cell.queued_units.load(std::memory_order_relaxed) + envelope.charge > units_max_;
  }
  Envelope* take_inbox(ActorCell& cell);
  bool batch_is_over() { return turns_in_batch_ >= next_look_ && look_at_clock(); }
  bool look_at_clock();
  bool quantum_is_spent(bool first);
  void drain(ActorCell& cell);
  void run_backlog(ActorCell& cell);
  Envelope* take_over(ActorCell& cell, Envelope* oldest, std::size_t most);
  static void append(ActorCell& cell, Envelope* envelope);
  static Envelope* take_head(ActorCell& cell);
  void append_system(ActorCell& cell, Envelope* envelope);
  void turn(ActorCell& cell, Envelope* envelope);
  void faceted_turn(ActorCell& cell, EnvelopePtr input);
  void run_through_facets(ActorCell& cell, Activation& activation, EnvelopePtr input);
  void system_turn(ActorCell& cell, Envelope* envelope);
  TellStatus keep(std::variant<ActorId, ActorKey> to, Envelope* envelope);
  bool begin_ask_elsewhere(Wait& wait, const Context& context, std::uint16_t depth, NodeId node, ActorId to,
                           Envelope* envelope, Duration within);
  bool begin_send_elsewhere(SendWait& wait, const Context& context, NodeId node, ActorId to, Envelope* envelope,
                            Duration within);
  void inherit_request(Envelope& envelope, const RequestContextPtr& request);
  void count_dead_letter(const Envelope& envelope, DeadLetterReason reason, ActorId to);
  Sent send_cross_worker(ActorCell& cell, ActorId to, Envelope* envelope);  // as send()
  bool expired(ActorCell& cell, Envelope* envelope);
  void take_context_along(Envelope& envelope);
  void answer_or_drop(Envelope* request, const Error& error);
  static void take_back_reply(Turn& turn);
  void crash(ActorCell& cell, Envelope* input, std::string_view what);
  void stop_crashed(ActorCell& cell, std::string_view what);
  void activate(ActorCell& cell);
  Status run_on_start(ActorCell& cell);
  bool begin_last_turn(ActorCell& cell);
  bool end_as_told(ActorCell& cell);
  void settle_open_turn(SuspendedTurn& open);
  void close_open_turn(ActorCell& cell);
  void drop_open_turn(ActorCell& cell);
  void take_cross_worker();
  void adopt(ActorCell& cell);
  void wake(ActorCell& cell);
  void bury(Envelope* message, ActorId of);
  bool bury(Remains& remains, std::size_t& most);
  void drop_orders(Envelope* orders);
  void end_activation(Activation& activation, ExitLinks* exits, Envelope* orders, Envelope* queued);
  bool has_more() const {
    return !run_queue_.empty() || arriving_ != nullptr || woken_ != nullptr || !remains_.empty();
  }
  void say_idle(bool idle);
  Worker* find_idle_worker() const;
  void migrate_actors();
  bool migrate(ActorCell& cell, Worker& to);
  static Extras& extras(ActorCell& cell);
  static ExitLinks& exit_lists(ActorCell& cell);
  void set_reason(ActorCell& cell, ExitReason reason);
  void end_with(ActorCell& cell, ExitReason reason, bool kill);
  void signal(ActorId to, Envelope* order);
  bool take_at_arrival(ActorCell& cell, Envelope* order);
  void exit_turn(ActorCell& cell, Envelope* order);
  void take_exit(ActorCell& cell, ExitSignal& signal);
  void begin_watch(ActorCell& cell, std::uint64_t id, bool here, ActorId target);
  void disown_child(ActorCell& child);
  static Status must_handle(const ActorCell& cell, const MessageInfo& message);
  Status check_own_message(const ActorCell& cell, const MessageInfo& message) const;
  void drop_timer(ActorTimers& timers, ActorTimer& timer);
  void drop_timers(ActorTimers& timers);
  static void timer_fired(Timer& fired, void* worker);
  void tick(ActorCell& cell, TimerRef ref);
  Status arm_idle_timer(ActorCell& cell, IdleTimer& idle);
  bool was_active(ActorCell& cell, ActorTimer& timer);
  void idle_turn(ActorCell& cell);
  void hibernate_now(ActorCell& cell);
  bool take_timers_off(ActorCell& cell);
  void put_timers_on(ActorCell& cell);
  void handle(ActorCell& cell, Envelope* envelope);
  void handle_in_place_of_input(ActorCell& cell, EnvelopePtr message);
  std::string describe(const ActorCell& cell) const;
  static Wait** link_to_wait(const ActorCell& cell, std::uint64_t correlation);  // null: none
  static bool end_wait(SuspendedTurn& open, Wait& wait);                         // whether it was the last
  void start_adopted(ActorCell& cell);
  static bool forget_link(ActorCell& cell, const ExitSignal& signal);
  void refuse_system_message(Envelope* order);
  void announce_end(ActorId id, const ExitLinks& lists);
  static void wake_home(Runtime& runtime, ActorCell& cell);
  void begin_wait(Wait& wait, ActorCell& cell, void (*fire)(Timer& timer, void* worker));
  void begin_wait(Wait& wait, ActorCell& cell, Duration within, void (*fire)(Timer& timer, void* worker));
  TimePoint arm_from_now(Timer& timer, Duration within);
  void resume_after(Wait& wait);
  static void wait_timed_out(Timer& timer, void* worker);
  static void slept(Timer& timer, void* worker);
  static void blocked_too_long(Timer& timer, void* worker);
  std::string log_crash(const ActorCell& cell, std::string_view during, std::string_view what);  // @returns the line

  static thread_local constinit ThreadLocal<Worker*> current_worker_;

  Runtime& runtime_;
  CellTable& table_;
  const RuntimeOptions& options_;
  const std::uint16_t index_;
  const NodeId node_id_;
  const std::uint32_t messages_max_;  // of a mailbox like all others
  const std::uint32_t units_max_;
  TimePoint now_;
  Published<ActorCell*> running_{nullptr};                  // whose turn it is
  Published<const MessageInfo*> running_message_{nullptr};  // what that handles
  const RequestContextPtr* request_ = nullptr;              // of the running turn's input; null: none
  Effects* effects_ = nullptr;  // of the running turn of an actor with facets: what it emits is kept here
  bool input_taken_ = false;    // by an open turn or by stash(), in the running turn
  // What makes the turn loop leave its straight path. kSteered: a test forces moves or picks actors. kCareful: some
  // turns have been costly of late.
  enum Unusual : std::uint8_t { kSteered = 1, kCareful = 2 };
  std::uint8_t unusual_ = 0;
  std::size_t moves_in_ = 0;  // turns until the next forced move
  RunQueue run_queue_;
  FreeCells free_cells_;
  ActorCell* arriving_ = nullptr;  // taken from adopted_, still to be adopted, the first in front
  ActorCell* woken_ = nullptr;     // taken from wakes_, still to be woken
  std::vector<Remains> remains_;
  std::uint64_t last_correlation_;
  Published<std::size_t> turns_in_batch_{0};
  std::size_t next_look_ = 0;        // at the clock, in turns of the batch
  std::size_t careful_batches_ = 0;  // still to come
  std::size_t run_began_ = 0;        // in turns of the batch; of one that is unusual
  BlockPool pool_;
  TimerWheel timers_;
  MigrationWindow migration_;
  Recorder* const recorder_;  // RuntimeOptions::recorder
  Effects recorded_;          // what effects_ points to when there is one, so that nothing leaves; stays empty
  WorkerCounters counters_;

  // Written by other threads.
  // Whether it has nothing to run and would take actors: said by its worker, taken back by it or by who gave it some.
  alignas(64) Shared<bool> idle_{false};
  // Stacks that their worker takes as a whole, so there is no ABA. A push is a
  // compare-and-swap after the cell's link is written, the taking an exchange with acquire, and the pushes between them
  // one release sequence: every cell that is taken is seen as it was pushed. Sequentially consistent besides, as is
  // has_cross_worker_work(): either the worker that has announced its park sees the push, or the pusher, in
  // Executor::wake(), sees the announcement. Who finds the list filled leaves that to the one that has found it empty.
  alignas(64) Shared<ActorCell*> wakes_{nullptr};    // linked by wake_next
  alignas(64) Shared<ActorCell*> adopted_{nullptr};  // linked by run_next
};

}  // namespace plexspaces::detail
