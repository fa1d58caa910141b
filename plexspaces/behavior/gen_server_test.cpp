#include "plexspaces/behavior/gen_server.hpp"

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>

#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/behavior/behavior_fixture.hpp"
#include "plexspaces/codec/protobuf.hpp"
#include "plexspaces/env/posix/executor.hpp"

PLX_PROTOBUF_MESSAGE(google::protobuf::StringValue, google::protobuf::Int64Value);

namespace plexspaces {
namespace {

struct Reset {};
struct Total {
  using Reply = std::int64_t;
};
PLX_MESSAGE(Reset);
PLX_MESSAGE(Total);

// Plain structs and protobuf messages side by side.
class Lengths : public GenServer<Lengths, google::protobuf::StringValue, Reset, Total> {
 public:
  google::protobuf::Int64Value handle(const google::protobuf::StringValue& text, Context&) {
    total_ += static_cast<std::int64_t>(text.value().size());
    google::protobuf::Int64Value reply;
    reply.set_value(total_);
    return reply;
  }
  void handle(const Reset&, Context&) { total_ = 0; }
  std::int64_t handle(const Total&, Context&) const { return total_; }

 private:
  std::int64_t total_ = 0;
};

TEST(GenServerTest, ProtobufMessagesAreMessagesLikeDescribedStructs) {
  env::PosixExecutor executor({.workers = 1});
  Types types;
  Runtime runtime(executor, types);
  ASSERT_TRUE(runtime.start());
  auto lengths = runtime.spawn<Lengths>("");
  google::protobuf::StringValue text;
  text.set_value(std::string(100, 'x'));
  auto reply = lengths->ask(text, 5s);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->value(), 100);
  EXPECT_EQ(lengths->ask(Total{}, 5s), 100);
  EXPECT_TRUE(lengths->ask(Reset{}, 5s));
  EXPECT_EQ(lengths->ask(Total{}, 5s), 0);
  executor.stop();
}

TEST(GenServerTest, TheSizeOfAProtobufMessageCounts) {
  env::PosixExecutor executor({.workers = 1});
  Types types;
  Runtime runtime(executor, types, {.message_bytes_max = 1'000});
  ASSERT_TRUE(runtime.start());
  auto lengths = runtime.spawn<Lengths>("");
  google::protobuf::StringValue text;
  text.set_value(std::string(2'000, 'x'));
  EXPECT_EQ(lengths->tell(text).error().domain(), "PLX-ACT-0048");
  EXPECT_EQ(lengths->ask(text, 5s).error().domain(), "PLX-ACT-0048");
  EXPECT_EQ(lengths->ask(Total{}, 5s), 0);
  executor.stop();
}

TEST(GenServerTest, TheInterfaceSaysWhatEachHandlerIs) {
  auto handlers = Lengths::interface();
  ASSERT_EQ(handlers.size(), 3u);
  EXPECT_EQ(handlers[0].message->value->name, "google.protobuf.StringValue");
  EXPECT_FALSE(handlers[0].read);
  EXPECT_FALSE(handlers[1].read);
  EXPECT_TRUE(handlers[2].read);
  EXPECT_FALSE(handlers[2].waits);
  EXPECT_TRUE(Lengths::kHandles<Total>);
  EXPECT_FALSE(Lengths::kHandles<std::string>);
}

// ---- what OTP's gen_server does ------------------------------------------------------------------------------------

struct Query {
  using Reply = std::string;
  std::string what;
};
struct Tell {
  std::string what;
};
struct Load {};
PLX_MESSAGE(Query, (1, what));
PLX_MESSAGE(Tell, (1, what));
PLX_MESSAGE(Load);

// Loads before its first message, answers late, and does as it is told.
class Desk : public GenServer<Desk, Query, Tell, Load, IdleTimeout, Down> {
 public:
  explicit Desk(std::vector<std::string>& notes) : notes_(notes) {}

  Status on_start(Context& ctx) override { return ctx.continue_with(Load{}); }
  void on_hibernate() override {
    notes_.push_back("hibernates");
    if (throws_) throw std::runtime_error("no rest");
    std::string().swap(cache_);
  }

  void handle(const Load&, Context&) {
    notes_.push_back("load");
    cache_.assign(1'000, 'x');
  }
  NoReply handle(const Query& m, Context& ctx) {
    notes_.push_back(m.what);
    if (m.what == "forget") return {};
    asked_.push_back(ctx.defer<Query>());
    return {};
  }
  Task<> handle(const Tell& m, Context& ctx) {
    notes_.push_back(m.what);
    if (m.what == "answer") {
      for (auto& later : asked_) later.reply("late");
      asked_.clear();
    } else if (m.what == "idle") {
      EXPECT_TRUE(ctx.idle_timeout<Desk>(10s));
    } else if (m.what == "not idle") {
      EXPECT_TRUE(ctx.idle_timeout(kNoIdleTimeout));
    } else if (m.what == "idle at once") {
      EXPECT_TRUE(ctx.idle_timeout<Desk>(0s));
    } else if (m.what == "idle at once, after a sleep") {
      EXPECT_TRUE(ctx.idle_timeout<Desk>(0s));
      co_await ctx.sleep(25s);
      notes_.push_back("awake");
    } else if (m.what == "sleep") {
      co_await ctx.sleep(25s);
    } else if (m.what == "throw") {
      throws_ = true;
      EXPECT_TRUE(ctx.hibernate());
    } else if (m.what == "hibernate, after a sleep") {
      EXPECT_TRUE(ctx.hibernate());
      co_await ctx.sleep(25s);
      notes_.push_back("awake");
    } else if (m.what == "hibernate") {
      EXPECT_TRUE(ctx.hibernate());
    } else if (m.what == "use") {
      auto timer = ctx.send_after(1s, Load{});
      EXPECT_TRUE(timer && ctx.cancel(*timer));
      EXPECT_FALSE(ctx.cancel(*timer));
      stale_ = *timer;
      ActorRef<Desk> nobody(ctx.self<Desk>().node(), {});
      EXPECT_TRUE(ctx.monitor(nobody));
    } else if (m.what == "use again") {
      auto timer = ctx.send_after(1s, Load{});
      EXPECT_FALSE(ctx.cancel(stale_));
      EXPECT_TRUE(timer && ctx.cancel(*timer));
    } else if (m.what == "record") {
      record_ = ctx.record_bytes();
    }
  }
  void handle(const IdleTimeout&, Context&) { notes_.push_back("silence"); }
  void handle(const Down&, Context&) {}

  static inline std::size_t record_ = 0;

 private:
  std::vector<std::string>& notes_;
  std::vector<ReplyTo<Query>> asked_;
  std::string cache_;
  TimerRef stale_;
  bool throws_ = false;
};

class DeskTest : public BehaviorTest {
 protected:
  DeskTest() {
    desk_ = *runtime_.spawn<Desk>("", notes_);
    settle();
  }
  void tell(const char* what) {
    EXPECT_TRUE(desk_.tell(Tell{what}));
    settle();
  }
  std::size_t record() {
    tell("record");
    return Desk::record_;
  }
  std::vector<std::string> taken() { return std::exchange(notes_, {}); }
  using Notes = std::vector<std::string>;

  Notes notes_;
  ActorRef<Desk> desk_;
};

TEST_F(DeskTest, WhatTheFirstTurnContinuesWithComesBeforeEveryMessage) {
  auto desk = *runtime_.spawn<Desk>("", notes_);
  EXPECT_TRUE(desk.tell(Tell{"first"}));
  settle();
  EXPECT_EQ(notes_, (Notes{"load", "load", "first"}));
}

TEST_F(DeskTest, AnAnswerMayComeFromALaterTurn) {
  std::optional<Result<std::string>> first, second;
  start_ask(desk_, Query{"a"}, first);
  start_ask(desk_, Query{"b"}, second);
  settle();
  EXPECT_FALSE(first || second);
  tell("answer");
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*first, "late");
  EXPECT_EQ(*second, "late");
  EXPECT_EQ(ask(desk_, Query{"forget"}).error().code(), Code::kInternal);
}

// As Desk, by a coroutine.
class LateTask : public GenServer<LateTask, Query> {
 public:
  Task<NoReply> handle(const Query& m, Context& ctx) {
    bool forget = m.what == "forget";
    ReplyTo<Query> later;
    if (!forget) later = ctx.defer<Query>();
    co_await ctx.sleep(1s);
    if (!forget) later.reply("late");
    co_return NoReply{};
  }
};

TEST_F(DeskTest, ACoroutineMayAnswerLaterToo) {
  auto late = *runtime_.spawn<LateTask>("");
  std::optional<Result<std::string>> answer, none;
  start_ask(late, Query{"a"}, answer);
  start_ask(late, Query{"forget"}, none);
  pass(3s);
  ASSERT_TRUE(answer && none);
  EXPECT_EQ(*answer, "late");
  EXPECT_EQ(none->error().code(), Code::kInternal);
}

TEST_F(DeskTest, ASilenceIsToldOnceAndAMessageStartsItAnew) {
  tell("idle");
  pass(9s);
  tell("a");
  pass(9s);
  EXPECT_EQ(taken(), (Notes{"load", "idle", "a"}));
  pass(2s);
  EXPECT_EQ(taken(), (Notes{"silence"}));
  pass(1h);
  EXPECT_EQ(taken(), Notes{});
  tell("b");
  pass(9s);
  EXPECT_EQ(taken(), (Notes{"b"}));
  pass(2s);
  EXPECT_EQ(taken(), (Notes{"silence"}));
}

TEST_F(DeskTest, AnIdleTimeoutIsReplacedAndTakenBack) {
  tell("idle");
  pass(9s);
  tell("idle");
  pass(9s);
  tell("not idle");
  pass(1h);
  EXPECT_EQ(notes_, (Notes{"load", "idle", "idle", "not idle"}));
}

TEST_F(DeskTest, TheSilenceAfterAHandlerThatWaitedBeginsAtItsEnd) {
  tell("idle");
  tell("sleep");  // 25 s
  pass(34s);
  EXPECT_EQ(notes_, (Notes{"load", "idle", "sleep"}));
  pass(2s);
  EXPECT_EQ(notes_, (Notes{"load", "idle", "sleep", "silence"}));
}

TEST_F(DeskTest, HibernationFreesWhatTheRecordDoesNotUse) {
  std::size_t before = record();
  // For the turn that waits, and for what the actor has sent itself first.
  EXPECT_EQ(before, sizeof(detail::Extras) + sizeof(detail::MailboxState));
  tell("use");
  EXPECT_GT(record(), before + sizeof(detail::ActorTimers) + sizeof(detail::ExitLinks));
  tell("hibernate");
  EXPECT_EQ(notes_.back(), "hibernates");
  // That numbers of timers are never used again is remembered; no list of monitors is left.
  EXPECT_EQ(record(), sizeof(detail::Extras) + sizeof(detail::ActorTimers));
  tell("use again");

  auto other = *runtime_.spawn<Desk>("", notes_);
  EXPECT_TRUE(other.tell(Tell{"idle"}));
  EXPECT_TRUE(other.tell(Tell{"hibernate"}));
  settle();
  EXPECT_TRUE(other.tell(Tell{"record"}));
  settle();
  notes_.clear();
  pass(1min);
  EXPECT_EQ(notes_, (Notes{"silence"}));
}

struct RecordBytes {
  using Reply = std::uint64_t;
};
PLX_MESSAGE(RecordBytes);

class Watcher : public GenServer<Watcher, Tell, RecordBytes, Down> {
 public:
  void handle(const Tell& m, Context& ctx) {
    if (m.what == "watch") EXPECT_TRUE(ctx.monitor(ActorRef<Desk>(ctx.self<Watcher>().node(), {})));
    if (m.what == "hibernate") EXPECT_TRUE(ctx.hibernate());
  }
  void handle(const Down&, Context&) {}
  std::uint64_t handle(const RecordBytes&, Context& ctx) const { return ctx.record_bytes(); }
};

TEST_F(DeskTest, OfAnActorThatUsesNothingMoreNoRecordIsLeft) {
  auto watcher = *runtime_.spawn<Watcher>("");
  EXPECT_EQ(ask(watcher, RecordBytes{}), 0u);
  EXPECT_TRUE(ask(watcher, Tell{"watch"}));
  EXPECT_EQ(ask(watcher, RecordBytes{}), sizeof(detail::Extras) + sizeof(detail::ExitLinks));
  EXPECT_TRUE(ask(watcher, Tell{"hibernate"}));
  EXPECT_EQ(ask(watcher, RecordBytes{}), 0u);
  EXPECT_TRUE(ask(watcher, Tell{"watch"}));
  settle();
  EXPECT_GT(*ask(watcher, RecordBytes{}), 0u);
}

TEST_F(DeskTest, AnActorWithWaitingMessagesHibernatesAfterThemAndOnce) {
  EXPECT_TRUE(desk_.tell(Tell{"hibernate"}));
  EXPECT_TRUE(desk_.tell(Tell{"hibernate"}));
  EXPECT_TRUE(desk_.tell(Tell{"a"}));
  settle();
  tell("b");
  EXPECT_EQ(notes_, (Notes{"load", "hibernate", "hibernate", "a", "hibernates", "b"}));
  EXPECT_EQ(ask(desk_, Query{"forget"}).error().code(), Code::kInternal);  // it is there
}

TEST_F(DeskTest, AnActorThatWaitsHibernatesWhenItHasWaited) {
  tell("hibernate, after a sleep");
  EXPECT_TRUE(desk_.tell(Tell{"a"}));
  pass(24s);
  EXPECT_EQ(taken(), (Notes{"load", "hibernate, after a sleep"}));
  pass(2s);
  EXPECT_EQ(taken(), (Notes{"awake", "a", "hibernates"}));
  tell("b");
  EXPECT_EQ(taken(), (Notes{"b"}));
  tell("hibernate, after a sleep");
  pass(26s);  // and nothing else wakes it
  EXPECT_EQ(taken(), (Notes{"hibernate, after a sleep", "awake", "hibernates"}));
}

TEST_F(DeskTest, AnIdleTimeoutOfZeroComesAsSoonAsNoMessageWaits) {
  EXPECT_TRUE(desk_.tell(Tell{"idle at once"}));
  EXPECT_TRUE(desk_.tell(Tell{"a"}));
  settle();  // less than a tick of the timer wheel
  EXPECT_EQ(taken(), (Notes{"load", "idle at once", "a", "silence"}));
  pass(1h);
  EXPECT_EQ(taken(), Notes{});
  tell("b");
  EXPECT_EQ(taken(), (Notes{"b", "silence"}));
  tell("not idle");
  tell("c");
  EXPECT_EQ(taken(), (Notes{"not idle", "c"}));
  EXPECT_TRUE(desk_.tell(Tell{"idle at once"}));
  EXPECT_TRUE(desk_.tell(Tell{"not idle"}));
  pass(1h);
  EXPECT_EQ(taken(), (Notes{"idle at once", "not idle"}));
}

TEST_F(DeskTest, AnIdleTimeoutOfZeroWaitsForAnOpenTurn) {
  tell("idle at once, after a sleep");
  EXPECT_TRUE(desk_.tell(Tell{"a"}));
  EXPECT_TRUE(desk_.tell(Tell{"hibernate"}));
  pass(24s);
  EXPECT_EQ(taken(), (Notes{"load", "idle at once, after a sleep"}));
  pass(2s);
  EXPECT_EQ(taken(), (Notes{"awake", "a", "hibernate", "silence", "hibernates"}));
}

TEST_F(DeskTest, AThrowInHibernationEndsTheActor) {
  tell("throw");
  EXPECT_EQ(runtime_.stats().actors, 0u);
  ASSERT_EQ(log_.size(), 1u);
  EXPECT_NE(log_[0].find("no rest"), std::string::npos) << log_[0];
}

class MovingDeskTest : public BehaviorTest {
 protected:
  MovingDeskTest() : BehaviorTest({.move_every_turns = 1}, 2) {}
};

TEST_F(MovingDeskTest, AnIdleTimeoutMovesWithItsActor) {
  std::vector<std::string> notes;
  auto desk = *runtime_.spawn<Desk>("", notes);
  EXPECT_TRUE(desk.tell(Tell{"idle"}));
  for (int i = 0; i < 5; ++i) {
    pass(9s);
    EXPECT_TRUE(desk.tell(Tell{"a"}));
    settle();
  }
  EXPECT_EQ(notes.size(), 7u);
  pass(11s);
  EXPECT_EQ(notes.size(), 8u);
  EXPECT_EQ(notes.back(), "silence");
  EXPECT_GT(runtime_.stats().migrations, 4u);
}

}  // namespace
}  // namespace plexspaces
