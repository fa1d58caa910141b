// The peers' actor workloads on PlexSpaces: public API, shipped library, default options.
//
//   plex_bench WORKLOAD THREADS COUNT
//
// Workloads and command line are those of the peers (Erlang, CAF): W1 to W7, W9 to W11; beside them, of ours only,
// `fair` (what a busy actor costs 1,000 others) and `timers` (COUNT timers pending). Prints lines
// `RESULT peer=plex workload=W variant=V value=X unit=U`.
//
// With 0 threads the main thread drives one worker by a clock that only counts, so that a run executes the same
// instructions every time: for bench/instructions.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <future>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/behavior/gen_server.hpp"
#include "plexspaces/env/posix/executor.hpp"
#include "plexspaces/supervision/supervisor.hpp"

namespace {

using namespace plexspaces;
using u64 = std::uint64_t;

u64 now_ns() {
  return static_cast<u64>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

double memory_bytes(const std::string& key) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line))
    if (line.starts_with(key + ":")) return std::strtod(line.c_str() + key.size() + 1, nullptr) * 1024;
  return 0;
}

std::string variant;
void report(const char* workload, const std::string& suffix, double value, const char* unit) {
  std::printf("RESULT peer=plex workload=%s variant=%s%s value=%.6g unit=%s\n", workload, variant.c_str(),
              suffix.c_str(), value, unit);
  std::fflush(stdout);
}

double per_second(u64 count, u64 nanoseconds) {
  return static_cast<double>(count) / (static_cast<double>(nanoseconds) * 1e-9);
}

using Done = std::promise<u64>;  // kept by main, fulfilled by an actor

struct Go {};
struct Number {
  u64 n = 0;
};
struct Ping {
  u64 n = 0;
};
struct Pong {
  u64 n = 0;
};
struct From {
  u64 who = 0;
};
struct Finished {};
struct Increment {
  using Reply = u64;
};
PLX_MESSAGE(Go);
PLX_MESSAGE(Number, (1, n));
PLX_MESSAGE(Ping, (1, n));
PLX_MESSAGE(Pong, (1, n));
PLX_MESSAGE(From, (1, who));
PLX_MESSAGE(Finished);
PLX_MESSAGE(Increment);

void must(const Status& status) {
  if (status) return;
  std::fprintf(stderr, "%s\n", status.error().to_string().c_str());
  std::exit(1);
}

// One worker on the calling thread. Its clock goes on by a microsecond with each look.
class CountingExecutor final : public env::Executor {
 public:
  TimePoint now() const override { return TimePoint(Duration(1us) * ++looks_); }
  std::size_t worker_count() const override { return 1; }
  void start(std::span<env::Worker* const> workers) override { worker_ = workers[0]; }
  void stop() override {}
  void wake(std::size_t) override {}
  Status run_blocking(std::move_only_function<void()> work) override {
    work();
    return {};
  }
  void run_storage(std::move_only_function<void()> work) override { work(); }
  void watch(Duration, std::move_only_function<void()>) override {}

  void step() { worker_->run_batch(now()); }

 private:
  env::Worker* worker_ = nullptr;
  mutable std::int64_t looks_ = 0;
};

// Runs `Root`'s Go in a runtime of its own and waits for what it reports.
struct World {
  explicit World(std::size_t threads)
      : counting(threads == 0 ? std::make_unique<CountingExecutor>() : nullptr),
        threaded(threads > 0 ? std::make_unique<env::PosixExecutor>(env::PosixExecutorOptions{.workers = threads})
                             : nullptr),
        executor(threads == 0 ? static_cast<env::Executor&>(*counting) : *threaded),
        runtime(executor, types) {
    must(runtime.start());
  }
  ~World() { executor.stop(); }

  u64 wait(Done& done) {
    std::future<u64> result = done.get_future();
    if (counting != nullptr)
      while (result.wait_for(0s) != std::future_status::ready) counting->step();
    return result.get();
  }

  template <class Root, class... Args>
  u64 run(Args... args) {
    Done done;
    auto root = runtime.spawn<Root>("", args..., &done);
    must(root->tell(Go{}));
    u64 value = wait(done);
    runtime.stop(root->id());
    return value;
  }

