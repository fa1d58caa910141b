// How far the messages of other durable actors to one actor have come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "plexspaces/durable/options.hpp"
#include "plexspaces/durable/records.hpp"

namespace plexspaces::durability {

/// Lets each message of a sender through once and in the order of its sequence, and spaces out the attempts at one
/// whose handling fails. Senders do not hold each other up. Pure. Threads: one at a time.
class Inbound {
 public:
  enum class Verdict {
    kNext,       // to be handled now
    kGap,        // an earlier one is missing: the sender is to be told, and sends again from position() + 1
    kKnownGap,   // the same, and the sender has been told
    kHeld,       // the lane waits for its next attempt: to be dropped
    kDuplicate,  // applied before, though perhaps not committed yet
  };

  explicit Inbound(const DurableOptions& options) : options_(options) {}

  /// Takes the rows of an actor. Once, first.
  void load(std::vector<std::pair<ActorKey, StoredPeer>> rows);

  Verdict check(const InputId& id, TimePoint now);

  /// The message `id` has been handled, or given up. @returns the row of its sender.
  StoredPeer applied(const InputId& id);

  /// The handling of `id`, which was next, has failed and has left nothing.
  /// @returns how long its lane is held until the next attempt; nothing: that was the last one.
  std::optional<Duration> failed(const InputId& id, TimePoint now);
  /// Holds the lane of `id` for retry_after_max, though no attempt is left. @returns that.
  Duration hold_longest(const InputId& id, TimePoint now);

  /// The sequence of the last message of `sender` that has been handled; 0: none.
  std::uint64_t position(const ActorKey& sender) const;

 private:
  // A lane that does not simply go on.
  struct Trouble {
    std::uint64_t gap_told_at = UINT64_MAX;  // the position at which the sender was told of a gap
    std::uint32_t attempts = 0;              // at the next message
    TimePoint held_until = TimePoint::min();
  };

  const DurableOptions& options_;
  std::unordered_map<ActorKey, StoredPeer> senders_;
  std::unordered_map<ActorKey, Trouble> troubles_;
};

}  // namespace plexspaces::durability
