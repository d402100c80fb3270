#include "platform/wrapping_key_settings.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "crypto/crypto.h"
#include "platform/secrets.h"

namespace rowhouse::platform {
namespace {

constexpr std::size_t kMaxOutputBytes = 4'096;
constexpr std::string_view kDerivedPurpose = "wrapping key of tenants' data keys";

Error invalid(std::string text) { return Error(ErrorCode::config_invalid, std::move(text)); }

Result<std::string> read_key(std::string_view option, std::string_view text) {
  auto key = from_hex(trim(text));
  if (key && key->size() == secrets::kWrappingKeyBytes) return std::move(*key);
  return invalid(
      fmt::format("{} is not a key: 64 hexadecimal digits, as made by `openssl rand -hex 32`", option));
}

// A shell that runs a command, in a process group of its own so that all of it can be ended.
class KeyCommand {
 public:
  static Result<std::string> output_of(const std::string& command) {
    std::array<int, 2> pipe_ends{};
    if (pipe2(pipe_ends.data(), O_CLOEXEC) != 0) return failed(std::strerror(errno));
    KeyCommand running;
    const int error = running.start(command, pipe_ends[1]);
    close(pipe_ends[1]);
    running.output_ = pipe_ends[0];
    if (error != 0) return failed(std::strerror(error));
    return running.read_output();
  }

 private:
  KeyCommand() = default;
  ~KeyCommand() {
    if (process_ > 0) {
      kill(-process_, SIGKILL);
      waitpid(process_, nullptr, 0);
    }
    if (output_ >= 0) close(output_);
  }
  KeyCommand(const KeyCommand&) = delete;
  KeyCommand& operator=(const KeyCommand&) = delete;

  static Error failed(std::string_view why) { return invalid(fmt::format("wrapping_key_command: {}", why)); }

  // errno, or 0. What it writes to standard error goes where ours goes.
  int start(const std::string& command, int output) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    std::string shell = "/bin/sh", option = "-c", text = command;
    std::array<char*, 4> arguments = {shell.data(), option.data(), text.data(), nullptr};
    const int error = posix_spawn(&process_, shell.c_str(), &actions, &attributes, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (error != 0) process_ = -1;
    return error;
  }

  Result<std::string> read_output() {
    const auto deadline = std::chrono::steady_clock::now() + kKeyCommandTimeout;
    std::string text;
    while (true) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      pollfd ready{output_, POLLIN, 0};
      const int found = left.count() <= 0 ? 0 : poll(&ready, 1, static_cast<int>(left.count()));
      if (found < 0 && errno == EINTR) continue;
      if (found <= 0) {
        crypto::wipe(text);
        return failed(fmt::format("it has not ended after {} s", kKeyCommandTimeout.count()));
      }
      std::array<char, 512> buffer{};
      const ssize_t size = read(output_, buffer.data(), buffer.size());
      if (size < 0 && errno == EINTR) continue;
      if (size <= 0) break;
      text.append(buffer.data(), static_cast<std::size_t>(size));
      if (text.size() > kMaxOutputBytes) {
        crypto::wipe(text);
        return failed("it prints more than a key");
      }
    }
    return finish(std::move(text), deadline);
  }

  // Its output has ended; its status follows soon.
  Result<std::string> finish(std::string text, std::chrono::steady_clock::time_point deadline) {
    constexpr int kLookAgainMs = 5;
    int status = 0;
    while (waitpid(process_, &status, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() >= deadline) {
        crypto::wipe(text);
        return failed("it has closed its output and does not end");
      }
      poll(nullptr, 0, kLookAgainMs);
    }
    process_ = -1;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return text;
    crypto::wipe(text);
    return failed(WIFEXITED(status) ? fmt::format("it ended with status {}", WEXITSTATUS(status))
                                    : fmt::format("it was ended by signal {}", WTERMSIG(status)));
  }

  pid_t process_ = -1;
  int output_ = -1;
};

// "" if none is set.
Result<std::string> chosen_key(const Resolved& resolved) {
  TRY(std::string text, find_secret(resolved, "wrapping_key", "wrapping_key_file"));
  const std::string& command = resolved.config.credentials.wrapping_key_command;
  if (!text.empty() && !command.empty()) {
    return invalid("wrapping_key_command is set beside wrapping_key or wrapping_key_file: set one of them");
  }
  if (!text.empty()) return read_key("wrapping_key", text);
  if (command.empty()) return std::string();
  TRY(std::string printed, KeyCommand::output_of(command));
  auto key = read_key("what wrapping_key_command prints", printed);
  crypto::wipe(printed);
  return key;
}

}  // namespace

Result<std::unique_ptr<secrets::WrappingKeys>> wrapping_keys(const Resolved& resolved,
                                                             const tenancy::Credentials& credentials) {
  TRY(std::string current, chosen_key(resolved));
  TRY(const std::string previous,
      find_secret(resolved, "wrapping_key_previous", "wrapping_key_previous_file"));
  std::vector<std::string> others;
  for (const std::string_view text : split(previous, ',')) {
    if (trim(text).empty()) continue;
    TRY(std::string key, read_key("wrapping_key_previous", text));
    others.push_back(std::move(key));
  }
  std::string derived = credentials.derive(kDerivedPurpose, secrets::kWrappingKeyBytes);
  if (current.empty()) {
    current = std::move(derived);
  } else {
    others.push_back(std::move(derived));
  }
  return std::make_unique<secrets::WrappingKeys>(std::move(current), std::move(others));
}

}  // namespace rowhouse::platform
