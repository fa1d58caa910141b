// Crashes, failed syncs and full disks under the real SQLite store, on the simulated disk.
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "plexspaces/env/probe.hpp"
#include "plexspaces/sim/disk.hpp"
#include "plexspaces/store/memory_store.hpp"
#include "plexspaces/store/sqlite_store.hpp"
#include "plexspaces/store/store_fixture.hpp"

namespace plexspaces::store {
namespace {

using namespace testing_support;
using enum Outcome;

constexpr SqliteOptions kTiny{.group_bytes_max = 65536,
                              .overlay_bytes_max = 2048,
                              .sweep_bytes_min = 128,
                              .trim_bytes_min = 1024,
                              .actor_cache_max = 2,
                              .page_cache_bytes = 65536,
                              .checkpoint_bytes = 49152};

const std::vector<std::string> kActors{"a", "b", "c", "d", "e"};

// The group that step `step` of the workload commits, given what is in the store.
std::vector<Commit> group_of(Store& store, sim::SimRandom& random, int step) {
  std::vector<Commit> group;
  for (const std::string& key : kActors) {
    if (random.one_in(2)) continue;
    std::string tag = std::to_string(step);
    auto row = store.load(actor(key));
    if (!row) return {};
    Commit commit = set_state(store, key, row->sequence, "state " + tag + std::string(random.below(200), 's'));
    with(commit, Table::kOutcome, row_key(key, "request " + tag), "answer " + tag, Precondition::kAbsent);
    with(commit, Table::kOutbox, row_key(key, "message " + tag), "message " + tag, Precondition::kAbsent);
    if (step > 1) with(commit, Table::kOutbox, row_key(key, "message " + std::to_string(step - 2)), std::nullopt);
    group.push_back(std::move(commit));
  }
  return group;
}

// One store on one disk, beside a model that takes the same groups. A group is one transaction, so what the store may
// show after a crash is the model after some number of groups.
class CrashRun {
 public:
  explicit CrashRun(std::uint64_t seed) : world_(seed), disk_(world_), workload_(seed) {
    // The first seed has limits that make everything happen; the others have any.
    sim::SimRandom draw(seed);
    if (seed > 1)
      options_ = any_options([&](std::size_t bound) { return static_cast<std::size_t>(draw.below(bound)); });
    MemoryContents empty(workload_);
    remember(empty);
  }

  // Commits up to `groups` groups, until one is not known to be done.
  void run(int groups) {
    auto opened = open();
    if (!opened) return;
    for (int i = 0; i < groups; ++i) {
      auto group = group_of(**opened, workload_, step_++);
      if (group.empty()) continue;
      auto outcomes = (*opened)->commit(group);
      auto contents = std::make_shared<MemoryContents>(stages_.back().model);
      MemoryStore model(contents);
      for (Commit& commit : group) commit.epoch = model.epoch(0);
      ASSERT_EQ(model.commit(group), std::vector<Outcome>(group.size(), kDone));
      remember(*contents);
      if (outcomes != std::vector<Outcome>(group.size(), kDone)) {
        EXPECT_EQ(outcomes, std::vector<Outcome>(group.size(), kUnknown));
        return;
      }
      acked_ = stages_.size() - 1;
    }
  }

  Result<std::unique_ptr<Store>> open() { return open_sqlite(disk_, world_.random, world_.clock, "data", options_); }
  std::string options() const { return text(options_); }

  // INV-J1 and INV-J2: what is there is what some number of groups made, and no fewer than were acknowledged. The run
  // then goes on from there: what was recovered has been seen, and may not be lost either.
  testing::AssertionResult holds_a_prefix_with_all_acked() {
    auto store = open();
    if (!store) return testing::AssertionFailure() << "does not open: " << store.error().to_string();
    auto contents = read_all(**store, kActors);
    if (!contents) return testing::AssertionFailure() << "cannot be read: " << contents.error().to_string();
    for (std::size_t i = stages_.size(); i-- > 0;) {
      if (*contents != stages_[i].contents) continue;
      if (i < acked_)
        return testing::AssertionFailure() << "ends after group " << i << ", but " << acked_ << " were acknowledged";
      beyond_acked_ = i > acked_;
      stages_.erase(stages_.begin() + static_cast<std::ptrdiff_t>(i) + 1, stages_.end());
      acked_ = i;
      return testing::AssertionSuccess();
    }
    return testing::AssertionFailure() << "the contents are no prefix of the commits";
  }

