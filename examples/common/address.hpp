// An actor's address as a field of a message.
#pragma once

#include <cstdint>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/codec/description.hpp"

namespace plexspaces::examples {

/// Where a live actor of the same runtime is. What an `ActorRef` says, as a value that a message can carry.
struct Address {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;

  friend bool operator==(const Address&, const Address&) = default;
};
PLX_MESSAGE(Address, (1, slot), (2, generation));

inline Address address_of(ActorId id) { return {id.slot, id.generation}; }

/// @returns the actor at `address`, which must be an `A`.
template <class A>
ActorRef<A> actor_at(Address address, const Context& ctx) {
  return ActorRef<A>(ctx.runtime().node_id(), {address.slot, address.generation});
}

}  // namespace plexspaces::examples
