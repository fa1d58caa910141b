// What actors do to others, for a test that stands in for all others.
#pragma once

#include <cstdint>
#include <variant>

#include "plexspaces/actor/actor.hpp"
#include "plexspaces/actor/actor_id.hpp"
#include "plexspaces/actor/message/envelope.hpp"
#include "plexspaces/actor/scheduler/timer.hpp"
#include "plexspaces/base/actor_key.hpp"
#include "plexspaces/env/time.hpp"

namespace plexspaces::detail {

/// RuntimeOptions::recorder: told of each effect of a turn as it happens, in the place of those whom it concerns.
/// Nothing that is sent arrives, no link or monitor reaches its other end, until the recorder makes it so from outside.
/// Spawns and timers happen, and are told of. Not with facets. Threads: the workers'.
class Recorder {
 public:
  virtual ~Recorder() = default;

  /// A tell. `message->sender` is the sender.
  virtual void told(std::variant<ActorId, ActorKey> to, EnvelopePtr message) = 0;
  /// An ask, with sender and correlation. Its actor waits.
  virtual void asked(ActorId to, EnvelopePtr message) = 0;
  /// An order about a monitor, a link or an exit, or a Down (orders.hpp).
  virtual void signalled(ActorId to, EnvelopePtr order) = 0;
  /// `child`, which `parent` has just spawned, is linked to it by `link`.
  virtual void adopted(ActorId parent, ActorId child, std::uint64_t link) = 0;
  /// By Context::spawn(), before its on_start().
  virtual void spawned(ActorId by, ActorId id, const Actor& actor) = 0;
  virtual void timer_armed(ActorId by, TimerRef timer, Duration after, Duration period, Envelope& message) = 0;
  virtual void timer_cancelled(ActorId by, TimerRef timer) = 0;
};

}  // namespace plexspaces::detail
