#include "plexspaces/durable/inbound.hpp"

#include <gtest/gtest.h>

namespace plexspaces::durability {
namespace {

using Verdict = Inbound::Verdict;

const ActorKey kAda{"default", "default", "account", "ada"};
const ActorKey kBob{"default", "default", "account", "bob"};
constexpr TimePoint kStart = TimePoint(1h);

InputId message(const ActorKey& sender, std::uint64_t sequence, std::uint64_t lowest = 1) {
  InputId id;
  id.kind = InputId::Kind::kActor;
  id.sender = sender;
  id.incarnation = 1;
  id.sequence = sequence;
  id.lowest_unacknowledged = lowest;
  return id;
}

class InboundTest : public testing::Test {
 protected:
  DurableOptions options_{.message_attempts_max = 4, .retry_after = 100ms, .retry_after_max = 300ms};
  Inbound inbound_{options_};
};

TEST_F(InboundTest, EachMessageOfASenderIsNextOnceAndInOrder) {  // INV-J5
  EXPECT_EQ(inbound_.check(message(kAda, 1), kStart), Verdict::kNext);
  EXPECT_EQ(inbound_.applied(message(kAda, 1)).sequence, 1u);
  EXPECT_EQ(inbound_.check(message(kAda, 1), kStart), Verdict::kDuplicate);
  EXPECT_EQ(inbound_.check(message(kAda, 2), kStart), Verdict::kNext);
  EXPECT_EQ(inbound_.check(message(kBob, 1), kStart), Verdict::kNext);
}

TEST_F(InboundTest, PositionsGoOnFromTheirRows) {
  inbound_.load({{kAda, {.incarnation = 1, .sequence = 7}}});
  EXPECT_EQ(inbound_.position(kAda), 7u);
  EXPECT_EQ(inbound_.position(kBob), 0u);
  EXPECT_EQ(inbound_.check(message(kAda, 7), kStart), Verdict::kDuplicate);
  EXPECT_EQ(inbound_.check(message(kAda, 8), kStart), Verdict::kNext);
}

TEST_F(InboundTest, TheSenderIsToldOfEachGapOnce) {
  EXPECT_EQ(inbound_.check(message(kAda, 3), kStart), Verdict::kGap);
  EXPECT_EQ(inbound_.check(message(kAda, 4), kStart), Verdict::kKnownGap);
  inbound_.applied(message(kAda, 1));
  EXPECT_EQ(inbound_.check(message(kAda, 3), kStart), Verdict::kGap);
  EXPECT_EQ(inbound_.check(message(kBob, 2), kStart), Verdict::kGap);
}

TEST_F(InboundTest, WhatTheSenderHasTakenOutIsNoGap) {
  inbound_.applied(message(kAda, 1));
  EXPECT_EQ(inbound_.check(message(kAda, 4, 3), kStart), Verdict::kGap);
  EXPECT_EQ(inbound_.check(message(kAda, 4, 4), kStart), Verdict::kNext);
  inbound_.applied(message(kAda, 4, 4));
  EXPECT_EQ(inbound_.check(message(kAda, 3, 1), kStart), Verdict::kDuplicate);
}

TEST_F(InboundTest, AttemptsAreSpacedOutAndCountedAndHoldNoOtherLane_INV_M5) {
  TimePoint now = kStart;
  for (Duration delay : {100ms, 200ms, 300ms}) {
    EXPECT_EQ(inbound_.check(message(kAda, 1), now), Verdict::kNext);
    EXPECT_EQ(inbound_.failed(message(kAda, 1), now), delay);
    EXPECT_EQ(inbound_.check(message(kAda, 1), now + delay - 1ns), Verdict::kHeld);
    EXPECT_EQ(inbound_.check(message(kAda, 2), now + delay - 1ns), Verdict::kHeld);
    EXPECT_EQ(inbound_.check(message(kBob, 1), now), Verdict::kNext);
    now += delay;
  }
  EXPECT_EQ(inbound_.check(message(kAda, 1), now), Verdict::kNext);
  EXPECT_EQ(inbound_.failed(message(kAda, 1), now), std::nullopt);
  inbound_.applied(message(kAda, 1));
  EXPECT_EQ(inbound_.check(message(kAda, 2), now), Verdict::kNext);
  EXPECT_EQ(inbound_.failed(message(kAda, 2), now), 100ms);  // the next message has all its attempts
}

TEST_F(InboundTest, ALaneThatMayNotGoOnIsHeldLongest) {
  EXPECT_EQ(inbound_.hold_longest(message(kAda, 1), kStart), 300ms);
  EXPECT_EQ(inbound_.check(message(kAda, 1), kStart + 299ms), Verdict::kHeld);
  EXPECT_EQ(inbound_.check(message(kAda, 1), kStart + 300ms), Verdict::kNext);
}

}  // namespace
}  // namespace plexspaces::durability
