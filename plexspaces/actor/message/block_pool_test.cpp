#include "plexspaces/actor/message/block_pool.hpp"

#include <cstdint>
#include <cstring>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace plexspaces::detail {
namespace {

TEST(BlockPoolTest, ClassesCoverTheirSizes) {
  for (std::size_t bytes = 1; bytes <= kBlockBytesMax; ++bytes) {
    std::size_t block = block_class(bytes);
    ASSERT_LT(block, kBlockClasses);
    ASSERT_GE(kBlockBytesMin << block, bytes);
    ASSERT_TRUE(block == 0 || kBlockBytesMin << (block - 1) < bytes);
  }
  EXPECT_EQ(block_class(kBlockBytesMax + 1), kBlockClasses);
}

// What one worker allocates and another frees comes back: the memory in use does not grow with the traffic.
TEST(BlockPoolTest, BlocksFreedElsewhereAreUsedAgain) {
  if constexpr (!kPoolBlocks) GTEST_SKIP() << "with sanitizers blocks are the allocator's own";
  BlockDepot depot;
  BlockPool producer(depot);
  BlockPool consumer(depot);
  std::set<void*> seen;
  for (int round = 0; round < 1'000; ++round) {
    std::vector<void*> blocks;
    for (int i = 0; i < 100; ++i) {
      blocks.push_back(producer.allocate(1));
      std::memset(blocks.back(), 0xab, 128);
      ASSERT_EQ(reinterpret_cast<std::uintptr_t>(blocks.back()) % 64, 0u);
    }
    ASSERT_EQ(std::set<void*>(blocks.begin(), blocks.end()).size(), blocks.size());
    seen.insert(blocks.begin(), blocks.end());
    for (void* block : blocks) consumer.free(block, 1);
  }
  EXPECT_LE(seen.size(), 8 * BlockDepot::kMagazineBlocks);
}

}  // namespace
}  // namespace plexspaces::detail
