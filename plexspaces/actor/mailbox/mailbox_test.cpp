#include "plexspaces/actor/mailbox/mailbox.hpp"

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
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

struct Do {
  std::uint32_t step = 0;
};
struct DoAndWait {
  std::uint32_t step = 0;
};
struct Item {
  std::int64_t number = 0;
};
struct Urgent {
  std::int64_t number = 0;
};
struct Bulk {
  std::int64_t number = 0;
};
struct Blob {
  using Reply = std::int64_t;
  std::string bytes;
};
struct Question {
  using Reply = std::int64_t;
  std::int64_t number = 0;
};
struct Wanted {
  using Reply = std::string;
  std::uint64_t bytes = 0;
};
struct Nap {
  std::uint64_t seconds = 0;
};
struct Unknown {};
PLX_MESSAGE(Do, (1, step));
PLX_MESSAGE(DoAndWait, (1, step));
PLX_MESSAGE(Item, (1, number));
PLX_MESSAGE(Urgent, (1, number));
PLX_MESSAGE(Bulk, (1, number));
PLX_MESSAGE(Blob, (1, bytes));
PLX_MESSAGE(Question, (1, number));
PLX_MESSAGE(Wanted, (1, bytes));
PLX_MESSAGE(Nap, (1, seconds));
PLX_MESSAGE(Unknown);

// What the desks of a test do and see.
struct Stage {
  std::deque<std::function<void(Context&)>> steps;  // a step may add others
  std::deque<std::function<Task<>(Context&)>> waiting_steps;
  std::vector<std::int64_t> seen;        // numbers, by whichever desk
  std::vector<std::string> kinds;        // of the messages
  std::function<bool(Context&)> before;  // of a numbered message; false: it has taken care of it
  std::vector<Down> downs;
};

class Desk : public GenServer<Desk, Do, DoAndWait, Item, Urgent, Bulk, Blob, Question, Wanted, Nap, Down, Exited> {
 public:
  explicit Desk(Stage& stage) : stage_(stage) {}
  void handle(const Do& m, Context& ctx) { stage_.steps[m.step](ctx); }
  Task<> handle(const DoAndWait& m, Context& ctx) { return stage_.waiting_steps[m.step](ctx); }
  void handle(const Item& m, Context& ctx) { note("Item", m.number, ctx); }
  void handle(const Urgent& m, Context& ctx) { note("Urgent", m.number, ctx); }
  void handle(const Bulk& m, Context& ctx) { note("Bulk", m.number, ctx); }
  std::int64_t handle(const Blob& m, Context& ctx) {
    note("Blob", 0, ctx);
    return static_cast<std::int64_t>(m.bytes.size());
  }
  std::int64_t handle(const Question& m, Context& ctx) {
    note("Question", m.number, ctx);
    return 10 * m.number;
  }
  std::string handle(const Wanted& m, Context&) { return std::string(m.bytes, 'x'); }
  Task<> handle(const Nap& m, Context& ctx) { co_await ctx.sleep(std::chrono::seconds(m.seconds)); }
  void handle(const Down& m, Context&) {
    stage_.downs.push_back(m);
    stage_.kinds.emplace_back("Down");
  }
  void handle(const Exited&, Context&) { stage_.kinds.emplace_back("Exited"); }

 private:
  void note(std::string kind, std::int64_t number, Context& ctx) {
    if (stage_.before && !stage_.before(ctx)) return;
    stage_.kinds.push_back(std::move(kind));
    stage_.seen.push_back(number);
  }
  Stage& stage_;
};

using Answered = std::optional<Result<std::int64_t>>;

class MailboxTest : public testing::Test {
 public:
  explicit MailboxTest(std::uint64_t seed = 1, RuntimeOptions options = {})
      : world_(seed), executor_(world_, {}), runtime_(executor_, types_, with_pick(std::move(options))) {
    runtime_.set_log([](const std::string&) {});
    EXPECT_TRUE(runtime_.start());
  }
  void TestBody() override {}

  RuntimeOptions with_pick(RuntimeOptions options) {
    options.pick = [this](std::size_t count) { return static_cast<std::size_t>(world_.random.below(count)); };
    return options;
  }
  void settle(Duration time = 1ms) { executor_.run_for(time, 1'000'000); }
  ActorRef<Desk> desk(MailboxOptions mailbox = {}) {
    return *runtime_.spawn<Desk>(SpawnOptions{.name = "", .mailbox = std::move(mailbox)}, stage_);
  }
  // Runs `step` as a turn of `who`.
  void perform(ActorRef<Desk> who, std::function<void(Context&)> step) {
    stage_.steps.push_back(std::move(step));
    ASSERT_TRUE(who.tell(Do{static_cast<std::uint32_t>(stage_.steps.size() - 1)}));
    settle();
  }
  // Begins `step` as a turn of `who` that may wait.
  void begin(ActorRef<Desk> who, std::function<Task<>(Context&)> step) {
    stage_.waiting_steps.push_back(std::move(step));
    ASSERT_TRUE(who.tell(DoAndWait{static_cast<std::uint32_t>(stage_.waiting_steps.size() - 1)}));
  }
  // Asks from outside; the answer comes while the simulation runs.
  template <class M>
  std::shared_ptr<std::optional<Result<ReplyOf<M>>>> ask(ActorRef<Desk> to, M message, Duration within = 1h,
                                                         RequestContextPtr request = nullptr) {
    auto result = std::make_shared<std::optional<Result<ReplyOf<M>>>>();
    auto* envelope =
        detail::make_envelope(nullptr, std::move(message), detail::Envelope::kAsk | detail::Envelope::kSink);
    envelope->sender = reinterpret_cast<std::uint64_t>(
        make_sink([result](Answer answer) { *result = answer.take<ReplyOf<M>>(); }).release());
    envelope->context = detail::new_context(nullptr);
    envelope->context->deadline = executor_.now() + within;
    envelope->context->request = std::move(request);
    static_cast<void>(runtime_.send(to.id(), envelope));
    return result;
  }
  std::uint64_t dead(DeadLetterReason reason) const { return runtime_.stats().dead(reason); }

  sim::World world_;
  sim::SimExecutor executor_;
  Types types_;
  Stage stage_;
  Runtime runtime_;
};

using Numbers = std::vector<std::int64_t>;

// ---- limits and policies -------------------------------------------------------------------------------------------

struct PolicyCase {
  Overflow overflow;
  bool local;  // the senders are on the receiver's worker
};

class PolicyTest : public MailboxTest, public testing::WithParamInterface<PolicyCase> {
 public:
  void TestBody() override {}
};

// Eight messages for a mailbox of five: `told` counts the sends that succeeded.
struct Outcome {
  int told = 0;
  std::string code;
};

Outcome send_eight(ActorRef<Desk> to) {
  Outcome outcome;
  for (int i = 1; i <= 8; ++i) {
    Status sent = to.tell(Item{i});
    outcome.told += sent ? 1 : 0;
    if (!sent) outcome.code = sent.error().domain();
  }
  return outcome;
}

TEST_P(PolicyTest, AFullMailboxDoesWhatItsPolicySaysAndEveryDropIsCounted_INV_M3) {
  auto [overflow, local] = GetParam();
  MailboxOptions mailbox{.messages_max = 5, .overflow = overflow};
  Outcome outcome;
  if (local) {
    perform(desk(), [&](Context& ctx) {
      auto child = ctx.spawn_with<Desk>({.mailbox = mailbox}, stage_);
      outcome = send_eight(*child);
    });
  } else {
    auto receiver = desk(mailbox);
    settle();
    outcome = send_eight(receiver);
  }
  settle();
  Numbers first{1, 2, 3, 4, 5}, last{4, 5, 6, 7, 8};
  switch (overflow) {
    case Overflow::kReject:
    case Overflow::kBlock:
      EXPECT_EQ(outcome.told, 5);
      EXPECT_EQ(outcome.code, overflow == Overflow::kBlock ? "PLX-ACT-0041" : "PLX-ACT-0006");
      EXPECT_EQ(stage_.seen, first);
      EXPECT_EQ(dead(DeadLetterReason::kMailboxFull), 3u);
      break;
    case Overflow::kDropNewest:
      EXPECT_EQ(outcome.told, 8);
      EXPECT_EQ(stage_.seen, first);
      EXPECT_EQ(dead(DeadLetterReason::kDroppedNewest), 3u);
      break;
    case Overflow::kDropOldest:
      EXPECT_EQ(outcome.told, 8);
      EXPECT_EQ(stage_.seen, last);
      EXPECT_EQ(dead(DeadLetterReason::kDroppedOldest), 3u);
      break;
  }
  ASSERT_EQ(runtime_.dead_letters().size(), 3u);
  EXPECT_EQ(runtime_.dead_letters().front().message_type, "Item");
}

