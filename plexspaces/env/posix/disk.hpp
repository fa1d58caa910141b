// Files of the operating system.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "plexspaces/env/disk.hpp"

namespace plexspaces::env {

/// POSIX files: pread and pwrite at offsets, fdatasync for File::sync(), fsync on directories. Every error names the
/// path and what the system said. lock_directory() locks the file LOCK in the directory (flock), which holds the
/// owner's pid.
class PosixDisk final : public Disk {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, Open how) override;
  Status remove(const std::string& path) override;
  Result<bool> exists(const std::string& path) override;
  Status create_directory(const std::string& path) override;
  Status sync_directory(const std::string& path) override;
  Result<std::unique_ptr<DirectoryLock>> lock_directory(const std::string& path) override;
};

/// What a user has named to be read: a file, a pipe (`<(...)`, /dev/stdin) or a device; opened for reading only, read
/// to its end, but at most `bytes_max` bytes. Blocks. @error as Disk::open() and File::read().
Result<std::string> read_input(const std::string& path, std::size_t bytes_max);

}  // namespace plexspaces::env
