#include "plexspaces/durable/outbox.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "plexspaces/sim/random.hpp"

namespace plexspaces::durability {
namespace {

using Sequences = std::vector<std::uint64_t>;

const ActorKey kAda{"default", "default", "account", "ada"};
const ActorKey kBob{"default", "default", "account", "bob"};

class OutboxTest : public testing::Test {
 protected:
  void add(const ActorKey& receiver, int count = 1) {
    for (int i = 0; i < count; ++i) {
      const Outbox::Message& message = outbox_.add(receiver, ++id_, {}, "payload");
      outbox_.committed(receiver, message.header.sequence);
    }
  }
  // Sends all that may be sent.
  Sequences send(const ActorKey& receiver) {
    Sequences sent;
    while (const Outbox::Message* message = outbox_.take_next(receiver, now_)) sent.push_back(message->header.sequence);
    return sent;
  }
  // Lets the time pass until something is due.
  std::vector<ActorKey> wait() {
    std::vector<ActorKey> due;
    while (due.empty() && outbox_.next_due() != kNever) {
      now_ = std::max(now_, outbox_.next_due());
      due = outbox_.take_due(now_);
    }
    return due;
  }
  static Sequences range(std::uint64_t first, std::uint64_t last) {
    Sequences all;
    for (std::uint64_t sequence = first; sequence <= last; ++sequence) all.push_back(sequence);
    return all;
  }

