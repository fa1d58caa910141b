#include "plexspaces/http/request_parser.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <iterator>
#include <optional>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <fmt/format.h>

#include "plexspaces/base/utf8.hpp"
#include "plexspaces/http/token.hpp"

namespace plexspaces::http {

namespace {

using boost::system::error_code;
using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;

using Value = std::optional<std::string_view>;

// What decides where a request ends, and whether its body comes.
struct Framing {
  Value content_length;
  Value transfer_encoding;
  Value expect;
};

template <class Owner>
struct Field {
  std::string_view name;
  Value Owner::* value;
};

constexpr std::array kFields{
    Field<Headers>{"Host", &Headers::host},
    Field<Headers>{"Origin", &Headers::origin},
    Field<Headers>{"Sec-Fetch-Site", &Headers::sec_fetch_site},
    Field<Headers>{"Content-Type", &Headers::content_type},
    Field<Headers>{"Content-Encoding", &Headers::content_encoding},
    Field<Headers>{"Idempotency-Key", &Headers::idempotency_key},
    Field<Headers>{"Request-Timeout", &Headers::request_timeout},
    Field<Headers>{"traceparent", &Headers::traceparent},
};
constexpr std::array kFramingFields{
    Field<Framing>{"Content-Length", &Framing::content_length},
    Field<Framing>{"Transfer-Encoding", &Framing::transfer_encoding},
    Field<Framing>{"Expect", &Framing::expect},
};

Error bad_request(std::string message) { return Error(Code::kInvalidArgument, std::move(message), "PLX-HTT-0007"); }

// Takes the value if the field is one of `fields`. @error it was taken before.
template <class Owner, std::size_t kCount>
Status take_field(const std::array<Field<Owner>, kCount>& fields, std::string_view name, std::string_view value,
                  Owner& owner) {
  for (const auto& field : fields) {
    if (!same_token(field.name, name)) continue;
    Value& taken = owner.*field.value;
    if (taken)
      return std::unexpected(bad_request(fmt::format("the header {} comes more than once: send one", field.name)));
    taken = value;
    return {};
  }
  return {};
}

Status check_framing(const Framing& framing, int version) {
  if (framing.content_length && framing.transfer_encoding)
    return std::unexpected(bad_request("Content-Length and Transfer-Encoding exclude each other: send one"));
  if (framing.content_length) {
    std::string_view digits = *framing.content_length;
    if (digits.empty() || digits.find_first_not_of("0123456789") != std::string_view::npos)
      return std::unexpected(
          bad_request(fmt::format("Content-Length is '{}': write one number in decimal digits", excerpt(digits))));
  }
  if (!framing.transfer_encoding) return {};
  if (version < 11) return std::unexpected(bad_request("HTTP/1.0 has no Transfer-Encoding: send Content-Length"));
  if (!same_token(*framing.transfer_encoding, "chunked"))
    return fail(Code::kUnimplemented,
                fmt::format("Transfer-Encoding is '{}': only `chunked` is known; send the body as it is",
                            excerpt(*framing.transfer_encoding)),
                "PLX-HTT-0020");
  return {};
}

// A line that begins with white space continues the one before it: obsolete, and read in two ways.
bool has_folded_line(std::string_view header) {
  for (std::size_t at = header.find('\n'); at != std::string_view::npos && at + 1 < header.size();
       at = header.find('\n', at + 1))
    if (header[at + 1] == ' ' || header[at + 1] == '\t') return true;
  return false;
}

Error header_too_large(std::size_t limit) {
  return Error(Code::kResourceExhausted,
               fmt::format("the request line and the header fields have more than {} bytes", limit), "PLX-HTT-0011");
}

Error parse_error(const error_code& error, const RequestLimits& limits) {
  namespace http = boost::beast::http;
  if (error == http::error::body_limit)
    return Error(Code::kResourceExhausted,
                 fmt::format("the body has more than {} bytes (http.body_bytes_max)", limits.body_bytes_max),
                 "PLX-HTT-0010");
  if (error == http::error::header_limit || error == http::error::buffer_overflow)
    return header_too_large(limits.header_bytes_max);
  return bad_request(fmt::format("not an HTTP/1.1 request: {}", error.message()));
}

}  // namespace

struct RequestParser::Impl {
  std::optional<Parser> parser;
  // Of a chunked body.
  std::size_t fields = 0;  // in the header
  std::size_t extension_bytes = 0;
  std::size_t extension_bytes_max = 0;
  std::function<void(std::uint64_t, boost::beast::string_view, error_code&)> check_extension;

  std::size_t count_fields() const {
    return static_cast<std::size_t>(std::distance(parser->get().begin(), parser->get().end()));
  }

