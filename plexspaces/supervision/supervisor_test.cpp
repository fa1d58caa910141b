// The supervisor at work, in simulation (INV-M7).
#include "plexspaces/supervision/supervisor.hpp"

#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plexspaces/supervision/supervision_fixture.hpp"

namespace plexspaces {
namespace {

using supervision_test::Careful;
using supervision_test::EndAs;
using supervision_test::Stage;
using supervision_test::Tracked;
using testing::HasSubstr;

class SupervisorTest : public testing::Test, protected Stage {
 protected:
  // Children a, b and c, of one restart type.
  SupervisorSpec abc(Strategy strategy, RestartType restart = permanent, RestartLimit limit = {}) {
    SupervisorSpec spec = supervisor("top", strategy, limit);
    for (const char* id : {"a", "b", "c"}) track(spec, id, restart);
    return spec;
  }
};

// ---- the matrix: strategy x restart type x reason, with escalation -------------------------------------------------

class MatrixTest : public SupervisorTest,
                   public testing::WithParamInterface<std::tuple<Strategy, RestartType, ExitKind>> {};

TEST_P(MatrixTest, TheEndOfAChildHasTheOutcomeOfOtpsTable_INV_M7) {
  auto [strategy, type, kind] = GetParam();
  auto top = start(abc(strategy, type, {.intensity = 1, .period = 10s}));
  EXPECT_EQ(diary_.take(), "+a +b +c");
  end("b", kind);

  // The table, written out: a permanent child always, a transient one after error and kill, a temporary one never.
  bool abnormal = kind == ExitKind::kError || kind == ExitKind::kKilled;
  bool restarted = type == permanent || (type == transient && abnormal);
  if (!restarted) {
    EXPECT_EQ(diary_.take(), "-b");
    EXPECT_EQ(states(top), type == temporary ? "a c" : "a b:stopped c");
    end("c", kind);
    EXPECT_EQ(diary_.take(), "-c");
    EXPECT_FALSE(ended_->has_value());  // no end counts that is not answered by a restart
    return;
  }
  std::map<Strategy, std::string> table{
      {one_for_one, "-b +b"}, {rest_for_one, "-b -c +b +c"}, {one_for_all, "-b -c -a +a +b +c"}};
  EXPECT_EQ(diary_.take(), table.at(strategy));
  EXPECT_EQ(states(top), "a b c");
  EXPECT_FALSE(ended_->has_value());

  // The second restart within the period is one too many: all that run stop right to left, then the supervisor ends.
  end("b", kind);
  EXPECT_EQ(diary_.take(), "-b -c -a");
  ASSERT_TRUE(ended_->has_value());
  EXPECT_EQ(**ended_, ExitReason::shutdown());
  EXPECT_THAT(log_.back(), HasSubstr("more than 1 restarts"));
}

INSTANTIATE_TEST_SUITE_P(Each, MatrixTest,
                         testing::Combine(testing::Values(one_for_one, one_for_all, rest_for_one),
                                          testing::Values(permanent, transient, temporary),
                                          testing::Values(ExitKind::kNormal, ExitKind::kShutdown, ExitKind::kError,
                                                          ExitKind::kKilled)));

class DynamicMatrixTest : public SupervisorTest,
                          public testing::WithParamInterface<std::tuple<RestartType, ExitKind>> {};

struct Named {
  std::string id;
};
PLX_MESSAGE(Named, (1, id));

class Dynamic : public Tracked {
 public:
  explicit Dynamic(const Named& named) : Tracked(diary, named.id) {}
  static supervision_test::Diary* diary;
};
supervision_test::Diary* Dynamic::diary = nullptr;

TEST_P(DynamicMatrixTest, TheEndOfADynamicChildHasTheOutcomeOfOtpsTable_INV_M7) {
  auto [type, kind] = GetParam();
  Dynamic::diary = &diary_;
  auto pool = start(supervisor("pool", simple_one_for_one, {.intensity = 1, .period = 10s})
                        .template_child<Dynamic, Named>("conn", type));
  for (const char* id : {"a", "b", "c"}) EXPECT_TRUE(ask(pool, StartChild::with(Named{id})));
  EXPECT_EQ(diary_.take(), "+a +b +c");
  end("b", kind);
  bool abnormal = kind == ExitKind::kError || kind == ExitKind::kKilled;
  if (type == permanent || (type == transient && abnormal)) {
    EXPECT_EQ(diary_.take(), "-b +b");  // from the same argument
    EXPECT_EQ(states(pool), "conn conn conn");
    end("b", kind);
    EXPECT_EQ(**ended_, ExitReason::shutdown());
    EXPECT_EQ(diary_.events.size(), 3u);
  } else {
    EXPECT_EQ(diary_.take(), "-b");
    EXPECT_EQ(states(pool), "conn conn");
    EXPECT_FALSE(ended_->has_value());
  }
}

INSTANTIATE_TEST_SUITE_P(Each, DynamicMatrixTest,
                         testing::Combine(testing::Values(permanent, transient, temporary),
                                          testing::Values(ExitKind::kNormal, ExitKind::kShutdown, ExitKind::kError,
                                                          ExitKind::kKilled)));

// ---- the window ----------------------------------------------------------------------------------------------------

TEST_F(SupervisorTest, RestartsThatAreFurtherApartThanThePeriodGoOnForEver_INV_M7) {
  auto top = start(abc(one_for_one, permanent, {.intensity = 2, .period = 10s}));
  for (int i = 0; i < 20; ++i) {
    end("b", ExitKind::kError);
    end("c", ExitKind::kKilled);
    executor_.run_for(10s + 1ms, 10'000);
  }
  EXPECT_FALSE(ended_->has_value());
  EXPECT_EQ(states(top), "a b c");
  for (const char* id : {"a", "b"}) end(id, ExitKind::kError);
  EXPECT_FALSE(ended_->has_value());
  end("c", ExitKind::kError);  // the window is of all children together
  EXPECT_TRUE(ended_->has_value());
}

TEST_F(SupervisorTest, WithIntensityZeroTheFirstRestartIsOneTooMany_INV_M7) {
  start(abc(one_for_one, permanent, {.intensity = 0, .period = 1s}));
  end("a", ExitKind::kError);
  EXPECT_EQ(diary_.take(), "+a +b +c -a -c -b");
  EXPECT_EQ(**ended_, ExitReason::shutdown());
}

// ---- failures of starts --------------------------------------------------------------------------------------------

TEST_F(SupervisorTest, AChildThatDoesNotStartEndsTheStartAndThoseBeforeItRightToLeft_INV_M7) {
  for (int how : {1, -1}) {  // an error, an exception
    Stage stage;
    SupervisorSpec spec = supervisor("top", one_for_one);
    for (const char* id : {"a", "b", "c"}) stage.track(spec, id);
    stage.diary_.starts_to_fail["c"] = how;
    stage.start(spec);
    EXPECT_EQ(stage.diary_.take(), "+a +b -b -a");
    EXPECT_EQ(stage.runtime_.stats().actors, 1u) << "only the watcher is left";
    EXPECT_THAT(testing::PrintToString(stage.log_), HasSubstr("the child 'c' of the supervisor 'top' did not start"));
  }
}

TEST_F(SupervisorTest, AFailureBelowEndsTheWholeTreeRightToLeft_INV_M7) {
  SupervisorSpec inner = supervisor("inner", one_for_one);
  for (const char* id : {"c", "d", "e"}) track(inner, id);
  SupervisorSpec top = supervisor("top", one_for_one);
  track(top, "a");
  track(top, "b");
  top.child(std::move(inner));
  track(top, "f");
  diary_.starts_to_fail["e"] = -1;
  start(top);
  EXPECT_EQ(diary_.take(), "+a +b +c +d -d -c -b -a");
}

TEST_F(SupervisorTest, ARestartThatFailsCountsAndIsTriedAgain_INV_M7) {
  auto top = start(abc(one_for_one, permanent, {.intensity = 3, .period = 10s}));
  diary_.take();
  diary_.starts_to_fail["b"] = 2;
  end("b", ExitKind::kError);
  EXPECT_EQ(diary_.take(), "-b +b");
  EXPECT_EQ(ask(top, DescribeSupervisor{})->restarts, 3u);
  end("b", ExitKind::kError);
  EXPECT_TRUE(ended_->has_value());
}

TEST_F(SupervisorTest, ARestartThatAlwaysFailsEscalates_INV_M7) {
  start(abc(one_for_one, permanent, {.intensity = 5, .period = 10s}));
  diary_.starts_to_fail["b"] = 1000;
  end("b", ExitKind::kError);
  EXPECT_EQ(diary_.starts_to_fail["b"], 1000 - 5);
  EXPECT_EQ(diary_.take(), "+a +b +c -b -c -a");
  EXPECT_EQ(**ended_, ExitReason::shutdown());
}

TEST_F(SupervisorTest, WhenARestartFailsHalfWayTheStrategyIsAppliedToTheOneThatFailed_INV_M7) {
  // OTP: the rest is started from the child that failed on; with one_for_all all stop again.
  {
    start(abc(rest_for_one, permanent, {.intensity = 2, .period = 10s}));
    diary_.take();
    diary_.starts_to_fail["c"] = 1;
    end("b", ExitKind::kError);
    EXPECT_EQ(diary_.take(), "-b -c +b +c");
  }
  Stage all;
  SupervisorSpec spec = supervisor("top", one_for_all, {.intensity = 2, .period = 10s});
  for (const char* id : {"a", "b", "c"}) all.track(spec, id);
  all.start(spec);
  all.diary_.take();
  all.diary_.starts_to_fail["c"] = 1;
  all.end("b", ExitKind::kError);
  EXPECT_EQ(all.diary_.take(), "-b -c -a +a +b -b -a +a +b +c");
}

TEST_F(SupervisorTest, ANestedSupervisorThatCannotRestartLeavesNothingBehind_INV_M7) {
  SupervisorSpec inner = supervisor("inner", one_for_one, {.intensity = 0, .period = 1s});
  for (const char* id : {"b", "c"}) track(inner, id);
  SupervisorSpec top = supervisor("top", one_for_one, {.intensity = 3, .period = 10s});
  track(top, "a");
  top.child(std::move(inner));
  auto root = start(top);
  diary_.take();
  diary_.starts_to_fail["c"] = 1;
  end("b", ExitKind::kError);  // inner gives up, is restarted, fails, is tried again
  EXPECT_EQ(diary_.take(), "-b -c +b -b +b +c");
  EXPECT_EQ(states(root), "a inner");
  EXPECT_EQ(runtime_.stats().actors, 6u);  // two supervisors, three children, the watcher
}

// ---- escalation ----------------------------------------------------------------------------------------------------

TEST_F(SupervisorTest, ASupervisorThatGivesUpIsAChildThatEndedWithShutdown_INV_M7) {
  for (RestartType type : {permanent, transient, temporary}) {
    Stage stage;
    SupervisorSpec inner = supervisor("inner", one_for_one, {.intensity = 1, .period = 10s});
    stage.track(inner, "b");
    SupervisorSpec top = supervisor("top", one_for_all, {.intensity = 1, .period = 10s});
    stage.track(top, "a");
    top.child(std::move(inner), type);
    stage.track(top, "c");
    auto root = stage.start(top);
    stage.end("b", ExitKind::kError);
    stage.diary_.take();
    stage.end("b", ExitKind::kError);
    // Escalation ends in a restart of everything only where the inner one is permanent.
    EXPECT_EQ(stage.diary_.take(), type == permanent ? "-b -c -a +a +b +c" : "-b");
    EXPECT_EQ(stage.states(root), type == permanent ? "a inner c" : type == transient ? "a inner:stopped c" : "a c");
  }
}

// ---- stopping ------------------------------------------------------------------------------------------------------

TEST_F(SupervisorTest, ATreeStopsRightToLeftEachSupervisorAfterItsChildren_INV_M7) {
  SupervisorSpec inner = supervisor("inner", rest_for_one);
  inner.child<Careful>("b", permanent, {}, &diary_, "b", true);
  inner.child<Careful>("c", permanent, {}, &diary_, "c", false);
  SupervisorSpec top = supervisor("top", one_for_one);
  top.child<Careful>("a", permanent, {}, &diary_, "a", false).child(std::move(inner));
  top.child<Careful>("d", permanent, {}, &diary_, "d", true);
  auto root = start(top);
  diary_.take();
  runtime_.stop(root.id());
  settle();
  EXPECT_EQ(diary_.take(), "d:shutdown -d c:shutdown -c b:shutdown -b a:shutdown -a");
  EXPECT_EQ(**ended_, ExitReason::shutdown());
}

TEST_F(SupervisorTest, AChildThatTakesLongerThanItsShutdownIsKilled_INV_M7) {
  for (const char* id : {"a", "b", "c", "d"}) diary_.stop_takes[id] = 1min;
  SupervisorSpec top = supervisor("top", one_for_one);
  top.child<Careful>("a", permanent, {.shutdown = infinity}, &diary_, "a", true)
      .child<Careful>("b", permanent, {.shutdown = 2s}, &diary_, "b", true)
      .child<Careful>("c", permanent, {.shutdown = brutal_kill}, &diary_, "c", true)
      .child<Careful>("d", permanent, {.shutdown = 2min}, &diary_, "d", false);
  auto root = start(top);
  diary_.take();
  TimePoint began = executor_.now();
  runtime_.stop(root.id());
  executor_.run_for(1min + 1s, 10'000);
  EXPECT_EQ(diary_.take(), "d:shutdown -d -c b:shutdown");
  executor_.run_for(2s, 10'000);
  EXPECT_EQ(diary_.take(), "-b a:shutdown");
  settle();
  EXPECT_EQ(diary_.take(), "-a");
  EXPECT_GE(executor_.now() - began, 2min + 2s);
  EXPECT_LT(executor_.now() - began, 2min + 3s);
}

TEST_F(SupervisorTest, DynamicChildrenStopAllAtOnceWithinOneShutdown) {
  Dynamic::diary = &diary_;
  auto pool = start(supervisor("pool", simple_one_for_one).template_child<Dynamic, Named>("conn", temporary));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(ask(pool, StartChild::with(Named{std::to_string(i)})));
  EXPECT_EQ(ask(pool, CountChildren{})->active, 100u);
  runtime_.stop(pool.id());
  settle();
  EXPECT_EQ(diary_.events.size(), 200u);
  EXPECT_TRUE(ended_->has_value());
}

struct Tired {
  std::string id;
};
PLX_MESSAGE(Tired, (1, id));

class TiredChild : public Careful {
 public:
  explicit TiredChild(const Tired& tired) : Careful(diary, tired.id, false) {}
  static inline supervision_test::Diary* diary = nullptr;
};

// Computes for as long as its clock says.
class Hog : public GenServer<Hog, supervision_test::Go> {
 public:
  explicit Hog(sim::SimClock* clock) : clock_(clock) {}
  void handle(const supervision_test::Go&, Context&) { clock_->advance(90ms); }

 private:
  sim::SimClock* clock_;
};

// Has the neighbour compute, and right after it, in the same batch, the supervisor stop.
class StopAfterNeighbour : public GenServer<StopAfterNeighbour, supervision_test::Go> {
 public:
  StopAfterNeighbour(ActorRef<Hog> hog, ActorRef<Supervisor> supervisor) : hog_(hog), supervisor_(supervisor) {}
  void handle(const supervision_test::Go&, Context& ctx) {
    EXPECT_TRUE(hog_.tell(supervision_test::Go{}));
    ctx.runtime().stop(supervisor_.id());
  }

 private:
  ActorRef<Hog> hog_;
  ActorRef<Supervisor> supervisor_;
};

TEST(SupervisorClockTest, DynamicChildrenHaveTheirWholeShutdownAfterALongTurnOfANeighbour) {
  supervision_test::Diary diary;
  TiredChild::diary = &diary;
  diary.stop_takes = {{"a", 50ms}, {"b", 70ms}, {"c", 90ms}};
  std::vector<std::string> log;
  sim::World world(1);
  sim::SimExecutor executor(world, {.workers = 1});
  Types types;
  Runtime runtime(executor, types);  // which runs actors in the order in which they become runnable
  runtime.set_log([&](const std::string& line) { log.push_back(line); });
  ASSERT_TRUE(runtime.start());
  auto settle = [&] { executor.run_until([] { return false; }, 100'000); };
  auto pool = *runtime.spawn<Supervisor>(
      "", supervisor("pool", simple_one_for_one)
              .template_child<TiredChild, Tired>("conn", temporary, {.shutdown = Shutdown(100ms)}));
  for (const char* id : {"a", "b", "c"}) {
    auto answer = std::make_shared<std::optional<Result<ReplyOf<StartChild>>>>();
    auto asker = *runtime.spawn<supervision_test::Asker<StartChild>>("", pool, StartChild::with(Tired{id}), answer);
    EXPECT_TRUE(asker.tell(supervision_test::Go{}));
    settle();
    EXPECT_TRUE(answer->has_value() && **answer);
  }
  auto hog = *runtime.spawn<Hog>("", &world.clock);
  auto both = *runtime.spawn<StopAfterNeighbour>("", hog, pool);
  settle();
  EXPECT_TRUE(both.tell(supervision_test::Go{}));
  settle();
  EXPECT_EQ(log, std::vector<std::string>());  // none was killed
  EXPECT_EQ(diary.take(), "+a +b +c a:shutdown b:shutdown c:shutdown -a -b -c");
}

TEST(SupervisorClockTest, DynamicChildrenThatDoNotEndTakeOneShutdownTimeTogether) {
  constexpr int kChildren = 10;
  supervision_test::Diary diary;
  TiredChild::diary = &diary;
  std::vector<std::string> log;
  sim::World world(1);
  sim::SimExecutor executor(world, {.workers = 1});
  Types types;
  Runtime runtime(executor, types);
  runtime.set_log([&](const std::string& line) { log.push_back(line); });
  ASSERT_TRUE(runtime.start());
  auto pool = *runtime.spawn<Supervisor>(
      "", supervisor("pool", simple_one_for_one)
              .template_child<TiredChild, Tired>("conn", temporary, {.shutdown = Shutdown(100ms)}));
  for (int i = 0; i < kChildren; ++i) {
    std::string id = "c" + std::to_string(i);
    diary.stop_takes[id] = 10h;
    auto answer = std::make_shared<std::optional<Result<ReplyOf<StartChild>>>>();
    auto asker = *runtime.spawn<supervision_test::Asker<StartChild>>("", pool, StartChild::with(Tired{id}), answer);
    EXPECT_TRUE(asker.tell(supervision_test::Go{}));
    executor.run_until([&] { return answer->has_value(); }, 100'000);
    EXPECT_TRUE(answer->has_value() && **answer);
  }
  TimePoint began = world.clock.now();
  runtime.stop(pool.id());
  executor.run_until([&] { return !runtime.is_alive(pool.id()); }, 100'000);
  EXPECT_GE(world.clock.now() - began, 100ms);
  EXPECT_LT(world.clock.now() - began, 150ms);
  ASSERT_EQ(log.size(), 1u);
  EXPECT_NE(log.front().find("10 children of the supervisor 'pool' did not end in 100 ms"), std::string::npos);
}

TEST_F(SupervisorTest, TheKillOfASupervisorEndsItsWholeTree) {
  SupervisorSpec inner = supervisor("inner", one_for_one);
  inner.child<Careful>("b", permanent, {}, &diary_, "b", true);
  SupervisorSpec top = supervisor("top", one_for_one);
  top.child<Careful>("a", permanent, {}, &diary_, "a", true).child(std::move(inner));
  auto root = start(top);
  diary_.take();
  runtime_.kill(root.id());
  settle();
  EXPECT_EQ(**ended_, ExitReason::killed());
  EXPECT_EQ(runtime_.stats().actors, 1u);  // the watcher
}

TEST_F(SupervisorTest, TwoChildrenThatEndAtOnceAreOneRestartOfAll_INV_M7) {
  // Whatever the order: the others are stopped with the first that is answered, and what they do is late then.
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Stage stage(seed);
    SupervisorSpec spec = supervisor("top", one_for_all, {.intensity = 1, .period = 10s});
    for (const char* id : {"a", "b", "c"}) stage.track(spec, id);
    auto top = stage.start(spec);
    for (const char* id : {"a", "b", "c"}) stage.tell_to_end(id, ExitKind::kError);
    stage.settle();
    EXPECT_EQ(stage.states(top), "a b c") << "seed " << seed;
    EXPECT_EQ(stage.ask(top, DescribeSupervisor{})->restarts, 1u) << "seed " << seed;
    EXPECT_TRUE(stage.diary_.take().ends_with("+a +b +c"));
  }
}

TEST_F(SupervisorTest, TemporarySiblingsThatARestartStopsAreForgotten_INV_M7) {
  SupervisorSpec spec = supervisor("top", one_for_all, {.intensity = 9, .period = 1s});
  track(spec, "a", temporary);
  track(spec, "b");
  track(spec, "c", temporary);
  track(spec, "d", transient);
  auto top = start(spec);
  end("d", ExitKind::kNormal);
  EXPECT_EQ(states(top), "a b c d:stopped");
  diary_.take();
  end("b", ExitKind::kError);
  EXPECT_EQ(diary_.take(), "-b -c -a +b +d");  // a transient sibling that was done starts again, as in OTP
  EXPECT_EQ(states(top), "b d");
}

// ---- significant children ------------------------------------------------------------------------------------------

TEST_F(SupervisorTest, TheEndOfSignificantChildrenEndsTheSupervisor_INV_M7) {
  for (AutoShutdown when : {AutoShutdown::any_significant, AutoShutdown::all_significant}) {
    Stage stage;
    SupervisorSpec spec = supervisor("top", one_for_one).auto_shutdown(when);
    stage.track(spec, "a");
    stage.track(spec, "b", transient, {.significant = true});
    stage.track(spec, "c", temporary, {.significant = true});
    stage.track(spec, "d", temporary);
    auto top = stage.start(spec);
    stage.end("d", ExitKind::kNormal);
    stage.end("b", ExitKind::kError);  // restarted, so it has not ended
    EXPECT_FALSE(stage.ended_->has_value());
    EXPECT_EQ(stage.states(top), "a b c");
    stage.end("c", ExitKind::kError);
    EXPECT_EQ(stage.ended_->has_value(), when == AutoShutdown::any_significant);
    if (when == AutoShutdown::any_significant) continue;
    stage.end("b", ExitKind::kNormal);
    ASSERT_TRUE(stage.ended_->has_value());
    EXPECT_EQ(**stage.ended_, ExitReason::shutdown());
  }
}

TEST_F(SupervisorTest, ASignificantChildThatIsTerminatedDoesNotCount_INV_M7) {
  SupervisorSpec spec = supervisor("top", one_for_one).auto_shutdown(AutoShutdown::any_significant);
  track(spec, "a", transient, {.significant = true});
  auto top = start(spec);
  EXPECT_TRUE(ask(top, TerminateChild{"a"}));
  EXPECT_FALSE(ended_->has_value());
}

// ---- requests ------------------------------------------------------------------------------------------------------

TEST_F(SupervisorTest, ChildrenAreStartedTerminatedRestartedAndDeletedAtRunTime) {
  auto top = start(abc(one_for_one));
  diary_.take();
  auto started = ask(top, StartChild(child<Tracked>("d", permanent, {}, &diary_, "d")));
  ASSERT_TRUE(started);
  EXPECT_EQ(*started, diary_.actors["d"]);
  EXPECT_EQ(states(top), "a b c d");
  EXPECT_EQ(ask(top, StartChild(child<Tracked>("d", permanent, {}, &diary_, "d"))).error().domain(), "PLX-SUP-0009");

  EXPECT_EQ(ask(top, DeleteChild{"b"}).error().domain(), "PLX-SUP-0012");
  EXPECT_EQ(ask(top, RestartChild{"b"}).error().domain(), "PLX-SUP-0012");
  EXPECT_TRUE(ask(top, TerminateChild{"b"}));
  EXPECT_TRUE(ask(top, TerminateChild{"b"}));  // is stopped already: fine, as in OTP
  EXPECT_EQ(states(top), "a b:stopped c d");
  EXPECT_EQ(ask(top, StartChild(child<Tracked>("b", permanent, {}, &diary_, "b"))).error().domain(), "PLX-SUP-0010");
  ChildCounts counts = *ask(top, CountChildren{});
  EXPECT_EQ(counts.specs, 4u);
  EXPECT_EQ(counts.active, 3u);
  EXPECT_EQ(counts.workers, 4u);
  EXPECT_EQ(counts.supervisors, 0u);
  EXPECT_EQ(*ask(top, RestartChild{"b"}), diary_.actors["b"]);
  EXPECT_TRUE(ask(top, TerminateChild{"c"}));
  EXPECT_TRUE(ask(top, DeleteChild{"c"}));
  EXPECT_EQ(states(top), "a b d");
  for (Result<void> missing : {ask(top, TerminateChild{"c"}), ask(top, DeleteChild{"c"})})
    EXPECT_EQ(missing.error().domain(), "PLX-SUP-0011");
  EXPECT_EQ(ask(top, RestartChild{"c"}).error().code(), Code::kNotFound);
  EXPECT_EQ(diary_.take(), "+d -b +b -c");

  // What was added is supervised as the rest.
  end("d", ExitKind::kError);
  EXPECT_EQ(diary_.take(), "-d +d");
  EXPECT_FALSE(ended_->has_value());
}

TEST_F(SupervisorTest, AChildThatDoesNotStartWhenAskedForIsNoChild) {
  auto top = start(abc(one_for_one));
  diary_.starts_to_fail["d"] = 1;
  auto failed = ask(top, StartChild(child<Tracked>("d", permanent, {}, &diary_, "d")));
  EXPECT_EQ(failed.error().domain(), "PLX-SUP-0008");
  EXPECT_EQ(failed.error().code(), Code::kUnavailable);
  ASSERT_NE(failed.error().cause(), nullptr);
  EXPECT_EQ(failed.error().cause()->message(), "no luck");
  EXPECT_EQ(states(top), "a b c");

  SupervisorSpec inner = supervisor("inner", one_for_one);
  for (const char* id : {"x", "y"}) track(inner, id);
  diary_.starts_to_fail["y"] = -1;
  diary_.take();
  EXPECT_EQ(ask(top, StartChild(child(inner))).error().domain(), "PLX-SUP-0008");
  EXPECT_EQ(diary_.take(), "+x -x");

  EXPECT_TRUE(ask(top, TerminateChild{"b"}));
  diary_.starts_to_fail["b"] = 1;
  EXPECT_EQ(ask(top, RestartChild{"b"}).error().domain(), "PLX-SUP-0008");
  EXPECT_EQ(states(top), "a b:stopped c");
  EXPECT_FALSE(ended_->has_value());
}

TEST_F(SupervisorTest, ATemporaryChildThatIsTerminatedIsForgotten) {
  auto top = start(abc(one_for_one, temporary));
  EXPECT_TRUE(ask(top, TerminateChild{"b"}));
  EXPECT_EQ(states(top), "a c");
}

TEST_F(SupervisorTest, APoolStartsWhatItsTemplateTakesAndNothingElse) {
  Dynamic::diary = &diary_;
  auto pool = start(supervisor("pool", simple_one_for_one).template_child<Dynamic, Named>("conn", temporary));
  EXPECT_EQ(ask(pool, StartChild{}).error().domain(), "PLX-SUP-0015");
  EXPECT_EQ(ask(pool, StartChild::with(EndAs{})).error().domain(), "PLX-SUP-0015");
  EXPECT_EQ(ask(pool, StartChild(child<Tracked>("d", permanent, {}, &diary_, "d"))).error().code(),
            Code::kInvalidArgument);
  for (const char* id : {"a", "b", "c", "d"}) EXPECT_TRUE(ask(pool, StartChild::with(Named{id})));
  diary_.take();
  EXPECT_EQ(ask(pool, TerminateChild{"conn"}).error().domain(), "PLX-SUP-0014");
  EXPECT_EQ(ask(pool, RestartChild{"conn"}).error().domain(), "PLX-SUP-0014");
  EXPECT_EQ(ask(pool, DeleteChild{"conn"}).error().domain(), "PLX-SUP-0014");
  EXPECT_TRUE(ask(pool, TerminateChild{.actor = diary_.actors["b"]}));
  EXPECT_TRUE(ask(pool, TerminateChild{.actor = diary_.actors["b"]}));  // it has ended
  auto stranger = runtime_.spawn<Tracked>("", &diary_, "stranger");
  auto refused = ask(pool, TerminateChild{.actor = stranger->id()});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().domain(), "PLX-SUP-0011");
  EXPECT_EQ(diary_.take(), "-b +stranger");
  ChildCounts counts = *ask(pool, CountChildren{});
  EXPECT_EQ(counts.specs, 1u);
  EXPECT_EQ(counts.active, 3u);
  end("d", ExitKind::kNormal);  // it took b's place in the list
  end("a", ExitKind::kNormal);
  EXPECT_EQ(states(pool), "conn");

  diary_.starts_to_fail["e"] = 1;
  EXPECT_EQ(ask(pool, StartChild::with(Named{"e"})).error().domain(), "PLX-SUP-0008");
  EXPECT_EQ(states(pool), "conn");
}

// ---- names ---------------------------------------------------------------------------------------------------------

TEST_F(SupervisorTest, AChildTakesItsNameAgainWhenItIsRestarted) {
  SupervisorSpec inner = supervisor("inner", one_for_one, {.intensity = 0, .period = 1s});
  track(inner, "b", permanent, {.name = "beta"});
  SupervisorSpec spec = supervisor("top", one_for_one, {.intensity = 5, .period = 1s});
  track(spec, "a", permanent, {.name = "alpha"});
  spec.child(inner, permanent, {.name = "inner supervisor"});
  start(spec);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(runtime_.find<Tracked>("alpha")->id(), diary_.actors["a"]);
    EXPECT_EQ(runtime_.find<Tracked>("beta")->id(), diary_.actors["b"]);
    auto found = runtime_.find<Supervisor>("inner supervisor");
    ASSERT_TRUE(found);
    EXPECT_EQ(states(*found), "b");
    end("a", ExitKind::kError);
    end("b", ExitKind::kError);
  }
  EXPECT_FALSE(ended_->has_value());
}

TEST_F(SupervisorTest, ANameThatIsTakenIsAStartThatFails) {
  SupervisorSpec spec = supervisor("top", one_for_one);
  track(spec, "a", permanent, {.name = "alpha"});
  track(spec, "b", permanent, {.name = "alpha"});
  start(spec);
  EXPECT_EQ(diary_.take(), "+a -a");
  EXPECT_THAT(testing::PrintToString(log_), HasSubstr("alpha"));
}

TEST_F(SupervisorTest, AChildHasTheMailboxOfItsOptionsAlsoAfterARestart) {
  SupervisorSpec spec = supervisor("top", one_for_one);
  track(spec, "a", permanent, {.mailbox = {.messages_max = 2}});
  start(spec);
  for (int life = 0; life < 2; ++life) {
    for (int i = 0; i < 2; ++i) EXPECT_TRUE(ref("a").tell(EndAs{ExitKind::kError}));
    EXPECT_EQ(ref("a").tell(EndAs{}).error().code(), Code::kResourceExhausted);
    settle();
  }
}

// ---- backoff -------------------------------------------------------------------------------------------------------

TEST_F(SupervisorTest, WithABackoffARestartWaitsLongerEachTime) {
  SupervisorSpec spec = supervisor("top", one_for_one, {.intensity = 100, .period = 1s});
  Backoff backoff{.initial = 100ms, .max = 10s, .factor = 2, .jitter = 0};
  track(spec, "a", permanent, {.backoff = backoff});
  track(spec, "b");
  auto top = start(spec);
  diary_.take();
  for (Duration wait = 100ms; wait < 1s; wait *= 2) {
    tell_to_end("a", ExitKind::kError);
    executor_.run_for(wait - 10ms, 10'000);
    EXPECT_EQ(diary_.take(), "-a");
    executor_.run_for(20ms, 10'000);
    EXPECT_EQ(diary_.take(), "+a");
  }
  tell_to_end("a", ExitKind::kError);
  executor_.run_for(10ms, 10'000);
  // Meanwhile others are served.
  auto children = begin_ask(top, WhichChildren{});
  auto refused = begin_ask(top, RestartChild{"a"});
  executor_.run_for(10ms, 10'000);
  ASSERT_TRUE(children->has_value());
  EXPECT_EQ((**children)->front().state, ChildState::restarting);
  EXPECT_EQ((**refused).error().domain(), "PLX-SUP-0013");
  auto terminated = begin_ask(top, TerminateChild{"a"});
  settle();
  EXPECT_TRUE(**terminated);
  EXPECT_EQ(diary_.take(), "-a");  // the wait that was under way restarts nothing
  EXPECT_EQ(states(top), "a:stopped b");

  EXPECT_TRUE(ask(top, RestartChild{"a"}));
  executor_.run_for(11s, 10'000);  // longer than max: the next wait is the first one again
  diary_.take();
  tell_to_end("a", ExitKind::kError);
  executor_.run_for(110ms, 10'000);
  EXPECT_EQ(diary_.take(), "-a +a");
}

TEST_F(SupervisorTest, WithABackoffSiblingsStopBeforeTheWaitAndStartAfterIt) {
  SupervisorSpec spec = supervisor("top", one_for_all, {.intensity = 100, .period = 1s});
  track(spec, "a");
  track(spec, "b", permanent, {.backoff = Backoff{.initial = 1s, .max = 1s, .factor = 1, .jitter = 0}});
  track(spec, "c", temporary);
  track(spec, "d");
  start(spec);
  diary_.take();
  tell_to_end("b", ExitKind::kError);
  executor_.run_for(900ms, 10'000);
  EXPECT_EQ(diary_.take(), "-b -d -c -a");
  diary_.starts_to_fail["b"] = 1;
  executor_.run_for(200ms, 10'000);
  EXPECT_EQ(diary_.take(), "+a -a");  // its start failed: the next wait, again with all stopped
  settle();
  EXPECT_EQ(diary_.take(), "+a +b +d");
}

// ---- mistakes ------------------------------------------------------------------------------------------------------

TEST_F(SupervisorTest, ASpecWithAMistakeStartsNothing) {
  SupervisorSpec spec = abc(one_for_one);
  track(spec, "b");
  start(spec);
  EXPECT_EQ(diary_.take(), "");
  EXPECT_THAT(testing::PrintToString(log_), HasSubstr("the supervisor 'top' has two children 'b'"));
  auto top = start(abc(one_for_one));
  EXPECT_EQ(ask(top, StartChild(child<Tracked>("", permanent, {}, &diary_, "d"))).error().domain(), "PLX-SUP-0002");
  EXPECT_EQ(ask(top, StartChild(child<Tracked>("d", temporary, {.significant = true}, &diary_, "d"))).error().domain(),
            "PLX-SUP-0005");
}

}  // namespace
}  // namespace plexspaces
