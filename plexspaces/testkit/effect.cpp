#include "plexspaces/testkit/effect.hpp"

#include <cstdlib>
#include <string_view>

#include <cxxabi.h>
#include <fmt/format.h>

#include "plexspaces/codec/codec.hpp"

namespace plexspaces::testkit {

namespace {

// Without its namespaces.
std::string class_name(std::type_index type) {
  int status = 0;
  std::unique_ptr<char, decltype(&std::free)> name(abi::__cxa_demangle(type.name(), nullptr, nullptr, &status),
                                                   &std::free);
  std::string_view whole = status == 0 ? name.get() : type.name();
  std::size_t arguments = whole.find('<');
  std::size_t begin = whole.substr(0, arguments).rfind("::");
  return std::string(begin == std::string_view::npos ? whole : whole.substr(begin + 2));
}

std::string time_text(Duration time) {
  if (time % 1ms == Duration()) return fmt::format("{} ms", time / 1ms);
  return fmt::format("{} ns", time.count());
}

std::string message_text(const TurnEffect& effect) {
  if (effect.type == nullptr) return "?";
  if (effect.value == nullptr) return std::string(effect.type->value->name);
  return fmt::format("{} {}", effect.type->value->name, to_json(*effect.type->value, effect.value.get()));
}

std::string reason_text(const ExitReason& reason) {
  std::string text(exit_kind_name(reason.kind));
  if (!reason.text.empty()) text += ": " + reason.text;
  return text;
}

}  // namespace

std::string TurnEffect::to_string() const {
  std::string text = by_name.empty() ? "" : by_name + ": ";
  switch (kind) {
    case Kind::kTell:
      return text + fmt::format("tell {} {}", to_name, message_text(*this));
    case Kind::kAsk:
      return text + fmt::format("ask {} {}", to_name, message_text(*this));
    case Kind::kSpawn:
      return text + fmt::format("spawn {}", class_name(*cls));
    case Kind::kTimer:
      if (period > Duration()) return text + fmt::format("timer every {} {}", time_text(period), message_text(*this));
      return text + fmt::format("timer in {} {}", time_text(after), message_text(*this));
    case Kind::kCancel:
      return text + fmt::format("cancel timer {}", message_text(*this));
    case Kind::kMonitor:
      return text + fmt::format("monitor {}", to_name);
    case Kind::kDemonitor:
      return text + fmt::format("demonitor {}", to_name);
    case Kind::kLink:
      return text + fmt::format("link {}", to_name);
    case Kind::kUnlink:
      return text + fmt::format("unlink {}", to_name);
    case Kind::kExit:
      return text + fmt::format("exit {} {}", to_name, reason_text(*reason));
    case Kind::kKill:
      return text + fmt::format("kill {}", to_name);
    case Kind::kEnd:
      return text + fmt::format("end {}", reason_text(*reason));
    case Kind::kRestless:
      return text + "never comes to rest";
  }
  return text;
}

std::vector<std::string> lines_of(const TurnEffects& effects) {
  std::vector<std::string> lines;
  for (const TurnEffect& effect : effects) lines.push_back(effect.to_string());
  return lines;
}

}  // namespace plexspaces::testkit
