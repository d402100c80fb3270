// The structured log: one JSON object per line.
//
//   log.write(Level::info, "server_started", {{"address", "127.0.0.1:8080"}, {"workers", 2}});
//   {"time":"2026-11-21T05:40:00.123Z","level":"info","event":"server_started","address":"127.0.0.1:8080","workers":2}
//
// An event's name and the names of its fields are stable snake_case words; what varies belongs into values.
// Values are escaped, and bytes that are not UTF-8 are replaced, so that every line is valid JSON. Never pass
// a secret.
//
// Any thread may write. A line goes out by a single write(2), so lines of several threads and processes that
// share a file (O_APPEND) do not mix. A line that cannot be written is counted and dropped: logging never
// stops the server.
#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace rowhouse::observe {

enum class Level { debug, info, warning, error };
std::string_view level_name(Level level);
std::optional<Level> parse_level(std::string_view name);

// A name and a value. Refers to the caller's text: make it where it is used.
class Field {
 public:
  Field(std::string_view name, std::string_view value) : name_(name), value_(value) {}
  Field(std::string_view name, const char* value) : name_(name), value_(std::string_view(value)) {}
  Field(std::string_view name, const std::string& value) : name_(name), value_(std::string_view(value)) {}
  Field(std::string_view name, bool value) : name_(name), value_(value) {}
  Field(std::string_view name, double value) : name_(name), value_(value) {}
  template <std::signed_integral Integer>
  Field(std::string_view name, Integer value) : name_(name), value_(static_cast<std::int64_t>(value)) {}
  template <std::unsigned_integral Integer>
  requires(!std::same_as<Integer, bool>) Field(std::string_view name, Integer value)
      : name_(name), value_(static_cast<std::uint64_t>(value)) {}

  void append_to(std::string& line) const;  // ,"name":value

 private:
  std::string_view name_;
  std::variant<std::string_view, bool, double, std::int64_t, std::uint64_t> value_;
};
using Fields = std::initializer_list<Field>;

// Where finished lines go; each ends with '\n'. Called from any thread, one call at a time is not promised.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void write(std::string_view line) = 0;
};

// Writes to a file descriptor.
class FileSink final : public Sink {
 public:
  // Appends to a file, made with mode 0640 if it is not there. Error: config_invalid, naming path and cause.
  static Result<std::unique_ptr<FileSink>> open(const std::string& path);
  static std::unique_ptr<FileSink> standard_error();
  ~FileSink() override;
  void write(std::string_view line) override;
  std::uint64_t dropped_lines() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  enum class Ownership { owned, borrowed };
  FileSink(int descriptor, Ownership ownership) : descriptor_(descriptor), ownership_(ownership) {}
  int descriptor_;
  Ownership ownership_;
  std::atomic<std::uint64_t> dropped_{0};
};

// Keeps the lines; for tests.
class MemorySink final : public Sink {
 public:
  void write(std::string_view line) override;
  std::vector<std::string> lines() const;              // without '\n'
  std::size_t count_of(std::string_view event) const;  // how many lines have that event
 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

class Log {
 public:
  // Both must outlive the log.
  Log(Sink& sink, const Clock& clock, Level minimum = Level::info)
      : sink_(sink), clock_(clock), minimum_(minimum) {}

  bool enabled(Level level) const { return level >= minimum_.load(std::memory_order_relaxed); }
  void set_minimum(Level level) { minimum_.store(level, std::memory_order_relaxed); }
  void write(Level level, std::string_view event, Fields fields = {}) const;
  // For fields that are collected at run time.
  void write(Level level, std::string_view event, const std::vector<Field>& fields) const;
  // The event log of an Error: its code and message follow the given fields. Its details stay out.
  void write_error(std::string_view event, const Error& error, Fields fields = {}) const;

 private:
  void write_line(Level level, std::string_view event, const Field* begin, const Field* end,
                  const Error* error) const;

  Sink& sink_;
  const Clock& clock_;
  std::atomic<Level> minimum_;
};

// The process's own log, for code that is handed no Log: standard error until set_process_log() (call it
// once, at start-up, before other threads exist; the log must live as long as the process uses it).
const Log& process_log();
void set_process_log(const Log* log);
inline void log(Level level, std::string_view event, Fields fields = {}) {
  process_log().write(level, event, fields);
}

}  // namespace rowhouse::observe
