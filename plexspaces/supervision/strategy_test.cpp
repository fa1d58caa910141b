// The decisions of a supervisor, without an actor (INV-M7).
#include "plexspaces/supervision/strategy.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace plexspaces::detail {
namespace {

constexpr TimePoint kStart{};

TEST(RestartWindowTest, AllowsIntensityRestartsInEveryPeriodAndNoMore_INV_M7) {
  // The model is the definition: count the stamps of the last period, as OTP's add_restart does.
  EXPECT_TRUE(rc::check([] {
    RestartLimit limit{*rc::gen::inRange<std::uint32_t>(0, 9), Duration(*rc::gen::inRange<int>(1, 50))};
    RestartWindow window(limit);
    std::vector<TimePoint> stamps;
    TimePoint now = kStart;
    for (int i = 0; i < 200; ++i) {
      now += Duration(*rc::gen::inRange<int>(0, 15));
      auto within = static_cast<std::size_t>(
          std::ranges::count_if(stamps, [&](TimePoint stamp) { return stamp + limit.period >= now; }));
      RC_ASSERT(window.allows(now) == (within + 1 <= limit.intensity));
      if (!window.allows(now)) continue;
      window.add(now);
      stamps.push_back(now);
      RC_ASSERT(window.size() == within + 1);
    }
  }));
}

TEST(RestartWindowTest, KeepsNoMoreStampsThanRestartsOfOnePeriod) {
  RestartWindow window({.intensity = kRestartIntensityMax, .period = 100ns});
  TimePoint now = kStart;
  for (int i = 0; i < 100'000; ++i) {
    window.add(now);
    now += 10ns;
    ASSERT_LE(window.size(), 11u);
  }
}

TEST(StrategyTest, ARestartTypeAnswersEachEndAsOtpDoes_INV_M7) {
  using enum ExitKind;
  for (ExitKind kind : {kNormal, kShutdown, kKilled, kError, kNoproc}) {
    EXPECT_TRUE(is_restarted(permanent, kind));
    EXPECT_EQ(is_restarted(transient, kind), kind != kNormal && kind != kShutdown);
    EXPECT_FALSE(is_restarted(temporary, kind));
  }
}

SupervisorState random_state() {
  SupervisorState state;
  state.strategy = *rc::gen::element(one_for_one, one_for_all, rest_for_one, simple_one_for_one);
  state.restarts = RestartWindow({.intensity = *rc::gen::inRange<std::uint32_t>(0, 3), .period = 1s});
  state.auto_shutdown =
      *rc::gen::element(AutoShutdown::never, AutoShutdown::any_significant, AutoShutdown::all_significant);
  std::size_t count = *rc::gen::inRange<std::size_t>(1, 8);
  for (std::size_t i = 0; i < count; ++i) {
    ChildRecord record;
    record.restart = *rc::gen::element(permanent, transient, temporary);
    record.significant = record.restart != permanent && *rc::gen::arbitrary<bool>();
    record.state = *rc::gen::element(ChildState::running, ChildState::restarting, ChildState::stopped);
    state.children.push_back(record);
  }
  return state;
}

TEST(StrategyTest, WhoIsRestartedIsWhatTheStrategySays_INV_M7) {
  EXPECT_TRUE(rc::check([] {
    SupervisorState state = random_state();
    std::size_t count = state.children.size();
    std::size_t child = *rc::gen::inRange<std::size_t>(0, count);
    state.children[child].state = ChildState::running;
    ExitReason reason{*rc::gen::element(ExitKind::kNormal, ExitKind::kShutdown, ExitKind::kKilled, ExitKind::kError),
                      {}};
    Plan plan = on_child_exit(state, child, reason, kStart);
    if (is_restarted(state.children[child].restart, reason.kind)) {
      if (state.restarts.limit().intensity == 0) {
        RC_ASSERT(plan.kind == Plan::Kind::kGiveUp);
        return;
      }
      RC_ASSERT(plan.kind == Plan::Kind::kRestart);
      for (std::size_t i = 0; i < count; ++i) {
        bool concerned = i == child || state.strategy == one_for_all || (state.strategy == rest_for_one && i > child);
        RC_ASSERT((i >= plan.first && i < plan.last) == concerned);
      }
    } else {
      bool ends = false;
      if (state.children[child].significant && state.auto_shutdown == AutoShutdown::any_significant) ends = true;
      if (state.children[child].significant && state.auto_shutdown == AutoShutdown::all_significant) {
        ends = true;
        for (std::size_t i = 0; i < count; ++i)
          if (i != child && state.children[i].significant && state.children[i].state != ChildState::stopped)
            ends = false;
      }
      RC_ASSERT(plan.kind == (ends ? Plan::Kind::kShutDown : Plan::Kind::kForget));
    }
  }));
}

TEST(StrategyTest, ChildrenStopRightToLeftAndStartLeftToRight_INV_M7) {
  EXPECT_TRUE(rc::check([] {
    SupervisorState state = random_state();
    std::size_t count = state.children.size();
    std::size_t first = *rc::gen::inRange<std::size_t>(0, count);
    std::size_t last = *rc::gen::inRange<std::size_t>(first, count + 1);
    std::vector<std::size_t> running, stopped, started;
    for (std::size_t i = last; i-- > first;)
      if (state.children[i].state == ChildState::running) running.push_back(i);
    for (auto at = next_to_stop(state, first, last); at; at = next_to_stop(state, first, *at)) {
      stopped.push_back(*at);
      state.children[*at].state = ChildState::stopped;
    }
    RC_ASSERT(stopped == running);
    for (auto at = next_to_start(state, first, last); at; at = next_to_start(state, *at, last)) {
      started.push_back(*at);
      state.children[*at].state = ChildState::running;
    }
    RC_ASSERT(started.size() == last - first);
    RC_ASSERT(std::ranges::is_sorted(started));
  }));
}

TEST(StrategyTest, ARestartThatFailedCountsAndIsTriedAgain_INV_M7) {
  SupervisorState state{.strategy = rest_for_one, .restarts = RestartWindow({.intensity = 2, .period = 1s})};
  state.children.resize(3);
  EXPECT_EQ(on_restart_failed(state, 1, kStart), (Plan{Plan::Kind::kRestart, 1, 3}));
  state.restarts.add(kStart);
  state.restarts.add(kStart);
  EXPECT_EQ(on_restart_failed(state, 1, kStart), (Plan{Plan::Kind::kGiveUp, 1, 2}));
  EXPECT_EQ(on_restart_failed(state, 1, kStart + 1s), (Plan{Plan::Kind::kGiveUp, 1, 2}));  // just within the period
  EXPECT_EQ(on_restart_failed(state, 1, kStart + 1s + 1ns), (Plan{Plan::Kind::kRestart, 1, 3}));
}

TEST(BackoffTest, DelaysGrowByTheFactorUpToTheMaximumWithinTheJitter) {
  EXPECT_TRUE(rc::check([] {
    Backoff backoff{.initial = Duration(*rc::gen::inRange<std::int64_t>(1, 1'000'000'000)),
                    .factor = 1 + (*rc::gen::inRange(0, 300) / 100.0),
                    .jitter = *rc::gen::inRange(0, 101) / 100.0};
    backoff.max = backoff.initial * *rc::gen::inRange(1, 1000);
    auto attempt = *rc::gen::inRange<std::uint32_t>(0, 200);
    double plain = static_cast<double>(backoff.initial.count());
    for (std::uint32_t i = 0; i < attempt && plain < static_cast<double>(backoff.max.count()); ++i)
      plain *= backoff.factor;
    plain = std::min(plain, static_cast<double>(backoff.max.count()));
    auto delay = static_cast<double>(backoff_delay(backoff, attempt, *rc::gen::arbitrary<std::uint64_t>()).count());
    RC_ASSERT(delay >= plain * (1 - backoff.jitter) * 0.999999 - 1);
    RC_ASSERT(delay <= plain * (1 + backoff.jitter) * 1.000001 + 1);
    RC_ASSERT(delay <= static_cast<double>(backoff.max.count()));
  }));
  Backoff plain{.initial = 100ms, .max = 1s, .factor = 2, .jitter = 0};
  EXPECT_EQ(backoff_delay(plain, 0, 7), 100ms);
  EXPECT_EQ(backoff_delay(plain, 3, 7), 800ms);
  EXPECT_EQ(backoff_delay(plain, 4, 7), 1s);
  EXPECT_EQ(backoff_delay(plain, ~0u, 7), 1s);
  EXPECT_NE(backoff_delay(Backoff{}, 0, 0), backoff_delay(Backoff{}, 0, ~std::uint64_t{0}));
}

}  // namespace
}  // namespace plexspaces::detail
