// File descriptors that do not take the place of a standard stream.
#pragma once

#include <utility>

namespace plexspaces::env {

/// Occupies the numbers of standard input, output and error as far as they are closed, so that nothing opened later
/// gets one: what the program prints would be written into it. Reading and writing them fails as before. Open ones are
/// left alone. Threads: any. Called by run(), and by PosixExecutor for programs that embed the library.
void occupy_standard_streams();

/// Owns a file descriptor, which is never one of the standard streams: one that the system has put there, because the
/// program has closed them, is moved above, and the number occupied. Threads: one at a time.
class Descriptor {
 public:
  Descriptor() = default;
  /// Takes what a system call has returned; negative is none. When it has to be moved and there is no room, it is
  /// closed. errno says why there is none.
  explicit Descriptor(int fd);
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();

  explicit operator bool() const { return fd_ >= 0; }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

}  // namespace plexspaces::env
