// What a program of actors needs: messages, servers, references, contexts, and the node that runs them.
//
// Beside it, for those who use them: fsm.hpp (state machines), event.hpp (event managers), supervision.hpp (supervision
// trees, pools), local.hpp (a runtime without a node), testkit.hpp (tests).
#pragma once

#include "plexspaces/actor/actor_ref.hpp"
#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/lifecycle/exit.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/actor/stateful.hpp"
#include "plexspaces/actor/turn/task.hpp"
#include "plexspaces/actor/types.hpp"
#include "plexspaces/base/actor_key.hpp"
#include "plexspaces/base/bytes.hpp"
#include "plexspaces/base/error.hpp"
#include "plexspaces/behavior/gen_server.hpp"
#include "plexspaces/cli/run.hpp"
#include "plexspaces/codec/description.hpp"
#include "plexspaces/durable/options.hpp"
#include "plexspaces/env/time.hpp"
