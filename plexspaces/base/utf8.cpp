#include "plexspaces/base/utf8.hpp"

#include <cstdint>
#include <cstring>

namespace plexspaces {

namespace {

constexpr std::uint64_t kHighBits = 0x8080808080808080ull;
constexpr std::size_t kCharacterBytesMax = 4;

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    std::uint64_t eight = 0;
    if (text.size() >= sizeof(eight)) {
      std::memcpy(&eight, text.data(), sizeof(eight));
      if ((eight & kHighBits) == 0) {
        text.remove_prefix(sizeof(eight));
        continue;
      }
    }
    std::size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string_view text_prefix(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  // Only the character over the edge matters; it begins at most three bytes before it.
  for (std::size_t back = 1; back < kCharacterBytesMax && back <= bytes_max; ++back) {
    std::size_t length = utf8_length(text.substr(bytes_max - back));
    if (length > back) return text.substr(0, bytes_max - back);
    if (length > 0) break;
  }
  return text.substr(0, bytes_max);
}

std::string excerpt(std::string_view text) {
  std::string quoted(text_prefix(text, kExcerptBytesMax));
  if (quoted.size() < text.size()) quoted += "...";
  return quoted;
}

}  // namespace plexspaces
