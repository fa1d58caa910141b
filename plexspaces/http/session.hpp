// One connection of the server. For the server's own files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include "plexspaces/base/error.hpp"
#include "plexspaces/http/deadlines.hpp"
#include "plexspaces/http/lane.hpp"
#include "plexspaces/http/message.hpp"
#include "plexspaces/http/request_parser.hpp"

namespace plexspaces::http {

// The context's own executor type everywhere: with the erased one every resumption costs virtual calls.
template <class T>
using Awaitable = boost::asio::awaitable<T, boost::asio::io_context::executor_type>;

inline constexpr std::size_t kReadBodyBytes = std::size_t{32} << 10;  // what a read asks for, in a body

/// One connection: a coroutine that reads, calls the handler, waits for the answer, writes. Threads: the worker's.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Lane& lane, env::TcpSocket socket, bool refused)
      : lane_(lane.shared_from_this()),
        socket_(std::move(socket)),
        parser_(lane.server().options.limits),
        buffer_(lane.server().options.limits.header_bytes_max + kReadBodyBytes),
        refused_(refused) {}

  Lane& lane() { return *lane_; }

  Awaitable<void> run();
  /// @param inside true when called from a handler of this thread's I/O context that is not the session's own: it must
  /// not run the session's coroutine, or answers would nest.
  void take(Answer& answer, bool inside);
  void check(TimePoint now);
  void drain();
  void cut();

  std::list<Session*>::iterator place;  // in the lane's list

 private:
  enum class Read { kRequest, kRefused, kEnd };

  void enter(Phase phase) {
    phase_ = phase;
    since_ = lane_->now();
  }
  const ServerOptions& options() const { return lane_->server().options; }

  Awaitable<Read> read_request();
  Status admit();           // what only needs the header: before the body is read
  Awaitable<bool> serve();  // @returns whether the connection goes on
  Awaitable<bool> write(Response response, bool keep_alive, bool head);
  Awaitable<void> refuse(Error error);
  Awaitable<void> linger();
  Awaitable<void> wait_for_answer();
  void call_handler();
  void resume_soon();

  std::shared_ptr<Lane> lane_;  // shared: an answer may come after the server is gone
  env::TcpSocket socket_;
  RequestParser parser_;
  boost::beast::flat_buffer buffer_;
  bool refused_;
  Phase phase_ = Phase::kIdle;
  TimePoint since_;
  bool timed_out_ = false;
  bool cut_ = false;
  Duration request_timeout_{};
  std::uint64_t request_ = 0;  // number of the request with the handler; a late answer to an earlier one is dropped
  std::optional<Response> response_;
  std::optional<Error> refusal_;
  std::move_only_function<void()> resume_;  // the coroutine, while it waits for an answer
  std::string head_;
};

}  // namespace plexspaces::http
