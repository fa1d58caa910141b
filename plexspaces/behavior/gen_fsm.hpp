// The state machine behaviour: a handler for each pair of state and event.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "plexspaces/actor/actor.hpp"
#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/message/message.hpp"
#include "plexspaces/behavior/fsm_core.hpp"
#include "plexspaces/codec/description.hpp"

namespace plexspaces {

/// The state `S` of a machine whose states are an enum: `Transition handle(In<Door::kOpen>, const Push&, Context&)`.
template <auto S>
struct In {
  static constexpr auto kState = S;
};

/// Any state that has no handler of its own for an event.
struct AnyState {};

/// Any event that a state has no handler for; tells its name.
class AnyEvent {
 public:
  std::string_view name() const { return name_; }

 private:
  template <class Self, class State, class... Es>
  friend class GenFsm;
  explicit AnyEvent(std::string_view name) : name_(name) {}
  std::string_view name_;
};

/// The machine has been in its state for as long as `.state_timeout(after)` said.
struct StateTimeout {
  static constexpr std::string_view kName = "StateTimeout";
};

/// No event has come for as long as `.event_timeout(after)` said.
struct EventTimeout {
  static constexpr std::string_view kName = "EventTimeout";
};

namespace detail {

template <std::size_t N>
struct FixedText {
  char text[N]{};
  consteval FixedText(const char (&literal)[N]) {  // NOLINT(google-explicit-constructor): Timeout<"retry">
    for (std::size_t i = 0; i < N; ++i) text[i] = literal[i];
  }
};

}  // namespace detail

/// The timeout of that name, set by `.timeout<"retry">(after)`, in whatever state the machine is by now.
template <detail::FixedText Name>
struct Timeout {
  static constexpr std::string_view kName{Name.text, sizeof(Name.text) - 1};
};

namespace detail {

// The states of a machine by index: of an enum in the order of its PLX_ENUM, of a variant in its own.
template <class State>
struct FsmStates {
  static_assert(DescribedEnum<State>,
                "the states of a machine are an enum with PLX_ENUM, or a std::variant of structs");
  static constexpr std::size_t kCount = kListing<State>.values.size();
  template <std::size_t I>
  using Tag = In<static_cast<State>(kListing<State>.values[I].value)>;
  static std::size_t index(State state) {
    std::size_t i = 0;
    while (i < kCount && kListing<State>.values[i].value != static_cast<std::int64_t>(state)) ++i;
    return i;
  }
  template <std::size_t I>
  static Tag<I> get(State&) {
    return {};
  }
  static std::string name(std::size_t index) { return std::string(kListing<State>.values[index].name); }
};
template <class... Ss>
struct FsmStates<std::variant<Ss...>> {
  static constexpr std::size_t kCount = sizeof...(Ss);
  template <std::size_t I>
  using Tag = std::variant_alternative_t<I, std::variant<Ss...>>&;
  static std::size_t index(const std::variant<Ss...>& state) { return state.index(); }
  template <std::size_t I>
  static Tag<I> get(std::variant<Ss...>& state) {
    return *std::get_if<I>(&state);
  }
  template <class S>
  static std::string name_of() {
    if constexpr (Described<S>)
      return std::string(kListing<S>.name);
    else
      return {};
  }
  // A number where the struct has no PLX_MESSAGE.
  static std::string name(std::size_t index) {
    std::string name;
    std::size_t i = 0;
    static_cast<void>(((i++ == index ? (name = name_of<Ss>(), true) : false) || ...));
    return name.empty() ? std::to_string(index) : name;
  }
};

/// Whether `Self` has a public handler for the event `E` in the state of `Tag`.
template <class Self, class Tag, class E>
inline constexpr bool kHandlesIn =
    requires(Self& self, Tag tag, const E& event, const AnyEvent& any, Context& context) {
      requires requires { self.handle(tag, event, context); } || requires {
        self.handle(tag, any, context);
      } || requires { self.handle(AnyState(), event, context); } || requires { self.handle(AnyState(), any, context); };
    };

/// Whether what a handler returns, an `R`, says what the asker of an `E` gets. `kDefault`: it handles any event.
template <class R, class E, bool kDefault>
consteval bool answers() {
  using Reply = ReplyOf<E>;
  if constexpr (TaskTraits<R>::kIsTask)
    return answers<typename TaskTraits<R>::Value, E, kDefault>();
  else if constexpr (std::is_void_v<R> || requires { typename R::FsmPlainTransition; })
    return std::is_void_v<Reply> || kDefault;
  else if constexpr (std::is_same_v<R, NoReply> || requires { typename R::FsmAnsweringTransition; })
    return true;
  else if constexpr (IsResult<R>::value && !std::is_same_v<R, Result<Reply>>)
    return answers<typename R::value_type, E, kDefault>();
  else
    return std::is_constructible_v<Result<Reply>, R>;
}

/// Says in one line what is wrong with an event of a machine in the states of `Tags`.
template <class Self, class E, class... Tags>
struct HandledEvent {
  static_assert((kHandlesIn<Self, Tags, E> && ...),
                "the machine has no public handle(In<State>, const Event&, Context&) for this event in this state, nor "
                "one for AnyState or AnyEvent");
};

template <class E>
constexpr std::string_view event_name() {
  if constexpr (requires { E::kName; })
    return E::kName;
  else if constexpr (MessageType<E>)
    return message_info<E>().value->name;
  else
    return "an internal event";
}

}  // namespace detail

/// A state machine that handles the events `Es`, messages as those of GenServer, in states of the type `State`. OTP's
/// gen_statem, typed; the table in docs/behaviors.md has each rule beside it.
///
///     enum class Door { kOpen, kClosed };                     // with PLX_ENUM; or a std::variant of structs,
///                                                             // whose handlers take the struct: handle(Open&, ...)
///     class DoorMachine : public GenFsm<DoorMachine, Door, Push, Pull> {
///      public:
///       DoorMachine() : GenFsm(Door::kClosed) {}
///       Transition handle(In<Door::kClosed>, const Pull&, Context&) { return next_state(Door::kOpen); }
///       Transition handle(In<Door::kOpen>, const Push&, Context&) { return next_state(Door::kClosed); }
///       Transition handle(In<Door::kOpen>, const StateTimeout&, Context&) { return next_state(Door::kClosed); }
///       Transition handle(AnyState, const AnyEvent&, Context&) { return keep_state(); }
///       Enter on_enter(In<Door::kOpen>, Context&) { return Enter().state_timeout(10s); }
///     };
///
/// The handler of an event `E` in a state is the first of these that there is; a pair without one does not compile.
///
///     handle(In<S>, const E&, Context&)          this event in this state
///     handle(In<S>, const AnyEvent&, Context&)   every other event in this state, timeouts too
///     handle(AnyState, const E&, Context&)       this event in every other state
///     handle(AnyState, const AnyEvent&, Context&)
///
/// It returns what becomes of the machine, and for an event with a Reply also what the asker gets:
///
///     event without Reply   Transition; or void: the state is kept; or Status: the state is kept, an asker gets it
///     event with Reply      Replies<Reply>, that is a Transition with .reply(value or error), .reply_later(), or
///                           postponed; or Reply, Result<Reply>: the state is kept
///     each of these         also in a Result (an error goes to the asker, the state is kept), or as a Task: while it
///                           waits no other event is handled, as in GenServer
///     AnyEvent              Transition; who asked a message with Reply gets kFailedPrecondition (PLX-BEH-0001), of
///                           unhandled() kUnimplemented and a dead letter. Or void
///
/// on_enter(In<S>, Context&), or on_enter(AnyState, Context&), runs when the machine has come into the state, at the
/// start too, before any further event, and returns Enter or void. A throw ends the actor.
///
/// Timeouts have the resolution of timers, 2^20 ns. A timeout of zero or less comes before every message that has not
/// been received yet, after those retried. Events that a machine postpones are in its stash (stash_max).
/// A class that has its own on_start() returns GenFsm::on_start(context) from it. Of actors without facets.
template <class Self, class State, class... Es>
class GenFsm : public Actor {
  using States = detail::FsmStates<State>;

