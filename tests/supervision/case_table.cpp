#include "case_table.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>
#include <stdexcept>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace plexspaces::test {

namespace {

// The value of "name=value", or null.
const char* value_of(const std::string& word, std::string_view name) {
  if (!word.starts_with(name) || word.size() <= name.size() || word[name.size()] != '=') return nullptr;
  return word.c_str() + name.size() + 1;
}

template <class T>
T look_up(const std::map<std::string, T>& table, const std::string& word) {
  auto found = table.find(word);
  if (found == table.end()) throw std::runtime_error(fmt::format("the table of cases has an unknown word '{}'", word));
  return found->second;
}

const std::map<std::string, Strategy> kStrategies = {{"one_for_one", one_for_one},
                                                     {"one_for_all", one_for_all},
                                                     {"rest_for_one", rest_for_one},
                                                     {"simple_one_for_one", simple_one_for_one}};
const std::map<std::string, RestartType> kRestartTypes = {
    {"permanent", permanent}, {"transient", transient}, {"temporary", temporary}};
const std::map<std::string, AutoShutdown> kAutoShutdowns = {
    {"never", AutoShutdown::never}, {"any_significant", any_significant}, {"all_significant", all_significant}};

Shutdown parse_shutdown(const std::string& word) {
  if (word == "brutal_kill") return brutal_kill;
  if (word == "infinity") return infinity;
  return std::chrono::milliseconds(std::stol(word));
}

void parse_option(ChildCase& child, const std::string& word) {
  if (word == "supervisor") {
    child.supervisor = true;
  } else if (word == "significant") {
    child.options.significant = true;
  } else if (word == "traps") {
    child.traps = true;
  } else if (word == "stubborn") {
    child.traps = child.stubborn = true;
  } else if (word == "stop_fails") {
    child.traps = child.stop_fails = true;
  } else if (word == "throws") {
    child.throws = true;
  } else if (const char* shutdown = value_of(word, "shutdown")) {
    child.options.shutdown = parse_shutdown(shutdown);
  } else if (const char* fails = value_of(word, "fails")) {
    std::string range = fails;
    std::size_t dash = range.find('-');
    child.fails_first = std::stoul(range);
    child.fails_last = child.fails_first;
    if (dash != std::string::npos)
      child.fails_last =
          dash + 1 == range.size() ? std::numeric_limits<std::size_t>::max() : std::stoul(range.substr(dash + 1));
  } else {
    throw std::runtime_error(fmt::format("the table of cases has an unknown option '{}'", word));
  }
}

SupervisorCase parse_supervisor(const Words& words) {
  SupervisorCase supervisor{.name = words.at(1), .strategy = look_up(kStrategies, words.at(2))};
  const std::string& limit = words.at(3);
  supervisor.limit.intensity = static_cast<std::uint32_t>(std::stoul(limit));
  supervisor.limit.period = std::chrono::seconds(std::stol(limit.substr(limit.find('/') + 1)));
  for (std::size_t i = 4; i < words.size(); ++i) {
    const char* when = value_of(words[i], "auto_shutdown");
    if (when == nullptr) throw std::runtime_error(fmt::format("an unknown option of a supervisor: '{}'", words[i]));
    supervisor.auto_shutdown = look_up(kAutoShutdowns, when);
  }
  return supervisor;
}

void parse_line(Case& into, const Words& words, const std::string& line) {
  const std::string& verb = words.front();
  if (verb == "supervisor") {
    into.supervisors.push_back(parse_supervisor(words));
  } else if (verb == "child") {
    into.supervisors.back().children.push_back(parse_child(words, 1));
  } else if (verb == "during") {
    into.during.push_back({words.at(1), std::stoul(words.at(2)), {words.begin() + 3, words.end()}});
  } else if (verb == "differs") {
    into.differs = line.substr(line.find(' ') + 1);
  } else if (verb.starts_with("ours|")) {
    into.own_trace.push_back(line.substr(line.find('|') + 1));
  } else {
    into.steps.push_back(words);
  }
}

}  // namespace

ChildCase parse_child(const Words& words, std::size_t from) {
  ChildCase child{.id = words.at(from), .restart = look_up(kRestartTypes, words.at(from + 1))};
  for (std::size_t i = from + 2; i < words.size(); ++i) parse_option(child, words[i]);
  return child;
}

std::vector<Case> read_cases(const std::string& path) {
  std::vector<Case> cases;
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream in(line);
    Words words{std::istream_iterator<std::string>(in), {}};
    if (words.empty() || words.front().starts_with('#')) continue;
    if (words.front() == "case")
      cases.push_back({.name = line.substr(line.find(' ') + 1)});
    else
      parse_line(cases.at(cases.size() - 1), words, line);
    cases.back().text += line + "\n";
  }
  return cases;
}

Traces parse_traces(const std::string& text) {
  Traces traces;
  std::istringstream lines(text);
  Words* trace = nullptr;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) continue;
    if (line.starts_with("# "))
      traces.made_by = line.substr(2);
    else if (line.starts_with("case "))
      trace = &traces.of[line.substr(line.find(' ') + 1)];
    else if (trace != nullptr)
      trace->push_back(line);
  }
  return traces;
}

std::string read_file(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error(fmt::format("{} cannot be read", path));
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string join(const Words& words, std::string_view separator) {
  return fmt::format("{}", fmt::join(words, separator));
}

}  // namespace plexspaces::test
