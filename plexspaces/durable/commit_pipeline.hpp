// The commits of one actor on their way to the store.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "plexspaces/actor/facet.hpp"
#include "plexspaces/durable/durability.hpp"

namespace plexspaces::durability {

/// What leaves once a turn is committed.
struct PendingTurn {
  struct Message {
    ActorKey receiver;
    std::uint64_t sequence;
    detail::EnvelopePtr envelope;  // null: made of its row when it is sent
  };
  Effects effects;
  std::vector<Effects> reads;  // of later turns that only read: they saw this turn's state
  std::vector<Message> messages;
  std::string client_key;
  std::vector<detail::EnvelopePtr> duplicates;  // requests with the same key, which get the same answer
  std::optional<ActorKey> sender;               // to acknowledge
  std::uint64_t sender_sequence = 0;
  std::optional<ActorKey> lane;  // whose message has become a dead letter, and which then goes on
  int dead_letters = 0;          // that it adds or takes away
  std::move_only_function<void(Status)> done;

  /// What waits for the commit: the turn, reads and duplicates.
  std::size_t held() const { return 1 + reads.size() + duplicates.size(); }
};

/// Hands commits over in their order, keeps what each one holds back, and bounds that: beyond `held_max` the inputs of
/// the actor stay in its mailbox. After a commit has failed the actor in memory is ahead of the store: nothing more
/// runs.
///
///     submit -> CommitQueue -> on the activation's worker: DurabilityFacet::committed -> completed -> release
///
/// Threads: the home worker of the activation.
class CommitPipeline {
 public:
  CommitPipeline(Durability& durability, Activation& activation, std::size_t held_max)
      : durability_(durability), activation_(activation), held_max_(held_max) {}

  /// `sequence`: of the last commit in the store.
  void begin(std::uint64_t sequence) { sequence_ = sequence; }

  void submit(store::Commit commit, PendingTurn turn);
  /// `effects` of a read leave with the last commit in flight. There is one.
  void hold_read(Effects effects);
  /// `request` is answered as the turn in flight with its key is. There is one.
  void join(const std::string& client_key, detail::EnvelopePtr request);

  struct Completed {
    PendingTurn turn;
    std::optional<Error> error;  // the answer instead of what the turn holds back
  };
  /// The oldest commit has come back. When it is done its turn is to be emitted, and then released.
  Completed completed(store::Outcome outcome, std::optional<Error> error);
  void release(std::size_t held);

  const std::deque<PendingTurn>& in_flight() const { return in_flight_; }
  bool empty() const { return in_flight_.empty(); }
  /// Why the first commit that failed has failed.
  const std::optional<Error>& failure() const { return failure_; }

 private:
  void hold(std::size_t more);

  Durability& durability_;
  Activation& activation_;
  const std::size_t held_max_;
  std::uint64_t sequence_ = 0;  // of the last commit submitted
  std::deque<PendingTurn> in_flight_;
  std::size_t held_ = 0;
  bool paused_ = false;
  std::optional<Error> failure_;
};

}  // namespace plexspaces::durability
