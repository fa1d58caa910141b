// Who gets the worker, for how long, and what happens to those that hold it.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <fstream>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/actor/simulated_node_fixture.hpp"
#include "plexspaces/behavior/gen_server.hpp"
#include "plexspaces/env/posix/executor.hpp"
#include "plexspaces/sim/executor.hpp"
#include "plexspaces/sim/world.hpp"

namespace plexspaces {
namespace {

struct Go {
  using Reply = std::int64_t;
};
struct Tick {};
struct Get {
  using Reply = std::int64_t;
};
struct ThrowNumber {
  using Reply = std::int64_t;
};
PLX_MESSAGE(Go);
PLX_MESSAGE(Tick);
PLX_MESSAGE(Get);
PLX_MESSAGE(ThrowNumber);

// ---- the watchdog --------------------------------------------------------------------------------------------------

// Computes for so long, in steps; the watch looks after each.
class Slow : public GenServer<Slow, Go, Tick> {
 public:
  Slow(SimulatedNode* node, Duration step, int steps) : node_(node), step_(step), steps_(steps) {}
  std::int64_t handle(const Go&, Context&) {
    compute();
    return 1;
  }
  Task<> handle(const Tick&, Context& ctx) {
    compute();
    co_await ctx.sleep(1h);
    compute();
  }

 private:
  void compute() {
    node_->executor.look();
    for (int i = 0; i < steps_; ++i) {
      node_->world.clock.advance(step_);
      node_->executor.look();
    }
  }
  SimulatedNode* node_;
  Duration step_;
  int steps_;
};

TEST(WatchdogSimulationTest, AHandlerThatHoldsItsWorkerIsNamedAtDoublingTimesAndWhenItHasEnded) {
  SimulatedNode node({.slow_handler_after = 100ms});
  auto slow = node.runtime.spawn<Slow>("sieve", &node, Duration(25ms), 40);
  auto done = node.ask(*slow, Go{});
  node.run();
  node.executor.look();
  EXPECT_EQ(**done, 1);
  std::vector<std::string> lines = node.lines.take();
  ASSERT_EQ(lines.size(), 5u);
  const char* times[] = {"100 ms", "200 ms", "400 ms", "800 ms"};
  for (int i = 0; i < 4; ++i) {
    EXPECT_NE(lines[i].find("worker 0 is held for " + std::string(times[i])), std::string::npos) << lines[i];
    EXPECT_NE(lines[i].find("Slow sieve@node1 handling Go"), std::string::npos) << lines[i];
  }
  EXPECT_NE(lines[4].find("worker 0 goes on after 1000 ms in"), std::string::npos) << lines[4];
  EXPECT_NE(lines[4].find("Slow sieve@node1 handling Go"), std::string::npos) << lines[4];
  EXPECT_EQ(node.runtime.stats().slow_handlers, 1u);
  EXPECT_EQ(node.runtime.stats().slowest_handler, 1s);
}

TEST(WatchdogSimulationTest, ShortTurnsInARowAreNotASlowOne) {
  SimulatedNode node({.slow_handler_after = 100ms});
  auto slow = node.runtime.spawn<Slow>("", &node, Duration(90ms), 1);
  for (int i = 0; i < 50; ++i) node.ask(*slow, Go{});
  node.run();
  node.executor.look();
  EXPECT_EQ(node.lines.take(), std::vector<std::string>());
  EXPECT_EQ(node.runtime.stats().slow_handlers, 0u);
}

TEST(WatchdogSimulationTest, ATurnThatWaitsIsHeldOnlyWhileItRuns) {
  SimulatedNode node({.slow_handler_after = 100ms});
  auto patient = node.runtime.spawn<Slow>("", &node, Duration(30ms), 2);
  ASSERT_TRUE(patient->tell(Tick{}));
  node.run();
  EXPECT_EQ(node.lines.take(), std::vector<std::string>()) << "60 ms, an hour's sleep, 60 ms";
  auto slow = node.runtime.spawn<Slow>("", &node, Duration(30ms), 4);
  ASSERT_TRUE(slow->tell(Tick{}));
  node.run();
  node.executor.look();
  std::vector<std::string> lines = node.lines.take();
  EXPECT_EQ(lines.size(), 4u) << "before the sleep and after it";
  for (const std::string& line : lines) EXPECT_NE(line.find("handling Tick"), std::string::npos) << line;
  EXPECT_EQ(node.runtime.stats().slow_handlers, 2u);
}

// Blocks its worker until it is let go.
class Blocker : public GenServer<Blocker, Tick> {
 public:
  Blocker(std::promise<void>* entered, std::shared_future<void> go) : entered_(entered), go_(std::move(go)) {}
  void handle(const Tick&, Context&) {
    entered_->set_value();
    go_.wait();
  }

