// Rows that are newer than the tables.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
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
///     put/erase ---> [ rows, by actor ] ---sweep(), lap by lap in key order---> tables
///
/// Rows are grouped by the actor whose row their key begins with: a commit finds all of its rows by one hash look-up,
/// where an ordered tree of all rows costs a cache miss for each level. Only the groups are kept in order.
///
/// Each row knows the log row that holds its present contents: log rows below oldest_position() hold nothing that the
/// tables lack. A lap of the sweep ends behind the row that was the last one when it began, so keys that only grow
/// cannot push its end away.
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
    kTableValue,  // only the version is newer (kActor): the value is the table's
  };
  /// An actor's last commit.
  struct Version {
    std::uint64_t sequence = 0;
    std::uint64_t epoch = 0;
    std::uint64_t commit_id = 0;
    friend bool operator==(const Version&, const Version&) = default;
  };
  struct Row {
    Held held = Held::kValue;
    bool born = false;           // the table has no row under this key
    std::uint64_t position = 0;  // the log row from which on the log holds all of this row that the table lacks
    Version version;             // kActor only
    std::string value;
  };

  /// A place in the order of the sweep: just behind the row that it names, or before all rows when it names none.
  struct Place {
    std::string group;
    std::string rest;  // the table's number as a byte, then what follows the group in the key
    friend auto operator<=>(const Place&, const Place&) = default;
  };
  /// What one call of sweep() has written: the rows behind `from`, up to and with `to`. The lap ends at `lap_end`.
  struct Swept {
    Place from;
    Place to;
    Place lap_end;
    bool ends_lap() const { return to >= lap_end; }
  };

 private:
  using Rows = std::map<std::string, Row, std::less<>>;  // by Place::rest
  using GroupEntry = std::pair<const std::string, Rows>;

 public:
  const Row* find(Table table, std::string_view key) const;

  /// The changes that follow are those of the log row at `position`, which never falls.
  void begin(std::uint64_t position);
  /// `absent` says that neither the table nor the overlay has such a row, not even an erased one.
  void put(Table table, std::string_view key, std::string_view value, bool absent);
  void erase(Table table, std::string_view key, bool absent);
  /// The actor's last commit is `version`, and its state changes to `value`, is erased (kErased), or stays
  /// (kTableValue).
  void put_actor(std::string_view key, const Version& version, Held held, std::string_view value);

  /// Hands rows to `write`, actor by actor in key order, on from where the last call stopped, and forgets them, until
  /// they sum to `budget` bytes or the lap ends.
  /// @returns what was written, or nothing when there is no row. @error that of `write`; the caller must revert().
  Result<std::optional<Swept>> sweep(std::size_t budget,
                                     const std::function<Status(Table, const std::string& key, const Row&)>& write);
  /// What sweep() did when it returned `swept`, but for writing: when a log is replayed the tables have the rows.
  void repeat(const Swept& swept);

  /// Makes the changes since the last settle() final. `swept` is called for each row that sweep() has written.
  void settle(const std::function<void(Table, const std::string& key, const Row&)>& swept);
  /// Undoes the changes since the last settle(), but for begin().
  void revert();

  /// The lowest position that a row here has; that of begin() when there is none.
  std::uint64_t oldest_position() const;

  /// The memory of all rows and groups, closely.
  std::size_t bytes() const { return bytes_; }
  /// Bytes that count against the limit for a row, and for the group that the first row of an actor makes.
  static std::size_t row_cost(std::size_t rest_bytes, std::size_t value_bytes) {
    return rest_bytes + value_bytes + kRowBytes;
  }
  static std::size_t group_cost(std::size_t name_bytes) { return name_bytes + kGroupBytes; }

  /// The rows of one table whose keys begin with a prefix, in key order. The overlay must not change meanwhile.
  class Scan {
   public:
    Scan(const Overlay& overlay, Table table, std::string_view prefix);
    bool done() const { return done_; }
    const std::string& key() const { return key_; }
    const Row& row() const { return at_->second; }
    void next();
    /// The groups and rows that it has looked at so far: what it costs.
    std::size_t looked_at() const { return looked_at_; }

   private:
    void settle();

    const Overlay& overlay_;
    char table_;
    std::string prefix_;
    std::map<std::string_view, GroupEntry*>::const_iterator group_;
    Rows::const_iterator at_;
    std::string key_;
    std::size_t looked_at_ = 0;
    bool done_ = false;
  };

 private:
  static constexpr std::size_t kRowBytes = 176;    // a tree node with its two strings
  static constexpr std::size_t kGroupBytes = 208;  // its entries in the table of groups and in their order

  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const { return std::hash<std::string_view>()(key); }
  };
  struct Undo {
    GroupEntry* group = nullptr;
    bool swept = false;
    bool inserted = false;      // undone by removal
    const std::string* rest{};  // of the row's node, which lives in its map or in a later Undo
    Row* row{};
    std::optional<Row> before;  // undone by putting it back
    Rows::node_type node;       // undone by inserting it again
  };

  const std::string& place(char table, std::string_view rest) const;
  GroupEntry* find_group(std::string_view name) const;
  GroupEntry& make_group(std::string_view name);
  void end_changes();
  Row& change(char table, std::string_view key, bool absent);
  void count(const Row& row) { ++positions_[row.position - positions_begin_]; }
  void discount(const Row& row) { --positions_[row.position - positions_begin_]; }
  template <class Write>
  Result<bool> take_rows(std::size_t budget, Write write);
  Place last_place() const;

  std::unordered_map<std::string, Rows, Hash, std::equal_to<>> groups_;
  std::map<std::string_view, GroupEntry*> order_;  // of all groups
  mutable GroupEntry* last_ = nullptr;             // found last: a commit asks for the same group again and again
  mutable std::string place_;
  std::vector<Undo> undo_;
  std::size_t bytes_ = 0;

  std::uint64_t position_ = 0;              // of the changes at hand
  std::uint64_t positions_begin_ = 0;       // of positions_[0]
  std::deque<std::uint32_t> positions_{0};  // how many rows have each position, up to position_
  Place at_;                                // where the sweep goes on
  Place lap_end_;
  Place settled_at_;
  Place settled_lap_end_;
};

}  // namespace plexspaces::store
