#include "plexspaces/http/problem.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "plexspaces/codec/codec.hpp"

namespace plexspaces::http {

namespace {

struct DomainStatus {
  std::string_view domain;
  int status;
  std::string_view allow = {};
};

constexpr std::string_view kActorMethods = "GET, POST, PUT, DELETE";

// Where the code alone would give another status.
constexpr std::array kDomains{
    DomainStatus{"PLX-COD-0001", 400},                 // not JSON at all; the other PLX-COD are JSON that does not fit
    DomainStatus{"PLX-COD-0009", 413},                 // more than a message may have
    DomainStatus{"PLX-DUR-0011", 507},                 // the disk is full
    DomainStatus{"PLX-API-0003", 405, "POST, PUT"},    // GET of a handler that changes state
    DomainStatus{"PLX-HTT-0002", 405, kActorMethods},  // unknown method of an actor
    DomainStatus{"PLX-HTT-0003", 405, "GET, HEAD"},    // unknown method of what can only be read
    DomainStatus{"PLX-HTT-0009", 414},                 // target too long
    DomainStatus{"PLX-HTT-0010", 413},                 // body too large
    DomainStatus{"PLX-HTT-0011", 431},                 // header too large
    DomainStatus{"PLX-HTT-0013", 415},                 // not application/json
    DomainStatus{"PLX-HTT-0018", 408},                 // request not complete in time
    DomainStatus{"PLX-HTT-0021", 421},                 // another host
};

struct StatusText {
  int status;
  std::string_view text;
};

constexpr std::array kReasons{
    StatusText{200, "OK"},
    StatusText{204, "No Content"},
    StatusText{400, "Bad Request"},
    StatusText{401, "Unauthorized"},
    StatusText{403, "Forbidden"},
    StatusText{404, "Not Found"},
    StatusText{405, "Method Not Allowed"},
    StatusText{408, "Request Timeout"},
    StatusText{409, "Conflict"},
    StatusText{413, "Content Too Large"},
    StatusText{414, "URI Too Long"},
    StatusText{415, "Unsupported Media Type"},
    StatusText{421, "Misdirected Request"},
    StatusText{422, "Unprocessable Content"},
    StatusText{429, "Too Many Requests"},
    StatusText{431, "Request Header Fields Too Large"},
    StatusText{499, "Client Closed Request"},
    StatusText{500, "Internal Server Error"},
    StatusText{501, "Not Implemented"},
    StatusText{503, "Service Unavailable"},
    StatusText{504, "Gateway Timeout"},
    StatusText{507, "Insufficient Storage"},
};

const DomainStatus* find_domain(const Error& error) {
  auto row = std::ranges::find(kDomains, std::string_view(error.domain()), &DomainStatus::domain);
  return row == kDomains.end() ? nullptr : &*row;
}

std::string_view retry_name(Error::Retry retry) {
  switch (retry) {
    case Error::Retry::kNever:
      return "never";
    case Error::Retry::kSame:
      return "same";
    case Error::Retry::kBackoff:
      return "backoff";
  }
  return "never";
}

}  // namespace

std::string_view reason_phrase(int status) {
  auto row = std::ranges::find(kReasons, status, &StatusText::status);
  return row == kReasons.end() ? "Unknown" : row->text;
}

int status_of(const Error& error) {
  if (const DomainStatus* row = find_domain(error)) return row->status;
  std::string_view domain = error.domain();
  if (http_status(error.code()) == 400 && domain.starts_with("PLX-COD-")) return 422;
  // The type has no such message: for a client that is a path without a resource, not a missing feature.
  if (error.code() == Code::kUnimplemented && domain.starts_with("PLX-API-")) return 404;
  int status = http_status(error.code());
  return status < 400 ? 500 : status;
}

Response problem(const Error& error) {
  int status = status_of(error);
  const Error shown = error.flattened();
  const std::string& domain = shown.domain();
  std::string type = domain.size() > 5 ? fmt::format("docs/errors/{}#{}", domain.substr(0, domain.size() - 5), domain)
                                       : std::string("about:blank");
  std::string body = fmt::format(R"({{"type": {}, "title": {}, "status": {}, "detail": {}, "code": "{}")",
                                 to_json(type), to_json(std::string(reason_phrase(status))), status,
                                 to_json(shown.message()), code_name(error.code()));
  if (!domain.empty()) body += fmt::format(R"(, "domain": {})", to_json(domain));
  body += fmt::format(", \"retry\": \"{}\"}}", retry_name(error.retry()));

  Response response{.status = status, .body = std::move(body), .content_type = "application/problem+json"};
  if (const DomainStatus* row = find_domain(error); row != nullptr && !row->allow.empty())
    response.headers.emplace_back("Allow", std::string(row->allow));
  if ((status == 503 || status == 429) && error.retry() != Error::Retry::kNever)
    response.headers.emplace_back("Retry-After", "1");
  return response;
}

}  // namespace plexspaces::http