 private:
  std::promise<void>* entered_;
  std::shared_future<void> go_;
};

TEST(WatchdogTest, AHandlerThatNeverReturnsIsNamedWhileItIsHeld) {
  env::PosixExecutor executor({.workers = 1});
  Types types;
  Runtime runtime(executor, types, {.slow_handler_after = 8ms});
  std::promise<void> entered, go, named, free_again;
  std::atomic<int> lines{0};
  runtime.set_log([&](const std::string& line) {
    if (line.find("Blocker stuck@node1 handling Tick") == std::string::npos) return;
    if (line.find("is held for") != std::string::npos && lines++ == 0) named.set_value();
    if (line.find("goes on after") != std::string::npos) free_again.set_value();
  });
  ASSERT_TRUE(runtime.start());
  auto blocker = runtime.spawn<Blocker>("stuck", &entered, go.get_future().share());
  ASSERT_TRUE(blocker->tell(Tick{}));
  entered.get_future().wait();
  named.get_future().wait();  // the worker is still held
  EXPECT_EQ(runtime.stats().slow_handlers, 1u);
  go.set_value();
  free_again.get_future().wait();
  EXPECT_GE(runtime.stats().slowest_handler, 8ms);
  executor.stop();
}

// ---- blocking work -------------------------------------------------------------------------------------------------

struct Twice {
  using Reply = std::string;
  std::string text;
};
PLX_MESSAGE(Twice, (1, text));

class Library : public GenServer<Library, Go, Twice, ThrowNumber, Tick, Get> {
 public:
  explicit Library(
      Duration within = Duration::max(), std::function<void()> work = [] {})
      : within_(within), work_(std::move(work)) {}
  // Two calls after one another, each with the answer to itself.
  Task<Result<std::int64_t>> handle(const Go&, Context& ctx) {
    std::int64_t number = ++calls_;
    auto work = [number, body = work_] {
      body();
      return number;
    };
    Result<std::int64_t> first = co_await ctx.blocking(work, within_);
    if (first && *first != number) co_return -1;
    std::int64_t next = ++calls_;
    auto more = [next] { return next; };
    Result<std::int64_t> second = co_await ctx.blocking(more);
    if (!second || *second != next) co_return -2;
    if (!first) co_return std::unexpected(first.error());
    co_return number;
  }
  Task<Result<std::string>> handle(const Twice& m, Context& ctx) {
    auto twice = [text = m.text]() -> Result<std::string> {
      if (text.empty()) return fail(Code::kInvalidArgument, "nothing to double");
      return text + text;
    };
    Result<std::string> result = co_await ctx.blocking(twice);
    co_return result;
  }
  Task<Result<std::int64_t>> handle(const ThrowNumber&, Context& ctx) {
    auto thrower = [] { throw 7; };
    Status thrown = co_await ctx.blocking(thrower);
    auto worse = [] { throw std::runtime_error("the disk is wet"); };
    Status described = co_await ctx.blocking(worse);
    if (thrown || thrown.error().code() != Code::kInternal) co_return -1;
    co_return std::unexpected(described.error());
  }
  Task<> handle(const Tick&, Context& ctx) {
    Status done = co_await ctx.blocking(work_);
    calls_ += done ? 1 : 1'000;
  }
  std::int64_t handle(const Get&, Context&) const { return calls_; }

