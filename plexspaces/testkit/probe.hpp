// An actor that stands where the test looks.
#pragma once

#include <any>
#include <array>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "plexspaces/actor/actor.hpp"
#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/lifecycle/exit.hpp"
#include "plexspaces/testkit/test_runtime.hpp"

namespace plexspaces::testkit {

namespace detail {

/// Has a probe do something in a turn of its own.
struct Perform {};
PLX_MESSAGE(Perform);

/// What a probe has got and not yet given to the test.
struct Received {
  const MessageInfo* type;
  std::shared_ptr<const void> value;  // of that type; shared only because it is the owner that knows how to destroy
  ActorId sender;
  TimePoint at;
};

struct ProbeState {
  std::deque<Received> received;
  std::deque<std::function<void(Context&)>> todo;
  std::map<const MessageInfo*, std::any> replies;  // std::function<Result<Reply>(const M&)> by M
  // ReplyTo<M> by M, oldest first. Shared only because it is the owner that knows how to destroy.
  std::map<const MessageInfo*, std::deque<std::shared_ptr<void>>> unanswered;
  ActorId last_sender;
};

template <class... Ms>
class ProbeActor final : public Actor {
 public:
  template <class M>
  static constexpr bool kHandles = (std::is_same_v<M, Ms> || ...);

  // Shared with the test, which may end its probe before the world ends the actor.
  explicit ProbeActor(std::shared_ptr<ProbeState> state) : state_(std::move(state)) {}

  std::span<const Handler> handlers() const override {
    static const std::array<Handler, sizeof...(Ms)> handlers{Handler{&plexspaces::message_info<Ms>(), false, false}...};
    return handlers;
  }

  void receive(Context& context) override {
    const MessageInfo* type = context.message_info();
    if (!((type == &plexspaces::message_info<Ms>() && take<Ms>(context)) || ...)) context.unhandled();
  }

 private:
  template <class M>
  bool take(Context& context) {
    if constexpr (std::is_same_v<M, Perform>) {
      auto perform = std::move(state_->todo.front());
      state_->todo.pop_front();
      perform(context);
    } else {
      auto value = std::make_shared<const M>(std::move(context.message<M>()));
      state_->last_sender = context.sender_id();
      state_->received.push_back({context.message_info(), value, context.sender_id(), context.now()});
      auto scripted = state_->replies.find(context.message_info());
      if (scripted != state_->replies.end())
        context.complete<M>(std::any_cast<std::function<Result<ReplyOf<M>>(const M&)>&>(scripted->second)(*value));
      else if constexpr (std::is_void_v<ReplyOf<M>>)
        context.complete<M>(Status());
      else if (auto later = context.defer<M>())
        state_->unanswered[context.message_info()].push_back(std::make_shared<ReplyTo<M>>(std::move(later)));
    }
    return true;
  }

  std::shared_ptr<ProbeState> state_;
};

/// Ms without Down, Exited and Perform, and then these.
template <class Done, class... Ms>
struct ProbeActorOf;
template <class... Done>
struct ProbeActorOf<std::tuple<Done...>> {
  using Type = ProbeActor<Done..., Down, Exited, Perform>;
};
template <class... Done, class M, class... Ms>
struct ProbeActorOf<std::tuple<Done...>, M, Ms...> {
  static constexpr bool kThere =
      std::is_same_v<M, Down> || std::is_same_v<M, Exited> || (std::is_same_v<M, Done> || ...);
  using Type =
      typename ProbeActorOf<std::conditional_t<kThere, std::tuple<Done...>, std::tuple<Done..., M>>, Ms...>::Type;
};

}  // namespace detail

/// The part of a probe that knows no message types.
class ProbeBase {
 public:
  ProbeBase(const ProbeBase&) = delete;
  ~ProbeBase() { state_->unanswered.clear(); }  // while the world is there to take the errors

  ActorId id() const { return id_; }
  /// Stands for an actor of class `A`, for those who send to one. What an `A` handles and this probe does not is a
  /// dead letter.
  template <class A>
  ActorRef<A> as() const {
    return ActorRef<A>(world_->runtime().node_id(), id_);
  }

  /// @returns ok when no message is there, and none comes while `within` passes.
  /// @error kFailedPrecondition (PLX-TST-0004): one is; it stays.
  Status expect_none_within(Duration within);
  /// The reason with which `target`, which is watched, has ended: as expect<Down>().
  template <class A>
  Result<ExitReason> expect_end(ActorRef<A> target, Duration within) {
    return expect_end_of(target.id(), within);
  }

  /// Messages that have come and were not yet expected.
  std::size_t waiting() const { return state_->received.size(); }
  void forget_all() { state_->received.clear(); }
  /// The actor that sent the latest message that came; none when it came from outside.
  ActorId last_sender() const { return state_->last_sender; }

