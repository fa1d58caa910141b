#include "plexspaces/behavior/gen_event.hpp"

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "plexspaces/behavior/behavior_fixture.hpp"
#include "plexspaces/behavior/gen_server.hpp"

namespace plexspaces {
namespace {

struct Raised {
  std::string what;
};
struct Cleared {
  std::string what;
};
struct CountOpen {
  using Reply = std::int64_t;
};
struct Divide {
  using Reply = std::int64_t;
  std::int64_t by = 1;
};
PLX_MESSAGE(Raised, (1, what));
PLX_MESSAGE(Cleared, (1, what));
PLX_MESSAGE(CountOpen);
PLX_MESSAGE(Divide, (1, by));

using Alarms = GenEvent<Raised, Cleared, CountOpen, Divide>;
using Notes = std::vector<std::string>;

// Counts; hands its count over.
class Counter : public Alarms::Handler<Counter> {
 public:
  explicit Counter(std::int64_t open = 0) : open_(open) {}
  void handle(const Raised&, Context&) { ++open_; }
  void handle(const Cleared&, Context&) { --open_; }
  std::int64_t handle(const CountOpen&, Context&) const { return open_; }
  Result<std::int64_t> handle(const Divide& m, Context&) {
    if (m.by == 0) return fail(Code::kInvalidArgument, "not by zero");
    if (m.by < 0) throw std::domain_error("negative");
    return open_ / m.by;
  }
  std::int64_t hand_over(Context&) { return open_; }

 private:
  std::int64_t open_;
};

// Notes what it gets, in a list of the test.
class Noter : public Alarms::Handler<Noter> {
 public:
  Noter(Notes* notes, std::string name) : notes_(notes), name_(std::move(name)) {}
  void on_remove(const ExitReason& reason, Context&) {
    notes_->push_back(name_ + " goes: " + std::string(exit_kind_name(reason.kind)) + " " + reason.text);
  }
  Stay handle(const Raised& m, Context&) {
    notes_->push_back(name_ + " " + m.what);
    if (m.what == "throw at " + name_) throw std::runtime_error("as told");
    if (m.what == "odd at " + name_) throw 1;
    return m.what == "go " + name_ ? Stay::kNo : Stay::kYes;
  }

 private:
  Notes* notes_;
  std::string name_;
};

// Takes a count over, one that cannot be copied.
class Tally : public Alarms::Handler<Tally> {
 public:
  explicit Tally(std::unique_ptr<std::int64_t> count, std::int64_t more = 0) : count_(std::move(count)) {
    *count_ += more;
  }
  Tally(std::int64_t count, std::int64_t more) : Tally(std::make_unique<std::int64_t>(count), more) {}
  std::int64_t handle(const CountOpen&, Context&) const { return *count_; }
  std::unique_ptr<std::int64_t> hand_over(Context&) { return std::move(count_); }

 private:
  std::unique_ptr<std::int64_t> count_;
};

class Refusing : public Alarms::Handler<Refusing> {
 public:
  explicit Refusing(std::string how) : how_(std::move(how)) {
    if (how_ == "constructor") throw std::runtime_error("no");
  }
  explicit Refusing(std::int64_t, std::string how) : Refusing(std::move(how)) {}
  Status on_add(Context&) { return fail(Code::kUnavailable, "not now"); }
  void handle(const Raised&, Context&) {}

 private:
  std::string how_;
};

struct AddFor {
  using Reply = std::string;
  std::string id;
};
struct Quit {};
struct GetRemoved {
  using Reply = HandlerRemoved;
};
PLX_MESSAGE(AddFor, (1, id));
PLX_MESSAGE(Quit);
PLX_MESSAGE(GetRemoved);

// Adds handlers that are linked to it.
class Owner : public GenServer<Owner, AddFor, Quit, GetRemoved, HandlerRemoved> {
 public:
  Owner(ActorRef<Alarms> alarms, Notes* notes) : alarms_(alarms), notes_(notes) {}
  Task<Result<std::string>> handle(const AddFor& m, Context& ctx) {
    auto order = Alarms::add_linked<Noter>(ctx.self<Owner>(), m.id, notes_, m.id);
    auto added = co_await ctx.ask(alarms_, std::move(order), 1s);
    if (!added) co_return std::unexpected(added.error());
    co_return m.id;
  }
  void handle(const Quit&, Context& ctx) { ctx.exit(ExitReason::error("quit")); }
  void handle(const HandlerRemoved& m, Context&) { removed_ = m; }
  HandlerRemoved handle(const GetRemoved&, Context&) { return removed_; }

