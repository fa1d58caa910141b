#include "plexspaces/durable/commit_builder.hpp"

#include <utility>
#include <vector>

#include <fmt/format.h>

#include "plexspaces/base/check.hpp"
#include "plexspaces/base/hash.hpp"
#include "plexspaces/base/limits.hpp"

namespace plexspaces::durability {

namespace {

constexpr std::size_t kForgottenPerCommitMax = 16;                   // outcome rows erased beside a turn
constexpr std::size_t kTurnMessagesBytesMax = std::size_t{8} << 20;  // of one turn, with their keys

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

std::uint64_t request_hash(const Turn& turn) { return request_hash(turn, encoded_input(turn)); }

CommitBuilder::CommitBuilder(Durability& durability, Activation& activation, const DurableOptions& options,
                             ReplyCache& replies, Inbound& inbound, Outbox& outbox)
    : durability_(durability),
      activation_(activation),
      options_(options),
      replies_(replies),
      inbound_(inbound),
      outbox_(outbox),
      row_(store::actor_row(activation.key())) {}

Status CommitBuilder::load(Value<StoredActor> stored, const std::vector<std::uint64_t>& dead_letters) {
  StateView state = activation_.state();
  actor_ = std::move(stored.header);
  dead_letters_ = {dead_letters.begin(), dead_letters.end()};
  if (!actor_.deleted && actor_.incarnation > 0) {
    if (actor_.state_type != state.type->name)
      return fail(Code::kFailedPrecondition,
                  fmt::format("{}: the stored state is a {}, the program's a {}", activation_.key().to_string(),
                              actor_.state_type, state.type->name),
                  "PLX-DUR-0002");
    if (Status read = decode(*state.type, stored.tail, state.value, &unknown_fields_); !read)
      return fail(
          Code::kDataLoss,
          fmt::format("{}: the stored state cannot be read: {}", activation_.key().to_string(), read.error().message()),
          "PLX-DUR-0001");
  }
  actor_.state_type = state.type->name;
  return encode_state(state_bytes_);
}

Status CommitBuilder::encode_state(std::string& bytes) const {
  StateView state = activation_.state();
  bytes.clear();
  return encode(*state.type, state.value, bytes, unknown_fields_);
}

Status CommitBuilder::restore_state() {
  PLX_TRY_STATUS(activation_.replace_actor());
  StateView state = activation_.state();
  Status read = decode(*state.type, state_bytes_, state.value);
  PLX_CHECK(read.has_value(), "a state that was encoded can be decoded");
  return {};
}

void CommitBuilder::finish(store::Commit& commit) const {
  commit.mutations.push_back({store::Table::kActor,
                              row_,
                              to_value(actor_, actor_.deleted ? std::string_view() : std::string_view(state_bytes_)),
                              {}});
}

// Everything that can fail comes first.
Status CommitBuilder::add_turn(Turn& turn, store::Commit& commit, PendingTurn& pending, const Error* given_up) {
  const Delivery* delivery = turn.delivery();
  bool erase = delivery != nullptr && delivery->erase;
  StoredActor before = actor_;
  if (erase) {
    actor_.deleted = true;
    if (actor_.incarnation == 0) actor_.incarnation = 1;
  } else if (actor_.incarnation == 0 || actor_.deleted) {
    ++actor_.incarnation;
    actor_.deleted = false;
  }
  if (erase) unknown_fields_.clear();
  std::string bytes;
  std::string reply;
  Status stored = encode_state(bytes);
  if (const detail::EnvelopePtr& answer = turn.effects.reply;
      stored && answer != nullptr && !answer->is(detail::Envelope::kFailed))
    stored = encode(*answer->type->reply, answer->payload(), reply);
  if (stored) stored = add_messages(turn, commit, pending);
  if (!stored) {
    actor_ = std::move(before);
    return stored;
  }
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
      if (given_up != nullptr)
        add_dead_letter({to_stored(id.sender),
                         {to_stored(activation_.key()), id.incarnation, id.sequence, entry.type, entry.request},
                         0,
                         static_cast<std::uint32_t>(options_.message_attempts_max),
                         {},
                         {}},
                        *given_up, input, commit, pending);
    }
  }
  commit.records.push_back(to_value(entry, input));
  replies_.forget_expired(durability_.clock_.wall_now());
  for (const std::string& key : replies_.take_forgotten(kForgottenPerCommitMax))
    commit.mutations.push_back({store::Table::kOutcome, outcome_row(row_, key), std::nullopt, {}});
  state_bytes_ = std::move(bytes);
  return {};
}

