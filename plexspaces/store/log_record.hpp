// The bytes of one row of the turn log.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plexspaces/base/error.hpp"
#include "plexspaces/store/overlay.hpp"
#include "plexspaces/store/store.hpp"

namespace plexspaces::store {

/// Builds the row of one group commit.
///
///     [ format 2 ] [ crc32c, 4 bytes, little endian ] [ commit count ] commits ... [ 0, or 1 and the sweep ]
///     commit:    epoch, expected sequence, id, actor row, record count, records, mutation count, mutations
///     mutation:  flags, key, value unless erased
///     flags:     bits 0-3 the table, bit 4 erases, bit 5 the key is the actor's row followed by what is stored,
///                bit 6 before the commit neither the table nor the overlay had such a row, not even an erased one
///     sweep:     group and rest of the places from, to and lap_end: which rows the same transaction wrote into the
///                tables (Overlay::Swept)
///
/// Numbers are varints (LEB128), strings a length and bytes. The checksum covers the row's position (8 bytes, little
/// endian) and all that follows it, so that a row at another position is damage too.
class LogRecordBuilder {
 public:
  void start();
  /// `absent[i]`: mutation i is known to find no row, not even an erased one.
  void append(const Commit& commit, std::string_view actor_row, const std::vector<bool>& absent);
  std::size_t count() const { return count_; }
  std::size_t bytes() const { return body_.size(); }
  /// @returns the finished row, valid until start().
  std::string_view finish(std::uint64_t position, const std::optional<Overlay::Swept>& swept);

 private:
  std::string body_;
  std::string row_;
  std::size_t count_ = 0;
};

/// A commit as the log keeps it. Views into the row.
struct LoggedMutation {
  Table table = Table::kActor;
  std::string key;
  std::optional<std::string_view> value;
  bool absent = false;
};
struct LoggedCommit {
  std::uint64_t epoch = 0;
  std::uint64_t expected_sequence = 0;
  std::uint64_t id = 0;
  std::string_view actor_row;
  std::vector<std::string_view> records;
  std::vector<LoggedMutation> mutations;
};

/// Calls `visit` for each commit of the row at `position`, in order.
/// @returns what the transaction has swept. @error kDataLoss: the row is damaged, or of a later format; nothing was
/// visited when the checksum shows it.
Result<std::optional<Overlay::Swept>> read_log_record(std::uint64_t position, std::string_view row,
                                                      const std::function<void(const LoggedCommit&)>& visit);

}  // namespace plexspaces::store
