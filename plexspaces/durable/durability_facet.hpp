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
#include "plexspaces/durable/commit_pipeline.hpp"
#include "plexspaces/durable/durability.hpp"
#include "plexspaces/durable/inbound.hpp"
#include "plexspaces/durable/loaded_actor.hpp"
#include "plexspaces/durable/records.hpp"
#include "plexspaces/durable/reply_cache.hpp"

namespace plexspaces::durability {

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
  /// The oldest commit in flight has come back from the store.
  void committed(store::Outcome outcome, std::optional<Error> error);

 private:
  struct Receiver {
    std::uint64_t last_sequence = 0;
    std::map<std::uint64_t, std::uint64_t> unacknowledged;  // sequence -> outbox id
  };

  void loaded(Result<LoadedActor> loaded);
  Admission admit_client(Turn& turn);
  Admission admit_actor(Turn& turn);
  void answer(detail::EnvelopePtr request, const ReplyCache::Answer& known);
  void acknowledge(const ActorKey& sender, std::uint64_t sequence);
  Status encode_state(std::string& bytes) const;
  Status restore_state();
  Status prepare(Turn& turn, store::Commit& commit, PendingTurn& pending);
  StoredRequest stored_request(const Turn& turn) const;
  Status add_messages(Turn& turn, store::Commit& commit, PendingTurn& pending);
  void add_outcome(std::uint64_t hash, std::string reply, store::Commit& commit, PendingTurn& pending);
  void erase_acknowledged(store::Commit& commit);
  void submit(store::Commit commit, PendingTurn pending);
  void settle(PendingTurn turn);
  void abandon(PendingTurn turn, const Error& error);
  void flush_acknowledged();
  void send_message(detail::EnvelopePtr envelope, const StoredMessage& message);
  void fail_activation(Turn& turn, const Error& error);
  void resend();
  void arm_resend();
  bool is_read(const Turn& turn) const;
  bool is_durable(const ActorKey& key) const;

  Durability& durability_;
  Activation& activation_;
  const DurableOptions options_;
  const std::string row_;
  bool loaded_ = false;
  CommitPipeline pipeline_;
  ReplyCache replies_;
  Inbound inbound_;

  StoredActor actor_;           // without its state
  std::string state_bytes_;     // after the last turn
  std::string unknown_fields_;  // of the stored state
  std::size_t attempts_ = 0;    // of the running input
  std::unordered_map<ActorKey, Receiver> receivers_;
  std::map<std::uint64_t, Value<StoredMessage>> outbox_;  // by id: not acknowledged
  std::vector<std::uint64_t> acknowledged_;               // rows to erase with the next commit
  Duration resend_after_;
  Alarm resend_alarm_;
  Alarm flush_alarm_;
};

}  // namespace plexspaces::durability
