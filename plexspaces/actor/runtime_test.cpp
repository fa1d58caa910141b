#include "plexspaces/actor/runtime.hpp"

#include <atomic>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/behavior/gen_server.hpp"
#include "plexspaces/env/posix/executor.hpp"
#include "plexspaces/sim/executor.hpp"
#include "plexspaces/sim/world.hpp"

namespace plexspaces {
namespace {

struct Increment {
  using Reply = std::int64_t;
  std::int64_t by = 1;
};
struct Get {
  using Reply = std::int64_t;
};
struct Crash {
  using Reply = std::int64_t;
};
struct Refuse {
  using Reply = std::int64_t;
};
struct Text {
  using Reply = std::string;
  std::string text;
};
struct Relay {
  using Reply = std::int64_t;
  std::int64_t by = 0;
};
struct Stop {};
struct Numbered {
  std::uint32_t sender = 0;
  std::uint32_t number = 0;
};
struct Start {};
PLX_MESSAGE(Increment, (1, by));
PLX_MESSAGE(Get);
PLX_MESSAGE(Crash);
PLX_MESSAGE(Refuse);
PLX_MESSAGE(Text, (1, text));
PLX_MESSAGE(Relay, (1, by));
PLX_MESSAGE(Stop);
PLX_MESSAGE(Numbered, (1, sender), (2, number));
PLX_MESSAGE(Start);

class Counter : public GenServer<Counter, Increment, Get, Crash, Refuse, Text, Stop> {
 public:
  std::int64_t handle(const Increment& m, Context&) { return count_ += m.by; }
  std::int64_t handle(const Get&, Context&) const { return count_; }
  std::int64_t handle(const Crash&, Context&) { throw std::runtime_error("on purpose"); }
  Result<std::int64_t> handle(const Refuse&, Context&) { return fail(Code::kOutOfRange, "too far"); }
  std::string handle(const Text& m, Context&) { return m.text + m.text; }
  void handle(const Stop&, Context& ctx) { ctx.stop(); }

 private:
  std::int64_t count_ = 0;
};

// Asks another actor in its handler.
class Front : public GenServer<Front, Relay, Get> {
 public:
  explicit Front(ActorRef<Counter> counter, Duration within = 5s) : counter_(counter), within_(within) {}
  Task<Result<std::int64_t>> handle(const Relay& m, Context& ctx) {
    Increment request{m.by};
    PLX_CO_TRY(first, co_await ctx.ask(counter_, request, within_));
    PLX_CO_TRY(second, co_await twice(ctx));
    co_return first + second;
  }
  std::int64_t handle(const Get&, Context&) const { return 42; }

 private:
  Task<Result<std::int64_t>> twice(Context& ctx) {
    PLX_CO_TRY(count, co_await ctx.ask(counter_, Get{}, within_));
    co_return 2 * count;
  }
  ActorRef<Counter> counter_;
  Duration within_;
};

// Waits for itself, or in a circle of two.
class Circle : public GenServer<Circle, Relay> {
 public:
  Task<Result<std::int64_t>> handle(const Relay& m, Context& ctx) {
    ActorRef<Circle> to = next ? next : ctx.self<Circle>();
    Relay request{m.by + 1};
    auto answer = co_await ctx.ask(to, request, 5s);
    co_return answer;
  }
  static inline ActorRef<Circle> next;
};

// Never answers: it waits for an actor that never does.
class Silent : public GenServer<Silent, Get, Start> {
 public:
  explicit Silent(std::promise<void>* started) : started_(started) {}
  std::int64_t handle(const Get&, Context&) { return 1; }
  void handle(const Start&, Context&) {
    started_->set_value();
    release.get_future().wait();
  }
  static inline std::promise<void> release;

 private:
  std::promise<void>* started_;
};

class RuntimeTest : public testing::Test {
 protected:
  // A busy machine may hold a handler for long: the log of these tests is that of crashes.
  explicit RuntimeTest(std::size_t workers = 2, RuntimeOptions options = {.slow_handler_after = Duration::zero()})
      : executor_({.workers = workers}), runtime_(executor_, types_, std::move(options)) {
    runtime_.set_log([this](const std::string& line) {
      std::lock_guard lock(mutex_);
      log_.push_back(line);
    });
    EXPECT_TRUE(runtime_.start());
  }
  ~RuntimeTest() override { executor_.stop(); }

