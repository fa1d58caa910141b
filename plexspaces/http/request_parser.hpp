// From bytes to one HTTP/1.1 request: the framing, read strictly.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "plexspaces/base/error.hpp"
#include "plexspaces/base/limits.hpp"
#include "plexspaces/http/message.hpp"

namespace plexspaces::http {

struct RequestLimits {
  std::size_t body_bytes_max = kPayloadBytesMax;
  std::size_t header_bytes_max = std::size_t{16} << 10;  // request line and fields together
  std::size_t target_bytes_max = std::size_t{8} << 10;
};

/// Reads one request after another from the bytes of a connection.
///
///     kHeader --> kBody --> kDone -- next() --> kHeader ...          kRefused: from each, and for good
///
/// A proxy and this server must never disagree where a request ends: what one takes for a body, the other would carry
/// out as the next request (request smuggling). So what RFC 9112 lets a server repair is refused: a transfer coding
/// other than `chunked`, a Content-Length that is repeated, a list or beside a Transfer-Encoding, folded lines, bare CR
/// or LF, white space before a colon, fields behind a chunked body; and each field of Headers that comes twice.
///
/// Pure: the same bytes give the same requests, however they are cut. Threads: one at a time.
class RequestParser {
 public:
  enum class State { kHeader, kBody, kDone, kRefused };

  explicit RequestParser(RequestLimits limits);
  ~RequestParser();
  RequestParser(RequestParser&&) = delete;

  /// Begins the next request. What the last one gave is gone.
  void next();

  /// Reads on. `bytes` begin with what the last call left over. Stops behind the header and at the end of the request.
  /// @returns how many bytes were used. With none used, more must come first: the rest, at most header_bytes_max, is to
  /// be given again with it.
  std::size_t feed(std::string_view bytes);

  State state() const { return state_; }
  bool has_header() const { return state_ == State::kBody || state_ == State::kDone; }

  /// Of kRefused: PLX-HTT-0007 not an HTTP/1.1 request, -0009 target, -0010 body, -0011 header too large, -0020 a
  /// transfer coding other than chunked. Where the next request would begin is not known: the connection must end.
  const Error& refusal() const { return *refusal_; }

  // Once has_header(); the views until next().
  std::string_view method() const;
  std::string_view target() const;
  int version() const;  // 10, 11
  const Headers& headers() const { return headers_; }
  bool keep_alive() const;
  bool expects_continue() const;  // the client waits for "100 Continue" before it sends the body

  // Once kDone.
  std::string take_body();

 private:
  struct Impl;

  std::size_t refuse(Error error);
  Status read_header();
  Status check_end() const;

  const RequestLimits limits_;
  State state_ = State::kHeader;
  Headers headers_;
  std::size_t header_bytes_ = 0;
  bool expects_continue_ = false;
  bool is_chunked_ = false;
  std::optional<Error> refusal_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace plexspaces::http
