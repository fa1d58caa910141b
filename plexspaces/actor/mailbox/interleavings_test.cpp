// Every interleaving of the atomic steps by which workers and other threads share an actor.
//
// A model of push_cross_worker(), wake_home(), take_cross_worker(), run(), drain(), push_local(), migrate(),
// adopt_later(), end(), start_cell() and trim_inbox() (worker*.cpp): one atomic operation, or one piece of work on what
// the home worker owns, is one step. All states that a few messages, moves and ends can lead to are visited. The model
// is sequentially consistent; why the memory orders of the code suffice for that is said beside each atomic (cell.hpp,
// worker.cpp).
//
// What must hold: each message is taken exactly once, or dropped with its actor; the messages of a sender stay in
// order; the cell is never in two lists; and where nobody can take a step, nothing waits (no wake-up is lost). A
// Mistake is a step left out or done in another order: for each, the search must find what goes wrong.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <unordered_set>
#include <vector>

#include <gtest/gtest.h>

namespace plexspaces::detail {
namespace {

enum class Mistake : std::uint8_t {
  kNone,
  kPendingClearedLast,    // take_cross_worker() reads the home before it clears wake_pending
  kNoSecondLook,          // wake_home() does not look again when the cell was on its way
  kWakeNotForwarded,      // take_cross_worker() drops the wake-up of a cell that has moved
  kIdleByStore,           // run() goes idle without looking whether something has come
  kPushBeforeDrain,       // push_local() does not drain first
  kStartsBeforeHome,      // start_cell() opens the inbox before the cell has a home
  kStaleMessageTaken,     // drain() does not look at the generation
  kDrainWithoutTrimLock,  // drain() does not wait for trim_inbox()
  kTrimsOntoNewer,        // trim_inbox() puts the rest back above what has come meanwhile
};

struct Plan {
  Mistake mistake = Mistake::kNone;
  int external_messages[2] = {1, 1};  // of two threads outside
  int moves = 1;
  int actor_messages = 0;  // of a sender that is an actor, on worker 0 first; it moves once
  bool ends = false;       // the actor ends, and another begins in its cell
  bool trims = false;      // Overflow::kDropOldest with room for one message
};

constexpr std::uint8_t kIdle = 0, kNull = 1, kList = 2, kClosed = 3;  // the inbox
constexpr std::uint8_t kTransit = 2, kNobody = 3;                     // home, beside workers 0 and 1
constexpr std::size_t kMessagesMax = 6;

struct List {
  std::array<std::uint8_t, kMessagesMax> at{};
  std::uint8_t size = 0;

