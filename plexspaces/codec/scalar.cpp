#include "plexspaces/codec/scalar.hpp"

#include <cstring>

namespace plexspaces::detail {

namespace {

template <class T>
std::int64_t load_as(const void* value) {
  T number;
  std::memcpy(&number, value, sizeof(T));
  return static_cast<std::int64_t>(number);
}

}  // namespace

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
