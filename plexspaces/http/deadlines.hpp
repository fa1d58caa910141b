// How long a connection may stay in one place: the decision, apart from clocks and sockets (INV-G4).
#pragma once

#include "plexspaces/env/time.hpp"

namespace plexspaces::http {

/// What a connection waits for.
enum class Phase {
  kIdle,    // the first byte of the next request
  kHeader,  // the rest of its header
  kBody,    // the rest of its body
  kAnswer,  // the handler, for as long as the request may take
  kWrite,   // the client to take the answer
  kLinger,  // the client to close, after an answer that ends the connection
};

/// Each is measured from the phase's beginning, whatever trickles in meanwhile: a slow client gains nothing.
struct Deadlines {
  Duration idle_timeout = 60s;
  Duration header_timeout = 10s;
  Duration body_timeout = 30s;
  Duration write_timeout = 30s;
  Duration linger_timeout = 2s;
};

enum class Verdict {
  kKeep,
  kClose,           // nothing can be said to this client any more
  kRequestTimeout,  // answer 408, then close
  kNoAnswer,        // answer 504: the outcome is not known
};

/// @param since when the phase began; `request_timeout` counts only in kAnswer.
Verdict judge(Phase phase, TimePoint since, TimePoint now, const Deadlines& deadlines, Duration request_timeout);

}  // namespace plexspaces::http