 private:
  ActorRef<Alarms> alarms_;
  Notes* notes_;
  HandlerRemoved removed_;
};

class GenEventTest : public BehaviorTest {
 protected:
  GenEventTest() { alarms_ = *runtime_.spawn<Alarms>("alarms", GenEventOptions{.handlers_max = 4}); }
  std::vector<std::string> ids() { return ask(alarms_, ListHandlers{})->ids; }
  Status add_noter(const std::string& id) { return ask(alarms_, Alarms::add<Noter>(id, &notes_, id)); }

  ActorRef<Alarms> alarms_;
  Notes notes_;
};

TEST_F(GenEventTest, EventsGoToEveryHandlerInTheOrderInWhichTheyWereAdded) {
  EXPECT_TRUE(add_noter("a"));
  EXPECT_TRUE(ask(alarms_, Alarms::add<Counter>("count", 10)));
  EXPECT_TRUE(add_noter("b"));
  EXPECT_EQ(ids(), (std::vector<std::string>{"a", "count", "b"}));
  EXPECT_TRUE(alarms_.tell(Raised{"x"}));
  EXPECT_TRUE(ask(alarms_, Raised{"y"}));
  EXPECT_EQ(notes_, (Notes{"a x", "b x", "a y", "b y"}));
  EXPECT_TRUE(ask(alarms_, Cleared{"x"}));
  EXPECT_EQ(ask(alarms_, Alarms::call("count", CountOpen{})), 11);
  EXPECT_EQ(ask(alarms_, Alarms::call("count", Divide{2})), 5);
}

TEST_F(GenEventTest, AnAskIsAnsweredWhenEveryHandlerHasHandledTheEvent) {
  EXPECT_TRUE(add_noter("a"));
  std::optional<Status> answer;
  start_ask(alarms_, Raised{"x"}, answer);
  EXPECT_TRUE(executor_.run_until([&] { return answer.has_value(); }, 10'000));
  EXPECT_EQ(notes_, (Notes{"a x"}));
}

TEST_F(GenEventTest, AHandlerThatThrowsIsRemovedAndTheOthersGoOn) {
  for (const char* id : {"a", "b", "c", "d"}) EXPECT_TRUE(add_noter(id));
  EXPECT_TRUE(ask(alarms_, Raised{"throw at b"}));
  EXPECT_EQ(ids(), (std::vector<std::string>{"a", "c", "d"}));
  EXPECT_EQ(notes_, (Notes{"a throw at b", "b throw at b", "b goes: error as told", "c throw at b", "d throw at b"}));
  ASSERT_EQ(log_.size(), 1u);
  EXPECT_NE(log_[0].find("event handler b"), std::string::npos) << log_[0];
  EXPECT_NE(log_[0].find("handling Raised: as told"), std::string::npos) << log_[0];
  EXPECT_TRUE(ask(alarms_, Raised{"odd at d"}));
  EXPECT_EQ(ids(), (std::vector<std::string>{"a", "c"}));
  EXPECT_EQ(log_.size(), 2u);
  EXPECT_EQ(runtime_.stats().crashes, 0u);
}

TEST_F(GenEventTest, AHandlerThatThrowsInACallIsRemovedAndTheCallerLearnsIt) {
  EXPECT_TRUE(ask(alarms_, Alarms::add<Counter>("count")));
  auto refused = ask(alarms_, Alarms::call("count", Divide{0}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kInvalidArgument);
  auto thrown = ask(alarms_, Alarms::call("count", Divide{-1}));
  ASSERT_FALSE(thrown);
  EXPECT_EQ(thrown.error().code(), Code::kInternal);
  EXPECT_EQ(domain(thrown), "PLX-BEH-0017");
  EXPECT_TRUE(ids().empty());
}

// Throws also when it is removed.
class Sore : public Alarms::Handler<Sore> {
 public:
  Stay handle(const Raised&, Context&) { return Stay::kNo; }
  void on_remove(const ExitReason&, Context&) { throw std::runtime_error("not me"); }
};

TEST_F(GenEventTest, WhatAHandlerThrowsWhenItGoesIsLogged) {
  EXPECT_TRUE(ask(alarms_, Alarms::add<Sore>("sore")));
  EXPECT_TRUE(add_noter("a"));
  EXPECT_TRUE(ask(alarms_, Raised{"x"}));
  EXPECT_EQ(ids(), (std::vector<std::string>{"a"}));
  EXPECT_EQ(notes_, (Notes{"a x"}));
  ASSERT_EQ(log_.size(), 1u);
  EXPECT_NE(log_[0].find("on_remove(): not me"), std::string::npos) << log_[0];
}

TEST_F(GenEventTest, AHandlerGoesWhenItIsRemovedOrSaysSo) {
  EXPECT_TRUE(add_noter("a"));
  EXPECT_TRUE(add_noter("b"));
  EXPECT_TRUE(ask(alarms_, Raised{"go a"}));
  EXPECT_TRUE(ask(alarms_, RemoveHandler{"b"}));
  EXPECT_TRUE(ids().empty());
  EXPECT_EQ(notes_, (Notes{"a go a", "a goes: normal ", "b go a", "b goes: normal "}));
}

TEST_F(GenEventTest, ASwapHandsTheStateOverAndKeepsThePlace) {
  EXPECT_TRUE(ask(alarms_, Alarms::add<Counter>("count", 40)));
  EXPECT_TRUE(add_noter("last"));
  EXPECT_TRUE((ask(alarms_, Alarms::swap<Counter, Tally>("count", "tally", std::int64_t{2}))));
  EXPECT_EQ(ids(), (std::vector<std::string>{"tally", "last"}));
  EXPECT_EQ(ask(alarms_, Alarms::call("tally", CountOpen{})), 42);
  // What cannot be copied is moved; under the same id.
  EXPECT_TRUE((ask(alarms_, Alarms::swap<Tally, Tally>("tally", "tally"))));
  EXPECT_EQ(ask(alarms_, Alarms::call("tally", CountOpen{})), 42);
  // A class that hands nothing over.
  EXPECT_TRUE((ask(alarms_, Alarms::swap<Noter, Counter>("last", "count", std::int64_t{7}))));
  EXPECT_EQ(ask(alarms_, Alarms::call("count", CountOpen{})), 7);
  EXPECT_TRUE(notes_.empty());
}

TEST_F(GenEventTest, BadOrdersAreTypedErrorsAndChangeNothing) {
  EXPECT_TRUE(ask(alarms_, Alarms::add<Counter>("count")));
  EXPECT_TRUE(add_noter("noter"));
  EXPECT_EQ(domain(add_noter("noter")), "PLX-BEH-0012");
  EXPECT_EQ(domain(add_noter("")), "PLX-BEH-0010");
  EXPECT_EQ(domain(add_noter(std::string(kHandlerIdBytesMax + 1, 'x'))), "PLX-BEH-0010");
  EXPECT_EQ(domain(ask(alarms_, detail::AddHandler{.id = "from JSON", .make = {}, .owner = {}})), "PLX-BEH-0010");
  EXPECT_EQ(domain(ask(alarms_, detail::SwapHandler{.old_id = "noter", .id = "x", .make = {}})), "PLX-BEH-0010");
  EXPECT_EQ(domain(ask(alarms_, RemoveHandler{"nobody"})), "PLX-BEH-0011");
  EXPECT_EQ(domain(ask(alarms_, Alarms::call("nobody", CountOpen{}))), "PLX-BEH-0011");
  EXPECT_EQ(domain(ask(alarms_, Alarms::call("noter", CountOpen{}))), "PLX-BEH-0016");
  EXPECT_EQ(domain(ask(alarms_, Alarms::swap<Counter, Counter>("nobody", "x"))), "PLX-BEH-0011");
  EXPECT_EQ(domain(ask(alarms_, Alarms::swap<Counter, Counter>("noter", "x"))), "PLX-BEH-0014");
  EXPECT_EQ(domain(ask(alarms_, Alarms::swap<Counter, Counter>("count", "noter"))), "PLX-BEH-0012");
  EXPECT_EQ(domain(ask(alarms_, Alarms::add<Refusing>("r", std::string("constructor")))), "PLX-BEH-0015");
  auto not_now = ask(alarms_, Alarms::add<Refusing>("r", std::string("on_add")));
  ASSERT_FALSE(not_now);
  EXPECT_EQ(not_now.error().code(), Code::kUnavailable);
  EXPECT_EQ(ids(), (std::vector<std::string>{"count", "noter"}));
}

TEST_F(GenEventTest, HandlersMaxIsAnErrorAndASwapFitsInto) {
  for (const char* id : {"a", "b", "c", "d"}) EXPECT_TRUE(add_noter(id));
  auto full = add_noter("e");
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code(), Code::kResourceExhausted);
  EXPECT_EQ(domain(full), "PLX-BEH-0013");
  EXPECT_TRUE((ask(alarms_, Alarms::swap<Noter, Counter>("d", "e"))));
}

TEST_F(GenEventTest, ASwapThatFailsRemovesBoth) {
  EXPECT_TRUE(ask(alarms_, Alarms::add<Counter>("count")));
  EXPECT_EQ(domain(ask(alarms_, Alarms::swap<Counter, Refusing>("count", "r", std::string("constructor")))),
            "PLX-BEH-0015");
  EXPECT_TRUE(ids().empty());
}

TEST_F(GenEventTest, AnOwnerIsToldWhenItsHandlerGoesAndWhy) {
  auto owner = *runtime_.spawn<Owner>("", alarms_, &notes_);
  EXPECT_EQ(ask(owner, AddFor{"a"}), "a");
  EXPECT_EQ(domain(ask(owner, AddFor{"a"})), "PLX-BEH-0012");
  EXPECT_TRUE(ask(alarms_, Raised{"throw at a"}));
  auto removed = ask(owner, GetRemoved{});
  EXPECT_EQ(removed->id, "a");
  EXPECT_EQ(removed->reason, ExitReason::error("as told"));

  EXPECT_EQ(ask(owner, AddFor{"b"}), "b");
  EXPECT_TRUE((ask(alarms_, Alarms::swap<Noter, Counter>("b", "c"))));
  removed = ask(owner, GetRemoved{});
  EXPECT_EQ(removed->id, "b");
  EXPECT_EQ(removed->successor, "c");
  EXPECT_TRUE(ask(alarms_, RemoveHandler{"c"}));  // linked as its predecessor
  removed = ask(owner, GetRemoved{});
  EXPECT_EQ(removed->id, "c");
  EXPECT_EQ(removed->reason, ExitReason::normal());

  EXPECT_EQ(ask(owner, AddFor{"d"}), "d");
  runtime_.stop(alarms_.id());
  settle();
  removed = ask(owner, GetRemoved{});
  EXPECT_EQ(removed->id, "d");
  EXPECT_EQ(removed->reason, ExitReason::shutdown());
}

TEST_F(GenEventTest, TheHandlersOfAnOwnerThatEndsGo) {
  auto owner = *runtime_.spawn<Owner>("", alarms_, &notes_);
  EXPECT_TRUE(add_noter("stays"));
  EXPECT_EQ(ask(owner, AddFor{"a"}), "a");
  EXPECT_EQ(ask(owner, AddFor{"b"}), "b");
  EXPECT_TRUE(owner.tell(Quit{}));
  settle();
  EXPECT_EQ(ids(), (std::vector<std::string>{"stays"}));
  EXPECT_EQ(notes_, (Notes{"a goes: error quit", "b goes: error quit"}));
}

class FewMonitorsTest : public BehaviorTest {
 protected:
  FewMonitorsTest() : BehaviorTest({.monitors_max = 1}) {}
};

TEST_F(FewMonitorsTest, AManagerWatchesAnOwnerOnlyWhileItsHandlerIsThere) {
  auto alarms = *runtime_.spawn<Alarms>("alarms", GenEventOptions{.handlers_max = 4});
  Notes notes;
  auto owner = *runtime_.spawn<Owner>("", alarms, &notes);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ask(owner, AddFor{"a"}), "a") << "the monitor of the one before is still there";
    EXPECT_TRUE(ask(alarms, RemoveHandler{"a"}));
  }
}

TEST_F(GenEventTest, AManagerThatEndsTakesItsHandlersWithIt) {
  EXPECT_TRUE(add_noter("a"));
  EXPECT_TRUE(add_noter("b"));
  runtime_.stop(alarms_.id());
  settle();
  EXPECT_EQ(notes_, (Notes{"b goes: shutdown ", "a goes: shutdown "}));
}

TEST_F(GenEventTest, TheInterfaceNamesTheCalls) {
  std::vector<std::string_view> names;
  for (const Handler& handler : Alarms::interface()) names.push_back(handler.message->value->name);
  EXPECT_EQ(names, (std::vector<std::string_view>{"Raised", "Cleared", "CallCountOpen", "CallDivide", "RemoveHandler",
                                                  "ListHandlers", "AddHandler", "SwapHandler"}));
  types_.add<Alarms>("alarms");
  EXPECT_TRUE(types_.check());
  EXPECT_FALSE(Alarms::kHandles<CountOpen>);
  EXPECT_FALSE(Alarms::kHandles<Down>);
}

}  // namespace
}  // namespace plexspaces
