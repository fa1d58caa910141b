// The first and the last turn of an actor, children, waits for an end, and what an actor sends itself.
#include <algorithm>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/behavior/gen_server.hpp"
#include "plexspaces/sim/executor.hpp"
#include "plexspaces/sim/world.hpp"

namespace plexspaces {
namespace {

struct Perform {
  std::uint64_t step = 0;
};
struct PerformSlowly {
  std::uint64_t step = 0;
};
struct Note {
  std::string text;
};
struct Question {
  using Reply = std::string;
  std::string text;
};
struct Forgotten {
  using Reply = std::string;
};
struct Dropped {
  using Reply = std::string;
};
PLX_MESSAGE(Perform, (1, step));
PLX_MESSAGE(PerformSlowly, (1, step));
PLX_MESSAGE(Note, (1, text));
PLX_MESSAGE(Question, (1, text));
PLX_MESSAGE(Forgotten);
PLX_MESSAGE(Dropped);

struct Stage {
  std::vector<std::function<void(Context&)>> steps;
  std::vector<std::function<Task<>(Context&)>> slow_steps;
  std::vector<std::string> seen;  // what happens, in order
};

struct Life {
  std::function<Status(Context&)> on_start = [](Context&) { return Status(); };
  std::function<Task<>(Context&, const ExitReason&)> on_stop;
};

// Lives as it is told, and notes what happens to it.
class Subject : public GenServer<Subject, Perform, PerformSlowly, Note, Question, Forgotten, Dropped, Exited> {
 public:
  Subject(Stage& stage, std::string name, Life life = {})
      : stage_(stage), name_(std::move(name)), life_(std::move(life)) {}
  ~Subject() override { note("gone"); }

  Status on_start(Context& ctx) override {
    note("start");
    return life_.on_start(ctx);
  }
  Task<> on_stop(Context& ctx, const ExitReason& reason) override {
    note("stop " + std::string(exit_kind_name(reason.kind)));
    if (life_.on_stop) co_await life_.on_stop(ctx, reason);
  }

  void handle(const Perform& m, Context& ctx) { stage_.steps[m.step](ctx); }
  Task<> handle(const PerformSlowly& m, Context& ctx) { co_await stage_.slow_steps[m.step](ctx); }
  void handle(const Note& m, Context&) { note(m.text); }
  NoReply handle(const Question& m, Context& ctx) {
    questions.emplace_back(m.text, ctx.defer<Question>());
    return {};
  }
  NoReply handle(const Forgotten&, Context&) { return {}; }
  NoReply handle(const Dropped&, Context& ctx) {
    ReplyTo<Dropped> dropped = ctx.defer<Dropped>();
    return {};
  }
  void handle(const Exited& m, Context&) { note("exited " + std::string(exit_kind_name(m.reason.kind))); }

  static inline std::vector<std::pair<std::string, ReplyTo<Question>>> questions;

 private:
  void note(const std::string& what) { stage_.seen.push_back(name_ + " " + what); }

  Stage& stage_;
  std::string name_;
  Life life_;
};

class Friend;
struct Meet {
  ActorRef<Friend> first;
  std::vector<ActorRef<Friend>> others;
  std::optional<ActorRef<Friend>> last;
};
struct Hello {
  ActorRef<Friend> from;
};
PLX_MESSAGE(Meet, (1, first), (2, others), (3, last));
PLX_MESSAGE(Hello, (1, from));

// Greets whom it meets, and notes who greets it.
class Friend : public GenServer<Friend, Meet, Hello> {
 public:
  explicit Friend(std::vector<std::pair<ActorId, ActorId>>& greetings) : greetings_(greetings) {}
  void handle(const Meet& m, Context& ctx) {
    for (const auto& other : m.others) other.tell(Hello{ctx.self<Friend>()});
    m.first.tell(Hello{ctx.self<Friend>()});
    if (m.last) m.last->tell(Hello{ctx.self<Friend>()});
  }
  void handle(const Hello& m, Context& ctx) { greetings_.emplace_back(m.from.id(), ctx.self_id()); }

