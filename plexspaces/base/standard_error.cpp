#include "plexspaces/base/standard_error.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <climits>
#include <mutex>
#include <string>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

namespace plexspaces {

namespace {

std::atomic<std::uint64_t> dropped{0};

// Guarded by `mutex`.
std::mutex mutex;
std::uint64_t dropped_unsaid = 0;
bool line_is_open = false;  // a part of a line went out, and its end did not

// A terminal that is ready may have room for less than a line, and a write would wait for the rest. A terminal that is
// opened again is non-blocking for this process alone. @returns -1 for what is no terminal, or cannot be opened.
int open_terminal_again(int descriptor) {
  if (::isatty(descriptor) == 0) return -1;
  char path[32] = "/proc/self/fd/";
  std::to_chars(path + std::string_view(path).size(), path + sizeof path - 1, descriptor);
  return ::open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

}  // namespace

std::size_t write_without_waiting(int descriptor, std::string_view text) {
  const int error_before = errno;
  const int terminal = open_terminal_again(descriptor);
  if (terminal >= 0) descriptor = terminal;
  std::size_t done = 0;
  while (done < text.size()) {
    pollfd state{.fd = descriptor, .events = POLLOUT, .revents = 0};
    int found = ::poll(&state, 1, 0);
    if (found < 0 && errno == EINTR) continue;
    if (found != 1 || state.revents != POLLOUT) break;  // POLLERR too: the reader is gone
    // A pipe that is ready has room for PIPE_BUF bytes. More could wait, and the descriptor cannot be made
    // non-blocking: other processes share it.
    ssize_t put = ::write(descriptor, text.data() + done, std::min<std::size_t>(text.size() - done, PIPE_BUF));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) break;
    done += static_cast<std::size_t>(put);
  }
  if (terminal >= 0) ::close(terminal);
  errno = error_before;
  return done;
}

void write_log_line(std::string_view line) {
  std::lock_guard lock(mutex);
  std::string text;
  if (line_is_open) text += '\n';
  if (dropped_unsaid > 0)
    text += fmt::format("({} log lines are missing here: nobody read standard error)\n", dropped_unsaid);
  const std::size_t said = text.size();
  text += line;
  text += '\n';
  std::size_t done = write_without_waiting(STDERR_FILENO, text);
  if (done > 0) line_is_open = text[done - 1] != '\n';
  if (done >= said) dropped_unsaid = 0;
  if (done == text.size()) return;
  ++dropped_unsaid;
  dropped.fetch_add(1, std::memory_order_relaxed);
}

std::uint64_t dropped_log_lines() { return dropped.load(std::memory_order_relaxed); }

}  // namespace plexspaces