  std::mutex mutex_;
  std::vector<std::string> log_;
  env::PosixExecutor executor_;
  Types types_;
  Runtime runtime_;
};

TEST_F(RuntimeTest, AnAskFromAThreadGetsTheTypedReply) {
  auto counter = runtime_.spawn<Counter>("counter");
  ASSERT_TRUE(counter);
  EXPECT_EQ(counter->ask(Increment{5}, 5s), 5);
  EXPECT_TRUE(counter->tell(Increment{}));
  EXPECT_EQ(counter->ask(Get{}, 5s), 6);
  EXPECT_EQ(counter->ask(Text{"ab"}, 5s), "abab");
}

TEST_F(RuntimeTest, AnErrorThatAHandlerReturnsReachesTheAskerAndTheActorGoesOn) {
  auto counter = runtime_.spawn<Counter>("");
  auto refused = counter->ask(Refuse{}, 5s);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kOutOfRange);
  EXPECT_EQ(counter->ask(Increment{1}, 5s), 1);
}

TEST_F(RuntimeTest, ACrashStaysInItsActor) {
  auto fragile = runtime_.spawn<Counter>("fragile");
  auto other = runtime_.spawn<Counter>("other");
  auto crashed = fragile->ask(Crash{}, 5s);
  ASSERT_FALSE(crashed);
  EXPECT_EQ(crashed.error().code(), Code::kInternal);
  EXPECT_NE(crashed.error().message().find("actor fragile@node1 crashed handling Crash: on purpose"),
            std::string::npos);
  auto gone = fragile->ask(Get{}, 5s);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code(), Code::kNotFound);
  EXPECT_EQ(other->ask(Increment{2}, 5s), 2);
  EXPECT_EQ(runtime_.stats().crashes, 1u);
  std::lock_guard lock(mutex_);
  EXPECT_EQ(log_.size(), 1u);
}

TEST_F(RuntimeTest, AReferenceOfAnEarlierLifeReachesNobody) {
  auto first = runtime_.spawn<Counter>("");
  ASSERT_TRUE(first->tell(Stop{}));
  while (first->ask(Get{}, 5s)) {
  }
  // Its cell is used again when a worker has enough of them.
  std::optional<ActorRef<Counter>> next;
  for (int round = 0; round < 1'000 && !next; ++round) {
    std::vector<ActorRef<Counter>> others;
    for (std::size_t i = 0; i < detail::FreeCells::kHeldMax; ++i) {
      auto ref = *runtime_.spawn<Counter>("");
      if (ref.id().slot == first->id().slot)
        next = ref;
      else
        others.push_back(ref);
    }
    for (auto& ref : others) ref.tell(Stop{});
    while (runtime_.stats().actors > (next ? 1u : 0u)) std::this_thread::yield();
  }
  ASSERT_TRUE(next);
  EXPECT_TRUE(first->tell(Increment{100}));
  EXPECT_EQ(next->ask(Get{}, 5s), 0);
  EXPECT_GE(runtime_.stats().dead(DeadLetterReason::kNoActor), 1u);
}

TEST_F(RuntimeTest, ANameBelongsToOneLiveActorAndLeadsToIt) {
  auto counter = runtime_.spawn<Counter>("counter");
  EXPECT_EQ(runtime_.spawn<Counter>("counter").error().code(), Code::kAlreadyExists);
  EXPECT_EQ(*runtime_.find<Counter>("counter@node1"), *counter);
  EXPECT_EQ(runtime_.find<Counter>("conter").error().message(), "no actor is named 'conter'");
  EXPECT_EQ(runtime_.find<Counter>("counter@node2").error().code(), Code::kNotFound);
  EXPECT_EQ(runtime_.find<Front>("counter").error().code(), Code::kFailedPrecondition);
  runtime_.stop(counter->id());
  while (counter->ask(Get{}, 5s)) {
  }
  EXPECT_TRUE(runtime_.spawn<Counter>("counter"));
}

TEST_F(RuntimeTest, TheNameOfAnActorThatIsNotAliveIsFree) {
  for (int i = 0; i < 2'000; ++i) {
    auto counter = runtime_.spawn<Counter>("again");
    ASSERT_TRUE(counter) << "round " << i << ": " << counter.error().to_string();
    runtime_.stop(counter->id());
    while (runtime_.is_alive(counter->id())) std::this_thread::yield();
  }
}

