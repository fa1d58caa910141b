#include "plexspaces/durable/outbox.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "plexspaces/base/check.hpp"

namespace plexspaces::durability {

namespace {

// What a message costs in memory beside its payload, at least.
constexpr std::size_t kMessageBytes = 256;
constexpr std::uint32_t kDoublingsMax = 20;

}  // namespace

std::size_t Outbox::bytes_of(const Message& message) { return kMessageBytes + message.payload.size(); }

void Outbox::load(std::vector<std::pair<ActorKey, StoredPeer>> receivers,
                  std::vector<std::pair<std::uint64_t, Value<StoredMessage>>> messages) {
  for (auto& [key, peer] : receivers) {
    Lane& lane = lanes_[std::move(key)];
    lane.last_sequence = peer.sequence;
    lane.next = peer.sequence + 1;
  }
  for (auto& [id, row] : messages) {
    Entry& entry = *lanes_.try_emplace(from_stored(row.header.receiver)).first;
    Lane& lane = entry.second;
    std::uint64_t sequence = row.header.sequence;
    lane.last_sequence = std::max(lane.last_sequence, sequence);
    lane.next = std::min(lane.next, sequence);
    // An earlier process may have sent it.
    Message message{id, std::move(row.header), std::move(row.tail), true, 1, {}};
    lane.bytes += bytes_of(message);
    bytes_ += bytes_of(message);
    ++size_;
    lane.messages.emplace(sequence, std::move(message));
    activate(entry);
    lane.held = true;
    set_due(lane, TimePoint::min());
  }
}

Status Outbox::check_room(std::span<const Addition> additions) const {
  auto full = [](std::string_view where, std::size_t messages, std::size_t bytes, std::string_view options) {
    return fail(Code::kResourceExhausted,
                fmt::format("{} would hold {} messages with {} bytes that are not acknowledged; the limits are {}",
                            where, messages, bytes, options),
                "PLX-DUR-0008", Error::Retry::kBackoff);
  };
  std::size_t bytes = bytes_;
  std::unordered_map<ActorKey, std::pair<std::size_t, std::size_t>> per_receiver;
  for (const Addition& addition : additions) {
    std::size_t more = kMessageBytes + addition.bytes;
    bytes += more;
    auto& [lane_messages, lane_bytes] = per_receiver[*addition.receiver];
    if (lane_messages == 0)
      if (auto lane = lanes_.find(*addition.receiver); lane != lanes_.end()) {
        lane_messages = lane->second.messages.size();
        lane_bytes = lane->second.bytes;
      }
    ++lane_messages;
    lane_bytes += more;
    if (lane_messages > options_.receiver_messages_max || lane_bytes > options_.receiver_bytes_max)
      return full("the lane to " + addition.receiver->to_string(), lane_messages, lane_bytes,
                  fmt::format("receiver_messages_max = {} and receiver_bytes_max = {}", options_.receiver_messages_max,
                              options_.receiver_bytes_max));
  }
  if (size_ + additions.size() > options_.outbox_messages_max || bytes > options_.outbox_bytes_max)
    return full("the outbox", size_ + additions.size(), bytes,
                fmt::format("outbox_messages_max = {} and outbox_bytes_max = {}", options_.outbox_messages_max,
                            options_.outbox_bytes_max));
  return {};
}

const Outbox::Message& Outbox::add(const ActorKey& receiver, std::uint64_t id, StoredMessage header,
                                   std::string payload) {
  Entry& entry = *lanes_.try_emplace(receiver).first;
  Lane& lane = entry.second;
  header.sequence = ++lane.last_sequence;
  std::uint64_t sequence = header.sequence;
  Message message{id, std::move(header), std::move(payload), false, 0, {}};
  lane.bytes += bytes_of(message);
  bytes_ += bytes_of(message);
  ++size_;
  activate(entry);
  return lane.messages.emplace_hint(lane.messages.end(), sequence, std::move(message))->second;
}

void Outbox::committed(const ActorKey& receiver, std::uint64_t sequence) {
  lanes_.at(receiver).messages.at(sequence).committed = true;
}

void Outbox::abandoned(const ActorKey& receiver, std::uint64_t sequence) {
  Entry& entry = *lanes_.find(receiver);
  auto found = entry.second.messages.find(sequence);
  if (found != entry.second.messages.end()) erase(entry.second, found);
  deactivate_if_empty(entry);
}

std::vector<std::uint64_t> Outbox::acknowledged(const ActorKey& receiver, std::uint64_t sequence, TimePoint now) {
  std::vector<std::uint64_t> rows;
  auto found = lanes_.find(receiver);
  if (found == lanes_.end()) return rows;
  Lane& lane = found->second;
  auto message = lane.messages.begin();
  std::optional<Duration> round_trip;
  while (message != lane.messages.end() && message->first <= sequence) {
    // Of a message that was sent twice nobody knows which one was acknowledged (Karn and Partridge, 1987).
    if (message->second.sent == 1 && message->second.sent_at != TimePoint{}) round_trip = now - message->second.sent_at;
    rows.push_back(message->second.id);
    message = erase(lane, message);
  }
  if (rows.empty()) return rows;
  if (round_trip) measure(lane, *round_trip);
  lane.timeouts = 0;
  lane.window = std::min(kWindowMax, lane.window + rows.size());
  lane.next = std::max(lane.next, sequence + 1);
  if (!lane.held) {
    set_due(lane, kNever);
    if (lane.in_flight > 0) set_due_after_timeout(lane, now);
  }
  deactivate_if_empty(*found);
  return rows;
}

void Outbox::missed(const ActorKey& receiver, std::uint64_t sequence, TimePoint now) {
  auto found = lanes_.find(receiver);
  if (found == lanes_.end() || found->second.held || found->second.stopped) return;
  Lane& lane = found->second;
  rewind(lane, sequence);
  set_due(lane, kNever);
  if (lane.in_flight > 0) set_due_after_timeout(lane, now);
}

void Outbox::held(const ActorKey& receiver, std::uint64_t sequence, Duration delay, TimePoint now) {
  auto found = lanes_.find(receiver);
  if (found == lanes_.end() || found->second.messages.empty() || found->second.stopped) return;
  Lane& lane = found->second;
  rewind(lane, sequence);
  lane.window = std::max<std::size_t>(1, lane.in_flight + 1);
  lane.held = true;
  set_due(lane, saturating_add(now, delay));
}

void Outbox::refused(const ActorKey& receiver, std::uint64_t sequence, TimePoint now) {
  auto found = lanes_.find(receiver);
  if (found == lanes_.end()) return;
  Lane& lane = found->second;
  rewind(lane, sequence);
  if (auto message = lane.messages.find(sequence); message != lane.messages.end()) --message->second.sent;
  lane.window = std::max<std::size_t>(1, lane.in_flight);
  if (lane.in_flight > 0) return;
  lane.held = true;
  set_due_after_timeout(lane, now);
}

const Outbox::Message* Outbox::take_next(const ActorKey& receiver, TimePoint now) {
  auto found = lanes_.find(receiver);
  if (found == lanes_.end()) return nullptr;
  Lane& lane = found->second;
  if (lane.held || lane.stopped || lane.in_flight >= lane.window) return nullptr;
  auto next = lane.messages.lower_bound(lane.next);
  if (next == lane.messages.end() || !next->second.committed) return nullptr;
  Message& message = next->second;
  ++message.sent;
  message.sent_at = now;
  lane.next = next->first + 1;
  ++lane.in_flight;
  if (lane.due == kNever) set_due_after_timeout(lane, now);
  return &message;
}

const Outbox::Message* Outbox::unsendable(const ActorKey& receiver, std::uint64_t sequence) {
  Lane& lane = lanes_.at(receiver);
  rewind(lane, sequence);
  lane.messages.at(sequence).sent = 0;
  if (lane.messages.begin()->first != sequence) return nullptr;
  lane.stopped = true;
  set_due(lane, kNever);
  return &lane.messages.begin()->second;
}

std::uint64_t Outbox::remove(const ActorKey& receiver, std::uint64_t sequence) {
  Lane& lane = lanes_.at(receiver);
  auto message = lane.messages.find(sequence);
  PLX_CHECK(message != lane.messages.end(), "a message is removed once");
  std::uint64_t id = message->second.id;
  erase(lane, message);
  lane.next = std::max(lane.next, sequence + 1);
  return id;
}

void Outbox::resume(const ActorKey& receiver) {
  auto found = lanes_.find(receiver);
  if (found == lanes_.end()) return;
  found->second.stopped = false;
  deactivate_if_empty(*found);
}

std::uint64_t Outbox::lowest_unacknowledged(const ActorKey& receiver) const {
  auto found = lanes_.find(receiver);
  if (found == lanes_.end()) return 1;
  const Lane& lane = found->second;
  return lane.messages.empty() ? lane.last_sequence + 1 : lane.messages.begin()->first;
}

std::uint64_t Outbox::last_sequence(const ActorKey& receiver) const {
  auto found = lanes_.find(receiver);
  return found == lanes_.end() ? 0 : found->second.last_sequence;
}

std::vector<ActorKey> Outbox::take_due(TimePoint now) {
  std::vector<ActorKey> due;
  earliest_ = kNever;
  for (Entry* entry : active_) {
    Lane& lane = entry->second;
    if (lane.due <= now) {
      if (lane.held) {
        lane.held = false;
      } else {
        ++lane.timeouts;
        lane.window = 1;
        rewind(lane, lane.messages.begin()->first);
      }
      lane.due = kNever;
      due.push_back(entry->first);
    }
    earliest_ = std::min(earliest_, lane.due);
  }
  return due;
}

Duration Outbox::resend_after(const ActorKey& receiver) const {
  auto found = lanes_.find(receiver);
  return found == lanes_.end() ? options_.resend_after : timeout_of(found->second);
}

// As TCP does it (RFC 6298), with resend_after as the least.
Duration Outbox::timeout_of(const Lane& lane) const {
  Duration timeout = std::clamp(lane.round_trip + 4 * lane.deviation, options_.resend_after, options_.resend_after_max);
  for (std::uint32_t i = 0; i < std::min(lane.timeouts, kDoublingsMax) && timeout < options_.resend_after_max; ++i)
    timeout = timeout < options_.resend_after_max / 2 ? timeout * 2 : options_.resend_after_max;
  return timeout;
}

void Outbox::measure(Lane& lane, Duration round_trip) {
  if (lane.round_trip == Duration::zero()) {
    lane.round_trip = round_trip;
    lane.deviation = round_trip / 2;
    return;
  }
  Duration error = round_trip > lane.round_trip ? round_trip - lane.round_trip : lane.round_trip - round_trip;
  lane.deviation += (error - lane.deviation) / 4;
  lane.round_trip += (round_trip - lane.round_trip) / 8;
}

void Outbox::set_due(Lane& lane, TimePoint due) {
  lane.due = due;
  earliest_ = std::min(earliest_, due);
}

// The jitter, up to a quarter, keeps the senders of one receiver from coming all at once.
void Outbox::set_due_after_timeout(Lane& lane, TimePoint now) {
  Duration timeout = timeout_of(lane);
  auto jitter =
      Duration(static_cast<Duration::rep>(random_.below(static_cast<std::uint64_t>(timeout.count()) / 4 + 1)));
  set_due(lane, saturating_add(saturating_add(now, timeout), jitter));
}

void Outbox::rewind(Lane& lane, std::uint64_t sequence) {
  if (sequence >= lane.next) return;
  lane.next = sequence;
  lane.in_flight = static_cast<std::size_t>(std::distance(lane.messages.begin(), lane.messages.lower_bound(sequence)));
}

void Outbox::activate(Entry& entry) {
  if (entry.second.active != SIZE_MAX) return;
  entry.second.active = active_.size();
  active_.push_back(&entry);
}

void Outbox::deactivate_if_empty(Entry& entry) {
  Lane& lane = entry.second;
  if (!lane.messages.empty() || lane.active == SIZE_MAX) return;
  active_.back()->second.active = lane.active;
  active_[lane.active] = active_.back();
  active_.pop_back();
  lane.active = SIZE_MAX;
  lane.held = false;
  lane.due = kNever;
}

std::map<std::uint64_t, Outbox::Message>::iterator Outbox::erase(Lane& lane,
                                                                 std::map<std::uint64_t, Message>::iterator message) {
  lane.bytes -= bytes_of(message->second);
  bytes_ -= bytes_of(message->second);
  --size_;
  if (message->first < lane.next) --lane.in_flight;
  return lane.messages.erase(message);
}

}  // namespace plexspaces::durability