  std::unique_ptr<CountingExecutor> counting;
  std::unique_ptr<env::PosixExecutor> threaded;
  env::Executor& executor;
  Types types;
  Runtime runtime;
};

// ---- W1: ping-pong -------------------------------------------------------------------------------------------------

class Pinger;
class Ponger : public GenServer<Ponger, Ping> {
 public:
  void handle(const Ping& ping, Context&);
  ActorRef<Pinger> pinger;
};

class Pinger : public GenServer<Pinger, Go, Pong> {
 public:
  Pinger(u64 rounds, Done* done) : left_(rounds), done_(done) {}
  void handle(const Go&, Context& ctx);
  void handle(const Pong&, Context&) {
    if (--left_ > 0)
      ponger_.tell(Ping{left_});
    else
      done_->set_value(now_ns() - began_);
  }

 private:
  u64 left_;
  Done* done_;
  u64 began_ = 0;
  ActorRef<Ponger> ponger_;
};

struct PongerWithPeer : Ponger {
  explicit PongerWithPeer(ActorRef<Pinger> peer) { pinger = peer; }
};

void Ponger::handle(const Ping& ping, Context&) { pinger.tell(Pong{ping.n}); }
void Pinger::handle(const Go&, Context& ctx) {
  auto ponger = ctx.spawn<PongerWithPeer>(ctx.self<Pinger>());
  ponger_ = ActorRef<Ponger>(ponger->node(), ponger->id());
  began_ = now_ns();
  ponger_.tell(Ping{left_});
}

// The same pair, started from outside on two workers.
class FarPinger : public GenServer<FarPinger, Go, Pong> {
 public:
  FarPinger(u64 rounds, Done* done) : left_(rounds), done_(done) {}
  void handle(const Go&, Context&);
  void handle(const Pong&, Context&);
  static ActorRef<class FarPonger> peer;

 private:
  u64 left_;
  Done* done_;
  u64 began_ = 0;
};
class FarPonger : public GenServer<FarPonger, Ping> {
 public:
  explicit FarPonger(ActorRef<FarPinger> peer) : peer_(peer) {}
  void handle(const Ping& ping, Context&) { peer_.tell(Pong{ping.n}); }

 private:
  ActorRef<FarPinger> peer_;
};
ActorRef<FarPonger> FarPinger::peer;
void FarPinger::handle(const Go&, Context&) {
  began_ = now_ns();
  peer.tell(Ping{left_});
}
void FarPinger::handle(const Pong&, Context&) {
  if (--left_ > 0)
    peer.tell(Ping{left_});
  else
    done_->set_value(now_ns() - began_);
}

u64 far_ping_pong(World& world, u64 rounds) {
  Done done;
  auto pinger = world.runtime.spawn<FarPinger>("", rounds, &done);
  FarPinger::peer = *world.runtime.spawn<FarPonger>("", *pinger);  // the next worker
  must(pinger->tell(Go{}));
  return world.wait(done);
}

// ---- W2, W3: senders, one receiver ---------------------------------------------------------------------------------

class Receiver : public GenServer<Receiver, Number> {
 public:
  Receiver(u64 count, Done* done) : left_(count), done_(done) {}
  void handle(const Number&, Context& ctx) {
    if (--left_ > 0) return;
    done_->set_value(now_ns());
    ctx.stop();
  }

 private:
  u64 left_;
  Done* done_;
};

class Sender : public GenServer<Sender, Go> {
 public:
  Sender(ActorRef<Receiver> to, u64 count) : to_(to), left_(count) {}
  void handle(const Go&, Context& ctx) {
    u64 burst = std::min<u64>(left_, 1000);
    for (u64 i = 0; i < burst; ++i) {
      if (!to_.tell(Number{i})) break;  // the mailbox is full: go on in the next turn
      --left_;
    }
    if (left_ > 0)
      ctx.self<Sender>().tell(Go{});
    else
      ctx.stop();
  }

 private:
  ActorRef<Receiver> to_;
  u64 left_;
};

