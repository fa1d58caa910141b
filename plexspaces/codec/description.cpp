#include "plexspaces/codec/description.hpp"

#include <cstring>
#include <new>

#include "plexspaces/codec/scalar.hpp"

namespace plexspaces::detail {

namespace {

constexpr int kFills[] = {0x5A, 0xA5};

// Whether a scalar of `type` still holds the fill in both objects.
bool has_untouched_scalar(const ValueType& type, const unsigned char* first, const unsigned char* second) {
  if (type.kind == ValueKind::kMessage) {
    for (const FieldDescription& field : type.message->fields) {
      if (has_untouched_scalar(*field.type, first + field.offset, second + field.offset)) return true;
    }
    return false;
  }
  return is_scalar(type.kind) && first[0] == kFills[0] && second[0] == kFills[1];
}

}  // namespace

// A default initialiser cannot be asked for in the language, and reading a default-initialised object in a constant
// expression fails with this standard library as soon as the struct has a std::string. So the constructor runs over two
// memories that were filled differently; what it leaves different has no initialiser.
FieldSet uninitialised_fields(const MessageDescription& message, void (*default_initialise)(void* at)) {
  const ValueType& type = *message.type;
  const std::align_val_t align{type.align};
  unsigned char* objects[2];
  for (int i = 0; i < 2; ++i) {
    objects[i] = static_cast<unsigned char*>(::operator new(type.size, align));
    std::memset(objects[i], kFills[i], type.size);
    // The compiler must believe that somebody reads the fill, and that the bytes read below come from memory.
    asm volatile("" : : "r"(objects[i]) : "memory");
    default_initialise(objects[i]);
    asm volatile("" : : "r"(objects[i]) : "memory");
  }
  FieldSet required;
  for (std::size_t i = 0; i < message.fields.size(); ++i) {
    const FieldDescription& field = message.fields[i];
    required[i] = has_untouched_scalar(*field.type, objects[0] + field.offset, objects[1] + field.offset);
  }
  for (unsigned char* object : objects) {
    type.destroy(object);
    ::operator delete(object, align);
  }
  return required;
}

}  // namespace plexspaces::detail
