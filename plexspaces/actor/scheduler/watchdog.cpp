#include "plexspaces/actor/scheduler/watchdog.hpp"

#include <utility>

namespace plexspaces::detail {

Watchdog::Watchdog(std::size_t workers, Duration slow_after, std::function<void(const SlowTurn&)> report)
    : slow_after_(slow_after), report_(std::move(report)), workers_(workers) {}

void Watchdog::look(TimePoint now, const std::function<Held(std::size_t)>& held) {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    Watched& watched = workers_[i];
    Held seen = held(i);
    Duration lasted = now - watched.since;
    if (watched.slow && lasted > longest()) longest_.store(lasted.count(), std::memory_order_relaxed);
    if (seen != watched.held) {
      if (watched.slow) report_({i, watched.held, lasted, true});
      watched = {seen, now, slow_after_, false};
    } else if (seen.actor && lasted >= watched.next) {
      if (!std::exchange(watched.slow, true)) slow_turns_.fetch_add(1, std::memory_order_relaxed);
      if (lasted > longest()) longest_.store(lasted.count(), std::memory_order_relaxed);
      while (watched.next <= lasted) watched.next *= 2;
      report_({i, seen, lasted, false});
    }
  }
}

}  // namespace plexspaces::detail
