#include "plexspaces/actor/lifecycle/directory.hpp"

namespace plexspaces {

Result<ActorId> Directory::find_or_create(const ActorKey& key, const std::function<Result<ActorId>()>& create) {
  Part& part = parts_[part_index(key)];
  std::lock_guard lock(part.mutex);
  if (auto found = part.activations.find(key); found != part.activations.end()) return found->second;
  PLX_TRY(id, create());
  part.activations.emplace(key, id);
  return id;
}

std::optional<ActorId> Directory::find(const ActorKey& key) const {
  const Part& part = parts_[part_index(key)];
  std::lock_guard lock(part.mutex);
  auto found = part.activations.find(key);
  if (found == part.activations.end()) return std::nullopt;
  return found->second;
}

bool Directory::remove_if(const ActorKey& key, const std::function<bool()>& close) {
  Part& part = parts_[part_index(key)];
  std::lock_guard lock(part.mutex);
  if (!close()) return false;
  part.activations.erase(key);
  return true;
}

void Directory::remove(const ActorKey& key, ActorId id) {
  Part& part = parts_[part_index(key)];
  std::lock_guard lock(part.mutex);
  auto found = part.activations.find(key);
  if (found != part.activations.end() && found->second == id) part.activations.erase(found);
}

std::size_t Directory::size() const {
  std::size_t size = 0;
  for (const Part& part : parts_) {
    std::lock_guard lock(part.mutex);
    size += part.activations.size();
  }
  return size;
}

}  // namespace plexspaces
