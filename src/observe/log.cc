#include "observe/log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <iterator>

#include "base/json.h"
#include "base/text.h"

namespace rowhouse::observe {
namespace {

constexpr mode_t kLogFileMode = 0640;
// A field's text beyond this is cut: one line must stay one write that the kernel does not split.
constexpr std::size_t kMaxValueBytes = 8U << 10;
constexpr std::string_view kCutMark = "…";

struct LevelName {
  Level level;
  std::string_view name;
};
constexpr LevelName kLevelNames[] = {
    {Level::debug, "debug"}, {Level::info, "info"}, {Level::warning, "warning"}, {Level::error, "error"}};

// The text with every byte outside printable ASCII replaced, for input that is not UTF-8.
std::string as_ascii(std::string_view text) {
  std::string safe(text);
  for (char& byte : safe) {
    if (byte < 0x20 || byte > 0x7e) byte = '?';
  }
  return safe;
}

void append_text(std::string& line, std::string_view text) {
  std::string shortened;
  if (text.size() > kMaxValueBytes) {
    std::size_t end = kMaxValueBytes;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U)
      --end;  // not inside a character
    shortened.append(text, 0, end).append(kCutMark);
    text = shortened;
  }
  if (is_valid_utf8(text)) {
    json::append_string(line, text);
  } else {
    json::append_string(line, as_ascii(text));
  }
}

struct ValueAppender {
  std::string& line;
  void operator()(std::string_view value) const { append_text(line, value); }
  void operator()(bool value) const { line += value ? "true" : "false"; }
  void operator()(double value) const {
    if (std::isfinite(value)) {
      fmt::format_to(std::back_inserter(line), "{}", value);
    } else {
      line += "null";  // JSON has no infinity
    }
  }
  template <class Integer>
  void operator()(Integer value) const {
    fmt::format_to(std::back_inserter(line), "{}", value);
  }
};

}  // namespace

std::string_view level_name(Level level) {
  for (const auto& entry : kLevelNames) {
    if (entry.level == level) return entry.name;
  }
  return "error";
}

std::optional<Level> parse_level(std::string_view name) {
  for (const auto& entry : kLevelNames) {
    if (entry.name == name) return entry.level;
  }
  return std::nullopt;
}

void Field::append_to(std::string& line) const {
  line += ',';
  append_text(line, name_);
  line += ':';
  std::visit(ValueAppender{line}, value_);
}

Result<std::unique_ptr<FileSink>> FileSink::open(const std::string& path) {
  const int descriptor =
      ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, kLogFileMode);
  if (descriptor < 0) {
    return Error(ErrorCode::config_invalid,
                 fmt::format("The log file {} cannot be opened: {}", path, std::strerror(errno)));
  }
  return std::unique_ptr<FileSink>(new FileSink(descriptor, Ownership::owned));
}

std::unique_ptr<FileSink> FileSink::standard_error() {
  return std::unique_ptr<FileSink>(new FileSink(STDERR_FILENO, Ownership::borrowed));
}

FileSink::~FileSink() {
  if (ownership_ == Ownership::owned) ::close(descriptor_);
}

void FileSink::write(std::string_view line) {
  ssize_t written = -1;
  do {
    written = ::write(descriptor_, line.data(), line.size());
  } while (written < 0 && errno == EINTR);
  // A full disk or a pipe that nobody reads must not stop the server: the loss is counted instead.
  if (written != static_cast<ssize_t>(line.size())) dropped_.fetch_add(1, std::memory_order_relaxed);
}

void MemorySink::write(std::string_view line) {
  const std::lock_guard lock(mutex_);
  if (line.ends_with('\n')) line.remove_suffix(1);
  lines_.emplace_back(line);
}

std::vector<std::string> MemorySink::lines() const {
  const std::lock_guard lock(mutex_);
  return lines_;
}

std::size_t MemorySink::count_of(std::string_view event) const {
  const std::string wanted = fmt::format("\"event\":\"{}\"", event);
  std::size_t count = 0;
  for (const auto& line : lines()) count += line.find(wanted) != std::string::npos ? 1U : 0U;
  return count;
}

void Log::write(Level level, std::string_view event, Fields fields) const {
  if (enabled(level)) write_line(level, event, fields.begin(), fields.end(), nullptr);
}

void Log::write(Level level, std::string_view event, const std::vector<Field>& fields) const {
  if (enabled(level)) write_line(level, event, fields.data(), fields.data() + fields.size(), nullptr);
}

void Log::write_error(std::string_view event, const Error& error, Fields fields) const {
  if (enabled(Level::error)) write_line(Level::error, event, fields.begin(), fields.end(), &error);
}

void Log::write_line(Level level, std::string_view event, const Field* begin, const Field* end,
                     const Error* error) const {
  thread_local std::string line;  // keeps its capacity: a line costs no allocation
  line.clear();
  line += "{\"time\":\"";
  line += to_rfc3339(clock_.now());
  line += "\",\"level\":\"";
  line += level_name(level);
  line += "\",\"event\":";
  append_text(line, event);
  for (const Field* field = begin; field != end; ++field) field->append_to(line);
  if (error != nullptr) {
    Field("error_code", error_code_name(error->code)).append_to(line);
    Field("error_message", error->message).append_to(line);
  }
  line += "}\n";
  sink_.write(line);
}

namespace {

std::atomic<const Log*> chosen_log{nullptr};

}  // namespace

const Log& process_log() {
  if (const Log* chosen = chosen_log.load(std::memory_order_acquire)) return *chosen;
  // Never destroyed: code that runs while the process ends may still log.
  static const SystemClock& clock = *new SystemClock();
  static FileSink& sink = *FileSink::standard_error().release();
  static const Log& fallback = *new Log(sink, clock);
  return fallback;
}

void set_process_log(const Log* log) { chosen_log.store(log, std::memory_order_release); }

}  // namespace rowhouse::observe
