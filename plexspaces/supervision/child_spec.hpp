// How a child of a supervisor is restarted and stopped: values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "plexspaces/actor/mailbox/mailbox.hpp"
#include "plexspaces/codec/description.hpp"
#include "plexspaces/env/time.hpp"

namespace plexspaces {

inline constexpr std::size_t kChildIdBytesMax = 255;
inline constexpr std::size_t kChildrenMax = 10'000;  // of one supervisor, without those of simple_one_for_one
inline constexpr std::size_t kTreeDepthMax = 32;     // supervisors above one another
inline constexpr std::uint32_t kRestartIntensityMax = 1'000'000;
inline constexpr Duration kShutdownMax = 24h;  // beyond it: infinity
inline constexpr Duration kBackoffMax = 24h;

// The words of OTP, as users write them: supervisor("shop", one_for_one).child<Stock>("stock", permanent).

/// Who is restarted when a child ends. Source: OTP's supervisor.
enum class Strategy : std::uint8_t {
  one_for_one,         // that child
  one_for_all,         // all children
  rest_for_one,        // that child and those that were started after it
  simple_one_for_one,  // that child; all children are made from one template, when asked for
};
PLX_ENUM(Strategy, (1, one_for_one), (2, one_for_all), (3, rest_for_one), (4, simple_one_for_one));

/// Which ends of a child are answered by a restart.
enum class RestartType : std::uint8_t {
  permanent,  // every one
  transient,  // those that are not normal or shutdown
  temporary,  // none; the child is forgotten when it ends
};
PLX_ENUM(RestartType, (1, permanent), (2, transient), (3, temporary));

/// Whether the supervisor ends when significant children have ended by themselves and are not restarted.
enum class AutoShutdown : std::uint8_t {
  never,
  any_significant,  // as soon as one has
  all_significant,  // when the last one has
};
PLX_ENUM(AutoShutdown, (1, never), (2, any_significant), (3, all_significant));

using enum Strategy;
using enum RestartType;
using AutoShutdown::all_significant;
using AutoShutdown::any_significant;

/// How long a child may take to end when its supervisor stops it: it is told to shut down, and killed when the time is
/// over. A duration: that long, 0 to kShutdownMax.
struct Shutdown {
  enum class Kind : std::uint8_t { kBrutal, kTimed, kInfinite };

  constexpr Shutdown(Duration time) : kind(Kind::kTimed), within(time) {}  // NOLINT(google-explicit-constructor)
  template <class Rep, class Period>
  constexpr Shutdown(std::chrono::duration<Rep, Period> time)  // NOLINT(google-explicit-constructor)
      : Shutdown(Duration(time)) {}
  constexpr explicit Shutdown(Kind how) : kind(how) {}

  Kind kind;
  Duration within{0};

  friend bool operator==(const Shutdown&, const Shutdown&) = default;
};
inline constexpr Shutdown brutal_kill{Shutdown::Kind::kBrutal};  // killed at once
inline constexpr Shutdown infinity{Shutdown::Kind::kInfinite};   // never killed

inline constexpr Shutdown kWorkerShutdown = Duration(5s);

/// How often children may be restarted: with more than `intensity` restarts within `period` the supervisor gives up.
struct RestartLimit {
  std::uint32_t intensity = 1;  // 0: the first restart is one too many; at most kRestartIntensityMax
  Duration period = 5s;         // above 0

  friend bool operator==(const RestartLimit&, const RestartLimit&) = default;
};

/// Waits before a child is started again: initial, initial * factor, ... up to max, each spread by +-jitter of itself.
/// A child that has run for `max` begins anew. A wait is part of the restart: it counts once.
struct Backoff {
  Duration initial = 100ms;  // above 0
  Duration max = 30s;        // initial to kBackoffMax
  double factor = 2;         // 1 to 100
  double jitter = 0.2;       // 0 to 1, a share

  friend bool operator==(const Backoff&, const Backoff&) = default;
};

/// @returns the wait before restart number `attempt` (0: the first) of a row. `random`: uniform bits.
Duration backoff_delay(const Backoff& backoff, std::uint32_t attempt, std::uint64_t random);

/// What a child has beside its id, class and restart type.
struct ChildOptions {
  std::optional<Shutdown> shutdown{};  // kWorkerShutdown; of a supervisor: infinity
  bool significant = false;            // for AutoShutdown; not of a permanent child
  std::optional<Backoff> backoff{};    // none: at once
  std::string name{};                  // under which Runtime::find() finds it, also after each restart; empty: none
  MailboxOptions mailbox{};            // unset: that of the runtime

  friend bool operator==(const ChildOptions&, const ChildOptions&) = default;
};

}  // namespace plexspaces
