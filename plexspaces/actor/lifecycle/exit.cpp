#include "plexspaces/actor/lifecycle/exit.hpp"

#include <array>

namespace plexspaces {

std::string_view exit_kind_name(ExitKind kind) {
  constexpr std::array<std::string_view, 5> names{"normal", "shutdown", "killed", "error", "noproc"};
  return names[static_cast<std::size_t>(kind)];
}

ExitReason ExitReason::error(std::string_view text) {
  if (text.size() > kExitTextBytesMax) {
    std::size_t end = kExitTextBytesMax;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    text = text.substr(0, end);
  }
  return {ExitKind::kError, std::string(text)};
}

}  // namespace plexspaces
