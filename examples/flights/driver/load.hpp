// Streams flights into a node that is killed meanwhile.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "../flights.hpp"
#include "node_process.hpp"

namespace flights {

struct LoadOptions {
  std::size_t connections = 64;
  std::size_t kills = 5;
  std::size_t in_flight_at_kill_min = 32;
  double again_share = 0.01;            // of the acknowledged requests, sent a second time
  std::size_t again_after_max = 4'000;  // further acknowledgements until then
  std::size_t refusals_max = 100'000;   // answers 429 and 5xx; each is retried with the same key
  std::chrono::milliseconds refusal_pause{10};
  std::chrono::seconds silence_max{30};  // without an answer; then the load ends with an error
  std::uint64_t seed = 1;
};

/// A request that was sent again and answered otherwise.
struct Mismatch {
  std::size_t flight = 0;
  std::string first;
  std::string second;
};

struct LoadReport {
  std::vector<std::size_t> in_flight_at_kill;        // sent whole, without an answer
  std::vector<std::chrono::nanoseconds> recoveries;  // from SIGKILL to the first 200 of /healthz/ready
  std::size_t unknown = 0;                           // requests whose connection was lost; sent again with their key
  std::size_t refused = 0;
  std::size_t sent_again = 0;  // though they were acknowledged
  std::size_t suppressed = 0;  // of these: answered as the first time
  std::vector<Mismatch> mismatches;
};

/// Sends each flight as one POST with its row number as Idempotency-Key, over keep-alive connections of one thread,
/// until each is acknowledged; kills the node at random moments spread over the run and starts it again.
///
///     new -> sent -> acknowledged -> (some) sent again -> compared
///             `-> unknown, the connection was lost -> sent again, until acknowledged
///
/// `progress` is called with the number of acknowledged flights and of kills whenever one changes.
/// @error kInternal: a flight was refused for good, the node did not come back, or not every kill found enough requests
/// in flight.
plexspaces::Result<LoadReport> run_load(
    const LoadOptions& options, const std::vector<Flight>& flights, NodeProcess& node,
    const std::function<void(std::size_t acknowledged, std::size_t kills)>& progress);

}  // namespace flights
