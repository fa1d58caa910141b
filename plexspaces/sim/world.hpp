// One simulated world: what all its nodes and disks share.
#pragma once

#include <cstdint>

#include "plexspaces/sim/clock.hpp"
#include "plexspaces/sim/random.hpp"
#include "plexspaces/sim/trace.hpp"

namespace plexspaces::sim {

/// The chance, the time and the trace of a run. The same seed and the same program give the same trace hash.
///
///     World world(seed);
///     SimDisk disk(world);              // outlives the process it is the disk of
///     SimExecutor executor(world, {});  // one per process: dropped by a crash, made anew by a restart
///
/// Threads: one. Lifetime: outlives everything made from it.
struct World {
  explicit World(std::uint64_t seed) : random(seed) {}
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  /// Mixes an event that the product shows (an answer, an order of deliveries) into the trace.
  void note(std::uint64_t event) { trace.note(event); }

  SimRandom random;
  SimClock clock;
  Trace trace;
};

}  // namespace plexspaces::sim
