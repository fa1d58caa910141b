// The turns of one durable actor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "plexspaces/actor/facet.hpp"
#include "plexspaces/durable/durability.hpp"
#include "plexspaces/durable/records.hpp"

namespace plexspaces::durability {

/// What the store holds of an actor.
struct LoadedActor {
  std::uint64_t sequence = 0;
  Value<StoredActor> actor;
  std::vector<std::pair<std::string, Value<StoredOutcome>>> outcomes;  // by client key
  std::vector<std::pair<ActorKey, StoredPeer>> senders;
  std::vector<std::pair<ActorKey, StoredPeer>> receivers;
  std::vector<std::pair<std::uint64_t, Value<StoredMessage>>> outbox;  // by id
};

/// Reads all rows of `key`. Where blocking is allowed.
Result<LoadedActor> load_actor(store::Store& store, const ActorKey& key);

/// The durability facet: commits each turn, gates what leaves, knows duplicates, keeps the outbox.
///
/// The actor goes on while its commits are in flight: `pending_` holds what each turn emits until its commit is done.
/// When one fails, the actor in memory is ahead of the store: nothing more runs, every pending answer becomes an error,
/// and the activation is discarded once the last commit in flight has come back.
class DurabilityFacet final : public Facet {
 public:
  DurabilityFacet(Durability& durability, Activation& activation, DurableOptions options);
  ~DurabilityFacet() override;

  Ready on_activate(Activation&) override;
  Admission admit(Turn& turn) override;
  Gate commit(Turn& turn) override;
  Recovery on_error(Turn& turn) override;
  bool on_passivate(Activation&) override;

  /// `receiver` has applied this actor's messages to it up to `sequence`.
  void acknowledged(const ActorKey& receiver, std::uint64_t sequence);

 private:
  // The answer to a client key. Open: its turn is not committed yet, and later requests with the key wait for it.
  struct KnownRequest {
    bool open = true;
    StoredOutcome outcome;
    std::string reply;
    std::vector<detail::EnvelopePtr> waiting;
  };
  struct OutgoingMessage {
    std::uint64_t id;
    detail::EnvelopePtr envelope;
  };
  // A turn whose commit is in flight.
  struct PendingTurn {
    Effects effects;
    std::vector<Effects> reads;  // of later turns that only read: they saw this turn's state
    std::vector<OutgoingMessage> messages;
    std::string client_key;
    std::optional<ActorKey> sender;  // to acknowledge
    std::uint64_t sender_sequence = 0;
  };
  struct Receiver {
    std::uint64_t last_sequence = 0;
    std::map<std::uint64_t, std::uint64_t> unacknowledged;  // sequence -> outbox id
  };

  void loaded(Result<LoadedActor> loaded);
  Admission admit_client(Turn& turn);
  Admission admit_actor(Turn& turn);
  void acknowledge(const ActorKey& sender, std::uint64_t sequence);
  Status encode_state(std::string& bytes) const;
  Status restore_state();
  Status prepare(Turn& turn, store::Commit& commit, PendingTurn& pending);
  StoredRequest stored_request(const Turn& turn) const;
  Status add_messages(Turn& turn, store::Commit& commit, PendingTurn& pending);
  void add_outcome(std::uint64_t hash, std::string reply, store::Commit& commit, PendingTurn& pending);
  void erase_forgotten(store::Commit& commit);
  void erase_acknowledged(store::Commit& commit);
  void submit(store::Commit commit, PendingTurn pending);
  void committed(store::Outcome outcome, std::optional<Error> error);
  void settle(PendingTurn turn);
  void abandon(PendingTurn turn, const Error& error);
  void flush_acknowledged();
  void send_message(detail::EnvelopePtr envelope, const StoredMessage& message);
  void fail_activation(Turn& turn, const Error& error);
  void resend();
  void arm_resend();
  bool is_expired(const StoredOutcome& outcome) const;
  bool is_read(const Turn& turn) const;
  void forget_expired();
  void hold(std::size_t more);
  void release(std::size_t less);
  bool is_durable(const ActorKey& key) const;
  std::int64_t wall_ms() const;

  Durability& durability_;
  Activation& activation_;
  const DurableOptions options_;
  const std::string row_;
  bool loaded_ = false;
  bool paused_ = false;
  std::optional<Error> failure_;  // of a commit: nothing runs any more

  std::uint64_t sequence_ = 0;  // of the last commit submitted
  StoredActor actor_;           // without its state
  std::string state_bytes_;     // after the last turn
  std::string unknown_fields_;  // of the stored state
  std::size_t attempts_ = 0;    // of the running input
  std::unordered_map<std::string, KnownRequest> requests_;
  std::deque<std::pair<std::int64_t, std::string>> requests_by_age_;
  std::unordered_map<ActorKey, StoredPeer> senders_;
  std::unordered_map<ActorKey, Receiver> receivers_;
  std::vector<std::string> forgotten_;                    // client keys whose rows go with the next commits
  std::map<std::uint64_t, Value<StoredMessage>> outbox_;  // by id: not acknowledged
  std::vector<std::uint64_t> acknowledged_;               // rows to erase with the next commit
  std::deque<PendingTurn> pending_;
  std::size_t held_ = 0;  // turns, reads and duplicates that wait for a commit
  Duration resend_after_;
  Alarm resend_alarm_;
  Alarm flush_alarm_;
};

}  // namespace plexspaces::durability
