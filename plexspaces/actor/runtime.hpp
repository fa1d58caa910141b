// A runtime: the actors of one node.
#pragma once

#include <any>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "plexspaces/actor/actor_ref.hpp"
#include "plexspaces/actor/errors.hpp"
#include "plexspaces/actor/facet.hpp"
#include "plexspaces/actor/lifecycle/cell_table.hpp"
#include "plexspaces/actor/lifecycle/class_names.hpp"
#include "plexspaces/actor/lifecycle/directory.hpp"
#include "plexspaces/actor/lifecycle/free_cells.hpp"
#include "plexspaces/actor/message/dead_letter.hpp"
#include "plexspaces/actor/options.hpp"
#include "plexspaces/actor/scheduler/watchdog.hpp"
#include "plexspaces/actor/scheduler/worker.hpp"
#include "plexspaces/actor/types.hpp"
#include "plexspaces/base/check.hpp"
#include "plexspaces/env/executor.hpp"

namespace plexspaces {

/// Totals over all workers since the start.
struct RuntimeStats {
  std::uint64_t turns = 0;
  std::uint64_t crashes = 0;
  std::uint64_t handler_errors = 0;  // returned by handlers of messages for which nobody asked
  std::uint64_t actors = 0;          // alive
  std::uint64_t migrations = 0;      // moves between workers
  std::uint64_t slow_handlers = 0;   // turns, and parts of turns between waits, longer than slow_handler_after
  Duration slowest_handler{};        // the longest of these
  std::array<std::uint64_t, kDeadLetterReasons> dead_letters{};

  std::uint64_t dead(DeadLetterReason reason) const { return dead_letters[static_cast<std::size_t>(reason)]; }
};

/// What waits in a mailbox, what is on its way there included; not what is stashed.
struct MailboxSize {
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
};

/// The actors of one node, and the workers that run them.
///
///     tell, ask ---> mailbox of the actor ---> its home worker runs a turn ---> effects
///
/// Several runtimes live side by side in a process, each with its own executor.
/// Threads: any, unless said. Lifetime: the executor, the types and the facet factories outlive it. Before it is
/// destroyed, start()ed workers have ended (Executor::stop()) and no other thread uses it; actors still alive are then
/// destroyed without a last turn, and their askers get kUnknown.
class Runtime {
 public:
  Runtime(env::Executor& executor, const Types& types, RuntimeOptions options = {});
  ~Runtime();
  Runtime(const Runtime&) = delete;

  /// Begins to run actors. @error what the types were registered with, or a facet that this node does not offer.
  Status start();

  /// Refuses what comes from outside from now on: kUnavailable.
  void refuse_new_work() { refusing_.store(true, std::memory_order_relaxed); }
  /// Refuses also spawns and messages of threads outside, by reference as by key, as the workers are about to end.
  void refuse_everything();

  /// Starts an actor, on some worker; `name` is unique among the live ones, empty for none. What its constructor throws
  /// passes through; its on_start() runs later, on its worker.
  /// @error kUnavailable: the runtime has stopped. kInvalidArgument: the name is over kNameBytesMax or holds '@'.
  /// kAlreadyExists: an actor has that name. kResourceExhausted: actors_max, or more than kMailboxKindsMax different
  /// MailboxOptions.
  template <class A, class... Args>
  Result<ActorRef<A>> spawn(std::string name, Args&&... args) {
    return spawn<A>(SpawnOptions{.name = std::move(name), .mailbox = {}}, std::forward<Args>(args)...);
  }
  template <class A, class... Args>
  Result<ActorRef<A>> spawn(SpawnOptions options, Args&&... args);

  /// @returns the live actor with that name, as "counter" or "counter@node1".
  /// @error kNotFound: none. kFailedPrecondition: it is not an `A`.
  template <class A>
  Result<ActorRef<A>> find(std::string_view name) const;

  /// Whether the actor has not ended yet: it may end at any time.
  bool is_alive(ActorId id) const;

  /// Ends the actor after the turns that it is in, with the reason shutdown; it cannot refuse. Does nothing when it has
  /// ended.
  void stop(ActorId id);
  /// Ends the actor, with the reason killed, before its next turn; a turn that waits is dropped. It cannot be trapped.
  /// One that is addressed by key ends as by stop(). Does nothing when it has ended.
  void kill(ActorId id);

