#include "plexspaces/sim/executor.hpp"

#include <algorithm>
#include <utility>

#include "plexspaces/base/check.hpp"
#include "plexspaces/env/probe.hpp"

namespace plexspaces::sim {

SimExecutor::SimExecutor(World& world, SimExecutorOptions options) : world_(world), options_(options) {
  PLX_CHECK(options_.workers > 0, "an executor has at least one worker");
}

SimExecutor::~SimExecutor() {
  if (!stopped_) crash();
}

void SimExecutor::start(std::span<env::Worker* const> workers) {
  PLX_CHECK(workers_.empty() && workers.size() == options_.workers, "started once, with a worker for each index");
  for (env::Worker* worker : workers) workers_.push_back({.worker = worker});
}

void SimExecutor::stop() {
  if (stopped_ || crashed_) return;
  stopping_ = true;
  // Moved out first: a destructor of captured state may queue a job.
  std::vector<Job> dropped;
  for (std::size_t i = 0; i < jobs_.size();) {
    if (jobs_[i].storage)
      ++i;
    else
      dropped.push_back(take_job(i));
  }
  dropped.clear();
  // A job may queue another: all of them count as queued before the stop.
  while (!jobs_.empty()) run_job(world_.random.below(jobs_.size()));
  stopped_ = true;
}

void SimExecutor::wake(std::size_t index) {
  if (index < workers_.size()) workers_[index].woken = true;
}

Status SimExecutor::run_blocking(std::move_only_function<void()> work) {
  if (crashed_ || stopping_) return std::unexpected(env::blocking_stopped_error());
  if (program_jobs_ >= options_.blocking_queue_max)
    return std::unexpected(env::blocking_full_error(options_.blocking_queue_max));
  ++program_jobs_;
  jobs_.push_back({std::move(work), false});
  return {};
}

void SimExecutor::run_storage(std::move_only_function<void()> work) {
  // Destroyed unrun, as the memory of a dead process is.
  if (crashed_ || stopped_) return;
  PLX_CHECK(jobs_.size() < options_.storage_jobs_max, "work of stores is bounded by those who queue it");
  jobs_.push_back({std::move(work), true});
}

void SimExecutor::watch(Duration, std::move_only_function<void()> look) {
  PLX_CHECK(workers_.empty() && !look_, "watch() once, before start()");
  look_ = std::move(look);
}

void SimExecutor::look() {
  PLX_CHECK(look_ != nullptr, "look() is of what watch() was given");
  look_();
}

bool SimExecutor::wants_to_run(const Driven& driven) const {
  return driven.woken || driven.due <= world_.clock.now() || driven.worker->has_cross_worker_work();
}

void SimExecutor::note(Choice choice, std::size_t index) {
  world_.note(static_cast<std::uint64_t>(choice) << 56 | static_cast<std::uint64_t>(index) << 48 |
              (static_cast<std::uint64_t>(world_.clock.now().time_since_epoch().count()) & 0xffff'ffff'ffffull));
}

SimExecutor::Job SimExecutor::take_job(std::size_t index) {
  std::swap(jobs_[index], jobs_.back());
  Job job = std::move(jobs_.back());
  jobs_.pop_back();
  if (!job.storage) --program_jobs_;
  return job;
}

void SimExecutor::run_job(std::size_t index) {
  note(Choice::kJob, index);
  take_job(index).work();
}

bool SimExecutor::step() { return step_before(kNever); }

bool SimExecutor::step_before(TimePoint limit) {
  if (stopped_ || crashed_) return false;
  runnable_.clear();
  for (std::size_t i = 0; i < workers_.size(); ++i)
    if (wants_to_run(workers_[i])) runnable_.push_back(i);

  std::size_t choices = runnable_.size() + jobs_.size();
  if (choices == 0) {
    TimePoint nearest = kNever;
    for (const Driven& driven : workers_) nearest = std::min(nearest, driven.due);
    if (nearest == kNever || nearest > limit) return false;
    world_.clock.advance_to(nearest);
    note(Choice::kAdvance, 0);
    reached(Probe::kSimTimeAdvanced);
    return true;
  }

  if (options_.step_time_max > Duration::zero())
    world_.clock.advance(Duration(world_.random.below(static_cast<std::uint64_t>(options_.step_time_max.count()) + 1)));
  std::size_t pick = world_.random.below(choices);
  if (pick >= runnable_.size()) {
    run_job(pick - runnable_.size());
    return true;
  }
  std::size_t index = runnable_[pick];
  note(Choice::kWorker, index);
  workers_[index].woken = false;  // before the batch: a wake() during it counts
  TimePoint due = workers_[index].worker->run_batch(world_.clock.now());
  workers_[index].due = due;
  return true;
}

bool SimExecutor::run_until(const std::function<bool()>& done, std::size_t steps_max) {
  for (std::size_t i = 0; i < steps_max; ++i) {
    if (done()) return true;
    if (!step()) break;
  }
  return done();
}

bool SimExecutor::run_for(Duration time, std::size_t steps_max) {
  TimePoint end = saturating_add(now(), time);
  for (std::size_t i = 0; i < steps_max && now() < end; ++i) {
    if (step_before(end)) continue;
    world_.clock.advance_to(end);
    return true;
  }
  return now() >= end;
}

void SimExecutor::crash() {
  if (crashed_) return;
  note(Choice::kCrash, jobs_.size());
  crashed_ = true;
  for (std::size_t i = 0; i < jobs_.size(); ++i) reached(Probe::kSimBlockingDropped);
  // Moved out first: a destructor of captured state may call run_blocking().
  auto dropped = std::exchange(jobs_, {});
  dropped.clear();
}

}  // namespace plexspaces::sim
