#include "plexspaces/sim/random.hpp"

#include <bit>

#include "plexspaces/base/hash.hpp"

namespace plexspaces::sim {

SimRandom::SimRandom(std::uint64_t seed) {
  for (std::uint64_t& word : state_) word = mix_hash(seed += 0x9e3779b97f4a7c15ull);
}

std::uint64_t SimRandom::next() {
  std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  std::uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

}  // namespace plexspaces::sim