  /// The actor of class `A` with that key. `A` is registered with a facet (checked).
  template <class A>
  KeyedRef<A> keyed(std::string tenant, std::string name_space, std::string key);

  /// Sends `envelope` to the actor with its delivery's key, which is activated if need be. Takes it.
  /// @error kNotFound: no such type, or one that is not addressed by key. kResourceExhausted: mailbox or actors_max.
  /// kUnavailable: refuse_new_work(). The envelope's asker gets the error too.
  Status deliver(detail::Envelope* envelope);

  /// Activates the actor `key` if it is not live. @error as deliver().
  Status activate(const ActorKey& key);
  /// @returns the live activation of `key`, if there is one.
  std::optional<ActorId> find_activation(const ActorKey& key) const { return directory_.find(key); }

  /// Runs `function` with the activation, on its worker, before its next user message. Dropped when it has ended.
  void post(ActorId id, std::move_only_function<void(Activation&)> function);

  /// Ends every actor at once, without a last turn. Only when nothing runs: before start(), or after Executor::stop().
  /// For those whose facets refer to what is destroyed before the runtime.
  void end_actors();

  /// Offers the facet `name` to types. Before start().
  void offer_facet(std::string name, FacetFactory factory);

  const Types& types() const { return types_; }
  const RuntimeOptions& options() const { return options_; }
  env::Executor& executor() const { return executor_; }
  NodeId node_id() const { return node_id_; }
  const std::string& node_name() const { return options_.node_name; }
  RuntimeStats stats() const;
  /// What waits in the mailbox of an actor; nothing for one that has ended. Exact while nothing runs, near otherwise.
  MailboxSize mailbox_size(ActorId id) const;
  /// The newest dead letters, oldest first. All are counted; kept are, of each reason, the first
  /// kDeadLettersKeptAll of a worker, and of all threads outside, and from there one in kDeadLettersPerSample: under
  /// overload a refusal must cost little.
  std::vector<DeadLetter> dead_letters() const;
  /// Called with one line for each crash of an actor, and for what holds a worker (slow_handler_after); standard error
  /// unless set. Threads: workers', and that of the watch. Before start().
  void set_log(std::function<void(const std::string&)> log) { log_ = std::move(log); }

  /// @returns the runtime that `node` names, or null when it has ended. It must not end while it is used.
  static Runtime* of(NodeId node);

  // For the library.
  void log(const std::string& line) const { log_(line); }
  template <class A, class... Args>
  Result<ActorRef<A>> spawn_on(detail::Worker& worker, detail::ActorCell* parent, Args&&... args);
  template <class A, class... Args>
  Result<ActorRef<A>> spawn_on_with(detail::Worker& worker, detail::ActorCell* parent, SpawnOptions options,
                                    Args&&... args);
  const detail::MailboxKind& mailbox_kind(const detail::ActorCell& cell) const {
    return mailbox_kinds_[cell.mailbox.load(std::memory_order_acquire)];
  }
  std::uint32_t message_units_max() const { return message_units_max_; }            // of Envelope::kChargeUnit
  Status check_reply(const ValueType& type, const void* reply) const;               // of message_bytes_max
  TellStatus refuse_large(ActorId to, detail::Envelope* envelope);                  // from outside; takes it
  TellStatus tell_within(ActorId to, detail::Envelope* envelope, Duration within);  // from outside; takes it
  Status send_and_wait(ActorId to, detail::Envelope* envelope, Duration within);    // takes it
  /// Sends the message, or, when the mailbox is full, leaves it there to be let in; then `sink` learns it. Takes it.
  /// @returns what decides whether it is let in or taken back; null: there was room.
  Result<std::shared_ptr<detail::SendDecision>> send_or_offer(ActorId to, detail::Envelope* envelope,
                                                              std::unique_ptr<ReplySink> sink);
  TellStatus send(ActorId to, detail::Envelope* envelope);
  void answer_from_external(const detail::Envelope& request, Error error);  // to the actor that has asked
  void send_reply_from_external(detail::Envelope* reply);                   // to an actor; takes it
  Result<Answer> ask_and_wait(std::function<void(detail::Envelope*)> send, detail::Envelope* envelope, Duration within);
  bool ending() const { return ending_; }  // in end_actors()
  const RequestContextPtr& default_request() const { return default_request_; }

