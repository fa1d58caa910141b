// The facets that make an actor durable and virtual, as types ask for them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "plexspaces/actor/types.hpp"
#include "plexspaces/env/time.hpp"

namespace plexspaces {

struct DurableOptions {
  std::size_t uncommitted_turns_max = 256;    // ahead of the store; more wait in the mailbox
  std::size_t attempts_max = 3;               // of an input whose handler throws; then its answer is the error
  Duration outcome_retention = 24h;           // how long the answer to an idempotency key is remembered
  std::size_t outcomes_max = 100'000;         // remembered at a time; beyond it keyed requests are refused
  std::size_t outbox_messages_max = 100'000;  // unacknowledged at a time; beyond it turns that send are refused
  Duration resend_after = 1s;                 // unacknowledged messages are sent again, then at doubled times
  Duration resend_after_max = 30s;
};

/// The turns of this actor are committed before anything of them can be seen. The class is Stateful, has a default
/// constructor and only handlers that do not wait.
FacetSpec durable(DurableOptions options = {});

struct VirtualActorOptions {
  Duration idle_timeout = 5min;  // without an input; then the activation ends, and the next message makes a new one
};

/// The activation of this actor ends when it is idle. A durable actor keeps its state, another loses it.
FacetSpec virtual_actor(VirtualActorOptions options = {});

}  // namespace plexspaces
