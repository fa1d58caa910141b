// Messages between durable actors when a receiver is slow, away or broken, and when a sender stops.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plexspaces/durable/durability_fixture.hpp"
#include "plexspaces/durable/records.hpp"
#include "plexspaces/store/memory_store.hpp"

namespace plexspaces::durability {
namespace {

using namespace testing_support;

class DurableMessagesTest : public testing::Test {
 protected:
  DurableMessagesTest() : world_(42), contents_(std::make_shared<store::MemoryContents>(world_.random)) { restart(); }
  ~DurableMessagesTest() override { Account::unlucky = 0; }

  void restart(DurableOptions durable_options = {}, VirtualActorOptions virtual_options = {},
               RuntimeOptions runtime_options = {}) {
    process_.reset();
    process_ = std::make_unique<Process>(world_, std::make_unique<store::MemoryStore>(contents_), durable_options,
                                         virtual_options, std::move(runtime_options));
    process_->runtime.set_log([this](const std::string& line) { log_.push_back(line); });
    Status started = process_->start();
    ASSERT_TRUE(started) << started.error().to_string();
  }
  std::int64_t balance(const std::string& key) {
    auto answer = process_->ask(key, Balance{});
    return answer && *answer ? **answer : -1'000'000;
  }
  std::vector<DeadLetter> dead_letters() {
    auto letters = std::make_shared<std::optional<std::vector<DeadLetter>>>();
    process_->durability.list_dead_letters([letters](auto listed) { *letters = *listed; });
    process_->executor.run_until([&] { return letters->has_value(); }, 100'000);
    return **letters;
  }
  Status end_dead_letter(const std::string& owner, std::uint64_t number, bool again) {
    auto ended = std::make_shared<std::optional<Status>>();
    process_->durability.end_dead_letter(account(owner), number, again, [ended](Status status) { *ended = status; });
    process_->executor.run_until([&] { return ended->has_value(); }, 100'000);
    return **ended;
  }
  // Changes the only row of the outbox while no process runs.
  void change_outbox(const std::function<void(std::string& key, Value<StoredMessage>& message)>& change) {
    auto& rows = contents_->tables[store::Table::kOutbox];
    ASSERT_EQ(rows.size(), 1u);
    std::string key = rows.begin()->first;
    auto message = *from_value<StoredMessage>(rows.begin()->second, "message");
    change(key, message);
    rows.clear();
    rows[key] = to_value(message.header, message.tail);
  }

  sim::World world_;
  std::shared_ptr<store::MemoryContents> contents_;
  std::vector<std::string> log_;
  std::unique_ptr<Process> process_;
};

TEST_F(DurableMessagesTest, ABusyReceiverDoesNotKeepAMessageToAnotherFromBeingSentAgain) {
  // The first message to b is lost with the process.
  EXPECT_EQ(**process_->ask("b", Add{1}), 1);
  std::string row = contents_->tables[store::Table::kActor].at(store::actor_row(account("b")));
  contents_->tables[store::Table::kActor][store::actor_row(account("b"))] =
      to_value(StoredActor{1, false, 0, "other", 0});
  restart();
  EXPECT_TRUE(*process_->ask("a", Transfer{"b", 5}));
  process_->settle(100ms);
  contents_->tables[store::Table::kActor][store::actor_row(account("b"))] = row;
  for (int i = 0; i < 600; ++i) {
    EXPECT_TRUE(*process_->ask("a", Transfer{"c", 1}));
    process_->settle(100ms);
  }
  EXPECT_EQ(process_->durability.outbox_pending(), 0u);
  EXPECT_EQ(balance("b"), 6);
  EXPECT_EQ(balance("c"), 600);
}

TEST_F(DurableMessagesTest, ABacklogForABusyReceiverIsSentOnce) {
  restart({}, {}, {.mailbox_messages_max = 300});
  for (int i = 0; i < 5; ++i) process_->send<Burst>("a", {4'000, 1}, "", [](auto) {});
  process_->settle(10min);
  EXPECT_EQ(process_->durability.outbox_pending(), 0u);
  EXPECT_EQ(process_->durability.stats().resent, 0u);
  EXPECT_EQ(process_->durability.stats().duplicates, 0u);
}

TEST_F(DurableMessagesTest, AMessageWhoseHandlerThrowsHoldsOnlyItsLaneAndThenIsADeadLetter_INV_M5) {
  Account::unlucky = 13;
  Account::attempts = 0;
  EXPECT_TRUE(*process_->ask("a", Transfer{"b", 13}));
  EXPECT_TRUE(*process_->ask("a", Transfer{"b", 5}));
  process_->settle(1s);
  EXPECT_EQ(balance("b"), 0);  // it serves, and the lane of a waits
  EXPECT_TRUE(*process_->ask("c", Transfer{"b", 2}));
  process_->settle(1s);
  EXPECT_EQ(balance("b"), 2);
  EXPECT_EQ(process_->durability.outbox_pending(), 2u);
  process_->settle(3min);
  EXPECT_EQ(balance("b"), 7);
  EXPECT_EQ(Account::attempts, 10);
  EXPECT_EQ(process_->durability.outbox_pending(), 0u);
  EXPECT_EQ(process_->durability.dead_letters(), 1u);
  EXPECT_THAT(log_, testing::Contains(testing::HasSubstr("number 1 of default/default/account/a is a dead letter")));
  restart();
  EXPECT_EQ(process_->durability.dead_letters(), 1u);
  EXPECT_THAT(process_->durability.stuck(), testing::HasSubstr("1 dead letters"));
  ASSERT_EQ(dead_letters().size(), 1u);
  DeadLetter letter = dead_letters().front();
  EXPECT_EQ(letter.owner, "default/default/account/b");
  EXPECT_EQ(letter.sender, "default/default/account/a");
  EXPECT_EQ(letter.attempts, 10u);
  EXPECT_THAT(letter.cause, testing::HasSubstr("on purpose"));
}

TEST_F(DurableMessagesTest, ADeadLetterIsSentAgainOnceOrDropped) {
  Account::unlucky = 13;
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(*process_->ask("a", Transfer{"b", 13}));
  process_->settle(3min);
  ASSERT_EQ(dead_letters().size(), 2u);
  Account::unlucky = 0;
  restart();
  EXPECT_TRUE(end_dead_letter("b", 1, /*again=*/true));
  process_->settle();
  EXPECT_EQ(balance("b"), 13);
  EXPECT_EQ(end_dead_letter("b", 1, true).error().code(), Code::kNotFound);
  EXPECT_TRUE(end_dead_letter("b", 2, /*again=*/false));
  restart();
  process_->settle(1min);
  EXPECT_EQ(balance("b"), 13);
  EXPECT_EQ(process_->durability.dead_letters(), 0u);
  EXPECT_EQ(process_->durability.outbox_pending(), 0u);
  EXPECT_EQ(process_->durability.stuck(), "");
}

TEST_F(DurableMessagesTest, BeyondTheLimitOfDeadLettersAMessageIsTriedForEverAndNotLost) {
  restart({.message_attempts_max = 2, .dead_letters_max = 1});
  Account::unlucky = 13;
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(*process_->ask("a", Transfer{"b", 13}));
  process_->settle(10min);
  EXPECT_EQ(process_->durability.dead_letters(), 1u);
  EXPECT_EQ(process_->durability.outbox_pending(), 1u);
  Account::unlucky = 0;
  process_->settle(2min);
  EXPECT_EQ(balance("b"), 13);
}

TEST_F(DurableMessagesTest, AMessageThatItsReceiverDoesNotKnowAnyMoreIsADeadLetterAndTheLaneGoesOn_INV_M5) {
  EXPECT_TRUE(*process_->ask("a", Transfer{"b", 5}));
  process_.reset();
  change_outbox([](std::string&, Value<StoredMessage>& message) { message.header.type = "Dropped"; });
  contents_->tables[store::Table::kPeer].erase(sender_row(store::actor_row(account("b")), account("a")));
  contents_->tables[store::Table::kActor].erase(store::actor_row(account("b")));
  restart();
  EXPECT_TRUE(*process_->ask("a", Transfer{"b", 3}));
  process_->settle(1min);
  EXPECT_EQ(balance("b"), 3);
  EXPECT_EQ(process_->durability.outbox_pending(), 0u);
  EXPECT_EQ(process_->durability.stats().unsendable, 1u);
  ASSERT_EQ(dead_letters().size(), 1u);
  EXPECT_EQ(dead_letters().front().owner, "default/default/account/a");
  EXPECT_THAT(dead_letters().front().cause, testing::HasSubstr("does not handle 'Dropped'"));
  EXPECT_THAT(log_, testing::Contains(testing::HasSubstr("PLX-DUR-0019")));
}

TEST_F(DurableMessagesTest, AMessageForATypeThatIsNoLongerDurableIsADeadLetter_INV_M5) {
  EXPECT_TRUE(*process_->ask("a", Transfer{"b", 5}));
  process_.reset();
  change_outbox([](std::string&, Value<StoredMessage>& message) { message.header.receiver.type.data = "till"; });
  Till::credits = 0;
  restart();
  process_->settle(1min);
  EXPECT_EQ(Till::credits, 0) << "it would be handled again each time that it is sent";
  EXPECT_EQ(process_->durability.outbox_pending(), 0u);
  ASSERT_EQ(dead_letters().size(), 1u);
  EXPECT_THAT(dead_letters().front().cause, testing::HasSubstr("'till' is not durable"));
}

TEST_F(DurableMessagesTest, WithoutRoomForDeadLettersAMessageThatCannotBeSentWaitsAndTheLogSaysSo) {
  restart({.dead_letters_max = 1});
  for (const char* to : {"b", "c"}) EXPECT_TRUE(*process_->ask("a", Transfer{to, 5}));
  process_.reset();
  auto& rows = contents_->tables[store::Table::kOutbox];
  ASSERT_EQ(rows.size(), 2u);
  for (auto& [key, value] : rows) {
    auto message = *from_value<StoredMessage>(value, "message");
    message.header.type = "Dropped";
    value = to_value(message.header, message.tail);
  }
  for (const char* receiver : {"b", "c"}) {
    contents_->tables[store::Table::kPeer].erase(sender_row(store::actor_row(account(receiver)), account("a")));
    contents_->tables[store::Table::kActor].erase(store::actor_row(account(receiver)));
  }
  restart({.dead_letters_max = 1});
  process_->settle(1min);
  EXPECT_EQ(process_->durability.outbox_pending(), 1u);
  ASSERT_EQ(dead_letters().size(), 1u);
  EXPECT_THAT(log_, testing::Contains(testing::HasSubstr("there is no room for another dead letter")));
  EXPECT_TRUE(end_dead_letter("a", dead_letters().front().number, false));
  process_->settle(5min);
  EXPECT_EQ(process_->durability.outbox_pending(), 0u) << "it went on when there was room";
  EXPECT_EQ(dead_letters().size(), 1u);
}

TEST_F(DurableMessagesTest, MessagesOfATypeThatIsGoneStayInTheOutboxAndTheNodeStarts) {
  EXPECT_TRUE(*process_->ask("a", Transfer{"b", 5}));
  process_.reset();
  change_outbox([](std::string& key, Value<StoredMessage>&) {
    key = outbox_row(store::actor_row(ActorKey{"default", "default", "ghost", "x"}), 1);
  });
  restart();
  process_->settle(1min);
  EXPECT_EQ(process_->durability.outbox_pending(), 1u);
  EXPECT_THAT(process_->durability.stuck(), testing::HasSubstr("such as default/default/ghost/x"));
  EXPECT_THAT(log_, testing::Contains(testing::HasSubstr("the program has no durable type 'ghost'")));
  EXPECT_TRUE(*process_->ask("c", Transfer{"d", 5}));
  process_->settle();
  EXPECT_EQ(balance("d"), 5);
}

TEST_F(DurableMessagesTest, AnAcknowledgementDoesNotWriteTheStateAgain) {
  EXPECT_TRUE(*process_->ask("a", Transfer{"b", 1}));
  std::string& row = contents_->tables[store::Table::kActor][account("a").to_row()];
  std::string kept = std::exchange(row, "not written again");
  process_->settle(1s);
  EXPECT_TRUE(contents_->tables[store::Table::kOutbox].empty());
  EXPECT_EQ(row, "not written again");
  row = kept;
}

TEST_F(DurableMessagesTest, ABrokenReceiverDoesNotFillTheOutboxForOthers) {
  restart({.receiver_messages_max = 2});
  Account::unlucky = 13;
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(*process_->ask("a", Transfer{"b", 13}));
  EXPECT_EQ(process_->ask("a", Transfer{"b", 13})->error().domain(), "PLX-DUR-0008");
  EXPECT_TRUE(*process_->ask("a", Transfer{"c", 4}));
  process_->settle(100ms);
  EXPECT_EQ(balance("c"), 4);
}

TEST_F(DurableMessagesTest, AnActorThatTellsItselfAndStopsEndsAndTheMessageArrives) {
  restart({}, {.idle_timeout = 1min});
  EXPECT_EQ(**process_->ask("a", Add{7}), 7);
  EXPECT_EQ(**process_->ask("a", Leave{"a"}), 7);
  process_->settle();
  EXPECT_EQ(balance("a"), 7);
  EXPECT_EQ(process_->durability.outbox_pending(), 0u);
  process_->settle(3min);
  EXPECT_EQ(process_->runtime.stats().actors, 0u);
}

TEST_F(DurableMessagesTest, TwoThatStopWhileEachHasSentToTheOtherBothEnd) {
  restart({}, {.idle_timeout = 1min});
  EXPECT_EQ(**process_->ask("a", Add{7}), 7);
  EXPECT_EQ(**process_->ask("b", Add{5}), 5);
  process_->send<Leave>("a", {"b"}, "", [](auto) {});
  process_->send<Leave>("b", {"a"}, "", [](auto) {});
  process_->settle(30s);
  EXPECT_EQ(process_->durability.outbox_pending(), 0u);
  EXPECT_EQ(balance("a") + balance("b"), 12);
  process_->settle(3min);
  EXPECT_EQ(process_->runtime.stats().actors, 0u);
}

TEST_F(DurableMessagesTest, ASenderWhoseReceiverIsBrokenEndsWhenItIsStoppedAndItsMessageIsNotLost) {
  Account::unlucky = 7;
  EXPECT_EQ(**process_->ask("a", Add{7}), 7);
  EXPECT_EQ(**process_->ask("a", Leave{"b"}), 7);
  EXPECT_EQ(**process_->ask("a", Add{1}), 1);  // a new activation
  process_->settle(5s);
  EXPECT_EQ(process_->durability.outbox_pending(), 1u);
  Account::unlucky = 0;
  process_->settle(1min);
  EXPECT_EQ(balance("b"), 7);
  EXPECT_EQ(process_->durability.outbox_pending(), 0u);
}

}  // namespace
}  // namespace plexspaces::durability
