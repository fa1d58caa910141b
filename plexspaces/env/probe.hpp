// Counters that show which rare paths a run has taken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace plexspaces {

/// A path that a set of simulated runs must have taken at least once: faults, recoveries, refusals. One line here and
/// one in the table of probe.cpp; reached() stands at the place itself.
enum class Probe : std::uint8_t {
  // The simulated disk.
  kSimWriteLost,
  kSimWriteTorn,
  kSimWriteKeptUnsynced,
  kSimCreationLost,
  kSimSyncFailed,
  kSimDiskFull,
  kSimDied,
  // The simulated executor.
  kSimTimeAdvanced,
  kSimBlockingDropped,
  // The store.
  kStoreCommitFenced,
  kStoreCommitConflict,
  kStoreCommitRefused,
  kStoreFailed,
  kStoreLogReplayed,
  kStoreRowSwept,
  kStoreRowVanished,
  kStoreLapEnded,
  kStoreLogTrimmed,
  kStoreOverlayPressed,
  kStoreCheckpointed,
  kStoreDamageRefused,
  // Durable actors.
  kDuplicateJoined,
  kDuplicateAnswered,
  kOutcomeExpired,
  kReadGated,
  kCommitsPaused,
  kCommitFailed,
  kInputParked,
  kInputPutOff,
  kOutboxGap,
  kOutboxDuplicate,
  kOutboxResent,
  kOutboxRecovered,
  kOutboxParked,
  kPassivated,
  kCount,
};

inline constexpr std::size_t kProbeCount = static_cast<std::size_t>(Probe::kCount);

/// Counts one passage. Relaxed and process-wide: for rare paths, never once per message. Threads: any.
void reached(Probe probe);

std::uint64_t times_reached(Probe probe);
std::string_view probe_name(Probe probe);

/// All counters to zero: between the runs of a test.
void reset_probes();

}  // namespace plexspaces
