// Timers of actors, in virtual time.
#include "plexspaces/actor/scheduler/actor_timers.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/behavior/gen_server.hpp"
#include "plexspaces/sim/executor.hpp"
#include "plexspaces/sim/world.hpp"

namespace plexspaces {
namespace {

struct Perform {
  std::uint64_t step = 0;
};
struct Ring {
  std::uint64_t number = 0;
};
struct Unknown {};
PLX_MESSAGE(Perform, (1, step));
PLX_MESSAGE(Ring, (1, number));
PLX_MESSAGE(Unknown);

struct Stage {
  std::vector<std::function<Task<>(Context&)>> steps;
  std::vector<std::pair<std::uint64_t, TimePoint>> rings;
};

class Bell : public GenServer<Bell, Perform, Ring> {
 public:
  explicit Bell(Stage& stage) : stage_(stage) {}
  Task<> handle(const Perform& m, Context& ctx) { co_await stage_.steps[m.step](ctx); }
  void handle(const Ring& m, Context& ctx) { stage_.rings.emplace_back(m.number, ctx.now()); }

 private:
  Stage& stage_;
};

constexpr Duration kTick = Duration(1 << 20);  // of the timer wheel

class ActorTimersTest : public testing::Test {
 protected:
  explicit ActorTimersTest(std::uint64_t seed = 1, RuntimeOptions options = {})
      : world_(seed), executor_(world_, {}), runtime_(executor_, types_, std::move(options)) {
    EXPECT_TRUE(runtime_.start());
    bell_ = *runtime_.spawn<Bell>("", stage_);
  }
  void run_for(Duration time) { ASSERT_TRUE(executor_.run_for(time, 1'000'000)); }
  void perform(std::function<void(Context&)> step) {
    perform_slowly([step = std::move(step)](Context& ctx) -> Task<> {
      step(ctx);
      co_return;
    });
  }
  void perform_slowly(std::function<Task<>(Context&)> step) {
    stage_.steps.push_back(std::move(step));
    bell_.tell(Perform{stage_.steps.size() - 1});
    run_for(1ms);
  }
  std::vector<std::uint64_t> numbers() const {
    std::vector<std::uint64_t> numbers;
    for (const auto& [number, time] : stage_.rings) numbers.push_back(number);
    return numbers;
  }
  using Numbers = std::vector<std::uint64_t>;

