#include "cli/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <ostream>

namespace rowhouse::cli {
namespace {

constexpr std::size_t kGap = 2;
constexpr std::size_t kNarrowestColumn = 6;

}  // namespace

void Table::column(std::string title, Align align) { columns_.push_back({std::move(title), align}); }

void Table::row(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  for (std::string& cell : cells) cell = printable(cell);
  rows_.push_back(std::move(cells));
}

std::vector<std::size_t> Table::widths(std::size_t limit) const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = display_width(columns_[i].title);
    for (const auto& row : rows_) width = std::max(width, display_width(row[i]));
    widths.push_back(width);
  }
  if (limit == 0 || widths.empty()) return widths;
  const std::size_t gaps = kGap * (widths.size() - 1);
  std::size_t total = std::accumulate(widths.begin(), widths.end(), gaps);
  while (total > limit) {
    auto widest = std::max_element(widths.begin(), widths.end());
    if (*widest <= kNarrowestColumn) break;
    --*widest;
    --total;
  }
  return widths;
}

void Table::print(const Terminal& terminal, std::string_view when_empty) const {
  if (rows_.empty()) {
    terminal.out << when_empty << '\n';
    return;
  }
  const auto columns = widths(terminal.width);
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string text;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const std::string cell = cut_to_width(cells[i], columns[i]);
      const std::string padding(columns[i] - display_width(cell), ' ');
      if (i > 0) text.append(kGap, ' ');
      text += columns_[i].align == Align::right ? padding + cell : cell + padding;
    }
    text.erase(text.find_last_not_of(' ') + 1);
    return text;
  };
  std::vector<std::string> titles;
  for (const Column& column : columns_) titles.push_back(column.title);
  terminal.out << styled(terminal, Style::bold, line(titles)) << '\n';
  for (const auto& row : rows_) terminal.out << line(row) << '\n';
}

void print_fields(const Terminal& terminal, const std::vector<std::pair<std::string, std::string>>& fields) {
  std::size_t widest = 0;
  for (const auto& [name, value] : fields) widest = std::max(widest, display_width(name));
  for (const auto& [name, value] : fields) {
    const std::string padding(widest - display_width(name) + kGap, ' ');
    terminal.out << styled(terminal, Style::bold, name + ":") << padding
                 << (value.empty() ? "–" : printable(value)) << '\n';
  }
}

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 6> kUnits = {"B", "kB", "MB", "GB", "TB", "PB"};
  if (bytes < 1000) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 999.95 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string grouped(std::int64_t number) {
  std::string digits = fmt::format("{}", number < 0 ? -number : number);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return number < 0 ? "-" + digits : digits;
}

}  // namespace rowhouse::cli
