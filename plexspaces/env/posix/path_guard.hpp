// Notices that files were taken away while they are open.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plexspaces/base/error.hpp"

namespace plexspaces::env {

/// Remembers which files some paths lead to. A process that has them open reads and writes on when they are deleted,
/// moved, replaced or hidden by a mount, and all of it is gone when it ends; nothing but the path tells.
/// Threads: any, after it was made. The files stay open elsewhere, so that no other file gets their identity.
class PathGuard {
 public:
  PathGuard() = default;

  /// `paths` are absolute: the process may change its directory. @error as the system says of a path.
  static Result<PathGuard> of(std::vector<std::string> paths);

  /// @error kDataLoss: a path leads to nothing, or to another file. What the system does not let us see is not one.
  Status check() const;

 private:
  struct Guarded {
    std::string path;
    std::uint64_t device = 0;
    std::uint64_t file = 0;
  };
  std::vector<Guarded> guarded_;
};

}  // namespace plexspaces::env
