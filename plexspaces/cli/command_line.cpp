#include "plexspaces/cli/command_line.hpp"

#include <algorithm>
#include <map>
#include <optional>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <fmt/format.h>

#include "plexspaces/api/idempotency_key.hpp"
#include "plexspaces/base/suggest.hpp"
#include "plexspaces/node/config.hpp"

namespace plexspaces::cli {

namespace {

// What CLI11 writes the values of one subcommand into.
struct ConfigFlags {
  std::string file;
  std::map<std::string, std::string> values;

  void add_to(CLI::App& command) {
    command.add_option("--config", file, "YAML file; PLEXSPACES_... variables and flags override it")
        ->type_name("FILE");
    for (const node::ConfigKey& key : node::config_keys())
      command.add_option("--" + key.name, values[key.name], key.help + " [" + key.default_value + "]")
          ->type_name("")
          ->group("Configuration");
  }

  void read(const CLI::App& command, CommandLine& line) const {
    line.config_file = file;
    for (const node::ConfigKey& key : node::config_keys())
      if (command.count("--" + key.name) > 0) line.flags.emplace_back(key.name, values.at(key.name));
  }
};

std::unexpected<Error> usage(std::string message) {
  return fail(Code::kInvalidArgument, std::move(message), "PLX-CLI-0001");
}

// "--flag=": the parser would take the next argument as the value.
std::optional<std::string> flag_without_value(const std::vector<std::string>& arguments) {
  for (const std::string& argument : arguments) {
    if (argument == "--") break;
    if (argument.starts_with("--") && argument.find('=') == argument.size() - 1)
      return argument.substr(0, argument.size() - 1);
  }
  return std::nullopt;
}

// An empty value is that of a shell variable that is not set, never one that is meant.
std::optional<std::string> option_with_empty_value(const CLI::App& command) {
  for (const CLI::Option* option : command.get_options())
    if (option->count() > 0 && option->get_items_expected_max() > 0 && option->results().front().empty())
      return option->get_name();
  return std::nullopt;
}

std::unexpected<Error> empty_value(const std::string& option) {
  return usage(fmt::format("'{}' has an empty value: give it one, or leave it out", option));
}

// The first argument that nobody took.
std::unexpected<Error> unknown_argument(const CLI::App& app, const std::string& argument) {
  std::vector<std::string> known;
  bool flag = argument.starts_with('-');
  std::string name = argument.substr(0, argument.find('='));
  if (flag) {
    for (const CLI::Option* option : app.get_options()) known.push_back("--" + option->get_single_name());
  } else {
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
      known.push_back(command->get_name());
  }
  std::string in = app.get_parent() != nullptr ? fmt::format(" of '{}'", app.get_name()) : "";
  return usage(fmt::format("unknown {} '{}'{}{}", flag ? "flag" : "command", name, in, suggest(name, known)));
}

// "airport/SFO", "shop/airport/SFO", "acme/shop/airport/SFO": what is left out is `default`.
Result<ActorKey> parse_actor(const std::string& text) {
  std::vector<std::string> parts(1);
  for (char c : text) {
    if (c == '/')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  if (parts.size() < 2 || parts.size() > 4)
    return fail(Code::kInvalidArgument,
                fmt::format("'{}' is not an actor: write [[tenant/]namespace/]type/key, such as airport/SFO", text),
                "PLX-CLI-0003");
  parts.insert(parts.begin(), 4 - parts.size(), "default");
  return ActorKey::make(std::move(parts[0]), std::move(parts[1]), std::move(parts[2]), std::move(parts[3]));
}

}  // namespace

Result<CommandLine> parse_command_line(const std::string& program, std::vector<std::string> arguments) {
  CommandLine line;
  CLI::App app("A runtime of durable actors: this program is a node.", program);
  app.allow_extras();
  bool version = false;
  app.add_flag("--version", version, "print the version");

  ConfigFlags dev_flags, show_flags, ask_flags;
  CLI::App* dev = app.add_subcommand("dev", "start one node on this machine and serve its actors");
  dev_flags.add_to(*dev);
  CLI::App* config = app.add_subcommand("config", "the configuration");
  CLI::App* show = config->add_subcommand("show", "print each value and where it comes from");
  show_flags.add_to(*show);
  CLI::App* describe = config->add_subcommand("describe", "print every key as a table in Markdown");
  CLI::App* actor = app.add_subcommand("actor", "the actors of a node that runs");
  CLI::App* ask = actor->add_subcommand("ask", "send a message to an actor over HTTP and print its reply");
  std::string asked_actor;
  ask->add_option("actor", asked_actor, "[[tenant/]namespace/]type/key, such as airport/SFO")->required();
  ask->add_option("message", line.message, "name of the message; without one, the type's only read");
  ask->add_option("body", line.body, "the message's fields as JSON");
  ask->add_option("--idempotency-key", line.idempotency_key, "makes it safe to send the same request again");
  ask_flags.add_to(*ask);
  ConfigFlags list_flags, retry_flags, drop_flags;
  CLI::App* deadletter = app.add_subcommand("deadletter", "the messages between durable actors that were given up");
  CLI::App* list = deadletter->add_subcommand("list", "print them, with the cause of each, as JSON");
  list_flags.add_to(*list);
  CLI::App* retry = deadletter->add_subcommand("retry", "send the message of one again");
  CLI::App* drop = deadletter->add_subcommand("drop", "forget one, with its message");
  for (CLI::App* command : {retry, drop}) {
    command->add_option("owner", asked_actor, "as 'deadletter list' prints it: tenant/namespace/type/key")->required();
    command->add_option("number", line.number, "as 'deadletter list' prints it")->required();
  }
  retry_flags.add_to(*retry);
  drop_flags.add_to(*drop);
  CLI::App* types = app.add_subcommand("types", "list the registered actor types and their messages");
  bool record = false;
  types->add_flag("--record", record, "print the fields of all messages and states, to keep under version control");
  types->add_option("--check", line.record_file, "compare with such a record: stored bytes must stay readable")
      ->type_name("FILE");
  CLI::App* version_command = app.add_subcommand("version", "print the version");
  for (CLI::App* command :
       {dev, config, show, describe, actor, ask, deadletter, list, retry, drop, types, version_command})
    command->allow_extras();

  if (auto flag = flag_without_value(arguments)) return empty_value(*flag);
  try {
    std::ranges::reverse(arguments);  // as CLI11 wants them
    app.parse(arguments);
  } catch (const CLI::CallForHelp&) {
    line.help = app.help();  // of the command that was asked
    return line;
  } catch (const CLI::Error& e) {
    return usage(e.what());
  }

  for (const CLI::App* command : std::initializer_list<const CLI::App*>{
           &app, dev, config, show, describe, actor, ask, deadletter, list, retry, drop, types, version_command}) {
    if (auto left = command->remaining(); !left.empty()) return unknown_argument(*command, left.front());
    if (auto option = option_with_empty_value(*command)) return empty_value(*option);
  }

  if (version || version_command->parsed()) {
    line.command = Command::kVersion;
  } else if (dev->parsed()) {
    line.command = Command::kDev;
    dev_flags.read(*dev, line);
  } else if (show->parsed()) {
    line.command = Command::kConfigShow;
    show_flags.read(*show, line);
  } else if (ask->parsed()) {
    line.command = Command::kActorAsk;
    PLX_TRY(key, parse_actor(asked_actor));
    line.actor = std::move(key);
    if (ask->count("--idempotency-key") > 0)
      if (Status status = api::check_idempotency_key(line.idempotency_key); !status)
        return std::unexpected(status.error().with_prefix("--idempotency-key"));
    ask_flags.read(*ask, line);
  } else if (list->parsed()) {
    line.command = Command::kDeadLetterList;
    list_flags.read(*list, line);
  } else if (retry->parsed() || drop->parsed()) {
    line.command = retry->parsed() ? Command::kDeadLetterRetry : Command::kDeadLetterDrop;
    PLX_TRY(owner, parse_actor(asked_actor));
    line.actor = std::move(owner);
    (retry->parsed() ? retry_flags : drop_flags).read(retry->parsed() ? *retry : *drop, line);
  } else if (deadletter->parsed()) {
    return usage("'deadletter' needs a command: list, retry or drop");
  } else if (describe->parsed()) {
    line.command = Command::kConfigDescribe;
  } else if (types->parsed()) {
    if (record && !line.record_file.empty()) return usage("'types' takes --record or --check, not both");
    line.command = record ? Command::kTypesRecord : !line.record_file.empty() ? Command::kTypesCheck : Command::kTypes;
  } else if (config->parsed()) {
    return usage("'config' needs a command: show or describe");
  } else if (actor->parsed()) {
    return usage("'actor' needs a command: ask");
  } else {
    return usage("name a command: dev, actor, deadletter, config, types or version (--help tells more)");
  }
  return line;
}

}  // namespace plexspaces::cli
