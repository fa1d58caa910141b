// Streams real flights over HTTP into a node that it kills again and again, then compares every actor with a sequential
// computation of the same file.
//
// Exit codes: 0 every number is right; 1 a number differs; 2 anything else.
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "plexspaces/codec/codec.hpp"

#include "http_client.hpp"
#include "load.hpp"
#include "node_process.hpp"
#include "records.hpp"
#include "report.hpp"

namespace flights {
namespace {

namespace fs = std::filesystem;
using plexspaces::Code;
using plexspaces::fail;
using plexspaces::Result;
using plexspaces::Status;
using std::chrono::steady_clock;

constexpr int kExitDiffers = 1;
constexpr int kExitFailed = 2;
constexpr auto kOutboxTimeout = std::chrono::seconds(60);
constexpr auto kOutboxPoll = std::chrono::milliseconds(2);
constexpr std::size_t kDifferencesShown = 20;

struct Options {
  std::string node;
  std::string flights;
  std::string data;
  std::size_t flights_max = std::numeric_limits<std::size_t>::max();
  bool quiet = false;
  LoadOptions load;
};

/// A data directory: the given one, which must be empty and stays, or a temporary one, which goes with its owner.
class DataDirectory {
 public:
  explicit DataDirectory(std::string given) : path_(std::move(given)), temporary_(path_.empty()) {}
  ~DataDirectory() {
    std::error_code ignored;
    if (temporary_ && !path_.empty()) fs::remove_all(path_, ignored);
  }
  DataDirectory(const DataDirectory&) = delete;
  DataDirectory& operator=(const DataDirectory&) = delete;

  Status create() {
    std::error_code error;
    if (temporary_) {
      std::string pattern = (fs::temp_directory_path(error) / "flights-XXXXXX").string();
      if (error || ::mkdtemp(pattern.data()) == nullptr)
        return fail(Code::kPermissionDenied, fmt::format("cannot create '{}'", pattern));
      path_ = pattern;
      return {};
    }
    fs::create_directories(path_, error);
    if (error) return fail(Code::kPermissionDenied, fmt::format("cannot create '{}': {}", path_, error.message()));
    if (!fs::is_empty(path_, error))
      return fail(Code::kFailedPrecondition, fmt::format("'{}' is not empty: name a new directory", path_));
    return {};
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  const bool temporary_;
};

Status wait_until_outbox_is_empty(HttpClient& client) {
  auto deadline = steady_clock::now() + kOutboxTimeout;
  for (;;) {
    PLX_TRY(answer, client.get("/api/v1/outbox"));
    if (answer.body == R"({"pending": 0})") return {};
    if (answer.status != 200 || steady_clock::now() > deadline)
      return fail(Code::kDeadlineExceeded, "the outbox is not empty: " + answer.body);
    std::this_thread::sleep_for(kOutboxPoll);
  }
}

template <class Stats>
Result<Stats> ask(HttpClient& client, const std::string& type, const std::string& key) {
  PLX_TRY(answer, client.get(fmt::format("/api/v1/actors/default/flights/{}/{}", type, key)));
  if (answer.status != 200)
    return fail(Code::kInternal, fmt::format("{}/{} answered {}: {}", type, key, answer.status, answer.body));
  return plexspaces::from_json<Stats>(answer.body);
}

/// Collects what is not as it must be.
class Comparison {
 public:
  void expect(const std::string& actor, std::string_view field, std::int64_t expected, std::int64_t found) {
    if (expected != found) add(fmt::format("{}: {}: expected {}, found {}", actor, field, expected, found));
  }
  void add(std::string difference) { differences_.push_back(std::move(difference)); }

  bool differs() const { return !differences_.empty(); }
  void print() const {
    for (std::size_t i = 0; i < std::min(differences_.size(), kDifferencesShown); ++i)
      fmt::print(stderr, "differ: {}\n", differences_[i]);
    if (differences_.size() > kDifferencesShown)
      fmt::print(stderr, "differ: and {} more\n", differences_.size() - kDifferencesShown);
  }

