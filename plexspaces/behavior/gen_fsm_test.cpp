#include "plexspaces/behavior/gen_fsm.hpp"

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "plexspaces/behavior/behavior_fixture.hpp"
#include "plexspaces/behavior/gen_server.hpp"

namespace plexspaces {
namespace {

using Trace = std::vector<std::string>;

class FsmTest : public BehaviorTest {};

// ---- a door --------------------------------------------------------------------------------------------------------

enum class Door { kLocked, kClosed, kOpen };
PLX_ENUM(Door, (1, kLocked), (2, kClosed), (3, kOpen));

struct Code4 {
  using Reply = bool;
  std::int32_t digits = 0;
};
struct Push {};
struct Pull {};
struct Lock {};
struct GetDoor {
  using Reply = Door;
};
PLX_MESSAGE(Code4, (1, digits));
PLX_MESSAGE(Push);
PLX_MESSAGE(Pull);
PLX_MESSAGE(Lock);
PLX_MESSAGE(GetDoor);

class DoorMachine : public GenFsm<DoorMachine, Door, Code4, Push, Pull, Lock, GetDoor> {
 public:
  explicit DoorMachine(Trace& trace) : GenFsm(Door::kLocked), trace_(trace) {}

  void on_enter(AnyState, Context&) { note("enter"); }
  Enter on_enter(In<Door::kOpen>, Context&) {
    note("enter");
    return Enter().state_timeout(10s);
  }

  Replies<bool> handle(In<Door::kLocked>, const Code4& code, Context&) {
    if (code.digits != 1234) return keep_state().reply(false);
    return next_state(Door::kClosed).reply(true);
  }
  Result<bool> handle(AnyState, const Code4&, Context&) { return fail(Code::kFailedPrecondition, "it is not locked"); }
  Transition handle(In<Door::kClosed>, const Pull&, Context&) { return next_state(Door::kOpen); }
  Transition handle(In<Door::kOpen>, const Push&, Context&) { return next_state(Door::kClosed); }
  Transition handle(In<Door::kOpen>, const StateTimeout&, Context&) {
    trace_.push_back("too long");
    return next_state(Door::kClosed);
  }
  Transition handle(In<Door::kClosed>, const Lock&, Context&) { return next_state(Door::kLocked); }
  Transition handle(AnyState, const AnyEvent& event, Context&) {
    trace_.push_back("ignored " + std::string(event.name()));
    return keep_state();
  }
  Door handle(AnyState, const GetDoor&, Context&) const { return state(); }

 private:
  void note(const char* what) {
    constexpr const char* names[]{"locked", "closed", "open"};
    trace_.push_back(std::string(what) + " " + names[static_cast<int>(state())]);
  }
  Trace& trace_;
};

TEST_F(FsmTest, AMachineGoesFromStateToStateAndEntersEach) {
  Trace trace;
  auto door = *runtime_.spawn<DoorMachine>("", trace);
  settle();
  EXPECT_EQ(trace, (Trace{"enter locked"}));
  EXPECT_EQ(ask(door, Code4{1}), false);
  EXPECT_EQ(ask(door, Code4{1234}), true);
  EXPECT_EQ(ask(door, GetDoor{}), Door::kClosed);
  auto again = ask(door, Code4{1234});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), Code::kFailedPrecondition);
  EXPECT_TRUE(ask(door, Pull{}));
  EXPECT_EQ(ask(door, GetDoor{}), Door::kOpen);
  EXPECT_TRUE(ask(door, Push{}));
  EXPECT_TRUE(ask(door, Lock{}));
  EXPECT_EQ(trace, (Trace{"enter locked", "enter closed", "enter open", "enter closed", "enter locked"}));
}

TEST_F(FsmTest, AStateTimeoutComesInItsTimeAndNotAfterTheStateHasChanged) {
  Trace trace;
  auto door = *runtime_.spawn<DoorMachine>("", trace);
  EXPECT_EQ(ask(door, Code4{1234}), true);
  EXPECT_TRUE(ask(door, Pull{}));
  pass(9s);
  EXPECT_EQ(ask(door, GetDoor{}), Door::kOpen);
  EXPECT_TRUE(ask(door, Push{}));
  EXPECT_TRUE(ask(door, Pull{}));
  pass(9s);  // 18 s after it was opened first
  EXPECT_EQ(ask(door, GetDoor{}), Door::kOpen);
  pass(2s);
  EXPECT_EQ(ask(door, GetDoor{}), Door::kClosed);
  EXPECT_EQ(trace, (Trace{"enter locked", "enter closed", "enter open", "enter closed", "enter open", "too long",
                          "enter closed"}));
}

