// What the features of actors do to each other.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/behavior/gen_server.hpp"
#include "plexspaces/env/posix/executor.hpp"
#include "plexspaces/sim/executor.hpp"
#include "plexspaces/sim/world.hpp"

namespace plexspaces {
namespace {

struct Do {
  std::uint64_t step = 0;
};
struct DoAndWait {
  std::uint64_t step = 0;
};
struct Item {
  std::uint64_t number = 0;
};
struct Text {
  std::string text;
};
struct Question {
  using Reply = std::uint64_t;
  std::uint64_t number = 0;
};
PLX_MESSAGE(Do, (1, step));
PLX_MESSAGE(DoAndWait, (1, step));
PLX_MESSAGE(Item, (1, number));
PLX_MESSAGE(Text, (1, text));
PLX_MESSAGE(Question, (1, number));

class Subject;

struct Stage {
  std::deque<std::function<void(Context&)>> steps;
  std::deque<std::function<Task<>(Context&)>> slow_steps;
  std::vector<std::uint64_t> items;
  std::vector<Down> downs;
  std::vector<Exited> exits;
  std::function<void(Context&)> on_question;
  std::deque<ReplyTo<Question>> deferred;
};

struct Life {
  std::function<Status(Context&)> on_start;
  std::function<Task<>(Context&, const ExitReason&)> on_stop;
};

class Subject : public GenServer<Subject, Do, DoAndWait, Item, Text, Question, Down, Exited> {
 public:
  explicit Subject(Stage& stage, Life life = {}) : stage_(stage), life_(std::move(life)) {}
  Status on_start(Context& ctx) override { return life_.on_start ? life_.on_start(ctx) : Status(); }
  Task<> on_stop(Context& ctx, const ExitReason& reason) override {
    if (life_.on_stop) co_await life_.on_stop(ctx, reason);
  }
  void handle(const Do& m, Context& ctx) { stage_.steps[m.step](ctx); }
  Task<> handle(const DoAndWait& m, Context& ctx) { return stage_.slow_steps[m.step](ctx); }
  void handle(const Item& m, Context&) { stage_.items.push_back(m.number); }
  void handle(const Text&, Context&) {}
  NoReply handle(const Question&, Context& ctx) {
    stage_.on_question(ctx);
    return {};
  }
  void handle(const Down& m, Context&) { stage_.downs.push_back(m); }
  void handle(const Exited& m, Context&) { stage_.exits.push_back(m); }

 private:
  Stage& stage_;
  Life life_;
};

class InterplayTest : public testing::Test {
 protected:
  explicit InterplayTest(std::uint64_t seed = 1, RuntimeOptions options = {}, std::size_t workers = 2)
      : world_(seed), executor_(world_, {.workers = workers}), runtime_(executor_, types_, std::move(options)) {
    runtime_.set_log([](const std::string&) {});
    EXPECT_TRUE(runtime_.start());
  }

  ActorRef<Subject> spawn(Life life = {}) { return *runtime_.spawn<Subject>("", stage_, std::move(life)); }
  void settle(Duration time = 1ms) { executor_.run_for(time, 1'000'000); }
  void perform(ActorRef<Subject> who, std::function<void(Context&)> step) {
    stage_.steps.push_back(std::move(step));
    EXPECT_TRUE(who.tell(Do{stage_.steps.size() - 1}));
    settle();
  }
  void perform_slowly(ActorRef<Subject> who, std::function<Task<>(Context&)> step) {
    stage_.slow_steps.push_back(std::move(step));
    EXPECT_TRUE(who.tell(DoAndWait{stage_.slow_steps.size() - 1}));
    settle();
  }
  std::uint64_t dead(DeadLetterReason reason) const { return runtime_.stats().dead(reason); }

