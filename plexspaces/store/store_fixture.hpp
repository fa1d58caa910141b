// What the tests of the store share: short ways to write commits and to compare contents.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "plexspaces/store/store.hpp"

namespace plexspaces::store::testing_support {

inline ActorKey actor(const std::string& key) { return ActorKey{"t", "n", "counter", key}; }
inline std::string row_key(const std::string& key, const std::string& rest) {
  return actor(key).to_row() + std::string(1, '\0') + rest;
}

/// A commit of the state `value` with one record.
inline Commit set_state(const Store& store, const std::string& key, std::uint64_t sequence, std::string value) {
  Commit commit{.epoch = store.epoch(actor(key).shard()), .actor = actor(key), .expected_sequence = sequence};
  commit.records.push_back("record of " + value);
  commit.mutations.push_back({.table = Table::kActor, .key = actor(key).to_row(), .value = std::move(value)});
  return commit;
}

inline Commit& with(Commit& commit, Table table, std::string key, std::optional<std::string> value,
                    Precondition precondition = Precondition::kNone) {
  commit.mutations.push_back(
      {.table = table, .key = std::move(key), .value = std::move(value), .precondition = precondition});
  return commit;
}

/// All that a store shows: rows of every table, and the sequences of `actors`.
struct Contents {
  std::map<std::pair<int, std::string>, std::string> rows;
  std::map<std::string, std::pair<std::uint64_t, std::string>> actors;
  friend bool operator==(const Contents&, const Contents&) = default;
};

inline Result<Contents> read_all(Store& store, const std::vector<std::string>& actors) {
  Contents contents;
  for (Table table : {Table::kActor, Table::kOutcome, Table::kPeer, Table::kOutbox}) {
    PLX_TRY_STATUS(store.scan(table, "", [&](std::string_view key, std::string_view value) {
      contents.rows.emplace(std::pair(static_cast<int>(table), std::string(key)), value);
      return true;
    }));
  }
  for (const std::string& key : actors) {
    PLX_TRY(row, store.load(actor(key)));
    contents.actors[key] = {row.sequence, row.value};
  }
  return contents;
}

}  // namespace plexspaces::store::testing_support