  // What can be told about timeouts, by a transition as by the entry into a state.
  class Timeouts {
   public:
    /// StateTimeout in the state that the machine is in then, unless it leaves it before.
    template <class T>
    T&& state_timeout(this T&& self, Duration after) {
      return std::forward<T>(self).template set<StateTimeout>(after);
    }
    /// EventTimeout, unless any event comes before.
    template <class T>
    T&& event_timeout(this T&& self, Duration after) {
      return std::forward<T>(self).template set<EventTimeout>(after);
    }
    /// Timeout<Name>, in whatever state. Replaces one of that name that still runs.
    template <detail::FixedText Name, class T>
    T&& timeout(this T&& self, Duration after) {
      return std::forward<T>(self).template set<Timeout<Name>>(after);
    }
    /// It does not come any more, also when it was due.
    template <class T>
    T&& cancel_state_timeout(this T&& self) {
      self.timeouts_.push_back({&kTimeout<StateTimeout>, {}, true});
      return std::forward<T>(self);
    }
    template <class T>
    T&& cancel_event_timeout(this T&& self) {
      self.timeouts_.push_back({&kTimeout<EventTimeout>, {}, true});
      return std::forward<T>(self);
    }
    template <detail::FixedText Name, class T>
    T&& cancel_timeout(this T&& self) {
      self.timeouts_.push_back({&kTimeout<Timeout<Name>>, {}, true});
      return std::forward<T>(self);
    }

