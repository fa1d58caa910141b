// Timers: exact in virtual time, late by little in real time: `timers [TIMERS]` (README.md).
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <future>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/behavior/gen_server.hpp"
#include "plexspaces/node/local/local_runtime.hpp"
#include "plexspaces/testkit/test_runtime.hpp"

namespace {

using namespace plexspaces;

constexpr Duration kPeriod = 100ms;
constexpr Duration kResolution = Duration(1 << 20);  // of timers
constexpr Duration kLatenessMax = 1s;                // in real time, on a machine that does other things too
constexpr Duration kSpread = 500ms;                  // the real timers are due within so much

/// Due at `due_ns` of the runtime's clock.
struct Ring {
  std::int64_t due_ns = 0;
};
PLX_MESSAGE(Ring, (1, due_ns));

struct Tick {};
PLX_MESSAGE(Tick);

struct Cancel {
  using Reply = bool;  // whether the timer was still to come
};
PLX_MESSAGE(Cancel);

struct TickReport {
  std::uint64_t ticks = 0;
  std::uint64_t early = 0;
  std::int64_t latest_ns = 0;  // the largest lateness of a tick
};
PLX_MESSAGE(TickReport, (1, ticks), (2, early), (3, latest_ns));

struct GetTicks {
  using Reply = TickReport;
};
PLX_MESSAGE(GetTicks);

/// Ticks once a period until it is told to cancel.
class Metronome : public GenServer<Metronome, Tick, Cancel, GetTicks> {
 public:
  Status on_start(Context& ctx) override {
    start_ = ctx.now();
    PLX_TRY(timer, ctx.send_every<Metronome>(kPeriod, Tick{}));
    timer_ = timer;
    return {};
  }

  void handle(const Tick&, Context& ctx) {
    ++report_.ticks;
    Duration lateness = ctx.now() - (start_ + static_cast<Duration::rep>(report_.ticks) * kPeriod);
    if (lateness < Duration()) ++report_.early;
    report_.latest_ns = std::max<std::int64_t>(report_.latest_ns, lateness.count());
  }

  bool handle(const Cancel&, Context& ctx) { return ctx.cancel(timer_); }
  TickReport handle(const GetTicks&, Context&) const { return report_; }

 private:
  TimePoint start_;
  TimerRef timer_;
  TickReport report_;
};

/// By how much each timer rang too late; less than zero: too early.
using Lateness = std::vector<Duration>;

/// Arms `timers` timers at once, due at times spread over kSpread.
class Alarms : public GenServer<Alarms, Ring> {
 public:
  Alarms(std::uint64_t timers, std::promise<Lateness>* done) : timers_(timers), done_(done) {}

  Status on_start(Context& ctx) override {
    for (std::uint64_t i = 0; i < timers_; ++i) {
      // 7919 is prime: the timers are not armed in the order in which they ring.
      Duration after = kSpread * static_cast<Duration::rep>(i * 7919 % timers_) / static_cast<Duration::rep>(timers_);
      PLX_TRY_STATUS(ctx.send_after<Alarms>(after, Ring{(ctx.now() + after).time_since_epoch().count()}));
    }
    return {};
  }

  void handle(const Ring& ring, Context& ctx) {
    lateness_.push_back(ctx.now() - TimePoint(Duration(ring.due_ns)));
    if (lateness_.size() == timers_) done_->set_value(std::move(lateness_));
  }

 private:
  std::uint64_t timers_;
  std::promise<Lateness>* done_;
  Lateness lateness_;
};

bool check(std::string_view what, auto value, auto low, auto high) {
  bool right = value >= low && value <= high;
  fmt::print("{:<46} {:>12}   {} [{}, {}]\n", what, value, right ? "in" : "NOT IN", low, high);
  return right;
}

/// An hour of ticks, each exact. Takes milliseconds.
bool virtual_hour() {
  testkit::TestRuntime world;
  auto metronome = world.spawn<Metronome>("").value();
  world.advance(1h).value();
  TickReport report = world.ask(metronome, GetTicks{}, 1s).value();
  bool right = check("ticks in a virtual hour", report.ticks, 36'000u, 36'000u);
  right &= check("of them too early", report.early, 0u, 0u);
  right &= check("latest, ns", report.latest_ns, 0, kResolution.count());

  bool was_armed = world.ask(metronome, Cancel{}, 1s).value();
  world.advance(1h).value();
  TickReport after = world.ask(metronome, GetTicks{}, 1s).value();
  right &= check("cancelled", was_armed ? 1 : 0, 1, 1);
  return right & check("ticks in the hour after", after.ticks - report.ticks, 0u, 0u);
}

/// The same timers on real threads.
bool real_second(std::uint64_t timers) {
  std::promise<Lateness> done;
  LocalRuntime runtime;
  runtime.spawn<Alarms>("", timers, &done).value();
  Lateness lateness = done.get_future().get();
  runtime.stop();

  std::ranges::sort(lateness);
  auto microseconds = [](Duration time) { return std::chrono::duration_cast<std::chrono::microseconds>(time).count(); };
  fmt::print("real lateness, us: median {}, 99% {}\n", microseconds(lateness[lateness.size() / 2]),
             microseconds(lateness[lateness.size() * 99 / 100]));
  bool right = check("real timers", lateness.size(), timers, timers);
  right &= check("earliest, ns after its time", lateness.front().count(), 0, Duration(kLatenessMax).count());
  return right & check("latest, us after its time", microseconds(lateness.back()), 0, microseconds(kLatenessMax));
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t timers = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 10'000;
  if (timers == 0) {
    fmt::print(stderr, "usage: timers [TIMERS], at least one\n");
    return 2;
  }
  bool right = virtual_hour();
  return real_second(timers) && right ? 0 : 1;
}
