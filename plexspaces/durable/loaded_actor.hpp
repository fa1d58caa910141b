// All that the store holds of one actor.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "plexspaces/durable/records.hpp"
#include "plexspaces/store/store.hpp"

namespace plexspaces::durability {

/// What the store holds of an actor.
struct LoadedActor {
  std::uint64_t sequence = 0;
  Value<StoredActor> actor;
  std::vector<std::pair<std::string, Value<StoredOutcome>>> outcomes;  // by client key
  std::vector<std::pair<ActorKey, StoredPeer>> senders;
  std::vector<std::pair<ActorKey, StoredPeer>> receivers;
  std::vector<std::pair<std::uint64_t, Value<StoredMessage>>> outbox;  // by id
  std::vector<std::uint64_t> dead_letters;                             // their ids
};

/// Reads all rows of `key`. Where blocking is allowed.
Result<LoadedActor> load_actor(store::Store& store, const ActorKey& key);

}  // namespace plexspaces::durability
