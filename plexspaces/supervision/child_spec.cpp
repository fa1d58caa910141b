#include "plexspaces/supervision/child_spec.hpp"

#include <algorithm>
#include <cmath>

namespace plexspaces {

Duration backoff_delay(const Backoff& backoff, std::uint32_t attempt, std::uint64_t random) {
  auto max = static_cast<double>(backoff.max.count());
  double delay = std::min(max, static_cast<double>(backoff.initial.count()) * std::pow(backoff.factor, attempt));
  double share = static_cast<double>(random >> 11) * 0x1p-53;  // [0, 1)
  delay *= 1 + (backoff.jitter * (2 * share - 1));
  return Duration(static_cast<Duration::rep>(std::clamp(delay, 0.0, max)));
}

}  // namespace plexspaces
