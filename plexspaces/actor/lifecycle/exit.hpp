// Why actors end, and how others learn of it.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "plexspaces/actor/actor_id.hpp"
#include "plexspaces/codec/description.hpp"

namespace plexspaces {

inline constexpr std::size_t kExitTextBytesMax = 1'024;  // of the text of a reason; the rest is cut off

enum class ExitKind : std::uint8_t {
  kNormal,    // it was done: Context::stop()
  kShutdown,  // it was told to end: Runtime::stop()
  kKilled,    // it was killed
  kError,     // a handler threw, or it gave up: the text says why
  kNoproc,    // there was no such actor
};
PLX_ENUM(ExitKind, (1, kNormal), (2, kShutdown), (3, kKilled), (4, kError), (5, kNoproc));

/// "normal", "shutdown", ...
std::string_view exit_kind_name(ExitKind kind);

/// Why an actor has ended.
struct ExitReason {
  ExitKind kind = ExitKind::kNormal;
  std::string text;  // of kError; at most kExitTextBytesMax from the runtime

  static ExitReason normal() { return {}; }
  static ExitReason shutdown() { return {ExitKind::kShutdown, {}}; }
  static ExitReason killed() { return {ExitKind::kKilled, {}}; }
  static ExitReason noproc() { return {ExitKind::kNoproc, {}}; }
  /// `text` is cut to kExitTextBytesMax, at a character of UTF-8.
  static ExitReason error(std::string_view text);

  friend bool operator==(const ExitReason&, const ExitReason&) = default;
};
PLX_MESSAGE(ExitReason, (1, kind), (2, text));

/// One monitor. Never used again in its runtime.
struct MonitorRef {
  std::uint64_t id = 0;  // 0: none

  friend auto operator<=>(const MonitorRef&, const MonitorRef&) = default;
};
PLX_MESSAGE(MonitorRef, (1, id));

/// The actor that `monitor` watched has ended: exactly one for each monitor, after every message that the actor had
/// sent to the watcher. A watcher handles it as any message.
struct Down {
  MonitorRef monitor;
  ActorId actor;
  ExitReason reason;
};
PLX_MESSAGE(Down, (1, monitor), (2, actor), (3, reason));

/// An exit signal, as an actor that traps exits gets it: `from` has ended and was linked, or has called
/// Context::exit().
struct Exited {
  ActorId from;
  ExitReason reason;
};
PLX_MESSAGE(Exited, (1, from), (2, reason));

}  // namespace plexspaces