class SendersRoot : public GenServer<SendersRoot, Go> {
 public:
  SendersRoot(u64 count, u64 senders, u64* began, Done* done)
      : count_(count), senders_(senders), began_(began), done_(done) {}
  void handle(const Go&, Context& ctx) {
    u64 share = count_ / senders_;
    auto receiver = ctx.spawn<Receiver>(share * senders_, done_);
    *began_ = now_ns();
    for (u64 i = 0; i < senders_; ++i) ctx.spawn<Sender>(*receiver, share)->tell(Go{});
  }

 private:
  u64 count_, senders_;
  u64* began_;
  Done* done_;
};

double senders(World& world, u64 count, u64 senders) {
  u64 began = 0;
  u64 ended = world.run<SendersRoot>(count, senders, &began);
  return per_second(count / senders * senders, ended - began);
}

// ---- W4: spawn, run, end -------------------------------------------------------------------------------------------

class Parent;
class Leaf : public GenServer<Leaf, Go> {
 public:
  explicit Leaf(ActorRef<Parent> parent) : parent_(parent) {}
  void handle(const Go&, Context& ctx);

 private:
  ActorRef<Parent> parent_;
};

class Parent : public GenServer<Parent, Go, Finished> {
 public:
  // In batches of `batch` alive at a time.
  Parent(u64 count, u64 batch, u64* spawn_ns, Done* done)
      : left_(count), batch_(batch), spawn_ns_(spawn_ns), done_(done) {}
  void handle(const Go&, Context& ctx) {
    began_ = now_ns();
    start_batch(ctx);
  }
  void handle(const Finished&, Context& ctx) {
    if (--alive_ > 0) return;
    if (left_ > 0)
      start_batch(ctx);
    else
      done_->set_value(now_ns() - began_);
  }

 private:
  void start_batch(Context& ctx) {
    u64 began = now_ns();
    std::vector<ActorRef<Leaf>> leaves;
    leaves.reserve(batch_);
    for (u64 i = 0; i < batch_; ++i) leaves.push_back(*ctx.spawn<Leaf>(ctx.self<Parent>()));
    alive_ = batch_;
    left_ -= batch_;
    *spawn_ns_ += now_ns() - began;
    for (auto& leaf : leaves) leaf.tell(Go{});
  }

  u64 left_, batch_;
  u64 alive_ = 0;
  u64* spawn_ns_;
  Done* done_;
  u64 began_ = 0;
};

// The parent's mailbox may be full: an answer that is refused is tried again by a message to oneself.
void Leaf::handle(const Go&, Context& ctx) {
  if (parent_.tell(Finished{}))
    ctx.stop();
  else
    ctx.self<Leaf>().tell(Go{});
}

// ---- W5: ring ------------------------------------------------------------------------------------------------------

struct Next {
  u64 slot = 0, generation = 0;
};
PLX_MESSAGE(Next, (1, slot), (2, generation));

class LinkedRingNode : public GenServer<LinkedRingNode, Next, Number> {
 public:
  explicit LinkedRingNode(Done* done) : done_(done) {}
  void handle(const Next& next, Context& ctx) {
    next_ = ActorRef<LinkedRingNode>(
        ctx.runtime().node_id(), {static_cast<std::uint32_t>(next.slot), static_cast<std::uint32_t>(next.generation)});
  }
  void handle(const Number& token, Context&) {
    if (token.n == 0)
      done_->set_value(now_ns());
    else
      next_.tell(Number{token.n - 1});
  }

 private:
  Done* done_;
  ActorRef<LinkedRingNode> next_;
};

class RingRoot : public GenServer<RingRoot, Go> {
 public:
  RingRoot(u64 hops, u64* began, Done* done) : hops_(hops), began_(began), done_(done) {}
  void handle(const Go&, Context& ctx) {
    std::vector<ActorRef<LinkedRingNode>> ring;
    for (int i = 0; i < 100; ++i) ring.push_back(*ctx.spawn<LinkedRingNode>(done_));
    for (std::size_t i = 0; i < ring.size(); ++i) {
      ActorId next = ring[(i + 1) % ring.size()].id();
      ring[i].tell(Next{next.slot, next.generation});
    }
    *began_ = now_ns();
    ring[0].tell(Number{hops_});
  }