  Stage stage_;
  sim::World world_;
  sim::SimExecutor executor_;
  Types types_;
  Runtime runtime_;
};

TEST_F(InterplayTest, WhoLinksToAnActorThatTrapsExitsAndEndsInTheSameTurnIsHeardOf_INV_M8) {
  ActorRef<Subject> parent = spawn(), child;
  perform(parent, [&](Context& ctx) {
    EXPECT_TRUE(ctx.trap_exits<Subject>(true));
    child = *ctx.spawn<Subject>(stage_);
  });
  perform(child, [&](Context& ctx) {
    EXPECT_TRUE(ctx.link(parent));
    ctx.stop();
  });
  ASSERT_EQ(stage_.exits.size(), 1u);
  EXPECT_EQ(stage_.exits[0].from, child.id());
}

TEST_F(InterplayTest, AReferenceToATimerOfAnotherActorCancelsNone) {
  ActorRef<Subject> a = spawn(), b = spawn();
  TimerRef of_a;
  perform(a, [&](Context& ctx) { of_a = *ctx.send_after(1s, Item{1}); });
  perform(b, [&](Context& ctx) {
    EXPECT_TRUE(ctx.send_after(1s, Item{2}));
    EXPECT_FALSE(ctx.cancel(of_a));
  });
  settle(2s);
  EXPECT_EQ(stage_.items.size(), 2u);
}

TEST_F(InterplayTest, ATurnThatIsWokenMakesRoomForThoseThatWaitForIt) {
  auto receiver = *runtime_.spawn<Subject>(SpawnOptions{.name = "", .mailbox = {.messages_max = 1}}, stage_);
  ActorRef<Subject> mortal = spawn(), sender = spawn();
  MonitorRef monitor;
  perform(receiver, [&](Context& ctx) { monitor = *ctx.monitor<Subject>(mortal); });
  perform_slowly(receiver, [&](Context& ctx) -> Task<> {
    co_await ctx.sleep(10s);
    ctx.demonitor(monitor);
  });
  runtime_.kill(mortal.id());
  settle();
  EXPECT_EQ(runtime_.mailbox_size(receiver.id()).messages, 1u);
  std::optional<Status> sent;
  perform_slowly(sender, [&](Context& ctx) -> Task<> {
    Item item{7};
    sent = co_await ctx.send(receiver, item, 1h);
  });
  settle(20s);
  ASSERT_TRUE(sent);
  EXPECT_TRUE(*sent);
  EXPECT_EQ(stage_.items, (std::vector<std::uint64_t>{7}));
  EXPECT_TRUE(stage_.downs.empty());
}

TEST_F(InterplayTest, ToStopAnActorThatHasEndedIsNoDeadLetter) {
  ActorRef<Subject> actor = spawn();
  settle();
  runtime_.stop(actor.id());
  runtime_.stop(actor.id());
  settle();
  runtime_.stop(actor.id());
  settle();
  std::uint64_t all = 0;
  for (std::uint64_t count : runtime_.stats().dead_letters) all += count;
  EXPECT_EQ(all, 0u);
}

// Larger than what fits a cell.
class Bulky : public GenServer<Bulky, Item> {
 public:
  explicit Bulky(const void*& place) { place = this; }
  Task<> on_stop(Context&, const ExitReason&) override { co_return; }
  void handle(const Item& m, Context&) { numbers_[m.number % 16] = m.number; }

