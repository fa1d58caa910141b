// What opening, a commit and a kill cost does not grow: counted in bytes and rows, never in time.
#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plexspaces/env/posix/clock.hpp"
#include "plexspaces/env/posix/disk.hpp"
#include "plexspaces/env/posix/random.hpp"
#include "plexspaces/sim/disk.hpp"
#include "plexspaces/store/sqlite_store.hpp"
#include "plexspaces/store/store_fixture.hpp"

namespace plexspaces::store {
namespace {

using namespace testing_support;
using enum Outcome;

constexpr SqliteOptions kSmall{.overlay_bytes_max = 32 << 10,
                               .log_bytes_max = 24 << 10,
                               .sweep_bytes_min = 512,
                               .trim_bytes_min = 1024,
                               .page_cache_bytes = 65536,
                               .checkpoint_bytes = 64 << 10};
constexpr std::size_t kStateBytes = 100;
constexpr std::size_t kGroup = 4;
constexpr std::size_t kGroupCost = kGroup * 1200;  // of one group in the overlay and, less, in the log
constexpr std::size_t kOverlayBound = kSmall.overlay_bytes_max + kGroupCost;
constexpr std::size_t kLogBound = kSmall.log_bytes_max + kSmall.overlay_bytes_max + kGroupCost;

enum class Keys { kAscending, kRandom, kOneAmongNew };

// A store that only ever gets new actors, each with an answer.
class GrowingStoreTest : public testing::TestWithParam<Keys> {
 protected:
  void open(SqliteOptions options = kSmall) {
    store_.reset();
    auto opened = open_sqlite(disk_, world_.random, world_.clock, "data", options);
    ASSERT_TRUE(opened.has_value()) << opened.error().to_string();
    store_ = std::move(*opened);
    ASSERT_LE(store_->stats().log_bytes_replayed, kLogBound) << "after " << actors_ << " actors";
    ASSERT_LE(store_->stats().overlay_bytes, kOverlayBound) << "after " << actors_ << " actors";
  }
  void kill() {
    store_.reset();
    disk_.kill();
  }
  std::string key(std::uint64_t actor) const {
    return GetParam() == Keys::kRandom ? fmt::format("{:016x}", actor * 0x9e3779b97f4a7c15u)
                                       : fmt::format("k{:08}", actor);
  }
  void commit_new(std::size_t actors = kGroup) {
    std::vector<Commit> group;
    for (std::size_t i = 0; i < actors; ++i) {
      std::string name = key(actors_++);
      Commit commit = set_state(*store_, name, 0, std::string(kStateBytes, 's'));
      with(commit, Table::kOutcome, row_key(name, "request"), "answer", Precondition::kAbsent);
      group.push_back(std::move(commit));
    }
    if (GetParam() == Keys::kOneAmongNew && actors_ % 64 == 0)
      group.push_back(set_state(*store_, "a", hot_sequence_++, "state"));
    std::uint64_t swept = store_->stats().rows_swept;
    ASSERT_EQ(store_->commit(group), std::vector<Outcome>(group.size(), kDone));
    rows_swept_max_ = std::max(rows_swept_max_, store_->stats().rows_swept - swept);
    ASSERT_LE(store_->stats().log_bytes, kLogBound) << "after " << actors_ << " actors";
    ASSERT_LE(store_->stats().overlay_bytes, kOverlayBound) << "after " << actors_ << " actors";
  }
  void expect_all_there() {
    for (std::uint64_t i = 0; i < actors_; i += 37) {
      auto row = store_->load(actor(key(i)));
      ASSERT_TRUE(row.has_value());
      ASSERT_EQ(row->value, std::string(kStateBytes, 's')) << i;
      ASSERT_EQ(store_->get(Table::kOutcome, row_key(key(i), "request")).value(), "answer") << i;
    }
  }

