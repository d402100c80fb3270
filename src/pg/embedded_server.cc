#include "pg/embedded_server.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/text.h"
#include "pg/embedded_server_binaries.h"
#include "pg/embedded_server_directory.h"
#include "pg/embedded_server_process.h"
#include "pg/embedded_server_settings.h"

namespace rowhouse::pg {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr std::string_view kSuperuser = "rowhouse_admin";
constexpr std::string_view kSettingsFile = "rowhouse.conf";
constexpr milliseconds kFirstBackoff = 100ms;
constexpr milliseconds kLongestBackoff = 5s;
constexpr milliseconds kReadyPoll = 10ms;
constexpr milliseconds kWatchPeriod = 1h;  // any: a death and stop() both end the wait
// Recovery after a crash replays at most max_wal_size; only a hung server takes this long.
constexpr milliseconds kStartLimit = 30min;
constexpr milliseconds kFastStopLimit = 30s;      // clients are disconnected, a checkpoint is written
constexpr milliseconds kOrphanStopLimit = 20s;    // the same for one that a killed server left
constexpr milliseconds kImmediateStopLimit = 5s;  // no checkpoint: recovery at the next start
constexpr milliseconds kKillLimit = 5s;
constexpr off_t kMaxLogBytes = 16 << 20;  // then the log is kept as postgres.log.1
constexpr off_t kLogTailBytes = 64 << 10;

off_t size_of(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 ? info.st_size : 0;
}

// What the server said about its failure: lines of error level, without the time stamps.
std::string faults_in(std::string_view output) {
  std::string faults;
  for (const auto line : split(output, '\n')) {
    for (const std::string_view mark : {"FATAL: ", "PANIC: ", "error: ", "could not "}) {
      const std::size_t at = line.find(mark);
      if (at == std::string_view::npos) continue;
      faults += (faults.empty() ? "" : "; ") + std::string(line.substr(at));
      break;
    }
  }
  return faults;
}

Error start_failure(const std::string& what, const std::string& where, std::string_view output) {
  const std::string faults = faults_in(output);
  const std::string message = what + (faults.empty() ? std::string(" without saying why") : ": " + faults);
  if (output.find("No space left on device") != std::string_view::npos ||
      output.find("Disk quota exceeded") != std::string_view::npos) {
    return Error(ErrorCode::disk_full, "no space is left for " + where + "; " + message);
  }
  return Error(ErrorCode::data_directory_invalid, message + " (" + where + ")");
}

void end_processes(const std::vector<pid_t>& processes, int signal_number, milliseconds limit) {
  for (const pid_t pid : processes) kill(pid, signal_number);
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (const pid_t pid : processes) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now());
    wait_for_end(pid, std::max(left, 0ms));
  }
}

// Ends what still runs on a cluster directory that we hold the lock of: the postmaster of a killed server, or
// the children of a dead postmaster, which hold its shared memory. Error: something that survives SIGKILL.
Result<void> end_remains(const std::string& directory, std::optional<pid_t> postmaster) {
  if (postmaster && *postmaster > 0 && is_postgres_in(*postmaster, directory)) {
    kill(*postmaster, SIGINT);
    wait_for_end(*postmaster, kOrphanStopLimit);
  }
  // Children end by themselves when they notice that the postmaster is gone; busy ones notice late.
  end_processes(postgres_processes_in(directory), SIGQUIT, kImmediateStopLimit);
  end_processes(postgres_processes_in(directory), SIGKILL, kKillLimit);
  const auto left = postgres_processes_in(directory);
  if (left.empty()) return {};
  return Error(ErrorCode::data_directory_locked,
               fmt::format("process {} still uses {} and cannot be ended", left.front(), directory));
}

Result<void> end_orphans(const DataDirectory& directory) {
  TRY_DO(end_remains(directory.staging, std::nullopt));
  const auto file = read_postmaster_file(directory);
  if (file && file->pid < 0 && is_postgres_in(-file->pid, directory.cluster)) {
    return Error(ErrorCode::data_directory_locked,
                 fmt::format("a single-user PostgreSQL (process {}) works on {}; end it first", -file->pid,
                             directory.cluster));
  }
  TRY_DO(end_remains(directory.cluster, file ? std::optional<pid_t>(file->pid) : std::nullopt));
  // The number in a left-over file may meanwhile be another program's; PostgreSQL would refuse to start.
  if (file) unlink((directory.cluster + "/postmaster.pid").c_str());
  return {};
}

