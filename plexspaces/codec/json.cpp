// JSON, written and read by walking descriptions.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <optional>
#include <system_error>

#include <boost/json/basic_parser_impl.hpp>
#include <fmt/format.h>

#include "plexspaces/base/suggest.hpp"
#include "plexspaces/base/utf8.hpp"
#include "plexspaces/codec/codec.hpp"
#include "plexspaces/codec/scalar.hpp"

namespace plexspaces {

namespace {

// Every integer up to here is exact in the double that JavaScript reads a number into.
constexpr std::uint64_t kExactIntegerMax = std::uint64_t{1} << 53;
// A message may hold a list at each level, the root included, and JSON counts both.
constexpr std::size_t kJsonNestingMax = 2 * (kNestingMax + 1);

constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

template <class T>
T load(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

// ---- writing ----

void write_text(std::string_view text, std::string& out) {
  out += '"';
  while (!text.empty()) {
    char c = text.front();
    std::size_t length = utf8_length(text);
    if (length == 0) {
      out += "\\ufffd";
      length = 1;
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out.append(text.substr(0, length));
    }
    text.remove_prefix(length);
  }
  out += '"';
}

void write_base64(std::string_view octets, std::string& out) {
  out += '"';
  for (std::size_t i = 0; i < octets.size(); i += 3) {
    std::string_view group = octets.substr(i, 3);
    std::uint32_t bits = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      bits = bits << 8 | (j < group.size() ? static_cast<unsigned char>(group[j]) : 0u);
    }
    for (std::size_t j = 0; j < 4; ++j) out += j <= group.size() ? kBase64[bits >> (18 - 6 * j) & 63] : '=';
  }
  out += '"';
}

template <class T>
void write_number(T number, std::string& out) {
  char text[32];
  out.append(text, std::to_chars(text, text + sizeof(text), number).ptr);
}

template <class T>
void write_integer(T number, std::string& out) {
  bool is_exact = number <= static_cast<T>(kExactIntegerMax);
  if constexpr (std::is_signed_v<T>) is_exact = is_exact && number >= -static_cast<T>(kExactIntegerMax);
  if (!is_exact) out += '"';
  write_number(number, out);
  if (!is_exact) out += '"';
}

template <class T>
void write_float(T number, std::string& out) {
  if (std::isfinite(number)) return write_number(number, out);
  out += std::isnan(number) ? "\"NaN\"" : number > 0 ? "\"Infinity\"" : "\"-Infinity\"";
}

void write_value(const ValueType& type, const void* value, std::string& out);

void write_message(const MessageDescription& message, const void* value, std::string& out) {
  out += '{';
  bool is_first = true;
  for (const FieldDescription& field : message.fields) {
    const void* member = static_cast<const char*>(value) + field.offset;
    if (field.type->kind == ValueKind::kOptional && field.type->optional->get(member) == nullptr) continue;
    if (!is_first) out += ',';
    is_first = false;
    write_text(field.name, out);
    out += ':';
    write_value(*field.type, member, out);
  }
  out += '}';
}

void write_list(const ValueType& type, const void* value, std::string& out) {
  out += '[';
  std::size_t count = type.list->size(value);
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0) out += ',';
    write_value(*type.element, type.list->at(value, i), out);
  }
  out += ']';
}

void write_enum(const ValueType& type, const void* value, std::string& out) {
  std::int64_t number = detail::load_enum(type, value);
  const EnumValue* entry = detail::find_enum_value(*type.enumeration, number);
  if (entry == nullptr) return write_number(number, out);
  write_text(entry->name, out);
}

