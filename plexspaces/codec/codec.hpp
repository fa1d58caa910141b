// Values to bytes and JSON, and back, by their descriptions.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "plexspaces/base/error.hpp"
#include "plexspaces/base/limits.hpp"
#include "plexspaces/codec/description.hpp"
#include "plexspaces/codec/errors.hpp"

namespace plexspaces {

/// Longest JSON text that from_json() reads, in bytes: JSON is wordier than the bytes that kPayloadBytesMax limits.
inline constexpr std::size_t kJsonBytesMax = 4 * kPayloadBytesMax;

/// Appends `value` in protobuf's wire format, its fields by ascending number.
///
/// A described struct is one message. Any other value is field 1 of a message of its own; void is no bytes. Scalars and
/// text are always written, also when they equal their default; a vector that is empty and an absent optional are not.
/// `unknown` is what decode() set aside for this value, written back behind it: its fields stay at their places, except
/// those inside an optional struct that is absent now.
/// The same value gives the same bytes in every program with the same numbers.
/// @error kErrorInvalidUtf8, kErrorUnknownEnumValue, kErrorTooDeep, kErrorTooLarge: decode() would refuse the bytes, so
/// they are not written; `out` is as before.
[[nodiscard]] Status encode(const ValueType& type, const void* value, std::string& out, std::string_view unknown = {});

/// Reads `value`, which is default-constructed, from what encode() or any protobuf writer wrote.
///
/// A field that is absent keeps its default. Of a scalar that is there twice, the last counts; a struct that is there
/// twice is merged, the first one being complete. Fields of other numbers are appended to `unknown` as wire bytes,
/// those of nested single structs wrapped in the nested field's number; when it is null, and in elements of a vector,
/// they are dropped.
/// @error kInvalidArgument with a code of errors.hpp; the message names type and path, "Order.lines[3].quantity". The
/// value may be destroyed or assigned then, nothing else.
[[nodiscard]] Status decode(const ValueType& type, std::string_view bytes, void* value, std::string* unknown = nullptr);

/// The value as JSON: names of fields and enumerators as described, 64-bit integers as numbers up to 2^53 and beyond as
/// text, Bytes in base64, NaN and infinities as "NaN", "Infinity", "-Infinity"; an absent optional is omitted. A struct
/// is an object, any other value bare; void is null. What encode() refuses is written as well as JSON can: U+FFFD for
/// bytes that are not UTF-8, the number of an enum value without a name.
[[nodiscard]] std::string to_json(const ValueType& type, const void* value);

/// Reads `value`, which is default-constructed, from JSON. 64-bit integers may be numbers or text. null is an absent
/// optional and nothing else. No text at all is {} for a described struct and null for void.
/// @error kErrorMalformedJson: not JSON. Any other code: JSON that does not fit the type; the message names the path.
/// The value may be destroyed or assigned then, nothing else.
[[nodiscard]] Status from_json(const ValueType& type, std::string_view json, void* value);

/// @returns the bytes of a value that is known to have some: of text that is UTF-8, enums that are described.
/// For values of unknown origin use the function above; here its refusal ends the process.
template <class T>
[[nodiscard]] std::string encode(const T& value);

template <class T>
[[nodiscard]] Result<T> decode(std::string_view bytes) {
  Result<T> value(std::in_place);
  if (Status status = decode(value_type_of<T>(), bytes, std::addressof(*value)); !status)
    return std::unexpected(std::move(status).error());
  return value;
}

template <class T>
[[nodiscard]] std::string to_json(const T& value) {
  return to_json(value_type_of<T>(), std::addressof(value));
}

template <class T>
[[nodiscard]] Result<T> from_json(std::string_view json) {
  Result<T> value(std::in_place);
  if (Status status = from_json(value_type_of<T>(), json, std::addressof(*value)); !status)
    return std::unexpected(std::move(status).error());
  return value;
}

namespace detail {
std::string encode_or_end(const ValueType& type, const void* value);
}

template <class T>
std::string encode(const T& value) {
  return detail::encode_or_end(value_type_of<T>(), std::addressof(value));
}

}  // namespace plexspaces
