// Chance from a seed.
#pragma once

#include <array>
#include <cstdint>

#include "plexspaces/env/random.hpp"

namespace plexspaces::sim {

/// xoshiro256** (Blackman and Vigna): the same seed gives the same values on every machine. Threads: one.
class SimRandom final : public env::Random {
 public:
  explicit SimRandom(std::uint64_t seed);
  std::uint64_t next() override;

  /// True once in `n` calls on average. `n` > 0.
  bool one_in(std::uint64_t n) { return below(n) == 0; }

 private:
  std::array<std::uint64_t, 4> state_;
};

}  // namespace plexspaces::sim