 private:
  Duration within_;
  std::function<void()> work_;
  std::int64_t calls_ = 0;
};

// docs-snippet: blocking
struct Weigh {
  using Reply = std::int64_t;  // bytes
  std::string path;
};
PLX_MESSAGE(Weigh, (1, path));

class Scales : public GenServer<Scales, Weigh> {
 public:
  Task<Result<std::int64_t>> handle(const Weigh& m, Context& ctx) {
    auto weigh = [path = m.path]() -> Result<std::int64_t> {
      std::ifstream file(path, std::ios::binary | std::ios::ate);
      if (!file) return fail(Code::kNotFound, "no file " + path);
      return static_cast<std::int64_t>(file.tellg());
    };
    Result<std::int64_t> bytes = co_await ctx.blocking(weigh);  // other actors of this worker run meanwhile
    co_return bytes;
  }
};
// docs-snippet-end

TEST(BlockingTest, AHandlerReadsAFileWithoutHoldingItsWorker) {
  SimulatedNode node;
  auto scales = node.runtime.spawn<Scales>("");
  std::string path = testing::TempDir() + "weighed-by-an-actor";
  std::ofstream(path) << "twelve bytes";
  auto weight = node.ask(*scales, Weigh{path});
  auto nothing = node.ask(*scales, Weigh{path + "-not-there"});
  node.run();
  std::remove(path.c_str());
  EXPECT_EQ(***weight, 12);
  EXPECT_EQ((*nothing)->error().code(), Code::kNotFound);
}

TEST(BlockingTest, TheWorkerGoesOnWhileAnActorWaitsForWhatBlocks) {
  env::PosixExecutor executor({.workers = 1});
  Types types;
  Runtime runtime(executor, types);
  ASSERT_TRUE(runtime.start());
  std::promise<void> go;
  auto waiting = runtime.spawn<Library>("", Duration::max(), [f = go.get_future().share()] { f.wait(); });
  auto other = runtime.spawn<Library>("");
  ASSERT_TRUE(waiting->tell(Tick{}));
  EXPECT_EQ(other->ask(Twice{"ab"}, 60s), "abab") << "on the same worker";
  EXPECT_EQ(other->ask(Twice{""}, 60s).error().code(), Code::kInvalidArgument);
  go.set_value();
  EXPECT_EQ(waiting->ask(Get{}, 60s), 1);
  EXPECT_EQ(waiting->ask(Go{}, 60s), 2);
  executor.stop();
}

TEST(BlockingTest, WhatThrowsIsAnErrorOfTheWaitAndTheActorGoesOn) {
  SimulatedNode node;
  auto library = node.runtime.spawn<Library>("");
  auto answer = node.ask(*library, ThrowNumber{});
  node.run();
  ASSERT_TRUE(*answer);
  EXPECT_EQ((*answer)->error().code(), Code::kInternal);
  EXPECT_EQ((*answer)->error().message(), "the blocking call threw: the disk is wet");
  auto again = node.ask(*library, Go{});
  node.run();
  EXPECT_EQ(**again, 1);
  EXPECT_EQ(node.runtime.stats().crashes, 0u);
}

TEST(BlockingTest, TooManyBlockingCallsAreRefusedToTheCaller) {  // INV-M3
  SimulatedNode node({}, {.workers = 1, .blocking_queue_max = 3});
  std::vector<ActorRef<Library>> libraries;
  for (int i = 0; i < 5; ++i) libraries.push_back(*node.runtime.spawn<Library>(""));
  for (auto& library : libraries) ASSERT_TRUE(library.tell(Tick{}));
  // The worker runs first: its batch has all five.
  node.run();
  std::int64_t total = 0;
  for (auto& library : libraries) {
    auto count = node.ask(library, Get{});
    node.run();
    total += ***count;
  }
  EXPECT_EQ(total % 1'000 + total / 1'000, 5) << "each has its answer";
}

// A call that outlives its wait must not answer the next one.
TEST(BlockingSimulationTest, AResultThatComesTooLateReachesNoOtherWait_INV_M2) {
  std::uint64_t late = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SimulatedNode node({}, {.workers = 2, .step_time_max = 2ms}, seed);
    std::vector<std::shared_ptr<std::optional<Result<std::int64_t>>>> answers;
    for (int i = 0; i < 4; ++i) {
      auto library = node.runtime.spawn<Library>("", Duration(1ms));
      for (int k = 0; k < 3; ++k) answers.push_back(node.ask(*library, Go{}));
    }
    node.run();
    for (const auto& answer : answers) {
      ASSERT_TRUE(*answer) << "seed " << seed;
      const Result<std::int64_t>& result = **answer;
      if (result)
        EXPECT_GT(*result, 0) << "seed " << seed << ": the result of another call";
      else
        EXPECT_EQ(result.error().code(), Code::kDeadlineExceeded) << "seed " << seed;
    }
    late += node.runtime.stats().dead(DeadLetterReason::kLateReply);
  }
  EXPECT_GT(late, 100u) << "otherwise nothing came late";
}

TEST(BlockingSimulationTest, TheResultForAnActorThatWasKilledIsDropped) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SimulatedNode node({}, {.workers = 2}, seed);
    auto ran = std::make_shared<int>(0);
    auto library = node.runtime.spawn<Library>("", Duration::max(), [ran] { ++*ran; });
    auto answer = node.ask(*library, Go{});
    node.executor.run_until([&] { return node.executor.blocking_jobs() == 1; }, 1'000);
    ASSERT_EQ(node.executor.blocking_jobs(), 1u);
    node.runtime.kill(library->id());
    node.run();
    EXPECT_EQ(*ran, 1) << "it was begun, or was to be";
    ASSERT_TRUE(*answer);
    // Either it was quick enough for the first of the two calls, or not; the asker is told in any case.
    EXPECT_EQ((*answer)->error().code(), Code::kNotFound);
    EXPECT_EQ(node.runtime.stats().actors, 0u);
    EXPECT_EQ(ran.use_count(), 1) << "what the call held is gone";
  }
}

// Real threads: calls that end while their actors are killed.
TEST(BlockingStressTest, CallsEndWhileTheirActorsAreKilled) {
  env::PosixExecutor executor({.workers = 2, .blocking_threads = 3});
  Types types;
  Runtime runtime(executor, types);
  ASSERT_TRUE(runtime.start());
  std::atomic<int> ran{0};
  for (int i = 0; i < 300; ++i) {
    auto doomed = runtime.spawn<Library>("", Duration::max(), [&] { ++ran; });
    auto other = runtime.spawn<Library>("", Duration(1us), [&] { ++ran; });
    ASSERT_TRUE(doomed->tell(Tick{}));
    ASSERT_TRUE(doomed->tell(Go{}));
    if (i % 2 == 0) runtime.kill(doomed->id());
    auto answer = other->ask(Go{}, 60s);
    EXPECT_TRUE(answer ? *answer > 0 : answer.error().code() == Code::kDeadlineExceeded);
    runtime.stop(doomed->id());
    runtime.stop(other->id());
  }
  executor.stop();
  EXPECT_GE(ran, 300);
}

// ---- fairness ------------------------------------------------------------------------------------------------------

// A message that knows when it was sent.
struct Ball {
  std::uint64_t turn = 0;
  std::int64_t time = 0;
};
PLX_MESSAGE(Ball, (1, turn), (2, time));

// What happens in a world of actors, in turns and in virtual time.
struct Clocks {
  std::uint64_t turns = 0;
  sim::SimClock* clock = nullptr;
  std::uint64_t busy_turns_left = 100'000;
  std::uint64_t others_turns = 0;
  std::uint64_t wait_turns_max = 0;  // of the others, from the send to the turn
  Duration wait_max{};
  Duration wait_wanted = Duration::max();
  std::uint64_t longer_waits = 0;
  Ball ball() const { return {turns, clock->now().time_since_epoch().count()}; }
};

