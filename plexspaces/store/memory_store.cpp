#include "plexspaces/store/memory_store.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace plexspaces::store {

MemoryContents::MemoryContents(env::Random& random) : id(fmt::format("{:016x}{:016x}", random.next(), random.next())) {}

MemoryStore::MemoryStore(std::shared_ptr<MemoryContents> contents)
    : contents_(std::move(contents)), epoch_(++contents_->epoch) {}

std::uint64_t MemoryStore::epoch(std::uint16_t) const { return epoch_; }

std::vector<Outcome> MemoryStore::commit(std::span<const Commit> commits) {
  refusal_.reset();
  std::vector<Outcome> outcomes;
  outcomes.reserve(commits.size());
  for (const Commit& commit : commits) outcomes.push_back(failure_ ? Outcome::kUnknown : decide(commit));
  return outcomes;
}

Outcome MemoryStore::decide(const Commit& commit) {
  std::string row = actor_row(commit.actor);
  if (auto checked = check_commit(commit, row); !checked) {
    refusal_ = checked.error();
    return Outcome::kRefused;
  }
  // The second comparison fences an older opening of the same contents.
  if (commit.epoch != epoch_ || epoch_ != contents_->epoch) return Outcome::kFenced;
  auto standing = contents_->actors.find(row);
  if (commit.expected_sequence != (standing == contents_->actors.end() ? 0 : standing->second.sequence))
    return Outcome::kConflict;
  for (const Mutation& mutation : commit.mutations) {
    bool present = contents_->tables[mutation.table].contains(mutation.key);
    if (mutation.precondition == Precondition::kAbsent && present) return Outcome::kConflict;
    if (mutation.precondition == Precondition::kPresent && !present) return Outcome::kConflict;
  }
  contents_->actors[row] = {commit.expected_sequence + 1, commit.epoch, commit.id, {}};
  for (const Mutation& mutation : commit.mutations) {
    if (mutation.value)
      contents_->tables[mutation.table][mutation.key] = *mutation.value;
    else
      contents_->tables[mutation.table].erase(mutation.key);
  }
  return Outcome::kDone;
}

Result<ActorRow> MemoryStore::load(const ActorKey& actor) {
  if (failure_) return std::unexpected(*failure_);
  std::string row = actor_row(actor);
  ActorRow loaded;
  if (auto found = contents_->actors.find(row); found != contents_->actors.end()) loaded = found->second;
  const auto& states = contents_->tables[Table::kActor];
  if (auto found = states.find(row); found != states.end()) loaded.value = found->second;
  return loaded;
}

Result<ActorRow> MemoryStore::load_rows(
    const ActorKey& actor,
    const std::function<Status(Table table, std::string_view suffix, std::string_view value)>& visit) {
  PLX_TRY(loaded, load(actor));
  std::string prefix = actor_row(actor) + '\0';
  for (const auto& [table, rows] : contents_->tables)
    for (auto at = rows.lower_bound(prefix); at != rows.end() && at->first.starts_with(prefix); ++at)
      PLX_TRY_STATUS(visit(table, std::string_view(at->first).substr(prefix.size()), at->second));
  return loaded;
}

Result<std::optional<std::string>> MemoryStore::get(Table table, std::string_view key) {
  if (failure_) return std::unexpected(*failure_);
  if (table == Table::kActor)
    return fail(Code::kInvalidArgument, "an actor's state is read by load(), not get()", "PLX-STO-0004");
  const auto& rows = contents_->tables[table];
  auto found = rows.find(std::string(key));
  if (found == rows.end()) return std::nullopt;
  return found->second;
}

Status MemoryStore::scan(Table table, std::string_view prefix,
                         const std::function<bool(std::string_view, std::string_view)>& visit) {
  if (failure_) return std::unexpected(*failure_);
  const auto& rows = contents_->tables[table];
  for (auto at = rows.lower_bound(std::string(prefix)); at != rows.end() && at->first.starts_with(prefix); ++at)
    if (!visit(at->first, at->second)) break;
  return {};
}

}  // namespace plexspaces::store
