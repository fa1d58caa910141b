// A node as a process on machines that lack something: docs/where-it-runs.md has a row for each. What needs root or a
// namespace that this machine does not give is skipped, and says so.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node_fixture.hpp"
#include "process.hpp"

namespace plexspaces::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;

// Enough of an answer of a durable actor to know that it was carried out.
void expect_sum(std::uint16_t port, std::int64_t sum, const std::string& where) {
  ASSERT_NE(port, 0) << where;
  EXPECT_EQ(HttpClient(port).ask("POST", kAdd, R"({"by": 1})").body, std::to_string(sum)) << where;
}

bool runs(const std::string& script) { return Process({"/bin/sh", "-c", script}).wait() == 0; }

class MachineTest : public NodeFixture {
 protected:
  // `script` prepares a machine and ends with: exec "$@".
  std::unique_ptr<Process> start_in(const std::string& script, std::vector<std::string> flags = {},
                                    std::vector<std::string> environment = {}) {
    return std::make_unique<Process>(in_shell("set -e; D=" + directory_ + "; " + script, command(std::move(flags))),
                                     std::move(environment));
  }
  // As start_in(), with mounts of its own.
  std::unique_ptr<Process> start_with_mounts(const std::string& script, std::vector<std::string> flags = {}) {
    std::vector<std::string> arguments = in_shell("set -e; D=" + directory_ + "; " + script, command(std::move(flags)));
    arguments.insert(arguments.begin(), {"/usr/bin/unshare", "--mount"});
    if (::geteuid() != 0) arguments.insert(arguments.begin() + 1, "--map-root-user");
    return std::make_unique<Process>(std::move(arguments));
  }
  static bool may_mount() {
    return runs(std::string("unshare --mount ") + (::geteuid() != 0 ? "--map-root-user" : "") +
                " mount -t tmpfs none /mnt 2>/dev/null");
  }
  // It serves, ends in order, and has kept its state.
  static void expect_serves(Process& node, std::int64_t sum, const std::string& where) {
    expect_serves(node, port_of(node), sum, where);
  }
  static void expect_serves(Process& node, std::uint16_t port, std::int64_t sum, const std::string& where) {
    expect_sum(port, sum, where + node.errors());
    node.send_signal(SIGTERM);
    EXPECT_EQ(node.wait(), 0) << where << node.errors();
  }
};

#define PLX_NEEDS(condition, what) \
  if (!(condition)) GTEST_SKIP() << "not tested: this needs " what

const std::string kAsNobody = "setpriv --reuid=65534 --regid=65534 --clear-groups ";

// ---- users, permissions, environment

