// Standard error as the log: lines that never wait for their reader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace plexspaces {

/// Writes `line` and a newline to standard error. Never waits: while a pipe is full because nobody reads it, or a
/// terminal is stopped, lines are dropped and counted, and the next line that goes out stands behind one that says how
/// many are missing. The buffer is the pipe's own (64 KiB unless changed), so a line that was written outlives a crash.
/// A reader that is gone drops all, without SIGPIPE. Threads: any. It may still wait when another process fills the
/// same pipe in the same instant.
void write_log_line(std::string_view line);

/// Lines that write_log_line() has dropped since the process began. Threads: any.
std::uint64_t dropped_log_lines();

/// Writes as much of `text` as goes without waiting. Async-signal-safe, and leaves errno as it was.
/// @returns the bytes written.
std::size_t write_without_waiting(int descriptor, std::string_view text);

}  // namespace plexspaces
