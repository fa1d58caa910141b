// System calls of the test node that fail on demand: the file named by PLX_TEST_FAULT holds "sync" or "full" while they
// should, or "hold" while a sync should wait until someone has opened and closed the FIFO of that name with ".fifo".
// Defined in the program, they stand before those of the C library.
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <sys/syscall.h>
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
  char text[8] = {};
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
  return ::syscall(SYS_pwrite64, file, bytes, count, offset);
}
