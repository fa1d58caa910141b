#include "plexspaces/cli/run.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "plexspaces/actor/types.hpp"
#include "plexspaces/base/standard_error.hpp"
#include "plexspaces/cli/command_line.hpp"
#include "plexspaces/cli/type_record.hpp"
#include "plexspaces/env/posix/clock.hpp"
#include "plexspaces/env/posix/descriptor.hpp"
#include "plexspaces/env/posix/disk.hpp"
#include "plexspaces/env/posix/process.hpp"
#include "plexspaces/env/posix/stop_signals.hpp"
#include "plexspaces/http/client.hpp"
#include "plexspaces/http/problem.hpp"
#include "plexspaces/http/route.hpp"
#include "plexspaces/node/config.hpp"
#include "plexspaces/node/node.hpp"
#include "plexspaces/supervision/application.hpp"

namespace plexspaces {

namespace {

using cli::Command;
using cli::CommandLine;

constexpr int kExitOk = 0;
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitStoreFailed = 70;  // EX_SOFTWARE of sysexits.h
constexpr std::size_t kFileBytesMax = std::size_t{1} << 20;
// Descriptors besides connections: the store, refused connections, standard streams, what handlers open.
constexpr std::size_t kFilesBesideConnections = 256;
// Of the time that a stop may take: for requests in flight. The rest is for the actors and the store.
constexpr double kGraceShare = 0.8;

void complain(const std::string& program, std::string_view text) {
  std::string line = fmt::format("{}: {}\n", program, text);
  std::fwrite(line.data(), 1, line.size(), stderr);
}

// For what a node says while it serves: a reader that does not read must hold up neither an actor nor the end.
void note(const std::string& program, std::string_view text) { write_log_line(fmt::format("{}: {}", program, text)); }

// A parent process waits for lines, so they go out at once.
bool print(std::string_view text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

// For commands whose result is their output. @returns the exit code.
int print_result(const std::string& program, std::string_view text) {
  if (print(text)) return kExitOk;
  complain(program, fmt::format("cannot write to standard output: {}", std::generic_category().message(errno)));
  return kExitFailed;
}

std::string text_of(const Error& error) {
  std::string text = error.message();
  for (const Error* cause = error.cause(); cause != nullptr; cause = cause->cause())
    text += "; because " + cause->message();
  if (!error.domain().empty()) text += fmt::format(" [{}]", error.domain());
  return text;
}

Result<std::string> read_file(const std::string& path) {
  PLX_TRY(text, env::read_input(path, kFileBytesMax + 1));
  if (text.size() > kFileBytesMax)
    return fail(Code::kInvalidArgument, fmt::format("'{}' has more than {} bytes", path, kFileBytesMax),
                "PLX-CLI-0002");
  return text;
}

Result<node::LoadedConfig> load(const CommandLine& line) {
  node::ConfigSources sources{.file_name = line.config_file, .flags = line.flags};
  if (!line.config_file.empty()) {
    auto text = read_file(line.config_file);
    if (!text) return std::unexpected(text.error().with_prefix("--config"));
    sources.file_text = *std::move(text);
  }
  for (char** variable = environ; *variable != nullptr; ++variable) {
    std::string_view text(*variable);
    std::size_t equals = text.find('=');
    if (equals != std::string_view::npos)
      sources.environment.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return node::load_config(sources);
}

// Columns aligned, two spaces between them.
std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i)
      line += fmt::format("{:<{}}", row[i], i + 1 < row.size() ? widths[i] + 2 : 0);
    text += line + "\n";
  }
  return text;
}

std::string show_config(const node::LoadedConfig& loaded) {
  std::vector<std::vector<std::string>> rows{{"KEY", "VALUE", "SOURCE"}};
  for (const node::ConfigValue& value : loaded.values) rows.push_back({value.key, value.value, value.source});
  return table(rows);
}

std::string show_types(const Types& types) {
  std::vector<std::vector<std::string>> rows{{"TYPE", "FACETS", "READS", "UPDATES"}};
  for (const std::string& name : types.names()) {
    const ActorType& type = *types.find(name);
    std::string facets, reads, updates;
    for (const FacetSpec& facet : type.facets) facets += (facets.empty() ? "" : ",") + facet.name;
    for (const Handler& handler : type.handlers) {
      std::string& list = handler.read ? reads : updates;
      list += (list.empty() ? "" : ",") + std::string(handler.message->value->name);
    }
    auto shown = [](const std::string& text) { return text.empty() ? "-" : text; };
    rows.push_back({name, shown(facets), shown(reads), shown(updates)});
  }
  return table(rows);
}

int check_record(const std::string& program, const Types& types, const std::string& path) {
  auto recorded = read_file(path);
  Status checked = recorded ? cli::check_types(types, *recorded) : Status(std::unexpected(recorded.error()));
  if (checked) return kExitOk;
  complain(program, text_of(checked.error()));
  return recorded ? kExitFailed : kExitUsage;
}

// Sends a request to the node and prints its answer. @returns the exit code.
int run_request(const std::string& program, const http::ClientRequest& request, const node::Config& config) {
  http::ClientOptions options;
  options.address = config.http.address;
  options.port = config.http.port;
  options.silence_max = config.http.request_timeout * 2;  // the node answers before
  auto answer = http::send_request(request, options);
  if (!answer) {
    complain(program, text_of(answer.error()));
    return kExitFailed;
  }
  if (answer->status >= 300) {
    complain(program, fmt::format("{} {}: {}", answer->status, http::reason_phrase(answer->status), answer->body));
    return kExitFailed;
  }
  return answer->body.empty() ? kExitOk : print_result(program, answer->body + "\n");
}

http::ClientRequest request_of(const CommandLine& line) {
  switch (line.command) {
    case Command::kDeadLetterList:
      return {.target = "/api/v1/deadletters"};
    case Command::kDeadLetterRetry:
    case Command::kDeadLetterDrop: {
      std::string path = http::actor_path(*line.actor, std::to_string(line.number));
      path.replace(0, http::kActorsPath.size(), "/api/v1/deadletters/");
      return {.method = line.command == Command::kDeadLetterRetry ? "POST" : "DELETE", .target = std::move(path)};
    }
    default:
      return {.method = line.message.empty() ? "GET" : "POST",
              .target = http::actor_path(*line.actor, line.message),
              .body = line.body,
              .idempotency_key = line.idempotency_key};
  }
}

int run_dev(const std::string& program, node::Config config, const Types& types,
            std::vector<Application> applications) {
  env::PosixClock clock;
  TimePoint began = clock.now();
  env::StopSignals signals;
  env::end_when_out_of_memory(kExitStoreFailed);
  std::size_t files = config.http.connections_max + kFilesBesideConnections;
  if (std::size_t allowed = env::allow_open_files(files); allowed < files) {
    std::size_t fit = node::connections_that_fit(allowed, config.http.connections_max);
    if (fit == 0) {
      complain(program,
               fmt::format("the system allows {} open files, too few for a node: raise the limit (ulimit -n {}) "
                           "[PLX-NOD-0004]",
                           allowed, files));
      return kExitFailed;
    }
    note(program, fmt::format("the system allows {} open files, so {} connections are served at once instead of "
                              "http.connections_max = {}: raise the limit (ulimit -n {}) or lower the key",
                              allowed, fit, config.http.connections_max, files));
    config.http.connections_max = fit;
  }
  std::atomic<bool> application_failed{false};
  auto on_store_failure = [program](const Error& error) {
    note(program, "the store failed, so nothing may be served any more: " + text_of(error));
    env::end_process(kExitStoreFailed);
  };
  auto on_application_failure = [program, &application_failed](const std::string& name, const ExitReason&) {
    note(program, fmt::format("the application '{}' has ended, and the node ends with it", name));
    application_failed.store(true);
    env::StopSignals::request_stop();
  };
  auto node = node::Node::start(config, types, on_store_failure, std::move(applications), on_application_failure);
  if (!node) {
    complain(program, text_of(node.error()));
    return kExitFailed;
  }
  if (const std::string& note = (*node)->recovery_note(); !note.empty()) complain(program, note);
  auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(clock.now() - began).count();
  std::string banner =
      fmt::format("PlexSpaces {}  {} ready in {} ms\n  http       {}\n  data       {} (sqlite, synchronous=full)\n",
                  PLX_VERSION, config.node.name, milliseconds, (*node)->http_url(), config.data.directory);
  write_without_waiting(STDOUT_FILENO, banner);

  std::string_view signal = signals.wait();
  note(program, fmt::format("{}: stopping", signal));
  signals.end_at_next(config.node.stop_timeout, kExitFailed);
  (*node)->stop(std::chrono::duration_cast<Duration>(config.node.stop_timeout * kGraceShare));
  node->reset();
  note(program, "stopped");
  return application_failed.load() ? kExitFailed : kExitOk;
}

}  // namespace

