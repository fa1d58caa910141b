// The facets that make an actor durable and virtual, as types ask for them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "plexspaces/actor/types.hpp"
#include "plexspaces/env/time.hpp"

namespace plexspaces {

struct DurableOptions {
  std::size_t uncommitted_turns_max = 256;  // ahead of the store; more wait in the mailbox
  std::size_t attempts_max = 3;             // of a request whose handler throws; then its answer is the error
  std::size_t message_attempts_max = 10;    // of a message of a durable actor; then it is a dead letter
  Duration retry_after = 100ms;             // until the second attempt at such a message, then at doubled times
  Duration retry_after_max = 30s;
  std::size_t dead_letters_max = 10'000;      // of one actor; beyond it messages that fail are tried again for ever
  Duration outcome_retention = 24h;           // how long the answer to an idempotency key is remembered
  std::size_t outcomes_max = 100'000;         // remembered at a time; beyond it keyed requests are refused
  std::size_t outbox_messages_max = 100'000;  // unacknowledged at a time; beyond it turns that send are refused
  std::size_t outbox_bytes_max = std::size_t{256} << 20;
  std::size_t receiver_messages_max = 50'000;  // as above, to one receiver
  std::size_t receiver_bytes_max = std::size_t{64} << 20;
  Duration resend_after = 1s;  // the least time after which an unacknowledged message is sent again; then at doubled
                               // times
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
