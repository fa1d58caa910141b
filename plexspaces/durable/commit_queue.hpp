// The one way to the store: commits of all actors, in groups.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <variant>
#include <vector>

#include "plexspaces/base/error.hpp"
#include "plexspaces/env/executor.hpp"
#include "plexspaces/env/time.hpp"
#include "plexspaces/store/store.hpp"

namespace plexspaces::durability {

/// A queue in front of a Store, worked off where blocking is allowed.
///
///     workers ---commit, read---> queue ---everything that waits---> Store::commit() ---> one sync ---> callbacks, in
///     order
///
/// A lone commit is not delayed to fill a group; while one group syncs the next one gathers. Commits and reads take
/// effect in the order in which they were queued. Threads: any; callbacks run on the thread that did the work, and must
/// hand over. Lifetime: the executor is stopped before it is destroyed.
class CommitQueue {
 public:
  CommitQueue(env::Executor& executor, store::Store& store) : executor_(executor), store_(store) {}

  static constexpr std::size_t kGroupCommitsMax = 4'096;

  /// What became of a commit. `error`: why it was refused or the store has failed; null when done, fenced or in
  /// conflict.
  using Committed = std::move_only_function<void(store::Outcome outcome, const Error* error)>;
  void commit(store::Commit commit, Committed done);

  /// Runs `work` with the store, between groups.
  using Work = std::move_only_function<void(store::Store& store)>;
  void run(Work work);

  /// Longer for one group of commits, and the store counts as stuck.
  static constexpr Duration kCommitSlowAfter = 5s;
  /// After a commit was refused for want of space, unless one succeeds. Then the next one tells anew.
  static constexpr Duration kFullFor = 10s;

  /// An error, saying why, while the store cannot be relied on, as far as its last commits tell.
  Status readiness(TimePoint now) const;

  store::Store& store() const { return store_; }

 private:
  struct PendingCommit {
    store::Commit commit;
    Committed done;
  };
  using Job = std::variant<PendingCommit, Work>;

  static constexpr Duration::rep kNothing = -1;

  void enqueue(Job job);
  void drive();
  void note_space(const std::vector<store::Outcome>& outcomes);
  void commit_group(std::vector<Job>& jobs, std::size_t begin, std::size_t end);

  env::Executor& executor_;
  store::Store& store_;
  std::mutex mutex_;
  std::vector<Job> queue_;
  bool driving_ = false;
  std::uint64_t last_id_ = 0;  // of the commits of this process, so of this epoch; of the thread that drives
  std::atomic<Duration::rep> commit_since_{kNothing};  // when the group at hand was begun
  std::atomic<Duration::rep> full_since_{kNothing};    // when a commit was last refused for want of space
};

}  // namespace plexspaces::durability
