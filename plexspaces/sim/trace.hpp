// What happened in a run, as one number.
#pragma once

#include <cstdint>

#include "plexspaces/base/hash.hpp"

namespace plexspaces::sim {

/// A hash over every choice and event of a simulated run: equal runs have equal hashes. Threads: one.
class Trace {
 public:
  void note(std::uint64_t event) { hash_ = mix_hash(hash_ * 31 + event + ++count_); }

  std::uint64_t hash() const { return hash_; }
  std::uint64_t count() const { return count_; }

 private:
  std::uint64_t hash_ = 0;
  std::uint64_t count_ = 0;
};

}  // namespace plexspaces::sim
