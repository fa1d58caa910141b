#include "plexspaces/env/posix/path_guard.hpp"

#include <cerrno>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <sys/stat.h>

namespace plexspaces::env {

Result<PathGuard> PathGuard::of(std::vector<std::string> paths) {
  PathGuard guard;
  for (std::string& path : paths) {
    struct stat found{};
    if (::stat(path.c_str(), &found) != 0)
      return fail(Code::kUnavailable,
                  fmt::format("cannot look for '{}': {}", path, std::generic_category().message(errno)),
                  "PLX-ENV-0004");
    guard.guarded_.push_back({std::move(path), found.st_dev, found.st_ino});
  }
  return guard;
}

Status PathGuard::check() const {
  for (const Guarded& guarded : guarded_) {
    struct stat found{};
    if (::stat(guarded.path.c_str(), &found) == 0) {
      if (found.st_dev == guarded.device && found.st_ino == guarded.file) continue;
      return fail(Code::kDataLoss,
                  fmt::format("'{}' is another file than the one in use: it was replaced", guarded.path),
                  "PLX-ENV-0009");
    }
    if (errno != ENOENT && errno != ENOTDIR && errno != ESTALE) continue;
    return fail(Code::kDataLoss, fmt::format("'{}' is gone: it was deleted or moved while in use", guarded.path),
                "PLX-ENV-0009");
  }
  return {};
}

}  // namespace plexspaces::env
