// The contract of the Store port, kept by every backend and by the model.
#include <filesystem>
#include <memory>
#include <string>
#include <tuple>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <unistd.h>

#include "plexspaces/env/posix/clock.hpp"
#include "plexspaces/env/posix/disk.hpp"
#include "plexspaces/env/posix/random.hpp"
#include "plexspaces/env/probe.hpp"
#include "plexspaces/sim/disk.hpp"
#include "plexspaces/store/memory_store.hpp"
#include "plexspaces/store/sqlite_store.hpp"
#include "plexspaces/store/store_fixture.hpp"

namespace plexspaces::store {
namespace {

using namespace testing_support;
using enum Outcome;

// Where a store lives between its openings.
class Home {
 public:
  virtual ~Home() = default;
  virtual std::unique_ptr<Store> open() = 0;
};

class MemoryHome final : public Home {
 public:
  std::unique_ptr<Store> open() override { return std::make_unique<MemoryStore>(contents_); }

 private:
  sim::SimRandom random_{1};
  std::shared_ptr<MemoryContents> contents_ = std::make_shared<MemoryContents>(random_);
};

// Small enough that every test sweeps, trims and checkpoints.
constexpr SqliteOptions kTiny{.group_bytes_max = 4096,
                              .overlay_bytes_max = 2048,
                              .sweep_bytes_min = 64,
                              .trim_bytes_min = 256,
                              .actor_cache_max = 2,
                              .page_cache_bytes = 65536,
                              .checkpoint_bytes = 65536};

class SimHome final : public Home {
 public:
  explicit SimHome(SqliteOptions options = {}) : options_(options) {}
  std::unique_ptr<Store> open() override {
    auto store = open_sqlite(disk_, world_.random, world_.clock, "data", options_);
    EXPECT_TRUE(store.has_value()) << store.error().to_string();
    return store ? std::move(*store) : nullptr;
  }

 private:
  SqliteOptions options_;
  sim::World world_{1};
  sim::SimDisk disk_{world_};
};

class PosixHome final : public Home {
 public:
  PosixHome() {
    std::string pattern = testing::TempDir() + "plx_store_XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
  }
  ~PosixHome() override { std::filesystem::remove_all(directory_); }
  std::unique_ptr<Store> open() override {
    auto store = open_sqlite(disk_, random_, clock_, directory_ + "/data");
    EXPECT_TRUE(store.has_value()) << store.error().to_string();
    return store ? std::move(*store) : nullptr;
  }

 private:
  std::string directory_;
  env::PosixDisk disk_;
  env::PosixRandom random_;
  env::PosixClock clock_;
};

struct Backend {
  std::string name;
  std::function<std::unique_ptr<Home>()> make;
};

class StoreContractTest : public testing::TestWithParam<Backend> {
 protected:
  void SetUp() override {
    home_ = GetParam().make();
    reopen();
  }
  void reopen() {
    store_.reset();  // one opening at a time
    store_ = home_->open();
    ASSERT_NE(store_, nullptr);
  }
  Outcome commit(const Commit& commit) { return store_->commit(std::span(&commit, 1)).at(0); }
  Commit state(const std::string& key, std::uint64_t sequence, std::string value) const {
    return set_state(*store_, key, sequence, std::move(value));
  }
  ActorRow load(const std::string& key) { return store_->load(actor(key)).value(); }
  std::optional<std::string> get(Table table, const std::string& key) { return store_->get(table, key).value(); }

