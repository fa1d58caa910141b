// The port to threads: who runs workers, and when.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "plexspaces/env/time.hpp"

namespace plexspaces::env {

/// What an Executor drives: a run queue with its timers (actor::Worker is the one in production and in simulation).
class Worker {
 public:
  virtual ~Worker() = default;

  /// Runs a bounded batch of turns and the timers that are due.
  /// @param now the executor's clock, read once for the whole batch.
  /// @returns when it wants to run again: `now` or earlier when it has more to do, kNever when only a wake() can bring
  /// work. Called by one thread at a time, always the same one in production.
  virtual TimePoint run_batch(TimePoint now) = 0;

  /// True when another thread has left work since run_batch() looked. Asked between announcing the park and parking, so
  /// that no wake-up is lost. Threads: any.
  virtual bool has_foreign_work() const = 0;
};

/// Runs workers and blocking work. Used per batch, never per message.
///
///     worker i:   run_batch -> poll its I/O -> run_batch ... -> nothing to do -> spin -> park until wake(i) or due
///     time blocking:   run_blocking(f) -> some thread that may block -> f()
///
/// Real: a thread per worker, each with its own I/O context, and a pool for blocking work. Simulated: one thread steps
/// all. Lifetime: stop() returns before the workers and what the blocking work refers to are destroyed.
class Executor {
 public:
  virtual ~Executor() = default;

  virtual TimePoint now() const = 0;
  virtual std::size_t worker_count() const = 0;

  /// Begins to drive `workers`, one for each index below worker_count(). Once.
  virtual void start(std::span<Worker* const> workers) = 0;

  /// Stops: no run_batch() and no blocking work runs after it returns. Blocking work that was queued is run first.
  /// Not from a worker.
  virtual void stop() = 0;

  /// Makes worker `index` run soon, when it is parked. Cheap when it is not. Call it after the work is visible through
  /// has_foreign_work(), stored by a sequentially consistent or read-modify-write operation. Threads: any.
  virtual void wake(std::size_t index) = 0;

  /// Runs `work` where blocking is allowed (disk, libraries that wait). Unordered between calls. Threads: any.
  virtual void run_blocking(std::move_only_function<void()> work) = 0;
};

}  // namespace plexspaces::env
