#include "plexspaces/node/node.hpp"

#include <algorithm>
#include <exception>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/api/operations.hpp"
#include "plexspaces/durable/durability.hpp"
#include "plexspaces/env/posix/clock.hpp"
#include "plexspaces/env/posix/disk.hpp"
#include "plexspaces/env/posix/executor.hpp"
#include "plexspaces/env/posix/path_guard.hpp"
#include "plexspaces/env/posix/random.hpp"
#include "plexspaces/http/gateway.hpp"
#include "plexspaces/http/same_origin.hpp"
#include "plexspaces/http/server.hpp"
#include "plexspaces/store/sqlite_store.hpp"

namespace plexspaces::node {

namespace {

// The same error, with the key that changes what it is about.
std::unexpected<Error> with_key(const Error& error, std::string_view key, std::string_view value) {
  Error hinted(error.code(), fmt::format("{} ({} = '{}'; change it with --{}=...)", error.message(), key, value, key),
               error.domain(), error.retry());
  return std::unexpected(error.cause() == nullptr ? hinted : hinted.caused_by(*error.cause()));
}

bool is_loopback(std::string_view address) { return address.starts_with("127.") || address == "::1"; }

// Connections over the limit that are told so; each needs a descriptor.
std::size_t refusals_beside(std::size_t connections) {
  return std::clamp<std::size_t>(connections / 4, 1, http::ServerOptions().refusals_max);
}

RuntimeOptions runtime_options(const Config& config, std::uint64_t seed) {
  RuntimeOptions options;
  options.node_name = config.node.name;
  options.mailbox_messages_max = config.runtime.mailbox_messages_max;
  options.slow_handler_after = config.runtime.slow_handler_after;
  options.seed = seed;
  return options;
}

http::ServerOptions server_options(const Config& config) {
  http::ServerOptions options;
  options.address = config.http.address;
  options.port = config.http.port;
  options.limits.body_bytes_max = config.http.body_bytes_max;
  options.connections_max = config.http.connections_max;
  options.refusals_max = refusals_beside(config.http.connections_max);
  options.request_timeout = config.http.request_timeout;
  options.deadlines.idle_timeout = config.http.idle_timeout;
  return options;
}

struct World {
  env::PosixClock clock;
  env::PosixRandom random;
  env::PosixDisk disk;
  env::PathGuard data;
};

// The program may change its directory.
Result<std::string> absolute(const std::string& path) {
  std::error_code error;
  std::string whole = std::filesystem::absolute(path, error).string();
  if (!error) return whole;
  return fail(Code::kFailedPrecondition,
              fmt::format("cannot tell where '{}' is, as the working directory is gone: {}", path, error.message()),
              "PLX-NOD-0002");
}

}  // namespace

// In the order of construction: each uses what stands above it, and ends before it.
struct Node::Impl {
  Impl(const Config& c, const Types& types, std::unique_ptr<World> w, std::unique_ptr<store::Store> opened,
       Applications::OnFailure on_application_failure)
      : config(c),
        world(std::move(w)),
        store(std::move(opened)),
        executor({.workers = config.runtime.workers,
                  .blocking_threads = config.runtime.blocking_threads,
                  .blocking_queue_max = config.runtime.blocking_queue_max}),
        runtime(executor, types, runtime_options(config, world->random.next())),
        durability_facets(runtime, *store, world->clock, world->random),
        operations(runtime, durability_facets),
        applications(runtime, std::move(on_application_failure)) {}
  ~Impl() { stop(Duration::zero()); }

  Status start(OnStoreFailure on_store_failure, std::vector<Application> to_start);
  Status start_http();
  void stop(Duration grace);

