#include "plexspaces/testkit/simulation.hpp"

#include <exception>

#include <fmt/format.h>

#include "plexspaces/base/hash.hpp"
#include "plexspaces/sim/random.hpp"

namespace plexspaces::testkit {

namespace {

constexpr std::size_t kWorkersMax = 3;

// The scenario's error or throw.
Status run(Simulation& simulation, const std::function<Status(Simulation&)>& scenario) {
  try {
    return scenario(simulation);
  } catch (const std::exception& error) {
    return fail(Code::kInternal, fmt::format("the scenario threw: {}", error.what()), "PLX-TST-0010");
  } catch (...) {
    return fail(Code::kInternal, "the scenario threw what is not a std::exception", "PLX-TST-0010");
  }
}

}  // namespace

bool CrashPlan::is_about(const Actor& actor, std::string_view name) const {
  return class_ ? std::type_index(typeid(actor)) == *class_ : name == name_;
}

Simulation::Simulation(std::uint64_t seed) : TestRuntime(options_of(seed, *this)) {}

TestOptions Simulation::options_of(std::uint64_t seed, Simulation& simulation) {
  // A source of its own, so that the choices of the run do not depend on how many there are here.
  sim::SimRandom random(mix_hash(seed));
  TestOptions options{.seed = seed, .workers = 1 + random.below(kWorkersMax)};
  if (random.one_in(2)) options.step_time_max = Duration(1 + random.below(20'000));
  if (random.one_in(2)) options.runtime.move_every_turns = 1 + random.below(7);
  options.runtime.crash = [&simulation](const Actor& actor, std::string_view name) {
    return simulation.decide(actor, name);
  };
  return options;
}

Crash Simulation::decide(const Actor& actor, std::string_view name) {
  for (CrashPlan& plan : plans_) {
    if (!plan.is_about(actor, name)) continue;
    ++plan.turns_;
    bool crashes = plan.turns_ == plan.options_.at_turn;
    if (plan.options_.one_in > 0 && world().random.one_in(plan.options_.one_in)) crashes = true;
    if (!crashes || plan.crashes_ == plan.options_.crashes_max) return Crash::kNo;
    ++plan.crashes_;
    ++planned_crashes_;
    world().note(planned_crashes_);
    return world().random.one_in(2) ? Crash::kBefore : Crash::kAfter;
  }
  return Crash::kNo;
}

Result<SimulationReport> simulate(std::size_t seeds, const std::function<Status(Simulation&)>& scenario,
                                  bool check_repeats) {
  std::optional<std::uint64_t> only = seed_from_environment();
  SimulationReport report;
  for (std::uint64_t seed = only.value_or(1); report.runs < (only ? 1 : seeds); ++seed) {
    std::uint64_t hash = 0;
    {
      Simulation simulation(seed);
      Status status = run(simulation, scenario);
      hash = simulation.trace_hash();
      if (!status) {
        std::string what = status.error().message();
        auto add = [&](const std::string& text) {  // an error of the test kit has said it already
          if (what.find(text) == std::string::npos) what += "; " + text;
        };
        add(seed_text(seed));
        add(fmt::format("trace {:016x}, {} planned crashes", hash, simulation.planned_crashes()));
        if (auto crash = simulation.first_crash()) add(*crash);
        return std::unexpected(Error(status.error().code(), std::move(what), "PLX-TST-0010").caused_by(status.error()));
      }
      report.planned_crashes += simulation.planned_crashes();
      report.turns += simulation.runtime().stats().turns;
    }
    if (check_repeats) {
      Simulation again(seed);
      static_cast<void>(run(again, scenario));
      if (again.trace_hash() != hash)
        return fail(Code::kInternal,
                    fmt::format("the same seed gave another trace, {:016x} and {:016x}: the scenario depends on more "
                                "than the seed; {}",
                                hash, again.trace_hash(), seed_text(seed)),
                    "PLX-TST-0011");
    }
    report.hash = mix_hash(report.hash * 31 + hash);
    ++report.runs;
  }
  return report;
}

Status require(bool condition, std::string message) {
  if (condition) return {};
  return fail(Code::kFailedPrecondition, std::move(message), "PLX-TST-0010");
}

}  // namespace plexspaces::testkit
