// Rows that are newer than the tables.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plexspaces/base/error.hpp"
#include "plexspaces/store/store.hpp"

namespace plexspaces::store {

/// The rows that the log holds and the tables do not yet: what a write-behind store reads first. Pure: it does no I/O.
///
///     put/erase ---> [ ordered rows of each table ] ---sweep(), in key order, round and round---> tables
///
/// Changes since the last settle() can be undone, because a transaction may fail: revert().
///
/// A row that was born here (the tables have none under its key) and is erased before it was swept vanishes without a
/// trace. Threads: one.
class Overlay {
 public:
  enum class Held : std::uint8_t {
    kValue,       // `value` is the row
    kErased,      // there is no row, whatever the table says
    kTableValue,  // only the sequence is newer (kActor): the value is the table's
  };
  struct Row {
    Held held = Held::kValue;
    bool born = false;           // the table has no row under this key
    std::uint64_t sequence = 0;  // kActor only
    std::string value;
  };
  using Rows = std::map<std::string, Row, std::less<>>;

  const Row* find(Table table, std::string_view key) const;
  const Rows& rows(Table table) const { return tables_[index(table)]; }

  /// `absent` says that no such row is visible now.
  void put(Table table, std::string_view key, std::string_view value, bool absent);
  void erase(Table table, std::string_view key, bool absent);
  /// The actor has `sequence` commits, and its state changes to `value`, is erased (kErased), or stays (kTableValue).
  void put_actor(std::string_view key, std::uint64_t sequence, Held held, std::string_view value);

  /// Hands rows to `write` in key order, on from where the last call stopped, and forgets them, until they sum to
  /// `budget` bytes or the end is reached.
  /// @returns true when the end was reached: all rows that were here at the beginning of this round have been written.
  /// @error that of `write`; the caller must revert().
  Result<bool> sweep(std::size_t budget, const std::function<Status(Table, const std::string& key, const Row&)>& write);

  /// Makes the changes since the last settle() final. `swept` is called for each row that sweep() has written.
  void settle(const std::function<void(Table, const std::string& key, const Row&)>& swept);
  /// Undoes the changes since the last settle().
  void revert();

  std::size_t bytes() const { return bytes_; }
  std::size_t row_count() const;
  /// Bytes that count against the limit for a row.
  static std::size_t cost(std::string_view key, std::string_view value) {
    return key.size() + value.size() + kRowBytes;
  }

 private:
  static constexpr std::size_t kTables = 4;
  static constexpr std::size_t kRowBytes = 128;  // a tree node with its two strings
  static std::size_t index(Table table) { return static_cast<std::size_t>(table) - 1; }

  struct Undo {
    std::size_t table = 0;
    bool swept = false;
    bool inserted = false;     // undone by removal
    const std::string* key{};  // of the node, which lives in the map or in a later Undo
    Row* row{};
    std::optional<Row> before;  // undone by putting it back
    Rows::node_type node;       // undone by inserting it again
  };

  Row& change(std::size_t table, std::string_view key, bool absent);

  std::array<Rows, kTables> tables_;
  std::vector<Undo> undo_;
  std::size_t bytes_ = 0;
  // The sweep goes on behind this row.
  std::size_t cursor_table_ = 0;
  std::string cursor_key_;
  std::size_t settled_cursor_table_ = 0;
  std::string settled_cursor_key_;
};

}  // namespace plexspaces::store