TEST_F(MachineTest, AnotherUserNeedsOnlyItsDataDirectory) {
  PLX_NEEDS(::geteuid() == 0, "root, to become another user");
  fs::permissions(directory_, fs::perms::all);
  auto node = start_in("exec " + kAsNobody + "\"$@\"");
  expect_serves(*node, 1, "another user");
  struct stat status{};
  ASSERT_EQ(::stat((data() + "/plexspaces.db").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 65534u);
}

TEST_F(MachineTest, DataOfAnotherUserIsRefused) {
  PLX_NEEDS(::geteuid() == 0, "root, to become another user");
  fs::permissions(directory_, fs::perms::all);
  expect_serves(*start(), 1, "root");
  for (fs::perms directory_mode : {fs::perms(0700), fs::perms(0777)}) {
    fs::permissions(data(), directory_mode);
    auto node = start_in("exec " + kAsNobody + "\"$@\"");
    EXPECT_EQ(node->wait(), kExitFailed);
    EXPECT_THAT(node->errors(), AllOf(HasSubstr(data()), HasSubstr("PLX-ENV-0003")));
  }
  fs::permissions(data(), fs::perms(0700));
  expect_serves(*start(), 2, "root again");
}

TEST_F(MachineTest, AReadOnlyDirectoryIsRefused) {
  PLX_NEEDS(::geteuid() == 0, "root, to become another user");
  fs::permissions(directory_, fs::perms(0555));
  for (const std::string& flag : {"--data.directory=" + data(), "--data.directory=" + directory_,
                                  std::string("--data.directory=./plexspaces-data")}) {
    auto node = start_in("cd $D; exec " + kAsNobody + "\"$@\"", {flag});
    EXPECT_EQ(node->wait(), kExitFailed) << flag;
    EXPECT_THAT(node->errors(), AllOf(HasSubstr("PLX-ENV-0003"), HasSubstr("--data.directory"))) << flag;
  }
}

TEST_F(MachineTest, WhateverTheUmaskTheFilesAreItsUsersAlone) {
  for (const std::string mask : {"000", "022", "077"}) {
    const std::string deep = directory_ + "/of-" + mask + "/deep/data";
    auto node = start_in("umask " + mask + "; exec \"$@\"", {"--data.directory=" + deep});
    expect_serves(*node, 1, "umask " + mask);
    EXPECT_EQ(fs::status(deep).permissions(), fs::perms(0700)) << mask;
    EXPECT_EQ(fs::status(directory_ + "/of-" + mask).permissions(), fs::perms(0700)) << mask;
    int files = 0;
    for (const auto& entry : fs::directory_iterator(deep)) {
      EXPECT_EQ(entry.status().permissions(), fs::perms(0600)) << mask << entry.path();
      ++files;
    }
    EXPECT_GE(files, 3);
  }
}

TEST_F(MachineTest, NothingOfTheEnvironmentIsNeeded) {
  const std::string umlaut = "/api/v1/actors/default/test/counter/%C3%A4/Add";
  std::int64_t sum = 0;
  for (const std::string environment :
       {"env -i setsid", "env -i LC_ALL=C LANG=de_DE.nonsense", "env TZ=:/nowhere HOME=/nowhere",
        "env TZ=Pacific/Kiritimati LC_ALL=tr_TR.UTF-8"}) {
    auto node = start_in("exec " + environment + " \"$@\" </dev/null");
    std::uint16_t port = port_of(*node);
    ASSERT_NE(port, 0) << environment << node->errors();
    EXPECT_EQ(HttpClient(port).ask("POST", umlaut, R"({"by": 1})").body, std::to_string(++sum)) << environment;
    node->send_signal(SIGTERM);
    EXPECT_EQ(node->wait(), 0);
  }
}

TEST_F(MachineTest, OneCoreIsEnough) {
  auto node = start_in("exec taskset -c 0 \"$@\"");
  expect_serves(*node, 1, "one core");
}

// ---- file systems

TEST_F(MachineTest, AReadOnlyRootServesAndAReadOnlyDataDirectoryIsRefused) {
  PLX_NEEDS(may_mount(), "the right to mount");
  const std::string mounts = "mkdir -p $D/data; mount -t tmpfs none $D/data; mount -o remount,bind,ro /; ";
  auto node = start_with_mounts(mounts + "exec \"$@\"");
  expect_serves(*node, 1, "read-only root");
  for (const std::string& flag : {"--data.directory=" + directory_ + "/other", std::string("--data.directory=data")}) {
    auto refused = start_with_mounts(mounts + "mount -o remount,ro $D/data; cd $D; exec \"$@\"", {flag});
    EXPECT_EQ(refused->wait(), kExitFailed) << flag;
    EXPECT_THAT(refused->errors(), AllOf(HasSubstr("Read-only"), HasSubstr("PLX-ENV-0003"))) << flag;
  }
}

TEST_F(MachineTest, NoDevNoProcNoTmp) {
  PLX_NEEDS(may_mount() && ::geteuid() == 0, "root and the right to mount");
  auto node = start_with_mounts(
      "mkdir -p $D/tree; mount -t tmpfs none $D/tree; "
      "for d in usr lib lib64; do [ -e /$d ] || continue; mkdir $D/tree/$d; mount --bind /$d $D/tree/$d; done; "
      "cp \"$1\" $D/tree/node; mkdir $D/tree/data; shift; shift; exec chroot $D/tree /node dev \"$@\" <&-",
      {"--data.directory=/data"});
  expect_serves(*node, 1, "empty root");
}

TEST_F(MachineTest, AnOverlayServesAlsoWhatAnImageBroughtAlong) {
  PLX_NEEDS(may_mount(), "the right to mount");
  const std::string overlay =
      "mkdir -p $D/data $D/layers; mount -t tmpfs none $D/layers; mkdir $D/layers/low $D/layers/up $D/layers/work; ";
  PLX_NEEDS(
      runs("unshare --mount sh -c 'D=" + directory_ + "; set -e; " + overlay +
           "mount -t overlay -o lowerdir=$D/layers/low,upperdir=$D/layers/up,workdir=$D/layers/work none $D/data'"),
      "overlayfs");
  auto empty = start_with_mounts(
      overlay +
      "mount -t overlay -o lowerdir=$D/layers/low,upperdir=$D/layers/up,workdir=$D/layers/work none $D/data; "
      "exec \"$@\"");
  expect_serves(*empty, 1, "overlay");
  expect_serves(*start(), 1, "what becomes the image");  // the overlay is gone, and its data with it
  auto image = start_with_mounts(
      overlay +
      "cp -a $D/data $D/layers/low/; mount -t overlay -o "
      "lowerdir=$D/layers/low/data,upperdir=$D/layers/up,workdir=$D/layers/work none $D/data; exec \"$@\"");
  std::uint16_t port = port_of(*image);
  for (std::int64_t sum = 2; sum < 5; ++sum) expect_sum(port, sum, "image");
  image->send_signal(SIGTERM);
  EXPECT_EQ(image->wait(), 0) << image->errors();
  expect_serves(*start(), 2, "the lower layer is as it was");
}

TEST_F(MachineTest, ANetworkFileSystemIsRefused) {
  const std::string fault = directory_ + "/fault";
  std::ofstream(fault) << "network";
  auto node = start({}, {"PLX_TEST_FAULT=" + fault});
  EXPECT_EQ(node->wait(), kExitFailed);
  EXPECT_THAT(node->errors(), AllOf(HasSubstr("NFS"), HasSubstr("local disk"), HasSubstr("PLX-ENV-0010")));
  EXPECT_FALSE(fs::exists(data() + "/plexspaces.db"));
}

TEST_F(MachineTest, ADiskThatBecomesReadOnlyEndsTheNode) {
  const std::string fault = directory_ + "/fault";
  auto node = start({}, {"PLX_TEST_FAULT=" + fault});
  std::uint16_t port = port_of(*node);
  expect_sum(port, 1, "before");
  std::ofstream(fault) << "readonly";
  EXPECT_NE(HttpClient(port).ask("POST", kAdd, R"({"by": 1})").status, 200);
  EXPECT_EQ(node->wait(), kExitStoreFailed);
  EXPECT_THAT(node->errors(), AllOf(HasSubstr("store failed"), HasSubstr("Read-only")));
  fs::remove(fault);
  auto again = start();
  EXPECT_EQ(HttpClient(port_of(*again)).ask("GET", kCounter).body, "1");
}

TEST_F(MachineTest, ARealDiskThatIsFullRefusesAndGoesOnWhenThereIsRoom) {
  PLX_NEEDS(may_mount(), "the right to mount");
  auto node = start_with_mounts("mkdir -p $D/data; mount -t tmpfs -o size=4m none $D/data; exec \"$@\"");
  std::uint16_t port = port_of(*node);
  std::int64_t sum = 1;
  expect_sum(port, sum, "with room");
  const std::string filler = "/proc/" + std::to_string(node->pid()) + "/root" + data() + "/filler";
  {
    std::ofstream file(filler);
    const std::string piece(4096, 'x');
    while (file.write(piece.data(), 4096).flush()) {
    }
  }
  HttpClient client(port);
  HttpAnswer answer;
  for (int i = 0; i < 1'000 && (answer = client.ask("POST", kAdd, R"({"by": 1})")).status == 200; ++i) ++sum;
  EXPECT_EQ(answer.status, 507) << answer.body;
  EXPECT_EQ(client.ask("GET", kCounter).body, std::to_string(sum));
  EXPECT_EQ(client.ask("GET", "/healthz/ready").status, 503);
  ASSERT_TRUE(fs::remove(filler));
  EXPECT_EQ(client.ask("POST", kAdd, R"({"by": 1})").body, std::to_string(sum + 1));
  EXPECT_EQ(client.ask("GET", "/healthz/ready").status, 200);
  node->send_signal(SIGTERM);
  EXPECT_EQ(node->wait(), 0);
}

TEST_F(MachineTest, ADiskWithoutRoomForAnotherFileIsRefusedOrServed) {
  PLX_NEEDS(may_mount(), "the right to mount");
  int refused = 0, served = 0;
  for (int inodes = 1; inodes <= 7; ++inodes) {
    auto node = start_with_mounts("mkdir -p $D/data; mount -t tmpfs -o nr_inodes=" + std::to_string(inodes) +
                                  " none $D/data; exec \"$@\"");
    if (port_of(*node) != 0) {
      ++served;
      node->send_signal(SIGTERM);
      EXPECT_EQ(node->wait(), 0) << inodes << node->errors();
      continue;
    }
    ++refused;
    EXPECT_EQ(node->wait(), kExitFailed) << inodes;
    EXPECT_THAT(node->errors(), AllOf(HasSubstr("df -i"), AnyOf(HasSubstr("PLX-ENV-0001"), HasSubstr("PLX-STO-0020"))))
        << inodes;
  }
  EXPECT_GE(refused, 3);
  EXPECT_GE(served, 1);
}

// ---- limits of the process

TEST_F(MachineTest, With64DescriptorsEveryConnectionIsAnswered) {
  auto node = start_in("ulimit -n 64; exec \"$@\"");
  std::uint16_t port = port_of(*node);
  ASSERT_NE(port, 0) << node->errors();
  std::vector<std::unique_ptr<HttpClient>> clients;
  std::int64_t served = 0;
  int refused = 0, closed = 0;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(std::make_unique<HttpClient>(port));
    HttpAnswer answer = clients.back()->ask("POST", kAdd, R"({"by": 1})");
    if (answer.status == 200) ++served;
    if (answer.status == 503) ++refused;
    if (answer.status == 0) ++closed;
  }
  EXPECT_EQ(served + refused + closed, 100);
  EXPECT_GE(served, 16);
  EXPECT_GE(refused, 1);
  for (int i = 0; i < 500; ++i) EXPECT_EQ(clients[0]->ask("POST", kAdd, R"({"by": 1})").status, 200);
  clients.clear();
  node->send_signal(SIGTERM);
  EXPECT_EQ(node->wait(), 0);
  EXPECT_THAT(node->errors(), AllOf(HasSubstr("64 open files"), HasSubstr("ulimit -n")));
  auto again = start();
  EXPECT_EQ(HttpClient(port_of(*again)).ask("GET", kCounter).body, std::to_string(served + 500));
}

TEST_F(MachineTest, WithTooFewDescriptorsItDoesNotStart) {
  for (int files = 8; files <= 44; files += 4) {
    auto node = start_in("ulimit -n " + std::to_string(files) + "; exec \"$@\"");
    std::uint16_t port = port_of(*node);
    if (port != 0) {  // then it serves
      EXPECT_GE(files, 34);
      EXPECT_EQ(HttpClient(port).ask("GET", "/healthz/ready").status, 200) << files;
      node->send_signal(SIGTERM);
      EXPECT_EQ(node->wait(), 0) << files;
      continue;
    }
    EXPECT_EQ(node->wait(), kExitFailed) << files;
    EXPECT_THAT(node->errors(), HasSubstr("PLX-NOD-0004")) << files;
  }
}

TEST_F(MachineTest, HoweverLittleMemoryItSaysWhatIsMissing) {
  // 127: the dynamic linker itself has none. 1: refused at the start. 70: ended while it served.
  int served = 0, refused = 0;
  for (int kib = 20'000; kib <= 130'000; kib += 3'000) {
    auto node = start_in("ulimit -v " + std::to_string(kib) + "; exec \"$@\"",
                         {"--data.directory=" + directory_ + "/" + std::to_string(kib)});
    std::uint16_t port = port_of(*node);
    if (port != 0) {
      try {
        HttpClient client(port);
        for (int i = 0; i < 20; ++i) client.ask("POST", kAdd, R"({"by": 1})");
      } catch (const std::exception&) {  // it has ended
      }
      node->send_signal(SIGTERM);
    }
    int ended = node->wait();
    if (ended == 0) ++served;
    if (ended == kExitFailed || ended == kExitStoreFailed) {
      ++refused;
      EXPECT_THAT(node->errors(), AnyOf(HasSubstr("more memory"), HasSubstr("PLX-"))) << kib;
    } else {
      EXPECT_THAT(ended, AnyOf(0, 127, 126)) << kib << " KiB\n" << node->errors();
    }
  }
  EXPECT_GE(served, 1);
  EXPECT_GE(refused, 1);
}

TEST_F(MachineTest, AHandlerThatAsksForTooMuchMemoryFailsAlone) {
  auto node = start_in("ulimit -v 2000000; exec \"$@\"");
  std::uint16_t port = port_of(*node);
  HttpClient client(port);
  HttpAnswer refused = client.ask("POST", kHost + "Allocate", R"({"bytes": 8000000000})");
  EXPECT_EQ(refused.status, 500) << refused.body;
  EXPECT_THAT(refused.body, HasSubstr("bad_alloc"));
  expect_serves(*node, port, 1, "after it");
}

TEST_F(MachineTest, WithoutThreadsItDoesNotStart) {
  PLX_NEEDS(::geteuid() == 0, "root, to become a user without processes");
  fs::permissions(directory_, fs::perms::all);
  int refused = 0, served = 0;
  for (int threads = 1; threads <= 12; ++threads) {
    auto node = start_in("exec prlimit --nproc=" + std::to_string(threads) +
                             " setpriv --reuid=64321 --regid=65534 --clear-groups \"$@\"",
                         {"--runtime.workers=2"});
    std::uint16_t port = port_of(*node);
    if (port == 0) {
      ++refused;
      EXPECT_EQ(node->wait(), kExitFailed) << threads;
      EXPECT_THAT(node->errors(), HasSubstr("PLX-NOD-0003")) << threads;
      continue;
    }
    expect_sum(port, ++served, std::to_string(threads) + " threads");
    node->send_signal(SIGTERM);
    EXPECT_EQ(node->wait(), 0);
  }
  EXPECT_GE(refused, 2);
  EXPECT_GE(served, 1);
}

TEST_F(MachineTest, AHandlerHasStackWhateverTheLimit) {
  auto node = start_in("ulimit -s 32; exec \"$@\"");
  std::uint16_t port = port_of(*node);
  ASSERT_NE(port, 0) << node->errors();
  EXPECT_EQ(HttpClient(port).ask("POST", kHost + "Recurse", R"({"kib": 400})").body, "400");
  expect_serves(*node, port, 1, "small stacks");
}

TEST_F(MachineTest, ASandboxWithoutIoUringInotifyAndPtraceIsEnough) {
  std::vector<std::string> arguments = command();
  arguments.insert(arguments.begin(), PLX_SANDBOX);
  Process node(std::move(arguments));
  std::uint16_t port = port_of(node);
  PLX_NEEDS(port != 0 || node.wait() != 77, "seccomp");
  for (std::int64_t sum = 1; sum <= 50; ++sum) expect_sum(port, sum, "sandbox");
  EXPECT_EQ(HttpClient(port).ask("POST", kHost + "Fork", "{}").body, "7");
  node.send_signal(SIGTERM);
  EXPECT_EQ(node.wait(), 0) << node.errors();
}

// ---- clocks

TEST_F(MachineTest, AWallClockThatStepsHoldsUpNothing) {
  const std::string clock = directory_ + "/clock";
  auto set = [&](const std::string& seconds) {
    std::ofstream(clock + ".new") << seconds;
    fs::rename(clock + ".new", clock);
  };
  auto node = start({}, {"PLX_TEST_CLOCK=" + clock});
  HttpClient client(port_of(*node));
  int sum = 0;
  auto add = [&](const std::string& key) {
    HttpAnswer first = client.ask("POST", kAdd, R"({"by": 1})", {"Idempotency-Key: " + key});
    EXPECT_EQ(first.body, std::to_string(++sum)) << key;
    EXPECT_EQ(client.ask("POST", kAdd, R"({"by": 1})", {"Idempotency-Key: " + key}).body, first.body) << key;
  };
  add("before");
  for (const std::string step : {"3600", "-3600", "0", "-86400", "-1700000000", "4000000000", "0"}) {
    set(step);
    for (int i = 0; i < 5; ++i) add(step + "-" + std::to_string(sum));
  }
  node->send_signal(SIGTERM);
  EXPECT_EQ(node->wait(), 0) << node->errors();
  set("-3600");  // a machine without a clock of its own starts in the past
  auto again = start({}, {"PLX_TEST_CLOCK=" + clock});
  HttpClient other(port_of(*again));
  EXPECT_EQ(other.ask("POST", kAdd, R"({"by": 1})").body, std::to_string(sum + 1)) << again->errors();
}

TEST_F(MachineTest, TheMonotonicClockMayBeginAnywhere) {
  PLX_NEEDS(::geteuid() == 0 && runs("unshare --time --monotonic 1 true 2>/dev/null"), "root and a time namespace");
  std::ifstream uptime("/proc/uptime");
  double seconds = 0;
  uptime >> seconds;
  std::int64_t sum = 0;
  for (const std::string& offset : {"-" + std::to_string(static_cast<long>(seconds) - 1), std::string("1000000000")}) {
    std::vector<std::string> arguments = command();
    arguments.insert(arguments.begin(), {"/usr/bin/unshare", "--time", "--monotonic", offset});
    Process node(std::move(arguments));
    // With --time the program is a child of unshare.
    expect_sum(port_of(node), ++sum, offset);
    runs("kill -TERM $(cat /proc/" + std::to_string(node.pid()) + "/task/*/children) 2>/dev/null || kill -TERM " +
         std::to_string(node.pid()));
    EXPECT_EQ(node.wait(), 0) << node.errors();
  }
}

TEST_F(MachineTest, AProcessThatWasStoppedGoesOn) {
  auto node = start();
  std::uint16_t port = port_of(*node);
  auto state = [&] {
    std::ifstream file("/proc/" + std::to_string(node->pid()) + "/stat");
    std::string text((std::istreambuf_iterator<char>(file)), {});
    std::size_t end = text.rfind(')');
    return end == std::string::npos ? '?' : text[end + 2];
  };
  std::int64_t sum = 0;
  for (int stop : {SIGSTOP, SIGTSTP}) {
    expect_sum(port, ++sum, "before");
    node->send_signal(stop);
    // Who is in a process group that no shell looks after is not stopped by SIGTSTP.
    while (stop == SIGSTOP && state() != 'T') {
    }
    HttpClient waiting(port);  // the kernel accepts it
    waiting.send(
        "POST " + kAdd +
        " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{\"by\": 1}");
    node->send_signal(SIGCONT);
    EXPECT_EQ(waiting.receive().body, std::to_string(++sum));
  }
  expect_serves(*node, port, ++sum, "after");
}

// ---- network, signals, streams, parents

TEST_F(MachineTest, TheLoopbackOfIPv6Serves) {
  auto node = start({"--http.address=::1"});
  std::string line = node->wait_for_line("http://");
  if (line.empty()) {
    EXPECT_EQ(node->wait(), kExitFailed);
    EXPECT_THAT(node->errors(), AnyOf(HasSubstr("PLX-ENV-0103"), HasSubstr("PLX-ENV-0104")));
    GTEST_SKIP() << "not tested: this needs IPv6";
  }
  EXPECT_THAT(line, HasSubstr("http://[::1]:"));
  std::string port = line.substr(line.rfind(':') + 1);
  Process ask({PLX_TEST_NODE, "actor", "ask", "test/counter/a", "Add", R"({"by": 4})", "--http.address=::1",
               "--http.port=" + port});
  EXPECT_EQ(ask.wait(), 0) << ask.errors();
  EXPECT_EQ(ask.output(), "4\n");
  HttpClient client(static_cast<std::uint16_t>(std::stoi(port)), "::1");
  client.send("GET " + std::string(kCounter) + " HTTP/1.1\r\nHost: [::1]:" + port + "\r\n\r\n");
  EXPECT_EQ(client.receive().body, "4");
}

TEST_F(MachineTest, AnAddressThatTheMachineLacksIsRefused) {
  PLX_NEEDS(::geteuid() == 0 && runs("unshare --net true 2>/dev/null"), "root and a network namespace");
  std::vector<std::string> arguments = command({"--http.address=::1"});
  arguments.insert(arguments.begin(), {"/usr/bin/unshare", "--net"});
  Process refused(std::move(arguments));
  EXPECT_EQ(refused.wait(), kExitFailed);
  EXPECT_THAT(refused.errors(), AllOf(HasSubstr("::1"), HasSubstr("PLX-ENV-0103")));
}

TEST_F(MachineTest, AReaderOfItsOutputThatIsGoneEndsNothing) {
  auto node = start();
  std::uint16_t port = port_of(*node);
  node->hang_up();
  EXPECT_EQ(HttpClient(port).ask("POST", kHost + "Throw", R"({"text": "told to nobody"})").status, 500);
  expect_serves(*node, port, 1, "hung up");
}

// 4 kB of log each. Each of an actor of its own: one that has just crashed may not be gone yet.
void throw_a_hundred_times(HttpClient& client) {
  const std::string text = R"({"text": ")" + std::string(4'000, 'x') + "\"}";
  for (int i = 0; i < 100; ++i) {
    std::string thrower = kHost.substr(0, kHost.find_last_of('/', kHost.size() - 2) + 1) + std::to_string(i) + "/";
    EXPECT_EQ(client.ask("POST", thrower + "Throw", text).status, 500);
  }
}

