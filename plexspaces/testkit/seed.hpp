// Where the chance of a test comes from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace plexspaces::testkit {

/// The number in the environment variable PLX_SEED, which repeats a run; nothing when it is not set, or is no number.
std::optional<std::uint64_t> seed_from_environment();

/// "seed 7 (PLX_SEED=7 repeats it)": stands in every error of the test kit.
std::string seed_text(std::uint64_t seed);

}  // namespace plexspaces::testkit
