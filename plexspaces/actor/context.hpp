// What a handler works with during its turn.
#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "plexspaces/actor/actor_ref.hpp"
#include "plexspaces/actor/lifecycle/exit.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/actor/scheduler/timer.hpp"
#include "plexspaces/actor/scheduler/worker.hpp"
#include "plexspaces/actor/turn/reply_to.hpp"
#include "plexspaces/actor/turn/task.hpp"

namespace plexspaces {

namespace detail {

template <class M>
class AskAwaiter;
template <class M>
class AskAllAwaiter;
template <class... Ms>
class AllAwaiter;
template <class M>
class SendAwaiter;
class EndedAwaiter;
class SleepAwaiter;
template <class F>
class BlockingAwaiter;

/// `Self` is a class of actors that handles `M`, or void: then it is looked up when the program runs.
template <class Self, class M>
concept SelfHandles = std::is_void_v<Self> || Self::template kHandles<M>;

}  // namespace detail

/// The turn of one actor: who it is, and everything that it may do or wait for.
///
/// Of an actor with facets, what a handler sends leaves when the facets let it (for a durable actor: after its commit).
/// Threads: the handler's. Lifetime: the turn.
class Context {
 public:
  Context(detail::Worker& worker, detail::ActorCell& cell, detail::Envelope* input)
      : worker_(&worker), cell_(&cell), input_(input) {}

  ActorId self_id() const { return cell_->id(); }
  /// A reference to this actor, which must be an `A`.
  template <class A>
  ActorRef<A> self() const {
    return ActorRef<A>(worker_->runtime().node_id(), cell_->id());
  }
  /// The actor that sent the message; none when it came from outside, by key, or from the runtime itself.
  ActorId sender_id() const { return input_->is(detail::Envelope::kSink) ? ActorId{} : input_->sender_id(); }
  Runtime& runtime() const { return worker_->runtime(); }
  /// The turn's clock, as it was when this batch of turns began: it stands still in a turn.
  TimePoint now() const { return worker_->now(); }
  /// The clock itself, which costs a look at it: for what is measured, and for a deadline over several waits.
  TimePoint clock() const { return worker_->fresh_now(); }
  /// When the asker stops waiting; kNever without one.
  TimePoint deadline() const {
    return input_->context != nullptr && !input_->context->until_handled ? worker_->ask_deadline(*input_) : kNever;
  }
  /// On whose behalf the turn runs.
  const RequestContext& request() const;
  /// The key of this actor; null when it is not addressed by key.
  const ActorKey* key() const;
  /// Where this actor belongs: its key's, or, without one, the request's.
  const std::string& tenant() const { return key() != nullptr ? key()->tenant : request().tenant; }
  const std::string& name_space() const { return key() != nullptr ? key()->name_space : request().name_space; }

  /// Sends `message`. The result may be forgotten: what is refused is a dead letter (TellStatus).
  /// @error kResourceExhausted: the receiver's mailbox is full. kInvalidArgument: it is larger than message_bytes_max.
  template <class A, class M>
  TellStatus tell(ActorRef<A> to, M&& message) {
    return to.tell(std::forward<M>(message));
  }
  /// As tell(); a message that has waited `ttl` for its turn is a dead letter (expired) instead.
  template <class A, class M>
  TellStatus tell(ActorRef<A> to, M&& message, Ttl ttl) {
    return to.tell(std::forward<M>(message), ttl);
  }

  /// Sends `message`, and waits while the receiver's mailbox is full: `co_await ctx.send(store, Put{...}, 1s)` is a
  /// Status. Those that wait for one mailbox get room in the order in which they came. Two actors that wait for room at
  /// each other wait until a deadline: this is their only bound.
  /// @error kDeadlineExceeded: no room in time; the message was taken back and is never handled. kNotFound: no such
  /// actor, or it has ended; the message is a dead letter. kResourceExhausted: sends_waiting_max, or a message that
  /// never fits. kFailedPrecondition: this actor's own mailbox is full. kInvalidArgument: larger than
  /// message_bytes_max.
  template <class A, class M>
  detail::SendAwaiter<std::remove_cvref_t<M>> send(ActorRef<A> to, M&& message, Duration within) {
    static_assert(A::template kHandles<std::remove_cvref_t<M>>, "this actor does not handle this message");
    return {*this, to.node(), to.id(), std::forward<M>(message), within};
  }

