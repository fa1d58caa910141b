// The port to files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "plexspaces/base/error.hpp"

namespace plexspaces::env {

/// An open file, read and written at offsets. Bytes written are durable only after sync() returned without error;
/// before that a crash may keep them, lose them, or keep a part (whole sectors of 512 bytes). Bytes that were not
/// written over stay what they were. A write that fails may have changed a part of its bytes, again in whole
/// sectors.
///
/// Threads: one at a time. Closed by its destructor.
class File {
 public:
  virtual ~File() = default;

  /// @returns the number of bytes read: fewer than asked only at the end of the file.
  virtual Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> into) = 0;
  /// Writes all of `bytes`. @error kResourceExhausted: the disk is full. kUnavailable: any other failure.
  virtual Status write(std::uint64_t offset, std::span<const std::byte> bytes) = 0;
  virtual Status truncate(std::uint64_t size) = 0;
  virtual Result<std::uint64_t> size() = 0;
  /// Makes everything written so far durable. @error kUnknown: what is on the disk is no longer known; a second sync()
  /// would not tell (the kernel may have dropped the pages, though reads still show them). The caller must stop using
  /// the file.
  virtual Status sync() = 0;
};

/// A directory that one process holds. Released by its destructor and by the end of the process.
class DirectoryLock {
 public:
  virtual ~DirectoryLock() = default;
};

/// Files by path. Threads: any.
class Disk {
 public:
  virtual ~Disk() = default;

  enum class Open { kExisting, kCreate };  // kCreate opens the file if it is there

  /// @error kNotFound: kExisting and there is none. kPermissionDenied, kUnavailable: as the system says, with the path.
  virtual Result<std::unique_ptr<File>> open(const std::string& path, Open how) = 0;
  virtual Status remove(const std::string& path) = 0;  // also when there is none
  virtual Result<bool> exists(const std::string& path) = 0;
  /// Creates the directory and its parents; durable by sync_directory() of the directory that each lies in
  /// (create_directory_durably()). @error kPermissionDenied: it is there but not writable, or cannot be made.
  virtual Status create_directory(const std::string& path) = 0;
  /// Makes creations and removals in `path` durable.
  virtual Status sync_directory(const std::string& path) = 0;
  /// @error kFailedPrecondition: another process (or an earlier lock of this one) holds it; the message names its pid
  /// where the system tells.
  virtual Result<std::unique_ptr<DirectoryLock>> lock_directory(const std::string& path) = 0;
};

/// Disk::create_directory(), durable when it returns: each directory is made, and the one that it lies in synced,
/// before the next. What was there is synced too, because its maker may have ended in between.
/// @error as create_directory() and sync_directory() say.
Status create_directory_durably(Disk& disk, const std::string& path);

}  // namespace plexspaces::env
