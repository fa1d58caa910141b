// Durability of a node: the facets "durability" and "virtual_actor", over one store.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <unordered_map>

#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/durable/commit_queue.hpp"
#include "plexspaces/durable/options.hpp"
#include "plexspaces/env/clock.hpp"
#include "plexspaces/store/store.hpp"

namespace plexspaces::durability {

struct DurabilityStats {
  std::uint64_t commits = 0;     // turns made durable
  std::uint64_t duplicates = 0;  // inputs known from before: answered again, not applied again
  std::uint64_t parked = 0;      // inputs given up after attempts_max
  std::uint64_t resent = 0;      // messages sent again for want of an acknowledgement
  std::uint64_t activations_loaded = 0;
};

/// What the durable actors of a runtime share: the store's lane, the count of the outbox, the failure of the store.
///
///     input -> known? -> answer again
///           `-> handler -> { state, outcome, outbox } -> CommitQueue -> one sync -> reply, messages, acknowledgement
///
/// Guarantees
///  - An answer that a caller has seen is that of a committed turn (the output gate; INV-J1, INV-J5).
///  - An input with an id is applied once, however often it is delivered, for outcome_retention (INV-J5).
///  - Messages between durable actors arrive once and in order for each pair.
/// Threads: any. Lifetime: made before Runtime::start(); the runtime, the store and the clock outlive it. The executor
/// has stopped before it is destroyed, which ends the runtime's actors.
class Durability {
 public:
  /// Offers the facets to `runtime`.
  Durability(Runtime& runtime, store::Store& store, env::Clock& clock);
  ~Durability();
  Durability(const Durability&) = delete;

  /// Before Runtime::start(): finds the messages that an earlier process left in the outbox.
  /// @error as the store says.
  Status recover();
  /// After Runtime::start(): activates their senders, which send them again.
  Status resume_outbox();

  /// Messages that their receivers have not acknowledged.
  std::size_t outbox_pending() const {
    return static_cast<std::size_t>(outbox_pending_.load(std::memory_order_relaxed));
  }

  /// An error, saying why, while durable actors cannot be served: the store has failed, takes longer than
  /// CommitQueue::kCommitSlowAfter for a commit, or has just refused one for want of space.
  Status readiness() const;

  /// Called once, on some thread, when the store has failed: the process must end (INV-J3). Before Runtime::start().
  void on_store_failure(std::function<void(const Error&)> function) { on_failure_ = std::move(function); }

  /// Counts the store as failed, for a reason that it cannot see itself. Threads: any.
  void give_up_store(const Error& error) { store_failed(error); }

  DurabilityStats stats() const;

  CommitQueue& lane() { return lane_; }

 private:
  friend class DurabilityFacet;

  struct Counters {
    std::atomic<std::uint64_t> commits{0}, duplicates{0}, parked{0}, resent{0}, loaded{0};
  };
  void store_failed(const Error& error);
  void outbox_loaded(const ActorKey& sender, std::size_t messages);

  Runtime& runtime_;
  CommitQueue lane_;
  env::Clock& clock_;
  std::atomic<std::int64_t> outbox_pending_{0};
  std::mutex recovered_mutex_;
  std::unordered_map<ActorKey, std::size_t> recovered_;  // messages counted by recover() and not yet by an activation
  std::function<void(const Error&)> on_failure_;
  std::atomic<bool> failed_{false};
  Counters counters_;
};

}  // namespace plexspaces::durability
