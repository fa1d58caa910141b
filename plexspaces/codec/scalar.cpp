#include "plexspaces/codec/scalar.hpp"

#include <cstring>

namespace plexspaces::detail {

namespace {

constexpr std::uint64_t kHighBits = 0x8080808080808080ull;

template <class T>
std::int64_t load_as(const void* value) {
  T number;
  std::memcpy(&number, value, sizeof(T));
  return static_cast<std::int64_t>(number);
}

// The bytes of one character from `at`, or 0: overlong forms, surrogates and numbers above U+10FFFF are not UTF-8.
std::size_t character_length(const unsigned char* at, const unsigned char* end) {
  auto follows = [&](std::size_t i) { return static_cast<std::size_t>(end - at) > i && (at[i] & 0xC0) == 0x80; };
  unsigned char lead = at[0];
  if (lead < 0x80) return 1;
  if (lead < 0xC2) return 0;
  if (lead < 0xE0) return follows(1) ? 2 : 0;
  if (lead < 0xF0) {
    if (!follows(1) || !follows(2)) return 0;
    if (lead == 0xE0 && at[1] < 0xA0) return 0;
    if (lead == 0xED && at[1] > 0x9F) return 0;
    return 3;
  }
  if (lead > 0xF4 || !follows(1) || !follows(2) || !follows(3)) return 0;
  if (lead == 0xF0 && at[1] < 0x90) return 0;
  if (lead == 0xF4 && at[1] > 0x8F) return 0;
  return 4;
}

}  // namespace

std::size_t utf8_length(std::string_view text) {
  auto at = reinterpret_cast<const unsigned char*>(text.data());
  return character_length(at, at + text.size());
}

bool is_utf8(std::string_view text) {
  auto at = reinterpret_cast<const unsigned char*>(text.data());
  const unsigned char* end = at + text.size();
  while (at != end) {
    std::uint64_t eight = 0;
    if (end - at >= 8) {
      std::memcpy(&eight, at, 8);
      if ((eight & kHighBits) == 0) {
        at += 8;
        continue;
      }
    }
    std::size_t length = character_length(at, end);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

std::int64_t load_enum(const ValueType& type, const void* value) {
  bool is_signed = type.enumeration->is_signed;
  switch (type.size) {
    case 1:
      return is_signed ? load_as<std::int8_t>(value) : load_as<std::uint8_t>(value);
    case 2:
      return is_signed ? load_as<std::int16_t>(value) : load_as<std::uint16_t>(value);
    case 4:
      return is_signed ? load_as<std::int32_t>(value) : load_as<std::uint32_t>(value);
    default:
      return load_as<std::int64_t>(value);
  }
}

// Little-endian: the low bytes of the number are the number in the smaller type.
void store_enum(const ValueType& type, std::int64_t number, void* value) { std::memcpy(value, &number, type.size); }

const EnumValue* find_enum_value(const EnumDescription& enumeration, std::int64_t value) {
  for (const EnumValue& entry : enumeration.values) {
    if (entry.value == value) return &entry;
  }
  return nullptr;
}

}  // namespace plexspaces::detail
