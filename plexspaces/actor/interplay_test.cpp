// What the features of actors do to each other.
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/behavior/gen_server.hpp"
#include "plexspaces/sim/executor.hpp"
#include "plexspaces/sim/world.hpp"

namespace plexspaces {
namespace {

struct Do {
  std::uint64_t step = 0;
};
struct DoAndWait {
  std::uint64_t step = 0;
};
struct Item {
  std::uint64_t number = 0;
};
struct Text {
  std::string text;
};
struct Question {
  using Reply = std::uint64_t;
  std::uint64_t number = 0;
};
PLX_MESSAGE(Do, (1, step));
PLX_MESSAGE(DoAndWait, (1, step));
PLX_MESSAGE(Item, (1, number));
PLX_MESSAGE(Text, (1, text));
PLX_MESSAGE(Question, (1, number));

class Subject;

struct Stage {
  std::deque<std::function<void(Context&)>> steps;
  std::deque<std::function<Task<>(Context&)>> slow_steps;
  std::vector<std::uint64_t> items;
  std::vector<Down> downs;
  std::vector<Exited> exits;
  std::function<void(Context&)> on_question;
  std::deque<ReplyTo<Question>> deferred;
};

struct Life {
  std::function<Status(Context&)> on_start;
  std::function<Task<>(Context&, const ExitReason&)> on_stop;
};

class Subject : public GenServer<Subject, Do, DoAndWait, Item, Text, Question, Down, Exited> {
 public:
  explicit Subject(Stage& stage, Life life = {}) : stage_(stage), life_(std::move(life)) {}
  Status on_start(Context& ctx) override { return life_.on_start ? life_.on_start(ctx) : Status(); }
  Task<> on_stop(Context& ctx, const ExitReason& reason) override {
    if (life_.on_stop) co_await life_.on_stop(ctx, reason);
  }
  void handle(const Do& m, Context& ctx) { stage_.steps[m.step](ctx); }
  Task<> handle(const DoAndWait& m, Context& ctx) { return stage_.slow_steps[m.step](ctx); }
  void handle(const Item& m, Context&) { stage_.items.push_back(m.number); }
  void handle(const Text&, Context&) {}
  NoReply handle(const Question&, Context& ctx) {
    stage_.on_question(ctx);
    return {};
  }
  void handle(const Down& m, Context&) { stage_.downs.push_back(m); }
  void handle(const Exited& m, Context&) { stage_.exits.push_back(m); }

 private:
  Stage& stage_;
  Life life_;
};

class InterplayTest : public testing::Test {
 protected:
  explicit InterplayTest(std::uint64_t seed = 1, RuntimeOptions options = {}, std::size_t workers = 2)
      : world_(seed), executor_(world_, {.workers = workers}), runtime_(executor_, types_, std::move(options)) {
    runtime_.set_log([](const std::string&) {});
    EXPECT_TRUE(runtime_.start());
  }

  ActorRef<Subject> spawn(Life life = {}) { return *runtime_.spawn<Subject>("", stage_, std::move(life)); }
  void settle(Duration time = 1ms) { executor_.run_for(time, 1'000'000); }
  void perform(ActorRef<Subject> who, std::function<void(Context&)> step) {
    stage_.steps.push_back(std::move(step));
    EXPECT_TRUE(who.tell(Do{stage_.steps.size() - 1}));
    settle();
  }
  void perform_slowly(ActorRef<Subject> who, std::function<Task<>(Context&)> step) {
    stage_.slow_steps.push_back(std::move(step));
    EXPECT_TRUE(who.tell(DoAndWait{stage_.slow_steps.size() - 1}));
    settle();
  }
  std::uint64_t dead(DeadLetterReason reason) const { return runtime_.stats().dead(reason); }