   protected:
    friend class GenFsm;
    template <class E, class T>
    T&& set(this T&& self, Duration after) {
      if constexpr (std::is_same_v<E, StateTimeout> || std::is_same_v<E, EventTimeout>)
        static_assert(handled_in_some_state<E>(), "this timeout is set, but no state has a handler for it");
      else
        static_assert(handled_in_all_states<E>(),
                      "a named timeout comes in whatever state the machine is by then: each state needs a handler, "
                      "handle(In<State>, const Timeout<\"name\">&, Context&), or handle(AnyState, ...)");
      self.timeouts_.push_back({&kTimeout<E>, after, false});
      return std::forward<T>(self);
    }
    std::vector<detail::FsmTimeoutAction> timeouts_;
  };

  enum class Kind : std::uint8_t { kKeep, kRepeat, kNext, kStop, kUnhandled };

  class Actions : public Timeouts {
   public:
    using FsmAnsweringTransition = void;
    /// `event` is handled next, before all others; more than one in their order. Any type: it need not be a message,
    /// and one that is not in the list of the machine cannot come from outside.
    template <class T, class E>
    T&& next_event(this T&& self, E event) {
      static_assert(handled_in_all_states<E>(), "each state needs a handler for an internal event");
      self.events_.push_back(std::make_unique<Internal<E>>(std::move(event)));
      return std::forward<T>(self);
    }

   protected:
    friend class GenFsm;
    Kind kind_ = Kind::kKeep;
    bool postponed_ = false;
    std::optional<State> next_;
    std::vector<std::unique_ptr<detail::FsmInternalEvent>> events_;
    std::optional<ExitReason> reason_;
  };

  template <class E>
  struct Internal final : detail::FsmInternalEvent {
    explicit Internal(E given) : event(std::move(given)) {}
    void deliver(Actor& machine, Context& context) override {
      static_cast<GenFsm&>(machine).template deliver<E, false>(event, context);
    }
    E event;
  };

 public:
  template <class R>
  class Replies;

  /// A transition with the answer to the event's asker. Becomes a Replies<R>.
  template <class V>
  class [[nodiscard]] Replying : public Actions {
    friend class GenFsm;
    Replying(Actions&& actions, V value) : Actions(std::move(actions)), value_(std::move(value)) {}
    V value_;
  };

  /// A transition that leaves the event's asker waiting, or to an error. Becomes a Transition or a Replies<R>.
  class [[nodiscard]] Unanswering : public Actions {
    friend class GenFsm;
    explicit Unanswering(Actions&& actions) : Actions(std::move(actions)) {}
  };

  /// What becomes of the machine after an event.
  class [[nodiscard]] Transition : public Actions {
   public:
    using FsmPlainTransition = void;
    Transition(Unanswering&& other) : Actions(std::move(other)) {}  // NOLINT(google-explicit-constructor)

