#include "plexspaces/actor/types.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "plexspaces/actor/actor_ref.hpp"
#include "plexspaces/base/limits.hpp"

namespace plexspaces {

namespace {

bool holds_live_reference(const ValueType& type, std::set<const ValueType*>& seen) {
  if (!seen.insert(&type).second) return false;
  if (type.element != nullptr) return holds_live_reference(*type.element, seen);
  if (type.message == nullptr) return false;
  if (type.message->name == detail::kActorRefName) return true;
  return std::ranges::any_of(type.message->fields,
                             [&](const FieldDescription& field) { return holds_live_reference(*field.type, seen); });
}

bool holds_live_reference(const ValueType& type) {
  std::set<const ValueType*> seen;
  return holds_live_reference(type, seen);
}

}  // namespace

std::string message_names(std::span<const Handler> handlers) {
  std::string names;
  for (const Handler& handler : handlers) {
    if (!names.empty()) names += ", ";
    names += handler.message->value->name;
  }
  return names.empty() ? "nothing" : names;
}

Status Actor::on_start(Context&) { return {}; }

Task<> Actor::on_stop(Context&, const ExitReason&) { co_return; }

const Handler* ActorType::find(const MessageInfo& message) const {
  for (const Handler& handler : handlers)
    if (handler.message == &message) return &handler;
  return nullptr;
}

const Handler* ActorType::find(std::string_view message) const {
  for (const Handler& handler : handlers)
    if (handler.message->value->name == message) return &handler;
  return nullptr;
}

void Types::insert(ActorType type) {
  auto mistake = [&](std::string message) {
    if (check_) check_ = fail(Code::kInvalidArgument, std::move(message), "PLX-ACT-0014");
  };
  if (type.name.empty() || type.name.size() > kNameBytesMax ||
      type.name.find_first_of(std::string_view("/\0", 2)) != std::string::npos)
    return mistake(fmt::format("the type name '{}' is not 1 to {} bytes without '/'", type.name, kNameBytesMax));
  if (types_.contains(type.name)) return mistake(fmt::format("the type name '{}' is registered twice", type.name));
  if (auto other = by_tag_.find(type.tag); other != by_tag_.end())
    return mistake(fmt::format("one class is registered as '{}' and as '{}'", other->second->name, type.name));
  std::set<std::string_view> names;
  for (const FacetSpec& facet : type.facets)
    if (!names.insert(facet.name).second)
      return mistake(fmt::format("the type '{}' has the facet '{}' twice", type.name, facet.name));
  std::set<std::string_view> messages;
  for (const Handler& handler : type.handlers)
    if (!messages.insert(handler.message->value->name).second)
      return mistake(
          fmt::format("the type '{}' handles two messages of the name '{}'", type.name, handler.message->value->name));
  for (const Handler& handler : type.handlers)
    if (type.keyed() && handler.waits)
      return mistake(
          fmt::format("the type '{}' has facets, so its handler of {} cannot wait: return a value, not a Task",
                      type.name, handler.message->value->name));
  for (const Handler& handler : type.handlers)
    if (type.keyed() && handler.defers)
      return mistake(fmt::format("the type '{}' has facets, so its handler of {} cannot answer later: return the reply",
                                 type.name, handler.message->value->name));
  for (const Handler& handler : type.handlers)
    for (const ValueType* value : {handler.message->value, handler.message->reply})
      if (type.keyed() && holds_live_reference(*value))
        return mistake(fmt::format(
            "the type '{}' has facets, so its message {} cannot hold an ActorRef, which means nothing after "
            "its process: use the key",
            type.name, handler.message->value->name));
  if (type.keyed() && type.state_type != nullptr && holds_live_reference(*type.state_type))
    return mistake(
        fmt::format("the type '{}' has facets, so its state cannot hold an ActorRef, which means nothing after "
                    "its process: use the key",
                    type.name));
  if (type.keyed() && type.hooks)
    return mistake(
        fmt::format("the type '{}' has facets, so its class cannot have on_start() or on_stop()", type.name));
  if (type.keyed() && type.create == nullptr)
    return mistake(fmt::format("the type '{}' has facets, so its class needs a default constructor", type.name));
  auto owned = std::make_unique<ActorType>(std::move(type));
  by_tag_.emplace(owned->tag, owned.get());
  std::string name = owned->name;
  types_.emplace(std::move(name), std::move(owned));
}

const ActorType* Types::find(std::string_view name) const {
  auto found = types_.find(name);
  return found == types_.end() ? nullptr : found->second.get();
}

const ActorType* Types::find_tag(const void* tag) const {
  auto found = by_tag_.find(tag);
  return found == by_tag_.end() ? nullptr : found->second;
}

std::vector<std::string> Types::names() const {
  std::vector<std::string> names;
  for (const auto& [name, type] : types_) names.push_back(name);
  return names;
}

}  // namespace plexspaces
