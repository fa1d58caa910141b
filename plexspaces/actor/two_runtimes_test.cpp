// Actors of two runtimes of one process: what one may do to the other.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/actor/simulated_node_fixture.hpp"
#include "plexspaces/behavior/gen_server.hpp"

namespace plexspaces {
namespace {

struct Add {
  std::int64_t by = 0;
  using Reply = std::int64_t;
};
struct Refuse {
  using Reply = std::int64_t;
};
struct Hold {};
struct Work {
  std::int64_t by = 0;
  std::string text;
};
struct Call {
  using Reply = std::string;
};
PLX_MESSAGE(Add, (1, by));
PLX_MESSAGE(Refuse);
PLX_MESSAGE(Hold);
PLX_MESSAGE(Work, (1, by), (2, text));
PLX_MESSAGE(Call);

class Server : public GenServer<Server, Add, Refuse, Hold, Work> {
 public:
  std::int64_t handle(const Add& m, Context&) { return total_ += m.by; }
  Result<std::int64_t> handle(const Refuse&, Context&) {
    return fail(Code::kPermissionDenied, "not you", "PLX-TST-0001");
  }
  Task<> handle(const Hold&, Context& ctx) { co_await ctx.sleep(1min); }
  void handle(const Work& m, Context&) { total_ += m.by; }

 private:
  std::int64_t total_ = 0;
};

// Does what a test gives it, and tells how it went.
class Caller : public GenServer<Caller, Call> {
 public:
  using Script = std::move_only_function<Task<std::string>(Context&)>;
  explicit Caller(Script script) : script_(std::move(script)) {}
  Task<std::string> handle(const Call&, Context& ctx) { co_return co_await script_(ctx); }

 private:
  Script script_;
};

class TwoRuntimesTest : public testing::Test {
 protected:
  // Both in steps; neither waits for a time until both have nothing else to do.
  void run() {
    for (int i = 0; i < 1'000; ++i) {
      here_.executor.step_before(here_.world.clock.now());
      there_->executor.step_before(there_->world.clock.now());
    }
  }
  std::string call(Caller::Script script) {
    auto caller = here_.runtime.spawn<Caller>("", std::move(script));
    answer_ = here_.ask(*caller, Call{});
    run();
    return *answer_ ? (**answer_ ? ***answer_ : "failed: " + (*answer_)->error().message()) : "waits";
  }

