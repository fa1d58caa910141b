#include "flights.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace flights {

using plexspaces::Code;
using plexspaces::Context;
using plexspaces::fail;
using plexspaces::Result;
using plexspaces::Status;

namespace {

constexpr std::int32_t kDistanceMiMax = 12'500;  // half the way round the earth
constexpr std::int32_t kDelayMinMax = 7 * 24 * 60;

bool is_airport_code(const std::string& code) {
  return code.size() == 3 && std::ranges::all_of(code, [](char c) { return c >= 'A' && c <= 'Z'; });
}

// "2001/01/13 14:56"
bool is_date(const std::string& date) {
  constexpr std::string_view kForm = "0000/00/00 00:00";
  return date.size() == kForm.size() && std::ranges::equal(date, kForm, [](char c, char form) {
           return form == '0' ? c >= '0' && c <= '9' : c == form;
         });
}

std::unexpected<plexspaces::Error> refuse(std::string message) {
  return fail(Code::kInvalidArgument, std::move(message), "FLIGHTS-0001");
}

}  // namespace

std::string route_key(const std::string& origin, const std::string& destination) { return origin + "-" + destination; }

Status check(const Flight& flight) {
  for (const std::string& code : {flight.origin, flight.destination})
    if (!is_airport_code(code)) return refuse(fmt::format("'{}' is not an airport code: send three capitals", code));
  if (flight.origin == flight.destination)
    return refuse(fmt::format("origin and destination are both {}", flight.origin));
  if (!is_date(flight.date)) return refuse(fmt::format("the date is '{}': send YYYY/MM/DD hh:mm", flight.date));
  if (flight.distance_mi < 1 || flight.distance_mi > kDistanceMiMax)
    return refuse(fmt::format("distance_mi is {}: send 1 to {}", flight.distance_mi, kDistanceMiMax));
  if (flight.delay_min < -kDelayMinMax || flight.delay_min > kDelayMinMax)
    return refuse(fmt::format("delay_min is {}: send {} to {}", flight.delay_min, -kDelayMinMax, kDelayMinMax));
  return {};
}

Result<std::int64_t> Route::handle(const Flight& flight, Context& ctx) {
  PLX_TRY_STATUS(check(flight));
  if (std::string key = route_key(flight.origin, flight.destination); key != ctx.key()->key)
    return refuse(fmt::format("a flight of {} was sent to the route {}", key, ctx.key()->key));

  // The messages leave with the commit of this turn, and each is applied once: both airports hear of every flight that
  // was answered, and of no other.
  PLX_TRY_STATUS(ctx.actor<Airport>(flight.origin).tell(Departed{}));
  PLX_TRY_STATUS(ctx.actor<Airport>(flight.destination).tell(Arrived{flight.delay_min}));

  RouteStats& route = state();
  bool first = route.flights == 0;
  route.worst_delay_min = first ? flight.delay_min : std::max<std::int64_t>(route.worst_delay_min, flight.delay_min);
  route.distance_mi += flight.distance_mi;
  route.delay_min += flight.delay_min;
  return ++route.flights;
}

void Airport::handle(const Arrived& arrived, Context&) {
  ++state().arrivals;
  state().arrival_delay_min += arrived.delay_min;
}

void register_types(plexspaces::Types& types) {
  types.add<Route>("route", {.facets = {plexspaces::durable(), plexspaces::virtual_actor()}});
  types.add<Airport>("airport", {.facets = {plexspaces::durable(), plexspaces::virtual_actor()}});
}

}  // namespace flights
