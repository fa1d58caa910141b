// The limits and choices of a runtime.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "plexspaces/env/time.hpp"

namespace plexspaces {

class Actor;

inline constexpr std::size_t kAsksAtOnceMax = 256;  // of one Context::ask_all(): each answer is looked for among them

namespace detail {
class Recorder;
}

/// Of an actor, for tests.
enum class Crash : std::uint8_t {
  kNo,
  kBefore,  // its turn: the message is lost
  kAfter,   // its turn, or while that waits: what it has sent is on its way, and an answer given
};

struct RuntimeOptions {
  std::string node_name = "node1";

  // Of one actor, unless it has its own (MailboxOptions); beyond them a send is refused.
  std::uint32_t mailbox_messages_max = 1u << 20;  // at most 2^29
  std::uint64_t mailbox_bytes_max = 128u << 20;
  std::size_t message_bytes_max = 16u << 20;  // of one message or reply with what it holds; at most 128 MiB - 128
  std::size_t stash_max = 10'000;             // messages that one actor keeps: Context::stash()
  std::size_t sends_waiting_max = 10'000;     // for room in one mailbox: Context::send()
  std::uint32_t actors_max = 64u << 20;       // alive in the runtime; each worker may start up to 512 more
  std::size_t links_max = 100'000;            // of one actor
  std::size_t monitors_max = 100'000;         // of one actor, and as many of others on it
  std::size_t timers_max = 1u << 20;          // of one actor
  std::uint64_t seed = 0;                     // of what the runtime spreads by chance: the waits before restarts
  std::size_t dead_letters_kept = 1'000;      // the newest, for inspection
  Duration batch_time_max = 200us;            // of one worker, as above; also of one actor before the next
  std::size_t turns_per_batch = 128;          // of one worker between two looks at timers, I/O and other workers
  std::size_t turns_per_run = 16'384;         // of one actor in a row, when they take less than batch_time_max
  Duration slow_handler_after = 100ms;        // a handler that holds its worker longer is reported; 0: none is
  Duration migration_turn_cost_min = 400ns;   // mean turn from which runnable actors go to an idle worker
  std::size_t migration_batches = 10;         // over which the mean is taken, twice in a row

  // For tests. `move_every_turns` > 0: each plain actor moves to the next worker after so many turns. `pick`: chooses
  // the next runnable actor of `count` (0 = the one that waits longest), as the simulator does.
  std::size_t move_every_turns = 0;
  std::function<std::size_t(std::size_t count)> pick;
  // Beside `pick`: asked before each turn of a plain actor on a message, whether it crashes as if its handler had
  // thrown. Not null: `recorder` takes what actors do to others; it outlives the runtime.
  std::function<Crash(const Actor& actor, std::string_view name)> crash;
  detail::Recorder* recorder = nullptr;
};

}  // namespace plexspaces