  DurableOptions options_;
  sim::SimRandom random_{7};
  Outbox outbox_{options_, random_};
  TimePoint now_ = TimePoint(1h);
  std::uint64_t id_ = 0;
};

TEST_F(OutboxTest, MessagesHaveSequencesWithoutGapsAndWaitForTheirCommits) {
  EXPECT_EQ(outbox_.add(kAda, 1, {}, "").header.sequence, 1u);
  EXPECT_EQ(outbox_.add(kAda, 2, {}, "").header.sequence, 2u);
  EXPECT_EQ(outbox_.add(kBob, 3, {}, "").header.sequence, 1u);
  EXPECT_TRUE(send(kAda).empty());
  outbox_.committed(kAda, 1);
  EXPECT_EQ(send(kAda), range(1, 1));
  EXPECT_TRUE(send(kAda).empty());
  EXPECT_EQ(outbox_.acknowledged(kAda, 1, now_), Sequences{1});
  EXPECT_EQ(outbox_.size(), 2u);
}

TEST_F(OutboxTest, OneThatIsBusyDoesNotKeepTheMessagesOfAnotherFromBeingSentAgain) {
  add(kBob);
  send(kBob);
  TimePoint began = now_;
  // Ada acknowledges every 100 ms, for a minute.
  for (int i = 0; i < 600 && outbox_.lowest_unacknowledged(kBob) == 1; ++i) {
    now_ += 100ms;
    add(kAda);
    send(kAda);
    for (const ActorKey& receiver : outbox_.take_due(now_))
      if (receiver == kBob) {
        EXPECT_EQ(send(kBob), range(1, 1));
        outbox_.acknowledged(kBob, 1, now_);
      }
    outbox_.acknowledged(kAda, outbox_.last_sequence(kAda), now_);
  }
  EXPECT_TRUE(outbox_.empty());
  EXPECT_LE(now_ - began, options_.resend_after * 5 / 4 + 100ms);
}

TEST_F(OutboxTest, ABacklogIsSentOnceHoweverSlowlyItsReceiverWorks) {
  add(kAda, 20'000);
  std::size_t sent = send(kAda).size();
  EXPECT_LE(sent, Outbox::kWindowMax);
  for (std::uint64_t acknowledged = 1; !outbox_.empty(); ++acknowledged) {
    now_ += 5ms;
    if (!outbox_.take_due(now_).empty()) ADD_FAILURE() << "at " << acknowledged;
    outbox_.acknowledged(kAda, acknowledged, now_);
    sent += send(kAda).size();
  }
  EXPECT_EQ(sent, 20'000u);
}

TEST_F(OutboxTest, TheWindowWidensWithAcknowledgementsUpToItsLimit) {
  add(kAda, 10'000);
  std::uint64_t last = send(kAda).back();
  EXPECT_EQ(last, Outbox::kWindowFirst);
  for (int i = 0; i < 7; ++i) {
    outbox_.acknowledged(kAda, last, now_);
    last = send(kAda).back();
  }
  outbox_.acknowledged(kAda, last, now_);
  EXPECT_EQ(send(kAda).size(), Outbox::kWindowMax);
}

TEST_F(OutboxTest, WithoutAcknowledgementOneMessageIsSentAtTimesThatDoubleWithJitter) {
  add(kAda, 10);
  send(kAda);
  TimePoint last = now_;
  bool jitter = false;
  for (Duration expected : {1s, 2s, 4s, 8s, 16s, 30s, 30s}) {
    EXPECT_EQ(wait(), std::vector{kAda});
    EXPECT_GE(now_ - last, expected);
    EXPECT_LE(now_ - last, expected * 5 / 4);
    jitter |= now_ - last != expected;
    EXPECT_EQ(send(kAda), range(1, 1));
    last = now_;
  }
  EXPECT_TRUE(jitter);
  // The receiver is back: what it has not acknowledged is sent again, ever more at a time.
  outbox_.acknowledged(kAda, 1, now_);
  EXPECT_EQ(outbox_.resend_after(kAda), 1s);
  EXPECT_EQ(send(kAda), range(2, 3));
  outbox_.acknowledged(kAda, 3, now_);
  EXPECT_EQ(send(kAda), range(4, 7));
}

TEST_F(OutboxTest, TheTimeFollowsTheRoundTripOfMessagesThatWereSentOnce) {
  for (int i = 0; i < 50; ++i) {
    add(kAda);
    send(kAda);
    now_ += 4s;
    outbox_.take_due(now_);
    if (i > 0) send(kAda);
    outbox_.acknowledged(kAda, outbox_.last_sequence(kAda), now_);
    if (i == 0) EXPECT_EQ(outbox_.resend_after(kAda), 12s);
  }
  EXPECT_GE(outbox_.resend_after(kAda), 4s);
  EXPECT_LE(outbox_.resend_after(kAda), 5s);
}

TEST_F(OutboxTest, AnAcknowledgementOfAMessageThatWasSentTwiceMeasuresNothing) {
  add(kAda);
  send(kAda);
  now_ += 20s;
  outbox_.take_due(now_);
  send(kAda);
  outbox_.acknowledged(kAda, 1, now_ + 20s);
  EXPECT_EQ(outbox_.resend_after(kAda), options_.resend_after);
}

TEST_F(OutboxTest, AfterAGapAllIsSentAgainFromIt) {
  add(kAda, 5);
  send(kAda);
  outbox_.missed(kAda, 3, now_);
  EXPECT_EQ(outbox_.lowest_unacknowledged(kAda), 1u);  // a gap acknowledges nothing
  EXPECT_EQ(send(kAda), range(3, 5));
}

TEST_F(OutboxTest, ALaneThatIsHeldSendsNothingUntilItsTimeAndThenFirstTheMessageThatFailed) {
  add(kAda, 5);
  send(kAda);
  outbox_.acknowledged(kAda, 1, now_);
  outbox_.held(kAda, 2, 500ms, now_);
  add(kAda);
  add(kBob);
  EXPECT_TRUE(send(kAda).empty());
  outbox_.missed(kAda, 2, now_);
  EXPECT_TRUE(send(kAda).empty());
  EXPECT_EQ(send(kBob), range(1, 1));
  TimePoint began = now_;
  EXPECT_EQ(wait(), std::vector{kAda});
  EXPECT_EQ(now_ - began, 500ms);
  EXPECT_EQ(send(kAda), range(2, 2));
}

TEST_F(OutboxTest, WhatAFullMailboxRefusesIsSentAfterAnAcknowledgementOrInAWhile) {
  add(kAda, 5);
  for (int i = 0; i < 3; ++i) outbox_.take_next(kAda, now_);
  outbox_.refused(kAda, 3, now_);
  EXPECT_TRUE(send(kAda).empty());
  outbox_.acknowledged(kAda, 2, now_);
  EXPECT_EQ(send(kAda), range(3, 5));
  outbox_.acknowledged(kAda, 5, now_);
  add(kAda, 2);
  outbox_.take_next(kAda, now_);
  outbox_.refused(kAda, 6, now_);
  EXPECT_TRUE(send(kAda).empty());
  EXPECT_EQ(wait(), std::vector{kAda});
  EXPECT_EQ(outbox_.take_next(kAda, now_)->sent, 1u);  // what was refused was not sent
}

TEST_F(OutboxTest, AMessageThatCannotBeSentIsTakenOutOnceAllBeforeItAreAcknowledgedAndTheLaneGoesOn) {
  add(kAda, 3);
  outbox_.take_next(kAda, now_);
  outbox_.take_next(kAda, now_);
  EXPECT_EQ(outbox_.unsendable(kAda, 2), nullptr);
  outbox_.acknowledged(kAda, 1, now_);
  ASSERT_NE(outbox_.take_next(kAda, now_), nullptr);
  ASSERT_NE(outbox_.unsendable(kAda, 2), nullptr);
  EXPECT_TRUE(send(kAda).empty());
  EXPECT_EQ(outbox_.remove(kAda, 2), 2u);
  EXPECT_TRUE(send(kAda).empty());
  outbox_.resume(kAda);
  EXPECT_EQ(outbox_.lowest_unacknowledged(kAda), 3u);
  EXPECT_EQ(send(kAda), range(3, 3));
}

TEST_F(OutboxTest, OneReceiverCannotFillTheOutboxForOthers) {
  options_.receiver_messages_max = 2;
  options_.receiver_bytes_max = 2'000;
  auto fits = [&](const ActorKey& receiver, std::size_t bytes, std::size_t count = 1) {
    std::vector<Outbox::Addition> additions(count, {&receiver, bytes});
    Status room = outbox_.check_room(additions);
    return room ? "" : room.error().domain();
  };
  EXPECT_EQ(fits(kAda, 10, 2), "");
  EXPECT_EQ(fits(kAda, 10, 3), "PLX-DUR-0008");
  EXPECT_EQ(fits(kAda, 2'000), "PLX-DUR-0008");
  add(kAda, 2);
  EXPECT_EQ(fits(kAda, 10), "PLX-DUR-0008");
  EXPECT_EQ(fits(kBob, 10), "");
  send(kAda);
  outbox_.acknowledged(kAda, 1, now_);
  EXPECT_EQ(fits(kAda, 10), "");
}

TEST_F(OutboxTest, TheWholeOutboxIsBoundedInMessagesAndBytes) {
  options_.outbox_messages_max = 3;
  options_.outbox_bytes_max = 5'000;
  add(kAda, 2);
  std::vector<Outbox::Addition> two(2, {&kBob, 10});
  EXPECT_EQ(outbox_.check_room(two).error().domain(), "PLX-DUR-0008");
  std::vector<Outbox::Addition> large(1, {&kBob, 4'700});
  EXPECT_EQ(outbox_.check_room(large).error().domain(), "PLX-DUR-0008");
  EXPECT_TRUE(outbox_.check_room({two.data(), 1}));
}

TEST_F(OutboxTest, WhatAnEarlierProcessHasLeftIsSentAtOnceInItsOrder) {
  StoredMessage stored;
  stored.receiver = to_stored(kAda);
  std::vector<std::pair<std::uint64_t, Value<StoredMessage>>> rows;
  for (std::uint64_t sequence : {4, 5, 7}) {
    stored.sequence = sequence;
    rows.emplace_back(sequence, Value<StoredMessage>{stored, ""});
  }
  outbox_.load({{kAda, {.incarnation = 1, .sequence = 7}}}, std::move(rows));
  EXPECT_EQ(outbox_.take_due(now_), std::vector{kAda});
  EXPECT_EQ(send(kAda), (Sequences{4, 5, 7}));
  EXPECT_EQ(outbox_.lowest_unacknowledged(kAda), 4u);
  EXPECT_EQ(outbox_.acknowledged(kAda, 7, now_).size(), 3u);
  EXPECT_EQ(outbox_.add(kAda, 8, {}, "").header.sequence, 8u);
}

}  // namespace
}  // namespace plexspaces::durability
