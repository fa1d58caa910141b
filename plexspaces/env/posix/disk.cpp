#include "plexspaces/env/posix/disk.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plexspaces/env/posix/descriptor.hpp"

namespace plexspaces::env {

namespace {

// The message for errno `error` after `action` ("cannot write") on `path`.
std::unexpected<Error> system_error(std::string_view action, const std::string& path, int error) {
  std::string what = std::generic_category().message(error);
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:  // ulimit -f
      return fail(Code::kResourceExhausted, fmt::format("{} '{}': {}; free space on that disk", action, path, what),
                  "PLX-ENV-0001", Error::Retry::kBackoff);
    case EMFILE:
    case ENFILE:
      return fail(Code::kResourceExhausted,
                  fmt::format("{} '{}': {}; allow this process more open files (ulimit -n)", action, path, what),
                  "PLX-ENV-0008", Error::Retry::kBackoff);
    case ENOENT:
      return fail(Code::kNotFound, fmt::format("{} '{}': {}", action, path, what), "PLX-ENV-0002");
    case EACCES:
    case EPERM:
    case EROFS:
    case ENOTDIR:
      return fail(Code::kPermissionDenied,
                  fmt::format("{} '{}': {}; choose another path or change its permissions", action, path, what),
                  "PLX-ENV-0003");
    default:
      return fail(Code::kUnavailable, fmt::format("{} '{}': {}", action, path, what), "PLX-ENV-0004");
  }
}

class PosixFile final : public File {
 public:
  PosixFile(Descriptor descriptor, std::string path) : descriptor_(std::move(descriptor)), path_(std::move(path)) {}

  Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> into) override {
    std::size_t done = 0;
    while (done < into.size()) {
      ssize_t got =
          ::pread(descriptor_.get(), into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return system_error("cannot read", path_, errno);
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    return done;
  }

  Status write(std::uint64_t offset, std::span<const std::byte> bytes) override {
    std::size_t done = 0;
    while (done < bytes.size()) {
      ssize_t put =
          ::pwrite(descriptor_.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return system_error("cannot write", path_, errno);
      done += static_cast<std::size_t>(put);
    }
    return {};
  }

  Status truncate(std::uint64_t size) override {
    if (::ftruncate(descriptor_.get(), static_cast<off_t>(size)) != 0)
      return system_error("cannot truncate", path_, errno);
    return {};
  }

  Result<std::uint64_t> size() override {
    struct stat status{};
    if (::fstat(descriptor_.get(), &status) != 0) return system_error("cannot read the size of", path_, errno);
    return static_cast<std::uint64_t>(status.st_size);
  }

  Status sync() override {
    if (::fdatasync(descriptor_.get()) == 0) return {};
    // EINTR too: the kernel may have started, and a second call reports success for pages that it has dropped.
    return fail(Code::kUnknown,
                fmt::format("cannot sync '{}': {}; what is on the disk is not known", path_,
                            std::generic_category().message(errno)),
                "PLX-ENV-0005");
  }

 private:
  Descriptor descriptor_;
  std::string path_;
};

class PosixDirectoryLock final : public DirectoryLock {
 public:
  explicit PosixDirectoryLock(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}

 private:
  // The file stays: removing it would let two processes lock two files of one name.
  Descriptor descriptor_;
};

// The pid that the holder of the lock wrote, or empty.
std::string holder(int descriptor) {
  std::array<char, 24> text{};
  ssize_t got = ::pread(descriptor, text.data(), text.size(), 0);
  std::string pid;
  for (ssize_t i = 0; i < got && text[static_cast<std::size_t>(i)] >= '0' && text[static_cast<std::size_t>(i)] <= '9';
       ++i)
    pid.push_back(text[static_cast<std::size_t>(i)]);
  return pid;
}

}  // namespace

Result<std::unique_ptr<File>> PosixDisk::open(const std::string& path, Open how) {
  int flags = O_RDWR | O_CLOEXEC | (how == Open::kCreate ? O_CREAT : 0);
  Descriptor descriptor(::open(path.c_str(), flags, 0644));
  if (!descriptor) return system_error("cannot open", path, errno);
  return std::make_unique<PosixFile>(std::move(descriptor), path);
}

Status PosixDisk::remove(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return system_error("cannot remove", path, errno);
  return {};
}

Result<bool> PosixDisk::exists(const std::string& path) {
  if (::access(path.c_str(), F_OK) == 0) return true;
  if (errno == ENOENT) return false;
  return system_error("cannot look for", path, errno);
}

Status PosixDisk::create_directory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return system_error("cannot create the directory", path, error.value());
  if (!std::filesystem::is_directory(path, error)) return system_error("cannot use as a directory", path, ENOTDIR);
  if (::access(path.c_str(), R_OK | W_OK | X_OK) != 0) return system_error("cannot use the directory", path, errno);
  return {};
}

Status PosixDisk::sync_directory(const std::string& path) {
  Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!descriptor) return system_error("cannot open the directory", path, errno);
  if (::fsync(descriptor.get()) == 0) return {};
  return fail(Code::kUnknown,
              fmt::format("cannot sync the directory '{}': {}", path, std::generic_category().message(errno)),
              "PLX-ENV-0005");
}

Result<std::unique_ptr<DirectoryLock>> PosixDisk::lock_directory(const std::string& path) {
  std::string file = path + "/LOCK";
  Descriptor descriptor(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!descriptor) return system_error("cannot open", file, errno);
  if (::flock(descriptor.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return system_error("cannot lock", file, errno);
    std::string pid = holder(descriptor.get());
    return fail(Code::kFailedPrecondition,
                fmt::format("'{}' is in use by another process{}: stop it or choose another directory", path,
                            pid.empty() ? "" : fmt::format(" (pid {})", pid)),
                "PLX-ENV-0006");
  }
  // The pid is a courtesy to the next one who is refused; the lock holds without it.
  std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(descriptor.get(), 0) != 0 || ::pwrite(descriptor.get(), pid.data(), pid.size(), 0) < 0)
    return system_error("cannot write", file, errno);
  return std::make_unique<PosixDirectoryLock>(std::move(descriptor));
}

Result<std::string> read_input(const std::string& path, std::size_t bytes_max) {
  constexpr std::size_t kPieceBytes = 16'384;
  Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!descriptor) return system_error("cannot open", path, errno);
  std::string text;
  while (text.size() < bytes_max) {
    std::size_t begin = text.size();
    text.resize(std::min(bytes_max, begin + kPieceBytes));
    ssize_t got = ::read(descriptor.get(), text.data() + begin, text.size() - begin);
    if (got < 0 && errno != EINTR) return system_error("cannot read", path, errno);
    text.resize(begin + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) break;
  }
  return text;
}

}  // namespace plexspaces::env
