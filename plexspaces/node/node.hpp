// A node: everything that a process needs to serve actors, put together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "plexspaces/base/error.hpp"
#include "plexspaces/env/time.hpp"
#include "plexspaces/node/config.hpp"
#include "plexspaces/supervision/application.hpp"

namespace plexspaces {
class Runtime;
class Types;
}  // namespace plexspaces

namespace plexspaces::node {

inline constexpr Duration kApplicationStartMax = 60s;  // each
inline constexpr double kRequestsShare = 0.75;
inline constexpr Duration kDataLookEvery = 1s;  // whether the files of the store are still in their place

/// Connections to serve at once, at most `wanted`, where the process may have `files` open: what the store, the workers
/// and refusals need is left. 0: too few files for a node.
std::size_t connections_that_fit(std::size_t files, std::size_t wanted);

/// The composition root: builds clock, chance, disk, store, executor, runtime, durability, operations and HTTP in this
/// order, each given what it uses, and ends them in the opposite one.
///
///     start:  store (locks the directory) -> runtime (workers run) -> applications -> HTTP (requests come in)
///     stop:   HTTP (requests in flight end) -> applications -> actors passivate -> workers end -> store closes
///
/// Several nodes live side by side in a process. Threads: one, not a worker.
class Node {
 public:
  /// Called once, from any thread, when the store has failed and nothing may be served any more (INV-J3): the process
  /// should end, as what follows is only UNKNOWN. Also when its files were deleted, moved or replaced.
  using OnStoreFailure = std::function<void(const Error&)>;

  /// `types` outlives the node. `on_application_failure` is told of applications that end the node by their end: who
  /// started it should stop it.
  /// @error what is wrong and which key changes it: types registered wrongly, a data directory that is not writable,
  /// held by another process, damaged or of a newer version, a port in use; an application that does not start within
  /// kApplicationStartMax. Nothing is left running.
  static Result<std::unique_ptr<Node>> start(const Config& config, const Types& types, OnStoreFailure on_store_failure,
                                             std::vector<Application> applications = {},
                                             Applications::OnFailure on_application_failure = {});
  ~Node();  // stop(0)s

  /// "http://127.0.0.1:8080", with the real port.
  std::string http_url() const;
  std::uint16_t http_port() const;
  Runtime& runtime();
  /// What opening the store found that a person should read; empty when nothing.
  const std::string& recovery_note() const;
  const Applications& applications() const;

  /// Refuses new requests, lets those in flight end, then stops the applications, for at most `grace` together, of
  /// which requests get at most kRequestsShare where there are applications; then closes what is left. What was
  /// acknowledged stays (INV-A8). A second call does nothing.
  void stop(Duration grace);

 private:
  struct Impl;
  explicit Node(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace plexspaces::node
