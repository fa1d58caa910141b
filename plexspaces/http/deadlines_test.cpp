#include "plexspaces/http/deadlines.hpp"

#include <gtest/gtest.h>

namespace plexspaces::http {
namespace {

const TimePoint kStart{100s};

Verdict after(Phase phase, Duration waited) { return judge(phase, kStart, kStart + waited, Deadlines{}, 5s); }

TEST(DeadlinesTest, EachPhaseEndsWithItsOwnVerdict) {
  const Deadlines limits;
  struct Row {
    Phase phase;
    Duration limit;
    Verdict verdict;
  };
  for (const Row& row :
       {Row{Phase::kIdle, limits.idle_timeout, Verdict::kClose},
        Row{Phase::kHeader, limits.header_timeout, Verdict::kRequestTimeout},
        Row{Phase::kBody, limits.body_timeout, Verdict::kRequestTimeout}, Row{Phase::kAnswer, 5s, Verdict::kNoAnswer},
        Row{Phase::kWrite, limits.write_timeout, Verdict::kClose},
        Row{Phase::kLinger, limits.linger_timeout, Verdict::kClose}}) {
    EXPECT_EQ(after(row.phase, 0s), Verdict::kKeep);
    EXPECT_EQ(after(row.phase, row.limit - 1ns), Verdict::kKeep);
    EXPECT_EQ(after(row.phase, row.limit), row.verdict) << static_cast<int>(row.phase);
  }
}

}  // namespace
}  // namespace plexspaces::http