 private:
  u64 hops_;
  u64* began_;
  Done* done_;
};

double ring(World& world, u64 hops) {
  u64 began = 0;
  u64 ended = world.run<RingRoot>(hops, &began);
  return static_cast<double>(ended - began) / static_cast<double>(hops);
}

// ---- W6: 64 actors at random ---------------------------------------------------------------------------------------

class BigRoot;
class Big : public GenServer<Big, Go, From, Pong> {
 public:
  Big(const std::vector<ActorRef<Big>>* all, u64 index, u64 pings, ActorRef<BigRoot> root)
      : all_(all), me_(index - 1), x_(index * 7919 + 1), left_(pings), root_(root) {}
  void handle(const Go&, Context&) { next(); }
  void handle(const From& ping, Context&) { (*all_)[ping.who].tell(Pong{}); }
  void handle(const Pong&, Context&) { next(); }

 private:
  void next();
  const std::vector<ActorRef<Big>>* all_;
  u64 me_, x_, left_;
  ActorRef<BigRoot> root_;
};

class BigRoot : public GenServer<BigRoot, Go, Finished> {
 public:
  BigRoot(u64 pings, Done* done) : pings_(pings), done_(done) {}
  void handle(const Go&, Context& ctx) {
    for (u64 i = 1; i <= 64; ++i) all_.push_back(*ctx.spawn<Big>(&all_, i, pings_, ctx.self<BigRoot>()));
    began_ = now_ns();
    for (auto& actor : all_) actor.tell(Go{});
  }
  void handle(const Finished&, Context&) {
    if (++finished_ == 64) done_->set_value(now_ns() - began_);
  }

 private:
  u64 pings_;
  Done* done_;
  u64 began_ = 0;
  int finished_ = 0;
  std::vector<ActorRef<Big>> all_;
};

void Big::next() {
  if (left_ == 0) {
    root_.tell(Finished{});
    return;
  }
  --left_;
  x_ = (x_ * 1103515245 + 12345) & 0x7fffffff;
  (*all_)[(x_ >> 8) & 63].tell(From{me_});
}

// ---- W7: ask -------------------------------------------------------------------------------------------------------

class Counter : public GenServer<Counter, Increment> {
 public:
  u64 handle(const Increment&, Context&) { return ++count_; }

 private:
  u64 count_ = 0;
};

class AskRoot;
class Caller : public GenServer<Caller, Go> {
 public:
  Caller(ActorRef<Counter> server, u64 calls, ActorRef<AskRoot> root) : server_(server), calls_(calls), root_(root) {}
  Task<Status> handle(const Go&, Context& ctx);

 private:
  ActorRef<Counter> server_;
  u64 calls_;
  ActorRef<AskRoot> root_;
};

class AskRoot : public GenServer<AskRoot, Go, Finished> {
 public:
  AskRoot(u64 calls, u64 callers, Done* done) : calls_(calls), callers_(callers), done_(done) {}
  void handle(const Go&, Context& ctx) {
    auto server = ctx.spawn<Counter>();
    began_ = now_ns();
    for (u64 i = 0; i < callers_; ++i) ctx.spawn<Caller>(*server, calls_ / callers_, ctx.self<AskRoot>())->tell(Go{});
  }
  void handle(const Finished&, Context&) {
    if (++finished_ == callers_) done_->set_value(now_ns() - began_);
  }

 private:
  u64 calls_, callers_;
  Done* done_;
  u64 began_ = 0;
  u64 finished_ = 0;
};

Task<Status> Caller::handle(const Go&, Context& ctx) {
  for (u64 i = 0; i < calls_; ++i) {
    Increment request;
    auto count = co_await ctx.ask(server_, request, 10s);
    if (!count) must(std::unexpected(count.error()));
  }
  root_.tell(Finished{});
  co_return Status();
}

double ask(World& world, u64 calls, u64 callers) {
  return per_second(calls / callers * callers, world.run<AskRoot>(calls, callers));
}

// ---- W9: supervised restart ----------------------------------------------------------------------------------------

enum class Ending { kThrow, kExit, kKill };

struct Up {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
};
PLX_MESSAGE(Up, (1, slot), (2, generation));

