// Dining philosophers, with forks that are actors too: `philosophers [PHILOSOPHERS] [MEALS]` (README.md).
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <semaphore>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/behavior/gen_server.hpp"
#include "plexspaces/node/local/local_runtime.hpp"

namespace {

using namespace plexspaces;

class Philosopher;

struct Take {
  ActorRef<Philosopher> who;
};
struct EatWith {
  ActorRef<Philosopher> who;
};
struct PutDown {
  ActorRef<Philosopher> who;
};
PLX_MESSAGE(Take, (1, who));
PLX_MESSAGE(EatWith, (1, who));
PLX_MESSAGE(PutDown, (1, who));

struct SitDown {};
struct Granted {};
PLX_MESSAGE(SitDown);
PLX_MESSAGE(Granted);

struct ForkReport {
  std::uint64_t meals = 0;
  std::uint64_t misuses = 0;  // it was used by another one than its holder
  bool held = false;
};
PLX_MESSAGE(ForkReport, (1, meals), (2, misuses), (3, held));

struct GetForkReport {
  using Reply = ForkReport;
};
PLX_MESSAGE(GetForkReport);

struct GetMeals {
  using Reply = std::uint64_t;
};
PLX_MESSAGE(GetMeals);

/// Lies between two philosophers; one holds it, the other one may wait for it.
class Fork : public GenServer<Fork, Take, EatWith, PutDown, GetForkReport> {
 public:
  Status handle(const Take& take, Context&) {
    if (!holder_) return grant(take.who);
    waiting_ = take.who;
    return {};
  }

  void handle(const EatWith& meal, Context&) {
    ++report_.meals;
    if (meal.who != holder_) ++report_.misuses;
  }

  Status handle(const PutDown& put, Context&) {
    if (put.who != holder_) ++report_.misuses;
    holder_ = {};
    if (!waiting_) return {};
    return grant(std::exchange(waiting_, {}));
  }

  ForkReport handle(const GetForkReport&, Context&) const {
    return {report_.meals, report_.misuses, static_cast<bool>(holder_)};
  }

 private:
  Status grant(ActorRef<Philosopher> who);

  ActorRef<Philosopher> holder_, waiting_;
  ForkReport report_;
};

/// Takes `first`, then `second`, eats, puts both down, `meals` times.
class Philosopher : public GenServer<Philosopher, SitDown, Granted, GetMeals> {
 public:
  Philosopher(ActorRef<Fork> first, ActorRef<Fork> second, std::uint64_t meals, std::counting_semaphore<>* finished)
      : first_(first), second_(second), meals_max_(meals), finished_(finished) {}

  Status handle(const SitDown&, Context& ctx) { return first_.tell(Take{ctx.self<Philosopher>()}); }

  Status handle(const Granted&, Context& ctx) {
    if (++forks_ == 1) return second_.tell(Take{ctx.self<Philosopher>()});
    ++meals_;
    forks_ = 0;
    for (ActorRef<Fork> fork : {first_, second_}) PLX_TRY_STATUS(fork.tell(EatWith{ctx.self<Philosopher>()}));
    for (ActorRef<Fork> fork : {first_, second_}) PLX_TRY_STATUS(fork.tell(PutDown{ctx.self<Philosopher>()}));
    if (meals_ < meals_max_) return first_.tell(Take{ctx.self<Philosopher>()});
    finished_->release();
    return {};
  }

  std::uint64_t handle(const GetMeals&, Context&) const { return meals_; }

 private:
  ActorRef<Fork> first_, second_;
  std::uint64_t meals_max_;
  std::counting_semaphore<>* finished_;
  std::uint64_t meals_ = 0;
  int forks_ = 0;  // in hand
};

Status Fork::grant(ActorRef<Philosopher> who) {
  holder_ = who;
  return who.tell(Granted{});
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t seats = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 100;
  std::uint64_t meals = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1'000;
  if (seats < 2 || meals == 0) {
    fmt::print(stderr, "usage: philosophers [PHILOSOPHERS] [MEALS], at least two philosophers and one meal\n");
    return 2;
  }

  std::counting_semaphore<> finished(0);
  LocalRuntime runtime;

  std::vector<ActorRef<Fork>> forks;
  for (std::size_t i = 0; i < seats; ++i) forks.push_back(runtime.spawn<Fork>("").value());
  std::vector<ActorRef<Philosopher>> philosophers;
  for (std::size_t i = 0; i < seats; ++i) {
    // The fork of the lower number first: whoever waits, waits for a fork with a higher number than those held by him
    // or her, so nobody waits in a circle. With the left fork first for all, they would.
    auto [low, high] = std::minmax(i, (i + 1) % seats);
    philosophers.push_back(runtime.spawn<Philosopher>("", forks[low], forks[high], meals, &finished).value());
  }
  for (ActorRef<Philosopher> philosopher : philosophers) philosopher.tell(SitDown{}).value();

  bool right = true;
  for (std::size_t i = 0; i < seats && right; ++i) right = finished.try_acquire_for(1min);
  if (!right) fmt::print("deadlock: somebody has not finished after a minute\n");
  for (std::size_t i = 0; i < seats; ++i) {
    std::uint64_t eaten = philosophers[i].ask(GetMeals{}, 1min).value();
    ForkReport fork = forks[i].ask(GetForkReport{}, 1min).value();
    if (eaten == meals && fork.meals == 2 * meals && fork.misuses == 0 && !fork.held) continue;
    fmt::print("philosopher {} ate {} times, expected {}; fork {}: {} meals, expected {}, {} misuses{}\n", i, eaten,
               meals, i, fork.meals, 2 * meals, fork.misuses, fork.held ? ", still held" : "");
    right = false;
  }
  runtime.stop();
  if (right) fmt::print("{} philosophers ate {} times each\n", seats, meals);
  return right ? 0 : 1;
}
