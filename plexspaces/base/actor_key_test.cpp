#include "plexspaces/base/actor_key.hpp"

#include <string>

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "plexspaces/base/hash.hpp"
#include "plexspaces/base/limits.hpp"

namespace plexspaces {
namespace {

rc::Gen<std::string> part() {
  return rc::gen::suchThat(rc::gen::string<std::string>(), [](const std::string& text) {
    return !text.empty() && text.size() <= kNameBytesMax && text.find('\0') == std::string::npos;
  });
}

TEST(ActorKeyTest, RowsGiveTheKeyBackAndSortAsKeysDo) {
  EXPECT_TRUE(rc::check([] {
    ActorKey a{*part(), *part(), *part(), *part()};
    ActorKey b{*part(), *part(), *part(), *part()};
    RC_ASSERT(ActorKey::from_row(a.to_row()).value() == a);
    RC_ASSERT((a < b) == (a.to_row() < b.to_row()));
  }));
}

TEST(ActorKeyTest, APartThatIsEmptyTooLongOrHoldsNulIsRefusedByName) {
  EXPECT_EQ(ActorKey::make("t", "", "x", "k").error().message(), "the namespace is empty: name one");
  EXPECT_EQ(ActorKey::make("t", "n", "x", std::string(257, 'k')).error().code(), Code::kInvalidArgument);
  EXPECT_TRUE(ActorKey::make("t", "n", "x", std::string(256, 'k')));
  EXPECT_FALSE(ActorKey::make("t", "n", "x", std::string("a\0b", 3)));
}

// Shards of stored rows depend on these values: a change loses data.
TEST(ActorKeyTest, HashAndShardNeverChange) {
  EXPECT_EQ(stable_hash("a"), 0xaf63dc4c8601ec8cull);  // FNV-1a's published test vector
  ActorKey key{"default", "default", "airport", "SFO"};
  EXPECT_EQ(key.shard(), 177);
}

}  // namespace
}  // namespace plexspaces
