// The event manager behaviour: handlers that come and go while it runs.
#pragma once

#include <any>
#include <array>
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "plexspaces/actor/actor.hpp"
#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/message/message.hpp"
#include "plexspaces/behavior/event_handlers.hpp"
#include "plexspaces/codec/description.hpp"

namespace plexspaces {

struct GenEventOptions {
  std::size_t handlers_max = 1'000;  // at once
};

/// What a handler says after an event: a plain `void` handler stays.
enum class Stay : bool { kNo, kYes };

/// A message to one handler of an event manager: GenEvent::call() makes it.
template <class M>
struct CallHandler {
  using Reply = ReplyOf<M>;
  std::string id;
  M message;
};

namespace detail {

template <class M>
struct CallHandlerName {
  static constexpr std::string_view kBefore = "Call";
  static constexpr auto kText = [] {
    std::array<char, kBefore.size() + kListing<M>.name.size()> text{};
    std::size_t at = 0;
    for (char c : kBefore) text[at++] = c;
    for (char c : kListing<M>.name) text[at++] = c;
    return text;
  }();
};

}  // namespace detail

template <Described M>
constexpr auto plx_describe(std::type_identity<CallHandler<M>>) {
  constexpr const auto& kText = detail::CallHandlerName<M>::kText;
  return detail::list_message<CallHandler<M>>(
      std::string_view(kText.data(), kText.size()),
      detail::FieldEntry<1, &CallHandler<M>::id>{"id", __builtin_offsetof(CallHandler<M>, id)},
      detail::FieldEntry<2, &CallHandler<M>::message>{"message", __builtin_offsetof(CallHandler<M>, message)});
}

/// An actor that passes events on to its handlers, which are added, removed and swapped while it runs. OTP's gen_event.
///
///     using Alarms = GenEvent<Raised, Cleared, CountOpen>;     // CountOpen has a Reply: it goes to one handler
///
///     class Counter : public Alarms::Handler<Counter> {        // its own state; handles some of the messages
///      public:
///       void handle(const Raised&, Context&) { ++open_; }      // or returns Stay::kNo to go
///       std::int64_t handle(const CountOpen&, Context&);       // or Result<Reply>
///     };
///
///     auto alarms = runtime.spawn<Alarms>("alarms");
///     alarms.ask(Alarms::add<Counter>("counter"), 1s);         // kAlreadyExists: that id is taken
///     alarms.tell(Raised{});                                   // notify: returns at once
///     alarms.ask(Raised{}, 1s);                                // sync_notify: every handler has handled it
///     alarms.ask(Alarms::call("counter", CountOpen{}), 1s);
///     alarms.ask(RemoveHandler{"counter"}, 1s);
///
/// Guarantees
///  - A handler that throws is removed, and the others get the event as if nothing had been. That is a line in the log,
///    and a HandlerRemoved for the actor that had added it by add_linked().
///  - Handlers are called in the order in which they were added; a swapped one is called in the place of the old one.
///  - The messages of one sender are handled in order, those that add and remove handlers among them.
///
/// A class of handlers may have
///     Status on_add(Context&)                       after it was made; an error is that of add()
///     void on_remove(const ExitReason&, Context&)   before it goes: normal, the error that it threw, the end of its
///                                                   linked actor or of the manager. Not after hand_over()
///     T hand_over(Context&)                         in a swap: what its successor's constructor gets first
/// No handler waits: the others would. It may tell an actor that does.
/// Threads: a handler's members are called on the manager's worker. Its constructor's arguments are copied there.
template <class... Ms>
class GenEvent : public Actor {
  static_assert((Described<Ms> && ...), "the messages of an event manager are structs with PLX_MESSAGE");

  template <class M>
  static constexpr bool kIsEvent = std::is_void_v<ReplyOf<M>>;
  template <class M>
  static constexpr bool kIsOne = (std::is_same_v<M, Ms> || ...);

  template <class H>
  struct Calls;

 public:
  /// The base of the handler class `H`.
  template <class H>
  class Handler : public detail::EventHandler {
   private:
    Status added(Context& context) final {
      if constexpr (requires(H& self) { self.on_add(context); }) return static_cast<H&>(*this).on_add(context);
      return {};
    }
    void removed(const ExitReason& reason, Context& context) final {
      if constexpr (requires(H& self) { self.on_remove(reason, context); })
        static_cast<H&>(*this).on_remove(reason, context);
    }
    std::any handed_over(Context& context) final {
      // Shared only because std::any wants a copy: what is handed over need not have one.
      if constexpr (requires(H& self) { self.hand_over(context); })
        return std::make_shared<decltype(std::declval<H&>().hand_over(context))>(
            static_cast<H&>(*this).hand_over(context));
      return {};
    }
  };