  sim::World world_{1};
  sim::SimDisk disk_{world_};
  std::unique_ptr<Store> store_;
  std::uint64_t actors_ = 0;
  std::uint64_t hot_sequence_ = 0;
  std::uint64_t rows_swept_max_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Keys, GrowingStoreTest, testing::Values(Keys::kAscending, Keys::kRandom, Keys::kOneAmongNew),
                         [](const auto& instance) {
                           return instance.param == Keys::kAscending ? "Ascending"
                                  : instance.param == Keys::kRandom  ? "Random"
                                                                     : "OneAmongNew";
                         });

TEST_P(GrowingStoreTest, TheLogAndTheOverlayStayWithinTheirBoundsWhateverTheKeys) {
  open();
  for (int i = 0; i < 1'000; ++i) ASSERT_NO_FATAL_FAILURE(commit_new());
  EXPECT_LE(rows_swept_max_, 6 * kGroup) << "no commit pays for many others";
  kill();
  ASSERT_NO_FATAL_FAILURE(open());
  EXPECT_GT(store_->stats().log_bytes_replayed, 0u);
  rows_swept_max_ = 0;
  ASSERT_NO_FATAL_FAILURE(commit_new());
  EXPECT_LE(rows_swept_max_, 6 * kGroup) << "the first commit costs what any commit costs";
  expect_all_there();
}

TEST_P(GrowingStoreTest, KillsAfterFewCommitsDoNotMakeOpeningDearer) {
  for (int life = 0; life < 200; ++life) {
    ASSERT_NO_FATAL_FAILURE(open());
    for (int i = 0; i < 5; ++i) ASSERT_NO_FATAL_FAILURE(commit_new());
    kill();
  }
  ASSERT_NO_FATAL_FAILURE(open());
  expect_all_there();
}

TEST_P(GrowingStoreTest, OneCommitALifeIsEnoughForTheSweepToGoOn) {
  SqliteOptions options = kSmall;
  options.sweep_bytes_min = 8 << 10;  // more than one commit ever owes
  for (int life = 0; life < 400; ++life) {
    ASSERT_NO_FATAL_FAILURE(open(options));
    ASSERT_NO_FATAL_FAILURE(commit_new(1));
    kill();
  }
  ASSERT_NO_FATAL_FAILURE(open(options));
  EXPECT_LE(store_->stats().log_bytes_replayed, kSmall.log_bytes_max);
  expect_all_there();
}

TEST_P(GrowingStoreTest, AReplayGivesTheOverlayThatTheKilledProcessHad) {
  open();
  for (int i = 0; i < 300; ++i) ASSERT_NO_FATAL_FAILURE(commit_new());
  StoreStats before = store_->stats();
  kill();
  ASSERT_NO_FATAL_FAILURE(open());
  EXPECT_EQ(store_->stats().overlay_bytes, before.overlay_bytes);
  EXPECT_EQ(store_->stats().log_bytes, before.log_bytes);
}

std::string growing_key(Keys keys, std::uint64_t i) {
  return keys == Keys::kRandom ? fmt::format("{:016x}", i * 0x9e3779b97f4a7c15u) : fmt::format("k{:08}", i);
}

// Commit number `n` of a growing store: a new actor; and, by its number alone, another change of an old one with it.
// kConflict: it was done in an earlier life, which did not live to hear of it.
Outcome commit_number(Store& store, Keys keys, std::uint64_t n) {
  auto key = [&](std::uint64_t i) { return growing_key(keys, i); };
  std::vector<Commit> group{set_state(store, key(n), 0, std::string(kStateBytes, 's'))};
  with(group[0], Table::kOutcome, row_key(key(n), "request"), "answer", Precondition::kAbsent);
  with(group[0], Table::kOutbox, row_key(key(n), "message"), "message", Precondition::kAbsent);
  if (n >= 8 && n % 2 == 0) {
    std::string old = key(n % 5 == 0 ? n / 2 : n - 8);
    auto row = store.load(actor(old));
    if (!row) return Outcome::kUnknown;
    Commit change = set_state(store, old, row->sequence, std::string(kStateBytes, 'c'));
    with(change, Table::kOutbox, row_key(old, "message"), std::nullopt);
    group.push_back(std::move(change));
  }
  return store.commit(group).front();
}

void expect_commits(Store& store, Keys keys, std::uint64_t commits) {
  for (std::uint64_t i = 0; i < commits; i += 17) {
    auto row = store.load(actor(growing_key(keys, i)));
    ASSERT_TRUE(row.has_value());
    ASSERT_GE(row->sequence, 1u) << i;
    ASSERT_EQ(store.get(Table::kOutcome, row_key(growing_key(keys, i), "request")).value(), "answer") << i;
  }
}

// One store that grows while its process or its machine dies again and again, at any operation of its disk. Each life
// makes new actors, changes old ones and erases some messages; `commits_` counts what was acknowledged.
class CrashLoop {
 public:
  CrashLoop(std::uint64_t seed, Keys keys) : world_(seed), disk_(world_), draw_(seed), keys_(keys) {}

  // Until `commits` are acknowledged, or the disk dies.
  void live(std::uint64_t commits) {
    auto store = open_sqlite(disk_, world_.random, world_.clock, "data", kSmall);
    if (!store) return;
    ASSERT_LE((*store)->stats().log_bytes_replayed, kLogBound) << "after " << commits_ << " commits";
    replayed_max_ = std::max(replayed_max_, (*store)->stats().log_bytes_replayed);
    while (commits_ < commits) {
      auto outcome = commit_number(**store, keys_, commits_);
      if (outcome == Outcome::kUnknown) return;
      ASSERT_TRUE(outcome == kDone || outcome == kConflict) << static_cast<int>(outcome);
      ++commits_;
    }
  }
  void die() { draw_.one_in(3) ? disk_.crash() : disk_.kill(); }
  void die_soon() { disk_.die_at(1 + draw_.below(600)); }
  std::uint64_t commits() const { return commits_; }
  std::uint64_t replayed_max() const { return replayed_max_; }
  std::size_t bytes() const {
    std::size_t bytes = 0;
    for (const std::string& path : disk_.files()) bytes += disk_.contents(path)->size();
    return bytes;
  }
  void expect_all_there() {
    auto store = open_sqlite(disk_, world_.random, world_.clock, "data", kSmall);
    ASSERT_TRUE(store.has_value()) << store.error().to_string();
    expect_commits(**store, keys_, commits_);
  }

 private:
  sim::World world_;
  sim::SimDisk disk_;
  sim::SimRandom draw_;
  Keys keys_;
  std::uint64_t commits_ = 0;
  std::uint64_t replayed_max_ = 0;
};

TEST(StoreCrashLoopTest, TwoHundredDeathsLeaveOpeningAndSizeWhatTheyAreWithoutThem_INV_J1) {
  constexpr int kDeaths = 200;
  for (Keys keys : {Keys::kAscending, Keys::kRandom}) {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      CrashLoop loop(seed, keys);
      std::uint64_t grown = 0;
      for (int death = 0; death < kDeaths; ++death) {
        loop.die_soon();
        ASSERT_NO_FATAL_FAILURE(loop.live(~std::uint64_t{0})) << "death " << death << ", seed " << seed;
        loop.die();
        if (death == kDeaths / 2) grown = loop.commits();
      }
      ASSERT_GT(loop.commits(), grown) << "the store goes on growing";
      ASSERT_GT(loop.commits(), 1'000u);
      EXPECT_GT(loop.replayed_max(), 0u);
      ASSERT_NO_FATAL_FAILURE(loop.expect_all_there());
      CrashLoop whole(seed, keys);
      ASSERT_NO_FATAL_FAILURE(whole.live(loop.commits()));
      EXPECT_LE(static_cast<double>(loop.bytes()), 1.3 * static_cast<double>(whole.bytes()))
          << "seed " << seed << ", " << loop.commits() << " commits";
    }
  }
}

// A child process that commits until it is killed, and tells of each acknowledged commit by a byte in a pipe.
class Child {
 public:
  Child(const std::string& directory, std::uint64_t first) {
    EXPECT_EQ(::pipe(pipe_), 0);
    pid_ = ::fork();
    if (pid_ == 0) commit_for_ever(directory, first);
    ::close(pipe_[1]);
  }
  // Kills it when it has told of `acked` commits. @returns how many it told of.
  std::uint64_t kill_after(std::uint64_t acked) {
    std::uint64_t told = 0;
    char bytes[256];
    while (told < acked) {
      ssize_t got = ::read(pipe_[0], bytes, 1);
      if (got <= 0) break;
      ++told;
    }
    ::kill(pid_, SIGKILL);
    for (ssize_t got; (got = ::read(pipe_[0], bytes, sizeof bytes)) > 0;) told += static_cast<std::uint64_t>(got);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status)) << "the child ended by itself with " << WEXITSTATUS(status);
    ::close(pipe_[0]);
    return told;
  }

