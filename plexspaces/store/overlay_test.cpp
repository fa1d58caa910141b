#include "plexspaces/store/overlay.hpp"

#include <map>
#include <string>
#include <tuple>

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
  for (Table table : {Table::kActor, Table::kOutcome, Table::kSender, Table::kOutbox})
    for (const auto& [key, row] : overlay.rows(table))
      seen[{static_cast<int>(table), key}] = {static_cast<int>(row.held), row.born, row.sequence, row.value};
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
  for (const char* key : {"d", "a", "c", "b"}) overlay.put(Table::kSender, key, "v", false);
  settle(overlay);
  std::string written;
  auto write = [&](Table, const std::string& key, const Overlay::Row&) -> Status {
    written += key;
    return {};
  };
  std::size_t two_rows = 2 * Overlay::cost("a", "v");
  EXPECT_EQ(overlay.sweep(two_rows, write), false);
  settle(overlay);
  overlay.put(Table::kSender, "a", "newer", false);  // behind the cursor: belongs to the next round
  settle(overlay);
  EXPECT_EQ(overlay.sweep(10 * two_rows, write), true);
  settle(overlay);
  EXPECT_EQ(written, "abcd");
  EXPECT_EQ(overlay.sweep(10 * two_rows, write), true);
  EXPECT_EQ(written, "abcda");
  EXPECT_EQ(overlay.row_count(), 0u);
  EXPECT_EQ(overlay.bytes(), 0u);
}

TEST(OverlayTest, RevertRestoresExactlyWhatWasSettled) {
  EXPECT_TRUE(rc::check("revert is the inverse of any changes", [] {
    auto change = [](Overlay& overlay) {
      std::string key(1, static_cast<char>('a' + *rc::gen::inRange(0, 4)));
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