struct RestartedBy {
  std::uint32_t slot = 0, generation = 0;
  bool throws = false;
};
PLX_MESSAGE(RestartedBy, (1, slot), (2, generation), (3, throws));

class RestartRoot;
class Restarted : public GenServer<Restarted, Go> {
 public:
  explicit Restarted(const RestartedBy& by) : by_(by) {}
  Status on_start(Context& ctx) override;
  void handle(const Go&, Context& ctx) {
    if (by_.throws) throw std::runtime_error("on purpose");
    ctx.exit(ExitReason::error("on purpose"));
  }

 private:
  RestartedBy by_;
};

// Ends the child of each of `supervisors` again and again, each time that it is up, until all have come `count` times.
class RestartRoot : public GenServer<RestartRoot, Go, Up> {
 public:
  RestartRoot(Strategy strategy, Ending ending, u64 supervisors, u64 count, Done* done)
      : strategy_(strategy), ending_(ending), supervisors_(supervisors), left_(count + supervisors), done_(done) {}
  void handle(const Go&, Context& ctx) {
    began_ = now_ns();
    for (u64 i = 0; i < supervisors_; ++i) {
      auto spec = supervisor("bench", strategy_, {.intensity = kRestartIntensityMax, .period = 100ms});
      ChildOptions options{.shutdown = brutal_kill};
      RestartedBy by{ctx.self_id().slot, ctx.self_id().generation, ending_ == Ending::kThrow};
      if (strategy_ == simple_one_for_one)
        spec.template_child<Restarted, RestartedBy>("c", permanent, options);
      else
        spec.child<Restarted>("c", permanent, options, by);
      auto started = ctx.spawn_linked<Supervisor>(std::move(spec));
      if (!started) must(std::unexpected(started.error()));
      if (strategy_ == simple_one_for_one) must(started->tell(StartChild::with(by)));
    }
  }
  void handle(const Up& up, Context& ctx) {
    if (--left_ == 0) {
      done_->set_value(now_ns() - began_);
      return;
    }
    ActorRef<Restarted> child(ctx.self<RestartRoot>().node(), {up.slot, up.generation});
    must(ending_ == Ending::kKill ? ctx.kill(child) : child.tell(Go{}));
  }

 private:
  Strategy strategy_;
  Ending ending_;
  u64 supervisors_, left_;
  Done* done_;
  u64 began_ = 0;
};

Status Restarted::on_start(Context& ctx) {
  ActorRef<RestartRoot> root(ctx.self<Restarted>().node(), {by_.slot, by_.generation});
  return root.tell(Up{ctx.self_id().slot, ctx.self_id().generation});
}

double restarts(World& world, Strategy strategy, Ending ending, u64 supervisors, u64 count) {
  return per_second(count, world.run<RestartRoot>(strategy, ending, supervisors, count));
}

// ---- W10: idle actors ----------------------------------------------------------------------------------------------

class IdleRoot;
class Idle : public GenServer<Idle, Go> {
 public:
  void handle(const Go&, Context&) { ++count_; }

 private:
  u64 count_ = 0;
};

class IdleRoot : public GenServer<IdleRoot, Go, Finished> {
 public:
  IdleRoot(u64 count, Done* done) : left_(count), done_(done) {}
  void handle(const Go&, Context& ctx) {
    if (began_ == 0) began_ = now_ns();
    for (u64 i = std::min<u64>(left_, 1000); i > 0; --i, --left_) ctx.spawn<Idle>()->tell(Go{});
    if (left_ > 0)
      ctx.self<IdleRoot>().tell(Go{});
    else
      ctx.self<IdleRoot>().tell(Finished{});  // behind every idle actor's turn
  }
  void handle(const Finished&, Context&) { done_->set_value(now_ns() - began_); }

 private:
  u64 left_;
  Done* done_;
  u64 began_ = 0;
};

// ---- W11: independent pairs with work ------------------------------------------------------------------------------

void work_a_microsecond() {
  // A fixed amount of arithmetic, about 1 us; the clock is not read.
  u64 x = 88172645463325252ull;
  for (int i = 0; i < 700; ++i) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    asm volatile("" : "+r"(x));
  }
}

