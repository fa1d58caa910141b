// What a command line asks for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "plexspaces/base/actor_key.hpp"
#include "plexspaces/base/error.hpp"

namespace plexspaces::cli {

enum class Command {
  kHelp,
  kVersion,
  kDev,
  kConfigShow,
  kConfigDescribe,
  kTypes,
  kTypesRecord,
  kTypesCheck,
  kActorAsk,
  kDeadLetterList,
  kDeadLetterRetry,
  kDeadLetterDrop
};

struct CommandLine {
  Command command = Command::kHelp;
  std::string help;                                        // of kHelp: the text
  std::string config_file;                                 // --config; empty: none
  std::vector<std::pair<std::string, std::string>> flags;  // "http.port", "8081": --http.port=8081
  std::string record_file;                                 // of kTypesCheck
  // Of kActorAsk.
  std::optional<ActorKey> actor;
  std::string message;          // empty: the type's only read
  std::string body;             // JSON
  std::string idempotency_key;  // empty: not given
  // Of kDeadLetterRetry and kDeadLetterDrop, with `actor`.
  std::uint64_t number = 0;
};

/// Reads the arguments after the program's name. Pure.
/// @error kInvalidArgument, PLX-CLI-0001: an unknown command or flag (with the nearest known one), a flag without
/// value. PLX-HTT-0012: an --idempotency-key that is none.
Result<CommandLine> parse_command_line(const std::string& program, std::vector<std::string> arguments);

}  // namespace plexspaces::cli
