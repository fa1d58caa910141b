// How names in HTTP compare: whatever the case of their letters in ASCII.
#pragma once

#include <algorithm>
#include <string_view>

namespace plexspaces::http {

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

constexpr bool same_token(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::ranges::equal(a, b, {}, lower, lower);
}

/// Without the spaces and tabs around it.
constexpr std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t";
  std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

}  // namespace plexspaces::http
