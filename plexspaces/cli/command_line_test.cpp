#include "plexspaces/cli/command_line.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace plexspaces::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

Result<CommandLine> parse(std::vector<std::string> arguments) {
  return parse_command_line("app", std::move(arguments));
}

TEST(CommandLineTest, CommandsAreRead) {
  EXPECT_EQ(parse({"dev"})->command, Command::kDev);
  EXPECT_EQ(parse({"config", "show"})->command, Command::kConfigShow);
  EXPECT_EQ(parse({"config", "describe"})->command, Command::kConfigDescribe);
  EXPECT_EQ(parse({"types"})->command, Command::kTypes);
  EXPECT_EQ(parse({"version"})->command, Command::kVersion);
  EXPECT_EQ(parse({"--version"})->command, Command::kVersion);
}

TEST(CommandLineTest, FlagsAreConfigurationKeys) {
  auto line = parse({"dev", "--config", "f.yaml", "--http.port=8081", "--data.directory", "/tmp/x"});
  ASSERT_TRUE(line) << line.error().to_string();
  EXPECT_EQ(line->config_file, "f.yaml");
  EXPECT_THAT(line->flags, ElementsAre(Pair("http.port", "8081"), Pair("data.directory", "/tmp/x")));
  EXPECT_THAT(parse({"config", "show", "--node.name=n"})->flags, ElementsAre(Pair("node.name", "n")));
}

TEST(CommandLineTest, AnEmptyValueIsRefusedAndTakesNoOtherArgument) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"dev", "--data.directory=", "--http.port=0"},
        {"dev", "--data.directory", ""},
        {"config", "show", "--config="},
        {"config", "show", "--config", ""},
        {"types", "--check", ""},
        {"actor", "ask", "a/b", "Add", "{}", "--idempotency-key", ""},
        {"actor", "ask", "a/b", "Add", "{}", "--http.port="},
        {"actor", "ask", "a/b", ""}}) {
    auto refused = parse(arguments);
    ASSERT_FALSE(refused) << arguments[1];
    EXPECT_EQ(refused.error().domain(), "PLX-CLI-0001");
    EXPECT_THAT(refused.error().message(), HasSubstr("empty value"));
  }
}

TEST(CommandLineTest, WhatIsUnknownIsRefusedWithASuggestion) {
  struct Row {
    std::vector<std::string> arguments;
    std::string named;
    std::string suggested;
  };
  for (const Row& row :
       {Row{{"dve"}, "unknown command 'dve'", "'dev'"},
        Row{{"dev", "--http.prot=1"}, "unknown flag '--http.prot'", "'--http.port'"},
        Row{{"config", "shwo"}, "unknown command 'shwo' of 'config'", "'show'"},
        Row{{"--verison"}, "unknown flag '--verison'", "'--version'"},
        Row{{"types", "more"}, "unknown command 'more'", ""}, Row{{}, "name a command", "dev"},
        Row{{"config"}, "needs a command", "describe"}, Row{{"dev", "--http.port"}, "--http.port", ""}}) {
    auto refused = parse(row.arguments);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().domain(), "PLX-CLI-0001");
    EXPECT_THAT(refused.error().message(), AllOf(HasSubstr(row.named), HasSubstr(row.suggested)));
  }
}

TEST(CommandLineTest, AnActorIsAskedByItsPath) {
  auto line =
      parse({"actor", "ask", "airport/SFO", "departed", R"({"delay": 3})", "--idempotency-key", "k", "--http.port=81"});
  ASSERT_TRUE(line) << line.error().to_string();
  EXPECT_EQ(line->command, Command::kActorAsk);
  EXPECT_EQ(line->actor, (ActorKey{"default", "default", "airport", "SFO"}));
  EXPECT_EQ(line->message, "departed");
  EXPECT_EQ(line->body, R"({"delay": 3})");
  EXPECT_EQ(line->idempotency_key, "k");
  EXPECT_THAT(line->flags, ElementsAre(Pair("http.port", "81")));
  EXPECT_EQ(parse({"actor", "ask", "shop/airport/SFO"})->actor, (ActorKey{"default", "shop", "airport", "SFO"}));
  EXPECT_EQ(parse({"actor", "ask", "acme/shop/airport/SFO"})->actor, (ActorKey{"acme", "shop", "airport", "SFO"}));
  auto retry = parse({"deadletter", "retry", "default/default/airport/SFO", "3"});
  ASSERT_TRUE(retry) << retry.error().to_string();
  EXPECT_EQ(retry->command, Command::kDeadLetterRetry);
  EXPECT_EQ(retry->actor, (ActorKey{"default", "default", "airport", "SFO"}));
  EXPECT_EQ(retry->number, 3u);
  EXPECT_EQ(parse({"deadletter", "drop", "airport/SFO", "4", "--http.port=81"})->command, Command::kDeadLetterDrop);
  EXPECT_EQ(parse({"deadletter", "list"})->command, Command::kDeadLetterList);
  EXPECT_EQ(parse({"deadletter"}).error().domain(), "PLX-CLI-0001");
  EXPECT_EQ(parse({"deadletter", "drop", "airport/SFO", "x"}).error().domain(), "PLX-CLI-0001");
  for (const char* wrong : {"airport", "a/b/c/d/e"})
    EXPECT_EQ(parse({"actor", "ask", wrong}).error().domain(), "PLX-CLI-0003") << wrong;
  EXPECT_EQ(parse({"actor", "ask", "airport/"}).error().domain(), "PLX-KEY-0001");
  EXPECT_EQ(parse({"actor", "ask"}).error().domain(), "PLX-CLI-0001");
}

TEST(CommandLineTest, AnIdempotencyKeyIsOneThatANodeTakes) {
  auto with_key = [](const std::vector<std::string>& words) {
    std::vector<std::string> arguments{"actor", "ask", "airport/SFO", "departed", "{}"};
    arguments.insert(arguments.end(), words.begin(), words.end());
    auto line = parse(arguments);
    return line ? "key " + line->idempotency_key : line.error().domain();
  };
  EXPECT_EQ(with_key({"--idempotency-key", "k 1"}), "key k 1");
  EXPECT_EQ(with_key({}), "key ");
  EXPECT_EQ(with_key({"--idempotency-key", ""}), "PLX-CLI-0001");  // an unset variable of a shell
  EXPECT_EQ(with_key({"--idempotency-key", "k\r\nHost: evil.com"}), "PLX-HTT-0012");
  EXPECT_EQ(with_key({"--idempotency-key", "k\n"}), "PLX-HTT-0012");
  EXPECT_EQ(with_key({"--idempotency-key", std::string(257, 'k')}), "PLX-HTT-0012");
}

TEST(CommandLineTest, HelpIsAboutTheCommandThatAsks) {
  auto all = parse({"--help"});
  ASSERT_TRUE(all);
  EXPECT_EQ(all->command, Command::kHelp);
  EXPECT_THAT(all->help, AllOf(HasSubstr("dev"), HasSubstr("config"), HasSubstr("types")));
  EXPECT_THAT(parse({"dev", "--help"})->help, AllOf(HasSubstr("app dev"), HasSubstr("--http.port"), HasSubstr("8080")));
}

}  // namespace
}  // namespace plexspaces::cli
