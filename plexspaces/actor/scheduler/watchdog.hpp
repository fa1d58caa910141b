// Finds handlers that hold their worker.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "plexspaces/actor/actor_id.hpp"
#include "plexspaces/env/time.hpp"

namespace plexspaces {
struct MessageInfo;
}

namespace plexspaces::detail {

/// The turn that a worker is in, told apart from every other turn of it.
struct Held {
  std::uint64_t batches = 0;  // turns before this batch
  std::size_t turn = 0;       // of the batch
  ActorId actor;              // none: no handler runs
  std::uint16_t class_number = 0;
  const MessageInfo* message = nullptr;

  friend bool operator==(const Held&, const Held&) = default;
};

/// A turn that has lasted too long.
struct SlowTurn {
  std::size_t worker = 0;
  Held held;
  Duration lasted{};  // at least
  bool ended = false;
};

/// Decides, from looks at what each worker runs, which turns last longer than `slow_after`.
///
///     look  look  look  look  look  look  look  look  look
///      .     T     T     T     T     T     T     T     .        one turn T
///            |<---- slow_after ---->|                  |
///                    reported at 1, 2, 4 ... of it,    and when it has ended
///
/// A turn counts from the first look that finds it, so what is reported is at most one period short.
/// Threads: look() one at a time; the counters any.
class Watchdog {
 public:
  Watchdog(std::size_t workers, Duration slow_after, std::function<void(const SlowTurn&)> report);

  /// `held(i)` is what worker i runs.
  void look(TimePoint now, const std::function<Held(std::size_t)>& held);

  std::uint64_t slow_turns() const { return slow_turns_.load(std::memory_order_relaxed); }
  Duration longest() const { return Duration(longest_.load(std::memory_order_relaxed)); }

 private:
  struct Watched {
    Held held;
    TimePoint since{};
    Duration next{};  // to report at
    bool slow = false;
  };

  const Duration slow_after_;
  const std::function<void(const SlowTurn&)> report_;
  std::vector<Watched> workers_;
  std::atomic<std::uint64_t> slow_turns_{0};
  std::atomic<Duration::rep> longest_{0};
};

}  // namespace plexspaces::detail
