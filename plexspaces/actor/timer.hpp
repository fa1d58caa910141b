// Timers of an actor.
#pragma once

#include <compare>
#include <cstdint>

#include "plexspaces/codec/description.hpp"
#include "plexspaces/env/time.hpp"

namespace plexspaces {

inline constexpr Duration kTimerMax = 24h * 36'525;  // 100 years: how far ahead a timer can be, and its longest period
inline constexpr Duration kTimerPeriodMin = 1ms;     // about the resolution of timers, 2^20 ns

/// No message has come for as long as Context::idle_timeout() said.
struct IdleTimeout {};
PLX_MESSAGE(IdleTimeout);

/// One timer of one actor. Its number is never used again by that actor.
struct TimerRef {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;  // 0: none

  explicit operator bool() const { return generation != 0; }
  friend auto operator<=>(const TimerRef&, const TimerRef&) = default;
};
PLX_MESSAGE(TimerRef, (1, slot), (2, generation));

}  // namespace plexspaces
