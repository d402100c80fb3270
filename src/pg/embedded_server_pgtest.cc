#include "pg/embedded_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "pg/embedded_server_binaries.h"
#include "pg/embedded_server_directory.h"
#include "pg/embedded_server_process.h"
#include "testing/blocking_sql.h"
#include "testing/temporary_directory.h"

namespace rowhouse::pg {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using rowhouse::testing::BlockingSql;
using Server = std::unique_ptr<EmbeddedServer>;

mode_t mode_of(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
}

uid_t owner_of(const std::string& path) {
  struct stat info {};
  EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
  return info.st_uid;
}

void write_file(const std::string& path, const std::string& content) { std::ofstream(path) << content; }

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// Waits for something that happens outside of this process.
template <class Condition>
bool eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    poll(nullptr, 0, 5);
  }
  return true;
}

bool is_root() { return geteuid() == 0; }

class EmbeddedServerTest : public ::testing::Test {
 protected:
  EmbeddedServerTest() : directory_(temporary_.path() + "/data") { options_.data_directory = directory_; }

  EmbeddedOptions options(EmbeddedOptions::Durability durability) const {
    EmbeddedOptions copy = options_;
    copy.shared_buffers_mb = 16;
    copy.durability = durability;
    return copy;
  }
  Result<Server> try_start() const {
    return EmbeddedServer::start(options(EmbeddedOptions::Durability::none_for_tests));
  }
  Server start() const {
    auto started = try_start();
    EXPECT_TRUE(started.ok()) << (started.ok() ? "" : started.error().message);
    return started.ok() ? std::move(started).value() : nullptr;
  }
  // The refusal, checked for its code and for the words it must contain.
  void expect_refused(ErrorCode code, const std::vector<std::string>& words) const {
    const auto started = try_start();
    ASSERT_FALSE(started.ok());
    EXPECT_EQ(error_code_name(started.error().code), error_code_name(code)) << started.error().message;
    for (const auto& word : words) {
      EXPECT_NE(started.error().message.find(word), std::string::npos)
          << word << ": " << started.error().message;
    }
  }

  rowhouse::testing::TemporaryDirectory temporary_;
  std::string directory_;
  EmbeddedOptions options_;
};

TEST_F(EmbeddedServerTest, StartsStopsAndStartsAgainWithTheSameData) {
  std::string key, password;
  {
    const Server server = start();
    ASSERT_NE(server, nullptr);
    EXPECT_EQ(server->state(), ServerState::ready);
    EXPECT_GT(server->postmaster_pid(), 0);
    BlockingSql sql(server->superuser("postgres"));
    sql.run("CREATE TABLE kept AS SELECT 42 AS n");
    key = server->master_key();
    password = server->superuser("postgres").password;
    const pid_t pid = server->postmaster_pid();
    server->stop();
    EXPECT_EQ(server->state(), ServerState::stopped);
    EXPECT_EQ(server->postmaster_pid(), 0);
    EXPECT_EQ(kill(pid, 0), -1);
    server->stop();
  }
  const Server again = start();
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(again->master_key(), key);
  EXPECT_EQ(key.size(), 32U);
  EXPECT_EQ(again->superuser("postgres").password, password);
  BlockingSql sql(again->superuser("postgres"));
  EXPECT_EQ(sql.value("SELECT n FROM kept"), "42");
}

TEST_F(EmbeddedServerTest, IsSetUpAsItShouldBe) {
  const Server server = start();
  ASSERT_NE(server, nullptr);
  BlockingSql sql(server->superuser("postgres"));
  EXPECT_EQ(sql.value("SHOW server_encoding"), "UTF8");
  EXPECT_EQ(sql.value("SHOW data_checksums"), "on");
  EXPECT_EQ(sql.value("SHOW listen_addresses"), "");
  EXPECT_EQ(sql.value("SHOW shared_buffers"), "16MB");
  EXPECT_EQ(sql.value("SHOW max_connections"), "300");
  EXPECT_EQ(sql.value("SHOW password_encryption"), "scram-sha-256");
  EXPECT_EQ(sql.value("SHOW jit"), "off");
  EXPECT_EQ(sql.value("SHOW wal_level"), "replica");
  EXPECT_EQ(sql.value("SHOW lc_messages"), "C");
  EXPECT_EQ(sql.value("SELECT count(*) FROM pg_hba_file_rules WHERE auth_method <> 'scram-sha-256'"), "0");
  EXPECT_EQ(sql.value("SELECT count(*) FROM pg_file_settings WHERE error IS NOT NULL"), "0");
  EXPECT_EQ(sql.value("SELECT string_agg(rolname, ',') FROM pg_roles WHERE rolcanlogin"), "rowhouse_admin");
}

