// Limits that more than one module must agree on. A module's own limits stand in its options struct.
#pragma once

#include <cstddef>

namespace plexspaces {

/// Longest tenant, namespace, type or key of an actor, in bytes.
inline constexpr std::size_t kNameBytesMax = 256;
/// Longest Idempotency-Key, in bytes.
inline constexpr std::size_t kIdempotencyKeyBytesMax = 256;
/// Longest text of an error that is stored or leaves a node, in bytes, its causes included.
inline constexpr std::size_t kErrorTextBytesMax = 4096;
/// Largest encoded message or actor state, in bytes.
inline constexpr std::size_t kPayloadBytesMax = std::size_t{1} << 20;
/// Longest chain of asks, in actors.
inline constexpr std::size_t kCallChainMax = 64;
/// Logical shards of the key space.
inline constexpr std::size_t kShardCount = 256;

}  // namespace plexspaces
