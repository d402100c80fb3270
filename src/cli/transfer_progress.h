// How far a transfer is, for people who wait for it.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <ostream>
#include <string>

#include "cli/table.h"
#include "cli/terminal.h"

namespace rowhouse::cli {

// "12.3 MB of 40.0 MB, 4.5 MB/s" on a terminal's stderr, rewritten in place a few times a second; nothing
// where stderr is no terminal. Without a total: "12.3 MB, 4.5 MB/s". One thread.
class TransferProgress {
 public:
  TransferProgress(const Terminal& terminal, std::optional<std::uint64_t> total)
      : terminal_(terminal), total_(total) {}
  void add(std::size_t bytes) {
    bytes_ += bytes;
    const auto now = std::chrono::steady_clock::now();
    if (!terminal_.err_is_terminal || now - shown_ < kInterval) return;
    shown_ = now;
    show(now);
  }
  void finish() {
    if (!terminal_.err_is_terminal || shown_ == start_) return;
    show(std::chrono::steady_clock::now());
    terminal_.err << '\n';
  }

 private:
  static constexpr std::chrono::milliseconds kInterval{200};
  void show(std::chrono::steady_clock::time_point now) {
    const double seconds = std::chrono::duration<double>(now - start_).count();
    const auto rate = static_cast<std::uint64_t>(seconds > 0 ? static_cast<double>(bytes_) / seconds : 0);
    const std::string of = total_ ? " of " + human_bytes(*total_) : "";
    terminal_.err << fmt::format("\r{}{}, {}/s   ", human_bytes(bytes_), of, human_bytes(rate)) << std::flush;
  }

  const Terminal& terminal_;
  std::optional<std::uint64_t> total_;
  std::uint64_t bytes_ = 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point shown_ = start_;
};

}  // namespace rowhouse::cli
