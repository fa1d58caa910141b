// A node as a child process, to be killed and started again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include <sys/types.h>

#include "plexspaces/base/error.hpp"

namespace flights {

/// `PROGRAM dev` on a free port of loopback and one data directory. Killed by the destructor when it still runs.
/// Threads: one.
class NodeProcess {
 public:
  /// `log`: the file that the node's standard error is appended to.
  NodeProcess(std::string program, std::string data_directory, std::string log);
  ~NodeProcess();
  NodeProcess(const NodeProcess&) = delete;
  NodeProcess& operator=(const NodeProcess&) = delete;

  /// Starts it and waits until it answers 200 to GET /healthz/ready, for at most kReadyTimeout.
  /// @error kUnavailable: it did not become ready; the message has what it said.
  plexspaces::Status start();
  /// SIGKILL, and waits for the end.
  void kill();
  /// SIGTERM, and waits for the end, for at most kStopTimeout. @returns the exit code, or minus the signal that ended
  /// it.
  /// @error kDeadlineExceeded.
  plexspaces::Result<int> stop();

  /// How it ended by itself: the exit code, or minus the signal. Nothing while it runs.
  std::optional<int> ended();

  std::uint16_t port() const { return port_; }
  /// Memory that is in use by the process, in bytes (VmRSS).
  std::size_t resident_bytes() const;
  /// The last lines that the node wrote to standard error.
  std::string last_words() const;

 private:
  plexspaces::Status spawn();
  plexspaces::Status read_port();
  plexspaces::Status wait_until_ready();
  plexspaces::Status not_ready(const std::string& why);

  const std::string program_;
  const std::string data_directory_;
  const std::string log_;
  pid_t pid_ = -1;
  int output_ = -1;
  std::uint16_t port_ = 0;
};

}  // namespace flights