class PairsRoot;
class Partner : public GenServer<Partner, Next, Number> {
 public:
  explicit Partner(ActorRef<PairsRoot> root) : root_(root) {}
  void handle(const Next& next, Context& ctx) {
    peer_ = ActorRef<Partner>(ctx.runtime().node_id(),
                              {static_cast<std::uint32_t>(next.slot), static_cast<std::uint32_t>(next.generation)});
  }
  void handle(const Number& ball, Context&);

 private:
  ActorRef<PairsRoot> root_;
  ActorRef<Partner> peer_;
};

class PairsRoot : public GenServer<PairsRoot, Go, Finished> {
 public:
  PairsRoot(u64 turns, Done* done) : turns_(turns), done_(done) {}
  void handle(const Go&, Context& ctx) {
    std::vector<ActorRef<Partner>> all;
    for (int i = 0; i < 128; ++i) all.push_back(*ctx.spawn<Partner>(ctx.self<PairsRoot>()));
    for (std::size_t i = 0; i < all.size(); ++i) {
      ActorId peer = all[i ^ 1].id();
      all[i].tell(Next{peer.slot, peer.generation});
    }
    began_ = now_ns();
    for (std::size_t i = 0; i < all.size(); i += 2) all[i].tell(Number{turns_});
  }
  void handle(const Finished&, Context&) {
    if (++finished_ == 64) done_->set_value(now_ns() - began_);
  }

 private:
  u64 turns_;
  Done* done_;
  u64 began_ = 0;
  int finished_ = 0;
};

void Partner::handle(const Number& ball, Context&) {
  work_a_microsecond();
  if (ball.n == 0)
    root_.tell(Finished{});
  else
    peer_.tell(Number{ball.n - 1});
}

double pairs(World& world, u64 turns) { return per_second(64 * turns, world.run<PairsRoot>(turns)); }

// ---- fair: what one busy actor costs the others --------------------------------------------------------------------

void report_times(const char* workload, const std::string& suffix, std::vector<u64>& times) {
  std::ranges::sort(times);
  report(workload, suffix + "_p50", static_cast<double>(times[times.size() / 2]) / 1e3, "us");
  report(workload, suffix + "_p99", static_cast<double>(times[times.size() * 99 / 100]) / 1e3, "us");
}

struct Stamp {
  u64 sent = 0;
};
PLX_MESSAGE(Stamp, (1, sent));

// Always has a message of its own; a turn takes about so many microseconds.
class Busy : public GenServer<Busy, Go> {
 public:
  explicit Busy(u64 turn_us) : turn_us_(turn_us) {}
  void handle(const Go&, Context& ctx) {
    for (u64 i = 0; i < turn_us_; ++i) work_a_microsecond();
    ctx.self<Busy>().tell(Go{});
  }

 private:
  u64 turn_us_;
};

// Notes how long its message has waited.
class Modest : public GenServer<Modest, Stamp> {
 public:
  explicit Modest(std::vector<u64>* waits) : waits_(waits) {}
  void handle(const Stamp& stamp, Context&) { waits_->push_back(now_ns() - stamp.sent); }

 private:
  std::vector<u64>* waits_;
};

