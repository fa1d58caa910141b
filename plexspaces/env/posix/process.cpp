#include "plexspaces/env/posix/process.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <new>

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include "plexspaces/base/standard_error.hpp"

namespace plexspaces::env {

namespace {

std::atomic<int> exit_code_without_memory{1};
std::atomic<std::terminate_handler> terminate_as_before{nullptr};

[[noreturn]] void terminate() {
  try {
    if (std::exception_ptr thrown = std::current_exception()) std::rethrow_exception(thrown);
  } catch (const std::bad_alloc&) {
    write_without_waiting(STDERR_FILENO,
                          "plexspaces: the system refuses this process more memory, so it ends: allow it more "
                          "(ulimit -v, the limit of its container) or give it less at once [PLX-ENV-0011]\n");
    ::_exit(exit_code_without_memory.load());
  } catch (...) {  // the former handler looks itself
  }
  if (std::terminate_handler before = terminate_as_before.load()) before();
  std::abort();
}

}  // namespace

void end_process(int exit_code) { ::_exit(exit_code); }

std::size_t allow_open_files(std::size_t count) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  rlim_t wanted = std::min<rlim_t>(std::max<rlim_t>(limit.rlim_cur, count), limit.rlim_max);
  rlimit raised{.rlim_cur = wanted, .rlim_max = limit.rlim_max};
  return static_cast<std::size_t>(::setrlimit(RLIMIT_NOFILE, &raised) == 0 ? wanted : limit.rlim_cur);
}

void end_when_out_of_memory(int exit_code) {
  exit_code_without_memory.store(exit_code);
  std::terminate_handler before = std::set_terminate(terminate);
  if (before != terminate) terminate_as_before.store(before);
}

void need_stacks_of(std::size_t bytes) {
  pthread_attr_t defaults;
  if (::pthread_getattr_default_np(&defaults) != 0) return;
  std::size_t now = 0;
  if (::pthread_attr_getstacksize(&defaults, &now) == 0 && now < bytes &&
      ::pthread_attr_setstacksize(&defaults, bytes) == 0)
    ::pthread_setattr_default_np(&defaults);
  ::pthread_attr_destroy(&defaults);
}

}  // namespace plexspaces::env
