// What a program does with its own process.
#pragma once

#include <cstddef>

namespace plexspaces::env {

/// Ends the process now: no destructors, no flush of what other threads hold. For a state that must not be served.
[[noreturn]] void end_process(int exit_code);

/// Raises the process's limit of open files to `count`, or as near as the system lets it; never lowers it.
/// @returns the limit that now holds.
std::size_t allow_open_files(std::size_t count);

}  // namespace plexspaces::env