    /// Answers the event: a value, or an error as fail() gives it.
    template <class V>
    Replying<std::remove_cvref_t<V>> reply(V&& value) && {
      return {std::move(*this), std::forward<V>(value)};
    }
    /// The handler has taken ctx.defer<E>().
    Unanswering reply_later() && { return Unanswering(std::move(*this)); }
    /// The event comes again once the machine is in another state, before the messages that wait: those postponed first
    /// come first. Its asker waits. Beyond stash_max it is a dead letter, and its asker gets kResourceExhausted.
    Unanswering postpone() && {
      this->postponed_ = true;
      return Unanswering(std::move(*this));
    }

   private:
    friend class GenFsm;
    Transition() = default;
    explicit Transition(Kind kind) { this->kind_ = kind; }
  };

  /// What the handler of an event whose Reply is `R` returns.
  template <class R>
  class [[nodiscard]] Replies : public Actions {
   public:
    template <class V>
      requires std::constructible_from<Result<R>, V&&>
    Replies(Replying<V>&& other)  // NOLINT(google-explicit-constructor)
        : Actions(static_cast<Actions&&>(other)), value_(std::in_place, std::move(other.value_)) {}
    Replies(Unanswering&& other) : Actions(std::move(other)) {}  // NOLINT(google-explicit-constructor)

   private:
    friend class GenFsm;
    std::optional<Result<R>> value_;
  };

  /// What the entry into a state does.
  class [[nodiscard]] Enter : public Timeouts {};

  template <class M>
  static constexpr bool kHandles = (std::is_same_v<M, Es> || ...);

  static_assert(!kHandles<IdleTimeout>, "a state machine has event_timeout()");

  static std::span<const Handler> interface() { return all_handlers().template first<sizeof...(Es)>(); }
  std::span<const Handler> handlers() const final { return all_handlers(); }

  void receive(Context& context) final {
    static_assert((sizeof(HandledEvent<Es>) && ...));
    if constexpr ((handled_in_all_states<Es>() && ...)) {
      static_assert((sizeof(AnsweredEvent<Es>) && ...));
      if constexpr ((answered_in_all_states<Es>() && ...)) {
        if (!entered_) [[unlikely]]
          throw std::logic_error("on_start() of the class does not return GenFsm::on_start(context) (PLX-BEH-0003)");
        const MessageInfo* type = context.message_info();
        bool handled =
            ((type == &message_info<Es>() ? (deliver<Es, true>(context.message<Es>(), context), true) : false) || ...);
        if (handled) return;
        if (type != &message_info<detail::FsmEvent>()) return context.unhandled();
        core().receive(*this, context);
      }
    }
  }

  Status on_start(Context& context) override {
    entered_ = true;
    check_state();
    Transition start;
    enter(start, context);
    finish(context, start, false);
    return {};
  }

 protected:
  explicit GenFsm(State initial) : state_(std::move(initial)) {}

  /// The state that the machine is in; in on_enter() the new one.
  const State& state() const { return state_; }

  // What handlers return. The actions follow: `return next_state(Door::kOpen).state_timeout(10s);`

  static Transition keep_state() { return {}; }
  /// `state` may be the one that the machine is in: then it is kept, with the data of a struct replaced.
  static Transition next_state(State state) {
    Transition transition(Kind::kNext);
    transition.next_.emplace(std::move(state));
    return transition;
  }
  /// Keeps the state and runs its on_enter() again.
  static Transition repeat_state() { return Transition(Kind::kRepeat); }
  static Unanswering postpone() { return keep_state().postpone(); }
  /// Ends the actor after this turn: as Context::stop(), Context::exit().
  static Transition stop(ExitReason reason = ExitReason::normal()) {
    Transition transition(Kind::kStop);
    transition.reason_ = std::move(reason);
    return transition;
  }
  /// As if the class did not have this event in its list: kUnimplemented to the asker, and a dead letter.
  static Unanswering unhandled() { return Unanswering(Transition(Kind::kUnhandled)); }

 private:
  // ---- which handler -----------------------------------------------------------------------------------------------

