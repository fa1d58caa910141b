// Links, monitors and exit signals (INV-M8).
#include "plexspaces/actor/lifecycle/exit.hpp"

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/behavior/gen_server.hpp"
#include "plexspaces/env/posix/executor.hpp"
#include "plexspaces/sim/executor.hpp"
#include "plexspaces/sim/world.hpp"

namespace plexspaces {
namespace {

struct Perform {
  std::uint64_t step = 0;
};
struct Note {
  std::int64_t value = 0;
};
struct Answerless {
  using Reply = std::int64_t;
};
struct AskThrough {
  using Reply = std::int64_t;
};
struct Count {
  using Reply = std::int64_t;
};
PLX_MESSAGE(Perform, (1, step));
PLX_MESSAGE(Note, (1, value));
PLX_MESSAGE(Answerless);
PLX_MESSAGE(AskThrough);
PLX_MESSAGE(Count);

class Subject;

// What the subjects of a test do and see.
struct Stage {
  std::vector<std::function<void(Context&)>> steps;
  std::vector<std::pair<ActorId, Down>> downs;
  std::vector<std::pair<ActorId, Exited>> exits;
  std::vector<std::pair<ActorId, std::int64_t>> notes;
};

// Performs the steps of its stage, and notes what it is told.
class Subject : public GenServer<Subject, Perform, Note, Answerless, AskThrough, Down, Exited> {
 public:
  explicit Subject(Stage& stage, ActorRef<Subject> other = {}) : stage_(stage), other_(other) {}
  void handle(const Perform& m, Context& ctx) { stage_.steps[m.step](ctx); }
  void handle(const Note& m, Context& ctx) { stage_.notes.emplace_back(ctx.self_id(), m.value); }
  Task<Result<std::int64_t>> handle(const Answerless&, Context& ctx) {
    // Waits for an actor that waits for nobody's answer.
    auto answer = co_await ctx.ask(other_, Answerless{}, 1000h);
    co_return answer;
  }
  Task<Result<std::int64_t>> handle(const AskThrough&, Context& ctx) {
    auto answer = co_await ctx.ask(other_, Answerless{}, 1000h);
    if (!answer) stage_.notes.emplace_back(ctx.self_id(), -1);
    co_return answer;
  }
  void handle(const Down& m, Context& ctx) { stage_.downs.emplace_back(ctx.self_id(), m); }
  void handle(const Exited& m, Context& ctx) { stage_.exits.emplace_back(ctx.self_id(), m); }

 private:
  Stage& stage_;
  ActorRef<Subject> other_;
};

// Takes every message and answers none.
class Mute : public Actor {
 public:
  template <class M>
  static constexpr bool kHandles = true;
  void receive(Context&) override {}
  std::span<const Handler> handlers() const override { return {}; }
};

// Handles neither Down nor Exited.
class Deaf : public GenServer<Deaf, Perform> {
 public:
  explicit Deaf(Stage& stage) : stage_(stage) {}
  void handle(const Perform& m, Context& ctx) { stage_.steps[m.step](ctx); }

 private:
  Stage& stage_;
};

template <class Self>
concept Monitors = requires(Context& ctx, ActorRef<Deaf> target) { ctx.monitor<Self>(target); };
template <class Self>
concept TrapsExits = requires(Context& ctx) { ctx.trap_exits<Self>(true); };
static_assert(Monitors<Subject> && !Monitors<Deaf>);
static_assert(TrapsExits<Subject> && !TrapsExits<Deaf>);

class ExitTest : public testing::Test {
 protected:
  explicit ExitTest(std::uint64_t seed = 1, RuntimeOptions options = {})
      : world_(seed), executor_(world_, {}), runtime_(executor_, types_, with_pick(std::move(options))) {
    runtime_.set_log([](const std::string&) {});
    EXPECT_TRUE(runtime_.start());
  }

