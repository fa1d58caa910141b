// The code of docs/testing.md, as tests.
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plexspaces/plexspaces.hpp"
#include "plexspaces/supervision.hpp"
#include "plexspaces/supervision/supervisor.hpp"
#include "plexspaces/testkit/testkit.hpp"

namespace {

// docs-snippet: till
using namespace plexspaces;

struct GetRate {
  using Reply = double;
  std::string currency;
};
PLX_MESSAGE(GetRate, (1, currency));

class Rates : public GenServer<Rates, GetRate> {
 public:
  double handle(const GetRate& m, Context&) const { return m.currency == "EUR" ? 1 : 0.9; }
};

struct Closed {
  std::int64_t cents = 0;
};
PLX_MESSAGE(Closed, (1, cents));

class Office : public GenServer<Office, Closed> {
 public:
  void handle(const Closed& m, Context&) { cents_ += m.cents; }

 private:
  std::int64_t cents_ = 0;
};

struct Pay {
  using Reply = std::int64_t;  // what is in the till
  std::int64_t cents = 0;
  std::string currency = "EUR";
};
PLX_MESSAGE(Pay, (1, cents), (2, currency));

struct Close {};
PLX_MESSAGE(Close);

// Takes money for 8 hours, then tells the office how much it was.
class Till : public GenServer<Till, Pay, Close> {
 public:
  Till(ActorRef<Rates> rates, ActorRef<Office> office) : rates_(rates), office_(office) {}

  Status on_start(Context& ctx) override {
    PLX_TRY_STATUS(ctx.send_after<Till>(8h, Close{}));
    return {};
  }

  Task<Result<std::int64_t>> handle(const Pay& pay, Context& ctx) {
    GetRate question{pay.currency};
    auto rate = co_await ctx.ask(rates_, question, 2s);
    if (!rate) co_return std::unexpected(rate.error());
    co_return cents_ += static_cast<std::int64_t>(static_cast<double>(pay.cents) * *rate);
  }

  Status handle(const Close&, Context& ctx) {
    ctx.stop();
    return office_.tell(Closed{cents_});
  }

 private:
  ActorRef<Rates> rates_;
  ActorRef<Office> office_;
  std::int64_t cents_ = 0;
};
// docs-snippet-end

// docs-snippet: fixture
using namespace plexspaces::testkit;

TEST(TillTest, TellsTheOfficeAtTheEndOfTheDay) {
  TestRuntime world;
  auto rates = world.spawn<Rates>("rates").value();
  Probe<Closed> office(world);
  auto till = world.spawn<Till>("till", rates, office.as<Office>()).value();

  EXPECT_EQ(world.ask(till, Pay{200}, 1s).value(), 200);
  EXPECT_EQ(world.ask(till, Pay{100, "USD"}, 1s).value(), 290);

  ASSERT_TRUE(office.watch(till));
  ASSERT_TRUE(office.expect_none_within(7h));
  EXPECT_EQ(office.expect<Closed>(2h).value().cents, 290);
  EXPECT_EQ(office.expect_end(till, 1s).value(), ExitReason::normal());
}
// docs-snippet-end

// docs-snippet: probe
TEST(TillTest, RefusesMoneyOfWhichItCannotLearnTheRate) {
  TestRuntime world;
  Probe<GetRate> rates(world);
  auto till = world.spawn<Till>("till", rates.as<Rates>(), ActorRef<Office>()).value();

  rates.reply<GetRate>(fail(Code::kNotFound, "no such currency"));
  EXPECT_EQ(world.ask(till, Pay{5, "???"}, 1s).error().code(), Code::kNotFound);
  EXPECT_EQ(rates.expect<GetRate>(0s).value().currency, "???");

  // One that does not answer at all: the till waits 2 s, in virtual time.
  TestRuntime slow;
  Probe<GetRate> silent(slow);
  till = slow.spawn<Till>("till", silent.as<Rates>(), ActorRef<Office>()).value();
  EXPECT_EQ(slow.ask(till, Pay{5}, 1min).error().code(), Code::kDeadlineExceeded);
  EXPECT_GE(slow.now(), TimePoint(2s));
}
// docs-snippet-end

// docs-snippet: harness
TEST(TillTest, AsksForTheRateOfEachPayment) {
  Harness<Till> till;
  auto rates = till.peer<Rates>("rates");
  auto office = till.peer<Office>("office");

  TurnEffects started = till.start(rates, office).value();
  EXPECT_THAT(lines_of(started), testing::ElementsAre("timer in 28800000 ms Close {}"));

  auto [reply, effects] = till.ask(Pay{100, "USD"});  // has no answer yet: the till waits for one itself
  EXPECT_THAT(lines_of(effects), testing::ElementsAre(R"(ask rates GetRate {"currency":"USD"})"));
  till.answer<GetRate>(effects[0], 0.5);
  EXPECT_EQ(till.late_reply<Pay>().value(), 50);

  TurnEffects closed = till.fire_timer<Close>().value();
  EXPECT_THAT(lines_of(closed), testing::ElementsAre(R"(tell office Closed {"cents":50})", "end normal"));
  EXPECT_EQ(closed[0].told<Closed>()->cents, 50);
}
// docs-snippet-end

// docs-snippet: simulation
TEST(ShopTest, TakesMoneyAgainAfterATillHasBrokenDown) {
  auto scenario = [](Simulation& world) -> Status {
    PLX_TRY(rates, world.spawn<Rates>("rates"));
    auto tree = supervisor("shop", one_for_one, {.intensity = 100, .period = 1h})
                    .child<Till>("till", permanent, {.name = "till"}, rates, ActorRef<Office>());
    PLX_TRY(shop, world.spawn<Supervisor>("shop", tree));

    world.crash(CrashPlan::named("till", {.one_in = 3}));
    for (int i = 0; i < 10; ++i) {
      PLX_TRY_STATUS(world.run_until_idle());
      PLX_TRY(till, world.runtime().find<Till>("till"));  // it is there again, under its name
      auto cents = world.ask(till, Pay{100}, 10s);        // it may break down before it answers
      PLX_TRY_STATUS(require(cents || cents.error().code() != Code::kDeadlineExceeded, "a customer was left waiting"));
    }

    world.stop_faults();
    PLX_TRY_STATUS(world.run_until_idle());
    PLX_TRY(till, world.runtime().find<Till>("till"));
    PLX_TRY_STATUS(world.ask(till, Pay{100}, 10s));
    PLX_TRY(info, world.ask(shop, WhichChildren{}, 1s));
    return require(info[0].restarts == world.planned_crashes(), "one restart for each crash");
  };
  auto report = simulate(200, scenario);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_GT(report->planned_crashes, 200u);
}
// docs-snippet-end

// docs-snippet: no-framework
// 0, or what went wrong on standard error: any framework, or none.
int run_without_framework() {
  auto test = []() -> Status {
    TestRuntime world;
    Probe<Closed> office(world);
    PLX_TRY(rates, world.spawn<Rates>("rates"));
    PLX_TRY(till, world.spawn<Till>("till", rates, office.as<Office>()));
    PLX_TRY(cents, world.ask(till, Pay{200}, 1s));
    PLX_TRY(closed, office.expect<Closed>(9h));
    return require(closed.cents == cents, "the office was told another sum");
  };
  Status status = test();
  if (!status) std::fprintf(stderr, "%s\n", status.error().to_string().c_str());
  return status ? 0 : 1;
}
// docs-snippet-end

TEST(TillTest, WithoutAFramework) { EXPECT_EQ(run_without_framework(), 0); }

}  // namespace
