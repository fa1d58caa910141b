// Protobuf's wire format, written and read by walking descriptions.

#include <bit>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "plexspaces/base/check.hpp"
#include "plexspaces/base/utf8.hpp"
#include "plexspaces/codec/codec.hpp"
#include "plexspaces/codec/scalar.hpp"

namespace plexspaces {

namespace {

enum WireType : std::uint32_t { kVarint = 0, kFixed64 = 1, kDelimited = 2, kFixed32 = 5 };

constexpr std::size_t kVarintBytesMax = 10;

WireType wire_type_of(ValueKind kind) {
  switch (kind) {
    case ValueKind::kDouble:
      return kFixed64;
    case ValueKind::kFloat:
      return kFixed32;
    case ValueKind::kString:
    case ValueKind::kBytes:
    case ValueKind::kMessage:
      return kDelimited;
    default:
      return kVarint;
  }
}

std::uint64_t make_tag(std::uint32_t number, WireType type) { return std::uint64_t{number} << 3 | type; }

// Any value is a message on the wire: a struct its own, another value one with the single field 1.
struct Fields {
  std::string_view name;                     // for messages of errors
  const MessageDescription* message;         // null for a wrapper
  std::span<const FieldDescription> fields;  // ascending

  bool is_required(const FieldDescription& field) const {
    if (message != nullptr) return message->is_required(field);
    return field.type->kind != ValueKind::kOptional && field.type->kind != ValueKind::kList;
  }
};

Fields fields_of(const MessageDescription& message) { return {message.name, &message, message.fields}; }

// Where in a value the walk stands, for messages of errors: a list from the innermost struct outwards.
struct Place {
  const Place* outer;
  std::string_view name;  // of the root's type, or of the field that led here
  std::ptrdiff_t index;   // in the vector that led here, or -1
  std::size_t depth;

