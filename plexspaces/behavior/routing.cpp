#include "plexspaces/behavior/routing.hpp"

namespace plexspaces::detail {

std::size_t jump_hash(std::uint64_t key, std::size_t buckets) {
  std::int64_t bucket = -1;
  std::int64_t next = 0;
  while (next < static_cast<std::int64_t>(buckets)) {
    bucket = next;
    key = key * 2862933555777941757ull + 1;
    next = static_cast<std::int64_t>(static_cast<double>(bucket + 1) * (static_cast<double>(std::int64_t{1} << 31) /
                                                                        static_cast<double>((key >> 33) + 1)));
  }
  return static_cast<std::size_t>(bucket);
}

std::size_t Rotation::next(std::span<const bool> there) {
  for (std::size_t step = 0; step < there.size(); ++step) {
    std::size_t at = (after_ + step) % there.size();
    if (!there[at]) continue;
    after_ = at + 1;
    return at;
  }
  return there.size();
}

std::size_t Rotation::least(std::span<const bool> there, std::span<const std::uint64_t> waiting) {
  std::size_t best = there.size();
  for (std::size_t step = 0; step < there.size(); ++step) {
    std::size_t at = (after_ + step) % there.size();
    if (there[at] && (best == there.size() || waiting[at] < waiting[best])) best = at;
  }
  if (best != there.size()) after_ = best + 1;
  return best;
}

}  // namespace plexspaces::detail
