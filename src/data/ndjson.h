// Lines of newline-delimited JSON, read piece by piece.
//
// A line ends with LF or CRLF; a byte order mark in front and blank lines are passed over. A line that is too
// long is reported as a fault, and reading goes on behind it.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace rowhouse::data {

struct NdjsonLine {
  std::uint64_t line = 0;  // from 1
  std::string text;
  std::string fault;  // "" or why the line cannot be read
};

class NdjsonReader {
 public:
  explicit NdjsonReader(std::size_t max_line_bytes) : max_line_bytes_(max_line_bytes) {}

  void feed(std::string_view piece);
  void finish();
  std::optional<NdjsonLine> next();

 private:
  void end_line();

  std::size_t max_line_bytes_;
  std::string text_;
  bool too_long_ = false;
  std::uint64_t line_ = 1;
  std::deque<NdjsonLine> ready_;
};

}  // namespace rowhouse::data
