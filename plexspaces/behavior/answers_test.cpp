// Asks together, and answers from another actor than the one that was asked.
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "plexspaces/behavior/behavior_fixture.hpp"
#include "plexspaces/behavior/gen_server.hpp"

namespace plexspaces {
namespace {

struct Work {
  using Reply = std::int64_t;
  std::int64_t value = 0;
  std::int64_t takes_ms = 0;
};
struct Name {
  using Reply = std::string;
};
struct Stop {};
struct Note {
  std::int64_t value = 0;
};
PLX_MESSAGE(Work, (1, value), (2, takes_ms));
PLX_MESSAGE(Name);
PLX_MESSAGE(Stop);
PLX_MESSAGE(Note, (1, value));

struct Seen {
  std::vector<ActorId> senders;
  std::vector<TimePoint> deadlines;
  std::vector<std::int64_t> notes;
};

class Helper : public GenServer<Helper, Work, Name, Stop, Note> {
 public:
  explicit Helper(Seen* seen) : seen_(*seen) {}
  Task<Result<std::int64_t>> handle(const Work& work, Context& ctx) {
    seen_.senders.push_back(ctx.sender_id());
    seen_.deadlines.push_back(ctx.deadline());
    if (work.value < 0) throw std::runtime_error("no such work");
    if (work.takes_ms > 0) co_await ctx.sleep(std::chrono::milliseconds(work.takes_ms));
    co_return work.value * 2;
  }
  std::string handle(const Name&, Context&) { return "helper"; }
  void handle(const Stop&, Context& ctx) { ctx.stop(); }
  void handle(const Note& note, Context& ctx) {
    seen_.senders.push_back(ctx.sender_id());
    seen_.notes.push_back(note.value);
  }

 private:
  Seen& seen_;
};

// ---- asks together -------------------------------------------------------------------------------------------------

struct AskBoth {
  using Reply = std::string;
};
struct AskMany {
  using Reply = std::vector<std::string>;
  std::vector<std::int64_t> values;
  std::int64_t within_ms = 1'000;
};
PLX_MESSAGE(AskBoth);
PLX_MESSAGE(AskMany, (1, values), (2, within_ms));

std::string text(const Result<std::int64_t>& result) {
  return result ? std::to_string(*result) : std::string(result.error().domain());
}

class Lead : public GenServer<Lead, AskBoth, AskMany, Work> {
 public:
  explicit Lead(std::vector<ActorRef<Helper>> helpers) : helpers_(std::move(helpers)) {}

  Task<Result<std::string>> handle(const AskBoth&, Context& ctx) {
    auto [number, name] = co_await ctx.all(ctx.ask(helpers_[0], Work{4, 50}, 1s), ctx.ask(helpers_[1], Name{}, 1s));
    co_return text(number) + " " + name.value();
  }
  // One message to each: the same, so the helpers tell them apart by how long they take.
  Task<std::vector<std::string>> handle(const AskMany& m, Context& ctx) {
    std::vector<std::string> answers;
    auto results =
        co_await ctx.ask_all(helpers_, Work{m.values.at(0), m.values.at(1)}, std::chrono::milliseconds(m.within_ms));
    for (const auto& result : results) answers.push_back(text(result));
    co_return answers;
  }
  std::int64_t handle(const Work& work, Context&) { return work.value; }

 private:
  std::vector<ActorRef<Helper>> helpers_;
};

class AnswersTest : public BehaviorTest {
 protected:
  AnswersTest() : BehaviorTest({}, 3) {
    for (int i = 0; i < 3; ++i) helpers_.push_back(runtime_.spawn<Helper>("", &seen_).value());
  }
  template <class A, class M>
  Result<ReplyOf<M>> ask_for(ActorRef<A> actor, M message, Duration time) {
    std::optional<Result<ReplyOf<M>>> answer;
    start_ask(actor, std::move(message), answer);
    pass(time);
    EXPECT_TRUE(answer.has_value()) << "no answer";
    return answer.value_or(fail(Code::kInternal, "no answer"));
  }

