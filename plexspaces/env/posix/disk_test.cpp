#include "plexspaces/env/posix/disk.hpp"

#include <filesystem>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "plexspaces/env/posix/clock.hpp"
#include "plexspaces/env/posix/random.hpp"

namespace plexspaces::env {
namespace {

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

class PosixDiskTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "plx_disk_XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string directory_;
  PosixDisk disk_;
};

TEST_F(PosixDiskTest, ReadsWhatWasWrittenAtOffsetsAndStopsAtTheEnd) {
  auto file = disk_.open(directory_ + "/a", Disk::Open::kCreate).value();
  ASSERT_TRUE(file->write(3, bytes("hello")).has_value());
  ASSERT_TRUE(file->sync().has_value());
  std::string buffer(10, 'x');
  EXPECT_EQ(file->read(0, std::as_writable_bytes(std::span(buffer))), 8u);
  EXPECT_EQ(buffer, std::string("\0\0\0hello", 8) + "xx");
  ASSERT_TRUE(file->truncate(4).has_value());
  EXPECT_EQ(file->size(), 4u);
  EXPECT_EQ(file->read(9, std::as_writable_bytes(std::span(buffer))), 0u);
}

TEST_F(PosixDiskTest, OpenOfAMissingFileNamesIt) {
  auto file = disk_.open(directory_ + "/none", Disk::Open::kExisting);
  ASSERT_FALSE(file.has_value());
  EXPECT_EQ(file.error().code(), Code::kNotFound);
  EXPECT_NE(file.error().message().find(directory_ + "/none"), std::string::npos);
}

TEST_F(PosixDiskTest, RemovesAndToleratesThatThereIsNothing) {
  {
    auto file = disk_.open(directory_ + "/a", Disk::Open::kCreate).value();
  }
  EXPECT_EQ(disk_.exists(directory_ + "/a"), true);
  EXPECT_TRUE(disk_.remove(directory_ + "/a").has_value());
  EXPECT_TRUE(disk_.remove(directory_ + "/a").has_value());
  EXPECT_EQ(disk_.exists(directory_ + "/a"), false);
  EXPECT_TRUE(disk_.sync_directory(directory_).has_value());
}

TEST_F(PosixDiskTest, CreatesDirectoriesWithParentsAndRefusesAFileInTheWay) {
  EXPECT_TRUE(disk_.create_directory(directory_ + "/x/y").has_value());
  EXPECT_TRUE(disk_.create_directory(directory_ + "/x/y").has_value());
  {
    auto file = disk_.open(directory_ + "/f", Disk::Open::kCreate).value();
  }
  auto refused = disk_.create_directory(directory_ + "/f/y");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), Code::kPermissionDenied);
}

TEST_F(PosixDiskTest, LockIsHeldByOneAndNamesItsPid) {
  auto first = disk_.lock_directory(directory_);
  ASSERT_TRUE(first.has_value());
  auto second = disk_.lock_directory(directory_);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code(), Code::kFailedPrecondition);
  EXPECT_NE(second.error().message().find(fmt::format("pid {}", ::getpid())), std::string::npos);
  first->reset();
  EXPECT_TRUE(disk_.lock_directory(directory_).has_value());
}

TEST_F(PosixDiskTest, AFullDiskIsResourceExhausted) {
  auto full = disk_.open("/dev/full", Disk::Open::kExisting);
  ASSERT_TRUE(full.has_value());
  auto written = (*full)->write(0, bytes("x"));
  ASSERT_FALSE(written.has_value());
  EXPECT_EQ(written.error().code(), Code::kResourceExhausted);
}

TEST(PosixClockTest, NeverRunsBackwards) {
  PosixClock clock;
  TimePoint first = clock.now();
  EXPECT_LE(first, clock.now());
  EXPECT_GT(clock.wall_now(), WallTime(std::chrono::sys_days(std::chrono::year(2024) / 1 / 1)));
}

TEST(PosixRandomTest, TwoGeneratorsDifferAndOneDoesNotRepeat) {
  PosixRandom a;
  PosixRandom b;
  std::uint64_t first = a.next();
  EXPECT_NE(first, a.next());
  EXPECT_NE(first, b.next());
}

}  // namespace
}  // namespace plexspaces::env