void write_value(const ValueType& type, const void* value, std::string& out) {
  switch (type.kind) {
    case ValueKind::kVoid:
      out += "null";
      return;
    case ValueKind::kBool:
      out += load<bool>(value) ? "true" : "false";
      return;
    case ValueKind::kInt32:
      return write_number(load<std::int32_t>(value), out);
    case ValueKind::kInt64:
      return write_integer(load<std::int64_t>(value), out);
    case ValueKind::kUint32:
      return write_number(load<std::uint32_t>(value), out);
    case ValueKind::kUint64:
      return write_integer(load<std::uint64_t>(value), out);
    case ValueKind::kFloat:
      return write_float(load<float>(value), out);
    case ValueKind::kDouble:
      return write_float(load<double>(value), out);
    case ValueKind::kEnum:
      return write_enum(type, value, out);
    case ValueKind::kString:
      return write_text(*static_cast<const std::string*>(value), out);
    case ValueKind::kBytes:
      return write_base64(static_cast<const Bytes*>(value)->data, out);
    case ValueKind::kMessage:
      return write_message(*type.message, value, out);
    case ValueKind::kList:
      return write_list(type, value, out);
    case ValueKind::kOpaque:
      return type.opaque->to_json(value, out);
    case ValueKind::kOptional: {
      const void* present = type.optional->get(value);
      if (present == nullptr) {
        out += "null";
      } else {
        write_value(*type.element, present, out);
      }
    }
  }
}

// ---- reading ----

// The 6 bits of a base64 character, or -1.
int base64_digit(char c) {
  std::size_t digit = kBase64.find(c);
  return digit == std::string_view::npos ? -1 : static_cast<int>(digit);
}

// Standard alphabet, padded, unused bits zero: one text per value.
bool read_base64(std::string_view text, std::string& octets) {
  octets.clear();
  if (text.size() % 4 != 0) return false;
  octets.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    bool is_last = i + 4 == text.size();
    std::size_t padding = !is_last || text[i + 3] != '=' ? 0 : text[i + 2] != '=' ? 1 : 2;
    std::uint32_t bits = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      int digit = j < 4 - padding ? base64_digit(text[i + j]) : 0;
      if (digit < 0) return false;
      bits = bits << 6 | static_cast<std::uint32_t>(digit);
    }
    if ((bits & ((1u << 8 * padding) - 1)) != 0) return false;
    for (std::size_t j = 0; j < 3 - padding; ++j) octets += static_cast<char>(bits >> (16 - 8 * j));
  }
  return true;
}

constexpr std::size_t kIntegerDigitsMax = 20;  // of the largest 64-bit integer

// Sign and digits of a number of JSON that is an integer, however it is written: "-12" for -1.20e1. Exact: no detour
// through a double, which would take 9007199254740993.0 for ...992. A number with more digits than any integer type
// comes back cut to one digit more, so that it is out of range of each.
// @returns nothing for a fraction.
std::optional<std::string> integer_digits(std::string_view number) {
  std::string sign = number.starts_with('-') ? "-" : "";
  number.remove_prefix(sign.size());
  std::size_t mark = number.find_first_of("eE");
  std::string_view mantissa = number.substr(0, mark);
  std::string_view exponent_text = mark == std::string_view::npos ? "0" : number.substr(mark + 1);
  if (exponent_text.starts_with('+')) exponent_text.remove_prefix(1);

  std::size_t point = mantissa.find('.');
  std::string digits(mantissa.substr(0, point));
  std::string_view fraction = point == std::string_view::npos ? std::string_view{} : mantissa.substr(point + 1);
  digits += fraction;
  digits.erase(0, digits.find_first_not_of('0'));
  if (digits.empty()) return sign + "0";

  std::size_t zeros = digits.size() - 1 - digits.find_last_not_of('0');
  digits.resize(digits.size() - zeros);
  std::int64_t exponent = 0;  // the parser takes no more than an int
  std::from_chars(exponent_text.data(), exponent_text.data() + exponent_text.size(), exponent);
  std::int64_t shift = exponent + static_cast<std::int64_t>(zeros) - static_cast<std::int64_t>(fraction.size());
  if (shift < 0) return std::nullopt;
  std::size_t count = std::min(digits.size() + static_cast<std::size_t>(shift), kIntegerDigitsMax + 1);
  digits.resize(count, '0');
  return sign + digits;
}

