#include "plexspaces/env/posix/random.hpp"

#include <array>
#include <cerrno>

#include <sys/random.h>

#include "plexspaces/base/check.hpp"
#include "plexspaces/base/hash.hpp"

namespace plexspaces::env {

PosixRandom::PosixRandom() : state_(0), key_(0) {
  std::array<std::uint64_t, 2> seed{};
  ssize_t got = 0;
  do {
    got = ::getrandom(seed.data(), sizeof seed, 0);
  } while (got < 0 && errno == EINTR);
  PLX_CHECK(got == static_cast<ssize_t>(sizeof seed), "the kernel gives 16 random bytes once it has booted");
  state_.store(seed[0], std::memory_order_relaxed);
  key_ = seed[1];
}

// SplitMix64 with a second seed: one atomic addition, so threads need no state of their own.
std::uint64_t PosixRandom::next() {
  std::uint64_t value = state_.fetch_add(0x9e3779b97f4a7c15ull, std::memory_order_relaxed) ^ key_;
  return mix_hash(mix_hash(value) + key_);
}

}  // namespace plexspaces::env
