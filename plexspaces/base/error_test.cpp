#include "plexspaces/base/error.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "plexspaces/base/suggest.hpp"

namespace plexspaces {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return fail(Code::kInvalidArgument, "odd");
  return n / 2;
}

Result<int> quarter(int n) {
  PLX_TRY(once, half(n));
  PLX_TRY(twice, half(once));
  return twice;
}

TEST(ErrorTest, TryPassesTheFirstErrorOn) {
  EXPECT_EQ(quarter(8), 2);
  EXPECT_EQ(quarter(6).error().message(), "odd");
}

TEST(ErrorTest, TextHoldsCodeDomainMessageAndCause) {
  Error disk(Code::kUnavailable, "disk is gone");
  Error error = Error(Code::kUnknown, "commit", "PLX-STO-0001").caused_by(disk);
  EXPECT_EQ(error.to_string(), "UNKNOWN [PLX-STO-0001]: commit; because UNAVAILABLE: disk is gone");
}

TEST(ResultTest, ValueOfAnErrorThrowsItsText) {
  std::string said;
  try {
    static_cast<void>(half(3).value());
  } catch (const std::bad_expected_access<Error>& thrown) {
    said = thrown.what();
    EXPECT_EQ(thrown.error().code(), Code::kInvalidArgument);
  }
  EXPECT_EQ(said, "INVALID_ARGUMENT: odd");
}

TEST(ResultTest, ComparesWithResultsValuesAndErrors) {
  Result<int> three = 3;
  Result<int> odd = half(3);
  EXPECT_TRUE(three == Result<int>(3) && three == 3 && 3 == three);
  EXPECT_TRUE(odd == half(5) && odd == std::unexpected(Error(Code::kInvalidArgument, "odd")));
  EXPECT_FALSE(three == odd || odd == 3 || three == 4 || three == Result<int>(4) || odd == half(4));
  EXPECT_FALSE(odd == Result<int>(fail(Code::kInvalidArgument, "even")));
  EXPECT_TRUE(Result<std::uint64_t>(7) == 7 && Result<std::int64_t>(-1) != std::uint64_t(-1));
  EXPECT_TRUE(Status() == Status() && Status() != Status(fail(Code::kInternal, "x")));
}

TEST(ResultTest, CopyOfAResultOfBoolKeepsItsValue) {
  Result<bool> no = false;
  Result<bool> copy(no);
  EXPECT_FALSE(*copy);
}

TEST(TellStatusTest, IsAStatusBothWays) {
  TellStatus refused = fail(Code::kResourceExhausted, "full");
  Status status = refused;
  EXPECT_EQ(status.error().message(), "full");
  EXPECT_EQ(TellStatus(status).error().message(), "full");
  EXPECT_TRUE(TellStatus());
}

TEST(ErrorTest, IsOnePointerWide) { EXPECT_EQ(sizeof(Error), sizeof(void*)); }

TEST(ErrorTest, CopiesOutliveTheOriginal) {
  std::vector<Error> copies;
  {
    Error original(Code::kNotFound, std::string(100, 'x'));
    copies.assign(3, original);
  }
  copies.erase(copies.begin());
  EXPECT_EQ(copies.back().message(), std::string(100, 'x'));
}

TEST(SuggestTest, NamesTheNearestKnownName) {
  std::vector<std::string> known{"http_port", "grpc_port"};
  EXPECT_EQ(suggest("htp_port", known), " (did you mean 'http_port'?)");
  EXPECT_EQ(suggest("colour", known), "; known: http_port, grpc_port");
}

}  // namespace
}  // namespace plexspaces
