// What durability stores: rows and journal entries. Field numbers are for ever.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "plexspaces/actor/envelope.hpp"
#include "plexspaces/base/actor_key.hpp"
#include "plexspaces/base/bytes.hpp"
#include "plexspaces/codec/codec.hpp"
#include "plexspaces/codec/description.hpp"
#include "plexspaces/env/time.hpp"

namespace plexspaces::durability {

struct StoredKey {
  std::string tenant, name_space, type, key;
};
PLX_MESSAGE(StoredKey, (1, tenant), (2, name_space), (3, type), (4, key));

StoredKey to_stored(const ActorKey& key);
ActorKey from_stored(StoredKey key);

struct StoredRequest {
  std::string tenant, name_space, principal, traceparent;
};
PLX_MESSAGE(StoredRequest, (1, tenant), (2, name_space), (3, principal), (4, traceparent));

/// Table::kActor: an actor between its turns.
struct StoredActor {
  std::uint64_t incarnation = 0;     // how often it was created; a deletion keeps it
  bool deleted = false;              // the row is a tombstone: it keeps incarnation and dedup, not the state
  std::uint64_t last_outbox_id = 0;  // of the messages that it has sent
  std::string state_type;
  Bytes state;  // with the fields that this version does not know
};
PLX_MESSAGE(StoredActor, (1, incarnation), (2, deleted), (3, last_outbox_id), (4, state_type), (5, state));

/// Table::kOutcome: the answer to a request with an idempotency key.
struct StoredOutcome {
  std::int64_t at_ms = 0;  // wall clock
  Bytes reply;
  std::uint32_t code = 0;  // 0: `reply` counts; else the rest
  std::string message, domain;
  std::uint32_t retry = 0;
  std::uint64_t request_hash = 0;  // of the message: the key stands for this request and no other
};
PLX_MESSAGE(StoredOutcome, (1, at_ms), (2, reply), (3, code), (4, message), (5, domain), (6, retry), (7, request_hash));

StoredOutcome to_stored(const Error& error);
Error error_of(const StoredOutcome& outcome);

/// Table::kPeer: how far the messages of one pair of actors have come, on either side.
struct StoredPeer {
  std::uint64_t incarnation = 0;  // of the sender
  std::uint64_t sequence = 0;     // of the last message
};
PLX_MESSAGE(StoredPeer, (1, incarnation), (2, sequence));

/// Table::kOutbox: a message until its receiver has acknowledged it.
struct StoredMessage {
  StoredKey receiver;
  std::uint64_t incarnation = 0;
  std::uint64_t sequence = 0;  // to this receiver, without gaps
  std::string type;
  Bytes payload;
  StoredRequest request;
};
PLX_MESSAGE(StoredMessage, (1, receiver), (2, incarnation), (3, sequence), (4, type), (5, payload), (6, request));

/// The journal entry of a turn: its input. What it changed stands beside it in the same commit.
struct StoredTurn {
  std::uint32_t input_kind = 0;  // InputId::Kind
  std::string client_key;
  StoredKey sender;
  std::uint64_t incarnation = 0;
  std::uint64_t sequence = 0;
  std::string type;  // of the message; empty: a deletion
  Bytes payload;
  StoredRequest request;
  std::uint32_t code = 0;  // what the handler returned
};
PLX_MESSAGE(StoredTurn, (1, input_kind), (2, client_key), (3, sender), (4, incarnation), (5, sequence), (6, type),
            (7, payload), (8, request), (9, code));

// Row keys.
std::string outcome_row(const std::string& actor_row, std::string_view client_key);
std::string outbox_row(const std::string& actor_row, std::uint64_t id);
std::string sender_row(const std::string& actor_row, const ActorKey& sender);
std::string receiver_row(const std::string& actor_row, const ActorKey& receiver);
/// What stands in a key behind the row of its actor.
std::string_view key_suffix(std::string_view key, std::size_t actor_row_bytes);
std::uint64_t outbox_id_of(std::string_view suffix);

/// When a UUIDv7 or ULID was made; nothing for any other text.
std::optional<WallTime> time_of_key(std::string_view client_key);

}  // namespace plexspaces::durability