 private:
  friend class detail::Worker;
  friend class Activation;

  // A name that is given up again unless an actor gets it.
  class ReservedName {
   public:
    ReservedName(Runtime& runtime, std::string name) : runtime_(runtime), name_(std::move(name)) {}
    ReservedName(const ReservedName&) = delete;
    ~ReservedName() {
      if (!name_.empty()) runtime_.release_name(name_);
    }
    std::string take() { return std::exchange(name_, {}); }

   private:
    Runtime& runtime_;
    std::string name_;
  };

  template <class A, class Configure, class Publish, class... Args>
  Result<ActorRef<A>> begin_on(detail::Worker& worker, detail::ActorCell* parent, Configure configure, Publish publish,
                               Args&&... args);
  Status check_running() const;
  Result<detail::ActorCell*> new_external_cell();
  void return_external_cell(detail::ActorCell& cell);
  Result<ActorId> activation_of(const ActorKey& key);
  Result<std::uint8_t> mailbox_number(const MailboxOptions& options);
  bool too_many_offers(const detail::ActorCell& receiver) const;
  Status reserve_name(const std::string& name, const void* tag);
  void publish_name(const std::string& name, ActorId id);
  void release_name(const std::string& name);
  Result<ActorId> find_name(std::string_view name, const void* tag) const;
  void start_external_cell(detail::ActorCell& cell, Actor* actor, std::uint8_t mailbox, std::string name);
  void count_dead_letter(detail::Worker* worker, const detail::Envelope& envelope, DeadLetterReason reason, ActorId to);
  Error end_error() const;  // to the asker of an actor that ends, or has ended
  void report(const detail::SlowTurn& turn) const;
  std::string name_of(ActorId id) const;

  env::Executor& executor_;
  const Types& types_;
  const RuntimeOptions options_;
  NodeId node_id_;
  RequestContextPtr default_request_;
  std::map<std::string, FacetFactory, std::less<>> facets_;
  std::function<void(const std::string&)> log_;
  std::atomic<bool> refusing_{false};
  std::atomic<bool> stopped_{false};  // refuse_everything()
  bool ending_ = false;               // in end_actors(): no other thread is left

  detail::CellTable table_;
  detail::BlockDepot depot_;
  std::vector<std::unique_ptr<detail::Worker>> workers_;
  detail::Watchdog watchdog_;
  Directory directory_;

  // By number; 0: that of the runtime. An entry is written before its number is given out, and never changed.
  std::array<detail::MailboxKind, kMailboxKindsMax + 1> mailbox_kinds_;
  std::uint32_t message_units_max_;
  std::array<detail::SharedMutex, 16> trim_mutexes_;  // of the inboxes with kDropOldest, by slot
  detail::SharedMutex mailboxes_mutex_;
  std::vector<MailboxOptions> mailbox_options_;  // of the numbers from 1

  detail::SharedMutex external_mutex_;
  detail::FreeCells external_cells_{table_};
  std::size_t next_worker_ = 0;
  std::atomic<std::uint64_t> external_spawned_{0};

  struct Name {
    ActorId id;
    const void* tag;
  };
  mutable detail::SharedMutex names_mutex_;
  std::map<std::string, Name, std::less<>> names_;