  enum class Route : std::uint8_t { kNone, kExact, kAnyEvent, kAnyState, kAnyBoth };
  using Indices = std::make_index_sequence<States::kCount>;

  template <std::size_t I, class E, class S = Self>
  static consteval Route route() {
    using Tag = typename States::template Tag<I>;
    if constexpr (requires(S& self, Tag tag, const E& event, Context& context) { self.handle(tag, event, context); })
      return Route::kExact;
    else if constexpr (requires(S& self, Tag tag, const AnyEvent& event, Context& c) { self.handle(tag, event, c); })
      return Route::kAnyEvent;
    else if constexpr (requires(S& self, const E& event, Context& c) { self.handle(kAnyState, event, c); })
      return Route::kAnyState;
    else if constexpr (requires(S& self, const AnyEvent& event, Context& c) { self.handle(kAnyState, event, c); })
      return Route::kAnyBoth;
    else
      return Route::kNone;
  }

  // What a handler that waits may refer to for as long as it likes.
  static constexpr AnyState kAnyState{};
  template <class E>
  static constexpr E kTimeoutEvent{};
  template <class E>
  static const AnyEvent& any_event() {
    static const AnyEvent event(detail::event_name<E>());
    return event;
  }

  template <std::size_t I, class E, class S>
  static decltype(auto) call(S& self, typename States::template Tag<I> tag, const E& event, Context& context) {
    constexpr Route kRoute = route<I, E, S>();
    if constexpr (kRoute == Route::kExact)
      return self.handle(tag, event, context);
    else if constexpr (kRoute == Route::kAnyEvent)
      return self.handle(tag, any_event<E>(), context);
    else if constexpr (kRoute == Route::kAnyState)
      return self.handle(kAnyState, event, context);
    else
      return self.handle(kAnyState, any_event<E>(), context);
  }
  template <std::size_t I, class E, class S = Self>
  using Returned = decltype(call<I, E, S>(std::declval<S&>(), std::declval<typename States::template Tag<I>>(),
                                          std::declval<const E&>(), std::declval<Context&>()));

  template <class E>
  static consteval bool handled_in_all_states() {
    return
        []<std::size_t... I>(std::index_sequence<I...>) { return ((route<I, E>() != Route::kNone) && ...); }(Indices());
  }
  template <class E>
  static consteval bool handled_in_some_state() {
    return
        []<std::size_t... I>(std::index_sequence<I...>) { return ((route<I, E>() != Route::kNone) || ...); }(Indices());
  }
  template <std::size_t I, class E>
  static consteval bool answered() {
    constexpr Route kRoute = route<I, E>();
    return detail::answers<Returned<I, E>, E, kRoute == Route::kAnyEvent || kRoute == Route::kAnyBoth>();
  }
  template <class E>
  static consteval bool answered_in_all_states() {
    return []<std::size_t... I>(std::index_sequence<I...>) { return (answered<I, E>() && ...); }(Indices());
  }

  template <class E, class = Indices>
  struct EventChecks;
  template <class E, std::size_t... I>
  struct EventChecks<E, std::index_sequence<I...>> {
    using Handled = detail::HandledEvent<Self, E, typename States::template Tag<I>...>;
  };
  template <class E>
  using HandledEvent = typename EventChecks<E>::Handled;
  template <class E>
  struct AnsweredEvent {
    static_assert(
        answered_in_all_states<E>(),
        "a handler of this event gives no answer of the event's type: return its Reply, a Result or a Task of "
        "it, or Replies<Reply>, a transition with .reply(value), .reply_later() or postponed");
  };

