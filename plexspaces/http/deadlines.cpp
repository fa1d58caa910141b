#include "plexspaces/http/deadlines.hpp"

namespace plexspaces::http {

Verdict judge(Phase phase, TimePoint since, TimePoint now, const Deadlines& deadlines, Duration request_timeout) {
  Duration waited = now - since;
  switch (phase) {
    case Phase::kIdle:
      return waited < deadlines.idle_timeout ? Verdict::kKeep : Verdict::kClose;
    case Phase::kHeader:
      return waited < deadlines.header_timeout ? Verdict::kKeep : Verdict::kRequestTimeout;
    case Phase::kBody:
      return waited < deadlines.body_timeout ? Verdict::kKeep : Verdict::kRequestTimeout;
    case Phase::kAnswer:
      return waited < request_timeout ? Verdict::kKeep : Verdict::kNoAnswer;
    case Phase::kWrite:
      return waited < deadlines.write_timeout ? Verdict::kKeep : Verdict::kClose;
    case Phase::kLinger:
      return waited < deadlines.linger_timeout ? Verdict::kKeep : Verdict::kClose;
  }
  return Verdict::kClose;
}

}  // namespace plexspaces::http
