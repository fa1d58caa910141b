// Tests of actors: TestRuntime, Probe, Harness, simulate().
#pragma once

#include "plexspaces/testkit/testkit.hpp"
