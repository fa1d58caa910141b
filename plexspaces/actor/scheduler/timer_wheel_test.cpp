#include "plexspaces/actor/scheduler/timer_wheel.hpp"

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
      wheel.advance(now, nullptr);
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
  wheel.advance(now, nullptr);
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
  wheel.advance(now, nullptr);
  EXPECT_FALSE(timer.fired);
  now += 31s;
  wheel.advance(now, nullptr);
  EXPECT_TRUE(timer.fired);
}

}  // namespace
}  // namespace plexspaces::detail
