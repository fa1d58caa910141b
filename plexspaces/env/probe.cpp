#include "plexspaces/env/probe.hpp"

#include <array>
#include <atomic>

namespace plexspaces {

namespace {

// Process-wide on purpose: they count for a test run over all its nodes, and no behaviour depends on them.
constinit std::array<std::atomic<std::uint64_t>, kProbeCount> counters{};

constexpr std::array<std::string_view, kProbeCount> kNames = {
    "sim: an unsynced write was lost",
    "sim: an unsynced write was torn",
    "sim: an unsynced write was kept",
    "sim: an unsynced creation or removal was lost",
    "sim: a sync failed",
    "sim: the disk was full",
    "sim: the process died at a disk operation",
    "sim: time jumped to the next due time",
    "sim: a crash dropped blocking work",
    "store: a commit was fenced",
    "store: a commit conflicted",
    "store: a commit was refused",
    "store: a failure stopped the store",
    "store: recovery replayed the log",
    "store: the sweep wrote a row",
    "store: a row vanished before its sweep",
    "store: a lap of the sweep ended",
    "store: the log was trimmed",
    "store: a full overlay or log pressed the sweep",
    "store: the log file was checkpointed",
    "store: damage was found and refused",
    "durable: a duplicate joined its open turn",
    "durable: a duplicate got the stored answer",
    "durable: an answer was forgotten after its time",
    "durable: a read waited for the commit it saw",
    "durable: an actor paused for its commits",
    "durable: a commit failed and the activation was discarded",
    "durable: an input was given up",
    "durable: a message waits for another attempt",
    "durable: a message came before an earlier one",
    "durable: a message came twice",
    "durable: messages were sent again",
    "durable: the outbox was found at activation",
    "durable: a message that nobody can send was taken out",
    "durable: an idle activation ended",
};
static_assert(!kNames.back().empty(), "every probe has a name");

}  // namespace

void reached(Probe probe) { counters[static_cast<std::size_t>(probe)].fetch_add(1, std::memory_order_relaxed); }

std::uint64_t times_reached(Probe probe) {
  return counters[static_cast<std::size_t>(probe)].load(std::memory_order_relaxed);
}

std::string_view probe_name(Probe probe) { return kNames[static_cast<std::size_t>(probe)]; }

void reset_probes() {
  for (auto& counter : counters) counter.store(0, std::memory_order_relaxed);
}

}  // namespace plexspaces
