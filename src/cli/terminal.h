// Where a command reads and writes, and what it may assume about the other side.
//
// Commands never touch std::cout or isatty() themselves, so that tests hand them string streams and a width.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <string>
#include <string_view>

namespace rowhouse::cli {

struct Terminal {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool in_is_terminal = false;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  std::size_t width = 0;      // columns of `out`; 0 = do not cut
  bool color = false;         // on `out` and `err`
  std::size_t err_width = 0;  // columns of `err`; 0 = not known
};

// The process's own: asks isatty(), the window size and NO_COLOR (https://no-color.org).
Terminal process_terminal(std::string_view no_color);

enum class Style { bold, dim, red, green, yellow };
// The text, with escape sequences around it when the terminal shows colours.
std::string styled(const Terminal& terminal, Style style, std::string_view text);

// Text that came from elsewhere, without the control characters that could steer a terminal: each becomes
// U+FFFD, as does every byte that is not UTF-8. Tabs and newlines become spaces.
std::string printable(std::string_view text);

// Columns that a terminal needs for `text` (valid UTF-8): combining marks none, East Asian wide characters
// two.
std::size_t display_width(std::string_view text);
// At most `columns` wide; what was cut shows as "…".
std::string cut_to_width(std::string_view text, std::size_t columns);

}  // namespace rowhouse::cli
