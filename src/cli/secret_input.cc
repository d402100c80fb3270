#include "cli/secret_input.h"

#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>

#include <istream>
#include <optional>
#include <ostream>

#include "cli/command.h"
#include "cli/interrupts.h"

namespace rowhouse::cli {
namespace {

// Standard input shows nothing of what is typed while this lives.
class WithoutEcho {
 public:
  WithoutEcho() : is_set_(tcgetattr(STDIN_FILENO, &before_) == 0) {
    if (!is_set_) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
  }
  ~WithoutEcho() {
    if (is_set_) tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }
  WithoutEcho(const WithoutEcho&) = delete;
  WithoutEcho& operator=(const WithoutEcho&) = delete;

 private:
  termios before_{};
  bool is_set_;
};

std::optional<std::string> read_line(const Terminal& terminal) {
  std::string line;
  if (!std::getline(terminal.in, line)) return std::nullopt;
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

Result<std::string> ask_secret(const Terminal& terminal, const std::string& question) {
  const Interrupts interrupts;  // Ctrl-C must not leave the terminal mute
  std::optional<std::string> line;
  {
    const WithoutEcho silence;  // before the question: whoever types ahead shows nothing either
    terminal.err << question << std::flush;
    line = read_line(terminal);
  }
  terminal.err << '\n';
  if (!line || interrupts.arrived()) return Error(ErrorCode::cancelled, "no password was given");
  return *line;
}

}  // namespace

Result<std::string> read_new_password(const Terminal& terminal, std::string_view whose) {
  std::string password;
  if (terminal.in_is_terminal) {
    TRY(password, ask_secret(terminal, fmt::format("Password for {}: ", printable(whose))));
    TRY(const std::string again, ask_secret(terminal, "Once more: "));
    if (password != again) return usage_error("the two passwords differ; nothing was changed");
  } else {
    auto line = read_line(terminal);
    if (!line) return Error(ErrorCode::cancelled, "standard input holds no password");
    password = std::move(*line);
  }
  if (password.empty()) return usage_error("the password is empty");
  return password;
}

}  // namespace rowhouse::cli
