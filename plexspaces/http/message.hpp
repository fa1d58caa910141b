// An HTTP request and its answer, without the protocol around them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plexspaces/env/time.hpp"

namespace plexspaces::http {

/// The header fields that are read of a request; the others are dropped. A field that was not sent is absent, one that
/// was sent without a value is empty. None of them was sent twice: the parser refuses that.
struct Headers {
  std::optional<std::string_view> host;
  std::optional<std::string_view> origin;
  std::optional<std::string_view> sec_fetch_site;
  std::optional<std::string_view> content_type;
  std::optional<std::string_view> content_encoding;
  std::optional<std::string_view> idempotency_key;
  std::optional<std::string_view> request_timeout;
  std::optional<std::string_view> traceparent;
};

/// One request. The views are valid until the handler returns; the body is the handler's to take.
struct Request {
  std::string_view method;  // "GET"
  std::string_view target;  // as sent: "/api/v1/actors/shop/airport?key=SFO"
  Headers headers;
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
