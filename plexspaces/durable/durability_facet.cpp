#include "plexspaces/durable/durability_facet.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "plexspaces/base/hash.hpp"
#include "plexspaces/base/limits.hpp"
#include "plexspaces/env/probe.hpp"

namespace plexspaces::durability {

namespace {

constexpr std::size_t kForgottenPerCommitMax = 16;                   // outcome rows erased beside a turn
constexpr std::size_t kTurnMessagesBytesMax = std::size_t{8} << 20;  // of one turn, with their keys
constexpr std::size_t kAcknowledgedPerCommitMax = 256;
constexpr Duration kFlushAcknowledgedAfter = 20ms;  // without a turn that would carry them
constexpr std::string_view kFacetName = "durability";

// Empty for a deletion, and for a message that cannot be written (text that is not UTF-8, from inside the process).
std::string encoded_input(const Turn& turn) {
  std::string payload;
  bool erase = turn.delivery() != nullptr && turn.delivery()->erase;
  if (!erase && !encode(*turn.input->type->value, turn.input->payload(), payload)) payload.clear();
  return payload;
}

std::uint64_t request_hash(const Turn& turn, std::string_view payload) {
  return stable_hash(payload, stable_hash(turn.input->type->value->name));
}

}  // namespace

DurabilityFacet::DurabilityFacet(Durability& durability, Activation& activation, DurableOptions options)
    : durability_(durability),
      activation_(activation),
      options_(options),
      row_(store::actor_row(activation.key())),
      pipeline_(durability, activation, options.uncommitted_turns_max),
      replies_({options.outcome_retention, options.outcomes_max}),
      resend_after_(options.resend_after),
      resend_alarm_(activation, [this] { resend(); }),
      flush_alarm_(activation, [this] { flush_acknowledged(); }) {}

DurabilityFacet::~DurabilityFacet() {
  durability_.outbox_pending_.fetch_sub(static_cast<std::int64_t>(outbox_.size()), std::memory_order_relaxed);
}

bool DurabilityFacet::is_durable(const ActorKey& key) const {
  const ActorType* type = durability_.runtime_.types().find(key.type);
  if (type == nullptr) return false;
  for (const FacetSpec& facet : type->facets)
    if (facet.name == kFacetName) return true;
  return false;
}

// ---- loading -------------------------------------------------------------------------------------------------------

Facet::Ready DurabilityFacet::on_activate(Activation& activation) {
  durability_.lane_.run(
      [&runtime = activation.runtime(), id = activation.id(), key = activation.key()](store::Store& store) {
        runtime.post(id, [loaded = load_actor(store, key)](Activation& target) mutable {
          target.facet<DurabilityFacet>()->loaded(std::move(loaded));
        });
      });
  return Ready::kLater;
}

void DurabilityFacet::loaded(Result<LoadedActor> result) {
  if (!result) return activation_.failed(result.error().with_prefix(activation_.key().to_string()));
  StateView state = activation_.state();
  actor_ = std::move(result->actor.header);
  if (!actor_.deleted && actor_.incarnation > 0) {
    if (actor_.state_type != state.type->name)
      return activation_.failed(Error(Code::kFailedPrecondition,
                                      fmt::format("{}: the stored state is a {}, the program's a {}",
                                                  activation_.key().to_string(), actor_.state_type, state.type->name),
                                      "PLX-DUR-0002"));
    if (Status read = decode(*state.type, result->actor.tail, state.value, &unknown_fields_); !read)
      return activation_.failed(Error(
          Code::kDataLoss,
          fmt::format("{}: the stored state cannot be read: {}", activation_.key().to_string(), read.error().message()),
          "PLX-DUR-0001"));
  }
  pipeline_.begin(result->sequence);
  if (Status encoded = encode_state(state_bytes_); !encoded) return activation_.failed(encoded.error());
  replies_.load(std::move(result->outcomes));
  inbound_.load(std::move(result->senders));
  for (auto& [key, peer] : result->receivers) receivers_[std::move(key)].last_sequence = peer.sequence;
  for (auto& [id, message] : result->outbox) {
    receivers_[from_stored(message.header.receiver)].unacknowledged.emplace(message.header.sequence, id);
    outbox_.emplace(id, std::move(message));
  }
  durability_.counters_.loaded.fetch_add(1, std::memory_order_relaxed);
  durability_.outbox_loaded(activation_.key(), outbox_.size());
  loaded_ = true;
  activation_.ready();
  if (!outbox_.empty()) {
    reached(Probe::kOutboxRecovered);
    resend();
  }
}

// ---- before the handler --------------------------------------------------------------------------------------------

Facet::Admission DurabilityFacet::admit(Turn& turn) {
  attempts_ = 0;
  if (pipeline_.failure()) {
    activation_.answer(std::move(turn.input), *pipeline_.failure());
    return Admission::kTaken;
  }
  const Delivery* delivery = turn.delivery();
  if (delivery == nullptr) return Admission::kRun;
  switch (delivery->id.kind) {
    case InputId::Kind::kNone:
      return Admission::kRun;
    case InputId::Kind::kClient:
      return admit_client(turn);
    case InputId::Kind::kActor:
      return admit_actor(turn);
  }
  std::unreachable();
}

Facet::Admission DurabilityFacet::admit_client(Turn& turn) {
  const std::string& key = turn.delivery()->id.client_key;
  WallTime now = durability_.clock_.wall_now();
  replies_.forget_expired(now);
  const ReplyCache::Answer* known = replies_.find(key);
  Status fit = known == nullptr ? replies_.check_new(key, now)
                                : ReplyCache::check_same(*known, request_hash(turn, encoded_input(turn)));
  if (!fit) {
    activation_.answer(std::move(turn.input), fit.error());
    return Admission::kTaken;
  }
  if (known == nullptr) return Admission::kRun;
  durability_.counters_.duplicates.fetch_add(1, std::memory_order_relaxed);
  if (known->open) {
    reached(Probe::kDuplicateJoined);
    pipeline_.join(std::string(key), std::move(turn.input));
  } else {
    reached(Probe::kDuplicateAnswered);
    answer(std::move(turn.input), *known);
  }
  return Admission::kTaken;
}

void DurabilityFacet::answer(detail::EnvelopePtr request, const ReplyCache::Answer& known) {
  if (known.outcome.code != 0)
    activation_.answer(std::move(request), error_of(known.outcome));
  else
    activation_.answer(std::move(request), known.reply);
}

Facet::Admission DurabilityFacet::admit_actor(Turn& turn) {
  const InputId& id = turn.delivery()->id;
  switch (inbound_.check(id)) {
    case Inbound::Verdict::kNext:
      return Admission::kRun;
    case Inbound::Verdict::kGap:
      reached(Probe::kOutboxGap);
      return Admission::kTaken;
    case Inbound::Verdict::kDuplicate:
      break;
  }
  reached(Probe::kOutboxDuplicate);
  durability_.counters_.duplicates.fetch_add(1, std::memory_order_relaxed);
  // Applied, but perhaps not committed yet: then its own commit acknowledges it.
  for (const PendingTurn& pending : pipeline_.in_flight())
    if (pending.sender == id.sender && pending.sender_sequence >= id.sequence) return Admission::kTaken;
  acknowledge(id.sender, inbound_.position(id.sender));
  return Admission::kTaken;
}

void DurabilityFacet::acknowledge(const ActorKey& sender, std::uint64_t sequence) {
  // A sender that is not live has been acknowledged nothing: it sends again when it is, and is told then.
  if (auto id = durability_.runtime_.find_activation(sender))
    durability_.runtime_.post(*id, [receiver = activation_.key(), sequence](Activation& target) {
      if (auto* facet = target.facet<DurabilityFacet>()) facet->acknowledged(receiver, sequence);
    });
}

// ---- after the handler ---------------------------------------------------------------------------------------------

Status DurabilityFacet::encode_state(std::string& bytes) const {
  StateView state = activation_.state();
  bytes.clear();
  return encode(*state.type, state.value, bytes, unknown_fields_);
}

// The actor as it was before the running turn. @error its constructor has thrown.
Status DurabilityFacet::restore_state() {
  PLX_TRY_STATUS(activation_.replace_actor());
  StateView state = activation_.state();
  Status read = decode(*state.type, state_bytes_, state.value);
  PLX_CHECK(read.has_value(), "a state that was encoded can be decoded");
  return {};
}

// No actor can be made any more: the input is answered, and the activation ends.
void DurabilityFacet::fail_activation(Turn& turn, const Error& error) {
  if (turn.effects.reply != nullptr) activation_.emit_error(std::move(turn.effects.reply), error);
  activation_.failed(error);
}

Facet::Recovery DurabilityFacet::on_error(Turn& turn) {
  if (Status restored = restore_state(); !restored) {
    turn.error = std::move(restored).error();
    return Recovery::kPass;
  }
  if (++attempts_ < options_.attempts_max) return Recovery::kRetry;
  reached(Probe::kInputParked);
  durability_.counters_.parked.fetch_add(1, std::memory_order_relaxed);
  turn.error = Error(Code::kInternal, fmt::format("given up after {} attempts: {}", attempts_, turn.error->message()),
                     "PLX-DUR-0006");
  return Recovery::kCommit;
}

// A read changes nothing and sends nothing, and nobody counts on its being done once.
bool DurabilityFacet::is_read(const Turn& turn) const {
  const Delivery* delivery = turn.delivery();
  if (delivery != nullptr && (delivery->erase || delivery->id.kind != InputId::Kind::kNone)) return false;
  return turn.effects.sends.empty() && (turn.handler == nullptr || turn.read_only());
}

Facet::Gate DurabilityFacet::commit(Turn& turn) {
  if (is_read(turn)) {
    if (pipeline_.empty()) return Gate::kOpen;
    reached(Probe::kReadGated);
    pipeline_.hold_read(std::move(turn.effects));
    return Gate::kHeld;
  }

  store::Commit commit;
  PendingTurn pending;
  StoredActor before = actor_;
  if (Status prepared = prepare(turn, commit, pending); !prepared) {
    // Nothing of the turn may stay but its answer, the error: a sender must not send it for ever.
    reached(Probe::kInputParked);
    durability_.counters_.parked.fetch_add(1, std::memory_order_relaxed);
    actor_ = before;
    if (Status restored = restore_state(); !restored) {
      fail_activation(turn, restored.error());
      return Gate::kHeld;
    }
    turn.effects.sends.clear();
    if (turn.effects.reply != nullptr)
      turn.effects.reply = activation_.error_in_place_of(std::move(turn.effects.reply), prepared.error());
    commit = {};
    pending = {};
    Status again = prepare(turn, commit, pending);
    PLX_CHECK(again.has_value(), "the state before the turn, without messages, can be stored");
  }
  submit(std::move(commit), std::move(pending));
  return Gate::kHeld;
}

// Everything that can fail comes first and leaves the facet as it was, but for actor_.
Status DurabilityFacet::prepare(Turn& turn, store::Commit& commit, PendingTurn& pending) {
  const Delivery* delivery = turn.delivery();
  bool erase = delivery != nullptr && delivery->erase;
  if (erase) {
    unknown_fields_.clear();
    actor_.deleted = true;
    if (actor_.incarnation == 0) actor_.incarnation = 1;
  } else if (actor_.incarnation == 0 || actor_.deleted) {
    ++actor_.incarnation;
    actor_.deleted = false;
  }
  std::string bytes;
  PLX_TRY_STATUS(encode_state(bytes));
  std::string reply;
  if (const detail::EnvelopePtr& answer = turn.effects.reply;
      answer != nullptr && !answer->is(detail::Envelope::kFailed))
    PLX_TRY_STATUS(encode(*answer->type->reply, answer->payload(), reply));
  PLX_TRY_STATUS(add_messages(turn, commit, pending));
  pending.effects.reply = std::move(turn.effects.reply);

  StoredTurn entry;
  entry.request = stored_request(turn);
  if (!erase) entry.type = turn.input->type->value->name;
  std::string input = encoded_input(turn);
  if (pending.effects.reply != nullptr && pending.effects.reply->is(detail::Envelope::kFailed))
    entry.code = static_cast<std::uint32_t>(pending.effects.reply->payload_as<Error>().code());
  if (delivery != nullptr) {
    const InputId& id = delivery->id;
    entry.input_kind = static_cast<std::uint32_t>(id.kind);
    if (id.kind == InputId::Kind::kClient) {
      entry.client_key.data = pending.client_key = id.client_key;
      add_outcome(request_hash(turn, input), std::move(reply), commit, pending);
    } else if (id.kind == InputId::Kind::kActor) {
      entry.sender = to_stored(id.sender);
      entry.incarnation = id.incarnation;
      entry.sequence = id.sequence;
      pending.sender = id.sender;
      pending.sender_sequence = id.sequence;
      commit.mutations.push_back(
          {store::Table::kPeer, sender_row(row_, id.sender), to_value(inbound_.applied(id)), {}});
    }
  }
  commit.records.push_back(to_value(entry, input));
  replies_.forget_expired(durability_.clock_.wall_now());
  for (const std::string& key : replies_.take_forgotten(kForgottenPerCommitMax))
    commit.mutations.push_back({store::Table::kOutcome, outcome_row(row_, key), std::nullopt, {}});
  state_bytes_ = std::move(bytes);
  return {};
}

StoredRequest DurabilityFacet::stored_request(const Turn& turn) const {
  return to_stored(*turn.input, activation_.now(), durability_.clock_.wall_now(), durability_.runtime_.node_name());
}

Status DurabilityFacet::add_messages(Turn& turn, store::Commit& commit, PendingTurn& pending) {
  std::vector<Effect>& sends = turn.effects.sends;
  if (sends.empty()) return {};
  if (outbox_.size() + sends.size() > options_.outbox_messages_max)
    return fail(Code::kResourceExhausted,
                fmt::format("{} has {} messages that their receivers have not acknowledged; the limit is {}",
                            activation_.key().to_string(), outbox_.size(), options_.outbox_messages_max),
                "PLX-DUR-0008", Error::Retry::kBackoff);
  // First what can fail.
  std::vector<std::string> payloads(sends.size());
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < sends.size(); ++i) {
    auto* receiver = std::get_if<ActorKey>(&sends[i].target);
    if (receiver == nullptr || !is_durable(*receiver)) continue;
    PLX_TRY_STATUS(encode(*sends[i].message->type->value, sends[i].message->payload(), payloads[i]));
    constexpr std::size_t kHeaderBytes = 256;
    bytes += payloads[i].size() + 2 * (row_.size() + 2 * receiver->to_row().size() + kHeaderBytes);
  }
  if (bytes > kTurnMessagesBytesMax)
    return fail(Code::kResourceExhausted,
                fmt::format("the messages of one turn of {} have {} bytes; the limit is {}: send them in several turns",
                            activation_.key().to_string(), bytes, kTurnMessagesBytesMax),
                "PLX-DUR-0009");
  for (std::size_t i = 0; i < sends.size(); ++i) {
    auto* key = std::get_if<ActorKey>(&sends[i].target);
    if (key == nullptr || !is_durable(*key)) {
      pending.effects.sends.push_back(std::move(sends[i]));
      continue;
    }
    Receiver& receiver = receivers_[*key];
    std::uint64_t id = ++actor_.last_outbox_id;
    StoredMessage message;
    message.receiver = to_stored(*key);
    message.incarnation = actor_.incarnation;
    message.sequence = ++receiver.last_sequence;
    message.type = sends[i].message->type->value->name;
    message.request = stored_request(turn);
    message.request.deadline_ms.reset();  // nobody waits for a message
    commit.mutations.push_back(
        {store::Table::kOutbox, outbox_row(row_, id), to_value(message, payloads[i]), store::Precondition::kAbsent});
    commit.mutations.push_back({store::Table::kPeer,
                                receiver_row(row_, *key),
                                to_value(StoredPeer{message.incarnation, message.sequence}),
                                {}});
    receiver.unacknowledged.emplace(message.sequence, id);
    outbox_.emplace(id, Value<StoredMessage>{std::move(message), std::move(payloads[i])});
    pending.messages.push_back({id, std::move(sends[i].message)});
  }
  return {};
}

