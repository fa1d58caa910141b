// System calls of the test node that fail on demand: the file named by PLX_TEST_FAULT holds "sync", "full" or
// "readonly" while they should, "network" while file systems should be NFS, or "hold" while a sync should wait until
// someone has opened and closed the FIFO of that name with ".fifo". The file named by PLX_TEST_CLOCK holds the seconds
// by which the wall clock is wrong. Defined in the program, they stand before those of the C library.
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

namespace {

const char* fault_path() {
  static const char* const path = std::getenv("PLX_TEST_FAULT");
  return path;
}

bool wanted(const char* fault) {
  const char* path = fault_path();
  if (path == nullptr) return false;
  int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  char text[16] = {};
  ssize_t count = ::read(file, text, sizeof text - 1);
  ::close(file);
  return count > 0 && std::strncmp(text, fault, std::strlen(fault)) == 0;
}

}  // namespace

extern "C" int fdatasync(int file) {
  if (wanted("sync")) {
    errno = EIO;
    return -1;
  }
  if (wanted("hold")) {
    int fifo = ::open((std::string(fault_path()) + ".fifo").c_str(), O_RDONLY | O_CLOEXEC);  // waits for a writer
    char byte;
    while (::read(fifo, &byte, 1) > 0) {
    }
    ::close(fifo);
  }
  return static_cast<int>(::syscall(SYS_fdatasync, file));
}

extern "C" ssize_t pwrite(int file, const void* bytes, size_t count, off_t offset) {
  if (wanted("full")) {
    errno = ENOSPC;
    return -1;
  }
  if (wanted("readonly")) {
    errno = EROFS;
    return -1;
  }
  return ::syscall(SYS_pwrite64, file, bytes, count, offset);
}

extern "C" int fstatfs(int file, struct statfs* status) noexcept {
  int result = static_cast<int>(::syscall(SYS_fstatfs, file, status));
  if (result == 0 && wanted("network")) status->f_type = 0x6969;
  return result;
}

extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
  int result = static_cast<int>(::syscall(SYS_clock_gettime, clock, time));
  static const char* const path = std::getenv("PLX_TEST_CLOCK");
  if (path == nullptr || clock != CLOCK_REALTIME || result != 0) return result;
  int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return result;
  char text[24] = {};
  if (::read(file, text, sizeof text - 1) > 0) time->tv_sec += std::strtoll(text, nullptr, 10);
  ::close(file);
  return result;
}
