// The port to threads: who runs workers, and when.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "plexspaces/base/error.hpp"
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
  virtual bool has_cross_worker_work() const = 0;
};

/// Runs workers and blocking work. Used per batch, never per message.
///
///     worker i:   run_batch -> poll its I/O -> run_batch ... -> nothing to do -> spin -> park until wake(i) or due
///     any time:   run_blocking(f), run_storage(f) -> some thread that may block -> f()
///     watch(period, look):   look() every period, whatever holds the others
///
/// Real: a thread per worker, each with its own I/O context, pools for blocking work, and one to watch. Simulated: one
/// thread steps all. Lifetime: stop() returns before the workers and what the blocking work refers to are destroyed.
class Executor {
 public:
  virtual ~Executor() = default;

  virtual TimePoint now() const = 0;
  virtual std::size_t worker_count() const = 0;

  /// Begins to drive `workers`, one for each index below worker_count(). Once.
  virtual void start(std::span<Worker* const> workers) = 0;

  /// Stops: no run_batch(), no blocking work and no look of a watch runs after it returns. What run_storage() has
  /// queued is run first; what waits from run_blocking() is destroyed unrun. Not from a worker.
  virtual void stop() = 0;

  /// Makes worker `index` run soon, when it is parked. Cheap when it is not. Call it after the work is visible through
  /// has_cross_worker_work(), stored by a sequentially consistent or read-modify-write operation. Threads: any.
  virtual void wake(std::size_t index) = 0;

  /// Runs `work` where blocking is allowed (files, libraries that wait, long computations); it does not throw.
  /// Unordered between calls. Threads: any.
  /// @error kResourceExhausted: as much work waits as may. kUnavailable: after stop(). `work` is destroyed then.
  virtual Status run_blocking(std::move_only_function<void()> work) = 0;

  /// As run_blocking(), for stores: held up by none of that, and never refused, because who queues it bounds it.
  virtual void run_storage(std::move_only_function<void()> work) = 0;

  /// Calls `look` every `period` while workers run, on a thread that no worker and no work can hold. Once, before
  /// start(). Simulated: when the test says so.
  virtual void watch(Duration period, std::move_only_function<void()> look) = 0;
};

/// What run_blocking() returns when `queue_max` jobs wait, and after stop().
Error blocking_full_error(std::size_t queue_max);
Error blocking_stopped_error();

}  // namespace plexspaces::env
