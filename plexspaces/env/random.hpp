// The port to chance.
#pragma once

#include <cstdint>

namespace plexspaces::env {

/// Uniform random bits. Real: from the operating system. Simulated: from the seed. Threads: any.
class Random {
 public:
  virtual ~Random() = default;
  virtual std::uint64_t next() = 0;

  /// Uniform in [0, bound). `bound` > 0.
  std::uint64_t below(std::uint64_t bound) {
    return static_cast<std::uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
  }
};

}  // namespace plexspaces::env
