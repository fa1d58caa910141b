// Whom an actor watches, who watches it, and whom it is linked to.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>

#include "plexspaces/actor/lifecycle/exit.hpp"

namespace plexspaces::detail {

/// Of an actor with a link or a monitor, or a reason to end with; other actors have none. Belongs to the home worker
/// and moves with the actor. Ordered, so that a simulation repeats itself.
///
/// A link is an entry with the same id at both ends. Each call of link() makes its own id, so what is under way for an
/// earlier link between the two changes nothing of a later one; when both ends link at once there are two links, and
/// unlink() and the end of either remove them together.
struct ExitLinks {
  std::map<std::uint64_t, ActorId> monitors;          // ours, by id: the target
  std::map<std::uint64_t, ActorId> watchers;          // of others on us, by id: the watcher
  std::set<std::pair<ActorId, std::uint64_t>> links;  // the other end, id
  ExitReason reason;
  ActorId parent;  // the actor that has started this one by spawn_linked()
  bool trap_exits = false;

  bool linked(ActorId to) const {
    auto link = links.lower_bound({to, 0});
    return link != links.end() && link->first == to;
  }
};

}  // namespace plexspaces::detail
