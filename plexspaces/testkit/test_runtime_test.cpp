#include "plexspaces/testkit/test_runtime.hpp"

#include <cstdint>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/behavior/gen_server.hpp"

namespace plexspaces::testkit {
namespace {

using testing::HasSubstr;

struct Add {
  using Reply = std::int64_t;
  std::int64_t by = 1;
};
struct AskOther {
  using Reply = std::int64_t;
  std::int64_t patience_ms = 100;
};
struct Volley {
  std::int64_t left = 0;  // < 0: without end
};
struct Crash {};
PLX_MESSAGE(Add, (1, by));
PLX_MESSAGE(AskOther, (1, patience_ms));
PLX_MESSAGE(Volley, (1, left));
PLX_MESSAGE(Crash);

class Adder : public GenServer<Adder, Add, AskOther, Volley, Crash> {
 public:
  explicit Adder(std::vector<int>* order = nullptr, int number = 0, ActorRef<Adder> other = {})
      : order_(order), number_(number), other_(other) {}
  std::int64_t handle(const Add& m, Context&) {
    if (order_ != nullptr) order_->push_back(number_);
    return sum_ += m.by;
  }
  Task<Result<std::int64_t>> handle(const AskOther& m, Context& ctx) {
    AskOther question;
    auto answer = co_await ctx.ask(other_, question, std::chrono::milliseconds(m.patience_ms));
    co_return answer;
  }
  Status handle(const Volley& m, Context& ctx) {
    if (m.left == 0) return {};
    return ctx.self<Adder>().tell(Volley{m.left - 1});
  }
  void handle(const Crash&, Context&) { throw std::runtime_error("on purpose"); }

