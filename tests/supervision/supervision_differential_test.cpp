// Our supervisor against OTP's, case by case (INV-M7): the same table, the same trace.
#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "case_table.hpp"
#include "our_trace.hpp"
#include "random_cases.hpp"

namespace plexspaces::test {
namespace {

constexpr std::uint64_t kSchedules = 25;
constexpr std::size_t kRandomCases = 400;
constexpr std::uint64_t kRandomSchedules = 3;
constexpr int kOtpRunsMax = 3;  // its periods are real seconds, and a machine may stand still for one

const std::vector<Case>& cases() {
  static const std::vector<Case> read = read_cases(PLX_SUPERVISION_CASES);
  return read;
}

const Traces& recorded() {
  static const Traces read = parse_traces(read_file(PLX_SUPERVISION_TRACE));
  return read;
}

/// Where two traces part: the step, and both from there on. Empty: they are equal.
std::string first_difference(const Words& expected, const Words& actual) {
  auto [left, right] = std::ranges::mismatch(expected, actual);
  if (left == expected.end() && right == actual.end()) return {};
  std::string step;
  for (auto line = expected.begin(); line != expected.end() && line <= left; ++line)
    if (!line->starts_with("  ")) step = *line;
  return fmt::format("in the step '{}'\n  expected '{}'\n  got      '{}'\nthe whole trace:\n{}", step,
                     left == expected.end() ? "(the end)" : *left, right == actual.end() ? "(the end)" : *right,
                     join(actual, "\n"));
}

// The first one in order, the others as chance has it.
Schedule schedule(std::uint64_t run) {
  if (run == 0) return {};
  return {.seed = run, .workers = 1 + run % 3, .in_order = false, .move_every_turns = run % 2};
}

class SupervisionDifferentialTest : public testing::TestWithParam<std::size_t> {};

TEST_P(SupervisionDifferentialTest, ACaseHasTheTraceOfOtp_INV_M7) {
  const Case& which = cases()[GetParam()];
  auto found = recorded().of.find(which.name);
  ASSERT_NE(found, recorded().of.end()) << "'" << which.name << "' is not recorded: see cases.txt";
  if (!which.differs.empty())
    EXPECT_NE(which.own_trace, found->second) << "'" << which.name << "' says that it differs, and does not";
  const Words& expected = which.differs.empty() ? found->second : which.own_trace;

  for (std::uint64_t run = 0; run <= (needs_order(which) ? 0 : kSchedules); ++run) {
    std::string difference = first_difference(expected, our_trace(which, schedule(run)));
    ASSERT_EQ(difference, "") << which.name << ", schedule " << run;
  }
}

std::string test_name(const testing::TestParamInfo<std::size_t>& info) {
  std::string name = fmt::format("{:02}_", info.param + 1);
  for (char c : cases()[info.param].name) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0)
      name += c;
    else if (name.back() != '_')
      name += '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Each, SupervisionDifferentialTest, testing::Range<std::size_t>(0, cases().size()), test_name);

TEST(SupervisionRecordingTest, TheRecordingHasTheCasesOfTheTableAndNoOthers) {
  EXPECT_EQ(recorded().of.size(), cases().size());
  EXPECT_TRUE(recorded().made_by.starts_with("Erlang/OTP 25.")) << recorded().made_by;
}

class SupervisionOtpTest : public testing::Test {
 protected:
  void SetUp() override {
    if (std::system("command -v escript >/dev/null 2>&1") != 0)
      GTEST_SKIP() << "Erlang is not installed (tools/setup installs it): our supervisor was compared with the "
                   << "recording of " << recorded().made_by << " only";
    write(file_, "");
    if (std::string installed = run_otp(file_).made_by; !installed.starts_with("Erlang/OTP 25."))
      GTEST_SKIP() << "installed is " << installed << ", the recording is of " << recorded().made_by;
  }
  void TearDown() override { std::filesystem::remove(file_); }

  static void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
  // What the installed Erlang prints for a table.
  static Traces run_otp(const std::string& table) {
    std::unique_ptr<FILE, int (*)(FILE*)> pipe(
        ::popen(fmt::format("escript {} {}", PLX_SUPERVISION_OTP, table).c_str(), "r"), ::pclose);
    if (pipe == nullptr) throw std::runtime_error("escript cannot be run");
    std::string text;
    std::array<char, 4096> buffer;
    while (std::size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe.get()))
      text.append(buffer.data(), count);
    if (::pclose(pipe.release()) != 0) throw std::runtime_error("escript has failed: " + text);
    return parse_traces(text);
  }

  std::string file_ = fmt::format("{}plx-supervision-{}.txt", testing::TempDir(), ::getpid());
};

TEST_F(SupervisionOtpTest, TheInstalledErlangStillHasTheRecordedTraces_INV_M7) {
  std::string difference;
  for (int run = 0; run < kOtpRunsMax && (run == 0 || !difference.empty()); ++run) {
    difference.clear();
    Traces now = run_otp(PLX_SUPERVISION_CASES);
    for (const Case& which : cases())
      if (auto found = first_difference(recorded().of.at(which.name), now.of[which.name]); !found.empty())
        difference += which.name + ": " + found + "\n";
  }
  EXPECT_EQ(difference, "");
}

// Another seed: --gtest_random_seed=N.
TEST_F(SupervisionOtpTest, CasesByChanceHaveTheTraceOfOtp_INV_M7) {
  auto seed = static_cast<std::uint64_t>(GTEST_FLAG_GET(random_seed));
  write(file_, random_cases(seed, kRandomCases));
  Traces otp = run_otp(file_);
  for (const Case& which : read_cases(file_)) {
    for (std::uint64_t run = 0; run <= (needs_order(which) ? 0 : kRandomSchedules); ++run) {
      std::string difference = first_difference(otp.of[which.name], our_trace(which, schedule(run)));
      ASSERT_EQ(difference, "") << which.name << " of seed " << seed << ", schedule " << run << ":\n" << which.text;
    }
  }
}

}  // namespace
}  // namespace plexspaces::test
