#include "plexspaces/testkit/harness.hpp"

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plexspaces/behavior/gen_fsm.hpp"
#include "plexspaces/behavior/gen_server.hpp"

namespace plexspaces::testkit {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Withdraw {
  using Reply = std::int64_t;
  std::int64_t amount = 0;
};
struct GetRate {
  using Reply = double;
  std::string currency;
};
struct Booked {
  std::int64_t amount = 0;
};
struct Remind {
  std::int64_t after_ms = 0;
};
struct Tick {
  std::int64_t number = 0;
};
struct Do {
  std::string what;
};
struct Later {
  using Reply = std::int64_t;
};
PLX_MESSAGE(Withdraw, (1, amount));
PLX_MESSAGE(GetRate, (1, currency));
PLX_MESSAGE(Booked, (1, amount));
PLX_MESSAGE(Remind, (1, after_ms));
PLX_MESSAGE(Tick, (1, number));
PLX_MESSAGE(Do, (1, what));
PLX_MESSAGE(Later);

class Bank : public GenServer<Bank, Booked, GetRate> {
 public:
  void handle(const Booked&, Context&) {}
  double handle(const GetRate&, Context&) { return 0; }
};

class Child : public GenServer<Child, Tick> {
 public:
  explicit Child(ActorRef<Bank> bank = {}) : bank_(bank) {}
  Status on_start(Context&) override { return bank_ ? bank_.tell(Booked{99}) : Status(); }
  void handle(const Tick&, Context&) { throw std::logic_error("nothing sent arrives"); }

 private:
  ActorRef<Bank> bank_;
};

class Account : public GenServer<Account, Withdraw, Remind, Tick, Do, Later, Down, Exited> {
 public:
  explicit Account(ActorRef<Bank> bank = {}, std::string fail = {}) : bank_(bank), fail_(std::move(fail)) {}

  Status on_start(Context& ctx) override {
    if (!fail_.empty()) return fail(Code::kFailedPrecondition, fail_);
    if (!bank_) return {};
    PLX_TRY(monitor, ctx.monitor(bank_));
    static_cast<void>(monitor);
    return {};
  }
  Task<> on_stop(Context&, const ExitReason&) override {
    if (bank_) bank_.tell(Booked{-1});
    co_return;
  }

  Task<Result<std::int64_t>> handle(const Withdraw& m, Context& ctx) {
    PLX_CO_TRY_STATUS(bank_.tell(Booked{m.amount}));
    GetRate question{"EUR"};
    auto rate = co_await ctx.ask(bank_, question, 1s);
    if (!rate) co_return std::unexpected(rate.error());
    PLX_CO_TRY_STATUS(bank_.tell(Booked{0}));
    co_return balance_ -= static_cast<std::int64_t>(*rate * static_cast<double>(m.amount));
  }
  Status handle(const Remind& m, Context& ctx) {
    PLX_TRY(timer, ctx.send_after(std::chrono::milliseconds(m.after_ms), Tick{m.after_ms}));
    timer_ = timer;
    return {};
  }
  Status handle(const Tick& m, Context&) {
    if (later_) later_.reply(m.number);
    return bank_.tell(Booked{m.number});
  }
  Status handle(const Do& m, Context& ctx) {
    if (m.what == "spawn") {
      PLX_TRY(child, ctx.spawn_linked<Child>(bank_));
      child_ = child;
      return child.tell(Tick{1});
    }
    if (m.what == "everything") {
      PLX_TRY_STATUS(ctx.self<Account>().tell(Tick{7}));
      PLX_TRY_STATUS(ctx.link(bank_));
      ctx.unlink(bank_);
      PLX_TRY(monitor, ctx.monitor(bank_));
      ctx.demonitor(monitor);
      PLX_TRY(timer, ctx.send_every(100ms, Tick{8}));
      EXPECT_TRUE(ctx.cancel(timer));
      EXPECT_FALSE(ctx.cancel(timer));
      PLX_TRY_STATUS(ctx.exit(bank_, ExitReason::error("go")));
      return ctx.kill(bank_);
    }
    if (m.what == "every") {
      PLX_TRY(timer, ctx.send_every(100ms, Tick{8}));
      timer_ = timer;
      return {};
    }
    if (m.what == "link") return ctx.link(bank_);
    if (m.what == "trap") return ctx.trap_exits(true);
    if (m.what == "on and on") return ctx.continue_with(m);
    if (m.what == "stop") ctx.stop();
    if (m.what == "throw") throw std::runtime_error("no money");
    return {};
  }
  NoReply handle(const Later&, Context& ctx) {
    later_ = ctx.defer<Later>();
    return {};
  }
  Status handle(const Down& m, Context&) { return bank_.tell(Booked{1000 + static_cast<std::int64_t>(m.reason.kind)}); }
  Status handle(const Exited& m, Context&) {
    return bank_.tell(Booked{2000 + static_cast<std::int64_t>(m.reason.kind)});
  }

