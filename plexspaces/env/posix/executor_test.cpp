#include "plexspaces/env/posix/executor.hpp"

#include <atomic>
#include <future>
#include <memory>
#include <semaphore>

#include <gtest/gtest.h>

namespace plexspaces::env {
namespace {

// Holds every thread that enters until it is opened.
class Gate {
 public:
  std::move_only_function<void()> job() {
    return [this] {
      entered_.release();
      open_.wait();
    };
  }
  void await_entered() { entered_.acquire(); }
  void open() { opened_.set_value(); }

 private:
  std::counting_semaphore<> entered_{0};
  std::promise<void> opened_;
  std::shared_future<void> open_{opened_.get_future()};
};

TEST(PosixExecutorTest, BlockingWorkHasABoundOnThreadsAndOnWhatWaits) {  // INV-M3
  PosixExecutor executor({.workers = 1, .blocking_threads = 2, .blocking_queue_max = 3});
  Gate gate;
  std::atomic<int> ran{0};
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(executor.run_blocking(gate.job()));
  for (int i = 0; i < 2; ++i) gate.await_entered();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(executor.run_blocking([&] { ++ran; }));
  Status refused = executor.run_blocking([&] { ++ran; });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kResourceExhausted);
  EXPECT_EQ(ran, 0) << "both threads are held";

  // Stores have threads of their own.
  std::promise<void> stored;
  executor.run_storage([&] { stored.set_value(); });
  stored.get_future().wait();

  gate.open();
  std::promise<void> after;
  while (!executor.run_blocking([&] { after.set_value(); })) {
  }
  after.get_future().wait();
  executor.stop();
  EXPECT_GE(ran, 2);
}

TEST(PosixExecutorTest, StopWaitsForBlockingWorkThatRunsAndDestroysWhatWaits) {
  PosixExecutor executor({.workers = 1, .blocking_threads = 1, .storage_threads = 1});
  Gate gate;
  auto waiting = std::make_shared<std::atomic<int>>(0);
  auto stored = std::make_shared<std::atomic<int>>(0);
  ASSERT_TRUE(executor.run_blocking(gate.job()));
  gate.await_entered();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(executor.run_blocking([waiting] { ++*waiting; }));
  // A job of a store may queue another one, up to the end.
  executor.run_storage([&executor, stored] { executor.run_storage([stored] { ++*stored; }); });
  auto stopped = std::async(std::launch::async, [&] { executor.stop(); });
  gate.open();
  stopped.wait();
  EXPECT_LE(*waiting, 10);
  EXPECT_EQ(waiting.use_count(), 1);
  EXPECT_EQ(*stored, 1);
  EXPECT_EQ(executor.run_blocking([waiting] { ++*waiting; }).error().code(), Code::kUnavailable);
  EXPECT_EQ(waiting.use_count(), 1);
}

// A worker that is held must not hold who watches it.
class HeldWorker final : public Worker {
 public:
  explicit HeldWorker(Gate& gate) : gate_(gate) {}
  TimePoint run_batch(TimePoint) override {
    if (!std::exchange(held_, true)) gate_.job()();
    return kNever;
  }
  bool has_cross_worker_work() const override { return false; }

 private:
  Gate& gate_;
  bool held_ = false;
};

TEST(PosixExecutorTest, AWatchLooksWhileAWorkerIsHeld) {
  PosixExecutor executor({.workers = 1});
  Gate gate;
  HeldWorker worker(gate);
  std::counting_semaphore<> looks(0);
  executor.watch(1ms, [&] { looks.release(); });
  Worker* workers[] = {&worker};
  executor.start(workers);
  gate.await_entered();
  for (int i = 0; i < 3; ++i) looks.acquire();
  gate.open();
  executor.stop();
}

}  // namespace
}  // namespace plexspaces::env
