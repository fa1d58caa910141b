#include "plexspaces/env/posix/tcp_client.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <system_error>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "plexspaces/env/posix/descriptor.hpp"

namespace plexspaces::env {

namespace {

std::string reason() {
  if (errno == EAGAIN || errno == EWOULDBLOCK) return "it is silent";
  return std::generic_category().message(errno);
}

}  // namespace

Status tcp_exchange(const std::string& address, std::uint16_t port, std::string_view request, Duration silence_max,
                    const std::function<bool(std::string_view)>& take) {
  boost::system::error_code bad_address;
  auto ip = boost::asio::ip::make_address(address, bad_address);
  if (bad_address)
    return fail(Code::kInvalidArgument,
                fmt::format("'{}' is not an IP address: write one such as 127.0.0.1 or ::1", address), "PLX-ENV-0105");
  boost::asio::ip::tcp::endpoint endpoint(ip, port);
  Descriptor socket(::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket)
    return fail(Code::kUnavailable, fmt::format("cannot open a socket to {}:{} ({})", address, port, reason()),
                "PLX-ENV-0111", Error::Retry::kBackoff);
  auto microseconds =
      std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::microseconds>(silence_max).count());  // 0 is never
  timeval silence{.tv_sec = static_cast<time_t>(microseconds / 1'000'000),
                  .tv_usec = static_cast<suseconds_t>(microseconds % 1'000'000)};
  for (int option : {SO_RCVTIMEO, SO_SNDTIMEO})  // the latter also bounds connect()
    ::setsockopt(socket.get(), SOL_SOCKET, option, &silence, sizeof silence);
  if (::connect(socket.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0)
    return fail(Code::kUnavailable, fmt::format("nobody answers at {}:{} ({})", address, port, reason()),
                "PLX-ENV-0111", Error::Retry::kBackoff);

  auto broken = [&] {
    return fail(Code::kUnknown,
                fmt::format("no complete answer from {}:{} ({}): the request may have been carried out", address, port,
                            reason()),
                "PLX-ENV-0112", Error::Retry::kSame);
  };
  while (!request.empty()) {
    ssize_t sent = ::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL);
    if (sent < 0) return broken();
    request.remove_prefix(static_cast<std::size_t>(sent));
  }
  std::array<char, 16384> bytes;
  while (true) {
    ssize_t count = ::recv(socket.get(), bytes.data(), bytes.size(), 0);
    if (count < 0) return broken();
    if (count == 0) return {};
    if (take({bytes.data(), static_cast<std::size_t>(count)})) return {};
  }
}

}  // namespace plexspaces::env