 private:
  ActorRef<Bank> bank_;
  std::string fail_;
  ActorRef<Child> child_;
  TimerRef timer_;
  ReplyTo<Later> later_;
  std::int64_t balance_ = 100;
};

class HarnessTest : public testing::Test {
 protected:
  Harness<Account> account_;
  ActorRef<Bank> bank_ = account_.peer<Bank>("bank");
  TurnEffects started_ = account_.start(bank_).value();
};

TEST_F(HarnessTest, StartGivesTheEffectsOfTheFirstTurn) {
  EXPECT_THAT(lines_of(started_), ElementsAre("monitor bank"));
  EXPECT_FALSE(account_.ended());
}

TEST(HarnessStartTest, AFailureOfTheFirstTurnIsTheError) {
  Harness<Account> account;
  auto started = account.start(ActorRef<Bank>(), "no licence");
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().domain(), "PLX-TST-0008");
  EXPECT_THAT(started.error().message(), HasSubstr("no licence"));
}

struct Pass {
  using Reply = std::int64_t;
  std::int64_t number = 0;
};
PLX_MESSAGE(Pass, (1, number));

class Gate : public GenServer<Gate, Pass> {
 public:
  std::int64_t handle(const Pass& m, Context&) const { return m.number; }
};

class Porter : public GenServer<Porter, Pass> {
 public:
  explicit Porter(ActorRef<Gate> gate) : gate_(gate) {}
  NoReply handle(const Pass& m, Context& ctx) { return ctx.forward(gate_, Pass{m.number + 1}); }

 private:
  ActorRef<Gate> gate_;
};

TEST(HarnessForwardTest, AForwardedMessageIsATellAndItsAskIsNotAnswered) {
  Harness<Porter> porter;
  auto gate = porter.peer<Gate>("gate");
  ASSERT_TRUE(porter.start(gate));
  auto [reply, effects] = porter.ask(Pass{6});
  EXPECT_EQ(reply.error().domain(), "PLX-ACT-0062");
  EXPECT_THAT(lines_of(effects), ElementsAre(R"(tell gate Pass {"number":7})"));
}

TEST_F(HarnessTest, EffectsAreInTheOrderOfTheTurn) {
  EXPECT_THAT(lines_of(account_.tell(Do{"everything"})),
              ElementsAre(R"(tell itself Tick {"number":7})", "link bank", "unlink bank", "monitor bank",
                          "demonitor bank", R"(timer every 100 ms Tick {"number":8})",
                          R"(cancel timer Tick {"number":8})", "exit bank error: go", "kill bank"));
}

TEST_F(HarnessTest, EffectsHaveTheirValues) {
  TurnEffects effects = account_.tell(Do{"everything"});
  ASSERT_EQ(effects.size(), 9u);
  ASSERT_NE(effects[0].told<Tick>(), nullptr);
  EXPECT_EQ(effects[0].told<Tick>()->number, 7);
  EXPECT_EQ(effects[0].told<Booked>(), nullptr);
  EXPECT_EQ(effects[0].asked<Tick>(), nullptr);
  EXPECT_EQ(effects[0].to, account_.id());
  EXPECT_EQ(effects[1].to, bank_.id());
  EXPECT_EQ(effects[5].timed<Tick>()->number, 8);
  EXPECT_EQ(effects[5].period, 100ms);
  EXPECT_EQ(effects[5].timer, effects[6].timer);
  EXPECT_EQ(effects[7].reason, ExitReason::error("go"));
}

