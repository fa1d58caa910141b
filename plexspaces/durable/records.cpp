#include "plexspaces/durable/records.hpp"

#include <chrono>
#include <utility>

namespace plexspaces::durability {

namespace {

constexpr char kFrom = 'i';  // in a kPeer row: messages from the peer
constexpr char kTo = 'o';    // messages to the peer

std::string row(const std::string& actor_row, std::string_view suffix) {
  std::string key;
  key.reserve(actor_row.size() + 1 + suffix.size());
  key.append(actor_row).push_back('\0');
  return key.append(suffix);
}

std::string peer_row(const std::string& actor_row, char direction, const ActorKey& peer) {
  return row(actor_row, std::string(1, direction) + peer.to_row());
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Crockford's base 32, as ULID uses it.
int base32_digit(char c) {
  constexpr std::string_view digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  std::size_t found = digits.find(c);
  return found == std::string_view::npos ? -1 : static_cast<int>(found);
}

}  // namespace

StoredKey to_stored(const ActorKey& key) { return {key.tenant, key.name_space, key.type, key.key}; }

ActorKey from_stored(StoredKey key) {
  return {std::move(key.tenant), std::move(key.name_space), std::move(key.type), std::move(key.key)};
}

StoredOutcome to_stored(const Error& error) {
  StoredOutcome outcome;
  outcome.code = static_cast<std::uint32_t>(error.code());
  outcome.message = error.message();
  outcome.domain = error.domain();
  outcome.retry = static_cast<std::uint32_t>(error.retry());
  return outcome;
}

Error error_of(const StoredOutcome& outcome) {
  return Error(static_cast<Code>(outcome.code), outcome.message, outcome.domain, static_cast<Retry>(outcome.retry));
}

std::string outcome_row(const std::string& actor_row, std::string_view client_key) {
  return row(actor_row, client_key);
}

std::string outbox_row(const std::string& actor_row, std::uint64_t id) {
  std::string suffix(8, '\0');
  for (int i = 7; i >= 0; --i, id >>= 8) suffix[static_cast<std::size_t>(i)] = static_cast<char>(id & 0xff);
  return row(actor_row, suffix);
}

std::string sender_row(const std::string& actor_row, const ActorKey& sender) {
  return peer_row(actor_row, kFrom, sender);
}

std::string receiver_row(const std::string& actor_row, const ActorKey& receiver) {
  return peer_row(actor_row, kTo, receiver);
}

std::string_view key_suffix(std::string_view key, std::size_t actor_row_bytes) {
  return key.substr(actor_row_bytes + 1);
}

std::uint64_t outbox_id_of(std::string_view suffix) {
  std::uint64_t id = 0;
  for (char byte : suffix) id = id << 8 | static_cast<unsigned char>(byte);
  return id;
}

std::optional<WallTime> time_of_key(std::string_view key) {
  std::uint64_t milliseconds = 0;
  if (key.size() == 36 && key[8] == '-' && key[13] == '-' && key[18] == '-' && key[23] == '-' && key[14] == '7') {
    for (std::size_t i = 0; i < 36; ++i) {
      if (i == 8 || i == 13 || i == 18 || i == 23) continue;
      int digit = hex_digit(key[i]);
      if (digit < 0) return std::nullopt;
      if (i < 13) milliseconds = milliseconds << 4 | static_cast<std::uint64_t>(digit);
    }
    return WallTime(std::chrono::milliseconds(milliseconds));
  }
  if (key.size() == 26 && key[0] <= '7') {
    for (std::size_t i = 0; i < 26; ++i) {
      int digit = base32_digit(key[i]);
      if (digit < 0) return std::nullopt;
      if (i < 10) milliseconds = milliseconds << 5 | static_cast<std::uint64_t>(digit);
    }
    return WallTime(std::chrono::milliseconds(milliseconds));
  }
  return std::nullopt;
}

}  // namespace plexspaces::durability