  void push_front(std::uint8_t message) {
    std::copy_backward(at.begin(), at.begin() + size, at.begin() + size + 1);
    at[0] = message;
    ++size;
  }
  void push_back(std::uint8_t message) { at[size++] = message; }
  std::uint8_t pop_front() {
    std::uint8_t message = at[0];
    std::copy(at.begin() + 1, at.begin() + size, at.begin());
    at[--size] = 0;
    return message;
  }
  std::uint8_t front() const { return size == 0 ? 0 : at[0]; }
};

// Where a thread stands in what it does.
enum class At : std::uint8_t {
  kRest,    // a worker: between two things; a thread outside: before its next message
  kPushed,  // push_cross_worker: about to compare and swap
  kWake,    // wake_home: set wake_pending
  kHome,    // read the home
  kUnset,   // clear wake_pending, the cell is on its way
  kLookAgain,
  kListWake,  // put the cell into the wake-ups of `home`
  kTrim,      // trim_inbox: lock and take the list
  kPutBack,
  kTookWake,  // take_cross_worker: has taken the wake-ups
  kCleared,   // has cleared wake_pending
  kRun,       // run: look at the inbox
  kSleep,     // go idle
  kGive,      // the inbox idle -> null
  kGiveHome,
  kGiveTo,
  kEnd,
  kEndHome,
  kStart,
  kStart2,
  kDone,
};

struct Thread {
  At at = At::kRest;
  At back = At::kRest;         // after wake_home()
  std::uint8_t message = 0;    // being pushed
  std::uint8_t word = 0;       // of the inbox, as it was seen
  std::uint8_t word_head = 0;  // if that was a list
  std::uint8_t home = 0;       // as it was seen
  std::uint8_t sent = 0;
  std::uint8_t sender = 0;      // whose message
  std::uint8_t generation = 0;  // to which the message goes
  List taken;                   // by trim_inbox()
};

// Without padding that differs: compared and hashed as bytes.
struct State {
  std::uint8_t inbox = kIdle;
  List list;  // newest first, when inbox is kList
  std::uint8_t home = 0;
  std::uint8_t pending = 0;
  std::array<std::uint8_t, 2> wakes{};  // the cell is in this list, so often
  std::array<std::uint8_t, 2> adopted{};
  std::array<std::uint8_t, 2> queued{};  // in the run queue, or running
  std::uint8_t scheduled = 0;            // the flag of the cell
  List plain;                            // oldest first
  std::uint8_t generation = 0;
  std::uint8_t moves = 0;
  std::uint8_t ended = 0;
  std::uint8_t trim_lock = 0;
  std::uint8_t actor_at = 0;  // the worker of the sender that is an actor
  std::uint8_t actor_sent = 0;
  std::uint8_t actor_moved = 0;
  std::array<std::uint8_t, 3> last{};  // message taken of each sender
  std::uint8_t taken = 0;              // how many
  std::uint8_t dropped = 0;            // with an actor that has ended, by its generation, or by kDropOldest
  std::array<Thread, 4> threads;       // workers 0 and 1, two outside

  friend bool operator==(const State& a, const State& b) { return std::memcmp(&a, &b, sizeof(State)) == 0; }
};
static_assert(std::has_unique_object_representations_v<State>);

struct Hash {
  std::size_t operator()(const State& state) const {
    std::size_t hash = 1469598103934665603ull;
    std::array<std::uint8_t, sizeof(State)> bytes;
    std::memcpy(bytes.data(), &state, sizeof(State));
    for (std::uint8_t byte : bytes) hash = (hash ^ byte) * 1099511628211ull;
    return hash;
  }
};

// Message: sender << 4 | generation << 3 | number from 1.
std::uint8_t message_of(std::uint8_t sender, std::uint8_t generation, std::uint8_t number) {
  return static_cast<std::uint8_t>(sender << 4 | generation << 3 | number);
}

class Search {
 public:
  explicit Search(Plan plan) : plan_(plan) {}

  /// @returns what went wrong first, or nothing.
  std::string run() {
    visit(State{});
    while (!open_.empty() && wrong_.empty()) {
      State state = open_.back();
      open_.pop_back();
      moved_ = false;
      for (std::uint8_t i = 0; i < 4 && wrong_.empty(); ++i) step(state, i);
      if (!moved_ && wrong_.empty()) check_rest(state);
    }
    return wrong_;
  }
  std::size_t states() const { return seen_.size(); }

 private:
  bool is(Mistake mistake) const { return plan_.mistake == mistake; }

  void visit(const State& state) {
    moved_ = true;
    if (state.wakes[0] + state.wakes[1] > 1) wrong_ = "the cell is twice among the wake-ups";
    if (state.queued[0] + state.queued[1] + state.adopted[0] + state.adopted[1] > 1)
      wrong_ = "the cell is in two run queues";
    if (seen_.insert(state).second) open_.push_back(state);
  }

  // Nobody can go on.
  void check_rest(const State& state) {
    std::uint8_t sent = static_cast<std::uint8_t>(state.threads[2].sent + state.threads[3].sent + state.actor_sent);
    if (state.inbox == kList || state.plain.size > 0)
      wrong_ = "a wake-up is lost: messages wait, and nobody looks";
    else if (state.taken + state.dropped != sent)
      wrong_ = "a message is lost, or taken twice";
  }

