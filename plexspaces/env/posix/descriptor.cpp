#include "plexspaces/env/posix/descriptor.hpp"

#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

namespace plexspaces::env {

namespace {

constexpr int kFirst = STDERR_FILENO + 1;

// Something at the lowest free number that can be neither read (as standard input) nor written (as the others).
int open_placeholder(int number) {
  int fd = ::open("/dev/null", number == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  return fd >= 0 ? fd : ::open("/", O_PATH);  // where there is no /dev
}

bool is_open(int number) { return ::fcntl(number, F_GETFD) >= 0; }

}  // namespace

void occupy_standard_streams() {
  for (int number = 0; number < kFirst; ++number) {
    if (is_open(number)) continue;
    int fd = open_placeholder(number);
    if (fd >= kFirst) ::close(fd);  // another thread was faster
  }
}

Descriptor::Descriptor(int fd) : fd_(fd) {
  if (fd < 0 || fd >= kFirst) return;
  fd_ = ::fcntl(fd, F_DUPFD_CLOEXEC, kFirst);
  int error = errno;
  occupy_standard_streams();  // the other two
  // In one step, so that no other thread opens something there in between.
  if (int placeholder = open_placeholder(fd); placeholder >= 0) {
    ::dup2(placeholder, fd);
    if (placeholder >= kFirst) ::close(placeholder);
  } else {
    ::close(fd);
  }
  errno = error;
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace plexspaces::env
