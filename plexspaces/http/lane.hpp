// The connections of one worker, and the answers on their way to them. For the server's own files.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "plexspaces/env/clock.hpp"
#include "plexspaces/env/posix/tcp_socket.hpp"
#include "plexspaces/http/message.hpp"
#include "plexspaces/http/server.hpp"

namespace plexspaces::http {

class Session;

/// What all connections of a server share.
struct ServerState {
  void connection_ended() {
    if (connections.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    std::scoped_lock lock(mutex);
    changed.notify_all();
  }

  const env::Clock& clock;
  const ServerOptions options;
  const Handler handler;
  std::atomic<std::size_t> connections{0};
  std::atomic<bool> draining{false};
  std::mutex mutex;  // for the waits of stop()
  std::condition_variable changed;
  std::size_t lanes_closed = 0;  // under the mutex
};

/// An answer on its way to its connection's worker. Made with its request, so that answering allocates nothing.
struct Answer {
  std::shared_ptr<Session> session;  // shared: the connection may be gone before the answer comes
  std::uint64_t request = 0;
  Response response = {};
  Answer* next = nullptr;
};

/// The connections of one worker. Threads: the worker's, except deliver().
class Lane : public std::enable_shared_from_this<Lane> {
 public:
  Lane(ServerState& server, boost::asio::io_context& io) : server_(server), io_(io), timer_(io.get_executor()) {}

  boost::asio::io_context& io() { return io_; }
  ServerState& server() { return server_; }
  /// The time of the last sweep: exact to the sweep interval, and free.
  TimePoint now() const { return now_; }
  std::string_view date() const { return date_; }

  void start_session(env::TcpSocket socket, bool refused);
  void end_session(Session& session);
  void sweep();
  void drain();
  void cut_all();
  void close();

  /// Takes the answer to its connection. Threads: any.
  void deliver(Answer* answer);

 private:
  void take_answers();
  void read_clocks();
  void arm();

  ServerState& server_;
  boost::asio::io_context& io_;
  env::IoTimer timer_;
  bool armed_ = false;
  TimePoint now_;
  std::string date_;
  std::chrono::sys_seconds date_second_{};
  std::list<Session*> sessions_;
  // A stack: pushed by any thread, taken whole by the worker, who is woken by the push onto an empty one only. After
  // close() it holds closed_, and answers are dropped.
  std::atomic<Answer*> answers_{nullptr};
  Answer closed_;
};

}  // namespace plexspaces::http
