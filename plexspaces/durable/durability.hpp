// Durability of a node: the facets "durability" and "virtual_actor", over one store.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/codec/description.hpp"
#include "plexspaces/durable/commit_queue.hpp"
#include "plexspaces/durable/options.hpp"
#include "plexspaces/env/clock.hpp"
#include "plexspaces/env/random.hpp"
#include "plexspaces/store/store.hpp"

namespace plexspaces::durability {

struct DurabilityStats {
  std::uint64_t commits = 0;     // turns made durable
  std::uint64_t duplicates = 0;  // inputs known from before: answered again, not applied again
  std::uint64_t parked = 0;      // inputs given up after all their attempts
  std::uint64_t unsendable = 0;  // messages that could not be sent: they are dead letters
  std::uint64_t resent = 0;      // messages sent again for want of an acknowledgement
  std::uint64_t activations_loaded = 0;
};

/// A message that was given up: in the rows of its receiver, whose handler failed, or of its sender, when it could not
/// be sent.
struct DeadLetter {
  std::string owner;  // the actor whose rows hold it: "tenant/namespace/type/key"
  std::uint64_t number = 0;
  std::string sender, receiver, message;
  std::int64_t at_ms = 0;      // wall clock
  std::uint32_t attempts = 0;  // of its receiver
  std::uint64_t bytes = 0;     // of the message
  std::string cause;
};
PLX_MESSAGE(DeadLetter, (1, owner), (2, number), (3, sender), (4, receiver), (5, message), (6, at_ms), (7, attempts),
            (8, bytes), (9, cause));

/// What the durable actors of a runtime share: the store's lane, the count of the outbox, the failure of the store.
///
///     input -> known? -> answer again
///           `-> handler -> { state, outcome, outbox } -> CommitQueue -> one sync -> reply, messages, acknowledgement
///
/// Guarantees
///  - An answer that a caller has seen is that of a committed turn (the output gate; INV-J1, INV-J5).
///  - An input with an id is applied once, however often it is delivered, for outcome_retention (INV-J5).
///  - Messages between durable actors arrive once and in order for each pair.
/// Threads: any. Lifetime: made before Runtime::start(); the runtime, the store, the clock and the random
/// source outlive it. The executor
/// has stopped before it is destroyed, which ends the runtime's actors.
class Durability {
 public:
  /// Offers the facets to `runtime`.
  Durability(Runtime& runtime, store::Store& store, env::Clock& clock, env::Random& random);
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

  /// Messages that were given up and that nobody has sent again or dropped.
  std::size_t dead_letters() const {
    return static_cast<std::size_t>(std::max<std::int64_t>(0, dead_letters_.load(std::memory_order_relaxed)));
  }

  /// What waits for a person, in a sentence; empty: nothing.
  std::string stuck() const;

  static constexpr std::size_t kDeadLettersListedMax = 1'000;
  /// The first dead letters, in the order of their owners. `done` runs once, on any thread.
  void list_dead_letters(std::move_only_function<void(Result<std::vector<DeadLetter>>)> done);
  /// Erases the dead letter `number` of `owner`; `again`: and sends its message, as a new one, from `owner`. `done`
  /// runs once, on any thread, when that is durable.
  /// @error kNotFound, PLX-DUR-0020: there is none. As Runtime::activate().
  void end_dead_letter(const ActorKey& owner, std::uint64_t number, bool again,
                       std::move_only_function<void(Status)> done);

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
  friend class CommitBuilder;
  friend class DurabilityFacet;
  friend class OutboxSender;

  struct Counters {
    std::atomic<std::uint64_t> commits{0}, duplicates{0}, parked{0}, unsendable{0}, resent{0}, loaded{0};
  };
  void store_failed(const Error& error);
  void outbox_loaded(const ActorKey& sender, std::size_t messages);
  void outbox_left(std::size_t messages);
  bool is_durable(const ActorKey& key) const;  // its type, in this program
  Status can_send(const ActorKey& sender) const;
  void load_failed(const ActorKey& sender, const Error& error);

  Runtime& runtime_;
  CommitQueue lane_;
  env::Clock& clock_;
  env::Random& random_;
  std::atomic<std::int64_t> outbox_pending_{0};
  std::atomic<std::int64_t> dead_letters_{0};
  mutable std::mutex recovered_mutex_;
  std::unordered_map<ActorKey, std::size_t> recovered_;  // messages counted by recover() and not yet by an activation
  std::map<ActorKey, std::size_t> stuck_;                // of recovered_: their senders cannot be activated
  std::function<void(const Error&)> on_failure_;
  std::atomic<bool> failed_{false};
  Counters counters_;
};

}  // namespace plexspaces::durability