  const Config config;
  std::unique_ptr<World> world;
  std::unique_ptr<store::Store> store;
  env::PosixExecutor executor;
  Runtime runtime;
  durability::Durability durability_facets;
  api::Operations operations;
  Applications applications;
  bool has_applications = false;
  bool stopped = false;
  std::unique_ptr<http::Server> server;
};

Status Node::Impl::start(OnStoreFailure on_store_failure, std::vector<Application> to_start) {
  durability_facets.on_store_failure(std::move(on_store_failure));
  executor.watch(kDataLookEvery, [this] {
    if (Status there = world->data.check(); !there) durability_facets.give_up_store(there.error());
  });
  PLX_TRY_STATUS(durability_facets.recover());
  PLX_TRY_STATUS(runtime.start());
  PLX_TRY_STATUS(durability_facets.resume_outbox());
  has_applications = !to_start.empty();
  PLX_TRY_STATUS(applications.start(std::move(to_start), kApplicationStartMax));
  Status serving = start_http();
  if (!serving) applications.stop(kApplicationStartMax);
  return serving;
}

Status Node::Impl::start_http() {
  auto allowed_hosts = http::parse_allowed_hosts(config.http.allowed_hosts);
  if (!allowed_hosts) return with_key(allowed_hosts.error(), "http.allowed_hosts", config.http.allowed_hosts);
  http::ServerOptions options = server_options(config);
  options.allowed_hosts = *std::move(allowed_hosts);
  auto started = http::Server::start(executor, world->clock, std::move(options), http::Gateway(operations));
  if (!started) {
    bool about_port =
        started.error().code() == Code::kAlreadyExists || started.error().code() == Code::kPermissionDenied;
    return about_port ? with_key(started.error(), "http.port", std::to_string(config.http.port))
                      : with_key(started.error(), "http.address", config.http.address);
  }
  server = *std::move(started);
  return {};
}

void Node::Impl::stop(Duration grace) {
  if (std::exchange(stopped, true)) return;
  TimePoint due = saturating_add(executor.now(), grace);
  if (server) server->stop(has_applications ? std::chrono::duration_cast<Duration>(grace * kRequestsShare) : grace);
  applications.stop(time_left(due, executor.now()));
  runtime.refuse_new_work();
  // Commits that are queued are carried out; what an actor has not handled yet was acknowledged to nobody.
  executor.stop();
}

std::size_t connections_that_fit(std::size_t files, std::size_t wanted) {
  constexpr std::size_t kFilesOfNode = 32;  // 16 are open in an idle node with 2 workers
  std::size_t left = files - std::min(files, kFilesOfNode);
  std::size_t fit = std::min(wanted, left);
  while (fit > 0 && fit + refusals_beside(fit) > left) --fit;
  return fit;
}

Node::Node(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Node::~Node() = default;

Result<std::unique_ptr<Node>> Node::start(const Config& config, const Types& types, OnStoreFailure on_store_failure,
                                          std::vector<Application> applications,
                                          Applications::OnFailure on_application_failure) {
  if (!is_loopback(config.http.address))
    return with_key(Error(Code::kFailedPrecondition,
                          "without login a node listens on loopback only: use 127.0.0.1 or ::1", "PLX-NOD-0001"),
                    "http.address", config.http.address);
  auto wrong_data = [&](const Error& error) { return with_key(error, "data.directory", config.data.directory); };
  auto world = std::make_unique<World>();
  auto directory = absolute(config.data.directory);
  if (!directory) return wrong_data(directory.error());
  auto store = store::open_sqlite(world->disk, world->random, world->clock, *directory);
  if (!store) return wrong_data(store.error());
  auto guard = env::PathGuard::of(store::sqlite_files(*directory));
  if (!guard) return wrong_data(guard.error());
  world->data = *std::move(guard);
  // Descriptors, threads and memory that the system refuses to the executor and the runtime come as exceptions.
  try {
    auto impl =
        std::make_unique<Impl>(config, types, std::move(world), *std::move(store), std::move(on_application_failure));
    PLX_TRY_STATUS(impl->start(std::move(on_store_failure), std::move(applications)));
    return std::unique_ptr<Node>(new Node(std::move(impl)));
  } catch (const std::exception& e) {
    return fail(Code::kResourceExhausted,
                fmt::format("the system refuses what a node needs to start: {}; allow it more memory, threads "
                            "(ulimit -u) or open files (ulimit -n), or lower runtime.workers",
                            e.what()),
                "PLX-NOD-0003", Error::Retry::kBackoff);
  }
}

std::uint16_t Node::http_port() const { return impl_->server->port(); }

std::string Node::http_url() const {
  bool v6 = impl_->config.http.address.contains(':');
  return fmt::format("http://{}{}{}:{}", v6 ? "[" : "", impl_->config.http.address, v6 ? "]" : "", http_port());
}

const std::string& Node::recovery_note() const { return impl_->store->recovery_note(); }

Runtime& Node::runtime() { return impl_->runtime; }

const Applications& Node::applications() const { return impl_->applications; }

void Node::stop(Duration grace) { impl_->stop(grace); }

}  // namespace plexspaces::node
