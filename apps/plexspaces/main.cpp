// The stock binary: a node with the built-in actor types, of which there are none yet.
#include "plexspaces/plexspaces.hpp"

int main(int argc, char** argv) {
  return plexspaces::run(argc, argv, [](plexspaces::Types&) {});
}