  // What is between the length of a chunk and its bytes. Nothing here reads it, and nothing may hide in it.
  void watch_chunks() {
    fields = count_fields();
    extension_bytes = 0;
    check_extension = [this](std::uint64_t, boost::beast::string_view extension, error_code& error) {
      extension_bytes += extension.size();
      bool has_control = std::ranges::any_of(
          extension, [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; });
      if (has_control) error = boost::beast::http::error::bad_chunk_extension;
      if (extension_bytes > extension_bytes_max) error = boost::beast::http::error::header_limit;
    };
    parser->on_chunk_header(check_extension);
  }
};

RequestParser::RequestParser(RequestLimits limits) : limits_(limits), impl_(std::make_unique<Impl>()) {
  impl_->extension_bytes_max = limits_.header_bytes_max;
  next();
}

RequestParser::~RequestParser() = default;

void RequestParser::next() {
  state_ = State::kHeader;
  headers_ = {};
  header_bytes_ = 0;
  expects_continue_ = false;
  is_chunked_ = false;
  refusal_.reset();
  impl_->parser.emplace();
  impl_->parser->header_limit(static_cast<std::uint32_t>(limits_.header_bytes_max));
  impl_->parser->body_limit(limits_.body_bytes_max);
}

std::size_t RequestParser::refuse(Error error) {
  refusal_ = std::move(error);
  state_ = State::kRefused;
  return 0;
}

std::size_t RequestParser::feed(std::string_view bytes) {
  if (state_ == State::kDone || state_ == State::kRefused || bytes.empty()) return 0;
  // The parser asserts that it never sees less than "0\r\n\r\n" of a body's end, and a client may send it in pieces.
  constexpr std::size_t kLastChunkBytesMin = 5;
  if (is_chunked_ && bytes.starts_with('0') && bytes.size() < kLastChunkBytesMin) return 0;
  error_code error;
  std::size_t used = impl_->parser->put(boost::asio::buffer(bytes), error);
  bool waits = error == boost::beast::http::error::need_more;
  if (error && !waits) return refuse(parse_error(error, limits_));
  if (state_ == State::kHeader) {
    if (has_folded_line(bytes.substr(0, used)))
      return refuse(bad_request("a header line begins with white space: write each field in one line"));
    header_bytes_ += used;
    if (header_bytes_ > limits_.header_bytes_max) return refuse(header_too_large(limits_.header_bytes_max));
    if (impl_->parser->is_header_done()) {
      if (Status header = read_header(); !header) return refuse(std::move(header).error());
      state_ = State::kBody;
    }
  }
  // The parser wants each line of a chunked body whole.
  if (waits && bytes.size() - used > limits_.header_bytes_max)
    return refuse(header_too_large(limits_.header_bytes_max));
  if (impl_->parser->is_done()) {
    if (Status end = check_end(); !end) return refuse(std::move(end).error());
    state_ = State::kDone;
  }
  return used;
}

Status RequestParser::read_header() {
  auto view = [](auto text) { return std::string_view(text.data(), text.size()); };
  const auto& message = impl_->parser->get();
  Framing framing;
  for (const auto& field : message) {
    std::string_view name = view(field.name_string()), value = view(field.value());
    PLX_TRY_STATUS(take_field(kFields, name, value, headers_));
    PLX_TRY_STATUS(take_field(kFramingFields, name, value, framing));
  }
  PLX_TRY_STATUS(check_framing(framing, version()));
  if (version() == 11 && (!headers_.host || headers_.host->empty()))
    return std::unexpected(bad_request("an HTTP/1.1 request has the header Host once"));
  if (target().size() > limits_.target_bytes_max)
    return fail(Code::kInvalidArgument,
                fmt::format("the target has {} bytes; the limit is {}", target().size(), limits_.target_bytes_max),
                "PLX-HTT-0009");
  expects_continue_ = version() == 11 && framing.expect && same_token(*framing.expect, "100-continue");
  is_chunked_ = framing.transfer_encoding.has_value();
  if (is_chunked_) impl_->watch_chunks();
  return {};
}

// The parser puts fields that come behind a chunked body among those of the header, where they would be believed.
Status RequestParser::check_end() const {
  if (!is_chunked_ || impl_->count_fields() == impl_->fields) return {};
  return std::unexpected(bad_request("there are fields behind the chunked body: send them in the header"));
}

std::string_view RequestParser::method() const {
  auto text = impl_->parser->get().method_string();
  return {text.data(), text.size()};
}

std::string_view RequestParser::target() const {
  auto text = impl_->parser->get().target();
  return {text.data(), text.size()};
}

int RequestParser::version() const { return static_cast<int>(impl_->parser->get().version()); }
bool RequestParser::keep_alive() const { return impl_->parser->get().keep_alive(); }
bool RequestParser::expects_continue() const { return expects_continue_; }
std::string RequestParser::take_body() { return std::move(impl_->parser->get().body()); }

}  // namespace plexspaces::http
