// Errors that several places of the runtime give.
#pragma once

#include "plexspaces/base/error.hpp"

namespace plexspaces::detail {

/// The actor has ended, or never was.
Error gone_error();
/// The runtime ended while the request waited: the outcome is not known.
Error dropped_error();
/// The bound of the receiver's mailbox is reached.
Error mailbox_full_error();
/// The asker waited in vain: the outcome is not known.
Error no_answer_error();

/// The bound `limit` (links_max, monitors_max) of an actor is reached.
Error watch_limit_error(const char* limit);

}  // namespace plexspaces::detail