  // ---- rest. Of plain actors.

  /// From here on this actor gets an IdleTimeout when no message has come for `after`: one for each such silence. Any
  /// other message starts it anew, at the end of its turn. Zero: as soon as no message waits and no turn is open. Below
  /// zero, as kNoIdleTimeout: no more. Counts as one timer, unless it is zero. Of a GenServer.
  /// With the class of this actor, `ctx.idle_timeout<Self>(1min)`, a class that does not handle IdleTimeout does not
  /// compile.
  /// @error as send_after().
  template <class Self = void>
    requires detail::SelfHandles<Self, IdleTimeout>
  Status idle_timeout(Duration after) {
    return worker_->set_idle_timeout(*cell_, after);
  }
  /// As soon as this actor is idle, with no turn open and no message waiting: Actor::on_hibernate(), once, and the
  /// runtime frees of its record what this actor does not use. Nothing else changes; the next message wakes it as any.
  /// @error kUnimplemented: this actor is addressed by key; it is passivated instead.
  Status hibernate() { return worker_->hibernate(*cell_); }
  /// About how many bytes the runtime holds for this actor beyond its cell of 128 and its messages.
  std::size_t record_bytes() const { return detail::Worker::record_bytes(*cell_); }

  // ---- the stash. Of plain actors.

  /// Keeps this turn's message, to be handled again after unstash_all(). What the handler returns is given to nobody:
  /// an asker waits on, within its deadline. What is kept when the actor ends is a dead letter.
  /// @error kResourceExhausted: stash_max messages, or as many bytes as the mailbox may hold; the message is a dead
  /// letter and its asker has this error. kUnimplemented: this actor is addressed by key. kFailedPrecondition: a turn
  /// without a message, as on_start().
  Status stash() { return worker_->stash(*this); }
  /// Puts all kept messages before those that are queued (with priorities: of their level), in the order in which they
  /// were kept. This turn's own stays. They are not subject to the mailbox's bound.
  void unstash_all() { worker_->unstash_all(*this); }

  /// Another actor of this one's tenant and namespace, by key. `A` is registered and has a facet (checked).
  template <class A>
  KeyedRef<A> actor(std::string key) const {
    return runtime().keyed<A>(tenant(), name_space(), std::move(key));
  }

  /// Asks and waits: `co_await ctx.ask(counter, Increment{5}, 1s)` is a Result of the message's reply.
  /// @error kDeadlineExceeded: no answer in time; whether the message was handled is not known.
  /// kNotFound: no such actor. kResourceExhausted: its mailbox is full. kFailedPrecondition: it waits, directly or over
  /// others, for this actor. Any error that its handler returned.
  template <class A, class M>
  detail::AskAwaiter<std::remove_cvref_t<M>> ask(ActorRef<A> to, M&& message, Duration within) {
    static_assert(A::template kHandles<std::remove_cvref_t<M>>, "this actor does not handle this message");
    return {*this, to.node(), to.id(), std::forward<M>(message), within};
  }

