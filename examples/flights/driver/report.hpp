// What the driver shows.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <string>

#include "../flights.hpp"
#include "load.hpp"
#include "records.hpp"

namespace flights {

/// A bar on a terminal, a line for each tenth elsewhere, nothing when quiet. Goes to standard error.
class Progress {
 public:
  Progress(std::size_t flights, bool quiet);
  void show(std::size_t acknowledged, std::size_t kills);
  /// Ends the bar's line.
  void end();

 private:
  const std::size_t flights_;
  const bool quiet_;
  const bool terminal_;
  std::size_t lines_ = 0;
  std::chrono::steady_clock::time_point shown_;
};

struct Summary {
  std::map<std::string, AirportStats> airports;  // as the actors say
  std::size_t routes = 0;
  Totals totals;
  LoadReport load;
  std::chrono::nanoseconds elapsed{};  // from the first request to the empty outbox
  std::size_t resident_bytes = 0;
};

/// The table at the end.
std::string to_text(const Summary& summary);

}  // namespace flights