TEST_F(EmbeddedServerTest, KeepsItsSecretsAndItsDistance) {
  const Server server = start();
  ASSERT_NE(server, nullptr);
  EXPECT_EQ(mode_of(directory_ + "/secrets"), 0700U);
  EXPECT_EQ(mode_of(directory_ + "/secrets/master-key"), 0600U);
  EXPECT_EQ(mode_of(directory_ + "/secrets/superuser-password"), 0600U);
  EXPECT_EQ(mode_of(directory_ + "/socket"), 0700U);
  EXPECT_EQ(mode_of(directory_ + "/postgres.log"), 0600U);
  EXPECT_EQ(owner_of(directory_ + "/secrets"), geteuid());
  EXPECT_NE(owner_of("/proc/" + std::to_string(server->postmaster_pid())), 0U);
  // A session of its own: Ctrl-C in our terminal is not its business.
  EXPECT_EQ(getsid(server->postmaster_pid()), server->postmaster_pid());
  EXPECT_NE(getsid(server->postmaster_pid()), getsid(0));
  auto wrong = server->superuser("postgres");
  wrong.password = "guess";
  EXPECT_NE(BlockingSql::cannot_connect(wrong), "");
  for (const auto& entry : fs::directory_iterator(directory_)) {
    EXPECT_NE(entry.path().filename(), ".initdb-password");
  }
  EXPECT_EQ(read_file(directory_ + "/postgres.log").find(server->superuser("").password), std::string::npos);
}

TEST_F(EmbeddedServerTest, SettingsAreRewrittenAtEachStart) {
  start();
  options_.max_connections = 44;
  const std::string main_file = directory_ + "/postgres/postgresql.conf";
  write_file(main_file, read_file(main_file) + "work_mem = '13MB'\n");
  const Server server = start();
  ASSERT_NE(server, nullptr);
  BlockingSql sql(server->superuser("postgres"));
  EXPECT_EQ(sql.value("SHOW max_connections"), "44");
  EXPECT_EQ(sql.value("SHOW work_mem"), "13MB") << "the operator's own settings win";
  EXPECT_EQ(sql.value("SELECT count(DISTINCT sourceline) FROM pg_file_settings WHERE name = 'jit'"), "1");
}

TEST_F(EmbeddedServerTest, ASecondStartOnTheSameDirectoryIsRefused) {
  const Server server = start();
  ASSERT_NE(server, nullptr);
  expect_refused(ErrorCode::data_directory_locked, {directory_, std::to_string(getpid())});
  EXPECT_EQ(server->state(), ServerState::ready);
  EXPECT_EQ(BlockingSql::cannot_connect(server->superuser("postgres")), "");
}

TEST_F(EmbeddedServerTest, AnotherVersionIsRefused) {
  start();
  const std::string version = read_file(directory_ + "/postgres/PG_VERSION");
  write_file(directory_ + "/postgres/PG_VERSION", "13\n");
  expect_refused(ErrorCode::data_directory_invalid, {"PostgreSQL 13", "pg_upgrade", directory_});
  write_file(directory_ + "/postgres/PG_VERSION", "soup\n");
  expect_refused(ErrorCode::data_directory_invalid, {"soup"});
  write_file(directory_ + "/postgres/PG_VERSION", version);
  EXPECT_NE(start(), nullptr);
}

