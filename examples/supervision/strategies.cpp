#include "strategies.hpp"

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "plexspaces/behavior/gen_server.hpp"
#include "plexspaces/supervision/supervisor.hpp"
#include "plexspaces/supervision/tree_view.hpp"
#include "plexspaces/testkit/test_runtime.hpp"

namespace {

using namespace plexspaces;
using Events = std::vector<std::string>;

constexpr Duration kHangs = 1h;            // in on_stop()
constexpr Duration kShutdownTime = 2s;     // that its supervisor gives it
constexpr Duration kResolution = 1ms * 2;  // of the timer that ends it, and a little
constexpr int kConstructorsToFail = 2;

// ---- the observer --------------------------------------------------------------------------------------------------

struct Event {
  std::string text;  // "start s2", "stop s2"
};
struct EventLog {
  std::vector<std::string> events;
  std::vector<std::int64_t> at_ns;  // of the runtime's clock
};
struct TakeEvents {
  using Reply = EventLog;
};
struct GetTree {
  using Reply = TreeView;
  ActorRef<Supervisor> root;
};
PLX_MESSAGE(Event, (1, text));
PLX_MESSAGE(EventLog, (1, events), (2, at_ns));
PLX_MESSAGE(TakeEvents);
PLX_MESSAGE(GetTree, (1, root));

class Observer : public GenServer<Observer, Event, TakeEvents, GetTree> {
 public:
  void handle(const Event& event, Context& ctx) {
    log_.events.push_back(event.text);
    log_.at_ns.push_back(ctx.now().time_since_epoch().count());
  }
  EventLog handle(const TakeEvents&, Context&) { return std::exchange(log_, {}); }
  Task<Result<TreeView>> handle(const GetTree& m, Context& ctx) {
    auto view = co_await view_tree(ctx, m.root, 1s);
    co_return view;
  }

 private:
  EventLog log_;
};

// ---- a child -------------------------------------------------------------------------------------------------------

enum class End : std::uint8_t { kNormal, kShutdown, kAbnormal };
PLX_ENUM(End, (1, kNormal), (2, kShutdown), (3, kAbnormal));

struct EndBy {
  End how = End::kNormal;
};
struct Add {
  using Reply = std::int64_t;
  std::int64_t by = 0;
};
struct PartArgument {
  std::string name;
  ActorRef<Observer> observer;
};
PLX_MESSAGE(EndBy, (1, how));
PLX_MESSAGE(Add, (1, by));
PLX_MESSAGE(PartArgument, (1, name), (2, observer));

/// What goes wrong from outside, by the name of the child.
struct Faults {
  std::map<std::string, int> constructors_to_fail;
  int constructors_failed = 0;
  std::string hangs;  // in on_stop()
};

/// Tells the observer of its start and of its stop, and fails when it is told to.
class Part : public GenServer<Part, EndBy, Add> {
 public:
  explicit Part(const PartArgument& argument) : Part(argument, nullptr) {}
  Part(const PartArgument& argument, Faults* faults) : argument_(argument), faults_(faults) {
    if (faults_ == nullptr || faults_->constructors_to_fail[argument.name] == 0) return;
    --faults_->constructors_to_fail[argument.name];
    ++faults_->constructors_failed;
    throw std::runtime_error("the constructor fails");
  }
  Status on_start(Context&) override {
    argument_.observer.tell(Event{"start " + argument_.name});
    return {};
  }
  void handle(const EndBy& m, Context& ctx) {
    if (m.how == End::kAbnormal) throw std::runtime_error("told to fail");
    ctx.exit(m.how == End::kNormal ? ExitReason::normal() : ExitReason::shutdown());
  }
  std::int64_t handle(const Add& m, Context&) { return sum_ += m.by; }
  Task<> on_stop(Context& ctx, const ExitReason&) override {
    if (faults_ != nullptr && faults_->hangs == argument_.name) co_await ctx.sleep(kHangs);
    argument_.observer.tell(Event{"stop " + argument_.name});
  }