// initdb into the staging directory, then rename: a cluster under its final name is always complete.
Result<void> make_cluster(const DataDirectory& directory, const Binaries& binaries, const SystemUser& user,
                          const Secrets& secrets, EmbeddedOptions::Durability durability) {
  TRY_DO(check_free_space(directory.root, kNewClusterBytes));
  std::error_code fault;
  fs::remove_all(directory.staging, fault);
  if (fault) return file_error("remove", directory.staging, fault.value());
  if (mkdir(directory.staging.c_str(), 0700) != 0) return file_error("make", directory.staging, errno);
  if (user.change == SystemUser::Switch::needed &&
      chown(directory.staging.c_str(), user.uid, user.gid) != 0) {
    return file_error("change the owner of", directory.staging, errno);
  }
  const std::string password_file = directory.root + "/.initdb-password";
  TRY_DO(write_whole_file(password_file, secrets.superuser_password + "\n", &user));
  Command initdb(
      binaries.directory + "/initdb",
      {"--pgdata=" + directory.staging, "--username=" + std::string(kSuperuser), "--auth=scram-sha-256",
       "--pwfile=" + password_file, "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"});
  if (durability == EmbeddedOptions::Durability::none_for_tests) initdb.arguments.emplace_back("--no-sync");
  const auto finished = run_to_end(initdb, user);
  unlink(password_file.c_str());
  if (!finished.ok()) return finished.error();
  if (finished->exit_code != 0) {
    fs::remove_all(directory.staging, fault);
    return start_failure("initdb failed", directory.root, finished->output);
  }
  if (rename(directory.staging.c_str(), directory.cluster.c_str()) != 0) {
    return file_error("rename", directory.staging, errno);
  }
  return sync_directory(directory.root);
}

Result<void> write_settings(const DataDirectory& directory, const SystemUser& user,
                            const EmbeddedOptions& options) {
  TRY_DO(write_whole_file(directory.cluster + "/" + std::string(kSettingsFile),
                          render_settings(options, measure_machine(directory.cluster)), &user));
  const std::string main_file = directory.cluster + "/postgresql.conf";
  TRY(auto text, read_whole_file(main_file, Links::refuse));
  const std::string include = fmt::format("include '{}'", kSettingsFile);
  for (const auto line : split(text, '\n')) {
    if (trim(line) == include) return {};
  }
  text += "\n# Settings of Rowhouse; what stands below them wins.\n" + include + "\n";
  return write_whole_file(main_file, text, &user);
}

class Supervisor final : public EmbeddedServer {
 public:
  Supervisor(EmbeddedOptions options, DataDirectory directory, SystemUser user, Binaries binaries,
             Secrets secrets, std::string socket, DirectoryLock lock, int wake)
      : options_(std::move(options)),
        directory_(std::move(directory)),
        user_(std::move(user)),
        binaries_(std::move(binaries)),
        secrets_(std::move(secrets)),
        socket_(std::move(socket)),
        lock_(std::move(lock)),
        wake_(wake) {}

  ~Supervisor() override {
    stop_and_join();
    close(wake_);
  }

  // Starts the thread and waits for the first outcome.
  Result<void> begin() {
    thread_ = std::thread([this] { supervise(); });
    std::unique_lock guard(mutex_);
    first_outcome_known_.wait(guard, [this] { return first_outcome_.has_value(); });
    return *first_outcome_;
  }

  ConnectionParameters superuser(std::string_view database) const override {
    ConnectionParameters parameters;
    parameters.host = socket_;
    parameters.database = database;
    parameters.user = kSuperuser;
    parameters.password = secrets_.superuser_password;
    return parameters;
  }
  ServerState state() const override { return state_.load(); }
  int postmaster_pid() const override { return pid_.load(); }
  const std::string& master_key() const override { return secrets_.master_key; }
  void stop() override { stop_and_join(); }

 private:
  enum class Launched { ready, ended, stop_asked };

  void stop_and_join() {
    const std::lock_guard guard(stop_mutex_);
    stop_asked_ = true;
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(wake_, &one, sizeof one);
    if (thread_.joinable()) thread_.join();
  }

  // Sleeps until stop() is called or the time is over.
  void pause(milliseconds limit) const {
    pollfd waiting{wake_, POLLIN, 0};
    poll(&waiting, 1, static_cast<int>(limit.count()));
  }

  // The thread. It lives as long as the server should: the kernel interrupts the postmaster when this thread
  // ends, which it also does when the whole process is killed.
  void supervise() {
    milliseconds backoff = kFirstBackoff;
    for (bool first = true; !stop_asked_; first = false) {
      auto launched = launch();
      if (first) report_first(launched);
      if (first && !launched.ok()) break;
      if (launched.ok() && *launched == Launched::ready) {
        backoff = kFirstBackoff;
        watch();
      } else if (!stop_asked_) {
        pause(backoff);
        backoff = std::min(backoff * 2, kLongestBackoff);
      }
    }
    stop_postmaster();
    remove_socket_directory(directory_);
    state_ = ServerState::stopped;
  }

