// The HTTP/1.1 server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "plexspaces/base/error.hpp"
#include "plexspaces/env/clock.hpp"
#include "plexspaces/http/deadlines.hpp"
#include "plexspaces/http/message.hpp"
#include "plexspaces/http/request_parser.hpp"

namespace plexspaces::env {
class PosixExecutor;
}

namespace plexspaces::http {

class ServerCore;

struct ServerOptions {
  std::string address = "127.0.0.1";            // an IP address of this machine
  std::uint16_t port = 8080;                    // 0: a free one, see Server::port()
  std::vector<std::string> allowed_hosts = {};  // names besides those of loopback: check_same_origin()
  RequestLimits limits = {};
  std::size_t connections_max = 1024;
  std::size_t refusals_max = 64;  // connections over the limit that are told so; beyond that they are closed
  Duration request_timeout =
      30s;  // longest that a request waits; its header `Request-Timeout: <seconds>` may ask for less
  Deadlines deadlines = {};
  Duration sweep_interval = 250ms;  // how exactly the deadlines are kept
};

/// Serves HTTP/1.1 on one port by one handler.
///
///     listener -> connections, dealt in turn to the executor's workers
///     worker:     read -> handler(request, respond) ... respond from any thread -> the connection's worker -> write
///
/// Guarantees
///  - A request is answered once, answers in the order of the requests. One at a time is with the handler per
///  connection;
///    further ones wait in the socket.
///  - A page of another site in a browser of this machine reaches no handler (check_same_origin()), and neither does a
///    request whose end could be read in two ways (RequestParser); both end the connection.
///  - What the limits refuse is answered by the status that says so (400, 408, 413, 414, 431, 503, 504) and costs
///  bounded
///    memory and no thread; a client that is too slow is cut (INV-G4).
/// Threads: the handler runs on workers; start(), stop() and the rest on any other thread.
/// Lifetime: executor, clock and what the handler refers to outlive the server; the executor runs until stop()
/// returned.
class Server {
 public:
  /// @error of the listener (TcpListener::open): the port is in use, ...
  static Result<std::unique_ptr<Server>> start(env::PosixExecutor& executor, const env::Clock& clock,
                                               ServerOptions options, Handler handler);
  ~Server();  // stop(0)s

  std::uint16_t port() const;
  std::size_t connections() const;

  /// Stops to accept, closes idle connections, lets requests in flight be answered (with `Connection: close`), and
  /// after `grace` closes what is left. Returns when no connection is left and the handler is not called again. A
  /// second call does nothing.
  void stop(Duration grace);

  /// Closes or answers every connection whose deadline has passed. Runs by itself; for tests that move the clock.
  void sweep();

 private:
  explicit Server(std::shared_ptr<ServerCore> core);
  std::shared_ptr<ServerCore> core_;  // shared with its connections: late answers may come after the server is gone
};

}  // namespace plexspaces::http
