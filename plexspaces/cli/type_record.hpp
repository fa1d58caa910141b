// The record of a program's stored types: what keeps a change of a message from making stored bytes unreadable.
#pragma once

#include <string>
#include <string_view>

#include "plexspaces/actor/types.hpp"
#include "plexspaces/base/error.hpp"

namespace plexspaces::cli {

/// The descriptions of every message and state of the registered types, sorted by name, a blank line between them: text
/// to keep under version control.
std::string record_types(const Types& types);

/// Can this program read what one with the `recorded` types stored?
/// @error kFailedPrecondition, PLX-CLI-0004: names each type that is gone or has changed incompatibly.
Status check_types(const Types& types, std::string_view recorded);

}  // namespace plexspaces::cli