int run(int argc, char** argv, const std::function<void(Types&)>& register_types) {
  return run(argc, argv, [&](Types& types, std::vector<Application>&) { register_types(types); });
}

int run(int argc, char** argv, const std::function<void(Types&, std::vector<Application>&)>& register_program) {
  env::occupy_standard_streams();  // before anything opens a file
  std::vector<std::string> arguments(argv, argv + argc);
  std::string program = arguments.empty() ? "plexspaces" : std::filesystem::path(arguments.front()).filename().string();
  if (!arguments.empty()) arguments.erase(arguments.begin());

  auto line = cli::parse_command_line(program, std::move(arguments));
  if (!line) {
    complain(program, text_of(line.error()));
    return kExitUsage;
  }
  switch (line->command) {
    case Command::kHelp:
      return print_result(program, line->help);
    case Command::kVersion:
      return print_result(program, "PlexSpaces " PLX_VERSION "\n");
    case Command::kConfigDescribe:
      return print_result(program, node::describe_config());
    default:
      break;
  }

  Types types;
  std::vector<Application> applications;
  register_program(types, applications);
  if (Status mistake = types.check(); !mistake) {
    complain(program, text_of(mistake.error()));
    return kExitFailed;
  }
  if (line->command == Command::kTypes) return print_result(program, show_types(types));
  if (line->command == Command::kTypesRecord) return print_result(program, cli::record_types(types));
  if (line->command == Command::kTypesCheck) return check_record(program, types, line->record_file);
  auto loaded = load(*line);
  if (!loaded) {
    complain(program, text_of(loaded.error()));
    return kExitUsage;
  }
  if (line->command == Command::kConfigShow) return print_result(program, show_config(*loaded));
  if (line->command != Command::kDev) return run_request(program, request_of(*line), loaded->config);
  return run_dev(program, loaded->config, types, std::move(applications));
}

}  // namespace plexspaces
