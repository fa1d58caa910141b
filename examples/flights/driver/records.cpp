#include "records.hpp"

#include <charconv>
#include <fstream>
#include <string_view>

#include <fmt/format.h>

namespace flights {

using plexspaces::Code;
using plexspaces::fail;
using plexspaces::Result;

namespace {

constexpr std::string_view kColumns = "date,delay_min,distance_mi,origin,destination";
constexpr std::size_t kColumnCount = 5;

bool read_number(std::string_view text, std::int32_t& number) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

bool read_row(std::string_view line, Flight& flight) {
  std::vector<std::string_view> cells;
  for (std::size_t begin = 0; begin <= line.size() && cells.size() <= kColumnCount;) {
    std::size_t comma = std::min(line.find(',', begin), line.size());
    cells.push_back(line.substr(begin, comma - begin));
    begin = comma + 1;
  }
  if (cells.size() != kColumnCount) return false;
  flight.date = cells[0];
  flight.origin = cells[3];
  flight.destination = cells[4];
  return read_number(cells[1], flight.delay_min) && read_number(cells[2], flight.distance_mi);
}

}  // namespace

Result<std::vector<Flight>> read_flights(const std::string& path, std::size_t flights_max) {
  std::ifstream file(path);
  if (!file) return fail(Code::kNotFound, fmt::format("cannot read '{}'", path));
  std::string line;
  if (!std::getline(file, line) || line != kColumns)
    return fail(Code::kInvalidArgument, fmt::format("{}: the first line is not '{}'", path, kColumns));
  std::vector<Flight> flights;
  while (flights.size() < flights_max && std::getline(file, line)) {
    Flight flight;
    if (!read_row(line, flight))
      return fail(Code::kInvalidArgument, fmt::format("{}:{}: not a flight: '{}'", path, flights.size() + 2, line));
    flights.push_back(std::move(flight));
  }
  return flights;
}

Expected add_up(const std::vector<Flight>& flights) {
  Expected expected;
  for (const Flight& flight : flights) {
    auto [at, added] = expected.routes.try_emplace(flight.origin + "-" + flight.destination);
    RouteStats& route = at->second;
    if (added || flight.delay_min > route.worst_delay_min) route.worst_delay_min = flight.delay_min;
    route.flights += 1;
    route.distance_mi += flight.distance_mi;
    route.delay_min += flight.delay_min;
    expected.airports[flight.origin].departures += 1;
    AirportStats& destination = expected.airports[flight.destination];
    destination.arrivals += 1;
    destination.arrival_delay_min += flight.delay_min;
  }
  return expected;
}

}  // namespace flights
