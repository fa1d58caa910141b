#include "plexspaces/durable/reply_cache.hpp"

#include <string>

#include <gtest/gtest.h>

namespace plexspaces::durability {
namespace {

WallTime at(Duration since) {
  return WallTime(std::chrono::duration_cast<std::chrono::milliseconds>(1'700'000'000s + since));
}
StoredOutcome outcome(WallTime now, std::uint64_t hash = 1) {
  return {.at_ms = now.time_since_epoch().count(),
          .request_hash = hash,
          .code = 0,
          .message = {},
          .domain = {},
          .retry = 0};
}
void answer(ReplyCache& cache, const std::string& key, WallTime now) {
  cache.open(key, outcome(now), "reply of " + key);
  cache.committed(key);
}

TEST(ReplyCacheTest, ARequestIsOpenUntilItsCommitAndThenHasItsAnswer) {
  ReplyCache cache({1h, 10});
  EXPECT_EQ(cache.find("key"), nullptr);
  EXPECT_TRUE(cache.check_new("key", at(0s)));
  cache.open("key", outcome(at(0s), 7), "reply");
  EXPECT_TRUE(cache.find("key")->open);
  EXPECT_EQ(cache.committed("key")->reply, "reply");
  EXPECT_FALSE(cache.find("key")->open);
  EXPECT_EQ(cache.committed("key"), nullptr);
  EXPECT_TRUE(ReplyCache::check_same(*cache.find("key"), 7));
  EXPECT_EQ(ReplyCache::check_same(*cache.find("key"), 8).error().domain(), "PLX-DUR-0005");
}

TEST(ReplyCacheTest, AnswersAreForgottenAtTheEndOfTheirTimeTheOldestFirstAndEachRowIsNamedOnce) {
  ReplyCache cache({1h, 10});
  answer(cache, "a", at(0s));
  answer(cache, "b", at(10min));
  cache.forget_expired(at(1h - 1ms));
  EXPECT_EQ(cache.size(), 2u);
  cache.forget_expired(at(1h));
  EXPECT_EQ(cache.find("a"), nullptr);
  EXPECT_NE(cache.find("b"), nullptr);
  cache.forget_expired(at(2h));
  EXPECT_EQ(cache.take_forgotten(1).size(), 1u);
  EXPECT_EQ(cache.take_forgotten(5).size(), 1u);
  EXPECT_TRUE(cache.take_forgotten(5).empty());
}

TEST(ReplyCacheTest, AKeyThatIsUsedAnewKeepsItsRow) {
  ReplyCache cache({1h, 10});
  answer(cache, "a", at(0s));
  cache.forget_expired(at(2h));
  answer(cache, "a", at(2h));
  EXPECT_TRUE(cache.take_forgotten(5).empty());
  cache.forget_expired(at(2h + 30min));
  EXPECT_NE(cache.find("a"), nullptr);
}

TEST(ReplyCacheTest, ATurnInFlightIsNeverForgotten) {
  ReplyCache cache({1h, 10});
  cache.open("a", outcome(at(0s)), "");
  cache.forget_expired(at(5h));
  EXPECT_NE(cache.find("a"), nullptr);
}

TEST(ReplyCacheTest, BeyondItsLimitNewKeysAreRefused) {
  ReplyCache cache({1h, 2});
  answer(cache, "a", at(0s));
  EXPECT_TRUE(cache.check_new("c", at(0s)));
  answer(cache, "b", at(0s));
  EXPECT_EQ(cache.check_new("c", at(0s)).error().domain(), "PLX-DUR-0004");
  cache.forget_expired(at(1h));
  EXPECT_TRUE(cache.check_new("c", at(1h)));
}

TEST(ReplyCacheTest, RowsAreForgottenInTheOrderOfTheirAgeWhateverTheirKeys) {
  ReplyCache cache({1h, 10});
  cache.load({{"young", {outcome(at(30min)), "y"}}, {"old", {outcome(at(0s)), "o"}}});
  EXPECT_EQ(cache.find("old")->reply, "o");
  EXPECT_FALSE(cache.find("old")->open);
  cache.forget_expired(at(1h));
  EXPECT_EQ(cache.find("old"), nullptr);
  EXPECT_NE(cache.find("young"), nullptr);
}

}  // namespace
}  // namespace plexspaces::durability