TEST_F(EmbeddedServerTest, AKilledPostmasterIsStartedAgainWithAllThatWasCommitted) {
  auto started = EmbeddedServer::start(options(EmbeddedOptions::Durability::full));
  ASSERT_TRUE(started.ok()) << started.error().message;
  const Server server = std::move(started).value();
  BlockingSql(server->superuser("postgres")).run("CREATE TABLE kept (n int)");
  for (int round = 1; round <= 3; ++round) {
    BlockingSql sql(server->superuser("postgres"));
    sql.run("INSERT INTO kept VALUES (" + std::to_string(round) + ")");
    // A busy backend notices late that its postmaster is gone, and holds the shared memory meanwhile.
    std::string lost;
    std::thread busy([&] {
      BlockingSql other(server->superuser("postgres"));
      lost = other.failure("SELECT count(*) FROM generate_series(1, 10000000000)");
    });
    EXPECT_TRUE(eventually([&] {
      return sql.value(
                 "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT count%generate_series%'"
                 " AND state = 'active' AND pid <> pg_backend_pid()") == "1";
    }));
    const pid_t killed = server->postmaster_pid();
    kill(killed, SIGKILL);
    EXPECT_TRUE(eventually(
        [&] { return server->postmaster_pid() != killed && server->state() == ServerState::ready; }));
    busy.join();
    EXPECT_NE(lost, "");
    BlockingSql after(server->superuser("postgres"));
    EXPECT_EQ(after.value("SELECT count(*) FROM kept"), std::to_string(round));
  }
}

TEST_F(EmbeddedServerTest, StopDuringARestartEnds) {
  const Server server = start();
  ASSERT_NE(server, nullptr);
  kill(server->postmaster_pid(), SIGKILL);
  server->stop();
  EXPECT_EQ(server->state(), ServerState::stopped);
  EXPECT_TRUE(postgres_processes_in(directory_ + "/postgres").empty());
}

// Its parent was killed, and it removes what it made: nobody may work there meanwhile.
TEST_F(EmbeddedServerTest, AnOrphanedInitdbIsSeen) {
  fs::create_directories(directory_);
  const std::string program = directory_ + "/initdb";
  ASSERT_TRUE(fs::copy_file("/bin/bash", program));
  const std::string target = directory_ + "/postgres.new", word = "--pgdata=" + target;
  const pid_t pid = fork();
  if (pid == 0) {
    execl(program.c_str(), "initdb", "-c", "kill -STOP $$; :", "initdb", word.c_str(), nullptr);
    _exit(127);
  }
  EXPECT_TRUE(eventually([&] { return postgres_processes_in(target) == std::vector<pid_t>{pid}; }));
  EXPECT_TRUE(postgres_processes_in(directory_ + "/postgres").empty());
  kill(pid, SIGKILL);
  ASSERT_EQ(waitpid(pid, nullptr, 0), pid);
  EXPECT_TRUE(postgres_processes_in(target).empty());
}

TEST_F(EmbeddedServerTest, AKilledServerIsFollowedByANewOneWithNothingLost) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto started = EmbeddedServer::start(options(EmbeddedOptions::Durability::full));
    if (!started.ok()) _exit(1);
    {
      BlockingSql sql((*started)->superuser("postgres"));
      sql.run("CREATE TABLE kept AS SELECT 7 AS n");
    }
    [[maybe_unused]] const auto written = write(ends[1], "x", 1);
    while (true) pause();
  }
  close(ends[1]);
  char ready = 0;
  ASSERT_EQ(read(ends[0], &ready, 1), 1) << "the child could not start a server";
  close(ends[0]);
  expect_refused(ErrorCode::data_directory_locked, {std::to_string(child)});
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  const Server server = start();
  ASSERT_NE(server, nullptr);
  BlockingSql sql(server->superuser("postgres"));
  EXPECT_EQ(sql.value("SELECT n FROM kept"), "7");
}

TEST_F(EmbeddedServerTest, APostmasterThatWasLeftBehindIsStoppedFirst) {
  const auto user = find_system_user("postgres");
  ASSERT_TRUE(user.ok());
  std::string password;
  {
    const Server server = start();
    ASSERT_NE(server, nullptr);
    password = server->superuser("postgres").password;
  }
  const auto installed = find_binaries("", *user);
  ASSERT_FALSE(installed.empty());
  const Command command(
      installed.front().directory + "/postgres",
      {"-D", directory_ + "/postgres", "-c", "unix_socket_directories=" + directory_ + "/socket"});
  const int output = open("/dev/null", O_WRONLY | O_CLOEXEC);
  const auto orphan = spawn(command, *user, output);
  close(output);
  ASSERT_TRUE(orphan.ok());
  const DataDirectory layout(directory_);
  ASSERT_TRUE(eventually([&] {
    const auto file = read_postmaster_file(layout);
    return file && file->pid == *orphan && file->status == "ready";
  }));
  const Server server = start();
  ASSERT_NE(server, nullptr);
  EXPECT_TRUE(wait_for_end(*orphan, 0ms));
  EXPECT_EQ(reap(*orphan), "exited with status 0") << "it must be a fast shutdown, not a crash";
  EXPECT_NE(server->postmaster_pid(), *orphan);
  EXPECT_EQ(BlockingSql::cannot_connect(server->superuser("postgres")), "");
}