// On each tick of a millisecond sends ten of the others a message.
class Metronome : public GenServer<Metronome, Go, Number> {
 public:
  Metronome(u64 messages, u64 busy_turn_us, std::vector<u64>* waits, Done* done)
      : left_(messages), busy_turn_us_(busy_turn_us), waits_(waits), done_(done) {}
  void handle(const Go&, Context& ctx) {
    waits_->reserve(left_ + 10);
    for (int i = 0; i < 1'000; ++i) others_.push_back(*ctx.spawn<Modest>(waits_));
    if (busy_turn_us_ > 0) ctx.spawn_linked<Busy>(busy_turn_us_)->tell(Go{});
    static_cast<void>(ctx.send_every(1ms, Number{}));
  }
  void handle(const Number&, Context& ctx) {
    if (waits_->size() >= left_) {
      done_->set_value(0);
      ctx.exit(ExitReason::error("measured"));  // the busy one too
      return;
    }
    for (int i = 0; i < 10; ++i) {
      others_[next_].tell(Stamp{now_ns()});
      next_ = (next_ + 1) % others_.size();
    }
  }

 private:
  u64 left_, busy_turn_us_;
  std::vector<u64>* waits_;
  Done* done_;
  std::vector<ActorRef<Modest>> others_;
  std::size_t next_ = 0;
};

void fair(World& world, u64 messages, u64 busy_turn_us) {
  std::vector<u64> waits;
  world.run<Metronome>(messages, busy_turn_us, &waits);
  report_times("fair", busy_turn_us == 0 ? "_alone" : fmt::format("_busy{}us", busy_turn_us), waits);
}

// ---- timers --------------------------------------------------------------------------------------------------------

struct Due {
  std::int64_t at = 0;
};
PLX_MESSAGE(Due, (1, at));

// Arms its timers for the five seconds that begin in one, and notes how late each comes.
class Alarm : public GenServer<Alarm, Go, Due> {
 public:
  Alarm(u64 timers, std::vector<u64>* lags, u64* memory, Done* done)
      : timers_(timers), lags_(lags), memory_(memory), done_(done) {}
  void handle(const Go&, Context& ctx) {
    if (armed_ == 0) {
      lags_->resize(timers_);  // touched before the memory is measured
      lags_->clear();
      start_ = ctx.now().time_since_epoch().count();
      *memory_ = static_cast<u64>(memory_bytes("VmRSS"));
    }
    u64 began = now_ns();
    for (u64 end = std::min(armed_ + 1'000, timers_); armed_ < end; ++armed_) {
      x_ ^= x_ << 13;
      x_ ^= x_ >> 7;
      x_ ^= x_ << 17;
      std::int64_t at = start_ + 1'000'000'000 + static_cast<std::int64_t>(x_ % 5'000'000'000);
      auto timer = ctx.send_after(TimePoint(Duration(at)) - ctx.now(), Due{at});
      if (!timer) must(std::unexpected(timer.error()));
    }
    arm_ns += now_ns() - began;
    if (armed_ < timers_)
      ctx.self<Alarm>().tell(Go{});
    else
      *memory_ = static_cast<u64>(memory_bytes("VmRSS")) - *memory_;
  }
  void handle(const Due& due, Context&) {
    auto lag = static_cast<std::int64_t>(now_ns()) - due.at;
    if (lag < 0) early = true;
    lags_->push_back(static_cast<u64>(lag));
    if (lags_->size() == timers_) done_->set_value(0);
  }
  static inline u64 arm_ns = 0;
  static inline bool early = false;

