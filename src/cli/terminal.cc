#include "cli/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <iostream>

#include "base/text.h"

namespace rowhouse::cli {
namespace {

constexpr std::size_t kFallbackWidth = 80;
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
constexpr std::string_view kEllipsis = "…";

struct Range {
  char32_t first, last;
};

// Good enough for aligned tables: the blocks that terminals show without advancing, and those that take two
// columns.
constexpr std::array kZeroWidth = {Range{0x0300, 0x036F}, Range{0x0483, 0x0489}, Range{0x0591, 0x05BD},
                                   Range{0x0610, 0x061A}, Range{0x064B, 0x065F}, Range{0x200B, 0x200F},
                                   Range{0x202A, 0x202E}, Range{0x20D0, 0x20F0}, Range{0xFE00, 0xFE0F},
                                   Range{0xFE20, 0xFE2F}};
constexpr std::array kDoubleWidth = {
    Range{0x1100, 0x115F},   Range{0x2E80, 0x303E},   Range{0x3041, 0x33FF},  Range{0x3400, 0x4DBF},
    Range{0x4E00, 0x9FFF},   Range{0xA000, 0xA4CF},   Range{0xAC00, 0xD7A3},  Range{0xF900, 0xFAFF},
    Range{0xFE30, 0xFE4F},   Range{0xFF00, 0xFF60},   Range{0xFFE0, 0xFFE6},  Range{0x1F300, 0x1F64F},
    Range{0x1F680, 0x1F6FF}, Range{0x1F900, 0x1F9FF}, Range{0x20000, 0x3FFFD}};

template <std::size_t N>
bool within(const std::array<Range, N>& ranges, char32_t code) {
  for (const Range& range : ranges) {
    if (code >= range.first && code <= range.last) return true;
  }
  return false;
}

std::size_t width_of(char32_t code) {
  if (within(kZeroWidth, code)) return 0;
  return within(kDoubleWidth, code) ? 2 : 1;
}

// The bytes of the character at the front of `text`, or 1 for a byte that starts none.
std::size_t character_bytes(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  return std::min(length, text.size());
}

char32_t code_point(std::string_view character) {
  const auto lead = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return lead;
  char32_t code = lead & (0x7FU >> character.size());
  for (const char byte : character.substr(1)) code = code << 6 | (static_cast<unsigned char>(byte) & 0x3FU);
  return code;
}

std::size_t window_width(int descriptor) {
  winsize size{};
  if (ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return kFallbackWidth;
}

}  // namespace

Terminal process_terminal(std::string_view no_color) {
  Terminal terminal{std::cin, std::cout, std::cerr};
  terminal.in_is_terminal = isatty(STDIN_FILENO) == 1;
  terminal.out_is_terminal = isatty(STDOUT_FILENO) == 1;
  terminal.err_is_terminal = isatty(STDERR_FILENO) == 1;
  terminal.width = terminal.out_is_terminal ? window_width(STDOUT_FILENO) : 0;
  terminal.err_width = terminal.err_is_terminal ? window_width(STDERR_FILENO) : 0;
  terminal.color = terminal.out_is_terminal && terminal.err_is_terminal && no_color.empty();
  return terminal;
}

std::string styled(const Terminal& terminal, Style style, std::string_view text) {
  if (!terminal.color) return std::string(text);
  std::string_view code;
  switch (style) {
    case Style::bold:
      code = "1";
      break;
    case Style::dim:
      code = "2";
      break;
    case Style::red:
      code = "31";
      break;
    case Style::green:
      code = "32";
      break;
    case Style::yellow:
      code = "33";
      break;
  }
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

std::string printable(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const std::string_view character = text.substr(0, character_bytes(text));
    if (!is_valid_utf8(character)) {
      result += kReplacement;
      text.remove_prefix(1);
      continue;
    }
    const char32_t code = code_point(character);
    const bool control = code < 0x20 || (code >= 0x7F && code < 0xA0) || (code >= 0x202A && code <= 0x202E);
    if (code == '\n' || code == '\t' || code == '\r') {
      result += ' ';
    } else {
      result += control ? kReplacement : character;
    }
    text.remove_prefix(character.size());
  }
  return result;
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) {
    const std::string_view character = text.substr(0, character_bytes(text));
    width += width_of(code_point(character));
    text.remove_prefix(character.size());
  }
  return width;
}

std::string cut_to_width(std::string_view text, std::size_t columns) {
  if (display_width(text) <= columns) return std::string(text);
  if (columns == 0) return "";
  std::string result;
  std::size_t width = 0;
  while (!text.empty()) {
    const std::string_view character = text.substr(0, character_bytes(text));
    const std::size_t next = width_of(code_point(character));
    if (width + next > columns - 1) break;
    result += character;
    width += next;
    text.remove_prefix(character.size());
  }
  return result + std::string(kEllipsis);
}

}  // namespace rowhouse::cli
