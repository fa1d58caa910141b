// Deadlines and timers go by the clock itself, whatever the turns before them have taken.
#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/actor/turn/blocking.hpp"
#include "plexspaces/behavior/gen_server.hpp"
#include "plexspaces/env/posix/executor.hpp"
#include "plexspaces/sim/executor.hpp"
#include "plexspaces/sim/world.hpp"

namespace plexspaces {
namespace {

struct Perform {
  std::uint64_t step = 0;
};
struct Ring {
  std::uint64_t number = 0;
};
struct Question {
  using Reply = std::uint64_t;
  std::uint64_t number = 0;
};
struct Unanswered {
  using Reply = std::uint64_t;
};
PLX_MESSAGE(Perform, (1, step));
PLX_MESSAGE(Ring, (1, number));
PLX_MESSAGE(Question, (1, number));
PLX_MESSAGE(Unanswered);

struct Stage {
  std::vector<std::function<Task<>(Context&)>> steps;
  std::vector<std::uint64_t> rings;
  std::function<void()> on_ring;
};

// Does as it is told; answers a question with its number, and never what is unanswered.
class Player : public GenServer<Player, Perform, Ring, Question, Unanswered, IdleTimeout> {
 public:
  explicit Player(Stage& stage) : stage_(stage) {}
  Task<> handle(const Perform& m, Context& ctx) { co_await stage_.steps[m.step](ctx); }
  void handle(const Ring& m, Context&) {
    stage_.rings.push_back(m.number);
    if (stage_.on_ring) stage_.on_ring();
  }
  std::uint64_t handle(const Question& m, Context&) { return m.number; }
  NoReply handle(const Unanswered&, Context& ctx) {
    kept_.push_back(ctx.defer<Unanswered>());
    return {};
  }
  void handle(const IdleTimeout&, Context&) {
    if (stage_.on_ring) stage_.on_ring();
  }

 private:
  Stage& stage_;
  std::vector<ReplyTo<Unanswered>> kept_;
};

constexpr Duration kTick = Duration(1 << 20);  // of the timer wheel

class ClockTest : public testing::Test {
 protected:
  // One actor runs in each batch, so that what is due comes before the next.
  explicit ClockTest(RuntimeOptions options = {.turns_per_batch = 1}, std::size_t workers = 1, std::uint64_t seed = 1)
      : world_(seed), executor_(world_, {.workers = workers}), runtime_(executor_, types_, std::move(options)) {
    EXPECT_TRUE(runtime_.start());
  }
  ActorRef<Player> spawn(SpawnOptions options = {}) { return *runtime_.spawn<Player>(std::move(options), stage_); }
  TimePoint clock() const { return world_.clock.now(); }
  void compute(Duration time) { world_.clock.advance(time); }
  // The actor begins with the step as soon as time passes.
  void begin(ActorRef<Player> actor, std::function<Task<>(Context&)> step) {
    stage_.steps.push_back(std::move(step));
    EXPECT_TRUE(actor.tell(Perform{stage_.steps.size() - 1}));
  }
  // As begin(); right before, in the same batch, another actor of the same worker has a long turn.
  static constexpr std::size_t kTurnsWithNeighbour = 3;  // in that batch: who tells both, the neighbour, the actor
  void begin_after_neighbour(ActorRef<Player> actor, std::function<Task<>(Context&)> step) {
    std::uint64_t first = stage_.steps.size();
    stage_.steps.push_back([&](Context&) -> Task<> {
      compute(50ms);
      co_return;
    });
    stage_.steps.push_back(std::move(step));
    ActorRef<Player> neighbour = spawn(), both = spawn();
    pass(1ms);  // all are there, and run in the order in which they are told
    begin(both, [first, actor, neighbour](Context&) -> Task<> {
      EXPECT_TRUE(neighbour.tell(Perform{first}));
      EXPECT_TRUE(actor.tell(Perform{first + 1}));
      co_return;
    });
  }
  void pass(Duration time) { EXPECT_TRUE(executor_.run_for(time, 1'000'000)); }