  explicit GenEvent(GenEventOptions options = {}) : handlers_(options.handlers_max) {}

  /// Adds a handler of class `H`, made from `args` in the manager's turn. An ask of it:
  /// @error kAlreadyExists: the id is taken (PLX-BEH-0012). kResourceExhausted: handlers_max. kInvalidArgument: the id
  /// is empty or longer than kHandlerIdBytesMax. kInternal: the constructor or on_add() threw. The error of on_add().
  template <class H, class... Args>
  static detail::AddHandler add(std::string id, Args... args) {
    return {std::move(id), maker<H>(std::move(args)...), {}};
  }
  /// As add(), for as long as `owner` lives; and `owner` gets a HandlerRemoved when the handler goes, whatever the
  /// cause but a kill of the manager or the end of the runtime.
  template <class H, class A, class... Args>
  static detail::AddHandler add_linked(ActorRef<A> owner, std::string id, Args... args) {
    static_assert(A::template kHandles<HandlerRemoved>, "who is linked to a handler handles HandlerRemoved");
    auto tell = [owner](HandlerRemoved removed) { return owner.tell(std::move(removed)); };
    auto monitor = [owner](Context& context) { return context.monitor(owner); };
    return {std::move(id), maker<H>(std::move(args)...), {owner.id(), std::move(tell), std::move(monitor)}};
  }
  /// Puts a new handler in the place of the handler `old_id`, an `Old`: `New` is made from what Old::hand_over()
  /// returns, where there is one, and `args`. When that fails both are gone. A linked actor stays linked to the new
  /// one, and gets a HandlerRemoved of the old one with its successor. An ask of it:
  /// @error kNotFound: no handler `old_id` (PLX-BEH-0011). kFailedPrecondition: it is no `Old` (PLX-BEH-0014). As
  /// add().
  template <class Old, class New, class... Args>
  static detail::SwapHandler swap(std::string old_id, std::string id, Args... args) {
    auto make = [... args = std::move(args)](std::any handed) mutable {
      if constexpr (requires(Old& old, Context& context) { old.hand_over(context); }) {
        using Handed = decltype(std::declval<Old&>().hand_over(std::declval<Context&>()));
        auto& state = *std::any_cast<std::shared_ptr<Handed>&>(handed);
        return made<New>(std::move(state), std::move(args)...);
      } else {
        return made<New>(std::move(args)...);
      }
    };
    return {std::move(old_id), std::move(id), Calls<Old>::kTable.data(), std::move(make)};
  }
  /// The message `message` to the handler `id`. An ask of it:
  /// @error kNotFound: no such handler (PLX-BEH-0011). kUnimplemented: it does not handle this (PLX-BEH-0016).
  /// kInternal: it threw, and is removed (PLX-BEH-0017). What it returned.
  template <class M>
  static CallHandler<M> call(std::string id, M message) {
    static_assert(kIsOne<M> && !kIsEvent<M>, "a call is one of the manager's messages, with a Reply");
    return {std::move(id), std::move(message)};
  }

  template <class M>
  static constexpr bool kHandles = (kIsOne<M> && kIsEvent<M>) || (std::is_same_v<M, CallHandler<Ms>> || ...) ||
                                   std::is_same_v<M, detail::AddHandler> || std::is_same_v<M, detail::SwapHandler> ||
                                   std::is_same_v<M, RemoveHandler> || std::is_same_v<M, ListHandlers>;

  static std::span<const plexspaces::Handler> interface() { return all_handlers().template first<sizeof...(Ms) + 4>(); }
  std::span<const plexspaces::Handler> handlers() const final { return all_handlers(); }

  void receive(Context& context) final {
    const MessageInfo* type = context.message_info();
    if ((take<Ms>(type, context) || ...)) return;
    if (type == &message_info<detail::AddHandler>())
      context.complete<detail::AddHandler>(handlers_.add(context.message<detail::AddHandler>(), context));
    else if (type == &message_info<detail::SwapHandler>())
      context.complete<detail::SwapHandler>(handlers_.swap(context.message<detail::SwapHandler>(), context));
    else if (type == &message_info<RemoveHandler>())
      context.complete<RemoveHandler>(handlers_.remove(context.message<RemoveHandler>().id, context));
    else if (type == &message_info<ListHandlers>())
      context.complete<ListHandlers>(Result<HandlerIds>(handlers_.ids()));
    else if (type == &message_info<Down>())
      handlers_.owner_ended(context.message<Down>(), context);
    else
      context.unhandled();
  }

