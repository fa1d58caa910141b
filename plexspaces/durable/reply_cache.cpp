#include "plexspaces/durable/reply_cache.hpp"

#include <algorithm>
#include <chrono>

#include "plexspaces/env/probe.hpp"

namespace plexspaces::durability {

void ReplyCache::load(std::vector<std::pair<std::string, Value<StoredOutcome>>> rows) {
#ifdef PLX_BUG_DEDUP_WINDOW_OF_ONE
  if (rows.size() > 1) rows.erase(rows.begin(), rows.end() - 1);
#endif
  for (auto& [key, row] : rows) {
    by_age_.emplace_back(row.header.at_ms, key);
    answers_.emplace(std::move(key), Answer{false, std::move(row.header), std::move(row.tail)});
  }
  std::ranges::sort(by_age_);
}

const ReplyCache::Answer* ReplyCache::find(const std::string& key) const {
  auto found = answers_.find(key);
  return found == answers_.end() ? nullptr : &found->second;
}

Status ReplyCache::check_new(std::string_view key, WallTime now) const {
  auto made = time_of_key(key);
  if (made && *made + std::chrono::duration_cast<std::chrono::milliseconds>(limits_.retention) <= now)
    return fail(Code::kFailedPrecondition,
                "the idempotency key is older than answers are remembered: whether its request was carried out is "
                "not known any more; read the actor, then use a new key",
                "PLX-DUR-0003");
  if (answers_.size() >= limits_.answers_max)
    return fail(Code::kResourceExhausted, "the actor remembers as many answers as outcomes_max allows: retry later",
                "PLX-DUR-0004");
  return {};
}

Status ReplyCache::check_same(const Answer& answer, std::uint64_t request_hash) {
  if (answer.outcome.request_hash == request_hash) return {};
  return fail(Code::kInvalidArgument, "the idempotency key was used with another request: use a new key",
              "PLX-DUR-0005");
}

void ReplyCache::open(const std::string& key, StoredOutcome outcome, std::string reply) {
#ifdef PLX_BUG_DEDUP_WINDOW_OF_ONE
  std::erase_if(answers_, [](const auto& entry) { return !entry.second.open; });
#endif
  std::erase(forgotten_, key);  // the row is written anew
  by_age_.emplace_back(outcome.at_ms, key);
  answers_.insert_or_assign(key, Answer{true, std::move(outcome), std::move(reply)});
}

const ReplyCache::Answer* ReplyCache::committed(const std::string& key) {
  auto found = answers_.find(key);
  if (found == answers_.end() || !found->second.open) return nullptr;
  found->second.open = false;
  return &found->second;
}

void ReplyCache::forget_expired(WallTime now) {
  auto retention = std::chrono::duration_cast<std::chrono::milliseconds>(limits_.retention);
  while (!by_age_.empty()) {
    auto& [at_ms, key] = by_age_.front();
    auto found = answers_.find(key);
    if (found == answers_.end() || found->second.open) return;
    if (WallTime(std::chrono::milliseconds(found->second.outcome.at_ms)) + retention > now) return;
    reached(Probe::kOutcomeExpired);
    answers_.erase(found);
    forgotten_.push_back(std::move(key));
    by_age_.pop_front();
  }
}

std::vector<std::string> ReplyCache::take_forgotten(std::size_t count_max) {
  std::size_t count = std::min(count_max, forgotten_.size());
  auto first = forgotten_.end() - static_cast<std::ptrdiff_t>(count);
  std::vector<std::string> taken(std::make_move_iterator(first), std::make_move_iterator(forgotten_.end()));
  forgotten_.erase(first, forgotten_.end());
  return taken;
}

}  // namespace plexspaces::durability