TEST_F(EmbeddedServerTest, ALeftOverPidFileWithTheNumberOfAnotherProgramIsNoObstacle) {
  start();
  write_file(directory_ + "/postgres/postmaster.pid",
             std::to_string(getpid()) + "\n" + directory_ + "/postgres\n");
  EXPECT_NE(start(), nullptr);
}

TEST_F(EmbeddedServerTest, AnInitdbThatWasCutOffIsDoneAgain) {
  fs::create_directories(directory_ + "/secrets");
  fs::create_directories(directory_ + "/postgres.new/base/1");
  write_file(directory_ + "/postgres.new/PG_VERSION", "15\n");
  write_file(directory_ + "/rowhouse.lock", "1\n");
  const Server server = start();
  ASSERT_NE(server, nullptr);
  EXPECT_FALSE(fs::exists(directory_ + "/postgres.new"));
  EXPECT_EQ(BlockingSql::cannot_connect(server->superuser("postgres")), "");
}

TEST_F(EmbeddedServerTest, ForeignFilesAreNeverTouched) {
  fs::create_directories(directory_);
  write_file(directory_ + "/thesis.txt", "years of work");
  expect_refused(ErrorCode::data_directory_invalid, {"thesis.txt", directory_});
  EXPECT_EQ(read_file(directory_ + "/thesis.txt"), "years of work");
  fs::remove(directory_ + "/thesis.txt");
  write_file(directory_ + "/PG_VERSION", "15\n");
  expect_refused(ErrorCode::data_directory_invalid, {"is a PostgreSQL cluster itself"});
  fs::remove(directory_ + "/PG_VERSION");
  fs::create_directories(directory_ + "/postgres");
  write_file(directory_ + "/postgres/letter.txt", "dear");
  expect_refused(ErrorCode::data_directory_invalid, {directory_ + "/postgres"});
  EXPECT_EQ(read_file(directory_ + "/postgres/letter.txt"), "dear");
}

TEST_F(EmbeddedServerTest, LostSecretsAreNotReplaced) {
  start();
  fs::rename(directory_ + "/secrets/master-key", directory_ + "/secrets/elsewhere");
  expect_refused(ErrorCode::data_directory_invalid, {"master-key is missing"});
  write_file(directory_ + "/secrets/master-key", "abc\n");
  expect_refused(ErrorCode::data_directory_invalid, {"were changed"});
  fs::rename(directory_ + "/secrets/elsewhere", directory_ + "/secrets/master-key");
  EXPECT_NE(start(), nullptr);
}

TEST_F(EmbeddedServerTest, ALongPathGetsASocketUnderTmp) {
  directory_ = temporary_.path() + "/" + std::string(120, 'd');
  options_.data_directory = directory_;
  std::string socket;
  {
    const Server server = start();
    ASSERT_NE(server, nullptr);
    socket = server->superuser("postgres").host;
    EXPECT_TRUE(socket.starts_with("/tmp/rowhouse-")) << socket;
    EXPECT_EQ(mode_of(socket), 0700U);
    EXPECT_EQ(BlockingSql::cannot_connect(server->superuser("postgres")), "");
  }
  EXPECT_FALSE(fs::exists(socket));
}

TEST_F(EmbeddedServerTest, ADirectoryThatCannotBeEnteredIsNamed) {
  const std::string closed = temporary_.path() + "/closed";
  fs::create_directory(closed);
  options_.data_directory = closed + "/below/data";
  fs::create_directory(closed + "/below");
  // As root nothing is closed to us, but to the user whom PostgreSQL runs as.
  chmod(closed.c_str(), is_root() ? 0700 : 0);
  expect_refused(ErrorCode::data_directory_invalid, {closed});
  chmod(closed.c_str(), 0700);
}

