// The main function of a program that is a node.
#pragma once

#include <functional>

namespace plexspaces {

class Types;

/// Runs the command line of a node with the program's own actor types.
///
///     int main(int argc, char** argv) {
///       return plexspaces::run(argc, argv, [](plexspaces::Types& types) { types.add<Counter>("counter"); });
///     }
///
/// Commands: dev, actor ask, config show, config describe, types, version; --help tells more. Data goes to standard
/// output, the rest to standard error.
/// @returns the exit code: 0; 1 the node could not start; 2 wrong command line or configuration; 70 the store failed.
/// Threads: the main thread, before others exist (signals are blocked in all of them).
int run(int argc, char** argv, const std::function<void(Types&)>& register_types);

}  // namespace plexspaces
