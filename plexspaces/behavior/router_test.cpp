#include "plexspaces/behavior/router.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "plexspaces/behavior/behavior_fixture.hpp"

namespace plexspaces {
namespace {

using detail::jump_hash;
using detail::Rotation;

TEST(RotationTest, GoesRoundAndPassesOverThoseThatAreNotThere) {
  Rotation rotation;
  std::array<bool, 4> there{true, false, true, true};
  std::vector<std::size_t> chosen;
  for (int i = 0; i < 6; ++i) chosen.push_back(rotation.next(there));
  EXPECT_EQ(chosen, (std::vector<std::size_t>{0, 2, 3, 0, 2, 3}));
  EXPECT_EQ(rotation.next(std::array<bool, 4>{}), 4u);
  EXPECT_EQ(rotation.next({}), 0u);
}

TEST(RotationTest, TheLeastBusyIsChosenAndEqualOnesInTurn) {
  Rotation rotation;
  std::array<bool, 3> there{true, true, true};
  std::array<std::uint64_t, 3> waiting{2, 0, 0};
  EXPECT_EQ(rotation.least(there, waiting), 1u);
  EXPECT_EQ(rotation.least(there, waiting), 2u);
  EXPECT_EQ(rotation.least(there, waiting), 1u);
  there[1] = false;
  waiting[2] = 3;
  EXPECT_EQ(rotation.least(there, waiting), 0u);
  EXPECT_EQ(rotation.least(std::array<bool, 3>{}, waiting), 3u);
}

RC_GTEST_PROP(JumpHashTest, AnotherBucketTakesKeysOnlyIntoItself, (std::uint64_t key)) {
  auto buckets = *rc::gen::inRange<std::size_t>(1, 1'000);
  std::size_t before = jump_hash(key, buckets), after = jump_hash(key, buckets + 1);
  RC_ASSERT(before < buckets);
  RC_ASSERT(after == before || after == buckets);
}

TEST(JumpHashTest, KeysAreSpreadEvenly) {
  std::array<int, 8> counts{};
  for (std::uint64_t key = 0; key < 8'000; ++key) ++counts[jump_hash(mix_hash(key), counts.size())];
  for (int count : counts) EXPECT_NEAR(count, 1'000, 150);
}

// ---- the actor -----------------------------------------------------------------------------------------------------

struct Job {
  using Reply = std::string;  // the name of the worker
  std::int64_t number = 0;
  std::int64_t takes_ms = 0;
  std::int64_t routing_key() const { return number; }
};
struct Lookup {
  using Reply = std::string;
  std::string user;
  const std::string& routing_key() const { return user; }
};
struct Refresh {
  std::int64_t version = 0;
};
PLX_MESSAGE(Job, (1, number), (2, takes_ms));
PLX_MESSAGE(Lookup, (1, user));
PLX_MESSAGE(Refresh, (1, version));

using Versions = std::map<std::string, std::int64_t>;

class Worker : public GenServer<Worker, Job, Lookup, Refresh> {
 public:
  Worker(std::string name, Versions* versions) : name_(std::move(name)), versions_(*versions) {}
  Task<std::string> handle(const Job& job, Context& ctx) {
    if (job.takes_ms > 0) co_await ctx.sleep(std::chrono::milliseconds(job.takes_ms));
    co_return name_;
  }
  std::string handle(const Lookup&, Context&) { return name_; }
  void handle(const Refresh& m, Context&) { versions_[name_] = m.version; }

 private:
  std::string name_;
  Versions& versions_;
};

class RouterTest : public BehaviorTest {
 protected:
  RouterTest() : BehaviorTest({}, 2) {
    for (const std::string& name : names_) start(name);
  }
  void start(const std::string& name) { workers_[name] = runtime_.spawn<Worker>(name, name, &versions_).value(); }
  void end(const std::string& name) {
    runtime_.stop(workers_.at(name).id());
    settle();
  }

  const std::vector<std::string> names_{"a", "b", "c"};
  Versions versions_;
  std::map<std::string, ActorRef<Worker>> workers_;
};

TEST_F(RouterTest, RoundRobinGoesOverThoseThatAreThere) {
  auto router = runtime_.spawn<Router<Worker, Routing::kRoundRobin, Job>>("", names_).value();
  std::string order;
  for (int i = 0; i < 5; ++i) order += ask(router, Job{}).value();
  EXPECT_EQ(order, "abcab");
  end("b");
  order.clear();
  for (int i = 0; i < 4; ++i) order += ask(router, Job{}).value();
  EXPECT_EQ(order, "caca");
  start("b");  // anew, under its name
  order.clear();
  for (int i = 0; i < 3; ++i) order += ask(router, Job{}).value();
  EXPECT_EQ(order, "bca");
}

TEST_F(RouterTest, WorkersWorkAtTheSameTime) {
  auto router = runtime_.spawn<Router<Worker, Routing::kRoundRobin, Job>>("", names_).value();
  std::array<std::optional<Result<std::string>>, 3> answers;
  for (auto& answer : answers) start_ask(router, Job{0, 100}, answer);
  pass(110ms);
  for (auto& answer : answers) EXPECT_TRUE(answer && answer->has_value());
}

TEST_F(RouterTest, TheLeastBusyWorkerIsTheOneWithTheFewestMessagesWaiting) {
  auto router = runtime_.spawn<Router<Worker, Routing::kLeastBusy, Job>>("", names_).value();
  workers_.at("a").tell(Job{0, 1'000});
  workers_.at("c").tell(Job{0, 1'000});
  settle();  // both work
  for (int i = 0; i < 3; ++i) workers_.at("a").tell(Job{});
  workers_.at("c").tell(Job{});
  settle();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask(router, Job{}), "b");
}

TEST_F(RouterTest, ABroadcastReachesEveryWorkerThatIsThere) {
  auto router = runtime_.spawn<Router<Worker, Routing::kBroadcast, Refresh>>("", names_).value();
  EXPECT_TRUE(ask(router, Refresh{1}));
  EXPECT_EQ(versions_, (Versions{{"a", 1}, {"b", 1}, {"c", 1}}));
  end("c");
  router.tell(Refresh{2});
  settle();
  EXPECT_EQ(versions_, (Versions{{"a", 2}, {"b", 2}, {"c", 1}}));
}

TEST_F(RouterTest, EqualKeysGoToTheSameWorkerAndDoNotMoveWhileItIsAway) {
  using Keyed = Router<Worker, Routing::kConsistentHash, Job, Lookup>;
  auto router = runtime_.spawn<Keyed>("", names_).value();
  std::map<std::string, std::string> worker_of;
  std::map<std::string, int> users_of;
  for (int i = 0; i < 60; ++i) {
    std::string user = "user" + std::to_string(i);
    worker_of[user] = ask(router, Lookup{user}).value();
    ++users_of[worker_of[user]];
    EXPECT_EQ(ask(router, Lookup{user}), worker_of[user]);
  }
  EXPECT_EQ(users_of.size(), 3u);
  EXPECT_EQ(ask(router, Job{42}), ask(router, Job{42}));
  end("a");
  for (const auto& [user, worker] : worker_of) {
    Result<std::string> answer = ask(router, Lookup{user});
    EXPECT_EQ(worker == "a" ? domain(answer) : answer.value(), worker == "a" ? "PLX-BEH-0031" : worker);
  }
  start("a");
  for (const auto& [user, worker] : worker_of) EXPECT_EQ(ask(router, Lookup{user}), worker);
}

TEST_F(RouterTest, WithoutAWorkerTheAskerGetsAnErrorAndATellIsCounted) {
  auto router =
      runtime_.spawn<Router<Worker, Routing::kRoundRobin, Job>>("", std::vector<std::string>{"nobody"}).value();
  Result<std::string> answer = ask(router, Job{});
  EXPECT_EQ(domain(answer), "PLX-BEH-0031");
  EXPECT_EQ(answer.error().code(), Code::kUnavailable);
  router.tell(Job{});
  settle();
  EXPECT_EQ(runtime_.stats().handler_errors, 1u);
  auto all =
      runtime_.spawn<Router<Worker, Routing::kBroadcast, Refresh>>("", std::vector<std::string>{"nobody"}).value();
  EXPECT_EQ(domain(ask(all, Refresh{})), "PLX-BEH-0031");
}

TEST_F(RouterTest, ARouterHasAtLeastOneWorkerAndAtMostSoMany) {
  using Any = Router<Worker, Routing::kRoundRobin, Job>;
  EXPECT_THROW(static_cast<void>(runtime_.spawn<Any>("", std::vector<std::string>())), std::invalid_argument);
  std::vector<std::string> many(kRouterWorkersMax, "a");
  EXPECT_TRUE(runtime_.spawn<Any>("", many));
  many.push_back("a");
  EXPECT_THROW(static_cast<void>(runtime_.spawn<Any>("", many)), std::invalid_argument);
}

}  // namespace
}  // namespace plexspaces
