#include "plexspaces/durable/records.hpp"

#include <chrono>
#include <utility>

#include <fmt/format.h>

namespace plexspaces::durability {

namespace {

constexpr char kFrom = 'i';  // in a kPeer row: messages from the peer
constexpr char kTo = 'o';    // messages to the peer
constexpr std::size_t kLengthBytes = 4;
constexpr std::uint64_t kFirstTimedKeyMs = 1'420'070'400'000;  // 2015: no ULID or UUIDv7 is older

std::string row(const std::string& actor_row, std::string_view suffix) {
  std::string key;
  key.reserve(actor_row.size() + 1 + suffix.size());
  key.append(actor_row).push_back('\0');
  return key.append(suffix);
}

std::string peer_row(const std::string& actor_row, char direction, const ActorKey& peer) {
  return row(actor_row, std::string(1, direction) + peer.to_row());
}

std::optional<WallTime> plausible(std::uint64_t milliseconds) {
  if (milliseconds < kFirstTimedKeyMs) return std::nullopt;
  return WallTime(std::chrono::milliseconds(milliseconds));
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

std::string join_value(std::string_view header, std::string_view tail) {
  std::string value;
  value.reserve(kLengthBytes + header.size() + tail.size());
  for (std::size_t i = 0; i < kLengthBytes; ++i) value.push_back(static_cast<char>(header.size() >> (8 * i) & 0xff));
  return value.append(header).append(tail);
}

Result<std::pair<std::string_view, std::string_view>> split_value(std::string_view value, std::string_view what) {
  std::size_t length = 0;
  if (value.size() >= kLengthBytes)
    for (std::size_t i = 0; i < kLengthBytes; ++i)
      length |= std::size_t{static_cast<unsigned char>(value[i])} << (8 * i);
  if (value.size() < kLengthBytes || value.size() - kLengthBytes < length)
    return damaged_value(what, Error(Code::kInvalidArgument, "it is shorter than it says"));
  return std::pair(value.substr(kLengthBytes, length), value.substr(kLengthBytes + length));
}

std::unexpected<Error> damaged_value(std::string_view what, const Error& cause) {
  return fail(Code::kDataLoss, fmt::format("a stored {} cannot be read: {}", what, cause.message()), "PLX-DUR-0001");
}

StoredKey to_stored(const ActorKey& key) { return {{key.tenant}, {key.name_space}, {key.type}, {key.key}}; }

ActorKey from_stored(const StoredKey& key) {
  return {key.tenant.data, key.name_space.data, key.type.data, key.key.data};
}

StoredRequest to_stored(const detail::Envelope& message, TimePoint now, WallTime wall_now, std::string_view node) {
  StoredRequest stored;
  const detail::CallContext* context = message.context;
  if (context == nullptr) return stored;
  if (context->request != nullptr) {
    stored.tenant.data = context->request->tenant;
    stored.name_space.data = context->request->name_space;
    stored.principal.data = context->request->principal;
    stored.traceparent.data = context->request->traceparent;
  }
  if (context->deadline != kNever)
    stored.deadline_ms = (wall_now + std::chrono::duration_cast<std::chrono::milliseconds>(context->deadline - now))
                             .time_since_epoch()
                             .count();
  for (; context != nullptr && context->caller; context = context->parent)
    stored.chain.push_back({fmt::format("{}.{}@{}", context->caller.slot, context->caller.generation, node)});
  return stored;
}

RequestContext from_stored(const StoredRequest& request) {
  return {request.tenant.data, request.name_space.data, request.principal.data, request.traceparent.data};
}

void set_error(StoredOutcome& outcome, const Error& error) {
  outcome.code = static_cast<std::uint32_t>(error.code());
  outcome.message.data = error.message();
  outcome.domain.data = error.domain();
  outcome.retry = static_cast<std::uint32_t>(error.retry());
}

Error error_of(const StoredOutcome& outcome) {
  return Error(static_cast<Code>(outcome.code), outcome.message.data, outcome.domain.data,
               static_cast<Error::Retry>(outcome.retry));
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

std::string dead_letter_row(const std::string& actor_row, std::uint64_t id) {
  return outbox_row(actor_row, id | kDeadLetterBit);
}

std::optional<std::uint64_t> dead_letter_id_of(std::uint64_t outbox_id) {
  if ((outbox_id & kDeadLetterBit) == 0) return std::nullopt;
  return outbox_id & ~kDeadLetterBit;
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
    return plausible(milliseconds);
  }
  if (key.size() == 26 && key[0] <= '7') {
    for (std::size_t i = 0; i < 26; ++i) {
      int digit = base32_digit(key[i]);
      if (digit < 0) return std::nullopt;
      if (i < 10) milliseconds = milliseconds << 5 | static_cast<std::uint64_t>(digit);
    }
    return plausible(milliseconds);
  }
  return std::nullopt;
}

}  // namespace plexspaces::durability