void DurabilityFacet::add_outcome(std::uint64_t hash, std::string reply, store::Commit& commit, PendingTurn& pending) {
  StoredOutcome outcome;
  if (const detail::EnvelopePtr& answer = pending.effects.reply;
      answer != nullptr && answer->is(detail::Envelope::kFailed)) {
    // Before the first answer leaves: it and those of all duplicates are one text.
    Error& error = answer->payload_as<Error>();
    error = error.flattened();
    set_error(outcome, error);
  }
  outcome.request_hash = hash;
  outcome.at_ms = durability_.clock_.wall_now().time_since_epoch().count();
  commit.mutations.push_back(
      {store::Table::kOutcome, outcome_row(row_, pending.client_key), to_value(outcome, reply), {}});
  replies_.open(pending.client_key, std::move(outcome), std::move(reply));
}

void DurabilityFacet::erase_acknowledged(store::Commit& commit) {
  std::size_t count = std::min(acknowledged_.size(), kAcknowledgedPerCommitMax);
  for (std::size_t i = 0; i < count; ++i)
    commit.mutations.push_back({store::Table::kOutbox, outbox_row(row_, acknowledged_[i]), std::nullopt, {}});
  acknowledged_.erase(acknowledged_.begin(), acknowledged_.begin() + static_cast<std::ptrdiff_t>(count));
}

