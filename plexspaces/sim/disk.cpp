#include "plexspaces/sim/disk.hpp"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "plexspaces/env/probe.hpp"

namespace plexspaces::sim {

namespace {

constexpr std::uint64_t kSectorBytes = 512;

std::string parent_of(const std::string& path) {
  auto slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

// The root may be written in two ways.
std::string name_of(const std::string& directory) { return directory == "." ? std::string() : directory; }

std::unexpected<Error> no_such(std::string_view action, const std::string& path) {
  return fail(Code::kNotFound, fmt::format("cannot {} '{}': there is no such file or directory", action, path),
              "PLX-SIM-0002");
}

void put(std::string& content, std::uint64_t offset, std::string_view bytes) {
  if (content.size() < offset + bytes.size()) content.resize(offset + bytes.size(), '\0');
  std::memcpy(content.data() + offset, bytes.data(), bytes.size());
}

}  // namespace

class SimDisk::SimFile final : public env::File {
 public:
  SimFile(SimDisk& disk, InodePtr inode, std::string path)
      : disk_(disk), inode_(std::move(inode)), path_(std::move(path)), generation_(disk.generation_) {}

  Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> into) override {
    PLX_TRY_STATUS(alive());
    PLX_TRY_STATUS(disk_.count_operation("read", path_));
    PLX_TRY_STATUS(disk_.read_fails(path_));
    const std::string& content = inode_->cached;
    if (offset >= content.size()) return std::size_t{0};
    std::size_t count = std::min<std::size_t>(into.size(), content.size() - offset);
    std::memcpy(into.data(), content.data() + offset, count);
    return count;
  }
  Status write(std::uint64_t offset, std::span<const std::byte> bytes) override {
    PLX_TRY_STATUS(alive());
    return disk_.write(*inode_, path_, offset, bytes);
  }
  Status truncate(std::uint64_t size) override {
    PLX_TRY_STATUS(alive());
    return disk_.truncate(*inode_, path_, size);
  }
  Result<std::uint64_t> size() override {
    PLX_TRY_STATUS(alive());
    return inode_->cached.size();
  }
  Status sync() override {
    PLX_TRY_STATUS(alive());
    return disk_.sync(*inode_, path_);
  }

 private:
  Status alive() const {
    if (!disk_.dead_ && generation_ == disk_.generation_) return {};
    return fail(Code::kUnavailable, fmt::format("'{}': the process is dead", path_), "PLX-SIM-0001");
  }

  SimDisk& disk_;
  InodePtr inode_;
  std::string path_;
  std::uint64_t generation_;
};

class SimDisk::SimLock final : public env::DirectoryLock {
 public:
  SimLock(SimDisk& disk, std::string path) : disk_(disk), path_(std::move(path)), generation_(disk.generation_) {
    disk_.locks_[path_] = generation_;
  }
  SimLock(const SimLock&) = delete;
  SimLock& operator=(const SimLock&) = delete;
  ~SimLock() override {
    if (generation_ == disk_.generation_) disk_.locks_.erase(path_);
  }