  std::unique_ptr<Home> home_;
  std::unique_ptr<Store> store_;
};

INSTANTIATE_TEST_SUITE_P(Backends, StoreContractTest,
                         testing::Values(Backend{"Memory", [] { return std::make_unique<MemoryHome>(); }},
                                         Backend{"SqliteOnSimDisk", [] { return std::make_unique<SimHome>(); }},
                                         Backend{"SqliteTinyOnSimDisk",
                                                 [] { return std::make_unique<SimHome>(kTiny); }},
                                         Backend{"SqliteOnPosixDisk", [] { return std::make_unique<PosixHome>(); }}),
                         [](const auto& instance) { return instance.param.name; });

TEST_P(StoreContractTest, AnUnknownActorHasSequenceZeroAndNoState) {
  EXPECT_EQ(load("a").sequence, 0u);
  EXPECT_EQ(load("a").value, "");
  EXPECT_TRUE(store_->commit({}).empty());
}

TEST_P(StoreContractTest, ACommitIsReadBackAtOnceAndAfterReopening) {
  EXPECT_EQ(commit(state("a", 0, "one")), kDone);
  EXPECT_EQ(commit(state("a", 1, "two")), kDone);
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(load("a").sequence, 2u);
    EXPECT_EQ(load("a").value, "two");
    reopen();
  }
}

TEST_P(StoreContractTest, EachCommitOfAGroupHasItsOwnFateAndSeesThoseBeforeIt) {
  std::vector<Commit> group{state("a", 0, "a1"), state("b", 7, "never"), state("a", 1, "a2"), state("c", 0, "c1"),
                            state("c", 0, "never")};
  EXPECT_EQ(store_->commit(group), (std::vector<Outcome>{kDone, kConflict, kDone, kDone, kConflict}));
  EXPECT_EQ(load("a").value, "a2");
  EXPECT_EQ(load("b").sequence, 0u);
  EXPECT_EQ(load("c").value, "c1");
}

TEST_P(StoreContractTest, PreconditionsAreJudgedBeforeTheCommitAndAConflictChangesNothing) {
  std::string key = row_key("a", "request-1");
  Commit first = state("a", 0, "1");
  with(first, Table::kOutcome, key, "answer", Precondition::kAbsent);
  EXPECT_EQ(commit(first), kDone);

  Commit again = state("a", 1, "2");
  with(again, Table::kOutbox, row_key("a", "m"), "message");
  with(again, Table::kOutcome, key, "other answer", Precondition::kAbsent);
  EXPECT_EQ(commit(again), kConflict);
  EXPECT_EQ(load("a").value, "1");
  EXPECT_EQ(get(Table::kOutcome, key), "answer");
  EXPECT_EQ(get(Table::kOutbox, row_key("a", "m")), std::nullopt);

  Commit missing = state("a", 1, "2");
  with(missing, Table::kOutbox, row_key("a", "m"), std::nullopt, Precondition::kPresent);
  EXPECT_EQ(commit(missing), kConflict);

  Commit erase = state("a", 1, "2");
  with(erase, Table::kOutcome, key, std::nullopt, Precondition::kPresent);
  with(erase, Table::kOutcome, key, "back", Precondition::kPresent);
  EXPECT_EQ(commit(erase), kDone) << "both preconditions speak of the row before the commit";
  EXPECT_EQ(get(Table::kOutcome, key), "back");
}

TEST_P(StoreContractTest, PreconditionsOnTheStateSpeakOfTheStateNotTheSequence) {
  Commit bare{.epoch = store_->epoch(0), .actor = actor("a"), .records = {"r"}};
  EXPECT_EQ(commit(bare), kDone);
  EXPECT_EQ(load("a").sequence, 1u);
  Commit create = state("a", 1, "born");
  create.mutations[0].precondition = Precondition::kAbsent;
  EXPECT_EQ(commit(create), kDone);
  create.expected_sequence = 2;
  EXPECT_EQ(commit(create), kConflict);
  bare.expected_sequence = 2;
  EXPECT_EQ(commit(bare), kDone);
  EXPECT_EQ(load("a").value, "born") << "a commit without a state leaves it";
  Commit erase{.epoch = store_->epoch(0), .actor = actor("a"), .expected_sequence = 3};
  with(erase, Table::kActor, actor_row(actor("a")), std::nullopt, Precondition::kPresent);
  EXPECT_EQ(commit(erase), kDone);
  reopen();
  EXPECT_EQ(load("a").sequence, 4u) << "an erased state keeps its sequence";
  EXPECT_EQ(load("a").value, "");
}

TEST_P(StoreContractTest, TheRowOfAnActorTellsItsLastCommitHoweverItChanged) {
  auto expect_last = [&](std::uint64_t sequence, std::uint64_t epoch, std::uint64_t id, const char* how) {
    auto row = load("a");
    EXPECT_EQ(row.sequence, sequence) << how;
    EXPECT_EQ(row.epoch, epoch) << how;
    EXPECT_EQ(row.commit_id, id) << how;
  };
  expect_last(0, 0, 0, "an actor without commits");
  std::uint64_t first = store_->epoch(0);
  Commit change = state("a", 0, "one");
  change.id = 70;
  EXPECT_EQ(commit(change), kDone);
  change.id = 71;
  EXPECT_EQ(commit(change), kConflict);
  expect_last(1, first, 70, "a refused commit leaves no trace");
  Commit bare{.epoch = first, .actor = actor("a"), .expected_sequence = 1, .id = ~std::uint64_t{0}};
  EXPECT_EQ(commit(bare), kDone);
  expect_last(2, first, ~std::uint64_t{0}, "a commit that leaves the state");
  reopen();
  expect_last(2, first, ~std::uint64_t{0}, "after opening again");
  Commit erase{.epoch = store_->epoch(0), .actor = actor("a"), .expected_sequence = 2, .id = 72};
  with(erase, Table::kActor, actor_row(actor("a")), std::nullopt);
  EXPECT_EQ(commit(erase), kDone);
  for (std::uint64_t i = 0; i < 60; ++i) EXPECT_EQ(commit(state("b", i, std::string(300, 's'))), kDone);
  expect_last(3, first + 1, 72, "an erased state, whose row may be in the table by now");
  reopen();
  expect_last(3, first + 1, 72, "the same after opening again");
}

TEST(ActorRowTest, AKeyBeginsWithTheShardAndTellsItsActor) {
  for (const char* name : {"a", "b", "c"}) {
    ActorKey key = actor(name);
    std::string row = actor_row(key);
    EXPECT_EQ(shard_of(row), key.shard());
    EXPECT_EQ(row.substr(1), key.to_row());
    EXPECT_EQ(actor_of(row).value(), key);
    EXPECT_EQ(actor_of(row + std::string("\0more\0of it", 11)).value(), key);
  }
  for (std::string_view damaged : {std::string_view(), std::string_view("x"), std::string_view("xt\0n\0type", 9)}) {
    auto key = actor_of(damaged);
    ASSERT_FALSE(key.has_value());
    EXPECT_EQ(key.error().code(), Code::kDataLoss);
  }
}

TEST_P(StoreContractTest, AnEarlierEpochIsFencedAfterReopening_INV_A1) {
  Commit stale = state("a", 0, "stale");
  std::uint64_t before = store_->epoch(3);
  std::string id = store_->id();
  reopen();
  EXPECT_EQ(store_->epoch(3), before + 1);
  EXPECT_EQ(store_->id(), id);
  EXPECT_EQ(commit(stale), kFenced);
  EXPECT_EQ(load("a").sequence, 0u);
  stale.epoch = store_->epoch(0) + 1;
  EXPECT_EQ(commit(stale), kFenced) << "a later epoch is not ours either";
}

TEST_P(StoreContractTest, ScansVisitAPrefixInByteOrderUntilToldToStop) {
  Commit commit_all = state("a", 0, "1");
  for (const std::string& id : {"b", "a", "\xff", "ab", "\xff\xff"})
    with(commit_all, Table::kOutbox, row_key("a", id), id);
  ASSERT_EQ(commit(commit_all), kDone);
  Commit other = state("b", 0, "1");
  with(other, Table::kOutbox, row_key("b", "x"), "other actor");
  ASSERT_EQ(commit(other), kDone);
  for (int round = 0; round < 2; ++round) {
    std::vector<std::string> seen;
    auto collect = [&](std::string_view, std::string_view value) {
      seen.emplace_back(value);
      return true;
    };
    ASSERT_TRUE(store_->scan(Table::kOutbox, row_key("a", ""), collect).has_value());
    EXPECT_EQ(seen, (std::vector<std::string>{"a", "ab", "b", "\xff", "\xff\xff"}));
    seen.clear();
    ASSERT_TRUE(store_->scan(Table::kOutbox, row_key("b", ""), collect).has_value());
    EXPECT_EQ(seen, (std::vector<std::string>{"other actor"}));
    seen.clear();
    ASSERT_TRUE(
        store_
            ->scan(Table::kOutbox, "",
                   [&](std::string_view key, std::string_view value) { return collect(key, value) && seen.size() < 2; })
            .has_value());
    EXPECT_EQ(seen, (std::vector<std::string>{"a", "ab"}));
    reopen();
  }
}

TEST_P(StoreContractTest, OneLoadReadsAllRowsOfAnActorAndNoneOfItsNeighbours) {
  for (const std::string& key : std::vector<std::string>{"a", "a2", "b"}) {
    Commit all = state(key, 0, "state of " + key);
    with(all, Table::kOutbox, row_key(key, "2"), "message of " + key);
    with(all, Table::kOutbox, row_key(key, "1"), "message of " + key);
    with(all, Table::kOutcome, row_key(key, "r"), "answer of " + key);
    with(all, Table::kPeer, row_key(key, "p"), "peer of " + key);
    ASSERT_EQ(commit(all), kDone);
  }
  using Seen = std::vector<std::tuple<Table, std::string, std::string>>;
  Seen seen;
  auto visit = [&](Table table, std::string_view suffix, std::string_view value) -> Status {
    seen.emplace_back(table, suffix, value);
    return {};
  };
  for (int round = 0; round < 2; ++round) {
    seen.clear();
    auto row = store_->load_rows(actor("a"), visit);
    ASSERT_TRUE(row.has_value());
    EXPECT_EQ(row->sequence, 1u);
    EXPECT_EQ(row->value, "state of a");
    EXPECT_EQ(seen, (Seen{{Table::kOutcome, "r", "answer of a"},
                          {Table::kPeer, "p", "peer of a"},
                          {Table::kOutbox, "1", "message of a"},
                          {Table::kOutbox, "2", "message of a"}}));
    seen.clear();
    EXPECT_EQ(store_->load_rows(actor("c"), visit)->sequence, 0u);
    EXPECT_TRUE(seen.empty());
    int visits = 0;
    auto stopped = store_->load_rows(actor("b"), [&](Table, std::string_view, std::string_view) -> Status {
      ++visits;
      return fail(Code::kOutOfRange, "enough");
    });
    ASSERT_FALSE(stopped.has_value());
    EXPECT_EQ(stopped.error().code(), Code::kOutOfRange);
    EXPECT_EQ(visits, 1);
    reopen();
  }
}

TEST_P(StoreContractTest, ABrokenRuleIsRefusedWithItsReasonAndHarmsNoNeighbour) {
  Commit foreign = state("a", 0, "1");
  foreign.mutations[0].key = actor_row(actor("b"));
  Commit foreign_row = state("a", 0, "1");
  with(foreign_row, Table::kOutbox, row_key("b", "x"), "v");
  Commit no_row = state("a", 0, "1");
  with(no_row, Table::kOutbox, actor_row(actor("a")), "v");
  Commit huge = state("b", 0, std::string(kCommitBytesMax, 'x'));
  Commit long_key = state("c", 0, "1");
  with(long_key, Table::kOutbox, row_key("c", std::string(kStoreKeyBytesMax, 'k')), "v");
  std::vector<Commit> group{foreign, foreign_row, no_row, huge, long_key, state("d", 0, "fine")};
  EXPECT_EQ(store_->commit(group), (std::vector<Outcome>{kRefused, kRefused, kRefused, kRefused, kRefused, kDone}));
  ASSERT_NE(store_->refusal(), nullptr);
  EXPECT_EQ(store_->refusal()->code(), Code::kInvalidArgument);
  EXPECT_EQ(commit(state("d", 1, "next")), kDone);
  EXPECT_EQ(store_->refusal(), nullptr);
  EXPECT_EQ(store_->failure(), nullptr);
}

TEST_P(StoreContractTest, StatesOfAMebibyteAndEmptyValuesAreKept) {
  std::string big(std::size_t{1} << 20, 'b');
  Commit commit_both = state("a", 0, big);
  with(commit_both, Table::kPeer, row_key("a", "s"), "");
  EXPECT_EQ(commit(commit_both), kDone);
  for (int i = 1; i < 6; ++i) EXPECT_EQ(commit(state("b", i - 1, big)), kDone);
  reopen();
  EXPECT_EQ(load("a").value, big);
  EXPECT_EQ(get(Table::kPeer, row_key("a", "s")), "");
}

// Random programs: every backend does what the model does.

struct Step {
  std::vector<Commit> group;
  bool reopens = false;
};

rc::Gen<Commit> any_commit() {
  return rc::gen::exec([] {
    std::string key = *rc::gen::elementOf(std::vector<std::string>{"a", "b", "c", "d"});
    Commit commit{.epoch = *rc::gen::weightedElement<std::uint64_t>({{30, 0}, {1, 1}}),  // added to the real one
                  .actor = actor(key),
                  .expected_sequence = *rc::gen::weightedElement<std::uint64_t>({{20, 0}, {1, 1}}),
                  .id = *rc::gen::inRange<std::uint64_t>(0, 100)};
    int mutations = *rc::gen::inRange(0, 5);
    for (int i = 0; i < mutations; ++i) {
      Mutation mutation;
      mutation.table = *rc::gen::element(Table::kActor, Table::kOutcome, Table::kPeer, Table::kOutbox, Table::kOutbox);
      mutation.key = mutation.table == Table::kActor ? actor_row(actor(key))
                                                     : row_key(key, std::to_string(*rc::gen::inRange(0, 4)));
      if (*rc::gen::inRange(0, 3) != 0)
        mutation.value = std::string(static_cast<std::size_t>(*rc::gen::inRange(0, 80)), *rc::gen::inRange('a', 'z'));
      mutation.precondition = *rc::gen::weightedElement<Precondition>(
          {{8, Precondition::kNone}, {2, Precondition::kAbsent}, {1, Precondition::kPresent}});
      commit.mutations.push_back(std::move(mutation));
    }
    commit.records.resize(static_cast<std::size_t>(*rc::gen::inRange(0, 2)), "record");
    return commit;
  });
}

TEST(StoreModelTest, RandomProgramsWithReopensAndTinyLimitsMatchTheModel) {
  reset_probes();
  bool held = rc::check("sqlite does what the model does", [] {
    MemoryHome model_home;
    SimHome sqlite_home(any_options([](std::size_t bound) { return *rc::gen::inRange<std::size_t>(0, bound); }));
    auto model = model_home.open();
    auto sqlite = sqlite_home.open();
    std::map<std::string, std::uint64_t> sequences;
    int steps = *rc::gen::inRange(1, 40);
    for (int i = 0; i < steps; ++i) {
      auto group =
          *rc::gen::container<std::vector<Commit>>(static_cast<std::size_t>(*rc::gen::inRange(1, 6)), any_commit());
      for (Commit& commit : group) {
        // Mostly the right sequence, by what the commits before it will have done if all goes well.
        bool right = commit.expected_sequence == 0 && commit.epoch == 0;
        commit.epoch += model->epoch(0);
        std::uint64_t wrong = commit.expected_sequence;
        commit.expected_sequence = sequences[commit.actor.key] + wrong;
        if (right) ++sequences[commit.actor.key];
      }
      RC_ASSERT(model->commit(group) == sqlite->commit(group));
      if (*rc::gen::inRange(0, 6) == 0) {
        model.reset();
        sqlite.reset();
        model = model_home.open();
        sqlite = sqlite_home.open();
        RC_ASSERT(sqlite != nullptr);
      }
      auto expected = read_all(*model, {"a", "b", "c", "d"});
      auto actual = read_all(*sqlite, {"a", "b", "c", "d"});
      RC_ASSERT(actual.has_value());
      RC_ASSERT(*expected == *actual);
      for (auto& [key, sequence] : sequences) {
        auto row = *model->load(actor(key));
        auto stored = *sqlite->load(actor(key));
        RC_ASSERT(stored.epoch == row.epoch);
        RC_ASSERT(stored.commit_id == row.commit_id);
        sequence = row.sequence;
      }
    }
  });
  EXPECT_TRUE(held);
  for (Probe probe : {Probe::kStoreRowSwept, Probe::kStoreRowVanished, Probe::kStoreLapEnded, Probe::kStoreLogTrimmed,
                      Probe::kStoreLogReplayed, Probe::kStoreOverlayPressed, Probe::kStoreCheckpointed,
                      Probe::kStoreCommitConflict, Probe::kStoreCommitFenced})
    EXPECT_GT(times_reached(probe), 0u) << probe_name(probe);
}

}  // namespace
}  // namespace plexspaces::store
