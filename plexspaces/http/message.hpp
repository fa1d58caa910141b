// An HTTP request and its answer, without the protocol around them.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plexspaces/env/time.hpp"

namespace plexspaces::http {

/// The header fields of one request.
class Headers {
 public:
  virtual ~Headers() = default;
  /// @returns the value of the field, whatever the case of its name; empty when there is none. Of a field that was sent
  /// more than once, the first.
  virtual std::string_view find(std::string_view name) const = 0;
  virtual bool repeated(std::string_view name) const = 0;
};

/// One request. The views and the headers are valid until the handler returns; the body is the handler's to take.
struct Request {
  std::string_view method;  // "GET"
  std::string_view target;  // as sent: "/api/v1/actors/shop/airport?key=SFO"
  const Headers& headers;
  std::string body;
  Duration timeout;  // how long the client is ready to wait, within the server's own limit
};

struct Response {
  int status = 200;
  std::string body;
  std::string_view content_type = "application/json";                  // a literal; not sent without a body
  std::vector<std::pair<std::string_view, std::string>> headers = {};  // further fields; names are literals
};

/// Answers one request: called at most once, on any thread. Dropping it uncalled answers with status 500.
using Respond = std::move_only_function<void(Response)>;

/// Called on the thread of the connection's worker; must not block.
using Handler = std::function<void(Request, Respond)>;

}  // namespace plexspaces::http
