#include "ledger.hpp"

#include <algorithm>
#include <utility>

namespace plexspaces::test {

namespace {

constexpr int kSuccess = 200;

}  // namespace

Ledger::Id Ledger::open(LedgerRequest request) {
  std::lock_guard lock(mutex_);
  entries_.push_back({std::move(request), std::nullopt, false});
  return entries_.size() - 1;
}

std::optional<LedgerAnswer> Ledger::answered(Id id, LedgerAnswer answer) {
  std::lock_guard lock(mutex_);
  Entry& entry = entries_[id];
  if (entry.answer) return *entry.answer == answer ? std::nullopt : entry.answer;
  if (answer.status != kSuccess) ++refused_count_;
  entry.answer = std::move(answer);
  acknowledged_.push_back(id);
  return std::nullopt;
}

void Ledger::lost(Id id, bool abandon) {
  std::lock_guard lock(mutex_);
  if (entries_[id].answer) return;  // sent again though it was acknowledged
  ++lost_count_;
  if (abandon)
    entries_[id].abandoned = true;
  else
    unknown_.push_back(id);
}

std::optional<Ledger::Id> Ledger::retry() {
  std::lock_guard lock(mutex_);
  if (unknown_.empty()) return std::nullopt;
  Id id = unknown_.back();
  unknown_.pop_back();
  return id;
}

LedgerRequest Ledger::request(Id id) const {
  std::lock_guard lock(mutex_);
  return entries_[id].request;
}

std::vector<Ledger::Id> Ledger::sample(std::size_t recent, std::size_t random) {
  std::lock_guard lock(mutex_);
  std::size_t first = acknowledged_.size() - std::min(recent, acknowledged_.size());
  std::vector<Id> ids(acknowledged_.begin() + static_cast<std::ptrdiff_t>(first), acknowledged_.end());
  for (std::size_t i = 0; i < random && !acknowledged_.empty(); ++i)
    ids.push_back(acknowledged_[std::uniform_int_distribution<std::size_t>(0, acknowledged_.size() - 1)(chance_)]);
  return ids;
}

std::size_t Ledger::below(std::size_t end) {
  std::lock_guard lock(mutex_);
  return std::uniform_int_distribution<std::size_t>(0, end - 1)(chance_);
}

std::map<std::string, Ledger::Book> Ledger::books() const {
  std::lock_guard lock(mutex_);
  std::map<std::string, Book> books;
  for (const Entry& entry : entries_) {
    const LedgerRequest& request = entry.request;
    Book& book = books[request.account];
    if (entry.abandoned) ++book.abandoned;
    if (!entry.answer || entry.answer->status != kSuccess) continue;
    if (request.to.empty()) {
      book.added += request.amount;
      book.answers.push_back(std::stoll(entry.answer->body));
    } else {
      book.moved_out += request.amount;
      books[request.to].moved_in += request.amount;
    }
  }
  return books;
}

std::size_t Ledger::acknowledged() const {
  std::lock_guard lock(mutex_);
  return acknowledged_.size();
}

std::size_t Ledger::lost_count() const {
  std::lock_guard lock(mutex_);
  return lost_count_;
}

std::size_t Ledger::refused_count() const {
  std::lock_guard lock(mutex_);
  return refused_count_;
}

}  // namespace plexspaces::test
