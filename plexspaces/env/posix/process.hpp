// What a program does with its own process.
#pragma once

#include <cstddef>

namespace plexspaces::env {

/// Ends the process now: no destructors, no flush of what other threads hold. For a state that must not be served.
[[noreturn]] void end_process(int exit_code);

/// Raises the process's limit of open files to `count`, or as near as the system lets it; never lowers it.
/// @returns the limit that now holds.
std::size_t allow_open_files(std::size_t count);

/// From now on an exception of no memory that nothing catches says so in the log, and ends the process with `exit_code`
/// instead of SIGABRT. Others end it as before.
void end_when_out_of_memory(int exit_code);

/// Threads made from now on have stacks of at least `bytes`, however small the process's limit for them is.
void need_stacks_of(std::size_t bytes);

}  // namespace plexspaces::env
