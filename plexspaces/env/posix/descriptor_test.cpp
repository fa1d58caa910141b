#include "plexspaces/env/posix/descriptor.hpp"

#include <cerrno>
#include <cstdio>
#include <functional>
#include <string>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "plexspaces/env/posix/disk.hpp"
#include "plexspaces/env/posix/executor.hpp"
#include "plexspaces/env/posix/tcp_listener.hpp"

namespace plexspaces::env {
namespace {

// Runs `check` in a process of its own that has no standard streams, and expects true.
void expect_without_streams(const std::function<bool()>& check) {
  testing::FLAGS_gtest_death_test_style = "fast";
  EXPECT_EXIT(
      {
        for (int number = 0; number < 3; ++number) ::close(number);
        ::_exit(check() ? 7 : 8);
      },
      testing::ExitedWithCode(7), "");
}

bool is_open(int number) { return ::fcntl(number, F_GETFD) >= 0; }

TEST(DescriptorTest, NoneIsAStandardStreamAndTheClosedStreamsAreOccupiedAndStillFail) {
  expect_without_streams([] {
    for (int number = 0; number < 3; ++number) {
      Descriptor descriptor(::open("/dev/zero", O_RDWR | O_CLOEXEC));
      char byte = 1;
      if (descriptor.get() < 3 || ::read(descriptor.get(), &byte, 1) != 1 || byte != 0) return false;
      if (::fcntl(descriptor.get(), F_GETFD) != FD_CLOEXEC || !is_open(number)) return false;
    }
    char byte = 0;
    return ::read(0, &byte, 1) < 0 && errno == EBADF && ::write(1, &byte, 1) < 0 && ::write(2, &byte, 1) < 0;
  });
}

TEST(DescriptorTest, OneThatCannotBeMovedIsClosedAndErrnoSaysWhy) {
  expect_without_streams([] {
    rlimit limit{.rlim_cur = 3, .rlim_max = 3};
    ::setrlimit(RLIMIT_NOFILE, &limit);
    Descriptor descriptor(::open("/dev/zero", O_RDWR | O_CLOEXEC));
    int error = errno;
    char byte = 0;
    return !descriptor && (error == EMFILE || error == EINVAL) && ::read(0, &byte, 1) < 0;
  });
}

TEST(DescriptorTest, OpenStreamsAreLeftAlone) {
  expect_without_streams([] {
    int zero = ::open("/dev/zero", O_RDWR);
    occupy_standard_streams();
    occupy_standard_streams();
    char byte = 1;
    return zero == 0 && ::read(0, &byte, 1) == 1 && is_open(1) && is_open(2);
  });
}

TEST(DescriptorTest, WhatAProgramWithoutStreamsPrintsIsInNoneOfItsFiles) {
  std::string path = testing::TempDir() + "plx_descriptor_" + std::to_string(::getpid());
  expect_without_streams([&] {
    PosixDisk disk;
    auto file = disk.open(path, Disk::Open::kCreate);
    std::fputs("a line of the program's log\n", stderr);
    std::puts("and one of its output");
    std::fflush(stdout);
    return file.has_value() && (*file)->size() == 0u;
  });
  ::unlink(path.c_str());
}

TEST(DescriptorTest, AnExecutorAndAListenerOfAProgramWithoutStreamsAreNotInTheirPlace) {
  expect_without_streams([] {
    PosixExecutor executor({.workers = 2});
    ::close(0);  // the program does so later
    auto listener = TcpListener::open(executor.io(0), "127.0.0.1", 0);
    if (!listener) return false;
    char byte = 0;
    auto fails = [](ssize_t done) { return done < 0 && errno == EBADF; };
    return fails(::read(0, &byte, 1)) && fails(::write(1, &byte, 1)) && fails(::write(2, &byte, 1));
  });
}

}  // namespace
}  // namespace plexspaces::env
