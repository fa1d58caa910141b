// GenFsm against a model of gen_statem's rules, and against gen_statem.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/behavior/fsm_script_fixture.hpp"
#include "plexspaces/behavior/gen_fsm.hpp"
#include "plexspaces/sim/executor.hpp"
#include "plexspaces/sim/random.hpp"
#include "plexspaces/sim/world.hpp"

namespace plexspaces {
namespace fsm_script {

std::string text(const Trace& trace) {
  std::string line;
  for (const std::string& entry : trace) line += (line.empty() ? "" : " ") + entry;
  return line;
}

// ---- run by GenFsm -------------------------------------------------------------------------------------------------

enum class Letter { kA, kB, kC };
PLX_ENUM(Letter, (1, kA), (2, kB), (3, kC));

struct External {
  std::int32_t kind = 0;
};
PLX_MESSAGE(External, (1, kind));
struct InternalKind {
  int kind = 0;
};

class ScriptMachine : public GenFsm<ScriptMachine, Letter, External> {
 public:
  ScriptMachine(const Script& script, Trace& trace)
      : GenFsm(Letter::kA), script_(script), trace_(trace), fuel_(script.fuel) {}

  Enter on_enter(AnyState, Context&) {
    trace_.push_back(fmt::format("enter{}", static_cast<int>(state())));
    return with(script_.enter[static_cast<std::size_t>(state())], Enter());
  }
  Transition handle(AnyState, const External& event, Context&) { return react(event.kind); }
  Transition handle(AnyState, const InternalKind& event, Context&) { return react(event.kind); }
  Transition handle(AnyState, const StateTimeout&, Context&) { return react(kFirstTimeout + kStateTimeout); }
  Transition handle(AnyState, const EventTimeout&, Context&) { return react(kFirstTimeout + kEventTimeout); }
  Transition handle(AnyState, const Timeout<"x">&, Context&) { return react(kFirstTimeout + kX); }
  Transition handle(AnyState, const Timeout<"y">&, Context&) { return react(kFirstTimeout + kY); }

 private:
  template <class T>
  static T with(const std::vector<SetTimeout>& timeouts, T actions) {
    for (auto [which, after] : timeouts) {
      bool cancel = after == kCancel;
      switch (which) {
        case kStateTimeout:
          cancel ? std::move(actions).cancel_state_timeout() : std::move(actions).state_timeout(after);
          break;
        case kEventTimeout:
          cancel ? std::move(actions).cancel_event_timeout() : std::move(actions).event_timeout(after);
          break;
        case kX:
          cancel ? std::move(actions).template cancel_timeout<"x">() : std::move(actions).template timeout<"x">(after);
          break;
        default:
          cancel ? std::move(actions).template cancel_timeout<"y">() : std::move(actions).template timeout<"y">(after);
      }
    }
    return actions;
  }

  Transition react(int kind) {
    trace_.push_back(fmt::format("{}:{}", static_cast<int>(state()), kind));
    if (fuel_ == 0) return keep_state();
    --fuel_;
    const Rule& rule = script_.rules[static_cast<std::size_t>(state())][static_cast<std::size_t>(kind)];
    Transition made = rule.next == kKeep     ? keep_state()
                      : rule.next == kRepeat ? repeat_state()
                                             : next_state(static_cast<Letter>(rule.next));
    made = with(rule.timeouts, std::move(made));
    for (int internal : rule.internals) std::move(made).next_event(InternalKind{internal});
    if (rule.postpone) return std::move(made).postpone();
    return made;
  }

