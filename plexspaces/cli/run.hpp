// The main function of a program that is a node.
#pragma once

#include <functional>
#include <vector>

namespace plexspaces {

class Types;
struct Application;

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

/// The same for a program with supervision trees that start and stop with the node:
///
///     return plexspaces::run(argc, argv, [](plexspaces::Types&, std::vector<plexspaces::Application>& applications) {
///       applications.push_back({.name = "shop", .tree = supervisor("shop", one_for_one).child<Stock>("stock")});
///     });
///
/// @returns also 1 when an application has ended by itself and the node with it.
int run(int argc, char** argv, const std::function<void(Types&, std::vector<Application>&)>& register_program);

}  // namespace plexspaces