 private:
  std::vector<int>* order_;
  int number_;
  ActorRef<Adder> other_;
  std::int64_t sum_ = 0;
};

// Takes every message and answers none.
class Mute : public Actor {
 public:
  template <class M>
  static constexpr bool kHandles = true;
  void receive(Context&) override {}
  std::span<const Handler> handlers() const override { return {}; }
};

TEST(TestRuntimeTest, AskRunsTheActorsUntilTheAnswerIsThere) {
  TestRuntime world;
  auto adder = world.spawn<Adder>("adder").value();
  EXPECT_EQ(world.ask(adder, Add{5}, 1s).value(), 5);
  EXPECT_EQ(world.ask(adder, Add{2}, 1s).value(), 7);
  EXPECT_EQ(world.now(), TimePoint());
}

TEST(TestRuntimeTest, NothingRunsUnlessTheTestLetsIt) {
  TestRuntime world;
  std::vector<int> order;
  auto adder = world.spawn<Adder>("", &order, 7).value();
  ASSERT_TRUE(adder.tell(Add{}));
  EXPECT_TRUE(order.empty());
  ASSERT_TRUE(world.run_until_idle());
  EXPECT_EQ(order, std::vector{7});
  EXPECT_FALSE(world.step());
}

TEST(TestRuntimeTest, AnAskWithoutAnswerEndsAtItsVirtualDeadline) {
  TestRuntime world({.seed = 42});
  auto mute = world.spawn<Mute>("").value();
  ActorRef<Adder> silent(mute.node(), mute.id());
  auto asker = world.spawn<Adder>("", nullptr, 0, silent).value();
  auto answer = world.ask(asker, AskOther{1'000'000}, 3s);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Code::kDeadlineExceeded);
  EXPECT_THAT(answer.error().message(), HasSubstr("PLX_SEED=42"));
  EXPECT_EQ(world.now(), TimePoint(3s));
  // A wait of an actor ends too, in virtual time.
  auto other = world.spawn<Adder>("", nullptr, 0, silent).value();
  EXPECT_EQ(world.ask(other, AskOther{100}, 1s).error().code(), Code::kDeadlineExceeded);
  EXPECT_GE(world.now(), TimePoint(3s + 100ms));
  EXPECT_LE(world.now(), TimePoint(3s + 102ms));
}

TEST(TestRuntimeTest, AskOfAnActorThatHasEndedIsNotFound) {
  TestRuntime world;
  auto adder = world.spawn<Adder>("").value();
  world.runtime().kill(adder.id());
  ASSERT_TRUE(world.run_until_idle());
  EXPECT_EQ(world.ask(adder, Add{}, 1s).error().code(), Code::kNotFound);
  ASSERT_EQ(world.dead_letters().size(), 1u);
  EXPECT_EQ(world.dead_letters()[0].message_type, "Add");
}

TEST(TestRuntimeTest, ActorsThatNeverRestAreAnError) {
  TestRuntime world({.steps_max = 1'000});
  auto adder = world.spawn<Adder>("").value();
  ASSERT_TRUE(adder.tell(Volley{-1}));
  EXPECT_EQ(world.run_until_idle().error().domain(), "PLX-TST-0001");
  EXPECT_EQ(world.ask(world.spawn<Adder>("").value(), AskOther{}, 1s).error().code(), Code::kNotFound);
  EXPECT_EQ(world.advance(1s).error().domain(), "PLX-TST-0001");
}

TEST(TestRuntimeTest, TheFirstCrashIsInTheErrorsThatFollow) {
  TestRuntime world;
  auto adder = world.spawn<Adder>("victim").value();
  EXPECT_FALSE(world.first_crash());
  ASSERT_TRUE(adder.tell(Crash{}));
  ASSERT_TRUE(world.run_until_idle());
  ASSERT_TRUE(world.first_crash());
  EXPECT_THAT(*world.first_crash(), HasSubstr("victim@node1 crashed handling Crash: on purpose"));
  EXPECT_THAT(world.run_until([] { return false; }, 1s).error().message(), HasSubstr("on purpose"));
}

// The orders in which `actors` actors handle one message each.
std::vector<int> order_under(std::uint64_t seed, std::uint64_t* hash = nullptr) {
  TestRuntime world({.seed = seed});
  std::vector<int> order;
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(world.spawn<Adder>("", &order, i).value().tell(Add{}));
  EXPECT_TRUE(world.run_until_idle());
  if (hash != nullptr) *hash = world.trace_hash();
  return order;
}

TEST(TestRuntimeTest, TheSeedDecidesTheOrderOfTurns) {
  std::set<std::vector<int>> orders;
  std::set<std::uint64_t> hashes;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    std::uint64_t hash = 0, again = 0;
    std::vector<int> order = order_under(seed, &hash);
    EXPECT_EQ(order_under(seed, &again), order);
    EXPECT_EQ(again, hash);
    orders.insert(order);
    hashes.insert(hash);
  }
  EXPECT_GT(orders.size(), 15u);
  EXPECT_EQ(hashes.size(), 20u);
}

TEST(TestRuntimeTest, TheSeedComesFromTheEnvironment) {
  ASSERT_EQ(setenv("PLX_SEED", "77", 1), 0);
  EXPECT_EQ(TestRuntime().seed(), 77u);
  ASSERT_EQ(setenv("PLX_SEED", "many", 1), 0);
  EXPECT_EQ(TestRuntime().seed(), 1u);
  ASSERT_EQ(unsetenv("PLX_SEED"), 0);
  EXPECT_EQ(TestRuntime().seed(), 1u);
}

TEST(TestRuntimeTest, TimePassesOnlyByAdvance) {
  TestRuntime world;
  ASSERT_TRUE(world.run_until_idle());
  EXPECT_EQ(world.now(), TimePoint());
  ASSERT_TRUE(world.advance(1s));
  EXPECT_GE(world.now(), TimePoint(1s));
  EXPECT_LE(world.now(), TimePoint(1s + 2ms));
  for (int i = 1; i <= 100; ++i) ASSERT_TRUE(world.advance_to(TimePoint(1s + i * 10ms)));
  EXPECT_LE(world.now(), TimePoint(2s + 2ms));
  EXPECT_EQ(world.run_until([] { return false; }, 1s).error().domain(), "PLX-TST-0002");
}

}  // namespace
}  // namespace plexspaces::testkit