  sim::SimDisk& disk() { return disk_; }
  sim::World& world() { return world_; }
  std::size_t acked() const { return acked_; }
  bool beyond_acked() const { return beyond_acked_; }

 private:
  struct Stage {
    MemoryContents model;
    Contents contents;
  };
  void remember(const MemoryContents& model) {
    MemoryStore store(std::make_shared<MemoryContents>(model));
    stages_.push_back({model, read_all(store, kActors).value()});
  }

  SqliteOptions options_ = kTiny;
  sim::World world_;
  sim::SimDisk disk_;
  sim::SimRandom workload_;
  std::vector<Stage> stages_;  // [i]: after i groups
  std::size_t acked_ = 0;
  bool beyond_acked_ = false;
  int step_ = 0;
};

constexpr int kGroups = 30;

TEST(StoreCrashTest, ACrashAtEachDiskOperationKeepsEveryAckedCommitAndNoHole_INV_J1_INV_J2) {
  reset_probes();
  CrashRun whole(1);
  whole.run(kGroups);
  ASSERT_GT(whole.acked(), 20u);
  std::uint64_t operations = whole.disk().operations();
  ASSERT_GT(operations, 200u);
  std::size_t beyond_acked = 0;
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    for (std::uint64_t at = 1; at <= operations; ++at) {
      CrashRun run(seed);
      run.disk().die_at(at);
      run.run(kGroups);
      run.disk().crash();
      ASSERT_TRUE(run.holds_a_prefix_with_all_acked())
          << "seed " << seed << ", operation " << at << ", " << run.options();
      if (run.beyond_acked()) ++beyond_acked;
    }
  }
  EXPECT_GT(beyond_acked, 0u) << "some crash falls between the sync and the acknowledgement";
  for (Probe probe :
       {Probe::kSimWriteLost, Probe::kSimWriteTorn, Probe::kSimWriteKeptUnsynced, Probe::kSimDied,
        Probe::kStoreCheckpointed, Probe::kStoreLogTrimmed, Probe::kStoreLogReplayed, Probe::kStoreFailed})
    EXPECT_GT(times_reached(probe), 0u) << probe_name(probe);
}

TEST(StoreCrashTest, CrashesDuringRecoveryAndAfterItKeepEveryAckedCommit_INV_J1_INV_J2) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    CrashRun run(seed);
    for (int life = 0; life < 5; ++life) {
      run.disk().die_at(1 + run.world().random.below(life == 0 ? 300 : 120));
      run.run(kGroups);
      // The process alone or the whole machine, and often again while it recovers.
      for (bool again = true; again; again = run.world().random.one_in(2)) {
        run.world().random.one_in(3) ? run.disk().kill() : run.disk().crash();
        run.disk().die_at(1 + run.world().random.below(40));
        (void)run.open();
      }
      run.world().random.one_in(3) ? run.disk().kill() : run.disk().crash();
      ASSERT_TRUE(run.holds_a_prefix_with_all_acked()) << "seed " << seed << ", life " << life << ", " << run.options();
    }
  }
}

