#include "plexspaces/actor/scheduler/timer_wheel.hpp"

#include <algorithm>
#include <bit>
#include <limits>

namespace plexspaces::detail {

namespace {

constexpr std::uint64_t kNoTick = std::numeric_limits<std::uint64_t>::max();

void make_empty(Timer& head) { head.previous = head.next = &head; }

void append(Timer& head, Timer& timer) {
  timer.previous = head.previous;
  timer.next = &head;
  head.previous->next = &timer;
  head.previous = &timer;
}

void unlink(Timer& timer) {
  timer.previous->next = timer.next;
  timer.next->previous = timer.previous;
  timer.previous = timer.next = nullptr;
}

}  // namespace

TimerWheel::TimerWheel(TimePoint now) : tick_(static_cast<std::uint64_t>(now.time_since_epoch().count()) >> kTickBits) {
  for (Level& level : levels_)
    for (Timer& head : level.slots) make_empty(head);
  make_empty(next_);
  make_empty(unsettled_);
}

std::uint64_t TimerWheel::tick_after(TimePoint time) {
  auto nanoseconds = static_cast<std::uint64_t>(std::max<Duration::rep>(0, time.time_since_epoch().count()));
  return (nanoseconds >> kTickBits) + 1;
}

void TimerWheel::arm(Timer& timer, TimePoint deadline) {
  cancel(timer);
  timer.tick = tick_after(deadline);
  insert(timer);
  ++size_;
}

void TimerWheel::arm_next(Timer& timer) {
  cancel(timer);
  timer.tick = tick_;
  append(next_, timer);
  ++size_;
}

void TimerWheel::arm_within(Timer& timer, Duration within) {
  cancel(timer);
  timer.tick = kUnsettled + static_cast<std::uint64_t>(std::max<Duration::rep>(0, within.count()));
  append(unsettled_, timer);
  ++size_;
}

void TimerWheel::settle(TimePoint now) {
  while (has_unsettled()) {
    Timer& timer = *unsettled_.next;
    unlink(timer);
    timer.tick = tick_after(saturating_add(now, Duration(static_cast<Duration::rep>(timer.tick - kUnsettled))));
    insert(timer);
  }
}

std::optional<TimePoint> TimerWheel::fires_at(const Timer& timer) const {
  if (timer.tick >= kUnsettled) return std::nullopt;
  return TimePoint(Duration(static_cast<Duration::rep>(timer.tick << kTickBits)));
}

void TimerWheel::insert(Timer& timer) {
  std::uint64_t tick = std::max(timer.tick, tick_ + 1);
  std::uint64_t distance = tick - tick_;
  int level = 0;
  while (level < kLevels - 1 && distance >= std::uint64_t{1} << (kSlotBits * (level + 1))) ++level;
  std::uint64_t reach = std::uint64_t{1} << (kSlotBits * kLevels);
  if (distance >= reach) tick = tick_ + reach - 1;
  std::size_t slot = (tick >> (kSlotBits * level)) % kSlots;
  append(levels_[level].slots[slot], timer);
  levels_[level].occupied[slot / 64] |= std::uint64_t{1} << slot % 64;
}

void TimerWheel::cancel(Timer& timer) {
  if (!timer.armed()) return;
  unlink(timer);  // an emptied slot keeps its bit: a look too many, cleared by the next advance() that comes by
  --size_;
}

void TimerWheel::take_slot(int level, std::size_t slot, Timer& list) {
  Timer& head = levels_[level].slots[slot];
  levels_[level].occupied[slot / 64] &= ~(std::uint64_t{1} << slot % 64);
  if (head.next == &head) return;
  list.previous->next = head.next;
  head.next->previous = list.previous;
  head.previous->next = &list;
  list.previous = head.previous;
  make_empty(head);
}

// The first tick after tick_ at which a slot of some level comes up that has its bit set.
std::uint64_t TimerWheel::next_tick() const {
  std::uint64_t best = kNoTick;
  for (int level = 0; level < kLevels; ++level) {
    std::uint64_t position = tick_ >> (kSlotBits * level);
    for (std::size_t ahead = 1; ahead <= kSlots;) {
      std::size_t slot = (position + ahead) % kSlots;
      std::uint64_t bits = levels_[level].occupied[slot / 64] >> slot % 64;
      if (bits != 0) {
        std::size_t found = ahead + static_cast<std::size_t>(std::countr_zero(bits));
        if (found <= kSlots) best = std::min(best, (position + found) << (kSlotBits * level));
        break;
      }
      ahead += 64 - slot % 64;
    }
  }
  return best;
}

void TimerWheel::advance(TimePoint now, void* worker) {
  std::uint64_t target = static_cast<std::uint64_t>(now.time_since_epoch().count()) >> kTickBits;
  Timer due;
  make_empty(due);
  while (next_.next != &next_) {
    Timer& timer = *next_.next;
    unlink(timer);
    append(due, timer);
  }
  while (tick_ < target) {
    std::uint64_t tick = size_ == 0 ? kNoTick : next_tick();
    if (tick > target) {
      tick_ = target;
      break;
    }
    // Spread the higher levels' slots that begin at this tick, highest first, then collect the tick itself.
    tick_ = tick;
    for (int level = kLevels - 1; level > 0; --level) {
      if (tick % (std::uint64_t{1} << (kSlotBits * level)) != 0) continue;
      Timer spread;
      make_empty(spread);
      take_slot(level, (tick >> (kSlotBits * level)) % kSlots, spread);
      while (spread.next != &spread) {
        Timer& timer = *spread.next;
        unlink(timer);
        if (timer.tick <= tick)
          append(due, timer);
        else
          insert(timer);
      }
    }
    take_slot(0, tick % kSlots, due);
  }
  while (due.next != &due) {
    Timer& timer = *due.next;
    unlink(timer);
    --size_;
    timer.fire(timer, worker);
  }
}

TimePoint TimerWheel::next_due() const {
  if (size_ == 0) return kNever;
  if (next_.next != &next_) return TimePoint::min();
  std::uint64_t tick = next_tick();
  if (tick == kNoTick) return kNever;
  return TimePoint(Duration(static_cast<Duration::rep>(tick << kTickBits)));
}

}  // namespace plexspaces::detail
