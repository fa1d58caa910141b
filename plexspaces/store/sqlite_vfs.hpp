// SQLite's files over the ports of the world.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "plexspaces/env/clock.hpp"
#include "plexspaces/env/disk.hpp"
#include "plexspaces/env/random.hpp"

namespace plexspaces::store {

/// A VFS for one database of one directory, the same in production and simulation. It adds to SQLite what the store's
/// promises need:
///
///  - Each page of the database file ends with its checksum and number; a page that does not match is
///  SQLITE_IOERR_DATA.
///  - The first failed write, truncation or sync (a full disk apart) is kept, and no file is touched again (INV-J3).
///  - Before a checkpoint write_mark() records which part of the log the database file will depend on (wal_check.hpp).
///
/// No locks: the store holds the directory. No shared memory: locking_mode=EXCLUSIVE. Declared of the disk: what
/// env::File promises, that is power-safe overwrite in sectors of 512 bytes and nothing else.
///
/// Threads: one. Lifetime: outlives the connections opened through it.
class SqliteVfs {
 public:
  static constexpr std::size_t kPageBytes = 4096;
  static constexpr int kReservedBytes = 8;  // of each page: checksum, page number

  /// `database` is the path of the database file; its log and its mark lie beside it.
  SqliteVfs(env::Disk& disk, env::Random& random, env::Clock& clock, std::string database);
  SqliteVfs(const SqliteVfs&) = delete;
  SqliteVfs& operator=(const SqliteVfs&) = delete;
  ~SqliteVfs();

  /// The name that this VFS has for SQLite: unique among those alive.
  const char* name() const;

  /// Checks what is on the disk before SQLite sees it, and cuts a torn tail off the log. @error kDataLoss: it is
  /// damaged.
  Status recover();

  /// The bytes of the log in use. A checkpoint lets it start over.
  std::uint64_t wal_bytes() const;
  /// Makes durable that the database file will depend on the log as it is now. Before each checkpoint.
  Status write_mark();
  /// Cuts off what a refused transaction has left in the log.
  Status discard_unsynced_wal();

  /// The failure after which nothing is touched any more, or null.
  const Error* failure() const;
  /// What the disk said last when it refused something, or null: SQLite's own codes do not name it.
  const Error* last_error() const;

  struct Impl;  // opaque: SQLite calls back into it

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace plexspaces::store