TEST(StoreCrashTest, AnUnknownCommitIsResolvedByReadingTheRowOfItsActor) {
  int done = 0;
  int lost = 0;
  for (std::uint64_t at = 1; at <= 400; ++at) {
    sim::World world(at);
    sim::SimDisk disk(world);
    auto store = open_sqlite(disk, world.random, world.clock, "data", kTiny);
    ASSERT_TRUE(store.has_value());
    Commit commit;
    Outcome outcome = kDone;
    disk.die_at(at);
    for (std::uint64_t i = 0; i < 100 && outcome == kDone; ++i) {
      commit = set_state(**store, "a", i, "state " + std::to_string(i) + std::string(800, 's'));
      commit.id = 1'000 + i;
      outcome = (*store)->commit(std::span(&commit, 1)).front();
    }
    if (outcome == kDone) break;
    ASSERT_EQ(outcome, kUnknown);
    store->reset();
    disk.crash();
    store = open_sqlite(disk, world.random, world.clock, "data", kTiny);
    ASSERT_TRUE(store.has_value()) << store.error().to_string();
    auto row = (*store)->load(actor("a"));
    ASSERT_TRUE(row.has_value());
    bool is_done =
        row->epoch == commit.epoch && row->sequence == commit.expected_sequence + 1 && row->commit_id == commit.id;
    ASSERT_EQ(is_done, row->value == *commit.mutations[0].value) << "operation " << at;
    ASSERT_TRUE(is_done || row->sequence == commit.expected_sequence) << "operation " << at;
    ++(is_done ? done : lost);
  }
  EXPECT_GT(done, 0);
  EXPECT_GT(lost, 0);
}

// The header of the log is the name of the log that begins; its first frame still has the name of the one before.
bool log_has_just_begun(const sim::SimDisk& disk) {
  auto wal = disk.contents("data/plexspaces.db-wal");
  return wal && wal->size() > 56 && wal->substr(16, 8) != wal->substr(40, 8);
}

TEST(StoreCrashTest, ALogThatHadJustBegunSurvivesPowerLossAtEachStepOfRecovery_INV_J1) {
  CrashRun whole(1);
  whole.run(kGroups);
  std::uint64_t operations = whole.disk().operations();
  int begun = 0;
  for (std::uint64_t at = 1; at <= operations && begun < 3; ++at) {
    auto die = [&](CrashRun& run) {
      run.disk().die_at(at);
      run.run(kGroups);
      run.disk().kill();
    };
    CrashRun probe(1);
    die(probe);
    if (!log_has_just_begun(probe.disk())) continue;
    ++begun;
    // Killed at one step of recovery, whose writes the next one finds in the cache; then the power goes.
    for (std::uint64_t killed = 1; killed <= 26; ++killed) {
      for (std::uint64_t step = 1; step <= 26; ++step) {
        CrashRun run(1);
        die(run);
        run.disk().die_at(killed);
        (void)run.open();
        run.disk().kill();
        run.disk().die_at(step);
        (void)run.open();
        run.disk().crash();
        ASSERT_TRUE(run.holds_a_prefix_with_all_acked())
            << "operation " << at << ", killed at " << killed << ", power lost at " << step;
      }
    }
  }
  EXPECT_GT(begun, 2);
}

TEST(StoreCrashTest, AfterAFailedSyncNothingIsAckedOrServed_INV_J3) {
  int failed = 0;
  for (std::uint64_t n = 1; n <= 50; ++n) {
    CrashRun run(n);
    run.disk().fail_sync(n);
    auto store = run.open();
    if (!store) {
      EXPECT_EQ(run.disk().syncs(), n) << "opening gives up at the sync that failed";
    } else {
      sim::SimRandom workload(n);
      for (int step = 0; step < 60; ++step) {
        auto group = group_of(**store, workload, step);
        if (group.empty()) continue;
        auto outcomes = (*store)->commit(group);
        if ((*store)->failure() == nullptr) continue;
        ++failed;
        EXPECT_EQ(outcomes, std::vector<Outcome>(group.size(), kUnknown));
        std::uint64_t operations = run.disk().operations();
        EXPECT_EQ((*store)->commit(group), std::vector<Outcome>(group.size(), kUnknown));
        EXPECT_FALSE((*store)->load(actor("a")).has_value());
        EXPECT_FALSE((*store)->get(Table::kOutbox, "k").has_value());
        EXPECT_FALSE((*store)->scan(Table::kOutbox, "", [](auto, auto) { return true; }).has_value());
        EXPECT_EQ(run.disk().operations(), operations) << "no file is touched any more";
        store->reset();
        EXPECT_EQ(run.disk().operations(), operations) << "not even by closing";
        break;
      }
    }
    run.disk().crash();
  }
  EXPECT_GT(failed, 20);
}

