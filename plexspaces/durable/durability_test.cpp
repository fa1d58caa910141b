#include "plexspaces/durable/durability.hpp"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plexspaces/base/utf8.hpp"
#include "plexspaces/durable/durability_fixture.hpp"
#include "plexspaces/durable/records.hpp"
#include "plexspaces/env/probe.hpp"
#include "plexspaces/store/memory_store.hpp"

namespace plexspaces::durability {
namespace {

using namespace testing_support;

class DurabilityTest : public testing::Test {
 protected:
  DurabilityTest() : world_(42), contents_(std::make_shared<store::MemoryContents>(world_.random)) { restart(); }

  void restart(DurableOptions durable_options = {}, VirtualActorOptions virtual_options = {}) {
    process_.reset();
    auto memory = std::make_unique<store::MemoryStore>(contents_);
    store_ = memory.get();
    process_ = std::make_unique<Process>(world_, std::move(memory), durable_options, virtual_options);
    ASSERT_TRUE(process_->start());
  }
  std::size_t rows(store::Table table) { return contents_->tables[table].size(); }
  Value<StoredActor> stored_value(const std::string& key) {
    return *from_value<StoredActor>(contents_->tables[store::Table::kActor].at(store::actor_row(account(key))),
                                    "actor");
  }
  StoredActor stored(const std::string& key) { return stored_value(key).header; }
  void set_state(const std::string& key, std::string_view state) {
    contents_->tables[store::Table::kActor][store::actor_row(account(key))] = to_value(stored(key), state);
  }

