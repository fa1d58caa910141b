// A node that counts flights: `flights dev` serves it.
#include "flights.hpp"

int main(int argc, char** argv) { return plexspaces::run(argc, argv, flights::register_types); }