  std::array<std::atomic<std::uint64_t>, kDeadLetterReasons> external_dead_letters_{};  // counted outside every worker
  mutable std::mutex dead_letters_mutex_;
  std::vector<DeadLetter> dead_letters_;
  std::size_t dead_letters_next_ = 0;
};

namespace detail {

/// Constructs an actor of class `A` in the cell's memory.
template <class A, class... Args>
Actor* construct_actor(Worker* worker, ActorCell& cell, Args&&... args) {
  void* memory = Worker::allocate_actor(worker, cell, sizeof(A), alignof(A));
  try {
    A* actor = ::new (memory) A(std::forward<Args>(args)...);
    PLX_CHECK(static_cast<void*>(static_cast<Actor*>(actor)) == memory, "a behaviour is the first base of its actor");
    cell.class_number.store(class_number<A>(), std::memory_order_relaxed);
    if constexpr (has_on_start<A>()) cell.flags |= ActorCell::kStartHook;
    if constexpr (has_on_stop<A>()) cell.flags |= ActorCell::kStopHook;
    return actor;
  } catch (...) {
    Worker::free_actor_memory(worker, cell);
    throw;
  }
}

}  // namespace detail

template <class A, class... Args>
Result<ActorRef<A>> Runtime::spawn_on_with(detail::Worker& worker, detail::ActorCell* parent, SpawnOptions options,
                                           Args&&... args) {
  PLX_TRY(mailbox, mailbox_number(options.mailbox));
  if (!options.name.empty()) PLX_TRY_STATUS(reserve_name(options.name, &detail::kTypeTag<A>));
  ReservedName reserved(*this, std::move(options.name));
  auto configure = [&](detail::ActorCell& cell) { detail::Worker::configure(cell, mailbox, reserved.take()); };
  // Who finds the name may send: after its inbox is open.
  auto publish = [this](detail::ActorCell& cell) {
    if (cell.extras != nullptr && !cell.extras->name.empty()) publish_name(cell.extras->name, cell.id());
  };
  return begin_on<A>(worker, parent, configure, publish, std::forward<Args>(args)...);
}

template <class A, class... Args>
Result<ActorRef<A>> Runtime::spawn_on(detail::Worker& worker, detail::ActorCell* parent, Args&&... args) {
  auto nothing = [](detail::ActorCell&) {};
  return begin_on<A>(worker, parent, nothing, nothing, std::forward<Args>(args)...);
}

// `configure` is called with the cell before it can be reached, `publish` when it can be.
template <class A, class Configure, class Publish, class... Args>
Result<ActorRef<A>> Runtime::begin_on(detail::Worker& worker, detail::ActorCell* parent, Configure configure,
                                      Publish publish, Args&&... args) {
  detail::ActorCell* cell = worker.new_cell();
  if (cell == nullptr) return std::unexpected(detail::too_many_actors_error());
  Actor* actor;
  try {
    actor = detail::construct_actor<A>(&worker, *cell, std::forward<Args>(args)...);
  } catch (...) {
    worker.return_cell(*cell);
    throw;
  }
  configure(*cell);
  worker.start_cell(*cell, actor);
  publish(*cell);
  ActorId id = cell->id();
  if (parent != nullptr) {
    if (Status linked = worker.adopt_child(*parent, *cell); !linked) {
      worker.end(*cell);
      return std::unexpected(std::move(linked).error());
    }
  }
  if constexpr (detail::has_on_start<A>()) PLX_TRY_STATUS(worker.start_or_end(*cell));
  return ActorRef<A>(node_id_, id);
}

template <class A, class... Args>
Result<ActorRef<A>> Runtime::spawn(SpawnOptions options, Args&&... args) {
  PLX_TRY_STATUS(check_running());
  PLX_TRY(mailbox, mailbox_number(options.mailbox));
  if (!options.name.empty()) PLX_TRY_STATUS(reserve_name(options.name, &detail::kTypeTag<A>));
  ReservedName reserved(*this, std::move(options.name));
  PLX_TRY(cell, new_external_cell());
  Actor* actor;
  try {
    actor = detail::construct_actor<A>(nullptr, *cell, std::forward<Args>(args)...);
  } catch (...) {
    return_external_cell(*cell);
    throw;
  }
  ActorId id = cell->id();
  start_external_cell(*cell, actor, mailbox, reserved.take());
  return ActorRef<A>(node_id_, id);
}

template <class A>
Result<ActorRef<A>> Runtime::find(std::string_view name) const {
  PLX_TRY(id, find_name(name, &detail::kTypeTag<A>));
  return ActorRef<A>(node_id_, id);
}

template <class A>
KeyedRef<A> Runtime::keyed(std::string tenant, std::string name_space, std::string key) {
  const ActorType* type = types_.find<A>();
  PLX_CHECK(type != nullptr && type->keyed(), "the class is registered with a facet");
  return KeyedRef<A>(*this, ActorKey{std::move(tenant), std::move(name_space), type->name, std::move(key)});
}

template <class A>
template <class M>
TellStatus ActorRef<A>::tell(M&& message) const {
  using Message = std::remove_cvref_t<M>;
  static_assert(A::template kHandles<Message>, "this actor does not handle this message");
  detail::Worker* worker = detail::Worker::current();
  if (worker != nullptr && worker->runtime().node_id() == node_) [[likely]] {
    detail::Envelope* envelope = detail::make_envelope(&worker->pool(), std::forward<M>(message), 0);
    if constexpr (detail::kMayBeLarge<Message>)
      if (envelope->charge > worker->runtime().message_units_max()) return worker->refuse_large(id_, envelope);
    return worker->tell(id_, envelope);
  }
  Runtime* runtime = Runtime::of(node_);
  if (runtime == nullptr) return std::unexpected(detail::runtime_ended_error());
  return runtime->send(id_, detail::make_envelope(nullptr, std::forward<M>(message), 0));
}

template <class A>
template <class M>
TellStatus ActorRef<A>::tell(M&& message, Ttl ttl) const {
  static_assert(A::template kHandles<std::remove_cvref_t<M>>, "this actor does not handle this message");
  detail::Worker* worker = detail::Worker::current();
  if (worker != nullptr && worker->runtime().node_id() == node_)
    return worker->tell_within(id_, detail::make_envelope(&worker->pool(), std::forward<M>(message), 0), ttl.within);
  Runtime* runtime = Runtime::of(node_);
  if (runtime == nullptr) return std::unexpected(detail::runtime_ended_error());
  return runtime->tell_within(id_, detail::make_envelope(nullptr, std::forward<M>(message), 0), ttl.within);
}

template <class A>
template <class M>
Status ActorRef<A>::send(M&& message, Duration within) const {
  static_assert(A::template kHandles<std::remove_cvref_t<M>>, "this actor does not handle this message");
  Runtime* runtime = Runtime::of(node_);
  if (runtime == nullptr) return std::unexpected(detail::runtime_ended_error());
  return runtime->send_and_wait(id_, detail::make_envelope(nullptr, std::forward<M>(message), 0), within);
}

template <class A>
template <class M>
Result<ReplyOf<std::remove_cvref_t<M>>> ActorRef<A>::ask(M&& message, Duration within) const {
  using Message = std::remove_cvref_t<M>;
  static_assert(A::template kHandles<Message>, "this actor does not handle this message");
  Runtime* runtime = Runtime::of(node_);
  if (runtime == nullptr) return std::unexpected(detail::runtime_ended_error());
  auto send = [runtime, id = id_](detail::Envelope* envelope) { static_cast<void>(runtime->send(id, envelope)); };
  PLX_TRY(answer, runtime->ask_and_wait(send, detail::make_envelope(nullptr, std::forward<M>(message), 0), within));
  return answer.template take<ReplyOf<Message>>();
}

namespace detail {

/// An envelope for the actor `key`, with a delivery.
template <class M>
Envelope* make_keyed_envelope(BlockPool* pool, const ActorKey& key, M&& message) {
  Envelope* envelope = make_envelope(pool, std::forward<M>(message), Envelope::kKeyed | Envelope::kWide);
  envelope->extension = reinterpret_cast<std::uint64_t>(new Delivery{key, {}, false, 0});
  return envelope;
}

}  // namespace detail

template <class A>
template <class M>
TellStatus KeyedRef<A>::tell(M&& message) const {
  using Message = std::remove_cvref_t<M>;
  static_assert(A::template kHandles<Message>, "this actor does not handle this message");
  detail::Worker* worker = detail::Worker::current();
  if (worker != nullptr && &worker->runtime() == runtime_)
    return worker->tell(key_, detail::make_keyed_envelope(&worker->pool(), key_, std::forward<M>(message)));
  return TellStatus(runtime_->deliver(detail::make_keyed_envelope(nullptr, key_, std::forward<M>(message))));
}

template <class A>
template <class M>
Result<ReplyOf<std::remove_cvref_t<M>>> KeyedRef<A>::ask(M&& message, Duration within) const {
  using Message = std::remove_cvref_t<M>;
  static_assert(A::template kHandles<Message>, "this actor does not handle this message");
  auto send = [this](detail::Envelope* envelope) { static_cast<void>(runtime_->deliver(envelope)); };
  PLX_TRY(answer,
          runtime_->ask_and_wait(send, detail::make_keyed_envelope(nullptr, key_, std::forward<M>(message)), within));
  return answer.template take<ReplyOf<Message>>();
}

}  // namespace plexspaces
