#include "plexspaces/codec/compatibility.hpp"

#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "plexspaces/codec/errors.hpp"

namespace plexspaces {

namespace {

// ---- describe ----

class Describer {
 public:
  std::string run(const MessageDescription& message) {
    name_of(*message.type);
    // Grows while it is read: a type's fields name others.
    for (std::size_t i = 0; i < types_.size(); ++i) write(*types_[i].first, types_[i].second);
    return std::move(out_);
  }

 private:
  void write(const ValueType& type, std::string name) {
    if (type.kind == ValueKind::kEnum) {
      out_ += fmt::format("enum {}\n", name);
      for (const EnumValue& value : type.enumeration->values)
        out_ += fmt::format("  {} {}\n", value.number, value.name);
      return;
    }
    out_ += fmt::format("message {}\n", name);
    const MessageDescription& message = *type.message;
    std::size_t reserved = 0;
    for (const FieldDescription& field : message.fields) {
      for (; reserved < message.reserved.size() && message.reserved[reserved] < field.number; ++reserved) {
        out_ += fmt::format("  {} reserved\n", message.reserved[reserved]);
      }
      out_ += fmt::format("  {} {} {}{}\n", field.number, field.name, message.is_required(field) ? "required " : "",
                          kind_text(*field.type));
    }
    for (; reserved < message.reserved.size(); ++reserved) {
      out_ += fmt::format("  {} reserved\n", message.reserved[reserved]);
    }
  }

  std::string kind_text(const ValueType& type) {
    switch (type.kind) {
      case ValueKind::kOptional:
        return "optional " + kind_text(*type.element);
      case ValueKind::kList:
        return "list " + kind_text(*type.element);
      case ValueKind::kMessage:
        return "message " + name_of(type);
      case ValueKind::kEnum:
        return "enum " + name_of(type);
      default:
        return std::string(type.name);
    }
  }

  // By value: naming another type moves the names.
  std::string name_of(const ValueType& type) {
    int same_name = 1;
    for (const auto& [known, name] : types_) {
      if (known == &type) return name;
      if (known->name == type.name) ++same_name;
    }
    std::string name = same_name == 1 ? std::string(type.name) : fmt::format("{}#{}", type.name, same_name);
    types_.emplace_back(&type, name);
    return name;
  }

  std::vector<std::pair<const ValueType*, std::string>> types_;
  std::string out_;
};

// ---- the text, parsed ----

struct FieldLine {
  std::string name;
  bool is_reserved = false;
  bool is_required = false;
  bool is_list = false;
  std::string group;  // "message", "enum" or empty
  std::string kind;   // "int64", or the name of the message or enum

  // For messages of errors.
  std::string text() const {
    return fmt::format("{}{}{}", is_list ? "list " : "", group.empty() ? "" : group + " ", kind);
  }
};

struct TypeText {
  std::string name;
  bool is_enum = false;
  std::map<std::int64_t, FieldLine> fields;
};

struct Description {
  std::string root;
  std::map<std::pair<bool, std::string>, TypeText> types;  // by (is an enum, name)
};

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    std::size_t end = std::min(text.find(separator), text.size());
    if (end > 0) parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

std::unexpected<Error> not_a_description(std::string_view line) {
  return fail(Code::kInvalidArgument,
              fmt::format("not a line that describe() writes: '{}'; record the description again", line),
              kErrorBadDescription);
}

std::optional<FieldLine> parse_field(std::span<const std::string_view> words) {
  FieldLine field;
  if (words.size() == 1 && words[0] == "reserved") {
    field.is_reserved = true;
    return field;
  }
  if (words.empty()) return std::nullopt;
  field.name = words[0];
  words = words.subspan(1);
  if (!words.empty() && (words[0] == "required" || words[0] == "optional" || words[0] == "list")) {
    field.is_required = words[0] == "required";
    field.is_list = words[0] == "list";
    words = words.subspan(1);
  }
  if (words.size() == 2 && (words[0] == "message" || words[0] == "enum")) {
    field.group = words[0];
    words = words.subspan(1);
  }
  if (words.size() != 1) return std::nullopt;
  field.kind = words[0];
  return field;
}

Result<Description> parse(std::string_view text) {
  Description description;
  TypeText* type = nullptr;
  for (std::string_view line : split(text, '\n')) {
    std::vector<std::string_view> words = split(line, ' ');
    if (!line.starts_with("  ")) {
      if (words.size() != 2 || (words[0] != "message" && words[0] != "enum")) return not_a_description(line);
      bool is_enum = words[0] == "enum";
      if (description.root.empty()) description.root = words[1];
      type = &description.types[{is_enum, std::string(words[1])}];
      type->name = words[1];
      type->is_enum = is_enum;
      continue;
    }
    std::int64_t number = 0;
    if (type == nullptr || words.size() < 2) return not_a_description(line);
    auto [rest, error] = std::from_chars(words[0].data(), words[0].data() + words[0].size(), number);
    if (error != std::errc{} || rest != words[0].data() + words[0].size()) return not_a_description(line);
    std::span<const std::string_view> others = std::span(words).subspan(1);
    std::optional<FieldLine> field;
    if (!type->is_enum) {
      field = parse_field(others);
    } else if (others.size() == 1) {
      field = FieldLine{.name = std::string(others[0]), .group = {}, .kind = {}};
    }
    if (!field || !type->fields.emplace(number, *field).second) return not_a_description(line);
  }
  if (description.root.empty()) return not_a_description(text);
  return description;
}

// ---- the comparison ----

class Comparison {
 public:
  Comparison(const Description& recorded, const Description& current) : recorded_(recorded), current_(current) {}

