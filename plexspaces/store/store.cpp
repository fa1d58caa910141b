#include "plexspaces/store/store.hpp"

#include <fmt/format.h>

namespace plexspaces::store {

Status check_commit(const Commit& commit) {
  std::size_t bytes = 0;
  std::string actor_row = commit.actor.to_row();
  for (const std::string& record : commit.records) bytes += record.size();
  for (const Mutation& mutation : commit.mutations) {
    bytes += mutation.key.size() + (mutation.value ? mutation.value->size() : 0);
    if (mutation.key.empty() || mutation.key.size() > kStoreKeyBytesMax)
      return fail(Code::kInvalidArgument,
                  fmt::format("a row of {} has a key of {} bytes; 1 to {} are allowed", commit.actor.to_string(),
                              mutation.key.size(), kStoreKeyBytesMax),
                  "PLX-STO-0001");
    std::string_view key = mutation.key;
    bool own = key.starts_with(actor_row) &&
               (mutation.table == Table::kActor ? key.size() == actor_row.size()
                                                : key.size() > actor_row.size() && key[actor_row.size()] == '\0');
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
