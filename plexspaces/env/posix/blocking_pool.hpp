// Threads that may block.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace plexspaces::env {

/// At most `threads_max` jobs run and `queue_max` wait. A thread is started when a job finds none idle, and lives until
/// stop(); the first one by begin(). Threads: any.
class BlockingPool {
 public:
  using Job = std::move_only_function<void()>;

  /// `name` is that of its threads, at most 12 characters.
  BlockingPool(std::string name, std::size_t threads_max, std::size_t queue_max);
  ~BlockingPool();  // stop(kDrop)s

  /// Starts the first thread, before add(): so a system that gives none refuses the start, and not the first job.
  /// @throws std::system_error when it does.
  void begin();

  enum class Added {
    kYes,
    kFull,
    kStopped,
  };
  /// Takes `job` in every case: what is not added is destroyed.
  Added add(Job job);

  enum class Queued {
    kRun,   // also what is added meanwhile
    kDrop,  // destroyed unrun
  };
  /// Waits for the jobs that run. Not from a job. Later calls do nothing.
  void stop(Queued queued);

 private:
  enum class State {
    kOpen,
    kDraining,
    kStopped,
  };
  void add_thread();  // locked
  void drive();

  const std::string name_;
  const std::size_t threads_max_;
  const std::size_t jobs_max_;  // that run or wait
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> queue_;
  std::vector<std::thread> threads_;
  std::size_t running_ = 0;
  std::size_t idle_ = 0;
  State state_ = State::kOpen;
};

}  // namespace plexspaces::env
