// Event managers: GenEvent.
#pragma once

#include "plexspaces/behavior/gen_event.hpp"
