// Virtual time.
#pragma once

#include <algorithm>

#include "plexspaces/env/clock.hpp"

namespace plexspaces::sim {

/// Both clocks of a simulated world. Time passes only by advance(); the wall clock also jumps when told to.
/// Threads: one.
class SimClock final : public env::Clock {
 public:
  TimePoint now() const override { return now_; }
  WallTime wall_now() const override {
    return kWallStart + jumped_ + std::chrono::floor<std::chrono::milliseconds>(now_.time_since_epoch());
  }

  void advance(Duration by) { now_ = saturating_add(now_, by); }
  /// Sets the wall clock forwards, or backwards when `by` is negative.
  void jump_wall(std::chrono::milliseconds by) { jumped_ += by; }
  /// Nothing when `to` has passed.
  void advance_to(TimePoint to) { now_ = std::max(now_, to); }

 private:
  static constexpr WallTime kWallStart{std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)};
  TimePoint now_{};
  std::chrono::milliseconds jumped_{};
};

}  // namespace plexspaces::sim
