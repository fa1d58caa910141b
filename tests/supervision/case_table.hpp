// The table of supervision cases (cases.txt says what is in it) and traces of them.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "plexspaces/supervision/child_spec.hpp"

namespace plexspaces::test {

using Words = std::vector<std::string>;

struct ChildCase {
  std::string id;
  RestartType restart = permanent;
  ChildOptions options;
  bool supervisor = false;
  bool traps = false;
  bool stubborn = false;
  bool stop_fails = false;
  bool throws = false;
  std::size_t fails_first = 0;  // starts that fail, counted from 1; none
  std::size_t fails_last = 0;
};

struct SupervisorCase {
  std::string name;
  Strategy strategy = one_for_one;
  RestartLimit limit;
  AutoShutdown auto_shutdown = AutoShutdown::never;
  std::vector<ChildCase> children;
};

/// Sent while a start of a child is under way.
struct DuringStart {
  std::string id;
  std::size_t start = 0;
  Words request;
};

struct Case {
  std::string name;
  std::string text;                         // its lines in the table
  std::vector<SupervisorCase> supervisors;  // the root first
  std::vector<DuringStart> during;
  std::vector<Words> steps;
  std::string differs;  // why our trace is another one; empty: it is not
  Words own_trace;      // then
};

/// A child as "child" and "start" name it. Throws std::runtime_error for what it does not know, as all here.
ChildCase parse_child(const Words& words, std::size_t from);
std::vector<Case> read_cases(const std::string& path);

/// Trace lines by the case's name.
struct Traces {
  std::string made_by;  // "Erlang/OTP 25.2.3, ..."
  std::map<std::string, Words> of;
};
Traces parse_traces(const std::string& text);

std::string read_file(const std::string& path);
std::string join(const Words& words, std::string_view separator = " ");

}  // namespace plexspaces::test
