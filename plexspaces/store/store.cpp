#include "plexspaces/store/store.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "plexspaces/base/limits.hpp"

namespace plexspaces::store {

std::string actor_row(const ActorKey& actor) {
  static_assert(kShardCount <= 256, "a shard is one byte of each key");
  std::string row;
  constexpr std::size_t kSeparators = 3;
  row.reserve(1 + actor.tenant.size() + actor.name_space.size() + actor.type.size() + actor.key.size() + kSeparators);
  row.push_back(static_cast<char>(actor.shard()));
  actor.append_row(row);
  return row;
}

Result<ActorKey> actor_of(std::string_view key) {
  std::string_view row = key.substr(std::min<std::size_t>(1, key.size()));
  // Three NULs are between the parts of an actor's key; a fourth ends it.
  std::size_t end = 0;
  for (int part = 0; part < 4 && end != std::string_view::npos; ++part) end = row.find('\0', part == 0 ? 0 : end + 1);
  return ActorKey::from_row(row.substr(0, end));
}

Status check_commit(const Commit& commit, std::string_view row) {
  std::size_t bytes = 0;
  for (const std::string& record : commit.records) bytes += record.size();
  for (const Mutation& mutation : commit.mutations) {
    bytes += mutation.key.size() + (mutation.value ? mutation.value->size() : 0);
    if (mutation.key.empty() || mutation.key.size() > kStoreKeyBytesMax)
      return fail(Code::kInvalidArgument,
                  fmt::format("a row of {} has a key of {} bytes; 1 to {} are allowed", commit.actor.to_string(),
                              mutation.key.size(), kStoreKeyBytesMax),
                  "PLX-STO-0001");
    std::string_view key = mutation.key;
    bool own =
        key.starts_with(row) && (mutation.table == Table::kActor ? key.size() == row.size()
                                                                 : key.size() > row.size() && key[row.size()] == '\0');
    if (!own)
      return fail(Code::kInvalidArgument,
                  fmt::format("a commit of {} changes a row of another actor", commit.actor.to_string()),
                  "PLX-STO-0002");
  }
  if (bytes > kCommitBytesMax)
    return fail(Code::kInvalidArgument,
                fmt::format("a commit of {} has {} bytes; the limit is {}: split the turn", commit.actor.to_string(),
                            bytes, kCommitBytesMax),
                "PLX-STO-0003");
  return {};
}

}  // namespace plexspaces::store
