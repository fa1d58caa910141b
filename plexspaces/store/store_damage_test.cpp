// Damaged files: the store refuses them, or shows a prefix of what was committed, and never anything else.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "plexspaces/env/probe.hpp"
#include "plexspaces/sim/disk.hpp"
#include "plexspaces/store/database.hpp"
#include "plexspaces/store/sqlite_store.hpp"
#include "plexspaces/store/sqlite_vfs.hpp"
#include "plexspaces/store/store_fixture.hpp"

namespace plexspaces::store {
namespace {

using namespace testing_support;
using enum Outcome;

constexpr SqliteOptions kTiny{.overlay_bytes_max = 2048,
                              .sweep_bytes_min = 128,
                              .trim_bytes_min = 512,
                              .page_cache_bytes = 65536,
                              .checkpoint_bytes = 40'000};
const std::vector<std::string> kActors{"a", "b", "c"};

using Files = std::map<std::string, std::string>;

Result<std::unique_ptr<Store>> open_on(sim::World& world, sim::SimDisk& disk) {
  return open_sqlite(disk, world.random, world.clock, "data", kTiny);
}

// A small store, after checkpoints have moved a part of the log into the database file.
struct Sample {
  Files files;
  std::vector<Contents> after;  // [i]: what the store showed after i commits
};

enum class End { kClosed, kCrashed };

Sample make_sample(int commits, End end = End::kClosed) {
  sim::World world(7);
  sim::SimDisk disk(world);
  auto store = open_on(world, disk).value();
  Sample sample;
  sample.after.push_back(read_all(*store, kActors).value());
  std::map<std::string, std::uint64_t> sequences;
  for (int i = 0; i < commits; ++i) {
    const std::string& key = kActors[static_cast<std::size_t>(i) % kActors.size()];
    Commit commit = set_state(*store, key, sequences[key]++, "state " + std::to_string(i) + std::string(60, 's'));
    with(commit, Table::kOutcome, row_key(key, std::to_string(i)), "answer " + std::to_string(i));
    EXPECT_EQ(store->commit(std::span(&commit, 1)).front(), kDone);
    sample.after.push_back(read_all(*store, kActors).value());
  }
  if (end == End::kClosed) store.reset();
  for (const std::string& path : disk.files()) sample.files[path] = *disk.contents(path);
  return sample;
}

enum class Verdict { kRefused, kPrefix, kWrong };

// Opens the files and reads everything. `prefix` becomes the number of commits that are there.
Verdict judge(const Sample& sample, const Files& files, std::size_t& prefix, std::string& why) {
  sim::World world(9);
  sim::SimDisk disk(world);
  for (const auto& [path, bytes] : files) disk.set_contents(path, bytes);
  auto store = open_on(world, disk);
  if (!store) {
    why = store.error().to_string();
    return Verdict::kRefused;
  }
  auto contents = read_all(**store, kActors);
  if (!contents) {
    why = contents.error().to_string();
    return Verdict::kRefused;
  }
  auto found = std::ranges::find(sample.after, *contents);
  if (found == sample.after.end()) return Verdict::kWrong;
  prefix = static_cast<std::size_t>(found - sample.after.begin());
  return Verdict::kPrefix;
}

// Every byte near the heads of pages and frames and of small files, a stride elsewhere.
std::size_t flip_step(std::size_t at, std::size_t size) { return at % 4096 < 128 || size < 100 ? 1 : 23; }

// Flips bytes of every file, one at a time. `lost_max`: the commits that may be gone without a word.
void flip_every_file(End end, std::size_t lost_max) {
  reset_probes();
  Sample sample = make_sample(40, end);
  ASSERT_GT(times_reached(Probe::kStoreCheckpointed), 0u);
  ASSERT_TRUE(sample.files.contains("data/plexspaces.db-wal"));
  std::map<std::string, std::map<std::string, int>> counts;
  for (const auto& [path, bytes] : sample.files) {
    for (std::size_t at = 0; at < bytes.size(); at += flip_step(at, bytes.size())) {
      Files files = sample.files;
      files[path][at] = static_cast<char>(files[path][at] ^ (1 << (at % 8)));
      std::size_t prefix = 0;
      std::string why;
      Verdict verdict = judge(sample, files, prefix, why);
      ASSERT_NE(verdict, Verdict::kWrong) << path << " byte " << at;
      if (verdict == Verdict::kPrefix) ASSERT_GE(prefix + 1 + lost_max, sample.after.size()) << path << " byte " << at;
      ++counts[path][verdict == Verdict::kRefused ? "refused" : prefix + 1 == sample.after.size() ? "whole" : "cut"];
    }
  }
  EXPECT_GT(counts["data/plexspaces.db"]["refused"], 100);
  EXPECT_GT(counts["data/plexspaces.db-wal"]["refused"], 100);
}

TEST(StoreDamageTest, AfterACrashAFlippedByteIsRefusedOrHarmlessOrCutsTheTail_INV_J2) {
  // The last transaction of the log looks like one that the crash tore.
  flip_every_file(End::kCrashed, 1);
}

TEST(StoreDamageTest, AfterACleanCloseAFlippedByteIsRefusedOrLosesNothing_INV_J2) { flip_every_file(End::kClosed, 0); }

// The last frame of the last transaction of the log, which has older frames behind it: the last one that a damage makes
// recovery cut off.
std::size_t end_of_last_transaction(const Sample& sample) {
  constexpr std::size_t kFrameBytes = 4096 + 24;
  std::string wal = sample.files.at("data/plexspaces.db-wal");
  for (std::size_t end = 32 + (wal.size() - 32) / kFrameBytes * kFrameBytes; end > 32; end -= kFrameBytes) {
    sim::World world(9);
    sim::SimDisk disk(world);
    for (const auto& [path, bytes] : sample.files) disk.set_contents(path, bytes);
    std::string torn = wal;
    torn[end - 1] = static_cast<char>(torn[end - 1] ^ 1);
    disk.set_contents("data/plexspaces.db-wal", torn);
    SqliteVfs vfs(disk, world.random, world.clock, "data/plexspaces.db");
    if (vfs.recover() && !vfs.recovery_note().empty()) return end;
  }
  return 0;
}

TEST(StoreDamageTest, WhatIsCutOffTheLogIsNamedAndKept) {
  Sample sample = make_sample(40, End::kCrashed);
  sim::World world(9);
  sim::SimDisk disk(world);
  std::size_t end = end_of_last_transaction(sample);
  ASSERT_GT(end, 0u);
  for (int opening = 1; opening <= SqliteVfs::kTornFilesMax + 1; ++opening) {
    for (const auto& [path, bytes] : sample.files) disk.set_contents(path, bytes);
    std::string torn = sample.files.at("data/plexspaces.db-wal");
    torn[end - 1] = static_cast<char>(torn[end - 1] ^ opening);
    disk.set_contents("data/plexspaces.db-wal", torn);
    auto store = open_on(world, disk);
    ASSERT_TRUE(store.has_value()) << store.error().to_string();
    std::string kept = fmt::format("data/plexspaces.db-torn-{}", std::min(opening, SqliteVfs::kTornFilesMax));
    EXPECT_NE((*store)->recovery_note().find(kept), std::string::npos) << (*store)->recovery_note();
    auto bytes = disk.contents(kept);
    ASSERT_TRUE(bytes.has_value()) << kept;
    EXPECT_GE(bytes->size(), 4096u);
    EXPECT_TRUE(std::string_view(torn).substr(0, end).ends_with(*bytes)) << "the very bytes that were cut off";
    auto contents = read_all(**store, kActors);
    ASSERT_TRUE(contents.has_value());
    EXPECT_EQ(*contents, sample.after[sample.after.size() - 2]);
  }
  auto store = open_on(world, disk);
  ASSERT_TRUE(store.has_value());
  EXPECT_EQ((*store)->recovery_note(), "") << "nothing was torn this time";
}

TEST(StoreDamageTest, WithoutRoomForWhatWasCutOffTheStoreOpensAndSaysSo) {
  Sample sample = make_sample(40, End::kCrashed);
  sim::World world(9);
  sim::SimDisk disk(world);
  for (const auto& [path, bytes] : sample.files) disk.set_contents(path, bytes);
  std::size_t end = end_of_last_transaction(sample);
  ASSERT_GT(end, 0u);
  std::string torn = sample.files.at("data/plexspaces.db-wal");
  torn[end - 1] = static_cast<char>(torn[end - 1] ^ 1);
  disk.set_contents("data/plexspaces.db-wal", torn);
  disk.limit_space(100);
  SqliteVfs vfs(disk, world.random, world.clock, "data/plexspaces.db");
  auto recovered = vfs.recover();
  ASSERT_TRUE(recovered.has_value()) << recovered.error().to_string();
  EXPECT_NE(vfs.recovery_note().find("no room"), std::string::npos) << vfs.recovery_note();
}

TEST(StoreDamageTest, ATruncatedFileIsRefusedOrCutsTheTail_INV_J2) {
  Sample sample = make_sample(40);
  for (const auto& [path, bytes] : sample.files) {
    for (std::size_t size = 0; size < bytes.size(); size += (size % 4096 < 64 || bytes.size() < 100) ? 7 : 61) {
      Files files = sample.files;
      files[path].resize(size);
      std::size_t prefix = 0;
      std::string why;
      ASSERT_NE(judge(sample, files, prefix, why), Verdict::kWrong) << path << " cut to " << size;
    }
  }
}

TEST(StoreDamageTest, AMissingOrExchangedFileIsRefusedOrHarmless_INV_J2) {
  Sample older = make_sample(25);
  Sample sample = make_sample(40);
  for (const auto& [path, bytes] : sample.files) {
    std::size_t prefix = 0;
    std::string why;
    Files without = sample.files;
    without.erase(path);
    EXPECT_EQ(judge(sample, without, prefix, why), Verdict::kRefused) << path;
    Files swapped = sample.files;
    std::swap(swapped[path], older.files[path]);
    EXPECT_NE(judge(sample, swapped, prefix, why), Verdict::kWrong) << path << " of an earlier time";
    std::swap(swapped[path], older.files[path]);
  }
}

// Changes a closed store behind its back, with sound pages: what only the store's own checks can find.
class TamperedStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    auto store = open_on(world_, disk_).value();
    for (int i = 0; i < 20; ++i) {
      Commit commit = set_state(*store, "a", static_cast<std::uint64_t>(i), "state " + std::to_string(i));
      with(commit, Table::kOutcome, row_key("a", std::to_string(i)), "answer");
      ASSERT_EQ(store->commit(std::span(&commit, 1)).front(), kDone);
    }
  }
  void tamper(const char* sql) {
    SqliteVfs vfs(disk_, world_.random, world_.clock, "data/plexspaces.db");
    ASSERT_TRUE(vfs.recover().has_value());
    auto database = Database::open("data/plexspaces.db", vfs.name(), SqliteVfs::kReservedBytes);
    ASSERT_TRUE(database.has_value());
    auto done = database->execute((std::string("PRAGMA locking_mode=EXCLUSIVE;") + sql).c_str());
    ASSERT_TRUE(done.has_value()) << done.error().to_string();
  }
  Error refusal() {
    auto store = open_on(world_, disk_);
    EXPECT_FALSE(store.has_value());
    return store ? Error(Code::kOk, "") : store.error();
  }

