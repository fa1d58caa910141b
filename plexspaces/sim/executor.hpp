// An Executor of one thread, stepped by a test under a seed.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "plexspaces/env/executor.hpp"
#include "plexspaces/sim/world.hpp"

namespace plexspaces::sim {

struct SimExecutorOptions {
  std::size_t workers = 2;
  Duration step_time_max = 5us;             // each step takes a random time up to this
  std::size_t blocking_queue_max = 10'000;  // run_blocking(): queued at once; one more is refused
  std::size_t storage_jobs_max = 1u << 20;  // run_storage(): as above; more is a bug of the simulated program (checked)
};

/// Drives the production workers and blocking work in virtual time.
///
///     step():  one of { worker that wants to run, queued blocking job } chosen by the seed, run to its end
///              none wants to: the clock jumps to the nearest due time
///
/// Every choice goes into world.trace. crash() is the death of the process at a step: what was queued is destroyed
/// unrun. Threads: one (wake(), run_blocking() and run_storage() too). Lifetime: as Executor, and the world outlives
/// it.
class SimExecutor final : public env::Executor {
 public:
  SimExecutor(World& world, SimExecutorOptions options);
  ~SimExecutor() override;  // crash() unless stopped

  TimePoint now() const override { return world_.clock.now(); }
  std::size_t worker_count() const override { return options_.workers; }
  void start(std::span<env::Worker* const> workers) override;
  void stop() override;
  void wake(std::size_t index) override;
  Status run_blocking(std::move_only_function<void()> work) override;
  void run_storage(std::move_only_function<void()> work) override;
  void watch(Duration period, std::move_only_function<void()> look) override;

  /// The look that watch() was given: at any time, also from within a batch, since no time passes there by itself.
  void look();

  /// @returns false when nothing can ever run again without an outside event: no worker wants to, no job, no due time.
  bool step();
  /// As step(), but time does not jump beyond `limit`; with now() it does not jump at all.
  bool step_before(TimePoint limit);
  /// Steps until `done()` or `steps_max` steps. @returns the last done().
  bool run_until(const std::function<bool()>& done, std::size_t steps_max);

  /// Steps until `time` has passed, at most `steps_max` times: what is due later is not waited for. @returns whether it
  /// has.
  bool run_for(Duration time, std::size_t steps_max);

  /// The process dies now: queued blocking work is destroyed unrun, no worker runs again.
  void crash();
  bool crashed() const { return crashed_; }
  /// Queued, of both kinds.
  std::size_t blocking_jobs() const { return jobs_.size(); }

 private:
  struct Driven {
    env::Worker* worker = nullptr;
    TimePoint due = TimePoint::min();
    bool woken = true;
  };
  struct Job {
    std::move_only_function<void()> work;
    bool storage;
  };
  enum class Choice : std::uint8_t { kWorker = 1, kJob = 2, kAdvance = 3, kCrash = 4 };

  bool wants_to_run(const Driven& driven) const;
  Job take_job(std::size_t index);
  void run_job(std::size_t index);
  void note(Choice choice, std::size_t index);

  World& world_;
  SimExecutorOptions options_;
  std::vector<Driven> workers_;
  std::vector<Job> jobs_;
  std::size_t program_jobs_ = 0;  // of run_blocking()
  std::move_only_function<void()> look_;
  std::vector<std::size_t> runnable_;  // kept between steps for its memory
  bool stopping_ = false;
  bool stopped_ = false;
  bool crashed_ = false;
};

}  // namespace plexspaces::sim