TEST_F(FsmTest, DefaultHandlersTakeWhatHasNone) {
  Trace trace;
  auto door = *runtime_.spawn<DoorMachine>("", trace);
  EXPECT_TRUE(ask(door, Push{}));
  EXPECT_TRUE(ask(door, Pull{}));
  EXPECT_EQ(trace, (Trace{"enter locked", "ignored Push", "ignored Pull"}));
}

// ---- everything else that a machine can do -------------------------------------------------------------------------

// A loan: its states are structs with data.
struct Free {};
struct Lent {
  std::string to;
};
struct Gone {};
PLX_MESSAGE(Free);
PLX_MESSAGE(Lent, (1, to));
PLX_MESSAGE(Gone);

struct Borrow {
  using Reply = std::string;
  std::string who;
};
struct Return {};
struct Lose {};
struct WhoHas {
  using Reply = std::string;
};
struct Notify {
  using Reply = std::string;
};
struct Sell {
  using Reply = bool;
};
PLX_MESSAGE(Borrow, (1, who));
PLX_MESSAGE(Return);
PLX_MESSAGE(Lose);
PLX_MESSAGE(WhoHas);
PLX_MESSAGE(Notify);
PLX_MESSAGE(Sell);

using Loan = std::variant<Free, Lent, Gone>;

// Who borrows while another has the book waits; who asks for a notice gets it when it comes back.
class Book : public GenFsm<Book, Loan, Borrow, Return, Lose, WhoHas, Notify, Sell> {
 public:
  Book() : GenFsm(Free{}) {}

  void on_enter(Free&, Context&) {
    for (auto& waiter : waiters_) waiter.reply(std::string("free"));
    waiters_.clear();
  }

  Replies<std::string> handle(Free&, const Borrow& m, Context&) {
    return next_state(Lent{m.who}).reply("for " + m.who);
  }
  Replies<std::string> handle(Lent&, const Borrow&, Context&) { return postpone(); }
  Transition handle(Lent& lent, const Return&, Context&) {
    EXPECT_FALSE(lent.to.empty());
    return next_state(Free{});
  }
  Transition handle(AnyState, const Lose&, Context&) { return next_state(Gone{}); }
  Replies<std::string> handle(Lent&, const Notify&, Context& ctx) {
    waiters_.push_back(ctx.defer<Notify>());
    return keep_state().reply_later();
  }
  std::string handle(const Lent& lent, const WhoHas&, Context&) const { return lent.to; }
  Result<std::string> handle(const Free&, const WhoHas&, Context&) const { return fail(Code::kNotFound, "it is here"); }
  Replies<bool> handle(Free&, const Sell&, Context&) { return stop().reply(true); }

  Transition handle(Gone&, const AnyEvent&, Context&) { return unhandled(); }
  Transition handle(AnyState, const AnyEvent&, Context&) { return keep_state(); }

 private:
  std::vector<ReplyTo<Notify>> waiters_;
};

// An answer cannot be forgotten, nor be of another type.
using BookReplies = Book::Replies<std::string>;
static_assert(!std::is_convertible_v<Book::Transition, BookReplies>);
static_assert(!std::is_convertible_v<Book::Replying<std::vector<int>>, BookReplies>);
static_assert(std::is_convertible_v<Book::Replying<const char*>, BookReplies>);
static_assert(std::is_convertible_v<Book::Replying<std::unexpected<Error>>, BookReplies>);
static_assert(std::is_convertible_v<Book::Unanswering, BookReplies>);

TEST_F(FsmTest, StatesAreStructsWithTheirData) {
  auto book = *runtime_.spawn<Book>("");
  EXPECT_EQ(ask(book, WhoHas{}).error().code(), Code::kNotFound);
  EXPECT_EQ(ask(book, Borrow{"Ann"}), "for Ann");
  EXPECT_EQ(ask(book, WhoHas{}), "Ann");
  EXPECT_TRUE(ask(book, Return{}));
  EXPECT_EQ(ask(book, Borrow{"Bob"}), "for Bob");
  EXPECT_EQ(ask(book, WhoHas{}), "Bob");
}

