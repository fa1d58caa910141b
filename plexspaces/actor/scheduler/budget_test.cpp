// What many things at once cost those that have nothing to do with them: no loop of a worker goes through all of them.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/actor/simulated_node_fixture.hpp"
#include "plexspaces/behavior/gen_server.hpp"

namespace plexspaces {
namespace {

struct Go {};
struct Numbered {
  std::uint32_t sender = 0;
  std::uint64_t number = 0;
};
struct Count {
  using Reply = std::int64_t;
};
PLX_MESSAGE(Go);
PLX_MESSAGE(Numbered, (1, sender), (2, number));
PLX_MESSAGE(Count);

// Always wants a turn.
class Bystander : public GenServer<Bystander, Go> {
 public:
  explicit Bystander(std::uint64_t* turns) : turns_(turns) {}
  void handle(const Go&, Context& ctx) {
    ++*turns_;
    static_cast<void>(ctx.self<Bystander>().tell(Go{}));
  }

 private:
  std::uint64_t* turns_;
};

// Many events, and in how many lots they come between turns of the bystander.
struct Events {
  explicit Events(const std::uint64_t& bystander) : turns(&bystander) {}
  void event() {
    if (count++ == 0 || *turns != last) ++lots;
    last = *turns;
  }

  const std::uint64_t* turns;
  std::uint64_t count = 0;
  std::uint64_t lots = 0;
  std::uint64_t last = 0;
};

class BudgetTest : public testing::Test {
 protected:
  BudgetTest() : node_({.turns_per_run = 256}, {.workers = 1}), events_(turns_) {}

  void start_bystander() {
    auto bystander = node_.runtime.spawn<Bystander>("", &turns_);
    ASSERT_TRUE(bystander->tell(Go{}));
    node_.executor.run_until([&] { return turns_ > 0; }, 10);
  }
  // Lets no time pass.
  void settle(int steps = 20) {
    for (int i = 0; i < steps; ++i) node_.executor.step_before(node_.world.clock.now());
  }
  void run_until_events(std::uint64_t count) {
    ASSERT_TRUE(node_.executor.run_until([&] { return events_.count >= count; }, 1'000'000)) << events_.count;
  }

  std::uint64_t turns_ = 0;
  SimulatedNode node_;
  Events events_;
};

class Receiver : public GenServer<Receiver, Numbered, Count, Go> {
 public:
  explicit Receiver(Events* events) : events_(events) {}
  void handle(const Numbered& m, Context&) {
    events_->event();
    if (m.sender >= next_.size()) next_.resize(m.sender + 1);
    EXPECT_EQ(m.number, next_[m.sender]) << "of the sender " << m.sender;
    next_[m.sender] = m.number + 1;
  }
  std::int64_t handle(const Count&, Context&) { return static_cast<std::int64_t>(events_->count); }
  Task<> handle(const Go&, Context& ctx) { co_await ctx.sleep(1h); }

 private:
  Events* events_;
  std::vector<std::uint64_t> next_;
};

// Sends so many messages, and again for each Go.
class Sender : public GenServer<Sender, Go> {
 public:
  Sender(std::uint32_t number, ActorRef<Receiver> to, std::uint64_t count) : number_(number), to_(to), count_(count) {}
  void handle(const Go&, Context&) {
    for (std::uint64_t i = 0; i < count_; ++i) EXPECT_TRUE(to_.tell(Numbered{number_, sent_++}));
  }

