#include "plexspaces/actor/scheduler/timer_wheel.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace plexspaces::detail {
namespace {

constexpr Duration kTick = Duration(1 << 20);

struct TestTimer : Timer {
  TimePoint deadline;
  std::optional<TimePoint> fired;
  const TimePoint* clock = nullptr;

  explicit TestTimer(const TimePoint& now) : clock(&now) {
    fire = [](Timer& timer, void*) {
      auto& self = static_cast<TestTimer&>(timer);
      self.fired = *self.clock;
    };
  }
};

void fire_all(TimerWheel& wheel, TimePoint now) {
  wheel.advance(now);
  while (wheel.fire_next(nullptr)) continue;
}

TEST(TimerWheelTest, FiresEachTimerOnceNotBeforeItsDeadlineAndAtMostATickAfterIt) {
  EXPECT_TRUE(rc::check([] {
    TimePoint now{Duration(*rc::gen::inRange<std::int64_t>(0, std::int64_t{1} << 50))};
    TimerWheel wheel(now);
    auto delays = *rc::gen::container<std::vector<std::int64_t>>(rc::gen::oneOf(
        rc::gen::inRange<std::int64_t>(0, 1 << 22), rc::gen::inRange<std::int64_t>(0, std::int64_t{1} << 32),
        rc::gen::inRange<std::int64_t>(0, std::int64_t{1} << 52)));
    std::vector<std::unique_ptr<TestTimer>> timers;
    for (std::int64_t delay : delays) {
      timers.push_back(std::make_unique<TestTimer>(now));
      timers.back()->deadline = now + Duration(delay);
      wheel.arm(*timers.back(), timers.back()->deadline);
    }
    RC_ASSERT(wheel.size() == timers.size());
    while (wheel.size() > 0) {
      RC_ASSERT(wheel.next_due() > now);
      now = wheel.next_due();
      fire_all(wheel, now);
    }
    for (const auto& timer : timers) {
      RC_ASSERT(timer->fired.has_value());
      RC_ASSERT(*timer->fired >= timer->deadline);
      RC_ASSERT(*timer->fired <= timer->deadline + kTick);
    }
    RC_ASSERT(wheel.next_due() == kNever);
  }));
}

TEST(TimerWheelTest, ACancelledTimerDoesNotFire) {
  TimePoint now{1h};
  TimerWheel wheel(now);
  TestTimer kept(now);
  TestTimer cancelled(now);
  wheel.arm(kept, now + 5s);
  wheel.arm(cancelled, now + 5s);
  wheel.cancel(cancelled);
  wheel.cancel(cancelled);
  now += 10s;
  fire_all(wheel, now);
  EXPECT_TRUE(kept.fired);
  EXPECT_FALSE(cancelled.fired);
  EXPECT_EQ(wheel.size(), 0u);
}

TEST(TimerWheelTest, ArmingAgainReplacesTheDeadline) {
  TimePoint now{1h};
  TimerWheel wheel(now);
  TestTimer timer(now);
  wheel.arm(timer, now + 1s);
  wheel.arm(timer, now + 1min);
  now += 30s;
  fire_all(wheel, now);
  EXPECT_FALSE(timer.fired);
  now += 31s;
  fire_all(wheel, now);
  EXPECT_TRUE(timer.fired);
}

TEST(TimerWheelTest, NoCallTakesLongerForManyTimersOfOneTime) {
  constexpr std::size_t kTimers = 20'000;
  TimePoint now{1h};
  TimerWheel wheel(now);
  std::vector<std::unique_ptr<TestTimer>> timers;
  for (std::size_t i = 0; i < kTimers; ++i) {
    timers.push_back(std::make_unique<TestTimer>(now));
    wheel.arm(*timers.back(), now + 10s);  // in a slot of a higher level
  }
  TimePoint deadline = now + 10s;
  now = wheel.next_due();  // when that slot begins
  ASSERT_LT(now, deadline);
  std::size_t calls = 0;
  for (; wheel.next_due() <= now; ++calls) wheel.advance(now);
  EXPECT_GE(calls, 5u) << "the slot is taken to the lowest level in parts";
  EXPECT_FALSE(wheel.fire_next(nullptr));
  TestTimer late(now);
  wheel.arm(late, deadline + 1s);
  now = deadline + kTick;
  wheel.advance(now);
  EXPECT_TRUE(wheel.fire_next(nullptr));
  EXPECT_EQ(std::ranges::count_if(timers, [](const auto& timer) { return timer->fired.has_value(); }), 1);
  EXPECT_TRUE(timers.front()->fired) << "the one that was armed first";
  EXPECT_EQ(wheel.next_due(), TimePoint::min()) << "others are due";
  wheel.cancel(*timers[1]);
  while (wheel.fire_next(nullptr)) continue;
  EXPECT_FALSE(timers[1]->fired);
  EXPECT_EQ(wheel.size(), 1u);
  EXPECT_FALSE(late.fired);
  now += 1s + kTick;
  fire_all(wheel, now);
  EXPECT_TRUE(late.fired);
}

TEST(TimerWheelTest, WhatIsArmedWhileASlotIsTakenApartKeepsItsTime) {
  constexpr std::size_t kTimers = 10'000;
  TimePoint now{1h};
  TimerWheel wheel(now);
  std::vector<std::unique_ptr<TestTimer>> timers;
  for (std::size_t i = 0; i < kTimers; ++i) {
    timers.push_back(std::make_unique<TestTimer>(now));
    timers.back()->deadline = now + 600ms + Duration(static_cast<Duration::rep>(i) * 1'000);
    wheel.arm(*timers.back(), timers.back()->deadline);
  }
  std::size_t steps = 0;
  while (wheel.size() > 0) {
    now = std::max(now, wheel.next_due());
    wheel.advance(now);
    if (++steps < 5'000 && steps % 7 == 0) {
      timers.push_back(std::make_unique<TestTimer>(now));
      timers.back()->deadline = now + 3ms;
      wheel.arm(*timers.back(), timers.back()->deadline);
    }
    for (int n = 0; n < 100 && wheel.fire_next(nullptr); ++n) continue;
  }
  for (const auto& timer : timers) {
    ASSERT_TRUE(timer->fired.has_value());
    ASSERT_GE(*timer->fired, timer->deadline);
  }
}

}  // namespace
}  // namespace plexspaces::detail