  template <std::size_t I, class E>
  static consteval bool reads() {
    if constexpr (route<I, E, const Self>() == route<I, E>()) {
      using R = Returned<I, E, const Self>;
      return !std::is_base_of_v<Actions, R> && !detail::TaskTraits<R>::kIsTask;
    }
    return false;
  }
  template <class E>
  static Handler describe() {
    return []<std::size_t... I>(std::index_sequence<I...>) {
      return Handler{&message_info<E>(), (reads<I, E>() && ...), (detail::TaskTraits<Returned<I, E>>::kIsTask || ...),
                     true};
    }(Indices());
  }
  static std::span<const Handler, sizeof...(Es) + 1> all_handlers() {
    if constexpr ((handled_in_all_states<Es>() && ...)) {  // else receive() says what is wrong
      static const std::array<Handler, sizeof...(Es) + 1> kHandlers{
          describe<Es>()..., Handler{&message_info<detail::FsmEvent>(), false, false, true}};
      return kHandlers;
    } else {
      static const std::array<Handler, sizeof...(Es) + 1> kNone{};
      return kNone;
    }
  }

  template <class E>
  static constexpr auto kHandledIn = []<std::size_t... I>(std::index_sequence<I...>) {
    return std::array<bool, States::kCount>{(route<I, E>() != Route::kNone)...};
  }(Indices());

  template <class E>
  static void deliver_timeout(Actor& machine, Context& context) {
    static_cast<GenFsm&>(machine).template deliver<E, false>(kTimeoutEvent<E>, context);
  }
  template <class E>
  static constexpr detail::FsmTimeout kTimeout{E::kName, &deliver_timeout<E>, kHandledIn<E>.data()};

  // ---- an event ----------------------------------------------------------------------------------------------------

  // Calls f.operator()<index of the state>().
  template <class F>
  void in_state(F f) {
    std::size_t now = States::index(state_);
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      static_cast<void>(((now == I ? (f.template operator()<I>(), true) : false) || ...));
    }(Indices());
  }

  // `kMessage`: the event is the input of the turn, which may be answered.
  template <class E, bool kMessage>
  void deliver(const E& event, Context& context) {
    in_state([&]<std::size_t I>() { deliver_in<I, E, kMessage>(event, context); });
  }

  template <std::size_t I, class E, bool kMessage>
  void deliver_in(const E& event, Context& context) {
    auto& self = static_cast<Self&>(*this);
    constexpr Route kRoute = route<I, E>();
    if constexpr (kRoute == Route::kNone) {
      throw std::logic_error(detail::no_handler_text(States::name(I), detail::event_name<E>()));
    } else {
      using R = Returned<I, E>;
      constexpr bool kDefault = kRoute == Route::kAnyEvent || kRoute == Route::kAnyBoth;
      auto tag = [this]() -> decltype(auto) { return States::template get<I>(state_); };
      if constexpr (detail::TaskTraits<R>::kIsTask) {
        using Input = std::conditional_t<kMessage, E, detail::FsmEvent>;
        context.run_task<Input>([&](Context& lasting) {
          return wait_for<E, kMessage, kDefault>(call<I, E>(self, tag(), event, lasting), lasting);
        });
      } else if constexpr (std::is_void_v<R>) {
        call<I, E>(self, tag(), event, context);
        settle<E, kMessage, kDefault>(context, Transition());
      } else {
        settle<E, kMessage, kDefault>(context, call<I, E>(self, tag(), event, context));
      }
    }
  }

