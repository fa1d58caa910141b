// When turns are worth a migration.
#include "plexspaces/actor/scheduler/migration.hpp"

#include <gtest/gtest.h>

namespace plexspaces::detail {
namespace {

// Batches of `turns` turns of `cost` each, until a migration is worthwhile. @returns how many; 0: none of
// `batches_max`.
std::size_t batches_until_worthwhile(MigrationWindow& window, TimePoint& now, std::size_t turns, Duration cost,
                                     std::size_t runnable, std::size_t batches_max = 100) {
  for (std::size_t i = 1; i <= batches_max; ++i) {
    if (window.is_worthwhile(now, turns, runnable)) return i;
    now += cost * static_cast<Duration::rep>(turns);
  }
  return 0;
}

TEST(MigrationWindowTest, CostlyTurnsOfTwoWindowsInARowAreWorthAMigration) {
  MigrationWindow window(10, 400ns);
  TimePoint now;
  EXPECT_EQ(batches_until_worthwhile(window, now, 100, 400ns, 2), 22u);
  EXPECT_EQ(batches_until_worthwhile(window, now, 100, 400ns, 2), 11u);  // as long as they stay costly
}

TEST(MigrationWindowTest, CheapTurnsAreNotAndEndTheRow) {
  MigrationWindow window(10, 400ns);
  TimePoint now;
  EXPECT_EQ(batches_until_worthwhile(window, now, 100, 399ns, 2), 0u);
  MigrationWindow other(10, 400ns);
  EXPECT_EQ(batches_until_worthwhile(other, now, 100, 1us, 2, 11), 0u);
  EXPECT_EQ(batches_until_worthwhile(other, now, 100, 10ns, 2, 11), 0u);
  EXPECT_EQ(batches_until_worthwhile(other, now, 100, 1us, 2), 22u);
}

TEST(MigrationWindowTest, OneActorStaysAndAWorkerThatRunsOutBeginsAnew) {
  MigrationWindow window(10, 400ns);
  TimePoint now;
  EXPECT_EQ(batches_until_worthwhile(window, now, 100, 1us, 1), 0u);
  MigrationWindow other(10, 400ns);
  EXPECT_EQ(batches_until_worthwhile(other, now, 100, 1us, 2, 21), 0u);
  EXPECT_FALSE(other.is_worthwhile(now, 100, 0));
  EXPECT_EQ(batches_until_worthwhile(other, now, 100, 1us, 2), 22u);
}

}  // namespace
}  // namespace plexspaces::detail
