// Machines whose rules are data, run by GenFsm, by a model of gen_statem, and by gen_statem itself.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "plexspaces/actor/mailbox/mailbox.hpp"
#include "plexspaces/env/time.hpp"

namespace plexspaces::fsm_script {

inline constexpr int kStates = 3;
inline constexpr int kExternals = 4;
inline constexpr int kInternals = 3;
inline constexpr int kTimeouts = 4;

// What an event is: 0 to 3 from outside, 4 to 6 internal, then the timeouts in the order of Which.
inline constexpr int kFirstInternal = kExternals;
inline constexpr int kFirstTimeout = kFirstInternal + kInternals;
inline constexpr int kKinds = kFirstTimeout + kTimeouts;

enum Which { kStateTimeout, kEventTimeout, kX, kY };

inline constexpr Duration kZero{0};
inline constexpr Duration kLong{1000h};  // never comes
inline constexpr Duration kCancel{-1};

struct SetTimeout {
  int which = 0;
  Duration after{0};  // or kCancel
};

inline constexpr int kKeep = -1;
inline constexpr int kRepeat = -2;

struct Rule {
  int next = kKeep;  // or kRepeat, or a state
  bool postpone = false;
  std::vector<SetTimeout> timeouts;
  std::vector<int> internals;  // kinds
};

// First the events are sent at once, then the time passes.
struct Op {
  std::vector<int> burst;
  Duration wait{0};
};

struct Script {
  std::string name;
  int fuel = 40;  // events; those after do nothing, so that every run ends
  std::array<std::array<Rule, kKinds>, kStates> rules;
  std::array<std::vector<SetTimeout>, kStates> enter;
  std::vector<Op> ops;
};

// "enter0 0:1 1:7": the states entered, and the events as state:kind.
using Trace = std::vector<std::string>;

std::string text(const Trace& trace);

// Under virtual time.
Trace run_machine(const Script& script, std::size_t workers, std::size_t move_every_turns = 0,
                  const MailboxOptions& mailbox = {});

// @param ambiguous: set when two things happen too close to each other to have an order; the trace ends there.
Trace run_model(const Script& script, bool& ambiguous);

// The scripts as a file for gen_fsm_peer.erl.
std::string erlang_terms(const std::vector<Script>& scripts);

}  // namespace plexspaces::fsm_script