  /// Waits for several asks at once: `auto [a, b] = co_await ctx.all(ctx.ask(x, GetA{}, 1s), ctx.ask(y, GetB{}, 1s))`.
  /// They leave in this order; the turn goes on when each is answered, has failed, or its time is over. The asks are
  /// written in the same expression. @returns a tuple of Results, each as ask() gives it.
  template <class... Ms>
  detail::AllAwaiter<Ms...> all(detail::AskAwaiter<Ms>&&... asks) {
    return detail::AllAwaiter<Ms...>(asks...);
  }
  /// As all(), of `message` to each of `to`. @returns a vector of Results, in the order of `to`.
  /// @error each as ask(); all kResourceExhausted: more than kAsksAtOnceMax.
  template <class A, class M>
  detail::AskAllAwaiter<std::remove_cvref_t<M>> ask_all(const std::vector<ActorRef<A>>& to, M&& message,
                                                        Duration within) {
    static_assert(A::template kHandles<std::remove_cvref_t<M>>, "this actor does not handle this message");
    return {*this, to, std::forward<M>(message), within};
  }

  /// Hands this turn's message on: `NoReply handle(const Job& job, Context& ctx) { return ctx.forward(worker, job); }`.
  /// Whoever has sent it is the sender of `message`, and whoever asked gets the answer of `to`, within the deadline of
  /// the ask; this actor does not wait. `message` has the Reply of the turn's message (PLX-ACT-0060). What cannot be
  /// sent is a dead letter, and its error the asker's. Throws std::logic_error in an actor that is addressed by key.
  template <class A, class M>
  NoReply forward(ActorRef<A> to, M&& message) {
    static_assert(A::template kHandles<std::remove_cvref_t<M>>, "this actor does not handle this message");
    worker_->forward(*this, to.node(), to.id(),
                     detail::make_envelope(&worker_->pool(), std::forward<M>(message), detail::Envelope::kWide));
    return {};
  }

  /// Starts an actor on this worker; its on_start() has run when this returns. What its constructor throws passes
  /// through. @error kResourceExhausted: actors_max. That of its on_start(), or kInternal when that has thrown.
  template <class A, class... Args>
  Result<ActorRef<A>> spawn(Args&&... args) {
    return runtime().spawn_on<A>(*worker_, nullptr, std::forward<Args>(args)...);
  }
  /// As spawn(), with a name or a mailbox of its own. @error also kAlreadyExists: an actor has that name.
  /// kResourceExhausted: more than kMailboxKindsMax different MailboxOptions.
  template <class A, class... Args>
  Result<ActorRef<A>> spawn_with(SpawnOptions options, Args&&... args) {
    return runtime().spawn_on_with<A>(*worker_, nullptr, std::move(options), std::forward<Args>(args)...);
  }

  /// Starts an actor that is linked to this one, its parent, before its on_start(). When it fails to start, no exit
  /// signal comes of it. The exit of the parent ends also a child that traps exits, once it has handled what is queued.
  /// @error as spawn(), link().
  template <class A, class... Args>
  Result<ActorRef<A>> spawn_linked(Args&&... args) {
    PLX_TRY_STATUS(worker_->check_reach(*cell_, runtime().node_id()));
    return runtime().spawn_on<A>(*worker_, cell_, std::forward<Args>(args)...);
  }
  /// As spawn_linked(), with what spawn_with() takes. @error as both.
  template <class A, class... Args>
  Result<ActorRef<A>> spawn_linked_with(SpawnOptions options, Args&&... args) {
    PLX_TRY_STATUS(worker_->check_reach(*cell_, runtime().node_id()));
    return runtime().spawn_on_with<A>(*worker_, cell_, std::move(options), std::forward<Args>(args)...);
  }

  /// Waits for the end of `target`: `co_await ctx.ended(child, 5s)` is its reason, at once noproc when there is no such
  /// actor. @error kDeadlineExceeded: it still lives. kResourceExhausted: monitors_max. kUnimplemented: as monitor().
  template <class A>
  detail::EndedAwaiter ended(ActorRef<A> target, Duration within);

  /// Waits: `co_await ctx.sleep(1s)`. The actor takes no other message meanwhile. Zero or less: until the next batch.
  detail::SleepAwaiter sleep(Duration duration);

