// A hash whose value never changes: stored rows and shard owners depend on it.
#pragma once

#include <cstdint>
#include <string_view>

namespace plexspaces {

inline constexpr std::uint64_t kStableHashSeed = 14695981039346656037ull;

/// FNV-1a, 64 bits. Equal on every machine and in every version. Chain calls by passing the former value as `seed`.
constexpr std::uint64_t stable_hash(std::string_view bytes, std::uint64_t seed = kStableHashSeed) {
  for (char byte : bytes) {
    seed ^= static_cast<unsigned char>(byte);
    seed *= 1099511628211ull;
  }
  return seed;
}

/// Spreads the bits of `value` (the finaliser of MurmurHash3): low bits become usable as an index.
constexpr std::uint64_t mix_hash(std::uint64_t value) {
  value ^= value >> 33;
  value *= 0xff51afd7ed558ccdull;
  value ^= value >> 33;
  value *= 0xc4ceb9fe1a85ec53ull;
  return value ^ (value >> 33);
}

}  // namespace plexspaces