TEST_F(FsmTest, WhoAsksAPostponedEventWaitsUntilItIsHandled) {
  auto book = *runtime_.spawn<Book>("");
  std::optional<Result<std::string>> first, second;
  EXPECT_EQ(ask(book, Borrow{"Ann"}), "for Ann");
  start_ask(book, Borrow{"Bob"}, first);
  start_ask(book, Borrow{"Cid"}, second);
  pass(1h);
  EXPECT_FALSE(first);
  EXPECT_TRUE(ask(book, Return{}));
  ASSERT_TRUE(first);
  EXPECT_EQ(*first, "for Bob");
  EXPECT_FALSE(second);
  EXPECT_TRUE(ask(book, Return{}));
  ASSERT_TRUE(second);
  EXPECT_EQ(*second, "for Cid");
}

TEST_F(FsmTest, AnAnswerMayComeInAnotherState) {
  auto book = *runtime_.spawn<Book>("");
  std::optional<Result<std::string>> notice;
  EXPECT_EQ(ask(book, Borrow{"Ann"}), "for Ann");
  start_ask(book, Notify{}, notice);
  settle();
  EXPECT_FALSE(notice);
  EXPECT_TRUE(ask(book, Return{}));
  ASSERT_TRUE(notice);
  EXPECT_EQ(*notice, "free");
}

TEST_F(FsmTest, WhatADefaultHandlerTakesIsNotAnswered) {
  auto book = *runtime_.spawn<Book>("");
  auto nothing = ask(book, Notify{});
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(domain(nothing), "PLX-BEH-0001");
  EXPECT_NE(nothing.error().message().find("Free"), std::string::npos) << nothing.error().message();
  EXPECT_TRUE(ask(book, Return{}));  // has no answer but that it was handled
  EXPECT_EQ(runtime_.stats().dead(DeadLetterReason::kUnhandled), 0u);
}

TEST_F(FsmTest, WhatIsUnhandledIsUnimplementedAndADeadLetter) {
  auto book = *runtime_.spawn<Book>("");
  EXPECT_TRUE(ask(book, Lose{}));
  auto nothing = ask(book, Sell{});
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().code(), Code::kUnimplemented);
  EXPECT_TRUE(nothing.error().message().starts_with("the actor does not handle Sell in its state Gone; it handles "))
      << nothing.error().message();
  EXPECT_EQ(ask(book, Return{}).error().code(), Code::kUnimplemented);
  EXPECT_EQ(runtime_.stats().dead(DeadLetterReason::kUnhandled), 2u);
}

TEST_F(FsmTest, AMachineThatStopsAnswersFirstAndLeavesWhatItPostponed) {
  auto book = *runtime_.spawn<Book>("");
  std::optional<Result<std::string>> postponed;
  EXPECT_EQ(ask(book, Borrow{"Ann"}), "for Ann");
  start_ask(book, Borrow{"Bob"}, postponed);
  settle();
  runtime_.stop(book.id());
  settle();
  ASSERT_TRUE(postponed);
  EXPECT_EQ(postponed->error().code(), Code::kNotFound);
  EXPECT_EQ(runtime_.stats().dead(DeadLetterReason::kStopped), 1u);

  book = *runtime_.spawn<Book>("");
  EXPECT_EQ(ask(book, Sell{}), true);
  EXPECT_EQ(ask(book, Return{}).error().code(), Code::kNotFound);
}

class SmallStashTest : public BehaviorTest {
 protected:
  SmallStashTest() : BehaviorTest({.stash_max = 2}) {}
};

