// The timers of actors.
//
//     armed in the wheel --due--> a tick in the mailbox --its turn--> the message is handled
//        ^                                                     |
//        `------------------------- periodic -----------------'
//
// A tick only names its timer, so cancel() is exact without a search: a tick whose timer is gone does nothing. A
// periodic timer is armed again when its message is handled, at its next time that is still to come: an actor that
// falls behind skips ticks instead of piling them up.
#include <algorithm>
#include <new>
#include <utility>

#include <fmt/format.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/message/system_message.hpp"
#include "plexspaces/actor/recorder.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/actor/scheduler/actor_timers.hpp"
#include "plexspaces/actor/scheduler/worker.hpp"

namespace plexspaces::detail {

namespace {

constexpr std::size_t kTimersMovedMax = 64;  // an actor with more stays on its worker
constexpr std::size_t kTimerBlock = block_class(sizeof(ActorTimer));

}  // namespace

void ActorTimers::add(ActorTimer& timer, std::uint64_t number) {
  if (free_ == kNoSlot) {
    free_ = static_cast<std::uint32_t>(slots_.size());
    slots_.push_back({nullptr, kNoSlot});
  }
  std::uint32_t index = free_;
  Slot& slot = slots_[index];
  free_ = slot.next_free;
  slot.timer = &timer;
  timer.ref = {number, index};
  ++size_;
}

void ActorTimers::remove(const ActorTimer& timer) {
  Slot& slot = slots_[timer.ref.slot];
  slot.timer = nullptr;
  slot.next_free = std::exchange(free_, timer.ref.slot);
  --size_;
}

void ActorTimers::shrink() {
  if (size_ > 0) return;
  std::vector<Slot>().swap(slots_);
  free_ = kNoSlot;
}

Result<TimerRef> Worker::arm_timer(ActorCell& cell, Duration after, Duration period, Envelope* message,
                                   Envelope* (*copy)(BlockPool* pool, const Envelope& message)) {
  EnvelopePtr owned(message, {&pool_});
  if (after > kTimerMax || period > kTimerMax)
    return fail(Code::kInvalidArgument, "a timer is at most 100 years ahead", "PLX-ACT-0028");
  if (copy != nullptr && period < kTimerPeriodMin)
    return fail(Code::kInvalidArgument, "the period of a timer is at least 1 ms", "PLX-ACT-0028");
  PLX_TRY_STATUS(check_own_message(cell, *message->type));
  Extras& extras = Worker::extras(cell);
  if (extras.timers == nullptr) extras.timers = std::make_unique<ActorTimers>();
  if (extras.timers->size() >= options_.timers_max)
    return fail(Code::kResourceExhausted, "the limit timers_max of the actor is reached: cancel some", "PLX-ACT-0029");
  message->set_sender(cell.id());
  if (request_ != nullptr) inherit_request(*message, *request_);
  auto* timer = ::new (pool_.allocate(kTimerBlock)) ActorTimer;
  timer->fire = &Worker::timer_fired;
  timer->cell = &cell;
  timer->message = owned.release();
  timer->copy = copy;
  timer->deadline = arm_from_now(*timer, after);
  timer->period = period;
  extras.timers->worker = this;
  extras.timers->add(*timer, ++last_correlation_);
  if (recorder_ != nullptr) recorder_->timer_armed(cell.id(), timer->ref, after, period, *message);
  return timer->ref;
}

// By the clock itself: the batch may have been long. Zero or less: in the next batch. Beyond all time: never.
TimePoint Worker::arm_from_now(Timer& timer, Duration within) {
  if (within <= Duration(0)) {
    timers_.arm_next(timer);
    return now_;
  }
  TimePoint deadline = saturating_add(fresh_now(), within);
  if (deadline != kNever) timers_.arm(timer, deadline);
  return deadline;
}

bool Worker::cancel_timer(ActorCell& cell, TimerRef ref) {
  ActorTimers* timers = cell.extras == nullptr ? nullptr : cell.extras->timers.get();
  ActorTimer* timer = timers == nullptr ? nullptr : timers->find(ref);
  if (timer == nullptr) return false;
  drop_timer(*timers, *timer);
  if (recorder_ != nullptr) recorder_->timer_cancelled(cell.id(), ref);
  return true;
}

void Worker::drop_timer(ActorTimers& timers, ActorTimer& timer) {
  timers.worker->timers_.cancel(timer);
  timers.remove(timer);
  if (timer.message != nullptr) destroy_envelope(&pool_, timer.message);
  timer.~ActorTimer();
  pool_.free(&timer, kTimerBlock);
}

void Worker::timer_fired(Timer& fired, void* worker) {
  auto& timer = static_cast<ActorTimer&>(fired);
  auto& self = *static_cast<Worker*>(worker);
  ActorCell& cell = *timer.cell;
  if (timer.idle && self.was_active(cell, timer)) return;
  timer.due = true;
  Envelope* tick = allocate_envelope(&self.pool_, sizeof(TimerRef), 0);
  tick->type = &kTickMessage;
  ::new (tick->payload()) TimerRef(timer.ref);
  self.append_any(cell, tick);
  self.schedule_if_runnable(cell);
}

void Worker::tick(ActorCell& cell, TimerRef ref) {
  ActorTimers& timers = *cell.extras->timers;
  ActorTimer* timer = timers.find(ref);
  if (timer == nullptr) return;
  EnvelopePtr message(nullptr, {&pool_});
  if (timer->copy == nullptr) {
    message.reset(std::exchange(timer->message, nullptr));
    drop_timer(timers, *timer);
  } else {
    message.reset(timer->copy(&pool_, *timer->message));
    message->set_sender(cell.id());
    message->context = copy_context(&pool_, timer->message->context);
    // Below zero when the actor has come from a worker whose batch began later.
    Duration behind = std::max(now_ - timer->deadline, Duration(0));
    timer->deadline = saturating_add(timer->deadline, (behind / timer->period + 1) * timer->period);
    timer->due = false;
    timers_.arm(*timer, timer->deadline);
  }
  handle_in_place_of_input(cell, std::move(message));
}

// ---- moves and the end ---------------------------------------------------------------------------------------------

bool Worker::take_timers_off(ActorCell& cell) {
  ActorTimers& timers = *cell.extras->timers;
  if (timers.size() > kTimersMovedMax) return false;
  timers.for_each([this](ActorTimer& timer) { timers_.cancel(timer); });
  return true;
}

void Worker::put_timers_on(ActorCell& cell) {
  ActorTimers& timers = *cell.extras->timers;
  timers.worker = this;
  timers.for_each([this](ActorTimer& timer) {
    if (!timer.due) timers_.arm(timer, timer.deadline);
  });
}

void Worker::drop_timers(ActorTimers& timers) {
  timers.for_each([&](ActorTimer& timer) { drop_timer(timers, timer); });
}

}  // namespace plexspaces::detail
