// Classes that protoc generated, as messages and replies. Include it where such a class is named; the codec itself and
// programs without protobuf classes do not need it.
#pragma once

#include <concepts>
#include <string>
#include <string_view>

#include <google/protobuf/message.h>

#include "plexspaces/codec/description.hpp"

/// PLX_PROTOBUF_MESSAGE(shop::v1::GetOrder, shop::v1::Order);
///
/// Makes a protobuf class a message whose answer is of the second type (void: no answer). At global scope, with full
/// names. A class without it can be a reply or a state, and a message without an answer.
#define PLX_PROTOBUF_MESSAGE(Request, ReplyType)                                                      \
  template <>                                                                                         \
  struct plexspaces::ReplyTrait<Request> {                                                            \
    static_assert(::plexspaces::ProtobufMessage<Request>, #Request " is not a class made by protoc"); \
    using type = ReplyType;                                                                           \
  }

namespace plexspaces {

template <class T>
concept ProtobufMessage = std::derived_from<T, google::protobuf::Message>;

namespace detail {

Status encode_protobuf(const google::protobuf::Message& message, std::string& out);
Status decode_protobuf(std::string_view bytes, google::protobuf::Message& message);
void protobuf_to_json(const google::protobuf::Message& message, std::string& out);
Status protobuf_from_json(std::string_view json, google::protobuf::Message& message);

/// Bytes are the message's own, unknown fields included; JSON is protobuf's mapping with the names of the .proto file.
/// A message that has no JSON (an Any of an unknown type, a time out of range) is written as null.
/// The name is the full one of the .proto file, "shop.v1.GetOrder".
template <ProtobufMessage T>
struct OpaqueTraits<T> {
  static constexpr bool kKnown = true;

  static Status encode(const void* value, std::string& out) {
    return encode_protobuf(*static_cast<const T*>(value), out);
  }
  static Status decode(std::string_view bytes, void* value) { return decode_protobuf(bytes, *static_cast<T*>(value)); }
  static void to_json(const void* value, std::string& out) { protobuf_to_json(*static_cast<const T*>(value), out); }
  static Status from_json(std::string_view json, void* value) {
    return protobuf_from_json(json, *static_cast<T*>(value));
  }

  static std::size_t bytes(const void* value) { return static_cast<const T*>(value)->ByteSizeLong(); }

  static constexpr OpaqueOperations kOperations{
      .encode = encode, .decode = decode, .to_json = to_json, .from_json = from_json, .bytes = bytes};

  static const ValueType& get() {
    // The descriptor that owns the name lives as long as the program.
    static const ValueType kType = [] {
      ValueType type = describe_life_cycle<T>();
      type.name = T::descriptor()->full_name();
      type.kind = ValueKind::kOpaque;
      type.opaque = &kOperations;
      return type;
    }();
    return kType;
  }
};

}  // namespace detail

}  // namespace plexspaces
