// What a supervisor does when a child ends: decisions, without an actor in sight.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "plexspaces/actor/lifecycle/exit.hpp"
#include "plexspaces/supervision/child_spec.hpp"

namespace plexspaces {

/// Where a child is between its ends and starts.
enum class ChildState : std::uint8_t {
  running,
  restarting,  // it waits for its restart: a backoff, or the next try after a start that failed
  stopped,     // OTP's undefined: it ended and is not restarted, or was stopped
};
PLX_ENUM(ChildState, (1, running), (2, restarting), (3, stopped));

namespace detail {

/// The restarts of the last period: a ring of time stamps of the monotonic clock.
///
/// Memory: as many stamps as there were restarts in one period, at most `intensity`.
class RestartWindow {
 public:
  explicit RestartWindow(RestartLimit limit) : limit_(limit) {}

  /// Whether another restart at `now` stays within the limit. Time stamps of exactly one period ago still count, as in
  /// OTP.
  bool allows(TimePoint now) const;
  /// Counts a restart at `now`. allows(now) holds (checked).
  void add(TimePoint now);

  const RestartLimit& limit() const { return limit_; }
  /// Stamps kept: restarts within the period before the latest.
  std::size_t size() const { return count_; }

 private:
  bool is_over(TimePoint stamp, TimePoint now) const { return now - stamp > limit_.period; }

  RestartLimit limit_;
  std::vector<TimePoint> ring_;  // grows by doubling up to intensity
  std::size_t oldest_ = 0;
  std::size_t count_ = 0;
};

/// What a decision needs to know of a child.
struct ChildRecord {
  RestartType restart = permanent;
  bool significant = false;
  ChildState state = ChildState::stopped;

  friend bool operator==(const ChildRecord&, const ChildRecord&) = default;
};

/// What a decision needs to know of a supervisor. Children in the order in which they are started; those of
/// simple_one_for_one in any order.
struct SupervisorState {
  Strategy strategy = one_for_one;
  AutoShutdown auto_shutdown = AutoShutdown::never;
  RestartWindow restarts{RestartLimit{}};
  std::vector<ChildRecord> children;
};

/// The answer to the end of a child.
struct Plan {
  enum class Kind : std::uint8_t {
    kForget,    // the child stays stopped (a temporary one, or a child of simple_one_for_one: is removed)
    kRestart,   // stop the running ones of [first, last) right to left, remove the temporary ones that this stopped,
                // start all of [first, last) left to right
    kShutDown,  // as kForget; then the supervisor ends: its significant children have
    kGiveUp,    // as kForget; then the supervisor ends: too many restarts
  };

  Kind kind = Kind::kForget;
  std::size_t first = 0;
  std::size_t last = 0;

  friend bool operator==(const Plan&, const Plan&) = default;
};

/// Whether a child of that type is started again after an end of that kind.
bool is_restarted(RestartType type, ExitKind kind);

/// A child has ended by itself: it was running, and nobody had asked its supervisor to stop it. For kRestart the caller
/// adds the restart to the window.
Plan on_child_exit(const SupervisorState& state, std::size_t child, const ExitReason& reason, TimePoint now);

/// What a restart of the child is, whenever it comes to it: kRestart.
Plan restart_plan(const SupervisorState& state, std::size_t child);

/// The start of a child has failed while it was restarted: tries again, which is another restart.
Plan on_restart_failed(const SupervisorState& state, std::size_t child, TimePoint now);

/// The next child to stop for a range: the rightmost that runs, left of `before`. None: all are stopped.
std::optional<std::size_t> next_to_stop(const SupervisorState& state, std::size_t first, std::size_t before);

/// The next child to start for a range: the leftmost that does not run, from `first`. None: all are started.
std::optional<std::size_t> next_to_start(const SupervisorState& state, std::size_t first, std::size_t last);

}  // namespace detail
}  // namespace plexspaces
