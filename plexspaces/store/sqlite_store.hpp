// The Store on SQLite: a turn log, and tables written behind it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "plexspaces/env/clock.hpp"
#include "plexspaces/env/disk.hpp"
#include "plexspaces/env/random.hpp"
#include "plexspaces/store/store.hpp"

namespace plexspaces::store {

struct SqliteOptions {
  /// Largest transaction, in bytes of its commits; a larger group is made durable in several.
  std::size_t group_bytes_max = std::size_t{8} << 20;
  /// Rows newer than the tables, in memory: at most this and one group. The nearer they come, the more each commit
  /// sweeps: an eighth of what it adds to the log while there are few, twice as much when it is reached.
  std::size_t overlay_bytes_max = std::size_t{64} << 20;
  /// The turn log, which the next opening replays. In its upper half it makes each commit sweep more, as the overlay
  /// does; it is never longer than both limits together and one group.
  std::size_t log_bytes_max = std::size_t{48} << 20;
  /// The sweep waits until it owes this much: a lone commit touches no table page but the log's.
  std::size_t sweep_bytes_min = std::size_t{8} << 10;
  /// Log rows are deleted in portions of at least this much.
  std::size_t trim_bytes_min = std::size_t{64} << 10;
  /// Actors whose sequence is known without reading the table.
  std::size_t actor_cache_max = 1u << 17;
  /// SQLite's page cache.
  std::size_t page_cache_bytes = std::size_t{16} << 20;
  /// The log file (WAL) is moved into the database file when it reaches this size. Bounds recovery and the pause of a
  /// checkpoint.
  std::size_t checkpoint_bytes = std::size_t{8} << 20;
};

/// Opens the store in `directory` (created when missing), which it locks: the files plexspaces.db and -wal, and -torn-1
/// to -torn-4 with what recovery has cut off.
///
///     commit():  decide each commit -> [ turn_log row + some overlay rows into tables ] one transaction, one sync
///     read:      overlay first, then the tables
///     open:      check the log file -> tables -> replay the turn log into the overlay
///
/// The file is at format version kStoreFormat (docs/disk-format.md). Opening raises the epoch, durably, before it
/// returns.
///
/// `disk`, `random` and `clock` outlive the store.
/// @error kFailedPrecondition: another process holds the directory, or another version wrote the file. kDataLoss: the
/// file is damaged; nothing of it is served. kPermissionDenied, kResourceExhausted, kUnavailable: as the disk says.
Result<std::unique_ptr<Store>> open_sqlite(env::Disk& disk, env::Random& random, env::Clock& clock,
                                           std::string directory, SqliteOptions options = {});

/// The files that an open store in `directory` has, from open_sqlite() to its end.
std::vector<std::string> sqlite_files(const std::string& directory);

inline constexpr std::uint64_t kStoreFormat = 2;

}  // namespace plexspaces::store