 private:
  std::vector<std::pair<ActorId, ActorId>>& greetings_;
};

class Keeper : public GenServer<Keeper, Meet> {
 public:
  void handle(const Meet&, Context&) {}
};
struct KeeperState {
  std::vector<Hello> hellos;
};
PLX_MESSAGE(KeeperState, (1, hellos));
class StatefulKeeper : public GenServer<StatefulKeeper, Note>, public Stateful<KeeperState> {
 public:
  void handle(const Note&, Context&) {}
};

TEST(LiveReferenceTest, ATypeThatIsAddressedByKeyNeitherHandlesNorStoresOne) {
  Types plain, handles, stores;
  plain.add<Keeper>("keeper");
  EXPECT_TRUE(plain.check());
  handles.add<Keeper>("keeper", {.facets = {{"any", {}}}});
  ASSERT_FALSE(handles.check());
  EXPECT_NE(handles.check().error().message().find("Meet"), std::string::npos);
  stores.add<StatefulKeeper>("keeper", {.facets = {{"any", {}}}});
  ASSERT_FALSE(stores.check());
  EXPECT_NE(stores.check().error().message().find("state"), std::string::npos);
}

class LifecycleTest : public testing::Test {
 protected:
  explicit LifecycleTest(std::uint64_t seed = 1, RuntimeOptions options = {}, std::size_t workers = 2)
      : world_(seed), executor_(world_, {.workers = workers}), runtime_(executor_, types_, std::move(options)) {
    runtime_.set_log([this](const std::string& line) { log_.push_back(line); });
    EXPECT_TRUE(runtime_.start());
  }
  ~LifecycleTest() override { Subject::questions.clear(); }