TEST_F(HarnessTest, TheTestAnswersTheAsksOfTheActor) {
  auto [reply, effects] = account_.ask(Withdraw{10});
  EXPECT_EQ(reply.error().domain(), "PLX-TST-0006");
  EXPECT_THAT(lines_of(effects),
              ElementsAre(R"(tell bank Booked {"amount":10})", R"(ask bank GetRate {"currency":"EUR"})"));
  EXPECT_EQ(account_.late_reply<Withdraw>().error().domain(), "PLX-TST-0006");
  EXPECT_THAT(lines_of(account_.answer<GetRate>(effects[1], 2.0)), ElementsAre(R"(tell bank Booked {"amount":0})"));
  EXPECT_EQ(account_.late_reply<Withdraw>().value(), 80);
  EXPECT_EQ(account_.late_reply<Withdraw>().error().domain(), "PLX-TST-0006");

  auto [again, more] = account_.ask(Withdraw{10});
  EXPECT_THAT(account_.answer<GetRate>(more[1], fail(Code::kUnavailable, "closed")), IsEmpty());
  EXPECT_EQ(account_.late_reply<Withdraw>().error().message(), "closed");
}

TEST_F(HarnessTest, AnswersByAScriptWhenItHasOne) {
  account_.reply<GetRate>([](const GetRate& m) { return m.currency == "EUR" ? 3.0 : 0.0; });
  auto [reply, effects] = account_.ask(Withdraw{10});
  EXPECT_EQ(reply.value(), 70);
  EXPECT_EQ(effects.size(), 3u);
}

TEST_F(HarnessTest, AnAskThatNobodyAnswersTimesOutInVirtualTime) {
  auto [reply, effects] = account_.ask(Withdraw{10});
  EXPECT_THAT(account_.advance(990ms), IsEmpty());
  EXPECT_EQ(account_.late_reply<Withdraw>().error().domain(), "PLX-TST-0006");
  EXPECT_THAT(account_.advance(10ms), IsEmpty());
  EXPECT_EQ(account_.late_reply<Withdraw>().error().code(), Code::kDeadlineExceeded);
}

TEST_F(HarnessTest, TimersFireWhenTheTestLetsTimePass) {
  EXPECT_THAT(lines_of(account_.tell(Remind{500})), ElementsAre(R"(timer in 500 ms Tick {"number":500})"));
  EXPECT_THAT(lines_of(account_.tell(Remind{250})), ElementsAre(R"(timer in 250 ms Tick {"number":250})"));
  EXPECT_THAT(account_.advance(200ms), IsEmpty());
  EXPECT_THAT(lines_of(account_.fire_timer<Tick>().value()), ElementsAre(R"(tell bank Booked {"amount":250})"));
  EXPECT_GE(account_.now(), TimePoint(250ms));
  EXPECT_LT(account_.now(), TimePoint(252ms));
  EXPECT_THAT(lines_of(account_.advance(1s)), ElementsAre(R"(tell bank Booked {"amount":500})"));
  EXPECT_EQ(account_.fire_timer<Tick>().error().domain(), "PLX-TST-0007");

  account_.tell(Do{"every"});
  EXPECT_EQ(account_.fire_timer<Tick>().value().size(), 1u);
  EXPECT_EQ(account_.fire_timer<Tick>().value().size(), 1u);
  EXPECT_EQ(account_.advance(1s).size(), 10u);
}

TEST_F(HarnessTest, ChildrenAreMadeAndStartedButGetNothing) {
  TurnEffects effects = account_.tell(Do{"spawn"});
  ASSERT_EQ(effects.size(), 4u);
  EXPECT_TRUE(effects[0].spawned<Child>());
  EXPECT_FALSE(effects[0].spawned<Bank>());
  std::string child = "Child#" + std::to_string(effects[0].to.slot);
  EXPECT_THAT(lines_of(effects),
              ElementsAre("spawn Child", "link " + child, child + R"(: tell bank Booked {"amount":99})",
                          "tell " + child + R"( Tick {"number":1})"));
  // It is linked to its child.
  ActorRef<Child> ref(bank_.node(), effects[0].to);
  EXPECT_THAT(lines_of(account_.end(ref, ExitReason::error("stumbled"))),
              ElementsAre(R"(tell bank Booked {"amount":-1})", "end error: stumbled"));
  EXPECT_EQ(account_.ended(), ExitReason::error("stumbled"));
}

