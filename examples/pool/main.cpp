// Work spread over supervised workers, and why a dispatcher must not wait for them: `pool [NUMBERS]` (README.md).
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "plexspaces/local.hpp"
#include "plexspaces/plexspaces.hpp"
#include "plexspaces/supervision.hpp"
#include "plexspaces/testkit.hpp"

namespace {

using namespace plexspaces;

constexpr std::size_t kWorkers = 4;
constexpr int kAttemptsMax = 1'000;  // of one job

// ---- waiting, and not waiting --------------------------------------------------------------------------------------

struct Render {
  using Reply = std::uint64_t;  // the picture's number
  std::uint64_t picture = 0;
};
struct RenderAll {
  using Reply = std::uint64_t;  // how many pictures are done
};
PLX_MESSAGE(Render, (1, picture));
PLX_MESSAGE(RenderAll);

/// Takes a second for a picture.
class Painter : public GenServer<Painter, Render> {
 public:
  Task<std::uint64_t> handle(const Render& m, Context& ctx) {
    co_await ctx.sleep(1s);
    co_return m.picture;
  }
};

// docs-snippet: waiting
/// One picture at a time, whatever the number of painters: while a handler waits, its actor takes no other message.
class WaitingDispatcher : public GenServer<WaitingDispatcher, Render> {
 public:
  explicit WaitingDispatcher(std::vector<ActorRef<Painter>> painters) : painters_(std::move(painters)) {}
  Task<Result<std::uint64_t>> handle(const Render& m, Context& ctx) {
    auto picture = co_await ctx.ask(painters_[next_++ % painters_.size()], m, 10s);
    co_return picture;
  }

 private:
  std::vector<ActorRef<Painter>> painters_;
  std::size_t next_ = 0;
};
// docs-snippet-end

// docs-snippet: forwarding
/// Hands each picture on and takes the next message at once; the painter's answer goes straight to whoever asked.
class ForwardingDispatcher : public GenServer<ForwardingDispatcher, Render> {
 public:
  explicit ForwardingDispatcher(std::vector<ActorRef<Painter>> painters) : painters_(std::move(painters)) {}
  NoReply handle(const Render& m, Context& ctx) { return ctx.forward(painters_[next_++ % painters_.size()], m); }

 private:
  std::vector<ActorRef<Painter>> painters_;
  std::size_t next_ = 0;
};
// docs-snippet-end

// docs-snippet: together
/// Needs the work of all of them itself: asks them together and waits once.
class Gallery : public GenServer<Gallery, RenderAll> {
 public:
  explicit Gallery(std::vector<ActorRef<Painter>> painters) : painters_(std::move(painters)) {}
  Task<Result<std::uint64_t>> handle(const RenderAll&, Context& ctx) {
    auto [first, second] =
        co_await ctx.all(ctx.ask(painters_[0], Render{1}, 10s), ctx.ask(painters_[1], Render{2}, 10s));
    PLX_CO_TRY(left, first);
    PLX_CO_TRY(right, second);
    std::uint64_t done = left == 1 && right == 2 ? 2 : 0;
    auto others = co_await ctx.ask_all(painters_, Render{3}, 10s);  // a vector of Results
    for (const Result<std::uint64_t>& picture : others) done += picture ? 1 : 0;
    co_return done;
  }

 private:
  std::vector<ActorRef<Painter>> painters_;
};
// docs-snippet-end

/// Sends every ask of a crowd at once.
struct Begin {};
PLX_MESSAGE(Begin);
template <class Dispatcher>
class Customer : public GenServer<Customer<Dispatcher>, Begin> {
 public:
  Customer(ActorRef<Dispatcher> dispatcher, std::uint64_t* done) : dispatcher_(dispatcher), done_(*done) {}
  Task<> handle(const Begin&, Context& ctx) {
    auto picture = co_await ctx.ask(dispatcher_, Render{7}, 1h);
    done_ += picture == 7 ? 1 : 0;
  }

