#include "plexspaces/store/log_record.hpp"

#include <string>

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "plexspaces/store/crc32c.hpp"
#include "plexspaces/store/store_fixture.hpp"
#include "plexspaces/store/wal_check.hpp"

namespace plexspaces::store {
namespace {

using namespace testing_support;

TEST(Crc32cTest, MatchesTheVectorsOfItsStandardInBothForms) {
  // RFC 3720, B.4.
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_TRUE(rc::check("portable and chained forms agree", [](const std::string& a, const std::string& b) {
    RC_ASSERT(crc32c(a + b) == detail::crc32c_portable(a + b, 0));
    RC_ASSERT(crc32c(a + b) == crc32c(b, crc32c(a)));
  }));
}

const Overlay::Swept kSwept{.from = {"a", "\1"}, .to = {"b", ""}, .lap_end = {"c", "\4m"}};

std::string sample_row(LogRecordBuilder& builder) {
  builder.start();
  Commit commit{.epoch = 3, .actor = actor("a"), .expected_sequence = 200, .records = {"r1", ""}};
  with(commit, Table::kActor, actor_row(actor("a")), std::string(300, 's'));
  with(commit, Table::kOutbox, row_key("a", "m"), std::nullopt);
  with(commit, Table::kPeer, "elsewhere", "");
  builder.append(commit, actor_row(commit.actor), {false, true, false});
  Commit bare{.epoch = 3, .actor = actor("b")};
  builder.append(bare, actor_row(bare.actor), {});
  return std::string(builder.finish(17, kSwept));
}

TEST(LogRecordTest, ReadsBackWhatWasAppendedInOrder) {
  LogRecordBuilder builder;
  std::string row = sample_row(builder);
  int visited = 0;
  auto swept = read_log_record(17, row, [&](const LoggedCommit& commit) {
    EXPECT_EQ(commit.epoch, 3u);
    if (++visited == 2) {
      EXPECT_EQ(commit.actor_row, actor_row(actor("b")));
      EXPECT_TRUE(commit.mutations.empty());
      return;
    }
    EXPECT_EQ(commit.expected_sequence, 200u);
    EXPECT_EQ(commit.records, (std::vector<std::string_view>{"r1", ""}));
    ASSERT_EQ(commit.mutations.size(), 3u);
    EXPECT_EQ(commit.mutations[0].key, actor_row(actor("a")));
    EXPECT_EQ(commit.mutations[0].value, std::string(300, 's'));
    EXPECT_EQ(commit.mutations[1].table, Table::kOutbox);
    EXPECT_EQ(commit.mutations[1].key, row_key("a", "m"));
    EXPECT_EQ(commit.mutations[1].value, std::nullopt);
    EXPECT_EQ(commit.mutations[2].key, "elsewhere");
    EXPECT_EQ(commit.mutations[2].value, "");
    EXPECT_FALSE(commit.mutations[0].absent);
    EXPECT_TRUE(commit.mutations[1].absent);
  });
  EXPECT_EQ(visited, 2);
  ASSERT_TRUE(swept.has_value() && swept->has_value());
  EXPECT_EQ((*swept)->from, kSwept.from);
  EXPECT_EQ((*swept)->to, kSwept.to);
  EXPECT_EQ((*swept)->lap_end, kSwept.lap_end);
  EXPECT_FALSE((*swept)->ends_lap());
}

TEST(LogRecordTest, EachFlippedBitAndEachLengthIsDataLossAndVisitsNothing_INV_J2) {
  LogRecordBuilder builder;
  std::string row = sample_row(builder);
  auto refused = [&](std::uint64_t position, std::string_view bytes) {
    bool visited = false;
    auto read = read_log_record(position, bytes, [&](const LoggedCommit&) { visited = true; });
    return !read && read.error().code() == Code::kDataLoss && !visited;
  };
  for (std::size_t bit = 0; bit < row.size() * 8; ++bit) {
    std::string flipped = row;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_TRUE(refused(17, flipped)) << "bit " << bit;
  }
  for (std::size_t size = 0; size < row.size(); ++size) ASSERT_TRUE(refused(17, row.substr(0, size)));
  EXPECT_TRUE(refused(18, row)) << "a row belongs to its position";
}

TEST(WalTieTest, ReadsBackWhatItEncodesAndNothingElse) {
  WalTie tie{.salt = {0xdeadbeef, 7}, .bytes = (std::uint64_t{1} << 40) + 3, .next = {0xdeadbef0, 9}, .checkpoint = 12};
  std::string bytes = tie.encode();
  ASSERT_EQ(bytes.size(), WalTie::kBytes);
  EXPECT_EQ(WalTie::decode(bytes).value(), tie);
  EXPECT_EQ(WalTie::decode(WalTie().encode()).value(), WalTie());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    EXPECT_FALSE(WalTie::decode(flipped).has_value()) << at;
    EXPECT_FALSE(WalTie::decode(std::string_view(bytes).substr(0, at)).has_value()) << at;
  }
  EXPECT_FALSE(WalTie::decode(bytes + '\0').has_value());
  EXPECT_FALSE(WalTie::decode(std::string(WalTie::kBytes, '\0')).has_value());
}

}  // namespace
}  // namespace plexspaces::store
