// A door with a code lock: a state machine, in virtual time (README.md).
#include <cstdint>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/behavior/gen_fsm.hpp"
#include "plexspaces/testkit/test_runtime.hpp"

namespace {

using namespace plexspaces;

// docs-snippet: door-events
enum class Door { kLocked, kOpen, kSuspended };
PLX_ENUM(Door, (1, kLocked), (2, kOpen), (3, kSuspended));

struct Button {
  std::int32_t digit = 0;
};
struct GetDoor {
  using Reply = Door;
};
struct GetReport {
  using Reply = std::vector<std::string>;
};
PLX_MESSAGE(Button, (1, digit));
PLX_MESSAGE(GetDoor);
PLX_MESSAGE(GetReport);
// docs-snippet-end

// docs-snippet: door
class CodeLock : public GenFsm<CodeLock, Door, Button, GetDoor, GetReport> {
 public:
  explicit CodeLock(std::vector<std::int32_t> code) : GenFsm(Door::kLocked), code_(std::move(code)) {}

  // ---- locked: collects digits; half a code is forgotten after 5 s without a button.
  Enter on_enter(In<Door::kLocked>, Context&) {
    note("locked");
    typed_.clear();
    return {};
  }
  Transition handle(In<Door::kLocked>, const Button& button, Context&) {
    typed_.push_back(button.digit);
    if (typed_.size() < code_.size()) return keep_state().state_timeout(5s);
    if (typed_ == code_) {
      failures_ = 0;
      return next_state(Door::kOpen);
    }
    typed_.clear();
    if (++failures_ < 3) return keep_state().cancel_state_timeout().timeout<"forgive">(1h);
    return next_state(Door::kSuspended).cancel_timeout<"forgive">();
  }
  // Not event_timeout(): a question would cancel it, being an event too.
  void handle(In<Door::kLocked>, const StateTimeout&, Context&) {
    note("half a code is forgotten");
    typed_.clear();
  }

  // ---- open: for 10 s. Buttons wait until it is locked again.
  Enter on_enter(In<Door::kOpen>, Context&) {
    note("open");
    return Enter().state_timeout(10s);
  }
  Transition handle(In<Door::kOpen>, const Button&, Context&) { return postpone(); }
  Transition handle(In<Door::kOpen>, const StateTimeout&, Context&) { return next_state(Door::kLocked); }

  // ---- suspended: after three wrong codes, for a minute. Buttons do nothing.
  Enter on_enter(In<Door::kSuspended>, Context&) {
    note("suspended");
    failures_ = 0;
    return Enter().state_timeout(1min);
  }
  void handle(In<Door::kSuspended>, const Button&, Context&) {}
  Transition handle(In<Door::kSuspended>, const StateTimeout&, Context&) { return next_state(Door::kLocked); }

  // ---- in every state
  void handle(AnyState, const Timeout<"forgive">&, Context&) {
    note("wrong codes are forgiven");
    failures_ = 0;
  }
  Door handle(AnyState, const GetDoor&, Context&) const { return state(); }
  std::vector<std::string> handle(AnyState, const GetReport&, Context&) const { return report_; }

 private:
  void note(const char* what) { report_.emplace_back(what); }

  std::vector<std::int32_t> code_;
  std::vector<std::int32_t> typed_;
  int failures_ = 0;
  std::vector<std::string> report_;
};
// docs-snippet-end

class Visitor {
 public:
  explicit Visitor(testkit::TestRuntime& world)
      : world_(world), door_(world.spawn<CodeLock>("door", std::vector<std::int32_t>{1, 2, 3, 4}).value()) {}

  void press(std::initializer_list<std::int32_t> digits) {
    for (std::int32_t digit : digits) door_.tell(Button{digit}).value();
    world_.run_until_idle().value();
  }
  void wait(Duration time) { world_.advance(time).value(); }
  void expect(const char* when, Door expected) {
    Door door = world_.ask(door_, GetDoor{}, 1s).value();
    right_ &= door == expected;
    fmt::print("{:<44} {}{}\n", when, name(door), door == expected ? "" : fmt::format("   NOT {}", name(expected)));
  }
  bool expect(const std::vector<std::string>& expected) {
    std::vector<std::string> report = world_.ask(door_, GetReport{}, 1s).value();
    fmt::print("{}\n", fmt::join(report, ", "));
    if (report != expected) fmt::print("NOT {}\n", fmt::join(expected, ", "));
    return right_ && report == expected;
  }

 private:
  static const char* name(Door door) {
    return door == Door::kLocked ? "locked" : door == Door::kOpen ? "open" : "suspended";
  }
  testkit::TestRuntime& world_;
  ActorRef<CodeLock> door_;
  bool right_ = true;
};

}  // namespace

int main() {
  testkit::TestRuntime world;
  Visitor visitor(world);
  visitor.expect("at first", Door::kLocked);

  visitor.press({1, 2, 3, 4});
  visitor.expect("after the code", Door::kOpen);
  visitor.wait(9s);
  visitor.expect("9 s later", Door::kOpen);
  visitor.wait(2s);
  visitor.expect("11 s later", Door::kLocked);

  visitor.press({1, 2});
  visitor.wait(6s);
  visitor.press({3, 4});
  visitor.expect("two digits, 6 s, two digits", Door::kLocked);
  visitor.wait(6s);

  visitor.press({1, 2, 3, 4, 1, 2, 3, 4});
  visitor.expect("the code twice", Door::kOpen);
  visitor.wait(11s);
  visitor.expect("11 s later: the second code has waited", Door::kOpen);
  visitor.wait(11s);

  visitor.press({9, 9, 9, 9, 8, 8, 8, 8});
  visitor.wait(2h);
  visitor.press({7, 7, 7, 7});
  visitor.expect("two wrong codes, 2 h, a third", Door::kLocked);
  visitor.press({9, 9, 9, 9, 8, 8, 8, 8});
  visitor.expect("three wrong codes", Door::kSuspended);
  visitor.press({1, 2, 3, 4});
  visitor.expect("then the code", Door::kSuspended);
  visitor.wait(61s);
  visitor.expect("a minute later", Door::kLocked);
  visitor.press({1, 2, 3, 4});
  visitor.expect("then the code", Door::kOpen);

  return visitor.expect({"locked", "open", "locked", "half a code is forgotten", "half a code is forgotten", "open",
                         "locked", "open", "locked", "wrong codes are forgiven", "suspended", "locked", "open"})
             ? 0
             : 1;
}
