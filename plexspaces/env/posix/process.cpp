#include "plexspaces/env/posix/process.hpp"

#include <algorithm>

#include <sys/resource.h>
#include <unistd.h>

namespace plexspaces::env {

void end_process(int exit_code) { ::_exit(exit_code); }

std::size_t allow_open_files(std::size_t count) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  rlim_t wanted = std::min<rlim_t>(std::max<rlim_t>(limit.rlim_cur, count), limit.rlim_max);
  rlimit raised{.rlim_cur = wanted, .rlim_max = limit.rlim_max};
  return static_cast<std::size_t>(::setrlimit(RLIMIT_NOFILE, &raised) == 0 ? wanted : limit.rlim_cur);
}

}  // namespace plexspaces::env