TEST_F(SmallStashTest, BeyondTheStashAPostponedEventIsRefused) {
  auto book = *runtime_.spawn<Book>("");
  EXPECT_EQ(ask(book, Borrow{"Ann"}), "for Ann");
  std::optional<Result<std::string>> kept[2];
  start_ask(book, Borrow{"Bob"}, kept[0]);
  start_ask(book, Borrow{"Cid"}, kept[1]);
  auto refused = ask(book, Borrow{"Dan"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kResourceExhausted);
  EXPECT_FALSE(kept[0] || kept[1]);
  EXPECT_EQ(ask(book, WhoHas{}), "Ann");
  EXPECT_TRUE(ask(book, Return{}));
  ASSERT_TRUE(kept[0]);
  EXPECT_EQ(*kept[0], "for Bob");
  runtime_.stop(book.id());
  settle();
}

// ---- what ends a machine, and handlers that wait -------------------------------------------------------------------

enum class Mode { kIdle, kBusy };
PLX_ENUM(Mode, (1, kIdle), (2, kBusy));

struct Do {
  using Reply = std::string;
  std::string what;
};
struct Cast {
  std::string what;
};
PLX_MESSAGE(Do, (1, what));
PLX_MESSAGE(Cast, (1, what));

class Slow : public GenServer<Slow, Do> {
 public:
  Task<Result<std::string>> handle(const Do& m, Context& ctx) {
    co_await ctx.sleep(1s);
    co_return "slow " + m.what;
  }
};

class Worker : public GenFsm<Worker, Mode, Do, Cast> {
 public:
  Worker(Trace& trace, ActorRef<Slow> slow) : GenFsm(Mode::kIdle), trace_(trace), slow_(slow) {}

  Status on_start(Context& ctx) override {
    trace_.push_back("start");
    return GenFsm::on_start(ctx);
  }
  Enter on_enter(AnyState, Context&) {
    trace_.push_back(state() == Mode::kIdle ? "idle" : "busy");
    if (throws_) throw std::runtime_error("entered in vain");
    return {};
  }

  Task<Replies<std::string>> handle(In<Mode::kIdle>, const Do& m, Context& ctx) {
    auto answer = co_await ctx.ask(slow_, Do{m.what}, 10s);
    if (m.what == "wait for busy") co_return postpone();
    if (m.what == "now busy") co_return next_state(Mode::kBusy).postpone();
    if (m.what == "throw") throw std::runtime_error("as told");
    if (!answer) co_return keep_state().reply(std::unexpected(answer.error()));
    co_return next_state(Mode::kBusy).reply(*answer).state_timeout(5s);
  }
  Result<Replies<std::string>> handle(In<Mode::kBusy>, const Do& m, Context&) {
    if (m.what == "error") return fail(Code::kUnavailable, "as told");
    return keep_state().reply("busy " + m.what);
  }
  Transition handle(In<Mode::kBusy>, const StateTimeout&, Context&) { return next_state(Mode::kIdle); }
  Task<Transition> handle(AnyState, const Timeout<"nap">&, Context& ctx) {
    co_await ctx.sleep(1s);
    trace_.push_back("napped");
    co_return keep_state();
  }
  Result<Transition> handle(AnyState, const Cast& m, Context&) {
    if (m.what == "error") return fail(Code::kAborted, "as told");
    if (m.what == "throw") throw 7;
    if (m.what == "busy") return next_state(Mode::kBusy);
    if (m.what == "no handler") return next_state(Mode::kIdle).state_timeout(1s);
    if (m.what == "nap") return keep_state().timeout<"nap">(1s);
    if (m.what == "no state") return next_state(static_cast<Mode>(7));
    if (m.what == "exit") return stop(ExitReason::error("enough"));
    if (m.what == "too long") return keep_state().timeout<"nap">(kTimerMax + 1h);
    if (m.what == "entry") {
      throws_ = true;
      return repeat_state();
    }
    return keep_state();
  }

 private:
  Trace& trace_;
  ActorRef<Slow> slow_;
  bool throws_ = false;
};

class WorkerTest : public BehaviorTest {
 protected:
  WorkerTest() {
    slow_ = *runtime_.spawn<Slow>("");
    worker_ = *runtime_.spawn<Worker>("", trace_, slow_);
    settle();
  }
  bool alive() { return runtime_.stats().actors == 2; }

  Trace trace_;
  ActorRef<Slow> slow_;
  ActorRef<Worker> worker_;
};

TEST_F(WorkerTest, TheFirstTurnOfAClassComesBeforeTheEntry) { EXPECT_EQ(trace_, (Trace{"start", "idle"})); }

TEST_F(WorkerTest, WhileAHandlerWaitsNoOtherEventIsHandled) {
  std::optional<Result<std::string>> first, second;
  start_ask(worker_, Do{"a"}, first);
  start_ask(worker_, Do{"b"}, second);
  settle();
  EXPECT_FALSE(first || second);
  pass(1s);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*first, "slow a");
  EXPECT_EQ(*second, "busy b");
  EXPECT_EQ(trace_, (Trace{"start", "idle", "busy"}));
  pass(6s);
  EXPECT_EQ(trace_, (Trace{"start", "idle", "busy", "idle"}));
}

TEST_F(WorkerTest, AHandlerThatHasWaitedMayPostpone) {
  std::optional<Result<std::string>> first, second;
  start_ask(worker_, Do{"wait for busy"}, first);
  pass(2s);
  EXPECT_FALSE(first);
  start_ask(worker_, Do{"now busy"}, second);
  pass(2s);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*first, "busy wait for busy");
  EXPECT_EQ(*second, "busy now busy");
}

TEST_F(WorkerTest, ATimeoutMayWaitToo) {
  EXPECT_TRUE(ask(worker_, Cast{"nap"}));
  pass(3s);
  EXPECT_EQ(trace_, (Trace{"start", "idle", "napped"}));
}