TEST_P(PolicyTest, AnAskToAFullMailboxLearnsItByAnErrorWhateverThePolicy_INV_M3) {
  auto [overflow, local] = GetParam();
  MailboxOptions mailbox{.messages_max = 2, .overflow = overflow};
  Answered oldest, newest;
  if (local) {
    auto asker = desk();
    ActorRef<Desk> receiver;
    perform(asker, [&](Context& ctx) {
      receiver = *ctx.spawn_with<Desk>({.mailbox = mailbox}, stage_);
      receiver.tell(Nap{10});
    });
    ActorRef<Desk> second;
    perform(asker, [&](Context& ctx) { second = *ctx.spawn<Desk>(stage_); });
    auto asks = [&](Answered& answer, std::int64_t number) {
      return [&, number](Context& ctx) -> Task<> {
        Question question{number};
        Answered::value_type result = co_await ctx.ask(receiver, question, 1h);
        answer = std::move(result);
      };
    };
    begin(asker, asks(oldest, 1));
    settle();
    ASSERT_TRUE(receiver.tell(Item{1}));
    settle();
    begin(second, asks(newest, 2));
    settle();
  } else {
    auto receiver = desk(mailbox);
    ASSERT_TRUE(receiver.tell(Nap{10}));
    settle();
    auto first = ask(receiver, Question{1});
    ASSERT_TRUE(receiver.tell(Item{1}));
    auto second = ask(receiver, Question{2});
    settle();
    oldest = std::move(*first);
    newest = std::move(*second);
  }
  bool drops_oldest = overflow == Overflow::kDropOldest;
  ASSERT_EQ(oldest.has_value(), drops_oldest);
  ASSERT_EQ(newest.has_value(), !drops_oldest);
  EXPECT_EQ((drops_oldest ? *oldest : *newest).error().code(), Code::kResourceExhausted);
  EXPECT_EQ(dead(drops_oldest ? DeadLetterReason::kDroppedOldest : DeadLetterReason::kMailboxFull), 1u);
}

std::string name_of(const testing::TestParamInfo<PolicyCase>& given) {
  static const char* const kNames[] = {"Reject", "Block", "DropNewest", "DropOldest"};
  return std::string(kNames[static_cast<std::size_t>(given.param.overflow)]) +
         (given.param.local ? "OfTheSameWorker" : "FromElsewhere");
}

std::vector<PolicyCase> all_policies() {
  std::vector<PolicyCase> cases;
  for (Overflow overflow : {Overflow::kReject, Overflow::kBlock, Overflow::kDropNewest, Overflow::kDropOldest})
    for (bool local : {true, false}) cases.push_back({overflow, local});
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Each, PolicyTest, testing::ValuesIn(all_policies()), name_of);

TEST_F(MailboxTest, TheBytesOfOneActorsMailboxAreBoundedAlsoForMessagesOfMegabytes_INV_M3) {
  auto receiver = desk({.bytes_max = 20u << 20});
  settle();
  int told = 0;
  for (int i = 0; i < 8; ++i) told += receiver.tell(Blob{std::string(4u << 20, 'x')}) ? 1 : 0;
  EXPECT_EQ(told, 4);  // a fifth with its envelope is over
  EXPECT_LE(runtime_.mailbox_size(receiver.id()).bytes, 20u << 20);
  EXPECT_GE(runtime_.mailbox_size(receiver.id()).bytes, 16u << 20);
  settle();
  EXPECT_EQ(stage_.seen.size(), 4u);
  EXPECT_EQ(runtime_.mailbox_size(receiver.id()).bytes, 0u);
}

