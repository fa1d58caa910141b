#include "plexspaces/store/overlay.hpp"

#include <algorithm>
#include <iterator>
#include <map>
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
                                                     scan.row().sequence, scan.row().value};
  return seen;
}

TEST(OverlayTest, ARowBornAndErasedHereVanishes) {
  Overlay overlay;
  overlay.put(Table::kOutbox, "m", "message", /*absent=*/true);
  settle(overlay);
  overlay.erase(Table::kOutbox, "m", false);
  EXPECT_EQ(overlay.find(Table::kOutbox, "m"), nullptr);
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

TEST(OverlayTest, ASweepGoesRoundInKeyOrderWithinItsBudget) {
  Overlay overlay;
  for (const char* key : {"d", "a", "c", "b"}) overlay.put(Table::kPeer, key, "v", false);
  settle(overlay);
  std::string written;
  auto write = [&](Table, const std::string& key, const Overlay::Row&) -> Status {
    written += key;
    return {};
  };
  std::size_t two_rows = 2 * Overlay::cost("a", "v");
  EXPECT_EQ(overlay.sweep(two_rows, write), false);
  settle(overlay);
  overlay.put(Table::kPeer, "a", "newer", false);  // behind the cursor: belongs to the next round
  settle(overlay);
  EXPECT_EQ(overlay.sweep(10 * two_rows, write), true);
  settle(overlay);
  EXPECT_EQ(written, "abcd");
  EXPECT_EQ(overlay.sweep(10 * two_rows, write), true);
  EXPECT_EQ(written, "abcda");
  settle(overlay);
  EXPECT_TRUE(picture(overlay).empty());
  EXPECT_EQ(overlay.bytes(), 0u);
}

TEST(OverlayTest, AScanVisitsAPrefixInKeyOrderThoughRowsAreGroupedByActor) {
  std::vector<std::string> keys;
  for (std::string_view text : {"t|n|y|k", "t|n|y|k|", "t|n|y|k|a", "t|n|y|k|a|b", "t|n|y|k|b", "t|n|y|k2",
                                "t|n|y|k2|a", "t|n|z|a|x", "t|n", "t", "u"}) {
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

TEST(OverlayTest, RevertRestoresExactlyWhatWasSettled) {
  EXPECT_TRUE(rc::check("revert is the inverse of any changes", [] {
    auto change = [](Overlay& overlay) {
      // Two actors, whose rows are grouped, and keys of no actor.
      std::string key(1, static_cast<char>('a' + *rc::gen::inRange(0, 4)));
      if (key < "c")
        key = std::string("t\0n\0y\0", 6) + key + std::string("\0", 1) + std::to_string(*rc::gen::inRange(0, 3));
      std::string value(static_cast<std::size_t>(*rc::gen::inRange(0, 9)), 'v');
      bool absent = *rc::gen::arbitrary<bool>() && overlay.find(Table::kOutbox, key) == nullptr;
      switch (*rc::gen::inRange(0, 5)) {
        case 0:
        case 1:
          return overlay.put(Table::kOutbox, key, value, absent);
        case 2:
          return overlay.erase(Table::kOutbox, key, absent);
        case 3:
          return overlay.put_actor(key, value.size(),
                                   *rc::gen::element(Overlay::Held::kValue, Overlay::Held::kTableValue), value);
        default:
          (void)overlay.sweep(static_cast<std::size_t>(*rc::gen::inRange(0, 600)),
                              [](Table, const std::string&, const Overlay::Row&) -> Status { return {}; });
      }
    };
    Overlay overlay;
    for (int i = *rc::gen::inRange(0, 20); i > 0; --i) change(overlay);
    settle(overlay);
    Picture before = picture(overlay);
    std::size_t bytes = overlay.bytes();
    for (int i = *rc::gen::inRange(0, 20); i > 0; --i) change(overlay);
    overlay.revert();
    RC_ASSERT(picture(overlay) == before);
    RC_ASSERT(overlay.bytes() == bytes);
    std::size_t sum = 0;
    for (const auto& [key, row] : before) sum += Overlay::cost(key.second, std::get<3>(row));
    RC_ASSERT(bytes == sum);
  }));
}

}  // namespace
}  // namespace plexspaces::store
