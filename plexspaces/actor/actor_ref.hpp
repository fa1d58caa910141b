// How actors are named by those who send to them.
#pragma once

#include <compare>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "plexspaces/actor/actor_id.hpp"
#include "plexspaces/actor/mailbox/mailbox.hpp"
#include "plexspaces/actor/message/message.hpp"
#include "plexspaces/base/actor_key.hpp"
#include "plexspaces/base/error.hpp"
#include "plexspaces/env/time.hpp"

namespace plexspaces {

class Runtime;

namespace detail {

inline constexpr std::string_view kActorRefName = "ActorRef";

template <class T>
struct IsResult : std::false_type {};
template <class T>
struct IsResult<Result<T>> : std::true_type {};

}  // namespace detail

/// A live actor of class `A`: an id, trivially copyable, never counted. It may outlive the actor and its runtime: a
/// message to an actor that has ended is a dead letter, an ask gets kNotFound. An id of an earlier actor never reaches
/// a later one. It may be a field of a message between plain actors; it means nothing outside its process, so a type
/// that is addressed by key neither handles nor stores one. Threads: any.
template <class A>
class ActorRef {
 public:
  ActorRef() = default;  // nobody
  ActorRef(NodeId node, ActorId id) : node_(node), id_(id) {}

  NodeId node() const { return node_; }
  ActorId id() const { return id_; }
  explicit operator bool() const { return static_cast<bool>(id_); }

  /// Sends `message`; inside a handler the handler's actor is the sender. The result may be forgotten: what is refused
  /// is a dead letter (TellStatus).
  /// @error kResourceExhausted: the mailbox is full; the message is a dead letter. What another policy does: Overflow.
  /// kInvalidArgument: it is larger than message_bytes_max. kNotFound: the runtime has ended.
  template <class M>
  TellStatus tell(M&& message) const;
  /// As tell(); a message that has waited `ttl` for its turn is a dead letter (expired) instead.
  template <class M>
  TellStatus tell(M&& message, Ttl ttl) const;

  /// Sends `message` and waits on this thread while the mailbox is full. Not inside an actor: there, co_await
  /// ctx.send() (refused with kFailedPrecondition). @error as Context::send().
  template <class M>
  Status send(M&& message, Duration within) const;

  /// Asks and waits on this thread. Not inside an actor: there, co_await ctx.ask() (refused with kFailedPrecondition).
  /// @error as Context::ask().
  template <class M>
  Result<ReplyOf<std::remove_cvref_t<M>>> ask(M&& message, Duration within) const;

  friend auto operator<=>(const ActorRef&, const ActorRef&) = default;

  friend constexpr auto plx_describe(std::type_identity<ActorRef>) {
    return detail::list_message<ActorRef>(detail::kActorRefName,
                                          detail::FieldEntry<1, &ActorRef::node_>{"node", offsetof(ActorRef, node_)},
                                          detail::FieldEntry<2, &ActorRef::id_>{"id", offsetof(ActorRef, id_)});
  }

 private:
  NodeId node_;
  ActorId id_;
};

/// An actor of class `A` by key: it is activated when a message arrives. Threads: any; the runtime must outlive it.
template <class A>
class KeyedRef {
 public:
  KeyedRef(Runtime& runtime, ActorKey key) : runtime_(&runtime), key_(std::move(key)) {}

  const ActorKey& key() const { return key_; }

  /// Sends `message`. From a durable actor it leaves with the commit of the turn and is applied exactly once by a
  /// durable receiver; from anywhere else it may be lost with the process. The result may be forgotten, as ActorRef's.
  /// @error kResourceExhausted: the mailbox is full. kInvalidArgument: a bad key.
  template <class M>
  TellStatus tell(M&& message) const;

  /// Asks and waits on this thread. Not inside an actor.
  template <class M>
  Result<ReplyOf<std::remove_cvref_t<M>>> ask(M&& message, Duration within) const;

 private:
  Runtime* runtime_;
  ActorKey key_;
};

}  // namespace plexspaces

#include "plexspaces/actor/runtime.hpp"  // the definitions of its members, so that this header links alone