  /// Runs `work` on a thread that may block and waits for its result: `co_await ctx.blocking(read)` is a Result of what
  /// `read()` returns, or its Result. The actor takes no other message meanwhile, the worker goes on with other actors.
  /// `work` owns what it works with: it goes on when the actor is killed or waits no longer, and its result is then a
  /// dead letter.
  /// @error kInternal: it has thrown. kDeadlineExceeded: it takes longer than `within`. kResourceExhausted: as much
  /// blocking work waits as may (PosixExecutorOptions::blocking_queue_max). Any error that it has returned.
  template <class F>
  detail::BlockingAwaiter<std::decay_t<F>> blocking(F&& work, Duration within = Duration::max());

  /// Ends this actor after the turn. What is queued becomes dead letters; askers get kNotFound. An actor that is
  /// addressed by key ends once its facets agree (a durable one: its commits are done, its messages acknowledged), and
  /// the next message to its key makes a new activation.
  void stop() { worker_->ask_to_stop(*cell_); }

  // ---- timers, and what the actor sends itself. Of plain actors.

  /// Sends this actor `message` once `after` has passed, zero or less: in the next batch. It comes not before its time,
  /// and its bound is timers_max, not the mailbox's. With the class of this actor, `ctx.send_after<Self>(1s, Tick{})`,
  /// a class that does not handle it does not compile. The actor's end cancels its timers.
  /// @error kInvalidArgument: more than kTimerMax ahead. kFailedPrecondition: this actor does not handle it.
  /// kResourceExhausted: timers_max. kUnimplemented: this actor is addressed by key.
  template <class Self = void, class M>
    requires detail::SelfHandles<Self, std::remove_cvref_t<M>>
  Result<TimerRef> send_after(Duration after, M&& message) {
    return worker_->arm_timer(*cell_, after, Duration(0), own_message(std::forward<M>(message)), nullptr);
  }
  /// Sends this actor a copy of `message` each `period`, first after one: at start + k periods. While one is queued no
  /// other comes: an actor that is late skips those that it has missed.
  /// @error as send_after(); kInvalidArgument: also a period below kTimerPeriodMin.
  template <class Self = void, std::copy_constructible M>
    requires detail::SelfHandles<Self, M>
  Result<TimerRef> send_every(Duration period, M message) {
    auto copy = [](detail::BlockPool* pool, const detail::Envelope& stored) {
      return detail::make_envelope(pool, const_cast<detail::Envelope&>(stored).payload_as<M>(), 0);
    };
    return worker_->arm_timer(*cell_, period, period, own_message(std::move(message)), copy);
  }
  /// No message of `timer` is handled from here on, also none that is due already. @returns whether it was still to
  /// come: false for one that has been handled, was cancelled, or is another actor's.
  bool cancel(TimerRef timer) { return worker_->cancel_timer(*cell_, timer); }

  /// Makes `message` this actor's next one, before all that is queued or unstashed. Of several, the last comes first.
  /// It is not subject to the mailbox's bound, but to its own.
  /// @error kFailedPrecondition: this actor does not handle it. kUnimplemented: it is addressed by key.
  /// kResourceExhausted: kContinuationsMax wait.
  template <class Self = void, class M>
    requires detail::SelfHandles<Self, std::remove_cvref_t<M>>
  Status continue_with(M&& message) {
    return worker_->continue_with(*cell_, own_message(std::forward<M>(message)));
  }

  /// Takes over the answer to this turn's message, an `M`: the handler returns NoReply, and the asker waits until
  /// ReplyTo::reply(), in whatever turn. Empty when nobody asked. Once in a turn. Throws std::logic_error in an actor
  /// that is addressed by key, whose answer is part of its turn's commit.
  template <class M>
  ReplyTo<M> defer() {
    PLX_CHECK(input_->type == &plexspaces::message_info<M>(), "the message of this turn");
    return ReplyTo<M>(worker_->defer(*input_));
  }

  // ---- links, monitors, exits (docs/links-and-monitors.md). Of plain actors of one runtime.

