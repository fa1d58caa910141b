#include "plexspaces/testkit/seed.hpp"

#include <charconv>
#include <cstdlib>
#include <string_view>

#include <fmt/format.h>

namespace plexspaces::testkit {

std::optional<std::uint64_t> seed_from_environment() {
  const char* text = std::getenv("PLX_SEED");
  if (text == nullptr) return std::nullopt;
  std::string_view digits(text);
  std::uint64_t seed = 0;
  auto [end, error] = std::from_chars(digits.begin(), digits.end(), seed);
  if (error != std::errc() || end != digits.end()) return std::nullopt;
  return seed;
}

std::string seed_text(std::uint64_t seed) { return fmt::format("seed {0} (PLX_SEED={0} repeats it)", seed); }

}  // namespace plexspaces::testkit