  sim::World world_{3};
  sim::SimDisk disk_{world_};
};

TEST_F(TamperedStoreTest, ANewerFormatIsRefusedAndNamesTheVersions) {
  tamper("PRAGMA user_version=3");
  Error error = refusal();
  EXPECT_EQ(error.code(), Code::kFailedPrecondition);
  EXPECT_NE(error.message().find("format version 3"), std::string::npos) << error.message();
}

TEST_F(TamperedStoreTest, TheDatabaseOfAnotherProgramIsRefused) {
  tamper("PRAGMA application_id=7");
  EXPECT_EQ(refusal().code(), Code::kFailedPrecondition);
}

TEST_F(TamperedStoreTest, AGapInTheTurnLogIsRefusedAndNamesThePosition_INV_J2) {
  tamper("DELETE FROM turn_log WHERE pos = 19");
  Error error = refusal();
  EXPECT_EQ(error.code(), Code::kDataLoss);
  EXPECT_NE(error.message().find("position 20 where 19 belongs"), std::string::npos) << error.message();
}

TEST_F(TamperedStoreTest, ALogRowAtAnotherPositionIsRefused_INV_J2) {
  tamper("UPDATE turn_log SET batch = (SELECT batch FROM turn_log WHERE pos = 19) WHERE pos = 20");
  Error error = refusal();
  EXPECT_EQ(error.code(), Code::kDataLoss);
  EXPECT_NE(error.message().find("position 20"), std::string::npos) << error.message();
}

TEST_F(TamperedStoreTest, AChangedRowIsDataLossAndIsNeverServed_INV_J2) {
  tamper(
      "UPDATE meta SET value = 21 WHERE name = 'log_begin'; DELETE FROM turn_log;"
      "UPDATE outcome SET value = CAST('forged' || substr(value, 7) AS BLOB)");
  auto store = open_on(world_, disk_);
  ASSERT_TRUE(store.has_value()) << store.error().to_string();
  int visited = 0;
  auto scanned = (*store)->scan(Table::kOutcome, "", [&](auto, auto) { return ++visited > 0; });
  ASSERT_FALSE(scanned.has_value()) << "some rows were swept into the table";
  EXPECT_EQ(scanned.error().code(), Code::kDataLoss);
  EXPECT_EQ(visited, 0);
  EXPECT_EQ((*store)->get(Table::kOutcome, row_key("a", "0")).error().code(), Code::kDataLoss);
}

// The store of each format version, kept as bytes, opens and shows what was put into it.

constexpr int kGoldenCommits = 40;

void write_golden(Store& store) {
  std::map<std::string, std::uint64_t> sequences;
  for (int i = 0; i < kGoldenCommits; ++i) {
    const std::string& key = kActors[static_cast<std::size_t>(i) % kActors.size()];
    Commit commit = set_state(store, key, sequences[key]++, "state " + std::to_string(i));
    with(commit, Table::kOutcome, row_key(key, std::to_string(i)), "answer " + std::to_string(i),
         Precondition::kAbsent);
    with(commit, Table::kOutbox, row_key(key, std::to_string(i)), "message", Precondition::kAbsent);
    if (i >= 5) with(commit, Table::kOutbox, row_key(key, std::to_string(i - 3)), std::nullopt);
    commit.id = static_cast<std::uint64_t>(i);
    ASSERT_EQ(store.commit(std::span(&commit, 1)).front(), kDone);
  }
}

Contents golden_contents() {
  Contents contents;
  for (int i = 0; i < kGoldenCommits; ++i) {
    const std::string& key = kActors[static_cast<std::size_t>(i) % kActors.size()];
    std::string state = "state " + std::to_string(i);
    contents.rows[{1, actor_row(actor(key))}] = state;
    contents.rows[{2, row_key(key, std::to_string(i))}] = "answer " + std::to_string(i);
    if (i + 3 >= kGoldenCommits || i < 2) contents.rows[{4, row_key(key, std::to_string(i))}] = "message";
    contents.actors[key] = {static_cast<std::uint64_t>(i) / kActors.size() + 1, state};
  }
  return contents;
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream bytes;
  bytes << in.rdbuf();
  return bytes.str();
}

// Puts a golden store onto a simulated disk.
void copy_golden(const char* format, sim::SimDisk& disk) {
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(PLX_STORE_TESTDATA) / format)) {
    disk.set_contents("data/" + entry.path().filename().string(), read_file(entry.path()));
    ++files;
  }
  ASSERT_GE(files, 2u) << format;
}

