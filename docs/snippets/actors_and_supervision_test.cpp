// The code of docs/actors-and-supervision.md, as tests.
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plexspaces/plexspaces.hpp"
#include "plexspaces/supervision.hpp"
#include "plexspaces/supervision/supervisor.hpp"
#include "plexspaces/testkit/testkit.hpp"

namespace {

using namespace plexspaces;
using namespace plexspaces::testkit;

// docs-snippet: ledger
struct Deposit {
  using Reply = std::int64_t;  // the balance after it
  std::string account;
  std::int64_t cents = 0;
};
PLX_MESSAGE(Deposit, (1, account), (2, cents));

class Ledger : public GenServer<Ledger, Deposit> {
 public:
  Result<std::int64_t> handle(const Deposit& m, Context&) {
    // The caller's mistake: an error for the caller, and the actor goes on.
    if (m.cents <= 0) return fail(Code::kInvalidArgument, "a deposit is more than nothing");
    std::int64_t& balance = balance_of(m.account);
    // Ours: nothing that this actor holds can be relied on any more. It ends, and another one begins anew.
    if (balance < 0) throw std::logic_error("a balance is less than nothing");
    return balance += m.cents;
  }

 private:
  std::int64_t& balance_of(const std::string& account);

  std::map<std::string, std::int64_t> balances_;
};
// docs-snippet-end

// A mistake of ours, for one account.
std::int64_t& Ledger::balance_of(const std::string& account) {
  if (account == "chaos") balances_[account] = -1;
  return balances_[account];
}

struct Print {
  std::string text;
};
PLX_MESSAGE(Print, (1, text));

class Printer : public GenServer<Printer, Print> {
 public:
  void handle(const Print& m, Context&) {
    if (m.text.empty()) throw std::runtime_error("paper jam");
  }
};

class Desk : public GenServer<Desk, Print> {
 public:
  Status handle(const Print& m, Context& ctx) {
    PLX_TRY(printer, ctx.runtime().find<Printer>("printer"));
    return printer.tell(m);
  }
};

// docs-snippet: tree
SupervisorSpec bank() {
  // The desks talk to the printer: when it is another one, they begin anew too. The ledger does not care.
  auto counter = supervisor("counter", rest_for_one, {.intensity = 5, .period = 10s})
                     .child<Printer>("printer", permanent, {.name = "printer"})
                     .child<Desk>("desk 1", permanent, {.name = "desk 1"})
                     .child<Desk>("desk 2", permanent, {.name = "desk 2"});
  return supervisor("bank", one_for_one, {.intensity = 3, .period = 1min})
      .child<Ledger>("ledger", permanent, {.shutdown = 30s, .name = "ledger"})
      .child(std::move(counter));
}
// docs-snippet-end

class BankGuide : public testing::Test {
 protected:
  template <class A>
  ActorRef<A> find(const std::string& name) {
    EXPECT_TRUE(world_.run_until_idle());
    return world_.runtime().find<A>(name).value();
  }

  TestRuntime world_;
  ActorRef<Supervisor> bank_ = world_.spawn<Supervisor>("bank", bank()).value();
};

TEST_F(BankGuide, AnErrorIsForTheCallerAndACrashForTheSupervisor) {
  auto ledger = find<Ledger>("ledger");
  EXPECT_EQ(world_.ask(ledger, Deposit{"ada", -1}, 1s).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(world_.ask(ledger, Deposit{"ada", 5}, 1s).value(), 5);
  EXPECT_EQ(find<Ledger>("ledger"), ledger);

  auto crashed = world_.ask(ledger, Deposit{"chaos", 1}, 1s);
  EXPECT_EQ(crashed.error().code(), Code::kInternal);
  EXPECT_NE(find<Ledger>("ledger"), ledger);
  EXPECT_EQ(world_.ask(ledger, Deposit{"ada", 5}, 1s).error().code(), Code::kNotFound);
  EXPECT_EQ(world_.ask(find<Ledger>("ledger"), Deposit{"ada", 7}, 1s).value(), 7);  // it has forgotten
}

TEST_F(BankGuide, TheRestBeginsAnewAndOthersGoOn) {
  auto ledger = find<Ledger>("ledger");
  auto printer = find<Printer>("printer");
  auto desk = find<Desk>("desk 1");
  ASSERT_TRUE(desk.tell(Print{""}));
  EXPECT_NE(find<Printer>("printer"), printer);
  EXPECT_NE(find<Desk>("desk 1"), desk);
  EXPECT_EQ(find<Ledger>("ledger"), ledger);

  desk = find<Desk>("desk 1");
  printer = find<Printer>("printer");
  world_.runtime().kill(desk.id());
  EXPECT_NE(find<Desk>("desk 1"), desk);
  EXPECT_EQ(find<Printer>("printer"), printer);
}

TEST_F(BankGuide, WhatCannotBeMendedBelowIsMendedAbove) {
  auto ledger = find<Ledger>("ledger");
  std::size_t before = world_.runtime().stats().crashes;
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(find<Printer>("printer").tell(Print{""}));  // one too many for the counter
  auto desk = find<Desk>("desk 2");
  EXPECT_EQ(world_.runtime().stats().crashes, before + 6);
  EXPECT_TRUE(desk);  // of a new counter, which the bank has started
  EXPECT_EQ(find<Ledger>("ledger"), ledger);
  auto children = world_.ask(bank_, WhichChildren{}, 1s).value();
  ASSERT_EQ(children.size(), 2u);
  EXPECT_EQ(children[1].id, "counter");
  EXPECT_EQ(children[1].restarts, 1u);
}

}  // namespace
