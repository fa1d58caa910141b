// How a router chooses one of its workers: values and pure functions.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "plexspaces/base/hash.hpp"

namespace plexspaces {

/// Which worker of a router gets a message. A worker that is not there at the moment is passed over, but for
/// kConsistentHash, whose keys do not move meanwhile.
enum class Routing : std::uint8_t {
  kRoundRobin,      // one after the other
  kLeastBusy,       // the one with the fewest messages waiting; of equals one after the other
  kBroadcast,       // every one. Of messages without a Reply
  kConsistentHash,  // equal keys go to the same worker. Of messages with `routing_key()`
};

inline constexpr std::size_t kRouterWorkersMax = 1'000;

namespace detail {

/// What kConsistentHash asks a message: an integer or a text.
template <class M>
concept HasRoutingKey = requires(const M& message) {
  { message.routing_key() } -> std::convertible_to<std::string_view>;
} || requires(const M& message) {
  { message.routing_key() } -> std::integral;
};

template <HasRoutingKey M>
std::uint64_t routing_hash(const M& message) {
  if constexpr (requires {
                  { message.routing_key() } -> std::integral;
                })
    return mix_hash(static_cast<std::uint64_t>(message.routing_key()));
  else
    return mix_hash(stable_hash(std::string_view(message.routing_key())));
}

/// The bucket of a key, below `buckets`, which is at least 1. Where there are n + 1 buckets and not n, one key in n + 1
/// is in another bucket, the last. Source: Lamping, Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm" (2014).
std::size_t jump_hash(std::uint64_t key, std::size_t buckets);

/// Chooses among workers that are there or not. The order goes on after the one that was chosen last.
class Rotation {
 public:
  /// @returns the next worker that is there; `there.size()` when none is.
  std::size_t next(std::span<const bool> there);
  /// @returns of those that are there the one with the fewest `waiting`; `there.size()` when none is.
  std::size_t least(std::span<const bool> there, std::span<const std::uint64_t> waiting);

 private:
  std::size_t after_ = 0;  // where the next search begins
};

}  // namespace detail
}  // namespace plexspaces
