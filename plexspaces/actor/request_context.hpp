// On whose behalf a turn runs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "plexspaces/actor/actor_id.hpp"
#include "plexspaces/env/time.hpp"

namespace plexspaces {

/// The part of a request that every message it causes carries on: who asked, for which tenant, under which trace.
/// Immutable once made; shared between messages and threads, hence counted.
struct RequestContext {
  std::string tenant = "default";
  std::string name_space = "default";
  std::string principal;    // empty: nobody has signed in (only where that is allowed)
  std::string traceparent;  // W3C trace context, empty when the request is not traced
};
using RequestContextPtr = std::shared_ptr<const RequestContext>;

namespace detail {

/// One link of a chain of asks, and what an ask adds to its request. Belongs to one worker: the count is not atomic. An
/// envelope that goes to another worker takes a copy of the whole chain.
struct CallContext {
  std::uint32_t references = 1;
  std::uint16_t depth = 0;      // links above this one, at most kCallChainMax
  bool heap = false;            // made outside every worker: not a pool's block
  bool until_handled = false;   // the deadline is that of the message's turn (Ttl), not of what follows from it
  TimePoint deadline = kNever;  // the caller's: nobody waits for the answer after it
  ActorId caller;               // the actor that asked; none for a caller outside
  NodeId node;                  // that it is an actor of
  CallContext* parent = nullptr;
  RequestContextPtr request;
};

}  // namespace detail
}  // namespace plexspaces
