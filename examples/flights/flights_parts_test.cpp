// The parts of the example that need no node. The whole of it is the job: the driver, as flights_test in ctest, `make
// demo`.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "driver/records.hpp"
#include "flights.hpp"

namespace flights {
namespace {

using plexspaces::Code;
using testing::HasSubstr;

constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();

Flight good_flight() {
  return {.origin = "SAN", .destination = "SJC", .date = "2001/01/13 14:56", .delay_min = 32, .distance_mi = 418};
}

TEST(FlightTest, AFlightOfTheFileIsAccepted) { EXPECT_TRUE(check(good_flight())); }

struct WrongFlight {
  std::function<void(Flight&)> change;
  std::string named;
};

TEST(FlightTest, WhatCannotBeRightIsRefusedByName) {
  const std::vector<WrongFlight> wrong_flights{
      {[](Flight& f) { f.origin = "san"; }, "'san'"},
      {[](Flight& f) { f.origin = ""; }, "''"},
      {[](Flight& f) { f.destination = "SJCX"; }, "'SJCX'"},
      {[](Flight& f) { f.destination = f.origin; }, "both SAN"},
      {[](Flight& f) { f.date = "2001-01-13 14:56"; }, "2001-01-13"},
      {[](Flight& f) { f.date = "2001/01/13"; }, "date"},
      {[](Flight& f) { f.distance_mi = 0; }, "distance_mi is 0"},
      {[](Flight& f) { f.distance_mi = 12'501; }, "distance_mi is 12501"},
      {[](Flight& f) { f.delay_min = 10'081; }, "delay_min is 10081"},
      {[](Flight& f) { f.delay_min = -10'081; }, "delay_min is -10081"},
  };
  for (const WrongFlight& wrong : wrong_flights) {
    Flight flight = good_flight();
    wrong.change(flight);
    plexspaces::Status status = check(flight);
    ASSERT_FALSE(status) << wrong.named;
    EXPECT_EQ(status.error().code(), Code::kInvalidArgument);
    EXPECT_THAT(status.error().message(), HasSubstr(wrong.named));
  }
}

TEST(RecordsTest, TheFileSumsToItsKnownTotals) {
  auto flights = read_flights(PLX_FLIGHTS_CSV, kAll);
  ASSERT_TRUE(flights) << flights.error().to_string();
  for (const Flight& flight : *flights) ASSERT_TRUE(check(flight)) << check(flight).error().to_string();
  Expected expected = add_up(*flights);
  Totals totals;
  for (const auto& [key, route] : expected.routes) {
    totals.flights += route.flights;
    totals.distance_mi += route.distance_mi;
  }
  std::int64_t departures = 0;
  for (const auto& [code, airport] : expected.airports) {
    totals.delay_min += airport.arrival_delay_min;
    departures += airport.departures;
  }
  EXPECT_EQ(totals, (Totals{.flights = 20'000, .distance_mi = 10'106'132, .delay_min = 162'072}));
  EXPECT_EQ(departures, 20'000);
  EXPECT_EQ(expected.airports.size(), 59U);
  EXPECT_EQ(expected.routes.size(), 654U);
}

TEST(RecordsTest, AWorstDelayMayBeEarly) {
  Flight early = good_flight();
  early.delay_min = -15;
  Flight earlier = early;
  earlier.delay_min = -20;
  EXPECT_EQ(add_up({earlier, early}).routes.at("SAN-SJC").worst_delay_min, -15);
}

TEST(RecordsTest, ALineThatIsNotAFlightIsNamed) {
  std::string path = (std::filesystem::temp_directory_path() / ("flights-" + std::to_string(::getpid()))).string();
  std::ofstream(path) << "date,delay_min,distance_mi,origin,destination\n"
                         "2001/01/13 14:56,32,418,SAN,SJC\n"
                         "2001/01/13 14:56,late,418,SAN,SJC\n";
  EXPECT_EQ(read_flights(path, 1)->size(), 1U);
  auto flights = read_flights(path, kAll);
  std::filesystem::remove(path);
  ASSERT_FALSE(flights);
  EXPECT_THAT(flights.error().message(), HasSubstr(":3: not a flight"));
  EXPECT_EQ(read_flights(path, kAll).error().code(), Code::kNotFound);
}

}  // namespace
}  // namespace flights
