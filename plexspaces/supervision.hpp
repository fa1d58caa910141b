// Supervision trees: supervisor(), applications, their views; pools of workers.
#pragma once

#include "plexspaces/supervision/application.hpp"
#include "plexspaces/supervision/pool.hpp"
#include "plexspaces/supervision/supervisor.hpp"
#include "plexspaces/supervision/tree_view.hpp"