// ---- committing ----------------------------------------------------------------------------------------------------

void DurabilityFacet::submit(store::Commit commit, PendingTurn pending) {
  erase_acknowledged(commit);
  StoredActor row = actor_;
  row.state_type = activation_.state().type->name;
  commit.mutations.push_back({store::Table::kActor,
                              row_,
                              to_value(row, row.deleted ? std::string_view() : std::string_view(state_bytes_)),
                              {}});
  durability_.outbox_pending_.fetch_add(static_cast<std::int64_t>(pending.messages.size()), std::memory_order_relaxed);
  pipeline_.submit(std::move(commit), std::move(pending));
}

void DurabilityFacet::committed(store::Outcome outcome, std::optional<Error> error) {
  auto [turn, answer] = pipeline_.completed(outcome, std::move(error));
  if (!answer) {
    durability_.counters_.commits.fetch_add(1, std::memory_order_relaxed);
    std::size_t held = turn.held();
    settle(std::move(turn));
    pipeline_.release(held);
    return;
  }
  abandon(std::move(turn), *answer);
  if (pipeline_.empty()) activation_.discard(!outbox_.empty());
}

void DurabilityFacet::settle(PendingTurn turn) {
  if (const ReplyCache::Answer* known = turn.client_key.empty() ? nullptr : replies_.committed(turn.client_key))
    for (detail::EnvelopePtr& request : turn.duplicates) answer(std::move(request), *known);
  activation_.emit(std::move(turn.effects));
  for (Effects& effects : turn.reads) activation_.emit(std::move(effects));
  for (PendingTurn::Message& message : turn.messages) {
    auto stored = outbox_.find(message.id);
    send_message(std::move(message.envelope), stored->second.header);
  }
  if (!turn.messages.empty()) arm_resend();
  if (turn.sender) acknowledge(*turn.sender, turn.sender_sequence);
}

