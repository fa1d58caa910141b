// State machines: GenFsm.
#pragma once

#include "plexspaces/behavior/gen_fsm.hpp"
