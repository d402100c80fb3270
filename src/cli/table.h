// Rows and columns as aligned text.
//
// Cells are passed as they came; printable() is applied here. On a terminal the widest column that may shrink
// is cut until the table fits the width; elsewhere nothing is cut, so that `grep` and `awk` see everything.
#pragma once

#include <string>
#include <vector>

#include "cli/terminal.h"

namespace rowhouse::cli {

enum class Align { left, right };

class Table {
 public:
  void column(std::string title, Align align = Align::left);
  void row(std::vector<std::string> cells);  // as many as there are columns
  std::size_t size() const { return rows_.size(); }
  // With a header; or `when_empty` and a newline if there are no rows.
  void print(const Terminal& terminal, std::string_view when_empty) const;

 private:
  std::vector<std::size_t> widths(std::size_t limit) const;

  struct Column {
    std::string title;
    Align align;
  };
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// "Name:  value" lines with aligned values; empty values show as "–".
void print_fields(const Terminal& terminal, const std::vector<std::pair<std::string, std::string>>& fields);

// "12.3 MB": powers of 1,000.
std::string human_bytes(std::uint64_t bytes);
// "12,345"
std::string grouped(std::int64_t number);

}  // namespace rowhouse::cli