// The same of an integer in quotes, which has digits only.
std::optional<std::string> sign_and_digits(std::string_view text) {
  std::string_view digits = text.substr(text.starts_with('-') ? 1 : 0);
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  return integer_digits(text);
}

template <class T>
bool read_whole(std::string_view text, T& number) {
  auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && rest == text.data() + text.size();
}

std::string_view describe_kind(const ValueType& type) {
  switch (type.kind) {
    case ValueKind::kVoid:
      return "null";
    case ValueKind::kBool:
      return "true or false";
    case ValueKind::kInt32:
    case ValueKind::kUint32:
      return "an integer";
    case ValueKind::kInt64:
    case ValueKind::kUint64:
      return "an integer, or one as text";
    case ValueKind::kFloat:
    case ValueKind::kDouble:
      return "a number, \"NaN\", \"Infinity\" or \"-Infinity\"";
    case ValueKind::kEnum:
      return "the name of an enumerator";
    case ValueKind::kString:
      return "text";
    case ValueKind::kBytes:
      return "text in base64 with padding";
    case ValueKind::kMessage:
      return "an object";
    case ValueKind::kList:
      return "an array";
    default:
      return "another value";
  }
}

// Takes the parser's events straight into the value. The first thing that does not fit is remembered and the rest only
// parsed, so that text which is not JSON is reported as that, whatever else is wrong with it.
class Handler {
 public:
  static constexpr std::size_t max_object_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_array_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_key_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_string_size = std::numeric_limits<std::size_t>::max();
  using ErrorCode = boost::json::error_code;
  using View = boost::json::string_view;

  // Without a `value` the text is only parsed.
  Handler(const ValueType& type, void* value) : root_type_(type), root_(value) {}

  Status take_status() { return std::move(status_); }
  /// Where the parser stands.
  std::string path() const;

  bool on_document_begin(ErrorCode&) { return true; }
  bool on_document_end(ErrorCode&) { return true; }
  bool on_object_begin(ErrorCode&);
  bool on_object_end(std::size_t, ErrorCode&);
  bool on_array_begin(ErrorCode&);
  bool on_array_end(std::size_t, ErrorCode&);
  bool on_key_part(View part, std::size_t, ErrorCode&) { return on_part(part); }
  bool on_key(View part, std::size_t, ErrorCode&);
  bool on_string_part(View part, std::size_t, ErrorCode&) { return on_part(part); }
  bool on_string(View part, std::size_t, ErrorCode&);
  bool on_number_part(View part, ErrorCode&) { return on_part(part); }
  bool on_int64(std::int64_t, View part, ErrorCode&) { return on_number(part); }
  bool on_uint64(std::uint64_t, View part, ErrorCode&) { return on_number(part); }
  bool on_double(double, View part, ErrorCode&) { return on_number(part); }
  bool on_bool(bool, ErrorCode&);
  bool on_null(ErrorCode&);
  bool on_comment_part(View, ErrorCode&) { return true; }
  bool on_comment(View, ErrorCode&) { return true; }

 private:
  // An object or array that is open.
  struct Frame {
    const ValueType* type;
    void* value;
    const FieldDescription* field = nullptr;  // of a struct: the key that was read last
    FieldSet seen;
  };
  // Where the next value goes.
  struct Slot {
    const ValueType* type;
    void* value;
  };

  bool is_skipping() const { return root_ == nullptr || !status_; }
  void refuse(std::string_view domain, std::string_view what) {
    if (status_) status_ = fail(Code::kInvalidArgument, fmt::format("{}: {}", path(), what), domain);
  }
  void refuse_kind(const Slot& slot, std::string_view found) {
    refuse(kErrorWrongType, fmt::format("expected {}, found {}", describe_kind(*slot.type), found));
  }
  void refuse_range(const Slot& slot) {
    refuse(kErrorOutOfRange, fmt::format("{} is out of range of {}", excerpt(text_), slot.type->name));
  }

  bool on_part(View part) {
    if (!is_skipping()) text_.append(part.data(), part.size());
    return true;
  }
  bool on_number(View part);
  // The place of the value that begins, its optional made present.
  Slot next_slot();
  Slot next_present_slot();
  void open(const Slot& slot);