  /// Watches `target`: this actor gets exactly one Down when it has ended, at once (noproc) when it has already or
  /// never was. Each call makes another monitor; of itself, one that never fires. With the class of this actor,
  /// `ctx.monitor<Watcher>(target)`, a class that does not handle Down does not compile.
  /// @error kFailedPrecondition: this actor does not handle Down. kResourceExhausted: monitors_max. kUnimplemented:
  /// this actor is addressed by key, or `target` is of another runtime.
  template <class Self = void, class A>
    requires detail::SelfHandles<Self, Down>
  Result<MonitorRef> monitor(ActorRef<A> target) {
    return worker_->monitor(*cell_, target.node(), target.id());
  }
  /// Ends the watch: no Down of `monitor` is handled from here on, also none that is already queued. That one is looked
  /// for in the mailbox.
  void demonitor(MonitorRef monitor) { worker_->demonitor(*cell_, monitor); }

  /// Links this actor and `to`, once however often it is called: when one ends, the other gets an exit signal with the
  /// reason. One that does not trap exits then ends too, also while it waits, unless the reason is normal; one that
  /// does gets Exited. Where there is no such actor the signal comes at once (noproc).
  /// @error kResourceExhausted: links_max. kUnimplemented: as monitor().
  template <class A>
  Status link(ActorRef<A> to) {
    return worker_->link(*cell_, to.node(), to.id());
  }
  /// Removes the link: no exit signal comes over it from here on. An Exited that is already queued stays.
  template <class A>
  void unlink(ActorRef<A> to) {
    worker_->unlink(*cell_, to.node(), to.id());
  }
  /// Whether exit signals become messages Exited instead of ending this actor. With the class of this actor,
  /// `ctx.trap_exits<Parent>(true)`, a class that does not handle Exited does not compile.
  /// @error kFailedPrecondition: this actor does not handle Exited. kUnimplemented: it is addressed by key.
  template <class Self = void>
    requires detail::SelfHandles<Self, Exited>
  Status trap_exits(bool on) {
    return worker_->trap_exits(*cell_, on);
  }
  /// Ends this actor as stop() does, with `reason`. The first reason given counts, but a handler that throws gives
  /// another.
  void exit(ExitReason reason) { worker_->exit(*cell_, std::move(reason)); }
  /// Sends `to` an exit signal: as over a link, but also to actors that are not linked. Where it becomes a message and
  /// the mailbox is full, it is a dead letter.
  /// @error kUnimplemented: as monitor().
  template <class A>
  Status exit(ActorRef<A> to, ExitReason reason) {
    return worker_->signal_exit(*cell_, to.node(), to.id(), std::move(reason), false);
  }
  /// Ends `to` with the reason killed: as Runtime::kill(). @error kUnimplemented: as monitor().
  template <class A>
  Status kill(ActorRef<A> to) {
    return worker_->signal_exit(*cell_, to.node(), to.id(), ExitReason::killed(), true);
  }

  // For behaviours.
  /// A message has been handled: idle_timeout() begins anew. For classes that handle IdleTimeout.
  void note_message() {
    if (cell_->extras != nullptr && cell_->extras->idle != nullptr) worker_->note_message(*cell_);
  }
  const MessageInfo* message_info() const { return input_->type; }
  template <class M>
  M& message() const {
    return input_->payload_as<M>();
  }
  /// Gives the turn's result: to the asker, or nowhere.
  template <class M, class R>
  void complete(Result<R>&& result);
  /// The handler answers later: its asker gets an error when it has not taken defer().
  void must_be_deferred() {
    worker_->complete_with_error(
        *input_, Error(Code::kInternal, "the handler returns NoReply but has not called ctx.defer()", "PLX-ACT-0030"));
  }
  /// As unstash_all(), but this turn's message too, and before everything else, as continue_with(). The turn must be
  /// done with its message.
  void retry_stashed() { worker_->retry_stashed(*cell_); }
  /// No handler takes this message; `where`, " in its state kOpen", follows its name in the error.
  void unhandled(std::string_view where = {}) { worker_->unhandled(*this, where); }
  /// Starts a handler that is a coroutine: `start(open)` calls it with the lasting context of the open turn.
  template <class M, class Start>
  void run_task(Start start);