Status CommitBuilder::add_messages(Turn& turn, store::Commit& commit, PendingTurn& pending) {
  std::vector<Effect>& sends = turn.effects.sends;
  if (sends.empty()) return {};
  // First what can fail.
  std::vector<std::string> payloads(sends.size());
  std::vector<Outbox::Addition> additions;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < sends.size(); ++i) {
    auto* receiver = std::get_if<ActorKey>(&sends[i].target);
    if (receiver == nullptr || !durability_.is_durable(*receiver)) continue;
    PLX_TRY_STATUS(encode(*sends[i].message->type->value, sends[i].message->payload(), payloads[i]));
    constexpr std::size_t kHeaderBytes = 256;
    bytes += payloads[i].size() + 2 * (row_.size() + 2 * receiver->to_row().size() + kHeaderBytes);
    additions.push_back({receiver, payloads[i].size()});
  }
  if (bytes > kTurnMessagesBytesMax)
    return fail(Code::kResourceExhausted,
                fmt::format("the messages of one turn of {} have {} bytes; the limit is {}: send them in several turns",
                            activation_.key().to_string(), bytes, kTurnMessagesBytesMax),
                "PLX-DUR-0009");
  if (Status room = outbox_.check_room(additions); !room)
    return std::unexpected(room.error().with_prefix(activation_.key().to_string()));
  for (std::size_t i = 0; i < sends.size(); ++i) {
    auto* key = std::get_if<ActorKey>(&sends[i].target);
    if (key == nullptr || !durability_.is_durable(*key)) {
      pending.effects.sends.push_back(std::move(sends[i]));
      continue;
    }
    StoredMessage message;
    message.type = sends[i].message->type->value->name;
    message.request = stored_request(turn);
    message.request.deadline_ms.reset();  // nobody waits for a message
    add_message(*key, std::move(message), std::move(payloads[i]), std::move(sends[i].message), commit, pending);
  }
  return {};
}

void CommitBuilder::add_message(const ActorKey& receiver, StoredMessage header, std::string payload,
                                detail::EnvelopePtr envelope, store::Commit& commit, PendingTurn& pending) {
  std::uint64_t id = ++actor_.last_outbox_id;
  header.receiver = to_stored(receiver);
  header.incarnation = actor_.incarnation;
  const Outbox::Message& message = outbox_.add(receiver, id, std::move(header), std::move(payload));
  commit.mutations.push_back({store::Table::kOutbox, outbox_row(row_, id), to_value(message.header, message.payload),
                              store::Precondition::kAbsent});
  commit.mutations.push_back({store::Table::kPeer,
                              receiver_row(row_, receiver),
                              to_value(StoredPeer{message.header.incarnation, message.header.sequence}),
                              {}});
  pending.messages.push_back({receiver, message.header.sequence, std::move(envelope)});
}

void CommitBuilder::add_outcome(std::uint64_t hash, std::string reply, store::Commit& commit, PendingTurn& pending) {
  StoredOutcome outcome;
  if (const detail::EnvelopePtr& answer = pending.effects.reply;
      answer != nullptr && answer->is(detail::Envelope::kFailed)) {
    // Before the first answer leaves: it and those of all duplicates are one text.
    Error& error = answer->payload_as<Error>();
    error = error.flattened();
    set_error(outcome, error);
  }
  outcome.request_hash = hash;
  outcome.at_ms = wall_ms();
  commit.mutations.push_back(
      {store::Table::kOutcome, outcome_row(row_, pending.client_key), to_value(outcome, reply), {}});
  replies_.open(pending.client_key, std::move(outcome), std::move(reply));
}

void CommitBuilder::add_parked(const ActorKey& receiver, const Outbox::Message& message, const Error& cause,
                               store::Commit& commit, PendingTurn& pending) {
  add_dead_letter({to_stored(activation_.key()), message.header, 0, 0, {}, {}}, cause, message.payload, commit,
                  pending);
  std::uint64_t id = outbox_.remove(receiver, message.header.sequence);
  commit.mutations.push_back({store::Table::kOutbox, outbox_row(row_, id), std::nullopt, {}});
  pending.lane = receiver;
}

void CommitBuilder::add_dead_letter(StoredDeadLetter letter, const Error& cause, std::string_view payload,
                                    store::Commit& commit, PendingTurn& pending) {
  Error flat = cause.flattened();
  letter.at_ms = wall_ms();
  letter.cause.data = flat.message();
  letter.domain.data = flat.domain();
  std::uint64_t id = ++actor_.last_dead_letter_id;
  dead_letters_.insert(id);
  ++pending.dead_letters;
  commit.mutations.push_back(
      {store::Table::kOutbox, dead_letter_row(row_, id), to_value(letter, payload), store::Precondition::kAbsent});
}

Status CommitBuilder::add_end_of_dead_letter(std::uint64_t id, Value<StoredDeadLetter>* again, store::Commit& commit,
                                             PendingTurn& pending) {
  if (!dead_letters_.contains(id))
    return fail(Code::kNotFound, fmt::format("{} has no dead letter {}", activation_.key().to_string(), id),
                "PLX-DUR-0020");
  if (again != nullptr) {
    ActorKey receiver = from_stored(again->header.message.receiver);
    Outbox::Addition addition{&receiver, again->tail.size()};
    PLX_TRY_STATUS(outbox_.check_room({&addition, 1}));
    add_message(receiver, std::move(again->header.message), std::move(again->tail), nullptr, commit, pending);
  }
  dead_letters_.erase(id);
  --pending.dead_letters;
  commit.mutations.push_back({store::Table::kOutbox, dead_letter_row(row_, id), std::nullopt, {}});
  return {};
}

StoredRequest CommitBuilder::stored_request(const Turn& turn) const {
  return to_stored(*turn.input, activation_.now(), durability_.clock_.wall_now(), durability_.runtime_.node_name());
}

std::int64_t CommitBuilder::wall_ms() const { return durability_.clock_.wall_now().time_since_epoch().count(); }

}  // namespace plexspaces::durability
