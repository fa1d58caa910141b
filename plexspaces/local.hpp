// Plain actors without a node: LocalRuntime.
#pragma once

#include "plexspaces/node/local/local_runtime.hpp"
