// One actor, and a test in the place of everything around it.
#pragma once

#include <any>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "plexspaces/actor/actor_ref.hpp"
#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/lifecycle/exit.hpp"
#include "plexspaces/testkit/effect.hpp"
#include "plexspaces/testkit/test_runtime.hpp"

namespace plexspaces::testkit {

struct HarnessOptions {
  /// Registers the types of actors that the one under test sends to by key.
  std::function<void(Types&)> types;
  std::size_t steps_max = 10'000;  // of one call, and answers by a script in it
};

/// What an ask of the actor under test has brought: `auto [reply, effects] = account.ask(GetBalance{})`.
template <class M>
struct Answered {
  /// @error what the handler returned; kInternal when it threw. kUnavailable (PLX-TST-0006): it has not answered yet.
  Result<ReplyOf<M>> reply;
  TurnEffects effects;
};

/// The part of a harness that does not know its actor's class.
class HarnessBase {
 public:
  ~HarnessBase();
  HarnessBase(const HarnessBase&) = delete;

  /// Somebody of class `B` for the actor under test to know: nobody is there, what is sent is an effect. @p name: in
  /// lines, and under which Runtime::find() finds it; empty for none. Not used before (checked).
  template <class B>
  ActorRef<B> peer(std::string name = {}) {
    return ActorRef<B>(world().runtime().node_id(), new_peer(std::move(name)));
  }

  /// Answers an ask of the actor under test, an `M`, and runs it. What it does then are the effects.
  template <class M>
  TurnEffects answer(const TurnEffect& ask, Result<ReplyOf<M>> reply) {
    PLX_CHECK(ask.asked<M>() != nullptr, "the effect is an ask of this message");
    ReplyTo<M>(ask.asker).reply(std::move(reply));
    return run();
  }
  /// Answers each ask with an `M`, from now on, with what `answer` gives, a Result<Reply> or a Reply. The asks are
  /// effects all the same.
  template <class M, class F>
    requires std::is_invocable_v<F, const M&>
  void reply(F answer) {
    std::function<Result<ReplyOf<M>>(const M&)> function = std::move(answer);
    replies_[&message_info<M>()] = [function](const TurnEffect& ask) {
      ReplyTo<M>(ask.asker).reply(function(*ask.asked<M>()));
    };
  }
  template <class M>
  void reply(Result<ReplyOf<M>> answer) {
    reply<M>([answer = std::move(answer)](const M&) { return answer; });
  }

  /// Lets virtual time pass: timers and time-outs that are due. See TestRuntime::advance().
  TurnEffects advance(Duration by);
  /// Lets time pass until the nearest timer with an `M` is due.
  /// @error kNotFound (PLX-TST-0007): none is armed.
  template <class M>
  Result<TurnEffects> fire_timer() {
    return fire_next(message_info<M>());
  }

  /// A peer, or an actor that the one under test has spawned, has ended: who watches it gets Down, who is linked to it
  /// the exit signal; asks of it get kNotFound from now on.
  template <class B>
  TurnEffects end(ActorRef<B> who, ExitReason reason) {
    return end_of(who.id(), std::move(reason));
  }
  /// An exit signal for the actor under test.
  TurnEffects exit(ExitReason reason, ActorId from = {});
  /// As Runtime::stop() and kill().
  TurnEffects stop();
  TurnEffects kill();

  /// Why the actor under test has ended; nothing while it lives.
  const std::optional<ExitReason>& ended() const { return ended_; }
  ActorId id() const { return id_; }
  TimePoint now() const { return world_->now(); }
  TestRuntime& world() { return *world_; }

 protected:
  explicit HarnessBase(HarnessOptions options);

  void begin(ActorId id);
  Result<TurnEffects> started();
  TurnEffects send(plexspaces::detail::Envelope* envelope, ActorId from);
  std::shared_ptr<std::optional<Answer>> send_ask(plexspaces::detail::Envelope* envelope);
  std::unexpected<Error> unanswered(const MessageInfo& type) const;
  /// Runs until nothing is to do now. @returns what has happened since the last call.
  TurnEffects run();

  struct Unanswered {
    const MessageInfo* type;
    std::shared_ptr<std::optional<Answer>> answer;
  };
  std::deque<Unanswered> unanswered_;

 private:
  class Recording;
  struct Armed {
    TimerRef timer;
    TimePoint due;
    Duration period;
    const MessageInfo* type;
    std::shared_ptr<const void> value;
  };