  void step(const State& state, std::uint8_t i) {
    const Thread& thread = state.threads[i];
    if (thread.at == At::kRest) return i < 2 ? rest_of_worker(state, i) : rest_external(state, i);
    State next = state;
    Thread& mine = next.threads[i];
    switch (thread.at) {
      case At::kPushed:
        push(next, mine);
        break;
      case At::kWake:
        if (std::exchange(next.pending, 1) != 0)
          mine.at = after_wake(mine);
        else
          mine.at = At::kHome;
        break;
      case At::kHome:
        mine.home = next.home;
        mine.at = next.home < kTransit ? At::kListWake : At::kUnset;
        break;
      case At::kUnset:
        next.pending = 0;
        mine.at = is(Mistake::kNoSecondLook) ? after_wake(mine) : At::kLookAgain;
        break;
      case At::kLookAgain:
        mine.at = next.home >= kTransit ? after_wake(mine) : At::kWake;
        break;
      case At::kListWake:
        ++next.wakes[mine.home];
        mine.home = 0;
        mine.at = after_wake(mine);
        break;
      case At::kTrim:
        if (!trim(next, mine)) return;
        break;
      case At::kPutBack:
        put_back(next, mine);
        break;
      case At::kTookWake:
        if (is(Mistake::kPendingClearedLast)) {
          mine.home = next.home;
        } else {
          next.pending = 0;
        }
        mine.at = At::kCleared;
        break;
      case At::kCleared: {
        std::uint8_t home = next.home;
        if (is(Mistake::kPendingClearedLast)) {
          home = std::exchange(mine.home, 0);
          next.pending = 0;
        }
        mine.at = At::kRest;
        if (home == i) {
          if (next.scheduled == 0) schedule(next, i);
        } else if (home < kTransit && !is(Mistake::kWakeNotForwarded)) {
          mine.at = At::kWake;
          mine.back = At::kRest;
        }
        break;
      }
      case At::kRun:
        return run_cell(state, i);
      case At::kSleep:
        if (next.inbox == kNull || is(Mistake::kIdleByStore)) {
          next.inbox = kIdle;
          next.list = {};
          sleep(next, i);
        } else {
          mine.at = At::kRun;
        }
        break;
      case At::kGive:
        if (next.inbox == kIdle) next.inbox = kNull;
        mine.at = At::kGiveHome;
        break;
      case At::kGiveHome:
        next.home = kTransit;
        mine.at = At::kGiveTo;
        break;
      case At::kGiveTo:
        next.queued[i] = 0;
        ++next.adopted[1 - i];
        mine.at = At::kRest;
        break;
      case At::kEnd:
        if (next.trim_lock != 0 && plan_.trims) return;
        if (next.inbox == kList) next.dropped = static_cast<std::uint8_t>(next.dropped + next.list.size);
        next.dropped = static_cast<std::uint8_t>(next.dropped + next.plain.size);
        next.inbox = kClosed;
        next.list = {};
        next.plain = {};
        mine.at = At::kEndHome;
        break;
      case At::kEndHome:
        next.generation = 1;
        next.home = kNobody;
        next.scheduled = 0;
        next.queued[i] = 0;
        mine.at = At::kStart;
        break;
      case At::kStart:
        if (is(Mistake::kStartsBeforeHome))
          next.inbox = kIdle;
        else
          next.home = i;
        mine.at = At::kStart2;
        break;
      case At::kStart2:
        if (is(Mistake::kStartsBeforeHome))
          next.home = i;
        else
          next.inbox = kIdle;
        mine.at = At::kRest;
        break;
      case At::kDone:
      case At::kRest:
        return;
    }
    visit(next);
  }

  static At after_wake(Thread& mine) {
    mine.word = mine.word_head = mine.message = mine.generation = 0;
    return std::exchange(mine.back, At::kRest);
  }

  // ---- threads outside ---------------------------------------------------------------------------------------------

  void rest_external(const State& state, std::uint8_t i) {
    if (state.threads[i].sent >= plan_.external_messages[i - 2]) return;
    State next = state;
    Thread& mine = next.threads[i];
    // push_cross_worker() looks at the generation and at the inbox; in between the actor may end. The reference is to
    // the first actor, or to the second once that is there.
    ++mine.sent;
    begin_push(next, mine, static_cast<std::uint8_t>(i - 2), mine.sent);
    visit(next);
  }

