// The code of docs/behaviors.md that no example has, as tests.
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

#include <gtest/gtest.h>

#include "plexspaces/behavior/gen_event.hpp"
#include "plexspaces/behavior/gen_fsm.hpp"
#include "plexspaces/behavior/gen_server.hpp"
#include "plexspaces/testkit/test_runtime.hpp"

namespace {

// docs-snippet: loan
using namespace plexspaces;

struct Free {};
struct Lent {
  std::string to;
};
PLX_MESSAGE(Free);
PLX_MESSAGE(Lent, (1, to));

struct Borrow {
  using Reply = std::string;
  std::string who;
};
struct Return {};
PLX_MESSAGE(Borrow, (1, who));
PLX_MESSAGE(Return);

class Book : public GenFsm<Book, std::variant<Free, Lent>, Borrow, Return> {
 public:
  Book() : GenFsm(Free{}) {}

  Replies<std::string> handle(Free&, const Borrow& m, Context&) {
    return next_state(Lent{m.who}).reply("here you are, " + m.who).state_timeout(24h * 28);
  }
  // Who asks waits until it is back.
  Replies<std::string> handle(Lent&, const Borrow&, Context&) { return postpone(); }
  Transition handle(Lent&, const Return&, Context&) { return next_state(Free{}); }
  Transition handle(Lent& lent, const StateTimeout&, Context&) {
    reminded_ = lent.to;
    return keep_state().state_timeout(24h * 7);
  }
  // A book that is free cannot be returned: whoever asks for it learns that there is no handler.
  Transition handle(Free&, const AnyEvent&, Context&) { return unhandled(); }

 private:
  std::string reminded_;
};
// docs-snippet-end

TEST(BehavioursGuideTest, ABookIsLentAndComesBack) {
  testkit::TestRuntime world;
  auto book = world.spawn<Book>("").value();
  EXPECT_EQ(world.ask(book, Return{}, 1s).error().code(), Code::kUnimplemented);
  EXPECT_EQ(world.ask(book, Borrow{"Ann"}, 1s), "here you are, Ann");
  EXPECT_EQ(world.ask(book, Borrow{"Bob"}, 1s).error().code(), Code::kDeadlineExceeded);
  world.advance(24h * 50).value();
  EXPECT_TRUE(world.ask(book, Return{}, 1s));
  EXPECT_EQ(world.ask(book, Borrow{"Cid"}, 1s), "here you are, Cid");
}

// docs-snippet: alarms
struct Raised {
  std::string device;
};
struct Cleared {
  std::string device;
};
struct Open {
  using Reply = std::int64_t;
};
PLX_MESSAGE(Raised, (1, device));
PLX_MESSAGE(Cleared, (1, device));
PLX_MESSAGE(Open);

// Raised and Cleared have no Reply: they go to every handler. Open has one: it goes to the handler that it names.
using Alarms = GenEvent<Raised, Cleared, Open>;

class Counter : public Alarms::Handler<Counter> {
 public:
  void handle(const Raised& m, Context&) { ++open_[m.device]; }
  void handle(const Cleared& m, Context&) { open_.erase(m.device); }
  std::int64_t handle(const Open&, Context&) const { return static_cast<std::int64_t>(open_.size()); }
  std::map<std::string, int> hand_over(Context&) { return std::move(open_); }

 private:
  std::map<std::string, int> open_;
};

// Takes over from a Counter, and throws when a device is raised too often.
class StrictCounter : public Alarms::Handler<StrictCounter> {
 public:
  StrictCounter(std::map<std::string, int> open, int max) : open_(std::move(open)), max_(max) {}
  void handle(const Raised& m, Context&) {
    if (++open_[m.device] > max_) throw std::runtime_error(m.device + " again");
  }

 private:
  std::map<std::string, int> open_;
  int max_;
};

// The actor that is told when a handler of its own has gone.
struct AddCounter {};
struct Lost {
  using Reply = std::string;
};
PLX_MESSAGE(AddCounter);
PLX_MESSAGE(Lost);

class Operator : public GenServer<Operator, AddCounter, HandlerRemoved, Lost> {
 public:
  explicit Operator(ActorRef<Alarms> alarms) : alarms_(alarms) {}
  Status handle(const AddCounter&, Context& ctx) {
    return alarms_.tell(Alarms::add_linked<Counter>(ctx.self<Operator>(), "counter"));
  }
  void handle(const HandlerRemoved& m, Context&) { lost_ = m.id + ": " + m.reason.text; }
  std::string handle(const Lost&, Context&) const { return lost_; }

 private:
  ActorRef<Alarms> alarms_;
  std::string lost_;
};
// docs-snippet-end

TEST(BehavioursGuideTest, AlarmsGoToHandlersThatComeAndGo) {
  testkit::TestRuntime world;
  auto alarms = world.spawn<Alarms>("alarms").value();
  auto op = world.spawn<Operator>("", alarms).value();
  world.ask(op, AddCounter{}, 1s).value();
  // docs-snippet: alarms-use
  alarms.tell(Raised{"pump"}).value();                                         // notify
  world.ask(alarms, Raised{"valve"}, 1s).value();                              // sync_notify: all have handled it
  EXPECT_EQ(world.ask(alarms, Alarms::call("counter", Open{}), 1s), 2);        // of one handler
  auto strict = Alarms::swap<Counter, StrictCounter>("counter", "strict", 1);  // its state goes with it
  world.ask(alarms, std::move(strict), 1s).value();
  world.ask(alarms, Raised{"pump"}, 1s).value();  // StrictCounter throws, and is gone; the manager goes on
  EXPECT_TRUE(world.ask(alarms, ListHandlers{}, 1s)->ids.empty());
  EXPECT_EQ(world.ask(op, Lost{}, 1s), "strict: pump again");
  // docs-snippet-end
}

}  // namespace
