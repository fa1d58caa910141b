// What the tests of the store share: short ways to write commits and to compare contents.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "plexspaces/store/sqlite_store.hpp"
#include "plexspaces/store/store.hpp"

namespace plexspaces::store::testing_support {

inline ActorKey actor(const std::string& key) { return ActorKey{"t", "n", "counter", key}; }
inline std::string row_key(const std::string& key, const std::string& rest) {
  return store::actor_row(actor(key)) + std::string(1, '\0') + rest;
}

/// Small limits, drawn: sweeps, trims and checkpoints happen all the time, or hardly ever.
template <class Random>
SqliteOptions any_options(Random&& below) {
  auto one_of = [&](std::initializer_list<std::size_t> sizes) { return sizes.begin()[below(sizes.size())]; };
  return {.group_bytes_max = one_of({4096, 65536}),
          .overlay_bytes_max = one_of({2048, 16384, 65536}),
          .log_bytes_max = one_of({2048, 16384, 65536}),
          .sweep_bytes_min = one_of({64, 128, 1024}),
          .trim_bytes_min = one_of({1, 256, 1024}),
          .actor_cache_max = 2,
          .page_cache_bytes = 65536,
          .checkpoint_bytes = one_of({40'000, 49'152, 65'536})};
}
inline std::string text(const SqliteOptions& options) {
  return fmt::format("group {} overlay {} log {} sweep {} trim {} checkpoint {}", options.group_bytes_max,
                     options.overlay_bytes_max, options.log_bytes_max, options.sweep_bytes_min, options.trim_bytes_min,
                     options.checkpoint_bytes);
}

/// A commit of the state `value` with one record.
inline Commit set_state(const Store& store, const std::string& key, std::uint64_t sequence, std::string value) {
  Commit commit{.epoch = store.epoch(actor(key).shard()), .actor = actor(key), .expected_sequence = sequence};
  commit.records.push_back("record of " + value);
  commit.mutations.push_back({.table = Table::kActor, .key = store::actor_row(actor(key)), .value = std::move(value)});
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
