// What workers and other threads share.
#pragma once

#include <atomic>
#include <mutex>

#ifdef PLX_EXPLORE
#include "plexspaces/actor/scheduler/explore_fixture.hpp"
#endif

namespace plexspaces::detail {

#ifdef PLX_EXPLORE
// In explore_test: each operation is a step that the test interleaves with those of other threads, and a load may see
// any value that the memory model allows.
template <class T>
using Shared = explore::Atomic<T>;
using SharedMutex = explore::Mutex;
template <class T>
using ThreadLocal = explore::ThreadLocal<T>;
#else
template <class T>
using Shared = std::atomic<T>;
using SharedMutex = std::mutex;
template <class T>
using ThreadLocal = T;  // of a thread_local variable
#endif

}  // namespace plexspaces::detail