TEST_F(MailboxTest, AStalledActorThatDropsTheOldestKeepsTheNewestOfAnyNumber_INV_M3) {
  auto receiver = desk({.messages_max = 10, .overflow = Overflow::kDropOldest});
  ASSERT_TRUE(receiver.tell(Nap{1}));
  settle();
  for (int i = 1; i <= 1'000; ++i) {
    ASSERT_TRUE(receiver.tell(Item{i}));
    ASSERT_LE(runtime_.mailbox_size(receiver.id()).messages, 20u);
  }
  settle(2s);
  Numbers newest;
  for (int i = 991; i <= 1'000; ++i) newest.push_back(i);
  EXPECT_EQ(stage_.seen, newest);
  EXPECT_EQ(dead(DeadLetterReason::kDroppedOldest), 990u);
}

TEST_F(MailboxTest, WhatLinksAndTimersOweAnActorIsNeverDropped_INV_M8) {
  ActorRef<Desk> receiver;
  perform(desk(), [&](Context& ctx) {
    receiver = *ctx.spawn_with<Desk>({.mailbox = {.messages_max = 2, .overflow = Overflow::kDropOldest}}, stage_);
    auto other = *ctx.spawn<Desk>(stage_);
    receiver.tell(Do{static_cast<std::uint32_t>(stage_.steps.size())});
    stage_.steps.emplace_back([other](Context& mine) {
      EXPECT_TRUE(mine.monitor(other));
      EXPECT_TRUE(mine.send_after(1s, Item{77}));
    });
  });
  settle();
  ASSERT_TRUE(receiver.tell(Nap{5}));
  settle();
  // The other desk ends, the timer is due, and a flood comes, while the receiver naps.
  for (const auto& id : {ActorId{receiver.id().slot + 1, receiver.id().generation}}) runtime_.stop(id);
  settle(2s);
  perform(desk(), [&](Context&) {
    for (int i = 1; i <= 20; ++i) EXPECT_TRUE(receiver.tell(Item{i}));
  });
  settle(10s);
  EXPECT_EQ(stage_.downs.size(), 1u);
  EXPECT_EQ(std::ranges::count(stage_.seen, 77), 1);
}

TEST_F(MailboxTest, AtMost255DifferentMailboxesAreInARuntime) {
  for (std::uint32_t i = 1; i <= kMailboxKindsMax; ++i)
    ASSERT_TRUE(runtime_.spawn<Desk>({.mailbox = {.messages_max = i}}, stage_));
  EXPECT_EQ(runtime_.spawn<Desk>({.mailbox = {.messages_max = 1'000}}, stage_).error().domain(), "PLX-ACT-0040");
  EXPECT_TRUE(runtime_.spawn<Desk>({.mailbox = {.messages_max = 255}}, stage_));  // known
  EXPECT_TRUE(runtime_.spawn<Desk>("", stage_));
}

TEST_F(MailboxTest, AnActorThatIsStartedInATurnCanHaveAName) {
  perform(desk(), [&](Context& ctx) {
    auto child = ctx.spawn_with<Desk>({.name = "child"}, stage_);
    ASSERT_TRUE(child);
    EXPECT_EQ(*ctx.runtime().find<Desk>("child"), *child);
    EXPECT_EQ(ctx.spawn_with<Desk>({.name = "child"}, stage_).error().code(), Code::kAlreadyExists);
    ctx.runtime().stop(child->id());
  });
  settle();
  EXPECT_EQ(runtime_.find<Desk>("child").error().code(), Code::kNotFound);
  EXPECT_TRUE(runtime_.spawn<Desk>("child", stage_));
}

// ---- priorities ----------------------------------------------------------------------------------------------------

MailboxOptions by_type() { return {.priority = Priorities().high<Urgent>().low<Bulk>()}; }

TEST_F(MailboxTest, HigherMessagesComeFirstAndLowerOnesDoNotStarve) {
  auto receiver = desk(by_type());
  settle();
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(receiver.tell(Bulk{i}));
    ASSERT_TRUE(receiver.tell(Item{i}));
  }
  for (int i = 1; i <= 40; ++i) ASSERT_TRUE(receiver.tell(Urgent{i}));
  settle();
  std::vector<std::string> expected(kHigherInARowMax, "Urgent");
  expected.insert(expected.end(), {"Bulk", "Item"});
  for (std::size_t i = 0; i < kHigherInARowMax - 1; ++i) expected.emplace_back("Urgent");
  // The Item that has just run counts among those that went before Bulk.
  ASSERT_GE(stage_.kinds.size(), expected.size());
  EXPECT_EQ(std::vector(stage_.kinds.begin(), stage_.kinds.begin() + static_cast<std::ptrdiff_t>(expected.size())),
            expected);
  EXPECT_EQ(stage_.kinds.size(), 46u);
  EXPECT_EQ(stage_.kinds.back(), "Bulk");
}

TEST_F(MailboxTest, AFunctionOfTheMessageDecidesItsPriority) {
  MailboxOptions mailbox{.priority = Priorities().by<Item>(
                             [](const Item& item) { return item.number < 0 ? Priority::kHigh : Priority::kLow; })};
  auto receiver = desk(mailbox);
  settle();
  for (int number : {1, 2, -1, 3, -2}) ASSERT_TRUE(receiver.tell(Item{number}));
  settle();
  EXPECT_EQ(stage_.seen, (Numbers{-1, -2, 1, 2, 3}));
}

TEST_F(MailboxTest, ATimersMessageHasThePriorityOfItsTypeAndContinueWithComesBeforeAll) {
  auto receiver = desk(by_type());
  perform(receiver, [&](Context& ctx) {
    EXPECT_TRUE(ctx.send_after(1s, Urgent{1}));
    EXPECT_TRUE(ctx.send_after(1s, Bulk{2}));
  });
  ASSERT_TRUE(receiver.tell(Nap{3}));
  settle(2s);
  ASSERT_TRUE(receiver.tell(Item{3}));
  ASSERT_TRUE(receiver.tell(Urgent{4}));
  stage_.before = [done = false](Context& ctx) mutable {
    if (!std::exchange(done, true)) {
      EXPECT_TRUE(ctx.continue_with(Bulk{10}));
      EXPECT_TRUE(ctx.continue_with(Bulk{11}));
    }
    return true;
  };
  settle(5s);
  EXPECT_EQ(stage_.seen, (Numbers{1, 11, 10, 4, 3, 2}));
}

// A sender that sends a random number of messages in a turn, of random levels.
TEST(MailboxSimulationTest, EachSenderAndLevelStaysInOrderAndNobodyWaitsTooLongWhileAllMove_INV_M1) {
  std::uint64_t moves = 0;
  EXPECT_TRUE(rc::check([&] {
    auto seed = *rc::gen::arbitrary<std::uint64_t>();
    MailboxTest sim(seed, {.turns_per_batch = seed % 3 == 0 ? std::size_t{128} : 2,
                           .move_every_turns = *rc::gen::inRange<std::size_t>(0, 5)});
    auto receiver = sim.desk(by_type());
    constexpr int kSenders = 3, kTurns = 15;
    std::map<std::string, std::int64_t> sent;
    std::vector<ActorRef<Desk>> senders;
    for (int s = 0; s < kSenders; ++s) senders.push_back(sim.desk());
    for (int t = 0; t < kTurns; ++t)
      for (int s = 0; s < kSenders; ++s)
        sim.stage_.steps.emplace_back([&, s](Context&) {
          for (auto n = sim.world_.random.below(12); n > 0; --n) {
            auto level = sim.world_.random.below(10);
            const char* kind = level < 7 ? "Urgent" : level < 9 ? "Item" : "Bulk";
            std::int64_t number = s * 1'000'000 + sent[kind + std::to_string(s)]++;
            bool told = level < 7   ? receiver.tell(Urgent{number}).has_value()
                        : level < 9 ? receiver.tell(Item{number}).has_value()
                                    : receiver.tell(Bulk{number}).has_value();
            RC_ASSERT(told);
          }
        });
    for (std::uint32_t i = 0; i < kTurns * kSenders; ++i) RC_ASSERT(senders[i % kSenders].tell(Do{i}).has_value());
    sim.settle(10ms);
    std::int64_t total = 0;
    for (const auto& [key, count] : sent) total += count;
    RC_ASSERT(static_cast<std::int64_t>(sim.stage_.seen.size()) == total);
    std::map<std::string, std::int64_t> next;
    for (std::size_t i = 0; i < sim.stage_.seen.size(); ++i) {
      std::int64_t number = sim.stage_.seen[i];
      RC_ASSERT(next[sim.stage_.kinds[i] + std::to_string(number / 1'000'000)]++ == number % 1'000'000);
    }
    moves += sim.runtime_.stats().migrations;
  }));
  EXPECT_GT(moves, 0u);
}

TEST(MailboxSimulationTest, ALowerMessageWaitsForABoundedNumberOfHigherOnes) {
  EXPECT_TRUE(rc::check([] {
    MailboxTest sim(*rc::gen::arbitrary<std::uint64_t>());
    auto receiver = sim.desk(by_type());
    sim.settle();
    auto levels = *rc::gen::container<std::vector<int>>(rc::gen::weightedElement<int>({{8, 0}, {3, 1}, {1, 2}}));
    std::array<std::int64_t, kPriorities> count{};
    for (int level : levels) {
      ++count[static_cast<std::size_t>(level)];
      bool told = level == 0   ? receiver.tell(Urgent{}).has_value()
                  : level == 1 ? receiver.tell(Item{}).has_value()
                               : receiver.tell(Bulk{}).has_value();
      RC_ASSERT(told);
    }
    sim.settle();
    RC_ASSERT(sim.stage_.kinds.size() == levels.size());
    // All were queued before the first ran: between two of a level, and before its first, come at most so many higher.
    std::array<std::int64_t, kPriorities> left = count;
    std::array<std::size_t, kPriorities> higher{};
    for (const std::string& kind : sim.stage_.kinds) {
      std::size_t level = kind == "Urgent" ? 0 : kind == "Item" ? 1 : 2;
      RC_ASSERT(--left[level] >= 0);
      higher[level] = 0;
      for (std::size_t lower = level + 1; lower < kPriorities; ++lower)
        if (left[lower] > 0) RC_ASSERT(++higher[lower] <= kHigherInARowMax);
    }
  }));
}

// ---- the system lane -----------------------------------------------------------------------------------------------

// An actor naps; messages, and then an order, come. Each kind of order is before the messages.
TEST_F(MailboxTest, StopKillAndExitSignalsComeBeforeWhatIsQueued) {
  for (int kind = 0; kind < 3; ++kind) {
    auto receiver = desk(kind == 0 ? by_type() : MailboxOptions{});
    ASSERT_TRUE(receiver.tell(Nap{1}));
    settle();
    for (int i = 1; i <= 10; ++i) ASSERT_TRUE(receiver.tell(Urgent{i}));
    if (kind == 0) runtime_.stop(receiver.id());
    if (kind == 1) runtime_.kill(receiver.id());
    if (kind == 2)
      perform(desk(), [&](Context& ctx) { EXPECT_TRUE(ctx.exit(receiver, ExitReason::error("because"))); });
    settle(2s);
    EXPECT_EQ(stage_.seen.size(), 0u) << kind;
  }
  EXPECT_EQ(dead(DeadLetterReason::kStopped), 30u);
}

TEST_F(MailboxTest, AMonitorAndALinkTakeEffectBeforeWhatIsQueued) {
  auto receiver = desk();
  settle();
  perform(desk(), [&](Context& ctx) {
    // The first message that the receiver handles ends it: the orders come after it, but are taken before it.
    receiver.tell(Do{static_cast<std::uint32_t>(stage_.steps.size())});
    EXPECT_TRUE(ctx.trap_exits(true));
    EXPECT_TRUE(ctx.monitor(receiver));
    EXPECT_TRUE(ctx.link(receiver));
    stage_.steps.emplace_back([](Context&) { throw std::runtime_error("on purpose"); });
  });
  settle();
  ASSERT_EQ(stage_.downs.size(), 1u);
  EXPECT_EQ(stage_.downs[0].reason, ExitReason::error("on purpose"));
  EXPECT_EQ(stage_.kinds.size(), 2u);  // Down, and Exited
}

TEST_F(MailboxTest, AReplyComesBeforeWhatIsQueued) {
  auto other = desk();
  auto asker = desk(by_type());
  begin(asker, [&](Context& ctx) -> Task<> {
    Question question{1};
    auto answer = co_await ctx.ask(other, question, 1h);
    EXPECT_EQ(answer, 10);
    stage_.kinds.emplace_back("answered");
  });
  executor_.run_until([&] { return stage_.kinds.size() == 1; }, 1'000);  // the question is handled
  for (int i = 1; i <= 3; ++i) ASSERT_TRUE(asker.tell(Urgent{i}));
  settle();
  EXPECT_EQ(stage_.kinds, (std::vector<std::string>{"Question", "answered", "Urgent", "Urgent", "Urgent"}));
}

// ---- senders that wait for room ------------------------------------------------------------------------------------

// `number` is sent to `to` within `within`; the outcome is noted.
struct Sent {
  std::optional<Status> status;
  TimePoint at{};
};

class SendTest : public MailboxTest {
 public:
  explicit SendTest(std::uint64_t seed = 1, RuntimeOptions options = {}) : MailboxTest(seed, std::move(options)) {}
  void TestBody() override {}

  std::shared_ptr<Sent> send(ActorRef<Desk> from, ActorRef<Desk> to, std::int64_t number, Duration within) {
    auto sent = std::make_shared<Sent>();
    begin(from, [this, to, number, within, sent](Context& ctx) -> Task<> {
      Item item{number};
      Status status = co_await ctx.send(to, item, within);
      sent->status = std::move(status);
      sent->at = executor_.now();
    });
    return sent;
  }
  // An actor that naps for so long, with a full mailbox.
  ActorRef<Desk> busy(std::uint64_t seconds, std::uint32_t messages_max = 2) {
    auto receiver = desk({.messages_max = messages_max, .overflow = Overflow::kBlock});
    EXPECT_TRUE(receiver.tell(Nap{seconds}));
    settle();
    for (std::uint32_t i = 0; i < messages_max; ++i) EXPECT_TRUE(receiver.tell(Item{-1 - std::int64_t{i}}));
    settle();
    return receiver;
  }
};

TEST_F(SendTest, ThoseThatWaitGetRoomInTheOrderInWhichTheyCame_INV_M1_INV_M3) {
  auto receiver = busy(10);
  std::vector<std::shared_ptr<Sent>> sent;
  for (int i = 1; i <= 6; ++i) {
    sent.push_back(send(desk(), receiver, i, 1h));
    settle();
    EXPECT_FALSE(sent.back()->status);
    EXPECT_LE(runtime_.mailbox_size(receiver.id()).messages, 2u);
  }
  settle(20s);
  for (auto& each : sent) {
    ASSERT_TRUE(each->status);
    EXPECT_TRUE(*each->status);
  }
  EXPECT_EQ(stage_.seen, (Numbers{-1, -2, 1, 2, 3, 4, 5, 6}));
  // As before: a mailbox with room, and no cost of the waiting that was.
  auto later = send(desk(), receiver, 7, 1h);
  settle();
  EXPECT_TRUE(later->status && *later->status);
  EXPECT_EQ(stage_.seen.back(), 7);
}

TEST_F(SendTest, TheWaitOfALocalSenderIsAsThatOfOneElsewhereAlsoForAMailboxLikeAllOthers) {
  MailboxTest::settle();
  for (bool own : {true, false}) {
    SendTest sim(1, {.mailbox_messages_max = 2});
    std::shared_ptr<Sent> sent;
    ActorRef<Desk> receiver, sender;
    sim.perform(sim.desk(), [&](Context& ctx) {
      MailboxOptions mailbox;
      if (own) mailbox.overflow = Overflow::kDropNewest;
      receiver = *ctx.spawn_with<Desk>({.mailbox = mailbox}, sim.stage_);
      sender = *ctx.spawn<Desk>(sim.stage_);
      EXPECT_TRUE(receiver.tell(Nap{10}));
    });
    sim.perform(sim.desk(), [&](Context&) {
      for (int i = 1; i <= 2; ++i) EXPECT_TRUE(receiver.tell(Item{i}));
    });
    sent = sim.send(sender, receiver, 3, 1h);
    sim.settle();
    EXPECT_FALSE(sent->status);
    sim.settle(20s);
    ASSERT_TRUE(sent->status && *sent->status);
    EXPECT_EQ(sim.stage_.seen, (Numbers{1, 2, 3}));
    EXPECT_TRUE(receiver.tell(Item{4}));
    sim.settle();
    EXPECT_EQ(sim.stage_.seen.back(), 4);
  }
}

TEST_F(SendTest, AtTheDeadlineTheMessageIsTakenBack) {
  auto receiver = busy(10);
  TimePoint began = executor_.now();
  auto in_vain = send(desk(), receiver, 1, 2s);
  auto patient = send(desk(), receiver, 2, 1h);
  settle(5s);
  ASSERT_TRUE(in_vain->status && !*in_vain->status);
  EXPECT_EQ(in_vain->status->error().domain(), "PLX-ACT-0045");
  EXPECT_EQ(in_vain->status->error().code(), Code::kDeadlineExceeded);
  EXPECT_GE(in_vain->at - began, 2s);
  EXPECT_LT(in_vain->at - began, 3s);
  settle(20s);
  EXPECT_TRUE(patient->status && *patient->status);
  EXPECT_EQ(stage_.seen, (Numbers{-1, -2, 2}));
}

TEST_F(SendTest, TheEndOfTheReceiverIsNotFoundAndADeadLetter) {
  auto receiver = busy(10);
  auto waiting = send(desk(), receiver, 1, 1h);
  settle();
  runtime_.kill(receiver.id());
  settle();
  ASSERT_TRUE(waiting->status && !*waiting->status);
  EXPECT_EQ(waiting->status->error().code(), Code::kNotFound);
  auto late = send(desk(), receiver, 2, 1h);
  settle();
  ASSERT_TRUE(late->status && !*late->status);
  EXPECT_EQ(late->status->error().code(), Code::kNotFound);
  EXPECT_EQ(dead(DeadLetterReason::kStopped), 3u);  // the two in the mailbox, and that which waited
  EXPECT_EQ(dead(DeadLetterReason::kNoActor), 1u);
  EXPECT_EQ(stage_.seen.size(), 0u);
}

TEST_F(SendTest, ASenderThatEndsTakesItsMessageBack) {
  auto receiver = busy(10);
  auto sender = desk();
  auto waiting = send(sender, receiver, 1, 1h);
  settle();
  runtime_.kill(sender.id());
  settle(20s);
  EXPECT_FALSE(waiting->status);
  EXPECT_EQ(stage_.seen, (Numbers{-1, -2}));
}

TEST_F(SendTest, AnActorCannotWaitForRoomInItsOwnMailbox) {
  auto selfish = desk({.messages_max = 2});
  settle();
  begin(selfish, [&](Context& ctx) -> Task<> {
    Item item{1};
    ActorRef<Desk> self = ctx.self<Desk>();
    Status first = co_await ctx.send(self, item, 1h);
    Status second = co_await ctx.send(self, item, 1h);
    EXPECT_TRUE(first && second);
    Status third = co_await ctx.send(self, item, 1h);
    EXPECT_EQ(third.error().code(), Code::kFailedPrecondition);
  });
  settle();
  EXPECT_EQ(stage_.seen.size(), 2u);
}

TEST_F(SendTest, OfTwoActorsThatWaitForEachOtherTheFirstDeadlineFreesBoth) {
  auto a = desk({.messages_max = 1}), b = desk({.messages_max = 1});
  std::optional<Status> from_a, from_b;
  auto nap_and_send = [&](ActorRef<Desk> to, std::int64_t number, Duration within, std::optional<Status>& status) {
    return [&status, to, number, within](Context& ctx) -> Task<> {
      co_await ctx.sleep(1s);
      Item item{number};
      Status sent = co_await ctx.send(to, item, within);
      status = std::move(sent);
    };
  };
  begin(a, nap_and_send(b, 1, 2s, from_a));
  begin(b, nap_and_send(a, 2, 1h, from_b));
  settle();
  ASSERT_TRUE(a.tell(Item{3}) && b.tell(Item{4}));
  settle(2s);
  EXPECT_FALSE(from_a || from_b);
  settle(2s);
  ASSERT_TRUE(from_a && !*from_a && from_b);
  EXPECT_EQ(from_a->error().code(), Code::kDeadlineExceeded);
  EXPECT_TRUE(*from_b);
  EXPECT_EQ(std::ranges::count(stage_.seen, 1), 0);
  EXPECT_EQ(std::ranges::count(stage_.seen, 2), 1);
}

TEST_F(SendTest, AsManyAsTheLimitAllowsWaitAndThoseThatGaveUpDoNotCount) {
  SendTest sim(1, {.sends_waiting_max = 3});
  auto receiver = sim.busy(100);
  std::vector<std::shared_ptr<Sent>> sent;
  for (int i = 0; i < 3; ++i) sent.push_back(sim.send(sim.desk(), receiver, i, 5s));
  sim.settle();
  auto refused = sim.send(sim.desk(), receiver, 9, 1h);
  sim.settle();
  ASSERT_TRUE(refused->status && !*refused->status);
  EXPECT_EQ(refused->status->error().domain(), "PLX-ACT-0046");
  sim.settle(10s);
  for (auto& each : sent) EXPECT_TRUE(each->status && !*each->status);
  auto waits = sim.send(sim.desk(), receiver, 10, 1h);
  sim.settle(200s);
  EXPECT_TRUE(waits->status && *waits->status);
  EXPECT_EQ(sim.stage_.seen, (Numbers{-1, -2, 10}));
}

TEST_F(SendTest, AMessageThatNeverFitsIsRefusedAtOnce) {
  auto receiver = desk({.bytes_max = 1'000});
  settle();
  std::optional<Status> status;
  begin(desk(), [&](Context& ctx) -> Task<> {
    Blob blob{std::string(2'000, 'x')};
    Status sent = co_await ctx.send(receiver, blob, 1h);
    status = std::move(sent);
  });
  settle();
  ASSERT_TRUE(status && !*status);
  EXPECT_EQ(status->error().code(), Code::kResourceExhausted);
}

TEST(MailboxSimulationTest, WhatASenderIsToldIsWhatHappensWhateverTheInterleaving_INV_M1_INV_M3) {
  std::uint64_t moves = 0, in_vain = 0, let_in = 0;
  EXPECT_TRUE(rc::check([&] {
    auto seed = *rc::gen::arbitrary<std::uint64_t>();
    SendTest sim(seed, {.turns_per_batch = seed % 3 == 0 ? std::size_t{128} : 1,
                        .move_every_turns = *rc::gen::inRange<std::size_t>(0, 4)});
    auto receiver = sim.desk({.messages_max = 3, .overflow = Overflow::kBlock});
    constexpr int kSenders = 5, kMessages = 8;
    std::map<std::int64_t, bool> told;
    std::uint64_t most = 0;
    for (int s = 0; s < kSenders; ++s) {
      auto sender = sim.desk();
      sim.begin(sender, [&, s](Context& ctx) -> Task<> {
        for (int i = 0; i < kMessages; ++i) {
          Item item{s * 1'000 + i};
          Duration within = std::chrono::milliseconds(1 + sim.world_.random.below(40));
          Status sent = co_await ctx.send(receiver, item, within);
          told[item.number] = sent.has_value();
        }
      });
    }
    // The receiver naps now and then: what it is asked to do finds its mailbox full at times.
    sim.stage_.waiting_steps.emplace_back(
        [&](Context& ctx) -> Task<> { co_await ctx.sleep(std::chrono::milliseconds(sim.world_.random.below(30))); });
    for (int i = 0; i < 30; ++i) {
      receiver.tell(DoAndWait{static_cast<std::uint32_t>(sim.stage_.waiting_steps.size() - 1)});
      sim.settle(std::chrono::milliseconds(sim.world_.random.below(20)));
      most = std::max(most, sim.runtime_.mailbox_size(receiver.id()).messages);
    }
    sim.settle(10s);
    RC_ASSERT(told.size() == std::size_t{kSenders * kMessages});
    RC_ASSERT(most <= 6u);
    std::map<std::int64_t, std::int64_t> last;
    std::map<std::int64_t, int> handled;
    for (std::int64_t number : sim.stage_.seen) {
      ++handled[number];
      RC_ASSERT(last[number / 1'000] <= number);
      last[number / 1'000] = number;
    }
    for (const auto& [number, sent] : told) {
      RC_ASSERT(handled[number] == (sent ? 1 : 0));
      (sent ? let_in : in_vain) += 1;
    }
    moves += sim.runtime_.stats().migrations;
  }));
  EXPECT_GT(moves, 0u);
  EXPECT_GT(in_vain, 0u);
  EXPECT_GT(let_in, 0u);
}

// ---- the stash -----------------------------------------------------------------------------------------------------

class StashTest : public MailboxTest {
 public:
  explicit StashTest(std::uint64_t seed = 1, RuntimeOptions options = {}) : MailboxTest(seed, std::move(options)) {
    stage_.before = [this](Context& ctx) {
      if (open_) return true;
      stashed_.push_back(ctx.stash());
      return false;
    };
  }
  void TestBody() override {}
  void unstash(ActorRef<Desk> who) {
    perform(who, [this](Context& ctx) {
      open_ = true;
      ctx.unstash_all();
    });
  }

  bool open_ = false;
  std::vector<Status> stashed_;
};

TEST_F(StashTest, WhatIsStashedComesBackBeforeWhatIsQueuedInItsOrder) {
  auto receiver = desk();
  for (int i = 1; i <= 3; ++i) ASSERT_TRUE(receiver.tell(Item{i}));
  settle();
  EXPECT_EQ(stashed_.size(), 3u);
  EXPECT_EQ(stage_.seen.size(), 0u);
  perform(receiver, [&](Context& ctx) {
    for (int i = 4; i <= 5; ++i) EXPECT_TRUE(ctx.self<Desk>().tell(Item{i}));
    open_ = true;
    ctx.unstash_all();
  });
  settle();
  EXPECT_EQ(stage_.seen, (Numbers{1, 2, 3, 4, 5}));
}

TEST_F(StashTest, AnAskThatIsStashedIsAnsweredWhenItIsHandledAtLastWithinItsDeadline) {
  auto receiver = desk();
  auto patient = ask(receiver, Question{4}, 1h);
  auto hasty = ask(receiver, Question{5}, 1s);
  Answered from_actor;
  begin(desk(), [&](Context& ctx) -> Task<> {
    Question question{6};
    Answered::value_type answer = co_await ctx.ask(receiver, question, 1h);
    from_actor = std::move(answer);
  });
  settle(2s);
  EXPECT_FALSE(*patient || *hasty || from_actor);
  unstash(receiver);
  settle();
  ASSERT_TRUE(*patient && *hasty && from_actor);
  EXPECT_EQ(**patient, 40);
  EXPECT_EQ((*hasty)->error().code(), Code::kDeadlineExceeded);
  EXPECT_EQ(*from_actor, 60);
  EXPECT_EQ(dead(DeadLetterReason::kExpired), 1u);
}

TEST_F(StashTest, AFullStashIsAnErrorToTheActorAndToTheAskerAndACountedDeadLetter) {
  StashTest sim(1, {.stash_max = 2});
  auto receiver = sim.desk();
  for (int i = 1; i <= 2; ++i) ASSERT_TRUE(receiver.tell(Item{i}));
  sim.settle();
  auto refused = sim.ask(receiver, Question{3});
  sim.settle();
  ASSERT_TRUE(*refused);
  EXPECT_EQ((*refused)->error().domain(), "PLX-ACT-0047");
  EXPECT_EQ(sim.stashed_.back().error().code(), Code::kResourceExhausted);
  EXPECT_EQ(sim.dead(DeadLetterReason::kStashFull), 1u);
  sim.unstash(receiver);
  sim.settle();
  EXPECT_EQ(sim.stage_.seen, (Numbers{1, 2}));
  sim.open_ = false;
  ASSERT_TRUE(receiver.tell(Item{4}));  // there is room again
  sim.settle();
  EXPECT_TRUE(sim.stashed_.back());
}

TEST_F(StashTest, TheBytesOfAStashAreThoseOfTheMailbox) {
  auto receiver = desk({.bytes_max = 10'000});
  for (int i = 0; i < 12; ++i) {
    ASSERT_TRUE(receiver.tell(Blob{std::string(900, 'x')}));
    settle();
  }
  EXPECT_EQ(std::ranges::count_if(stashed_, [](const Status& s) { return s.has_value(); }), 9);
  EXPECT_EQ(dead(DeadLetterReason::kStashFull), 3u);
  for (int round = 0; round < 3; ++round) {
    unstash(receiver);
    settle();
    open_ = false;
    for (int i = 0; i < 9; ++i) ASSERT_TRUE(receiver.tell(Blob{std::string(900, 'x')}));
    settle();
    EXPECT_TRUE(stashed_.back()) << "what came back takes no room any more";
  }
}

TEST_F(StashTest, WhatIsStashedWhenTheActorEndsIsADeadLetterAndItsAskerLearnsIt) {
  auto receiver = desk();
  auto asked = ask(receiver, Question{1});
  ASSERT_TRUE(receiver.tell(Item{2}));
  settle();
  runtime_.stop(receiver.id());
  settle();
  ASSERT_TRUE(*asked);
  EXPECT_EQ((*asked)->error().code(), Code::kNotFound);
  EXPECT_EQ(dead(DeadLetterReason::kStopped), 2u);
}

TEST_F(StashTest, AHandlerThatThrowsAfterItHasStashedEndsTheActorAndTheMessageIsADeadLetter) {
  auto receiver = desk();
  stage_.before = [](Context& ctx) -> bool {
    EXPECT_TRUE(ctx.stash());
    throw std::runtime_error("on purpose");
  };
  auto asked = ask(receiver, Question{1});
  settle();
  ASSERT_TRUE(*asked);
  EXPECT_EQ((*asked)->error().code(), Code::kNotFound);
  EXPECT_EQ(dead(DeadLetterReason::kStopped), 1u);
}

TEST_F(StashTest, ATurnThatWaitsCanStashItsMessageAndTheRunningOneStaysWhenTheOthersComeBack) {
  auto receiver = desk();
  settle();
  int runs = 0;
  begin(receiver, [&](Context& ctx) -> Task<> {
    if (++runs > 1) co_return;
    EXPECT_TRUE(ctx.stash());
    EXPECT_TRUE(ctx.stash());  // once, however often it is called
    ctx.unstash_all();         // nothing but this one is kept, and it is still in use
    co_await ctx.sleep(1s);
  });
  settle(5s);
  EXPECT_EQ(runs, 1);
  ASSERT_TRUE(receiver.tell(Item{1}));
  settle();
  unstash(receiver);
  settle();
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(stage_.seen, (Numbers{1}));
}

TEST_F(StashTest, ATurnThatWaitsAndIsKilledLeavesItsStashedMessageToTheDeadLetters) {
  auto receiver = desk();
  settle();
  begin(receiver, [&](Context& ctx) -> Task<> {
    EXPECT_TRUE(ctx.stash());
    co_await ctx.sleep(1h);
  });
  settle();
  runtime_.kill(receiver.id());
  settle();
  EXPECT_EQ(dead(DeadLetterReason::kStopped), 1u);
}

TEST_F(StashTest, AMessageOfATimerIsStashedAsAnyOther) {
  auto receiver = desk();
  perform(receiver, [&](Context& ctx) { EXPECT_TRUE(ctx.send_after(1s, Item{5})); });
  settle(2s);
  ASSERT_EQ(stashed_.size(), 1u);
  EXPECT_TRUE(stashed_[0]);
  unstash(receiver);
  settle();
  EXPECT_EQ(stage_.seen, (Numbers{5}));
}

TEST_F(StashTest, ThereIsNothingToStashInTheFirstTurn) {
  struct Eager : GenServer<Eager, Item> {
    explicit Eager(Status& given) : status(given) {}
    Status on_start(Context& ctx) override {
      status = ctx.stash();
      return {};
    }
    void handle(const Item&, Context&) {}
    Status& status;
  };
  Status status;
  ASSERT_TRUE(runtime_.spawn<Eager>("", status));
  settle();
  EXPECT_EQ(status.error().domain(), "PLX-ACT-0044");
}

TEST_F(StashTest, PrioritiesHoldForWhatComesBack) {
  auto receiver = desk(by_type());
  ASSERT_TRUE(receiver.tell(Bulk{1}));
  settle();
  ASSERT_TRUE(receiver.tell(Urgent{2}));
  ASSERT_TRUE(receiver.tell(Urgent{3}));
  settle();
  perform(receiver, [&](Context& ctx) {
    EXPECT_TRUE(ctx.self<Desk>().tell(Urgent{4}));
    EXPECT_TRUE(ctx.self<Desk>().tell(Bulk{5}));
    open_ = true;
    ctx.unstash_all();
  });
  settle();
  EXPECT_EQ(stage_.seen, (Numbers{2, 3, 4, 1, 5}));
}

// ---- the example of the guide --------------------------------------------------------------------------------------

// docs-snippet: stash
struct Open {};
struct Put {
  std::int64_t value = 0;
};
struct Flush {};
PLX_MESSAGE(Open);
PLX_MESSAGE(Put, (1, value));
PLX_MESSAGE(Flush);

// Keeps what comes before it is open.
class Store : public GenServer<Store, Open, Put, Flush> {
 public:
  explicit Store(Numbers& stored) : stored_(stored) {}
  void handle(const Open&, Context& ctx) {
    open_ = true;
    ctx.unstash_all();
  }
  void handle(const Put& m, Context& ctx) {
    if (open_)
      stored_.push_back(m.value);
    else
      static_cast<void>(ctx.stash());  // a full stash has told the sender already
  }
  void handle(const Flush&, Context&) { stored_.clear(); }

 private:
  Numbers& stored_;
  bool open_ = false;
};
// docs-snippet-end

// docs-snippet: send
class Feeder : public GenServer<Feeder, Do> {
 public:
  explicit Feeder(ActorRef<Store> store) : store_(store) {}
  Task<> handle(const Do&, Context& ctx) {
    for (std::int64_t value = 1; value <= 200; ++value) {
      Put put{value};
      Status sent = co_await ctx.send(store_, put, 10s);
      if (!sent) co_return;  // it was taken back, or the store has ended
    }
  }

 private:
  ActorRef<Store> store_;
};
// docs-snippet-end

TEST_F(MailboxTest, AFeederWaitsForAStoreThatKeepsWhatComesBeforeItIsOpen) {
  Numbers stored;
  // docs-snippet: options
  auto store = runtime_.spawn<Store>(
      {.name = "store",
       .mailbox = {.messages_max = 100, .overflow = Overflow::kBlock, .priority = Priorities().high<Flush>()}},
      stored);
  // docs-snippet-end
  ASSERT_TRUE(store);
  ASSERT_TRUE(runtime_.spawn<Feeder>("", *store)->tell(Do{}));
  settle(1s);
  EXPECT_EQ(stored.size(), 0u);
  ASSERT_TRUE(store->tell(Open{}));
  settle(1s);
  ASSERT_EQ(stored.size(), 200u);
  EXPECT_TRUE(std::ranges::is_sorted(stored));
}

// ---- dead letters --------------------------------------------------------------------------------------------------

class DeadLetterTest : public MailboxTest {
 public:
  explicit DeadLetterTest(RuntimeOptions options = {}) : MailboxTest(1, std::move(options)) {
    auto request = std::make_shared<RequestContext>();
    request->tenant = "acme";
    request->traceparent = "00-1-2-01";
    request_ = request;
  }
  void TestBody() override {}
  template <class M>
  void tell(ActorId to, M message, TimePoint deadline = kNever) {
    auto* envelope = detail::make_envelope(nullptr, std::move(message), 0);
    envelope->context = detail::new_context(nullptr);
    envelope->context->request = request_;
    envelope->context->deadline = deadline;
    static_cast<void>(runtime_.send(to, envelope));
  }
  // There is one dead letter more, with all that it must have.
  void expect_one(DeadLetterReason reason, const std::string& type, ActorId target) {
    settle();
    EXPECT_EQ(dead(reason), 1u) << reason_name(reason);
    auto letters = runtime_.dead_letters();
    ASSERT_FALSE(letters.empty());
    EXPECT_EQ(letters.back().reason, reason);
    EXPECT_EQ(letters.back().message_type, type);
    EXPECT_EQ(letters.back().target, target);
    EXPECT_EQ(letters.back().tenant, "acme") << reason_name(reason);
    EXPECT_EQ(letters.back().traceparent, "00-1-2-01") << reason_name(reason);
  }
  ActorRef<Desk> napping(MailboxOptions mailbox = {}) {
    auto receiver = desk(std::move(mailbox));
    EXPECT_TRUE(receiver.tell(Nap{100}));
    settle();
    return receiver;
  }

  RequestContextPtr request_;
};

TEST_F(DeadLetterTest, EachDropIsCountedByItsReasonAndKeptWithTenantAndTrace) {
  {
    auto gone = desk();
    runtime_.kill(gone.id());
    settle();
    tell(gone.id(), Item{});
    expect_one(DeadLetterReason::kNoActor, "Item", gone.id());
  }
  {
    auto full = napping({.messages_max = 1});
    tell(full.id(), Item{});
    tell(full.id(), Urgent{});
    expect_one(DeadLetterReason::kMailboxFull, "Urgent", full.id());
  }
  {
    auto receiver = desk();
    tell(receiver.id(), Unknown{});
    expect_one(DeadLetterReason::kUnhandled, "Unknown", receiver.id());
  }
  {
    auto receiver = desk();
    tell(receiver.id(), Item{}, executor_.now());
    expect_one(DeadLetterReason::kExpired, "Item", receiver.id());
  }
  {
    auto receiver = napping();
    tell(receiver.id(), Item{});
    settle();
    runtime_.kill(receiver.id());
    expect_one(DeadLetterReason::kStopped, "Item", receiver.id());
  }
  {
    auto full = napping({.messages_max = 1, .overflow = Overflow::kDropOldest});
    tell(full.id(), Item{});
    settle();
    tell(full.id(), Urgent{});
    runtime_.post(full.id(), [](Activation&) {});  // so that the actor looks at what has come
    expect_one(DeadLetterReason::kDroppedOldest, "Item", full.id());
  }
  {
    auto full = napping({.messages_max = 1, .overflow = Overflow::kDropNewest});
    tell(full.id(), Item{});
    tell(full.id(), Urgent{});
    expect_one(DeadLetterReason::kDroppedNewest, "Urgent", full.id());
  }
}

TEST_F(DeadLetterTest, AReplyThatComesTooLateIsOneOfTheTenantThatAsked) {
  auto slow = desk();
  auto asker = desk();
  stage_.waiting_steps.emplace_back([&](Context& ctx) -> Task<> {
    Wanted wanted{5};
    auto answer = co_await ctx.ask(slow, wanted, 1s);
    EXPECT_EQ(answer.error().code(), Code::kDeadlineExceeded);
  });
  // The question is taken by a turn that then lasts longer than the asker waits.
  struct Slow : GenServer<Slow, Wanted> {
    Task<std::string> handle(const Wanted&, Context& ctx) {
      co_await ctx.sleep(5s);
      co_return "late";
    }
  };
  slow = ActorRef<Desk>(runtime_.node_id(), runtime_.spawn<Slow>("")->id());
  tell(asker.id(), DoAndWait{0});
  settle(10s);
  expect_one(DeadLetterReason::kLateReply, "Wanted", asker.id());
}

TEST_F(DeadLetterTest, AnAskOfAnActorThatIsNotTakenIsADeadLetterToo) {
  auto full = napping({.messages_max = 1});
  ASSERT_TRUE(full.tell(Item{}));
  auto gone = desk();
  runtime_.kill(gone.id());
  settle();
  std::vector<Code> codes;
  stage_.waiting_steps.emplace_back([&](Context& ctx) -> Task<> {
    for (ActorRef<Desk> to : {full, gone}) {
      Question question{1};
      auto answer = co_await ctx.ask(to, question, 1h);
      codes.push_back(answer.error().code());
    }
  });
  tell(desk().id(), DoAndWait{0});
  settle();
  EXPECT_EQ(codes, (std::vector{Code::kResourceExhausted, Code::kNotFound}));
  EXPECT_EQ(dead(DeadLetterReason::kMailboxFull), 1u);
  expect_one(DeadLetterReason::kNoActor, "Question", gone.id());
}

// ---- time to live --------------------------------------------------------------------------------------------------

TEST_F(DeadLetterTest, AMessageThatHasOutlivedItsTimeIsNotHandledAndCounted) {
  auto receiver = napping();  // for 100 s
  EXPECT_TRUE(receiver.tell(Item{1}, Ttl{10s}));
  EXPECT_TRUE(receiver.tell(Item{2}, Ttl{1'000s}));
  perform(desk(), [&](Context& ctx) {
    EXPECT_TRUE(ctx.tell(receiver, Item{3}, Ttl{10s}));
    EXPECT_TRUE(ctx.tell(receiver, Item{4}, Ttl{1'000s}));
  });
  settle(200s);
  EXPECT_EQ(stage_.seen, (Numbers{2, 4}));
  EXPECT_EQ(dead(DeadLetterReason::kExpired), 2u);
}

TEST_F(DeadLetterTest, TheTimeToLiveEndsWhereTheTurnBegins) {
  auto other = desk();
  auto receiver = desk();
  Answered answer;
  stage_.waiting_steps.emplace_back([&](Context& ctx) -> Task<> {
    EXPECT_EQ(ctx.deadline(), kNever);
    co_await ctx.sleep(10s);
    Question question{7};
    Answered::value_type result = co_await ctx.ask(other, question, 1h);
    answer = std::move(result);
  });
  EXPECT_TRUE(receiver.tell(DoAndWait{0}, Ttl{1s}));
  settle(20s);
  ASSERT_TRUE(answer);
  EXPECT_EQ(*answer, 70);
}

// ---- large messages ------------------------------------------------------------------------------------------------

TEST_F(DeadLetterTest, AMessageOverTheLimitIsRefusedOnEachWay) {
  DeadLetterTest sim({.message_bytes_max = 10'000});
  auto receiver = sim.desk();
  sim.settle();
  Blob large{std::string(10'000, 'x')}, fitting{std::string(9'000, 'x')};
  EXPECT_EQ(receiver.tell(large).error().domain(), "PLX-ACT-0048");
  EXPECT_EQ(receiver.tell(large, Ttl{1s}).error().domain(), "PLX-ACT-0048");
  auto asked = sim.ask(receiver, large);
  std::vector<std::string> inside;
  sim.perform(sim.desk(), [&](Context& ctx) {
    inside.push_back(ctx.tell(receiver, large).error().domain());
    inside.push_back(ctx.tell(receiver, large, Ttl{1s}).error().domain());
  });
  sim.begin(sim.desk(), [&](Context& ctx) -> Task<> {
    auto answer = co_await ctx.ask(receiver, large, 1h);
    inside.push_back(answer.error().domain());
    Status sent = co_await ctx.send(receiver, large, 1h);
    inside.push_back(sent.error().domain());
  });
  sim.settle();
  EXPECT_EQ(inside, std::vector<std::string>(4, "PLX-ACT-0048"));
  ASSERT_TRUE(*asked);
  EXPECT_EQ((*asked)->error().domain(), "PLX-ACT-0048");
  EXPECT_EQ(sim.dead(DeadLetterReason::kTooLarge), 7u);
  EXPECT_EQ(sim.stage_.seen.size(), 0u);
  auto fits = sim.ask(receiver, fitting);
  sim.settle();
  ASSERT_TRUE(*fits);
  EXPECT_EQ(**fits, 9'000);
}

TEST_F(DeadLetterTest, AReplyOverTheLimitIsAnErrorToTheAskerAlsoWhenItIsDeferred) {
  DeadLetterTest sim({.message_bytes_max = 10'000});
  struct Deferring : GenServer<Deferring, Wanted> {
    NoReply handle(const Wanted& m, Context& ctx) {
      ctx.defer<Wanted>().reply(std::string(m.bytes, 'x'));
      return {};
    }
  };
  auto plain = sim.desk();
  ActorRef<Desk> deferring(sim.runtime_.node_id(), sim.runtime_.spawn<Deferring>("")->id());
  for (auto to : {plain, deferring}) {
    auto large = sim.ask(to, Wanted{10'000}), fitting = sim.ask(to, Wanted{9'000});
    sim.settle();
    ASSERT_TRUE(*large && *fitting);
    EXPECT_EQ((*large)->error().domain(), "PLX-ACT-0048");
    EXPECT_EQ((*fitting)->value().size(), 9'000u);
  }
}

// ---- producers that are too fast (INV-M3) --------------------------------------------------------------------------

TEST(MailboxSimulationTest, AProducerTenTimesTooFastFindsABoundedMailboxWhateverThePolicy_INV_M3) {
  for (Overflow overflow : {Overflow::kReject, Overflow::kBlock, Overflow::kDropNewest, Overflow::kDropOldest}) {
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      MailboxTest sim(seed);
      constexpr std::uint32_t kBound = 50;
      constexpr std::uint64_t kBytesBound = 64 * 300;
      auto slow = sim.desk({.messages_max = kBound, .bytes_max = kBytesBound, .overflow = overflow});
      sim.stage_.waiting_steps.emplace_back([&](Context& ctx) -> Task<> { co_await ctx.sleep(10ms); });
      int told = 0, refused = 0;
      std::uint64_t most = 0, most_bytes = 0;
      // From a worker and from outside, each ten messages in the time of one.
      auto produce = [&] {
        for (int i = 0; i < 10; ++i) {
          bool large = sim.world_.random.one_in(4);
          Status status = large ? slow.tell(Blob{std::string(2'000, 'x')}) : slow.tell(DoAndWait{0});
          (status ? told : refused) += 1;
        }
        MailboxSize size = sim.runtime_.mailbox_size(slow.id());
        most = std::max(most, size.messages);
        most_bytes = std::max(most_bytes, size.bytes);
      };
      auto producer = sim.desk();
      for (int round = 0; round < 100; ++round) {
        produce();
        sim.perform(producer, [&](Context&) { produce(); });
        sim.settle(10ms);
      }
      std::uint64_t factor = overflow == Overflow::kDropOldest ? 3 : 1;
      EXPECT_LE(most, factor * kBound);
      EXPECT_LE(most_bytes, factor * kBytesBound);
      EXPECT_GE(most, kBound / 10);
      sim.settle(100s);
      // Each message was handled, or its drop counted.
      std::uint64_t dropped = sim.dead(DeadLetterReason::kMailboxFull) + sim.dead(DeadLetterReason::kDroppedNewest) +
                              sim.dead(DeadLetterReason::kDroppedOldest);
      EXPECT_GT(dropped, 1'000u);
      EXPECT_EQ(sim.runtime_.mailbox_size(slow.id()).messages, 0u);
      bool tells = overflow == Overflow::kReject || overflow == Overflow::kBlock;
      if (tells) {
        EXPECT_EQ(dropped, static_cast<std::uint64_t>(refused));
      } else {
        EXPECT_EQ(refused, 0);
      }
    }
  }
}

// On real threads: the consumer stands still until the producers have pushed far more than it may hold.
class Consumer : public GenServer<Consumer, Do, Item, Question> {
 public:
  Consumer(std::promise<void>& started, std::shared_future<void> released)
      : started_(started), released_(std::move(released)) {}
  void handle(const Do&, Context&) {
    started_.set_value();
    released_.wait();
  }
  void handle(const Item& m, Context&) {
    if (m.number <= last_[m.number / 1'000'000]) ++disorder_;
    last_[m.number / 1'000'000] = m.number;
    ++handled_;
  }
  // The number handled; -1 when one came out of order.
  std::int64_t handle(const Question&, Context&) const { return disorder_ > 0 ? -1 : handled_; }

 private:
  std::promise<void>& started_;
  std::shared_future<void> released_;
  std::map<std::int64_t, std::int64_t> last_;
  std::int64_t handled_ = 0, disorder_ = 0;
};

class Producer : public GenServer<Producer, Do> {
 public:
  Producer(ActorRef<Consumer> to, std::int64_t index, std::atomic<int>& done) : to_(to), index_(index), done_(done) {}
  void handle(const Do&, Context& ctx) {
    for (int i = 0; i < 100; ++i) to_.tell(Item{index_ * 1'000'000 + ++sent_});
    if (sent_ < 5'000)
      ctx.self<Producer>().tell(Do{});
    else
      ++done_;
  }

 private:
  ActorRef<Consumer> to_;
  std::int64_t index_, sent_ = 0;
  std::atomic<int>& done_;
};

TEST(MailboxStressTest, ProducersOnRealThreadsFindABoundedMailboxWhateverThePolicy_INV_M3_INV_M1) {
  for (Overflow overflow : {Overflow::kReject, Overflow::kDropNewest, Overflow::kDropOldest}) {
    env::PosixExecutor executor({.workers = 3});
    Types types;
    Runtime runtime(executor, types);
    ASSERT_TRUE(runtime.start());
    constexpr std::uint32_t kBound = 100;
    constexpr int kProducers = 4, kThreads = 2, kEach = 5'000;
    std::promise<void> started, release;
    auto consumer = runtime.spawn<Consumer>({.mailbox = {.messages_max = kBound, .overflow = overflow}}, started,
                                            release.get_future().share());
    ASSERT_TRUE(consumer && consumer->tell(Do{}));
    started.get_future().wait();  // its worker is held from here on; the actors on it wait too
    std::atomic<int> done{0};
    std::vector<ActorRef<Producer>> producers;
    for (int i = 0; i < kProducers; ++i) {
      producers.push_back(*runtime.spawn<Producer>("", *consumer, i, done));
      ASSERT_TRUE(producers.back().tell(Do{}));
    }
    std::atomic<std::uint64_t> most{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t)
      threads.emplace_back([&, t] {
        for (int i = 1; i <= kEach; ++i) {
          consumer->tell(Item{(kProducers + t) * 1'000'000 + i});
          std::uint64_t size = runtime.mailbox_size(consumer->id()).messages;
          std::uint64_t seen = most.load();
          while (size > seen && !most.compare_exchange_weak(seen, size)) {
          }
        }
      });
    for (auto& thread : threads) thread.join();
    // A push counts before it is refused.
    EXPECT_LE(most, (overflow == Overflow::kDropOldest ? 3 : 1) * kBound + kProducers + kThreads);
    EXPECT_GE(most, kBound);
    release.set_value();
    auto count = [&] { return consumer->ask(Question{}, 60s); };
    Result<std::int64_t> handled = count();
    for (int i = 0; i < 1'000'000 && (!handled || *handled >= 0); ++i) {
      RuntimeStats stats = runtime.stats();
      std::uint64_t dropped = stats.dead(DeadLetterReason::kMailboxFull) +
                              stats.dead(DeadLetterReason::kDroppedNewest) +
                              stats.dead(DeadLetterReason::kDroppedOldest);
      handled = count();  // an ask may itself find the mailbox full, or be dropped
      if (handled && done == kProducers &&
          *handled + static_cast<std::int64_t>(dropped) >= (kProducers + kThreads) * kEach)
        break;
    }
    ASSERT_TRUE(handled);
    EXPECT_GT(*handled, 0);
    EXPECT_LT(*handled, (kProducers + kThreads) * kEach);
    executor.stop();
  }
}

TEST(MailboxStressTest, AThreadThatSendsWaitsForRoomAndNothingIsLost_INV_M3) {
  env::PosixExecutor executor({.workers = 2});
  Types types;
  Runtime runtime(executor, types);
  ASSERT_TRUE(runtime.start());
  std::promise<void> started, release;
  auto consumer = runtime.spawn<Consumer>({.mailbox = {.messages_max = 10, .overflow = Overflow::kBlock}}, started,
                                          release.get_future().share());
  ASSERT_TRUE(consumer->tell(Do{}));
  started.get_future().wait();
  constexpr int kThreads = 3, kEach = 500;
  std::atomic<int> sent{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int i = 1; i <= kEach; ++i) sent += consumer->send(Item{t * 1'000'000 + i}, 60s) ? 1 : 0;
    });
  while (sent < 10) std::this_thread::yield();
  // The mailbox is full and its actor stands still: who waits no time learns that at once.
  EXPECT_EQ(consumer->send(Item{9'000'001}, 0s).error().code(), Code::kDeadlineExceeded);
  EXPECT_EQ(consumer->tell(Item{9'000'002}).error().domain(), "PLX-ACT-0041");
  release.set_value();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(sent, kThreads * kEach);
  Result<std::int64_t> handled = consumer->ask(Question{}, 60s);
  while (!handled && handled.error().code() == Code::kResourceExhausted)  // full still
    handled = consumer->ask(Question{}, 60s);
  EXPECT_EQ(handled, kThreads * kEach);
  runtime.stop(consumer->id());
  while (consumer->ask(Question{}, 60s)) {
  }
  EXPECT_EQ(consumer->send(Item{1}, 60s).error().code(), Code::kNotFound);
  executor.stop();
}

}  // namespace
}  // namespace plexspaces
