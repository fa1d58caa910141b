// Whole supervision trees, started and stopped from outside the actors: with a program, or with a node.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "plexspaces/supervision/supervisor.hpp"

namespace plexspaces {

/// Starts a supervision tree and waits until all of it is there. It belongs to nobody: it ends by stop_tree(), or by
/// itself when it gives up, which `on_end` is told, on a worker.
/// Threads: not a worker.
/// @error what SupervisorSpec::check() says; that of the child that did not start: nothing of the tree is left then.
/// kDeadlineExceeded: its actors took longer than `within`; what has been started ends.
Result<ActorRef<Supervisor>> start_tree(Runtime& runtime, SupervisorSpec tree, Duration within,
                                        std::function<void(const ExitReason&)> on_end = {});

/// Stops a tree, right to left, each child within its Shutdown, and waits for that; kills what is left after `within`.
/// Threads: not a worker. @error kDeadlineExceeded: it had to be killed.
Status stop_tree(ActorRef<Supervisor> root, Duration within);

/// A supervision tree that is started and stopped with the node. Source: OTP's applications.
struct Application {
  std::string name;  // unique; 1 to kChildIdBytesMax bytes
  SupervisorSpec tree;
  /// Whether its end, by itself, ends the node: permanent: always; transient: unless the reason is normal or shutdown;
  /// temporary: never, it is logged. A supervisor that gives up ends with shutdown.
  RestartType type = permanent;
  std::vector<std::string> start_after = {};  // names of others; they stop after this one
};

inline constexpr std::size_t kApplicationsMax = 1'000;

/// The order in which applications start: as given, but each after those that it names. @returns indices.
/// @error kInvalidArgument: a name twice, one that is not there, or a circle, which is named; a tree with a mistake;
/// more than kApplicationsMax.
Result<std::vector<std::size_t>> start_order(std::span<const Application> applications);

/// The applications of one runtime.
///
///     start:  in order, each when the one before it is there     stop: in the opposite order, each when the one
///                                                                       started after it has ended
///
/// Threads: one, not a worker. Lifetime: the runtime outlives it; stop() before the runtime's executor stops.
class Applications {
 public:
  /// Told once for each application that ends by itself and ends the node by that. On a worker.
  using OnFailure = std::function<void(const std::string& name, const ExitReason& reason)>;

  Applications(Runtime& runtime, OnFailure on_failure);

  /// @error as start_order(), start_tree(), with the name of the application: those started before it have been
  /// stopped.
  Status start(std::vector<Application> applications, Duration within_each);
  /// Stops all that run, within `grace` together; what is left then is killed.
  void stop(Duration grace);

  /// @returns the root of the application that was started by that name. @error kNotFound: none.
  Result<ActorRef<Supervisor>> root(std::string_view name) const;

 private:
  struct Running {
    std::string name;
    ActorRef<Supervisor> root;
  };
  // Outlives this object: an end may be told late.
  struct Shared {
    OnFailure on_failure;
    std::atomic<bool> stopping{false};
  };

  Runtime& runtime_;
  std::shared_ptr<Shared> shared_;
  std::vector<Running> running_;  // in the order of their start
};

}  // namespace plexspaces
