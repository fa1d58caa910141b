#include "plexspaces/durable/loaded_actor.hpp"

namespace plexspaces::durability {

Result<LoadedActor> load_actor(store::Store& store, const ActorKey& key) {
  LoadedActor loaded;
  auto visit = [&](store::Table table, std::string_view suffix, std::string_view value) -> Status {
    if (table == store::Table::kOutcome) {
      PLX_TRY(outcome, from_value<StoredOutcome>(value, "outcome"));
      loaded.outcomes.emplace_back(suffix, std::move(outcome));
    } else if (table == store::Table::kPeer) {
      PLX_TRY(peer, ActorKey::from_row(suffix.substr(1)));
      PLX_TRY(stored, from_value<StoredPeer>(value, "peer"));
      auto& peers = suffix.front() == 'i' ? loaded.senders : loaded.receivers;
      peers.emplace_back(std::move(peer), stored.header);
    } else if (table == store::Table::kOutbox) {
      std::uint64_t id = outbox_id_of(suffix);
      if (auto dead_letter = dead_letter_id_of(id)) {
        loaded.dead_letters.push_back(*dead_letter);
        return {};
      }
      PLX_TRY(message, from_value<StoredMessage>(value, "message"));
      loaded.outbox.emplace_back(id, std::move(message));
    }
    return {};
  };
  PLX_TRY(row, store.load_rows(key, visit));
  loaded.sequence = row.sequence;
  if (!row.value.empty()) {
    PLX_TRY(actor, from_value<StoredActor>(row.value, "actor"));
    loaded.actor = std::move(actor);
  }
  return loaded;
}

}  // namespace plexspaces::durability