  /// Watches `target`: this probe gets Down when it has ended.
  template <class A>
  Result<MonitorRef> watch(ActorRef<A> target) {
    Result<MonitorRef> monitor;
    PLX_TRY_STATUS(perform([&](Context& ctx) { monitor = ctx.monitor(target); }));
    return monitor;
  }
  /// Links this probe and `target`. The probe traps exits: it gets Exited, and goes on.
  template <class A>
  Status link(ActorRef<A> target) {
    Status linked;
    PLX_TRY_STATUS(perform([&](Context& ctx) {
      linked = ctx.trap_exits(true);
      if (linked) linked = ctx.link(target);
    }));
    return linked;
  }
  /// Runs `function` in a turn of the probe, and the actors until they come to rest: so the probe is the sender.
  /// @error kNotFound: the probe has ended. PLX-TST-0001.
  Status perform(std::function<void(Context&)> function);

 protected:
  ProbeBase(TestRuntime& world, std::shared_ptr<detail::ProbeState> state) : world_(&world), state_(std::move(state)) {}

  Result<detail::Received> next(const MessageInfo& type, Duration within);
  Result<ExitReason> expect_end_of(ActorId target, Duration within);

  TestRuntime* world_;
  ActorId id_;
  std::shared_ptr<detail::ProbeState> state_;
};

/// Records what it gets, in order, and answers as it is told. It handles `Ms`, Down and Exited.
///
///     Probe<Deposit> account(world);
///     branch.tell(Transfer{..., account.as<Account>()});
///     Deposit got = account.expect<Deposit>(1s).value();
///
/// Waiting drives the world, in virtual time. Threads: the world's. Lifetime: the world outlives it; its actor lives as
/// long as the world.
template <class... Ms>
class Probe : public ProbeBase {
 public:
  using Actor = typename detail::ProbeActorOf<std::tuple<>, Ms...>::Type;

  /// @p name: under which others find it; empty for none. Free (checked).
  explicit Probe(TestRuntime& world, std::string name = {}) : ProbeBase(world, std::make_shared<detail::ProbeState>()) {
    id_ = world.spawn<Actor>(std::move(name), state_).value().id();
  }

  ActorRef<Actor> ref() const { return as<Actor>(); }

  /// The next message, which must be an `M`: the one that has come first, or, when none is there, the next to come.
  /// @error kDeadlineExceeded (PLX-TST-0002): none came. kFailedPrecondition (PLX-TST-0003): another one did; it stays.
  template <class M>
  Result<M> expect(Duration within) {
    static_assert(Actor::template kHandles<M>, "this probe does not handle this message");
    PLX_TRY(received, next(message_info<M>(), within));
    return *static_cast<const M*>(received.value.get());
  }
  /// The next messages, which must be of these types, in this order. On an error those before it are gone.
  template <class... Os>
  Result<std::tuple<Os...>> expect_in_order(Duration within) {
    TimePoint end = saturating_add(world_->now(), within);
    Status status;
    auto take = [&]<class M>() -> std::optional<M> {
      if (!status) return std::nullopt;
      auto got = expect<M>(time_left(end, world_->now()));
      if (got) return *std::move(got);
      status = std::unexpected(got.error());
      return std::nullopt;
    };
    std::tuple<std::optional<Os>...> got { take.template operator()<Os>()... };  // braces: from left to right
    if (!status) return std::unexpected(status.error());
    return std::apply([](auto&... values) { return std::tuple<Os...>(*std::move(values)...); }, got);
  }

  /// Answers each ask with an `M`, from now on, with what `answer` gives: a Result<Reply> or a Reply, made from the
  /// message. Without it an ask waits for answer(); one without a reply is answered with success.
  template <class M, class F>
    requires std::is_invocable_v<F, const M&>
  void reply(F answer) {
    static_assert(Actor::template kHandles<M>, "this probe does not handle this message");
    state_->replies[&message_info<M>()] = std::function<Result<ReplyOf<M>>(const M&)>(std::move(answer));
  }
  /// As above, always with this answer: a reply, or std::unexpected(Error).
  template <class M>
  void reply(Result<ReplyOf<M>> answer) {
    reply<M>([answer = std::move(answer)](const M&) { return answer; });
  }
  /// Answers the oldest ask with an `M` that has no answer. @error kNotFound (PLX-TST-0009): there is none.
  template <class M>
  Status answer(Result<ReplyOf<M>> reply) {
    auto& asks = state_->unanswered[&message_info<M>()];
    if (asks.empty())
      return world_->failure(Code::kNotFound,
                             std::string("no ask waits for an answer to ") + std::string(message_info<M>().value->name),
                             "PLX-TST-0009");
    auto oldest = std::move(asks.front());
    asks.pop_front();
    static_cast<ReplyTo<M>*>(oldest.get())->reply(std::move(reply));
    return {};
  }
};

}  // namespace plexspaces::testkit
