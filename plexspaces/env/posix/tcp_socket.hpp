// Asio's socket and timer under names of ours. For adapters' .cpp files only: the one header that shows a third party.
#pragma once

#include <chrono>
#include <utility>

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

namespace plexspaces::env {

/// A connected stream of one I/O context. The executor is the context's own type, not the erased one: an operation
/// costs no virtual call. Threads: the context's.
class TcpSocket
    : public boost::asio::basic_stream_socket<boost::asio::ip::tcp, boost::asio::io_context::executor_type> {
 public:
  using basic_stream_socket::basic_stream_socket;
  explicit TcpSocket(basic_stream_socket&& other) : basic_stream_socket(std::move(other)) {}
};

/// A timer of one I/O context on the monotonic clock. Threads: the context's.
using IoTimer =
    boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>,
                                      boost::asio::io_context::executor_type>;

}  // namespace plexspaces::env
