// A counter with everything that a first actor wants: `counter [CLIENTS] [STEPS]` (README.md).
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/behavior/gen_server.hpp"
#include "plexspaces/node/local/local_runtime.hpp"

namespace {

using namespace plexspaces;

// docs-snippet: counter-messages
// A message is a struct; with a Reply it can be asked.
struct Increment {
  using Reply = std::int64_t;  // the new value
  std::int64_t by = 1;
};
struct Get {
  using Reply = std::int64_t;
};
struct Reached {
  using Reply = std::int64_t;  // once the counter is there
  std::int64_t value = 0;
};
struct CloseWhenIdle {};
PLX_MESSAGE(Increment, (1, by));
PLX_MESSAGE(Get);
PLX_MESSAGE(Reached, (1, value));
PLX_MESSAGE(CloseWhenIdle);
// docs-snippet-end

// docs-snippet: counter
class Counter : public GenServer<Counter, Increment, Get, Reached, CloseWhenIdle, IdleTimeout> {
 public:
  explicit Counter(std::int64_t start) : value_(start) {}

  // Before the first message. An error ends the actor, and is that of spawn() inside another actor.
  Status on_start(Context&) override {
    if (value_ < 0) return fail(Code::kInvalidArgument, "a counter starts at 0 or above");
    return {};
  }

  // A reply, or an error: both are values. It is the same handler for tell and ask.
  Result<std::int64_t> handle(const Increment& m, Context&) {
    if (m.by <= 0) return fail(Code::kInvalidArgument, "a counter only goes up");
    value_ += m.by;
    std::erase_if(waiters_, [this](Waiter& waiter) {
      if (waiter.value > value_) return false;
      waiter.asker.reply(value_);
      return true;
    });
    return value_;
  }

  // const: it leaves the state as it is.
  std::int64_t handle(const Get&, Context&) const { return value_; }

  // Answers in a later turn: takes over the asker, and returns NoReply.
  NoReply handle(const Reached& m, Context& ctx) {
    ReplyTo<Reached> asker = ctx.defer<Reached>();
    if (value_ >= m.value)
      asker.reply(value_);
    else
      waiters_.push_back({m.value, std::move(asker)});
    return {};
  }

  Status handle(const CloseWhenIdle&, Context& ctx) { return ctx.idle_timeout<Counter>(50ms); }
  void handle(const IdleTimeout&, Context& ctx) { ctx.stop(); }

 private:
  struct Waiter {
    std::int64_t value;
    ReplyTo<Reached> asker;
  };
  std::int64_t value_;
  std::vector<Waiter> waiters_;
};
// docs-snippet-end

struct Count {
  using Reply = std::int64_t;  // the last value it has seen
  std::int64_t steps = 0;
};
PLX_MESSAGE(Count, (1, steps));

struct WaitForTheEnd {
  using Reply = std::string;  // the reason
};
PLX_MESSAGE(WaitForTheEnd);

// docs-snippet: counter-client
// A handler that waits is a coroutine.
class Client : public GenServer<Client, Count, WaitForTheEnd> {
 public:
  explicit Client(ActorRef<Counter> counter) : counter_(counter) {}

  Task<Result<std::int64_t>> handle(const Count& m, Context& ctx) {
    std::int64_t last = 0;
    for (std::int64_t i = 0; i < m.steps; ++i) {
      auto value = co_await ctx.ask(counter_, Increment{}, 1min);
      if (!value) co_return std::unexpected(value.error());
      last = *value;
    }
    co_return last;
  }

  Task<Result<std::string>> handle(const WaitForTheEnd&, Context& ctx) {
    auto reason = co_await ctx.ended(counter_, 1min);
    if (!reason) co_return std::unexpected(reason.error());
    co_return std::string(exit_kind_name(reason->kind));
  }

 private:
  ActorRef<Counter> counter_;
};
// docs-snippet-end

bool check(const char* what, const auto& value, const auto& expected) {
  bool right = value == expected;
  fmt::print("{:<44} {:>10}{}\n", what, value, right ? "" : fmt::format("   NOT {}", expected));
  return right;
}

}  // namespace

int main(int argc, char** argv) {
  std::int64_t clients = argc > 1 ? std::strtoll(argv[1], nullptr, 10) : 8;
  std::int64_t steps = argc > 2 ? std::strtoll(argv[2], nullptr, 10) : 1'000;
  if (clients < 1 || steps < 1) {
    fmt::print(stderr, "usage: counter [CLIENTS] [STEPS], each at least 1\n");
    return 2;
  }

  LocalRuntime runtime;
  auto counter = runtime.spawn<Counter>("counter", 0).value();
  std::vector<ActorRef<Client>> all;
  for (std::int64_t i = 0; i < clients; ++i) all.push_back(runtime.spawn<Client>("", counter).value());

  // tell returns at once, ask waits for the answer: here for that of a later turn.
  for (ActorRef<Client> client : all) client.tell(Count{steps}).value();
  std::int64_t reached = counter.ask(Reached{clients * steps}, 1min).value();

  bool right = check("the counter, when it is told to be there", reached, clients * steps);
  right &= check("the counter, asked", counter.ask(Get{}, 1min).value(), clients * steps);
  auto refused = counter.ask(Increment{-1}, 1min);
  right &= check("down", refused ? "yes" : refused.error().message(), std::string("a counter only goes up"));
  right &= check("the counter, after that", counter.ask(Get{}, 1min).value(), clients * steps);

  counter.tell(CloseWhenIdle{}).value();
  right &= check("its end", all[0].ask(WaitForTheEnd{}, 1min).value(), "normal");
  auto gone = counter.ask(Get{}, 1min);
  right &= check("the counter, after its end", gone ? "there" : "NOT_FOUND", std::string("NOT_FOUND"));
  runtime.stop();
  return right ? 0 : 1;
}