  void begin_push(State& next, Thread& mine, std::uint8_t sender, std::uint8_t number) {
    mine.generation = next.generation;
    mine.message = message_of(sender, next.generation, number);
    mine.word = next.inbox;
    mine.word_head = next.list.front();
    mine.at = At::kPushed;
  }

  void push(State& next, Thread& mine) {
    if (mine.word == kClosed) {
      ++next.dropped;
      mine.at = after_wake(mine);
      return;
    }
    if (next.inbox != mine.word || next.list.front() != mine.word_head) {
      mine.word = next.inbox;
      mine.word_head = next.list.front();
      return;
    }
    next.inbox = kList;
    next.list.push_front(mine.message);
    if (plan_.trims && next.list.size > 1) {
      mine.at = At::kTrim;
      return;
    }
    mine.at = mine.word == kIdle ? At::kWake : after_wake(mine);
  }

  // Only after a push onto a list: who has pushed onto an idle inbox wakes the home.
  bool trim(State& next, Thread& mine) {
    if (next.trim_lock != 0) return false;
    if (next.generation != mine.generation || next.inbox != kList) {
      mine.at = after_wake(mine);
      return true;
    }
    next.trim_lock = 1;
    mine.taken = {};
    mine.taken.push_back(next.list.front());
    next.dropped = static_cast<std::uint8_t>(next.dropped + next.list.size - 1);
    next.inbox = kNull;
    next.list = {};
    mine.at = At::kPutBack;
    return true;
  }

  void put_back(State& next, Thread& mine) {
    if (next.inbox == kClosed) {
      wrong_ = "the actor has ended while its inbox was trimmed";
      return;
    }
    if (next.inbox == kList) {
      if (is(Mistake::kTrimsOntoNewer)) {
        next.list.push_front(mine.taken.pop_front());
        next.trim_lock = 0;
        mine.at = after_wake(mine);
        return;
      }
      List newer = next.list;
      for (std::uint8_t k = 0; k < mine.taken.size; ++k) newer.push_back(mine.taken.at[k]);
      mine.taken = newer;
      next.inbox = kNull;
      next.list = {};
      return;
    }
    bool idle = next.inbox == kIdle;
    next.inbox = kList;
    next.list = mine.taken;
    mine.taken = {};
    next.trim_lock = 0;
    mine.at = idle ? At::kWake : after_wake(mine);
  }

  // ---- workers -----------------------------------------------------------------------------------------------------

  void rest_of_worker(const State& state, std::uint8_t i) {
    if (state.adopted[i] != 0) {
      State next = state;
      --next.adopted[i];
      next.home = i;
      next.scheduled = 1;
      next.queued[i] = 1;
      visit(next);
    }
    if (state.wakes[i] != 0) {
      State next = state;
      --next.wakes[i];
      next.threads[i].at = At::kTookWake;
      visit(next);
    }
    if (state.queued[i] != 0) {
      State next = state;
      next.threads[i].at = At::kRun;
      visit(next);
    }
    if (state.actor_at == i && state.actor_sent < plan_.actor_messages) {
      State next = state;
      ++next.actor_sent;
      // push_own() drains in any case, and so waits for trim_inbox().
      bool waits = state.home == i && plan_.trims && state.trim_lock != 0 && !is(Mistake::kDrainWithoutTrimLock);
      if (state.home == i)
        push_local(next, i);
      else
        begin_push(next, next.threads[i], 2, next.actor_sent);
      if (!waits) visit(next);
      if (state.actor_moved == 0) {
        next = state;
        next.actor_moved = 1;
        next.actor_at = 1 - i;
        visit(next);
      }
    }
  }

  void push_local(State& next, std::uint8_t i) {
    if (!is(Mistake::kPushBeforeDrain) && next.inbox == kList) drain(next);
    next.plain.push_back(message_of(2, next.generation, next.actor_sent));
    if (next.scheduled == 0) schedule(next, i);
  }

