#include "plexspaces/base/suggest.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

namespace plexspaces {

namespace {

constexpr std::size_t kEditsMax = 2;
constexpr std::size_t kListedMax = 8;

// Levenshtein's distance, one row at a time.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string suggest(std::string_view unknown, std::span<const std::string> known) {
  const std::string* nearest = nullptr;
  std::size_t nearest_distance = kEditsMax + 1;
  for (const std::string& name : known) {
    // Cheap whatever its length: what is unknown comes from outside, and may have a megabyte.
    if (std::max(unknown.size(), name.size()) - std::min(unknown.size(), name.size()) > kEditsMax) continue;
    std::size_t distance = edit_distance(unknown, name);
    if (distance < nearest_distance) {
      nearest = &name;
      nearest_distance = distance;
    }
  }
  if (nearest != nullptr) return " (did you mean '" + *nearest + "'?)";
  if (known.empty()) return {};
  std::string list = "; known: ";
  for (std::size_t i = 0; i < std::min(known.size(), kListedMax); ++i) list += (i == 0 ? "" : ", ") + known[i];
  if (known.size() > kListedMax) list += ", ...";
  return list;
}

}  // namespace plexspaces
