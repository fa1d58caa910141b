// Chance from the operating system.
#pragma once

#include <atomic>
#include <cstdint>

#include "plexspaces/base/error.hpp"
#include "plexspaces/env/random.hpp"

namespace plexspaces::env {

/// A fast generator whose state is seeded by getrandom(2): ids that do not collide between processes. Not for secrets:
/// who sees one value can compute the next.
class PosixRandom final : public Random {
 public:
  PosixRandom();
  std::uint64_t next() override;

 private:
  std::atomic<std::uint64_t> state_;
  std::uint64_t key_;
};

}  // namespace plexspaces::env
