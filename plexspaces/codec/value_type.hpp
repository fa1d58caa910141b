// What the runtime knows of a type whose values travel: the data that the codec walks.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "plexspaces/base/error.hpp"

namespace plexspaces {

/// Deepest nesting of messages that is read or written.
inline constexpr std::size_t kNestingMax = 64;
/// Most fields of one described struct.
inline constexpr std::size_t kFieldsMax = 256;

enum class ValueKind : std::uint8_t {
  kVoid,
  kBool,
  kInt32,
  kInt64,
  kUint32,
  kUint64,
  kFloat,
  kDouble,
  kEnum,
  kString,
  kBytes,
  kMessage,   // a described struct
  kOptional,  // std::optional<element>
  kList,      // std::vector<element>
  kOpaque,    // encodes itself: a protobuf class
};

struct MessageDescription;
struct EnumDescription;
struct ListOperations;
struct OptionalOperations;
struct OpaqueOperations;

/// The description of one C++ type whose values can be messages, replies, states or fields of them.
///
/// There is one constant object per type in a program, value_type_of<T>(), so its address identifies the type there.
/// What identifies a type in stored bytes and between programs is `name`.
/// Threads: any; everything here is constant.
struct ValueType {
  std::string_view name;  // the registered name of a struct or enum; "int64", "string", "list<Order>", "void", ...
  ValueKind kind = ValueKind::kVoid;
  std::size_t size = 0;
  std::size_t align = 1;
  bool trivially_relocatable = true;   // memcpy moves a value: the source needs no destroy() then
  bool trivially_destructible = true;  // destroy() does nothing

  // Each takes properly aligned memory of `size` bytes. A value so constructed has its default initialisers, and zero
  // where a member has none. For void all of them do nothing.
  void (*construct)(void* at) = nullptr;
  void (*destroy)(void* value) = nullptr;
  void (*move_construct)(void* to, void* from) = nullptr;
  void (*copy_construct)(void* to, const void* from) = nullptr;  // null: the type cannot be copied
  void (*reset)(void* value) = nullptr;                          // assigns a default-constructed value

  const MessageDescription* message = nullptr;   // kMessage
  const EnumDescription* enumeration = nullptr;  // kEnum
  const ValueType* element = nullptr;            // kList, kOptional
  const ListOperations* list = nullptr;          // kList
  const OptionalOperations* optional = nullptr;  // kOptional
  const OpaqueOperations* opaque = nullptr;      // kOpaque
};

/// One PLX_MESSAGE entry.
struct FieldDescription {
  std::uint32_t number = 0;
  std::string_view name;
  std::size_t offset = 0;
  const ValueType* type = nullptr;
};

/// Some fields of one struct, by their index.
using FieldSet = std::bitset<kFieldsMax>;

/// A described struct: its fields by ascending number, which is also their order in bytes and in JSON.
struct MessageDescription {
  std::string_view name;
  std::span<const FieldDescription> fields;
  std::span<const std::uint32_t> reserved;              // ascending
  bool (*requires_field)(std::size_t index) = nullptr;  // see is_required()
  const ValueType* type = nullptr;                      // size, alignment and life cycle

  /// @returns whether `field`, one of `fields`, has no default: absent from JSON or stored bytes it is an error.
  bool is_required(const FieldDescription& field) const {
    return requires_field(static_cast<std::size_t>(&field - fields.data()));
  }
};

/// One PLX_ENUM entry.
struct EnumValue {
  std::int32_t number = 0;  // on the wire
  std::string_view name;    // in JSON
  std::int64_t value = 0;   // in memory
};

struct EnumDescription {
  std::string_view name;
  std::span<const EnumValue> values;  // in the order of PLX_ENUM
  bool is_signed = false;             // the underlying integer
};

struct ListOperations {
  std::size_t (*size)(const void* list) = nullptr;
  const void* (*at)(const void* list, std::size_t index) = nullptr;
  void (*clear)(void* list) = nullptr;
  void* (*append)(void* list) = nullptr;                  // a default element at the end; null for a list of bool
  void (*append_bool)(void* list, bool value) = nullptr;  // a list of bool only: its elements have no address
};

struct OptionalOperations {
  const void* (*get)(const void* optional) = nullptr;  // null when absent
  void* (*emplace)(void* optional) = nullptr;          // a default value
  void (*clear)(void* optional) = nullptr;
};

struct OpaqueOperations {
  Status (*encode)(const void* value, std::string& out) = nullptr;
  Status (*decode)(std::string_view bytes, void* value) = nullptr;
  void (*to_json)(const void* value, std::string& out) = nullptr;
  Status (*from_json)(std::string_view json, void* value) = nullptr;
  std::size_t (*bytes)(const void* value) = nullptr;  // about what it holds in memory, cheaply
};

}  // namespace plexspaces
