// The timers of one actor, by reference.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "plexspaces/actor/scheduler/timer.hpp"
#include "plexspaces/actor/scheduler/timer_wheel.hpp"

namespace plexspaces::detail {

class BlockPool;
class Worker;
struct ActorCell;
struct Envelope;

/// A timer of an actor. It is in its worker's wheel, or due: then a tick that names it is in the mailbox, and never
/// more than one.
struct ActorTimer : Timer {
  ActorCell* cell = nullptr;
  Envelope* message = nullptr;
  Envelope* (*copy)(BlockPool* pool, const Envelope& message) = nullptr;  // of a periodic one
  TimePoint deadline;
  Duration period{0};  // zero: once
  TimerRef ref;
  bool due = false;
  bool idle = false;  // that of IdleTimer
};

/// What Context::idle_timeout() has set. Messages only note when they came; the timer looks at that when it fires, and
/// is armed again when it was too early.
struct IdleTimer {
  Duration after{0};
  TimePoint last;  // message
  TimerRef timer;  // none: it has told, and waits for a message
};

/// Belongs to the home worker and moves with the actor.
class ActorTimers {
 public:
  std::size_t size() const { return size_; }
  ActorTimer* find(TimerRef ref) const {
    ActorTimer* timer = ref.slot < slots_.size() ? slots_[ref.slot].timer : nullptr;
    return timer != nullptr && timer->ref == ref ? timer : nullptr;
  }
  /// Gives the timer its reference, with the number.
  void add(ActorTimer& timer, std::uint64_t number);
  void remove(const ActorTimer& timer);
  /// Frees what is there for timers that have been.
  void shrink();
  std::size_t bytes() const { return sizeof(*this) + slots_.capacity() * sizeof(Slot); }

  template <class F>
  void for_each(F visit) {
    for (Slot& slot : slots_)
      if (slot.timer != nullptr) visit(*slot.timer);
  }

  Worker* worker = nullptr;  // in whose wheel they are

 private:
  struct Slot {
    ActorTimer* timer = nullptr;
    std::uint32_t next_free = 0;
  };
  static constexpr std::uint32_t kNoSlot = ~std::uint32_t{0};

  std::vector<Slot> slots_;
  std::uint32_t free_ = kNoSlot;
  std::size_t size_ = 0;
};

}  // namespace plexspaces::detail