TEST(StoreGoldenTest, AStoreOfFormat2OpensWithItsRows_INV_J8) {
  sim::World world(1);
  sim::SimDisk disk(world);
  copy_golden("format_2", disk);
  auto store = open_on(world, disk);
  ASSERT_TRUE(store.has_value()) << store.error().to_string();
  EXPECT_EQ((*store)->epoch(0), 2u);
  EXPECT_EQ((*store)->id().size(), 32u);
  EXPECT_EQ(read_all(**store, kActors).value(), golden_contents());
  auto row = (*store)->load(actor("a"));
  ASSERT_TRUE(row.has_value());
  EXPECT_EQ(row->epoch, 1u);
  EXPECT_EQ(row->commit_id, 39u);
}

TEST(StoreGoldenTest, AStoreOfFormat1IsRefusedWithWhatToDo) {
  for (bool checkpointed : {true, false}) {
    sim::World world(1);
    sim::SimDisk disk(world);
    copy_golden("format_1", disk);
    std::string database = *disk.contents("data/plexspaces.db");
    // Before the first checkpoint the version stands in the log only.
    if (!checkpointed) disk.set_contents("data/plexspaces.db", database.replace(60, 12, std::string(12, '\0')));
    auto files = disk.files();
    auto store = open_on(world, disk);
    ASSERT_FALSE(store.has_value());
    EXPECT_EQ(store.error().code(), Code::kFailedPrecondition);
    EXPECT_EQ(store.error().domain(), "PLX-STO-0036");
    EXPECT_NE(store.error().message().find("start with an empty one"), std::string::npos) << store.error().message();
    EXPECT_EQ(*disk.contents("data/plexspaces.db"), database) << "nothing was touched";
  }
}