  RuntimeOptions with_pick(RuntimeOptions options) {
    options.pick = [this](std::size_t count) { return static_cast<std::size_t>(world_.random.below(count)); };
    return options;
  }
  ActorRef<Subject> subject(ActorRef<Subject> other = {}) { return *runtime_.spawn<Subject>("", stage_, other); }
  // Has `who` run `step` in a turn, some time.
  template <class A>
  void perform(ActorRef<A> who, std::function<void(Context&)> step) {
    stage_.steps.push_back(std::move(step));
    who.tell(Perform{stage_.steps.size() - 1});
  }
  void settle() {
    executor_.run_until([] { return false; }, 20'000);
  }
  template <class A>
  void perform_now(ActorRef<A> who, std::function<void(Context&)> step) {
    perform(who, std::move(step));
    settle();
  }
  MonitorRef monitor(ActorRef<Subject> watcher, ActorRef<Subject> target) {
    MonitorRef made;
    perform_now(watcher, [&](Context& ctx) { made = *ctx.monitor<Subject>(target); });
    return made;
  }
  void link(ActorRef<Subject> a, ActorRef<Subject> b) {
    perform_now(a, [&](Context& ctx) { EXPECT_TRUE(ctx.link(b)); });
  }
  void trap(ActorRef<Subject> who) {
    perform_now(who, [](Context& ctx) { EXPECT_TRUE(ctx.trap_exits<Subject>(true)); });
  }
  // Whether it handles a message now.
  bool alive(ActorRef<Subject> who) {
    std::size_t before = stage_.notes.size();
    who.tell(Note{7});
    settle();
    return stage_.notes.size() > before;
  }

  Stage stage_;
  sim::World world_;
  sim::SimExecutor executor_;
  Types types_;
  Runtime runtime_;
};

// Each way to end, and the reason that others see.
struct Ending {
  ExitReason reason;
  std::function<void(Runtime&, ActorRef<Subject>, Context*)> end;  // null context: from outside
  bool inside;
};

std::vector<Ending> endings() {
  return {
      {ExitReason::normal(), [](Runtime&, ActorRef<Subject>, Context* ctx) { ctx->stop(); }, true},
      {ExitReason::shutdown(), [](Runtime& runtime, ActorRef<Subject> who, Context*) { runtime.stop(who.id()); },
       false},
      {ExitReason::killed(), [](Runtime& runtime, ActorRef<Subject> who, Context*) { runtime.kill(who.id()); }, false},
      {ExitReason::error("on purpose"),
       [](Runtime&, ActorRef<Subject>, Context*) { throw std::runtime_error("on purpose"); }, true},
      {ExitReason::error("gave up"),
       [](Runtime&, ActorRef<Subject>, Context* ctx) {
         ctx->exit(ExitReason::error("gave up"));
         ctx->stop();  // the first reason counts
       },
       true},
      {ExitReason::error("after all"),
       [](Runtime&, ActorRef<Subject>, Context* ctx) {
         ctx->stop();
         throw std::runtime_error("after all");
       },
       true},
  };
}

class EndingTest : public ExitTest, public testing::WithParamInterface<std::size_t> {
 protected:
  void end(ActorRef<Subject> who) {
    if (ending_.inside)
      perform_now(who, [this, who](Context& ctx) { ending_.end(runtime_, who, &ctx); });
    else
      ending_.end(runtime_, who, nullptr);
    settle();
  }
  Ending ending_ = endings()[GetParam()];
};

TEST_P(EndingTest, AWatcherGetsOneDownWithTheReason) {
  auto target = subject(), watcher = subject();
  MonitorRef first = monitor(watcher, target), second = monitor(watcher, target);
  EXPECT_NE(first, second);
  end(target);
  ASSERT_EQ(stage_.downs.size(), 2u);
  std::set<MonitorRef> seen;
  for (const auto& [who, down] : stage_.downs) {
    EXPECT_EQ(who, watcher.id());
    EXPECT_EQ(down.actor, target.id());
    EXPECT_EQ(down.reason, ending_.reason) << exit_kind_name(down.reason.kind) << down.reason.text;
    seen.insert(down.monitor);
  }
  EXPECT_EQ(seen, (std::set<MonitorRef>{first, second}));
  EXPECT_TRUE(alive(watcher));
}

TEST_P(EndingTest, ALinkedActorEndsWithTheReasonUnlessItIsNormal) {
  auto a = subject(), b = subject(), c = subject(), witness = subject();
  link(a, b);
  link(c, b);  // the signal goes on from actor to actor
  monitor(witness, c);
  end(a);
  if (ending_.reason.kind == ExitKind::kNormal) {
    EXPECT_TRUE(stage_.downs.empty());
    EXPECT_TRUE(alive(b));
    EXPECT_TRUE(alive(c));
  } else {
    ASSERT_EQ(stage_.downs.size(), 1u);
    EXPECT_EQ(stage_.downs[0].second.reason, ending_.reason);
    EXPECT_FALSE(alive(b));
    EXPECT_FALSE(alive(c));
  }
}

TEST_P(EndingTest, AnActorThatTrapsExitsGetsTheReasonAsAMessageAndGoesOn) {
  auto a = subject(), b = subject();
  trap(b);
  link(b, a);
  link(b, a);  // once, however often
  end(a);
  ASSERT_EQ(stage_.exits.size(), 1u);
  EXPECT_EQ(stage_.exits[0].first, b.id());
  EXPECT_EQ(stage_.exits[0].second.from, a.id());
  EXPECT_EQ(stage_.exits[0].second.reason, ending_.reason);
  EXPECT_TRUE(alive(b));
}

INSTANTIATE_TEST_SUITE_P(EachWay, EndingTest, testing::Range(std::size_t{0}, endings().size()));

TEST_F(ExitTest, AMonitorOfWhatHasEndedOrNeverWasGivesNoprocAtOnce) {
  auto watcher = subject(), ended = subject();
  perform_now(ended, [](Context& ctx) { ctx.stop(); });
  NodeId node = watcher.node();
  std::vector<ActorRef<Subject>> targets{
      ended, {}, {node, {3, 77}}, {node, {~0u, 1}}, {NodeId{node.place, node.incarnation + 1000}, {0, 1}}};
  std::vector<MonitorRef> made;
  perform_now(watcher, [&](Context& ctx) {
    for (auto target : targets) made.push_back(*ctx.monitor(target));
  });
  ASSERT_EQ(stage_.downs.size(), targets.size());
  for (std::size_t i = 0; i < targets.size(); ++i) {
    EXPECT_EQ(stage_.downs[i].second.monitor, made[i]);
    EXPECT_EQ(stage_.downs[i].second.actor, targets[i].id());
    EXPECT_EQ(stage_.downs[i].second.reason, ExitReason::noproc());
  }
}

TEST_F(ExitTest, ALinkToWhatHasEndedIsAnExitSignalNoproc) {
  auto ended = subject(), trapping = subject(), other = subject(), witness = subject();
  perform_now(ended, [](Context& ctx) { ctx.stop(); });
  trap(trapping);
  link(trapping, ended);
  link(trapping, {});
  link(trapping, {NodeId{ended.node().place, ended.node().incarnation + 1000}, other.id()});
  ASSERT_EQ(stage_.exits.size(), 3u);
  for (const auto& exit : stage_.exits) EXPECT_EQ(exit.second.reason, ExitReason::noproc());
  monitor(witness, other);
  link(other, ended);
  ASSERT_EQ(stage_.downs.size(), 1u);
  EXPECT_EQ(stage_.downs[0].second.reason, ExitReason::noproc());
}

TEST_F(ExitTest, AnEndInTheTurnOfTheLinkIsAnExitSignalWithItsReason_INV_M8) {
  auto trapping = subject();
  trap(trapping);
  for (std::size_t i = 1; i <= 50; ++i) {
    auto brief = subject(), other = subject(), brief_too = subject();
    perform(brief, [&](Context& ctx) {
      EXPECT_TRUE(ctx.link(trapping));
      ctx.exit(ExitReason::error("brief"));
    });
    perform(brief_too, [&](Context& ctx) {
      EXPECT_TRUE(ctx.link(other));
      ctx.exit(ExitReason::error("brief"));
    });
    settle();
    ASSERT_EQ(stage_.exits.size(), i);
    EXPECT_EQ(stage_.exits.back().second.from, brief.id());
    EXPECT_EQ(stage_.exits.back().second.reason, ExitReason::error("brief"));
    EXPECT_FALSE(alive(other));
  }
}

TEST_F(ExitTest, ADownComesAfterTheMessagesThatTheActorHadSent) {
  auto watcher = subject(), target = subject();
  monitor(watcher, target);
  std::size_t notes_before_down = 0;
  perform(target, [&](Context& ctx) {
    for (int i = 0; i < 20; ++i) ctx.tell(watcher, Note{i});
    ctx.stop();
  });
  executor_.run_until([&] { return !stage_.downs.empty(); }, 20'000);
  notes_before_down = stage_.notes.size();
  EXPECT_EQ(notes_before_down, 20u);
}

TEST_F(ExitTest, AfterDemonitorNoDownIsHandledAlsoNoneThatIsQueued) {
  auto watcher = subject(), target = subject(), ended = subject();
  perform_now(ended, [](Context& ctx) { ctx.stop(); });
  MonitorRef kept;
  perform_now(watcher, [&](Context& ctx) {
    MonitorRef live = *ctx.monitor(target);
    ctx.tell(watcher, Note{1});
    std::vector<MonitorRef> gone;
    for (int i = 0; i < 3; ++i) gone.push_back(*ctx.monitor(ended));  // their Downs are in the mailbox now
    kept = *ctx.monitor(ended);
    gone.push_back(*ctx.monitor(ended));
    ctx.tell(watcher, Note{2});
    for (MonitorRef monitor : gone) ctx.demonitor(monitor);
    ctx.demonitor(live);
    ctx.demonitor(live);
    ctx.demonitor(MonitorRef{});
    ctx.tell(watcher, Note{3});
  });
  runtime_.kill(target.id());
  settle();
  ASSERT_EQ(stage_.downs.size(), 1u);
  EXPECT_EQ(stage_.downs[0].second.monitor, kept);
  ASSERT_EQ(stage_.notes.size(), 3u);  // the rest of the mailbox is as it was
  for (int i = 0; i < 3; ++i) EXPECT_EQ(stage_.notes[i].second, i + 1);
}

TEST_F(ExitTest, DemonitorOfTheLastInTheMailboxLeavesItUsable) {
  auto watcher = subject();
  perform_now(watcher, [&](Context& ctx) {
    MonitorRef only = *ctx.monitor(ActorRef<Subject>{});
    ctx.demonitor(only);
    ctx.tell(watcher, Note{1});
  });
  EXPECT_TRUE(stage_.downs.empty());
  EXPECT_EQ(stage_.notes.size(), 1u);
}

// docs-snippet: watching
struct Serve {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
};
PLX_MESSAGE(Serve, (1, slot), (2, generation));

// Remembers whom it serves for as long as they live.
class Waiter : public GenServer<Waiter, Serve, Down, Count> {
 public:
  void handle(const Serve& m, Context& ctx) {
    ActorRef<Subject> guest(ctx.self<Waiter>().node(), {m.slot, m.generation});
    if (auto monitor = ctx.monitor<Waiter>(guest)) guests_.emplace(*monitor, guest.id());
  }
  void handle(const Down& down, Context&) { guests_.erase(down.monitor); }
  std::int64_t handle(const Count&, Context&) const { return static_cast<std::int64_t>(guests_.size()); }

 private:
  std::map<MonitorRef, ActorId> guests_;
};
// docs-snippet-end

TEST_F(ExitTest, AServerForgetsItsClientsWhenTheyEnd) {
  auto waiter = *runtime_.spawn<Waiter>("");
  auto first = subject(), second = subject();
  for (ActorId guest : {first.id(), second.id()}) ASSERT_TRUE(waiter.tell(Serve{guest.slot, guest.generation}));
  settle();
  auto count = [&] {
    std::int64_t counted = -1;
    auto* envelope = detail::make_envelope(nullptr, Count{}, detail::Envelope::kAsk | detail::Envelope::kSink);
    envelope->sender = reinterpret_cast<std::uint64_t>(
        make_sink([&](Answer answer) { counted = *answer.take<std::int64_t>(); }).release());
    static_cast<void>(runtime_.send(waiter.id(), envelope));
    settle();
    return counted;
  };
  EXPECT_EQ(count(), 2);
  runtime_.kill(first.id());
  settle();
  EXPECT_EQ(count(), 1);
}

TEST_F(ExitTest, AMonitorOrLinkOfItselfChangesNothing) {
  auto actor = subject();
  monitor(actor, actor);
  link(actor, actor);
  EXPECT_TRUE(alive(actor));
  runtime_.kill(actor.id());
  settle();
  EXPECT_FALSE(alive(actor));
  EXPECT_TRUE(stage_.downs.empty());
}

TEST_F(ExitTest, KillCannotBeTrapped) {
  auto killed = subject(), killer = subject(), linked = subject();
  trap(killed);
  trap(linked);
  link(killed, linked);
  perform_now(killer, [&](Context& ctx) { EXPECT_TRUE(ctx.kill(killed)); });
  EXPECT_FALSE(alive(killed));
  ASSERT_EQ(stage_.exits.size(), 1u);  // what others get over a link can be
  EXPECT_EQ(stage_.exits[0].first, linked.id());
  EXPECT_EQ(stage_.exits[0].second.reason, ExitReason::killed());
  EXPECT_TRUE(alive(linked));
}

TEST_F(ExitTest, AnExitSignalEndsAnActorThatTrapsNoneUnlessItIsNormal) {
  auto sender = subject(), plain = subject(), trapping = subject(), witness = subject();
  trap(trapping);
  monitor(witness, plain);
  auto signal = [&](ActorRef<Subject> to, ExitReason reason) {
    perform_now(sender, [&](Context& ctx) { EXPECT_TRUE(ctx.exit(to, reason)); });
  };
  signal(plain, ExitReason::normal());
  signal(trapping, ExitReason::normal());
  EXPECT_TRUE(alive(plain));
  EXPECT_TRUE(alive(trapping));
  ASSERT_EQ(stage_.exits.size(), 1u);
  EXPECT_EQ(stage_.exits[0].second.from, sender.id());
  EXPECT_EQ(stage_.exits[0].second.reason, ExitReason::normal());
  signal(plain, ExitReason::shutdown());
  EXPECT_FALSE(alive(plain));
  ASSERT_EQ(stage_.downs.size(), 1u);
  EXPECT_EQ(stage_.downs[0].second.reason, ExitReason::shutdown());
  signal(trapping, ExitReason::killed());  // the reason killed is not a kill
  EXPECT_TRUE(alive(trapping));
  signal(sender, ExitReason::normal());  // to itself: it ends
  EXPECT_FALSE(alive(sender));
}

TEST_F(ExitTest, AnExitSignalEndsAnActorThatWaitsAndItsAskerLearnsIt) {
  auto mute = *runtime_.spawn<Mute>("");
  auto waiting = subject(ActorRef<Subject>(mute.node(), mute.id()));
  auto asker = subject(waiting), witness = subject();
  monitor(witness, waiting);
  asker.tell(AskThrough{});
  executor_.run_for(1s, 20'000);
  EXPECT_TRUE(stage_.notes.empty());
  runtime_.kill(waiting.id());
  executor_.run_for(1s, 20'000);
  EXPECT_EQ(stage_.notes, (std::vector<std::pair<ActorId, std::int64_t>>{{asker.id(), -1}}));
  ASSERT_EQ(stage_.downs.size(), 1u);
  EXPECT_EQ(stage_.downs[0].second.reason, ExitReason::killed());
}

TEST_F(ExitTest, AfterUnlinkNeitherEndHearsOfTheOther) {
  auto a = subject(), b = subject();
  trap(a);
  link(a, b);
  link(b, a);
  perform_now(b, [&](Context& ctx) { ctx.unlink(a); });
  runtime_.kill(b.id());
  settle();
  EXPECT_TRUE(stage_.exits.empty());
  EXPECT_FALSE(alive(b));
}

TEST_F(ExitTest, AnActorThatDoesNotHandleDownOrExitedIsToldSo) {
  auto deaf = *runtime_.spawn<Deaf>("", stage_);
  auto target = subject();
  perform_now(deaf, [&](Context& ctx) {
    EXPECT_EQ(ctx.monitor(target).error().domain(), "PLX-ACT-0024");
    EXPECT_EQ(ctx.trap_exits(true).error().domain(), "PLX-ACT-0024");
    EXPECT_TRUE(ctx.trap_exits(false));
    EXPECT_TRUE(ctx.link(target));
  });
  EXPECT_TRUE(alive(target));
}

TEST_F(ExitTest, WhatIsOfAnotherRuntimeIsRefused) {
  sim::World world(2);
  sim::SimExecutor executor(world, {});
  Runtime other(executor, types_);
  ASSERT_TRUE(other.start());
  auto far = *other.spawn<Subject>("", stage_, ActorRef<Subject>{});
  auto near = subject();
  perform_now(near, [&](Context& ctx) {
    EXPECT_EQ(ctx.monitor(far).error().domain(), "PLX-ACT-0027");
    EXPECT_EQ(ctx.link(far).error().domain(), "PLX-ACT-0027");
    EXPECT_EQ(ctx.exit(far, ExitReason::shutdown()).error().domain(), "PLX-ACT-0027");
    EXPECT_EQ(ctx.kill(far).error().domain(), "PLX-ACT-0027");
  });
  EXPECT_EQ(stage_.steps.size(), 1u);
  EXPECT_TRUE(alive(near));
}

// Is addressed by key.
struct Keyed : GenServer<Keyed, Perform, Down, Exited> {
  void handle(const Perform& m, Context& ctx) { stage->steps[m.step](ctx); }
  void handle(const Down&, Context&) {}
  void handle(const Exited&, Context&) {}
  static inline Stage* stage = nullptr;
};

TEST(KeyedExitTest, AnActorWithFacetsCanBeMonitoredButHasNoLinksAndMonitors) {
  Stage stage;
  Keyed::stage = &stage;
  sim::World world(5);
  sim::SimExecutor executor(world, {});
  Types types;
  types.add<Keyed>("keyed", {.facets = {{"empty", {}}}});
  Runtime runtime(executor, types);
  runtime.offer_facet("empty", {[](Activation&, const std::any&) { return std::make_unique<Facet>(); }, {}});
  ASSERT_TRUE(runtime.start());
  auto settle = [&] { executor.run_until([] { return false; }, 20'000); };
  auto plain = *runtime.spawn<Subject>("", stage, ActorRef<Subject>{});
  ActorRef<Keyed> self;
  int refused = 0;
  stage.steps.push_back([&](Context& ctx) {
    self = ctx.self<Keyed>();
    for (const Status& status : {ctx.link(plain), ctx.trap_exits(true), ctx.kill(plain)})
      refused += !status && status.error().domain() == "PLX-ACT-0026" ? 1 : 0;
    auto monitor = ctx.monitor(plain);
    refused += !monitor && monitor.error().domain() == "PLX-ACT-0026" ? 1 : 0;
  });
  stage.steps.push_back([&](Context& ctx) {
    EXPECT_TRUE(ctx.trap_exits(true));
    EXPECT_TRUE(ctx.monitor(self));
    EXPECT_TRUE(ctx.link(self));
  });
  ASSERT_TRUE(runtime.keyed<Keyed>("t", "n", "k").tell(Perform{0}));
  settle();
  EXPECT_EQ(refused, 4);
  ASSERT_TRUE(plain.tell(Perform{1}));
  settle();
  ASSERT_EQ(stage.exits.size(), 1u);  // the link is refused aloud
  EXPECT_EQ(stage.exits[0].second.reason.kind, ExitKind::kError);
  EXPECT_TRUE(stage.downs.empty());
  runtime.kill(self.id());
  settle();
  ASSERT_EQ(stage.downs.size(), 1u);
  EXPECT_EQ(stage.downs[0].second.reason, ExitReason::killed());
  EXPECT_EQ(stage.exits.size(), 1u);
}

TEST(ExitReasonTest, ALongTextIsCutAtACharacter) {
  std::string text(kExitTextBytesMax - 1, 'x');
  EXPECT_EQ(ExitReason::error(text + "\u00e9 and more").text, text);
  EXPECT_EQ(ExitReason::error(text + "yz").text, text + "y");
  EXPECT_EQ(ExitReason::error("short").text, "short");
}

class FullMailboxTest : public ExitTest {
 protected:
  FullMailboxTest() : ExitTest(4, {.mailbox_messages_max = 5}) {}
};

TEST_F(FullMailboxTest, SignalsWithoutALinkAreBoundedByTheMailboxAndWhatFollowsFromALinkOrMonitorIsNot) {
  auto trapping = subject(), sender = subject(), linked = subject();
  trap(trapping);
  link(trapping, linked);
  MonitorRef made = monitor(trapping, linked);
  std::string text(2 * kExitTextBytesMax, 'x');
  perform(sender, [&](Context& ctx) {
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(ctx.exit(trapping, {ExitKind::kError, text}));
    EXPECT_TRUE(ctx.kill(linked));
  });
  settle();
  std::size_t from_sender = 0;
  for (const auto& [who, exit] : stage_.exits) {
    if (exit.from != sender.id()) continue;
    ++from_sender;
    EXPECT_EQ(exit.reason.text.size(), kExitTextBytesMax);
  }
  EXPECT_EQ(from_sender, 5u);
  EXPECT_EQ(runtime_.stats().dead(DeadLetterReason::kMailboxFull), 15u);
  EXPECT_EQ(stage_.exits.size(), 6u);
  ASSERT_EQ(stage_.downs.size(), 1u);
  EXPECT_EQ(stage_.downs[0].second.monitor, made);
}

class ExitLimitsTest : public ExitTest {
 protected:
  ExitLimitsTest() : ExitTest(3, {.links_max = 3, .monitors_max = 4}) {}
};

TEST_F(ExitLimitsTest, MonitorsAreBoundedAndWatchersThatEndLeaveNothing) {
  auto target = subject();
  for (int i = 0; i < 50; ++i) {
    auto watcher = subject();
    monitor(watcher, target);
    runtime_.kill(watcher.id());
    settle();
  }
  auto keen = subject();
  for (int i = 0; i < 50; ++i) {
    MonitorRef made = monitor(keen, target);
    perform_now(keen, [&](Context& ctx) { ctx.demonitor(made); });
  }
  EXPECT_TRUE(stage_.downs.empty());  // nobody was refused: what was given up is gone at the target
  for (int i = 0; i < 4; ++i) monitor(keen, target);
  perform_now(keen, [&](Context& ctx) {
    auto refused = ctx.monitor(target);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::kResourceExhausted);
    EXPECT_EQ(refused.error().domain(), "PLX-ACT-0025");
  });
  EXPECT_TRUE(stage_.downs.empty());
  auto late = subject();
  MonitorRef made = monitor(late, target);  // the target has as many watchers as it may
  ASSERT_EQ(stage_.downs.size(), 1u);
  EXPECT_EQ(stage_.downs[0].second.monitor, made);
  EXPECT_EQ(stage_.downs[0].second.reason.kind, ExitKind::kError);
  runtime_.kill(target.id());
  settle();
  EXPECT_EQ(stage_.downs.size(), 1u + 4u);
}

TEST_F(ExitLimitsTest, LinksAreBoundedAtBothEnds) {
  auto center = subject();
  trap(center);
  std::vector<ActorRef<Subject>> others;
  for (int i = 0; i < 3; ++i) {
    others.push_back(subject());
    link(center, others.back());
  }
  auto late = subject();
  perform_now(center, [&](Context& ctx) {
    EXPECT_EQ(ctx.link(late).error().domain(), "PLX-ACT-0025");
    EXPECT_TRUE(ctx.link(others[0]));  // is linked already
  });
  trap(late);
  link(late, center);
  ASSERT_EQ(stage_.exits.size(), 1u);
  EXPECT_EQ(stage_.exits[0].first, late.id());
  EXPECT_EQ(stage_.exits[0].second.reason.kind, ExitKind::kError);
  perform_now(center, [&](Context& ctx) { ctx.unlink(others[0]); });
  link(late, center);
  runtime_.kill(late.id());
  settle();
  ASSERT_EQ(stage_.exits.size(), 2u);
  EXPECT_EQ(stage_.exits[1].second.from, late.id());
}

// ---- laws, in simulation under random seeds and forced moves -------------------------------------------------------

struct Simulated : ExitTest {
  // A batch of one turn lets the seed choose the worker of each turn.
  Simulated(std::uint64_t seed, std::size_t move_every)
      : ExitTest(seed, {.turns_per_batch = seed % 4 == 0 ? std::size_t{128} : 1, .move_every_turns = move_every}) {}
  void TestBody() override {}
  using ExitTest::perform, ExitTest::settle, ExitTest::subject, ExitTest::trap, ExitTest::stage_, ExitTest::runtime_,
      ExitTest::executor_, ExitTest::world_;
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(world_.random.below(n)); }
  void steps(std::size_t n) {
    executor_.run_until([] { return false; }, n);
  }
  void end(ActorRef<Subject> who) {
    switch (below(4)) {
      case 0:
        return runtime_.kill(who.id());
      case 1:
        return runtime_.stop(who.id());
      case 2:
        return perform(who, [](Context&) { throw std::runtime_error("on purpose"); });
      default:
        return perform(who, [](Context& ctx) { ctx.stop(); });
    }
  }
};

TEST(ExitSimulationTest, EachMonitorGetsExactlyOneDownUnlessItIsGivenUp) {  // INV-M8
  std::uint64_t moves = 0, downs_seen = 0;
  EXPECT_TRUE(rc::check([&] {
    auto seed = *rc::gen::arbitrary<std::uint64_t>();
    Simulated sim(seed, *rc::gen::inRange<std::size_t>(0, 5));
    std::vector<ActorRef<Subject>> watchers, targets;
    for (int i = 0; i < 4; ++i) watchers.push_back(sim.subject());
    for (int i = 0; i < 6; ++i) targets.push_back(sim.subject());
    struct Made {
      MonitorRef monitor;
      ActorId watcher;
      ActorId target;
      bool given_up = false;
      std::size_t downs_when_given_up = 0;
    };
    std::vector<Made> made;
    auto downs_of = [&](MonitorRef monitor) {
      return std::ranges::count_if(sim.stage_.downs, [&](const auto& d) { return d.second.monitor == monitor; });
    };
    for (int i = 0; i < 60; ++i) {
      auto watcher = watchers[sim.below(watchers.size())];
      auto target = targets[sim.below(targets.size())];
      switch (sim.below(8)) {
        case 0:
          sim.end(target);
          break;
        case 1:
          if (i > 30 && watchers.size() > 2) {
            sim.end(watchers.back());
            watchers.pop_back();
          }
          break;
        case 2:
        case 3:
          sim.perform(watcher, [&](Context& ctx) {
            for (Made& m : made)
              if (m.watcher == ctx.self_id() && !m.given_up) {
                ctx.demonitor(m.monitor);
                m.given_up = true;
                m.downs_when_given_up = static_cast<std::size_t>(downs_of(m.monitor));
                break;
              }
          });
          break;
        default:
          sim.perform(watcher, [&made, target](Context& ctx) {
            made.push_back({*ctx.monitor<Subject>(target), ctx.self_id(), target.id()});
          });
      }
      sim.steps(sim.below(6));
    }
    sim.settle();
    for (auto target : targets) sim.end(target);
    sim.settle();
    std::set<ActorId> alive;
    for (auto watcher : watchers) alive.insert(watcher.id());
    std::set<MonitorRef> ids;
    for (const Made& m : made) {
      RC_ASSERT(ids.insert(m.monitor).second);
      auto downs = static_cast<std::size_t>(downs_of(m.monitor));
      RC_ASSERT(downs <= 1u);
      if (m.given_up)
        RC_ASSERT(downs == m.downs_when_given_up);
      else if (alive.contains(m.watcher))
        RC_ASSERT(downs == 1u);
    }
    for (const auto& [who, down] : sim.stage_.downs) RC_ASSERT(ids.contains(down.monitor));
    moves += sim.runtime_.stats().migrations;
    downs_seen += sim.stage_.downs.size();
  }));
  EXPECT_GT(moves, 0u);
  EXPECT_GT(downs_seen, 0u);
}

// Two actors link and unlink at random, crossing each other. Whichever ends then, the other hears of it in both cases
// or in none: a link has two ends. And what was under way when one made a new link does not touch that.
TEST(ExitSimulationTest, ALinkHasTwoEndsOrNoneHoweverLinkAndUnlinkCross) {  // INV-M8
  std::size_t linked = 0, runs = 0;
  bool relinked = false;  // in the last turn
  auto run = [&relinked](std::uint64_t seed, std::size_t move_every, bool first_ends) {
    Simulated sim(seed, move_every);
    auto a = sim.subject(), b = sim.subject();
    sim.trap(a);
    sim.trap(b);
    for (int i = 0; i < 12; ++i) {
      bool of_a = sim.below(2) == 0;
      auto who = of_a ? a : b, other = of_a ? b : a;
      std::size_t kind = sim.below(4);
      sim.perform(who, [&relinked, other, kind](Context& ctx) {
        if (kind != 0) ctx.unlink(other);
        if (kind != 1) EXPECT_TRUE(ctx.link(other));
        relinked = kind > 1;
      });
      sim.steps(sim.below(4));
    }
    sim.settle();
    EXPECT_TRUE(sim.stage_.exits.empty());
    sim.runtime_.kill((first_ends ? a : b).id());
    sim.settle();
    return sim.stage_.exits.size();
  };
  EXPECT_TRUE(rc::check([&] {
    auto seed = *rc::gen::arbitrary<std::uint64_t>();
    auto move_every = *rc::gen::inRange<std::size_t>(0, 4);
    for (std::uint64_t part = 0; part < 8; ++part) {  // the crossing that matters is rare
      std::size_t heard = run(seed + part, move_every, true);
      RC_ASSERT(heard <= 1u);
      RC_ASSERT(run(seed + part, move_every, false) == heard);
      if (relinked) RC_ASSERT(heard == 1u);
      linked += heard;
      ++runs;
    }
  }));
  EXPECT_GT(linked, 0u);
  EXPECT_LT(linked, runs);
}

// A crowd of linked actors, some trapping, ends in random order while links are under way.
TEST(ExitSimulationTest, EachEndOfALinkGetsOneSignalAlsoWhenBothEndAtOnce) {  // INV-M8
  EXPECT_TRUE(rc::check([] {
    auto seed = *rc::gen::arbitrary<std::uint64_t>();
    Simulated sim(seed, *rc::gen::inRange<std::size_t>(0, 4));
    std::vector<ActorRef<Subject>> trapping, others;
    for (int i = 0; i < 4; ++i) {
      trapping.push_back(sim.subject());
      sim.trap(trapping.back());
      others.push_back(sim.subject());
    }
    std::set<std::pair<ActorId, ActorId>> surely;
    for (auto a : trapping)
      for (auto b : others) {
        // `b`'s own link may never come to its turn; `a`'s does, and is a link or noproc.
        if (sim.below(2) == 0) {
          sim.perform(a, [b](Context& ctx) { static_cast<void>(ctx.link(b)); });
          surely.insert({a.id(), b.id()});
        } else {
          sim.perform(b, [a](Context& ctx) { static_cast<void>(ctx.link(a)); });
        }
        if (sim.below(4) == 0) sim.end(b);
        sim.steps(sim.below(5));
      }
    for (auto b : others) sim.end(b);
    ActorId unsure;
    if (sim.below(2) == 0) {
      unsure = trapping.back().id();
      sim.end(trapping.back());
    }
    sim.settle();
    std::map<std::pair<ActorId, ActorId>, int> signals;
    for (const auto& [who, exit] : sim.stage_.exits) ++signals[{who, exit.from}];
    for (const auto& [pair, count] : signals) RC_ASSERT(count == 1);
    for (const auto& pair : surely)
      if (pair.first != unsure) RC_ASSERT(signals.contains(pair));
  }));
}

// ---- on real threads -----------------------------------------------------------------------------------------------

struct Watch {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
  bool give_up = false;
};
struct Boom {};
PLX_MESSAGE(Watch, (1, slot), (2, generation), (3, give_up));
PLX_MESSAGE(Boom);

class Mortal : public GenServer<Mortal, Boom, Note> {
 public:
  void handle(const Boom&, Context&) { throw std::runtime_error("on purpose"); }
  void handle(const Note&, Context&) {}
};

// Watches what it is told to, links to it, and counts.
class Guard : public GenServer<Guard, Watch, Down, Exited, Count> {
 public:
  void handle(const Watch& m, Context& ctx) {
    if (!trapping_) trapping_ = ctx.trap_exits<Guard>(true).has_value();
    ActorRef<Mortal> target(ctx.self<Guard>().node(), {m.slot, m.generation});
    target.tell(Note{});
    MonitorRef made = *ctx.monitor<Guard>(target);
    if (m.give_up) {
      ctx.demonitor(made);
    } else {
      open_.insert(made);
      static_cast<void>(ctx.link(target));
      linked_.insert(target.id());
    }
  }
  void handle(const Down& m, Context&) {
    if (open_.erase(m.monitor) == 1)
      ++downs_;
    else
      ++mistakes_;
  }
  void handle(const Exited& m, Context&) {
    if (linked_.erase(m.from) == 1)
      ++exits_;
    else
      ++mistakes_;
  }
  std::int64_t handle(const Count&, Context&) const { return mistakes_ > 0 ? -1 : downs_ + exits_; }

 private:
  bool trapping_ = false;
  std::set<MonitorRef> open_;
  std::set<ActorId> linked_;
  std::int64_t downs_ = 0, exits_ = 0, mistakes_ = 0;
};

TEST(ExitStressTest, EachMonitorAndLinkIsHeardOfOnceOnRealThreads) {  // INV-M8
  for (std::size_t move_every : {0u, 1u, 5u}) {
    env::PosixExecutor executor({.workers = 3});
    Types types;
    Runtime runtime(executor, types, {.move_every_turns = move_every});
    runtime.set_log([](const std::string&) {});
    ASSERT_TRUE(runtime.start());
    constexpr int kThreads = 3, kTargets = 300;
    std::vector<ActorRef<Guard>> guards;
    for (int i = 0; i < 3; ++i) guards.push_back(*runtime.spawn<Guard>(""));
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t)
      threads.emplace_back([&, t] {
        for (int i = 0; i < kTargets; ++i) {
          auto target = *runtime.spawn<Mortal>("");
          for (auto guard : guards) {
            guard.tell(Watch{target.id().slot, target.id().generation, false});
            guard.tell(Watch{target.id().slot, target.id().generation, true});
          }
          switch ((i + t) % 3) {
            case 0:
              runtime.kill(target.id());
              break;
            case 1:
              runtime.stop(target.id());
              break;
            default:
              target.tell(Boom{});
          }
        }
      });
    for (auto& thread : threads) thread.join();
    constexpr std::int64_t kExpected = 2 * kThreads * kTargets;  // a Down and an Exited of each target
    for (auto guard : guards) {
      std::int64_t counted = 0;
      for (int i = 0; i < 1'000'000 && counted >= 0 && counted < kExpected; ++i) counted = *guard.ask(Count{}, 30s);
      EXPECT_EQ(counted, kExpected);
    }
    EXPECT_EQ(runtime.stats().actors, guards.size());  // Exited comes after its actor has ended
    executor.stop();
  }
}

}  // namespace
}  // namespace plexspaces