 private:
  SimDisk& disk_;
  std::string path_;
  std::uint64_t generation_;
};

SimDisk::SimDisk(World& world) : world_(world) {}
SimDisk::~SimDisk() = default;

Status SimDisk::count_operation(std::string_view what, const std::string& path) {
  if (!dead_) {
    ++operations_;
    world_.note(stable_hash(what));
    if (die_at_ && operations_ >= *die_at_) {
      dead_ = true;
      reached(Probe::kSimDied);
    }
  }
  if (!dead_) return {};
  return fail(Code::kUnavailable, fmt::format("cannot {} '{}': the process is dead", what, path), "PLX-SIM-0001");
}

Result<std::unique_ptr<env::File>> SimDisk::open(const std::string& path, Open how) {
  if (dead_) return std::unexpected(count_operation("open", path).error());
  auto found = names_.find(path);
  if (found == names_.end()) {
    if (how == Open::kExisting || !is_directory(parent_of(path))) return no_such("open", path);
    PLX_TRY_STATUS(count_operation("create", path));
    found = names_.emplace(path, std::make_shared<Inode>()).first;
  }
  return std::make_unique<SimFile>(*this, found->second, path);
}

Status SimDisk::remove(const std::string& path) {
  PLX_TRY_STATUS(count_operation("remove", path));
  names_.erase(path);
  return {};
}

Result<bool> SimDisk::exists(const std::string& path) {
  if (dead_) return std::unexpected(count_operation("look for", path).error());
  return names_.contains(path) || is_directory(path);
}

bool SimDisk::is_directory(const std::string& path) const {
  std::string name = name_of(path);
  return name.empty() || directories_.contains(name);
}

Status SimDisk::create_directory(const std::string& path) {
  PLX_TRY_STATUS(count_operation("create the directory", path));
  for (std::string name = name_of(path); !name.empty(); name = parent_of(name)) {
    if (names_.contains(name))
      return fail(Code::kPermissionDenied, fmt::format("cannot create the directory '{}': '{}' is a file", path, name),
                  "PLX-SIM-0007");
    directories_.insert(name);
  }
  return {};
}

Status SimDisk::sync_directory(const std::string& path) {
  PLX_TRY_STATUS(count_operation("sync the directory", path));
  if (!is_directory(path)) return no_such("sync the directory", path);
  std::string parent = name_of(path);
  std::erase_if(durable_names_, [&](const auto& entry) { return parent_of(entry.first) == parent; });
  for (const auto& [name, inode] : names_)
    if (parent_of(name) == parent) durable_names_[name] = inode;
  for (const std::string& name : directories_)
    if (parent_of(name) == parent) durable_directories_.insert(name);
  return {};
}

Status SimDisk::read_fails(const std::string& path) {
  if (++reads_; !fail_read_at_ || reads_ != *fail_read_at_) return {};
  fail_read_at_.reset();
  return fail(Code::kUnavailable, fmt::format("cannot read '{}': input/output error", path), "PLX-SIM-0008");
}

Result<std::unique_ptr<env::DirectoryLock>> SimDisk::lock_directory(const std::string& path) {
  PLX_TRY_STATUS(count_operation("lock", path));
  if (!is_directory(path)) return no_such("lock", path);
  if (locks_.contains(path))
    return fail(Code::kFailedPrecondition,
                fmt::format("'{}' is in use by another process: stop it or choose another directory", path),
                "PLX-SIM-0003");
  return std::make_unique<SimLock>(*this, path);
}

Status SimDisk::write(Inode& inode, const std::string& path, std::uint64_t offset, std::span<const std::byte> bytes) {
  PLX_TRY_STATUS(count_operation("write", path));
  world_.note(offset);
  std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  // A write that fails may have got through in part, like any loop around pwrite; no sector is written in part.
  auto put_part = [&] {
    std::uint64_t part = world_.random.below(text.size() + 1);
    if (part < text.size()) {
      std::uint64_t end = (offset + part) / kSectorBytes * kSectorBytes;
      text.resize(end > offset ? end - offset : 0);
    }
    if (text.empty()) return;
    put(inode.cached, offset, text);
    inode.unsynced.push_back({.offset = offset, .bytes = std::move(text)});
  };
  if (++writes_; fail_write_at_ && writes_ == *fail_write_at_) {
    fail_write_at_.reset();
    put_part();
    return fail(Code::kUnavailable, fmt::format("cannot write '{}': input/output error", path), "PLX-SIM-0004");
  }
  std::uint64_t end = offset + text.size();
  std::uint64_t growth = end > inode.cached.size() ? end - inode.cached.size() : 0;
  if (space_ && growth > 0 && used() + growth > *space_) {
    reached(Probe::kSimDiskFull);
    std::uint64_t room = *space_ > used() ? *space_ - used() : 0;
    text.resize(std::min<std::uint64_t>(text.size(), text.size() - growth + room));
    put_part();
    return fail(Code::kResourceExhausted, fmt::format("cannot write '{}': no space left", path), "PLX-SIM-0005",
                Error::Retry::kBackoff);
  }
  put(inode.cached, offset, text);
  inode.unsynced.push_back({.offset = offset, .bytes = std::move(text)});
  return {};
}

Status SimDisk::truncate(Inode& inode, const std::string& path, std::uint64_t size) {
  PLX_TRY_STATUS(count_operation("truncate", path));
  inode.cached.resize(size, '\0');
  inode.unsynced.push_back({.truncates = true, .offset = size});
  return {};
}

Status SimDisk::sync(Inode& inode, const std::string& path) {
  PLX_TRY_STATUS(count_operation("sync", path));
  if (++syncs_; fail_sync_at_ && syncs_ == *fail_sync_at_) {
    fail_sync_at_.reset();
    inode.unsynced.clear();  // the kernel marks the pages clean; the cache still shows them
    reached(Probe::kSimSyncFailed);
    return fail(Code::kUnknown, fmt::format("cannot sync '{}': input/output error", path), "PLX-SIM-0006");
  }
  for (Change& change : inode.unsynced) {
    if (change.truncates)
      inode.durable.resize(change.offset, '\0');
    else
      put(inode.durable, change.offset, change.bytes);
  }
  inode.unsynced.clear();
  return {};
}

// Applies the crash rule to the unsynced changes of one file.
void SimDisk::settle(Inode& inode, bool keep_all) {
  // Some crashes come before anything was written back, some after nearly all was.
  std::uint64_t style = world_.random.below(4);
  for (Change& change : inode.unsynced) {
    std::uint64_t fate = keep_all ? 0 : style == 3 ? 2 : world_.random.below(3);
    if (fate == 0) {
      if (change.truncates)
        inode.durable.resize(change.offset, '\0');
      else
        put(inode.durable, change.offset, change.bytes);
      reached(Probe::kSimWriteKeptUnsynced);
    } else if (fate == 1 && !change.truncates) {
      for (std::uint64_t at = 0; at < change.bytes.size();) {
        std::uint64_t sector_end = (change.offset + at) / kSectorBytes * kSectorBytes + kSectorBytes;
        std::uint64_t count = std::min<std::uint64_t>(change.bytes.size() - at, sector_end - (change.offset + at));
        if (world_.random.one_in(2))
          put(inode.durable, change.offset + at, std::string_view(change.bytes).substr(at, count));
        at += count;
      }
      reached(Probe::kSimWriteTorn);
    } else {
      reached(Probe::kSimWriteLost);
    }
  }
  inode.unsynced.clear();
  inode.cached = inode.durable;
}

// Which directories a crash leaves. Sorted by name they come after the one that they lie in.
void SimDisk::settle_directories(bool keep_all) {
  std::set<std::string> after;
  for (const std::string& name : directories_) {
    bool kept = durable_directories_.contains(name) || keep_all || world_.random.one_in(2);
    std::string parent = parent_of(name);
    if (kept && (parent.empty() || after.contains(parent)))
      after.insert(name);
    else
      reached(Probe::kSimCreationLost);
  }
  directories_ = after;
  durable_directories_ = std::move(after);
}

void SimDisk::settle_all(bool keep_all) {
  settle_directories(keep_all);
  std::set<std::string> all;
  for (const auto& [name, inode] : names_) all.insert(name);
  for (const auto& [name, inode] : durable_names_) all.insert(name);
  std::map<std::string, InodePtr> after;
  for (const std::string& name : all) {
    auto now = names_.find(name);
    auto durable = durable_names_.find(name);
    bool changed = now == names_.end() || durable == durable_names_.end() || now->second != durable->second;
    bool keep_change = keep_all || world_.random.one_in(2);
    if (changed && !keep_change) reached(Probe::kSimCreationLost);
    if (changed && !keep_change) {
      if (durable != durable_names_.end()) after[name] = durable->second;
    } else if (now != names_.end()) {
      after[name] = now->second;
    }
  }
  std::erase_if(after, [&](const auto& entry) { return !is_directory(parent_of(entry.first)); });
  names_ = after;
  durable_names_ = std::move(after);
  // In the order of names, so that the seed's choices fall on the same files in every run.
  for (const auto& [name, inode] : names_) settle(*inode, keep_all);
}

void SimDisk::crash() {
  settle_all(world_.random.one_in(4));
  kill();
}

void SimDisk::kill() {
  locks_.clear();
  ++generation_;
  dead_ = false;
  die_at_.reset();
  fail_sync_at_.reset();
  fail_write_at_.reset();
  fail_read_at_.reset();
}

void SimDisk::die_at(std::uint64_t n) { die_at_ = operations_ + n; }
void SimDisk::fail_sync(std::uint64_t n) { fail_sync_at_ = syncs_ + n; }
void SimDisk::fail_write(std::uint64_t n) { fail_write_at_ = writes_ + n; }
void SimDisk::fail_read(std::uint64_t n) { fail_read_at_ = reads_ + n; }
void SimDisk::limit_space(std::optional<std::uint64_t> bytes) {
  space_ = bytes ? std::optional(used() + *bytes) : std::nullopt;
}

std::uint64_t SimDisk::used() const {
  std::uint64_t sum = 0;
  for (const auto& [name, inode] : names_) sum += inode->cached.size();
  return sum;
}

std::optional<std::string> SimDisk::contents(const std::string& path) const {
  auto found = names_.find(path);
  if (found == names_.end()) return std::nullopt;
  return found->second->cached;
}

void SimDisk::set_contents(const std::string& path, std::string bytes) {
  auto inode = std::make_shared<Inode>();
  inode->cached = bytes;
  inode->durable = std::move(bytes);
  names_[path] = inode;
  durable_names_[path] = std::move(inode);
  for (std::string name = parent_of(path); !name.empty(); name = parent_of(name)) {
    directories_.insert(name);
    durable_directories_.insert(name);
  }
}

std::vector<std::string> SimDisk::files() const {
  std::vector<std::string> paths;
  for (const auto& [name, inode] : names_) paths.push_back(name);
  return paths;
}

}  // namespace plexspaces::sim
