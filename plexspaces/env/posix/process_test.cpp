#include "plexspaces/env/posix/process.hpp"

#include <functional>
#include <new>
#include <stdexcept>

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>

namespace plexspaces::env {
namespace {

template <class Exception>
void throw_now(const Exception& exception) {
  throw exception;
}

void catch_nothing(const std::function<void()>& what) noexcept { what(); }

TEST(ProcessDeathTest, ItSaysThatMemoryWasRefused) {
  EXPECT_EXIT(
      {
        end_when_out_of_memory(70);
        end_when_out_of_memory(70);  // again, as two nodes of a process would
        catch_nothing([] { throw_now(std::bad_alloc()); });
      },
      testing::ExitedWithCode(70), "more memory.*PLX-ENV-0011");
}

TEST(ProcessDeathTest, AnotherExceptionEndsItAsBefore) {
  EXPECT_EXIT(
      {
        end_when_out_of_memory(70);
        catch_nothing([] { throw_now(std::runtime_error("a bug")); });
      },
      testing::KilledBySignal(SIGABRT), "a bug");
}

TEST(ProcessTest, StacksAreOnlyMadeLarger) {
  auto size = [] {
    pthread_attr_t defaults;
    std::size_t bytes = 0;
    EXPECT_EQ(::pthread_getattr_default_np(&defaults), 0);
    EXPECT_EQ(::pthread_attr_getstacksize(&defaults, &bytes), 0);
    ::pthread_attr_destroy(&defaults);
    return bytes;
  };
  const std::size_t before = size();
  need_stacks_of(before + (1 << 20));
  EXPECT_EQ(size(), before + (1 << 20));
  need_stacks_of(before);
  EXPECT_EQ(size(), before + (1 << 20));
}

}  // namespace
}  // namespace plexspaces::env
