// Where connections come in.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "plexspaces/base/error.hpp"

namespace boost::asio {
class io_context;
}

namespace plexspaces::env {

class TcpSocket;  // tcp_socket.hpp

/// A bound TCP port.
///
///     open() -> bound and listening: the kernel queues connections
///     start() -> each is accepted into the context that `choose` names -> `accepted`, on the listener's thread
///     stop() -> the port is closed; nothing is accepted after it
///
/// When the process is out of file descriptors it waits and tries again: connections stay in the kernel's queue.
/// Threads: open() and the destructor any, before and after the context runs; start(), stop() any; callbacks run on the
/// thread of the listener's context. Lifetime: `io` outlives it.
class TcpListener {
 public:
  /// Binds `address` (an IPv4 or IPv6 address, not a name) and `port` (0: a free one).
  /// @error kInvalidArgument: not an address, or one that this machine does not have. kAlreadyExists: the port is in
  /// use. kPermissionDenied: the system lets only privileged processes bind it.
  static Result<TcpListener> open(boost::asio::io_context& io, const std::string& address, std::uint16_t port);

  TcpListener(TcpListener&&) noexcept;
  TcpListener& operator=(TcpListener&&) noexcept;
  ~TcpListener();  // stop()s

  /// The bound port.
  std::uint16_t port() const;

  /// Begins to accept. Once.
  void start(std::function<boost::asio::io_context&()> choose, std::function<void(TcpSocket)> accepted);

  void stop();

 private:
  struct Impl;
  explicit TcpListener(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;  // shared with the accept that is under way
};

}  // namespace plexspaces::env
