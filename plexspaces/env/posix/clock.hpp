// The clocks of the operating system.
#pragma once

#include "plexspaces/env/clock.hpp"

namespace plexspaces::env {

/// CLOCK_MONOTONIC and CLOCK_REALTIME. A read costs tens of nanoseconds: one per batch, not one per message.
class PosixClock final : public Clock {
 public:
  TimePoint now() const override;
  WallTime wall_now() const override;
};

}  // namespace plexspaces::env
