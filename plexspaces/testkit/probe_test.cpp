#include "plexspaces/testkit/probe.hpp"

#include <cstdint>
#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plexspaces/behavior/gen_server.hpp"

namespace plexspaces::testkit {
namespace {

using testing::HasSubstr;

struct Ping {
  std::int64_t number = 0;
};
struct Pong {
  std::int64_t number = 0;
};
struct GetRate {
  using Reply = double;
  std::string currency;
};
struct Convert {
  using Reply = double;
  double amount = 0;
};
struct Boom {};
PLX_MESSAGE(Ping, (1, number));
PLX_MESSAGE(Pong, (1, number));
PLX_MESSAGE(GetRate, (1, currency));
PLX_MESSAGE(Convert, (1, amount));
PLX_MESSAGE(Boom);

class Rates : public GenServer<Rates, GetRate, Pong> {
 public:
  double handle(const GetRate&, Context&) { return 1; }
  void handle(const Pong&, Context&) {}
};

class Cashier : public GenServer<Cashier, Ping, Convert, Boom> {
 public:
  explicit Cashier(ActorRef<Rates> rates) : rates_(rates) {}
  Status handle(const Ping& m, Context&) { return rates_.tell(Pong{m.number}); }
  Task<Result<double>> handle(const Convert& m, Context& ctx) {
    GetRate question{"EUR"};
    auto rate = co_await ctx.ask(rates_, question, 1s);
    if (!rate) co_return std::unexpected(rate.error());
    co_return m.amount** rate;
  }
  void handle(const Boom&, Context&) { throw std::runtime_error("boom"); }

 private:
  ActorRef<Rates> rates_;
};

class ProbeTest : public testing::Test {
 protected:
  TestRuntime world_;
  Probe<GetRate, Pong> rates_{world_};
  ActorRef<Cashier> cashier_ = world_.spawn<Cashier>("", rates_.as<Rates>()).value();
};

TEST_F(ProbeTest, GetsMessagesInOrderWithTheirSender) {
  ASSERT_TRUE(cashier_.tell(Ping{1}));
  ASSERT_TRUE(cashier_.tell(Ping{2}));
  EXPECT_EQ(rates_.expect<Pong>(1s).value().number, 1);
  EXPECT_EQ(rates_.last_sender(), cashier_.id());
  EXPECT_EQ(rates_.expect<Pong>(1s).value().number, 2);
  EXPECT_TRUE(rates_.expect_none_within(1h));
  EXPECT_GE(world_.now(), TimePoint(1h));
}

TEST_F(ProbeTest, ExpectFailsWhenNothingCameInTime) {
  auto none = rates_.expect<Pong>(2s);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().domain(), "PLX-TST-0002");
  EXPECT_THAT(none.error().message(), HasSubstr("no Pong came"));
  EXPECT_THAT(none.error().message(), HasSubstr("PLX_SEED=1"));
}

TEST_F(ProbeTest, ExpectFailsWhenAnotherMessageCameAndLeavesIt) {
  ASSERT_TRUE(cashier_.tell(Ping{5}));
  auto wrong = rates_.expect<GetRate>(2s);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().domain(), "PLX-TST-0003");
  EXPECT_THAT(wrong.error().message(), HasSubstr(R"(Pong {"number":5})"));
  EXPECT_EQ(rates_.expect_none_within(1s).error().domain(), "PLX-TST-0004");
  EXPECT_EQ(rates_.waiting(), 1u);
  EXPECT_EQ(rates_.expect<Pong>(0s).value().number, 5);
}

TEST_F(ProbeTest, ExpectInOrderTakesEachOrSaysWhichIsWrong) {
  ASSERT_TRUE(cashier_.tell(Ping{1}));
  ASSERT_TRUE(cashier_.tell(Convert{7}));
  ASSERT_TRUE(cashier_.tell(Ping{2}));
  auto in_order = rates_.expect_in_order<Pong, GetRate, Pong>(2s);
  ASSERT_TRUE(in_order) << in_order.error().to_string();
  EXPECT_EQ(std::get<0>(*in_order).number, 1);
  EXPECT_EQ(std::get<1>(*in_order).currency, "EUR");
  EXPECT_EQ(std::get<2>(*in_order).number, 2);  // after the ask had timed out
  ASSERT_TRUE(cashier_.tell(Ping{3}));
  EXPECT_EQ((rates_.expect_in_order<Pong, Pong>(1s).error().domain()), "PLX-TST-0002");
}

