// A runtime for a program that is no node.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/actor/types.hpp"
#include "plexspaces/env/posix/executor.hpp"

namespace plexspaces {

struct LocalRuntimeOptions {
  env::PosixExecutorOptions executor;
  RuntimeOptions runtime{};
};

/// Plain actors on real threads, for as long as it lives: no store, no network, no registered types.
///
///     LocalRuntime runtime;
///     auto counter = runtime.spawn<Counter>("counter").value();
///     auto five = counter.ask(Increment{5}, 1s);
///
/// Threads: any, but for construction, stop() and destruction: one, not a worker, unless the process ends by
/// std::exit() in a handler. What actors refer to (a promise, a
/// latch) is declared before it, and so outlives it.
class LocalRuntime {
 public:
  /// Throws std::invalid_argument when an option of the runtime makes no sense: its text names the option.
  explicit LocalRuntime(LocalRuntimeOptions options = {});
  ~LocalRuntime();  // stop()s
  LocalRuntime(const LocalRuntime&) = delete;

  /// As Runtime::spawn().
  template <class A, class... Args>
  Result<ActorRef<A>> spawn(std::string name, Args&&... args) {
    return runtime_.spawn<A>(std::move(name), std::forward<Args>(args)...);
  }
  template <class A, class... Args>
  Result<ActorRef<A>> spawn(SpawnOptions options, Args&&... args) {
    return runtime_.spawn<A>(std::move(options), std::forward<Args>(args)...);
  }

  /// Ends the workers after the turns that they are in, and waits for that: what actors have written is visible then.
  /// What is queued stays unhandled. A second call does nothing.
  /// From here on spawn, tell, send and ask fail with kUnavailable; who waits in an ask waits for its time.
  void stop();

  Runtime& runtime() { return runtime_; }
  std::size_t worker_count() const { return executor_.worker_count(); }

 private:
  env::PosixExecutor executor_;
  const Types types_;  // none: a type is registered for its facets, and a plain actor has none
  Runtime runtime_;
};

}  // namespace plexspaces