TEST_F(HarnessTest, TheEndOfAPeerIsSeenAsInARuntime) {
  account_.tell(Do{"trap"});
  account_.tell(Do{"link"});
  EXPECT_THAT(
      lines_of(account_.end(bank_, ExitReason::shutdown())),
      testing::UnorderedElementsAre(R"(tell bank Booked {"amount":1001})", R"(tell bank Booked {"amount":2001})"));
  // It is gone: asks fail, a new monitor fires at once.
  auto [reply, effects] = account_.ask(Withdraw{1});
  EXPECT_EQ(reply.error().code(), Code::kNotFound);
  EXPECT_THAT(lines_of(account_.tell(Do{"link"})), ElementsAre("link bank", R"(tell bank Booked {"amount":2004})"));
}

TEST_F(HarnessTest, TheEndIsTheLastEffect) {
  EXPECT_THAT(lines_of(account_.tell(Do{"stop"})), ElementsAre(R"(tell bank Booked {"amount":-1})", "end normal"));
  EXPECT_EQ(account_.ended(), ExitReason::normal());
  EXPECT_THAT(account_.tell(Do{"stop"}), IsEmpty());
}

TEST_F(HarnessTest, ACrashIsAnEnd) {
  EXPECT_THAT(lines_of(account_.tell(Do{"throw"})),
              ElementsAre(R"(tell bank Booked {"amount":-1})", "end error: no money"));
  EXPECT_THAT(account_.world().first_crash().value(), HasSubstr("no money"));
}

TEST_F(HarnessTest, ExitSignalsAndOrdersComeFromTheTest) {
  account_.tell(Do{"trap"});
  EXPECT_THAT(lines_of(account_.exit(ExitReason::error("move"), bank_.id())),
              ElementsAre(R"(tell bank Booked {"amount":2003})"));
  EXPECT_THAT(lines_of(account_.kill()), ElementsAre("end killed"));
  Harness<Account> other;
  ASSERT_TRUE(other.start());
  EXPECT_THAT(lines_of(other.stop()), ElementsAre("end shutdown"));
}

TEST_F(HarnessTest, AnAnswerThatComesLaterIsLate) {
  auto [reply, effects] = account_.ask(Later{});
  EXPECT_EQ(reply.error().domain(), "PLX-TST-0006");
  account_.tell(Tick{5}, bank_.id());
  EXPECT_EQ(account_.late_reply<Later>().value(), 5);
}

TEST_F(HarnessTest, AnActorThatGoesOnAndOnIsStopped) {
  EXPECT_THAT(lines_of(account_.tell(Do{"on and on"})), ElementsAre("never comes to rest"));
}

// ---- waits that ask nobody -----------------------------------------------------------------------------------------

class Reader : public GenServer<Reader, Later> {
 public:
  explicit Reader(ActorRef<Bank> bank) : bank_(bank) {}
  Task<Result<std::int64_t>> handle(const Later&, Context& ctx) {
    auto read = co_await ctx.blocking([] { return std::int64_t{40}; });
    if (!read) co_return std::unexpected(read.error());
    co_await ctx.sleep(1s);
    auto reason = co_await ctx.ended(bank_, 1min);
    if (!reason) co_return std::unexpected(reason.error());
    co_return *read + static_cast<std::int64_t>(reason->kind);
  }

 private:
  ActorRef<Bank> bank_;
};

TEST(HarnessWaitTest, BlockingWorkIsDoneSleepsPassWithTimeAndEndsComeFromTheTest) {
  Harness<Reader> reader;
  auto bank = reader.peer<Bank>("bank");
  ASSERT_TRUE(reader.start(bank));
  auto [reply, effects] = reader.ask(Later{});
  EXPECT_EQ(reply.error().domain(), "PLX-TST-0006");
  EXPECT_THAT(effects, IsEmpty());
  EXPECT_THAT(lines_of(reader.advance(1s)), ElementsAre("monitor bank"));
  EXPECT_THAT(reader.end(bank, ExitReason::shutdown()), IsEmpty());
  EXPECT_EQ(reader.late_reply<Later>().value(), 41);
}