 private:
  std::vector<std::string> differences_;
};

Status ask_every_actor(HttpClient& client, const Expected& expected, Comparison& comparison, Summary& summary) {
  for (const auto& [key, right] : expected.routes) {
    PLX_TRY(found, ask<RouteStats>(client, "route", key));
    std::string actor = "route/" + key;
    comparison.expect(actor, "flights", right.flights, found.flights);
    comparison.expect(actor, "distance_mi", right.distance_mi, found.distance_mi);
    comparison.expect(actor, "delay_min", right.delay_min, found.delay_min);
    comparison.expect(actor, "worst_delay_min", right.worst_delay_min, found.worst_delay_min);
    ++summary.routes;
    summary.totals.flights += found.flights;
    summary.totals.distance_mi += found.distance_mi;
  }
  for (const auto& [code, right] : expected.airports) {
    PLX_TRY(found, ask<AirportStats>(client, "airport", code));
    std::string actor = "airport/" + code;
    comparison.expect(actor, "departures", right.departures, found.departures);
    comparison.expect(actor, "arrivals", right.arrivals, found.arrivals);
    comparison.expect(actor, "arrival_delay_min", right.arrival_delay_min, found.arrival_delay_min);
    summary.airports.emplace(code, found);
    summary.totals.delay_min += found.arrival_delay_min;
  }
  return {};
}

/// @returns whether every number is right.
Result<bool> run(const Options& options) {
  PLX_TRY(flights, read_flights(options.flights, options.flights_max));
  DataDirectory directory(options.data);
  PLX_TRY_STATUS(directory.create());
  NodeProcess node(options.node, directory.path() + "/data", directory.path() + "/node.log");
  PLX_TRY_STATUS(node.start());

  Progress progress(flights.size(), options.quiet);
  auto began = steady_clock::now();
  auto load = run_load(options.load, flights, node,
                       [&](std::size_t acknowledged, std::size_t kills) { progress.show(acknowledged, kills); });
  progress.end();
  if (!load) {
    if (std::string words = node.last_words(); !words.empty()) fmt::print(stderr, "the node said:\n{}", words);
    return std::unexpected(load.error());
  }
  HttpClient client(node.port());
  PLX_TRY_STATUS(wait_until_outbox_is_empty(client));
  Summary summary{.load = *std::move(load), .elapsed = steady_clock::now() - began};

  Comparison comparison;
  for (const Mismatch& mismatch : summary.load.mismatches) {
    const Flight& flight = flights[mismatch.flight];
    comparison.add(fmt::format("route/{}-{}: answer to flight {}, sent again: expected {}, found {}", flight.origin,
                               flight.destination, mismatch.flight + 1, mismatch.first, mismatch.second));
  }
  PLX_TRY_STATUS(ask_every_actor(client, add_up(flights), comparison, summary));
  summary.resident_bytes = node.resident_bytes();
  fmt::print("{}", to_text(summary));
  std::fflush(stdout);
  comparison.print();

  PLX_TRY(code, node.stop());
  if (code != 0) return fail(Code::kInternal, fmt::format("the node ended with {} after SIGTERM", code));
  return !comparison.differs();
}

}  // namespace
}  // namespace flights

int main(int argc, char** argv) {
  flights::Options options;
  CLI::App app("Streams flights into a node that it kills, and checks what is left");
  app.add_option("--node", options.node, "the node's program")->required();
  app.add_option("--flights", options.flights, "the flights, CSV")->required();
  app.add_option("--data", options.data, "an empty data directory, which is kept; without it a temporary one");
  app.add_option("--kills", options.load.kills, "how often the node is killed")->capture_default_str();
  app.add_option("--connections", options.load.connections, "HTTP connections")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--flights-max", options.flights_max, "only so many of the flights")->check(CLI::PositiveNumber);
  app.add_option("--seed", options.load.seed, "of the moments of the kills and of what is sent again")
      ->capture_default_str();
  app.add_flag("--quiet", options.quiet, "no progress");
  try {
    app.parse(argc, argv);
    if (options.load.kills > 0 && options.load.connections < options.load.in_flight_at_kill_min)
      throw CLI::ValidationError("--connections", fmt::format("a kill wants {} requests in flight: open as many",
                                                              options.load.in_flight_at_kill_min));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : flights::kExitFailed;
  }

  auto right = flights::run(options);
  if (!right) {
    fmt::print(stderr, "flights_driver: {}\n", right.error().to_string());
    return flights::kExitFailed;
  }
  return *right ? 0 : flights::kExitDiffers;
}
