#include "plexspaces/supervision/strategy.hpp"

#include <algorithm>

#include "plexspaces/base/check.hpp"

namespace plexspaces::detail {

namespace {

constexpr std::size_t kFirstStamps = 4;

// INV-M7: the intensity is counted on the monotonic clock, for all children together.
Plan restart_or_give_up(const SupervisorState& state, std::size_t child, TimePoint now) {
  if (!state.restarts.allows(now)) return {Plan::Kind::kGiveUp, child, child + 1};
  return restart_plan(state, child);
}

bool ends_supervisor(const SupervisorState& state, std::size_t child) {
  if (!state.children[child].significant) return false;
  if (state.auto_shutdown == AutoShutdown::any_significant) return true;
  if (state.auto_shutdown == AutoShutdown::never) return false;
  for (std::size_t i = 0; i < state.children.size(); ++i) {
    const ChildRecord& other = state.children[i];
    if (i != child && other.significant && other.state != ChildState::stopped) return false;
  }
  return true;
}

}  // namespace

bool RestartWindow::allows(TimePoint now) const {
  if (limit_.intensity == 0) return false;
#ifdef PLX_BUG_RESTART_WINDOW_ONE_SHORT
  if (count_ + 1 < limit_.intensity) return true;
#else
  if (count_ < limit_.intensity) return true;
#endif
#ifdef PLX_BUG_RESTART_PERIOD_IGNORED
  return false;
#endif
  return count_ > 0 && is_over(ring_[oldest_], now);
}

void RestartWindow::add(TimePoint now) {
  PLX_CHECK(allows(now), "a restart beyond the limit is not counted but given up");
  while (count_ > 0 && is_over(ring_[oldest_], now)) {
    oldest_ = (oldest_ + 1) % ring_.size();
    --count_;
  }
  if (count_ == ring_.size()) {
    std::rotate(ring_.begin(), ring_.begin() + static_cast<std::ptrdiff_t>(oldest_), ring_.end());
    oldest_ = 0;
    ring_.resize(std::min<std::size_t>(limit_.intensity, std::max(kFirstStamps, 2 * ring_.size())));
  }
  std::size_t at = oldest_ + count_++;
  ring_[at < ring_.size() ? at : at - ring_.size()] = now;
}

// The child, and its siblings that are started anew with it.
Plan restart_plan(const SupervisorState& state, std::size_t child) {
  std::size_t count = state.children.size();
  switch (state.strategy) {
    case one_for_all:
      return {Plan::Kind::kRestart, 0, count};
    case rest_for_one:
#ifdef PLX_BUG_REST_RESTARTS_ALL
      return {Plan::Kind::kRestart, 0, count};
#else
      return {Plan::Kind::kRestart, child, count};
#endif
    default:
      return {Plan::Kind::kRestart, child, child + 1};
  }
}

bool is_restarted(RestartType type, ExitKind kind) {
  if (type == permanent) return true;
  return type == transient && kind != ExitKind::kNormal && kind != ExitKind::kShutdown;
}

Plan on_child_exit(const SupervisorState& state, std::size_t child, const ExitReason& reason, TimePoint now) {
  if (is_restarted(state.children[child].restart, reason.kind)) return restart_or_give_up(state, child, now);
  return {ends_supervisor(state, child) ? Plan::Kind::kShutDown : Plan::Kind::kForget, child, child + 1};
}

Plan on_restart_failed(const SupervisorState& state, std::size_t child, TimePoint now) {
  return restart_or_give_up(state, child, now);
}

std::optional<std::size_t> next_to_stop(const SupervisorState& state, std::size_t first, std::size_t before) {
  for (std::size_t i = before; i-- > first;)
    if (state.children[i].state == ChildState::running) return i;
  return std::nullopt;
}

std::optional<std::size_t> next_to_start(const SupervisorState& state, std::size_t first, std::size_t last) {
  for (std::size_t i = first; i < last; ++i)
    if (state.children[i].state != ChildState::running) return i;
  return std::nullopt;
}

}  // namespace plexspaces::detail
