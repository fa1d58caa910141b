// "did you mean": the known name nearest to an unknown one.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace plexspaces {

/// @returns " (did you mean 'x'?)" for the known name within two edits of `unknown`, else "; known: a, b, c" with at
/// most eight of them, else an empty text. For the end of an error message.
std::string suggest(std::string_view unknown, std::span<const std::string> known);

}  // namespace plexspaces
