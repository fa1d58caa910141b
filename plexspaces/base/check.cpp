#include "plexspaces/base/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace plexspaces::detail {

void check_failed(const char* expression, const char* file, int line, const char* why) {
  std::fprintf(stderr, "%s:%d: check failed: %s (%s)\n", file, line, why, expression);
  std::abort();
}

}  // namespace plexspaces::detail