  ActorRef<Subject> spawn(std::string name, Life life = {}) {
    return *runtime_.spawn<Subject>("", stage_, std::move(name), std::move(life));
  }
  void settle() {
    executor_.run_until([] { return false; }, 20'000);
  }
  void run_for(Duration time) { executor_.run_for(time, 200'000); }
  void perform(ActorRef<Subject> who, std::function<void(Context&)> step) {
    stage_.steps.push_back(std::move(step));
    who.tell(Perform{stage_.steps.size() - 1});
    settle();
  }
  void perform_slowly(ActorRef<Subject> who, std::function<Task<>(Context&)> step) {
    stage_.slow_steps.push_back(std::move(step));
    who.tell(PerformSlowly{stage_.slow_steps.size() - 1});
  }
  std::vector<std::string> take_seen() { return std::exchange(stage_.seen, {}); }
  using Seen = std::vector<std::string>;

  Stage stage_;
  sim::World world_;
  sim::SimExecutor executor_;
  Types types_;
  std::vector<std::string> log_;
  Runtime runtime_;
};

TEST_F(LifecycleTest, AnActorStartsBeforeItsFirstMessageAndStopsAfterItsLast) {
  auto actor = spawn("a");
  actor.tell(Note{"first"});
  settle();
  EXPECT_EQ(take_seen(), (Seen{"a start", "a first"}));
  perform(actor, [](Context& ctx) { ctx.stop(); });
  EXPECT_EQ(take_seen(), (Seen{"a stop normal", "a gone"}));
}

TEST_F(LifecycleTest, OnStartHasRunWhenSpawnReturns) {
  auto parent = spawn("p");
  perform(parent, [this](Context& ctx) {
    auto child = ctx.spawn<Subject>(stage_, "c");
    ASSERT_TRUE(child);
    EXPECT_EQ(stage_.seen.back(), "c start");
  });
}

TEST_F(LifecycleTest, TheFailureOfOnStartIsThatOfSpawnAndNothingRemains) {
  auto parent = spawn("p");
  std::uint64_t alive = runtime_.stats().actors;
  perform(parent, [this](Context& ctx) {
    ASSERT_TRUE(ctx.trap_exits<Subject>(true));
    ActorRef<Subject> grandchild;
    auto fails = [&](Context& own) -> Status {
      grandchild = *own.spawn_linked<Subject>(stage_, "g");
      own.self<Subject>().tell(Note{"never"});
      return fail(Code::kUnavailable, "not today");
    };
    auto refused = ctx.spawn_linked<Subject>(stage_, "c", Life{.on_start = fails});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::kUnavailable);
    auto thrown =
        ctx.spawn<Subject>(stage_, "t", Life{.on_start = [](Context&) -> Status { throw std::runtime_error("no"); }});
    ASSERT_FALSE(thrown);
    EXPECT_EQ(thrown.error().code(), Code::kInternal);
    auto odd = ctx.spawn<Subject>(stage_, "o", Life{.on_start = [](Context&) -> Status { throw 7; }});
    ASSERT_FALSE(odd);
  });
  settle();
  // No exit signal of a child that never was; its own child ends with it.
  EXPECT_EQ(take_seen(), (Seen{"p start", "c start", "g start", "c gone", "t start", "t gone", "o start", "o gone",
                               "g stop error", "g gone"}));
  EXPECT_EQ(runtime_.stats().actors, alive);
  EXPECT_EQ(log_.size(), 2u);
}

TEST_F(LifecycleTest, FromOutsideTheFailureOfOnStartIsLoggedAndEndsTheActor) {
  auto actor = spawn("a", {.on_start = [](Context&) { return fail(Code::kUnavailable, "not today"); }});
  actor.tell(Note{"never"});
  settle();
  EXPECT_EQ(take_seen(), (Seen{"a start", "a gone"}));
  ASSERT_EQ(log_.size(), 1u);
  EXPECT_NE(log_[0].find("not today"), std::string::npos);
  EXPECT_EQ(runtime_.stats().dead(DeadLetterReason::kStopped), 1u);
}

TEST_F(LifecycleTest, OnStopRunsForEveryEndButAKill) {
  auto end = [&](std::function<void(ActorRef<Subject>)> how) {
    auto actor = spawn("a");
    settle();
    take_seen();
    how(actor);
    settle();
    return take_seen();
  };
  EXPECT_EQ(end([&](auto a) { runtime_.stop(a.id()); }), (Seen{"a stop shutdown", "a gone"}));
  EXPECT_EQ(end([&](auto a) { perform(a, [](Context&) { throw std::runtime_error("x"); }); }),
            (Seen{"a stop error", "a gone"}));
  EXPECT_EQ(end([&](auto a) { perform(a, [](Context& ctx) { ctx.exit(ExitReason::error("y")); }); }),
            (Seen{"a stop error", "a gone"}));
  EXPECT_EQ(end([&](auto a) { runtime_.kill(a.id()); }), (Seen{"a gone"}));
}

TEST_F(LifecycleTest, OnStopRunsForTheEndOfOneThatIsLinkedToAKilledOne) {
  for (bool traps : {false, true}) {
    auto parent = spawn("p");
    perform(parent, [&](Context& ctx) {
      auto child = ctx.spawn_linked<Subject>(
          stage_, "c", Life{.on_start = [=](Context& own) { return own.trap_exits<Subject>(traps); }});
      ASSERT_TRUE(child);
    });
    runtime_.kill(parent.id());
    settle();
    EXPECT_EQ(take_seen(), (Seen{"p start", "c start", "p gone", "c stop killed", "c gone"}));
  }
}

TEST_F(LifecycleTest, OnStopMayWaitWhileNothingElseIsHandledAndAKillEndsIt) {
  Life life{.on_stop = [this](Context& ctx, const ExitReason&) -> Task<> {
    co_await ctx.sleep(10s);
    stage_.seen.push_back("slept");
  }};
  auto actor = spawn("a", life);
  settle();
  runtime_.stop(actor.id());
  run_for(1s);
  actor.tell(Note{"late"});
  runtime_.stop(actor.id());  // once is enough
  run_for(20s);
  EXPECT_EQ(take_seen(), (Seen{"a start", "a stop shutdown", "slept", "a gone"}));
  EXPECT_EQ(runtime_.stats().dead(DeadLetterReason::kNoActor) + runtime_.stats().dead(DeadLetterReason::kStopped), 1u);

  auto second = spawn("b", life);
  settle();
  runtime_.stop(second.id());
  run_for(1s);
  runtime_.kill(second.id());
  run_for(1s);
  EXPECT_EQ(take_seen(), (Seen{"b start", "b stop shutdown", "b gone"}));
}

TEST_F(LifecycleTest, AThrowInOnStopIsLoggedAndTheActorEnds) {
  auto actor = spawn("a", {.on_stop = [](Context&, const ExitReason&) -> Task<> {
                       throw std::runtime_error("at the end");
                       co_return;
                     }});
  settle();
  runtime_.stop(actor.id());
  settle();
  EXPECT_EQ(take_seen(), (Seen{"a start", "a stop shutdown", "a gone"}));
  ASSERT_EQ(log_.size(), 1u);
  EXPECT_NE(log_[0].find("on_stop"), std::string::npos) << log_[0];
}

TEST_F(LifecycleTest, AnOpenTurnIsDroppedBeforeTheLastOneAndItsAskerIsTold) {
  auto actor = spawn("a");
  perform_slowly(actor, [](Context& ctx) -> Task<> { co_await ctx.sleep(1000h); });
  run_for(1s);
  auto other = spawn("o");
  run_for(1s);
  runtime_.stop(actor.id());
  run_for(1s);
  EXPECT_EQ(take_seen(), (Seen{"a start", "o start"}));  // a stop waits for the turn
  stage_.steps.push_back([&](Context& ctx) { EXPECT_TRUE(ctx.exit(actor, ExitReason::error("now"))); });
  other.tell(Perform{stage_.steps.size() - 1});
  run_for(1s);
  EXPECT_EQ(take_seen(), (Seen{"a stop error", "a gone"}));  // an exit signal does not
}

TEST_F(LifecycleTest, TheExitOfTheParentEndsAlsoAChildThatTrapsExitsAfterWhatIsQueued) {
  auto parent = spawn("p");
  ActorRef<Subject> child, stranger;
  perform(parent, [&](Context& ctx) {
    child = *ctx.spawn_linked<Subject>(stage_, "c");
    stranger = *ctx.spawn<Subject>(stage_, "s");
    EXPECT_TRUE(ctx.link(stranger));
  });
  for (auto actor : {child, stranger}) perform(actor, [](Context& ctx) { EXPECT_TRUE(ctx.trap_exits<Subject>(true)); });
  take_seen();
  perform(parent, [&](Context& ctx) {
    child.tell(Note{"queued"});
    ctx.exit(ExitReason::error("broken"));
  });
  Seen seen = take_seen(), of_child;
  EXPECT_EQ(std::ranges::count(seen, "s exited error"), 1);
  std::ranges::copy_if(seen, std::back_inserter(of_child), [](const std::string& what) { return what[0] == 'c'; });
  EXPECT_EQ(of_child, (Seen{"c queued", "c stop error", "c gone"}));
}

TEST_F(LifecycleTest, EndedWaitsForTheReasonAndGivesNoprocForNobody) {
  auto actor = spawn("a"), other = spawn("b");
  std::vector<std::string> got;
  perform_slowly(actor, [&, other](Context& ctx) -> Task<> {
    auto early = co_await ctx.ended(other, 1s);
    got.push_back(early ? "?" : std::string(code_name(early.error().code())));
    auto reason = co_await ctx.ended(other, 1000s);
    got.push_back(reason ? std::string(exit_kind_name(reason->kind)) : "?");
    auto again = co_await ctx.ended(other, 1s);
    got.push_back(again ? std::string(exit_kind_name(again->kind)) : "?");
    auto nobody = co_await ctx.ended(ActorRef<Subject>(), 1s);
    got.push_back(nobody ? std::string(exit_kind_name(nobody->kind)) : "?");
    auto self = co_await ctx.ended(ctx.self<Subject>(), 1s);
    got.push_back(self ? "?" : std::string(code_name(self.error().code())));
  });
  run_for(5s);
  runtime_.kill(other.id());
  run_for(5s);
  EXPECT_EQ(got, (Seen{"DEADLINE_EXCEEDED", "killed", "noproc", "noproc", "DEADLINE_EXCEEDED"}));
}

TEST_F(LifecycleTest, ADeferredAnswerReachesItsAskerInALaterTurn) {
  auto actor = spawn("a"), asker = spawn("b");
  std::vector<std::string> got;
  perform_slowly(asker, [&](Context& ctx) -> Task<> {
    auto answer = co_await ctx.ask(actor, Question{"who"}, 100s);
    got.push_back(answer ? *answer : std::string(code_name(answer.error().code())));
    auto refused = co_await ctx.ask(actor, Question{"why"}, 100s);
    got.push_back(refused ? *refused : std::string(code_name(refused.error().code())));
    auto lost = co_await ctx.ask(actor, Dropped{}, 100s);
    got.push_back(lost ? *lost : std::string(code_name(lost.error().code())));
    auto forgotten = co_await ctx.ask(actor, Forgotten{}, 100s);
    got.push_back(forgotten ? *forgotten : std::string(code_name(forgotten.error().code())));
  });
  run_for(1s);
  ASSERT_EQ(Subject::questions.size(), 1u);
  EXPECT_TRUE(got.empty());
  actor.tell(Note{"goes on"});  // it takes other messages meanwhile
  run_for(1s);
  EXPECT_EQ(take_seen().back(), "a goes on");
  stage_.steps.push_back([](Context&) { Subject::questions[0].second.reply("me: " + Subject::questions[0].first); });
  actor.tell(Perform{stage_.steps.size() - 1});
  run_for(1s);
  ASSERT_EQ(Subject::questions.size(), 2u);
  Subject::questions[1].second.reply(fail(Code::kOutOfRange, "too far"));  // from outside every worker
  run_for(1s);
  EXPECT_EQ(got, (Seen{"me: who", "OUT_OF_RANGE", "INTERNAL", "INTERNAL"}));
  // A question that is told has no asker.
  actor.tell(Question{"said"});
  run_for(1s);
  ASSERT_EQ(Subject::questions.size(), 3u);
  EXPECT_FALSE(Subject::questions[2].second);
  Subject::questions[2].second.reply(std::string("nobody"));
}

TEST_F(LifecycleTest, AnAnswerAfterTheAskerHasGivenUpIsADeadLetter) {
  auto actor = spawn("a"), asker = spawn("b");
  perform_slowly(asker, [&](Context& ctx) -> Task<> {
    static_cast<void>(co_await ctx.ask(actor, Question{"who"}, 1s));
    static_cast<void>(co_await ctx.ask(actor, Question{"again"}, 100s));
  });
  run_for(5s);
  ASSERT_EQ(Subject::questions.size(), 2u);
  Subject::questions[0].second.reply(std::string("late"));
  run_for(1s);
  EXPECT_EQ(runtime_.stats().dead(DeadLetterReason::kLateReply), 1u);
}

TEST_F(LifecycleTest, AReferenceTravelsInAMessage) {
  std::vector<std::pair<ActorId, ActorId>> greetings;
  std::vector<ActorRef<Friend>> friends;
  for (int i = 0; i < 5; ++i) friends.push_back(*runtime_.spawn<Friend>("", greetings));
  friends[0].tell(Meet{friends[1], {friends[2], friends[3]}, friends[4]});
  settle();
  ASSERT_EQ(greetings.size(), 4u);
  for (const auto& [from, to] : greetings) EXPECT_EQ(from, friends[0].id());
}

TEST_F(LifecycleTest, WhatAnActorContinuesWithComesBeforeWhatIsQueued) {
  auto actor = spawn("a", {.on_start = [](Context& ctx) { return ctx.continue_with<Subject>(Note{"from start"}); }});
  actor.tell(Note{"queued"});
  settle();
  EXPECT_EQ(take_seen(), (Seen{"a start", "a from start", "a queued"}));
  perform(actor, [](Context& ctx) {
    ctx.self<Subject>().tell(Note{"told"});
    EXPECT_TRUE(ctx.continue_with(Note{"second"}));
    EXPECT_TRUE(ctx.continue_with(Note{"first"}));
    EXPECT_EQ(ctx.continue_with(ExitReason{}).error().code(), Code::kFailedPrecondition);
  });
  EXPECT_EQ(take_seen(), (Seen{"a first", "a second", "a told"}));
}

}  // namespace
}  // namespace plexspaces