TEST_F(ProbeTest, AnswersAsksAsItIsTold) {
  rates_.reply<GetRate>(1.25);
  EXPECT_EQ(world_.ask(cashier_, Convert{4}, 1s).value(), 5);
  rates_.reply<GetRate>([](const GetRate& m) { return m.currency == "EUR" ? 2.0 : 0.0; });
  EXPECT_EQ(world_.ask(cashier_, Convert{4}, 1s).value(), 8);
  rates_.reply<GetRate>(fail(Code::kUnavailable, "the market is closed"));
  EXPECT_EQ(world_.ask(cashier_, Convert{4}, 1s).error().message(), "the market is closed");
  EXPECT_EQ(rates_.waiting(), 3u);  // what was asked is there to be looked at
  rates_.forget_all();
  EXPECT_EQ(rates_.waiting(), 0u);
}

TEST_F(ProbeTest, KeepsAsksUntilTheTestAnswers) {
  EXPECT_EQ(rates_.answer<GetRate>(1.0).error().domain(), "PLX-TST-0009");
  auto answer = world_.send_ask(cashier_.id(), plexspaces::detail::make_envelope(nullptr, Convert{4}, 0), 1s);
  ASSERT_TRUE(rates_.expect<GetRate>(1s));
  ASSERT_TRUE(world_.run_until_idle());
  EXPECT_FALSE(answer->has_value());
  ASSERT_TRUE(rates_.answer<GetRate>(3.0));
  EXPECT_EQ(rates_.answer<GetRate>(3.0).error().domain(), "PLX-TST-0009");
  ASSERT_TRUE(world_.run_until_idle());
  ASSERT_TRUE(answer->has_value());
  EXPECT_EQ((*answer)->take<double>().value(), 12);
}

TEST_F(ProbeTest, SeesTheEndOfActorsThatItWatchesAndIsLinkedTo) {
  auto other = world_.spawn<Cashier>("", rates_.as<Rates>()).value();
  MonitorRef monitor = rates_.watch(cashier_).value();
  ASSERT_TRUE(rates_.link(other));
  ASSERT_TRUE(cashier_.tell(Boom{}));
  Down down = rates_.expect<Down>(1s).value();
  EXPECT_EQ(down.monitor, monitor);
  EXPECT_EQ(down.reason, ExitReason::error("boom"));
  ASSERT_TRUE(other.tell(Boom{}));
  EXPECT_EQ(rates_.expect<Exited>(1s).value().from, other.id());

  ASSERT_TRUE(rates_.watch(other));
  EXPECT_EQ(rates_.expect_end(cashier_, 1s).error().domain(), "PLX-TST-0003");
  EXPECT_EQ(rates_.expect_end(other, 1s).value().kind, ExitKind::kNoproc);
}

TEST_F(ProbeTest, PerformsInATurnOfItsOwn) {
  Probe<Pong> pongs(world_, "pongs");
  ASSERT_TRUE(pongs.perform([&](Context& ctx) { ctx.tell(cashier_, Ping{1}); }));
  EXPECT_EQ(rates_.expect<Pong>(1s).value().number, 1);
  EXPECT_TRUE(pongs.perform([](Context& ctx) { ctx.stop(); }));
  EXPECT_EQ(pongs.perform([](Context&) {}).error().domain(), "PLX-TST-0005");
}

TEST_F(ProbeTest, WhatItDoesNotHandleIsADeadLetter) {
  Probe<GetRate> only_rates(world_);
  ASSERT_TRUE(only_rates.as<Rates>().tell(Pong{1}));
  EXPECT_TRUE(only_rates.expect_none_within(1s));
  ASSERT_EQ(world_.dead_letters().size(), 1u);
  EXPECT_EQ(world_.dead_letters()[0].reason, DeadLetterReason::kUnhandled);
}

}  // namespace
}  // namespace plexspaces::testkit
