#include "plexspaces/durable/commit_queue.hpp"

#include <algorithm>
#include <utility>

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

void CommitQueue::commit_group(std::vector<Job>& jobs, std::size_t begin, std::size_t end) {
  std::vector<store::Commit> commits;
  commits.reserve(end - begin);
  for (std::size_t i = begin; i < end; ++i) commits.push_back(std::move(std::get<PendingCommit>(jobs[i]).commit));
  std::vector<store::Outcome> outcomes = store_.commit(commits);
  for (std::size_t i = begin; i < end; ++i) {
    store::Outcome outcome = outcomes[i - begin];
    const Error* error = outcome == store::Outcome::kRefused   ? store_.refusal()
                         : outcome == store::Outcome::kUnknown ? store_.failure()
                                                               : nullptr;
    std::get<PendingCommit>(jobs[i]).done(outcome, error);
  }
}

}  // namespace plexspaces::durability
