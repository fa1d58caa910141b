// The turns of one durable actor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "plexspaces/actor/facet.hpp"
#include "plexspaces/durable/commit_builder.hpp"
#include "plexspaces/durable/commit_pipeline.hpp"
#include "plexspaces/durable/durability.hpp"
#include "plexspaces/durable/inbound.hpp"
#include "plexspaces/durable/outbox.hpp"
#include "plexspaces/durable/outbox_sender.hpp"
#include "plexspaces/durable/reply_cache.hpp"

namespace plexspaces::durability {

/// The durability facet: conducts the parts that know duplicates (ReplyCache, Inbound), build commits (CommitBuilder),
/// hold back what leaves (CommitPipeline) and send messages (Outbox, OutboxSender).
///
/// When a commit fails, the actor in memory is ahead of the store: nothing more runs, every pending answer becomes an
/// error, and the activation is discarded once the last commit in flight has come back.
class DurabilityFacet final : public Facet {
 public:
  DurabilityFacet(Durability& durability, Activation& activation, DurableOptions options);
  ~DurabilityFacet() override;

  Ready on_activate(Activation&) override;
  Admission admit(Turn& turn) override;
  Gate commit(Turn& turn) override;
  Recovery on_error(Turn& turn) override;
  bool on_passivate(Activation&) override;

  /// The oldest commit in flight has come back from the store.
  void committed(store::Outcome outcome, std::optional<Error> error);

  /// Runs `order` with the facet, when it has loaded.
  void when_loaded(std::move_only_function<void(DurabilityFacet&)> order);
  /// What receivers of this actor's messages say. Not before it has loaded.
  OutboxSender& sender() { return sender_; }
  /// Messages that are not acknowledged: an idle activation stays for them.
  bool has_outbox() const { return !outbox_.empty(); }
  /// Erases the dead letter `id`, and with `again` sends its message again; `done` follows the commit.
  void end_dead_letter(std::uint64_t id, std::optional<Value<StoredDeadLetter>> again,
                       std::move_only_function<void(Status)> done);

 private:
  void loaded(Result<LoadedActor> loaded);
  Admission admit_client(Turn& turn);
  Admission admit_actor(Turn& turn);
  void answer(detail::EnvelopePtr request, const ReplyCache::Answer& known);
  template <class Say>
  void tell(const ActorKey& sender, Say say);
  void acknowledge(const ActorKey& sender, std::uint64_t sequence);
  std::optional<Error> give_up(const Turn& turn, const Error& cause);
  void submit(store::Commit commit, PendingTurn pending);
  void submit_as_it_is(store::Commit commit, PendingTurn pending);
  void settle(PendingTurn turn);
  void abandon(PendingTurn turn, const Error& error);
  void park(const ActorKey& receiver, const Outbox::Message& message, const Error& cause);
  void flush_acknowledged();

  Durability& durability_;
  Activation& activation_;
  const DurableOptions options_;
  bool loaded_ = false;
  ReplyCache replies_;
  Inbound inbound_;
  Outbox outbox_;
  CommitBuilder builder_;
  CommitPipeline pipeline_;
  OutboxSender sender_;
  std::size_t attempts_ = 0;       // of the running input
  bool put_off_ = false;           // the running input has failed and comes again
  std::optional<Error> given_up_;  // why the running input, a message, has failed for good
  std::vector<std::move_only_function<void(DurabilityFacet&)>> when_loaded_;
};

}  // namespace plexspaces::durability
