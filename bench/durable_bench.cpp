// Durable turns beside what the disk allows, in one run.
//
//   durable_bench DIRECTORY [SECONDS]
//
// Each actor is asked in a closed loop, through the node's operations, every request with an idempotency key of its
// own: JSON in, one turn committed to SQLite (WAL, synchronous=FULL) with its outcome, JSON out. The raw limit is an
// append of 256 bytes and its fdatasync, alone and in groups of 1,024. Rounds alternate, and the medians are printed as
// lines `RESULT peer=plex|disk workload=durable variant=V value=X unit=U`.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/api/operations.hpp"
#include "plexspaces/behavior/gen_server.hpp"
#include "plexspaces/durable/durability.hpp"
#include "plexspaces/env/posix/clock.hpp"
#include "plexspaces/env/posix/disk.hpp"
#include "plexspaces/env/posix/executor.hpp"
#include "plexspaces/env/posix/random.hpp"
#include "plexspaces/store/sqlite_store.hpp"

namespace {

using namespace plexspaces;
using Clock = std::chrono::steady_clock;

struct Add {
  using Reply = std::int64_t;
  std::int64_t amount = 0;
};
struct CounterState {
  std::int64_t count = 0;
};
PLX_MESSAGE(Add, (1, amount));
PLX_MESSAGE(CounterState, (1, count));

class Counter : public GenServer<Counter, Add>, public Stateful<CounterState> {
 public:
  std::int64_t handle(const Add& m, Context&) { return state().count += m.amount; }
};

struct Figures {
  double per_second = 0, p50_us = 0, p99_us = 0;
};

Figures figures(std::vector<double>& latencies_us, double seconds, double per_step = 1) {
  std::ranges::sort(latencies_us);
  std::size_t n = latencies_us.size();
  return {static_cast<double>(n) * per_step / seconds, latencies_us[n / 2], latencies_us[n * 99 / 100]};
}

double since_us(Clock::time_point began) {
  return std::chrono::duration<double, std::micro>(Clock::now() - began).count();
}

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "durable_bench: %s\n", why.c_str());
  std::exit(1);
}

Figures raw_append(const std::string& directory, std::size_t group, double seconds) {
  std::string path = directory + "/raw.log";
  int file = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
  if (file < 0) give_up("cannot write " + path);
  std::string block(256 * group, 'x');
  std::vector<double> latencies;
  Clock::time_point began = Clock::now();
  while (since_us(began) < seconds * 1e6) {
    Clock::time_point step = Clock::now();
    if (::write(file, block.data(), block.size()) != static_cast<ssize_t>(block.size()) || ::fdatasync(file) != 0)
      give_up("cannot append to " + path);
    latencies.push_back(since_us(step));
  }
  double took = since_us(began) * 1e-6;
  ::close(file);
  std::filesystem::remove(path);
  return figures(latencies, took, static_cast<double>(group));
}

struct Node {
  explicit Node(const std::string& directory) {
    types.add<Counter>("counter", {.facets = {durable({.outcomes_max = 100'000'000}), virtual_actor()}});
    auto opened = store::open_sqlite(disk, random, clock, directory);
    if (!opened) give_up(opened.error().to_string());
    store = std::move(*opened);
    runtime = std::make_unique<Runtime>(executor, types);
    durability = std::make_unique<durability::Durability>(*runtime, *store, clock, random);
    operations = std::make_unique<api::Operations>(*runtime, *durability);
    durability->on_store_failure([](const Error& error) { give_up(error.to_string()); });
    if (Status started = runtime->start(); !started) give_up(started.error().to_string());
  }
  ~Node() {
    executor.stop();
    durability.reset();
  }

  env::PosixDisk disk;
  env::PosixRandom random;
  env::PosixClock clock;
  Types types;
  std::unique_ptr<store::Store> store;
  env::PosixExecutor executor;
  std::unique_ptr<Runtime> runtime;
  std::unique_ptr<durability::Durability> durability;
  std::unique_ptr<api::Operations> operations;
};

// Keeps one request to each of `actors` under way.
class Load {
 public:
  Load(Node& node, std::size_t actors, std::uint64_t run) : node_(node), run_(run), lanes_(actors) {}

  Figures run(double seconds) {
    Clock::time_point began = Clock::now();
    for (std::size_t i = 0; i < lanes_.size(); ++i) send(i);
    std::unique_lock lock(mutex_);
    ended_.wait_for(lock, std::chrono::duration<double>(seconds), [] { return false; });
    stopping_.store(true);
    ended_.wait(lock, [this] { return idle_ == lanes_.size(); });
    double took = since_us(began) * 1e-6;
    std::vector<double> latencies;
    for (Lane& lane : lanes_) latencies.insert(latencies.end(), lane.latencies.begin(), lane.latencies.end());
    return figures(latencies, took);
  }

 private:
  struct Lane {
    std::uint64_t requests = 0;
    Clock::time_point began;
    std::vector<double> latencies;
  };

  void send(std::size_t i) {
    Lane& lane = lanes_[i];
    lane.began = Clock::now();
    api::InvokeRequest request;
    request.verb = api::Verb::kUpdate;
    request.target = ActorKey{"default", "bench", "counter", fmt::format("actor-{}", i)};
    request.body = R"({"amount":1})";
    request.idempotency_key = fmt::format("{}-{}", run_, ++lane.requests);
    node_.operations->invoke(std::move(request), [this, i](Result<api::InvokeReply> reply) {
      if (!reply) give_up(reply.error().to_string());
      lanes_[i].latencies.push_back(since_us(lanes_[i].began));
      if (!stopping_.load(std::memory_order_relaxed)) return send(i);
      std::lock_guard lock(mutex_);
      if (++idle_ == lanes_.size()) ended_.notify_one();
    });
  }

  Node& node_;
  std::uint64_t run_;
  std::vector<Lane> lanes_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable ended_;
  std::size_t idle_ = 0;
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

void report(const char* peer, const std::string& variant, const std::vector<Figures>& rounds) {
  auto line = [&](const char* what, double Figures::* member, const char* unit) {
    std::vector<double> values;
    for (const Figures& round : rounds) values.push_back(round.*member);
    std::printf("RESULT peer=%s workload=durable variant=%s_%s value=%.6g unit=%s\n", peer, variant.c_str(), what,
                median(values), unit);
  };
  line("rate", &Figures::per_second, "turn/s");
  line("p50", &Figures::p50_us, "us");
  line("p99", &Figures::p99_us, "us");
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr, "usage: durable_bench DIRECTORY [SECONDS per figure]\n");
    return 2;
  }
  constexpr int kRounds = 5;
  double seconds = argc > 2 ? std::strtod(argv[2], nullptr) : 1.0;
  std::string directory = std::string(argv[1]) + "/durable-bench";
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  std::map<std::size_t, std::vector<Figures>> turns, appends;
  {
    Node node(directory + "/data");
    std::uint64_t run = 0;
    for (int round = 0; round < kRounds; ++round) {
      for (std::size_t group : {1u, 1024u}) appends[group].push_back(raw_append(directory, group, seconds / 2));
      for (std::size_t actors : {1u, 64u, 1024u}) turns[actors].push_back(Load(node, actors, ++run).run(seconds));
    }
  }
  for (auto& [group, rounds] : appends) report("disk", fmt::format("group{}", group), rounds);
  for (auto& [actors, rounds] : turns) report("plex", fmt::format("actors{}", actors), rounds);
  std::filesystem::remove_all(directory);
  return 0;
}
