// What the runtime tells an actor, in its system lane: before user messages, also while the actor waits.
#pragma once

#include <cstdint>
#include <functional>

#include "plexspaces/actor/facet.hpp"
#include "plexspaces/actor/lifecycle/exit.hpp"
#include "plexspaces/actor/mailbox/mailbox_state.hpp"

namespace plexspaces::detail {

/// Runs with the activation between its turns.
using ActivationTask = std::move_only_function<void(Activation&)>;

/// A monitor of `to`, or a link with it, begun or given up by the actor `from`.
struct WatchMessage {
  std::uint64_t id = 0;
  ActorId from;
  ActorId to;
};

/// An exit signal.
struct ExitSignal {
  ActorId from;
  ExitReason reason;
  std::uint64_t link = 0;  // over which it comes; 0: from Context::exit()
  bool refused = false;    // over a link that did not come about, though the other end may go on
  bool kill = false;       // cannot be trapped
};

/// The types of orders, told apart by address, and their payloads. An order of type message_info<Down>() becomes the
/// watcher's message when it arrives, if the monitor still stands.
extern const MessageInfo kStartMessage;      // none; the input of on_start()
extern const MessageInfo kStopMessage;       // none; also the input of on_stop()
extern const MessageInfo kTaskMessage;       // ActivationTask
extern const MessageInfo kMonitorMessage;    // WatchMessage
extern const MessageInfo kDemonitorMessage;  // WatchMessage
extern const MessageInfo kLinkMessage;       // WatchMessage
extern const MessageInfo kUnlinkMessage;     // WatchMessage
extern const MessageInfo kExitMessage;       // ExitSignal
extern const MessageInfo kSendMessage;       // SendOffer
// In the user lane, in their turn among the messages:
extern const MessageInfo kTickMessage;  // TimerRef: a timer is due
extern const MessageInfo
    kParentExitMessage;  // ExitReason: the parent of an actor that traps exits has ended or ends it

Envelope* make_system_message(BlockPool* pool, const MessageInfo& type);  // without payload
Envelope* make_task_message(ActivationTask task);
Envelope* make_watch_message(BlockPool* pool, const MessageInfo& type, WatchMessage message);
Envelope* make_down_message(BlockPool* pool, Down down);
Envelope* make_exit_message(BlockPool* pool, ExitSignal signal);
Envelope* make_parent_exit_message(BlockPool* pool, ExitReason reason);
Envelope* make_send_message(BlockPool* pool, SendOffer offer);  // an ask, without its asker

/// Whether it is handled before user messages, wherever it stands among them when it arrives.
bool goes_to_system_lane(const Envelope& envelope);
/// Whether it is an order of another actor, who must learn when it finds nobody.
bool is_peer_message(const Envelope& envelope);
/// Whether it is an order of the user lane, or a behaviour's message to itself, which is one to everybody else.
bool is_internal_user_message(const Envelope& envelope);

}  // namespace plexspaces::detail
