// The server behaviour: a class with a handler for each message.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

#include "plexspaces/actor/actor.hpp"
#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/message/message.hpp"

namespace plexspaces {

namespace detail {

/// Whether `Self` has a public handler for `M`.
template <class Self, class M>
inline constexpr bool kHandlesIt =
    requires(Self& self, const M& message, Context& context) { self.handle(message, context); };

/// Whether what a handler returns, an `R`, gives the reply to `M`.
template <class R, class M>
inline constexpr bool kReturnsReply =
    std::is_void_v<ReplyOf<M>> ? std::is_void_v<R> || std::is_constructible_v<Status, R>
                               : std::is_constructible_v<Result<ReplyOf<M>>, R>;
template <class T, class M>
inline constexpr bool kReturnsReply<Result<T>, M> = std::is_same_v<T, ReplyOf<M>>;
template <class T, class M>
inline constexpr bool kReturnsReply<Task<T>, M> = kReturnsReply<T, M>;
template <class M>
inline constexpr bool kReturnsReply<NoReply, M> = true;

template <class Self, class M>
using HandlerReturns = decltype(std::declval<Self&>().handle(std::declval<const M&>(), std::declval<Context&>()));

/// What is wrong with a message of the list of a server.
enum class ListedMessage : std::uint8_t { kNotAMessage, kWithoutHandler, kWithoutReply, kGood };

template <class Self, class M>
consteval ListedMessage listed_message() {
  if constexpr (!kIsMessage<M>)
    return ListedMessage::kNotAMessage;
  else if constexpr (!kHandlesIt<Self, M>)
    return ListedMessage::kWithoutHandler;
  else
    return kReturnsReply<HandlerReturns<Self, M>, M> ? ListedMessage::kGood : ListedMessage::kWithoutReply;
}

/// Says it in one line.
template <class Self, class M, ListedMessage Is = listed_message<Self, M>()>
struct CheckedMessage {};
template <class Self, class M>
struct CheckedMessage<Self, M, ListedMessage::kNotAMessage> {
  static_assert(kIsMessage<M>, "a server handles messages: this type has no PLX_MESSAGE in its namespace");
};
template <class Self, class M>
struct CheckedMessage<Self, M, ListedMessage::kWithoutHandler> {
  static_assert(kHandlesIt<Self, M>, "the class has no public handle(const M&, Context&) for this message of its list");
};
template <class Self, class M>
struct CheckedMessage<Self, M, ListedMessage::kWithoutReply> {
  using Returned = HandlerReturns<Self, M>;
  static_assert(kReturnsReply<Returned, M>, "handle() returns neither the message's Reply, nor a Result or Task of it");
};

/// Whether all is well with it.
template <class Self, class M>
inline constexpr bool kGoodMessage = listed_message<Self, M>() == ListedMessage::kGood;

}  // namespace detail

/// An actor that handles the messages `Ms`, each with a member `handle(const M&, Context&)` of `Self`:
///
///     returns Result<Reply> or Reply (or nothing, when Reply is void)    a plain handler
///     returns Task<Result<Reply>> or Task<Reply>                        a handler that waits, by co_await ctx.ask(...)
///     returns NoReply                                                   answers later: it has taken ctx.defer<M>()
///     is const                                                          a read: it leaves the state as it is, GET may
///     call it
///
/// While a handler waits the actor takes no other message. An exception ends the actor; its asker gets kInternal. A
/// message of any other type is answered with kUnimplemented and counted as a dead letter. Source: OTP's gen_server,
/// whose call, cast and info are one kind of message here.
template <class Self, class... Ms>
class GenServer : public Actor {
 public:
  template <class M>
  static constexpr bool kHandles = (std::is_same_v<M, Ms> || ...);

  static std::span<const Handler> interface() {
    if constexpr ((detail::kGoodMessage<Self, Ms> && ...)) {  // else receive() says what is wrong
      static const std::array<Handler, sizeof...(Ms)> handlers{
          Handler{&message_info<Ms>(), reads<Ms>(), returns_task<Ms>(), std::is_same_v<Returned<Ms>, NoReply>}...};
      return handlers;
    } else {
      return {};
    }
  }
  std::span<const Handler> handlers() const final { return interface(); }

  void receive(Context& context) final {
    static_assert((sizeof(detail::CheckedMessage<Self, Ms>) && ...));
    if constexpr ((detail::kGoodMessage<Self, Ms> && ...)) {
      const MessageInfo* type = context.message_info();
      bool handled = ((type == &message_info<Ms>() ? (dispatch<Ms>(context), true) : false) || ...);
      if (!handled) return context.unhandled();
      if constexpr (kHandles<IdleTimeout>)
        if (type != &message_info<IdleTimeout>()) context.note_message();
    }
  }

 private:
  template <class M>
  static constexpr bool reads() {
    return requires(const Self& self, const M& message, Context& context) { self.handle(message, context); };
  }
  // Dependent on S, so that it is looked at when Self is complete.
  template <class M, class S = Self>
  using Returned = detail::HandlerReturns<S, M>;
  template <class M>
  static constexpr bool returns_task() {
    return detail::TaskTraits<Returned<M>>::kIsTask;
  }

  // The silence after a message begins when it has been handled.
  template <class T>
  static Task<T> noting_its_end(Task<T> handler, Context& context) {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(handler);
      context.note_message();
    } else {
      T result = co_await std::move(handler);
      context.note_message();
      co_return result;
    }
  }

  template <class M>
  void dispatch(Context& context) {
    auto& self = static_cast<Self&>(*this);
    const M& message = context.message<M>();
    using R = Returned<M>;
    if constexpr (detail::TaskTraits<R>::kIsTask) {
      context.run_task<M>([&](Context& lasting) {
        if constexpr (kHandles<IdleTimeout> && !std::is_same_v<M, IdleTimeout>)
          return noting_its_end(self.handle(message, lasting), lasting);
        else
          return self.handle(message, lasting);
      });
    } else if constexpr (std::is_same_v<R, NoReply>) {
      self.handle(message, context);
      context.must_be_deferred();
    } else if constexpr (std::is_void_v<R>) {
      self.handle(message, context);
      context.complete<M>(Status());
    } else if constexpr (detail::IsResult<R>::value) {
      context.complete<M>(self.handle(message, context));
    } else {
      context.complete<M>(Result<ReplyOf<M>>(self.handle(message, context)));
    }
  }
};

}  // namespace plexspaces
