// The timers of one worker.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "plexspaces/env/time.hpp"

namespace plexspaces::detail {

/// A timer, embedded in what it wakes. `fire` is called once, on the worker, with the timer already disarmed.
struct Timer {
  Timer* previous = nullptr;
  Timer* next = nullptr;
  std::uint64_t tick = 0;
  void (*fire)(Timer& timer, void* worker) = nullptr;

  bool armed() const { return next != nullptr; }
};

/// Hierarchical timing wheel (Varghese and Lauck, 1987): arm, cancel and fire are O(1) each.
///
///     level 0   256 slots of one tick       (2^20 ns, about a millisecond)
///     level 1   256 slots of 256 ticks ...  4 levels reach 52 days; later timers wait in the last slot and go round
///     again
///
/// A timer never fires before its deadline and, when advance() and fire_next() are called in time, at most one tick
/// after it. Each call has a bound, so that many timers of one time do not hold up what else the worker has to do.
/// Threads: one at a time. Timers still armed are forgotten, not fired, when it is destroyed.
class TimerWheel {
 public:
  explicit TimerWheel(TimePoint now);
  TimerWheel(const TimerWheel&) = delete;

  void arm(Timer& timer, TimePoint deadline);
  /// Fires `timer` in the next advance(), whatever the time.
  void arm_next(Timer& timer);
  /// Arms `timer` for `within` from the time that settle() is given next: for who does not know the time and does not
  /// read a clock for it. `within` below zero counts as zero.
  void arm_within(Timer& timer, Duration within);
  /// Gives the timers of arm_within() their deadlines. Before each advance() and next_due().
  void settle(TimePoint now);
  bool has_unsettled() const { return unsettled_.next != &unsettled_; }
  /// When `timer`, which is armed, fires at the earliest; nothing while it is not settled.
  std::optional<TimePoint> fires_at(const Timer& timer) const;
  /// After it returns the timer does not fire. A timer that is not armed is left alone.
  void cancel(Timer& timer);
  /// Finds what is due at `now`. Takes at most kSpreadMax timers to another level: then it is not at `now` yet, and the
  /// next call goes on.
  void advance(TimePoint now);
  /// Fires the next timer of those that are due, in order of deadline by tick. Timers armed meanwhile are due after a
  /// later advance(). @returns false: none is due.
  bool fire_next(void* worker);
  /// When there is something to do next: a due timer or a slot to spread; kNever without timers, TimePoint::min() when
  /// it is now.
  TimePoint next_due() const;
  std::size_t size() const { return size_; }
  /// When a timer for `deadline` fires, if advance() is called in time: at the next tick.
  static TimePoint fire_time(TimePoint deadline) {
    return TimePoint(Duration(static_cast<Duration::rep>(tick_after(deadline) << kTickBits)));
  }

 private:
  static constexpr int kTickBits = 20;
  static constexpr int kSlotBits = 8;
  static constexpr std::size_t kSlots = 1 << kSlotBits;
  static constexpr int kLevels = 4;
  static constexpr std::size_t kSpreadMax = 4'096;
  static constexpr std::uint64_t kUnsettled = std::uint64_t{1} << 63;  // above every tick

  struct Level {
    std::array<Timer, kSlots> slots;  // list heads
    std::array<std::uint64_t, kSlots / 64> occupied{};
  };

  static std::uint64_t tick_after(TimePoint time);
  void insert(Timer& timer);
  void take_slot(int level, std::size_t slot, Timer& list);
  bool spread();
  std::uint64_t next_tick() const;

  std::array<Level, kLevels> levels_;
  Timer next_;    // list heads
  Timer spread_;  // of higher levels' slots that begin at tick_, still to be put into theirs
  Timer due_;
  Timer unsettled_;     // their `tick` is kUnsettled plus the nanoseconds of `within`
  std::uint64_t tick_;  // everything up to this tick has fired
  std::size_t size_ = 0;
};

}  // namespace plexspaces::detail