  void read_integer(const Slot& slot, bool is_text);
  template <class T>
  void read_integer_as(const Slot& slot, bool is_text);
  template <class T>
  void read_float(const Slot& slot);
  bool read_special_float(const Slot& slot);
  void read_enum(const Slot& slot);

  const ValueType& root_type_;
  void* root_;
  Status status_;
  std::vector<Frame> frames_;
  bool bool_ = false;  // stands in for the elements of a list of bool, which have no address
  std::string text_;   // of the key, text or number being read
};

std::string Handler::path() const {
  std::string path(root_type_.name);
  for (const Frame& frame : frames_) {
    if (frame.type->kind == ValueKind::kList) {
      std::size_t count = frame.type->list->size(frame.value);
      // The element that is being read is the last one, except in a list of bool: there it comes when it is read.
      path += fmt::format("[{}]", frame.type->list->append_bool != nullptr ? count : count - 1);
    } else if (frame.field != nullptr) {
      path += fmt::format(".{}", frame.field->name);
    }
  }
  return path;
}

Handler::Slot Handler::next_slot() {
  if (frames_.empty()) return {&root_type_, root_};
  Frame& frame = frames_.back();
  if (frame.type->kind == ValueKind::kMessage) {
    return {frame.field->type, static_cast<char*>(frame.value) + frame.field->offset};
  }
  const ListOperations& operations = *frame.type->list;
  if (operations.append_bool != nullptr) return {frame.type->element, &bool_};
  return {frame.type->element, operations.append(frame.value)};
}

Handler::Slot Handler::next_present_slot() {
  Slot slot = next_slot();
  if (slot.type->kind == ValueKind::kOptional) return {slot.type->element, slot.type->optional->emplace(slot.value)};
  return slot;
}

void Handler::open(const Slot& slot) {
  frames_.push_back({.type = slot.type, .value = slot.value, .field = nullptr, .seen = {}});
  auto is_message = [](const Frame& frame) { return frame.type->kind == ValueKind::kMessage; };
  auto depth = static_cast<std::size_t>(std::count_if(frames_.begin(), frames_.end(), is_message));
  // The root is no nested message.
  if (depth > kNestingMax + 1) refuse(kErrorTooDeep, fmt::format("nested deeper than {} messages", kNestingMax));
}

bool Handler::on_object_begin(ErrorCode&) {
  if (is_skipping()) return true;
  Slot slot = next_present_slot();
  if (slot.type->kind != ValueKind::kMessage) {
    refuse_kind(slot, "an object");
    return true;
  }
  // What is absent inside has the struct's own default, not the one of the field around it.
  if (!frames_.empty()) slot.type->reset(slot.value);
  open(slot);
  return true;
}

bool Handler::on_object_end(std::size_t, ErrorCode&) {
  if (is_skipping()) return true;
  Frame& frame = frames_.back();
  const MessageDescription& message = *frame.type->message;
  frame.field = nullptr;
  for (std::size_t i = 0; i < message.fields.size(); ++i) {
    const FieldDescription& field = message.fields[i];
    if (frame.seen[i]) continue;
    void* value = static_cast<char*>(frame.value) + field.offset;
    if (field.type->kind == ValueKind::kList) field.type->list->clear(value);
    if (field.type->kind == ValueKind::kOptional) field.type->optional->clear(value);
    if (!message.is_required(field)) continue;
    frame.field = &field;
    refuse(kErrorMissingField, "missing; it has no default");
    return true;
  }
  frames_.pop_back();
  return true;
}

bool Handler::on_array_begin(ErrorCode&) {
  if (is_skipping()) return true;
  Slot slot = next_present_slot();
  if (slot.type->kind != ValueKind::kList) {
    refuse_kind(slot, "an array");
    return true;
  }
  slot.type->list->clear(slot.value);
  open(slot);
  return true;
}

