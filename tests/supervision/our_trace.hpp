// Runs a supervision case in simulation and tells what happened.
#pragma once

#include <cstdint>

#include "case_table.hpp"

namespace plexspaces::test {

/// How the workers of the runtime take turns.
struct Schedule {
  std::uint64_t seed = 1;
  std::size_t workers = 1;
  bool in_order = true;              // runnable actors first come, first served; else as the seed says
  std::size_t move_every_turns = 0;  // RuntimeOptions
};

/// Whether only an order of turns decides what the case is about: several ends at once, requests during a start.
bool needs_order(const Case& which);

/// The trace of the case, in the words of cases.txt.
Words our_trace(const Case& which, const Schedule& schedule);

}  // namespace plexspaces::test
