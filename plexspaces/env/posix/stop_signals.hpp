// How the operating system asks a process to end.
#pragma once

#include <string_view>

#include "plexspaces/env/time.hpp"

namespace plexspaces::env {

/// SIGTERM, SIGINT and SIGHUP (unless the process was started with it ignored, as by nohup) as something that the main
/// thread waits for. SIGPIPE and SIGXFSZ do nothing: a peer that is gone and a file that may not grow are errors of the
/// call; nor do SIGUSR1 and SIGUSR2, which mean nothing here. All of this by handlers: a program that a handler of an
/// actor starts has none of it. Threads: the main thread. One per process, which it outlives.
class StopSignals {
 public:
  StopSignals();

  /// Blocks until one arrives, or request_stop(). @returns the signal's name, or "a request".
  std::string_view wait();

  /// Ends wait() as a signal does; does nothing later. Threads: any.
  static void request_stop();

  /// From now on the process ends at once, with `exit_code`, when another one arrives or `within` has passed.
  void end_at_next(Duration within, int exit_code);
};

}  // namespace plexspaces::env