// Always has messages.
class Busy : public GenServer<Busy, Tick> {
 public:
  Busy(Clocks* clocks, Duration cost) : clocks_(clocks), cost_(cost) {}
  void handle(const Tick&, Context& ctx) {
    ++clocks_->turns;
    clocks_->clock->advance(cost_);
    if (clocks_->busy_turns_left == 0) return;
    --clocks_->busy_turns_left;
    ctx.self<Busy>().tell(Tick{});
  }

 private:
  Clocks* clocks_;
  Duration cost_;
};

struct Introduce {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
};
PLX_MESSAGE(Introduce, (1, slot), (2, generation));

// Plays a ball to and fro with a partner: one of the two always wants a turn.
class Pair : public GenServer<Pair, Introduce, Ball> {
 public:
  explicit Pair(Clocks* clocks) : clocks_(clocks) {}
  void handle(const Introduce& m, Context& ctx) {
    partner_ = ActorRef<Pair>(ctx.runtime().node_id(), {m.slot, m.generation});
  }
  void handle(const Ball& ball, Context&) {
    clocks_->wait_turns_max = std::max(clocks_->wait_turns_max, clocks_->turns - ball.turn);
    Duration wait = clocks_->clock->now() - TimePoint(Duration(ball.time));
    clocks_->wait_max = std::max(clocks_->wait_max, wait);
    clocks_->longer_waits += wait > clocks_->wait_wanted ? 1 : 0;
    ++clocks_->turns;
    ++clocks_->others_turns;
    if (clocks_->busy_turns_left > 0) partner_.tell(clocks_->ball());
  }

 private:
  Clocks* clocks_;
  ActorRef<Pair> partner_;
};