  Seen seen_;
  std::vector<ActorRef<Helper>> helpers_;
};

TEST_F(AnswersTest, AllWaitsForAsksOfSeveralTypesAtOnce) {
  auto lead = runtime_.spawn<Lead>("", helpers_).value();
  EXPECT_EQ(ask_for(lead, AskBoth{}, 100ms), "8 helper");
}

TEST_F(AnswersTest, AsksOfOneTurnRunAtTheSameTime) {
  auto lead = runtime_.spawn<Lead>("", helpers_).value();
  std::optional<Result<std::vector<std::string>>> answer;
  start_ask(lead, AskMany{{5, 100}}, answer);
  pass(90ms);
  EXPECT_FALSE(answer.has_value());
  pass(20ms);  // three times 100 ms, but together
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->value(), (std::vector<std::string>{"10", "10", "10"}));
}

TEST_F(AnswersTest, EachAskOfATurnHasItsOwnResult) {
  helpers_[0].tell(Stop{});
  settle();
  auto lead = runtime_.spawn<Lead>("", helpers_).value();
  EXPECT_EQ(ask_for(lead, AskMany{{7, 10}}, 100ms).value(), (std::vector<std::string>{"PLX-ACT-0005", "14", "14"}));
  // All fail at once: the turn goes on without a wait.
  EXPECT_EQ(ask_for(lead, AskMany{{-1, 0}}, 1ms).value(),
            (std::vector<std::string>{"PLX-ACT-0005", "PLX-ACT-0012", "PLX-ACT-0012"}));
  EXPECT_EQ(ask_for(lead, AskMany{{1, 0}}, 1ms).value(),
            (std::vector<std::string>{"PLX-ACT-0005", "PLX-ACT-0005", "PLX-ACT-0005"}));
}

TEST_F(AnswersTest, TheTimeOfOneAskLetsTheOthersComeIn) {
  auto lead = runtime_.spawn<Lead>("", helpers_).value();
  helpers_[1].tell(Work{0, 200});  // busy for longer than the asker waits
  settle();
  EXPECT_EQ(ask_for(lead, AskMany{{3, 20}, 100}, 120ms).value(), (std::vector<std::string>{"6", "PLX-ACT-0010", "6"}));
  // The late answer reaches nobody, and the next turn is answered as ever.
  pass(300ms);
  EXPECT_EQ(ask_for(lead, Work{9}, 1ms), 9);
}

TEST_F(AnswersTest, AnActorThatEndsWhileItWaitsForSeveralForgetsThemAll) {
  auto lead = runtime_.spawn<Lead>("", helpers_).value();
  std::optional<Result<std::vector<std::string>>> answer;
  start_ask(lead, AskMany{{5, 100}}, answer);
  settle();
  runtime_.kill(lead.id());
  settle();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(domain(*answer), "PLX-ACT-0005");
  pass(200ms);
  EXPECT_EQ(runtime_.stats().dead(DeadLetterReason::kLateReply), 3u);
}

TEST_F(AnswersTest, TooManyAsksAtOnceAreRefused) {
  std::vector<ActorRef<Helper>> many(kAsksAtOnceMax, helpers_[0]);
  auto lead = runtime_.spawn<Lead>("", many).value();
  EXPECT_EQ(ask_for(lead, AskMany{{2, 0}}, 1ms).value(), std::vector<std::string>(kAsksAtOnceMax, "4"));
  many.push_back(helpers_[0]);
  auto greedy = runtime_.spawn<Lead>("", many).value();
  EXPECT_EQ(ask_for(greedy, AskMany{{2, 0}}, 1ms).value(),
            std::vector<std::string>(kAsksAtOnceMax + 1, "PLX-ACT-0061"));
  EXPECT_EQ(ask_for(runtime_.spawn<Lead>("", std::vector<ActorRef<Helper>>()).value(), AskMany{{2, 0}}, 1ms).value(),
            std::vector<std::string>());
}

// ---- forward -------------------------------------------------------------------------------------------------------

struct Odd {  // forwarded as a message with another Reply
  using Reply = std::int64_t;
};
struct AskDesk {
  using Reply = std::int64_t;
  std::int64_t value = 0;
};
PLX_MESSAGE(Odd);
PLX_MESSAGE(AskDesk, (1, value));

class Desk : public GenServer<Desk, Work, Note, Odd> {
 public:
  explicit Desk(ActorRef<Helper> helper) : helper_(helper) {}
  NoReply handle(const Work& work, Context& ctx) { return ctx.forward(helper_, work); }
  NoReply handle(const Note& note, Context& ctx) { return ctx.forward(helper_, Note{note.value + 1}); }
  NoReply handle(const Odd&, Context& ctx) { return ctx.forward(helper_, Name{}); }

