#include "plexspaces/base/standard_error.hpp"

#include <array>
#include <cstdlib>
#include <string>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <termios.h>
#include <unistd.h>

namespace plexspaces {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

// Standard error is a pipe, whose reader is this test.
class StandardErrorTest : public testing::Test {
 protected:
  StandardErrorTest() : saved_(::dup(STDERR_FILENO)) {
    EXPECT_EQ(::pipe2(pipe_.data(), O_CLOEXEC), 0);
    ::dup2(pipe_[1], STDERR_FILENO);
    ::close(pipe_[1]);
  }
  ~StandardErrorTest() override {
    ::dup2(saved_, STDERR_FILENO);
    ::close(saved_);
    if (pipe_[0] >= 0) ::close(pipe_[0]);
    write_log_line("");  // so that nothing is left for the next test to tell
  }

  // Takes what is in the pipe.
  std::string read() {
    std::string text(1 << 20, '\0');
    ::fcntl(pipe_[0], F_SETFL, O_NONBLOCK);
    ssize_t got = ::read(pipe_[0], text.data(), text.size());
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
  }
  void hang_up() {
    ::close(pipe_[0]);
    pipe_[0] = -1;
  }

  int saved_;
  std::array<int, 2> pipe_{-1, -1};
};

TEST_F(StandardErrorTest, ALineGoesOutWhole) {
  write_log_line("one");
  write_log_line("two");
  EXPECT_EQ(read(), "one\ntwo\n");
}

TEST_F(StandardErrorTest, WhatNobodyReadsIsDroppedAndCounted) {
  const std::uint64_t before = dropped_log_lines();
  const std::string line(999, 'x');
  constexpr std::size_t kLines = 1'000;
  std::size_t kept = 0;
  for (; kept < kLines && dropped_log_lines() == before; ++kept) write_log_line(line);  // would wait for ever
  ASSERT_LT(--kept, kLines - 1);
  EXPECT_GT(kept, 10u);
  for (int i = 1; i < 7; ++i) write_log_line(line);
  EXPECT_EQ(dropped_log_lines() - before, 7u);
  EXPECT_EQ(read().size(), kept * 1'000);
  write_log_line("again");
  EXPECT_EQ(read(), "(7 log lines are missing here: nobody read standard error)\nagain\n");
  write_log_line("and again");
  EXPECT_EQ(read(), "and again\n");
  EXPECT_EQ(dropped_log_lines() - before, 7u);
}

TEST_F(StandardErrorTest, ALineLongerThanThePipeIsCutAndTheNextStandsOnItsOwn) {
  const std::uint64_t before = dropped_log_lines();
  write_log_line(std::string(100'000, 'x'));
  EXPECT_EQ(dropped_log_lines() - before, 1u);
  EXPECT_THAT(read(), EndsWith("xxx"));
  write_log_line("next");
  EXPECT_EQ(read(), "\n(1 log lines are missing here: nobody read standard error)\nnext\n");
}

TEST_F(StandardErrorTest, ATerminalThatIsStoppedOrThatNobodyReadsHoldsUpNothing) {
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0 || ::grantpt(terminal) != 0 || ::unlockpt(terminal) != 0) GTEST_SKIP() << "not tested: no terminals";
  const int side = ::open(::ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
  ASSERT_GE(side, 0);
  ::dup2(side, STDERR_FILENO);
  std::uint64_t before = dropped_log_lines();
  write_log_line("seen");
  EXPECT_EQ(dropped_log_lines(), before);
  ::tcflow(side, TCOOFF);
  write_log_line("stopped");
  EXPECT_EQ(dropped_log_lines() - before, 1u);
  ::tcflow(side, TCOON);
  for (int i = 0; i < 1'000; ++i) write_log_line(std::string(999, 'x'));
  EXPECT_GT(dropped_log_lines() - before, 100u);
  ::dup2(saved_, STDERR_FILENO);
  ::close(side);
  ::close(terminal);
}

TEST_F(StandardErrorTest, AReaderThatIsGoneSendsNoSignal) {
  const std::uint64_t before = dropped_log_lines();
  hang_up();
  errno = 0;
  write_log_line("nobody");  // SIGPIPE would end this process
  EXPECT_EQ(dropped_log_lines() - before, 1u);
  EXPECT_EQ(errno, 0);
}

}  // namespace
}  // namespace plexspaces
