// What durability stores: rows and journal entries. Field numbers are for ever.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plexspaces/actor/message/envelope.hpp"
#include "plexspaces/base/actor_key.hpp"
#include "plexspaces/base/bytes.hpp"
#include "plexspaces/codec/codec.hpp"
#include "plexspaces/codec/description.hpp"
#include "plexspaces/env/time.hpp"

namespace plexspaces::durability {

// A stored value is a header, described below, and a tail of raw bytes (a state, a message, a reply), which has its own
// type and may be as large as a message may:
//
//     header length, 4 bytes little-endian | header, protobuf | tail
//
// What comes from outside (keys, trace context, texts of errors) is Bytes: it need not be UTF-8.

std::string join_value(std::string_view header, std::string_view tail);
Result<std::pair<std::string_view, std::string_view>> split_value(std::string_view value, std::string_view what);
std::unexpected<Error> damaged_value(std::string_view what, const Error& cause);

struct StoredKey {
  Bytes tenant, name_space, type, key;
};
PLX_MESSAGE(StoredKey, (1, tenant), (2, name_space), (3, type), (4, key));

StoredKey to_stored(const ActorKey& key);
ActorKey from_stored(const StoredKey& key);

struct StoredRequest {
  Bytes tenant, name_space, principal, traceparent;
  std::optional<std::int64_t> deadline_ms;  // wall clock, of the caller's wait; absent: none
  std::vector<Bytes> chain;                 // who asked, nearest first: "slot.generation@node"
};
PLX_MESSAGE(StoredRequest, (1, tenant), (2, name_space), (3, principal), (4, traceparent), (5, deadline_ms),
            (6, chain));

/// What a message carries besides itself. `now` and `wall_now` are the same moment.
StoredRequest to_stored(const detail::Envelope& message, TimePoint now, WallTime wall_now, std::string_view node);
RequestContext from_stored(const StoredRequest& request);

/// Table::kActor: an actor between its turns. Tail: its state, with the fields that this version does not know; empty
/// when deleted.
struct StoredActor {
  std::uint64_t incarnation = 0;     // how often it was created; a deletion keeps it
  bool deleted = false;              // the row is a tombstone: it keeps incarnation and dedup, not the state
  std::uint64_t last_outbox_id = 0;  // of the messages that it has sent
  std::string state_type;
  std::uint64_t last_dead_letter_id = 0;
};
PLX_MESSAGE(StoredActor, (1, incarnation), (2, deleted), (3, last_outbox_id), (4, state_type),
            (5, last_dead_letter_id));

/// Table::kOutcome: the answer to a request with an idempotency key. Tail: the reply, when code is 0.
struct StoredOutcome {
  std::int64_t at_ms = 0;          // wall clock
  std::uint64_t request_hash = 0;  // of the message: the key stands for this request and no other
  std::uint32_t code = 0;
  Bytes message, domain;  // of an error that is flattened()
  std::uint32_t retry = 0;
};
PLX_MESSAGE(StoredOutcome, (1, at_ms), (2, request_hash), (3, code), (4, message), (5, domain), (6, retry));

/// `error` is flattened(), as the answer is: a duplicate must get the same text.
void set_error(StoredOutcome& outcome, const Error& error);
Error error_of(const StoredOutcome& outcome);

/// Table::kPeer: how far the messages of one pair of actors have come, on either side. No tail.
struct StoredPeer {
  std::uint64_t incarnation = 0;  // of the sender
  std::uint64_t sequence = 0;     // of the last message
};
PLX_MESSAGE(StoredPeer, (1, incarnation), (2, sequence));

/// Table::kOutbox: a message until its receiver has acknowledged it. Tail: the message.
struct StoredMessage {
  StoredKey receiver;
  std::uint64_t incarnation = 0;
  std::uint64_t sequence = 0;  // to this receiver, without gaps
  std::string type;
  StoredRequest request;
};
PLX_MESSAGE(StoredMessage, (1, receiver), (2, incarnation), (3, sequence), (4, type), (5, request));

/// Table::kOutbox too: a message that was given up, in the rows of its receiver, whose handler failed, or of its
/// sender, when it could not be sent. Tail: the message.
struct StoredDeadLetter {
  StoredKey sender;
  StoredMessage message;
  std::int64_t at_ms = 0;  // wall clock
  std::uint32_t attempts = 0;
  Bytes cause, domain;
};
PLX_MESSAGE(StoredDeadLetter, (1, sender), (2, message), (3, at_ms), (4, attempts), (5, cause), (6, domain));

/// The journal entry of a turn: its input. What it changed stands beside it in the same commit. Tail: the message.
struct StoredTurn {
  std::uint32_t input_kind = 0;  // InputId::Kind
  Bytes client_key;
  std::optional<StoredKey> sender;
  std::uint64_t incarnation = 0;
  std::uint64_t sequence = 0;
  std::string type;  // of the message; empty: a deletion
  StoredRequest request;
  std::uint32_t code = 0;  // what the handler returned
};
PLX_MESSAGE(StoredTurn, (1, input_kind), (2, client_key), (3, sender), (4, incarnation), (5, sequence), (6, type),
            (7, request), (8, code));

/// A stored value. The header holds no text from outside and is small, so it can always be written.
template <class Header>
std::string to_value(const Header& header, std::string_view tail = {}) {
  return join_value(encode(header), tail);
}

template <class Header>
struct Value {
  Header header;
  std::string tail;
};

/// @error kDataLoss: `value` is not what to_value() returned; `what` names it.
template <class Header>
Result<Value<Header>> from_value(std::string_view value, std::string_view what) {
  PLX_TRY(parts, split_value(value, what));
  auto header = decode<Header>(parts.first);
  if (!header) return damaged_value(what, header.error());
  return Value<Header>{*std::move(header), std::string(parts.second)};
}

// Row keys.
std::string outcome_row(const std::string& actor_row, std::string_view client_key);
std::string outbox_row(const std::string& actor_row, std::uint64_t id);
std::string sender_row(const std::string& actor_row, const ActorKey& sender);
std::string receiver_row(const std::string& actor_row, const ActorKey& receiver);
/// What stands in a key behind the row of its actor.
std::string_view key_suffix(std::string_view key, std::size_t actor_row_bytes);
std::uint64_t outbox_id_of(std::string_view suffix);
/// Dead letters share the table of the outbox: their ids have the highest bit, which those of messages never reach.
inline constexpr std::uint64_t kDeadLetterBit = std::uint64_t{1} << 63;
std::string dead_letter_row(const std::string& actor_row, std::uint64_t id);
/// The id of the dead letter, when the row with `outbox_id` is one.
std::optional<std::uint64_t> dead_letter_id_of(std::uint64_t outbox_id);

/// When a UUIDv7 or ULID was made; nothing for any other text, and for one that says it is older than either format.
std::optional<WallTime> time_of_key(std::string_view client_key);

}  // namespace plexspaces::durability
