// Timers of an actor.
#pragma once

#include <compare>
#include <cstdint>

#include "plexspaces/codec/description.hpp"
#include "plexspaces/env/time.hpp"

namespace plexspaces {

inline constexpr Duration kTimerMax = 24h * 36'525;  // 100 years: how far ahead a timer can be, and its longest period
inline constexpr Duration kTimerPeriodMin = 1ms;     // about the resolution of timers, 2^20 ns

inline constexpr Duration kNoIdleTimeout = Duration(-1);  // for Context::idle_timeout(): no more

/// No message has come for as long as Context::idle_timeout() said.
struct IdleTimeout {};
PLX_MESSAGE(IdleTimeout);

/// One timer of one actor. Its number is never used again in its runtime.
struct TimerRef {
  std::uint64_t number = 0;  // 0: none
  std::uint32_t slot = 0;    // where its actor keeps it

  explicit operator bool() const { return number != 0; }
  friend auto operator<=>(const TimerRef&, const TimerRef&) = default;
};
PLX_MESSAGE(TimerRef, (1, number), (2, slot));

}  // namespace plexspaces
