// The real Executor: a thread and an I/O context per worker.
#pragma once

#include <cstddef>
#include <memory>

#include "plexspaces/env/executor.hpp"

namespace boost::asio {
class io_context;
}

namespace plexspaces::env {

struct PosixExecutorOptions {
  std::size_t workers = 0;                  // 0: one for each core
  std::size_t blocking_threads = 16;        // run_blocking() at once; started when needed
  std::size_t blocking_queue_max = 10'000;  // calls of run_blocking() that wait for a thread; one more is refused
  std::size_t storage_threads = 4;          // run_storage() at once; started when needed
  Duration spin = 20us;                     // how long an idle worker looks for work before it parks; 0 with one core
  Duration io_poll_interval = 20us;         // how often a busy worker looks at its sockets
};

/// Threads: one per worker, named "plx-worker-i"; for blocking work "plx-block-i" and "plx-store-i"; one
/// "plx-watch" for each watch(), of which there may be several.
class PosixExecutor final : public Executor {
 public:
  explicit PosixExecutor(PosixExecutorOptions options = {});
  ~PosixExecutor() override;  // stop()s

  TimePoint now() const override;
  std::size_t worker_count() const override;
  void start(std::span<Worker* const> workers) override;
  void stop() override;
  void wake(std::size_t index) override;
  Status run_blocking(std::move_only_function<void()> work) override;
  void run_storage(std::move_only_function<void()> work) override;
  void watch(Duration period, std::move_only_function<void()> look) override;

  /// The I/O context that worker `index` polls between its batches and parks in: completion handlers run on the
  /// worker's thread, never during a batch. Valid until destruction; nothing runs in it after stop().
  boost::asio::io_context& io(std::size_t index);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace plexspaces::env
