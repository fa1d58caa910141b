#include "report.hpp"

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

namespace flights {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

namespace {

constexpr std::size_t kAirportsShown = 10;
constexpr std::size_t kBarWidth = 40;
constexpr auto kBarInterval = std::chrono::milliseconds(50);

double seconds(nanoseconds time) { return std::chrono::duration<double>(time).count(); }
double milliseconds(nanoseconds time) { return seconds(time) * 1e3; }

std::string with_commas(std::int64_t number) {
  std::string digits = fmt::format("{}", number);
  std::size_t first = number < 0 ? 1 : 0;
  for (std::size_t at = digits.size(); at > first + 3;) digits.insert(at -= 3, ",");
  return digits;
}

std::string line(std::string_view name, const std::string& value) { return fmt::format("  {:<28}{}\n", name, value); }

std::string airport_table(const std::map<std::string, AirportStats>& airports) {
  std::vector<std::pair<std::string, AirportStats>> rows(airports.begin(), airports.end());
  std::ranges::sort(
      rows, [](const auto& a, const auto& b) { return a.second.arrival_delay_min > b.second.arrival_delay_min; });
  rows.resize(std::min(rows.size(), kAirportsShown));
  std::string text =
      fmt::format("  {:<8}{:>12}{:>10}{:>22}\n", "airport", "departures", "arrivals", "arrival delay, min");
  for (const auto& [code, stats] : rows)
    text += fmt::format("  {:<8}{:>12}{:>10}{:>22}\n", code, with_commas(stats.departures), with_commas(stats.arrivals),
                        with_commas(stats.arrival_delay_min));
  return text;
}

}  // namespace

Progress::Progress(std::size_t flights, bool quiet)
    : flights_(std::max<std::size_t>(flights, 1)), quiet_(quiet), terminal_(::isatty(STDERR_FILENO) == 1) {}

void Progress::show(std::size_t acknowledged, std::size_t kills) {
  if (quiet_) return;
  std::size_t percent = acknowledged * 100 / flights_;
  if (!terminal_) {
    if (percent / 10 <= lines_) return;
    lines_ = percent / 10;
    fmt::print(stderr, "{:>3} %  {} flights, {} kills\n", lines_ * 10,
               with_commas(static_cast<std::int64_t>(acknowledged)), kills);
    return;
  }
  auto now = steady_clock::now();
  if (now - shown_ < kBarInterval && acknowledged < flights_) return;
  shown_ = now;
  std::size_t full = acknowledged * kBarWidth / flights_;
  fmt::print(stderr, "\r  [{}{}] {:>3} %  {} flights, {} kills ", std::string(full, '#'),
             std::string(kBarWidth - full, '.'), percent, with_commas(static_cast<std::int64_t>(acknowledged)), kills);
  std::fflush(stderr);
}

void Progress::end() {
  if (!quiet_ && terminal_) fmt::print(stderr, "\n");
}

std::string to_text(const Summary& summary) {
  const LoadReport& load = summary.load;
  auto flights = static_cast<double>(summary.totals.flights);
  std::vector<nanoseconds> recoveries = load.recoveries;
  std::ranges::sort(recoveries);
  nanoseconds down = std::accumulate(recoveries.begin(), recoveries.end(), nanoseconds());
  std::string in_flight;
  for (std::size_t count : load.in_flight_at_kill)
    in_flight += fmt::format("{}{}", in_flight.empty() ? "" : ", ", count);

  std::string text = airport_table(summary.airports) + "\n";
  text += line("flights", with_commas(summary.totals.flights));
  text += line("airports, routes", fmt::format("{}, {}", summary.airports.size(), summary.routes));
  text += line("distance, miles", with_commas(summary.totals.distance_mi));
  text += line("arrival delay, minutes", with_commas(summary.totals.delay_min));
  text += "\n";
  text += line("flights/s", fmt::format("{:.0f} while the node was up, {:.0f} in all ({:.2f} s)",
                                        flights / seconds(summary.elapsed - down), flights / seconds(summary.elapsed),
                                        seconds(summary.elapsed)));
  text += line("kills survived", fmt::format("{}", load.recoveries.size()));
  if (!recoveries.empty()) {
    text += line("in flight at each kill", in_flight);
    text += line("recovery, kill to ready",
                 fmt::format("median {:.0f} ms, longest {:.0f} ms", milliseconds(recoveries[recoveries.size() / 2]),
                             milliseconds(recoveries.back())));
  }
  text += line("unknown, sent again", fmt::format("{}", load.unknown));
  if (load.refused > 0) text += line("refused, sent again", fmt::format("{}", load.refused));
  text += line("duplicates suppressed",
               fmt::format("{} of {} acknowledged requests sent again", load.suppressed, load.sent_again));
  text += line("node memory at the end", fmt::format("{:.0f} MB", static_cast<double>(summary.resident_bytes) / 1e6));
  return text;
}

}  // namespace flights
