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
#include <sys/vfs.h>
#include <unistd.h>

#include "plexspaces/env/posix/descriptor.hpp"

namespace plexspaces::env {

namespace {

// The files of a node are its user's alone, whatever the umask: with 000, as in some containers, everybody could
// exchange them.
constexpr mode_t kFileMode = 0600;
constexpr mode_t kDirectoryMode = 0700;

// The message for errno `error` after `action` ("cannot write") on `path`.
std::unexpected<Error> system_error(std::string_view action, const std::string& path, int error) {
  std::string what = std::generic_category().message(error);
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:  // ulimit -f
      return fail(
          Code::kResourceExhausted,
          fmt::format("{} '{}': {}; free space, or entries for files (df -i), on that disk", action, path, what),
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

// The name of a file system that other machines write too, whose locks and syncs do not bind them reliably; or null.
const char* network_file_system(int descriptor) {
  struct statfs status{};
  if (::fstatfs(descriptor, &status) != 0) return nullptr;
  switch (static_cast<std::uint32_t>(status.f_type)) {  // statfs(2) has the numbers
    case 0x6969:
      return "NFS";
    case 0x517b:
    case 0xff534d42:
    case 0xfe534d42:
      return "SMB";
    case 0x5346414f:
    case 0x6b414653:
      return "AFS";
    case 0x73757245:
      return "Coda";
    case 0x564c:
      return "NCP";
    default:
      return nullptr;
  }
}

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
  Descriptor descriptor(::open(path.c_str(), flags, kFileMode));
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
  std::filesystem::path made;
  for (const std::filesystem::path& part : std::filesystem::path(path)) {
    made /= part;
    if (::mkdir(made.c_str(), kDirectoryMode) == 0 || errno == EEXIST) continue;
    int refused = errno;
    if (!std::filesystem::is_directory(made, error)) return system_error("cannot create the directory", path, refused);
  }
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
  Descriptor descriptor(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kFileMode));
  if (!descriptor) return system_error("cannot open", file, errno);
  if (const char* name = network_file_system(descriptor.get()); name != nullptr)
    return fail(Code::kFailedPrecondition,
                fmt::format("'{}' is on a network file system ({}): its locks and syncs do not keep another machine "
                            "from the same files; choose a directory on a local disk",
                            path, name),
                "PLX-ENV-0010");
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
