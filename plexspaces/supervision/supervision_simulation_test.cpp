// Whole trees under random crash faults, in simulation (INV-M7).
#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "plexspaces/supervision/supervision_fixture.hpp"
#include "plexspaces/supervision/tree_view.hpp"

namespace plexspaces {
namespace {

using supervision_test::Diary;
using supervision_test::EndAs;
using supervision_test::Stage;
using supervision_test::Tracked;

// A tree that the seed draws: up to three levels, every strategy, every restart type, some with backoff.
class RandomTree {
 public:
  RandomTree(sim::SimRandom& random, Diary& diary) : random_(random), diary_(diary) {}

  SupervisorSpec make(std::size_t depth) {
    constexpr Strategy kStrategies[] = {one_for_one, one_for_all, rest_for_one};
    constexpr RestartType kTypes[] = {permanent, permanent, transient, temporary};
    std::string name = "s" + std::to_string(++names_);
    // Generous: the tree is to outlive the faults. Some seeds are stingy, and escalate.
    std::uint32_t intensity = random_.one_in(4) ? 2 : 1000;
    SupervisorSpec spec = supervisor(name, kStrategies[random_.below(3)], {.intensity = intensity, .period = 10s});
    std::size_t count = 1 + random_.below(4);
    for (std::size_t i = 0; i < count; ++i) {
      ChildOptions options{.shutdown = random_.one_in(3) ? brutal_kill : Shutdown(1s)};
      if (random_.one_in(4)) options.backoff = Backoff{.initial = 10ms, .max = 100ms};
      if (depth > 0 && random_.one_in(2)) {
        spec.child(make(depth - 1), permanent, {.backoff = options.backoff});
        continue;
      }
      RestartType type = kTypes[random_.below(4)];
      std::string id = "c" + std::to_string(++names_);
      spec.child<Tracked>(id, type, options, &diary_, id);
      workers.push_back(id);
    }
    return spec;
  }

  std::vector<std::string> workers;