  Stage stage_;
  sim::World world_;
  sim::SimExecutor executor_;
  Types types_;
  Runtime runtime_;
};

// Waits that end by time alone: each with what it lasts.
struct TimedWait {
  const char* name;
  std::function<Task<>(Context&, ActorRef<Player> silent, ActorRef<Player> full, Duration within)> wait;
};

const TimedWait kWaits[] = {
    {"sleep", [](Context& ctx, auto, auto, Duration within) -> Task<> { co_await ctx.sleep(within); }},
    {"ask",
     [](Context& ctx, auto silent, auto, Duration within) -> Task<> {
       Unanswered question;
       auto answer = co_await ctx.ask(silent, question, within);
       EXPECT_EQ(answer.error().code(), Code::kDeadlineExceeded);
     }},
    {"ended",
     [](Context& ctx, auto silent, auto, Duration within) -> Task<> {
       auto end = co_await ctx.ended(silent, within);
       EXPECT_EQ(end.error().code(), Code::kDeadlineExceeded);
     }},
    {"send",
     [](Context& ctx, auto, auto full, Duration within) -> Task<> {
       Ring ring;
       auto sent = co_await ctx.send(full, ring, within);
       EXPECT_EQ(sent.error().code(), Code::kDeadlineExceeded);
     }},
};

class TimedWaitTest : public ClockTest, public testing::WithParamInterface<TimedWait> {
 protected:
  explicit TimedWaitTest(std::size_t turns_per_batch = 1) : ClockTest({.turns_per_batch = turns_per_batch}) {
    MailboxOptions one{.messages_max = 1, .overflow = Overflow::kBlock};
    full_ = spawn({.name = {}, .mailbox = one});
    begin(full_, [](Context& ctx) -> Task<> { co_await ctx.sleep(24h); });
    pass(1ms);
    EXPECT_TRUE(full_.tell(Ring{}));
  }

