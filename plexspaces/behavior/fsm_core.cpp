#include "plexspaces/behavior/fsm_core.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include <fmt/format.h>

namespace plexspaces::detail {

namespace {

// A machine whose order to itself fails cannot go on: the throw ends it, with the error as its reason.
void must(const Status& status, std::string_view what) {
  if (!status) throw std::runtime_error(fmt::format("{}: {}", what, status.error().message()));
}

}  // namespace

std::string no_handler_text(std::string_view state, std::string_view event) {
  return fmt::format("the state {} has no handler for {} (PLX-BEH-0002)", state, event);
}

Error not_answered_error(std::string_view state, std::string_view event) {
  return Error(Code::kFailedPrecondition, fmt::format("in its state {} the machine has no answer to {}", state, event),
               "PLX-BEH-0001");
}

// The order of these steps is gen_statem's.
void FsmCore::step(Context& context, const Step& step) {
  if (step.postponed && context.stash()) ++postponed_;  // else it is a dead letter, and its asker knows
#ifndef PLX_BUG_EVENT_TIMEOUT_STAYS
  cancel(context, step.event_timeout);
#endif
  if (step.changed) cancel(context, step.state_timeout);

  bool retry = step.changed && postponed_ > 0;
  if (retry || !step.events.empty()) mark_end(context);
  if (retry) {
    context.retry_stashed();
    postponed_ = 0;
  }
  for (auto event = step.events.rbegin(); event != step.events.rend(); ++event)
    must(context.continue_with(FsmEvent{nullptr, 0, std::move(*event)}), "an internal event");

  for (std::size_t i = 0; i < step.timeouts.size(); ++i) {
    const FsmTimeoutAction& action = step.timeouts[i];
    bool replaced = std::any_of(step.timeouts.begin() + static_cast<std::ptrdiff_t>(i) + 1, step.timeouts.end(),
                                [&](const FsmTimeoutAction& later) { return later.timeout == action.timeout; });
    if (replaced) continue;
    cancel(context, action.timeout);
    if (action.cancel) continue;
    bool outlives_state = action.timeout != step.state_timeout && action.timeout != step.event_timeout;
    if (!outlives_state && !action.timeout->handled[step.state])
      throw std::logic_error(
          fmt::format("{} is set in a state that has no handler for it (PLX-BEH-0002)", action.timeout->name));
    start(context, action.timeout, action.after);
  }
  if (!zero_.empty()) mark_end(context);
}

void FsmCore::receive(Actor& machine, Context& context) {
  auto& input = context.message<FsmEvent>();
  if (input.event != nullptr) return input.event->deliver(machine, context);
  if (input.timeout == nullptr) {
    marked_ = false;
    if (zero_.empty()) return;
    // The input becomes the event, so that it can be postponed as any other.
    input.timeout = zero_.front();
    zero_.erase(zero_.begin());
  } else if (input.timer != 0) {
    // When it was postponed, another timer of the same name may run by now.
    std::erase_if(running_, [&](const Running& running) { return running.number == input.timer; });
  }
  input.timeout->deliver(machine, context);
}

void FsmCore::cancel(Context& context, const FsmTimeout* timeout) {
  auto running = std::ranges::find(running_, timeout, &Running::timeout);
  if (running != running_.end()) {
    context.cancel(running->ref);
    running_.erase(running);
    return;
  }
  std::erase(zero_, timeout);
}

void FsmCore::start(Context& context, const FsmTimeout* timeout, Duration after) {
  if (after <= Duration(0)) {
    zero_.push_back(timeout);
    return;
  }
  std::uint64_t number = ++last_number_;
  Result<TimerRef> timer = context.send_after(after, FsmEvent{timeout, number, nullptr});
  if (!timer) must(std::unexpected(timer.error()), timeout->name);
  running_.push_back({timeout, *timer, number});
}

void FsmCore::mark_end(Context& context) {
#ifndef PLX_BUG_ZERO_TIMEOUT_FIRST
  if (std::exchange(marked_, true)) return;
#endif
  must(context.continue_with(FsmEvent{}), "an order to itself");
}

}  // namespace plexspaces::detail
