#include "plexspaces/http/problem.hpp"

#include <string>

#include <boost/json.hpp>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "plexspaces/base/limits.hpp"
#include "plexspaces/base/utf8.hpp"

namespace plexspaces::http {
namespace {

TEST(ProblemTest, HasTheMembersOfRfc9457AndOurs) {
  Response response = problem(Error(Code::kNotFound, "no type 'airprot' (did you mean 'airport'?)", "PLX-API-0001"));
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.content_type, "application/problem+json");
  auto document = boost::json::parse(response.body).as_object();
  EXPECT_EQ(document["type"], "docs/errors/PLX-API#PLX-API-0001");
  EXPECT_EQ(document["title"], "Not Found");
  EXPECT_EQ(document["status"], 404);
  EXPECT_EQ(document["detail"], "no type 'airprot' (did you mean 'airport'?)");
  EXPECT_EQ(document["code"], "NOT_FOUND");
  EXPECT_EQ(document["domain"], "PLX-API-0001");
  EXPECT_EQ(document["retry"], "never");
}

TEST(ProblemTest, WithoutADomainTheTypeIsBlank) {
  auto document = boost::json::parse(problem(Error(Code::kInternal, "oops")).body).as_object();
  EXPECT_EQ(document["type"], "about:blank");
  EXPECT_FALSE(document.contains("domain"));
}

TEST(ProblemTest, CausesFollowTheMessage) {
  Error error = Error(Code::kUnavailable, "cannot save").caused_by(Error(Code::kResourceExhausted, "the disk is full"));
  auto document = boost::json::parse(problem(error).body).as_object();
  EXPECT_EQ(document["detail"], "cannot save; because the disk is full");
}

TEST(ProblemTest, StatusesTellWhatIsWrong) {
  EXPECT_EQ(status_of(Error(Code::kInvalidArgument, "", "PLX-COD-0001")), 400);  // malformed JSON
  EXPECT_EQ(status_of(Error(Code::kInvalidArgument, "", "PLX-COD-0004")), 422);  // JSON that does not fit
  EXPECT_EQ(status_of(Error(Code::kOutOfRange, "", "PLX-COD-0005")), 422);
  EXPECT_EQ(status_of(Error(Code::kDataLoss, "", "PLX-COD-0012")), 500);  // stored bytes, not the client's
  EXPECT_EQ(status_of(Error(Code::kUnimplemented, "", "PLX-API-0002")), 404);
  EXPECT_EQ(status_of(Error(Code::kUnimplemented, "")), 501);
  EXPECT_EQ(status_of(Error(Code::kResourceExhausted, "")), 429);
  EXPECT_EQ(status_of(Error(Code::kResourceExhausted, "", "PLX-HTT-0010")), 413);
  EXPECT_EQ(status_of(Error(Code::kResourceExhausted, "", "PLX-HTT-0011")), 431);
  EXPECT_EQ(status_of(Error(Code::kFailedPrecondition, "", "PLX-HTT-0021")), 421);
  EXPECT_EQ(status_of(Error(Code::kPermissionDenied, "", "PLX-HTT-0022")), 403);
  EXPECT_EQ(status_of(Error(Code::kUnimplemented, "", "PLX-HTT-0020")), 501);
  EXPECT_EQ(status_of(Error(Code::kDeadlineExceeded, "")), 504);
  EXPECT_EQ(status_of(Error(Code::kUnknown, "")), 500);
}

TEST(ProblemTest, MethodNotAllowedNamesTheAllowedOnes) {
  Response response = problem(Error(Code::kFailedPrecondition, "changes state", "PLX-API-0003"));
  EXPECT_EQ(response.status, 405);
  ASSERT_EQ(response.headers.size(), 1u);
  EXPECT_EQ(response.headers[0].first, "Allow");
  EXPECT_EQ(response.headers[0].second, "POST, PUT");
}

TEST(ProblemTest, TheDetailIsBounded) {
  Error error = Error(Code::kAborted, std::string(1 << 20, 'x')).caused_by(Error(Code::kAborted, "why"));
  auto document = boost::json::parse(problem(error).body).as_object();
  EXPECT_EQ(document["detail"].as_string().size(), kErrorTextBytesMax);
}

RC_GTEST_PROP(ProblemTest, AnyMessageGivesADocument, (const std::string& message)) {
  auto document = boost::json::parse(problem(Error(Code::kInternal, message)).body).as_object();
  if (is_utf8(message) && message.size() <= kErrorTextBytesMax)
    RC_ASSERT(std::string(document["detail"].as_string()) == message);
}

}  // namespace
}  // namespace plexspaces::http