  Stage stage_;
  sim::World world_;
  sim::SimExecutor executor_;
  Types types_;
  Runtime runtime_;
};

TEST_F(InterplayTest, WhoLinksToAnActorThatTrapsExitsAndEndsInTheSameTurnIsHeardOf) {  // INV-M8
  ActorRef<Subject> parent = spawn(), child;
  perform(parent, [&](Context& ctx) {
    EXPECT_TRUE(ctx.trap_exits<Subject>(true));
    child = *ctx.spawn<Subject>(stage_);
  });
  perform(child, [&](Context& ctx) {
    EXPECT_TRUE(ctx.link(parent));
    ctx.stop();
  });
  ASSERT_EQ(stage_.exits.size(), 1u);
  EXPECT_EQ(stage_.exits[0].from, child.id());
}

TEST_F(InterplayTest, AReferenceToATimerOfAnotherActorCancelsNone) {
  ActorRef<Subject> a = spawn(), b = spawn();
  TimerRef of_a;
  perform(a, [&](Context& ctx) { of_a = *ctx.send_after(1s, Item{1}); });
  perform(b, [&](Context& ctx) {
    EXPECT_TRUE(ctx.send_after(1s, Item{2}));
    EXPECT_FALSE(ctx.cancel(of_a));
  });
  settle(2s);
  EXPECT_EQ(stage_.items.size(), 2u);
}

TEST_F(InterplayTest, ATurnThatIsWokenMakesRoomForThoseThatWaitForIt) {
  auto receiver = *runtime_.spawn<Subject>(SpawnOptions{.name = "", .mailbox = {.messages_max = 1}}, stage_);
  ActorRef<Subject> mortal = spawn(), sender = spawn();
  MonitorRef monitor;
  perform(receiver, [&](Context& ctx) { monitor = *ctx.monitor<Subject>(mortal); });
  perform_slowly(receiver, [&](Context& ctx) -> Task<> {
    co_await ctx.sleep(10s);
    ctx.demonitor(monitor);
  });
  runtime_.kill(mortal.id());
  settle();
  EXPECT_EQ(runtime_.mailbox_size(receiver.id()).messages, 1u);
  std::optional<Status> sent;
  perform_slowly(sender, [&](Context& ctx) -> Task<> {
    Item item{7};
    sent = co_await ctx.send(receiver, item, 1h);
  });
  settle(20s);
  ASSERT_TRUE(sent);
  EXPECT_TRUE(*sent);
  EXPECT_EQ(stage_.items, (std::vector<std::uint64_t>{7}));
  EXPECT_TRUE(stage_.downs.empty());
}

TEST_F(InterplayTest, ToStopAnActorThatHasEndedIsNoDeadLetter) {
  ActorRef<Subject> actor = spawn();
  settle();
  runtime_.stop(actor.id());
  runtime_.stop(actor.id());
  settle();
  runtime_.stop(actor.id());
  settle();
  std::uint64_t all = 0;
  for (std::uint64_t count : runtime_.stats().dead_letters) all += count;
  EXPECT_EQ(all, 0u);
}

class SmallMessagesTest : public InterplayTest {
 protected:
  SmallMessagesTest() : InterplayTest(1, {.message_bytes_max = 1'000}) {}
};

TEST_F(SmallMessagesTest, AMessageWithATimeToLiveIsHeldToTheLimitOfBytesToo) {  // INV-M3
  ActorRef<Subject> actor = spawn();
  perform(actor, [&](Context& ctx) {
    Status told = ctx.tell(ctx.self<Subject>(), Text{std::string(5'000, 'x')}, Ttl{1s});
    ASSERT_FALSE(told);
    EXPECT_EQ(told.error().code(), Code::kInvalidArgument);
  });
  EXPECT_EQ(dead(DeadLetterReason::kTooLarge), 1u);
}

TEST_F(InterplayTest, AnAskerFromOutsideIsNoActorAlsoWhenItsAnswerIsDeferredOrItsMessageStashed) {
  ActorRef<Subject> actor = spawn();
  settle();
  for (bool stash : {false, true}) {
    std::optional<ActorId> before, after;
    stage_.on_question = [&](Context& ctx) {
      before = ctx.sender_id();
      if (stash) {
        EXPECT_TRUE(ctx.stash());
      } else {
        stage_.deferred.push_back(ctx.defer<Question>());
      }
      after = ctx.sender_id();
    };
    // As ActorRef::ask() does, without its wait.
    auto* envelope = detail::make_envelope(nullptr, Question{1}, detail::Envelope::kAsk | detail::Envelope::kSink);
    bool answered = false;
    envelope->sender = reinterpret_cast<std::uint64_t>(make_sink([&](Answer) { answered = true; }).release());
    EXPECT_TRUE(runtime_.send(actor.id(), envelope));
    settle();
    ASSERT_TRUE(before && after);
    EXPECT_FALSE(*before);
    EXPECT_FALSE(*after);
    if (stash) {
      stage_.on_question = [&](Context& ctx) { stage_.deferred.push_back(ctx.defer<Question>()); };
      perform(actor, [](Context& ctx) { ctx.unstash_all(); });
    }
    ASSERT_EQ(stage_.deferred.size(), 1u);
    stage_.deferred.front().reply(7);
    EXPECT_TRUE(answered);
    stage_.deferred.clear();
  }
}

}  // namespace
}  // namespace plexspaces