TEST_F(RuntimeTest, ANameThatCouldNotBeFoundIsRefused) {
  EXPECT_EQ(runtime_.spawn<Counter>("counter@node1").error().domain(), "PLX-ACT-0053");
  EXPECT_EQ(runtime_.spawn<Counter>(std::string(257, 'n')).error().domain(), "PLX-ACT-0053");
  EXPECT_LT(runtime_.spawn<Counter>(std::string(100'000, 'n')).error().message().size(), 400u);
  auto longest = runtime_.spawn<Counter>(std::string(256, 'n'));
  ASSERT_TRUE(longest);
  EXPECT_EQ(*runtime_.find<Counter>(std::string(256, 'n')), *longest);
}

// Sends to slots that no actor of this runtime has had.
class Stranger : public GenServer<Stranger, Start, Get> {
 public:
  static constexpr std::uint32_t kSlots[] = {4'096, 1u << 20, 1u << 30, 0xffff'ffff};
  Task<> handle(const Start&, Context& ctx) {
    for (std::uint32_t slot : kSlots) {
      ActorRef<Counter> nobody(ctx.runtime().node_id(), {slot, 1});
      EXPECT_TRUE(nobody.tell(Stop{}));
      auto answer = co_await ctx.ask(nobody, Get{}, 5s);
      EXPECT_EQ(answer.error().code(), Code::kNotFound);
      EXPECT_TRUE(ctx.link(nobody));
      ctx.unlink(nobody);
    }
    done_ = 1;
  }
  std::int64_t handle(const Get&, Context&) const { return done_; }

 private:
  std::int64_t done_ = 0;
};

TEST_F(RuntimeTest, AReferenceToASlotThatNeverWasReachesNobodyFromAnywhere) {
  auto stranger = runtime_.spawn<Stranger>("");
  ASSERT_TRUE(stranger->tell(Start{}));
  while (stranger->ask(Get{}, 5s) == 0) {
  }
  EXPECT_GE(runtime_.stats().dead(DeadLetterReason::kNoActor), 4u);
  for (std::uint32_t slot : Stranger::kSlots) {
    ActorRef<Counter> nobody(runtime_.node_id(), {slot, 1});
    EXPECT_TRUE(nobody.tell(Stop{}));
    EXPECT_EQ(nobody.ask(Get{}, 5s).error().code(), Code::kNotFound);
    EXPECT_EQ(nobody.send(Stop{}, 5s).error().code(), Code::kNotFound);
    runtime_.stop(nobody.id());
    runtime_.kill(nobody.id());
    runtime_.post(nobody.id(), [](Activation&) { FAIL() << "there is no actor"; });
    EXPECT_FALSE(runtime_.is_alive(nobody.id()));
  }
}

TEST_F(RuntimeTest, OptionsWithWhichNoActorCouldWorkAreRefused) {
  auto refused = [](RuntimeOptions options) {
    sim::World world(1);
    sim::SimExecutor executor(world, {.workers = 1});
    Types types;
    Runtime runtime(executor, types, std::move(options));
    Status started = runtime.start();
    return started ? "" : started.error().message();
  };
  EXPECT_TRUE(refused({.mailbox_messages_max = 0}).contains("mailbox_messages_max"));
  EXPECT_TRUE(refused({.mailbox_bytes_max = 0}).contains("mailbox_bytes_max"));
  EXPECT_TRUE(refused({.message_bytes_max = 0}).contains("message_bytes_max"));
  EXPECT_TRUE(refused({.actors_max = 0}).contains("actors_max"));
  EXPECT_TRUE(refused({.batch_time_max = -1s}).contains("batch_time_max"));
  EXPECT_TRUE(refused({.turns_per_batch = 0}).contains("turns_per_batch"));
  EXPECT_TRUE(refused({.turns_per_run = 0}).contains("turns_per_run"));
  EXPECT_TRUE(refused({.migration_batches = 0}).contains("migration_batches"));
  EXPECT_EQ(refused({}), "");
}

TEST_F(RuntimeTest, AnErrorReturnedToNobodyIsCountedAndLogged) {
  auto counter = runtime_.spawn<Counter>("refuser");
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(counter->tell(Refuse{}));
  EXPECT_EQ(counter->ask(Refuse{}, 5s).error().code(), Code::kOutOfRange);
  EXPECT_EQ(runtime_.stats().handler_errors, 5u);
  std::lock_guard lock(mutex_);
  ASSERT_EQ(log_.size(), 3u);  // the first, the second and the fourth
  EXPECT_NE(log_[0].find("refuser@node1 returned an error for Refuse"), std::string::npos) << log_[0];
  EXPECT_NE(log_[0].find("too far"), std::string::npos) << log_[0];
}

TEST_F(RuntimeTest, AllDeadLettersAreCountedAndUnderOverloadSomeAreKept) {
  ActorRef<Counter> nobody(runtime_.node_id(), {4'096, 1});
  std::uint64_t sent = kDeadLettersKeptAll + 10 * kDeadLettersPerSample;
  for (std::uint64_t i = 0; i < sent; ++i) EXPECT_TRUE(nobody.tell(Stop{}));
  EXPECT_EQ(runtime_.stats().dead(DeadLetterReason::kNoActor), sent);
  EXPECT_TRUE(nobody.tell(Increment{}));  // one in 64: this is the first of the next
  EXPECT_EQ(runtime_.dead_letters().back().message_type, "Increment");
  EXPECT_TRUE(nobody.tell(Text{}));
  EXPECT_EQ(runtime_.dead_letters().back().message_type, "Increment");
}

TEST_F(RuntimeTest, AThreadMayWaitForEver) {
  auto counter = runtime_.spawn<Counter>("");
  EXPECT_EQ(counter->ask(Increment{3}, Duration::max()), 3);
  EXPECT_TRUE(counter->send(Increment{4}, Duration::max()));
  EXPECT_TRUE(counter->tell(Increment{5}, Ttl{Duration::max()}));
  EXPECT_EQ(counter->ask(Get{}, Duration::max()), 12);
  EXPECT_EQ(counter->ask(Get{}, Duration::min()).error().code(), Code::kDeadlineExceeded);
}

TEST_F(RuntimeTest, AHandlerWaitsForAnotherActorAndMeanwhileTakesNoMessage) {
  auto counter = runtime_.spawn<Counter>("");
  auto front = runtime_.spawn<Front>("", *counter);
  EXPECT_EQ(front->ask(Relay{7}, 5s), 7 + 2 * 7);
  EXPECT_EQ(front->ask(Get{}, 5s), 42);
}

TEST_F(RuntimeTest, AnErrorPassesThroughAnAskInAHandler) {
  auto counter = runtime_.spawn<Counter>("");
  auto front = runtime_.spawn<Front>("", *counter);
  ASSERT_TRUE(counter->tell(Stop{}));
  while (counter->ask(Get{}, 5s)) {
  }
  EXPECT_EQ(front->ask(Relay{7}, 5s).error().code(), Code::kNotFound);
}

TEST_F(RuntimeTest, AskingInACircleFailsAtOnce) {
  Circle::next = {};
  auto self = runtime_.spawn<Circle>("");
  EXPECT_EQ(self->ask(Relay{0}, 5s).error().code(), Code::kFailedPrecondition);
  auto a = runtime_.spawn<Circle>("");
  Circle::next = *a;
  auto b = runtime_.spawn<Circle>("");
  EXPECT_EQ(b->ask(Relay{0}, 5s).error().code(), Code::kFailedPrecondition);
}

TEST_F(RuntimeTest, AReferenceOfAnotherRuntimeReachesItsActorAndNobodyHere) {
  env::PosixExecutor other_executor({.workers = 1});
  Runtime other(other_executor, types_);
  ASSERT_TRUE(other.start());
  auto far = other.spawn<Counter>("");
  auto near = runtime_.spawn<Counter>("");  // the same slot and generation, as like as not
  EXPECT_EQ(near->ask(Increment{999}, 5s), 999);
  auto front = runtime_.spawn<Front>("", *far);
  EXPECT_TRUE(front->ask(Relay{1}, 5s));
  EXPECT_EQ(far->ask(Get{}, 5s), 1);
  EXPECT_EQ(near->ask(Get{}, 5s), 999);
  other_executor.stop();
}

struct Breakable : GenServer<Breakable, Get> {
  explicit Breakable(bool broken) {
    if (broken) throw std::runtime_error("broken");
  }
  std::int64_t handle(const Get&, Context&) const { return 1; }
  std::array<char, 200> ballast{};
};

// Starts actors whose constructors throw, between others.
class Starter : public GenServer<Starter, Get> {
 public:
  std::int64_t handle(const Get&, Context& ctx) {
    std::int64_t thrown = 0;
    for (int i = 0; i < 100; ++i) {
      try {
        if (auto child = ctx.spawn<Breakable>(i % 2 == 0)) static_cast<void>(ctx.runtime().stop(child->id()));
      } catch (const std::runtime_error&) {
        ++thrown;
      }
      if (auto small = ctx.spawn<Counter>()) ctx.runtime().stop(small->id());
    }
    return thrown;
  }
};

TEST_F(RuntimeTest, AConstructorThatThrowsLeavesNothingBehind) {
  EXPECT_THROW(static_cast<void>(runtime_.spawn<Breakable>("name", true)), std::runtime_error);
  auto fine = runtime_.spawn<Breakable>("name", false);
  ASSERT_TRUE(fine);
  EXPECT_EQ(fine->ask(Get{}, 5s), 1);
  auto starter = runtime_.spawn<Starter>("");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(starter->ask(Get{}, 5s), 50);
}

TEST_F(RuntimeTest, AnActorThatStopsBeforeItWaitsStillEndsItsTurn) {
  struct Leaving : GenServer<Leaving, Get> {
    explicit Leaving(ActorRef<Counter> given) : counter(given) {}
    Task<Result<std::int64_t>> handle(const Get&, Context& ctx) {
      ctx.stop();
      Increment request{3};
      auto answer = co_await ctx.ask(counter, request, 5s);
      co_return answer;
    }
    ActorRef<Counter> counter;
  };
  auto counter = runtime_.spawn<Counter>("");
  auto leaving = runtime_.spawn<Leaving>("", *counter);
  EXPECT_EQ(leaving->ask(Get{}, 5s), 3);
  EXPECT_EQ(leaving->ask(Get{}, 5s).error().code(), Code::kNotFound);
}

TEST_F(RuntimeTest, ABlockingAskInsideAnActorIsRefused) {
  struct Blocking : GenServer<Blocking, Get> {
    explicit Blocking(ActorRef<Counter> given) : counter(given) {}
    Result<std::int64_t> handle(const Get&, Context&) const { return counter.ask(Get{}, 1s); }
    ActorRef<Counter> counter;
  };
  auto counter = runtime_.spawn<Counter>("");
  auto blocking = runtime_.spawn<Blocking>("", *counter);
  EXPECT_EQ(blocking->ask(Get{}, 5s).error().code(), Code::kFailedPrecondition);
}

TEST_F(RuntimeTest, AnActorThatIsStoppedWithAFullMailboxAnswersItsAskers) {
  std::promise<void> started;
  Silent::release = {};
  auto silent = runtime_.spawn<Silent>("", &started);
  ASSERT_TRUE(silent->tell(Start{}));
  started.get_future().wait();
  std::vector<std::future<Result<std::int64_t>>> asks;
  for (int i = 0; i < 3; ++i)
    asks.push_back(std::async(std::launch::async, [silent] { return silent->ask(Get{}, 30s); }));
  runtime_.stop(silent->id());
  Silent::release.set_value();
  // Each got its answer before the end, or learns of the end; none waits.
  for (auto& ask : asks) {
    auto answer = ask.get();
    EXPECT_TRUE(answer ? *answer == 1 : answer.error().code() == Code::kNotFound);
  }
}

TEST(RuntimeLifeTest, ReferencesOutliveTheirRuntime) {
  ActorRef<Counter> counter;
  {
    env::PosixExecutor executor({.workers = 1});
    Types types;
    Runtime runtime(executor, types);
    ASSERT_TRUE(runtime.start());
    counter = *runtime.spawn<Counter>("");
    EXPECT_EQ(counter.ask(Increment{1}, 5s), 1);
    executor.stop();
  }
  EXPECT_EQ(counter.tell(Increment{1}).error().code(), Code::kNotFound);
  EXPECT_EQ(counter.ask(Get{}, 1s).error().code(), Code::kNotFound);
}

// What a handler cannot wait for: tests/diagnostics/mistakes/foreign_wait.cpp.
static_assert(std::is_trivially_copyable_v<ActorRef<Counter>> && sizeof(ActorRef<Counter>) == 16);
static_assert(!Counter::kHandles<Numbered>);

// ---- in simulation -------------------------------------------------------------------------------------------------

struct SimulatedRuntime {
  explicit SimulatedRuntime(std::uint64_t seed, RuntimeOptions options = {})
      : world(seed), executor(world, {}), runtime(executor, types, with_pick(std::move(options))) {
    runtime.set_log([](const std::string&) {});
    EXPECT_TRUE(runtime.start());
  }
  RuntimeOptions with_pick(RuntimeOptions options) {
    options.pick = [this](std::size_t count) { return static_cast<std::size_t>(world.random.below(count)); };
    return options;
  }
  template <class A, class M>
  std::optional<Result<ReplyOf<M>>> ask(ActorRef<A> to, M message, Duration within = 1h) {
    std::optional<Result<ReplyOf<M>>> result;
    auto* envelope =
        detail::make_envelope(nullptr, std::move(message), detail::Envelope::kAsk | detail::Envelope::kSink);
    envelope->sender = reinterpret_cast<std::uint64_t>(
        make_sink([&](Answer answer) { result = answer.take<ReplyOf<M>>(); }).release());
    envelope->context = detail::new_context(nullptr);
    envelope->context->deadline = runtime.executor().now() + within;
    static_cast<void>(runtime.send(to.id(), envelope));
    executor.run_until([&] { return result.has_value(); }, 100'000);
    return result;
  }

  sim::World world;
  sim::SimExecutor executor;
  Types types;
  Runtime runtime;
};

// Takes every message and answers none.
class Mute : public Actor {
 public:
  template <class M>
  static constexpr bool kHandles = true;
  void receive(Context&) override {}
  std::span<const Handler> handlers() const override { return {}; }
};

template <class Below>
class Impatient : public GenServer<Impatient<Below>, Relay, Get> {
 public:
  Impatient(ActorRef<Below> below, Duration within) : below_(below), within_(within) {}
  Task<Result<std::int64_t>> handle(const Relay& m, Context& ctx) {
    Relay request{m.by + 1};
    auto answer = co_await ctx.ask(below_, request, within_);
    ++ended_waits_;
    co_return answer;
  }
  std::int64_t handle(const Get&, Context&) const { return ended_waits_; }

 private:
  ActorRef<Below> below_;
  Duration within_;
  std::int64_t ended_waits_ = 0;
};

TEST(RuntimeSimulationTest, AnAskTimesOutAtItsDeadlineAndTheDeadlineReachesEveryActorBelow_INV_M2) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    SimulatedRuntime sim(seed);
    auto mute = sim.runtime.spawn<Mute>("");
    auto middle = sim.runtime.spawn<Impatient<Mute>>("", *mute, Duration(10h));
    auto top = sim.runtime.spawn<Impatient<Impatient<Mute>>>("", *middle, Duration(2s));
    TimePoint began = sim.executor.now();
    auto answer = sim.ask(*top, Relay{0});
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->error().code(), Code::kDeadlineExceeded);
    EXPECT_GE(sim.executor.now() - began, 2s);
    EXPECT_LT(sim.executor.now() - began, 3s);
    // Both are free again; whichever answer came late was counted, not given to another ask.
    sim.executor.run_until([] { return false; }, 1'000);
    EXPECT_EQ(**sim.ask(*middle, Get{}), 1);
    EXPECT_EQ(**sim.ask(*top, Get{}), 1);
  }
}

// Answers after a while, with what it was asked.
class Sleepy : public GenServer<Sleepy, Relay> {
 public:
  explicit Sleepy(sim::World& world) : world_(world) {}
  Task<std::int64_t> handle(const Relay& m, Context& ctx) {
    co_await ctx.sleep(std::chrono::milliseconds(world_.random.below(100)));
    co_return m.by;
  }

 private:
  sim::World& world_;
};

// Asks one after the other, each for a short time only.
class Hasty : public GenServer<Hasty, Start> {
 public:
  struct Seen {
    int right = 0, wrong = 0, late = 0;
  };
  Hasty(sim::World& world, std::vector<ActorRef<Sleepy>> below, Seen& seen)
      : world_(world), below_(std::move(below)), seen_(seen) {}
  Task<> handle(const Start&, Context& ctx) {
    for (std::int64_t i = 0; i < 30; ++i) {
      Relay request{i};
      ActorRef<Sleepy> to = below_[world_.random.below(below_.size())];
      auto answer = co_await ctx.ask(to, request, 50ms);
      ++(!answer ? seen_.late : *answer == i ? seen_.right : seen_.wrong);
    }
  }

 private:
  sim::World& world_;
  std::vector<ActorRef<Sleepy>> below_;
  Seen& seen_;
};

TEST(RuntimeSimulationTest, ALateReplyIsNotGivenToALaterAsk_INV_M2) {
  EXPECT_TRUE(rc::check([] {
    SimulatedRuntime sim(*rc::gen::arbitrary<std::uint64_t>(),
                         {.move_every_turns = *rc::gen::inRange<std::size_t>(0, 4)});
    std::vector<ActorRef<Sleepy>> below;
    for (int i = 0; i < 5; ++i) below.push_back(*sim.runtime.spawn<Sleepy>("", sim.world));
    Hasty::Seen seen;
    sim.runtime.spawn<Hasty>("", sim.world, below, seen)->tell(Start{});
    sim.executor.run_for(1h, 1'000'000);
    RC_ASSERT(seen.right + seen.late == 30);
    RC_ASSERT(seen.right > 0 && seen.late > 0);
    RC_ASSERT(sim.runtime.stats().dead(DeadLetterReason::kLateReply) +
                  sim.runtime.stats().dead(DeadLetterReason::kExpired) >
              0);
  }));
}

TEST(RuntimeSimulationTest, AMessageWhoseDeadlineHasPassedIsNotHandled) {
  SimulatedRuntime sim(8);
  auto counter = sim.runtime.spawn<Counter>("");
  auto expired = sim.ask(*counter, Increment{5}, Duration::zero());
  ASSERT_TRUE(expired);
  EXPECT_EQ(expired->error().code(), Code::kDeadlineExceeded);
  EXPECT_EQ(**sim.ask(*counter, Get{}), 0);
  EXPECT_EQ(sim.runtime.stats().dead(DeadLetterReason::kExpired), 1u);
}

TEST(RuntimeSimulationTest, AFullMailboxRefusesAndNothingIsLostSilently_INV_M3) {
  SimulatedRuntime sim(9, {.mailbox_messages_max = 100});
  auto counter = sim.runtime.spawn<Counter>("");
  std::size_t accepted = 0;
  for (int i = 0; i < 150; ++i) {
    Status told = counter->tell(Increment{1});
    accepted += told ? 1 : 0;
    if (!told) {
      EXPECT_EQ(told.error().code(), Code::kResourceExhausted);
    }
  }
  EXPECT_EQ(accepted, 100u);
  EXPECT_EQ(sim.runtime.stats().dead(DeadLetterReason::kMailboxFull), 50u);
  sim.executor.run_until([] { return false; }, 1'000);
  EXPECT_EQ(**sim.ask(*counter, Get{}), 100);
}

TEST(RuntimeSimulationTest, TheBytesOfAMailboxAreBoundedToo_INV_M3) {
  SimulatedRuntime sim(10, {.mailbox_bytes_max = 64 * 20});
  auto counter = sim.runtime.spawn<Counter>("");
  std::size_t accepted = 0;
  for (int i = 0; i < 50; ++i) accepted += counter->tell(Increment{1}) ? 1 : 0;
  EXPECT_LE(accepted, 20u);
  EXPECT_GE(accepted, 19u);
}

TEST(RuntimeSimulationTest, TextCountsInTheBytesOfAMailbox_INV_M3) {
  SimulatedRuntime sim(12, {.mailbox_bytes_max = 100'000});
  auto counter = sim.runtime.spawn<Counter>("");
  std::size_t accepted = 0;
  for (int i = 0; i < 50; ++i) accepted += counter->tell(Text{std::string(10'000, 'x')}) ? 1 : 0;
  EXPECT_EQ(accepted, 9u);
}

// Started on one worker, moved, ended on another: cells come back.
class Nursery : public GenServer<Nursery, Start, Get> {
 public:
  void handle(const Start&, Context& ctx) {
    for (int i = 0; i < 50; ++i) {
      auto child = ctx.spawn<Counter>();
      if (!child) {
        ++refused_;
        continue;
      }
      for (int k = 0; k < 3; ++k) child->tell(Increment{});
      child->tell(Stop{});
    }
    if (++rounds_ < 1'000) ctx.self<Nursery>().tell(Start{});
  }
  std::int64_t handle(const Get&, Context&) const { return refused_ == 0 ? rounds_ : -1; }

 private:
  std::int64_t rounds_ = 0, refused_ = 0;
};

TEST(RuntimeStressTest, CellsComeBackWhereverTheirActorsEnd) {
  env::PosixExecutor executor({.workers = 2});
  Types types;
  Runtime runtime(executor, types, {.actors_max = 40'000, .move_every_turns = 2});
  ASSERT_TRUE(runtime.start());
  auto nursery = runtime.spawn<Nursery>("");
  ASSERT_TRUE(nursery->tell(Start{}));
  std::int64_t rounds = 0;
  for (int i = 0; i < 1'000'000 && rounds >= 0 && rounds < 1'000; ++i) rounds = *nursery->ask(Get{}, 30s);
  EXPECT_EQ(rounds, 1'000);
  executor.stop();
}

TEST(RuntimeSimulationTest, AnUnhandledTypeIsATypedErrorToTheAskerAndACountedDeadLetter) {
  SimulatedRuntime sim(11);
  auto counter = sim.runtime.spawn<Counter>("");
  ActorRef<Circle> wrong(counter->node(), counter->id());
  auto answer = sim.ask(wrong, Relay{1});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->error().code(), Code::kUnimplemented);
  EXPECT_EQ(answer->error().message(),
            "the actor does not handle Relay; it handles Increment, Get, Crash, Refuse, Text, Stop");
  EXPECT_EQ(sim.runtime.stats().dead(DeadLetterReason::kUnhandled), 1u);
  EXPECT_EQ(sim.runtime.dead_letters().back().message_type, "Relay");
}

TEST(RuntimeSimulationTest, TheSameSeedGivesTheSameTraceAndAnotherSeedAnother) {
  auto trace = [](std::uint64_t seed) {
    SimulatedRuntime sim(seed);
    auto counter = sim.runtime.spawn<Counter>("");
    auto front = sim.runtime.spawn<Front>("", *counter);
    for (int i = 0; i < 20; ++i) {
      counter->tell(Increment{i});
      front->tell(Relay{i});
    }
    sim.executor.run_until([] { return false; }, 10'000);
    return sim.world.trace.hash();
  };
  EXPECT_EQ(trace(1), trace(1));
  EXPECT_NE(trace(1), trace(2));
}

// ---- FIFO (INV-M1) -------------------------------------------------------------------------------------------------

class Recorder : public GenServer<Recorder, Numbered, Get> {
 public:
  explicit Recorder(std::size_t senders) : next_(senders, 0) {}
  void handle(const Numbered& m, Context&) {
    if (m.number != next_[m.sender]) ++disorder_;
    next_[m.sender] = m.number + 1;
    ++received_;
  }
  // The number received, or -1 if one came out of order.
  std::int64_t handle(const Get&, Context&) const { return disorder_ == 0 ? received_ : -1; }

 private:
  std::vector<std::uint32_t> next_;
  std::int64_t received_ = 0;
  std::int64_t disorder_ = 0;
};

class Spammer : public GenServer<Spammer, Start> {
 public:
  Spammer(ActorRef<Recorder> to, std::uint32_t index, std::uint32_t count) : to_(to), index_(index), count_(count) {}
  void handle(const Start&, Context& ctx) {
    for (int i = 0; i < 5 && sent_ < count_; ++i) to_.tell(Numbered{index_, sent_++});
    if (sent_ < count_) ctx.self<Spammer>().tell(Start{});
  }

 private:
  ActorRef<Recorder> to_;
  std::uint32_t index_, count_, sent_ = 0;
};

TEST(RuntimeSimulationTest, MessagesOfEachPairArriveInOrderWhileBothMove_INV_M1) {
  EXPECT_TRUE(rc::check([] {
    auto seed = *rc::gen::arbitrary<std::uint64_t>();
    auto move_every = *rc::gen::inRange<std::size_t>(1, 8);
    SimulatedRuntime sim(seed, {.move_every_turns = move_every});
    constexpr std::uint32_t kSenders = 4, kMessages = 50;
    auto recorder = sim.runtime.spawn<Recorder>("", std::size_t{kSenders});
    for (std::uint32_t i = 0; i < kSenders; ++i) sim.runtime.spawn<Spammer>("", *recorder, i, kMessages)->tell(Start{});
    sim.executor.run_until([] { return false; }, 20'000);
    RC_ASSERT(**sim.ask(*recorder, Get{}) == std::int64_t{kSenders} * kMessages);
    RC_ASSERT(sim.runtime.stats().migrations > 0);
  }));
}

TEST(RuntimeStressTest, MessagesOfEachPairArriveInOrderOnRealThreadsWhileBothMove_INV_M1) {
  for (std::size_t move_every : {1u, 3u, 17u}) {
    env::PosixExecutor executor({.workers = 4});
    Types types;
    Runtime runtime(executor, types, {.move_every_turns = move_every});
    ASSERT_TRUE(runtime.start());
    constexpr std::uint32_t kSenders = 8, kMessages = 2'000;
    auto recorder = runtime.spawn<Recorder>("", std::size_t{kSenders});
    for (std::uint32_t i = 0; i < kSenders; ++i)
      ASSERT_TRUE(runtime.spawn<Spammer>("", *recorder, i, kMessages)->tell(Start{}));
    std::int64_t received = 0;
    for (int i = 0; i < 100'000 && received >= 0 && received < kSenders * kMessages; ++i) {
      // An ask waits behind all that is queued, and each of those may wait for a thread to be scheduled.
      auto answer = recorder->ask(Get{}, 5min);
      ASSERT_TRUE(answer) << answer.error().message();
      received = *answer;
    }
    EXPECT_EQ(received, kSenders * kMessages);
    EXPECT_GT(runtime.stats().migrations, 0u);
    executor.stop();
  }
}

// An actor that goes idle and moves after each message, while several threads wake it: a lost wake-up is an ask that
// times out.
TEST(RuntimeStressTest, NoWakeUpIsLostWhileAnIdleActorMoves) {
  env::PosixExecutor executor({.workers = 3});
  Types types;
  Runtime runtime(executor, types, {.move_every_turns = 1});
  ASSERT_TRUE(runtime.start());
  auto counter = runtime.spawn<Counter>("");
  constexpr int kThreads = 4, kAsks = 1'500;
  std::vector<std::thread> threads;
  std::atomic<int> unanswered{0};
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < kAsks; ++i) unanswered += counter->ask(Increment{1}, 60s) ? 0 : 1;
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(unanswered, 0);
  EXPECT_EQ(counter->ask(Get{}, 20s), kThreads * kAsks);
  executor.stop();
}

// Actors that are started, asked from several threads, and ended, while others look them up.
TEST(RuntimeStressTest, StartingAskingAndEndingFromManyThreadsLosesNoAnswer_INV_M2) {
  env::PosixExecutor executor({.workers = 3});
  Types types;
  Runtime runtime(executor, types);
  ASSERT_TRUE(runtime.start());
  std::atomic<int> answered{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 300; ++i) {
        auto counter = runtime.spawn<Counter>("");
        auto front = runtime.spawn<Front>("", *counter);
        auto answer = front->ask(Relay{i}, 30s);
        if (answer && *answer == 3 * i) ++answered;
        runtime.stop(counter->id());
        runtime.stop(front->id());
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(answered, 4 * 300);
  executor.stop();
}

}  // namespace
}  // namespace plexspaces
