// What can be known of a write-ahead log before it is trusted.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "plexspaces/base/error.hpp"
#include "plexspaces/env/disk.hpp"

namespace plexspaces::store {

/// The identity of one generation of SQLite's log file; the first word rises by one when the log starts over.
using WalSalt = std::array<std::uint32_t, 2>;

/// What ties a database file to its log: it stands in the database file itself, and says which log must lie beside it.
///
///  - Before pages of a log go into the database file, and when the store is closed: that log, of at least these bytes.
///  - Before another log begins: also that one (`next`). The database file then has all of the log before it.
///  - In a new database file, and when a log was found with nothing in it: none (`salt` zero), until the next begins.
///
/// So a file of another moment is found out, whichever it is.
struct WalTie {
  WalSalt salt{};
  std::uint64_t bytes = 0;
  WalSalt next{};
  std::uint32_t checkpoint = 0;  // of the last checkpoint that has begun: no page of the file is of a later one

  bool needs_log() const { return salt != WalSalt{}; }
  friend bool operator==(const WalTie&, const WalTie&) = default;

  static constexpr std::size_t kBytes = 32;
  std::string encode() const;
  /// @error kDataLoss: not what encode() returns.
  static Result<WalTie> decode(std::string_view bytes);
};

/// The sound part of a log.
struct WalState {
  WalSalt salt{};
  std::uint64_t bytes = 0;     // up to the end of the last whole transaction; 0 when the log is empty
  std::uint64_t torn_end = 0;  // what lies from there up to here was begun and is not whole
};

/// The two files, for messages.
struct StorePaths {
  std::string database;
  std::string wal;
};

/// Files of one folder that were not written together: `which` says which is older. @returns the error, kDataLoss.
std::unexpected<Error> different_moments(const std::string& which);

/// Reads a log as SQLite's recovery does, and beyond: a crash can leave at most the tail of ONE transaction after the
/// sound part, because each is synced before the next begins. More is damage, which recovery would drop in silence.
/// @error kDataLoss: the log is damaged, or is not the one that `tie` wants.
Result<WalState> check_wal(env::File& wal, const StorePaths& paths, std::size_t page_bytes, const WalTie& tie);

}  // namespace plexspaces::store
