#include "plexspaces/sim/executor.hpp"

#include <deque>
#include <memory>

#include <gtest/gtest.h>

#include "plexspaces/env/probe.hpp"

namespace plexspaces::sim {
namespace {

// Runs what is put in its queue, one item a batch, and one timer.
class QueueWorker final : public env::Worker {
 public:
  TimePoint run_batch(TimePoint now) override {
    ++batches;
    if (due && *due <= now) {
      due.reset();
      fired_at = now;
    }
    if (!queue.empty()) {
      queue.front()();
      queue.pop_front();
    }
    if (!queue.empty()) return now;
    return due.value_or(kNever);
  }
  bool has_cross_worker_work() const override { return false; }

  std::deque<std::function<void()>> queue;
  std::optional<TimePoint> due;
  std::optional<TimePoint> fired_at;
  int batches = 0;
};

// A little program with two workers and blocking work whose order depends on the seed.
std::pair<std::uint64_t, std::string> run_program(std::uint64_t seed) {
  World world(seed);
  SimExecutor executor(world, {.workers = 2});
  QueueWorker a;
  QueueWorker b;
  std::string order;
  for (int i = 0; i < 8; ++i) {
    a.queue.push_back([&] { order += 'a'; });
    b.queue.push_back([&] { executor.run_storage([&] { order += 'j'; }); });
  }
  env::Worker* workers[] = {&a, &b};
  executor.start(workers);
  executor.run_until([&] { return order.size() == 16; }, 1000);
  executor.stop();
  return {world.trace.hash(), order};
}

TEST(SimExecutorTest, TheSameSeedGivesTheSameTraceAndAnotherSeedAnother) {
  EXPECT_EQ(run_program(1), run_program(1));
  EXPECT_NE(run_program(1).first, run_program(2).first);
  EXPECT_NE(run_program(1).second, run_program(2).second);
}

TEST(SimExecutorTest, TimeJumpsToTheNearestDueTimeWhenNothingElseCanRun) {
  reset_probes();
  World world(1);
  SimExecutor executor(world, {.workers = 1});
  QueueWorker worker;
  worker.due = world.clock.now() + 1h;
  env::Worker* workers[] = {&worker};
  executor.start(workers);
  EXPECT_TRUE(executor.run_until([&] { return worker.fired_at.has_value(); }, 10));
  EXPECT_GE(*worker.fired_at, TimePoint(1h));
  EXPECT_LT(*worker.fired_at, TimePoint(1h + 1s));
  EXPECT_EQ(times_reached(Probe::kSimTimeAdvanced), 1u);
  EXPECT_FALSE(executor.step()) << "nothing is due, nothing can run";
  executor.stop();
}

TEST(SimExecutorTest, AWakeBringsAParkedWorkerBack) {
  World world(1);
  SimExecutor executor(world, {.workers = 1});
  QueueWorker worker;
  env::Worker* workers[] = {&worker};
  executor.start(workers);
  while (executor.step()) {
  }
  int before = worker.batches;
  executor.wake(0);
  EXPECT_TRUE(executor.step());
  EXPECT_EQ(worker.batches, before + 1);
  executor.stop();
}

TEST(SimExecutorTest, StopRunsWhatStoresHaveQueuedAndDestroysTheRestUnrunACrashAll) {
  for (bool crash : {false, true}) {
    World world(1);
    SimExecutor executor(world, {.workers = 1});
    QueueWorker worker;
    env::Worker* workers[] = {&worker};
    executor.start(workers);
    auto stored = std::make_shared<int>(0);
    auto blocked = std::make_shared<int>(0);
    for (int i = 0; i < 5; ++i) {
      executor.run_storage([stored] { ++*stored; });
      EXPECT_TRUE(executor.run_blocking([blocked] { ++*blocked; }));
    }
    crash ? executor.crash() : executor.stop();
    EXPECT_EQ(*stored, crash ? 0 : 5);
    EXPECT_EQ(*blocked, 0);
    EXPECT_EQ(stored.use_count(), 1);
    EXPECT_EQ(blocked.use_count(), 1);
    EXPECT_FALSE(executor.step());
    EXPECT_EQ(executor.run_blocking([] {}).error().code(), Code::kUnavailable);
  }
}

TEST(SimExecutorTest, BlockingWorkIsBoundedAndThatOfStoresIsNot) {  // INV-M3
  World world(1);
  SimExecutor executor(world, {.workers = 1, .blocking_queue_max = 3});
  QueueWorker worker;
  env::Worker* workers[] = {&worker};
  executor.start(workers);
  int ran = 0;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(executor.run_blocking([&] { ++ran; }));
  EXPECT_EQ(executor.run_blocking([&] { ++ran; }).error().code(), Code::kResourceExhausted);
  for (int i = 0; i < 10; ++i) executor.run_storage([&] { ++ran; });
  while (executor.step()) {
  }
  EXPECT_EQ(ran, 13);
  EXPECT_TRUE(executor.run_blocking([] {})) << "there is room again";
}

}  // namespace
}  // namespace plexspaces::sim
