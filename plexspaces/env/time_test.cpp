// Arithmetic on points in time that must not overflow.
#include "plexspaces/env/time.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace plexspaces {
namespace {

RC_GTEST_PROP(TimeTest, SaturatingAddIsTheSumOrTheNearestEndOfTime, (std::int64_t time, std::int64_t by)) {
  __int128 sum = static_cast<__int128>(time) + by;
  __int128 least = TimePoint::min().time_since_epoch().count();
  __int128 most = kNever.time_since_epoch().count();
  __int128 expected = std::clamp(sum, least, most);
  TimePoint result = saturating_add(TimePoint(Duration(time)), Duration(by));
  RC_ASSERT(static_cast<__int128>(result.time_since_epoch().count()) == expected);
}

RC_GTEST_PROP(TimeTest, TheSumOfDurationsIsExactOrTheNearestEndOfTheRange, (std::int64_t a, std::int64_t b)) {
  __int128 sum = static_cast<__int128>(a) + b;
  __int128 expected = std::clamp<__int128>(sum, Duration::min().count(), Duration::max().count());
  RC_ASSERT(static_cast<__int128>(saturating_add(Duration(a), Duration(b)).count()) == expected);
}

RC_GTEST_PROP(TimeTest, WhatIsLeftIsTheDifferenceOrNothingOrAsMuchAsThereIs, (std::int64_t due, std::int64_t now)) {
  __int128 difference = static_cast<__int128>(due) - now;
  __int128 expected = std::clamp<__int128>(difference, 0, Duration::max().count());
  RC_ASSERT(static_cast<__int128>(time_left(TimePoint(Duration(due)), TimePoint(Duration(now))).count()) == expected);
}

TEST(TimeTest, UntilNeverThereIsTimeForEver) {
  EXPECT_EQ(time_left(kNever, TimePoint(24h)), Duration::max());
  EXPECT_EQ(time_left(TimePoint::min(), kNever), Duration::zero());
  EXPECT_EQ(time_left(kNever - 1ns, TimePoint::min()), Duration::max());
}

TEST(TimeTest, SaturatingAddStopsAtBothEnds) {
  EXPECT_EQ(saturating_add(TimePoint(1ns), Duration::max()), kNever);
  EXPECT_EQ(saturating_add(TimePoint(-1ns), Duration::min()), TimePoint::min());
  EXPECT_EQ(saturating_add(kNever, -1ns), kNever - 1ns);
  EXPECT_EQ(saturating_add(kNever, 0ns), kNever);
}

TEST(TimeTest, ABoundedWaitCanBeAddedToAnyClock) {
  EXPECT_EQ(bounded_wait(Duration::max()), Duration(24h * 36'525));
  EXPECT_EQ(bounded_wait(Duration::min()), Duration::zero());
  EXPECT_EQ(bounded_wait(3s), Duration(3s));
}

}  // namespace
}  // namespace plexspaces
