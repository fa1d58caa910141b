#include "plexspaces/store/overlay.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace plexspaces::store {
namespace {

void settle(Overlay& overlay) {
  overlay.settle([](Table, const std::string&, const Overlay::Row&) {});
}

using Picture = std::map<std::pair<int, std::string>, std::tuple<int, bool, std::uint64_t, std::string>>;

Picture picture(const Overlay& overlay) {
  Picture seen;
  for (Table table : {Table::kActor, Table::kOutcome, Table::kPeer, Table::kOutbox})
    for (Overlay::Scan scan(overlay, table, ""); !scan.done(); scan.next())
      seen[{static_cast<int>(table), scan.key()}] = {static_cast<int>(scan.row().held), scan.row().born,
                                                     scan.row().version.sequence, scan.row().value};
  return seen;
}

TEST(OverlayTest, ARowBornAndErasedHereVanishes) {
  Overlay overlay;
  overlay.put(Table::kOutbox, "m", "message", /*absent=*/true);
  settle(overlay);
  overlay.erase(Table::kOutbox, "m", false);
  EXPECT_EQ(overlay.find(Table::kOutbox, "m"), nullptr);
  settle(overlay);
  EXPECT_EQ(overlay.bytes(), 0u);
}

TEST(OverlayTest, ARowThatTheTableMayHoldLeavesItsErasureBehind) {
  Overlay overlay;
  overlay.put(Table::kOutbox, "m", "message", /*absent=*/false);
  overlay.erase(Table::kOutbox, "m", false);
  ASSERT_NE(overlay.find(Table::kOutbox, "m"), nullptr);
  EXPECT_EQ(overlay.find(Table::kOutbox, "m")->held, Overlay::Held::kErased);
  // Absent now because of that erasure, not because the table has none: born would resurrect the table's row.
  overlay.put(Table::kOutbox, "m", "again", /*absent=*/true);
  overlay.erase(Table::kOutbox, "m", false);
  ASSERT_NE(overlay.find(Table::kOutbox, "m"), nullptr);
}

// A sweep that notes the keys it wrote.
std::optional<Overlay::Swept> sweep(Overlay& overlay, std::size_t budget, std::string& written) {
  auto swept = overlay.sweep(budget, [&](Table, const std::string& key, const Overlay::Row&) -> Status {
    written += key;
    return {};
  });
  settle(overlay);
  return *swept;
}

constexpr std::size_t kAll = 1'000'000;

TEST(OverlayTest, ASweepGoesLapByLapInKeyOrderWithinItsBudget) {
  Overlay overlay;
  for (const char* key : {"d", "a", "c", "b"}) overlay.put(Table::kPeer, key, "v", false);
  settle(overlay);
  std::string written;
  std::size_t two_rows = 2 * (Overlay::row_cost(1, 1) + Overlay::group_cost(1));
  EXPECT_FALSE(sweep(overlay, two_rows, written)->ends_lap());
  EXPECT_EQ(written, "ab");
  overlay.put(Table::kPeer, "a", "newer", false);  // behind the sweep: belongs to the next lap
  settle(overlay);
  EXPECT_TRUE(sweep(overlay, kAll, written)->ends_lap());
  EXPECT_EQ(written, "abcd");
  EXPECT_TRUE(sweep(overlay, kAll, written)->ends_lap());
  EXPECT_EQ(written, "abcda");
  EXPECT_TRUE(picture(overlay).empty());
  EXPECT_EQ(overlay.bytes(), 0u);
  EXPECT_FALSE(sweep(overlay, kAll, written).has_value());
}

TEST(OverlayTest, ALapEndsWhereTheLastRowWasWhenItBeganThoughKeysGrow) {
  Overlay overlay;
  for (const char* key : {"b", "d"}) overlay.put(Table::kPeer, key, "v", false);
  settle(overlay);
  std::string written;
  sweep(overlay, 1, written);
  for (const char* key : {"a", "c", "e"}) overlay.put(Table::kPeer, key, "v", false);
  settle(overlay);
  EXPECT_TRUE(sweep(overlay, kAll, written)->ends_lap());
  EXPECT_EQ(written, "bcd") << "\"e\" is behind the end of this lap";
  sweep(overlay, kAll, written);
  EXPECT_EQ(written, "bcdae");
}

TEST(OverlayTest, TheOldestPositionIsThatOfTheLastChangeOfTheRowThatChangedLongestAgo) {
  Overlay overlay;
  auto change = [&](std::uint64_t position, const char* key) {
    overlay.begin(position);
    overlay.put(Table::kPeer, key, "v", false);
    settle(overlay);
  };
  change(5, "a");
  change(6, "b");
  EXPECT_EQ(overlay.oldest_position(), 5u);
  change(7, "a");
  EXPECT_EQ(overlay.oldest_position(), 6u) << "the log row of the last change has all of a row";
  overlay.begin(8);
  overlay.put_actor("c", {.sequence = 1}, Overlay::Held::kValue, "state");
  settle(overlay);
  change(9, "b");
  overlay.begin(10);
  overlay.put_actor("c", {.sequence = 2}, Overlay::Held::kTableValue, "");
  settle(overlay);
  change(11, "a");
  EXPECT_EQ(overlay.oldest_position(), 8u) << "a state that its actor's last commit left alone is in an earlier row";
  std::string written;
  overlay.begin(12);
  EXPECT_EQ(overlay.oldest_position(), 8u);
  auto swept = overlay.sweep(kAll, [](Table, const std::string&, const Overlay::Row&) -> Status { return {}; });
  EXPECT_TRUE(swept.has_value());
  EXPECT_EQ(overlay.oldest_position(), 12u) << "nothing is left";
  overlay.revert();
  EXPECT_EQ(overlay.oldest_position(), 8u);
  sweep(overlay, kAll, written);
  EXPECT_EQ(overlay.oldest_position(), 12u);
}

TEST(OverlayTest, AScanVisitsAPrefixInKeyOrderThoughRowsAreGroupedByActor) {
  std::vector<std::string> keys;
  for (std::string_view text : {"|t|n|y|k", "|t|n|y|k|", "|t|n|y|k|a", "|t|n|y|k|a|b", "|t|n|y|k|b", "|t|n|y|k2",
                                "|t|n|y|k2|a", "|t|n|z|a|x", "|t|n", "t", "u", "at|n|y|k|a"}) {
    std::string key(text);
    std::ranges::replace(key, '|', '\0');
    keys.push_back(key);
  }
  Overlay overlay;
  for (const std::string& key : keys) overlay.put(Table::kOutbox, key, "v", false);
  overlay.put(Table::kPeer, keys[2], "other table", false);
  settle(overlay);
  std::ranges::sort(keys);
  std::vector<std::string> prefixes = keys;
  for (const std::string& key : keys)
    for (std::size_t size = 0; size < key.size(); ++size) prefixes.push_back(key.substr(0, size));
  prefixes.push_back("v");
  for (const std::string& prefix : prefixes) {
    std::vector<std::string> expected;
    std::ranges::copy_if(keys, std::back_inserter(expected),
                         [&](const std::string& key) { return key.starts_with(prefix); });
    std::vector<std::string> seen;
    for (Overlay::Scan scan(overlay, Table::kOutbox, prefix); !scan.done(); scan.next()) seen.push_back(scan.key());
    EXPECT_EQ(seen, expected) << "prefix of " << prefix.size() << " bytes";
  }
}

TEST(OverlayTest, AScanOfOneActorDoesNotLookAtOthersHoweverManyThereAre) {
  Overlay overlay;
  std::string prefix("t\0n\0y\0", 6);
  for (int i = 0; i < 1'000; ++i)
    overlay.put_actor(prefix + std::to_string(i), {.sequence = 1}, Overlay::Held::kValue, "state");
  overlay.put(Table::kPeer, prefix + "5" + std::string("\0p", 2), "peer", false);
  settle(overlay);
  for (const char* key : {"5", "0", "500", "none"}) {
    for (Table table : {Table::kOutcome, Table::kPeer, Table::kOutbox}) {
      Overlay::Scan scan(overlay, table, prefix + key + std::string(1, '\0'));
      while (!scan.done()) scan.next();
      EXPECT_LE(scan.looked_at(), 3u) << key;
    }
  }
}

// One change of two actors, whose rows are grouped, or of keys of no actor; as its steps for another overlay.
using Change = std::function<void(Overlay&)>;

Change any_change() {
  std::string key(1, static_cast<char>('a' + *rc::gen::inRange(0, 4)));
  if (key < "c")
    key = std::string("\0t\0n\0y\0", 7) + key + std::string("\0", 1) + std::to_string(*rc::gen::inRange(0, 3));
  std::string value(static_cast<std::size_t>(*rc::gen::inRange(0, 9)), 'v');
  bool if_absent = *rc::gen::arbitrary<bool>();
  auto absent = [=](Overlay& overlay) { return if_absent && overlay.find(Table::kOutbox, key) == nullptr; };
  switch (*rc::gen::inRange(0, 4)) {
    case 0:
    case 1:
      return [=](Overlay& overlay) { overlay.put(Table::kOutbox, key, value, absent(overlay)); };
    case 2:
      return [=](Overlay& overlay) { overlay.erase(Table::kOutbox, key, absent(overlay)); };
    default:
      auto held = *rc::gen::element(Overlay::Held::kValue, Overlay::Held::kTableValue);
      return [=](Overlay& overlay) { overlay.put_actor(key, {.sequence = value.size()}, held, value); };
  }
}

std::optional<Overlay::Swept> any_sweep(Overlay& overlay) {
  return *overlay.sweep(static_cast<std::size_t>(*rc::gen::inRange(0, 1200)),
                        [](Table, const std::string&, const Overlay::Row&) -> Status { return {}; });
}

// What is counted along is what counting anew gives.
void check_counts(const Overlay& overlay, std::uint64_t position) {
  std::size_t bytes = 0;
  std::set<std::string> groups;
  std::uint64_t oldest = position;
  for (Table table : {Table::kActor, Table::kOutcome, Table::kPeer, Table::kOutbox}) {
    for (Overlay::Scan scan(overlay, table, ""); !scan.done(); scan.next()) {
      std::string group = scan.key().size() > 7 ? scan.key().substr(0, 8) : scan.key();
      if (groups.insert(group).second) bytes += Overlay::group_cost(group.size());
      bytes += Overlay::row_cost(1 + scan.key().size() - group.size(), scan.row().value.size());
      oldest = std::min(oldest, scan.row().position);
    }
  }
  RC_ASSERT(overlay.bytes() == bytes);
  RC_ASSERT(overlay.oldest_position() == oldest);
}

TEST(OverlayTest, RevertRestoresExactlyWhatWasSettled) {
  EXPECT_TRUE(rc::check("revert is the inverse of any changes", [] {
    Overlay overlay;
    std::uint64_t position = 0;
    auto transaction = [&] {
      overlay.begin(++position);
      for (int i = *rc::gen::inRange(0, 8); i > 0; --i) any_change()(overlay);
      if (*rc::gen::arbitrary<bool>()) any_sweep(overlay);
    };
    for (int i = *rc::gen::inRange(0, 6); i > 0; --i) {
      transaction();
      settle(overlay);
      check_counts(overlay, position);
    }
    Picture before = picture(overlay);
    std::size_t bytes = overlay.bytes();
    transaction();
    overlay.revert();
    RC_ASSERT(picture(overlay) == before);
    RC_ASSERT(overlay.bytes() == bytes);
    check_counts(overlay, position);
  }));
}

TEST(OverlayTest, RepeatedChangesAndSweepsGiveTheSameRows) {
  EXPECT_TRUE(rc::check("a replay does what was done", [] {
    Overlay done;
    Overlay replayed;
    std::uint64_t position = 0;
    for (int i = *rc::gen::inRange(0, 12); i > 0; --i) {
      ++position;
      done.begin(position);
      replayed.begin(position);
      for (int n = *rc::gen::inRange(0, 6); n > 0; --n) {
        Change change = any_change();
        change(done);
        change(replayed);
      }
      if (auto swept = any_sweep(done)) replayed.repeat(*swept);
      settle(done);
      settle(replayed);
      RC_ASSERT(picture(done) == picture(replayed));
      RC_ASSERT(done.bytes() == replayed.bytes());
    }
    // And they go on alike.
    std::string next, next_replayed;
    done.begin(position + 1);
    replayed.begin(position + 1);
    auto a = sweep(done, 600, next);
    auto b = sweep(replayed, 600, next_replayed);
    RC_ASSERT(next == next_replayed);
    RC_ASSERT(a.has_value() == b.has_value());
    if (a) RC_ASSERT(a->ends_lap() == b->ends_lap());
  }));
}

}  // namespace
}  // namespace plexspaces::store
