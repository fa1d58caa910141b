#include "plexspaces/durable/outbox_sender.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "plexspaces/env/probe.hpp"

namespace plexspaces::durability {

namespace {

constexpr std::size_t kAcknowledgedPerCommitMax = 256;
constexpr Duration kFlushAcknowledgedAfter = 20ms;  // without a turn that would carry them
constexpr Duration kResendGranularity = 20ms;       // a look at all lanes costs as much as there are

// Whether another attempt can end otherwise.
bool is_for_ever(const Error& error) {
  return error.code() == Code::kInvalidArgument || error.code() == Code::kNotFound ||
         error.code() == Code::kFailedPrecondition || error.code() == Code::kUnimplemented;
}

}  // namespace

OutboxSender::OutboxSender(Durability& durability, Activation& activation, Outbox& outbox, Park park,
                           std::function<bool()> may_park, std::function<void()> flush)
    : durability_(durability),
      activation_(activation),
      outbox_(outbox),
      park_(std::move(park)),
      may_park_(std::move(may_park)),
      flush_(std::move(flush)),
      alarm_(activation, [this] { send_due(); }),
      flush_alarm_(activation, [this] { flush_(); }) {}

void OutboxSender::committed(PendingTurn::Message message) {
  outbox_.committed(message.receiver, message.sequence);
  send_lane(message.receiver, &message);
  arm();
}

void OutboxSender::acknowledged(const ActorKey& receiver, std::uint64_t sequence) {
  std::vector<std::uint64_t> rows = outbox_.acknowledged(receiver, sequence, activation_.now());
  acknowledged_.insert(acknowledged_.end(), rows.begin(), rows.end());
  durability_.outbox_pending_.fetch_sub(static_cast<std::int64_t>(rows.size()), std::memory_order_relaxed);
  send_lane(receiver);
  arm();
  if (acknowledged_.size() >= kAcknowledgedPerCommitMax) flush_();
  if (!acknowledged_.empty() && !flush_alarm_.armed())
    flush_alarm_.arm(saturating_add(activation_.now(), kFlushAcknowledgedAfter));
}

void OutboxSender::missed(const ActorKey& receiver, std::uint64_t sequence) {
  outbox_.missed(receiver, sequence, activation_.now());
  send_lane(receiver);
  arm();
}

void OutboxSender::held(const ActorKey& receiver, std::uint64_t sequence, Duration delay) {
  outbox_.held(receiver, sequence, delay, activation_.now());
  arm();
}

void OutboxSender::lane_goes_on(const ActorKey& receiver) {
  outbox_.resume(receiver);
  send_lane(receiver);
  arm();
}

void OutboxSender::erase_acknowledged(const std::string& row, store::Commit& commit) {
  std::size_t count = std::min(acknowledged_.size(), kAcknowledgedPerCommitMax);
  for (std::size_t i = 0; i < count; ++i)
    commit.mutations.push_back({store::Table::kOutbox, outbox_row(row, acknowledged_[i]), std::nullopt, {}});
  acknowledged_.erase(acknowledged_.begin(), acknowledged_.begin() + static_cast<std::ptrdiff_t>(count));
}

void OutboxSender::send_due() {
  alarm_at_ = kNever;
  std::vector<ActorKey> due = outbox_.take_due(activation_.now());
  for (const ActorKey& receiver : due) send_lane(receiver);
  if (!due.empty()) reached(Probe::kOutboxResent);
  arm();
}

// `ready`: a message of the lane whose envelope is at hand.
void OutboxSender::send_lane(const ActorKey& receiver, PendingTurn::Message* ready) {
  TimePoint now = activation_.now();
  while (const Outbox::Message* message = outbox_.take_next(receiver, now)) {
    std::uint64_t sequence = message->header.sequence;
    if (message->sent > 1) durability_.counters_.resent.fetch_add(1, std::memory_order_relaxed);
    bool at_hand = ready != nullptr && ready->sequence == sequence && ready->envelope != nullptr;
    auto envelope = at_hand ? Result<detail::EnvelopePtr>(std::move(ready->envelope)) : envelope_of(receiver, *message);
    Status sent =
        envelope ? deliver(receiver, *message, *std::move(envelope)) : Status(std::unexpected(envelope.error()));
    if (sent) continue;
    if (!is_for_ever(sent.error())) return outbox_.refused(receiver, sequence, now);
    if (!may_park_()) {
      durability_.runtime_.log(fmt::format(
          "{}: the message {} number {} to {} cannot be sent, and there is no room for another dead letter: {}; end "
          "some "
          "with 'deadletter retry' or 'deadletter drop' (PLX-DUR-0019)",
          activation_.key().to_string(), message->header.type, sequence, receiver.to_string(), sent.error().message()));
      return outbox_.refused(receiver, sequence, now);
    }
    if (const Outbox::Message* first = outbox_.unsendable(receiver, sequence)) park_(receiver, *first, sent.error());
    return;
  }
}

Result<detail::EnvelopePtr> OutboxSender::envelope_of(const ActorKey& receiver, const Outbox::Message& message) const {
  const ActorType* type = durability_.runtime_.types().find(receiver.type);
  if (type == nullptr)
    return fail(Code::kNotFound, fmt::format("the program has no type '{}'", receiver.type), "PLX-DUR-0019");
  if (!durability_.is_durable(receiver))
    return fail(
        Code::kFailedPrecondition,
        fmt::format("the type '{}' is not durable in this program, so it would acknowledge nothing", receiver.type),
        "PLX-DUR-0019");
  const Handler* handler = type->find(message.header.type);
  if (handler == nullptr)
    return fail(Code::kUnimplemented,
                fmt::format("the type '{}' does not handle '{}'", receiver.type, message.header.type), "PLX-DUR-0019");
  detail::EnvelopePtr envelope(
      detail::make_keyed_envelope(nullptr, *handler->message, Delivery{receiver, {}, false, 0}));
  if (Status decoded = decode(*handler->message->value, message.payload, envelope->payload()); !decoded)
    return fail(Code::kFailedPrecondition,
                fmt::format("the stored '{}' cannot be read: {}", message.header.type, decoded.error().message()),
                "PLX-DUR-0019");
  detail::charge_payload(*envelope);
  envelope->context = detail::new_context(nullptr);
  envelope->context->request = std::make_shared<const RequestContext>(from_stored(message.header.request));
  return envelope;
}

Status OutboxSender::deliver(const ActorKey& receiver, const Outbox::Message& message, detail::EnvelopePtr envelope) {
  InputId& id = envelope->delivery()->id;
  id.kind = InputId::Kind::kActor;
  id.sender = activation_.key();
  id.incarnation = message.header.incarnation;
  id.sequence = message.header.sequence;
  id.lowest_unacknowledged = outbox_.lowest_unacknowledged(receiver);
  return durability_.runtime_.deliver(envelope.release());
}

void OutboxSender::arm() {
  TimePoint due = outbox_.next_due();
  if (due >= alarm_at_) return;
  alarm_at_ = std::max(due, saturating_add(activation_.now(), kResendGranularity));
  alarm_.arm(alarm_at_);
}

}  // namespace plexspaces::durability