  void report_first(const Result<Launched>& launched) {
    const std::lock_guard guard(mutex_);
    if (launched.ok()) {
      first_outcome_ = Result<void>();
    } else {
      first_outcome_ = Result<void>(launched.error());
    }
    first_outcome_known_.notify_all();
  }

  Result<Launched> launch() {
    TRY_DO(end_orphans(directory_));
    remove_socket_files(socket_);
    if (size_of(directory_.log) > kMaxLogBytes)
      rename(directory_.log.c_str(), (directory_.log + ".1").c_str());
    const int log =
        open(directory_.log.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (log < 0) return file_error("open", directory_.log, errno);
    const off_t log_start = size_of(directory_.log);
    const Command postgres(binaries_.directory + "/postgres",
                           {"-D", directory_.cluster, "-c", "listen_addresses=", "-c",
                            "unix_socket_directories=" + socket_, "-c", "port=5432"});
    auto pid = spawn(postgres, user_, log);
    close(log);
    TRY(pid_, std::move(pid));
    const Launched launched = wait_until_ready();
    if (launched == Launched::ready) state_ = ServerState::ready;
    if (launched != Launched::ended) return launched;
    const std::string how = reap(pid_.exchange(0));
    return start_failure("PostgreSQL " + how, directory_.log, read_log_from(log_start));
  }

  Launched wait_until_ready() {
    const auto deadline = std::chrono::steady_clock::now() + kStartLimit;
    while (!stop_asked_) {
      if (wait_for_end(pid_, kReadyPoll, wake_)) return Launched::ended;
      const auto file = read_postmaster_file(directory_);
      if (file && file->pid == pid_ && file->status == "ready") return Launched::ready;
      if (std::chrono::steady_clock::now() > deadline) kill(pid_, SIGQUIT);
    }
    return Launched::stop_asked;
  }

  // Returns when the postmaster has died, and was reaped, or stop() was called.
  void watch() {
    while (!stop_asked_) {
      if (!wait_for_end(pid_, kWatchPeriod, wake_)) continue;
      state_ = ServerState::restarting;
      reap(pid_.exchange(0));
      return;
    }
  }

  void stop_postmaster() {
    if (const pid_t pid = pid_; pid != 0) {
      kill(pid, SIGINT);
      if (!wait_for_end(pid, kFastStopLimit)) {
        kill(pid, SIGQUIT);
        if (!wait_for_end(pid, kImmediateStopLimit)) kill(pid, SIGKILL);
      }
      reap(pid);
      pid_ = 0;
    }
    // There are none after a fast stop, but some when the postmaster has just died. The next start would end
    // them, too.
    [[maybe_unused]] const auto remains = end_remains(directory_.cluster, std::nullopt);
  }

  std::string read_log_from(off_t start) const {
    std::ifstream file(directory_.log);
    file.seekg(std::max(start, size_of(directory_.log) - kLogTailBytes));
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

  const EmbeddedOptions options_;
  const DataDirectory directory_;
  const SystemUser user_;
  const Binaries binaries_;
  const Secrets secrets_;
  const std::string socket_;
  const DirectoryLock lock_;  // let go last
  const int wake_;            // eventfd, readable from stop() on
  std::atomic<ServerState> state_ = ServerState::starting;
  std::atomic<int> pid_ = 0;
  std::atomic<bool> stop_asked_ = false;
  std::mutex mutex_;  // guards first_outcome_
  std::condition_variable first_outcome_known_;
  std::optional<Result<void>> first_outcome_;
  std::mutex stop_mutex_;  // one stop() at a time; the second finds nothing to do
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<EmbeddedServer>> EmbeddedServer::start(EmbeddedOptions options) {
  const DataDirectory directory(options.data_directory);
  TRY(const auto user, find_system_user(options.system_user));
  TRY_DO(prepare_root(directory, user));
  TRY(auto lock, DirectoryLock::take(directory));
  TRY(const auto version, read_cluster_version(directory, user));
  TRY(const auto binaries,
      choose_binaries(find_binaries(options.binary_directory, user), version, directory.cluster));
  TRY(const auto secrets, load_secrets(directory, version ? ClusterState::made : ClusterState::missing));
  TRY_DO(end_orphans(directory));
  if (version) {
    TRY_DO(check_free_space(directory.cluster, kRecoveryBytes));
  } else {
    TRY_DO(make_cluster(directory, binaries, user, secrets, options.durability));
  }
  TRY_DO(write_settings(directory, user, options));
  TRY(auto socket, prepare_socket_directory(directory, user));
  const int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake < 0) return file_error("make", "an event descriptor", errno);
  auto server = std::make_unique<Supervisor>(std::move(options), directory, user, binaries, secrets,
                                             std::move(socket), std::move(lock), wake);
  TRY_DO(server->begin());
  return std::unique_ptr<EmbeddedServer>(std::move(server));
}

}  // namespace rowhouse::pg
