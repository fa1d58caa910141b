// What can be known of a write-ahead log before it is trusted.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "plexspaces/base/error.hpp"
#include "plexspaces/env/disk.hpp"

namespace plexspaces::store {

/// The identity of one generation of SQLite's log file; the first word rises by one when the log starts over.
using WalSalt = std::array<std::uint32_t, 2>;

/// How much of which log must be there: written before pages of the log go into the database file, because from then on
/// the database is whole only together with that part of the log.
struct WalMark {
  WalSalt salt{};
  std::uint64_t bytes = 0;

  static constexpr std::size_t kBytes = 32;
  std::string encode() const;
  /// @error kDataLoss: not what encode() returns.
  static Result<WalMark> decode(std::string_view bytes);
};

/// The sound part of a log.
struct WalState {
  WalSalt salt{};
  std::uint64_t bytes = 0;  // up to the end of the last whole transaction; 0 when the log is empty
};

/// Reads a log as SQLite's recovery does, and beyond: a crash can leave at most the tail of ONE transaction after the
/// sound part, because each is synced before the next begins. More is damage, which recovery would drop in silence.
/// @error kDataLoss: the log is damaged, or does not reach what `mark` says.
Result<WalState> check_wal(env::File& wal, const std::string& path, std::size_t page_bytes,
                           const std::optional<WalMark>& mark);

}  // namespace plexspaces::store
