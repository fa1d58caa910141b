#include "plexspaces/env/disk.hpp"

#include <algorithm>
#include <string_view>

namespace plexspaces::env {

namespace {

std::string parent_of(std::string_view path) {
  auto slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return std::string(path.substr(0, slash == 0 ? 1 : slash));
}

}  // namespace

Status create_directory_durably(Disk& disk, const std::string& path) {
  std::string existing;  // the deepest directory that was there
  auto sync_existing = [&]() -> Status {
    if (existing.empty()) return {};
    auto synced = disk.sync_directory(parent_of(existing));
    existing.clear();
    // It was there, and lies in a directory that this process may not read: then others have to see to it.
    if (!synced && synced.error().code() == Code::kPermissionDenied) return {};
    return synced;
  };
  bool missing = false;
  for (std::size_t end = 0; end < path.size();) {
    std::size_t begin = path.find_first_not_of('/', end);
    if (begin == std::string::npos) break;
    end = std::min(path.find('/', begin), path.size());
    std::string directory = path.substr(0, end);
    if (!missing) {
      PLX_TRY(exists, disk.exists(directory));
      if (exists) {
        existing = std::move(directory);
        continue;
      }
      missing = true;
    }
    PLX_TRY_STATUS(sync_existing());
    PLX_TRY_STATUS(disk.create_directory(directory));
    PLX_TRY_STATUS(disk.sync_directory(parent_of(directory)));
  }
  PLX_TRY_STATUS(sync_existing());
  return disk.create_directory(path);
}

}  // namespace plexspaces::env
