// Flights between airports as durable virtual actors: one for each route, one for each airport.
//
//     POST Flight ---> route SFO-LAX ---Departed---> airport SFO
//                                    `---Arrived----> airport LAX
#pragma once

#include <cstdint>
#include <string>

#include "plexspaces/plexspaces.hpp"

namespace flights {

/// What a route knows of its flights.
struct RouteStats {
  std::int64_t flights = 0;
  std::int64_t distance_mi = 0;
  std::int64_t delay_min = 0;        // at arrival; early is negative
  std::int64_t worst_delay_min = 0;  // of one flight
};
PLX_MESSAGE(RouteStats, (1, flights), (2, distance_mi), (3, delay_min), (4, worst_delay_min));

/// What an airport knows of the flights that touch it.
struct AirportStats {
  std::int64_t departures = 0;
  std::int64_t arrivals = 0;
  std::int64_t arrival_delay_min = 0;
};
PLX_MESSAGE(AirportStats, (1, departures), (2, arrivals), (3, arrival_delay_min));

/// To a route: a flight has arrived. The reply is its number on this route, so that an answer which was given twice, or
/// a flight which was counted twice, can be seen.
struct Flight {
  using Reply = std::int64_t;
  std::string origin;       // IATA code, "SFO"
  std::string destination;  // IATA code
  std::string date;         // of the departure, local time: "2001/01/13 14:56"
  std::int32_t delay_min;
  std::int32_t distance_mi;
};
PLX_MESSAGE(Flight, (1, origin), (2, destination), (3, date), (4, delay_min), (5, distance_mi));

struct GetRoute {
  using Reply = RouteStats;
};
PLX_MESSAGE(GetRoute);

/// To an airport, from a route.
struct Departed {};
PLX_MESSAGE(Departed);

struct Arrived {
  std::int32_t delay_min;
};
PLX_MESSAGE(Arrived, (1, delay_min));

struct GetAirport {
  using Reply = AirportStats;
};
PLX_MESSAGE(GetAirport);

/// A pair of airports, by the key "SFO-LAX".
class Route : public plexspaces::GenServer<Route, Flight, GetRoute>, public plexspaces::Stateful<RouteStats> {
 public:
  /// Counts the flight and tells its airports. @error kInvalidArgument: not a flight of this route, or not one of this
  /// earth; the message names the field.
  plexspaces::Result<std::int64_t> handle(const Flight& flight, plexspaces::Context& ctx);
  RouteStats handle(const GetRoute&, plexspaces::Context&) const { return state(); }
};

/// An airport, by its IATA code.
class Airport : public plexspaces::GenServer<Airport, Departed, Arrived, GetAirport>,
                public plexspaces::Stateful<AirportStats> {
 public:
  void handle(const Departed&, plexspaces::Context&) { ++state().departures; }
  void handle(const Arrived& arrived, plexspaces::Context&);
  AirportStats handle(const GetAirport&, plexspaces::Context&) const { return state(); }
};

/// The key of a route.
std::string route_key(const std::string& origin, const std::string& destination);

/// @error kInvalidArgument naming the field that cannot be right.
plexspaces::Status check(const Flight& flight);

void register_types(plexspaces::Types& types);

}  // namespace flights