  const Script& script_;
  Trace& trace_;
  int fuel_;
};

Trace run_machine(const Script& script, std::size_t workers, std::size_t move_every_turns,
                  const MailboxOptions& mailbox) {
  Trace trace;
  sim::World world(1);
  sim::SimExecutor executor(world, {.workers = workers});
  Types types;
  RuntimeOptions options;
  options.move_every_turns = move_every_turns;
  Runtime runtime(executor, types, std::move(options));
  runtime.set_log([&](const std::string& line) { trace.push_back(line); });
  EXPECT_TRUE(runtime.start());
  auto machine = *runtime.spawn<ScriptMachine>(SpawnOptions{.mailbox = mailbox}, script, trace);
  executor.run_for(1ms, 10'000);
  for (const Op& op : script.ops) {
    for (int kind : op.burst) EXPECT_TRUE(machine.tell(External{kind}));
    executor.run_for(1ms, 10'000);
    if (op.wait > Duration(0)) executor.run_for(op.wait, 10'000);
  }
  return trace;
}

// ---- a model of gen_statem -----------------------------------------------------------------------------------------
//
// After the description of transitions in the manual of gen_statem: the received events, the postponed ones, timers and
// the queue of timeouts of zero; an event is taken from outside only when there is none of these.

namespace {

class Model {
 public:
  explicit Model(const Script& script) : script_(script), fuel_(script.fuel) {
    std::vector<SetTimeout> timeouts;
    enter(timeouts);
    start(timeouts);
    drain();
  }

  void burst(const std::vector<int>& kinds) {
    for (int kind : kinds) {
      queue_.push_back(kind);
      drain();
    }
  }

  void pass(Duration time) {
    Duration end = now_ + time;
    for (;;) {
      int next = -1;
      for (int which = 0; which < kTimeouts; ++which)
        if (due_[which] && (next < 0 || *due_[which] < *due_[next])) next = which;
      if (next < 0 || *due_[next] > end + kClose) break;
      if (*due_[next] > end - kClose) ambiguous_ = true;
      for (int which = 0; which < kTimeouts; ++which)
        if (which != next && due_[which] && *due_[which] - *due_[next] < kClose) ambiguous_ = true;
      if (ambiguous_) return;
      now_ = *due_[next];
      due_[next].reset();
      queue_.push_back(kFirstTimeout + next);
      drain();
    }
    now_ = end;
  }

  bool ambiguous() const { return ambiguous_; }
  const Trace& trace() const { return trace_; }

 private:
  static constexpr Duration kClose = 200ms;

  void drain() {
    for (;;) {
      if (!queue_.empty()) {
        int kind = queue_.front();
        queue_.pop_front();
        handle(kind);
      } else if (!zero_.empty()) {
        int which = zero_.front();
        zero_.erase(zero_.begin());
        handle(kFirstTimeout + which);
      } else {
        return;
      }
    }
  }

  void enter(std::vector<SetTimeout>& timeouts) {
    trace_.push_back(fmt::format("enter{}", state_));
    const auto& more = script_.enter[static_cast<std::size_t>(state_)];
    timeouts.insert(timeouts.end(), more.begin(), more.end());
  }

  void handle(int kind) {
    trace_.push_back(fmt::format("{}:{}", state_, kind));
    Rule rule;
    if (fuel_ > 0) {
      --fuel_;
      rule = script_.rules[static_cast<std::size_t>(state_)][static_cast<std::size_t>(kind)];
    }
    if (rule.postpone) postponed_.push_back(kind);
    bool changed = rule.next >= 0 && rule.next != state_;
    if (changed) state_ = rule.next;
    if (changed || rule.next == kRepeat) enter(rule.timeouts);
    cancel(kEventTimeout);
    if (changed) {
      cancel(kStateTimeout);
      queue_.insert(queue_.begin(), postponed_.begin(), postponed_.end());
      postponed_.clear();
    }
    queue_.insert(queue_.begin(), rule.internals.begin(), rule.internals.end());
    start(rule.timeouts);
  }

  void cancel(int which) {
    due_[which].reset();
    std::erase(zero_, which);
  }

  // Of several for one timeout the last counts.
  void start(const std::vector<SetTimeout>& timeouts) {
    for (std::size_t i = 0; i < timeouts.size(); ++i) {
      auto same = [&](const SetTimeout& other) { return other.which == timeouts[i].which; };
      if (std::any_of(timeouts.begin() + static_cast<std::ptrdiff_t>(i) + 1, timeouts.end(), same)) continue;
      cancel(timeouts[i].which);
      if (timeouts[i].after == kCancel) continue;
      if (timeouts[i].after == kZero)
        zero_.push_back(timeouts[i].which);
      else
        due_[timeouts[i].which] = now_ + timeouts[i].after;
    }
  }

  const Script& script_;
  int fuel_;
  int state_ = 0;
  Duration now_{0};
  std::deque<int> queue_;
  std::vector<int> postponed_;
  std::vector<int> zero_;
  std::array<std::optional<Duration>, kTimeouts> due_;
  Trace trace_;
  bool ambiguous_ = false;
};

}  // namespace

Trace run_model(const Script& script, bool& ambiguous) {
  Model model(script);
  for (const Op& op : script.ops) {
    model.burst(op.burst);
    model.pass(op.wait);
    if (model.ambiguous()) break;
  }
  ambiguous = model.ambiguous();
  return model.trace();
}

// ---- gen_statem ----------------------------------------------------------------------------------------------------

namespace {

// 100 s here are half a second there.
std::string milliseconds(Duration time) { return fmt::format("{}", time / 1s * 5); }

std::string terms(const std::vector<SetTimeout>& timeouts) {
  std::vector<std::string> texts;
  for (auto [which, after] : timeouts)
    texts.push_back(fmt::format("{{{},{}}}", which,
                                after == kCancel ? "cancel"
                                : after == kLong ? "100000000"
                                                 : milliseconds(after)));
  return fmt::format("[{}]", fmt::join(texts, ","));
}

}  // namespace

std::string erlang_terms(const std::vector<Script>& scripts) {
  std::string file;
  for (const Script& script : scripts) {
    std::vector<std::string> rules, enters, ops;
    for (std::size_t state = 0; state < kStates; ++state) {
      enters.push_back(fmt::format("{}=>{}", state, terms(script.enter[state])));
      for (std::size_t kind = 0; kind < kKinds; ++kind) {
        const Rule& rule = script.rules[state][kind];
        std::string next = rule.next == kKeep ? "keep" : rule.next == kRepeat ? "repeat" : std::to_string(rule.next);
        rules.push_back(fmt::format("{{{},{}}}=>{{{},{},{},[{}]}}", state, kind, next, rule.postpone,
                                    terms(rule.timeouts), fmt::join(rule.internals, ",")));
      }
    }
    for (const Op& op : script.ops)
      ops.push_back(fmt::format("{{[{}],{}}}", fmt::join(op.burst, ","), milliseconds(op.wait)));
    file += fmt::format("{{\"{}\",{},#{{{}}},#{{{}}},[{}]}}.\n", script.name, script.fuel, fmt::join(rules, ","),
                        fmt::join(enters, ","), fmt::join(ops, ","));
  }
  return file;
}

// ---- scripts -------------------------------------------------------------------------------------------------------

namespace {

// Sums of few of these are never close to each other.
Duration some_time(sim::SimRandom& random, int which) {
  constexpr std::array<Duration, kTimeouts> kOffset{1s, 3s, 9s, 27s};
  return 100s * (1 + static_cast<int>(random.below(3))) + kOffset[static_cast<std::size_t>(which)];
}

std::vector<SetTimeout> some_timeouts(sim::SimRandom& random, bool timed) {
  std::vector<SetTimeout> timeouts;
  for (std::uint64_t n = random.below(4) == 0 ? random.below(4) : random.below(2); n > 0; --n) {
    int which = static_cast<int>(random.below(kTimeouts));
    std::uint64_t what = random.below(6);
    timeouts.push_back({which, what < 2 ? kZero : what == 2 ? kCancel : timed ? some_time(random, which) : kLong});
  }
  return timeouts;
}

Script some_script(std::uint64_t seed, bool timed) {
  sim::SimRandom random(seed);
  Script script;
  script.name = fmt::format("seed{}", seed);
  for (auto& state : script.rules) {
    for (Rule& rule : state) {
      std::uint64_t next = random.below(10);
      rule.next = next < 3 ? static_cast<int>(next) : next == 3 ? kRepeat : kKeep;
      rule.postpone = random.below(4) == 0;
      rule.timeouts = some_timeouts(random, timed);
      for (std::uint64_t n = random.below(5) == 0 ? 1 + random.below(2) : 0; n > 0; --n)
        rule.internals.push_back(kFirstInternal + static_cast<int>(random.below(kInternals)));
    }
  }
  for (auto& timeouts : script.enter) timeouts = some_timeouts(random, timed);
  for (int i = 0; i < 6; ++i) {
    Op op;
    for (std::uint64_t n = random.below(4); n > 0; --n) op.burst.push_back(static_cast<int>(random.below(kExternals)));
    if (timed) op.wait = 50s * static_cast<int>(random.below(8));
    script.ops.push_back(std::move(op));
  }
  return script;
}

}  // namespace
}  // namespace fsm_script

namespace {

using namespace fsm_script;

// ---- scripts by hand -----------------------------------------------------------------------------------------------

class ScriptBuilder {
 public:
  explicit ScriptBuilder(std::string name) { script_.name = std::move(name); }
  ScriptBuilder& on(int state, int kind, Rule rule) {
    script_.rules[static_cast<std::size_t>(state)][static_cast<std::size_t>(kind)] = std::move(rule);
    return *this;
  }
  ScriptBuilder& enter(int state, std::vector<SetTimeout> timeouts) {
    script_.enter[static_cast<std::size_t>(state)] = std::move(timeouts);
    return *this;
  }
  ScriptBuilder& send(std::vector<int> burst, Duration wait = 0s) {
    script_.ops.push_back({std::move(burst), wait});
    return *this;
  }
  operator Script() const { return script_; }  // NOLINT(google-explicit-constructor)

 private:
  Script script_;
};

// Each with what must come out, so that they test also where there is no Erlang.
struct Case {
  Script script;
  const char* trace;
};

std::vector<Case> cases() {
  auto named = [](const char* name) { return ScriptBuilder(name); };
  return {
      {named("the_initial_state_is_entered").enter(0, {{kStateTimeout, kZero}}).send({}), "enter0 0:7"},
      {named("postponed_events_are_retried_in_order_before_queued_ones")
           .on(0, 0, {.postpone = true})
           .on(0, 1, {.postpone = true})
           .on(0, 2, {.next = 1})
           .send({0, 1, 0, 2, 3}),
       "enter0 0:0 0:1 0:0 0:2 enter1 1:0 1:1 1:0 1:3"},
      {named("postponed_events_wait_while_the_state_is_kept")
           .on(0, 0, {.postpone = true})
           .on(0, 1, {.next = 0})
           .on(0, 2, {.next = kRepeat})
           .send({0, 1, 2, 3}),
       "enter0 0:0 0:1 0:2 enter0 0:3"},
      {named("an_event_postponed_with_a_change_comes_at_once")
           .on(0, 0, {.postpone = true})
           .on(0, 1, {.next = 1, .postpone = true})
           .send({0, 1, 2}),
       "enter0 0:0 0:1 enter1 1:0 1:1 1:2"},
      {named("internal_events_come_before_retried_and_queued_ones")
           .on(0, 0, {.postpone = true})
           .on(0, 1, {.next = 1, .internals = {4, 5}})
           .on(1, 4, {.internals = {6}})
           .send({0, 1, 2}),
       "enter0 0:0 0:1 enter1 1:4 1:6 1:5 1:0 1:2"},
      {named("an_internal_event_is_postponed_as_any")
           .on(0, 1, {.internals = {4}})
           .on(0, 4, {.postpone = true})
           .on(0, 2, {.next = 1})
           .send({1, 2, 3}),
       "enter0 0:1 0:4 0:2 enter1 1:4 1:3"},
      {named("a_timeout_of_zero_comes_after_retried_and_before_received_events")
           .on(0, 0, {.postpone = true})
           .on(0, 1, {.next = 1, .timeouts = {{kX, kZero}}})
           .send({0, 1, 2}),
       "enter0 0:0 0:1 enter1 1:0 1:9 1:2"},
      {named("timeouts_of_zero_keep_their_order")
           .on(0, 0, {.timeouts = {{kY, kZero}, {kX, kZero}}, .internals = {4}})
           .on(0, 4, {.timeouts = {{kStateTimeout, kZero}}})
           .send({0, 1}),
       "enter0 0:0 0:4 0:10 0:9 0:7 0:1"},
      {named("an_event_timeout_of_zero_is_cancelled_by_what_is_in_front_of_it")
           .on(0, 0, {.timeouts = {{kEventTimeout, kZero}}, .internals = {4}})
           .on(0, 1, {.timeouts = {{kEventTimeout, kZero}}})
           .send({0, 1, 2}),
       "enter0 0:0 0:4 0:1 0:8 0:2"},
      {named("a_timeout_event_is_postponed_as_any")
           .on(0, 0, {.timeouts = {{kX, kZero}}})
           .on(0, 9, {.postpone = true})
           .on(0, 1, {.next = 1})
           .send({0, 1, 2}),
       "enter0 0:0 0:9 0:1 enter1 1:9 1:2"},
      {named("a_state_change_cancels_the_state_timeout_only")
           .on(0, 0, {.next = 1, .timeouts = {{kX, 101s}, {kStateTimeout, 203s}}})
           .on(1, 1, {.next = 2})
           .send({0})
           .send({1}, 500s),
       "enter0 0:0 enter1 1:1 enter2 2:9"},
      {named("a_kept_state_keeps_its_timeout")
           .enter(1, {{kStateTimeout, 101s}})
           .on(0, 0, {.next = 1})
           .on(1, 1, {.next = 1})
           .on(1, 2, {.next = kRepeat})
           .send({0}, 50s)
           .send({1}, 30s)
           .send({}, 50s),
       "enter0 0:0 enter1 1:1 1:7"},
      {named("a_repeated_state_sets_its_timeout_anew")
           .enter(1, {{kStateTimeout, 101s}})
           .on(0, 0, {.next = 1})
           .on(1, 2, {.next = kRepeat})
           .send({0}, 50s)
           .send({2}, 75s)
           .send({3}, 75s),
       "enter0 0:0 enter1 1:2 enter1 1:3 1:7"},
      {named("any_event_cancels_the_event_timeout")
           .on(0, 0, {.timeouts = {{kEventTimeout, 101s}, {kX, 55s}}})
           .on(0, 9, {})
           .send({0}, 300s)
           .send({1}, 100s),
       "enter0 0:0 0:9 0:1"},
      {named("an_event_timeout_comes_when_nothing_else_does")
           .on(0, 0, {.timeouts = {{kEventTimeout, 101s}}})
           .send({0}, 300s),
       "enter0 0:0 0:8"},
      {named("a_named_timeout_is_replaced_and_cancelled_by_its_name")
           .on(0, 0, {.timeouts = {{kX, 101s}, {kY, 55s}}})
           .on(0, 1, {.timeouts = {{kX, 153s}, {kY, kCancel}}})
           .send({0}, 25s)
           .send({1}, 100s)
           .send({2}, 100s),
       "enter0 0:0 0:1 0:2 0:9"},
      {named("of_two_for_one_timeout_the_last_counts_and_that_of_the_entry_over_both")
           .enter(1, {{kStateTimeout, kZero}})
           .on(0, 0, {.next = 1, .timeouts = {{kX, kZero}, {kStateTimeout, 101s}, {kX, kLong}}})
           .send({0, 1}, 200s),
       "enter0 0:0 enter1 1:7 1:1"},
      {named("a_state_timeout_of_zero_is_cancelled_by_a_change")
           .on(0, 0, {.timeouts = {{kStateTimeout, kZero}, {kX, kZero}}, .internals = {4}})
           .on(0, 4, {.next = 1})
           .send({0, 1}),
       "enter0 0:0 0:4 enter1 1:9 1:1"},
  };
}

TEST(GenFsmModelTest, EachRuleOfGenStatemIsKept) {
  for (const Case& test : cases()) {
    bool ambiguous = false;
    EXPECT_EQ(fsm_script::text(run_model(test.script, ambiguous)), test.trace) << test.script.name;
    EXPECT_FALSE(ambiguous) << test.script.name;
    EXPECT_EQ(fsm_script::text(run_machine(test.script, 1)), test.trace) << test.script.name;
  }
}

// Runs the peer on `scripts`. @returns the traces by name.
std::map<std::string, std::string> run_gen_statem(const std::vector<Script>& scripts) {
  std::string folder = testing::TempDir() + "gen_fsm_peer_XXXXXX";
  EXPECT_NE(::mkdtemp(folder.data()), nullptr);
  std::ofstream(folder + "/scripts") << erlang_terms(scripts);
  std::string command = fmt::format(
      "cd {0} && erlc {1} && exec erl -noshell +S 1:1 -run gen_fsm_peer main scripts 2>&1", folder, PLX_GEN_FSM_PEER);
  std::FILE* pipe = ::popen(command.c_str(), "r");
  EXPECT_NE(pipe, nullptr);
  std::string out;
  std::array<char, 4096> buffer{};
  for (std::size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) out.append(buffer.data(), n);
  EXPECT_EQ(::pclose(pipe), 0) << out;
  std::filesystem::remove_all(folder);
  std::map<std::string, std::string> traces;
  std::istringstream lines(out);
  for (std::string line; std::getline(lines, line);) {
    std::size_t tab = line.find('\t');
    if (tab != std::string::npos) traces[line.substr(0, tab)] = line.substr(tab + 1);
  }
  return traces;
}

TEST(GenFsmModelTest, GenStatemDoesTheSame) {
  if (std::system("command -v erl >/dev/null && command -v erlc >/dev/null") != 0)
    GTEST_SKIP() << "Erlang is not installed (tools/setup bench installs it)";
  std::vector<Script> scripts;
  for (const Case& test : cases()) scripts.push_back(test.script);
  for (std::uint64_t seed = 1; seed <= 300; ++seed) scripts.push_back(some_script(seed, false));
  // Its time is real: on a machine that stalls, an event may come after a timeout that it was to precede. Then again.
  constexpr int kAttempts = 3;
  for (int attempt = 1; attempt <= kAttempts && !scripts.empty(); ++attempt) {
    auto traces = run_gen_statem(scripts);
    EXPECT_EQ(traces.size(), scripts.size());
    std::erase_if(scripts, [&](const Script& script) {
      std::string ours = fsm_script::text(run_machine(script, 1));
      if (attempt == kAttempts) EXPECT_EQ(ours, traces[script.name]) << script.name;
      return ours == traces[script.name];
    });
  }
  EXPECT_TRUE(scripts.empty());
}

// Any seed from the first case on: the size of a script does not grow with that of the seed.
rc::Gen<std::uint64_t> some_seed() { return rc::gen::resize(1'000, rc::gen::arbitrary<std::uint64_t>()); }

TEST(GenFsmModelTest, RandomMachinesDoWhatTheModelOfGenStatemDoes) {
  std::size_t events = 0;
  EXPECT_TRUE(rc::check([&] {
    Script script = some_script(*some_seed(), true);
    bool ambiguous = false;
    Trace expected = run_model(script, ambiguous);
    Trace trace = run_machine(script, 1);
    if (ambiguous && trace.size() > expected.size()) trace.resize(expected.size());
    events += expected.size();
    RC_ASSERT(fsm_script::text(trace) == fsm_script::text(expected));
  }));
  EXPECT_GT(events, 1'000u);
}

// What a machine sends itself is neither refused nor dropped by the bound of its mailbox, nor overtaken.
TEST(GenFsmModelTest, RandomMachinesWithMailboxesOfTheirOwnDoTheSame) {
  EXPECT_TRUE(rc::check([&] {
    std::uint64_t seed = *some_seed();
    Script script = some_script(seed, true);
    bool ambiguous = false;
    Trace expected = run_model(script, ambiguous);
    MailboxOptions mailbox{.messages_max = kExternals,
                           .overflow = seed % 2 == 0 ? Overflow::kDropOldest : Overflow::kBlock};
    Trace trace = run_machine(script, 1 + seed % 2, seed % 3, mailbox);
    if (ambiguous && trace.size() > expected.size()) trace.resize(expected.size());
    RC_ASSERT(fsm_script::text(trace) == fsm_script::text(expected));
  }));
}

TEST(GenFsmModelTest, RandomMachinesThatMoveBetweenWorkersDoTheSame) {
  EXPECT_TRUE(rc::check([&] {
    std::uint64_t seed = *some_seed();
    Script script = some_script(seed, true);
    bool ambiguous = false;
    Trace expected = run_model(script, ambiguous);
    Trace trace = run_machine(script, 2, 1 + seed % 3);
    if (ambiguous && trace.size() > expected.size()) trace.resize(expected.size());
    RC_ASSERT(fsm_script::text(trace) == fsm_script::text(expected));
  }));
}

}  // namespace
}  // namespace plexspaces
