// The flights of the file, and what they sum to when one thread adds them up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "../flights.hpp"

namespace flights {

/// Reads a file with the columns date, delay_min, distance_mi, origin, destination, at most `flights_max` rows of it.
/// @error kNotFound: no such file. kInvalidArgument naming the line that is not a flight.
plexspaces::Result<std::vector<Flight>> read_flights(const std::string& path, std::size_t flights_max);

/// What every actor must say in the end. Computed here without any of the actors' code.
struct Expected {
  std::map<std::string, RouteStats> routes;      // by "SFO-LAX"
  std::map<std::string, AirportStats> airports;  // by IATA code
};
Expected add_up(const std::vector<Flight>& flights);

/// Of the whole network.
struct Totals {
  std::int64_t flights = 0;
  std::int64_t distance_mi = 0;
  std::int64_t delay_min = 0;

  friend bool operator==(const Totals&, const Totals&) = default;
};

}  // namespace flights
