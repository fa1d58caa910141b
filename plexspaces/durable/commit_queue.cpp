#include "plexspaces/durable/commit_queue.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

namespace plexspaces::durability {

void CommitQueue::commit(store::Commit commit, Committed done) {
  enqueue(PendingCommit{std::move(commit), std::move(done)});
}

void CommitQueue::run(Work work) { enqueue(std::move(work)); }

void CommitQueue::enqueue(Job job) {
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(job));
    if (std::exchange(driving_, true)) return;
  }
  executor_.run_storage([this] { drive(); });
}

void CommitQueue::drive() {
  std::vector<Job> jobs;
  for (;;) {
    jobs.clear();
    {
      std::lock_guard lock(mutex_);
      if (queue_.empty()) {
        driving_ = false;
        return;
      }
      std::swap(jobs, queue_);
    }
    for (std::size_t i = 0; i < jobs.size();) {
      if (auto* work = std::get_if<Work>(&jobs[i])) {
        (*work)(store_);
        ++i;
        continue;
      }
      std::size_t end = i;
      std::size_t limit = std::min(jobs.size(), i + kGroupCommitsMax);
      while (end < limit && std::holds_alternative<PendingCommit>(jobs[end])) ++end;
      commit_group(jobs, i, end);
      i = end;
    }
  }
}

void CommitQueue::note_space(const std::vector<store::Outcome>& outcomes) {
  if (std::ranges::find(outcomes, store::Outcome::kDone) != outcomes.end()) {
    if (full_since_.load(std::memory_order_relaxed) != kNothing) full_since_.store(kNothing, std::memory_order_relaxed);
    return;
  }
  const Error* refusal = store_.refusal();
  if (refusal != nullptr && refusal->code() == Code::kResourceExhausted)
    full_since_.store(executor_.now().time_since_epoch().count(), std::memory_order_relaxed);
}

Status CommitQueue::readiness(TimePoint now) const {
  auto age = [&](const std::atomic<Duration::rep>& since) {
    Duration::rep at = since.load(std::memory_order_relaxed);
    return at == kNothing ? Duration::min() : now.time_since_epoch() - Duration(at);
  };
  if (Duration waited = age(commit_since_); waited > kCommitSlowAfter)
    return fail(Code::kUnavailable,
                fmt::format("the store has not answered for {} s: look at the disk and its file system",
                            std::chrono::floor<std::chrono::seconds>(waited).count()),
                "PLX-DUR-0016", Error::Retry::kBackoff);
  if (Duration ago = age(full_since_); ago >= Duration::zero() && ago < kFullFor)
    return fail(Code::kUnavailable, "the store refuses what it has no space for: free space on its disk",
                "PLX-DUR-0017", Error::Retry::kBackoff);
  return {};
}

void CommitQueue::commit_group(std::vector<Job>& jobs, std::size_t begin, std::size_t end) {
  std::vector<store::Commit> commits;
  commits.reserve(end - begin);
  for (std::size_t i = begin; i < end; ++i)
    commits.emplace_back(std::move(std::get<PendingCommit>(jobs[i]).commit)).id = ++last_id_;
  commit_since_.store(executor_.now().time_since_epoch().count(), std::memory_order_relaxed);
  std::vector<store::Outcome> outcomes = store_.commit(commits);
  commit_since_.store(kNothing, std::memory_order_relaxed);
  note_space(outcomes);
  for (std::size_t i = begin; i < end; ++i) {
    store::Outcome outcome = outcomes[i - begin];
    const Error* error = outcome == store::Outcome::kRefused   ? store_.refusal()
                         : outcome == store::Outcome::kUnknown ? store_.failure()
                                                               : nullptr;
    std::get<PendingCommit>(jobs[i]).done(outcome, error);
  }
}

}  // namespace plexspaces::durability
