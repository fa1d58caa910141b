// Points in time, told apart by their clock.
#pragma once

#include <chrono>
#include <cstdint>

namespace plexspaces {

using Duration = std::chrono::nanoseconds;
using namespace std::chrono_literals;

/// The monotonic clock of an Executor. It never runs backwards and means nothing outside its process.
struct Monotonic {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<Monotonic>;
  static constexpr bool is_steady = true;
};
using TimePoint = Monotonic::time_point;

/// The civil clock in UTC, milliseconds since 1970. It may jump: only for what people read and what outlives a process.
using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;

inline constexpr TimePoint kNever = TimePoint::max();

/// `time` + `by`, or kNever when that is beyond all time. `by` >= 0.
constexpr TimePoint saturating_add(TimePoint time, Duration by) { return by >= kNever - time ? kNever : time + by; }

}  // namespace plexspaces