TEST_F(EmbeddedServerTest, WithoutProgramsOrUserItSaysSo) {
  options_.binary_directory = temporary_.path() + "/nothing";
  expect_refused(ErrorCode::server_unsupported, {"postgresql"});
  options_.binary_directory.clear();
  options_.system_user = "root";
  if (is_root()) {
    expect_refused(ErrorCode::server_unsupported, {"root"});
  } else {
    EXPECT_NE(start(), nullptr) << "whoever is not root stays who he is";
  }
}

TEST_F(EmbeddedServerTest, LinksInsideTheClusterAreNotFollowed) {
  start();
  // Whoever takes over the unprivileged user must not make root read a file for him.
  const std::string main_file = directory_ + "/postgres/postgresql.conf";
  fs::rename(main_file, temporary_.path() + "/elsewhere");
  fs::create_symlink(temporary_.path() + "/elsewhere", main_file);
  expect_refused(ErrorCode::data_directory_invalid, {main_file});
}

TEST(EmbeddedProcess, RunsAndEndsAreTold) {
  const auto user = find_system_user("postgres");
  ASSERT_TRUE(user.ok());
  const auto failed = run_to_end(Command("/bin/sh", {"-c", "echo out; echo err >&2; exit 3"}), *user);
  ASSERT_TRUE(failed.ok());
  EXPECT_EQ(failed->exit_code, 3);
  EXPECT_EQ(failed->output, "out\nerr\n");
  const auto missing = run_to_end(Command("/nonexistent/program", {}), *user);
  ASSERT_TRUE(missing.ok());
  EXPECT_EQ(missing->exit_code, 127);
  EXPECT_NE(missing->output.find("/nonexistent/program"), std::string::npos);
  const int output = open("/dev/null", O_WRONLY | O_CLOEXEC);
  const auto sleeper = spawn(Command("/bin/sleep", {"1000"}), *user, output);
  close(output);
  ASSERT_TRUE(sleeper.ok());
  EXPECT_FALSE(wait_for_end(*sleeper, 1ms));
  kill(*sleeper, SIGTERM);
  EXPECT_TRUE(wait_for_end(*sleeper, 60s));
  EXPECT_EQ(reap(*sleeper), "was killed by signal 15");
  EXPECT_TRUE(wait_for_end(*sleeper, 0ms)) << "there is no such process any more";
}

// A tmpfs. Mounting needs root; where it is refused, ok() is false.
class SmallDisk {
 public:
  SmallDisk(std::string path, const std::string& options) : path_(std::move(path)) {
    fs::create_directories(path_);
    mounted_ = mount("tmpfs", path_.c_str(), "tmpfs", 0, options.c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) umount2(path_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool ok() const { return mounted_; }

 private:
  std::string path_;
  bool mounted_ = false;
};

TEST_F(EmbeddedServerTest, AFullDiskIsToldAsSuch) {
  {
    const SmallDisk disk(directory_, "size=64m,mode=0755");
    if (!disk.ok()) {
      // Without the right to mount: the same check, asked for more than the real file system has.
      fs::create_directories(directory_);
      const auto refused = check_free_space(directory_, std::uint64_t{1} << 60);
      ASSERT_FALSE(refused.ok());
      EXPECT_EQ(refused.error().code, ErrorCode::disk_full);
      return;
    }
    expect_refused(ErrorCode::disk_full, {directory_, "200 MB"});
    EXPECT_FALSE(fs::exists(directory_ + "/postgres"));
  }
  {
    // Room enough, but files cannot be made: initdb itself runs into it.
    const SmallDisk disk(directory_, "size=400m,mode=0755,nr_inodes=200");
    expect_refused(ErrorCode::disk_full, {directory_, "No space left on device"});
    EXPECT_FALSE(fs::exists(directory_ + "/postgres"));
    EXPECT_FALSE(fs::exists(directory_ + "/postgres.new"));
  }
  const SmallDisk disk(directory_, "size=300m,mode=0755");
  ASSERT_NE(start(), nullptr);
  {
    const std::string block(1 << 20, 'x');
    std::ofstream filler(directory_ + "/postgres/filler");
    while (filler.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
  }
  expect_refused(ErrorCode::disk_full, {directory_, "32 MB"});
  fs::remove(directory_ + "/postgres/filler");
  EXPECT_NE(start(), nullptr) << "with space again, it goes on";
}

}  // namespace
}  // namespace rowhouse::pg
