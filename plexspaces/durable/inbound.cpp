#include "plexspaces/durable/inbound.hpp"

#include <algorithm>

namespace plexspaces::durability {

void Inbound::load(std::vector<std::pair<ActorKey, StoredPeer>> rows) {
  for (auto& [sender, peer] : rows) senders_.emplace(std::move(sender), peer);
}

std::uint64_t Inbound::position(const ActorKey& sender) const {
  auto found = senders_.find(sender);
  return found == senders_.end() ? 0 : found->second.sequence;
}

Inbound::Verdict Inbound::check(const InputId& id, TimePoint now) {
  std::uint64_t last = position(id.sender);
  if (id.sequence <= last) return Verdict::kDuplicate;
  if (!troubles_.empty())
    if (auto trouble = troubles_.find(id.sender); trouble != troubles_.end() && now < trouble->second.held_until)
      return Verdict::kHeld;
  // The sender has taken out what is between the two: it could not be sent.
  if (id.sequence == last + 1 || id.sequence == id.lowest_unacknowledged) return Verdict::kNext;
  Trouble& trouble = troubles_[id.sender];
  if (std::exchange(trouble.gap_told_at, last) == last) return Verdict::kKnownGap;
  return Verdict::kGap;
}

StoredPeer Inbound::applied(const InputId& id) {
  if (!troubles_.empty()) troubles_.erase(id.sender);
  return senders_[id.sender] = {id.incarnation, id.sequence};
}

std::optional<Duration> Inbound::failed(const InputId& id, TimePoint now) {
  Trouble& trouble = troubles_[id.sender];
  if (++trouble.attempts >= options_.message_attempts_max) return std::nullopt;
  Duration delay = options_.retry_after;
  for (std::uint32_t i = 1; i < trouble.attempts && delay < options_.retry_after_max; ++i)
    delay = delay < options_.retry_after_max / 2 ? delay * 2 : options_.retry_after_max;
  trouble.held_until = saturating_add(now, delay);
  return delay;
}

Duration Inbound::hold_longest(const InputId& id, TimePoint now) {
  troubles_[id.sender].held_until = saturating_add(now, options_.retry_after_max);
  return options_.retry_after_max;
}

}  // namespace plexspaces::durability