 private:
  PartArgument argument_;
  Faults* faults_;
  std::int64_t sum_ = 0;
};

// ---- the tree ------------------------------------------------------------------------------------------------------

SupervisorSpec tree(ActorRef<Observer> observer, Faults* faults) {
  RestartLimit generous{.intensity = 10, .period = 1h};
  auto add = [&](SupervisorSpec& spec, const std::string& name, ChildOptions options = {}) {
    options.name = name;
    spec.add(child<Part>(name, permanent, options, PartArgument{name, observer}, faults));
  };
  SupervisorSpec workers = supervisor("workers", one_for_one, generous);
  for (const char* name : {"w1", "w2", "w3"}) add(workers, name);
  SupervisorSpec pair = supervisor("pair", one_for_all, generous);
  for (const char* name : {"left", "right"}) add(pair, name);
  SupervisorSpec services = supervisor("services", rest_for_one, {.intensity = 2, .period = 10s});
  for (const char* name : {"s1", "s2", "s3"}) add(services, name, {.shutdown = kShutdownTime});
  return supervisor("root", one_for_one, generous)
      .child(std::move(workers))
      .child(std::move(pair))
      .child(std::move(services))
      .child(supervisor("pool", simple_one_for_one, generous).template_child<Part, PartArgument>("member", transient),
             permanent, {.name = "pool"});
}

class Run {
 public:
  Run() {
    observer_ = world_.spawn<Observer>("observer").value();
    root_ = world_.spawn<Supervisor>("root", tree(observer_, &faults_)).value();
    rest();
  }

  void all_start_in_order() {
    expect("all start, left to right",
           Events{"start w1", "start w2", "start w3", "start left", "start right", "start s1", "start s2", "start s3"});
  }

  void each_strategy_restarts_what_it_should() {
    fail("w2");
    expect("one_for_one: w2 fails", Events{"stop w2", "start w2"});
    fail("left");
    expect("one_for_all: left fails", Events{"stop left", "stop right", "start left", "start right"});
    fail("s2");
    expect("rest_for_one: s2 fails", Events{"stop s2", "stop s3", "start s2", "start s3"});
    auto pool = world_.runtime().find<Supervisor>("pool").value();
    for (const char* name : {"p1", "p2"}) {
      auto member = world_.ask(pool, StartChild::with(PartArgument{name, observer_}), 1s);
      expect_that(fmt::format("the pool starts {}", name), member.has_value());
      if (name == std::string("p1")) first_ = ActorRef<Part>(observer_.node(), member.value());
    }
    first_.tell(EndBy{End::kAbnormal});
    rest();
    expect("simple_one_for_one: p1 fails", Events{"start p1", "start p2", "stop p1", "start p1"});
  }

  void plain_state_is_reset() {
    auto w1 = world_.runtime().find<Part>("w1").value();
    expect_that("w1 counts to 5", world_.ask(w1, Add{5}, 1s) == 5);
    fail("w1");
    auto again = world_.runtime().find<Part>("w1").value();
    expect_that("w1 counts from 0 again", world_.ask(again, Add{1}, 1s) == 1);
    take();
    fmt::print("not run: durable state is kept (a durable actor belongs to a node: examples/first_actor)\n");
    fmt::print("not run: a child on another node ends with its node (there is one node)\n");
  }

  void a_constructor_that_throws_is_a_failure() {
    faults_.constructors_to_fail["w3"] = kConstructorsToFail;
    fail("w3");
    expect("w3 starts at its third attempt", Events{"stop w3", "start w3"});
    expect_that("two constructors have thrown", faults_.constructors_failed == kConstructorsToFail);
  }

  void too_many_restarts_end_the_supervisor() {
    world_.advance(1min).value();  // the failure of s2 above does not count any more
    for (int i = 0; i < 3; ++i) fail("s3");
    expect("services gives up at its third failure in 10 s; root starts it anew",
           Events{"stop s3", "start s3", "stop s3", "start s3", "stop s3", "stop s2", "stop s1", "start s1", "start s2",
                  "start s3"});
    TreeView view = world_.ask(observer_, GetTree{root_}, 1s).value();
    fmt::print("\n{}\n", to_text(view));
    expect_that("root has restarted services once", view.children.at(2).restarts == 1);
    expect_that("and nothing else", view.children.at(0).restarts + view.children.at(1).restarts == 0);
  }

