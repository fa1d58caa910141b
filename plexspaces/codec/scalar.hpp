// What the wire format and JSON both need to know of single values. For the codec's own files.
#pragma once

#include <cstddef>
#include <cstdint>

#include "plexspaces/codec/value_type.hpp"

namespace plexspaces::detail {

/// A number, bool or enum: a value whose bytes on the wire have no length before them.
constexpr bool is_scalar(ValueKind kind) { return kind >= ValueKind::kBool && kind <= ValueKind::kEnum; }

/// The integer behind an enum of any size.
std::int64_t load_enum(const ValueType& type, const void* value);
void store_enum(const ValueType& type, std::int64_t number, void* value);
/// @returns the entry whose value in C++ is `value`, or null.
const EnumValue* find_enum_value(const EnumDescription& enumeration, std::int64_t value);

}  // namespace plexspaces::detail
