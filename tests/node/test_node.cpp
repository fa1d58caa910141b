// A node with the actor types that the process tests use.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "plexspaces/plexspaces.hpp"
#include "plexspaces/supervision.hpp"

namespace {

using plexspaces::Code;
using plexspaces::Context;
using plexspaces::Error;
using plexspaces::GenServer;
using plexspaces::Result;
using plexspaces::Stateful;

struct Add {
  using Reply = std::int64_t;
  std::int64_t by;  // required
  std::int32_t small = 0;
};
PLX_MESSAGE(Add, (1, by), (2, small));

struct Clear {
  using Reply = void;
};
PLX_MESSAGE(Clear);

struct Get {
  using Reply = std::int64_t;
};
PLX_MESSAGE(Get);

struct Sum {
  std::int64_t value = 0;
};
PLX_MESSAGE(Sum, (1, value));

class Counter : public GenServer<Counter, Add, Clear, Get>, public Stateful<Sum> {
 public:
  Result<std::int64_t> handle(const Add& add, Context&) {
    if (add.by < 0) {
      Error cause(Code::kOutOfRange, add.by == -1 ? "the number is negative" : std::string(10'000, 'x'));
      return std::unexpected(
          Error(Code::kInvalidArgument, "a counter only grows", "TST-0001").caused_by(std::move(cause)));
    }
    return state().value += add.by;
  }
  void handle(const Clear&, Context&) { state().value = 0; }
  Result<std::int64_t> handle(const Get&, Context&) const { return state().value; }
};

struct Exit {
  using Reply = void;
  std::int32_t code = 0;
};
PLX_MESSAGE(Exit, (1, code));

struct Fork {
  using Reply = std::int32_t;  // exit code of the child
};
PLX_MESSAGE(Fork);

struct Execute {
  using Reply = std::int32_t;  // as std::system()
  std::string command;
};
PLX_MESSAGE(Execute, (1, command));

struct GoTo {
  using Reply = void;
  std::string directory;
};
PLX_MESSAGE(GoTo, (1, directory));

struct Throw {
  using Reply = void;
  std::string text;
};
PLX_MESSAGE(Throw, (1, text));

struct Recurse {
  using Reply = std::int64_t;
  std::int64_t kib = 0;  // of stack
};
PLX_MESSAGE(Recurse, (1, kib));

struct Allocate {
  using Reply = void;
  std::int64_t bytes = 0;
};
PLX_MESSAGE(Allocate, (1, bytes));

[[gnu::noinline]] std::int64_t recurse(std::int64_t kib) {
  volatile char taken[1024] = {};
  return kib <= 1 ? 1 : recurse(kib - 1) + 1 + taken[kib % 1024];
}

// What handlers do with their process, though it is not theirs.
class Host : public GenServer<Host, Exit, Fork, Execute, GoTo, Throw, Recurse, Allocate> {
 public:
  void handle(const Exit& exit, Context&) { std::exit(exit.code); }
  std::int32_t handle(const Fork&, Context&) {
    pid_t child = ::fork();
    if (child == 0) ::_exit(7);
    int status = 0;
    ::waitpid(child, &status, 0);
    return WEXITSTATUS(status);
  }
  Result<void> handle(const GoTo& go, Context&) {
    if (::chdir(go.directory.c_str()) == 0) return {};
    return plexspaces::fail(Code::kInvalidArgument, "no such directory", "TST-0002");
  }
  void handle(const Throw& m, Context&) { throw std::runtime_error(m.text); }
  std::int64_t handle(const Recurse& m, Context&) { return recurse(m.kib); }
  void handle(const Allocate& m, Context&) {
    std::unique_ptr<volatile char[]> bytes(new volatile char[static_cast<std::size_t>(m.bytes)]);
    bytes[0] = 1;
  }
  std::int32_t handle(const Execute& execute, Context&) { return std::system(execute.command.c_str()); }
};

struct GiveUp {};
PLX_MESSAGE(GiveUp);

// Says when it starts and has ended in order; ends at once when it is told to fail.
class Service : public GenServer<Service, GiveUp> {
 public:
  explicit Service(bool fails) : fails_(fails) {}
  plexspaces::Status on_start(Context& ctx) override {
    std::fputs("the service is up\n", stderr);
    return fails_ ? ctx.continue_with(GiveUp{}) : plexspaces::Status();
  }
  plexspaces::Task<> on_stop(Context&, const plexspaces::ExitReason&) override {
    std::fputs("the service has ended\n", stderr);
    co_return;
  }
  void handle(const GiveUp&, Context& ctx) { ctx.exit(plexspaces::ExitReason::error("gave up")); }

 private:
  bool fails_;
};

}  // namespace

int main(int argc, char** argv) {
  using plexspaces::Application, plexspaces::supervisor;
  return plexspaces::run(argc, argv, [](plexspaces::Types& types, std::vector<Application>& applications) {
    types.add<Counter>("counter", {.facets = {plexspaces::durable(), plexspaces::virtual_actor()}});
    types.add<Host>("host", {.facets = {plexspaces::virtual_actor()}});
    const char* wanted = std::getenv("PLX_TEST_APPLICATION");  // "runs" or "fails"
    if (wanted == nullptr) return;
    bool fails = std::string(wanted) == "fails";
    applications.push_back({.name = "service",
                            .tree = supervisor("service", plexspaces::one_for_one)
                                        .child<Service>("service", plexspaces::permanent, {}, fails)});
  });
}
