// Checks that stay on in every build. They are for bugs of ours: input, peers, disks and guests never trigger one.
#pragma once

namespace plexspaces::detail {
[[noreturn]] void check_failed(const char* expression, const char* file, int line, const char* why);
}

/// Ends the process when `condition` is false; `why` names the rule that was broken.
#define PLX_CHECK(condition, why)                                              \
  do {                                                                         \
    if (!(condition)) [[unlikely]]                                             \
      ::plexspaces::detail::check_failed(#condition, __FILE__, __LINE__, why); \
  } while (false)
