#include "plexspaces/actor/message/message.hpp"

#include <string>

#include "plexspaces/base/bytes.hpp"

namespace plexspaces {

const MessageInfo& erase_message_info() {
  static const MessageInfo info{&value_type_of<void>(), &value_type_of<void>(), nullptr, nullptr};
  return info;
}

std::size_t dynamic_bytes(const ValueType& type, const void* value) {
  std::size_t bytes = 0;
  switch (type.kind) {
    case ValueKind::kString:
      return static_cast<const std::string*>(value)->size();
    case ValueKind::kBytes:
      return static_cast<const Bytes*>(value)->data.size();
    case ValueKind::kMessage:
      for (const FieldDescription& field : type.message->fields)
        bytes += dynamic_bytes(*field.type, static_cast<const std::byte*>(value) + field.offset);
      return bytes;
    case ValueKind::kOptional:
      if (const void* held = type.optional->get(value)) bytes = dynamic_bytes(*type.element, held);
      return bytes;
    case ValueKind::kList: {
      std::size_t size = type.list->size(value);
      if (type.list->append == nullptr) return size / 8;  // of bool
      for (std::size_t i = 0; i < size; ++i)
        bytes += type.element->size + dynamic_bytes(*type.element, type.list->at(value, i));
      return bytes;
    }
    case ValueKind::kOpaque:
      return type.opaque->bytes(value);
    default:
      return 0;
  }
}

}  // namespace plexspaces
