// How actors are stopped in turns that can wait: shared by supervisors and those who start and stop whole trees.
#pragma once

#include "plexspaces/actor/context.hpp"
#include "plexspaces/supervision/supervisor_spec.hpp"

namespace plexspaces::detail {

inline constexpr Duration kForEver = Duration::max();

/// As long as the shutdown lets an actor take.
Duration patience(Shutdown shutdown);

/// Waits for the end of an actor that was told to end, and kills it after `within`. @returns whether it ended in time.
Task<bool> await_stop(Context& ctx, ActorId id, Duration within);

/// Stops an actor that has lost its parent, whose exit it would obey: so by the runtime.
Task<> stop_leftover(Context& ctx, Leftover left);

}  // namespace plexspaces::detail