bool Handler::on_array_end(std::size_t, ErrorCode&) {
  if (!is_skipping()) frames_.pop_back();
  return true;
}

bool Handler::on_key(View part, std::size_t, ErrorCode&) {
  if (is_skipping()) return true;
  text_.append(part.data(), part.size());
  std::string key = std::exchange(text_, {});
  Frame& frame = frames_.back();
  const MessageDescription& message = *frame.type->message;
  frame.field = nullptr;
  for (std::size_t i = 0; i < message.fields.size(); ++i) {
    if (message.fields[i].name != key) continue;
    frame.field = &message.fields[i];
    if (frame.seen[i]) refuse(kErrorDuplicateField, "given twice");
    frame.seen.set(i);
    return true;
  }
  std::vector<std::string> known;
  for (const FieldDescription& field : message.fields) known.emplace_back(field.name);
  refuse(kErrorUnknownField, fmt::format("unknown field '{}'{}", excerpt(key), suggest(key, known)));
  return true;
}

bool Handler::on_string(View part, std::size_t, ErrorCode&) {
  if (is_skipping()) return true;
  text_.append(part.data(), part.size());
  Slot slot = next_present_slot();
  switch (slot.type->kind) {
    case ValueKind::kString:
      *static_cast<std::string*>(slot.value) = text_;
      break;
    case ValueKind::kBytes:
      if (!read_base64(text_, static_cast<Bytes*>(slot.value)->data)) refuse_kind(slot, "other text");
      break;
    case ValueKind::kEnum:
      read_enum(slot);
      break;
    case ValueKind::kInt64:
    case ValueKind::kUint64:
      read_integer(slot, true);
      break;
    case ValueKind::kFloat:
    case ValueKind::kDouble:
      if (!read_special_float(slot)) refuse_kind(slot, "text");
      break;
    default:
      refuse_kind(slot, "text");
      break;
  }
  text_.clear();
  return true;
}

bool Handler::on_number(View part) {
  if (is_skipping()) return true;
  text_.append(part.data(), part.size());
  Slot slot = next_present_slot();
  switch (slot.type->kind) {
    case ValueKind::kInt32:
    case ValueKind::kInt64:
    case ValueKind::kUint32:
    case ValueKind::kUint64:
      read_integer(slot, false);
      break;
    case ValueKind::kFloat:
      read_float<float>(slot);
      break;
    case ValueKind::kDouble:
      read_float<double>(slot);
      break;
    default:
      refuse_kind(slot, "a number");
      break;
  }
  text_.clear();
  return true;
}

bool Handler::on_bool(bool value, ErrorCode&) {
  if (is_skipping()) return true;
  Slot slot = next_present_slot();
  if (slot.type->kind != ValueKind::kBool) {
    refuse_kind(slot, "true or false");
  } else if (slot.value == &bool_) {
    frames_.back().type->list->append_bool(frames_.back().value, value);
  } else {
    std::memcpy(slot.value, &value, sizeof(value));
  }
  return true;
}

bool Handler::on_null(ErrorCode&) {
  if (is_skipping()) return true;
  Slot slot = next_slot();
  if (slot.type->kind == ValueKind::kOptional) {
    slot.type->optional->clear(slot.value);
  } else if (slot.type->kind != ValueKind::kVoid) {
    refuse_kind(slot, "null");
  }
  return true;
}

// 1.0 and 1e3 are integers too.
template <class T>
void Handler::read_integer_as(const Slot& slot, bool is_text) {
  T number{};
  if (read_whole(text_, number)) {
    std::memcpy(slot.value, &number, sizeof(number));
    return;
  }
  // from_chars does not take a sign for unsigned numbers: -0 and -1 come out as no number at all.
  std::optional<std::string> digits = is_text ? sign_and_digits(text_) : integer_digits(text_);
  if (!digits) return refuse_kind(slot, is_text ? "other text" : excerpt(text_));
  if (!read_whole(*digits == "-0" ? "0" : *digits, number)) return refuse_range(slot);
  std::memcpy(slot.value, &number, sizeof(number));
}

