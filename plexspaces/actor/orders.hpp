// What the runtime tells an actor, in its system lane: before user messages, also while the actor waits.
#pragma once

#include <functional>

#include "plexspaces/actor/facet.hpp"

namespace plexspaces::detail {

/// Runs with the activation between its turns.
using ActivationTask = std::move_only_function<void(Activation&)>;

/// The types of orders, told apart by address: the payload is empty, or an ActivationTask.
extern const MessageInfo kStopOrder;
extern const MessageInfo kTaskOrder;

Envelope* make_stop_order();
Envelope* make_task_order(ActivationTask task);

}  // namespace plexspaces::detail