void DurabilityFacet::abandon(PendingTurn turn, const Error& error) {
  for (detail::EnvelopePtr& request : turn.duplicates) activation_.answer(std::move(request), error);
  if (turn.effects.reply != nullptr) activation_.emit_error(std::move(turn.effects.reply), error);
  for (Effects& effects : turn.reads)
    if (effects.reply != nullptr) activation_.emit_error(std::move(effects.reply), error);
  for (PendingTurn::Message& message : turn.messages) outbox_.erase(message.id);
  durability_.outbox_pending_.fetch_sub(static_cast<std::int64_t>(turn.messages.size()), std::memory_order_relaxed);
}

// ---- the outbox ----------------------------------------------------------------------------------------------------

void DurabilityFacet::send_message(detail::EnvelopePtr envelope, const StoredMessage& message) {
  ActorKey receiver = from_stored(message.receiver);
  InputId& id = envelope->delivery()->id;
  id.kind = InputId::Kind::kActor;
  id.sender = activation_.key();
  id.incarnation = message.incarnation;
  id.sequence = message.sequence;
  const auto& unacknowledged = receivers_[receiver].unacknowledged;
  id.lowest_unacknowledged = unacknowledged.empty() ? message.sequence : unacknowledged.begin()->first;
  // What is refused now (a full mailbox) is sent again later.
  static_cast<void>(durability_.runtime_.deliver(envelope.release()));
}

