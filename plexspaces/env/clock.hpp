// The port to the clocks.
#pragma once

#include "plexspaces/env/time.hpp"

namespace plexspaces::env {

/// Both clocks of the world. Threads: any.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
  virtual WallTime wall_now() const = 0;
};

}  // namespace plexspaces::env