 private:
  ActorRef<Helper> helper_;
};

class Client : public GenServer<Client, AskDesk, Note> {
 public:
  explicit Client(ActorRef<Desk> desk) : desk_(desk) {}
  Task<Result<std::int64_t>> handle(const AskDesk& m, Context& ctx) {
    auto answer = co_await ctx.ask(desk_, Work{m.value, 100}, 150ms);
    co_return answer;
  }
  void handle(const Note& note, Context&) { desk_.tell(note); }

 private:
  ActorRef<Desk> desk_;
};

TEST_F(AnswersTest, TheAnswerOfAForwardedAskGoesToTheAsker) {
  auto desk = runtime_.spawn<Desk>("", helpers_[0]).value();
  EXPECT_EQ(ask_for(desk, Work{21}, 1ms), 42);  // from outside
  auto client = runtime_.spawn<Client>("", desk).value();
  TimePoint before = executor_.now();
  EXPECT_EQ(ask_for(client, AskDesk{4}, 120ms), 8);  // from an actor
  EXPECT_EQ(seen_.senders.back(), client.id());
  EXPECT_NEAR(static_cast<double>((seen_.deadlines.back() - before).count()), 150e6, 2e6);  // that of the asker
}

TEST_F(AnswersTest, AForwarderTakesTheNextMessageWhileItsHelperWorks) {
  std::vector<ActorRef<Desk>> desks;
  for (auto helper : helpers_) desks.push_back(runtime_.spawn<Desk>("", helper).value());
  std::optional<Result<std::int64_t>> first, second;
  start_ask(desks[0], Work{1, 100}, first);
  start_ask(desks[0], Work{2, 0}, second);
  EXPECT_EQ(runtime_.mailbox_size(desks[0].id()).messages, 2u);
  settle();
  EXPECT_EQ(runtime_.mailbox_size(desks[0].id()).messages, 0u);
  EXPECT_EQ(runtime_.mailbox_size(helpers_[0].id()).messages, 1u);
  pass(120ms);
  EXPECT_EQ(first->value(), 2);
  EXPECT_EQ(second->value(), 4);
}

TEST_F(AnswersTest, ATellIsForwardedWithItsSender) {
  auto desk = runtime_.spawn<Desk>("", helpers_[0]).value();
  auto client = runtime_.spawn<Client>("", desk).value();
  client.tell(Note{5});
  settle();
  EXPECT_EQ(seen_.notes, std::vector<std::int64_t>{6});
  EXPECT_EQ(seen_.senders, std::vector<ActorId>{client.id()});
}

TEST_F(AnswersTest, WhatCannotBeForwardedIsTheAskersError) {
  auto desk = runtime_.spawn<Desk>("", helpers_[0]).value();
  EXPECT_EQ(domain(ask(desk, Odd{})), "PLX-ACT-0060");
  EXPECT_EQ(domain(ask(desk, Work{-1})), "PLX-ACT-0012");  // the helper throws
  EXPECT_EQ(domain(ask(desk, Work{1})), "PLX-ACT-0005");   // and is no more
  EXPECT_EQ(runtime_.stats().dead(DeadLetterReason::kNoActor), 1u);
}

TEST_F(AnswersTest, AnAskerThatHasGivenUpMakesTheAnswerOfTheHelperADeadLetter) {
  auto desk = runtime_.spawn<Desk>("", helpers_[0]).value();
  auto client = runtime_.spawn<Client>("", desk).value();
  helpers_[0].tell(Work{0, 500});
  EXPECT_EQ(domain(ask_for(client, AskDesk{4}, 200ms)), "PLX-ACT-0010");
  pass(1s);
  EXPECT_EQ(runtime_.stats().dead(DeadLetterReason::kExpired), 1u);
}

}  // namespace
}  // namespace plexspaces
