// CSV as RFC 4180 has it, read piece by piece and written.
//
// Reading: records end with CRLF or LF; cells may be quoted, quotes inside are doubled; a byte order mark in
// front is passed over, and so are empty lines. An unquoted empty cell is NULL, a quoted one ("") the empty
// string. A record with a fault is reported as one, and reading goes on behind the next line end.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rowhouse::data {

struct CsvRecord {
  std::uint64_t line = 0;                         // of its first character, from 1
  std::vector<std::optional<std::string>> cells;  // nullopt: empty and not quoted
  std::string fault;                              // "" or why the record cannot be read
};

class CsvReader {
 public:
  explicit CsvReader(std::size_t max_record_bytes) : max_record_bytes_(max_record_bytes) {}

  // Takes the next piece of the text; complete records are then waiting in next().
  void feed(std::string_view piece);
  // The text has ended; a last record without a line end is complete.
  void finish();
  std::optional<CsvRecord> next();

 private:
  enum class State { record_start, cell_start, plain, quoted, quote_in_quoted, after_return, skipping };

  void take(char c);
  void take_outside(char c);
  void begin_record(char c);
  void end_cell();
  void end_record();
  void fail(std::string why);
  void pass_mark(std::string_view& piece);

  std::size_t max_record_bytes_;
  State state_ = State::record_start;
  std::string mark_;  // bytes seen of a byte order mark
  bool mark_passed_ = false;
  CsvRecord record_;
  std::string cell_;
  bool cell_quoted_ = false;
  std::size_t record_bytes_ = 0;
  std::uint64_t line_ = 1;
  std::deque<CsvRecord> ready_;
};

// A cell as it is written: quoted where it must be. An empty string is quoted, to keep it apart from NULL.
// A cell that begins with '=' or '@' stays what it is: a spreadsheet may take it for a formula, a database
// must not change it.
void append_csv_cell(std::string& out, std::string_view text);

}  // namespace rowhouse::data
