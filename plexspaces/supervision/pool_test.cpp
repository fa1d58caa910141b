#include "plexspaces/supervision/pool.hpp"

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plexspaces/behavior/behavior_fixture.hpp"
#include "plexspaces/supervision/supervisor.hpp"

namespace plexspaces {
namespace {

struct Job {
  using Reply = std::uint64_t;  // jobs that this worker has done, with this one
  bool fails = false;
};
PLX_MESSAGE(Job, (1, fails));

class Worker : public GenServer<Worker, Job> {
 public:
  explicit Worker(int* started) { ++*started; }
  std::uint64_t handle(const Job& job, Context&) {
    if (job.fails) throw std::runtime_error("the job fails");
    return ++done_;
  }

 private:
  std::uint64_t done_ = 0;
};

using Jobs = Router<Worker, Routing::kRoundRobin, Job>;

class PoolTest : public BehaviorTest {
 protected:
  SupervisorSpec three(RestartLimit limit = {.intensity = 5, .period = 10s}) {
    return pool<Worker, Routing::kRoundRobin, Job>("jobs", {.workers = 3, .limit = limit}, &started_);
  }
  ActorRef<Supervisor> start(SupervisorSpec spec) {
    auto root = runtime_.spawn<Supervisor>("", std::move(spec)).value();
    settle();
    return root;
  }
  ActorRef<Jobs> jobs() { return runtime_.find<Jobs>("jobs").value(); }

  int started_ = 0;
};

TEST_F(PoolTest, AWorkerThatFailsIsRestartedAloneAndGetsMessagesAgain) {
  start(three());
  EXPECT_EQ(started_, 3);
  ActorRef<Jobs> router = jobs();
  for (int i = 0; i < 6; ++i) EXPECT_EQ(ask(router, Job{}), static_cast<std::uint64_t>(i / 3 + 1));
  ActorId second = runtime_.find<Worker>("jobs/2").value().id();
  EXPECT_EQ(ask(router, Job{}), 3);
  EXPECT_EQ(domain(ask(router, Job{true})), "PLX-ACT-0012");  // the second
  EXPECT_EQ(started_, 4);
  EXPECT_NE(runtime_.find<Worker>("jobs/2").value().id(), second);
  EXPECT_EQ(jobs(), router);
  EXPECT_EQ(ask(router, Job{}), 3);
  EXPECT_EQ(ask(router, Job{}), 4);
  EXPECT_EQ(ask(router, Job{}), 1);  // the new second
}

TEST_F(PoolTest, WorkersThatFailTooOftenAreAllStartedAnewAndTheRouterStays) {
  start(three({.intensity = 1, .period = 10s}));
  ActorRef<Jobs> router = jobs();
  EXPECT_EQ(domain(ask(router, Job{true})), "PLX-ACT-0012");
  EXPECT_EQ(domain(ask(router, Job{true})), "PLX-ACT-0012");
  EXPECT_EQ(started_, 3 + 1 + 3);
  EXPECT_EQ(jobs(), router);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask(router, Job{}), 1);
}

TEST_F(PoolTest, ARouterThatEndsIsThereAgainUnderItsName) {
  start(three());
  ActorRef<Jobs> before = jobs();
  runtime_.kill(before.id());
  settle();
  EXPECT_NE(jobs(), before);
  EXPECT_EQ(ask(jobs(), Job{}), 1);
}

TEST_F(PoolTest, APoolIsAPartOfATreeAndEndsWithIt) {
  auto root = start(supervisor("shop", one_for_one).child(three()));
  EXPECT_TRUE(runtime_.find<Jobs>("jobs"));
  runtime_.stop(root.id());
  settle();
  EXPECT_FALSE(runtime_.find<Jobs>("jobs"));
  EXPECT_FALSE(runtime_.find<Worker>("jobs/1"));
}

TEST_F(PoolTest, ANumberOfWorkersThatCannotBeIsTheErrorOfItsStart) {
  for (std::size_t workers : {std::size_t{0}, kRouterWorkersMax + 1, std::size_t{1} << 60}) {
    auto root = start(pool<Worker, Routing::kRoundRobin, Job>("jobs", {.workers = workers}, &started_));
    EXPECT_FALSE(runtime_.is_alive(root.id()));
    EXPECT_THAT(log_.back(), testing::HasSubstr("a router has 1 to 1000 workers"));
    EXPECT_EQ(started_, 0);
  }
}

}  // namespace
}  // namespace plexspaces
