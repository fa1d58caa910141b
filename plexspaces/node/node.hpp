// A node: everything that a process needs to serve actors, put together.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "plexspaces/base/error.hpp"
#include "plexspaces/env/time.hpp"
#include "plexspaces/node/config.hpp"

namespace plexspaces {
class Runtime;
class Types;
}  // namespace plexspaces

namespace plexspaces::node {

/// The composition root: builds clock, chance, disk, store, executor, runtime, durability, operations and HTTP in this
/// order, each given what it uses, and ends them in the opposite one.
///
///     start:  store (locks the directory) -> runtime (workers run) -> HTTP (requests come in)
///     stop:   HTTP (requests in flight end) -> actors passivate -> workers end -> store closes
///
/// Several nodes live side by side in a process. Threads: one, not a worker.
class Node {
 public:
  /// Called once, from any thread, when the store has failed and nothing may be served any more (INV-J3): the process
  /// should end, as what follows is only UNKNOWN.
  using OnStoreFailure = std::function<void(const Error&)>;

  /// `types` outlives the node.
  /// @error what is wrong and which key changes it: types registered wrongly, a data directory that is not writable,
  /// held by another process, damaged or of a newer version, a port in use. Nothing is left running.
  static Result<std::unique_ptr<Node>> start(const Config& config, const Types& types, OnStoreFailure on_store_failure);
  ~Node();  // stop(0)s

  /// "http://127.0.0.1:8080", with the real port.
  std::string http_url() const;
  std::uint16_t http_port() const;
  Runtime& runtime();

  /// Refuses new requests, lets those in flight end for at most `grace`, then closes what is left; what was
  /// acknowledged stays (INV-A8). A second call does nothing.
  void stop(Duration grace);

 private:
  struct Impl;
  explicit Node(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace plexspaces::node
