#include "cli/table.h"

#include <gtest/gtest.h>

#include <sstream>

namespace rowhouse::cli {
namespace {

struct Screen {
  std::istringstream in;
  std::ostringstream out, err;
  Terminal terminal{in, out, err};
};

TEST(DisplayWidth, CountsColumnsNotBytes) {
  EXPECT_EQ(display_width("abc"), 3u);
  EXPECT_EQ(display_width("Müller"), 6u);
  EXPECT_EQ(display_width("e\xCC\x81"), 1u);  // e + combining acute
  EXPECT_EQ(display_width("日本"), 4u);
}

TEST(CutToWidth, LeavesWholeCharactersAndAnEllipsis) {
  EXPECT_EQ(cut_to_width("abcdef", 6), "abcdef");
  EXPECT_EQ(cut_to_width("abcdef", 4), "abc…");
  EXPECT_EQ(cut_to_width("日本語", 4), "日…");
  EXPECT_EQ(cut_to_width("abc", 0), "");
}

TEST(Printable, DefusesWhatSteersATerminal) {
  EXPECT_EQ(printable("a\x1b[31mb"), "a\xEF\xBF\xBD[31mb");
  EXPECT_EQ(printable("two\nlines\tand tab"), "two lines and tab");
  EXPECT_EQ(printable("bad \xff byte"), "bad \xEF\xBF\xBD byte");
  EXPECT_EQ(printable("Fjordnet — Ålesund"), "Fjordnet — Ålesund");
}

TEST(Table, AlignsByDisplayWidth) {
  Screen screen;
  Table table;
  table.column("NAME");
  table.column("N", Align::right);
  table.row({"Zürich", "7"});
  table.row({"Rom", "1234"});
  table.print(screen.terminal, "none");
  EXPECT_EQ(screen.out.str(),
            "NAME       N\n"
            "Zürich     7\n"
            "Rom     1234\n");
}

TEST(Table, CutsTheWidestColumnOnATerminalAlone) {
  Screen wide;
  Table table;
  table.column("A");
  table.column("B");
  table.row({"short", std::string(60, 'x')});
  table.print(wide.terminal, "none");
  EXPECT_NE(wide.out.str().find(std::string(60, 'x')), std::string::npos);

  Screen narrow;
  narrow.terminal.width = 30;
  table.print(narrow.terminal, "none");
  EXPECT_NE(narrow.out.str().find("short  " + std::string(22, 'x') + "…\n"), std::string::npos)
      << narrow.out.str();
}

TEST(Table, SaysWhenItIsEmpty) {
  Screen screen;
  Table table;
  table.column("A");
  table.print(screen.terminal, "There are no tenants.");
  EXPECT_EQ(screen.out.str(), "There are no tenants.\n");
}

TEST(Table, ColoursOnlyWhereTheyAreWanted) {
  Screen screen;
  EXPECT_EQ(styled(screen.terminal, Style::red, "x"), "x");
  screen.terminal.color = true;
  EXPECT_EQ(styled(screen.terminal, Style::red, "x"), "\x1b[31mx\x1b[0m");
}

TEST(HumanNumbers, RoundAndGroup) {
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(1'234'567), "1.2 MB");
  EXPECT_EQ(human_bytes(999'999), "1.0 MB");
  EXPECT_EQ(grouped(-1234567), "-1,234,567");
  EXPECT_EQ(grouped(999), "999");
}

}  // namespace
}  // namespace rowhouse::cli