 private:
  [[noreturn]] void commit_for_ever(const std::string& directory, std::uint64_t n) const {
    env::PosixDisk disk;
    env::PosixRandom random;
    env::PosixClock clock;
    auto store = open_sqlite(disk, random, clock, directory, kSmall);
    if (!store) ::_exit(2);
    if ((*store)->stats().log_bytes_replayed > kLogBound) ::_exit(3);
    for (;; ++n) {
      auto outcome = commit_number(**store, Keys::kRandom, n);
      if (outcome != kDone && outcome != kConflict) ::_exit(4);
      if (::write(pipe_[1], "+", 1) != 1) ::_exit(5);
    }
  }

  int pipe_[2] = {-1, -1};
  pid_t pid_ = -1;
};

std::uintmax_t bytes_in(const std::filesystem::path& directory) {
  std::uintmax_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) bytes += entry.file_size();
  return bytes;
}

TEST(StoreCrashLoopTest, TwoHundredKillsOfARealProcessLeaveOpeningAndSizeWhatTheyAreWithoutThem_INV_J1) {
  // A kill takes nothing from the cache of the system, so files in memory do as well, and are not slowed by others'
  // syncs.
  std::filesystem::path memory = "/dev/shm";
  bool in_memory = std::filesystem::exists(memory) && ::access(memory.c_str(), W_OK) == 0;
  std::string pattern = (in_memory ? memory : std::filesystem::temp_directory_path()) / "plx-store-kills-XXXXXX";
  std::filesystem::path directory = ::mkdtemp(pattern.data());
  sim::SimRandom draw(1);
  std::uint64_t commits = 0;
  for (int kill = 0; kill < 200 && !testing::Test::HasFailure(); ++kill) {
    Child child(directory / "killed", commits);
    commits += child.kill_after(1 + draw.below(12));
  }
  env::PosixDisk disk;
  env::PosixRandom random;
  env::PosixClock clock;
  {
    auto store = open_sqlite(disk, random, clock, directory / "killed", kSmall);
    ASSERT_TRUE(store.has_value()) << store.error().to_string();
    EXPECT_LE((*store)->stats().log_bytes_replayed, kLogBound);
    ASSERT_NO_FATAL_FAILURE(expect_commits(**store, Keys::kRandom, commits));
  }
  {
    auto whole = open_sqlite(disk, random, clock, directory / "whole", kSmall);
    ASSERT_TRUE(whole.has_value()) << whole.error().to_string();
    for (std::uint64_t n = 0; n < commits; ++n) ASSERT_EQ(commit_number(**whole, Keys::kRandom, n), kDone);
  }
  EXPECT_GE(commits, 200u);
  EXPECT_LE(static_cast<double>(bytes_in(directory / "killed")),
            1.3 * static_cast<double>(bytes_in(directory / "whole")))
      << commits << " commits";
  std::filesystem::remove_all(directory);
}

