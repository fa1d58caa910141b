// Becomes the program of its arguments, which the kernel then kills at the first call that a narrow sandbox forbids:
// io_uring, inotify, ptrace, memory that may be executed, and others that a server can do without.
#include <cstddef>
#include <cstdio>
#include <iterator>
#include <vector>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

constexpr int kForbidden[] = {
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_io_setup,
    SYS_inotify_init1,
    SYS_fanotify_init,
    SYS_ptrace,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_bpf,
    SYS_memfd_create,
    SYS_process_vm_readv,
    SYS_keyctl,
    SYS_add_key,
    SYS_unshare,
    SYS_setns,
    SYS_mount,
    SYS_chroot,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_mlock,
    SYS_mlockall,
    SYS_personality,
    SYS_sched_setaffinity,
    SYS_setns,
};

}  // namespace

int main(int, char** argv) {
  std::vector<sock_filter> filter{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (int call : kForbidden) {
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(call), 0, 1));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  sock_fprog program{.len = static_cast<unsigned short>(filter.size()), .filter = filter.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    std::perror("seccomp");
    return 77;
  }
  ::execv(argv[1], argv + 1);
  std::perror("execv");
  return 1;
}
