// Which activation an actor's key has now.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "plexspaces/actor/actor_id.hpp"
#include "plexspaces/base/actor_key.hpp"
#include "plexspaces/base/error.hpp"

namespace plexspaces {

/// The live activations of this node, by key: at most one for each. Threads: any.
class Directory {
 public:
  /// @returns the activation of `key`, made by `create` when there is none. `create` runs under the key's lock.
  Result<ActorId> find_or_create(const ActorKey& key, const std::function<Result<ActorId>()>& create);

  std::optional<ActorId> find(const ActorKey& key) const;

  /// Removes `key` if `close`, which runs under the key's lock, returns true. @returns what it returned.
  bool remove_if(const ActorKey& key, const std::function<bool()>& close);

  /// Removes `key` if its activation is `id`.
  void remove(const ActorKey& key, ActorId id);

  std::size_t size() const;

 private:
  static constexpr std::size_t kParts = 64;
  struct alignas(64) Part {
    mutable std::mutex mutex;
    std::unordered_map<ActorKey, ActorId> activations;
  };
  static std::size_t part_index(const ActorKey& key) { return key.hash() >> 32 & (kParts - 1); }
  std::array<Part, kParts> parts_;
};

}  // namespace plexspaces
