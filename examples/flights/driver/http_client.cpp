#include "http_client.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

namespace flights {

namespace asio = boost::asio;
namespace http = boost::beast::http;

struct HttpClient::Connection {
  asio::io_context io{1};
  asio::ip::tcp::socket socket{io};
  boost::beast::flat_buffer buffer;
};

HttpClient::HttpClient(std::uint16_t port) : port_(port) {}
HttpClient::~HttpClient() = default;

plexspaces::Result<HttpAnswer> HttpClient::get(const std::string& target) {
  boost::system::error_code error;
  if (!connection_) {
    connection_ = std::make_unique<Connection>();
    static_cast<void>(connection_->socket.connect({asio::ip::address_v4::loopback(), port_}, error));
  }
  http::request<http::empty_body> request(http::verb::get, target, 11);
  request.set(http::field::host, "localhost");
  http::response<http::string_body> response;
  if (!error) http::write(connection_->socket, request, error);
  if (!error) http::read(connection_->socket, connection_->buffer, response, error);
  if (error) {
    connection_.reset();
    return plexspaces::fail(plexspaces::Code::kUnavailable, "GET " + target + ": " + error.message());
  }
  return HttpAnswer{response.result_int(), std::move(response.body())};
}

}  // namespace flights
