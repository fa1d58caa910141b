#include "plexspaces/node/local/local_runtime.hpp"

#include <cstdint>
#include <cstdlib>
#include <future>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/behavior/gen_server.hpp"

namespace plexspaces {
namespace {

struct Add {
  using Reply = std::int64_t;
  std::int64_t by = 1;
};
PLX_MESSAGE(Add, (1, by));

class Adder : public GenServer<Adder, Add> {
 public:
  explicit Adder(std::promise<void>* ended) : ended_(ended) {}
  ~Adder() override { ended_->set_value(); }
  std::int64_t handle(const Add& m, Context&) { return sum_ += m.by; }

 private:
  std::promise<void>* ended_;
  std::int64_t sum_ = 0;
};

TEST(LocalRuntimeTest, ServesActorsUntilItIsDestroyed) {
  std::promise<void> ended;
  ActorRef<Adder> adder;
  {
    LocalRuntime runtime({.executor = {.workers = 2}});
    EXPECT_EQ(runtime.worker_count(), 2u);
    adder = runtime.spawn<Adder>("adder", &ended).value();
    EXPECT_EQ(adder.ask(Add{5}, 1min).value(), 5);
    EXPECT_EQ(runtime.runtime().find<Adder>("adder").value(), adder);
    EXPECT_FALSE(runtime.spawn<Adder>("adder", &ended));
    runtime.stop();
    runtime.stop();
  }
  ended.get_future().get();
  EXPECT_EQ(adder.ask(Add{}, 1min).error().code(), Code::kNotFound);
}

TEST(LocalRuntimeTest, AfterStopNothingIsAcceptedAndNobodyWaits) {
  std::promise<void> ended;
  LocalRuntime runtime({.executor = {.workers = 2}});
  auto adder = runtime.spawn<Adder>("adder", &ended).value();
  EXPECT_EQ(adder.ask(Add{5}, 1min).value(), 5);
  runtime.stop();
  EXPECT_EQ(adder.ask(Add{1}, Duration::max()).error().domain(), "PLX-ACT-0055");
  EXPECT_EQ(adder.tell(Add{1}).error().domain(), "PLX-ACT-0055");
  EXPECT_EQ(adder.tell(Add{1}, Ttl{1s}).error().domain(), "PLX-ACT-0055");
  EXPECT_EQ(adder.send(Add{1}, Duration::max()).error().domain(), "PLX-ACT-0055");
  EXPECT_EQ(runtime.spawn<Adder>("late", &ended).error().domain(), "PLX-ACT-0055");
}

TEST(LocalRuntimeTest, OptionsThatMakeNoSenseAreRefused) {
  try {
    LocalRuntime runtime({.runtime = {.actors_max = 0}});
    FAIL() << "it started";
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("actors_max"), std::string::npos) << error.what();
  }
}

struct Leave {};
PLX_MESSAGE(Leave);

class Leaver : public GenServer<Leaver, Leave> {
 public:
  void handle(const Leave&, Context&) { std::exit(7); }
};

TEST(LocalRuntimeDeathTest, AHandlerMayEndTheProcessOfAStaticRuntime) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        static LocalRuntime runtime({.executor = {.workers = 2}});
        auto leaver = runtime.spawn<Leaver>("leaver").value();
        leaver.tell(Leave{});
        std::promise<void>().get_future().wait();
      },
      testing::ExitedWithCode(7), "");
}

TEST(LocalRuntimeTest, SeveralLiveSideBySide) {
  std::promise<void> ended, other_ended;
  LocalRuntime runtime({.executor = {.workers = 1}}), other({.executor = {.workers = 1}});
  auto adder = runtime.spawn<Adder>("adder", &ended).value();
  auto other_adder = other.spawn<Adder>("adder", &other_ended).value();
  EXPECT_EQ(adder.ask(Add{1}, 1min).value(), 1);
  EXPECT_EQ(other_adder.ask(Add{2}, 1min).value(), 2);
}

}  // namespace
}  // namespace plexspaces
