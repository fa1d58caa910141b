#include "plexspaces/sim/disk.hpp"

#include <set>
#include <string>

#include <gtest/gtest.h>

#include "plexspaces/env/probe.hpp"

namespace plexspaces::sim {
namespace {

using Open = env::Disk::Open;

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

// A file "d/f" whose name is durable, holding `content`, synced.
std::unique_ptr<env::File> durable_file(SimDisk& disk, std::string_view content) {
  EXPECT_TRUE(env::create_directory_durably(disk, "d").has_value());
  auto file = disk.open("d/f", Open::kCreate).value();
  EXPECT_TRUE(file->write(0, bytes(content)).has_value());
  EXPECT_TRUE(file->sync().has_value());
  EXPECT_TRUE(disk.sync_directory("d").has_value());
  return file;
}

TEST(SimDiskTest, WhatWasSyncedSurvivesEveryCrash) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    World world(seed);
    SimDisk disk(world);
    auto file = durable_file(disk, "synced");
    disk.crash();
    EXPECT_EQ(disk.contents("d/f"), "synced");
  }
}

TEST(SimDiskTest, AnUnsyncedWriteIsKeptLostOrTornAtSectorsAsTheSeedSays) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    World world(seed);
    SimDisk disk(world);
    auto file = durable_file(disk, std::string(1024, 'a'));
    ASSERT_TRUE(file->write(256, bytes(std::string(512, 'b'))).has_value());
    disk.crash();
    seen.insert(*disk.contents("d/f"));
  }
  std::string old(1024, 'a');
  std::string first = old;
  first.replace(256, 256, 256, 'b');
  std::string second = old;
  second.replace(512, 256, 256, 'b');
  std::string both = old;
  both.replace(256, 512, 512, 'b');
  EXPECT_EQ(seen, (std::set<std::string>{old, first, second, both}));
}

TEST(SimDiskTest, ACreationWithoutADirectorySyncMayBeLost) {
  int lost = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    World world(seed);
    SimDisk disk(world);
    ASSERT_TRUE(env::create_directory_durably(disk, "d").has_value());
    auto file = disk.open("d/f", Open::kCreate).value();
    ASSERT_TRUE(file->sync().has_value());
    disk.crash();
    if (disk.exists("d/f") == false) ++lost;
  }
  EXPECT_GT(lost, 5);
  EXPECT_LT(lost, 45);
}

TEST(SimDiskTest, ADirectoryThatIsLostTakesSyncedFilesAlong) {
  int lost = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    World world(seed);
    SimDisk disk(world);
    ASSERT_TRUE(disk.create_directory("a/b").has_value());
    auto file = disk.open("a/b/f", Open::kCreate).value();
    ASSERT_TRUE(file->sync().has_value());
    ASSERT_TRUE(disk.sync_directory("a/b").has_value());
    ASSERT_TRUE(disk.sync_directory("a").has_value());
    disk.crash();
    EXPECT_EQ(disk.exists("a/b/f"), disk.exists("a"));
    if (disk.exists("a") == false) ++lost;
  }
  EXPECT_GT(lost, 5) << "nobody has synced the root";
  EXPECT_LT(lost, 45);
}

TEST(SimDiskTest, ADirectoryMadeDurablyStaysThroughACrashAtEachOperation) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    for (std::uint64_t n = 1; n < 20; ++n) {
      World world(seed);
      SimDisk disk(world);
      disk.die_at(n);
      (void)env::create_directory_durably(disk, "a/b/c");
      world.random.one_in(2) ? disk.crash() : disk.kill();
      ASSERT_TRUE(env::create_directory_durably(disk, "a/b/c").has_value());
      disk.crash();
      ASSERT_EQ(disk.exists("a/b/c"), true) << "seed " << seed << ", operation " << n;
    }
  }
}

TEST(SimDiskTest, AFileNeedsItsDirectory) {
  World world(1);
  SimDisk disk(world);
  EXPECT_EQ(disk.open("d/f", Open::kCreate).error().code(), Code::kNotFound);
  EXPECT_EQ(disk.sync_directory("d").error().code(), Code::kNotFound);
  EXPECT_EQ(disk.lock_directory("d").error().code(), Code::kNotFound);
  EXPECT_TRUE(disk.open("f", Open::kCreate).has_value());
  EXPECT_EQ(disk.create_directory("f/d").error().code(), Code::kPermissionDenied);
}

