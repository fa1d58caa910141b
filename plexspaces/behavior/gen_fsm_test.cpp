#include "plexspaces/behavior/gen_fsm.hpp"

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "plexspaces/behavior/behavior_fixture.hpp"
#include "plexspaces/behavior/gen_server.hpp"

namespace plexspaces {
namespace {

using Trace = std::vector<std::string>;

class FsmTest : public BehaviorTest {};

// ---- a door --------------------------------------------------------------------------------------------------------

enum class Door { kLocked, kClosed, kOpen };
PLX_ENUM(Door, (1, kLocked), (2, kClosed), (3, kOpen));

struct Code4 {
  using Reply = bool;
  std::int32_t digits = 0;
};
struct Push {};
struct Pull {};
struct Lock {};
struct GetDoor {
  using Reply = Door;
};
PLX_MESSAGE(Code4, (1, digits));
PLX_MESSAGE(Push);
PLX_MESSAGE(Pull);
PLX_MESSAGE(Lock);
PLX_MESSAGE(GetDoor);

class DoorMachine : public GenFsm<DoorMachine, Door, Code4, Push, Pull, Lock, GetDoor> {
 public:
  explicit DoorMachine(Trace& trace) : GenFsm(Door::kLocked), trace_(trace) {}

  void on_enter(AnyState, Context&) { note("enter"); }
  Enter on_enter(In<Door::kOpen>, Context&) {
    note("enter");
    return Enter().state_timeout(10s);
  }

  Replies<bool> handle(In<Door::kLocked>, const Code4& code, Context&) {
    if (code.digits != 1234) return keep_state().reply(false);
    return next_state(Door::kClosed).reply(true);
  }
  Result<bool> handle(AnyState, const Code4&, Context&) { return fail(Code::kFailedPrecondition, "it is not locked"); }
  Transition handle(In<Door::kClosed>, const Pull&, Context&) { return next_state(Door::kOpen); }
  Transition handle(In<Door::kOpen>, const Push&, Context&) { return next_state(Door::kClosed); }
  Transition handle(In<Door::kOpen>, const StateTimeout&, Context&) {
    trace_.push_back("too long");
    return next_state(Door::kClosed);
  }
  Transition handle(In<Door::kClosed>, const Lock&, Context&) { return next_state(Door::kLocked); }
  Transition handle(AnyState, const AnyEvent& event, Context&) {
    trace_.push_back("ignored " + std::string(event.name()));
    return keep_state();
  }
  Door handle(AnyState, const GetDoor&, Context&) const { return state(); }

 private:
  void note(const char* what) {
    constexpr const char* names[]{"locked", "closed", "open"};
    trace_.push_back(std::string(what) + " " + names[static_cast<int>(state())]);
  }
  Trace& trace_;
};

TEST_F(FsmTest, AMachineGoesFromStateToStateAndEntersEach) {
  Trace trace;
  auto door = *runtime_.spawn<DoorMachine>("", trace);
  settle();
  EXPECT_EQ(trace, (Trace{"enter locked"}));
  EXPECT_EQ(ask(door, Code4{1}), false);
  EXPECT_EQ(ask(door, Code4{1234}), true);
  EXPECT_EQ(ask(door, GetDoor{}), Door::kClosed);
  auto again = ask(door, Code4{1234});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), Code::kFailedPrecondition);
  EXPECT_TRUE(ask(door, Pull{}));
  EXPECT_EQ(ask(door, GetDoor{}), Door::kOpen);
  EXPECT_TRUE(ask(door, Push{}));
  EXPECT_TRUE(ask(door, Lock{}));
  EXPECT_EQ(trace, (Trace{"enter locked", "enter closed", "enter open", "enter closed", "enter locked"}));
}

TEST_F(FsmTest, AStateTimeoutComesInItsTimeAndNotAfterTheStateHasChanged) {
  Trace trace;
  auto door = *runtime_.spawn<DoorMachine>("", trace);
  EXPECT_EQ(ask(door, Code4{1234}), true);
  EXPECT_TRUE(ask(door, Pull{}));
  pass(9s);
  EXPECT_EQ(ask(door, GetDoor{}), Door::kOpen);
  EXPECT_TRUE(ask(door, Push{}));
  EXPECT_TRUE(ask(door, Pull{}));
  pass(9s);  // 18 s after it was opened first
  EXPECT_EQ(ask(door, GetDoor{}), Door::kOpen);
  pass(2s);
  EXPECT_EQ(ask(door, GetDoor{}), Door::kClosed);
  EXPECT_EQ(trace, (Trace{"enter locked", "enter closed", "enter open", "enter closed", "enter open", "too long",
                          "enter closed"}));
}

TEST_F(FsmTest, DefaultHandlersTakeWhatHasNone) {
  Trace trace;
  auto door = *runtime_.spawn<DoorMachine>("", trace);
  EXPECT_TRUE(ask(door, Push{}));
  EXPECT_TRUE(ask(door, Pull{}));
  EXPECT_EQ(trace, (Trace{"enter locked", "ignored Push", "ignored Pull"}));
}

}  // namespace
}  // namespace plexspaces