TEST_F(WorkerTest, AReturnedErrorGoesToTheAskerAndTheStateIsKept) {
  EXPECT_EQ(ask(worker_, Cast{"error"}).error().code(), Code::kAborted);
  EXPECT_TRUE(ask(worker_, Cast{"busy"}));
  EXPECT_EQ(ask(worker_, Do{"error"}).error().code(), Code::kUnavailable);
  EXPECT_EQ(ask(worker_, Do{"x"}), "busy x");
}

TEST_F(WorkerTest, WhatAHandlerThrowsEndsTheMachine) {
  EXPECT_EQ(ask(worker_, Cast{"throw"}).error().code(), Code::kInternal);
  EXPECT_FALSE(alive());
}

TEST_F(WorkerTest, WhatAHandlerThrowsAfterAWaitEndsTheMachine) {
  std::optional<Result<std::string>> answer;
  start_ask(worker_, Do{"throw"}, answer);
  pass(2s);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->error().code(), Code::kInternal);
  EXPECT_FALSE(alive());
}

TEST_F(WorkerTest, WhatAnEntryThrowsEndsTheMachine) {
  EXPECT_TRUE(ask(worker_, Cast{"entry"}));  // the event itself had been handled
  EXPECT_FALSE(alive());
  ASSERT_EQ(log_.size(), 1u);
  EXPECT_NE(log_[0].find("entered in vain"), std::string::npos) << log_[0];
}

TEST_F(WorkerTest, ATimeoutWithoutHandlerInTheStateEndsTheMachineWhenItIsSet) {
  EXPECT_TRUE(ask(worker_, Cast{"no handler"}));
  EXPECT_FALSE(alive());
  ASSERT_EQ(log_.size(), 1u);
  EXPECT_NE(log_[0].find("PLX-BEH-0002"), std::string::npos) << log_[0];
}

TEST_F(WorkerTest, ANumberThatIsNoStateEndsTheMachine) {
  EXPECT_TRUE(ask(worker_, Cast{"no state"}));
  EXPECT_FALSE(alive());
  ASSERT_EQ(log_.size(), 1u);
  EXPECT_NE(log_[0].find("PLX-BEH-0004"), std::string::npos) << log_[0];
}

TEST_F(WorkerTest, ATimeoutTooFarAheadEndsTheMachine) {
  EXPECT_TRUE(ask(worker_, Cast{"too long"}));
  EXPECT_FALSE(alive());
  ASSERT_EQ(log_.size(), 1u);
  EXPECT_NE(log_[0].find("100 years"), std::string::npos) << log_[0];
}

TEST_F(WorkerTest, AMachineStopsWithAReason) {
  EXPECT_TRUE(ask(worker_, Cast{"exit"}));
  EXPECT_FALSE(alive());
  EXPECT_TRUE(log_.empty());
}

class Forgetful : public GenFsm<Forgetful, Mode, Cast> {
 public:
  Forgetful() : GenFsm(Mode::kIdle) {}
  Status on_start(Context&) override { return {}; }
  void handle(AnyState, const Cast&, Context&) {}
};

TEST_F(FsmTest, AnOnStartThatForgetsTheMachineIsFound) {
  auto forgetful = *runtime_.spawn<Forgetful>("");
  EXPECT_EQ(ask(forgetful, Cast{}).error().code(), Code::kInternal);
  ASSERT_EQ(log_.size(), 1u);
  EXPECT_NE(log_[0].find("PLX-BEH-0003"), std::string::npos) << log_[0];
}

TEST_F(FsmTest, TheInterfaceSaysWhatEachHandlerIs) {
  auto handlers = Book::interface();
  ASSERT_EQ(handlers.size(), 6u);
  EXPECT_EQ(handlers[0].message->value->name, "Borrow");
  EXPECT_FALSE(handlers[0].waits);
  EXPECT_TRUE(Worker::interface()[0].waits);
  EXPECT_TRUE(DoorMachine::interface()[4].read);
  EXPECT_FALSE(DoorMachine::interface()[1].read);
  EXPECT_TRUE(Book::kHandles<Borrow>);
  EXPECT_FALSE(Book::kHandles<StateTimeout>);
}

TEST_F(FsmTest, AMachineHasNoFacets) {
  types_.add<Book>("book", {.facets = {{"some", {}}}});
  EXPECT_FALSE(types_.check());
}

}  // namespace
}  // namespace plexspaces