 private:
  u64 timers_;
  std::vector<u64>* lags_;
  u64* memory_;
  Done* done_;
  u64 armed_ = 0;
  u64 x_ = 88172645463325252ull;
  std::int64_t start_ = 0;
};

void timers(World& world, u64 n) {
  std::vector<u64> lags;
  u64 memory = 0;
  world.run<Alarm>(n, &lags, &memory);
  if (Alarm::early) must(fail(Code::kInternal, "a timer fired before its time"));
  report("timers", "_arm", static_cast<double>(Alarm::arm_ns) / static_cast<double>(n), "ns/timer");
  report("timers", "_memory", static_cast<double>(memory) / static_cast<double>(n), "B/timer");
  report_times("timers", "_lag", lags);
}

// --------------------------------------------------------------------------------------------------------------------

int run(const std::string& workload, std::size_t threads, u64 n) {
  World world(threads);
  if (workload == "W1") {
    world.run<Pinger>(n / 10);
    report("W1", "", static_cast<double>(world.run<Pinger>(n)) / static_cast<double>(n), "ns/rt");
  } else if (workload == "W1x") {
    far_ping_pong(world, n / 10);
    report("W1", "_crosscore", static_cast<double>(far_ping_pong(world, n)) / static_cast<double>(n), "ns/rt");
  } else if (workload == "W2") {
    senders(world, n / 10, 1);
    report("W2", "", senders(world, n, 1), "msg/s");
  } else if (workload == "W3") {
    senders(world, n / 10, 8);
    report("W3", "", senders(world, n, 8), "msg/s");
  } else if (workload == "W4") {
    double before = memory_bytes("VmRSS");
    u64 spawn_ns = 0;
    u64 took = world.run<Parent>(n, n, &spawn_ns);
    double peak = memory_bytes("VmHWM");
    report("W4", "", per_second(n, took), "actor/s");
    report("W4spawn", "", per_second(n, spawn_ns), "actor/s");
    report("W4mem", "", (peak - before) / static_cast<double>(n), "B/actor");
  } else if (workload == "W4b") {
    u64 spawn_ns = 0;
    report("W4b", "", per_second(n / 1000 * 1000, world.run<Parent>(n / 1000 * 1000, u64{1000}, &spawn_ns)), "actor/s");
  } else if (workload == "W5") {
    ring(world, n / 10);
    report("W5", "", ring(world, n), "ns/hop");
  } else if (workload == "W6") {
    world.run<BigRoot>(n / 10);
    report("W6", "", per_second(64 * n * 2, world.run<BigRoot>(n)), "msg/s");
  } else if (workload == "W7") {
    ask(world, n / 10, 1);
    report("W7seq", "", ask(world, n, 1), "call/s");
    report("W7c64", "", ask(world, n, 64), "call/s");
  } else if (workload == "W9") {
    world.runtime.set_log([](const std::string&) {});  // as the peers: what a crash costs, not the line about it
    struct Variant {
      const char* name;
      Strategy strategy;
      Ending ending;
      u64 supervisors;
    };
    for (const Variant& v : {Variant{"_one_for_one_throw", one_for_one, Ending::kThrow, 1},
                             Variant{"_one_for_one_exit", one_for_one, Ending::kExit, 1},
                             Variant{"_one_for_one_kill", one_for_one, Ending::kKill, 1},
                             Variant{"_simple_one_for_one_kill", simple_one_for_one, Ending::kKill, 1},
                             Variant{"_64supervisors_kill", one_for_one, Ending::kKill, 64}}) {
      restarts(world, v.strategy, v.ending, v.supervisors, n / 10);
      report("W9", v.name, restarts(world, v.strategy, v.ending, v.supervisors, n), "restart/s");
    }
  } else if (workload == "W10" || workload == "W10m") {
    double before = memory_bytes("VmRSS");
    world.run<IdleRoot>(n);
    double after = memory_bytes("VmRSS");
    report(workload.c_str(), "", (after - before) / static_cast<double>(n), "B/actor");
    if (workload == "W10m") report("W10m", "_rss", after, "B");
    std::fflush(stdout);
    std::_Exit(0);
  } else if (workload == "W11") {
    pairs(world, n / 10);
    report("W11", "", pairs(world, n), "turn/s");
  } else if (workload == "fair") {
    for (u64 busy_turn : {u64{0}, u64{1}, u64{100}}) fair(world, n, busy_turn);
  } else if (workload == "timers") {
    timers(world, n);
  } else {
    return 2;
  }
  return 0;
}

// The options that every workload runs with.
void print_options() {
  RuntimeOptions options;
  std::printf("mailbox_messages_max=%u mailbox_bytes_max=%llu batch_time_max=%lldus turns_per_batch=%zu\n",
              options.mailbox_messages_max, static_cast<unsigned long long>(options.mailbox_bytes_max),
              static_cast<long long>(options.batch_time_max / 1us), options.turns_per_batch);
}

}  // namespace

int main(int argc, char** argv) {
  int status = 2;
  if (argc == 2 && std::string(argv[1]) == "options") {
    print_options();
    return 0;
  }
  if (argc == 4) {
    std::size_t threads = std::strtoul(argv[2], nullptr, 10);
    variant = fmt::format("s{}", threads);
    if (threads <= 64) status = run(argv[1], threads, std::strtoull(argv[3], nullptr, 10));
  }
  if (status == 2) {
    std::fprintf(stderr,
                 "usage: plex_bench WORKLOAD THREADS COUNT | plex_bench options\n  W1 W1x W2 W3 W4 W4b W5 W6 W7 W9 "
                 "W10 W10m W11 fair timers; 1 to 64 threads, 0 to count instructions\n");
  }
  return status;
}