  std::vector<std::string> run() {
    if (recorded_.root != current_.root) {
      note(fmt::format("the registered name was {} and is {}; keep it in PLX_MESSAGE", recorded_.root, current_.root));
    }
    compare(false, recorded_.root, current_.root);
    return std::move(problems_);
  }

 private:
  void note(std::string problem) { problems_.push_back(std::move(problem)); }

  // Types may contain themselves and may have new names: a pair is compared once, whatever leads to it.
  void compare(bool is_enum, const std::string& old_name, const std::string& new_name) {
    if (!done_.emplace(is_enum, old_name, new_name).second) return;
    auto old_type = recorded_.types.find({is_enum, old_name});
    auto new_type = current_.types.find({is_enum, new_name});
    if (old_type == recorded_.types.end() || new_type == current_.types.end()) {
      return note(fmt::format("{} is used but not described; record the description again", old_name));
    }
    for (const auto& [number, old_field] : old_type->second.fields) {
      auto found = new_type->second.fields.find(number);
      const FieldLine* new_field = found == new_type->second.fields.end() ? nullptr : &found->second;
      if (is_enum) {
        if (new_field == nullptr) {
          note(fmt::format("{}: value {} {} was removed; keep it in PLX_ENUM", new_name, number, old_field.name));
        }
      } else {
        compare_field(new_name, number, old_field, new_field);
      }
    }
    if (is_enum) return;
    for (const auto& [number, new_field] : new_type->second.fields) {
      if (!new_field.is_required || old_type->second.fields.contains(number)) continue;
      note(fmt::format("{}: new field {} {} is required, and stored values lack it; give it a default", new_name,
                       number, new_field.name));
    }
  }

  void compare_field(const std::string& owner, std::int64_t number, const FieldLine& old_field,
                     const FieldLine* new_field) {
    if (old_field.is_reserved) {
      if (new_field == nullptr || !new_field->is_reserved) {
        note(fmt::format("{}: number {} was reserved; keep it in PLX_RESERVED and use another", owner, number));
      }
      return;
    }
    if (new_field == nullptr) {
      return note(
          fmt::format("{}: field {} {} was removed; add its number to PLX_RESERVED", owner, number, old_field.name));
    }
    if (new_field->is_reserved) return;
    bool is_same_kind = old_field.is_list == new_field->is_list && old_field.group == new_field->group &&
                        (!old_field.group.empty() || old_field.kind == new_field->kind);
    if (!is_same_kind) {
      return note(fmt::format("{}: field {} {} was {} and is {}; give the new kind a new number", owner, number,
                              new_field->name, old_field.text(), new_field->text()));
    }
    if (new_field->is_required && !old_field.is_required) {
      note(fmt::format("{}: field {} {} becomes required, and stored values may lack it; give it a default", owner,
                       number, new_field->name));
    }
    if (!old_field.group.empty()) compare(old_field.group == "enum", old_field.kind, new_field->kind);
  }

  const Description& recorded_;
  const Description& current_;
  std::set<std::tuple<bool, std::string, std::string>> done_;
  std::vector<std::string> problems_;
};

}  // namespace

std::string describe(const MessageDescription& message) { return Describer().run(message); }

Status check_compatible(std::string_view recorded, std::string_view current) {
  PLX_TRY(old_description, parse(recorded));
  PLX_TRY(new_description, parse(current));
  std::vector<std::string> problems = Comparison(old_description, new_description).run();
  if (problems.empty()) return {};
  return fail(Code::kFailedPrecondition,
              fmt::format("stored values of {} would not be read: {}", old_description.root, fmt::join(problems, "; ")),
              kErrorIncompatible);
}

}  // namespace plexspaces
