#include "plexspaces/env/posix/executor.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <fmt/format.h>
#include <pthread.h>

#include "plexspaces/base/check.hpp"
#include "plexspaces/env/posix/blocking_pool.hpp"
#include "plexspaces/env/posix/descriptor.hpp"
#include "plexspaces/env/posix/process.hpp"

namespace plexspaces::env {

namespace asio = boost::asio;

namespace {

// With ulimit -s 32 a thread had 32 KiB, which handlers, SQLite and errors with causes outgrow.
constexpr std::size_t kStackBytesMin = std::size_t{1} << 20;

TimePoint real_now() {
  return TimePoint(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

std::chrono::steady_clock::time_point to_steady(TimePoint time) {
  return std::chrono::steady_clock::time_point(time.time_since_epoch());
}

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

struct Lane {
  asio::io_context io{1};  // one thread runs it: no locks inside
  asio::executor_work_guard<asio::io_context::executor_type> guard{io.get_executor()};
  std::atomic<bool> io_used{false};
  alignas(64) std::atomic<bool> parked{false};
  Worker* worker = nullptr;
  std::thread thread;
};

// Looks every period, until it is stopped.
struct Watch {
  Watch(Duration every, std::move_only_function<void()> what) : period(every), look(std::move(what)) {}

  void begin() {
    thread = std::thread([this] {
      std::unique_lock lock(mutex);
      while (!ended.wait_for(lock, bounded_wait(period), [this] { return stopping; })) look();
    });
    pthread_setname_np(thread.native_handle(), "plx-watch");
  }
  void end() {
    {
      std::lock_guard lock(mutex);
      stopping = true;
    }
    ended.notify_one();
    if (thread.joinable()) thread.join();
  }

  const Duration period;
  std::move_only_function<void()> look;
  std::mutex mutex;
  std::condition_variable ended;
  bool stopping = false;
  std::thread thread;
};

}  // namespace

struct PosixExecutor::Impl {
  explicit Impl(const PosixExecutorOptions& given)
      : options(given),
        blocking("plx-block", given.blocking_threads, given.blocking_queue_max),
        storage("plx-store", given.storage_threads, std::numeric_limits<std::size_t>::max()) {
    std::size_t cores = std::max(1u, std::thread::hardware_concurrency());
    if (options.workers == 0) options.workers = cores;
    if (cores == 1) options.spin = Duration::zero();
    for (std::size_t i = 0; i < options.workers; ++i) lanes.push_back(std::make_unique<Lane>());
  }

  void drive(Lane& lane);
  void park(Lane& lane, TimePoint due);

  PosixExecutorOptions options;
  std::vector<std::unique_ptr<Lane>> lanes;
  std::atomic<bool> stopping{false};
  bool started = false;
  BlockingPool blocking;
  BlockingPool storage;
  std::vector<std::unique_ptr<Watch>> watches;
};

void PosixExecutor::Impl::drive(Lane& lane) {
  TimePoint last_poll = TimePoint::min();
  while (!stopping.load(std::memory_order_acquire)) {
    TimePoint now = real_now();
    if (lane.io_used.load(std::memory_order_relaxed) && now - options.io_poll_interval >= last_poll) {
      lane.io.poll();
      last_poll = now;
    }
    TimePoint due = lane.worker->run_batch(now);
    if (due > now) park(lane, due);
  }
}

void PosixExecutor::Impl::park(Lane& lane, TimePoint due) {
  bool io_used = lane.io_used.load(std::memory_order_relaxed);
  TimePoint spin_until = std::min(due, saturating_add(real_now(), options.spin));
  while (real_now() < spin_until) {
    for (int i = 0; i < 16; ++i) {
      if (lane.worker->has_cross_worker_work()) return;
      relax();
    }
    if (io_used && lane.io.poll() > 0) return;
  }
  // Announce first, then look once more: with wake()'s "store the work, then look at parked" one of the two sees the
  // other. Both sides are sequentially consistent.
  lane.parked.store(true, std::memory_order_seq_cst);
  if (!lane.worker->has_cross_worker_work() && !stopping.load(std::memory_order_seq_cst)) {
    if (due == kNever)
      lane.io.run_one();
    else
      lane.io.run_one_until(to_steady(due));
  }
  lane.parked.store(false, std::memory_order_relaxed);
}

PosixExecutor::PosixExecutor(PosixExecutorOptions options) {
  occupy_standard_streams();  // before the descriptors that Asio opens for itself
  need_stacks_of(kStackBytesMin);
  impl_ = std::make_unique<Impl>(options);
}

PosixExecutor::~PosixExecutor() { stop(); }

TimePoint PosixExecutor::now() const { return real_now(); }

std::size_t PosixExecutor::worker_count() const { return impl_->lanes.size(); }

void PosixExecutor::start(std::span<Worker* const> workers) {
  PLX_CHECK(!impl_->started && workers.size() == impl_->lanes.size(), "start() once, one worker for each index");
  impl_->started = true;
  impl_->blocking.begin();
  impl_->storage.begin();
  for (std::size_t i = 0; i < workers.size(); ++i) {
    Lane& lane = *impl_->lanes[i];
    lane.worker = workers[i];
    lane.thread = std::thread([this, &lane] { impl_->drive(lane); });
    pthread_setname_np(lane.thread.native_handle(), fmt::format("plx-worker-{}", i).c_str());
  }
  for (auto& watch : impl_->watches) watch->begin();
}

void PosixExecutor::stop() {
  impl_->stopping.store(true, std::memory_order_seq_cst);
  for (auto& lane : impl_->lanes) {
    if (!lane->thread.joinable()) continue;
    if (lane->thread.get_id() == std::this_thread::get_id()) {
      // std::exit() in a handler destroys what is static, on this thread: it does not come back to its work.
      lane->thread.detach();
      continue;
    }
    asio::post(lane->io, [] {});
    lane->thread.join();
  }
  impl_->blocking.stop(BlockingPool::Queued::kDrop);
  impl_->storage.stop(BlockingPool::Queued::kRun);
  for (auto& watch : impl_->watches) watch->end();  // last: they may tell what the others wait for
}

void PosixExecutor::wake(std::size_t index) {
  Lane& lane = *impl_->lanes[index];
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (lane.parked.load(std::memory_order_relaxed) && lane.parked.exchange(false, std::memory_order_seq_cst))
    asio::post(lane.io, [] {});
}

Status PosixExecutor::run_blocking(std::move_only_function<void()> work) {
  switch (impl_->blocking.add(std::move(work))) {
    case BlockingPool::Added::kYes:
      return {};
    case BlockingPool::Added::kFull:
      return std::unexpected(blocking_full_error(impl_->options.blocking_queue_max));
    case BlockingPool::Added::kStopped:
      return std::unexpected(blocking_stopped_error());
  }
  std::unreachable();
}

void PosixExecutor::run_storage(std::move_only_function<void()> work) {
  static_cast<void>(impl_->storage.add(std::move(work)));
}

void PosixExecutor::watch(Duration period, std::move_only_function<void()> look) {
  PLX_CHECK(!impl_->started, "watch() before start()");
  impl_->watches.push_back(std::make_unique<Watch>(period, std::move(look)));
}

asio::io_context& PosixExecutor::io(std::size_t index) {
  Lane& lane = *impl_->lanes[index];
  lane.io_used.store(true, std::memory_order_relaxed);
  return lane.io;
}

}  // namespace plexspaces::env
