// One blocking connection to a node.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "plexspaces/base/error.hpp"

namespace flights {

struct HttpAnswer {
  unsigned status = 0;
  std::string body;
};

/// Connects to a port of loopback at its first request, and again after a failure. Threads: one.
class HttpClient {
 public:
  explicit HttpClient(std::uint16_t port);
  ~HttpClient();

  /// @error kUnavailable: the connection was refused or lost.
  plexspaces::Result<HttpAnswer> get(const std::string& target);

 private:
  struct Connection;
  const std::uint16_t port_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace flights
