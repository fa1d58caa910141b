// What all state machines share: the queue rules of GenFsm, without its types.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plexspaces/actor/actor.hpp"
#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/scheduler/timer.hpp"
#include "plexspaces/base/error.hpp"
#include "plexspaces/codec/description.hpp"

namespace plexspaces::detail {

/// One timeout of one class of machines: told apart by address.
struct FsmTimeout {
  std::string_view name;
  void (*deliver)(Actor& machine, Context& context);
  const bool* handled;  // in each state, by its index
};

/// The machine has no handler for the event in its state: the text of what it throws.
std::string no_handler_text(std::string_view state, std::string_view event);
/// An event with a Reply was handled, and nothing was said to its asker.
Error not_answered_error(std::string_view state, std::string_view event);

/// An event that a machine sends itself.
class FsmInternalEvent {
 public:
  virtual ~FsmInternalEvent() = default;
  virtual void deliver(Actor& machine, Context& context) = 0;
};

/// A machine's message to itself: a timeout or an internal event. With neither it marks the end of the events that were
/// received before, where timeouts of zero have their place.
struct FsmEvent {
  static constexpr bool kOwn = true;
  static constexpr bool kStaysInProcess = true;
  const FsmTimeout* timeout = nullptr;
  std::uint64_t timer = 0;  // which one of `timeout`; 0: none is running
  std::unique_ptr<FsmInternalEvent> event;
};
PLX_MESSAGE(FsmEvent);

/// What a transition does with a timeout.
struct FsmTimeoutAction {
  const FsmTimeout* timeout = nullptr;
  Duration after{0};
  bool cancel = false;
};

/// The rules by which events wait: as in OTP's gen_statem, whose queue of received events is the front of the mailbox
/// here.
///
///     mailbox:  [ internal, retried ... | mark | received later ... ]
///                                         ^ timeouts of zero, when nothing is in front of it
///
/// The mark is there whenever something is in front of it, so a timeout of zero finds its place behind that without a
/// search. Belongs to one machine; made when it first postpones or uses a timeout or an internal event.
class FsmCore {
 public:
  struct Step {
    bool changed = false;    // to another state
    bool postponed = false;  // the event of the turn
    std::size_t state = 0;   // the index of the state after it
    const FsmTimeout* state_timeout = nullptr;
    const FsmTimeout* event_timeout = nullptr;
    std::span<const FsmTimeoutAction> timeouts;
    std::span<std::unique_ptr<FsmInternalEvent>> events;
  };

  /// Carries out what the handler of an event has decided. Throws when a timer cannot be set.
  void step(Context& context, const Step& step);

  /// The input is an FsmEvent: delivers the event that it stands for, if there is one.
  void receive(Actor& machine, Context& context);

 private:
  struct Running {
    const FsmTimeout* timeout;
    TimerRef ref;
    std::uint64_t number;
  };

  void cancel(Context& context, const FsmTimeout* timeout);
  void start(Context& context, const FsmTimeout* timeout, Duration after);
  void mark_end(Context& context);

  std::vector<Running> running_;
  std::vector<const FsmTimeout*> zero_;  // timeouts of zero, in the order in which they were set
  std::uint64_t last_number_ = 0;
  std::size_t postponed_ = 0;
  bool marked_ = false;
};

}  // namespace plexspaces::detail
