// Cases of supervision by chance, in the form of cases.txt.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace plexspaces::test {

/// The same for the same seed. A root with one to five children, of which one may be a supervisor with children of its
/// own, and steps: ends, several at once too, requests, and requests during starts.
std::string random_cases(std::uint64_t seed, std::size_t count);

}  // namespace plexspaces::test
