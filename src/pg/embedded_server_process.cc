#include "pg/embedded_server_process.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>

#include "base/text.h"

namespace rowhouse::pg {
namespace {

constexpr std::size_t kMaxOutputBytes = 1 << 20;
constexpr std::size_t kMaxUserRecordBytes = 1 << 20;
constexpr int kExecFailed = 127;

// What the child needs, made before fork(): between fork and exec a process with threads may only make system
// calls.
struct Prepared {
  explicit Prepared(const Command& command, const SystemUser& system_user, int output_descriptor)
      : user(system_user), output(output_descriptor), parent(getpid()) {
    words.push_back(command.program);
    words.insert(words.end(), command.arguments.begin(), command.arguments.end());
    // PGDATA, PGPORT, PGOPTIONS and their like would change what the server does.
    environment = {"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "HOME=/", "TZ=UTC"};
    for (auto& word : words) argv.push_back(word.data());
    for (auto& entry : environment) envp.push_back(entry.data());
    argv.push_back(nullptr);
    envp.push_back(nullptr);
  }
  std::vector<std::string> words, environment;
  std::vector<char*> argv, envp;
  const SystemUser& user;
  int output;
  pid_t parent;
};

[[noreturn]] void fail_in_child(const char* what) {
  const char* reason = std::strerror(errno);
  for (const char* part : {what, ": ", reason, "\n"}) {
    if (write(STDERR_FILENO, part, std::strlen(part)) < 0) break;
  }
  _exit(kExecFailed);
}

void become(const SystemUser& user) {
  if (user.change == SystemUser::Switch::none) return;
  if (setgroups(user.groups.size(), user.groups.data()) != 0) fail_in_child("setgroups");
  if (setgid(user.gid) != 0) fail_in_child("setgid");
  if (setuid(user.uid) != 0) fail_in_child("setuid");
}

[[noreturn]] void run_in_child(const Prepared& prepared) {
  setsid();
  struct sigaction default_action {};
  default_action.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) sigaction(number, &default_action, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  umask(077);
  const int null = open("/dev/null", O_RDONLY);
  if (null < 0 || dup2(null, STDIN_FILENO) < 0) fail_in_child("/dev/null");
  if (dup2(prepared.output, STDOUT_FILENO) < 0 || dup2(prepared.output, STDERR_FILENO) < 0)
    _exit(kExecFailed);
  syscall(SYS_close_range, 3U, UINT_MAX, 0U);
  become(prepared.user);
  // After setuid, which clears it. If the parent died before this line, nobody would tell us any more.
  if (prctl(PR_SET_PDEATHSIG, SIGINT) != 0) fail_in_child("prctl");
  if (getppid() != prepared.parent) _exit(kExecFailed);
  if (chdir("/") != 0) fail_in_child("chdir");
  execve(prepared.argv[0], prepared.argv.data(), prepared.envp.data());
  fail_in_child(prepared.argv[0]);
}

// A name that the kernel keeps for a process ("/proc/PID/exe"), or "".
std::string read_link(const std::string& path) {
  char target[PATH_MAX];
  const ssize_t length = readlink(path.c_str(), target, sizeof target);
  return length > 0 ? std::string(target, static_cast<std::size_t>(length)) : std::string();
}

std::string drain(int descriptor) {
  std::string output;
  char buffer[4096];
  while (true) {
    const ssize_t count = read(descriptor, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return output;
    const std::size_t room = kMaxOutputBytes - output.size();
    output.append(buffer, std::min(room, static_cast<std::size_t>(count)));
  }
}

int wait_status(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

// "postgres" of "/usr/lib/…/postgres", also of "… (deleted)" after an upgrade of the package; "" if unknown.
std::string program_of(const std::string& process) {
  const std::string path = read_link(process + "/exe");
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return "";
  return std::string(split(std::string_view(path).substr(slash + 1), ' ').front());
}

// One whose parent was killed cleans up after itself: it would remove what is made in its place.
bool is_initdb_of(pid_t pid, const std::string& directory) {
  const std::string base = "/proc/" + std::to_string(pid);
  if (program_of(base) != "initdb") return false;
  std::ifstream file(base + "/cmdline", std::ios::binary);
  const std::string words((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const auto arguments = split(words, '\0');
  return std::find(arguments.begin(), arguments.end(), "--pgdata=" + directory) != arguments.end();
}

// For kernels without pidfd_open, or when no descriptor is left.
bool wait_by_looking(pid_t pid, std::chrono::steady_clock::time_point deadline, int wake) {
  constexpr int kLookMs = 20;
  while (true) {
    siginfo_t info{};
    const bool child = waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
    if (child ? info.si_pid == pid : kill(pid, 0) != 0 && errno == ESRCH) return true;
    if (std::chrono::steady_clock::now() >= deadline) return false;
    pollfd waiting{wake, POLLIN, 0};
    if (poll(&waiting, 1, kLookMs) > 0) return false;
  }
}

}  // namespace

Result<SystemUser> find_system_user(const std::string& name) {
  SystemUser user;
  if (geteuid() != 0) {
    user.uid = geteuid();
    user.gid = getegid();
    return user;
  }
  passwd record{};
  passwd* found = nullptr;
  std::vector<char> buffer(4096);
  while (getpwnam_r(name.c_str(), &record, buffer.data(), buffer.size(), &found) == ERANGE &&
         buffer.size() < kMaxUserRecordBytes) {
    buffer.resize(buffer.size() * 2);
  }
  if (found == nullptr || record.pw_uid == 0) {
    return Error(ErrorCode::server_unsupported,
                 "PostgreSQL refuses to run as root, and there is no unprivileged user \"" + name +
                     "\" to run it as; install the Debian package postgresql-common or name another user");
  }
  user.name = name;
  user.uid = record.pw_uid;
  user.gid = record.pw_gid;
  user.change = SystemUser::Switch::needed;
  int count = 64;
  user.groups.resize(static_cast<std::size_t>(count));
  while (getgrouplist(name.c_str(), user.gid, user.groups.data(), &count) < 0) {
    user.groups.resize(static_cast<std::size_t>(count));
  }
  user.groups.resize(static_cast<std::size_t>(count));
  return user;
}

Result<pid_t> spawn(const Command& command, const SystemUser& user, int output) {
  const Prepared prepared(command, user, output);
  const pid_t pid = fork();
  if (pid == 0) run_in_child(prepared);
  if (pid < 0) {
    return Error(ErrorCode::internal, "cannot start " + command.program + ": " + std::strerror(errno));
  }
  return pid;
}

Result<Finished> run_to_end(const Command& command, const SystemUser& user) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return Error(ErrorCode::internal, std::string("cannot make a pipe: ") + std::strerror(errno));
  }
  auto pid = spawn(command, user, ends[1]);
  close(ends[1]);
  Finished finished;
  if (pid.ok()) {
    finished.output = drain(ends[0]);
    const int status = wait_status(*pid);
    finished.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }
  close(ends[0]);
  if (!pid.ok()) return std::move(pid).error();
  return finished;
}

bool wait_for_end(pid_t pid, std::chrono::milliseconds limit, int wake) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  const int descriptor = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (descriptor < 0) return errno == ESRCH || wait_by_looking(pid, deadline, wake);
  pollfd waiting[] = {{descriptor, POLLIN, 0}, {wake, POLLIN, 0}};  // poll ignores negative descriptors
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    const int ready =
        poll(waiting, std::size(waiting), static_cast<int>(std::clamp<long long>(left, 0, INT_MAX)));
    if (ready >= 0 || errno != EINTR) break;
  }
  close(descriptor);
  return waiting[0].revents != 0;
}

std::string reap(pid_t pid) {
  const int status = wait_status(pid);
  if (WIFSIGNALED(status)) return "was killed by signal " + std::to_string(WTERMSIG(status));
  return "exited with status " + std::to_string(WEXITSTATUS(status));
}

bool is_postgres_in(pid_t pid, const std::string& directory) {
  const std::string base = "/proc/" + std::to_string(pid);
  if (program_of(base) != "postgres") return false;
  // By inode, since a mount may show the same directory under another name.
  struct stat expected {
  }, actual{};
  return stat(directory.c_str(), &expected) == 0 && stat((base + "/cwd").c_str(), &actual) == 0 &&
         expected.st_dev == actual.st_dev && expected.st_ino == actual.st_ino;
}

std::vector<pid_t> postgres_processes_in(const std::string& directory) {
  std::vector<pid_t> found;
  const std::unique_ptr<DIR, int (*)(DIR*)> processes(opendir("/proc"), closedir);
  if (!processes) return found;
  while (const dirent* entry = readdir(processes.get())) {
    const auto pid = parse_int64(entry->d_name);
    if (!pid || *pid <= 0) continue;
    const auto process = static_cast<pid_t>(*pid);
    if (is_postgres_in(process, directory) || is_initdb_of(process, directory)) found.push_back(process);
  }
  return found;
}

Result<std::string> first_closed_directory(const SystemUser& user,
                                           const std::vector<std::string>& directories) {
  // Asked by a child that has become the user: only the kernel knows all about groups, ACLs and mount
  // options.
  constexpr std::size_t kMaxDirectories = 250;  // the answer is an exit status
  const std::size_t count = std::min(directories.size(), kMaxDirectories);
  const pid_t pid = fork();
  if (pid == 0) {
    become(user);
    for (std::size_t i = 0; i < count; ++i) {
      if (access(directories[i].c_str(), X_OK) != 0) _exit(static_cast<int>(i) + 1);
    }
    _exit(0);
  }
  if (pid < 0) return Error(ErrorCode::internal, std::string("cannot fork: ") + std::strerror(errno));
  const int status = wait_status(pid);
  if (!WIFEXITED(status) || WEXITSTATUS(status) > static_cast<int>(count)) {
    return Error(ErrorCode::server_unsupported, "cannot become the user " + user.name);
  }
  return WEXITSTATUS(status) == 0 ? std::string()
                                  : directories[static_cast<std::size_t>(WEXITSTATUS(status)) - 1];
}

}  // namespace rowhouse::pg
