// Three timers of a service: exact in virtual time, on real threads, and when it is stopped: `timers [ACTORS]`.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <latch>
#include <map>
#include <string>
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

constexpr std::int64_t kResolutionNs = 1 << 20;  // of timers
constexpr Duration kHeartbeat = 2s, kCleanup = 5s, kPoll = 500ms;
constexpr Duration kObserved = 8s;
constexpr Duration kRealBound = 50ms;    // of the lateness on real threads: printed, not judged
constexpr int kSpeedUp = 10;             // of the run on real threads
constexpr std::size_t kStopped = 2'000;  // actors that are stopped while their timers fire
constexpr Duration kStopSpread = 20ms;   // over which those timers are due

struct RegisterTimers {
  std::int32_t faster = 1;  // each time divided by this
};
struct Heartbeat {};
struct Cleanup {};
struct Poll {};
struct CancelTimer {
  std::string name;
};
PLX_MESSAGE(RegisterTimers, (1, faster));
PLX_MESSAGE(Heartbeat);
PLX_MESSAGE(Cleanup);
PLX_MESSAGE(Poll);
PLX_MESSAGE(CancelTimer, (1, name));

struct TimerTick {
  std::string timer;
  std::int64_t at_ns = 0;    // since the timers were registered
  std::int64_t late_ns = 0;  // after its time; less than zero: before
};
PLX_MESSAGE(TimerTick, (1, timer), (2, at_ns), (3, late_ns));
struct Ticks {
  std::vector<TimerTick> ticks;
};
PLX_MESSAGE(Ticks, (1, ticks));
struct GetTicks {
  using Reply = Ticks;
};
struct Observe {  // answered when the time of observation is over
  using Reply = Ticks;
};
struct ObservationOver {};
PLX_MESSAGE(GetTicks);
PLX_MESSAGE(Observe);
PLX_MESSAGE(ObservationOver);

/// A service that has a heartbeat, cleans up once, and polls; it registers its timers when it is asked to.
class Service : public GenServer<Service, RegisterTimers, Heartbeat, Cleanup, Poll, CancelTimer, GetTicks, Observe,
                                 ObservationOver> {
 public:
  Status handle(const RegisterTimers& m, Context& ctx) {
    start_ = ctx.now();
    end_ = start_ + kObserved / m.faster;
    PLX_TRY(heartbeat, ctx.send_every<Service>(kHeartbeat / m.faster, Heartbeat{}));
    PLX_TRY(cleanup, ctx.send_after<Service>(kCleanup / m.faster, Cleanup{}));
    PLX_TRY(poll, ctx.send_every<Service>(kPoll / m.faster, Poll{}));
    timers_ = {{"heartbeat", {heartbeat, kHeartbeat / m.faster}},
               {"cleanup", {cleanup, kCleanup / m.faster}},
               {"poll", {poll, kPoll / m.faster}}};
    return {};
  }

  void handle(const Heartbeat&, Context& ctx) { note("heartbeat", ctx); }
  void handle(const Cleanup&, Context& ctx) { note("cleanup", ctx); }
  void handle(const Poll&, Context& ctx) { note("poll", ctx); }

  /// @error kNotFound: no timer of that name, or it is over.
  Status handle(const CancelTimer& m, Context& ctx) {
    auto timer = timers_.find(m.name);
    if (timer == timers_.end() || !ctx.cancel(timer->second.ref))
      return fail(Code::kNotFound, fmt::format("no timer '{}' runs", m.name));
    timers_.erase(timer);
    return {};
  }

  Ticks handle(const GetTicks&, Context&) const { return {ticks_}; }

  NoReply handle(const Observe&, Context& ctx) {
    observer_ = ctx.defer<Observe>();
    if (auto timer = ctx.send_after<Service>(end_ - ctx.now(), ObservationOver{}); !timer)
      observer_.reply(std::unexpected(timer.error()));
    return {};
  }
  void handle(const ObservationOver&, Context&) { observer_.reply(Ticks{ticks_}); }

 private:
  struct Running {
    TimerRef ref;
    Duration period;
  };

  // A tick that was due while another was queued is skipped, so the number of periods is read off the clock.
  void note(std::string name, Context& ctx) {
    Duration at = ctx.now() - start_;
    Duration period = timers_.at(name).period;
    Duration due = std::max<Duration>(at / period * period, period);
    ticks_.push_back({std::move(name), at.count(), (at - due).count()});
  }

  TimePoint start_, end_;
  ReplyTo<Observe> observer_;
  std::map<std::string, Running> timers_;
  std::vector<TimerTick> ticks_;
};

