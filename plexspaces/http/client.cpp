#include "plexspaces/http/client.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <fmt/format.h>

#include "plexspaces/api/idempotency_key.hpp"
#include "plexspaces/env/posix/tcp_client.hpp"

namespace plexspaces::http {

namespace {

std::string write_request(const ClientRequest& request, const ClientOptions& options) {
  std::string host = options.address.contains(':') ? "[" + options.address + "]" : options.address;
  std::string text = fmt::format("{} {} HTTP/1.1\r\nHost: {}:{}\r\nConnection: close\r\n", request.method,
                                 request.target, host, options.port);
  if (!request.idempotency_key.empty()) text += fmt::format("Idempotency-Key: {}\r\n", request.idempotency_key);
  if (!request.body.empty() || request.method == "POST") text += "Content-Type: application/json\r\n";
  if (!request.body.empty() || request.method != "GET")
    text += fmt::format("Content-Length: {}\r\n", request.body.size());
  return text + "\r\n" + request.body;
}

}  // namespace

Result<ClientAnswer> send_request(const ClientRequest& request, const ClientOptions& options) {
  if (!request.idempotency_key.empty()) PLX_TRY_STATUS(api::check_idempotency_key(request.idempotency_key));
  boost::beast::http::response_parser<boost::beast::http::string_body> parser;
  parser.eager(true);
  parser.body_limit(options.answer_bytes_max);
  boost::system::error_code error;
  std::string pending;  // a header in pieces: the parser wants it whole
  PLX_TRY_STATUS(env::tcp_exchange(options.address, options.port, write_request(request, options), options.silence_max,
                                   [&](std::string_view bytes) {
                                     pending += bytes;
                                     while (!pending.empty() && !parser.is_done()) {
                                       std::size_t used = parser.put(boost::asio::buffer(pending), error);
                                       pending.erase(0, used);
                                       if (error) break;
                                     }
                                     if (error == boost::beast::http::error::need_more) error = {};
                                     return error || parser.is_done();
                                   }));
  if (!error && !parser.is_done() && parser.got_some()) parser.put_eof(error);
  if (error || !parser.is_done())
    return fail(Code::kUnknown,
                fmt::format("{}:{} did not send a whole HTTP answer ({}): is a node listening there?", options.address,
                            options.port, error ? error.message() : "it closed the connection"),
                "PLX-HTT-0019");
  return ClientAnswer{.status = static_cast<int>(parser.get().result_int()), .body = std::move(parser.get().body())};
}

}  // namespace plexspaces::http