void DurabilityFacet::arm_resend() {
  if (!outbox_.empty() && !resend_alarm_.armed()) resend_alarm_.arm(saturating_add(activation_.now(), resend_after_));
}

void DurabilityFacet::resend() {
  // Messages of turns in flight are in the outbox already; they go out with their commit.
  std::uint64_t first_uncommitted = UINT64_MAX;
  for (const PendingTurn& turn : pipeline_.in_flight())
    if (!turn.messages.empty()) {
      first_uncommitted = turn.messages.front().id;
      break;
    }
  for (const auto& [id, message] : outbox_) {
    if (id >= first_uncommitted) break;
    ActorKey receiver = from_stored(message.header.receiver);
    const ActorType* type = durability_.runtime_.types().find(receiver.type);
    const Handler* handler = type == nullptr ? nullptr : type->find(message.header.type);
    if (handler == nullptr) continue;  // of another version of the program: kept until one handles it
    Delivery delivery{receiver, {}, false, 0};
    detail::EnvelopePtr envelope(detail::make_keyed_envelope(nullptr, *handler->message, std::move(delivery)));
    if (!decode(*handler->message->value, message.tail, envelope->payload())) continue;
    detail::charge_payload(*envelope);
    envelope->context = detail::new_context(nullptr);
    envelope->context->request = std::make_shared<const RequestContext>(from_stored(message.header.request));
    durability_.counters_.resent.fetch_add(1, std::memory_order_relaxed);
    send_message(std::move(envelope), message.header);
  }
  reached(Probe::kOutboxResent);
  resend_alarm_.disarm();
  if (!outbox_.empty()) resend_alarm_.arm(saturating_add(activation_.now(), resend_after_));
  resend_after_ = std::min(resend_after_ * 2, options_.resend_after_max);
}