 private:
  std::uint32_t number_;
  ActorRef<Receiver> to_;
  std::uint64_t count_;
  std::uint64_t sent_ = 0;
};

TEST_F(BudgetTest, ABacklogFromOutsideIsTakenOverInSteps) {
  constexpr std::uint64_t kMessages = 200'000;
  start_bystander();
  auto receiver = node_.runtime.spawn<Receiver>("", &events_);
  settle();
  for (std::uint64_t i = 0; i < kMessages; ++i) ASSERT_TRUE(receiver->tell(Numbered{0, i}));
  std::uint64_t lots = 0;
  for (std::uint64_t last = turns_; events_.count == 0; last = turns_) {
    node_.executor.step();
    lots += turns_ != last ? 1 : 0;
  }
  EXPECT_GT(lots, kMessages / detail::kBacklogStep / 2) << "the list was turned around at once";
  run_until_events(kMessages);
  EXPECT_EQ(node_.runtime.mailbox_size(receiver->id()).messages, 0u);
  EXPECT_EQ(node_.runtime.mailbox_size(receiver->id()).bytes, 0u);
}

TEST_F(BudgetTest, NothingPassesABacklog_INV_M1) {
  constexpr std::uint64_t kMessages = 20'000;
  start_bystander();
  auto receiver = node_.runtime.spawn<Receiver>("", &events_);
  std::vector<ActorRef<Sender>> senders;
  for (std::uint32_t i = 1; i <= 3; ++i) senders.push_back(*node_.runtime.spawn<Sender>("", i, *receiver, 10u));
  settle();
  std::uint64_t sent = 0;
  for (; sent < kMessages; ++sent) ASSERT_TRUE(receiver->tell(Numbered{0, sent}));
  std::uint64_t rounds = 0;
  while (events_.count < kMessages / 2) {
    for (auto& sender : senders) ASSERT_TRUE(sender.tell(Go{}));
    ASSERT_TRUE(receiver->tell(Numbered{0, sent++}));
    ++rounds;
    node_.executor.step();
  }
  run_until_events(sent + rounds * 30);
  EXPECT_EQ(node_.runtime.mailbox_size(receiver->id()).messages, 0u);
}

TEST_F(BudgetTest, AnActorMayEndInTheMiddleOfABacklogAndItsCellIsUsedAgain) {
  start_bystander();
  for (std::uint64_t steps : {0u, 1u, 5u, 15u, 25u, 40u}) {
    auto receiver = node_.runtime.spawn<Receiver>("", &events_);
    std::uint64_t dead = node_.runtime.stats().dead(DeadLetterReason::kStopped);
    std::uint64_t handled = events_.count;
    for (std::uint64_t i = 0; i < 20'000; ++i) ASSERT_TRUE(receiver->tell(Numbered{0, i}));
    settle(static_cast<int>(steps));
    node_.runtime.kill(receiver->id());
    settle(50);
    EXPECT_FALSE(node_.runtime.is_alive(receiver->id())) << "a kill does not wait for what was sent before it";
    settle(100);
    EXPECT_FALSE(node_.runtime.is_alive(receiver->id()));
    handled = events_.count - handled;
    EXPECT_EQ(node_.runtime.stats().dead(DeadLetterReason::kStopped) - dead + handled, 20'000u) << steps;
  }
  auto next = node_.runtime.spawn<Receiver>("", &events_);
  settle();
  EXPECT_EQ(node_.runtime.mailbox_size(next->id()).messages, 0u);
}

TEST_F(BudgetTest, AReplyIsFoundInTheBacklogOfWhoWaitsForIt) {
  struct Waiting : GenServer<Waiting, Go, Numbered> {
    Waiting(ActorRef<Receiver> asked_actor, bool* done_flag) : asked(asked_actor), done(done_flag) {}
    Task<> handle(const Go&, Context& ctx) {
      auto count = co_await ctx.ask(asked, Count{}, 1h);
      EXPECT_TRUE(count);
      *done = true;
    }
    void handle(const Numbered&, Context&) {}
    ActorRef<Receiver> asked;
    bool* done;
  };
  SimulatedNode node({}, {.workers = 2});
  auto receiver = node.runtime.spawn<Receiver>("", &events_);
  bool done = false;
  auto waiting = node.runtime.spawn<Waiting>("", *receiver, &done);  // on the other worker
  node.run();
  ASSERT_TRUE(waiting->tell(Go{}));
  for (std::uint64_t i = 0; i < 10'000; ++i) ASSERT_TRUE(waiting->tell(Numbered{0, i}));
  node.executor.run_until([&] { return done; }, 10'000);
  EXPECT_TRUE(done);
}

TEST_F(BudgetTest, ManyTimersOfOneTimeFireInSteps) {
  struct Clock : GenServer<Clock, Go, Numbered> {
    explicit Clock(Events* given) : events(given) {}
    void handle(const Go&, Context& ctx) {
      for (std::uint64_t i = 0; i < 10'000; ++i) EXPECT_TRUE(ctx.send_after(1ms, Numbered{0, i}));
    }
    void handle(const Numbered& m, Context&) {
      events->event();
      EXPECT_EQ(m.number, next++);
    }
    Events* events;
    std::uint64_t next = 0;
  };
  auto clock = node_.runtime.spawn<Clock>("", &events_);
  ASSERT_TRUE(clock->tell(Go{}));
  node_.executor.step();
  start_bystander();
  node_.world.clock.advance(10ms);
  run_until_events(10'000);
  EXPECT_GT(events_.lots, 50u);
}

TEST_F(BudgetTest, ManyWaitsThatEndTogetherResumeInSteps) {
  struct Sleeper : GenServer<Sleeper, Go> {
    explicit Sleeper(Events* given) : events(given) {}
    Task<> handle(const Go&, Context& ctx) {
      co_await ctx.sleep(1h);
      events->event();
    }
    Events* events;
  };
  for (int i = 0; i < 10'000; ++i) ASSERT_TRUE(node_.runtime.spawn<Sleeper>("", &events_)->tell(Go{}));
  node_.executor.run_for(1min, 10'000);
  start_bystander();
  node_.world.clock.advance(2h);
  run_until_events(10'000);
  EXPECT_GT(events_.lots, 100u);
}

TEST_F(BudgetTest, ManyStartsRunInStepsInTheirOrder) {
  struct Starting : GenServer<Starting, Go> {
    Starting(Events* given, std::uint64_t own, std::uint64_t* next_one) : events(given), number(own), next(next_one) {}
    Status on_start(Context&) override {
      events->event();
      EXPECT_EQ(number, (*next)++) << "starts of one thread keep their order";
      return {};
    }
    void handle(const Go&, Context&) {}
    Events* events;
    std::uint64_t number;
    std::uint64_t* next;
  };
  start_bystander();
  std::uint64_t next = 0;
  for (std::uint64_t i = 0; i < 10'000; ++i) ASSERT_TRUE(node_.runtime.spawn<Starting>("", &events_, i, &next));
  run_until_events(10'000);
  EXPECT_GT(events_.lots, 10u) << "the bystander waits behind those that have started";
}

TEST_F(BudgetTest, WhatWaitedAtAnActorThatEndsIsAnsweredInSteps) {
  constexpr std::uint64_t kAsks = 50'000;
  start_bystander();
  auto receiver = node_.runtime.spawn<Receiver>("", &events_);
  ASSERT_TRUE(receiver->tell(Go{}));  // waits
  settle();
  for (std::uint64_t i = 0; i < kAsks; ++i) {
    auto* ask = detail::make_envelope(nullptr, Count{}, detail::Envelope::kWide);
    ask->ask_for(make_sink([this](Answer answer) {
      ASSERT_NE(answer.error(), nullptr);
      EXPECT_EQ(answer.error()->code(), Code::kNotFound);
      events_.event();
    }));
    ASSERT_TRUE(node_.runtime.send(receiver->id(), ask));
  }
  settle(10);  // part of them is taken over
  node_.runtime.kill(receiver->id());
  run_until_events(kAsks);
  EXPECT_GT(events_.lots, 20u);
  EXPECT_EQ(node_.runtime.stats().dead(DeadLetterReason::kStopped), kAsks);
}

TEST_F(BudgetTest, WhatStillWaitsToBeBuriedIsAnsweredWhenTheRuntimeEnds) {
  std::uint64_t answered = 0;
  {
    SimulatedNode node({}, {.workers = 1});
    auto receiver = node.runtime.spawn<Receiver>("", &events_);
    ASSERT_TRUE(receiver->tell(Go{}));
    node.executor.run_until([] { return false; }, 10);
    for (int i = 0; i < 20'000; ++i) {
      auto* ask = detail::make_envelope(nullptr, Count{}, detail::Envelope::kWide);
      ask->ask_for(make_sink([&](Answer) { ++answered; }));
      ASSERT_TRUE(node.runtime.send(receiver->id(), ask));
    }
    node.runtime.kill(receiver->id());
    node.executor.step();
    EXPECT_LT(answered, 20'000u);
  }
  EXPECT_EQ(answered, 20'000u);
}

// ---- the limits of a mailbox, of all senders together
// ----------------------------------------------------------------

TEST_F(BudgetTest, AMailboxHoldsItsLimitOfAllSendersTogether_INV_M3) {
  constexpr std::uint32_t kMax = 10;
  auto receiver = node_.runtime.spawn<Receiver>(
      SpawnOptions{.name = "",
                   .mailbox = {.messages_max = kMax, .bytes_max = 0, .overflow = Overflow::kReject, .priority = {}}},
      &events_);
  struct Local : GenServer<Local, Go> {
    Local(ActorRef<Receiver> receiving, int* accepted_count) : to(receiving), accepted(accepted_count) {}
    void handle(const Go&, Context&) {
      for (std::uint64_t i = 0; i < kMax; ++i) *accepted += to.tell(Numbered{1, 0}) ? 1 : 0;
    }
    ActorRef<Receiver> to;
    int* accepted;
  };
  int accepted = 0;
  auto local = node_.runtime.spawn<Local>("", *receiver, &accepted);
  ASSERT_TRUE(receiver->tell(Go{}));  // waits
  settle();
  for (std::uint64_t i = 0; i < 7; ++i) accepted += receiver->tell(Numbered{0, i}) ? 1 : 0;
  ASSERT_TRUE(local->tell(Go{}));
  settle();
  EXPECT_EQ(accepted, static_cast<int>(kMax));
  EXPECT_EQ(node_.runtime.mailbox_size(receiver->id()).messages, kMax);
}

TEST_F(BudgetTest, WhatAnActorSendsItselfFirstHasALimit) {
  struct Looper : GenServer<Looper, Go, Count> {
    std::int64_t handle(const Count&, Context& ctx) {
      std::int64_t sent = 0;
      for (; sent < 1'000'000; ++sent) {
        Status more = ctx.continue_with(Go{});
        if (more) continue;
        EXPECT_EQ(more.error().code(), Code::kResourceExhausted);
        EXPECT_EQ(more.error().domain(), "PLX-ACT-0056");
        break;
      }
      return sent;
    }
    void handle(const Go&, Context&) { ++handled; }
    int handled = 0;
  };
  SimulatedNode node({.stash_max = 50});
  auto looper = node.runtime.spawn<Looper>("");
  auto sent = node.ask(*looper, Count{});
  node.run();
  EXPECT_EQ(**sent, 1'050);
  auto again = node.ask(*looper, Count{});
  node.run();
  EXPECT_EQ(**again, 1'050) << "those that were handled count no more";
}

}  // namespace
}  // namespace plexspaces
