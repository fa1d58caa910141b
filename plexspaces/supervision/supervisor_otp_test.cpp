// The supervisor beside OTP's, case by case (INV-M7).
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "plexspaces/supervision/supervision_fixture.hpp"

namespace plexspaces {
namespace {

using supervision_test::Stage;
using supervision_test::Tracked;

enum class Do : std::uint8_t { kExit, kFail, kStart, kTerminate, kRestart, kDelete };

struct Step {
  Do what;
  std::string id;
  ExitKind kind = ExitKind::kError;  // of kExit
  int starts = 1;                    // of kFail: so many more starts of `id` fail
  RestartType restart = permanent;   // of kStart
};

struct ScriptChild {
  std::string id;
  RestartType restart = permanent;
  bool significant = false;
};

struct Script {
  std::string name;
  Strategy strategy = one_for_one;
  std::uint32_t intensity = 1;
  AutoShutdown auto_shutdown = AutoShutdown::never;
  std::vector<ScriptChild> children;
  std::vector<Step> steps;
};

std::string_view word(Strategy strategy) {
  constexpr std::array<std::string_view, 4> words{"one_for_one", "one_for_all", "rest_for_one", "simple_one_for_one"};
  return words[static_cast<std::size_t>(strategy)];
}
std::string_view word(RestartType type) {
  constexpr std::array<std::string_view, 3> words{"permanent", "transient", "temporary"};
  return words[static_cast<std::size_t>(type)];
}
std::string_view word(AutoShutdown when) {
  constexpr std::array<std::string_view, 3> words{"never", "any_significant", "all_significant"};
  return words[static_cast<std::size_t>(when)];
}
std::string_view word(ExitKind kind) {
  constexpr std::array<std::string_view, 4> words{"normal", "shutdown", "kill", "boom"};
  return words[static_cast<std::size_t>(kind)];
}

std::string erlang_term(const Step& step) {
  switch (step.what) {
    case Do::kExit:
      return fmt::format("{{exit,{},{}}}", step.id, word(step.kind));
    case Do::kFail:
      return fmt::format("{{fail,{},{}}}", step.id, step.starts);
    case Do::kStart:
      return fmt::format("{{start,{},{}}}", step.id, word(step.restart));
    case Do::kTerminate:
      return fmt::format("{{terminate,{}}}", step.id);
    case Do::kRestart:
      return fmt::format("{{restart,{}}}", step.id);
    case Do::kDelete:
      return fmt::format("{{delete,{}}}", step.id);
  }
  std::unreachable();
}

std::string erlang_term(const Script& script) {
  std::string children, steps;
  for (const ScriptChild& child : script.children)
    children +=
        fmt::format("{}{{{},{},{}}}", children.empty() ? "" : ",", child.id, word(child.restart), child.significant);
  for (const Step& step : script.steps) steps += (steps.empty() ? "" : ",") + erlang_term(step);
  return fmt::format("{{\"{}\",{},{},{},[{}],[{}]}}.\n", script.name, word(script.strategy), script.intensity,
                     word(script.auto_shutdown), children, steps);
}

template <class T>
std::string result_word(const Result<T>& result) {
  static const std::map<std::string, std::string> words{
      {"PLX-SUP-0008", "no_luck"},   {"PLX-SUP-0009", "already_started"}, {"PLX-SUP-0010", "already_present"},
      {"PLX-SUP-0011", "not_found"}, {"PLX-SUP-0012", "running"},         {"PLX-SUP-0013", "restarting"}};
  if (result) return "ok";
  auto found = words.find(result.error().domain());
  return found == words.end() ? "noproc" : found->second;
}

std::string run_ours(const Script& script) {
  Stage stage;
  SupervisorSpec spec = supervisor("top", script.strategy, {.intensity = script.intensity, .period = 1h});
  spec.auto_shutdown(script.auto_shutdown);
  for (const ScriptChild& child : script.children)
    stage.track(spec, child.id, child.restart, {.significant = child.significant});
  auto top = stage.start(spec);
  std::string text = stage.diary_.take();
  auto with = [&](std::string result) {
    std::string events = stage.diary_.take();
    return events.empty() ? result : events + " " + result;
  };
  for (const Step& step : script.steps) {
    std::string outcome;
    switch (step.what) {
      case Do::kExit:
        if (stage.diary_.actors.contains(step.id)) stage.end(step.id, step.kind);
        outcome = stage.diary_.take();
        break;
      case Do::kFail:
        stage.diary_.starts_to_fail[step.id] = step.starts;
        break;
      case Do::kStart:
        outcome = with(
            result_word(stage.ask(top, StartChild(child<Tracked>(step.id, step.restart, {}, &stage.diary_, step.id)))));
        break;
      case Do::kTerminate:
        outcome = with(result_word(stage.ask(top, TerminateChild{step.id})));
        break;
      case Do::kRestart:
        outcome = with(result_word(stage.ask(top, RestartChild{step.id})));
        break;
      case Do::kDelete:
        outcome = with(result_word(stage.ask(top, DeleteChild{step.id})));
        break;
    }
    text += " | " + outcome;
  }
  if (stage.ended_->has_value()) return text + " | over";
  std::string states = stage.states(top);
  for (std::size_t at; (at = states.find(":stopped")) != std::string::npos;) states.replace(at, 8, ":undefined");
  return text + " | " + states;
}

// Runs the peer. @returns what happened, by name.
std::map<std::string, std::string> run_otp(const std::vector<Script>& scripts) {
  std::string folder = testing::TempDir() + "supervisor_peer_XXXXXX";
  EXPECT_NE(::mkdtemp(folder.data()), nullptr);
  {
    std::ofstream file(folder + "/scripts");
    for (const Script& script : scripts) file << erlang_term(script);
  }
  std::string command =
      fmt::format("cd {0} && erlc {1} && exec erl -noshell +S 1:1 -run supervisor_peer main scripts 2>&1", folder,
                  PLX_SUPERVISOR_PEER);
  std::FILE* pipe = ::popen(command.c_str(), "r");
  EXPECT_NE(pipe, nullptr);
  std::string out;
  std::array<char, 4096> buffer{};
  for (std::size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) out.append(buffer.data(), n);
  EXPECT_EQ(::pclose(pipe), 0) << out;
  std::filesystem::remove_all(folder);
  std::map<std::string, std::string> outcomes;
  std::istringstream lines(out);
  for (std::string line; std::getline(lines, line);) {
    std::size_t tab = line.find('\t');
    if (tab != std::string::npos) outcomes[line.substr(0, tab)] = line.substr(tab + 1);
  }
  return outcomes;
}

std::vector<ScriptChild> abc(RestartType type) { return {{"a", type}, {"b", type}, {"c", type}}; }

// Strategy x restart type x reason: b ends twice, which is once more than the intensity allows.
std::vector<Script> matrix() {
  std::vector<Script> scripts;
  for (Strategy strategy : {one_for_one, one_for_all, rest_for_one})
    for (RestartType type : {permanent, transient, temporary})
      for (ExitKind kind : {ExitKind::kNormal, ExitKind::kShutdown, ExitKind::kKilled, ExitKind::kError})
        scripts.push_back({.name = fmt::format("{}/{}/{}", word(strategy), word(type), word(kind)),
                           .strategy = strategy,
                           .children = abc(type),
                           .steps = {{Do::kExit, "b", kind}, {Do::kExit, "b", kind}}});
  return scripts;
}

std::vector<Script> chosen() {
  auto fail = [](std::string id, int starts) { return Step{.what = Do::kFail, .id = std::move(id), .starts = starts}; };
  std::vector<Script> scripts;
  for (Strategy strategy : {one_for_one, one_for_all, rest_for_one}) {
    auto named = [&](std::string_view what) { return fmt::format("{}/{}", word(strategy), what); };
    scripts.push_back({.name = named("a restart fails once"),
                       .strategy = strategy,
                       .intensity = 2,
                       .children = abc(permanent),
                       .steps = {fail("b", 1), {Do::kExit, "b"}, {Do::kExit, "c"}}});
    scripts.push_back({.name = named("a restart always fails"),
                       .strategy = strategy,
                       .intensity = 5,
                       .children = abc(permanent),
                       .steps = {fail("b", 100), {Do::kExit, "b"}}});
    scripts.push_back({.name = named("the restart of a sibling fails"),
                       .strategy = strategy,
                       .intensity = 3,
                       .children = abc(permanent),
                       .steps = {fail("c", 2), {Do::kExit, "a"}, {Do::kExit, "b"}}});
    scripts.push_back({.name = named("mixed types"),
                       .strategy = strategy,
                       .intensity = 9,
                       .children = {{"a", temporary}, {"b", permanent}, {"c", transient}, {"d", temporary}},
                       .steps = {{Do::kExit, "c", ExitKind::kNormal}, {Do::kExit, "b"}, {Do::kExit, "c"}}});
    scripts.push_back({.name = named("no restarts allowed"),
                       .strategy = strategy,
                       .intensity = 0,
                       .children = abc(transient),
                       .steps = {{Do::kExit, "a", ExitKind::kNormal}, {Do::kExit, "c"}}});
    scripts.push_back({.name = named("a stopped child restarts with its siblings"),
                       .strategy = strategy,
                       .intensity = 9,
                       .children = abc(permanent),
                       .steps = {{Do::kTerminate, "c"}, {Do::kExit, "b"}, {Do::kExit, "a"}}});
  }
  scripts.push_back({.name = "requests",
                     .children = {{"a"}, {"b"}, {"t", temporary}},
                     .steps = {{Do::kRestart, "a"},
                               {Do::kDelete, "a"},
                               {Do::kTerminate, "x"},
                               {Do::kRestart, "x"},
                               {Do::kDelete, "x"},
                               {Do::kTerminate, "a"},
                               {Do::kTerminate, "a"},
                               {Do::kStart, "a"},
                               {Do::kRestart, "a"},
                               {Do::kStart, "a"},
                               {Do::kTerminate, "b"},
                               {Do::kDelete, "b"},
                               {Do::kStart, "b"},
                               {Do::kTerminate, "t"},
                               {Do::kDelete, "t"},
                               {Do::kStart, "c"},
                               {Do::kExit, "c"}}});
  scripts.push_back({.name = "requests whose start fails",
                     .children = {{"a"}, {"b"}},
                     .steps = {fail("c", 1),
                               {Do::kStart, "c"},
                               {Do::kStart, "c"},
                               {Do::kTerminate, "a"},
                               fail("a", 1),
                               {Do::kRestart, "a"},
                               {Do::kRestart, "a"}}});
  for (AutoShutdown when : {AutoShutdown::any_significant, AutoShutdown::all_significant}) {
    std::vector<ScriptChild> children{{"a"}, {"b", transient, true}, {"c", temporary, true}, {"d", temporary}};
    scripts.push_back(
        {.name = fmt::format("{}/they end", word(when)),
         .intensity = 9,
         .auto_shutdown = when,
         .children = children,
         .steps = {{Do::kExit, "d"}, {Do::kExit, "b"}, {Do::kExit, "c"}, {Do::kExit, "b", ExitKind::kNormal}}});
    scripts.push_back({.name = fmt::format("{}/they are terminated", word(when)),
                       .intensity = 9,
                       .auto_shutdown = when,
                       .children = children,
                       .steps = {{Do::kTerminate, "c"},
                                 {Do::kTerminate, "b"},
                                 {Do::kRestart, "b"},
                                 {Do::kExit, "b", ExitKind::kShutdown}}});
  }
  return scripts;
}

Script random_script(std::uint64_t seed) {
  sim::SimRandom random(seed);
  constexpr std::array kStrategies{one_for_one, one_for_all, rest_for_one};
  constexpr std::array kTypes{permanent, transient, temporary};
  Script script{.name = fmt::format("seed {}", seed), .strategy = kStrategies[random.below(3)]};
  script.intensity = static_cast<std::uint32_t>(random.below(8));
  script.auto_shutdown = static_cast<AutoShutdown>(random.below(3));
  std::size_t count = 1 + random.below(5);
  auto id = [](std::size_t at) { return std::string(1, static_cast<char>('a' + at)); };
  for (std::size_t i = 0; i < count; ++i) {
    RestartType type = kTypes[random.below(3)];
    bool may = type != permanent && script.auto_shutdown != AutoShutdown::never;
    script.children.push_back({id(i), type, may && random.one_in(3)});
  }
  for (int i = 0; i < 15; ++i) {
    Step step{.what = random.one_in(2) ? Do::kExit : static_cast<Do>(random.below(6)),
              .id = id(random.below(count + 1))};
    step.kind = static_cast<ExitKind>(random.below(4));
    step.restart = kTypes[random.below(3)];
    step.starts = 1 + static_cast<int>(random.below(2));
    script.steps.push_back(step);
  }
  return script;
}

TEST(SupervisorOtpTest, OtpsSupervisorDoesTheSame_INV_M7) {
  if (std::system("command -v erl >/dev/null && command -v erlc >/dev/null") != 0)
    GTEST_SKIP() << "Erlang is not installed (tools/setup bench installs it)";
  std::vector<Script> scripts = matrix();
  for (Script& script : chosen()) scripts.push_back(std::move(script));
  for (std::uint64_t seed = 1; seed <= 300; ++seed) scripts.push_back(random_script(seed));
  auto theirs = run_otp(scripts);
  EXPECT_EQ(theirs.size(), scripts.size());
  for (const Script& script : scripts) EXPECT_EQ(run_ours(script), theirs[script.name]) << erlang_term(script);
}

}  // namespace
}  // namespace plexspaces