  Task<> on_stop(Context& context, const ExitReason& reason) override {
    handlers_.end(reason, context);
    co_return;
  }

 private:
  static std::span<const plexspaces::Handler, sizeof...(Ms) + 5> all_handlers() {
    static const std::array<plexspaces::Handler, sizeof...(Ms) + 5> kHandlers{
        describe<Ms>()...,
        plexspaces::Handler{&message_info<RemoveHandler>(), false, false},
        plexspaces::Handler{&message_info<ListHandlers>(), true, false},
        plexspaces::Handler{&message_info<detail::AddHandler>(), false, false},
        plexspaces::Handler{&message_info<detail::SwapHandler>(), false, false},
        plexspaces::Handler{&message_info<Down>(), false, false}};
    return kHandlers;
  }

  template <class M>
  static plexspaces::Handler describe() {
    if constexpr (kIsEvent<M>)
      return {&message_info<M>(), false, false};
    else
      return {&message_info<CallHandler<M>>(), false, false};
  }

  template <class M>
  static constexpr std::size_t index_of() {
    std::size_t index = 0;
    static_cast<void>(((std::is_same_v<M, Ms> ? true : (++index, false)) || ...));
    return index;
  }

  template <class M>
  bool take(const MessageInfo* type, Context& context) {
    if constexpr (kIsEvent<M>) {
      if (type != &message_info<M>()) return false;
      handlers_.notify(index_of<M>(), &context.message<M>(), detail::kListing<M>.name, context);
      context.complete<M>(Status());
    } else {
      using Call = CallHandler<M>;
      if (type != &message_info<Call>()) return false;
      Call& call = context.message<Call>();
      std::optional<Result<ReplyOf<M>>> answer;
      Status called = handlers_.call(call.id, index_of<M>(), &call.message, detail::kListing<M>.name, &answer, context);
      context.complete<Call>(called ? *std::move(answer) : Result<ReplyOf<M>>(std::unexpected(called.error())));
    }
    return true;
  }

  // What the handler class H does with each of the messages.
  template <class H>
  struct Calls {
    template <class M>
    static bool run(detail::EventHandler& handler, const void* message, void* answer, Context& context) {
      auto& self = static_cast<H&>(handler);
      const M& event = *static_cast<const M*>(message);
      using R = decltype(self.handle(event, context));
      static_assert(!detail::TaskTraits<R>::kIsTask,
                    "an event handler does not wait, all others would: tell an actor that does");
      if constexpr (!kIsEvent<M>) {
        static_assert(std::constructible_from<Result<ReplyOf<M>>, R>, "a handler returns its message's Reply");
        static_cast<std::optional<Result<ReplyOf<M>>>*>(answer)->emplace(self.handle(event, context));
      } else if constexpr (std::is_void_v<R>) {
        self.handle(event, context);
      } else {
        static_assert(std::is_same_v<R, Stay>, "the handler of an event returns nothing, or Stay");
        return self.handle(event, context) == Stay::kYes;
      }
      return true;
    }
    template <class M>
    static consteval detail::EventCall find() {
      if constexpr (requires(H& self, const M& message, Context& context) { self.handle(message, context); })
        return &run<M>;
      else
        return nullptr;
    }
    static constexpr std::array<detail::EventCall, sizeof...(Ms)> kTable{find<Ms>()...};
    static_assert(((find<Ms>() != nullptr) || ...), "the handler handles none of the manager's messages");
  };

  template <class H, class... Args>
  static detail::NewEventHandler made(Args&&... args) {
    static_assert(std::is_base_of_v<Handler<H>, H>, "a handler class derives from Manager::Handler<itself>");
    return {std::make_unique<H>(std::forward<Args>(args)...), Calls<H>::kTable.data()};
  }
  template <class H, class... Args>
  static std::move_only_function<detail::NewEventHandler()> maker(Args... args) {
    return [... args = std::move(args)]() mutable { return made<H>(std::move(args)...); };
  }

  detail::EventHandlers handlers_;
};

}  // namespace plexspaces
