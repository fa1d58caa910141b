// What the runtime knows of a message's type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "plexspaces/codec/description.hpp"

namespace plexspaces {

/// The runtime's view of a message type M and of its reply: one object for each type, told apart by address.
struct MessageInfo {
  const ValueType* value;
  const ValueType* reply;
  void (*destroy)(void* value);        // null when there is nothing to do
  void (*destroy_reply)(void* value);  // null when there is nothing to do
  bool own = false;                    // a behaviour's to itself: with its actor it goes, and is no dead letter
};

/// Bytes that a value holds outside of itself: text, lists and what they hold. Of a protobuf class: the
/// length of its encoding.
std::size_t dynamic_bytes(const ValueType& type, const void* value);

namespace detail {

/// Of a type M with `static constexpr bool kOwn = true`: see MessageInfo::own.
template <class M>
inline constexpr bool kOwnMessage = requires { requires M::kOwn; };

template <class T>
constexpr void (*destroyer())(void*) {
  if constexpr (std::is_void_v<T> || std::is_trivially_destructible_v<T>)
    return nullptr;
  else
    return [](void* value) { static_cast<T*>(value)->~T(); };
}

template <class M>
inline const MessageInfo kMessageInfo{&value_type_of<M>(), &value_type_of<ReplyOf<M>>(), destroyer<M>(),
                                      destroyer<ReplyOf<M>>(), kOwnMessage<M>};

}  // namespace detail

template <class M>
const MessageInfo& message_info() {
  return detail::kMessageInfo<M>;
}

/// The deletion of an actor, as an input: no payload, no reply.
const MessageInfo& erase_message_info();

}  // namespace plexspaces