  template <class E, bool kMessage, bool kDefault, class T>
  Task<detail::Settled> wait_for(Task<T> handler, Context& context) {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(handler);
      settle<E, kMessage, kDefault>(context, Transition());
    } else {
      T returned = co_await std::move(handler);
      settle<E, kMessage, kDefault>(context, std::move(returned));
    }
    co_return detail::Settled{};
  }

  // Answers, then carries out the transition.
  template <class E, bool kMessage, bool kDefault, class T>
  void settle(Context& context, T returned) {
    using R = ReplyOf<E>;
    if constexpr (detail::IsResult<T>::value && !std::is_same_v<T, Result<R>>) {
      if (returned) return settle<E, kMessage, kDefault>(context, *std::move(returned));
      answer<E, kMessage>(context, Result<R>(std::unexpected(std::move(returned).error())));
      finish(context, Transition(), false);
    } else if constexpr (std::is_same_v<T, Unanswering> || std::is_same_v<T, NoReply>) {
      if constexpr (std::is_same_v<T, NoReply>)
        conclude<E, kMessage>(context, Transition());
      else
        conclude<E, kMessage>(context, std::move(returned));
    } else if constexpr (std::is_same_v<T, Transition>) {
      static_assert(std::is_void_v<R> || kDefault || !kMessage,
                    "this event has a Reply: return Replies<Reply>, a transition with .reply(value), .reply_later() or "
                    "postponed");
      bool open = returned.postponed_ || returned.kind_ == Kind::kUnhandled;
      if constexpr (std::is_void_v<R>) {
        if (!open) answer<E, kMessage>(context, Status());
      } else if constexpr (kMessage) {
        // Without effect where reply_later() is meant: the asker has been taken over then.
        if (!open) answer<E, kMessage>(context, Result<R>(std::unexpected(not_answered(detail::event_name<E>()))));
      }
      conclude<E, kMessage>(context, std::move(returned));
    } else if constexpr (std::is_same_v<T, Replies<R>>) {
      if (returned.value_) answer<E, kMessage>(context, *std::move(returned.value_));
      conclude<E, kMessage>(context, std::move(returned));
    } else {
      answer<E, kMessage>(context, Result<R>(std::move(returned)));
      finish(context, Transition(), false);
    }
  }

  template <class E, bool kMessage, class R>
  static void answer(Context& context, R&& result) {
    if constexpr (kMessage) context.complete<E>(std::forward<R>(result));
  }

  Error not_answered(std::string_view event) const {
    return detail::not_answered_error(States::name(States::index(state_)), event);
  }

  template <class E, bool kMessage>
  void conclude(Context& context, Actions&& actions) {
    if (actions.kind_ == Kind::kUnhandled) {
      if constexpr (kMessage) context.unhandled(" in its state " + States::name(States::index(state_)));
    } else if (actions.kind_ == Kind::kStop) {
      context.exit(std::move(*actions.reason_));
    }
    if constexpr (kMessage)
      if (!actions.postponed_) context.must_be_deferred();  // unless it has been answered
    finish(context, std::move(actions), actions.postponed_);
  }

  // ---- the transition ----------------------------------------------------------------------------------------------

  void finish(Context& context, Actions&& actions, bool postponed) {
    bool changed = false;
    if (actions.next_) {
      std::size_t before = States::index(state_);
      state_ = std::move(*actions.next_);
      check_state();
      changed = States::index(state_) != before;
    }
    if (changed || actions.kind_ == Kind::kRepeat) enter(actions, context);
    if (core_ == nullptr) {
      if (!postponed && actions.timeouts_.empty() && actions.events_.empty()) return;
      core_ = std::make_unique<detail::FsmCore>();
    }
    core_->step(context, {changed, postponed, States::index(state_), &kTimeout<StateTimeout>, &kTimeout<EventTimeout>,
                          actions.timeouts_, actions.events_});
  }
  void finish(Context& context, Actions& actions, bool postponed) { finish(context, std::move(actions), postponed); }

  // An enum may hold any number.
  void check_state() const {
    if (States::index(state_) >= States::kCount)
      throw std::logic_error("the state is no value of the PLX_ENUM of the states (PLX-BEH-0004)");
  }

  void enter(Actions& actions, Context& context) {
    in_state([&]<std::size_t I>() {
      auto& self = static_cast<Self&>(*this);
      auto take = [&](auto call_it) {
        if constexpr (std::is_void_v<decltype(call_it())>) {
          call_it();
        } else {
          static_assert(std::is_same_v<decltype(call_it()), Enter>, "on_enter() returns Enter, or nothing");
          Enter entered = call_it();
          for (detail::FsmTimeoutAction& timeout : entered.timeouts_) actions.timeouts_.push_back(timeout);
        }
      };
      if constexpr (requires { self.on_enter(States::template get<I>(state_), context); })
        take([&] { return self.on_enter(States::template get<I>(state_), context); });
      else if constexpr (requires { self.on_enter(kAnyState, context); })
        take([&] { return self.on_enter(kAnyState, context); });
    });
  }

  detail::FsmCore& core() {
    if (core_ == nullptr) core_ = std::make_unique<detail::FsmCore>();
    return *core_;
  }

  State state_;
  bool entered_ = false;
  std::unique_ptr<detail::FsmCore> core_;
};

}  // namespace plexspaces