TEST(StoreCrashTest, WhatAFailedSyncLeftInTheCacheIsMadeDurableBeforeItIsBuiltUpon_INV_J1_INV_J3) {
  for (std::uint64_t n = 1; n <= 50; ++n) {
    CrashRun run(n);
    run.disk().fail_sync(n);
    run.run(60);
    // The process dies, the machine does not: its cache shows pages that are not on the disk and count as clean.
    if (n % 2 == 0)
      run.disk().kill();
    else
      run.disk().crash();
    ASSERT_TRUE(run.holds_a_prefix_with_all_acked()) << "sync " << n;
    run.disk().kill();
    run.run(3);
    run.disk().crash();
    ASSERT_TRUE(run.holds_a_prefix_with_all_acked()) << "sync " << n << ", after a power failure";
  }
}

TEST(StoreCrashTest, AfterAFailedWriteNothingIsAckedAndReopeningKeepsWhatWas_INV_J3) {
  for (std::uint64_t n = 1; n <= 120; ++n) {
    CrashRun run(n);
    run.disk().fail_write(n);
    run.run(kGroups);
    run.world().random.one_in(2) ? run.disk().kill() : run.disk().crash();
    ASSERT_TRUE(run.holds_a_prefix_with_all_acked()) << "write " << n;
  }
}

TEST(StoreCrashTest, ACrashAtEachOperationOfTheFirstOpeningLeavesADirectoryThatOpens) {
  constexpr std::uint64_t kOperations = 40;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    for (std::uint64_t at = 1; at <= kOperations; ++at) {
      CrashRun run(seed);
      run.disk().die_at(at);
      (void)run.open();
      run.disk().crash();
      ASSERT_TRUE(run.holds_a_prefix_with_all_acked()) << "seed " << seed << ", operation " << at;
    }
  }
}

TEST(StoreCrashTest, ANewDataDirectoryIsThereAfterTheFirstAckedCommit_INV_J1) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    sim::World world(seed);
    sim::SimDisk disk(world);
    auto store = open_sqlite(disk, world.random, world.clock, "new/data", kTiny);
    ASSERT_TRUE(store.has_value());
    Commit commit = set_state(**store, "a", 0, "state");
    ASSERT_EQ((*store)->commit(std::span(&commit, 1)).front(), kDone);
    store->reset();
    disk.crash();
    store = open_sqlite(disk, world.random, world.clock, "new/data", kTiny);
    ASSERT_TRUE(store.has_value());
    ASSERT_EQ((*store)->load(actor("a"))->value, "state") << "seed " << seed;
  }
}

TEST(StoreCrashTest, AFailedReadIsAnErrorAndNeverAWrongAnswer_INV_J1_INV_J3) {
  int failed_open = 0;
  int failed_read = 0;
  for (std::uint64_t n = 1; n <= 120; ++n) {
    CrashRun run(n % 5);
    run.run(kGroups);
    run.disk().kill();
    run.disk().fail_read(n);
    auto store = run.open();
    if (!store) {
      ++failed_open;
      EXPECT_NE(store.error().code(), Code::kDataLoss) << store.error().to_string();
    } else if (auto contents = read_all(**store, kActors); !contents) {
      ++failed_read;
      EXPECT_EQ(contents.error().code(), Code::kUnavailable) << contents.error().to_string();
    } else {
      run.disk().kill();
      run.run(kGroups);  // its first failed commit is kUnknown
    }
    run.disk().kill();
    ASSERT_TRUE(run.holds_a_prefix_with_all_acked()) << "read " << n;
  }
  EXPECT_GT(failed_open, 0);
  EXPECT_GT(failed_read, 0);
}

