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
///  - Each page of the database file ends with its checksum and the number of the checkpoint that wrote it; a page that
///  does not match is SQLITE_IOERR_DATA. The last page has the number of the last checkpoint.
///  - The first failed write, truncation or sync (a full disk apart) is kept, and no file is touched again (INV-J3).
///  - The first page of the database file also says which log must lie beside it (WalTie): write_tie() before each
///  checkpoint and at the end; the VFS itself when a log begins.
///
/// No locks: the store holds the directory. No shared memory: locking_mode=EXCLUSIVE. Declared of the disk: what
/// env::File promises, that is power-safe overwrite in sectors of 512 bytes and nothing else.
///
/// Threads: one. Lifetime: outlives the connections opened through it.
class SqliteVfs {
 public:
  static constexpr std::size_t kPageBytes = 4096;
  static constexpr int kReservedBytes = 40;  // of each page: checksum, checkpoint; on the first the WalTie

  /// `database` is the path of the database file; its log lies beside it.
  SqliteVfs(env::Disk& disk, env::Random& random, env::Clock& clock, std::string database);
  SqliteVfs(const SqliteVfs&) = delete;
  SqliteVfs& operator=(const SqliteVfs&) = delete;
  ~SqliteVfs();

  /// The name that this VFS has for SQLite: unique among those alive.
  const char* name() const;

  /// Checks what is on the disk before SQLite sees it, and cuts a torn tail off the log, which it keeps in a file
  /// beside it (kTornFilesMax of them; the last one is written over). @error kDataLoss: it is damaged, or the files are
  /// of different moments. kFailedPrecondition: of another format version.
  Status recover();
  static constexpr int kTornFilesMax = 4;

  /// What recover() has cut off and where it is, for people; empty when nothing.
  const std::string& recovery_note() const;

  /// The bytes of the log in use. A checkpoint lets it start over.
  std::uint64_t wal_bytes() const;
  /// Makes durable that the database file depends on the log as it is now. Before each checkpoint, and at the end.
  Status write_tie();
  /// write_tie(), if the database file needs no log so far: from now on its log cannot vanish unseen.
  Status name_new_log();
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
