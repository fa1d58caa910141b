// Errors that several places of the runtime give.
#pragma once

#include <cstddef>

#include "plexspaces/actor/message/dead_letter.hpp"
#include "plexspaces/actor/options.hpp"
#include "plexspaces/base/error.hpp"

namespace plexspaces::detail {

/// The actor has ended, or never was.
Error gone_error();
/// The reference is of a runtime that has ended.
Error runtime_ended_error();
/// The runtime ended while the request waited: the outcome is not known.
Error dropped_error();
/// The bound of the receiver's mailbox is reached.
Error mailbox_full_error();
/// As mailbox_full_error(), where senders are meant to wait.
Error mailbox_blocks_error();
/// A sender has waited for room in vain.
Error no_room_error();
/// As many senders as can wait for room already do.
Error too_many_sends_error();
/// The actor's stash has no room.
Error stash_full_error();
/// A message or reply of `bytes` is over the limit.
Error too_large_error(std::size_t bytes, const RuntimeOptions& options);
/// What the asker of a dead letter gets.
Error dead_letter_error(DeadLetterReason reason);
Error too_many_asks_error(std::size_t asks);
/// The asker waited in vain: the outcome is not known.
Error no_answer_error();

/// The actor has sent itself as many messages before all others as it may: kContinuationsMax.
Error too_many_continuations_error();
/// The bound actors_max of the runtime is reached.
Error too_many_actors_error();
/// The bound `limit` (links_max, monitors_max) of an actor is reached.
Error watch_limit_error(const char* limit);

}  // namespace plexspaces::detail
