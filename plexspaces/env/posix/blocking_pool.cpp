#include "plexspaces/env/posix/blocking_pool.hpp"

#include <algorithm>
#include <limits>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <pthread.h>

#include "plexspaces/base/check.hpp"

namespace plexspaces::env {

BlockingPool::BlockingPool(std::string name, std::size_t threads_max, std::size_t queue_max)
    : name_(std::move(name)),
      threads_max_(std::max<std::size_t>(1, threads_max)),
      jobs_max_(queue_max > std::numeric_limits<std::size_t>::max() - threads_max_ ? queue_max
                                                                                   : queue_max + threads_max_) {}

BlockingPool::~BlockingPool() { stop(Queued::kDrop); }

void BlockingPool::begin() {
  std::lock_guard lock(mutex_);
  if (state_ == State::kOpen && threads_.empty()) add_thread();
}

void BlockingPool::add_thread() {
  threads_.emplace_back([this] { drive(); });
  pthread_setname_np(threads_.back().native_handle(), fmt::format("{}-{}", name_, threads_.size() - 1).c_str());
}

BlockingPool::Added BlockingPool::add(Job job) {
  std::lock_guard lock(mutex_);
  if (state_ == State::kStopped) return Added::kStopped;
  if (queue_.size() + running_ >= jobs_max_) return Added::kFull;
  queue_.push_back(std::move(job));
  if (queue_.size() <= idle_ || threads_.size() == threads_max_) {
    changed_.notify_one();
    return Added::kYes;
  }
  try {
    add_thread();
  } catch (const std::system_error&) {  // none more for this process; those that there are do the work
    PLX_CHECK(!threads_.empty(), "begin() before add()");
  }
  return Added::kYes;
}

void BlockingPool::stop(Queued queued) {
  std::deque<Job> dropped;  // destroyed without the lock: what a job holds may call add()
  std::vector<std::thread> threads;
  {
    std::lock_guard lock(mutex_);
    if (state_ != State::kOpen) return;
    state_ = queued == Queued::kRun ? State::kDraining : State::kStopped;
    if (queued == Queued::kDrop) dropped.swap(queue_);
  }
  changed_.notify_all();
  // A job that is run may start another thread, while none is idle.
  for (;;) {
    {
      std::lock_guard lock(mutex_);
      threads.swap(threads_);
      if (threads.empty()) {
        state_ = State::kStopped;
        return;
      }
    }
    for (std::thread& thread : threads) thread.join();
    threads.clear();
  }
}

void BlockingPool::drive() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (queue_.empty()) {
      if (state_ != State::kOpen) return;
      ++idle_;
      changed_.wait(lock);
      --idle_;
      continue;
    }
    Job job = std::move(queue_.front());
    queue_.pop_front();
    ++running_;
    lock.unlock();
    job();
    job = nullptr;
    lock.lock();
    --running_;
  }
}

}  // namespace plexspaces::env