TEST(SimDiskTest, AReadFailsOnceWhereItWasTold) {
  World world(1);
  SimDisk disk(world);
  auto file = durable_file(disk, "x");
  std::string buffer(1, '\0');
  disk.fail_read(2);
  EXPECT_TRUE(file->read(0, std::as_writable_bytes(std::span(buffer))).has_value());
  EXPECT_EQ(file->read(0, std::as_writable_bytes(std::span(buffer))).error().code(), Code::kUnavailable);
  EXPECT_TRUE(file->read(0, std::as_writable_bytes(std::span(buffer))).has_value());
}

TEST(SimClockTest, TheWallClockJumpsAndTheMonotonicOneDoesNot) {
  SimClock clock;
  WallTime before = clock.wall_now();
  clock.advance(1s);
  clock.jump_wall(-1h);
  EXPECT_EQ(clock.wall_now(), before + 1s - 1h);
  EXPECT_EQ(clock.now(), TimePoint(1s));
}

TEST(SimDiskTest, AfterACrashFilesAreDeadAndLocksAreFree) {
  World world(1);
  SimDisk disk(world);
  auto file = durable_file(disk, "x");
  auto lock = disk.lock_directory("d");
  ASSERT_TRUE(lock.has_value());
  EXPECT_EQ(disk.lock_directory("d").error().code(), Code::kFailedPrecondition);
  disk.crash();
  EXPECT_FALSE(file->write(0, bytes("y")).has_value());
  EXPECT_FALSE(file->sync().has_value());
  EXPECT_EQ(disk.contents("d/f"), "x");
  EXPECT_TRUE(disk.lock_directory("d").has_value());
}

TEST(SimDiskTest, DiesAtTheOperationItWasToldAndHasNoEffectFromThereOn) {
  World world(1);
  SimDisk disk(world);
  auto file = durable_file(disk, "x");
  disk.die_at(2);
  EXPECT_TRUE(file->write(0, bytes("y")).has_value());
  EXPECT_FALSE(file->sync().has_value());
  EXPECT_TRUE(disk.dead());
  EXPECT_FALSE(disk.open("d/f", Open::kExisting).has_value());
  disk.kill();
  EXPECT_FALSE(disk.dead());
  EXPECT_EQ(disk.contents("d/f"), "y") << "a killed process leaves its writes in the cache";
}

TEST(SimDiskTest, WhatAKilledProcessLeftInTheCacheMayStillBeLost) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    World world(seed);
    SimDisk disk(world);
    auto file = durable_file(disk, "x");
    ASSERT_TRUE(file->write(0, bytes("y")).has_value());
    disk.kill();
    EXPECT_EQ(disk.contents("d/f"), "y");
    disk.crash();
    seen.insert(*disk.contents("d/f"));
  }
  EXPECT_EQ(seen, (std::set<std::string>{"x", "y"}));
}

TEST(SimDiskTest, AFailedSyncDropsWhatALaterSyncPretendsToKeep) {
  World world(1);
  SimDisk disk(world);
  auto file = durable_file(disk, "old");
  disk.fail_sync(1);
  ASSERT_TRUE(file->write(0, bytes("new")).has_value());
  auto failed = file->sync();
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code(), Code::kUnknown);
  EXPECT_EQ(disk.contents("d/f"), "new");
  EXPECT_TRUE(file->sync().has_value());
  disk.crash();
  EXPECT_EQ(disk.contents("d/f"), "old");
}

TEST(SimDiskTest, AFullDiskRefusesGrowthAndStillTakesOverwrites) {
  World world(1);
  SimDisk disk(world);
  auto file = durable_file(disk, "1234");
  disk.limit_space(2);
  EXPECT_TRUE(file->write(4, bytes("56")).has_value());
  auto full = file->write(6, bytes("7"));
  ASSERT_FALSE(full.has_value());
  EXPECT_EQ(full.error().code(), Code::kResourceExhausted);
  EXPECT_TRUE(file->write(0, bytes("abcdef")).has_value());
  disk.limit_space(std::nullopt);
  EXPECT_TRUE(file->write(6, bytes("7")).has_value());
}

TEST(SimDiskTest, TheSameSeedMakesTheSameChoices) {
  auto run = [](std::uint64_t seed) {
    World world(seed);
    SimDisk disk(world);
    auto file = durable_file(disk, std::string(4096, 'a'));
    EXPECT_TRUE(file->write(0, bytes(std::string(4096, 'b'))).has_value());
    disk.crash();
    return std::pair(world.trace.hash(), *disk.contents("d/f"));
  };
  for (std::uint64_t seed = 0; seed < 20; ++seed) EXPECT_EQ(run(seed), run(seed));
}

}  // namespace
}  // namespace plexspaces::sim