  static void schedule(State& next, std::uint8_t i) {
    next.scheduled = 1;
    ++next.queued[i];
  }
  static void sleep(State& next, std::uint8_t i) {
    next.scheduled = 0;
    next.queued[i] = 0;
    next.threads[i].at = At::kRest;
  }

  void drain(State& next) {
    for (std::uint8_t k = next.list.size; k-- > 0;) {
      std::uint8_t message = next.list.at[k];
      if ((message >> 3 & 1) != next.generation && !is(Mistake::kStaleMessageTaken))
        ++next.dropped;
      else
        next.plain.push_back(message);
    }
    next.inbox = kNull;
    next.list = {};
  }

  void run_cell(const State& state, std::uint8_t i) {
    State next = state;
    Thread& mine = next.threads[i];
    if (state.plain.size > 0) {
      take(next);
      visit(next);
      if (state.moves < plan_.moves) {
        ++next.moves;
        mine.at = At::kGive;
        visit(next);
      }
      return;
    }
    if (state.inbox == kList) {
      if (plan_.trims && state.trim_lock != 0 && !is(Mistake::kDrainWithoutTrimLock)) return;
      drain(next);
      visit(next);
      return;
    }
    if (plan_.ends && state.ended == 0) {
      State ending = state;
      ending.ended = 1;
      ending.threads[i].at = At::kEnd;
      visit(ending);
    }
    if (state.inbox == kNull)
      mine.at = At::kSleep;
    else
      sleep(next, i);
    visit(next);
  }

  void take(State& next) {
    std::uint8_t message = next.plain.pop_front();
    if ((message >> 3 & 1) != next.generation) wrong_ = "a message to an earlier actor is taken by a later one";
    std::uint8_t number = message & 7;
    std::uint8_t& last = next.last[message >> 4];
    if (number <= last) wrong_ = "two messages of a sender are taken out of order";
    last = number;
    ++next.taken;
  }

  Plan plan_;
  std::unordered_set<State, Hash> seen_;
  std::vector<State> open_;
  bool moved_ = false;
  std::string wrong_;
};

// The plans together meet every step of the model.
std::vector<Plan> plans() {
  return {
      {.external_messages = {3, 2}, .moves = 2},
      {.external_messages = {1, 1}, .moves = 1, .actor_messages = 2},
      {.external_messages = {2, 2}, .moves = 2, .ends = true},
      {.external_messages = {3, 1}, .moves = 1, .trims = true},
      {.external_messages = {2, 0}, .moves = 1, .actor_messages = 2, .trims = true},
      {.external_messages = {2, 1}, .moves = 1, .ends = true, .trims = true},
  };
}

TEST(InterleavingsTest, NoInterleavingLosesAWakeUpOrAMessageOrItsOrder_INV_M1) {
  std::size_t states = 0;
  std::vector<Plan> all = plans();
  for (const Plan& plan : all) {
    Search search(plan);
    EXPECT_EQ(search.run(), "") << "plan " << &plan - all.data();
    states += search.states();
  }
  EXPECT_GT(states, 10'000u);
  RecordProperty("states", static_cast<int>(states));
}

TEST(InterleavingsTest, TheSearchFindsEachMistake_INV_M1) {
  for (auto mistake : {Mistake::kPendingClearedLast, Mistake::kNoSecondLook, Mistake::kWakeNotForwarded,
                       Mistake::kIdleByStore, Mistake::kPushBeforeDrain, Mistake::kStartsBeforeHome,
                       Mistake::kStaleMessageTaken, Mistake::kDrainWithoutTrimLock, Mistake::kTrimsOntoNewer}) {
    bool found = false;
    for (Plan plan : plans()) {
      plan.mistake = mistake;
      found = found || !Search(plan).run().empty();
    }
    EXPECT_TRUE(found) << static_cast<int>(mistake);
  }
}

}  // namespace
}  // namespace plexspaces::detail
