// Everything that tests of actors use.
#pragma once

#include "plexspaces/testkit/effect.hpp"
#include "plexspaces/testkit/harness.hpp"
#include "plexspaces/testkit/probe.hpp"
#include "plexspaces/testkit/simulation.hpp"
#include "plexspaces/testkit/test_runtime.hpp"