void DurabilityFacet::acknowledged(const ActorKey& key, std::uint64_t sequence) {
  if (!loaded_) return;
  auto found = receivers_.find(key);
  if (found == receivers_.end()) return;
  auto& unacknowledged = found->second.unacknowledged;
  while (!unacknowledged.empty() && unacknowledged.begin()->first <= sequence) {
    std::uint64_t id = unacknowledged.begin()->second;
    unacknowledged.erase(unacknowledged.begin());
    outbox_.erase(id);
    acknowledged_.push_back(id);
    durability_.outbox_pending_.fetch_sub(1, std::memory_order_relaxed);
  }
  // Progress: what is still missing has the whole time again.
  resend_after_ = options_.resend_after;
  resend_alarm_.disarm();
  arm_resend();
  if (acknowledged_.size() >= kAcknowledgedPerCommitMax) flush_acknowledged();
  if (!acknowledged_.empty() && !flush_alarm_.armed())
    flush_alarm_.arm(saturating_add(activation_.now(), kFlushAcknowledgedAfter));
}

// A commit of its own, when no turn came that could carry the erasures.
void DurabilityFacet::flush_acknowledged() {
  if (acknowledged_.empty() || pipeline_.failure()) return;
  submit(store::Commit{}, PendingTurn{});
}

bool DurabilityFacet::on_passivate(Activation&) {
  if (!acknowledged_.empty()) flush_acknowledged();
  return loaded_ && pipeline_.empty() && outbox_.empty() && acknowledged_.empty() && !pipeline_.failure();
}

}  // namespace plexspaces::durability
