// Stores that released versions wrote, kept in testdata/: each version must read them all.
//
//   PLX_WRITE_GOLDEN=1 durable_test --gtest_filter=DurabilityGoldenTest.*     writes testdata/format_2 anew
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "plexspaces/durable/durability_fixture.hpp"

namespace plexspaces::durability {
namespace {

using namespace testing_support;
namespace fs = std::filesystem;

const fs::path kGolden = fs::path(PLX_DURABLE_TESTDATA) / "format_2";

std::unique_ptr<Process> open(sim::World& world, sim::SimDisk& disk) {
  auto store = store::open_sqlite(disk, world.random, world.clock, "data");
  EXPECT_TRUE(store) << store.error().to_string();
  if (!store) return nullptr;
  auto process = std::make_unique<Process>(world, *std::move(store));
  EXPECT_TRUE(process->start());
  return process;
}

// One of everything: a state, remembered answers, a tombstone, sent and received messages, one of them still on its
// way.
void write_golden() {
  sim::World world(1);
  sim::SimDisk disk(world);
  auto process = open(world, disk);
  EXPECT_EQ(**process->ask("rich", Add{100}, "key-1"), 100);
  EXPECT_EQ(**process->ask("rich", Transfer{"poor", 30}, "key-2"), 70);
  EXPECT_EQ(process->ask("rich", Fail{false}, "key-3")->error().code(), Code::kOutOfRange);
  EXPECT_EQ(**process->ask("gone", Add{5}, "key-4"), 5);
  EXPECT_TRUE(process->erase_and_wait("gone", "key-5")->has_value());
  process->settle();
  EXPECT_EQ(**process->ask("poor", Transfer{"rich", 7}, "key-6"),
            23);  // and the process ends before it is acknowledged
  process.reset();
  fs::create_directories(kGolden);
  for (const std::string& path : disk.files())
    if (path.starts_with("data/plexspaces.db"))
      std::ofstream(kGolden / fs::path(path).filename(), std::ios::binary) << *disk.contents(path);
}

TEST(DurabilityGoldenTest, AStoreOfFormat2IsReadAndGoesOn) {  // INV-J8
  if (std::getenv("PLX_WRITE_GOLDEN") != nullptr) write_golden();
  sim::World world(2);
  sim::SimDisk disk(world);
  for (const auto& entry : fs::directory_iterator(kGolden)) {
    std::ifstream file(entry.path(), std::ios::binary);
    disk.set_contents("data/" + entry.path().filename().string(),
                      {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()});
  }
  auto process = open(world, disk);
  ASSERT_NE(process, nullptr);
  process->settle(1min);
  EXPECT_EQ(process->durability.outbox_pending(), 0u);
  EXPECT_EQ(**process->ask("poor", Balance{}), 23);
  EXPECT_EQ(**process->ask("rich", Balance{}), 1'077);
  EXPECT_EQ(**process->ask("gone", Balance{}), 0);
  EXPECT_EQ(**process->ask("rich", Add{100}, "key-1"), 100);
  EXPECT_EQ(**process->ask("rich", Transfer{"poor", 30}, "key-2"), 70);
  EXPECT_EQ(process->ask("rich", Fail{false}, "key-3")->error().message(), "no");
  EXPECT_EQ(**process->ask("gone", Add{5}, "key-4"), 5);
  EXPECT_EQ(**process->ask("gone", Balance{}), 0);
  EXPECT_EQ(**process->ask("rich", Add{1}, "key-7"), 1'078);
}

}  // namespace
}  // namespace plexspaces::durability
