// Everything that a program of actors uses.
#pragma once

#include "plexspaces/actor/actor_ref.hpp"
#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/exit.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/actor/stateful.hpp"
#include "plexspaces/actor/task.hpp"
#include "plexspaces/actor/types.hpp"
#include "plexspaces/base/actor_key.hpp"
#include "plexspaces/base/bytes.hpp"
#include "plexspaces/base/error.hpp"
#include "plexspaces/behavior/gen_server.hpp"
#include "plexspaces/cli/run.hpp"
#include "plexspaces/codec/description.hpp"
#include "plexspaces/durable/options.hpp"
#include "plexspaces/env/time.hpp"
