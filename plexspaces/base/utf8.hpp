// Whether bytes are text, and how much of a text an error quotes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace plexspaces {

/// Longest excerpt() of a text, in bytes.
inline constexpr std::size_t kExcerptBytesMax = 64;

/// @returns the number of bytes of the UTF-8 character that `text` begins with, 0 when it begins with none (RFC 3629:
/// no surrogates, no overlong forms, nothing above U+10FFFF).
constexpr std::size_t utf8_length(std::string_view text) {
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  auto follows = [&](std::size_t i) { return text.size() > i && (byte(i) & 0xC0) == 0x80; };
  if (text.empty()) return 0;
  unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead < 0xC2) return 0;
  if (lead < 0xE0) return follows(1) ? 2 : 0;
  if (lead < 0xF0) {
    if (!follows(1) || !follows(2)) return 0;
    if (lead == 0xE0 && byte(1) < 0xA0) return 0;
    if (lead == 0xED && byte(1) > 0x9F) return 0;
    return 3;
  }
  if (lead > 0xF4 || !follows(1) || !follows(2) || !follows(3)) return 0;
  if (lead == 0xF0 && byte(1) < 0x90) return 0;
  if (lead == 0xF4 && byte(1) > 0x8F) return 0;
  return 4;
}

bool is_utf8(std::string_view text);

/// @returns the longest beginning of `text` that has at most `bytes_max` bytes and does not end inside a character.
/// Bytes that are not UTF-8 count as characters.
std::string_view text_prefix(std::string_view text, std::size_t bytes_max);

/// What an error quotes of a text that came from outside: its beginning, and "..." in place of the rest.
std::string excerpt(std::string_view text);

}  // namespace plexspaces