  void shutdown_is_in_reverse_order_and_bounded() {
    faults_.hangs = "s2";
    TimePoint begin = world_.now();
    world_.runtime().stop(root_.id());
    world_.advance(1min).value();
    EventLog log = take();
    expect_equal("all stop, right to left; s2 hangs and is killed",
                 Events(log.events.begin() + 2, log.events.end()),  // p1 and p2 stop at the same time
                 Events{"stop s3", "stop s1", "stop right", "stop left", "stop w3", "stop w2", "stop w1"});
    Duration hung = TimePoint(Duration(log.at_ns.at(3))) - begin;
    expect_that("it is killed when its own shutdown time is over",
                hung >= kShutdownTime && hung <= kShutdownTime + kResolution);
  }

  // {permanent, transient, temporary} x {normal, shutdown, abnormal}
  void each_restart_type_answers_each_end() {
    const std::map<std::string, bool> restarts{
        {"permanent kNormal", true},  {"permanent kShutdown", true},  {"permanent kAbnormal", true},
        {"transient kNormal", false}, {"transient kShutdown", false}, {"transient kAbnormal", true},
        {"temporary kNormal", false}, {"temporary kShutdown", false}, {"temporary kAbnormal", false},
    };
    for (auto [type, type_name] :
         {std::pair{permanent, "permanent"}, {transient, "transient"}, {temporary, "temporary"}})
      for (auto [how, how_name] :
           {std::pair{End::kNormal, "kNormal"}, {End::kShutdown, "kShutdown"}, {End::kAbnormal, "kAbnormal"}}) {
        SupervisorSpec spec = supervisor("case", one_for_one);
        spec.add(child<Part>("case", type, {.name = "case"}, PartArgument{"case", observer_}, &faults_));
        auto root = world_.spawn<Supervisor>("", std::move(spec)).value();
        rest();
        world_.runtime().find<Part>("case").value().tell(EndBy{how});
        rest();
        std::string name = fmt::format("{} {}", type_name, how_name);
        Events wanted{"start case", "stop case"};
        if (restarts.at(name)) wanted.push_back("start case");
        expect(name, wanted);
        world_.runtime().stop(root.id());
        rest();
        take();
      }
  }

  int wrong() const { return wrong_; }

 private:
  void rest() { world_.run_until_idle().value(); }
  EventLog take() { return world_.ask(observer_, TakeEvents{}, 1s).value(); }
  void fail(const std::string& name) {
    world_.runtime().find<Part>(name).value().tell(EndBy{End::kAbnormal});
    rest();
  }
  void expect(const std::string& what, const Events& wanted) { expect_equal(what, take().events, wanted); }
  void expect_equal(const std::string& what, const Events& got, const Events& wanted) {
    fmt::print("{}: {}\n", what, fmt::join(got, ", "));
    if (got == wanted) return;
    fmt::print("wrong: it should be {}\n", fmt::join(wanted, ", "));
    ++wrong_;
  }
  void expect_that(const std::string& what, bool holds) {
    if (holds) return;
    fmt::print("wrong: {}\n", what);
    ++wrong_;
  }

  Faults faults_;
  // One worker: the observer sees the events of several actors in the order in which they happen.
  testkit::TestRuntime world_{{.workers = 1}};
  ActorRef<Observer> observer_;
  ActorRef<Supervisor> root_;
  ActorRef<Part> first_;  // of the pool
  int wrong_ = 0;
};

}  // namespace

int check_strategies() {
  Run run;
  run.all_start_in_order();
  run.each_strategy_restarts_what_it_should();
  run.plain_state_is_reset();
  run.a_constructor_that_throws_is_a_failure();
  run.too_many_restarts_end_the_supervisor();
  run.shutdown_is_in_reverse_order_and_bounded();
  run.each_restart_type_answers_each_end();
  return run.wrong();
}