class Nag : public GenServer<Nag, Later> {
 public:
  explicit Nag(ActorRef<Bank> bank) : bank_(bank) {}
  Task<Result<std::int64_t>> handle(const Later&, Context& ctx) {
    for (;;) {
      GetRate question;
      auto rate = co_await ctx.ask(bank_, question, 1s);
      if (!rate) co_return std::unexpected(rate.error());
    }
  }

 private:
  ActorRef<Bank> bank_;
};

TEST(HarnessWaitTest, AnActorThatAsksOnAndOnIsStopped) {
  Harness<Nag> nag({.steps_max = 100});
  nag.reply<GetRate>(1.0);
  ASSERT_TRUE(nag.start(nag.peer<Bank>()));
  auto [reply, effects] = nag.ask(Later{});
  EXPECT_EQ(reply.error().domain(), "PLX-TST-0006");
  ASSERT_FALSE(effects.empty());
  EXPECT_EQ(effects.back().to_string(), "never comes to rest");
}

// ---- a state machine -----------------------------------------------------------------------------------------------

enum class Lamp { kOff, kOn };
PLX_ENUM(Lamp, (1, kOff), (2, kOn));

struct Press {};
PLX_MESSAGE(Press);

// Lights for 5 minutes, and tells the bank of it.
class Light : public GenFsm<Light, Lamp, Press> {
 public:
  explicit Light(ActorRef<Bank> bank) : GenFsm(Lamp::kOff), bank_(bank) {}
  Transition handle(In<Lamp::kOff>, const Press&, Context&) {
    bank_.tell(Booked{1});
    return next_state(Lamp::kOn).state_timeout(5min);
  }
  Transition handle(In<Lamp::kOn>, const Press&, Context&) { return next_state(Lamp::kOff); }
  Transition handle(In<Lamp::kOn>, const StateTimeout&, Context&) {
    bank_.tell(Booked{0});
    return next_state(Lamp::kOff);
  }

 private:
  ActorRef<Bank> bank_;
};

TEST(HarnessFsmTest, AStateMachineHasItsTimeouts) {
  Harness<Light> light;
  auto bank = light.peer<Bank>("bank");
  EXPECT_THAT(light.start(bank).value(), IsEmpty());
  auto on = lines_of(light.tell(Press{}));
  ASSERT_EQ(on.size(), 2u);
  EXPECT_EQ(on[0], R"(tell bank Booked {"amount":1})");
  EXPECT_THAT(on[1], testing::StartsWith("timer in 300000 ms "));
  EXPECT_THAT(light.advance(299s), IsEmpty());
  EXPECT_THAT(lines_of(light.advance(1s)), ElementsAre(R"(tell bank Booked {"amount":0})"));
  light.tell(Press{});
  auto off = lines_of(light.tell(Press{}));
  ASSERT_EQ(off.size(), 1u);
  EXPECT_THAT(off[0], testing::StartsWith("cancel timer "));
  EXPECT_THAT(light.advance(1h), IsEmpty());
}

struct Order {
  std::string sku;
};
PLX_MESSAGE(Order, (1, sku));

class Stock : public GenServer<Stock, Order> {
 public:
  void handle(const Order&, Context&) {}
};

class Shop : public GenServer<Shop, Order> {
 public:
  Status handle(const Order& m, Context& ctx) { return ctx.actor<Stock>(m.sku).tell(m); }
};

TEST(HarnessKeyTest, ATellByKeyIsAnEffectToo) {
  Harness<Shop> shop({.types = [](Types& types) { types.add<Stock>("stock", {.facets = {{"durability", {}}}}); }});
  ASSERT_TRUE(shop.start());
  TurnEffects effects = shop.tell(Order{"tea"});
  EXPECT_THAT(lines_of(effects), ElementsAre(R"(tell default/default/stock/tea Order {"sku":"tea"})"));
  EXPECT_EQ(effects[0].key->key, "tea");
}

}  // namespace
}  // namespace plexspaces::testkit