  sim::World world_;
  std::shared_ptr<store::MemoryContents> contents_;
  std::unique_ptr<Process> process_;
  store::MemoryStore* store_ = nullptr;
};

TEST_F(DurabilityTest, AnActorIsCreatedAtItsFirstMessageAndKeepsItsStateOverARestart) {
  EXPECT_EQ(**process_->ask("a", Balance{}), 0);
  EXPECT_EQ(rows(store::Table::kActor), 0u);  // a read makes nothing durable
  EXPECT_EQ(**process_->ask("a", Add{5}), 5);
  EXPECT_EQ(**process_->ask("a", Add{2}), 7);
  restart();
  EXPECT_EQ(**process_->ask("a", Balance{}), 7);
  EXPECT_EQ(stored("a").incarnation, 1u);
}

TEST_F(DurabilityTest, OptionsWithWhichAnActorWouldWaitForEverAreRefused) {
  auto refused = [&](DurableOptions durable_options, VirtualActorOptions virtual_options = {}) {
    Process process(world_, std::make_unique<store::MemoryStore>(contents_), durable_options, virtual_options);
    Status started = process.start();
    return started ? "" : started.error().domain() + ": " + started.error().message();
  };
  EXPECT_THAT(refused({.uncommitted_turns_max = 0}), testing::HasSubstr("uncommitted_turns_max"));
  EXPECT_THAT(refused({.attempts_max = 0}), testing::HasSubstr("attempts_max"));
  EXPECT_THAT(refused({.outcome_retention = -1s}), testing::HasSubstr("outcome_retention"));
  EXPECT_THAT(refused({.outcomes_max = 0}), testing::HasSubstr("outcomes_max"));
  EXPECT_THAT(refused({.outbox_messages_max = 0}), testing::HasSubstr("outbox_messages_max"));
  EXPECT_THAT(refused({.resend_after = 0s}), testing::HasSubstr("resend_after"));
  EXPECT_THAT(refused({.resend_after = 31s}), testing::HasSubstr("resend_after_max"));
  EXPECT_THAT(refused({}, {.idle_timeout = 0s}), testing::HasSubstr("idle_timeout"));
  EXPECT_EQ(refused({}), "");
}

TEST_F(DurabilityTest, AnAnswerThatIsDeferredNeverLeavesBeforeItsCommit_INV_J1) {
  auto answer = process_->ask("a", AnswerAhead{7});
  ASSERT_TRUE(answer);
  EXPECT_EQ((*answer).error().code(), Code::kInternal);
  EXPECT_THAT((*answer).error().message(), testing::HasSubstr("return the reply, without ctx.defer()"));
  EXPECT_EQ(**process_->ask("a", Balance{}), 0);
}

TEST_F(DurabilityTest, ADuplicateGetsTheStoredAnswerAlsoAfterARestart) {  // INV-J5
  EXPECT_EQ(**process_->ask("a", Add{5}, "key-1"), 5);
  EXPECT_EQ(**process_->ask("a", Add{1}, "key-2"), 6);
  EXPECT_EQ(**process_->ask("a", Add{5}, "key-1"), 5);
  restart();
  EXPECT_EQ(**process_->ask("a", Add{1}, "key-2"), 6);
  EXPECT_EQ(**process_->ask("a", Add{5}, "key-1"), 5);
  EXPECT_EQ(**process_->ask("a", Balance{}), 6);
  EXPECT_EQ(process_->durability.stats().duplicates, 2u);
}

TEST_F(DurabilityTest, DuplicatesOfAnOpenTurnJoinItAndAllGetTheSameAnswer) {  // INV-J5
  std::vector<std::int64_t> answers;
  for (int i = 0; i < 5; ++i) process_->send<Add>("a", {3}, "key", [&](auto answer) { answers.push_back(*answer); });
  process_->settle();
  EXPECT_EQ(answers, std::vector<std::int64_t>(5, 3));
  EXPECT_EQ(**process_->ask("a", Balance{}), 3);
}

TEST_F(DurabilityTest, AKeyUsedWithAnotherRequestIsRefused) {
  EXPECT_EQ(**process_->ask("a", Add{5}, "key"), 5);
  auto other = process_->ask("a", Add{6}, "key");
  EXPECT_EQ(other->error().code(), Code::kInvalidArgument);
  EXPECT_EQ(**process_->ask("a", Balance{}), 5);
}

TEST_F(DurabilityTest, AnErrorThatIsReturnedCommitsLikeAnyResult) {
  auto failed = process_->ask("a", Fail{false}, "key");
  EXPECT_EQ(failed->error().code(), Code::kOutOfRange);
  EXPECT_EQ(**process_->ask("a", Balance{}), 1'000);
  restart();
  auto again = process_->ask("a", Fail{false}, "key");
  EXPECT_EQ(again->error().code(), Code::kOutOfRange);
  EXPECT_EQ(again->error().message(), "no");
  EXPECT_EQ(**process_->ask("a", Balance{}), 1'000);
}

TEST_F(DurabilityTest, ADuplicateGetsTheWholeErrorOfTheFirstWithItsCauseAndItsCut) {
  int row = 0;
  for (const auto& [text, cause] : std::vector<std::pair<std::string, std::string>>{
           {"short", "the cause"},
           {std::string(5000, 'x'), "cut away"},
           {"short", std::string(5000, 'y')},
           {std::string(kErrorTextBytesMax - 4, 'x') + "\u20ac", "the cut is inside a character"}}) {
    const std::string key = "key" + std::to_string(row++);
    auto first = process_->ask("a", Refuse{text, cause}, key);
    EXPECT_LE(first->error().message().size(), kErrorTextBytesMax);
    if (text.size() + cause.size() < 100) {
      EXPECT_EQ(first->error().message(), "short; because the cause; because and that too");
    } else {
      EXPECT_TRUE(first->error().message().ends_with("...")) << first->error().message();
      EXPECT_TRUE(is_utf8(first->error().message()));
    }
    auto same = [&](const Error& error) {
      return error.to_string() == first->error().to_string() && error.retry() == first->error().retry();
    };
    EXPECT_TRUE(same(process_->ask("a", Refuse{text, cause}, key)->error()));
    restart();
    EXPECT_TRUE(same(process_->ask("a", Refuse{text, cause}, key)->error()));
  }
}

TEST_F(DurabilityTest, AnInputWhoseHandlerThrowsIsTriedAgainThenParkedAndLeavesNothing) {
  EXPECT_EQ(**process_->ask("a", Add{7}), 7);
  Account::attempts = 0;
  auto failed = process_->ask("a", Fail{true}, "key");
  EXPECT_EQ(failed->error().code(), Code::kInternal);
  EXPECT_NE(failed->error().message().find("given up after 3 attempts"), std::string::npos);
  EXPECT_EQ(Account::attempts, 3);
  EXPECT_EQ(**process_->ask("a", Add{1}), 8);
  auto again = process_->ask("a", Fail{true}, "key");  // parked for good: the answer is the error
  EXPECT_EQ(again->error().message(), failed->error().message());
  EXPECT_EQ(Account::attempts, 3);
  EXPECT_EQ(process_->durability.stats().parked, 1u);
}

TEST_F(DurabilityTest, MessagesBetweenActorsArriveOnceAndTheOutboxEmpties) {  // INV-J5
  EXPECT_EQ(**process_->ask("a", Add{10}), 10);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(*process_->ask("a", Transfer{"b", 2}, "t" + std::to_string(i)));
  process_->settle();
  EXPECT_EQ(process_->durability.outbox_pending(), 0u);
  EXPECT_EQ(rows(store::Table::kOutbox), 0u);
  EXPECT_EQ(**process_->ask("a", Balance{}), 2);
  EXPECT_EQ(**process_->ask("b", Balance{}), 8);
  EXPECT_EQ(process_->durability.stats().resent, 0u);
}

TEST_F(DurabilityTest, AnActorMaySendToItself) {
  EXPECT_EQ(**process_->ask("a", Transfer{"a", 5}), -5);
  process_->settle();
  EXPECT_EQ(**process_->ask("a", Balance{}), 0);
  EXPECT_EQ(process_->durability.outbox_pending(), 0u);
}

TEST_F(DurabilityTest, ADeletionLeavesATombstoneThatLateRetriesCannotWake) {
  EXPECT_EQ(**process_->ask("a", Add{5}, "key-1"), 5);
  EXPECT_TRUE(process_->erase_and_wait("a", "delete-1")->has_value());
  EXPECT_TRUE(stored("a").deleted);
  EXPECT_EQ(**process_->ask("a", Balance{}), 0);
  EXPECT_EQ(**process_->ask("a", Add{5}, "key-1"), 5);  // the late retry: its old answer, nothing created
  EXPECT_TRUE(stored("a").deleted);
  restart();
  EXPECT_EQ(**process_->ask("a", Add{5}, "key-1"), 5);
  EXPECT_TRUE(stored("a").deleted);
  EXPECT_TRUE(process_->erase_and_wait("a", "delete-1")->has_value());
  EXPECT_EQ(**process_->ask("a", Add{3}, "key-2"), 3);  // a new life
  EXPECT_FALSE(stored("a").deleted);
  EXPECT_EQ(stored("a").incarnation, 2u);
}

TEST_F(DurabilityTest, AnIdleActorIsPassivatedAndLoadedAgainWithItsState) {
  restart({}, {.idle_timeout = 5min});
  EXPECT_EQ(**process_->ask("a", Add{5}), 5);
  EXPECT_EQ(process_->runtime.stats().actors, 1u);
  process_->settle(4min);
  EXPECT_EQ(process_->runtime.stats().actors, 1u);
  process_->settle(7min);
  EXPECT_EQ(process_->runtime.stats().actors, 0u);
  EXPECT_EQ(**process_->ask("a", Add{1}), 6);
  EXPECT_EQ(process_->durability.stats().activations_loaded, 2u);
}

TEST_F(DurabilityTest, ACommitThatFailsAnswersUnknownAndNothingMoreIsServed) {  // INV-J3
  EXPECT_EQ(**process_->ask("a", Add{5}, "key-1"), 5);
  store_->fail_with(Error(Code::kUnknown, "sync failed"));
  auto lost = process_->ask("a", Add{1}, "key-2");
  EXPECT_EQ(lost->error().code(), Code::kUnknown);
  EXPECT_TRUE(process_->store_failed);
  EXPECT_FALSE(process_->durability.readiness());
  auto later = process_->ask("a", Balance{});
  ASSERT_TRUE(later);
  EXPECT_FALSE(*later);
  restart();
  EXPECT_EQ(**process_->ask("a", Balance{}), 5);
  EXPECT_EQ(**process_->ask("a", Add{1}, "key-2"), 6);
}

TEST_F(DurabilityTest, AStateThatIsTooLargeIsAnErrorAndTheActorGoesOnAsItWas) {
  EXPECT_EQ(**process_->ask("a", Add{5}), 5);
  auto grown = process_->ask("a", Grow{2 << 20}, "key");
  EXPECT_EQ(grown->error().code(), Code::kResourceExhausted);
  EXPECT_EQ(**process_->ask("a", Add{1}), 6);
  EXPECT_EQ(**process_->ask("a", Grow{1000}), 1000);
}

TEST_F(DurabilityTest, AnAnswerIsForgottenAfterItsTimeAndThenTheKeyIsANewRequest) {
  restart({.outcome_retention = 1h}, {.idle_timeout = 100h});
  EXPECT_EQ(**process_->ask("a", Add{5}, "key"), 5);
  process_->settle(30min);
  EXPECT_EQ(**process_->ask("a", Add{5}, "key"), 5);
  process_->settle(2h);
  EXPECT_EQ(**process_->ask("a", Add{5}, "key"), 10);
  process_->settle(2h);
  EXPECT_EQ(**process_->ask("a", Add{1}), 11);
  EXPECT_EQ(rows(store::Table::kOutcome), 0u);  // erased beside a later turn
}

TEST_F(DurabilityTest, AKeyThatTellsItsAgeIsRefusedWhenItsAnswerMayBeForgotten) {
  // A UUIDv7 of 2020; the simulated wall clock is later.
  auto old = process_->ask("a", Add{5}, "01700000-0000-7000-8000-000000000000");
  EXPECT_EQ(old->error().domain(), "PLX-DUR-0003");
  EXPECT_EQ(**process_->ask("a", Balance{}), 0);
}

TEST_F(DurabilityTest, KeyedRequestsBeyondTheBoundOfRememberedAnswersAreRefused) {
  restart({.outcomes_max = 3});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(*process_->ask("a", Add{1}, std::to_string(i)));
  EXPECT_EQ(process_->ask("a", Add{1}, "3")->error().code(), Code::kResourceExhausted);
  EXPECT_EQ(**process_->ask("a", Add{1}, "0"), 1);
  EXPECT_EQ(**process_->ask("a", Balance{}), 3);
}

TEST_F(DurabilityTest, ManyTurnsRunAheadOfTheStoreUpToTheirBound) {
  restart({.uncommitted_turns_max = 4});
  reset_probes();
  std::vector<std::int64_t> answers;
  for (int i = 0; i < 50; ++i)
    process_->send<Add>("a", {1}, std::to_string(i), [&](auto answer) { answers.push_back(*answer); });
  process_->settle();
  ASSERT_EQ(answers.size(), 50u);
  for (std::size_t i = 0; i < answers.size(); ++i) EXPECT_EQ(answers[i], static_cast<std::int64_t>(i + 1));
  EXPECT_GT(times_reached(Probe::kCommitsPaused), 0u);
}

TEST_F(DurabilityTest, ADurableTypeMustHaveAStateAndMayNotWait) {
  class Stateless : public GenServer<Stateless, Balance> {
   public:
    std::int64_t handle(const Balance&, Context&) const { return 0; }
  };
  class Waiting : public GenServer<Waiting, Balance>, public Stateful<AccountState> {
   public:
    Task<std::int64_t> handle(const Balance&, Context&) { co_return 0; }
  };
  auto start = [&](auto add) {
    sim::SimExecutor executor(world_, {});
    Types types;
    add(types);
    Runtime runtime(executor, types);
    store::MemoryStore store(contents_);
    Durability durability(runtime, store, world_.clock, world_.random);
    return runtime.start();
  };
  EXPECT_EQ(start([](Types& types) { types.add<Stateless>("x", {.facets = {durable()}}); }).error().domain(),
            "PLX-DUR-0013");
  EXPECT_EQ(start([](Types& types) { types.add<Waiting>("x", {.facets = {durable()}}); }).error().domain(),
            "PLX-ACT-0014");
  EXPECT_EQ(start([](Types& types) { types.add<Account>("x", {.facets = {{"durible", {}}}}); }).error().domain(),
            "PLX-ACT-0015");
}

TEST_F(DurabilityTest, TextsFromOutsideNeedNotBeUtf8) {
  std::string text = "\xff\xfe broken";
  for (int i = 0; i < 2; ++i) {
    auto rejected = process_->ask("a", Reject{{text}}, "key");
    EXPECT_EQ(rejected->error().message(), text);
    restart();
  }
  EXPECT_EQ(**process_->ask("\xff\xfe", Transfer{"b", 5}), -5);
  process_->settle();
  restart();
  EXPECT_EQ(**process_->ask("\xff\xfe", Balance{}), -5);
  EXPECT_EQ(**process_->ask("b", Balance{}), 5);
}

TEST_F(DurabilityTest, AMessageToAnImpossibleKeyIsRefusedAndHarmsNobody) {
  EXPECT_EQ(**process_->ask("a", Transfer{"", 5}), -5);
  EXPECT_EQ(**process_->ask("a", Transfer{std::string("x\0y", 3), 5}), -10);
  EXPECT_EQ(**process_->ask("a", Transfer{std::string(300, 'k'), 5}), -15);
  EXPECT_EQ(process_->durability.outbox_pending(), 0u);
  EXPECT_EQ(process_->runtime.stats().dead(DeadLetterReason::kNoActor), 3u);
  restart();
  EXPECT_EQ(**process_->ask("a", Balance{}), -15);
}

TEST_F(DurabilityTest, AReadThatArrivesAsAMessageIsAnInputLikeAnyOther) {  // INV-J5
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(*process_->ask("a", Inquire{"b"}));
  process_->settle(1min);
  EXPECT_EQ(process_->durability.outbox_pending(), 0u);
  EXPECT_EQ(**process_->ask("a", Balance{}), 3);
  // A pair that has read goes on.
  EXPECT_TRUE(*process_->ask("a", Transfer{"b", 2}));
  process_->settle();
  EXPECT_EQ(**process_->ask("b", Balance{}), 2);
  EXPECT_EQ(process_->durability.stats().resent, 0u);
}

TEST_F(DurabilityTest, ATimedKeyIsRefusedOnceItsAnswerHasBeenForgotten) {
  restart({.outcome_retention = 1h}, {.idle_timeout = 100h});
  auto ms = static_cast<unsigned long long>(world_.clock.wall_now().time_since_epoch().count());
  char key[40];
  std::snprintf(key, sizeof(key), "%08llx-%04llx-7000-8000-000000000000", ms >> 16, ms & 0xffff);
  EXPECT_EQ(**process_->ask("a", Add{5}, key), 5);
  process_->settle(2h);
  EXPECT_EQ(process_->ask("a", Add{5}, key)->error().domain(), "PLX-DUR-0003");
  EXPECT_EQ(**process_->ask("a", Balance{}), 5);
}

TEST_F(DurabilityTest, ATurnThatSendsTooMuchIsAnErrorAndTheActorGoesOn) {
  auto refused = process_->ask("a", Burst{20, 1'000'000}, "key");
  EXPECT_EQ(refused->error().domain(), "PLX-DUR-0009");
  EXPECT_EQ(**process_->ask("a", Burst{5, 1'000'000}), 1);
  process_->settle();
  EXPECT_EQ(process_->durability.outbox_pending(), 0u);
  EXPECT_EQ(process_->ask("a", Burst{20, 1'000'000}, "key")->error().domain(), "PLX-DUR-0009");
}

TEST_F(DurabilityTest, RememberedAnswersMakeRoomAfterTheirTime) {
  restart({.outcome_retention = 1h, .outcomes_max = 3}, {.idle_timeout = 100h});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(*process_->ask("a", Add{1}, std::to_string(i)));
  EXPECT_FALSE(*process_->ask("a", Add{1}, "3"));
  process_->settle(2h);
  EXPECT_EQ(**process_->ask("a", Add{1}, "3"), 4);
}

TEST_F(DurabilityTest, AFullOutboxRefusesTurnsThatSendAndNoOthers) {
  EXPECT_TRUE(*process_->ask("a", Add{1}));
  restart({.outbox_messages_max = 2});
  process_->send<Burst>("a", {2, 10}, "", [](auto) {});
  process_->settle();
  EXPECT_EQ(process_->ask("a", Burst{3, 10})->error().domain(), "PLX-DUR-0008");
  EXPECT_EQ(**process_->ask("a", Add{1}), 3);
}

TEST_F(DurabilityTest, AnActorThatStopsItselfStillAnswersAndSends) {
  EXPECT_EQ(**process_->ask("a", Add{7}), 7);
  EXPECT_EQ(**process_->ask("a", Leave{"b"}, "leave"), 7);
  process_->settle();
  EXPECT_EQ(process_->durability.outbox_pending(), 0u);
  EXPECT_EQ(**process_->ask("b", Balance{}), 7);
  EXPECT_EQ(**process_->ask("a", Add{1}), 1);  // a new activation
  EXPECT_EQ(**process_->ask("a", Leave{"b"}, "leave"), 7);
}

TEST_F(DurabilityTest, AnActorWhoseConstructorThrowsIsAnErrorToItsAskers) {
  static bool broken = true;
  struct Fragile : GenServer<Fragile, Balance>, Stateful<AccountState> {
    Fragile() {
      if (broken) throw std::runtime_error("not today");
    }
    std::int64_t handle(const Balance&, Context&) const { return 1; }
  };
  process_->types.add<Fragile>("fragile", {.facets = {durable()}});
  std::vector<Result<std::int64_t>> answers;
  auto ask = [&] {
    Delivery delivery{{"default", "default", "fragile", "x"}, {}, false, 0};
    auto* envelope = detail::make_keyed_envelope(nullptr, message_info<Balance>(), std::move(delivery));
    envelope->flags |= detail::Envelope::kAsk | detail::Envelope::kSink;
    envelope->sender = reinterpret_cast<std::uint64_t>(
        make_sink([&](Answer answer) { answers.push_back(answer.take<std::int64_t>()); }).release());
    static_cast<void>(process_->runtime.deliver(envelope));
    process_->settle();
  };
  ask();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].error().code(), Code::kInternal);
  broken = false;
  ask();
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[1], 1);
}

// A later version of the state, with a field that this one does not know.
struct WiderState {
  std::int64_t balance = 0;
  std::int64_t credits = 0;
  std::string ballast;
  std::string note;
};
PLX_MESSAGE(WiderState, (1, balance), (2, credits), (3, ballast), (9, note));

TEST_F(DurabilityTest, FieldsOfTheStateThatThisVersionDoesNotKnowAreKept) {
  EXPECT_EQ(**process_->ask("a", Add{5}), 5);
  WiderState wider = *decode<WiderState>(stored_value("a").tail);
  wider.note = "from the future";
  set_state("a", encode(wider));
  restart();
  EXPECT_EQ(**process_->ask("a", Add{1}), 6);
  wider = *decode<WiderState>(stored_value("a").tail);
  EXPECT_EQ(wider.note, "from the future");
  EXPECT_EQ(wider.balance, 6);
}

TEST_F(DurabilityTest, AStoredStateThatCannotBeReadIsDataLossForThatActorAlone) {
  EXPECT_EQ(**process_->ask("a", Add{5}), 5);
  EXPECT_EQ(**process_->ask("b", Add{6}), 6);
  set_state("a", "\xff\xff\xff");
  restart();
  EXPECT_EQ(process_->ask("a", Balance{})->error().code(), Code::kDataLoss);
  EXPECT_EQ(process_->ask("a", Add{1})->error().code(), Code::kDataLoss);
  EXPECT_EQ(**process_->ask("b", Balance{}), 6);
}

TEST(TimeOfKeyTest, ReadsUuidsOfVersion7AndUlids) {
  EXPECT_EQ(time_of_key("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"), WallTime(1'645'557'742'000ms));
  EXPECT_EQ(time_of_key("01ARZ3NDEKTSV4RRFFQ69G5FAV"), WallTime(1'469'922'850'259ms));
  EXPECT_EQ(time_of_key("017f22e2-79b0-4cc3-98c4-dc0c0c07398f"), std::nullopt);  // version 4
  EXPECT_EQ(time_of_key("row-17"), std::nullopt);
}

}  // namespace
}  // namespace plexspaces::durability