TEST(StoreCrashTest, AFullDiskRefusesTheGroupNamesItselfAndTheStoreGoesOn) {
  for (std::uint64_t room = 0; room < 60'000; room += 1'117) {
    CrashRun run(room);
    auto store = run.open();
    ASSERT_TRUE(store.has_value());
    Commit first = set_state(**store, "a", 0, "before");
    ASSERT_EQ((*store)->commit(std::span(&first, 1)).front(), kDone);
    run.disk().limit_space(room);
    std::uint64_t sequence = 1;
    std::string value = "before";
    bool refused = false;
    for (int i = 0; i < 200 && !refused; ++i) {
      Commit commit = set_state(**store, "a", sequence, std::string(1000, 'x') + std::to_string(i));
      with(commit, Table::kOutbox, row_key("a", std::to_string(i)), std::string(1000, 'm'));
      Outcome outcome = (*store)->commit(std::span(&commit, 1)).front();
      ASSERT_TRUE(outcome == kDone || outcome == kRefused) << "outcome " << static_cast<int>(outcome);
      if (outcome == kDone) {
        ++sequence;
        value = *commit.mutations[0].value;
      } else {
        refused = true;
        ASSERT_NE((*store)->refusal(), nullptr);
        EXPECT_EQ((*store)->refusal()->code(), Code::kResourceExhausted);
        EXPECT_NE((*store)->refusal()->to_string().find("data/plexspaces.db"), std::string::npos)
            << (*store)->refusal()->to_string();
      }
    }
    EXPECT_TRUE(refused);
    EXPECT_EQ((*store)->failure(), nullptr);
    EXPECT_EQ((*store)->load(actor("a"))->value, value);
    run.disk().limit_space(std::nullopt);
    Commit next = set_state(**store, "a", sequence, "after");
    ASSERT_EQ((*store)->commit(std::span(&next, 1)).front(), kDone);
    store->reset();
    run.disk().crash();
    store = run.open();
    ASSERT_TRUE(store.has_value()) << store.error().to_string();
    EXPECT_EQ((*store)->load(actor("a"))->value, "after");
    EXPECT_EQ((*store)->load(actor("a"))->sequence, sequence + 1);
  }
}

TEST(StoreCrashTest, ADiskFullWhileTheStoreIsCreatedIsNamedAndHarmsNothing) {
  int refused = 0;
  for (std::uint64_t room = 0; room < 80'000; room += 997) {
    CrashRun run(room);
    run.disk().limit_space(room);
    auto store = run.open();
    if (!store) {
      ++refused;
      EXPECT_EQ(store.error().code(), Code::kResourceExhausted) << room << ": " << store.error().to_string();
      EXPECT_NE(store.error().to_string().find("data/plexspaces.db"), std::string::npos);
    } else {
      store->reset();
    }
    run.disk().limit_space(std::nullopt);
    if (room % 2 == 0) run.disk().crash();
    run.run(5);
    EXPECT_GT(run.acked(), 2u) << "there is room now";
    ASSERT_TRUE(run.holds_a_prefix_with_all_acked());
  }
  EXPECT_GT(refused, 10);
}

TEST(StoreCrashTest, TheSameSeedGivesTheSameTraceThroughCrashesAndAnotherSeedAnother) {
  auto trace = [](std::uint64_t seed) {
    CrashRun run(seed);
    for (int life = 0; life < 3; ++life) {
      run.disk().die_at(1 + run.world().random.below(200));
      run.run(kGroups);
      run.disk().crash();
      EXPECT_TRUE(run.holds_a_prefix_with_all_acked());
    }
    return run.world().trace.hash();
  };
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    EXPECT_EQ(trace(seed), trace(seed));
    EXPECT_NE(trace(seed), trace(seed + 1000));
  }
}

TEST(StoreCrashTest, ASecondProcessOnTheDirectoryIsRefused) {
  CrashRun run(1);
  auto first = run.open();
  ASSERT_TRUE(first.has_value());
  auto second = run.open();
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code(), Code::kFailedPrecondition);
  first->reset();
  EXPECT_TRUE(run.open().has_value());
}

}  // namespace
}  // namespace plexspaces::store