// docs/disk-format.md shows bytes of the golden store: a line of a text block is a file, an offset and bytes.
TEST(StoreFormatTest, TheDocumentedBytesAreThoseOfTheGoldenStore) {
  std::istringstream page(read_file(std::filesystem::path(PLX_DOCS) / "disk-format.md"));
  int compared = 0;
  for (std::string line; std::getline(page, line);) {
    if (!line.starts_with("plexspaces.db")) continue;
    std::istringstream words(line);
    std::string file;
    std::size_t offset = 0;
    words >> file >> offset;
    std::string golden = read_file(std::filesystem::path(PLX_STORE_TESTDATA) / "format_2" / file);
    for (int byte = 0; words >> std::hex >> byte; ++offset, ++compared)
      ASSERT_EQ(static_cast<unsigned char>(golden.at(offset)), byte) << line << ", at " << offset;
    ASSERT_TRUE(words.eof()) << line;
  }
  EXPECT_GT(compared, 150);
}

// Run by hand when a format version is born: --gtest_also_run_disabled_tests --gtest_filter=*WritesTheGoldenStore
TEST(StoreGoldenTest, DISABLED_WritesTheGoldenStore) {
  sim::World world(1);
  sim::SimDisk disk(world);
  auto store = open_on(world, disk).value();
  write_golden(*store);
  ASSERT_EQ(read_all(*store, kActors).value(), golden_contents());
  store.reset();
  std::filesystem::path directory =
      std::filesystem::path(PLX_STORE_TESTDATA) / ("format_" + std::to_string(kStoreFormat));
  ASSERT_TRUE(std::filesystem::create_directories(directory)) << "a golden store is never written over";
  for (const std::string& path : disk.files()) {
    std::ofstream out(directory / std::filesystem::path(path).filename(), std::ios::binary);
    out << *disk.contents(path);
  }
}

}  // namespace
}  // namespace plexspaces::store
