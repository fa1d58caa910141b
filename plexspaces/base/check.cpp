#include "plexspaces/base/check.hpp"

#include <cstdio>
#include <cstdlib>

#include <unistd.h>

#include "plexspaces/base/standard_error.hpp"

namespace plexspaces::detail {

void check_failed(const char* expression, const char* file, int line, const char* why) {
  char text[512];
  std::snprintf(text, sizeof text, "%s:%d: check failed: %s (%s)\n", file, line, why, expression);
  write_without_waiting(STDERR_FILENO, text);
  std::abort();
}

}  // namespace plexspaces::detail
