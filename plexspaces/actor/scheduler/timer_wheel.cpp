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

// Everything in `from` goes to the end of `list`.
void splice(Timer& list, Timer& from) {
  if (from.next == &from) return;
  list.previous->next = from.next;
  from.next->previous = list.previous;
  from.previous->next = &list;
  list.previous = from.previous;
  make_empty(from);
}

}  // namespace

TimerWheel::TimerWheel(TimePoint now) : tick_(static_cast<std::uint64_t>(now.time_since_epoch().count()) >> kTickBits) {
  for (Level& level : levels_)
    for (Timer& head : level.slots) make_empty(head);
  for (Timer* head : {&next_, &unsettled_, &spread_, &due_}) make_empty(*head);
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
  levels_[level].occupied[slot / 64] &= ~(std::uint64_t{1} << slot % 64);
  splice(list, levels_[level].slots[slot]);
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

// Puts timers of higher levels where they belong now that tick_ has come. @returns whether all are.
bool TimerWheel::spread() {
  for (std::size_t n = 0; spread_.next != &spread_; ++n) {
    if (n == kSpreadMax) return false;
    Timer& timer = *spread_.next;
    unlink(timer);
    if (timer.tick <= tick_)
      append(due_, timer);
    else
      insert(timer);
  }
  take_slot(0, tick_ % kSlots, due_);
  return true;
}

void TimerWheel::advance(TimePoint now) {
  std::uint64_t target = static_cast<std::uint64_t>(now.time_since_epoch().count()) >> kTickBits;
  splice(due_, next_);
  if (spread_.next != &spread_ && !spread()) return;
  while (tick_ < target) {
    std::uint64_t tick = size_ == 0 ? kNoTick : next_tick();
    if (tick > target) {
      tick_ = target;
      break;
    }
    // The higher levels' slots that begin at this tick, highest first, then the tick itself.
    tick_ = tick;
    for (int level = kLevels - 1; level > 0; --level) {
      if (tick % (std::uint64_t{1} << (kSlotBits * level)) == 0)
        take_slot(level, (tick >> (kSlotBits * level)) % kSlots, spread_);
    }
    if (!spread()) return;
  }
}

bool TimerWheel::fire_next(void* worker) {
  if (due_.next == &due_) return false;
  Timer& timer = *due_.next;
  unlink(timer);
  --size_;
  timer.fire(timer, worker);
  return true;
}

TimePoint TimerWheel::next_due() const {
  if (size_ == 0) return kNever;
  if (next_.next != &next_ || due_.next != &due_ || spread_.next != &spread_) return TimePoint::min();
  std::uint64_t tick = next_tick();
  if (tick == kNoTick) return kNever;
  return TimePoint(Duration(static_cast<Duration::rep>(tick << kTickBits)));
}

}  // namespace plexspaces::detail
