#include "plexspaces/env/posix/tcp_listener.hpp"

#include <cerrno>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <fmt/format.h>
#include <sys/socket.h>

#include "plexspaces/env/posix/descriptor.hpp"
#include "plexspaces/env/posix/tcp_socket.hpp"

namespace plexspaces::env {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr int kAcceptsInARow = 64;                            // before the context's other work has its turn
constexpr auto kRetryAfter = std::chrono::milliseconds(100);  // after an accept that failed for want of resources

std::unexpected<Error> listen_error(const std::string& address, std::uint16_t port, const error_code& error) {
  std::string where = fmt::format("{}:{}", address, port);
  if (error == asio::error::address_in_use)
    return fail(
        Code::kAlreadyExists,
        fmt::format("port {} of {} is in use by another process: stop it or choose another port", port, address),
        "PLX-ENV-0101");
  if (error == asio::error::access_denied)
    return fail(
        Code::kPermissionDenied,
        fmt::format("not allowed to listen on {}: choose a port above 1023 or start with the right to bind it", where),
        "PLX-ENV-0102");
  if (error.value() == EADDRNOTAVAIL)
    return fail(Code::kInvalidArgument, fmt::format("this machine has no address {}: choose one of its own", address),
                "PLX-ENV-0103");
  return fail(Code::kUnavailable, fmt::format("cannot listen on {}: {}", where, error.message()), "PLX-ENV-0104",
              Error::Retry::kBackoff);
}

}  // namespace

struct TcpListener::Impl : std::enable_shared_from_this<TcpListener::Impl> {
  explicit Impl(asio::io_context& context)
      : io(context), acceptor(context.get_executor()), pause(context.get_executor()) {}

  void accept_next();
  void accept_waiting();

  asio::io_context& io;
  asio::basic_socket_acceptor<tcp, asio::io_context::executor_type> acceptor;
  IoTimer pause;
  tcp protocol = tcp::v4();
  std::uint16_t port = 0;
  std::function<asio::io_context&()> choose;
  std::function<void(TcpSocket)> accepted;
};

void TcpListener::Impl::accept_next() {
  if (!acceptor.is_open()) return;
  acceptor.async_wait(asio::socket_base::wait_read, [self = shared_from_this()](error_code) {
    if (self->acceptor.is_open()) self->accept_waiting();
  });
}

// With accept4() and not Asio's accept: a program that a handler starts must not inherit connections, and none may take
// the number of a standard stream.
void TcpListener::Impl::accept_waiting() {
  for (int i = 0; i < kAcceptsInARow; ++i) {
    Descriptor descriptor(::accept4(acceptor.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!descriptor) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EAGAIN) break;
      pause.expires_after(kRetryAfter);
      pause.async_wait([self = shared_from_this()](error_code) { self->accept_next(); });
      return;
    }
    TcpSocket socket(choose().get_executor());
    error_code error;
    socket.assign(protocol, descriptor.get(), error);
    if (error) continue;
    descriptor.release();
    // Answers are one small write each: Nagle's algorithm would hold them back for the peer's delayed ack.
    socket.set_option(tcp::no_delay(true), error);
    accepted(std::move(socket));
  }
  accept_next();
}

TcpListener::TcpListener(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
TcpListener::TcpListener(TcpListener&&) noexcept = default;
TcpListener& TcpListener::operator=(TcpListener&&) noexcept = default;

TcpListener::~TcpListener() {
  if (impl_) stop();
}

Result<TcpListener> TcpListener::open(asio::io_context& io, const std::string& address, std::uint16_t port) {
  error_code error;
  auto ip = asio::ip::make_address(address, error);
  if (error)
    return fail(Code::kInvalidArgument,
                fmt::format("'{}' is not an IP address: write one such as 127.0.0.1 or ::1", address), "PLX-ENV-0105");
  occupy_standard_streams();  // before Asio opens descriptors for the context
  auto impl = std::make_shared<Impl>(io);
  tcp::endpoint endpoint(ip, port);
  impl->protocol = endpoint.protocol();
  Descriptor socket(::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return listen_error(address, port, error_code(errno, boost::system::system_category()));
  impl->acceptor.assign(endpoint.protocol(), socket.get(), error);
  if (!error) socket.release();
  // A restart must not wait for the old process's connections to leave TIME_WAIT; two listeners stay impossible on
  // Linux.
  if (!error) impl->acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) impl->acceptor.bind(endpoint, error);
  if (!error) impl->acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return listen_error(address, port, error);
  impl->port = impl->acceptor.local_endpoint(error).port();
  if (error) return listen_error(address, port, error);
  return TcpListener(std::move(impl));
}

std::uint16_t TcpListener::port() const { return impl_->port; }

void TcpListener::start(std::function<asio::io_context&()> choose, std::function<void(TcpSocket)> accepted) {
  impl_->choose = std::move(choose);
  impl_->accepted = std::move(accepted);
  asio::post(impl_->io, [impl = impl_] { impl->accept_next(); });
}

void TcpListener::stop() {
  asio::post(impl_->io, [impl = impl_] {
    error_code ignored;
    impl->acceptor.close(ignored);
    impl->pause.cancel();
  });
}

}  // namespace plexspaces::env
