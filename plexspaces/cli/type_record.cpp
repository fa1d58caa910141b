#include "plexspaces/cli/type_record.hpp"

#include <map>

#include <fmt/format.h>

#include "plexspaces/codec/compatibility.hpp"

namespace plexspaces::cli {

namespace {

// Descriptions by their first line, "message Order".
using Record = std::map<std::string, std::string, std::less<>>;

void add(Record& record, const ValueType* type) {
  if (type == nullptr || type->message == nullptr) return;
  record.emplace(fmt::format("message {}", type->message->name), describe(*type->message));
}

Record current(const Types& types) {
  Record record;
  for (const std::string& name : types.names()) {
    const ActorType& type = *types.find(name);
    for (const Handler& handler : type.handlers) add(record, handler.message->value);
    add(record, type.state_type);
  }
  return record;
}

Record parse(std::string_view text) {
  Record record;
  while (!text.empty()) {
    std::size_t end = text.find("\n\n");
    std::string_view section = text.substr(0, end == std::string_view::npos ? text.size() : end + 1);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 2);
    record.emplace(section.substr(0, section.find('\n')), section);
  }
  return record;
}

}  // namespace

std::string record_types(const Types& types) {
  std::string text;
  for (const auto& [name, description] : current(types)) text += (text.empty() ? "" : "\n") + description;
  return text;
}

Status check_types(const Types& types, std::string_view recorded) {
  Record now = current(types);
  Record before = parse(recorded);
  if (before.empty() && !now.empty())
    return fail(Code::kInvalidArgument, "the record is empty, so it proves nothing: write one with types --record",
                "PLX-CLI-0005");
  std::string wrong;
  for (const auto& [name, description] : before) {
    auto found = now.find(name);
    if (found == now.end())
      wrong += fmt::format("\n  {}: no type handles or keeps it any more", name);
    else if (Status compatible = check_compatible(description, found->second); !compatible)
      wrong += fmt::format("\n  {}: {}", name, compatible.error().message());
  }
  if (wrong.empty()) return {};
  return fail(
      Code::kFailedPrecondition,
      "stored bytes of these types could not be read, or would be misread; give new fields new numbers, reserve "
      "removed ones (PLX_RESERVED), keep the rest:" +
          wrong,
      "PLX-CLI-0004");
}

}  // namespace plexspaces::cli
