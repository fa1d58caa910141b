// What the turns of an actor make of its rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>

#include "plexspaces/actor/facet.hpp"
#include "plexspaces/durable/commit_pipeline.hpp"
#include "plexspaces/durable/durability.hpp"
#include "plexspaces/durable/inbound.hpp"
#include "plexspaces/durable/loaded_actor.hpp"
#include "plexspaces/durable/outbox.hpp"
#include "plexspaces/durable/reply_cache.hpp"

namespace plexspaces::durability {

/// Builds the commits of one actor: state, answer, positions of peers, outbox rows, dead letters, journal entry.
/// Threads: the home worker of the activation.
class CommitBuilder {
 public:
  CommitBuilder(Durability& durability, Activation& activation, const DurableOptions& options, ReplyCache& replies,
                Inbound& inbound, Outbox& outbox);

  /// Gives the actor the state that is stored. @error kDataLoss, kFailedPrecondition: it cannot be read.
  Status load(Value<StoredActor> actor, const std::vector<std::uint64_t>& dead_letters);
  /// The actor as it was before the running turn. @error its constructor has thrown.
  Status restore_state();

  /// Adds what `turn` changes, and moves its effects to `pending`. `given_up`: the input, a message of another actor,
  /// has failed for good and becomes a dead letter.
  /// @error it cannot be stored: nothing has changed but the actor in memory.
  Status add_turn(Turn& turn, store::Commit& commit, PendingTurn& pending, const Error* given_up);
  /// Takes `message` out of the outbox and makes it a dead letter.
  void add_parked(const ActorKey& receiver, const Outbox::Message& message, const Error& cause, store::Commit& commit,
                  PendingTurn& pending);
  /// Erases a dead letter. `again`: and sends its message, from this actor.
  /// @error kNotFound: there is none with the id. kResourceExhausted: the outbox is full.
  Status add_end_of_dead_letter(std::uint64_t id, Value<StoredDeadLetter>* again, store::Commit& commit,
                                PendingTurn& pending);
  /// Adds the row of the actor itself. Last.
  void finish(store::Commit& commit) const;

  const std::string& row() const { return row_; }
  bool dead_letters_full() const { return dead_letters_.size() >= options_.dead_letters_max; }

 private:
  Status encode_state(std::string& bytes) const;
  Status add_messages(Turn& turn, store::Commit& commit, PendingTurn& pending);
  void add_message(const ActorKey& receiver, StoredMessage header, std::string payload, detail::EnvelopePtr envelope,
                   store::Commit& commit, PendingTurn& pending);
  void add_outcome(std::uint64_t hash, std::string reply, store::Commit& commit, PendingTurn& pending);
  void add_dead_letter(StoredDeadLetter letter, const Error& cause, std::string_view payload, store::Commit& commit,
                       PendingTurn& pending);
  StoredRequest stored_request(const Turn& turn) const;
  std::int64_t wall_ms() const;

  Durability& durability_;
  Activation& activation_;
  const DurableOptions& options_;
  ReplyCache& replies_;
  Inbound& inbound_;
  Outbox& outbox_;
  const std::string row_;
  StoredActor actor_;           // without its state
  std::string state_bytes_;     // after the last turn
  std::string unknown_fields_;  // of the stored state
  std::set<std::uint64_t> dead_letters_;
};

/// Identifies the request of `turn`, of whatever key. A deletion has no payload.
std::uint64_t request_hash(const Turn& turn);

}  // namespace plexspaces::durability