  ActorRef<Player> silent_ = spawn();
  ActorRef<Player> full_;
};

TEST_P(TimedWaitTest, LastsItsTimeAfterALongTurn) {
  std::optional<Duration> lasted;
  begin(spawn(), [&](Context& ctx) -> Task<> {
    compute(50ms);
    TimePoint began = clock();
    co_await GetParam().wait(ctx, silent_, full_, 30ms);
    lasted = clock() - began;
  });
  pass(1s);
  ASSERT_TRUE(lasted);
  EXPECT_GE(*lasted, 30ms);
  EXPECT_LE(*lasted, 30ms + kTick);
}

class NeighbourTest : public TimedWaitTest {
 protected:
  NeighbourTest() : TimedWaitTest(kTurnsWithNeighbour) {}
};

TEST_P(NeighbourTest, LastsItsTimeAfterANeighboursLongTurn) {
  std::optional<Duration> lasted;
  ActorRef<Player> innocent = spawn();
  begin_after_neighbour(innocent, [&](Context& ctx) -> Task<> {
    TimePoint began = clock();
    co_await GetParam().wait(ctx, silent_, full_, 30ms);
    lasted = clock() - began;
  });
  pass(1s);
  ASSERT_TRUE(lasted);
  EXPECT_GE(*lasted, 30ms);
  EXPECT_LE(*lasted, 30ms + kTick);
}

std::string name_of(const testing::TestParamInfo<TimedWait>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(Each, TimedWaitTest, testing::ValuesIn(kWaits), name_of);

INSTANTIATE_TEST_SUITE_P(Each, NeighbourTest, testing::ValuesIn(kWaits), name_of);

TEST_F(ClockTest, TimersComeNotBeforeTheirTimeAfterALongTurn) {
  std::vector<TimePoint> rang;
  TimePoint armed;
  stage_.on_ring = [&] { rang.push_back(clock()); };
  begin(spawn(), [&](Context& ctx) -> Task<> {
    compute(50ms);
    armed = clock();
    EXPECT_TRUE(ctx.send_after<Player>(30ms, Ring{1}));
    EXPECT_TRUE(ctx.send_every<Player>(40ms, Ring{2}));
    compute(10ms);
    co_return;
  });
  pass(120ms);
  ASSERT_EQ(rang.size(), 2u);
  EXPECT_GE(rang[0], armed + 30ms);
  EXPECT_LE(rang[0], armed + 30ms + kTick);
  EXPECT_GE(rang[1], armed + 40ms);
  EXPECT_LE(rang[1], armed + 40ms + kTick);
}

TEST_F(ClockTest, AnIdleTimeoutCountsFromTheEndOfALongTurn) {
  std::vector<TimePoint> told;
  stage_.on_ring = [&] { told.push_back(clock()); };
  auto player = spawn();
  begin(player, [&](Context& ctx) -> Task<> {
    compute(50ms);
    EXPECT_TRUE(ctx.idle_timeout<Player>(30ms));
    co_return;
  });
  pass(10ms);
  TimePoint ended;
  begin(player, [&](Context&) -> Task<> {
    compute(50ms);
    ended = clock();
    co_return;
  });
  pass(200ms);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_GE(told[0], ended + 30ms);
  EXPECT_LE(told[0], ended + 30ms + kTick);
}

TEST_F(ClockTest, AnIdleActorIsAskedWithLessTimeThanTheTurnHasTaken) {
  auto idle = spawn();
  std::optional<Result<std::uint64_t>> answer;
  begin(spawn(), [&](Context& ctx) -> Task<> {
    compute(50ms);
    Question question{7};
    answer = co_await ctx.ask(idle, question, 30ms);
  });
  pass(1s);
  EXPECT_EQ(answer, 7u);
  EXPECT_EQ(runtime_.stats().dead(DeadLetterReason::kExpired), 0u);
}

class NeighbourClockTest : public ClockTest {
 protected:
  NeighbourClockTest() : ClockTest({.turns_per_batch = kTurnsWithNeighbour}) {}
};

TEST_F(NeighbourClockTest, AnInnocentActorAsksRightAfterANeighboursLongTurn) {
  ActorRef<Player> innocent = spawn(), idle = spawn();
  std::optional<Result<std::uint64_t>> answer;
  begin_after_neighbour(innocent, [&](Context& ctx) -> Task<> {
    Question question{7};
    answer = co_await ctx.ask(idle, question, 20ms);
  });
  pass(1s);
  EXPECT_EQ(answer, 7u);
  EXPECT_EQ(runtime_.stats().dead(DeadLetterReason::kExpired), 0u);
}

TEST_F(ClockTest, ATimeToLiveCountsFromTheTell) {
  auto player = spawn();
  begin(spawn(), [&](Context&) -> Task<> {
    compute(50ms);
    EXPECT_TRUE(player.tell(Ring{1}, Ttl{30ms}));
    co_return;
  });
  pass(1s);
  EXPECT_EQ(stage_.rings, (std::vector<std::uint64_t>{1}));
}

class OneBatchClockTest : public ClockTest {
 protected:
  OneBatchClockTest() : ClockTest({.batch_time_max = 1h}) {}
};

// The asks of a chain get their time at one look at the clock: what is asked on gets no more than is left above it.
TEST_F(OneBatchClockTest, AnAskThatIsAskedOnHasAtMostTheTimeOfTheOneAboveIt) {
  struct Relay : GenServer<Relay, Question> {
    explicit Relay(std::function<Task<>(Context&)> step) : step_(std::move(step)) {}
    Task<Result<std::uint64_t>> handle(const Question& m, Context& ctx) {
      std::uint64_t number = m.number;
      co_await step_(ctx);
      co_return number;
    }
    std::function<Task<>(Context&)> step_;
  };
  auto silent = spawn();
  std::optional<Duration> below;
  auto relay = *runtime_.spawn<Relay>("", [&](Context& ctx) -> Task<> {
    TimePoint began = clock();
    Unanswered question;
    auto none = co_await ctx.ask(silent, question, 1h);
    EXPECT_FALSE(none);
    below = clock() - began;
  });
  begin(spawn(), [&](Context& ctx) -> Task<> {
    compute(50ms);
    Question question{1};
    auto none = co_await ctx.ask(relay, question, 30ms);
    EXPECT_EQ(none.error().code(), Code::kDeadlineExceeded);
  });
  pass(1s);
  ASSERT_TRUE(below);
  EXPECT_GE(*below, 30ms);
  EXPECT_LE(*below, 30ms + kTick);
}

TEST_F(ClockTest, TheTurnsClockStandsStillAndTheOtherGoesOn) {
  begin(spawn(), [&](Context& ctx) -> Task<> {
    TimePoint turn = ctx.now();
    EXPECT_EQ(ctx.clock(), turn);
    compute(50ms);
    EXPECT_EQ(ctx.now(), turn);
    EXPECT_EQ(ctx.clock(), turn + 50ms);
    co_return;
  });
  pass(1s);
}

// ---- at once -------------------------------------------------------------------------------------------------------

TEST_F(ClockTest, ATimerOfNoTimeComesInTheNextBatchAndNotAtTheNextTick) {
  TimePoint armed, rang, slept;
  stage_.on_ring = [&] { rang = clock(); };
  begin(spawn(), [&](Context& ctx) -> Task<> {
    armed = clock();
    EXPECT_TRUE(ctx.send_after<Player>(0s, Ring{1}));
    co_await ctx.sleep(0s);
    slept = clock();
  });
  pass(1s);
  EXPECT_EQ(stage_.rings.size(), 1u);
  EXPECT_LT(rang, armed + kTick / 8);
  EXPECT_LT(slept, armed + kTick / 8);
}

// ---- any length of time --------------------------------------------------------------------------------------------

TEST_F(ClockTest, WaitsInAnActorTakeAnyDuration) {
  ActorRef<Player> silent = spawn(), mortal = spawn(), sleeper = spawn();
  int done = 0;
  bool woke = false;
  begin(sleeper, [&](Context& ctx) -> Task<> {
    co_await ctx.sleep(Duration::max());
    woke = true;
  });
  begin(spawn(), [&](Context& ctx) -> Task<> {
    Question question{5};
    auto answer = co_await ctx.ask(silent, question, Duration::max());
    EXPECT_EQ(answer, 5u);
    Ring ring{1};
    auto sent = co_await ctx.send(silent, ring, Duration::max());
    EXPECT_TRUE(sent);
    EXPECT_TRUE(silent.tell(Ring{2}, Ttl{Duration::max()}));
    EXPECT_TRUE(silent.tell(Ring{3}, Ttl{Duration::min()}));  // expired
    auto one = co_await ctx.blocking([] { return 1; }, Duration::max());
    EXPECT_EQ(one, 1);
    EXPECT_EQ(ctx.send_after<Player>(Duration::max(), Ring{4}).error().code(), Code::kInvalidArgument);
    EXPECT_EQ(ctx.send_every<Player>(Duration::max(), Ring{4}).error().code(), Code::kInvalidArgument);
    EXPECT_EQ(ctx.send_every<Player>(Duration::min(), Ring{4}).error().code(), Code::kInvalidArgument);
    EXPECT_EQ(ctx.idle_timeout<Player>(Duration::max()).error().code(), Code::kInvalidArgument);
    EXPECT_TRUE(ctx.idle_timeout<Player>(Duration::min()));
    Unanswered unanswered;
    auto none = co_await ctx.ask(silent, unanswered, Duration::min());
    EXPECT_EQ(none.error().code(), Code::kDeadlineExceeded);
    auto lives = co_await ctx.ended(silent, Duration::min());
    EXPECT_EQ(lives.error().code(), Code::kDeadlineExceeded);
    co_await ctx.sleep(Duration::min());
    ++done;
    auto end = co_await ctx.ended(mortal, Duration::max());
    EXPECT_TRUE(end);
    ++done;
  });
  pass(24h * 36'500);
  EXPECT_EQ(done, 1);
  EXPECT_FALSE(woke);
  EXPECT_EQ(stage_.rings, (std::vector<std::uint64_t>{1, 2}));
  runtime_.stop(mortal.id());
  pass(1s);
  EXPECT_EQ(done, 2);
  EXPECT_TRUE(executor_.run_for(Duration::max(), 1'000));
}

TEST(ClockThreadTest, WaitsOfAThreadTakeAnyDuration) {
  Stage stage;
  env::PosixExecutor executor({.workers = 1});
  Types types;
  Runtime runtime(executor, types);
  ASSERT_TRUE(runtime.start());
  auto player = *runtime.spawn<Player>("", stage);
  EXPECT_EQ(player.ask(Question{7}, Duration::max()), 7u);
  EXPECT_EQ(player.ask(Unanswered{}, Duration::min()).error().code(), Code::kDeadlineExceeded);
  EXPECT_TRUE(player.tell(Ring{1}, Ttl{Duration::max()}));
  EXPECT_TRUE(player.send(Ring{2}, Duration::max()));
  EXPECT_TRUE(player.send(Ring{3}, Duration::min()));
  EXPECT_EQ(player.ask(Question{8}, Duration::max()), 8u);
  executor.stop();
  EXPECT_EQ(stage.rings, (std::vector<std::uint64_t>{1, 2, 3}));
}

TEST(ClockThreadTest, AThreadWaitsForRoomHoweverLong) {
  Stage stage;
  env::PosixExecutor executor({.workers = 1});
  Types types;
  Runtime runtime(executor, types);
  ASSERT_TRUE(runtime.start());
  MailboxOptions one{.messages_max = 1, .overflow = Overflow::kBlock};
  auto full = *runtime.spawn<Player>(SpawnOptions{.name = {}, .mailbox = one}, stage);
  std::atomic<bool> waits{false}, go{false};
  stage.steps.push_back([&](Context&) -> Task<> {
    waits = true;
    while (!go) std::this_thread::yield();
    co_return;
  });
  ASSERT_TRUE(full.tell(Perform{0}));
  while (!waits) std::this_thread::yield();
  ASSERT_TRUE(full.tell(Ring{1}));
  EXPECT_EQ(full.send(Ring{2}, Duration::min()).error().code(), Code::kDeadlineExceeded);
  std::uint64_t before = runtime.mailbox_size(full.id()).messages;
  std::thread opener([&] {
    // The actor goes on once the offer of the sender is on its way.
    while (runtime.mailbox_size(full.id()).messages == before) std::this_thread::yield();
    go = true;
  });
  EXPECT_TRUE(full.send(Ring{3}, Duration::max()));
  opener.join();
  executor.stop();
}

// ---- any order of all that -----------------------------------------------------------------------------------------

// Relays a question with a time of its own, and carries by when each asker stops waiting.
struct Errand {
  using Reply = std::uint64_t;
  std::uint64_t seed = 0;
  std::uint64_t depth = 0;
  std::int64_t due_ns = 0;
};
PLX_MESSAGE(Errand, (1, seed), (2, depth), (3, due_ns));

struct Crowd {
  sim::World* world;
  std::vector<ActorRef<class Member>> members;
  std::string early;  // what has come before its time

  TimePoint clock() const { return world->clock.now(); }
  std::uint64_t below(std::uint64_t n) const { return world->random.below(n); }
  void check(const char* what, TimePoint due) {
    if (clock() < due) early = fmt::format("{} came {} ns early", what, (due - clock()).count());
  }
};

class Member : public GenServer<Member, Errand, Ring> {
 public:
  Member(Crowd& crowd, std::size_t number) : crowd_(crowd), number_(number) {}

  Task<Result<std::uint64_t>> handle(const Errand& m, Context& ctx) {
    TimePoint above(Duration(m.due_ns));
    std::uint64_t depth = m.depth;
    std::uint64_t turns = crowd_.below(3);
    for (std::uint64_t i = 0; i < turns; ++i) {
      work();
      Duration within(static_cast<Duration::rep>(crowd_.below(40'000'000)));
      TimePoint due = crowd_.clock() + within;
      switch (crowd_.below(4)) {
        case 0:
          co_await ctx.sleep(within);
          crowd_.check("the end of a sleep", due);
          break;
        case 1: {
          EXPECT_TRUE(ctx.send_after<Member>(within, Ring{static_cast<std::uint64_t>(due.time_since_epoch().count())}));
          break;
        }
        default: {
          if (depth == 0) break;
          // Only to those behind it, so that no circle is closed.
          std::size_t to = number_ + 1 + crowd_.below(4);
          if (to >= crowd_.members.size()) break;
          due = std::min(due, above);
          Errand errand{0, depth - 1, due.time_since_epoch().count()};
          auto answer = co_await ctx.ask(crowd_.members[to], errand, within);
          if (!answer && answer.error().code() == Code::kDeadlineExceeded) crowd_.check("the end of an ask", due);
        }
      }
      work();
    }
    co_return 1u;
  }
  void handle(const Ring& m, Context&) {
    crowd_.check("a timer", TimePoint(Duration(static_cast<Duration::rep>(m.number))));
    work();
  }

 private:
  void work() {
    if (crowd_.below(4) == 0) crowd_.world->clock.advance(Duration(crowd_.below(60'000'000)));
  }

  Crowd& crowd_;
  std::size_t number_;
};

TEST(ClockSimulationTest, NothingComesBeforeItsTimeWhateverRanBefore) {
  EXPECT_TRUE(rc::check([](std::uint64_t seed, bool moves) {
    sim::World world(seed);
    sim::SimExecutor executor(world, {.workers = 1 + world.random.below(3)});
    Types types;
    Runtime runtime(
        executor, types,
        {.turns_per_batch = 1 + static_cast<std::size_t>(world.random.below(8)), .move_every_turns = moves ? 3u : 0u});
    RC_ASSERT(runtime.start().has_value());
    Crowd crowd{&world, {}, {}};
    for (std::size_t i = 0; i < 12; ++i) crowd.members.push_back(*runtime.spawn<Member>("", crowd, i));
    for (std::size_t i = 0; i < 40; ++i) {
      auto errand = Errand{i, 4, kNever.time_since_epoch().count()};
      crowd.members[world.random.below(12)].tell(errand);
      if (i % 8 == 0) executor.run_until([] { return false; }, 50);
    }
    executor.run_until([] { return false; }, 100'000);
    RC_ASSERT(crowd.early == "");
  }));
}

}  // namespace
}  // namespace plexspaces
