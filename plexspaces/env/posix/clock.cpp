#include "plexspaces/env/posix/clock.hpp"

#include <chrono>

namespace plexspaces::env {

TimePoint PosixClock::now() const { return TimePoint(std::chrono::steady_clock::now().time_since_epoch()); }

WallTime PosixClock::wall_now() const {
  return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

}  // namespace plexspaces::env
