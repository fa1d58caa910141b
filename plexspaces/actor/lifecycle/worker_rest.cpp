// Actors that have nothing to do: idle timeouts and hibernation.
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/message/system_message.hpp"
#include "plexspaces/actor/scheduler/actor_timers.hpp"
#include "plexspaces/actor/scheduler/worker.hpp"

namespace plexspaces::detail {

namespace {

constexpr std::size_t kNodeBytes = 48;  // about, that a map adds to an entry

bool is_unused(const ExitLinks& lists) {
  return lists.monitors.empty() && lists.watchers.empty() && lists.links.empty() && !lists.parent &&
         !lists.trap_exits && lists.reason == ExitReason();
}

bool is_unused(const Extras& extras) {
  return extras.system_head == nullptr && extras.open == nullptr && extras.activation == nullptr &&
         extras.name.empty() && extras.exits == nullptr && extras.mailbox == nullptr && extras.timers == nullptr &&
         extras.idle == nullptr && extras.backlog == nullptr;
}

}  // namespace

// ---- idle timeouts -------------------------------------------------------------------------------------------------

Status Worker::set_idle_timeout(ActorCell& cell, Duration after) {
  Extras& extras = Worker::extras(cell);
  cell.flags &= ~ActorCell::kTellsIdle;
  if (extras.idle != nullptr) {
    cancel_timer(cell, extras.idle->timer);
    extras.idle.reset();
  }
  if (after < Duration(0)) return {};
  auto idle = std::make_unique<IdleTimer>(after, fresh_now(), TimerRef());
  if (after > Duration(0)) {
    PLX_TRY_STATUS(arm_idle_timer(cell, *idle));
  } else {
    PLX_TRY_STATUS(check_own_message(cell, message_info<IdleTimeout>()));
    cell.flags |= ActorCell::kTellsIdle;
    schedule_if_runnable(cell);
  }
  extras.idle = std::move(idle);
  return {};
}

Status Worker::arm_idle_timer(ActorCell& cell, IdleTimer& idle) {
  PLX_TRY(timer, arm_timer(cell, idle.after, Duration(0), make_envelope(&pool_, IdleTimeout{}, 0), nullptr));
  cell.extras->timers->find(timer)->idle = true;
  idle.timer = timer;
  return {};
}

void Worker::note_message(ActorCell& cell) {
  IdleTimer& idle = *cell.extras->idle;
  if (idle.after == Duration(0)) {
    cell.flags |= ActorCell::kTellsIdle;
    return;
  }
  idle.last = fresh_now();
  if (!idle.timer) static_cast<void>(arm_idle_timer(cell, idle));  // timers_max: the next message tries again
}

// The timer has fired. @returns whether it was too early; then it is armed again.
bool Worker::was_active(ActorCell& cell, ActorTimer& timer) {
  IdleTimer& idle = *cell.extras->idle;
  bool busy = (cell.flags & (ActorCell::kWaiting | ActorCell::kBacklog)) != 0 || cell.head != nullptr ||
              ActorCell::is_list(cell.inbox.load(std::memory_order_relaxed));
  if (busy) idle.last = now_;
  TimePoint due = saturating_add(idle.last, idle.after);
  if (due <= now_) {
    idle.timer = {};
    return false;
  }
  timer.deadline = due;
  timers_.arm(timer, due);
  return true;
}

// What was asked for as soon as the actor is idle, which it is: no turn of it is open, and no message waits.
void Worker::idle_turn(ActorCell& cell) {
  if ((cell.flags & ActorCell::kTellsIdle) == 0) return hibernate_now(cell);
  cell.flags &= ~ActorCell::kTellsIdle;
  Envelope* message = make_envelope(&pool_, IdleTimeout{}, 0);
  message->set_sender(cell.id());
  append_any(cell, message);
}

// ---- hibernation ---------------------------------------------------------------------------------------------------

Status Worker::hibernate(ActorCell& cell) {
  if (cell.extras != nullptr && cell.extras->activation != nullptr)
    return fail(Code::kUnimplemented, "an actor that is addressed by key does not hibernate: it is passivated",
                "PLX-BEH-0020");
  cell.flags |= ActorCell::kHibernating;
  schedule_if_runnable(cell);
  return {};
}

void Worker::hibernate_now(ActorCell& cell) {
  cell.flags &= ~ActorCell::kHibernating;
  std::optional<std::string> thrown;
  try {
    cell.actor->on_hibernate();
  } catch (const std::exception& error) {
    thrown = error.what();
  } catch (...) {
    thrown = "an exception that is not a std::exception";
  }
  if (thrown) {
    log_crash(cell, "in on_hibernate()", *thrown);
    return stop_crashed(cell, *thrown);
  }
  if (cell.extras == nullptr) return;
  Extras& extras = *cell.extras;
  if (extras.exits != nullptr && is_unused(*extras.exits)) extras.exits.reset();
  if (extras.mailbox != nullptr && (cell.flags & ActorCell::kOwnMailbox) == 0 && !extras.mailbox->holds_messages())
    extras.mailbox.reset();
  if (extras.timers != nullptr) extras.timers->shrink();
  if (is_unused(extras)) delete std::exchange(cell.extras, nullptr);
}

std::size_t Worker::record_bytes(const ActorCell& cell) {
  if (cell.extras == nullptr) return 0;
  const Extras& extras = *cell.extras;
  std::size_t bytes = sizeof(Extras) + (extras.name.size() > 15 ? extras.name.capacity() : 0);
  if (extras.exits != nullptr) {
    const ExitLinks& lists = *extras.exits;
    bytes += sizeof(ExitLinks) + (lists.monitors.size() + lists.watchers.size() + lists.links.size()) * kNodeBytes;
  }
  if (extras.mailbox != nullptr) bytes += sizeof(MailboxState) + extras.mailbox->stash.capacity() * sizeof(Stashed);
  if (extras.timers != nullptr)
    bytes += extras.timers->bytes() + extras.timers->size() * (kBlockBytesMin << block_class(sizeof(ActorTimer)));
  if (extras.idle != nullptr) bytes += sizeof(IdleTimer);
  return bytes;
}

}  // namespace plexspaces::detail
