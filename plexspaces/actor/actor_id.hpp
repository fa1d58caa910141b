// Where a live actor is.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

#include "plexspaces/codec/description.hpp"

namespace plexspaces {

/// A node of this process, as references name it: a place in the process's table of runtimes and a number that no later
/// runtime in that place has.
struct NodeId {
  std::uint32_t place = 0;
  std::uint32_t incarnation = 0;

  friend auto operator<=>(const NodeId&, const NodeId&) = default;
};

/// A live actor of one node: a slot and the generation of its tenant. A later actor in the same slot has another
/// generation, so a stale id reaches nobody.
struct ActorId {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;  // 0: no actor

  explicit operator bool() const { return generation != 0; }
  friend auto operator<=>(const ActorId&, const ActorId&) = default;
};

PLX_MESSAGE(NodeId, (1, place), (2, incarnation));
PLX_MESSAGE(ActorId, (1, slot), (2, generation));

}  // namespace plexspaces

template <>
struct std::hash<plexspaces::ActorId> {
  std::size_t operator()(plexspaces::ActorId id) const noexcept {
    return (std::size_t{id.generation} << 32 | id.slot) * 0x9e3779b97f4a7c15ull;
  }
};