  Stage stage_;
  sim::World world_;
  sim::SimExecutor executor_;
  Types types_;
  Runtime runtime_;
  ActorRef<Bell> bell_;
};

TEST_F(ActorTimersTest, OneShotsComeAtTheirTimesAndOnce) {
  TimePoint start;
  perform([&](Context& ctx) {
    start = ctx.now();
    EXPECT_TRUE(ctx.send_after<Bell>(3s, Ring{3}));
    EXPECT_TRUE(ctx.send_after<Bell>(1s, Ring{1}));
    EXPECT_TRUE(ctx.send_after<Bell>(0s, Ring{0}));
    EXPECT_TRUE(ctx.send_after<Bell>(-5s, Ring{10}));  // past: at once
    EXPECT_TRUE(ctx.send_after<Bell>(24h * 365, Ring{4}));
  });
  run_for(10s);
  ASSERT_EQ(stage_.rings.size(), 4u);
  std::map<std::uint64_t, TimePoint> at(stage_.rings.begin(), stage_.rings.end());
  for (auto [number, after] : {std::pair<std::uint64_t, Duration>{0, 0s}, {10, 0s}, {1, 1s}, {3, 3s}}) {
    EXPECT_GE(at[number], start + after) << number;
    EXPECT_LE(at[number], start + after + 2 * kTick) << number;
  }
  run_for(24h * 365);
  EXPECT_EQ(numbers().back(), 4u);
}

TEST_F(ActorTimersTest, APeriodicTimerTicksAtEachPeriodWithoutDrift) {
  TimePoint start;
  perform([&](Context& ctx) {
    start = ctx.now();
    EXPECT_TRUE(ctx.send_every<Bell>(250ms, Ring{7}));
  });
  run_for(100s);
  ASSERT_EQ(stage_.rings.size(), 400u);
  for (std::size_t i = 0; i < stage_.rings.size(); ++i) {
    TimePoint due = start + 250ms * static_cast<int>(i + 1);
    EXPECT_GE(stage_.rings[i].second, due);
    EXPECT_LE(stage_.rings[i].second, due + 2 * kTick) << i;
  }
}

TEST_F(ActorTimersTest, AnActorThatIsLateSkipsTheTicksThatItHasMissed) {
  perform([&](Context& ctx) { EXPECT_TRUE(ctx.send_every<Bell>(1s, Ring{1})); });
  run_for(3500ms);
  EXPECT_EQ(stage_.rings.size(), 3u);
  perform_slowly([](Context& ctx) -> Task<> { co_await ctx.sleep(10s); });
  run_for(10s);
  EXPECT_EQ(stage_.rings.size(), 4u);  // one was queued meanwhile
  run_for(2s);
  EXPECT_EQ(stage_.rings.size(), 6u);
}

TEST_F(ActorTimersTest, AfterCancelReturnsNoTickIsHandledAlsoWhenItWasQueued) {
  TimerRef once, every;
  bool cancelled_queued = false, cancelled_pending = false, again = true;
  perform([&](Context& ctx) {
    once = *ctx.send_after<Bell>(1s, Ring{1});
    every = *ctx.send_every<Bell>(3s, Ring{2});
  });
  perform_slowly([&](Context& ctx) -> Task<> {
    co_await ctx.sleep(2s);  // `once` is in the mailbox now
    cancelled_queued = ctx.cancel(once);
    again = ctx.cancel(once);
    cancelled_pending = ctx.cancel(every);
  });
  run_for(20s);
  EXPECT_TRUE(cancelled_queued && cancelled_pending);
  EXPECT_FALSE(again);
  EXPECT_TRUE(stage_.rings.empty());
  EXPECT_EQ(runtime_.stats().dead(DeadLetterReason::kUnhandled), 0u);
}

TEST_F(ActorTimersTest, AReferenceOfAnEarlierTimerCancelsNoLaterOne) {
  perform([&](Context& ctx) {
    TimerRef first = *ctx.send_after<Bell>(1s, Ring{1});
    EXPECT_TRUE(ctx.cancel(first));
    TimerRef second = *ctx.send_after<Bell>(1s, Ring{2});
    EXPECT_EQ(second.slot, first.slot);
    EXPECT_FALSE(ctx.cancel(first));
    EXPECT_FALSE(ctx.cancel({}));
    EXPECT_FALSE(ctx.cancel({77, 1}));
  });
  run_for(2s);
  EXPECT_EQ(numbers(), (Numbers{2}));
}

TEST_F(ActorTimersTest, WhatCannotBeIsRefused) {
  perform([&](Context& ctx) {
    EXPECT_EQ(ctx.send_after<Bell>(kTimerMax + 1ns, Ring{}).error().code(), Code::kInvalidArgument);
    EXPECT_TRUE(ctx.send_after<Bell>(kTimerMax, Ring{}));
    EXPECT_EQ(ctx.send_every<Bell>(kTimerMax + 1ns, Ring{}).error().code(), Code::kInvalidArgument);
    EXPECT_EQ(ctx.send_every<Bell>(0ms, Ring{}).error().code(), Code::kInvalidArgument);
    EXPECT_EQ(ctx.send_every<Bell>(-1s, Ring{}).error().code(), Code::kInvalidArgument);
    EXPECT_EQ(ctx.send_after(1s, Unknown{}).error().code(), Code::kFailedPrecondition);
  });
  run_for(1s);
  EXPECT_TRUE(stage_.rings.empty());
}

class FewTimersTest : public ActorTimersTest {
 protected:
  FewTimersTest() : ActorTimersTest(1, {.timers_max = 2}) {}
};

TEST_F(FewTimersTest, AnActorHasAtMostItsLimitOfTimers) {
  perform([&](Context& ctx) {
    TimerRef first = *ctx.send_after<Bell>(1s, Ring{1});
    EXPECT_TRUE(ctx.send_after<Bell>(1s, Ring{2}));
    EXPECT_EQ(ctx.send_after<Bell>(1s, Ring{3}).error().code(), Code::kResourceExhausted);
    EXPECT_TRUE(ctx.cancel(first));
    EXPECT_TRUE(ctx.send_after<Bell>(1s, Ring{4}));
  });
  run_for(2s);
  EXPECT_EQ(numbers(), (Numbers{2, 4}));
  perform([&](Context& ctx) { EXPECT_TRUE(ctx.send_after<Bell>(1s, Ring{5})); });  // those that rang count no longer
}

TEST_F(ActorTimersTest, TheEndOfTheActorEndsItsTimers) {
  perform([&](Context& ctx) {
    EXPECT_TRUE(ctx.send_after<Bell>(1s, Ring{1}));
    EXPECT_TRUE(ctx.send_every<Bell>(1s, Ring{2}));
    ctx.stop();
  });
  run_for(10s);
  EXPECT_TRUE(stage_.rings.empty());
  EXPECT_EQ(runtime_.stats().dead(DeadLetterReason::kStopped), 0u);
}

// An actor of which each turn is a batch, and that moves after every third.
class DueAndMovedTest : public ActorTimersTest {
 protected:
  DueAndMovedTest() : ActorTimersTest(1, {.turns_per_batch = 1, .turns_per_run = 1, .move_every_turns = 3}) {}
};

TEST_F(DueAndMovedTest, ATickThatWaitsWhenItsActorMovesComesOnce) {
  TimePoint began = world_.clock.now();
  stage_.steps.emplace_back([this](Context&) -> Task<> {
    world_.clock.advance(2ms);
    co_return;
  });
  stage_.steps.emplace_back([this](Context& ctx) -> Task<> {
    EXPECT_TRUE(ctx.send_every(50ms, Ring{1}));
    // They stand before the tick, which is due when this turn ends; the actor moves after the second of them.
    for (int i = 0; i < 6; ++i) ctx.self<Bell>().tell(Perform{0});
    world_.clock.advance(60ms);
    co_return;
  });
  bell_.tell(Perform{1});
  executor_.run_until([&] { return stage_.rings.size() > 1; }, 10'000);
  EXPECT_GT(runtime_.stats().migrations, 0u);
  ASSERT_EQ(numbers(), (Numbers{1, 1}));
  EXPECT_LT(stage_.rings[0].second - began, 90ms);
  EXPECT_GE(stage_.rings[1].second - began, 100ms) << "the second is that of the next period";
}

TEST(ActorTimersPropertyTest, EachTimerRingsOnceAtItsTimeUnlessItIsCancelledAlsoWhenTheActorMoves) {
  rc::check([](std::uint64_t seed, bool moves) {
    struct World : ActorTimersTest {
      World(std::uint64_t seed, bool moves) : ActorTimersTest(seed, {.move_every_turns = moves ? 3u : 0u}) {}
      void TestBody() override {}
      using ActorTimersTest::perform, ActorTimersTest::run_for, ActorTimersTest::stage_;
    } world(seed, moves);
    std::size_t count = *rc::gen::inRange<std::size_t>(1, 60);
    struct Planned {
      TimerRef ref;
      TimePoint due;
      bool cancelled = false;
    };
    std::map<std::uint64_t, Planned> planned;
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < count; ++i) {
      int action = *rc::gen::inRange(0, 4);
      auto after = std::chrono::milliseconds(*rc::gen::inRange(0, 3000));
      if (action <= 1) {
        world.perform([&, after](Context& ctx) {
          ++number;
          planned[number] = {*ctx.send_after<Bell>(after, Ring{number}), ctx.now() + after};
        });
      } else if (action == 2 && number > 0) {
        std::uint64_t chosen = *rc::gen::inRange<std::uint64_t>(1, number + 1);
        world.perform([&, chosen](Context& ctx) {
          bool rang = std::ranges::any_of(world.stage_.rings, [&](const auto& ring) { return ring.first == chosen; });
          bool pending = !rang && !planned[chosen].cancelled;
          RC_ASSERT(ctx.cancel(planned[chosen].ref) == pending);
          if (pending) planned[chosen].cancelled = true;
        });
      } else {
        world.run_for(after);
      }
    }
    world.run_for(10s);
    std::map<std::uint64_t, int> rang;
    for (const auto& [ring, time] : world.stage_.rings) {
      ++rang[ring];
      RC_ASSERT(time >= planned[ring].due);
      RC_ASSERT(time <= planned[ring].due + 4 * kTick);
    }
    for (const auto& [ring, plan] : planned) RC_ASSERT(rang[ring] == (plan.cancelled ? 0 : 1));
  });
}

}  // namespace
}  // namespace plexspaces