 private:
  ActorRef<Dispatcher> dispatcher_;
  std::uint64_t& done_;
};

int wrong = 0;
template <class A, class B>
void expect(const std::string& what, const A& got, const B& wanted) {
  fmt::print("{:<52} {}\n", what, got);
  if (got == wanted) return;
  fmt::print("wrong: it should be {}\n", wanted);
  ++wrong;
}

/// @returns after how many seconds of virtual time `customers` have their pictures.
template <class Dispatcher>
long seconds_for(std::size_t customers) {
  std::uint64_t done = 0;
  testkit::TestRuntime world;
  std::vector<ActorRef<Painter>> painters;
  for (std::size_t i = 0; i < kWorkers; ++i) painters.push_back(world.spawn<Painter>("").value());
  auto dispatcher = world.spawn<Dispatcher>("", painters).value();
  TimePoint start = world.now();
  for (std::size_t i = 0; i < customers; ++i)
    world.spawn<Customer<Dispatcher>>("", dispatcher, &done).value().tell(Begin{});
  world.run_until([&] { return done == customers; }, 1h).value();
  return std::chrono::round<std::chrono::seconds>(world.now() - start).count();
}

void show_dispatchers() {
  expect("8 pictures, a dispatcher that waits, s", seconds_for<WaitingDispatcher>(8), 8);
  expect("8 pictures, one that forwards to 4 painters, s", seconds_for<ForwardingDispatcher>(8), 2);
  testkit::TestRuntime world;
  std::vector<ActorRef<Painter>> painters;
  for (std::size_t i = 0; i < kWorkers; ++i) painters.push_back(world.spawn<Painter>("").value());
  auto gallery = world.spawn<Gallery>("", painters).value();
  TimePoint start = world.now();
  expect("pictures of a gallery", world.ask(gallery, RenderAll{}, 1h).value(), 2 + kWorkers);
  expect("seconds, for two rounds", std::chrono::round<std::chrono::seconds>(world.now() - start).count(), 2);
}

// ---- pools ---------------------------------------------------------------------------------------------------------

struct CountDivisors {
  using Reply = std::uint64_t;
  std::uint64_t number = 0;
};
struct Visit {
  using Reply = std::uint64_t;  // visits of this user so far
  std::string user;
  const std::string& routing_key() const { return user; }
};
struct Prices {
  std::uint64_t version = 0;
};
PLX_MESSAGE(CountDivisors, (1, number));
PLX_MESSAGE(Visit, (1, user));
PLX_MESSAGE(Prices, (1, version));

// Outside of the actors: only to check them.
struct Witness {
  std::mutex mutex;
  std::map<std::string, std::uint64_t> jobs;  // by worker
  std::set<std::uint64_t> poison;             // numbers that end the worker that sees them first
  std::uint64_t crashes = 0;
  std::multiset<std::uint64_t> versions;
};

std::uint64_t divisors(std::uint64_t number) {
  std::uint64_t count = 0;
  for (std::uint64_t i = 1; i * i <= number; ++i)
    if (number % i == 0) count += i * i == number ? 1 : 2;
  return count;
}

class Mathematician : public GenServer<Mathematician, CountDivisors> {
 public:
  explicit Mathematician(Witness* witness) : witness_(*witness) {}
  std::uint64_t handle(const CountDivisors& m, Context& ctx) {
    {
      std::lock_guard lock(witness_.mutex);
      if (witness_.poison.erase(m.number) == 1) {
        ++witness_.crashes;
        throw std::runtime_error("cannot count");
      }
      ++witness_.jobs[std::to_string(ctx.self_id().slot)];
    }
    return divisors(m.number);
  }

 private:
  Witness& witness_;
};

class Doorman : public GenServer<Doorman, Visit> {
 public:
  std::uint64_t handle(const Visit& m, Context&) { return ++visits_[m.user]; }

 private:
  std::map<std::string, std::uint64_t> visits_;
};

class Till : public GenServer<Till, Prices> {
 public:
  explicit Till(Witness* witness) : witness_(*witness) {}
  void handle(const Prices& m, Context&) {
    std::lock_guard lock(witness_.mutex);
    witness_.versions.insert(m.version);
  }

 private:
  Witness& witness_;
};

// docs-snippet: pools
using Mathematicians = Router<Mathematician, Routing::kLeastBusy, CountDivisors>;
using Doormen = Router<Doorman, Routing::kConsistentHash, Visit>;
using Tills = Router<Till, Routing::kBroadcast, Prices>;

SupervisorSpec company(Witness* witness) {
  RestartLimit limit{.intensity = 100, .period = 1h};
  return supervisor("company", one_for_one)
      .child(pool<Mathematician, Routing::kLeastBusy, CountDivisors>("mathematicians",
                                                                     {.workers = kWorkers, .limit = limit}, witness))
      .child(pool<Doorman, Routing::kConsistentHash, Visit>("doormen", {.workers = kWorkers}))
      .child(pool<Till, Routing::kBroadcast, Prices>("tills", {.workers = kWorkers}, witness));
}
// docs-snippet-end

void show_pools(std::uint64_t numbers) {
  Witness witness;
  for (std::uint64_t i = 1; i <= 10; ++i) witness.poison.insert(i * numbers / 10);
  LocalRuntime local;
  auto root = start_tree(local.runtime(), company(&witness), 10s).value();

  // docs-snippet: pool-use
  auto mathematicians = local.runtime().find<Mathematicians>("mathematicians").value();
  Result<std::uint64_t> six = mathematicians.ask(CountDivisors{12}, 10s);
  // docs-snippet-end
  expect("divisors of 12", six.value(), 6u);

  // A worker that ends takes the messages that it has not answered with it: who needs them asks again.
  std::uint64_t right = 0, again = 0;
  for (std::uint64_t number = 1; number <= numbers; ++number)
    for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
      auto answer = mathematicians.ask(CountDivisors{number}, 10s);
      if (answer) {
        right += *answer == divisors(number) ? 1 : 0;
        break;
      }
      ++again;
    }
  expect("right answers", right, numbers);
  expect("workers that crashed", witness.crashes, 10u);
  fmt::print("asks that were repeated: {}\n", again);

  auto doormen = local.runtime().find<Doormen>("doormen").value();
  std::uint64_t visits = 0;
  for (int round = 0; round < 3; ++round)
    for (int user = 0; user < 100; ++user) visits = doormen.ask(Visit{fmt::format("user {}", user)}, 10s).value();
  expect("visits of user 99, counted by one doorman", visits, 3u);

  auto tills = local.runtime().find<Tills>("tills").value();
  expect("prices sent to all tills", tills.ask(Prices{7}, 10s).has_value(), true);
  fmt::print("\n{}\n", to_text(view_tree(root, 10s).value()));
  expect("the company closes in time", stop_tree(root, 10s).has_value(), true);
  std::lock_guard lock(witness.mutex);
  expect("tills with the new prices", witness.versions.count(7), kWorkers);
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t numbers = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000;
  if (numbers < 20 || numbers > 1'000'000) {
    fmt::print(stderr, "usage: pool [NUMBERS], 20 to 1000000\n");
    return 2;
  }
  show_dispatchers();
  show_pools(numbers);
  return wrong == 0 ? 0 : 1;
}
