// The code of docs/coming-from-erlang-akka-caf.md, as tests.
#include <cstdint>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plexspaces/node/local/local_runtime.hpp"
#include "plexspaces/plexspaces.hpp"
#include "plexspaces/supervision.hpp"
#include "plexspaces/supervision/application.hpp"
#include "plexspaces/testkit/testkit.hpp"

namespace {

// docs-snippet: counter
using namespace plexspaces;

struct Add {
  using Reply = std::int64_t;
  std::int64_t by = 1;
};
struct Reset {};
struct Tick {};
PLX_MESSAGE(Add, (1, by));
PLX_MESSAGE(Reset);
PLX_MESSAGE(Tick);

class Counter : public GenServer<Counter, Add, Reset, Tick> {
 public:
  Status on_start(Context& ctx) override {
    PLX_TRY_STATUS(ctx.send_every<Counter>(1s, Tick{}));
    return {};
  }
  Result<std::int64_t> handle(const Add& m, Context&) {
    if (m.by < 0) return fail(Code::kInvalidArgument, "a counter counts up");
    return count_ += m.by;
  }
  void handle(const Reset&, Context&) { count_ = 0; }
  void handle(const Tick&, Context&) { ++count_; }

 private:
  std::int64_t count_ = 0;
};
// docs-snippet-end

TEST(ComingFromGuide, TheCounterIsAServer) {
  // docs-snippet: use
  LocalRuntime runtime;
  auto tree = supervisor("top", one_for_one, {.intensity = 5, .period = 10s})
                  .child<Counter>("counter", permanent, {.name = "counter"});
  start_tree(runtime.runtime(), tree, 1min).value();  // all of it is there

  auto counter = runtime.runtime().find<Counter>("counter").value();
  std::int64_t five = counter.ask(Add{5}, 1min).value();
  Status reset = counter.tell(Reset{});  // an error when the mailbox is full
  // docs-snippet-end
  EXPECT_GE(five, 5);
  EXPECT_TRUE(reset);
  EXPECT_EQ(counter.ask(Add{-1}, 1min).error().code(), Code::kInvalidArgument);
}

TEST(ComingFromGuide, TheCounterTicks) {
  testkit::Harness<Counter> counter;
  EXPECT_THAT(lines_of(counter.start().value()), testing::ElementsAre("timer every 1000 ms Tick {}"));
  counter.advance(10s);
  EXPECT_EQ(counter.ask(Add{0}).reply.value(), 10);
  counter.tell(Reset{});
  EXPECT_EQ(counter.ask(Add{0}).reply.value(), 0);
}

}  // namespace
