#include "plexspaces/http/server.hpp"

#include <optional>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "plexspaces/env/posix/executor.hpp"
#include "plexspaces/env/posix/tcp_listener.hpp"
#include "plexspaces/env/posix/tcp_socket.hpp"
#include "plexspaces/http/lane.hpp"

namespace plexspaces::http {

namespace asio = boost::asio;

/// The listener and the lanes, and the state that they share.
class ServerCore : public std::enable_shared_from_this<ServerCore> {
 public:
  ServerCore(const env::Clock& clock, ServerOptions options, Handler handler)
      : state{.clock = clock, .options = std::move(options), .handler = std::move(handler)} {}

  void accept(Lane& lane, env::TcpSocket socket);

  ServerState state;
  std::optional<env::TcpListener> listener;
  std::vector<std::shared_ptr<Lane>> lanes;
  std::size_t next_lane = 0;  // the listener's thread only
};

// On the listener's thread.
void ServerCore::accept(Lane& lane, env::TcpSocket socket) {
  std::size_t count = state.connections.fetch_add(1, std::memory_order_acq_rel);
  const ServerOptions& options = state.options;
  if (state.draining.load(std::memory_order_acquire) || count >= options.connections_max + options.refusals_max) {
    state.connection_ended();
    return;  // closes it
  }
  asio::post(lane.io(), [lane = lane.shared_from_this(), socket = std::move(socket),
                         refused = count >= options.connections_max]() mutable {
    lane->start_session(std::move(socket), refused);
  });
}

Server::Server(std::shared_ptr<ServerCore> core) : core_(std::move(core)) {}

Server::~Server() { stop(Duration::zero()); }

Result<std::unique_ptr<Server>> Server::start(env::PosixExecutor& executor, const env::Clock& clock,
                                              ServerOptions options, Handler handler) {
  PLX_TRY(listener, env::TcpListener::open(executor.io(0), options.address, options.port));
  auto core = std::make_shared<ServerCore>(clock, std::move(options), std::move(handler));
  core->listener = std::move(listener);
  for (std::size_t i = 0; i < executor.worker_count(); ++i)
    core->lanes.push_back(std::make_shared<Lane>(core->state, executor.io(i)));
  // Weak: the listener belongs to the core. The lane that was chosen last is the one whose context accepts.
  core->listener->start(
      [core = core.get()]() -> asio::io_context& {
        core->next_lane = (core->next_lane + 1) % core->lanes.size();
        return core->lanes[core->next_lane]->io();
      },
      [weak = core->weak_from_this()](env::TcpSocket socket) {
        if (auto core = weak.lock()) core->accept(*core->lanes[core->next_lane], std::move(socket));
      });
  return std::unique_ptr<Server>(new Server(std::move(core)));
}

std::uint16_t Server::port() const { return core_->listener->port(); }

std::size_t Server::connections() const { return core_->state.connections.load(std::memory_order_relaxed); }

void Server::stop(Duration grace) {
  if (core_->state.draining.exchange(true)) return;
  core_->listener->stop();
  for (auto& lane : core_->lanes) asio::post(lane->io(), [lane] { lane->drain(); });
  auto none_left = [&] { return core_->state.connections.load(std::memory_order_acquire) == 0; };
  std::unique_lock lock(core_->state.mutex);
  core_->state.changed.wait_for(lock, bounded_wait(grace), none_left);
  for (auto& lane : core_->lanes) asio::post(lane->io(), [lane] { lane->cut_all(); });
  core_->state.changed.wait(lock, none_left);
  for (auto& lane : core_->lanes) asio::post(lane->io(), [lane] { lane->close(); });
  core_->state.changed.wait(lock, [&] { return core_->state.lanes_closed == core_->lanes.size(); });
}

void Server::sweep() {
  for (auto& lane : core_->lanes) asio::post(lane->io(), [lane] { lane->sweep(); });
}

}  // namespace plexspaces::http