bool check(std::string_view what, auto value, auto low, auto high) {
  bool right = value >= low && value <= high;
  fmt::print("{:<46} {:>9}   {} [{}, {}]\n", what, value, right ? "in" : "NOT IN", low, high);
  return right;
}
bool equals(std::string_view what, auto value, decltype(value) wanted) { return check(what, value, wanted, wanted); }

std::size_t count(const std::vector<TimerTick>& ticks, std::string_view timer) {
  return static_cast<std::size_t>(std::ranges::count(ticks, timer, &TimerTick::timer));
}

bool counts(std::string_view when, const std::vector<TimerTick>& ticks, std::size_t heartbeats, std::size_t cleanups,
            std::size_t polls) {
  bool right = equals(fmt::format("heartbeats {}", when), count(ticks, "heartbeat"), heartbeats);
  right &= equals(fmt::format("cleanups {}", when), count(ticks, "cleanup"), cleanups);
  return right & equals(fmt::format("polls {}", when), count(ticks, "poll"), polls);
}

/// One line for each second: what has come in it.
void print_time_line(const std::vector<TimerTick>& ticks) {
  for (std::int64_t second = 0; second < 8; ++second) {
    std::string line;
    for (const TimerTick& tick : ticks)
      if ((tick.at_ns - kResolutionNs) / 1'000'000'000 == second)
        line += fmt::format("  {} at {:.3f}", tick.timer, static_cast<double>(tick.at_ns) / 1e9);
    fmt::print("  ({}, {}] s{}\n", second, second + 1, line);
  }
}

/// Eight seconds of virtual time, then a cancelled timer, an unknown one, and the end of the actor.
bool virtual_seconds() {
  testkit::TestRuntime world;
  auto service = world.spawn<Service>("service").value();
  world.ask(service, RegisterTimers{}, 1s).value();
  TimePoint start = world.now();
  world.advance_to(start + 8s).value();
  std::vector<TimerTick> ticks = world.ask(service, GetTicks{}, 1s).value().ticks;
  fmt::print("time line\n");
  print_time_line(ticks);
  bool right = counts("in 8 s", ticks, 4, 1, 16);
  auto [earliest, latest] = std::ranges::minmax(ticks, {}, &TimerTick::late_ns);
  right &= check("earliest, ns after its time", earliest.late_ns, std::int64_t{0}, kResolutionNs);
  right &= check("latest, ns after its time", latest.late_ns, std::int64_t{0}, kResolutionNs);

  right &= equals("cancel of poll accepted", world.ask(service, CancelTimer{"poll"}, 1s).has_value(), true);
  Status unknown = world.ask(service, CancelTimer{"pool"}, 1s);
  right &= equals("cancel of a timer that never was: NOT_FOUND", unknown.error().code() == Code::kNotFound, true);
  Status over = world.ask(service, CancelTimer{"cleanup"}, 1s);
  right &= equals("cancel of one that is over: NOT_FOUND", over.error().code() == Code::kNotFound, true);
  world.advance_to(start + 16s).value();
  right &= counts("in 16 s", world.ask(service, GetTicks{}, 1s).value().ticks, 8, 1, 16);

  // Timers are its actor's: they end with it, and one of the same name begins without any.
  world.runtime().stop(service.id());
  world.run_until_idle().value();
  auto again = world.spawn<Service>("service").value();
  world.advance(8s).value();
  right &= equals("ticks of its successor", world.ask(again, GetTicks{}, 1s).value().ticks.size(), std::size_t{0});
  return right & equals("ticks for a stopped actor", world.dead_letters().size(), std::size_t{0});
}

/// The same timers of many actors on real threads, ten times as fast.
bool real_seconds(std::uint64_t actors) {
  LocalRuntime runtime;
  std::vector<ActorRef<Service>> services;
  for (std::uint64_t i = 0; i < actors; ++i) services.push_back(runtime.spawn<Service>("").value());
  for (auto& service : services) service.tell(RegisterTimers{kSpeedUp});

  std::vector<std::int64_t> late;
  std::uint64_t early = 0, wrong = 0;
  for (auto& service : services) {
    std::vector<TimerTick> ticks = service.ask(Observe{}, 60s).value().ticks;
    auto due_later = [](const TimerTick& tick) { return tick.at_ns - tick.late_ns > (kObserved / kSpeedUp).count(); };
    std::erase_if(ticks, due_later);  // on a machine that is late with the end of the observation
    wrong += count(ticks, "heartbeat") > 4 || count(ticks, "cleanup") != 1 || count(ticks, "poll") > 16;
    for (const TimerTick& tick : ticks) {
      early += tick.late_ns < 0;
      late.push_back(tick.late_ns);
    }
  }
  runtime.stop();
  if (late.empty()) return check("real ticks", late.size(), std::size_t{1}, late.max_size());
  std::ranges::sort(late);
  auto us = [](std::int64_t ns) { return ns / 1'000; };
  fmt::print("lateness of {} real ticks, us: min {}, median {}, max {}; bound {}: {}\n", late.size(), us(late.front()),
             us(late[late.size() / 2]), us(late.back()), us(kRealBound.count()),
             late.back() <= kRealBound.count() ? "kept" : "not kept on this machine now");
  bool right = equals("real ticks before their time", early, 0);
  return right & equals("actors with a tick too many, or no cleanup", wrong, 0);
}

struct Shot {};
PLX_MESSAGE(Shot);

/// What an actor that is stopped while its timer fires leaves behind.
struct Trace {
  std::atomic<int> shots{0}, stops{0}, shots_after_stop{0};
};

class Target;

/// Stops a target when a timer of its own fires, due at the same time as the target's.
class Stopper : public GenServer<Stopper, Shot> {
 public:
  Stopper(ActorRef<Target> target, Duration after) : target_(target), after_(after) {}
  Status on_start(Context& ctx) override {
    PLX_TRY_STATUS(ctx.send_after<Stopper>(after_, Shot{}));
    return {};
  }
  Status handle(const Shot&, Context& ctx) { return ctx.exit(target_, ExitReason::shutdown()); }

 private:
  ActorRef<Target> target_;
  Duration after_;
};

/// Has one timer, and somebody who stops it two ticks before that, together with it, or two ticks after it.
class Target : public GenServer<Target, Shot> {
 public:
  Target(Trace* trace, Duration after, int ticks_between, std::latch* ended)
      : trace_(*trace), after_(after), ticks_between_(ticks_between), ended_(*ended) {}
  Status on_start(Context& ctx) override {
    PLX_TRY_STATUS(ctx.send_after<Target>(after_, Shot{}));
    PLX_TRY_STATUS(ctx.spawn<Stopper>(ctx.self<Target>(), after_ + ticks_between_ * Duration(kResolutionNs)));
    return {};
  }
  void handle(const Shot&, Context&) {
    ++trace_.shots;
    if (trace_.stops > 0) ++trace_.shots_after_stop;
  }
  Task<> on_stop(Context&, const ExitReason&) override {
    ++trace_.stops;
    ended_.count_down();
    co_return;
  }

 private:
  Trace& trace_;
  Duration after_;
  int ticks_between_;
  std::latch& ended_;
};

/// Actors are stopped at the moment at which their timers fire: a tick comes before the end, once, or not at all.
bool stops_as_timers_fire() {
  std::vector<Trace> traces(kStopped);
  std::latch ended(kStopped);
  {
    LocalRuntime runtime;
    for (std::size_t i = 0; i < kStopped; ++i) {
      Duration after = kStopSpread * static_cast<int>(i) / static_cast<int>(kStopped);
      runtime.spawn<Target>("", &traces[i], after, static_cast<int>(i % 3) * 2 - 2, &ended).value();
    }
    ended.wait();
  }
  int fired = 0, twice = 0, after = 0, stops = 0;
  for (const Trace& trace : traces) {
    fired += trace.shots;
    twice += trace.shots > 1;
    after += trace.shots_after_stop;
    stops += trace.stops;
  }
  fmt::print("{} actors stopped, {} of their timers fired before\n", stops, fired);
  bool right = equals("actors stopped once", stops, static_cast<int>(kStopped));
  right &= equals("ticks delivered twice", twice, 0);
  return right & equals("ticks that reached a stopped actor", after, 0);
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t actors = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 100;
  if (actors < 1 || actors > 100'000) {
    fmt::print(stderr, "usage: timers [ACTORS], 1 to 100000\n");
    return 2;
  }
  bool right = virtual_seconds();
  right &= real_seconds(actors);
  right &= stops_as_timers_fire();
  return right ? 0 : 1;
}
