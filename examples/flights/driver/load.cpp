#include "load.hpp"

#include <algorithm>
#include <deque>
#include <limits>
#include <map>
#include <optional>
#include <random>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <fmt/format.h>

#include "plexspaces/codec/codec.hpp"

namespace flights {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using plexspaces::Code;
using plexspaces::Result;
using std::chrono::steady_clock;

namespace {

constexpr auto kKillDelayMax = std::chrono::microseconds(5'000);
constexpr auto kKillPoll = std::chrono::microseconds(200);
constexpr auto kReconnectPause = std::chrono::milliseconds(1);
constexpr auto kWatchInterval = std::chrono::seconds(1);

class Load {
 public:
  Load(const LoadOptions& options, const std::vector<Flight>& flights, NodeProcess& node,
       const std::function<void(std::size_t, std::size_t)>& progress)
      : options_(options), flights_(flights), node_(node), progress_(progress), chance_(options.seed) {}

  Result<LoadReport> run();

 private:
  struct Job {
    std::size_t flight = 0;
    bool again = false;
  };
  struct Connection {
    explicit Connection(asio::io_context& io) : socket(io) {}
    asio::ip::tcp::socket socket;
    boost::beast::flat_buffer buffer;
    http::request<http::string_body> request;
  };

  asio::awaitable<void> work();
  asio::awaitable<void> kill_now_and_then();
  asio::awaitable<void> watch();
  /// @returns whether the request was answered.
  asio::awaitable<bool> exchange(Connection& connection, Job job);
  asio::awaitable<void> wait_for_change();
  asio::awaitable<void> pause(std::chrono::nanoseconds time);

  std::optional<Job> next_job();
  void answered(Job job, unsigned status, std::string body);
  void kill_node();
  void change();
  void end(std::optional<plexspaces::Error> error);
  bool all_done() const;
  std::size_t chosen_below(std::size_t end) { return std::uniform_int_distribution<std::size_t>(0, end - 1)(chance_); }

  const LoadOptions& options_;
  const std::vector<Flight>& flights_;
  NodeProcess& node_;
  const std::function<void(std::size_t, std::size_t)>& progress_;
  std::mt19937_64 chance_;
  asio::io_context io_{1};
  asio::steady_timer changed_{io_, steady_clock::time_point::max()};

  std::size_t next_flight_ = 0;
  std::deque<Job> unknown_;                 // to be sent again: nobody knows whether they were carried out
  std::multimap<std::size_t, Job> again_;   // by the number of acknowledgements at which they are due
  std::vector<std::string> first_answers_;  // empty: not acknowledged yet
  std::size_t acknowledged_ = 0;
  std::size_t answers_ = 0;
  std::size_t in_flight_ = 0;
  std::size_t open_jobs_ = 0;
  std::size_t life_ = 1;  // of the node; a connection belongs to one
  bool killed_all_ = false;
  bool ended_ = false;
  std::optional<plexspaces::Error> error_;
  LoadReport report_;
};

Result<LoadReport> Load::run() {
  first_answers_.resize(flights_.size());
  for (std::size_t i = 0; i < options_.connections; ++i) asio::co_spawn(io_, work(), asio::detached);
  asio::co_spawn(io_, kill_now_and_then(), asio::detached);
  asio::co_spawn(io_, watch(), asio::detached);
  io_.run();
  if (error_) return std::unexpected(*error_);
  return std::move(report_);
}

bool Load::all_done() const { return acknowledged_ == flights_.size() && again_.empty() && open_jobs_ == 0; }

std::optional<Load::Job> Load::next_job() {
  Job job;
  if (!unknown_.empty()) {
    job = unknown_.front();
    unknown_.pop_front();
  } else if (!again_.empty() && (again_.begin()->first <= acknowledged_ || acknowledged_ == flights_.size())) {
    job = again_.begin()->second;
    again_.erase(again_.begin());
  } else if (next_flight_ < flights_.size()) {
    job.flight = next_flight_++;
  } else {
    return std::nullopt;
  }
  return job;
}

asio::awaitable<void> Load::work() {
  while (!ended_) {
    std::size_t life = life_;
    Connection connection(io_);
    error_code error;
    co_await connection.socket.async_connect({asio::ip::address_v4::loopback(), node_.port()},
                                             asio::redirect_error(asio::use_awaitable, error));
    if (!error) connection.socket.set_option(asio::ip::tcp::no_delay(true), error);
    if (error) {
      if (auto code = node_.ended())
        end(plexspaces::Error(Code::kInternal, fmt::format("the node ended by itself with {}", *code)));
      else
        co_await pause(kReconnectPause);
      continue;
    }
    bool good = true;
    while (good && !ended_ && life == life_) {
      std::optional<Job> job = next_job();
      if (!job) {
        co_await wait_for_change();
        continue;
      }
      ++open_jobs_;
      good = co_await exchange(connection, *job);
      --open_jobs_;
      if (!good) {
        ++report_.unknown;
        unknown_.push_back(*job);
        change();
      }
      if (killed_all_ && all_done()) end(std::nullopt);
    }
  }
}

asio::awaitable<bool> Load::exchange(Connection& connection, Job job) {
  const Flight& flight = flights_[job.flight];
  auto& request = connection.request;
  request = {http::verb::post,
             fmt::format("/api/v1/actors/default/flights/route/{}-{}/Flight", flight.origin, flight.destination), 11};
  request.set(http::field::host, "localhost");
  request.set(http::field::content_type, "application/json");
  request.set("Idempotency-Key", fmt::format("{}", job.flight + 1));
  request.body() = plexspaces::to_json(flight);
  request.prepare_payload();
  error_code error;
  co_await http::async_write(connection.socket, request, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return false;
  ++in_flight_;
  http::response<http::string_body> response;
  co_await http::async_read(connection.socket, connection.buffer, response,
                            asio::redirect_error(asio::use_awaitable, error));
  --in_flight_;
  if (error) co_return false;
  answered(job, response.result_int(), std::move(response.body()));
  bool retried = response.result_int() == 429 || response.result_int() >= 500;
  if (retried) co_await pause(options_.refusal_pause);
  co_return true;
}

void Load::answered(Job job, unsigned status, std::string body) {
  ++answers_;
  if (status == 429 || status >= 500) {
    if (++report_.refused > options_.refusals_max)
      end(plexspaces::Error(Code::kInternal, fmt::format("refused too often, at last with {}: {}", status, body)));
    unknown_.push_back(job);
    return;
  }
  if (status != 200)
    return end(plexspaces::Error(Code::kInternal,
                                 fmt::format("flight {} was refused with {}: {}", job.flight + 1, status, body)));
  if (job.again) {
    ++report_.sent_again;
    if (body == first_answers_[job.flight])
      ++report_.suppressed;
    else
      report_.mismatches.push_back({job.flight, first_answers_[job.flight], std::move(body)});
    return;
  }
  first_answers_[job.flight] = std::move(body);
  ++acknowledged_;
  if (std::uniform_real_distribution<>(0, 1)(chance_) < options_.again_share)
    again_.emplace(acknowledged_ + 1 + chosen_below(options_.again_after_max), Job{job.flight, true});
  progress_(acknowledged_, report_.recoveries.size());
  change();
}

// One kill in each part of the run, at a random place of it.
asio::awaitable<void> Load::kill_now_and_then() {
  std::size_t part = flights_.size() / std::max<std::size_t>(options_.kills, 1);
  for (std::size_t i = 0; i < options_.kills && !ended_; ++i) {
    // Not in its last tenth, so that enough requests are left to be in flight.
    std::size_t at = i * part + chosen_below(std::max<std::size_t>(part * 9 / 10, 1));
    while (acknowledged_ < at && !ended_) co_await wait_for_change();
    co_await pause(std::chrono::microseconds(chosen_below(kKillDelayMax.count())));
    while (in_flight_ < options_.in_flight_at_kill_min && acknowledged_ < flights_.size() && !ended_)
      co_await pause(kKillPoll);
    if (ended_) co_return;
    if (in_flight_ < options_.in_flight_at_kill_min) {
      end(plexspaces::Error(Code::kInternal,
                            fmt::format("only {} of {} kills found {} requests in flight: stream more flights, or kill "
                                        "less often",
                                        i, options_.kills, options_.in_flight_at_kill_min)));
      co_return;
    }
    kill_node();
  }
  killed_all_ = true;
  if (all_done()) end(std::nullopt);
}

// Answers that the node gave before it died are still read afterwards, and count.
void Load::kill_node() {
  report_.in_flight_at_kill.push_back(in_flight_);
  auto began = steady_clock::now();
  node_.kill();
  if (plexspaces::Status started = node_.start(); !started) return end(started.error());
  report_.recoveries.push_back(steady_clock::now() - began);
  ++life_;
  progress_(acknowledged_, report_.recoveries.size());
  change();
}

asio::awaitable<void> Load::watch() {
  std::size_t seen = 0;
  auto heard = steady_clock::now();
  while (!ended_) {
    co_await pause(kWatchInterval);
    if (std::exchange(seen, answers_) != answers_) heard = steady_clock::now();
    if (!ended_ && steady_clock::now() - heard > options_.silence_max)
      end(plexspaces::Error(Code::kDeadlineExceeded, fmt::format("no answer for {} s, after {} acknowledged flights",
                                                                 options_.silence_max.count(), acknowledged_)));
  }
}

asio::awaitable<void> Load::wait_for_change() {
  error_code error;
  co_await changed_.async_wait(asio::redirect_error(asio::use_awaitable, error));
}

asio::awaitable<void> Load::pause(std::chrono::nanoseconds time) {
  asio::steady_timer timer(io_, time);
  error_code error;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
}

void Load::change() { changed_.cancel(); }

void Load::end(std::optional<plexspaces::Error> error) {
  if (ended_) return;
  ended_ = true;
  error_ = std::move(error);
  io_.stop();
}

}  // namespace

Result<LoadReport> run_load(const LoadOptions& options, const std::vector<Flight>& flights, NodeProcess& node,
                            const std::function<void(std::size_t, std::size_t)>& progress) {
  return Load(options, flights, node, progress).run();
}

}  // namespace flights
