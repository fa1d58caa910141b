// Carries out what the outbox of an actor decides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "plexspaces/actor/facet.hpp"
#include "plexspaces/durable/commit_pipeline.hpp"
#include "plexspaces/durable/durability.hpp"
#include "plexspaces/durable/outbox.hpp"

namespace plexspaces::durability {

/// Delivers the messages of an Outbox when they are due, and collects the rows that acknowledgements make superfluous.
/// Threads: the home worker of the activation.
class OutboxSender {
 public:
  /// A message that nobody can send: to be made a dead letter. Its lane stands still until lane_goes_on().
  using Park = std::function<void(const ActorKey& receiver, const Outbox::Message& message, const Error& cause)>;

  /// `may_park`: whether there is room for another dead letter. Without it the message is tried again, ever more
  /// rarely.
  OutboxSender(Durability& durability, Activation& activation, Outbox& outbox, Park park,
               std::function<bool()> may_park, std::function<void()> flush);

  /// Sends what an earlier activation has left.
  void resend() { send_due(); }
  void committed(PendingTurn::Message message);
  void acknowledged(const ActorKey& receiver, std::uint64_t sequence);
  void missed(const ActorKey& receiver, std::uint64_t sequence);
  void held(const ActorKey& receiver, std::uint64_t sequence, Duration delay);
  void lane_goes_on(const ActorKey& receiver);

  /// Adds the erasure of acknowledged rows, as many as one commit may carry.
  void erase_acknowledged(const std::string& row, store::Commit& commit);
  bool has_acknowledged() const { return !acknowledged_.empty(); }

 private:
  void send_due();
  void send_lane(const ActorKey& receiver, PendingTurn::Message* ready = nullptr);
  Result<detail::EnvelopePtr> envelope_of(const ActorKey& receiver, const Outbox::Message& message) const;
  Status deliver(const ActorKey& receiver, const Outbox::Message& message, detail::EnvelopePtr envelope);
  void arm();

  Durability& durability_;
  Activation& activation_;
  Outbox& outbox_;
  Park park_;
  std::function<bool()> may_park_;
  std::function<void()> flush_;
  std::vector<std::uint64_t> acknowledged_;  // rows to erase with the next commit
  TimePoint alarm_at_ = kNever;
  Alarm alarm_;
  Alarm flush_alarm_;
};

}  // namespace plexspaces::durability