  std::string path() const {
    std::string text(outer == nullptr ? name : std::string_view{});
    if (outer != nullptr) text = name.empty() ? outer->path() : fmt::format("{}.{}", outer->path(), name);
    return index < 0 ? text : fmt::format("{}[{}]", text, index);
  }
};

std::string path_of(const Place& place, const FieldDescription& field) {
  return field.name.empty() ? place.path() : fmt::format("{}.{}", place.path(), field.name);
}

std::unexpected<Error> invalid(std::string_view domain, const Place& place, const FieldDescription& field,
                               std::string_view what) {
  return fail(Code::kInvalidArgument, fmt::format("{}: {}", path_of(place, field), what), domain);
}

Status too_deep(const Place& place) {
  return fail(Code::kInvalidArgument, fmt::format("{}: nested deeper than {} messages", place.path(), kNestingMax),
              kErrorTooDeep);
}

Status too_large(const ValueType& type, std::size_t bytes) {
  return fail(Code::kResourceExhausted,
              fmt::format("{}: {} bytes, more than {} (kPayloadBytesMax)", type.name, bytes, kPayloadBytesMax),
              kErrorTooLarge);
}

// ---- writing ----

std::size_t put_varint(char* at, std::uint64_t value) {
  std::size_t count = 0;
  for (; value >= 0x80; value >>= 7) at[count++] = static_cast<char>(value | 0x80);
  at[count++] = static_cast<char>(value);
  return count;
}

void append_varint(std::string& out, std::uint64_t value) {
  char bytes[kVarintBytesMax];
  out.append(bytes, put_varint(bytes, value));
}

template <class T>
T load(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

// Writes the bytes of a scalar to `at`.
// @returns their number, or 0 for an enum value without an entry.
std::size_t put_scalar(char* at, const ValueType& type, const void* value) {
  switch (type.kind) {
    case ValueKind::kBool:
      return put_varint(at, load<bool>(value) ? 1 : 0);
    // Negative numbers are sign-extended to 64 bits, as protobuf does.
    case ValueKind::kInt32:
      return put_varint(at, static_cast<std::uint64_t>(std::int64_t{load<std::int32_t>(value)}));
    case ValueKind::kUint32:
      return put_varint(at, load<std::uint32_t>(value));
    case ValueKind::kInt64:
    case ValueKind::kUint64:
      return put_varint(at, load<std::uint64_t>(value));
    case ValueKind::kFloat:
      std::memcpy(at, value, sizeof(float));
      return sizeof(float);
    case ValueKind::kDouble:
      std::memcpy(at, value, sizeof(double));
      return sizeof(double);
    case ValueKind::kEnum: {
      const EnumValue* entry = detail::find_enum_value(*type.enumeration, detail::load_enum(type, value));
      return entry == nullptr ? 0 : put_varint(at, static_cast<std::uint64_t>(std::int64_t{entry->number}));
    }
    default:
      break;
  }
  PLX_CHECK(false, "only scalars come here");
}

static_assert(std::endian::native == std::endian::little, "fixed-size numbers are little-endian on the wire");

Status unknown_enum_value(const Place& place, const FieldDescription& field, const ValueType& type, const void* value) {
  return invalid(kErrorUnknownEnumValue, place, field,
                 fmt::format("{} is no value of {}; add it to PLX_ENUM", detail::load_enum(type, value), type.name));
}

const std::string& text_of(const ValueType& type, const void* value) {
  return type.kind == ValueKind::kBytes ? static_cast<const Bytes*>(value)->data
                                        : *static_cast<const std::string*>(value);
}

Status encode_fields(const Fields& fields, const void* base, const Place& place, std::string& out);

// Closes what was opened at `start`: everything behind it is the content, and its length goes before it.
void insert_length(std::string& out, std::size_t start) {
  char bytes[kVarintBytesMax];
  std::size_t count = put_varint(bytes, out.size() - start);
  out.insert(start, bytes, count);
}

Status encode_single(const FieldDescription& field, const ValueType& type, const void* value, std::ptrdiff_t index,
                     const Place& place, std::string& out) {
  if (type.kind == ValueKind::kMessage) {
    if (place.depth + 1 > kNestingMax) return too_deep(place);
    append_varint(out, make_tag(field.number, kDelimited));
    std::size_t start = out.size();
    Place inner{&place, field.name, index, place.depth + 1};
    PLX_TRY_STATUS(encode_fields(fields_of(*type.message), value, inner, out));
    insert_length(out, start);
    return {};
  }
  if (type.kind == ValueKind::kString || type.kind == ValueKind::kBytes) {
    const std::string& text = text_of(type, value);
    if (type.kind == ValueKind::kString && !is_utf8(text)) {
      return invalid(kErrorInvalidUtf8, place, field, "text is not UTF-8; octets belong in Bytes");
    }
    char head[2 * kVarintBytesMax];
    std::size_t count = put_varint(head, make_tag(field.number, kDelimited));
    count += put_varint(head + count, text.size());
    out.append(head, count);
    out.append(text);
    return {};
  }
  char bytes[2 * kVarintBytesMax];
  std::size_t count = put_varint(bytes, make_tag(field.number, wire_type_of(type.kind)));
  std::size_t length = put_scalar(bytes + count, type, value);
  if (length == 0) return unknown_enum_value(place, field, type, value);
  out.append(bytes, count + length);
  return {};
}

Status encode_list(const FieldDescription& field, const void* list, const Place& place, std::string& out) {
  const ValueType& element = *field.type->element;
  const ListOperations& operations = *field.type->list;
  std::size_t count = operations.size(list);
  if (count == 0) return {};
  if (!detail::is_scalar(element.kind)) {
    for (std::size_t i = 0; i < count; ++i) {
      PLX_TRY_STATUS(encode_single(field, element, operations.at(list, i), static_cast<std::ptrdiff_t>(i), place, out));
    }
    return {};
  }
  append_varint(out, make_tag(field.number, kDelimited));
  std::size_t start = out.size();
  char bytes[kVarintBytesMax];
  for (std::size_t i = 0; i < count; ++i) {
    const void* value = operations.at(list, i);
    std::size_t length = put_scalar(bytes, element, value);
    if (length == 0) return unknown_enum_value(place, field, element, value);
    out.append(bytes, length);
  }
  insert_length(out, start);
  return {};
}

Status encode_field(const FieldDescription& field, const void* value, const Place& place, std::string& out) {
  switch (field.type->kind) {
    case ValueKind::kVoid:
      return {};
    case ValueKind::kList:
      return encode_list(field, value, place, out);
    case ValueKind::kOptional: {
      const void* present = field.type->optional->get(value);
      return present == nullptr ? Status{} : encode_single(field, *field.type->element, present, -1, place, out);
    }
    default:
      return encode_single(field, *field.type, value, -1, place, out);
  }
}

Status encode_fields(const Fields& fields, const void* base, const Place& place, std::string& out) {
  for (const FieldDescription& field : fields.fields) {
    PLX_TRY_STATUS(encode_field(field, static_cast<const char*>(base) + field.offset, place, out));
  }
  return {};
}

// ---- reading ----

struct Tag {
  std::uint32_t number;
  std::uint32_t wire_type;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool at_end() const { return at_ == end_; }
  const char* position() const { return at_; }
  std::string_view domain() const { return domain_; }  // why the last read failed

  bool read_varint(std::uint64_t& value) {
    if (at_ != end_ && static_cast<unsigned char>(*at_) < 0x80) {
      value = static_cast<unsigned char>(*at_++);
      return true;
    }
    value = 0;
    for (std::size_t i = 0; i < kVarintBytesMax; ++i) {
      if (at_ == end_) return refuse(kErrorTruncated);
      std::uint64_t byte = static_cast<unsigned char>(*at_++);
      // The tenth byte holds the 64th bit and nothing else.
      if (i == kVarintBytesMax - 1 && byte > 1) return refuse(kErrorOverlongVarint);
      value |= (byte & 0x7f) << (7 * i);
      if (byte < 0x80) return true;
    }
    return refuse(kErrorOverlongVarint);
  }

  bool read_tag(Tag& tag) {
    std::uint64_t value = 0;
    if (!read_varint(value)) return false;
    if (value > std::numeric_limits<std::uint32_t>::max() || value >> 3 == 0) return refuse(kErrorBadTag);
    tag = {static_cast<std::uint32_t>(value >> 3), static_cast<std::uint32_t>(value & 7)};
    return true;
  }

  bool read_bytes(std::uint64_t count, std::string_view& bytes) {
    if (count > static_cast<std::uint64_t>(end_ - at_)) return refuse(kErrorTruncated);
    bytes = {at_, static_cast<std::size_t>(count)};
    at_ += count;
    return true;
  }

  bool read_delimited(std::string_view& bytes) {
    std::uint64_t length = 0;
    return read_varint(length) && read_bytes(length, bytes);
  }

  bool skip(std::uint32_t wire_type) {
    std::uint64_t number = 0;
    std::string_view bytes;
    switch (wire_type) {
      case kVarint:
        return read_varint(number);
      case kFixed64:
        return read_bytes(8, bytes);
      case kDelimited:
        return read_delimited(bytes);
      case kFixed32:
        return read_bytes(4, bytes);
      default:
        return refuse(kErrorBadTag);  // groups, which nobody writes any more, and two unused numbers
    }
  }

 private:
  bool refuse(std::string_view domain) {
    domain_ = domain;
    return false;
  }

  const char* at_;
  const char* end_;
  std::string_view domain_;
};

std::string_view explain(std::string_view domain) {
  if (domain == kErrorTruncated) return "the bytes end inside a field";
  if (domain == kErrorOverlongVarint) return "a number has more than 64 bits";
  return "not a field of protobuf's wire format (field number 0, a group, or an unused wire type)";
}

std::unexpected<Error> malformed(const Reader& reader, const Place& place) {
  return fail(Code::kInvalidArgument, fmt::format("{}: {}", place.path(), explain(reader.domain())), reader.domain());
}

std::unexpected<Error> malformed(const Reader& reader, const Place& place, const FieldDescription& field) {
  return invalid(reader.domain(), place, field, explain(reader.domain()));
}

std::unexpected<Error> out_of_range(const Place& place, const FieldDescription& field, const ValueType& type) {
  return invalid(kErrorOutOfRange, place, field, fmt::format("out of range of {}", type.name));
}

template <class T>
void store(void* to, T value) {
  std::memcpy(to, &value, sizeof(T));
}

// Reads one scalar of `type` into `value`.
Status read_scalar(Reader& reader, const ValueType& type, void* value, const Place& place,
                   const FieldDescription& field) {
  if (type.kind == ValueKind::kFloat || type.kind == ValueKind::kDouble) {
    std::string_view bytes;
    if (!reader.read_bytes(type.size, bytes)) return malformed(reader, place, field);
    std::memcpy(value, bytes.data(), type.size);
    return {};
  }
  std::uint64_t number = 0;
  if (!reader.read_varint(number)) return malformed(reader, place, field);
  auto as_signed = static_cast<std::int64_t>(number);
  bool fits_int32 =
      as_signed >= std::numeric_limits<std::int32_t>::min() && as_signed <= std::numeric_limits<std::int32_t>::max();
  switch (type.kind) {
    case ValueKind::kBool:
      if (number > 1) return out_of_range(place, field, type);
      store(value, number == 1);
      return {};
    case ValueKind::kInt32:
      if (!fits_int32) return out_of_range(place, field, type);
      store(value, static_cast<std::int32_t>(as_signed));
      return {};
    case ValueKind::kUint32:
      if (number > std::numeric_limits<std::uint32_t>::max()) return out_of_range(place, field, type);
      store(value, static_cast<std::uint32_t>(number));
      return {};
    case ValueKind::kInt64:
    case ValueKind::kUint64:
      store(value, number);
      return {};
    case ValueKind::kEnum: {
      for (const EnumValue& entry : type.enumeration->values) {
        if (entry.number != as_signed) continue;
        detail::store_enum(type, entry.value, value);
        return {};
      }
      return invalid(kErrorUnknownEnumValue, place, field, fmt::format("{} is no number of {}", as_signed, type.name));
    }
    default:
      break;
  }
  PLX_CHECK(false, "only scalars come here");
}

Status wrong_wire_type(Tag tag, const Place& place, const FieldDescription& field) {
  return invalid(
      kErrorWrongWireType, place, field,
      fmt::format("field {} has wire type {}, which a {} cannot have", field.number, tag.wire_type, field.type->name));
}

Status decode_fields(const Fields& fields, Reader& reader, void* base, const Place& place, bool is_complete,
                     std::string* unknown);

// Reads a single value or an element. `is_complete`: its required fields were read before.
Status decode_single(Reader& reader, Tag tag, const FieldDescription& field, const ValueType& type, void* value,
                     std::ptrdiff_t index, bool is_complete, const Place& place, std::string* unknown) {
  if (tag.wire_type != wire_type_of(type.kind)) return wrong_wire_type(tag, place, field);
  if (detail::is_scalar(type.kind)) return read_scalar(reader, type, value, place, field);

  std::string_view bytes;
  if (!reader.read_delimited(bytes)) return malformed(reader, place, field);
  if (type.kind == ValueKind::kBytes) {
    static_cast<Bytes*>(value)->data.assign(bytes);
    return {};
  }
  if (type.kind == ValueKind::kString) {
    if (!is_utf8(bytes)) return invalid(kErrorInvalidUtf8, place, field, "text is not UTF-8");
    static_cast<std::string*>(value)->assign(bytes);
    return {};
  }
  if (place.depth + 1 > kNestingMax) return too_deep(place);
  Place inner{&place, field.name, index, place.depth + 1};
  Reader content(bytes);
  std::string unknown_inside;
  PLX_TRY_STATUS(decode_fields(fields_of(*type.message), content, value, inner, is_complete,
                               unknown == nullptr ? nullptr : &unknown_inside));
  if (unknown != nullptr && !unknown_inside.empty()) {
    append_varint(*unknown, make_tag(field.number, kDelimited));
    append_varint(*unknown, unknown_inside.size());
    unknown->append(unknown_inside);
  }
  return {};
}

Status append_scalar(Reader& reader, const FieldDescription& field, void* list, const Place& place) {
  const ListOperations& operations = *field.type->list;
  if (operations.append_bool != nullptr) {
    bool value = false;
    PLX_TRY_STATUS(read_scalar(reader, *field.type->element, &value, place, field));
    operations.append_bool(list, value);
    return {};
  }
  return read_scalar(reader, *field.type->element, operations.append(list), place, field);
}

Status decode_list(Reader& reader, Tag tag, const FieldDescription& field, void* list, const Place& place) {
  const ValueType& element = *field.type->element;
  const ListOperations& operations = *field.type->list;
  if (!detail::is_scalar(element.kind)) {
    if (tag.wire_type != kDelimited) return wrong_wire_type(tag, place, field);
    auto index = static_cast<std::ptrdiff_t>(operations.size(list));
    return decode_single(reader, tag, field, element, operations.append(list), index, false, place, nullptr);
  }
  if (tag.wire_type == wire_type_of(element.kind)) return append_scalar(reader, field, list, place);
  if (tag.wire_type != kDelimited) return wrong_wire_type(tag, place, field);
  std::string_view bytes;
  if (!reader.read_delimited(bytes)) return malformed(reader, place, field);
  Reader packed(bytes);
  while (!packed.at_end()) PLX_TRY_STATUS(append_scalar(packed, field, list, place));
  return {};
}

// `merges`: the value holds what an earlier field of this number said.
Status decode_field(Reader& reader, Tag tag, const FieldDescription& field, void* value, bool merges,
                    const Place& place, std::string* unknown) {
  switch (field.type->kind) {
    case ValueKind::kList:
      if (!merges) field.type->list->clear(value);
      return decode_list(reader, tag, field, value, place);
    case ValueKind::kOptional: {
      const OptionalOperations& operations = *field.type->optional;
      void* present = merges ? const_cast<void*>(operations.get(value)) : nullptr;
      merges = present != nullptr;
      if (present == nullptr) present = operations.emplace(value);
      return decode_single(reader, tag, field, *field.type->element, present, -1, merges, place, unknown);
    }
    case ValueKind::kMessage:
      // What is absent inside has the struct's own default, not the one of the field around it.
      if (!merges) field.type->reset(value);
      return decode_single(reader, tag, field, *field.type, value, -1, merges, place, unknown);
    default:
      return decode_single(reader, tag, field, *field.type, value, -1, false, place, unknown);
  }
}

// Fields mostly come in ascending order, so the search starts where the last one was found.
const FieldDescription* find_field(std::span<const FieldDescription> fields, std::uint32_t number, std::size_t& hint) {
  for (std::size_t i = hint; i < fields.size() && fields[i].number <= number; ++i) {
    if (fields[i].number == number) return &fields[hint = i];
  }
  for (std::size_t i = 0; i < hint && i < fields.size() && fields[i].number <= number; ++i) {
    if (fields[i].number == number) return &fields[hint = i];
  }
  return nullptr;
}

Status finish_absent_field(const Fields& fields, const FieldDescription& field, void* value, const Place& place) {
  if (field.type->kind == ValueKind::kList) field.type->list->clear(value);
  if (field.type->kind == ValueKind::kOptional) field.type->optional->clear(value);
  if (!fields.is_required(field)) return {};
  return invalid(kErrorMissingField, place, field,
                 fmt::format("missing; field {} of {} has no default", field.number, fields.name));
}

Status decode_fields(const Fields& fields, Reader& reader, void* base, const Place& place, bool is_complete,
                     std::string* unknown) {
  FieldSet seen;
  std::size_t hint = 0;
  while (!reader.at_end()) {
    const char* start = reader.position();
    Tag tag{};
    if (!reader.read_tag(tag)) return malformed(reader, place);
    const FieldDescription* field = find_field(fields.fields, tag.number, hint);
    if (field == nullptr) {
      if (!reader.skip(tag.wire_type)) return malformed(reader, place);
      if (unknown != nullptr) unknown->append(start, reader.position());
      continue;
    }
    auto index = static_cast<std::size_t>(field - fields.fields.data());
    PLX_TRY_STATUS(decode_field(reader, tag, *field, static_cast<char*>(base) + field->offset,
                                is_complete || seen[index], place, unknown));
    seen.set(index);
  }
  if (is_complete || seen.count() == fields.fields.size()) return {};
  for (std::size_t i = 0; i < fields.fields.size(); ++i) {
    if (seen[i]) continue;
    const FieldDescription& field = fields.fields[i];
    PLX_TRY_STATUS(finish_absent_field(fields, field, static_cast<char*>(base) + field.offset, place));
  }
  return {};
}

// Appends the fields that decode() set aside. Those inside an optional struct that is gone would bring it back, so
// they go with it.
Status append_unknown(const Fields& fields, const void* base, std::string_view unknown, const Place& place,
                      std::string& out) {
  Reader reader(unknown);
  std::size_t hint = 0;
  while (!reader.at_end()) {
    const char* start = reader.position();
    Tag tag{};
    if (!reader.read_tag(tag)) return malformed(reader, place);
    const FieldDescription* field = find_field(fields.fields, tag.number, hint);
    if (field == nullptr) {
      if (!reader.skip(tag.wire_type)) return malformed(reader, place);
      out.append(start, reader.position());
      continue;
    }
    std::string_view bytes;
    if (tag.wire_type != kDelimited) return wrong_wire_type(tag, place, *field);
    if (!reader.read_delimited(bytes)) return malformed(reader, place, *field);
    const void* value = static_cast<const char*>(base) + field->offset;
    const ValueType* type = field->type;
    if (type->kind == ValueKind::kOptional) {
      value = type->optional->get(value);
      type = type->element;
    }
    if (type->kind != ValueKind::kMessage) return wrong_wire_type(tag, place, *field);
    if (value == nullptr) continue;
    if (place.depth + 1 > kNestingMax) return too_deep(place);
    Place inner{&place, field->name, -1, place.depth + 1};
    append_varint(out, make_tag(field->number, kDelimited));
    std::size_t content = out.size();
    PLX_TRY_STATUS(append_unknown(fields_of(*type->message), value, bytes, inner, out));
    insert_length(out, content);
  }
  return {};
}

// A value that is not a struct, as the field 1 of one.
FieldDescription wrapped(const ValueType& type) { return {.number = 1, .name = {}, .offset = 0, .type = &type}; }

Status encode_value(const ValueType& type, const void* value, std::string& out, std::string_view unknown) {
  if (type.kind == ValueKind::kOpaque) return type.opaque->encode(value, out);
  FieldDescription wrapper = wrapped(type);
  Fields fields{type.name, nullptr, {&wrapper, type.kind == ValueKind::kVoid ? std::size_t{0} : std::size_t{1}}};
  if (type.kind == ValueKind::kMessage) fields = fields_of(*type.message);
  Place root{nullptr, type.name, -1, 0};
  PLX_TRY_STATUS(encode_fields(fields, value, root, out));
  if (unknown.empty()) return {};
  return append_unknown(fields, value, unknown, root, out);
}

}  // namespace

Status encode(const ValueType& type, const void* value, std::string& out, std::string_view unknown) {
  std::size_t start = out.size();
  Status status = encode_value(type, value, out, unknown);
  if (status && out.size() - start > kPayloadBytesMax) status = too_large(type, out.size() - start);
  if (!status) out.resize(start);
  return status;
}

Status decode(const ValueType& type, std::string_view bytes, void* value, std::string* unknown) {
  if (bytes.size() > kPayloadBytesMax) return too_large(type, bytes.size());
  if (type.kind == ValueKind::kOpaque) return type.opaque->decode(bytes, value);
  FieldDescription wrapper = wrapped(type);
  Fields fields{type.name, nullptr, {&wrapper, type.kind == ValueKind::kVoid ? std::size_t{0} : std::size_t{1}}};
  if (type.kind == ValueKind::kMessage) fields = fields_of(*type.message);
  Place root{nullptr, type.name, -1, 0};
  Reader reader(bytes);
  return decode_fields(fields, reader, value, root, false, unknown);
}

std::string detail::encode_or_end(const ValueType& type, const void* value) {
  std::string out;
  Status status = plexspaces::encode(type, value, out);
  PLX_CHECK(status.has_value(), "encode<T>() is for values that have bytes; check text and enums, or call encode()");
  return out;
}

}  // namespace plexspaces
