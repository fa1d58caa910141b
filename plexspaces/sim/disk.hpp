// A disk in memory that loses, tears and refuses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "plexspaces/env/disk.hpp"
#include "plexspaces/sim/world.hpp"

namespace plexspaces::sim {

/// The disk of one simulated machine. It outlives the processes that use it.
///
///     write, truncate, create, remove  ->  cache  --sync-->  durable
///     crash(): each change in the cache is kept, lost or torn at 512-byte sectors, as the seed says; then the durable
///              contents are all there is, every open File is dead and every lock is free
///
/// The name of a file or directory is durable when the directory that it lies in was synced; a directory that is lost
/// takes what lies in it along, synced or not. The root ("" or ".") is always there.
///
/// An operation is a call of File or Disk other than size(), exists() and opening a file that is there. All of them are
/// counted, so that a test can let the process die at each one in turn: `for n: disk.die_at(n); run; disk.crash();
/// check`.
///
/// Threads: one. Lifetime: outlives its files and locks.
class SimDisk final : public env::Disk {
 public:
  explicit SimDisk(World& world);
  ~SimDisk() override;

  Result<std::unique_ptr<env::File>> open(const std::string& path, Open how) override;
  Status remove(const std::string& path) override;
  Result<bool> exists(const std::string& path) override;
  Status create_directory(const std::string& path) override;
  Status sync_directory(const std::string& path) override;
  Result<std::unique_ptr<env::DirectoryLock>> lock_directory(const std::string& path) override;

  /// The machine loses power and is up again. Disarms die_at() and fail_*().
  void crash();
  /// Only the process dies, as by SIGKILL: the cache survives, still unsynced.
  void kill();

  /// The n-th operation from now and all later ones fail without effect, until crash() or kill(). n >= 1.
  void die_at(std::uint64_t n);
  /// The n-th File::sync() from now fails once, and drops what was not synced: it is read back until the crash, then
  /// gone, though later syncs succeed. n >= 1.
  void fail_sync(std::uint64_t n);
  /// The n-th File::write() from now fails once with kUnavailable; a part of it may be written. n >= 1.
  void fail_write(std::uint64_t n);
  /// The n-th File::read() from now fails once with kUnavailable. n >= 1.
  void fail_read(std::uint64_t n);
  /// Files may grow by `bytes` more in all; nothing removes the limit.
  void limit_space(std::optional<std::uint64_t> bytes);

  bool dead() const { return dead_; }
  std::uint64_t operations() const { return operations_; }
  std::uint64_t reads() const { return reads_; }
  std::uint64_t syncs() const { return syncs_; }

  /// For tests that damage files. contents() is what a read sees; set_contents() is durable at once and creates the
  /// file and its directories.
  std::optional<std::string> contents(const std::string& path) const;
  void set_contents(const std::string& path, std::string bytes);
  std::vector<std::string> files() const;

 private:
  class SimFile;
  class SimLock;

  struct Change {
    bool truncates = false;
    std::uint64_t offset = 0;  // of the bytes, or the new size
    std::string bytes;
  };
  struct Inode {
    std::string cached;
    std::string durable;
    std::vector<Change> unsynced;
  };
  using InodePtr = std::shared_ptr<Inode>;  // shared by the two name tables and the open files, as on a real disk

  bool is_directory(const std::string& path) const;
  Status count_operation(std::string_view what, const std::string& path);
  Status write(Inode& inode, const std::string& path, std::uint64_t offset, std::span<const std::byte> bytes);
  Status truncate(Inode& inode, const std::string& path, std::uint64_t size);
  Status sync(Inode& inode, const std::string& path);
  Status read_fails(const std::string& path);
  void settle(Inode& inode, bool keep_all);
  void settle_directories(bool keep_all);
  void settle_all(bool keep_all);
  std::uint64_t used() const;

  World& world_;
  std::map<std::string, InodePtr> names_;          // as the process sees them
  std::map<std::string, InodePtr> durable_names_;  // as they are after a crash
  std::set<std::string> directories_;              // as the process sees them
  std::set<std::string> durable_directories_;      // as they are after a crash
  std::map<std::string, std::uint64_t> locks_;     // directory -> generation of the holder
  std::uint64_t generation_ = 0;                   // of the process: files and locks of an earlier one are dead
  std::uint64_t operations_ = 0;
  std::uint64_t reads_ = 0;
  std::uint64_t writes_ = 0;
  std::uint64_t syncs_ = 0;
  std::optional<std::uint64_t> die_at_;
  std::optional<std::uint64_t> fail_sync_at_;
  std::optional<std::uint64_t> fail_write_at_;
  std::optional<std::uint64_t> fail_read_at_;
  std::optional<std::uint64_t> space_;
  bool dead_ = false;
};

}  // namespace plexspaces::sim
