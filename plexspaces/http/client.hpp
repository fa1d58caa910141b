// One request to a server, for the command line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "plexspaces/base/error.hpp"
#include "plexspaces/env/time.hpp"

namespace plexspaces::http {

struct ClientOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 8080;
  Duration silence_max = 60s;
  std::size_t answer_bytes_max = std::size_t{16} << 20;
};

struct ClientRequest {
  std::string method = "GET";
  std::string target = "/";
  std::string body;             // JSON
  std::string idempotency_key;  // empty: none
};

struct ClientAnswer {
  int status = 0;
  std::string body;
};

/// Sends one request on a connection of its own and waits for the answer, whatever its status. Blocks.
/// @error of tcp_exchange(); PLX-HTT-0012: no Idempotency-Key; kUnknown, PLX-HTT-0019: what came back is not an HTTP
/// answer, or larger than answer_bytes_max.
Result<ClientAnswer> send_request(const ClientRequest& request, const ClientOptions& options);

}  // namespace plexspaces::http