void Handler::read_integer(const Slot& slot, bool is_text) {
  switch (slot.type->kind) {
    case ValueKind::kInt32:
      return read_integer_as<std::int32_t>(slot, is_text);
    case ValueKind::kInt64:
      return read_integer_as<std::int64_t>(slot, is_text);
    case ValueKind::kUint32:
      return read_integer_as<std::uint32_t>(slot, is_text);
    default:
      return read_integer_as<std::uint64_t>(slot, is_text);
  }
}

// From the text, not from the parser's double, which may be off by a bit in its last place.
template <class T>
void Handler::read_float(const Slot& slot) {
  T number{};
  auto [rest, error] = std::from_chars(text_.data(), text_.data() + text_.size(), number);
  if (error == std::errc::result_out_of_range) {
    // Too near to zero is zero; only too large is an error. The standard does not say which of them it was.
    long double wide = std::strtold(text_.c_str(), nullptr);
    if (std::abs(wide) > 1) return refuse_range(slot);
    number = std::signbit(wide) ? T{-0.0} : T{0};
  }
  std::memcpy(slot.value, &number, sizeof(number));
}

bool Handler::read_special_float(const Slot& slot) {
  double number = 0;
  if (text_ == "NaN") {
    number = std::numeric_limits<double>::quiet_NaN();
  } else if (text_ == "Infinity") {
    number = std::numeric_limits<double>::infinity();
  } else if (text_ == "-Infinity") {
    number = -std::numeric_limits<double>::infinity();
  } else {
    return false;
  }
  if (slot.type->kind == ValueKind::kDouble) {
    std::memcpy(slot.value, &number, sizeof(number));
  } else {
    auto narrow = static_cast<float>(number);
    std::memcpy(slot.value, &narrow, sizeof(narrow));
  }
  return true;
}

void Handler::read_enum(const Slot& slot) {
  std::vector<std::string> known;
  for (const EnumValue& entry : slot.type->enumeration->values) {
    if (entry.name == text_) return detail::store_enum(*slot.type, entry.value, slot.value);
    known.emplace_back(entry.name);
  }
  refuse(kErrorUnknownEnumValue,
         fmt::format("'{}' is no value of {}{}", excerpt(text_), slot.type->name, suggest(text_, known)));
}

Status malformed_json(const ValueType& type, std::string_view why, std::size_t offset) {
  return fail(Code::kInvalidArgument, fmt::format("{}: not JSON at byte {}: {}", type.name, offset, why),
              kErrorMalformedJson);
}

}  // namespace

std::string to_json(const ValueType& type, const void* value) {
  std::string out;
  write_value(type, value, out);
  return out;
}

Status from_json(const ValueType& type, std::string_view json, void* value) {
  if (json.size() > kJsonBytesMax) {
    return fail(
        Code::kResourceExhausted,
        fmt::format("{}: {} bytes of JSON, more than {} (kJsonBytesMax)", type.name, json.size(), kJsonBytesMax),
        kErrorTooLarge);
  }
  bool is_opaque = type.kind == ValueKind::kOpaque;
  if (json.empty() && (type.kind == ValueKind::kMessage || is_opaque)) json = "{}";
  if (json.empty() && type.kind == ValueKind::kVoid) json = "null";

  boost::json::parse_options options;
  options.max_depth = kJsonNestingMax;
  boost::json::basic_parser<Handler> parser(options, type, is_opaque ? nullptr : value);
  boost::json::error_code error;
  std::size_t read = parser.write_some(false, json.data(), json.size(), error);
  if (error == boost::json::error::too_deep) {
    return fail(Code::kInvalidArgument,
                fmt::format("{}: nested deeper than {} objects and arrays", type.name, kJsonNestingMax), kErrorTooDeep);
  }
  if (error) return malformed_json(type, error.message(), read);
  if (read < json.size()) return malformed_json(type, "there is more after the value", read);
  return is_opaque ? type.opaque->from_json(json, value) : parser.handler().take_status();
}

}  // namespace plexspaces