  ActorId new_peer(std::string name);
  Result<TurnEffects> fire_next(const MessageInfo& type);
  TurnEffects end_of(ActorId who, ExitReason reason);
  std::string name_of(ActorId id) const;
  void forget_fired();
  void tell_of_end(ActorId who, const ExitReason& reason);
  bool answer_scripted();

  const std::size_t steps_max_;
  std::unique_ptr<Recording> recording_;  // outlives the world
  std::unique_ptr<TestRuntime> world_;
  ActorId id_;
  std::optional<ExitReason> ended_;
  TurnEffects effects_;              // since the last call
  std::deque<TurnEffect> new_asks_;  // not yet looked at for a scripted answer
  std::map<const MessageInfo*, std::function<void(const TurnEffect&)>> replies_;
  std::map<ActorId, std::string> names_;
  std::set<ActorId> gone_;
  std::map<std::uint64_t, ActorId> monitors_, links_;  // of the actor under test, by id: the other end
  std::vector<Armed> armed_;
};

/// One actor of class `A` and its effects, turn by turn, without a scheduler to think of:
///
///     Harness<Account> account;
///     auto branch = account.peer<Branch>("branch");
///     account.start(branch).value();
///     TurnEffects effects = account.tell(Withdraw{.amount = 5});
///     EXPECT_EQ(lines_of(effects), (std::vector<std::string>{R"(tell branch Withdrawn {"amount":5})"}));
///     auto [balance, nothing] = account.ask(GetBalance{});
///
/// The actor and its timers are real, and time is virtual. Nothing that it sends arrives, also not at itself or at
/// actors that it spawns: those are made, and their on_start() runs (its effects are in the list), then they stay idle.
/// The test answers its asks, ends its peers and lets time pass. Messages to itself by continue_with() are handled at
/// once.
/// Of plain actors; the class may also be one that is registered with facets, as long as it does not need them.
/// Threads: one.
template <class A>
class Harness : public HarnessBase {
 public:
  explicit Harness(HarnessOptions options = {}) : HarnessBase(std::move(options)) {}

  /// Makes the actor, once, and runs its on_start(), whose effects these are.
  /// @error kFailedPrecondition (PLX-TST-0008): on_start() has failed; the message says why.
  template <class... Args>
  Result<TurnEffects> start(Args&&... args) {
    PLX_CHECK(!id(), "a harness starts its actor once");
    PLX_TRY(actor, world().template spawn<A>(std::string(), std::forward<Args>(args)...));
    begin(actor.id());
    return started();
  }

  ActorRef<A> ref() { return ActorRef<A>(world().runtime().node_id(), id()); }

  /// One message, and what follows from it until the actor waits or is done. @p from: the sender that it sees.
  template <class M>
  TurnEffects tell(M&& message, ActorId from = {}) {
    static_assert(A::template kHandles<std::remove_cvref_t<M>>, "this actor does not handle this message");
    return send(plexspaces::detail::make_envelope(nullptr, std::forward<M>(message), 0), from);
  }

  /// As tell(), for an answer.
  template <class M>
  Answered<std::remove_cvref_t<M>> ask(M&& message) {
    using Message = std::remove_cvref_t<M>;
    static_assert(A::template kHandles<Message>, "this actor does not handle this message");
    auto answer = send_ask(plexspaces::detail::make_envelope(nullptr, std::forward<M>(message), 0));
    TurnEffects effects = run();
    if (*answer) return {(*answer)->template take<ReplyOf<Message>>(), std::move(effects)};
    unanswered_.push_back({&message_info<Message>(), answer});
    return {unanswered(message_info<Message>()), std::move(effects)};
  }
  /// The answer to the oldest ask with an `M` that had none when ask() returned. Taken once.
  /// @error kUnavailable (PLX-TST-0006): it has still none.
  template <class M>
  Result<ReplyOf<M>> late_reply() {
    auto oldest = std::find_if(unanswered_.begin(), unanswered_.end(),
                               [](const Unanswered& ask) { return ask.type == &message_info<M>(); });
    if (oldest == unanswered_.end() || !*oldest->answer) return unanswered(message_info<M>());
    auto answer = oldest->answer;
    unanswered_.erase(oldest);
    return (*answer)->template take<ReplyOf<M>>();
  }
};

}  // namespace plexspaces::testkit
