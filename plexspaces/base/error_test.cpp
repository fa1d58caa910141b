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
