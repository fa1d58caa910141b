// Every strategy and restart type, with children that really fail, in virtual time.
#pragma once

/// @returns how many of its checks failed.
int check_strategies();
