// A scenario under many seeds, with faults.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <typeindex>
#include <typeinfo>
#include <utility>
#include <vector>

#include "plexspaces/base/error.hpp"
#include "plexspaces/testkit/test_runtime.hpp"

namespace plexspaces::testkit {

/// Which actors crash, and how often.
///
///     CrashPlan::of<Worker>({.one_in = 20})           by class
///     CrashPlan::named("stock", {.at_turn = 3})       by name
///
/// A crash is a throw of the handler, before it has done anything or when it has done all (the seed chooses), of a
/// plain actor at a message. Of several plans for one actor the first one counts.
class CrashPlan {
 public:
  struct Options {
    std::uint64_t one_in = 0;      // turns, on average; 0: none by chance
    std::uint64_t at_turn = 0;     // exactly at this turn of those whom the plan is about, counted from 1; 0: none
    std::size_t crashes_max = 10;  // by this plan in one run
  };

  template <class A>
  static CrashPlan of(Options options) {
    return CrashPlan({}, std::type_index(typeid(A)), options);
  }
  static CrashPlan named(std::string name, Options options) {
    return CrashPlan(std::move(name), std::nullopt, options);
  }

 private:
  friend class Simulation;
  CrashPlan(std::string name, std::optional<std::type_index> cls, Options options)
      : name_(std::move(name)), class_(cls), options_(options) {}
  bool is_about(const Actor& actor, std::string_view name) const;

  std::string name_;
  std::optional<std::type_index> class_;
  Options options_;
  std::uint64_t turns_ = 0;
  std::size_t crashes_ = 0;
};

/// One run: a TestRuntime whose seed also chooses the number of workers, how often actors are moved between them, and
/// how long steps take; and which crashes actors.
class Simulation : public TestRuntime {
 public:
  explicit Simulation(std::uint64_t seed);

  /// Crashes actors by `plan` from now on.
  void crash(CrashPlan plan) { plans_.push_back(std::move(plan)); }
  /// No more faults: what follows must come to rest and be right.
  void stop_faults() { plans_.clear(); }
  /// By plans, so far.
  std::size_t planned_crashes() const { return planned_crashes_; }

 private:
  static TestOptions options_of(std::uint64_t seed, Simulation& simulation);
  Crash decide(const Actor& actor, std::string_view name);

  std::vector<CrashPlan> plans_;
  std::size_t planned_crashes_ = 0;
};

struct SimulationReport {
  std::size_t runs = 0;
  std::size_t planned_crashes = 0;  // of all runs: 0 means that a plan fits nobody
  std::uint64_t turns = 0;
  std::uint64_t hash = 0;  // of the traces of all runs
};

/// Runs `scenario` once for each of `seeds` seeds, 1, 2, ..., each in a world of its own; with PLX_SEED only with that
/// one. Each run is made twice where `check_repeats`, to show that the same seed gives the same trace.
/// @error the first that a scenario returned, or threw, with its seed and trace hash and the command to repeat it
/// (PLX-TST-0010); kInternal (PLX-TST-0011): the same seed gave another trace, so the scenario depends on something
/// else: addresses, the clock of the machine, threads.
Result<SimulationReport> simulate(std::size_t seeds, const std::function<Status(Simulation&)>& scenario,
                                  bool check_repeats = false);

/// `return require(total == 100, "money was lost")`: an error unless `condition`.
Status require(bool condition, std::string message);

}  // namespace plexspaces::testkit