TEST(StoreBoundsTest, CommitsThatEachOweLittlePayTheirDebtTogether) {
  sim::World world(1);
  sim::SimDisk disk(world);
  SqliteOptions options = kSmall;
  options.sweep_bytes_min = 8 << 10;  // more than one commit ever owes
  auto store = open_sqlite(disk, world.random, world.clock, "data", options).value();
  for (int i = 0; i < 1'000; ++i) {
    Commit commit = set_state(*store, fmt::format("k{:08}", i), 0, std::string(kStateBytes, 's'));
    ASSERT_EQ(store->commit(std::span(&commit, 1)).front(), kDone);
    ASSERT_LE(store->stats().overlay_bytes, options.overlay_bytes_max + 2 * options.sweep_bytes_min) << i;
    ASSERT_LE(store->stats().log_bytes, options.log_bytes_max + options.overlay_bytes_max) << i;
  }
  EXPECT_GT(store->stats().rows_swept, 700u);
}

TEST(StoreBoundsTest, ManyMessagesThatComeAndGoLeaveNothingToReplay) {
  sim::World world(1);
  sim::SimDisk disk(world);
  auto store = open_sqlite(disk, world.random, world.clock, "data", kSmall).value();
  for (std::uint64_t i = 0; i < 600; ++i) {
    Commit commit = set_state(*store, "a", i, "state");
    with(commit, Table::kOutbox, row_key("a", std::to_string(i)), "message", Precondition::kAbsent);
    if (i > 3) with(commit, Table::kOutbox, row_key("a", std::to_string(i - 3)), std::nullopt);
    ASSERT_EQ(store->commit(std::span(&commit, 1)).front(), kDone);
  }
  StoreStats before = store->stats();
  EXPECT_LE(before.overlay_bytes, 4'000u);
  EXPECT_LE(before.log_bytes, 6'000u) << "a row that changes often does not keep the log";
  store.reset();
  store = open_sqlite(disk, world.random, world.clock, "data", kSmall).value();
  EXPECT_LE(store->stats().overlay_bytes, before.overlay_bytes + 2'000) << "nor do rows that are gone";
}

TEST_P(GrowingStoreTest, AnActivationReadsAFewPagesHoweverLargeTheStoreIs) {
  open();
  for (int i = 0; i < 1'000; ++i) ASSERT_NO_FATAL_FAILURE(commit_new());
  for (std::uint64_t i = 0; i < actors_ + 40; i += 41) {
    int rows = 0;
    std::uint64_t before = disk_.operations();
    auto row = store_->load_rows(actor(key(i)), [&](Table, std::string_view, std::string_view) -> Status {
      ++rows;
      return {};
    });
    ASSERT_TRUE(row.has_value());
    ASSERT_EQ(rows, i < actors_ ? 1 : 0);
    // Each table is a tree of at most three levels here.
    ASSERT_LE(disk_.operations() - before, i < actors_ ? 12u : 3u) << i;
  }
}

TEST(StoreBoundsTest, ALongLogPressesTheSweepThoughTheOverlayHasRoom) {
  sim::World world(1);
  sim::SimDisk disk(world);
  SqliteOptions options = kSmall;
  options.overlay_bytes_max = 1 << 20;
  auto store = open_sqlite(disk, world.random, world.clock, "data", options).value();
  constexpr std::uint64_t kActors = 10;
  constexpr std::size_t kState = 2'000;
  for (std::uint64_t i = 0; i < 600; ++i) {
    // Nine change again and again; the tenth keeps the log from its last change on.
    std::uint64_t hot = i % (kActors - 1);
    Commit commit = i % 100 == 0
                        ? set_state(*store, "zcold", i / 100, "state")
                        : set_state(*store, std::to_string(hot), store->load(actor(std::to_string(hot)))->sequence,
                                    std::string(kState, 's'));
    ASSERT_EQ(store->commit(std::span(&commit, 1)).front(), kDone);
    ASSERT_LE(store->stats().log_bytes, options.log_bytes_max + 2 * kActors * kState) << i;
  }
}

// An erased row whose old value is still in the table is hidden by the overlay alone. What the log says of the next
// change must not let a replay take it for a row that was never there.
TEST(StoreBoundsTest, AnErasedRowDoesNotComeBackWhenItsErasureLeavesTheLog_INV_J1) {
  SqliteOptions options = kSmall;
  options.sweep_bytes_min = 2'048;
  options.trim_bytes_min = 1;
  std::size_t hidden = 0;
  for (bool put : {false, true}) {
    for (int filler = 0; filler < 60; ++filler) {
      sim::World world(1);
      sim::SimDisk disk(world);
      auto store = open_sqlite(disk, world.random, world.clock, "data", options).value();
      std::uint64_t sequence = 0;
      auto commit = [&](std::optional<std::string> value, Precondition precondition, bool touches = true) {
        Commit made = set_state(*store, "a", sequence++, "state");
        if (touches) with(made, Table::kOutbox, row_key("a", "x"), std::move(value), precondition);
        ASSERT_EQ(store->commit(std::span(&made, 1)).front(), kDone);
      };
      auto reopen = [&] {
        store.reset();
        disk.kill();
        store = open_sqlite(disk, world.random, world.clock, "data", options).value();
      };
      commit("old", Precondition::kNone);
      for (int i = 0; i < filler; ++i) commit("", Precondition::kNone, false);
      std::uint64_t swept = store->stats().rows_swept;
      commit(std::nullopt, Precondition::kPresent);
      commit(put ? std::optional<std::string>("new") : std::nullopt, Precondition::kAbsent);
      if (swept > 0 && store->stats().rows_swept == swept) ++hidden;
      reopen();
      if (put) commit(std::nullopt, Precondition::kPresent);
      ASSERT_EQ(store->get(Table::kOutbox, row_key("a", "x")).value(), std::nullopt) << "filler " << filler;
      reopen();
      ASSERT_EQ(store->get(Table::kOutbox, row_key("a", "x")).value(), std::nullopt) << "filler " << filler;
    }
  }
  EXPECT_GT(hidden, 10u) << "some erasures were not swept when the next change came";
}

TEST(StoreBoundsTest, OpeningsWithoutACommitDoNotMakeTheLogFileLonger) {
  sim::World world(1);
  sim::SimDisk disk(world);
  std::size_t longest = 0;
  for (int i = 0; i < 100; ++i) {
    auto store = open_sqlite(disk, world.random, world.clock, "data", kSmall);
    ASSERT_TRUE(store.has_value());
    longest = std::max(longest, disk.contents("data/plexspaces.db-wal")->size());
    store->reset();
    disk.kill();
  }
  EXPECT_LE(longest, kSmall.checkpoint_bytes + 16'384);
}

}  // namespace
}  // namespace plexspaces::store
