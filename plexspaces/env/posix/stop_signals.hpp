// How the operating system asks a process to end.
#pragma once

#include <string_view>

#include "plexspaces/env/time.hpp"

namespace plexspaces::env {

/// SIGTERM and SIGINT as something that the main thread waits for. SIGPIPE is ignored: a peer that is gone is an error
/// of its connection. Threads: the main thread, before it starts others (they inherit that the signals are blocked).
/// One per process.
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
