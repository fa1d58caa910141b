// Our supervisor against OTP's, case by case (INV-M7): the same table, the same trace.
#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "case_table.hpp"
#include "our_trace.hpp"

namespace plexspaces::test {
namespace {

constexpr std::uint64_t kSeeds = 25;
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

class SupervisionDifferentialTest : public testing::TestWithParam<std::size_t> {};

TEST_P(SupervisionDifferentialTest, ACaseHasTheTraceOfOtp_INV_M7) {
  const Case& which = cases()[GetParam()];
  auto found = recorded().of.find(which.name);
  ASSERT_NE(found, recorded().of.end()) << "'" << which.name << "' is not recorded: see cases.txt";
  if (!which.differs.empty())
    EXPECT_NE(which.own_trace, found->second) << "'" << which.name << "' says that it differs, and does not";
  const Words& expected = which.differs.empty() ? found->second : which.own_trace;

  std::string difference = first_difference(expected, our_trace(which, {}));
  ASSERT_EQ(difference, "") << which.name;
  if (needs_order(which)) return;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Schedule schedule{.seed = seed, .workers = 1 + seed % 3, .in_order = false, .move_every_turns = seed % 2};
    difference = first_difference(expected, our_trace(which, schedule));
    ASSERT_EQ(difference, "") << which.name << ", seed " << seed;
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

// What the installed Erlang prints for the table.
Traces run_otp() {
  std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen("escript " PLX_SUPERVISION_OTP " " PLX_SUPERVISION_CASES, "r"),
                                             ::pclose);
  if (pipe == nullptr) throw std::runtime_error("escript cannot be run");
  std::string text;
  std::array<char, 4096> buffer;
  while (std::size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe.get())) text.append(buffer.data(), count);
  if (::pclose(pipe.release()) != 0) throw std::runtime_error("escript has failed: " + text);
  return parse_traces(text);
}

TEST(SupervisionRecordingTest, TheInstalledErlangStillHasTheRecordedTraces_INV_M7) {
  if (std::system("command -v escript >/dev/null 2>&1") != 0)
    GTEST_SKIP() << "Erlang is not installed (tools/setup installs it): our supervisor was compared with the recording "
                 << "of " << recorded().made_by;
  std::string difference;
  for (int run = 0; run < kOtpRunsMax && (run == 0 || !difference.empty()); ++run) {
    difference.clear();
    Traces now = run_otp();
    if (!now.made_by.starts_with("Erlang/OTP 25."))
      GTEST_SKIP() << "installed is " << now.made_by << ", the recording is of " << recorded().made_by;
    for (const Case& which : cases())
      if (auto found = first_difference(recorded().of.at(which.name), now.of[which.name]); !found.empty())
        difference += which.name + ": " + found + "\n";
  }
  EXPECT_EQ(difference, "");
}

}  // namespace
}  // namespace plexspaces::test