  SimulatedNode here_{{.node_name = "here"}, {.workers = 2}};
  std::unique_ptr<SimulatedNode> there_ =
      std::make_unique<SimulatedNode>(RuntimeOptions{.node_name = "there"}, sim::SimExecutorOptions{.workers = 2});
  std::shared_ptr<std::optional<Result<std::string>>> answer_;
};

TEST_F(TwoRuntimesTest, AnAskIsAnswered) {
  auto server = *there_->runtime.spawn<Server>("");
  EXPECT_EQ(call([server](Context& ctx) -> Task<std::string> {
              std::string text;
              for (int i = 1; i <= 3; ++i) {
                auto total = co_await ctx.ask(server, Add{i}, 5s);
                text += total ? std::to_string(*total) + " " : total.error().message();
              }
              co_return text;
            }),
            "1 3 6 ");
}

TEST_F(TwoRuntimesTest, AnErrorOfTheHandlerIsTheAskers) {
  auto server = *there_->runtime.spawn<Server>("");
  EXPECT_EQ(call([server](Context& ctx) -> Task<std::string> {
              auto refused = co_await ctx.ask(server, Refuse{}, 5s);
              co_return refused ? "?" : refused.error().message();
            }),
            "not you");
}

TEST_F(TwoRuntimesTest, AnAskOfNobodyOrOfARuntimeThatHasEndedFailsAtOnce) {
  auto server = *there_->runtime.spawn<Server>("");
  there_->runtime.stop(server.id());
  run();
  auto ask = [server](Context& ctx) -> Task<std::string> {
    auto asked = co_await ctx.ask(server, Add{1}, 5s);
    co_return asked ? "?" : asked.error().domain();
  };
  EXPECT_EQ(call(ask), "PLX-ACT-0005");
  ActorRef<Server> unborn(there_->runtime.node_id(), {4'000'000'000u, 7});
  EXPECT_EQ(call([unborn](Context& ctx) -> Task<std::string> {
              auto asked = co_await ctx.ask(unborn, Add{1}, 5s);
              co_return asked ? "?" : asked.error().domain();
            }),
            "PLX-ACT-0005");
  there_ = std::make_unique<SimulatedNode>();
  EXPECT_EQ(call(ask), "PLX-ACT-0004");
  EXPECT_EQ(call([server](Context& ctx) -> Task<std::string> {
              Status sent = co_await ctx.send(server, Work{1, "x"}, 5s);
              co_return sent ? "?" : sent.error().domain();
            }),
            "PLX-ACT-0004");
}

TEST_F(TwoRuntimesTest, AnAskThatIsNotAnsweredEndsInTimeAndALateAnswerIsADeadLetter) {
  auto server = *there_->runtime.spawn<Server>("");
  ASSERT_TRUE(server.tell(Hold{}));
  run();
  EXPECT_EQ(call([server](Context& ctx) -> Task<std::string> {
              auto late = co_await ctx.ask(server, Add{1}, 2min);
              co_return late ? "?" : late.error().domain();
            }),
            "waits");
  here_.executor.run_for(3min, 1'000);
  ASSERT_TRUE(*answer_);
  EXPECT_EQ(***answer_, "PLX-ACT-0010");
  there_->executor.run_for(70s, 1'000);
  run();
  EXPECT_EQ(here_.runtime.stats().dead(DeadLetterReason::kLateReply), 1u);
}

TEST_F(TwoRuntimesTest, AnAskWhoseRuntimeEndsIsAnsweredThatTheOutcomeIsUnknown) {
  auto server = *there_->runtime.spawn<Server>("");
  ASSERT_TRUE(server.tell(Hold{}));
  run();
  EXPECT_EQ(call([server](Context& ctx) -> Task<std::string> {
              auto lost = co_await ctx.ask(server, Add{1}, 2min);
              co_return lost ? "?" : std::string(code_name(lost.error().code()));
            }),
            "waits");
  there_ = std::make_unique<SimulatedNode>();
  run();
  ASSERT_TRUE(*answer_);
  EXPECT_EQ(***answer_, "UNKNOWN");
}

TEST_F(TwoRuntimesTest, TheAnswerToARuntimeThatHasEndedGoesNowhere) {
  auto server = *here_.runtime.spawn<Server>("");
  auto caller = there_->runtime.spawn<Caller>("", [server](Context& ctx) -> Task<std::string> {
    auto never = co_await ctx.ask(server, Add{1}, 2min);
    co_return never ? "?" : never.error().message();
  });
  ASSERT_TRUE(server.tell(Hold{}));
  auto asked = there_->ask(*caller, Call{});
  run();
  there_ = std::make_unique<SimulatedNode>();
  here_.executor.run_for(2min, 1'000);
  EXPECT_EQ(here_.runtime.stats().actors, 1u);
}

TEST_F(TwoRuntimesTest, ACircleOfAsksIsFoundAndTheSamePlaceElsewhereIsNone) {
  // The first actors of two runtimes have the same id.
  ActorRef<Caller> back;
  struct Far : GenServer<Far, Call> {
    explicit Far(ActorRef<Caller>* caller) : back(caller) {}
    Task<std::string> handle(const Call&, Context& ctx) {
      auto circle = co_await ctx.ask(*back, Call{}, 5s);
      co_return circle ? *circle : circle.error().domain();
    }
    ActorRef<Caller>* back;
  };
  auto far = *there_->runtime.spawn<Far>("", &back);
  auto caller = here_.runtime.spawn<Caller>("", [far](Context& ctx) -> Task<std::string> {
    auto answer = co_await ctx.ask(far, Call{}, 5s);
    co_return answer ? *answer : "refused: " + answer.error().domain();
  });
  ASSERT_EQ(caller->id(), far.id());
  back = *caller;
  auto answer = here_.ask(*caller, Call{});
  run();
  ASSERT_TRUE(*answer);
  EXPECT_EQ(***answer, "PLX-ACT-0008") << "found where the circle closes, not before";
}

TEST_F(TwoRuntimesTest, ASendWaitsForRoomThere) {
  auto server = *there_->runtime.spawn<Server>(SpawnOptions{
      .name = "", .mailbox = {.messages_max = 2, .bytes_max = 0, .overflow = Overflow::kBlock, .priority = {}}});
  ASSERT_TRUE(server.tell(Hold{}));
  run();
  EXPECT_EQ(call([server](Context& ctx) -> Task<std::string> {
              for (int i = 0; i < 2; ++i) {
                Status room = co_await ctx.send(server, Work{1, "long enough for memory of its own"}, 5s);
                EXPECT_TRUE(room);
              }
              Status full = server.tell(Work{1, ""});
              EXPECT_EQ(full.error().code(), Code::kResourceExhausted);
              Status waited = co_await ctx.send(server, Work{1, "long enough for memory of its own"}, 1h);
              co_return waited ? "let in" : waited.error().message();
            }),
            "waits");
  there_->executor.run_for(2min, 1'000);
  run();
  ASSERT_TRUE(*answer_);
  EXPECT_EQ(***answer_, "let in");
  auto total = there_->ask(server, Add{0});
  run();
  EXPECT_EQ(**total, 3);
}

TEST_F(TwoRuntimesTest, ASendThatFindsNoRoomInTimeIsTakenBack) {
  auto server = *there_->runtime.spawn<Server>(SpawnOptions{
      .name = "", .mailbox = {.messages_max = 1, .bytes_max = 0, .overflow = Overflow::kBlock, .priority = {}}});
  ASSERT_TRUE(server.tell(Hold{}));
  run();
  ASSERT_TRUE(server.tell(Work{1, ""}));
  EXPECT_EQ(call([server](Context& ctx) -> Task<std::string> {
              Status late = co_await ctx.send(server, Work{5, ""}, 1s);
              co_return late ? "?" : std::string(code_name(late.error().code()));
            }),
            "waits");
  here_.executor.run_for(2s, 1'000);
  ASSERT_TRUE(*answer_);
  EXPECT_EQ(***answer_, "DEADLINE_EXCEEDED");
  there_->executor.run_for(2min, 1'000);
  run();
  auto total = there_->ask(server, Add{0});
  run();
  EXPECT_EQ(**total, 1);
}

}  // namespace
}  // namespace plexspaces
