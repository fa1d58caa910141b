// A folder for one test, and the nodes that keep their data in it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <stdlib.h>

#include "process.hpp"

namespace plexspaces::test {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitStoreFailed = 70;

constexpr auto kCounter = "/api/v1/actors/default/test/counter/a";
const std::string kAdd = std::string(kCounter) + "/Add";
const std::string kHost = "/api/v1/actors/default/test/host/a/";

class NodeFixture : public testing::Test {
 protected:
  NodeFixture() {
    std::string pattern = (std::filesystem::temp_directory_path() / "plx-node-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
  }
  ~NodeFixture() override {
    std::error_code ignored;
    std::filesystem::permissions(directory_, std::filesystem::perms::owner_all, ignored);
    std::filesystem::remove_all(directory_, ignored);
  }

  std::string data() const { return directory_ + "/data"; }

  std::vector<std::string> command(std::vector<std::string> flags = {}) const {
    std::vector<std::string> arguments{PLX_TEST_NODE, "dev", "--http.port=0"};
    if (std::ranges::none_of(flags, [](const std::string& flag) { return flag.starts_with("--data.directory="); }))
      arguments.push_back("--data.directory=" + data());
    for (std::string& flag : flags) arguments.push_back(std::move(flag));
    return arguments;
  }

  std::unique_ptr<Process> start(std::vector<std::string> flags = {}, std::vector<std::string> environment = {}) {
    return std::make_unique<Process>(command(std::move(flags)), std::move(environment));
  }

  // The port that the node says it listens on; 0 when it never says so.
  static std::uint16_t port_of(Process& node) {
    std::string line = node.wait_for_line("http://");
    std::size_t colon = line.rfind(':');
    return colon == std::string::npos ? 0 : static_cast<std::uint16_t>(std::stoi(line.substr(colon + 1)));
  }

  std::string directory_;
};

}  // namespace plexspaces::test