TEST_F(MachineTest, ALogThatNobodyReadsHoldsUpNeitherActorsNorTheEnd) {
  auto node = start();
  std::uint16_t port = port_of(*node);
  HttpClient client(port);
  throw_a_hundred_times(client);  // 400 kB of log
  expect_sum(port, 1, "nobody reads");
  node->send_signal(SIGTERM);
  while (!node->has_ended()) {  // nobody reads yet
  }
  EXPECT_EQ(node->wait(), 0);
  EXPECT_LT(node->errors().size(), 200'000u);
}

TEST_F(MachineTest, ALogThatIsReadAgainSaysHowMuchIsMissing) {
  auto node = start();
  HttpClient client(port_of(*node));
  throw_a_hundred_times(client);
  EXPECT_NE(node->wait_for_error_line("xxx"), "");
  node->send_signal(SIGTERM);
  EXPECT_EQ(node->wait(), 0);
  EXPECT_THAT(node->errors(), HasSubstr("log lines are missing here"));
}

TEST_F(MachineTest, AsTheFirstProcessOfAContainerItEndsAtSigterm) {
  PLX_NEEDS(::geteuid() == 0 && runs("unshare --pid --fork true 2>/dev/null"), "root and a process namespace");
  std::vector<std::string> arguments = command();
  arguments.insert(arguments.begin(), {"/usr/bin/unshare", "--pid", "--fork"});
  Process node(std::move(arguments));
  expect_sum(port_of(node), 1, "first process");
  runs("kill -TERM $(cat /proc/" + std::to_string(node.pid()) + "/task/*/children)");
  EXPECT_EQ(node.wait(), 0);
  EXPECT_THAT(node.errors(), HasSubstr("SIGTERM: stopping"));
}

TEST_F(MachineTest, SocketsOfAServiceManagerAreLeftAlone) {
  auto node = start_in("exec 3</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ NOTIFY_SOCKET=/nowhere exec \"$@\"");
  expect_serves(*node, 1, "socket activation");
}

}  // namespace
}  // namespace plexspaces::test
