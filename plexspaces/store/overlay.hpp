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
#include <unordered_map>
#include <utility>
#include <vector>

#include "plexspaces/base/error.hpp"
#include "plexspaces/store/store.hpp"

namespace plexspaces::store {

/// The rows that the log holds and the tables do not yet: what a write-behind store reads first. Pure: it does no I/O.
///
///     put/erase ---> [ rows, by actor ] ---sweep(), in key order, round and round---> tables
///
/// Rows are grouped by the actor whose row their key begins with: a commit finds all of its rows by one hash look-up,
/// where an ordered tree of all rows costs a cache miss for each level. Only the groups are kept in order.
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

 private:
  static constexpr std::size_t kTables = 4;
  using Rows = std::map<std::string, Row, std::less<>>;  // by what follows the actor's row in the key
  struct Group {
    std::array<Rows, kTables> tables;
    bool empty() const;
  };
  using GroupEntry = std::pair<const std::string, Group>;

 public:
  const Row* find(Table table, std::string_view key) const;

  /// `absent` says that no such row is visible now.
  void put(Table table, std::string_view key, std::string_view value, bool absent);
  void erase(Table table, std::string_view key, bool absent);
  /// The actor has `sequence` commits, and its state changes to `value`, is erased (kErased), or stays (kTableValue).
  void put_actor(std::string_view key, std::uint64_t sequence, Held held, std::string_view value);

  /// Hands rows to `write`, actor by actor in key order, on from where the last call stopped, and forgets them, until
  /// they sum to `budget` bytes or the end is reached.
  /// @returns true when the end was reached: all rows that were here at the beginning of this round have been written.
  /// @error that of `write`; the caller must revert().
  Result<bool> sweep(std::size_t budget, const std::function<Status(Table, const std::string& key, const Row&)>& write);

  /// Makes the changes since the last settle() final. `swept` is called for each row that sweep() has written.
  void settle(const std::function<void(Table, const std::string& key, const Row&)>& swept);
  /// Undoes the changes since the last settle().
  void revert();

  std::size_t bytes() const { return bytes_; }
  /// Bytes that count against the limit for a row.
  static std::size_t cost(std::string_view key, std::string_view value) {
    return key.size() + value.size() + kRowBytes;
  }

  /// The rows of one table whose keys begin with a prefix, in key order. The overlay must not change meanwhile.
  class Scan {
   public:
    Scan(const Overlay& overlay, Table table, std::string_view prefix);
    bool done() const { return done_; }
    const std::string& key() const { return key_; }
    const Row& row() const { return at_->second; }
    void next();

   private:
    void settle();

    const Overlay& overlay_;
    std::size_t table_;
    std::string prefix_;
    std::map<std::string_view, GroupEntry*>::const_iterator group_;
    Rows::const_iterator at_;
    std::string key_;
    bool done_ = false;
  };

 private:
  static constexpr std::size_t kRowBytes = 128;  // a tree node with its two strings
  static std::size_t index(Table table) { return static_cast<std::size_t>(table) - 1; }

  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const { return std::hash<std::string_view>()(key); }
  };
  struct Undo {
    GroupEntry* group = nullptr;
    std::size_t table = 0;
    bool swept = false;
    bool inserted = false;      // undone by removal
    const std::string* rest{};  // of the row's node, which lives in its map or in a later Undo
    Row* row{};
    std::optional<Row> before;  // undone by putting it back
    Rows::node_type node;       // undone by inserting it again
  };

  GroupEntry* find_group(std::string_view name) const;
  GroupEntry& make_group(std::string_view name);
  void end_changes();
  Row& change(std::size_t table, std::string_view key, bool absent);

  std::unordered_map<std::string, Group, Hash, std::equal_to<>> groups_;
  std::map<std::string_view, GroupEntry*> order_;  // of all groups
  mutable GroupEntry* last_ = nullptr;             // found last: a commit asks for the same group again and again
  std::vector<Undo> undo_;
  std::size_t bytes_ = 0;

  // The sweep goes on behind this row.
  struct Cursor {
    std::string group;
    std::size_t table = 0;
    std::optional<std::string> rest;  // nothing: before the first row of the table
  };
  Cursor cursor_;
  Cursor settled_cursor_;
};

}  // namespace plexspaces::store