 private:
  std::array<std::uint64_t, 16> numbers_{};
};

TEST_F(InterplayTest, TheMemoryOfAnActorIsUsedAgainAlsoAfterALastTurn) {
  ActorRef<Subject> parent = spawn();
  std::array<const void*, 2> places{};
  for (const void*& place : places) {
    ActorRef<Bulky> child;
    perform(parent, [&](Context& ctx) {
      SpawnOptions options{.name = "", .mailbox = {.messages_max = 5}};
      child = *ctx.spawn_with<Bulky>(std::move(options), place);
    });
    runtime_.stop(child.id());
    settle();
  }
  if constexpr (detail::kPoolBlocks) {
    EXPECT_EQ(places[0], places[1]);
  }
}

class SmallMessagesTest : public InterplayTest {
 protected:
  SmallMessagesTest() : InterplayTest(1, {.message_bytes_max = 1'000}) {}
};

TEST_F(SmallMessagesTest, AMessageWithATimeToLiveIsHeldToTheLimitOfBytesToo_INV_M3) {
  ActorRef<Subject> actor = spawn();
  perform(actor, [&](Context& ctx) {
    Status told = ctx.tell(ctx.self<Subject>(), Text{std::string(5'000, 'x')}, Ttl{1s});
    ASSERT_FALSE(told);
    EXPECT_EQ(told.error().code(), Code::kInvalidArgument);
  });
  EXPECT_EQ(dead(DeadLetterReason::kTooLarge), 1u);
}

TEST_F(InterplayTest, AnAskerFromOutsideIsNoActorAlsoWhenItsAnswerIsDeferredOrItsMessageStashed) {
  ActorRef<Subject> actor = spawn();
  settle();
  for (bool stash : {false, true}) {
    std::optional<ActorId> before, after;
    stage_.on_question = [&](Context& ctx) {
      before = ctx.sender_id();
      if (stash) {
        EXPECT_TRUE(ctx.stash());
      } else {
        stage_.deferred.push_back(ctx.defer<Question>());
      }
      after = ctx.sender_id();
    };
    // As ActorRef::ask() does, without its wait.
    auto* envelope = detail::make_envelope(nullptr, Question{1}, detail::Envelope::kAsk | detail::Envelope::kSink);
    bool answered = false;
    envelope->sender = reinterpret_cast<std::uint64_t>(make_sink([&](Answer) { answered = true; }).release());
    EXPECT_TRUE(runtime_.send(actor.id(), envelope));
    settle();
    ASSERT_TRUE(before && after);
    EXPECT_FALSE(*before);
    EXPECT_FALSE(*after);
    if (stash) {
      stage_.on_question = [&](Context& ctx) { stage_.deferred.push_back(ctx.defer<Question>()); };
      perform(actor, [](Context& ctx) { ctx.unstash_all(); });
    }
    ASSERT_EQ(stage_.deferred.size(), 1u);
    stage_.deferred.front().reply(7);
    EXPECT_TRUE(answered);
    stage_.deferred.clear();
  }
}

// ---- everything at once --------------------------------------------------------------------------------------------

struct Act {};
struct ActSlowly {};
struct Open {};
struct Numbered {
  ActorId from;
  std::uint64_t number = 0;
};
struct Next {
  std::uint64_t number = 0;
};
struct Tick {
  std::uint64_t timer = 0;
};
struct Ask {
  using Reply = std::uint64_t;
  std::uint64_t number = 0;
};
struct AskSlowly {
  using Reply = std::uint64_t;
  std::uint64_t number = 0;
};
PLX_MESSAGE(Act);
PLX_MESSAGE(ActSlowly);
PLX_MESSAGE(Open);
PLX_MESSAGE(Numbered, (1, from), (2, number));
PLX_MESSAGE(Next, (1, number));
PLX_MESSAGE(Tick, (1, timer));
PLX_MESSAGE(Ask, (1, number));
PLX_MESSAGE(AskSlowly, (1, number));

class Player;

// What the players of one run have done, and what of it has come about.
struct Ledger {
  explicit Ledger(sim::World& given) : world(given) {}

  struct Watch {
    ActorId watcher, target;
    bool given_up = false;
    int downs = 0;
  };
  struct Alarm {
    ActorId owner;
    TimerRef ref;
    TimePoint due;
    bool periodic = false, cancelled = false;
    int fired = 0;
  };
  struct Asked {
    int answers = 0, abandoned = 0;
  };
  struct Pair {
    std::uint64_t last_sent = 0, last_handled = 0;
    std::set<std::uint64_t> taken;  // by the mailbox, as the sender was told
  };

  std::size_t below(std::size_t n) { return static_cast<std::size_t>(world.random.below(n)); }
  bool one_in(std::size_t n) { return below(n) == 0; }
  void wrong(std::string what) { mistakes.push_back(std::move(what)); }
  ActorRef<Player> anyone() {
    return everyone[everyone.size() - 1 - below(std::min<std::size_t>(everyone.size(), 12))];
  }
  Duration some_time() { return std::chrono::milliseconds(below(400)); }

  static constexpr std::size_t kSpawnsMax = 60;  // of a run, after which nobody starts others

  sim::World& world;
  std::vector<std::string> mistakes;
  std::vector<ActorRef<Player>> everyone;  // ever
  std::set<ActorId> alive;
  std::map<std::uint64_t, Watch> watches;
  std::vector<Alarm> alarms;
  std::vector<Asked> asked;
  std::map<std::pair<ActorId, ActorId>, Pair> pairs;  // sender, receiver
  std::map<std::pair<ActorId, ActorId>, bool> links;  // who linked, to whom: still stands
  std::map<std::pair<ActorId, ActorId>, int> exits;   // who was told, of whom
  std::deque<ReplyTo<Ask>> held;
  std::deque<std::uint64_t> held_numbers;
  std::size_t spawns = 0;
  bool over = false;  // nobody begins anything
};

constexpr std::uint64_t answer_to(std::uint64_t number) { return 7 * number + 1; }

// An ask under way: exactly one thing comes of it.
class Outcome {
 public:
  explicit Outcome(Ledger& ledger) : ledger_(ledger), number_(ledger.asked.size()) { ledger.asked.emplace_back(); }
  Outcome(const Outcome&) = delete;
  ~Outcome() {
    if (!done_) ++ledger_.asked[number_].abandoned;
  }
  std::uint64_t number() const { return number_; }
  void settle(const Result<std::uint64_t>& result) {
    done_ = true;
    ++ledger_.asked[number_].answers;
    if (result && *result != answer_to(number_)) ledger_.wrong("the answer to another ask");  // INV-M2
  }

 private:
  Ledger& ledger_;
  std::uint64_t number_;
  bool done_ = false;
};

class Player : public GenServer<Player, Act, ActSlowly, Open, Numbered, Next, Tick, Ask, AskSlowly, Down, Exited> {
 public:
  explicit Player(Ledger& ledger) : ledger_(ledger) {}
  ~Player() override { ledger_.alive.erase(id_); }

  Status on_start(Context& ctx) override {
    id_ = ctx.self_id();
    ledger_.everyone.push_back(ctx.self<Player>());
    ledger_.alive.insert(id_);
    if (ledger_.one_in(2)) return {};
    for (std::size_t i = ledger_.below(4); i > 0; --i) act(ctx);
    if (ledger_.one_in(6)) return fail(Code::kUnavailable, "not today");
    return {};
  }

  Task<> on_stop(Context& ctx, const ExitReason&) override {
    expected_.clear();
    if (ledger_.one_in(2)) co_return;
    act(ctx);
    if (ledger_.one_in(2)) co_await wait(ctx);
  }

  void handle(const Act&, Context& ctx) {
    come();
    act(ctx);
  }
  Task<> handle(const ActSlowly&, Context& ctx) {
    come();
    for (std::size_t i = 1 + ledger_.below(3); i > 0; --i) {
      co_await wait(ctx);
      act(ctx);
    }
  }
  void handle(const Open&, Context& ctx) {
    come();
    open(ctx);
  }
  void handle(const Numbered& m, Context& ctx) {
    come();
    if (closed_ && keep(ctx)) return;
    auto& pair = ledger_.pairs[{m.from, id_}];
    if (m.number <= pair.last_handled) ledger_.wrong("out of order, or twice");  // INV-M1
    pair.last_handled = m.number;
    pair.taken.erase(m.number);
    if (ledger_.one_in(4)) act(ctx);
  }
  void handle(const Next& m, Context& ctx) {
    if (expected_.empty() || expected_.back() != m.number)
      ledger_.wrong("continued with another message");
    else
      expected_.pop_back();
    if (expected_.empty() && ledger_.one_in(3)) act(ctx);
  }
  void handle(const Tick& m, Context& ctx) {
    come();
    Ledger::Alarm& alarm = ledger_.alarms[m.timer];
    if (alarm.owner != id_) ledger_.wrong("another's timer");
    if (alarm.cancelled) ledger_.wrong("a timer that was cancelled");
    if (++alarm.fired > 1 && !alarm.periodic) ledger_.wrong("a timer fired twice");
    if (alarm.periodic && (alarm.fired > 5 || ledger_.over)) cancel(ctx, m.timer);
    act(ctx);
  }
  NoReply handle(const Ask& m, Context& ctx) {
    come();
    if (closed_ && keep(ctx)) return {};
    auto later = ctx.defer<Ask>();
    switch (ledger_.below(5)) {
      case 0:
        ledger_.held_numbers.push_back(m.number);
        ledger_.held.push_back(std::move(later));
        break;
      case 1:
        mine_ = std::move(later);  // and what it held before has no answer
        mine_number_ = m.number;
        break;
      case 2:
        act(ctx);
        break;  // no answer
      default:
        later.reply(answer_to(m.number));
        act(ctx);
    }
    return {};
  }
  Task<Result<std::uint64_t>> handle(const AskSlowly& m, Context& ctx) {
    come();
    std::uint64_t number = m.number;
    co_await wait(ctx);
    act(ctx);
    if (ledger_.one_in(5)) co_return fail(Code::kUnavailable, "not today");
    co_return answer_to(number);
  }
  void handle(const Down& m, Context& ctx) {
    come();
    auto found = ledger_.watches.find(m.monitor.id);
    if (found == ledger_.watches.end()) return ledger_.wrong("a Down of no monitor");
    Ledger::Watch& watch = found->second;
    if (watch.watcher != id_ || watch.target != m.actor) ledger_.wrong("another's Down");
    if (watch.given_up) ledger_.wrong("a Down after demonitor()");
    if (++watch.downs > 1) ledger_.wrong("two Downs of one monitor");  // INV-M8
    if (ledger_.alive.contains(m.actor)) ledger_.wrong("a Down of an actor that lives");
    act(ctx);
  }
  void handle(const Exited& m, Context& ctx) {
    come();
    ++ledger_.exits[{id_, m.from}];
    act(ctx);
  }

 private:
  // A message has come. What the actor continues with comes before any other.
  void come() {
    if (!expected_.empty()) ledger_.wrong("a message before that which it continues with");
  }

  bool keep(Context& ctx) { return ctx.stash().has_value(); }
  void open(Context& ctx) {
    if (!expected_.empty()) return;
    closed_ = false;
    ctx.unstash_all();
  }
  void cancel(Context& ctx, std::uint64_t timer) {
    Ledger::Alarm& alarm = ledger_.alarms[timer];
    bool to_come = alarm.owner == id_ && !alarm.cancelled && (alarm.periodic || alarm.fired == 0);
    if (ctx.cancel(alarm.ref) != to_come) ledger_.wrong("cancel() is wrong about what was to come");
    if (to_come) alarm.cancelled = true;
  }
  Numbered number_for(ActorRef<Player> to) { return {id_, ++ledger_.pairs[{id_, to.id()}].last_sent}; }
  void tell(ActorRef<Player> to) {
    Numbered message = number_for(to);
    std::uint64_t number = message.number;
    if (to.tell(std::move(message))) ledger_.pairs[{id_, to.id()}].taken.insert(number);
  }
  void spawn(Context& ctx) {
    if (ledger_.spawns >= Ledger::kSpawnsMax) return;
    ++ledger_.spawns;
    SpawnOptions options;
    if (ledger_.one_in(3)) options.mailbox = {.messages_max = 2 + static_cast<std::uint32_t>(ledger_.below(3))};
    if (ledger_.one_in(4)) options.mailbox.priority.high<Tick>().low<Act, ActSlowly>();
    if (ledger_.one_in(4)) options.name = "n" + std::to_string(ledger_.below(5));
    auto child = ledger_.one_in(2) ? ctx.spawn_with<Player>(std::move(options), ledger_)
                                   : ctx.spawn_linked_with<Player>(std::move(options), ledger_);
    if (!child) return;
    if (ledger_.one_in(3)) child->tell(ActSlowly{});
    if (ledger_.one_in(10)) static_cast<void>(ctx.kill(*child));
  }
  void monitor(Context& ctx, ActorRef<Player> other) {
    auto made = ctx.monitor<Player>(other);
    if (!made) return ledger_.wrong("no monitor");
    if (other.id() != id_) ledger_.watches[made->id] = {id_, other.id()};
  }
  void demonitor(Context& ctx) {
    for (auto& [id, watch] : ledger_.watches) {
      if (watch.watcher != id_ || watch.given_up || watch.downs > 0 || ledger_.one_in(2)) continue;
      ctx.demonitor({id});
      watch.given_up = true;
      return;
    }
  }
  void link(Context& ctx, ActorRef<Player> other) {
    if (other.id() == id_) return;
    if (ledger_.one_in(3)) {
      ctx.unlink(other);
      ledger_.links[{id_, other.id()}] = ledger_.links[{other.id(), id_}] = false;
    } else if (ctx.link(other) && traps_) {
      ledger_.links[{id_, other.id()}] = true;
      ledger_.exits[{id_, other.id()}] = 0;
    }
  }
  void arm(Context& ctx, bool periodic) {
    Duration after = ledger_.some_time() + 1ms;
    Tick tick{ledger_.alarms.size()};
    auto ref = periodic ? ctx.send_every<Player>(after, tick) : ctx.send_after<Player>(after, tick);
    if (!ref) return ledger_.wrong("no timer");
    ledger_.alarms.push_back({id_, *ref, ctx.now() + after, periodic});
  }
  void answer() {
    if (mine_ && ledger_.one_in(2)) return mine_.reply(answer_to(mine_number_));
    if (ledger_.held.empty()) return;
    if (!ledger_.one_in(3)) ledger_.held.front().reply(answer_to(ledger_.held_numbers.front()));
    ledger_.held.pop_front();
    ledger_.held_numbers.pop_front();
  }
  void end(Context& ctx, ActorRef<Player> other) {
    switch (ledger_.below(8)) {
      case 0:
        return ctx.stop();
      case 1:
        return ctx.exit(ExitReason::error("enough"));
      case 2:
        throw std::runtime_error("on purpose");
      case 3:
        throw 7;
      case 4:
        static_cast<void>(ctx.kill(other));
        return;
      case 5:
        return ctx.runtime().stop(other.id());
      case 6:
        return ctx.runtime().kill(other.id());
      default:
        static_cast<void>(ctx.exit(other, ExitReason::error("go")));
    }
  }

  // Something, in a turn of whatever kind.
  void act(Context& ctx) {
    if (ledger_.over) return;
    ActorRef<Player> other = ledger_.anyone();
    switch (ledger_.below(20)) {
      case 0:
      case 1:
        for (std::size_t i = 1 + ledger_.below(5); i > 0; --i) tell(other);
        return;
      case 2:
      case 3:
        return spawn(ctx);
      case 4:
      case 5:
        return monitor(ctx, other);
      case 6:
        return demonitor(ctx);
      case 7:
      case 8:
        return link(ctx, other);
      case 9: {
        bool on = ledger_.one_in(2);
        traps_ = on;
        if (!on)
          for (auto& [pair, stands] : ledger_.links)
            if (pair.first == id_) stands = false;  // what comes of it now is another thing
        static_cast<void>(ctx.trap_exits<Player>(on));
        return;
      }
      case 10:
        return arm(ctx, false);
      case 11:
        return arm(ctx, true);
      case 12:
        if (!ledger_.alarms.empty()) cancel(ctx, ledger_.below(ledger_.alarms.size()));
        return;
      case 13: {
        std::uint64_t number = ledger_.world.random.below(1u << 30);
        if (ctx.continue_with<Player>(Next{number})) expected_.push_back(number);
        return;
      }
      case 14:
        if (closed_) return open(ctx);
        closed_ = true;
        return;
      case 15:
      case 16:
        return answer();
      case 17:
        other.tell(ActSlowly{});
        return;
      case 18:
        other.tell(Act{});
        return;
      default:
        if (ledger_.one_in(3)) end(ctx, other);
    }
  }

  Task<> wait(Context& ctx) {
    ActorRef<Player> other = ledger_.anyone();
    switch (ledger_.over ? 4 : ledger_.below(5)) {
      case 0: {
        Outcome outcome(ledger_);
        Ask question{outcome.number()};
        auto answer = co_await ctx.ask(other, question, ledger_.some_time());
        outcome.settle(answer);
        break;
      }
      case 1: {
        Outcome outcome(ledger_);
        AskSlowly question{outcome.number()};
        auto answer = co_await ctx.ask(other, question, ledger_.some_time());
        outcome.settle(answer);
        break;
      }
      case 2: {
        Numbered message = number_for(other);
        std::uint64_t number = message.number;
        Status sent = co_await ctx.send(other, message, ledger_.some_time());
        // What has been let in may have been handled before this is known here.
        auto& pair = ledger_.pairs[{id_, other.id()}];
        if (sent && number > pair.last_handled) pair.taken.insert(number);
        break;
      }
      case 3: {
        ActorId id = other.id();
        auto reason = co_await ctx.ended(other, ledger_.some_time());
        if (reason && ledger_.alive.contains(id)) ledger_.wrong("the end of an actor that lives");
        break;
      }
      default:
        co_await ctx.sleep(ledger_.some_time());
    }
  }

  Ledger& ledger_;
  ActorId id_;
  bool closed_ = false, traps_ = false;
  ReplyTo<Ask> mine_;
  std::uint64_t mine_number_ = 0;
  std::vector<std::uint64_t> expected_;  // the next messages, the last first
};

TEST(InterplaySimulationTest, WhateverActorsDoAtOnceNothingIsLostOrDoubled_INV_M1_M2_M8) {
  std::uint64_t moves = 0, crashes = 0, asks = 0, downs = 0, fired = 0;
  EXPECT_TRUE(rc::check([&] {
    auto seed = *rc::gen::arbitrary<std::uint64_t>();
    sim::World world(seed);
    Ledger ledger(world);
    int from_external = 0, answered_external = 0;
    bool cut_off = ledger.one_in(3);  // the runtime ends while all is under way
    {
      sim::SimExecutor executor(world, {.workers = 1 + ledger.below(3)});
      Types types;
      RuntimeOptions options;
      options.move_every_turns = ledger.below(4);
      options.turns_per_batch = ledger.one_in(3) ? 128 : 1;
      options.pick = [&](std::size_t count) { return ledger.below(count); };
      Runtime runtime(executor, types, std::move(options));
      runtime.set_log([](const std::string&) {});
      RC_ASSERT(runtime.start().has_value());
      auto steps = [&](std::size_t n) { executor.run_until([] { return false; }, n); };
      auto newcomer = [&] {
        ++ledger.spawns;
        static_cast<void>(runtime.spawn<Player>(ledger.one_in(3) ? "n" + std::to_string(ledger.below(5)) : "", ledger));
      };
      for (int i = 0; i < 6; ++i) newcomer();
      steps(20);
      for (int i = 0; i < 150 && !ledger.everyone.empty(); ++i) {
        ActorRef<Player> player = ledger.anyone();
        switch (ledger.below(12)) {
          case 0:
            if (ledger.spawns < Ledger::kSpawnsMax) newcomer();
            break;
          case 1: {
            auto* ask =
                detail::make_envelope(nullptr, Ask{1'000'000}, detail::Envelope::kAsk | detail::Envelope::kSink);
            ask->sender = reinterpret_cast<std::uint64_t>(make_sink([&](Answer) { ++answered_external; }).release());
            ++from_external;
            static_cast<void>(runtime.send(player.id(), ask));
            break;
          }
          case 2:
            if (!ledger.held.empty()) {
              ledger.held.back().reply(answer_to(ledger.held_numbers.back()));
              ledger.held.pop_back();
              ledger.held_numbers.pop_back();
            }
            break;
          case 3:
          case 4:
          case 5:
            player.tell(ActSlowly{});
            break;
          default:
            player.tell(Act{});
        }
        steps(ledger.below(12));
      }
      if (!cut_off) {
        ledger.over = true;
        for (int round = 0; round < 3; ++round) {
          for (ActorId id : std::set<ActorId>(ledger.alive)) ActorRef<Player>(runtime.node_id(), id).tell(Open{});
          RC_ASSERT(executor.run_for(60s, 1'000'000));
        }
        RC_ASSERT(runtime.stats().actors == ledger.alive.size());
        for (const auto& [id, watch] : ledger.watches) {
          if (!ledger.alive.contains(watch.watcher) || watch.given_up) continue;
          RC_ASSERT(watch.downs == (ledger.alive.contains(watch.target) ? 0 : 1));
          downs += watch.downs;
        }
        for (const auto& [pair, stands] : ledger.links)
          if (stands && ledger.alive.contains(pair.first) && !ledger.alive.contains(pair.second))
            RC_ASSERT(ledger.exits[pair] >= 1);  // one that does not trap has ended, or the reason was normal
        for (const Ledger::Alarm& alarm : ledger.alarms) {
          if (ledger.alive.contains(alarm.owner) && !alarm.cancelled) RC_ASSERT(alarm.fired == 1);
          fired += alarm.fired;
        }
        for (const auto& [pair, sent] : ledger.pairs)
          if (ledger.alive.contains(pair.second)) RC_ASSERT(sent.taken.empty());
      }
      moves += runtime.stats().migrations;
      crashes += runtime.stats().crashes;
    }
    RC_ASSERT(ledger.alive.empty());
    ledger.held.clear();  // after their runtime
    RC_ASSERT(answered_external == from_external);
    for (const Ledger::Asked& asked : ledger.asked) RC_ASSERT(asked.answers + asked.abandoned == 1);
    asks += ledger.asked.size();
    for (const std::string& mistake : ledger.mistakes) RC_FAIL(mistake);
  }));
  EXPECT_GT(moves, 0u);
  EXPECT_GT(crashes, 0u);
  EXPECT_GT(asks, 0u);
  EXPECT_GT(downs, 0u);
  EXPECT_GT(fired, 0u);
}

// ---- on real threads -----------------------------------------------------------------------------------------------

class Runner;

// What the runners of one run share.
struct Track {
  std::atomic<std::uint64_t> asked{0}, answered{0}, abandoned{0}, sent_external{0}, answered_external{0}, mistakes{0};
  std::atomic<std::uint64_t> alive{0};
  std::atomic<bool> over{false};
  std::mutex mutex;
  std::vector<ActorRef<Runner>> everyone;                    // under the mutex
  std::vector<std::pair<ReplyTo<Ask>, std::uint64_t>> held;  // under the mutex

  ActorRef<Runner> anyone(std::uint64_t chance) {
    std::lock_guard lock(mutex);
    return everyone[everyone.size() - 1 - chance % std::min<std::size_t>(everyone.size(), 16)];
  }
  void settle(const Result<std::uint64_t>& result, std::uint64_t number) {
    ++answered;
    if (result && *result != answer_to(number)) ++mistakes;
  }
};

struct Asking {
  explicit Asking(Track& given) : track(given), number(++track.asked) {}
  Asking(const Asking&) = delete;
  ~Asking() {
    if (!done) ++track.abandoned;
  }
  Track& track;
  std::uint64_t number;
  bool done = false;
};

class Runner : public GenServer<Runner, Act, ActSlowly, Numbered, Tick, Ask, Down, Exited> {
 public:
  Runner(Track& track, std::uint64_t seed) : track_(track), random_(seed) { ++track_.alive; }
  ~Runner() override { --track_.alive; }

  Status on_start(Context& ctx) override {
    {
      std::lock_guard lock(track_.mutex);
      track_.everyone.push_back(ctx.self<Runner>());
    }
    act(ctx);
    return below(8) == 0 ? fail(Code::kUnavailable, "not today") : Status();
  }
  Task<> on_stop(Context& ctx, const ExitReason&) override {
    act(ctx);
    if (below(2) == 0) co_await ctx.sleep(1ms);
  }
  void handle(const Act&, Context& ctx) { act(ctx); }
  void handle(const Numbered& m, Context& ctx) {
    if (closed_ && ctx.stash()) return;
    std::uint64_t& last = last_from_[m.from];
    if (m.number <= last) ++track_.mistakes;
    last = m.number;
  }
  void handle(const Tick& m, Context& ctx) {
    if (m.timer != armed_) ++track_.mistakes;
    armed_ = 0;
    act(ctx);
  }
  NoReply handle(const Ask& m, Context& ctx) {
    auto later = ctx.defer<Ask>();
    switch (below(4)) {
      case 0: {
        std::lock_guard lock(track_.mutex);
        track_.held.emplace_back(std::move(later), m.number);
        break;
      }
      case 1:
        break;
      default:
        later.reply(answer_to(m.number));
    }
    act(ctx);
    return {};
  }
  void handle(const Down& m, Context& ctx) {
    if (watches_.erase(m.monitor) != 1) ++track_.mistakes;
    act(ctx);
  }
  void handle(const Exited&, Context& ctx) { act(ctx); }
  Task<> handle(const ActSlowly&, Context& ctx) {
    if (track_.over) co_return;
    ActorRef<Runner> other = track_.anyone(random_());
    switch (below(4)) {
      case 0: {
        Asking asking(track_);
        Ask question{asking.number};
        auto answer = co_await ctx.ask(other, question, 5ms);
        asking.done = true;
        track_.settle(answer, asking.number);
        break;
      }
      case 1: {
        Numbered message{ctx.self_id(), ++last_to_[other.id()]};
        static_cast<void>(co_await ctx.send(other, message, 5ms));
        break;
      }
      case 2:
        static_cast<void>(co_await ctx.ended(other, 5ms));
        break;
      default:
        co_await ctx.sleep(1ms);
    }
    act(ctx);
  }

 private:
  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  void act(Context& ctx) {
    if (track_.over) return;
    ActorRef<Runner> other = track_.anyone(random_());
    switch (below(20)) {
      case 0:
      case 1:
      case 2:
        for (int i = 0; i < 4; ++i) other.tell(Numbered{ctx.self_id(), ++last_to_[other.id()]});
        return;
      case 3:
      case 4: {
        if (track_.alive > 200) return;
        SpawnOptions options;
        if (below(2) == 0) options.mailbox.messages_max = 3;
        static_cast<void>(below(2) == 0 ? ctx.spawn_with<Runner>(std::move(options), track_, random_())
                                        : ctx.spawn_linked_with<Runner>(std::move(options), track_, random_()));
        return;
      }
      case 5:
      case 6:
        if (auto monitor = ctx.monitor<Runner>(other); monitor && other.id() != ctx.self_id())
          watches_.insert(*monitor);
        return;
      case 7:
        if (watches_.empty()) return;
        ctx.demonitor(*watches_.begin());
        watches_.erase(watches_.begin());
        return;
      case 8:
        static_cast<void>(ctx.link(other));
        return;
      case 9:
        return ctx.unlink(other);
      case 10:
        static_cast<void>(ctx.trap_exits<Runner>(below(4) != 0));
        return;
      case 11:
        if (armed_ != 0) return;
        armed_ = random_() | 1;
        timer_ = *ctx.send_after<Runner>(std::chrono::microseconds(below(2'000)), Tick{armed_});
        return;
      case 12:
        if (armed_ != 0 && !ctx.cancel(timer_)) ++track_.mistakes;
        armed_ = 0;
        return;
      case 13:
        closed_ = !closed_;
        if (!closed_) ctx.unstash_all();
        return;
      case 14:
        static_cast<void>(ctx.continue_with<Runner>(Act{}));
        return;
      case 15:
      case 16:
        other.tell(ActSlowly{});
        return;
      case 17: {
        std::pair<ReplyTo<Ask>, std::uint64_t> held;
        {
          std::lock_guard lock(track_.mutex);
          if (track_.held.empty()) return;
          held = std::move(track_.held.back());
          track_.held.pop_back();
        }
        if (below(2) == 0) held.first.reply(answer_to(held.second));
        return;
      }
      case 18:
        switch (below(12)) {
          case 0:
            return ctx.stop();
          case 1:
            throw std::runtime_error("on purpose");
          case 2:
            static_cast<void>(ctx.kill(other));
            return;
          case 3:
            static_cast<void>(ctx.exit(other, ExitReason::error("go")));
            return;
          default:
            return;
        }
      default:
        return;
    }
  }

  Track& track_;
  std::mt19937_64 random_;
  std::map<ActorId, std::uint64_t> last_to_, last_from_;
  std::set<MonitorRef> watches_;
  std::uint64_t armed_ = 0;
  TimerRef timer_;
  bool closed_ = false;
};

TEST(InterplayStressTest, WhateverActorsDoAtOnceOnRealThreadsNothingIsLostOrDoubled_INV_M1_M2) {
  for (std::uint64_t run = 0; run < 4; ++run) {
    Track track;
    {
      env::PosixExecutor executor({.workers = 2 + run % 2});
      Types types;
      Runtime runtime(executor, types, {.move_every_turns = run % 4});
      runtime.set_log([](const std::string&) {});
      ASSERT_TRUE(runtime.start());
      std::vector<std::thread> threads;
      for (std::uint64_t t = 0; t < 2; ++t)
        threads.emplace_back([&, t] {
          std::mt19937_64 random(100 * run + t);
          for (int i = 0; i < 1'000 || (track.answered < 10 && i < 10'000'000); ++i) {
            if (i % 16 == 0) std::this_thread::yield();
            if (i < 5 || (random() % 10 == 0 && track.alive < 200)) {
              static_cast<void>(runtime.spawn<Runner>("", track, random()));
              while (i == 0 && [&] { return std::lock_guard(track.mutex), track.everyone.empty(); }())
                std::this_thread::yield();
            }
            ActorRef<Runner> other = track.anyone(random());
            if (random() % 8 == 0) {
              std::uint64_t number = ++track.sent_external;
              auto* ask = detail::make_envelope(nullptr, Ask{number}, detail::Envelope::kAsk | detail::Envelope::kSink);
              ask->sender =
                  reinterpret_cast<std::uint64_t>(make_sink([&](Answer) { ++track.answered_external; }).release());
              static_cast<void>(runtime.send(other.id(), ask));
            } else if (random() % 3 == 0) {
              other.tell(ActSlowly{});
            } else if (random() % 50 == 0) {
              runtime.kill(other.id());
            } else {
              other.tell(Act{});
            }
          }
        });
      for (auto& thread : threads) thread.join();
      if (run % 2 == 0) {
        track.over = true;
        while (runtime.stats().actors > 0) {
          std::vector<ActorRef<Runner>> everyone = [&] { return std::lock_guard(track.mutex), track.everyone; }();
          for (ActorRef<Runner> each : everyone) runtime.kill(each.id());
          std::this_thread::yield();
        }
        EXPECT_EQ(track.alive, 0u);
      }
      executor.stop();
    }
    track.held.clear();
    EXPECT_EQ(track.alive, 0u);
    EXPECT_EQ(track.mistakes, 0u);
    EXPECT_EQ(track.asked, track.answered + track.abandoned);
    EXPECT_EQ(track.sent_external, track.answered_external);
    EXPECT_GT(track.answered, 0u);
  }
}

}  // namespace
}  // namespace plexspaces