// 500 pairs, of which 500 actors always want a turn, and one that never has enough; all on one worker.
Clocks play(RuntimeOptions options, Duration busy_cost, Duration wait_wanted = Duration::max()) {
  SimulatedNode node(std::move(options), {.workers = 1, .step_time_max = Duration::zero()});
  // Of costly turns each lets the others run, so a few are many turns.
  std::uint64_t busy_turns = busy_cost >= 10us ? 4'000 : 100'000;
  Clocks clocks{.clock = &node.world.clock, .busy_turns_left = busy_turns, .wait_wanted = wait_wanted};
  std::vector<ActorRef<Pair>> players;
  for (int i = 0; i < 1'000; ++i) players.push_back(*node.runtime.spawn<Pair>("", &clocks));
  for (std::size_t i = 0; i < players.size(); ++i) {
    ActorId partner = players[i ^ 1].id();
    EXPECT_TRUE(players[i].tell(Introduce{partner.slot, partner.generation}));
  }
  node.run();
  auto busy = node.runtime.spawn<Busy>("", &clocks, busy_cost);
  EXPECT_TRUE(busy->tell(Tick{}));
  for (std::size_t i = 0; i < players.size(); i += 2) EXPECT_TRUE(players[i].tell(clocks.ball()));
  node.executor.run_until([&] { return clocks.busy_turns_left == 0; }, 10'000'000);
  EXPECT_EQ(clocks.busy_turns_left, 0u);
  EXPECT_GT(clocks.others_turns, 1'000u);
  return clocks;
}

TEST(FairnessTest, ABusyActorAmongAThousandTakesAtMostItsShareOfTurnsBetweenThoseOfOthers) {
  RuntimeOptions options;
  Clocks clocks = play(options, Duration::zero());
  EXPECT_LE(clocks.wait_turns_max, 500 + options.turns_per_run);
  options.turns_per_run = 10;
  clocks = play(options, Duration::zero());
  EXPECT_LE(clocks.wait_turns_max, 500 + options.turns_per_run);
}

TEST(FairnessTest, ABusyActorWithCostlyTurnsTakesAtMostItsShareOfTimeFromTheOthers) {
  RuntimeOptions options;
  for (Duration cost : {Duration(1us), Duration(10us), Duration(90us), Duration(1ms)}) {
    // The p99 of the others, who cost nothing themselves; and the worst, before the worker has seen what turns cost.
    Duration wanted = options.batch_time_max + 4 * cost;
    Clocks clocks = play(options, cost, wanted);
    EXPECT_LT(clocks.longer_waits * 100, clocks.others_turns) << cost.count() << " ns a turn";
    EXPECT_LE(clocks.wait_max, options.batch_time_max + 64 * cost) << cost.count() << " ns a turn";
  }
}

struct Work {};
PLX_MESSAGE(Work);

struct Backlog {
  sim::SimClock* clock = nullptr;
  int turns_left = 300;
  int now = 0;
  int most = 0;
};

// Cheap turns.
class Consumer : public GenServer<Consumer, Work> {
 public:
  explicit Consumer(Backlog* backlog) : backlog_(backlog) {}
  void handle(const Work&, Context&) { --backlog_->now; }

 private:
  Backlog* backlog_;
};

// Costly turns, each of which gives the consumer much to do.
class Producer : public GenServer<Producer, Tick> {
 public:
  static constexpr int kBurst = 100;
  Producer(ActorRef<Consumer> consumer, Backlog* backlog) : consumer_(consumer), backlog_(backlog) {}
  void handle(const Tick&, Context& ctx) {
    backlog_->clock->advance(30us);
    for (int i = 0; i < kBurst; ++i) EXPECT_TRUE(consumer_.tell(Work{}));
    backlog_->now += kBurst;
    backlog_->most = std::max(backlog_->most, backlog_->now);
    if (--backlog_->turns_left > 0) EXPECT_TRUE(ctx.self<Producer>().tell(Tick{}));
  }

 private:
  ActorRef<Consumer> consumer_;
  Backlog* backlog_;
};

TEST(FairnessTest, WhoRunsAfterASpentShareHasAShareOfItsOwn) {
  SimulatedNode node({}, {.workers = 1, .step_time_max = Duration::zero()});
  Backlog backlog{.clock = &node.world.clock};
  auto consumer = node.runtime.spawn<Consumer>("", &backlog);
  auto producer = node.runtime.spawn<Producer>("", *consumer, &backlog);
  ASSERT_TRUE(producer->tell(Tick{}));
  node.run();
  EXPECT_EQ(backlog.now, 0);
  // What one share of the producer makes, not what all of them make.
  EXPECT_LE(backlog.most, 2 * 16 * Producer::kBurst);
}

// Sends one actor more orders than a run may handle.
class Watcher : public GenServer<Watcher, Introduce, Down> {
 public:
  void handle(const Introduce& m, Context& ctx) {
    ActorRef<Pair> target(ctx.runtime().node_id(), {m.slot, m.generation});
    for (int i = 0; i < 5'000; ++i) EXPECT_TRUE(ctx.monitor(target));
  }
  void handle(const Down&, Context&) {}
};

TEST(FairnessTest, OrdersOfTheRuntimeCountAsTurns) {
  RuntimeOptions options{.turns_per_run = 100};
  SimulatedNode node(options);
  Clocks clocks{.clock = &node.world.clock};
  auto target = node.runtime.spawn<Pair>("", &clocks);
  auto watcher = node.runtime.spawn<Watcher>("");
  ASSERT_TRUE(watcher->tell(Introduce{target->id().slot, target->id().generation}));
  int steps = 0;
  while (node.executor.step()) ++steps;
  EXPECT_GE(steps, 50) << "5,000 orders, at most 100 in a batch";
}

// ---- no time comes early -------------------------------------------------------------------------------------------

struct Measure {
  using Reply = std::int64_t;
  std::int64_t what = 0;  // see LongTurn
};
PLX_MESSAGE(Measure, (1, what));

class Answering : public GenServer<Answering, Get> {
 public:
  std::int64_t handle(const Get&, Context&) const { return 1; }
};

class Silent : public GenServer<Silent, Get, Tick> {
 public:
  NoReply handle(const Get&, Context& ctx) {
    kept_.push_back(ctx.defer<Get>());
    return {};
  }
  void handle(const Tick&, Context& ctx) { ctx.stop(); }

 private:
  std::vector<ReplyTo<Get>> kept_;
};

// Computes for 50 ms, then waits in some way for 30 ms. Answers how long that took, in microseconds.
class LongTurn : public GenServer<LongTurn, Measure, Tick> {
 public:
  enum : std::int64_t { kSleep, kAskNobodyAnswers, kAskAnswered, kEnded, kBlocking, kTimer };
  LongTurn(sim::SimClock* clock, ActorRef<Silent> silent, ActorRef<Answering> answering)
      : clock_(clock), silent_(silent), answering_(answering) {}

  Task<Result<std::int64_t>> handle(const Measure& m, Context& ctx) {
    clock_->advance(50ms);
    TimePoint began = clock_->now();
    if (m.what == kSleep) {
      co_await ctx.sleep(30ms);
    } else if (m.what == kAskNobodyAnswers) {
      auto answer = co_await ctx.ask(silent_, Get{}, 30ms);
      EXPECT_EQ(answer.error().code(), Code::kDeadlineExceeded);
    } else if (m.what == kAskAnswered) {
      auto answer = co_await ctx.ask(answering_, Get{}, 30ms);
      EXPECT_EQ(answer, 1);
    } else if (m.what == kEnded) {
      auto ended = co_await ctx.ended(silent_, 30ms);
      EXPECT_EQ(ended.error().code(), Code::kDeadlineExceeded);
    } else if (m.what == kTimer) {
      EXPECT_TRUE(ctx.send_after(30ms, Tick{}));
      armed_ = began;
      co_return 0;
    }
    co_return (clock_->now() - began) / 1us;
  }
  void handle(const Tick&, Context&) { timer_took = clock_->now() - armed_; }

  static inline Duration timer_took{};

 private:
  sim::SimClock* clock_;
  ActorRef<Silent> silent_;
  ActorRef<Answering> answering_;
  TimePoint armed_;
};

struct TimeTest : testing::Test {
  std::int64_t microseconds(std::int64_t what) {
    auto took = node.ask(*actor, Measure{what});
    node.run();
    return (*took)->value_or(-1);
  }

  SimulatedNode node{{}, {.workers = 1, .step_time_max = Duration::zero()}};
  Result<ActorRef<Silent>> silent = node.runtime.spawn<Silent>("");
  Result<ActorRef<Answering>> answering = node.runtime.spawn<Answering>("");
  Result<ActorRef<LongTurn>> actor = node.runtime.spawn<LongTurn>("", &node.world.clock, *silent, *answering);
};

TEST_F(TimeTest, WaitsAfterALongTurnLastAsLongAsTheyWereGiven) {
  for (std::int64_t what : {LongTurn::kSleep, LongTurn::kAskNobodyAnswers, LongTurn::kEnded}) {
    std::int64_t took = microseconds(what);
    EXPECT_GE(took, 30'000) << what;
    EXPECT_LE(took, 33'000) << what;
  }
  EXPECT_LE(microseconds(LongTurn::kAskAnswered), 1'000);
  EXPECT_EQ(microseconds(LongTurn::kTimer), 0);
  EXPECT_GE(LongTurn::timer_took, 30ms);
  EXPECT_LE(LongTurn::timer_took, 33ms);
}

// Asks an actor that asks another, in the batch in which a neighbour computes for long.
class Innocent : public GenServer<Innocent, Measure, Get> {
 public:
  explicit Innocent(ActorRef<Answering> answering, std::optional<ActorRef<Innocent>> next)
      : answering_(answering), next_(next) {}
  Task<Result<std::int64_t>> handle(const Measure& m, Context& ctx) {
    if (next_) {
      PLX_CO_TRY(answer, co_await ctx.ask(*next_, Measure{m}, 20ms));
      co_return answer + 1;
    }
    PLX_CO_TRY(answer, co_await ctx.ask(answering_, Get{}, 20ms));
    co_return answer;
  }
  std::int64_t handle(const Get&, Context&) const { return 0; }

 private:
  ActorRef<Answering> answering_;
  std::optional<ActorRef<Innocent>> next_;
};

class Neighbour : public GenServer<Neighbour, Tick> {
 public:
  explicit Neighbour(sim::SimClock* clock) : clock_(clock) {}
  void handle(const Tick&, Context&) { clock_->advance(50ms); }

 private:
  sim::SimClock* clock_;
};

TEST_F(TimeTest, AnAskInTheBatchOfANeighboursLongTurnDoesNotFail) {
  auto neighbour = node.runtime.spawn<Neighbour>("", &node.world.clock);
  // The batch looks at the clock after four turns: the end of a long chain is asked in it and answers in the next.
  std::vector<ActorRef<Innocent>> chain{*node.runtime.spawn<Innocent>("", *answering, std::nullopt)};
  for (int i = 0; i < 10; ++i) chain.push_back(*node.runtime.spawn<Innocent>("", *answering, chain.back()));
  node.run();
  for (std::size_t i = 0; i < chain.size(); ++i) {
    ASSERT_TRUE(neighbour->tell(Tick{}));
    auto answer = node.ask(chain[i], Measure{});
    node.run();
    EXPECT_EQ(**answer, static_cast<std::int64_t>(i) + 1);
  }
  EXPECT_EQ(node.runtime.stats().dead(DeadLetterReason::kExpired), 0u);
}

// Sends itself a message without delay, and notes the time of each.
class Immediate : public GenServer<Immediate, Tick, Go> {
 public:
  std::int64_t handle(const Go&, Context& ctx) {
    EXPECT_TRUE(ctx.send_after(0ms, Tick{}));
    return 0;
  }
  void handle(const Tick&, Context& ctx) {
    if (++ticks < 10) EXPECT_TRUE(ctx.send_after(-1ms, Tick{}));
  }
  static inline int ticks = 0;
};

TEST_F(TimeTest, ATimerWithoutDelayComesInTheNextBatchWithoutTimePassing) {
  Immediate::ticks = 0;
  auto immediate = node.runtime.spawn<Immediate>("");
  TimePoint began = node.world.clock.now();
  node.ask(*immediate, Go{});
  for (int i = 0; i < 100 && Immediate::ticks < 10; ++i) node.executor.step_before(began);
  EXPECT_EQ(Immediate::ticks, 10);
  EXPECT_EQ(node.world.clock.now(), began);
}

// ---- all workers work ----------------------------------------------------------------------------------------------

// When each worker has last run a turn.
struct Activity {
  sim::SimClock* clock;
  std::vector<TimePoint> last;
};

// Always busy: a turn takes 50 us, and asks for the next.
class NeverDone : public GenServer<NeverDone, Tick> {
 public:
  explicit NeverDone(Activity* activity) : activity_(activity) {}
  void handle(const Tick&, Context& ctx) {
    activity_->clock->advance(50us);
    activity_->last[detail::Worker::current()->index()] = activity_->clock->now();
    EXPECT_TRUE(ctx.self<NeverDone>().tell(Tick{}));
  }

 private:
  Activity* activity_;
};

// Starts 64 of them, all on its own worker.
class ParentOfMany : public GenServer<ParentOfMany, Go> {
 public:
  explicit ParentOfMany(Activity* activity) : activity_(activity) {}
  std::int64_t handle(const Go&, Context& ctx) {
    for (int i = 0; i < 64; ++i) EXPECT_TRUE(ctx.spawn_linked<NeverDone>(activity_)->tell(Tick{}));
    return 64;
  }

 private:
  Activity* activity_;
};

TEST(MigrationSimulationTest, NoWorkerStaysIdleWhileAnotherHasMoreThanOneActorToGive) {
  for (std::size_t workers = 3; workers <= 8; ++workers) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      SimulatedNode node({}, {.workers = workers}, seed);
      Activity activity{&node.world.clock, std::vector<TimePoint>(workers, TimePoint::min())};
      auto parent = node.runtime.spawn<ParentOfMany>("", &activity);
      auto started = node.ask(*parent, Go{});
      // Workers share one thread here: a second of virtual time is at least 100 ms of each.
      node.executor.run_for(1s, 1'000'000);
      ASSERT_EQ(**started, 64);
      for (std::size_t i = 0; i < workers; ++i)
        EXPECT_GT(activity.last[i], node.world.clock.now() - 200ms)
            << "worker " << i << " of " << workers << ", seed " << seed;
    }
  }
}

// ---- what must not happen, and does --------------------------------------------------------------------------------

class Fragile : public GenServer<Fragile, ThrowNumber, Get, Tick> {
 public:
  std::int64_t handle(const ThrowNumber&, Context&) { throw 7; }
  std::int64_t handle(const Get&, Context&) const { return 1; }
  Task<> handle(const Tick&, Context& ctx) {
    co_await ctx.sleep(1ms);
    throw "a text";
  }
};

TEST(BadInputTest, AHandlerMayThrowAnything) {
  SimulatedNode node;
  auto plain = node.runtime.spawn<Fragile>("plain");
  auto waiting = node.runtime.spawn<Fragile>("waiting");
  auto thrown = node.ask(*plain, ThrowNumber{});
  ASSERT_TRUE(waiting->tell(Tick{}));
  auto behind = node.ask(*waiting, Get{});
  node.run();
  EXPECT_EQ((*thrown)->error().code(), Code::kInternal);
  EXPECT_EQ((*thrown)->error().message(),
            "actor plain@node1 crashed handling ThrowNumber: an exception that is not a std::exception");
  EXPECT_EQ((*behind)->error().code(), Code::kNotFound);
  EXPECT_EQ(node.runtime.stats().crashes, 2u);
  EXPECT_EQ(node.runtime.stats().actors, 0u);
  EXPECT_EQ(node.lines.take().size(), 2u);
}

// Starts children until it may not.
class Breeder : public GenServer<Breeder, Get, Tick> {
 public:
  std::int64_t handle(const Get&, Context& ctx) {
    std::int64_t started = 0;
    for (;; ++started) {
      auto child = ctx.spawn<Fragile>();
      if (!child) {
        EXPECT_EQ(child.error().code(), Code::kResourceExhausted);
        EXPECT_FALSE(ctx.spawn_linked<Fragile>());
        return started;
      }
      children_.push_back(*child);
    }
  }
  void handle(const Tick&, Context& ctx) {
    for (auto& child : children_) ctx.runtime().stop(child.id());
    children_.clear();
  }

 private:
  std::vector<ActorRef<Fragile>> children_;
};

TEST(BadInputTest, BeyondActorsMaxNoActorIsStartedFromOutsideOrInsideUntilSomeEnd) {
  constexpr std::uint32_t kActors = 8'192;
  SimulatedNode node({.actors_max = kActors});
  auto breeder = node.runtime.spawn<Breeder>("");
  auto first = node.ask(*breeder, Get{});
  node.run();
  ASSERT_TRUE(*first);
  std::int64_t stock = 2 * detail::FreeCells::kHeldMax;  // of the worker, and of all threads outside
  EXPECT_GE(***first + 1, kActors);
  EXPECT_LE(***first + 1, kActors + stock);
  std::vector<ActorRef<Fragile>> outside;
  for (;;) {
    auto one = node.runtime.spawn<Fragile>("");
    if (!one) {
      EXPECT_EQ(one.error().code(), Code::kResourceExhausted);
      break;
    }
    outside.push_back(*one);
  }
  EXPECT_LE(***first + static_cast<std::int64_t>(outside.size()) + 1, kActors + stock);
  EXPECT_EQ(node.runtime.spawn<Fragile>("name").error().code(), Code::kResourceExhausted);

  ASSERT_TRUE(breeder->tell(Tick{}));
  for (auto& one : outside) node.runtime.stop(one.id());
  node.run();
  EXPECT_EQ(node.runtime.stats().actors, 1u);
  EXPECT_TRUE(node.runtime.spawn<Fragile>("name")) << "the name was not taken by the one that failed";
  auto again = node.ask(*breeder, Get{});
  node.run();
  EXPECT_GE(***again + 2, kActors);
}

TEST(BadInputTest, CellsOfActorsFromOutsideComeBackForThoseInside) {
  constexpr std::uint32_t kActors = 8'192;
  SimulatedNode node({.actors_max = kActors});
  std::vector<ActorRef<Fragile>> outside;
  for (int round = 0; round < 3; ++round) {
    while (auto one = node.runtime.spawn<Fragile>("")) outside.push_back(*one);
    EXPECT_GE(outside.size(), kActors) << "round " << round;
    for (auto& one : std::exchange(outside, {})) node.runtime.stop(one.id());
    node.run();
    EXPECT_EQ(node.runtime.stats().actors, 0u);
  }
  auto breeder = node.runtime.spawn<Breeder>("");
  ASSERT_TRUE(breeder) << breeder.error().to_string();
  auto started = node.ask(*breeder, Get{});
  node.run();
  EXPECT_GE(***started + 1, kActors);
}

// ---- the end of a runtime ------------------------------------------------------------------------------------------

class Tenant : public GenServer<Tenant, Go, Tick, Get, Twice> {
 public:
  Tenant(std::shared_ptr<int> alive, std::shared_ptr<int> stopped, std::atomic<int>* asked = nullptr)
      : alive_(std::move(alive)), stopped_(std::move(stopped)), asked_(asked) {
    ++*alive_;
  }
  ~Tenant() override { --*alive_; }
  Task<std::int64_t> handle(const Go&, Context& ctx) {  // waits for work that blocks
    auto work = [held = alive_] { return 1; };
    static_cast<void>(co_await ctx.blocking(work));
    co_return 1;
  }
  Task<> handle(const Tick&, Context& ctx) {  // waits for time
    static_cast<void>(ctx.send_every(1s, Get{}));
    std::shared_ptr<int> held = alive_;
    co_await ctx.sleep(1h);
  }
  NoReply handle(const Get&, Context& ctx) {  // answers never
    later_.push_back(ctx.defer<Get>());
    if (asked_ != nullptr) ++*asked_;
    return {};
  }
  std::string handle(const Twice& m, Context&) { return m.text + m.text; }
  Task<> on_stop(Context&, const ExitReason&) override {
    ++*stopped_;
    co_return;
  }

 private:
  std::shared_ptr<int> alive_;
  std::shared_ptr<int> stopped_;
  std::atomic<int>* asked_;
  std::vector<ReplyTo<Get>> later_;
};

TEST(RuntimeEndTest, WhatRunsAtTheEndOfARuntimeIsDestroyedAndEveryAskerIsTold) {
  for (std::uint64_t steps = 0; steps < 60; ++steps) {
    auto alive = std::make_shared<int>(0);
    auto stopped = std::make_shared<int>(0);
    std::vector<std::shared_ptr<std::optional<Result<std::int64_t>>>> numbers;
    std::vector<std::shared_ptr<std::optional<Result<std::string>>>> texts;
    {
      SimulatedNode node({}, {.workers = 2}, steps);
      for (int i = 0; i < 4; ++i) {
        auto tenant = node.runtime.spawn<Tenant>(i == 0 ? "named" : "", alive, stopped);
        numbers.push_back(node.ask(*tenant, Get{}));
        if (i == 1) ASSERT_TRUE(tenant->tell(Tick{}));
        if (i != 1) numbers.push_back(node.ask(*tenant, Go{}));
        texts.push_back(node.ask(*tenant, Twice{"ab"}));  // queued behind
      }
      for (std::uint64_t i = 0; i < steps; ++i) node.executor.step();
      // A crash leaves blocking work unrun, a stop runs no more of it.
      steps % 2 == 0 ? node.executor.stop() : node.executor.crash();
    }
    EXPECT_EQ(*alive, 0) << "after " << steps << " steps";
    EXPECT_EQ(alive.use_count(), 1);
    EXPECT_EQ(*stopped, 0) << "no last turn";
    for (const auto& answer : numbers) {
      ASSERT_TRUE(*answer) << "after " << steps << " steps";
      if (!**answer) EXPECT_EQ((*answer)->error().code(), Code::kUnknown) << (*answer)->error().message();
    }
    for (const auto& answer : texts) {
      ASSERT_TRUE(*answer) << "after " << steps << " steps";
      if (!**answer) EXPECT_EQ((*answer)->error().code(), Code::kUnknown) << (*answer)->error().message();
    }
  }
}

TEST(RuntimeEndTest, ARuntimeMayEndWhileThreadsWaitForItsActorsAndWorkBlocks) {
  auto alive = std::make_shared<int>(0);
  auto stopped = std::make_shared<int>(0);
  std::vector<std::future<Result<std::int64_t>>> asks;
  std::promise<void> begun, go;
  std::atomic<int> asked{0};
  {
    env::PosixExecutor executor({.workers = 2, .blocking_threads = 1});
    Types types;
    Runtime runtime(executor, types);
    runtime.set_log([](const std::string&) {});
    ASSERT_TRUE(runtime.start());
    auto library = runtime.spawn<Library>("", Duration::max(), [&] {
      begun.set_value();
      go.get_future().wait();
    });
    ASSERT_TRUE(library->tell(Tick{}));
    begun.get_future().wait();
    auto tenant = runtime.spawn<Tenant>("", alive, stopped, &asked);
    for (int i = 0; i < 3; ++i)
      asks.push_back(std::async(std::launch::async, [tenant] { return tenant->ask(Get{}, 60s); }));
    while (asked < 3) std::this_thread::yield();  // all three have come, and are never answered
    ASSERT_TRUE(tenant->tell(Go{}));              // waits for the only thread
    std::thread opener([&] { go.set_value(); });
    executor.stop();
    opener.join();
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(tenant->tell(Twice{"a"}));
  }
  EXPECT_EQ(alive.use_count(), 1);
  for (auto& ask : asks) {
    auto answer = ask.get();
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code(), Code::kUnknown);
  }
}

}  // namespace
}  // namespace plexspaces