 private:
  sim::SimRandom& random_;
  Diary& diary_;
  std::size_t names_ = 0;
};

std::vector<const ChildSpec*> leaves(const SupervisorSpec& spec) {
  std::vector<const ChildSpec*> all;
  for (const auto& child : spec.children()) {
    if (!child->is_supervisor()) {
      all.push_back(child.get());
      continue;
    }
    for (const ChildSpec* leaf : leaves(*child->supervisor)) all.push_back(leaf);
  }
  return all;
}

struct Outcome {
  bool escalated = false;
  std::uint64_t trace = 0;
  std::vector<std::string> events;
  std::uint64_t restarts = 0;
};

// What must hold after each event: nobody runs twice, and a child starts only after those to its left in every
// supervisor that starts all of its children: here, at the first start and at the end of the tree.
Outcome run(std::uint64_t seed) {
  Stage stage(seed, {.seed = seed, .move_every_turns = seed % 3});
  sim::SimRandom& random = stage.world_.random;
  RandomTree tree(random, stage.diary_);
  SupervisorSpec spec = tree.make(2);
  auto root = stage.start(spec);
  std::vector<std::string> order;
  for (const ChildSpec* leaf : leaves(spec)) order.push_back("+" + leaf->id);
  EXPECT_EQ(stage.diary_.events, order) << "seed " << seed;

  // Faults: ends of every kind, starts that fail, in bursts and apart.
  constexpr ExitKind kKinds[] = {ExitKind::kNormal, ExitKind::kShutdown, ExitKind::kError, ExitKind::kKilled};
  std::size_t faults = 20 + random.below(40);
  for (std::size_t i = 0; i < faults; ++i) {
    const std::string& victim = tree.workers[random.below(tree.workers.size())];
    if (random.one_in(4)) stage.diary_.starts_to_fail[victim] = random.one_in(2) ? 1 : -1;
    stage.tell_to_end(victim, kKinds[random.below(4)]);
    stage.executor_.run_for(random.one_in(3) ? Duration(0) : Duration(random.below(50'000'000)), random.below(200));
  }
  stage.diary_.starts_to_fail.clear();
  stage.settle();  // and the backoffs

  Outcome outcome{.escalated = stage.ended_->has_value(), .trace = stage.world_.trace.hash()};
  outcome.events = stage.diary_.events;
  // Nobody was there twice, nobody ended who was not there.
  std::set<std::string> alive;
  for (const std::string& event : outcome.events) {
    std::string id = event.substr(1);
    if (event[0] == '+')
      EXPECT_TRUE(alive.insert(id).second) << id << " runs twice, seed " << seed;
    else
      EXPECT_EQ(alive.erase(id), 1u) << id << " ended twice, seed " << seed;
  }
  if (outcome.escalated) {
    EXPECT_TRUE(alive.empty()) << "seed " << seed;
    EXPECT_EQ(**stage.ended_, ExitReason::shutdown());
    return outcome;
  }
  // After the faults every permanent child is there.
  for (const ChildSpec* leaf : leaves(spec))
    if (leaf->restart == permanent) EXPECT_TRUE(alive.contains(leaf->id)) << leaf->id << ", seed " << seed;
  auto info = stage.ask(root, DescribeSupervisor{});
  outcome.restarts = info ? info->restarts : 0;

  // The orderly end: all that run, right to left.
  std::vector<std::string> expected;
  for (const std::string& start : order)
    if (alive.contains(start.substr(1))) expected.insert(expected.begin(), "-" + start.substr(1));
  stage.diary_.events.clear();
  stage.runtime_.stop(root.id());
  stage.settle();
  EXPECT_EQ(stage.diary_.events, expected) << "seed " << seed;
  EXPECT_EQ(stage.runtime_.stats().actors, 1u) << "all but the watcher have ended, seed " << seed;
  return outcome;
}

TEST(SupervisionSimulationTest, TreesUnderRandomFaultsKeepTheirPromises_INV_M7) {
  std::size_t escalated = 0, restarts = 0;
  for (std::uint64_t seed = 1; seed <= 300 && !testing::Test::HasFailure(); ++seed) {
    Outcome outcome = run(seed);
    escalated += outcome.escalated ? 1 : 0;
    restarts += outcome.events.size();
  }
  // The faults were such that both outcomes were seen.
  EXPECT_GT(escalated, 10u);
  EXPECT_LT(escalated, 290u);
  EXPECT_GT(restarts, 5'000u);
}

// What OTP's documentation says of one supervisor, in few words: what its children do after each end of one.
struct Model {
  struct Child {
    std::string id;
    RestartType type;
    bool runs = true;
  };
  Strategy strategy;
  RestartLimit limit;
  std::vector<Child> children;
  std::vector<TimePoint> restarts;
  bool over = false;

  std::string stop(std::size_t first, std::size_t last) {
    std::string events;
    for (std::size_t i = last; i-- > first;)
      if (std::exchange(children[i].runs, false)) events += " -" + children[i].id;
    return events;
  }
  std::string end(std::size_t at, ExitKind kind, TimePoint now) {
    children[at].runs = false;
    Child child = children[at];
    std::string events = "-" + child.id;
    bool abnormal = kind == ExitKind::kError || kind == ExitKind::kKilled;
    if (child.type == temporary) children.erase(children.begin() + static_cast<std::ptrdiff_t>(at));
    if (child.type == temporary || (child.type == transient && !abnormal)) return events;
    restarts.push_back(now);
    auto recent = std::ranges::count_if(restarts, [&](TimePoint stamp) { return now - stamp <= limit.period; });
    if (recent > limit.intensity) {
      over = true;
      return events + stop(0, children.size());
    }
    std::size_t first = strategy == one_for_all ? 0 : at;
    std::size_t last = strategy == one_for_one ? at + 1 : children.size();
    events += stop(first, last);
    for (std::size_t i = last; i-- > first;)
      if (children[i].type == temporary) {
        children.erase(children.begin() + static_cast<std::ptrdiff_t>(i));
        --last;
      }
    for (std::size_t i = first; i < last; ++i) {
      children[i].runs = true;
      events += " +" + children[i].id;
    }
    return events;
  }
};

TEST(SupervisionSimulationTest, EachEndHasTheOutcomeOfTheModel_INV_M7) {
  std::size_t given_up = 0;
  for (std::uint64_t seed = 1; seed <= 200 && !testing::Test::HasFailure(); ++seed) {
    Stage stage(seed, {.move_every_turns = seed % 4});
    sim::SimRandom& random = stage.world_.random;
    constexpr Strategy kStrategies[] = {one_for_one, one_for_all, rest_for_one};
    Model model{.strategy = kStrategies[random.below(3)],
                .limit = {.intensity = static_cast<std::uint32_t>(random.below(6)), .period = 10s}};
    SupervisorSpec spec = supervisor("top", model.strategy, model.limit);
    std::size_t count = 1 + random.below(6);
    for (std::size_t i = 0; i < count; ++i) {
      RestartType type = random.one_in(2) ? permanent : random.one_in(2) ? transient : temporary;
      model.children.push_back({std::string(1, static_cast<char>('a' + i)), type});
      stage.track(spec, model.children.back().id, type);
    }
    stage.start(spec);
    stage.diary_.take();
    for (int i = 0; i < 40 && !model.over; ++i) {
      stage.executor_.run_for(random.one_in(2) ? 1s : 6s, 10'000);
      std::vector<std::size_t> running;
      for (std::size_t c = 0; c < model.children.size(); ++c)
        if (model.children[c].runs) running.push_back(c);
      if (running.empty()) break;
      std::size_t victim = running[random.below(running.size())];
      constexpr ExitKind kKinds[] = {ExitKind::kNormal, ExitKind::kShutdown, ExitKind::kError, ExitKind::kKilled};
      ExitKind kind = kKinds[random.below(4)];
      stage.end(model.children[victim].id, kind);
      EXPECT_EQ(stage.diary_.take(), model.end(victim, kind, stage.executor_.now())) << "seed " << seed;
      EXPECT_EQ(stage.ended_->has_value(), model.over) << "seed " << seed;
    }
    given_up += model.over ? 1 : 0;
  }
  EXPECT_GT(given_up, 20u);
}

TEST(SupervisionSimulationTest, TheSameSeedGivesTheSameTrace) {
  std::set<std::uint64_t> traces;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Outcome first = run(seed), second = run(seed);
    EXPECT_EQ(first.trace, second.trace) << "seed " << seed;
    EXPECT_EQ(first.events, second.events) << "seed " << seed;
    traces.insert(first.trace);
  }
  EXPECT_EQ(traces.size(), 20u);
}

}  // namespace
}  // namespace plexspaces
