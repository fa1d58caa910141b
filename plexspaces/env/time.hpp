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

/// `time` + `by`; kNever, or TimePoint::min(), when that is beyond all time.
constexpr TimePoint saturating_add(TimePoint time, Duration by) {
  Duration::rep sum = 0;
  if (__builtin_add_overflow(time.time_since_epoch().count(), by.count(), &sum))
    return by < Duration::zero() ? TimePoint::min() : kNever;
  return TimePoint(Duration(sum));
}

/// `a` + `b`; Duration::max(), or Duration::min(), when that is out of range.
constexpr Duration saturating_add(Duration a, Duration b) { return saturating_add(TimePoint(a), b).time_since_epoch(); }

/// How long to wait at `now` for what is due at `due`: not below zero, and Duration::max() for kNever.
constexpr Duration time_left(TimePoint due, TimePoint now) {
  if (due == kNever) return Duration::max();
  Duration::rep left = 0;
  if (__builtin_sub_overflow(due.time_since_epoch().count(), now.time_since_epoch().count(), &left))
    return due < now ? Duration::zero() : Duration::max();
  return left < 0 ? Duration::zero() : Duration(left);
}

/// What the waits of the standard library may be given: they add it to their clock, which must not overflow. 100 years
/// stand for more.
constexpr Duration bounded_wait(Duration within) {
  constexpr Duration kLongest = 24h * 36'525;
  return within < Duration::zero() ? Duration::zero() : within > kLongest ? kLongest : within;
}

}  // namespace plexspaces
