// Processes of the embedded server: started as an unprivileged user, awaited without polling, found by
// directory.
//
// Linux only (/proc, pidfd). Everything blocks and belongs to start-up code or the supervisor's thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"

namespace rowhouse::pg {

// Whom a child process runs as.
struct SystemUser {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // supplementary ones
  enum class Switch { none, needed } change = Switch::none;
};

// As root: the named user, who must exist and not be root. Otherwise whoever we are. Error:
// server_unsupported.
Result<SystemUser> find_system_user(const std::string& name);

struct Command {
  Command(std::string path, std::vector<std::string> rest)
      : program(std::move(path)), arguments(std::move(rest)) {}
  std::string program;                 // absolute path
  std::vector<std::string> arguments;  // without the program's name
};

// Starts a child in a session of its own (a terminal's Ctrl-C does not reach it), with a minimal environment,
// output and errors going to `output`, and no other descriptor of ours. When the calling THREAD ends, however
// it ends, the child gets SIGINT: for postgres a fast shutdown. The caller reaps the child. Error: internal
// (fork failed).
Result<pid_t> spawn(const Command& command, const SystemUser& user, int output);

struct Finished {
  int exit_code = 0;  // 128 + signal when it was killed
  std::string output;
};

// Runs a command to its end. Output beyond 1 MiB is dropped.
Result<Finished> run_to_end(const Command& command, const SystemUser& user);

// Waits until a process (a child or not) has ended; a child then still has to be reaped. False: it still
// runs, because the time is over or the descriptor `wake` has become readable.
inline constexpr int kNoWake = -1;
bool wait_for_end(pid_t pid, std::chrono::milliseconds limit, int wake = kNoWake);

// Reaps a child that has ended: "exited with status 1", "was killed by signal 9".
std::string reap(pid_t pid);

// The postgres processes whose working directory is `directory` (a postmaster, its children, or what is left
// of them), and the initdb that was told to make it under this name.
std::vector<pid_t> postgres_processes_in(const std::string& directory);
bool is_postgres_in(pid_t pid, const std::string& directory);

// The first of `directories` that `user` may not enter, or "".
Result<std::string> first_closed_directory(const SystemUser& user,
                                           const std::vector<std::string>& directories);

}  // namespace rowhouse::pg
