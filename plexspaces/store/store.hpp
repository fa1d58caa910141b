// The port to durable storage: independent commits in one group.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plexspaces/base/actor_key.hpp"
#include "plexspaces/base/error.hpp"

namespace plexspaces::store {

/// Derived tables of rows, key to value, in byte order of the key (bytes compare unsigned). The numbers are stored.
/// Each row belongs to the actor whose actor_row() its key begins with; only a commit of that actor may change it.
enum class Table : std::uint8_t {
  kActor = 1,    // actor_row() -> the actor's state
  kOutcome = 2,  // actor_row(), NUL, request id -> the answer that a duplicate gets
  kPeer = 3,     // actor_row(), NUL, direction, peer's ActorKey row -> how far the messages of the two have come
  kOutbox = 4,   // actor_row(), NUL, message id -> a message that its receiver has not acknowledged
};

/// What must hold of the row before the commit (and not only before this mutation), checked in the same transaction.
enum class Precondition : std::uint8_t { kNone, kAbsent, kPresent };

/// The bytes with which all keys of `actor` begin: its shard (one byte), then its ActorKey row.
std::string actor_row(const ActorKey& actor);
/// The shard of a row, from its key, which is not empty.
inline std::uint16_t shard_of(std::string_view key) { return static_cast<unsigned char>(key.front()); }
/// The actor to which the row under `key` belongs, a kActor key or a longer one. @error kDataLoss: there is none.
Result<ActorKey> actor_of(std::string_view key);

/// A change of one row. `value` empty optional: the row is erased.
struct Mutation {
  Table table = Table::kActor;
  std::string key;
  std::optional<std::string> value;
  Precondition precondition = Precondition::kNone;
};

/// Limits of every backend.
inline constexpr std::size_t kStoreKeyBytesMax = 4096;
inline constexpr std::size_t kCommitBytesMax = std::size_t{16} << 20;  // records, keys and values of one commit

/// What one turn of one actor makes durable: all of it or nothing.
struct Commit {
  std::uint64_t epoch = 0;  // of the shard's owner, from Store::epoch(); the shard is actor.shard()
  ActorKey actor;
  std::uint64_t expected_sequence = 0;  // of the actor's last commit; 0 before its first
  std::uint64_t id = 0;                 // kept with the actor: tells this commit from another with its sequence
  std::vector<std::string> records;     // the turn's journal entries, kept as long as the log is
  std::vector<Mutation> mutations;
};

/// The fate of one commit, never its neighbour's.
enum class Outcome : std::uint8_t {
  kDone,      // durable; the actor's sequence is now expected_sequence + 1
  kFenced,    // nothing changed: the epoch is not the shard's
  kConflict,  // nothing changed: the sequence or a precondition does not hold
  kUnknown,   // may or may not be durable: the store serves nothing more (INV-J3). Reopen it to learn: it is when the
              // actor's row has its epoch, its expected_sequence + 1 and its id
  kRefused,   // nothing changed: the disk is full or a limit is exceeded; refusal() says which. The store goes on
              // serving
};

/// `row` is actor_row(commit.actor). @error kInvalidArgument: the commit breaks a limit, or changes a row of another
/// actor. Every backend refuses it.
Status check_commit(const Commit& commit, std::string_view row);

/// The durable state of one actor.
struct ActorRow {
  std::uint64_t sequence = 0;   // number of its commits
  std::uint64_t epoch = 0;      // of its last commit
  std::uint64_t commit_id = 0;  // of its last commit
  std::string value;            // its kActor row; empty when that row is absent
};

/// What a store costs now, for metrics and tests.
struct StoreStats {
  std::uint64_t log_bytes = 0;           // that the next opening will replay
  std::uint64_t log_bytes_replayed = 0;  // by this opening
  std::uint64_t overlay_bytes = 0;       // rows in memory that are newer than the tables
  std::uint64_t rows_swept = 0;          // into the tables, since this opening
  std::uint64_t checkpoints = 0;         // since this opening
};

/// Durable storage of a node: one log of commits, and rows derived from it.
///
/// Guarantees
///  - A commit whose outcome is kDone is there after any crash, byte-identical and in the order of commits (INV-J1).
///  - After a crash the contents are those of a prefix of the commits: no holes (INV-J2).
///  - After a failed write or sync every later call fails, kUnknown for commits (INV-J3): never retried, never served.
///  - Commits of an earlier epoch change nothing (INV-A1). Opening a store raises the epoch of all its shards by one.
/// Threads: one at a time, any. Calls block: run them where blocking is allowed.
class Store {
 public:
  virtual ~Store() = default;

  /// Names this store for ever: random, made when it was created.
  virtual std::string id() const = 0;
  /// The epoch of `shard` that this opening owns.
  virtual std::uint64_t epoch(std::uint16_t shard) const = 0;

  /// Decides and makes durable `commits`, in order, with one sync for all (a few when they exceed the group's limit). A
  /// commit sees the effects of those before it.
  /// @returns one outcome for each. Empty input does nothing. A full disk refuses all of the group that it hits.
  virtual std::vector<Outcome> commit(std::span<const Commit> commits) = 0;

  /// @returns the actor's sequence and state; sequence 0 for an actor that has never committed.
  virtual Result<ActorRow> load(const ActorKey& actor) = 0;

  /// load(), and `visit` for each row of the actor in the other tables, by table and key; `suffix` is what follows the
  /// actor's row and a NUL. Costs what these rows cost, however large the store is; an actor that has never committed
  /// costs one look-up.
  /// @error the first error of `visit`, which must not call the store.
  virtual Result<ActorRow> load_rows(
      const ActorKey& actor,
      const std::function<Status(Table table, std::string_view suffix, std::string_view value)>& visit) = 0;

  /// @returns the value, or nothing when the row is absent. Not for Table::kActor (load() is).
  virtual Result<std::optional<std::string>> get(Table table, std::string_view key) = 0;

  /// Calls `visit(key, value)` for each row whose key begins with `prefix`, in key order, until it returns false.
  /// `visit` must not call the store.
  virtual Status scan(Table table, std::string_view prefix,
                      const std::function<bool(std::string_view key, std::string_view value)>& visit) = 0;

  /// Why the last commit() refused commits, or null when it refused none: kResourceExhausted for a full disk,
  /// kInvalidArgument for a commit that breaks a limit or a rule of this header.
  virtual const Error* refusal() const = 0;

  /// The error that made this store refuse everything, or null while it serves. Threads: any.
  virtual const Error* failure() const = 0;

  /// What opening found and a person should read, such as a torn end of the log that it cut off; empty when nothing.
  virtual const std::string& recovery_note() const {
    static const std::string none;
    return none;
  }

  /// All zero for a store that has no log. Threads: any.
  virtual StoreStats stats() const { return {}; }
};

}  // namespace plexspaces::store
