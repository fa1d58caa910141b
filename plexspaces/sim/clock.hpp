// Virtual time.
#pragma once

#include <algorithm>

#include "plexspaces/env/clock.hpp"

namespace plexspaces::sim {

/// Both clocks of a simulated world. Time passes only by advance(). Threads: one.
class SimClock final : public env::Clock {
 public:
  TimePoint now() const override { return now_; }
  WallTime wall_now() const override {
    return kWallStart + std::chrono::floor<std::chrono::milliseconds>(now_.time_since_epoch());
  }

  void advance(Duration by) { now_ += by; }
  /// Nothing when `to` has passed.
  void advance_to(TimePoint to) { now_ = std::max(now_, to); }

 private:
  static constexpr WallTime kWallStart{std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)};
  TimePoint now_{};
};

}  // namespace plexspaces::sim
