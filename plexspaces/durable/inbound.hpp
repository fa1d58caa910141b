// How far the messages of other durable actors to one actor have come.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "plexspaces/durable/records.hpp"

namespace plexspaces::durability {

/// Lets each message of a sender through once and in the order of its sequence. Pure. Threads: one at a time.
class Inbound {
 public:
  enum class Verdict {
    kNext,       // to be handled now
    kGap,        // an earlier one is missing: the sender sends all again, in order
    kDuplicate,  // applied before, though perhaps not committed yet
  };

  /// Takes the rows of an actor. Once, first.
  void load(std::vector<std::pair<ActorKey, StoredPeer>> rows) {
    for (auto& [sender, peer] : rows) senders_.emplace(std::move(sender), peer);
  }

  Verdict check(const InputId& id) const {
    std::uint64_t last = position(id.sender);
    if (id.sequence == last + 1) return Verdict::kNext;
    return id.sequence > last + 1 ? Verdict::kGap : Verdict::kDuplicate;
  }

  /// The message `id` has been handled. @returns the row of its sender.
  StoredPeer applied(const InputId& id) { return senders_[id.sender] = {id.incarnation, id.sequence}; }

  /// The sequence of the last message of `sender` that has been handled; 0: none.
  std::uint64_t position(const ActorKey& sender) const {
    auto found = senders_.find(sender);
    return found == senders_.end() ? 0 : found->second.sequence;
  }

 private:
  std::unordered_map<ActorKey, StoredPeer> senders_;
};

}  // namespace plexspaces::durability