 private:
  friend class detail::Worker;
  template <class>
  friend class detail::AskAwaiter;
  template <class>
  friend class detail::AskAllAwaiter;
  template <class>
  friend class detail::SendAwaiter;

  template <class M>
  detail::Envelope* own_message(M&& message) {
    return detail::make_envelope(&worker_->pool(), std::forward<M>(message), 0);
  }
  friend class detail::EndedAwaiter;
  friend class detail::SleepAwaiter;
  template <class>
  friend class detail::BlockingAwaiter;

  detail::Worker* worker_;
  detail::ActorCell* cell_;
  detail::Envelope* input_;
};

namespace detail {

/// What a behaviour's coroutine returns that has itself given the turn's result.
struct Settled {};

/// A turn that waits.
struct SuspendedTurn {
  explicit SuspendedTurn(const Context& given) : context(given) {}

  Context context;
  Envelope* input = nullptr;
  bool input_kept = false;  // in the stash
  std::coroutine_handle<> root;
  void (*complete)(SuspendedTurn& open) = nullptr;  // reads the result out of `root`; throws what the handler threw
  Wait* wait = nullptr;                             // all of them; the turn goes on when there is none
};

}  // namespace detail

template <class M, class R>
void Context::complete(Result<R>&& result) {
  static_assert(std::is_same_v<R, ReplyOf<M>>, "a handler returns its message's Reply");
  if (!result) return worker_->fail_turn(*this, std::move(result).error());
  if (!input_->is(detail::Envelope::kAsk)) return;
  std::size_t bytes = 0;
  if constexpr (!std::is_void_v<R>) bytes = sizeof(R);
  if constexpr (detail::kMayBeLarge<R>)
    if (Status fits = runtime().check_reply(value_type_of<R>(), &*result); !fits)
      return worker_->complete_with_error(*input_, std::move(fits).error());
  detail::Envelope* reply = worker_->begin_reply(input_, bytes, detail::Envelope::kReply);
  if constexpr (!std::is_void_v<R>) ::new (reply->payload()) R(std::move(*result));
  worker_->complete_with(reply);
}

template <class M, class Start>
void Context::run_task(Start start) {
  detail::SuspendedTurn& open = worker_->open_turn(*this);
  auto root = [&] {
    try {
      return start(open.context).release();
    } catch (...) {
      worker_->abandon_open_turn(*this);
      throw;
    }
  }();
  open.root = root;
  open.complete = [](detail::SuspendedTurn& turn) {
    using Promise = std::remove_reference_t<decltype(root.promise())>;
    auto handle = std::coroutine_handle<Promise>::from_address(turn.root.address());
    using Value = decltype(handle.promise().take());
    if constexpr (std::is_void_v<Value>) {
      handle.promise().take();
      turn.context.template complete<M>(Status());
    } else if constexpr (std::is_same_v<Value, detail::Settled>) {
      handle.promise().take();
    } else if constexpr (std::is_same_v<Value, NoReply>) {
      handle.promise().take();
      turn.context.must_be_deferred();
    } else if constexpr (detail::IsResult<Value>::value) {
      turn.context.template complete<M>(handle.promise().take());
    } else {
      turn.context.template complete<M>(Result<Value>(handle.promise().take()));
    }
  };
  worker_->resume(open, root);
}

}  // namespace plexspaces

#include "plexspaces/actor/turn/awaiters.hpp"  // what ask(), send(), ended(), sleep() and all() return
#include "plexspaces/actor/turn/blocking.hpp"  // what blocking() returns
