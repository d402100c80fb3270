#include "data/csv.h"

#include <utility>

#include "base/text.h"

namespace rowhouse::data {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

}  // namespace

void CsvReader::pass_mark(std::string_view& piece) {
  while (!mark_passed_ && !piece.empty()) {
    mark_.push_back(piece.front());
    piece.remove_prefix(1);
    if (mark_ == kByteOrderMark) {
      mark_passed_ = true;
    } else if (!kByteOrderMark.starts_with(mark_)) {
      mark_passed_ = true;
      for (const char c : std::exchange(mark_, {})) take(c);
    }
  }
}

void CsvReader::feed(std::string_view piece) {
  pass_mark(piece);
  for (const char c : piece) take(c);
}

void CsvReader::finish() {
  if (!mark_passed_) {
    mark_passed_ = true;
    for (const char c : std::exchange(mark_, {})) take(c);
  }
  switch (state_) {
    case State::record_start:
    case State::skipping:
      break;
    case State::quoted:
      fail("a quoted cell does not end");
      break;
    case State::after_return:
    case State::cell_start:
    case State::plain:
    case State::quote_in_quoted:
      end_cell();
      end_record();
      break;
  }
  state_ = State::record_start;
}

std::optional<CsvRecord> CsvReader::next() {
  if (ready_.empty()) return std::nullopt;
  CsvRecord record = std::move(ready_.front());
  ready_.pop_front();
  return record;
}

void CsvReader::take(char c) {
  if (state_ == State::skipping) {
    if (c == '\n') {
      ++line_;
      state_ = State::record_start;
    }
    return;
  }
  if (state_ == State::record_start) {
    begin_record(c);
    if (state_ == State::record_start) return;
  }
  if (++record_bytes_ > max_record_bytes_) {
    fail("the row is longer than " + std::to_string(max_record_bytes_) + " bytes");
    if (c == '\n') {
      ++line_;
      state_ = State::record_start;
    }
    return;
  }
  if (state_ == State::quoted) {
    if (c == '"') {
      state_ = State::quote_in_quoted;
    } else {
      cell_.push_back(c);
      if (c == '\n') ++line_;
    }
    return;
  }
  take_outside(c);
}

void CsvReader::begin_record(char c) {
  if (c == '\n') {
    ++line_;
    return;
  }
  record_ = CsvRecord();
  record_.line = line_;
  record_bytes_ = 0;
  cell_.clear();
  cell_quoted_ = false;
  state_ = State::cell_start;
}

// Everything but the inside of quotes.
void CsvReader::take_outside(char c) {
  if (c == '\n') {
    ++line_;
    // A line of nothing but a carriage return is empty, too.
    const bool is_empty_line = state_ == State::after_return && record_bytes_ == 2;
    state_ = State::record_start;
    if (is_empty_line) return;
    end_cell();
    end_record();
    return;
  }
  if (state_ == State::after_return) {
    fail("a carriage return is not followed by a line feed");
    return;
  }
  if (c == '\r') {
    state_ = State::after_return;
    return;
  }
  if (c == ',') {
    end_cell();
    state_ = State::cell_start;
    return;
  }
  if (c == '"') {
    if (state_ == State::plain) {
      fail("there is a quote inside a cell that is not quoted");
      return;
    }
    if (state_ == State::quote_in_quoted) cell_.push_back('"');
    cell_quoted_ = true;
    state_ = State::quoted;
    return;
  }
  if (state_ == State::quote_in_quoted) {
    fail("there is text behind the closing quote of a cell");
    return;
  }
  cell_.push_back(c);
  state_ = State::plain;
}

void CsvReader::end_cell() {
  if (cell_.empty() && !cell_quoted_) {
    record_.cells.emplace_back(std::nullopt);
  } else {
    record_.cells.emplace_back(std::exchange(cell_, {}));
  }
  cell_.clear();
  cell_quoted_ = false;
}

void CsvReader::end_record() {
  for (const auto& cell : record_.cells) {
    if (cell && !is_valid_utf8(*cell)) {
      record_.fault = "the row is not valid UTF-8";
      record_.cells.clear();
      break;
    }
  }
  ready_.push_back(std::exchange(record_, CsvRecord()));
}

void CsvReader::fail(std::string why) {
  record_.fault = std::move(why);
  record_.cells.clear();
  ready_.push_back(std::exchange(record_, CsvRecord()));
  state_ = State::skipping;
}

void append_csv_cell(std::string& out, std::string_view text) {
  if (!text.empty() && text.find_first_of(",\"\r\n") == std::string_view::npos) {
    out += text;
    return;
  }
  out.push_back('"');
  for (const char c : text) {
    if (c == '"') out.push_back('"');
    out.push_back(c);
  }
  out.push_back('"');
}

}  // namespace rowhouse::data
