#include "plexspaces/store/sqlite_store.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <deque>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "plexspaces/env/probe.hpp"
#include "plexspaces/store/crc32c.hpp"
#include "plexspaces/store/database.hpp"
#include "plexspaces/store/log_record.hpp"
#include "plexspaces/store/overlay.hpp"
#include "plexspaces/store/sqlite_vfs.hpp"

namespace plexspaces::store {

namespace {

constexpr std::array kTables{Table::kActor, Table::kOutcome, Table::kPeer, Table::kOutbox};
constexpr std::array<std::string_view, 4> kTableNames{"actor", "outcome", "peer", "outbox"};
constexpr std::string_view kApplicationId = "1347180627";  // "PLXS", in the file's header

std::size_t index(Table table) { return static_cast<std::size_t>(table) - 1; }

constexpr const char* kSchema = R"(
  CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
  CREATE TABLE turn_log(pos INTEGER PRIMARY KEY, batch BLOB NOT NULL);
  CREATE TABLE actor(key BLOB PRIMARY KEY, sequence INTEGER NOT NULL, epoch INTEGER NOT NULL,
    commit_id INTEGER NOT NULL, value BLOB NOT NULL) WITHOUT ROWID;
  CREATE TABLE outcome(key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
  CREATE TABLE peer(key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
  CREATE TABLE outbox(key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
  INSERT INTO meta VALUES('epoch', 0), ('log_begin', 1);
  PRAGMA application_id = 1347180627;
  PRAGMA user_version = 2;
)";

// A stored value: the payload, a byte that tells whether the actor has a state (kActor only), the checksum of
// everything in the row.
constexpr std::size_t kSumBytes = 4;

std::uint32_t row_sum(Table table, std::string_view key, const Overlay::Version& version, std::string_view payload) {
  std::array<char, 25> head{};
  head[0] = static_cast<char>(table);
  for (int i = 0; i < 8; ++i) {
    head[1 + i] = static_cast<char>(version.sequence >> (8 * i));
    head[9 + i] = static_cast<char>(version.epoch >> (8 * i));
    head[17 + i] = static_cast<char>(version.commit_id >> (8 * i));
  }
  return crc32c(payload, crc32c(key, crc32c(std::string_view(head.data(), head.size()))));
}

void seal(std::string& payload, Table table, std::string_view key, const Overlay::Version& version = {}) {
  std::uint32_t sum = row_sum(table, key, version, payload);
  for (int i = 0; i < 4; ++i) payload.push_back(static_cast<char>(sum >> (8 * i)));
}

Result<std::string_view> unseal(std::string_view stored, Table table, std::string_view key,
                                const Overlay::Version& version = {}) {
  if (stored.size() >= kSumBytes) {
    std::string_view payload = stored.substr(0, stored.size() - kSumBytes);
    std::uint32_t sum = 0;
    for (int i = 0; i < 4; ++i)
      sum |= static_cast<std::uint32_t>(static_cast<unsigned char>(stored[payload.size() + i])) << (8 * i);
    if (sum == row_sum(table, key, version, payload)) return payload;
  }
  reached(Probe::kStoreDamageRefused);
  return fail(
      Code::kDataLoss,
      fmt::format("a stored row of table {} does not match its checksum: restore the data directory from a backup",
                  kTableNames[index(table)]),
      "PLX-STO-0033");
}

// The first key behind all keys that begin with `prefix`, or empty when there is none.
std::string end_of(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

// What is known of actors that are not in the overlay. Two generations: the older is dropped when the younger is full.
class ActorCache {
 public:
  struct Known {
    std::uint64_t sequence = 0;
    bool has_state = false;
  };
  explicit ActorCache(std::size_t max) : half_(max / 2 + 1) {}

  const Known* find(const std::string& row) const {
    if (auto found = young_.find(row); found != young_.end()) return &found->second;
    if (auto found = old_.find(row); found != old_.end()) return &found->second;
    return nullptr;
  }
  void put(const std::string& row, Known known) {
    if (young_.size() >= half_) {
      old_ = std::move(young_);
      young_.clear();
    }
    young_.insert_or_assign(row, known);
  }
  void forget(const std::string& row) {
    young_.erase(row);
    old_.erase(row);
  }

 private:
  std::size_t half_;
  std::unordered_map<std::string, Known> young_;
  std::unordered_map<std::string, Known> old_;
};

class SqliteStore final : public Store {
 public:
  static Result<std::unique_ptr<Store>> open(env::Disk& disk, env::Random& random, env::Clock& clock,
                                             std::string directory, SqliteOptions options);

  std::string id() const override { return id_; }
  std::uint64_t epoch(std::uint16_t) const override { return epoch_; }
  std::vector<Outcome> commit(std::span<const Commit> commits) override;
  Result<ActorRow> load(const ActorKey& actor) override;
  Result<ActorRow> load_rows(
      const ActorKey& actor,
      const std::function<Status(Table table, std::string_view suffix, std::string_view value)>& visit) override;
  Result<std::optional<std::string>> get(Table table, std::string_view key) override;
  Status scan(Table table, std::string_view prefix,
              const std::function<bool(std::string_view, std::string_view)>& visit) override;
  const Error* refusal() const override { return refusal_ ? &*refusal_ : nullptr; }
  const Error* failure() const override { return failed_.load(std::memory_order_acquire); }
  const std::string& recovery_note() const override { return vfs_.recovery_note(); }
  StoreStats stats() const override;
  ~SqliteStore() override;

 private:
  SqliteStore(env::Disk& disk, env::Random& random, env::Clock& clock, std::string path, SqliteOptions options)
      : options_(options), vfs_(disk, random, clock, std::move(path)), actors_(options.actor_cache_max) {}

  struct TableStatements {
    Statement get;
    Statement scan;
    Statement scan_to_end;
    Statement put;
    Statement erase;
  };
  // An actor as a commit finds it.
  struct Standing {
    std::uint64_t sequence = 0;
    bool has_state = false;
  };

  Status create_or_check(env::Random& random);
  Status prepare();
  Status raise_epoch();
  Status replay();
  Status put_meta(std::string_view name, std::uint64_t value);
  Result<std::uint64_t> meta_number(std::string_view name);

  void commit_group(std::span<const Commit> commits, std::span<Outcome> outcomes);
  Status write_group(std::span<const Commit> commits, std::span<Outcome> outcomes);
  Result<Outcome> decide(const Commit& commit);
  Result<Standing> standing(const std::string& row);
  // How a row stands before a commit. An erased one may still be in its table, which the next change must not forget.
  enum class Row : std::uint8_t { kPresent, kErased, kNever };
  Result<Row> look_up(const Mutation& mutation, const Standing& actor);
  void apply(const Commit& commit, const std::string& row);
  std::size_t pressure() const;
  Result<std::optional<Overlay::Swept>> sweep(std::size_t changed_bytes);
  Status write_row(Table table, const std::string& key, const Overlay::Row& row);
  Status trim(std::size_t changed_bytes);
  Status checkpoint_when_due();
  void refuse_group(std::span<Outcome> outcomes, const Error& error);
  void stop_serving(Error error);
  Error explain(const Error& error) const;

  struct StoredActor {
    Overlay::Version version;
    std::optional<std::string> state;
  };
  Result<std::optional<StoredActor>> read_actor(std::string_view row);

  SqliteOptions options_;
  SqliteVfs vfs_;
  std::unique_ptr<env::DirectoryLock> lock_;
  std::optional<Database> database_;
  std::array<TableStatements, 4> tables_;
  Statement begin_;
  Statement commit_;
  Statement append_;
  Statement trim_;
  Statement put_meta_;

  std::string id_;
  std::uint64_t epoch_ = 0;
  std::uint64_t next_position_ = 1;
  std::uint64_t log_begin_ = 1;          // position of the oldest retained row
  std::deque<std::uint32_t> log_bytes_;  // of the retained rows, from log_begin_ on
  std::size_t log_bytes_sum_ = 0;
  std::size_t sweep_owed_ = 0;

  Overlay overlay_;
  ActorCache actors_;
  LogRecordBuilder builder_;
  std::string actor_row_;     // of the commit at hand
  std::string value_;         // of the row at hand
  std::vector<bool> absent_;  // of the mutations of the commit at hand: neither table nor overlay have the row

  struct Counters {
    std::atomic<std::uint64_t> log_bytes{0}, log_bytes_replayed{0}, overlay_bytes{0}, rows_swept{0}, checkpoints{0};
  };
  void publish();

  Counters counters_;
  bool serving_ = false;  // opened without an error
  std::optional<Error> refusal_;
  std::optional<Error> failure_;
  std::atomic<const Error*> failed_{nullptr};
};

Result<std::unique_ptr<Store>> SqliteStore::open(env::Disk& disk, env::Random& random, env::Clock& clock,
                                                 std::string directory, SqliteOptions options) {
  PLX_TRY_STATUS(env::create_directory_durably(disk, directory));
  PLX_TRY(lock, disk.lock_directory(directory));
  std::string path = directory + "/plexspaces.db";
  std::unique_ptr<SqliteStore> store(new SqliteStore(disk, random, clock, path, options));
  store->lock_ = std::move(lock);
  PLX_TRY_STATUS(store->vfs_.recover());
  auto opened = [&]() -> Status {
    PLX_TRY(database, Database::open(path, store->vfs_.name(), SqliteVfs::kReservedBytes));
    store->database_.emplace(std::move(database));
    PLX_TRY_STATUS(store->create_or_check(random));
    PLX_TRY_STATUS(store->prepare());
    // A process that is killed before its first commit, again and again, must not make the log file longer for ever.
    // Before the epoch: only a write after a checkpoint, in the same process, lets the log file start over.
    PLX_TRY_STATUS(store->checkpoint_when_due());
    PLX_TRY_STATUS(store->raise_epoch());
    PLX_TRY_STATUS(store->vfs_.name_new_log());
    return store->replay();
  }();
  if (!opened)
    return std::unexpected(store->explain(opened.error()).with_prefix(fmt::format("cannot open '{}'", path)));
  store->serving_ = true;
  return store;
}

// A log that is closed in order is whole to its last byte: only then can damage in its last transaction be told from a
// transaction that a crash has torn. Without the tie nothing is lost, so a refused write is no error here.
SqliteStore::~SqliteStore() {
  if (serving_ && failure() == nullptr) static_cast<void>(vfs_.write_tie());
}

Status SqliteStore::create_or_check(env::Random& random) {
  // EXCLUSIVE comes before WAL: only then does WAL need no shared memory. Checkpoints are ours alone: SQLite's own
  // would swallow a failed sync. Pages leave the cache only by a commit, so that the log file holds whole transactions.
  std::string settings = fmt::format(
      "PRAGMA locking_mode=EXCLUSIVE; PRAGMA page_size={}; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
      "PRAGMA wal_autocheckpoint=0; PRAGMA temp_store=MEMORY; PRAGMA cell_size_check=ON; PRAGMA cache_spill=OFF;"
      "PRAGMA secure_delete=OFF; PRAGMA trusted_schema=OFF; PRAGMA cache_size=-{};",
      SqliteVfs::kPageBytes, options_.page_cache_bytes / 1024);
  PLX_TRY_STATUS(database_->execute(settings.c_str()));
  PLX_TRY(mode, database_->query_text("PRAGMA journal_mode"));
  if (mode != "wal") return fail(Code::kInternal, "SQLite did not enter WAL mode", "PLX-STO-0034");

  PLX_TRY(version, database_->query_text("PRAGMA user_version"));
  PLX_TRY(application, database_->query_text("PRAGMA application_id"));
  if (application == "0" && version == "0") {
    PLX_TRY(tables, database_->query_text("SELECT count(*) FROM sqlite_schema"));
    if (tables != "0")
      return fail(Code::kFailedPrecondition, "this is the database of another program: choose another directory",
                  "PLX-STO-0035");
    PLX_TRY_STATUS(database_->execute("BEGIN IMMEDIATE"));
    PLX_TRY_STATUS(database_->execute(kSchema));
    std::string insert = fmt::format("INSERT INTO meta VALUES('id', '{:016x}{:016x}')", random.next(), random.next());
    PLX_TRY_STATUS(database_->execute(insert.c_str()));
    PLX_TRY_STATUS(database_->execute("COMMIT"));
  } else if (application != kApplicationId) {
    return fail(Code::kFailedPrecondition, "this is the database of another program: choose another directory",
                "PLX-STO-0035");
  } else if (version != fmt::format("{}", kStoreFormat)) {
    return fail(
        Code::kFailedPrecondition,
        fmt::format("the data directory has format version {}, this program reads version {}: use the program that "
                    "wrote it, or a newer one",
                    version, kStoreFormat),
        "PLX-STO-0036");
  }
  PLX_TRY(id, database_->query_text("SELECT value FROM meta WHERE name='id'"));
  id_ = id;
  return {};
}

Status SqliteStore::prepare() {
  auto into = [&](Statement& statement, const std::string& sql) -> Status {
    PLX_TRY(prepared, database_->prepare(sql.c_str()));
    statement = std::move(prepared);
    return {};
  };
  for (Table table : kTables) {
    TableStatements& statements = tables_[index(table)];
    std::string_view name = kTableNames[index(table)];
    bool actor = table == Table::kActor;
    std::string_view columns = actor ? "key, value, sequence, epoch, commit_id" : "key, value";
    PLX_TRY_STATUS(into(statements.get, fmt::format("SELECT {} FROM {} WHERE key = ?1", columns, name)));
    PLX_TRY_STATUS(into(statements.scan,
                        fmt::format("SELECT {} FROM {} WHERE key >= ?1 AND key < ?2 ORDER BY key", columns, name)));
    PLX_TRY_STATUS(
        into(statements.scan_to_end, fmt::format("SELECT {} FROM {} WHERE key >= ?1 ORDER BY key", columns, name)));
    PLX_TRY_STATUS(into(statements.put, fmt::format("INSERT OR REPLACE INTO {}({}) VALUES(?1, ?2{})", name, columns,
                                                    actor ? ", ?3, ?4, ?5" : "")));
    PLX_TRY_STATUS(into(statements.erase, fmt::format("DELETE FROM {} WHERE key = ?1", name)));
  }
  PLX_TRY_STATUS(into(begin_, "BEGIN IMMEDIATE"));
  PLX_TRY_STATUS(into(commit_, "COMMIT"));
  PLX_TRY_STATUS(into(append_, "INSERT INTO turn_log VALUES(?1, ?2)"));
  PLX_TRY_STATUS(into(trim_, "DELETE FROM turn_log WHERE pos < ?1"));
  return into(put_meta_, "UPDATE meta SET value = ?2 WHERE name = CAST(?1 AS TEXT)");
}

Status SqliteStore::put_meta(std::string_view name, std::uint64_t value) {
  return put_meta_.bind(1, name).bind(2, value).run();
}

Result<std::uint64_t> SqliteStore::meta_number(std::string_view name) {
  PLX_TRY(text, database_->query_text(fmt::format("SELECT value FROM meta WHERE name='{}'", name).c_str()));
  std::uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size())
    return fail(Code::kDataLoss,
                fmt::format("the entry '{}' is damaged: restore the data directory from a backup", name),
                "PLX-STO-0037");
  return number;
}

Status SqliteStore::raise_epoch() {
  PLX_TRY(epoch, meta_number("epoch"));
  PLX_TRY(begin, meta_number("log_begin"));
  epoch_ = epoch + 1;
  log_begin_ = begin;
  PLX_TRY_STATUS(begin_.run());
  PLX_TRY_STATUS(put_meta("epoch", epoch_));
  return commit_.run();
}

Status SqliteStore::replay() {
  next_position_ = log_begin_;
  PLX_TRY(rows, database_->prepare("SELECT pos, batch FROM turn_log ORDER BY pos"));
  for (;;) {
    PLX_TRY(more, rows.step());
    if (!more) break;
    std::uint64_t position = rows.number(0);
    std::string_view batch = rows.blob(1);
    if (position != next_position_) {
      reached(Probe::kStoreDamageRefused);
      return fail(Code::kDataLoss,
                  fmt::format("the turn log has position {} where {} belongs: restore the data directory from a backup",
                              position, next_position_),
                  "PLX-STO-0011");
    }
    overlay_.begin(position);
    auto replayed = read_log_record(position, batch, [&](const LoggedCommit& commit) {
      auto held = Overlay::Held::kTableValue;
      std::string_view state;
      for (const LoggedMutation& mutation : commit.mutations) {
        if (mutation.table == Table::kActor) {
          held = mutation.value ? Overlay::Held::kValue : Overlay::Held::kErased;
          state = mutation.value.value_or(std::string_view());
        } else if (mutation.value) {
          overlay_.put(mutation.table, mutation.key, *mutation.value, mutation.absent);
        } else {
          overlay_.erase(mutation.table, mutation.key, mutation.absent);
        }
      }
      overlay_.put_actor(commit.actor_row, {commit.expected_sequence + 1, commit.epoch, commit.id}, held, state);
    });
    if (!replayed) {
      reached(Probe::kStoreDamageRefused);
      return std::unexpected(std::move(replayed).error());
    }
    // The sweeps too: so the overlay is as it was when the process ended, and no larger at any time.
    if (*replayed) overlay_.repeat(**replayed);
    overlay_.settle([](Table, const std::string&, const Overlay::Row&) {});
    log_bytes_.push_back(static_cast<std::uint32_t>(batch.size()));
    log_bytes_sum_ += batch.size();
    ++next_position_;
    reached(Probe::kStoreLogReplayed);
  }
  // What the ended process owed the sweep is not known. Without this a process that is killed after each of its commits
  // would never sweep.
  sweep_owed_ = options_.sweep_bytes_min;
  counters_.log_bytes_replayed.store(log_bytes_sum_, std::memory_order_relaxed);
  publish();
  return {};
}

// For stats(), which any thread may call.
void SqliteStore::publish() {
  counters_.log_bytes.store(log_bytes_sum_, std::memory_order_relaxed);
  counters_.overlay_bytes.store(overlay_.bytes(), std::memory_order_relaxed);
}

StoreStats SqliteStore::stats() const {
  StoreStats stats;
  stats.log_bytes = counters_.log_bytes.load(std::memory_order_relaxed);
  stats.log_bytes_replayed = counters_.log_bytes_replayed.load(std::memory_order_relaxed);
  stats.overlay_bytes = counters_.overlay_bytes.load(std::memory_order_relaxed);
  stats.rows_swept = counters_.rows_swept.load(std::memory_order_relaxed);
  stats.checkpoints = counters_.checkpoints.load(std::memory_order_relaxed);
  return stats;
}

std::vector<Outcome> SqliteStore::commit(std::span<const Commit> commits) {
  refusal_.reset();
  std::vector<Outcome> outcomes(commits.size(), Outcome::kUnknown);
  for (std::size_t begin = 0; begin < commits.size() && failure() == nullptr;) {
    std::size_t end = begin;
    for (std::size_t bytes = 0; end < commits.size() && (end == begin || bytes < options_.group_bytes_max); ++end) {
      for (const std::string& record : commits[end].records) bytes += record.size();
      for (const Mutation& mutation : commits[end].mutations)
        bytes += mutation.key.size() + (mutation.value ? mutation.value->size() : 0);
    }
    commit_group(commits.subspan(begin, end - begin), std::span(outcomes).subspan(begin, end - begin));
    begin = end;
  }
  return outcomes;
}

void SqliteStore::commit_group(std::span<const Commit> commits, std::span<Outcome> outcomes) {
  if (auto moved = checkpoint_when_due(); !moved) {
    stop_serving(explain(moved.error()));
    return;
  }
  auto written = write_group(commits, outcomes);
  if (written) {
    std::uint64_t swept = 0;
    overlay_.settle([&](Table table, const std::string& key, const Overlay::Row& row) {
      ++swept;
      if (table != Table::kActor) return;
      if (row.held == Overlay::Held::kTableValue)
        actors_.forget(key);
      else
        actors_.put(key, {row.version.sequence, row.held == Overlay::Held::kValue});
    });
    counters_.rows_swept.fetch_add(swept, std::memory_order_relaxed);
    publish();
    return;
  }
  if (written.error().code() == Code::kResourceExhausted && vfs_.failure() == nullptr) {
    // Nothing was synced, so nothing can be durable once the log file ends where the last sync left it.
    Error full = explain(written.error());
    auto undone = database_->in_transaction() ? database_->execute("ROLLBACK") : Status{};
    if (undone) undone = vfs_.discard_unsynced_wal();
    if (undone) {
      overlay_.revert();
      refuse_group(outcomes, full);
      return;
    }
  }
  std::ranges::fill(outcomes, Outcome::kUnknown);
  stop_serving(explain(written.error()));
}

// Decides, and writes what is done: durable when it returns without error.
Status SqliteStore::write_group(std::span<const Commit> commits, std::span<Outcome> outcomes) {
  PLX_TRY_STATUS(begin_.run());
  builder_.start();
  overlay_.begin(next_position_);
  std::size_t overlay_bytes = overlay_.bytes();
  for (std::size_t i = 0; i < commits.size(); ++i) {
    actor_row_ = actor_row(commits[i].actor);
    PLX_TRY(outcome, decide(commits[i]));
    outcomes[i] = outcome;
    if (outcome == Outcome::kDone) apply(commits[i], actor_row_);
  }
  if (builder_.count() == 0) return database_->execute("ROLLBACK");
  std::size_t grown = overlay_.bytes() > overlay_bytes ? overlay_.bytes() - overlay_bytes : 0;
  std::size_t changed = std::max(builder_.bytes(), grown);
  std::size_t owed = sweep_owed_;
  std::uint64_t log_begin = log_begin_;
  std::size_t batch_bytes = 0;
  auto written = [&]() -> Status {
    PLX_TRY(swept, sweep(changed));
    std::string_view batch = builder_.finish(next_position_, swept);
    batch_bytes = batch.size();
    PLX_TRY_STATUS(append_.bind(1, next_position_).bind(2, batch).run());
    PLX_TRY_STATUS(trim(changed));
    return commit_.run();
  }();
  if (!written) {
    sweep_owed_ = owed;
    log_begin_ = log_begin;
    return written;
  }
  for (; log_begin < log_begin_; ++log_begin) {
    log_bytes_sum_ -= log_bytes_.front();
    log_bytes_.pop_front();
  }
  log_bytes_.push_back(static_cast<std::uint32_t>(batch_bytes));
  log_bytes_sum_ += batch_bytes;
  ++next_position_;
  return {};
}

Result<SqliteStore::Standing> SqliteStore::standing(const std::string& row) {
  const Overlay::Row* newer = overlay_.find(Table::kActor, row);
  if (newer != nullptr && newer->held != Overlay::Held::kTableValue)
    return Standing{newer->version.sequence, newer->held == Overlay::Held::kValue};
  Standing found;
  if (const ActorCache::Known* known = actors_.find(row)) {
    found = {known->sequence, known->has_state};
  } else {
    PLX_TRY(stored, read_actor(row));
    if (stored) found = {stored->version.sequence, stored->state.has_value()};
    actors_.put(row, {found.sequence, found.has_state});
  }
  if (newer != nullptr) found.sequence = newer->version.sequence;
  return found;
}

Result<SqliteStore::Row> SqliteStore::look_up(const Mutation& mutation, const Standing& actor) {
  if (mutation.table == Table::kActor) return actor.has_state ? Row::kPresent : Row::kErased;
  if (const Overlay::Row* newer = overlay_.find(mutation.table, mutation.key))
    return newer->held == Overlay::Held::kValue ? Row::kPresent : Row::kErased;
  Statement& get = tables_[index(mutation.table)].get;
  ResetAtEnd reset(get);
  PLX_TRY(found, get.bind(1, mutation.key).step());
  return found ? Row::kPresent : Row::kNever;
}

Result<Outcome> SqliteStore::decide(const Commit& commit) {
  if (auto checked = check_commit(commit, actor_row_); !checked) {
    refusal_ = checked.error();
    reached(Probe::kStoreCommitRefused);
    return Outcome::kRefused;
  }
  if (commit.epoch != epoch_) {
    reached(Probe::kStoreCommitFenced);
    return Outcome::kFenced;
  }
  PLX_TRY(actor, standing(actor_row_));
  bool holds = actor.sequence == commit.expected_sequence;
  absent_.assign(commit.mutations.size(), false);
  for (std::size_t i = 0; holds && i < commit.mutations.size(); ++i) {
    const Mutation& mutation = commit.mutations[i];
    if (mutation.precondition == Precondition::kNone) continue;
    PLX_TRY(row, look_up(mutation, actor));
    absent_[i] = row == Row::kNever;
    holds = (row == Row::kPresent) == (mutation.precondition == Precondition::kPresent);
  }
  if (holds) return Outcome::kDone;
  reached(Probe::kStoreCommitConflict);
  return Outcome::kConflict;
}

void SqliteStore::apply(const Commit& commit, const std::string& row) {
  builder_.append(commit, row, absent_);
  auto held = Overlay::Held::kTableValue;
  std::string_view state;
  for (std::size_t i = 0; i < commit.mutations.size(); ++i) {
    const Mutation& mutation = commit.mutations[i];
    if (mutation.table == Table::kActor) {
      held = mutation.value ? Overlay::Held::kValue : Overlay::Held::kErased;
      state = mutation.value ? std::string_view(*mutation.value) : std::string_view();
    } else if (mutation.value) {
      overlay_.put(mutation.table, mutation.key, *mutation.value, absent_[i]);
    } else {
      overlay_.erase(mutation.table, mutation.key, absent_[i]);
    }
  }
  overlay_.put_actor(row, {commit.expected_sequence + 1, commit.epoch, commit.id}, held, state);
}

// How near the overlay and the upper half of the log are to their limits: 0 to kPressureMax.
constexpr std::size_t kPressureMax = 15;
std::size_t SqliteStore::pressure() const {
  auto share = [](std::size_t bytes, std::size_t max) {
    return std::min(bytes, max) * kPressureMax / std::max<std::size_t>(max, 1);
  };
  std::size_t half = options_.log_bytes_max / 2;
  std::size_t upper = log_bytes_sum_ > half ? log_bytes_sum_ - half : 0;
  return std::max(share(overlay_.bytes(), options_.overlay_bytes_max), share(upper, options_.log_bytes_max - half));
}

// Writes a part of the overlay into the tables: an eighth of what was committed while there is room, twice as much when
// there is none, so that overlay and log stay bounded and no commit pays for others; rows that change often are written
// once for many changes.
Result<std::optional<Overlay::Swept>> SqliteStore::sweep(std::size_t changed_bytes) {
  constexpr std::size_t kShares = 8;
  std::size_t pressed = pressure();
  if (pressed == kPressureMax) reached(Probe::kStoreOverlayPressed);
  sweep_owed_ += changed_bytes * (1 + pressed) / kShares;
  if (sweep_owed_ < options_.sweep_bytes_min) return std::nullopt;
  std::size_t budget = std::exchange(sweep_owed_, 0);
  PLX_TRY(swept, overlay_.sweep(budget, [&](Table table, const std::string& key, const Overlay::Row& row) {
    return write_row(table, key, row);
  }));
  if (swept && swept->ends_lap()) reached(Probe::kStoreLapEnded);
  return swept;
}

Status SqliteStore::write_row(Table table, const std::string& key, const Overlay::Row& row) {
  reached(Probe::kStoreRowSwept);
  TableStatements& statements = tables_[index(table)];
  if (table != Table::kActor) {
    if (row.held == Overlay::Held::kErased) return statements.erase.bind(1, key).run();
    value_ = row.value;
    seal(value_, table, key);
    return statements.put.bind(1, key).bind(2, value_).run();
  }
  value_.clear();
  if (row.held == Overlay::Held::kValue) {
    value_ = row.value;
    value_.push_back('\1');
  } else if (row.held == Overlay::Held::kTableValue) {
    PLX_TRY(stored, read_actor(key));
    if (stored && stored->state) {
      value_ = std::move(*stored->state);
      value_.push_back('\1');
    }
  }
  if (value_.empty()) value_.push_back('\0');
  seal(value_, table, key, row.version);
  return statements.put.bind(1, key)
      .bind(2, value_)
      .bind(3, row.version.sequence)
      .bind(4, row.version.epoch)
      .bind(5, row.version.commit_id)
      .run();
}

// Deletes log rows of which the tables hold everything by now, a portion at a time.
Status SqliteStore::trim(std::size_t changed_bytes) {
  std::uint64_t needed = overlay_.oldest_position();
  if (needed <= log_begin_) return {};
  std::size_t portion = std::max(options_.trim_bytes_min, 2 * changed_bytes);
  std::size_t bytes = 0;
  std::uint64_t end = log_begin_;
  while (end < needed && bytes < portion) bytes += log_bytes_[end++ - log_begin_];
  if (bytes < options_.trim_bytes_min) return {};
  reached(Probe::kStoreLogTrimmed);
  PLX_TRY_STATUS(trim_.bind(1, end).run());
  log_begin_ = end;
  return put_meta("log_begin", log_begin_);
}

Status SqliteStore::checkpoint_when_due() {
  if (vfs_.wal_bytes() < options_.checkpoint_bytes) return {};
  auto done = vfs_.write_tie();
  if (done) done = database_->checkpoint();
  if (done) {
    reached(Probe::kStoreCheckpointed);
    counters_.checkpoints.fetch_add(1, std::memory_order_relaxed);
  }
  // No room in the database file: the log file still has everything, and the commit will say so if it has none either.
  if (!done && done.error().code() == Code::kResourceExhausted && vfs_.failure() == nullptr) return {};
  return done;
}

void SqliteStore::refuse_group(std::span<Outcome> outcomes, const Error& error) {
  reached(Probe::kStoreCommitRefused);
  for (Outcome& outcome : outcomes)
    if (outcome != Outcome::kFenced) outcome = Outcome::kRefused;
  refusal_ = error;
}

void SqliteStore::stop_serving(Error error) {
  if (failure_) return;
  reached(Probe::kStoreFailed);
  failure_ = std::move(error);
  failed_.store(&*failure_, std::memory_order_release);
}

// The disk knows more than SQLite's codes tell.
Error SqliteStore::explain(const Error& error) const {
  if (vfs_.last_error() == nullptr || error.code() == Code::kDataLoss) return error;
  return error.caused_by(*vfs_.last_error());
}

// Of a row of the actor table that a statement has found.
static Overlay::Version version_in(const Statement& row) { return {row.number(2), row.number(3), row.number(4)}; }

Result<std::optional<SqliteStore::StoredActor>> SqliteStore::read_actor(std::string_view row) {
  Statement& get = tables_[index(Table::kActor)].get;
  ResetAtEnd reset(get);
  PLX_TRY(found, get.bind(1, row).step());
  if (!found) return std::nullopt;
  StoredActor actor{.version = version_in(get), .state = {}};
  PLX_TRY(payload, unseal(get.blob(1), Table::kActor, row, actor.version));
  if (!payload.empty() && payload.back() == '\1') actor.state = std::string(payload.substr(0, payload.size() - 1));
  return actor;
}

static ActorRow loaded_row(const Overlay::Version& version, std::string value) {
  return {version.sequence, version.epoch, version.commit_id, std::move(value)};
}

Result<ActorRow> SqliteStore::load(const ActorKey& actor) {
  if (const Error* error = failure()) return std::unexpected(*error);
  std::string row = actor_row(actor);
  const Overlay::Row* newer = overlay_.find(Table::kActor, row);
  if (newer != nullptr && newer->held != Overlay::Held::kTableValue) return loaded_row(newer->version, newer->value);
  auto stored = read_actor(row);
  if (!stored) return std::unexpected(explain(stored.error()));
  StoredActor found;
  if (*stored) {
    found = *std::move(*stored);
    actors_.put(row, {found.version.sequence, found.state.has_value()});
  }
  return loaded_row(newer != nullptr ? newer->version : found.version, std::move(found.state).value_or(std::string()));
}

Result<ActorRow> SqliteStore::load_rows(
    const ActorKey& actor,
    const std::function<Status(Table table, std::string_view suffix, std::string_view value)>& visit) {
  PLX_TRY(loaded, load(actor));
  if (loaded.sequence == 0) return loaded;  // rows of an actor come only by its commits
  std::string prefix = actor_row(actor) + '\0';
  Status visited;
  for (Table table : kTables) {
    if (table == Table::kActor) continue;
    PLX_TRY_STATUS(scan(table, prefix, [&](std::string_view key, std::string_view value) {
      visited = visit(table, key.substr(prefix.size()), value);
      return visited.has_value();
    }));
    PLX_TRY_STATUS(visited);
  }
  return loaded;
}

Result<std::optional<std::string>> SqliteStore::get(Table table, std::string_view key) {
  if (const Error* error = failure()) return std::unexpected(*error);
  if (table == Table::kActor)
    return fail(Code::kInvalidArgument, "an actor's state is read by load(), not get()", "PLX-STO-0004");
  if (const Overlay::Row* newer = overlay_.find(table, key)) {
    if (newer->held == Overlay::Held::kErased) return std::nullopt;
    return newer->value;
  }
  Statement& get = tables_[index(table)].get;
  ResetAtEnd reset(get);
  auto found = get.bind(1, key).step();
  if (!found) return std::unexpected(explain(found.error()));
  if (!*found) return std::nullopt;
  PLX_TRY(payload, unseal(get.blob(1), table, key));
  return std::string(payload);
}

Status SqliteStore::scan(Table table, std::string_view prefix,
                         const std::function<bool(std::string_view, std::string_view)>& visit) {
  if (const Error* error = failure()) return std::unexpected(*error);
  bool actor = table == Table::kActor;
  std::string end = end_of(prefix);
  TableStatements& statements = tables_[index(table)];
  Statement& scan = end.empty() ? statements.scan_to_end : statements.scan;
  ResetAtEnd reset(scan);
  scan.bind(1, prefix);
  if (!end.empty()) scan.bind(2, std::string_view(end));

  // Merges the overlay's rows with the table's; where both have a key, the overlay is newer.
  Overlay::Scan newer(overlay_, table, prefix);
  auto stored = scan.step();
  for (;;) {
    if (!stored) return std::unexpected(explain(stored.error()));
    if (newer.done() && !*stored) return {};
    std::string_view stored_key = *stored ? scan.blob(0) : std::string_view();
    int order = newer.done() ? 1 : !*stored ? -1 : std::string_view(newer.key()).compare(stored_key);
    if (order <= 0 && newer.row().held != Overlay::Held::kTableValue) {
      if (newer.row().held == Overlay::Held::kValue && !visit(newer.key(), newer.row().value)) return {};
    } else if (order >= 0) {
      PLX_TRY(payload, unseal(scan.blob(1), table, stored_key, actor ? version_in(scan) : Overlay::Version()));
      bool has_value = !actor || (!payload.empty() && payload.back() == '\1');
      if (actor && has_value) payload.remove_suffix(1);
      if (has_value && !visit(stored_key, payload)) return {};
    }
    if (order <= 0) newer.next();
    if (order >= 0) stored = scan.step();
  }
}

}  // namespace

std::vector<std::string> sqlite_files(const std::string& directory) {
  std::string database = directory + "/plexspaces.db";
  return {directory + "/LOCK", database, database + "-wal"};
}

Result<std::unique_ptr<Store>> open_sqlite(env::Disk& disk, env::Random& random, env::Clock& clock,
                                           std::string directory, SqliteOptions options) {
  return SqliteStore::open(disk, random, clock, std::move(directory), options);
}

}  // namespace plexspaces::store
