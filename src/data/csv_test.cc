#include "data/csv.h"

#include <gtest/gtest.h>

#include "data/ndjson.h"
#include "data/row_decoder.h"
#include "testing/sample_resource.h"

namespace rowhouse::data {
namespace {

// Each record as "LINE:cell|cell" (NULL for an unquoted empty one) or "LINE! fault".
std::vector<std::string> read_csv(std::string_view text, std::size_t piece_bytes = 1,
                                  std::size_t max_bytes = 100) {
  CsvReader reader(max_bytes);
  for (std::size_t i = 0; i < text.size(); i += piece_bytes) reader.feed(text.substr(i, piece_bytes));
  reader.finish();
  std::vector<std::string> records;
  while (auto record = reader.next()) {
    std::string shown = std::to_string(record->line) + (record->fault.empty() ? ":" : "! " + record->fault);
    for (std::size_t i = 0; i < record->cells.size(); ++i) {
      shown += (i > 0 ? "|" : "") + record->cells[i].value_or("NULL");
    }
    records.push_back(shown);
  }
  return records;
}

using Records = std::vector<std::string>;

TEST(CsvReaderTest, CellsAndLineEnds) {
  EXPECT_EQ(read_csv("a,b\r\nc,d\n"), (Records{"1:a|b", "2:c|d"}));
  EXPECT_EQ(read_csv("a,b"), (Records{"1:a|b"}));
  EXPECT_EQ(read_csv(""), Records());
  EXPECT_EQ(read_csv("a,\"\",\n,\n"), (Records{"1:a||NULL", "2:NULL|NULL"}));
  EXPECT_EQ(read_csv("\"a,\"\"b\"\"\r\nc\",d\ne"), (Records{"1:a,\"b\"\r\nc|d", "3:e"}));
  EXPECT_EQ(read_csv("\n\r\na\n\n\nb\r\n\r\n"), (Records{"3:a", "6:b"}));
  EXPECT_EQ(read_csv(" a , b "), (Records{"1: a | b "})) << "blanks belong to the cell";
  EXPECT_EQ(read_csv("a\r"), (Records{"1:a"}));
}

TEST(CsvReaderTest, AByteOrderMarkIsPassedOver) {
  EXPECT_EQ(read_csv("\xef\xbb\xbf"
                     "a\nb"),
            (Records{"1:a", "2:b"}));
  EXPECT_EQ(read_csv("\xef\xbb\xbf\"a\"\n"), (Records{"1:a"}));
  EXPECT_EQ(read_csv("\xef\xbb"), (Records{"1! the row is not valid UTF-8"}));
  EXPECT_EQ(read_csv("\xef\xbf\xbd\n"), (Records{"1:\xef\xbf\xbd"}));
}

TEST(CsvReaderTest, AFaultCostsOneRecord) {
  EXPECT_EQ(read_csv("a\nb\"c,d\ne\n"),
            (Records{"1:a", "2! there is a quote inside a cell that is not quoted", "3:e"}));
  EXPECT_EQ(read_csv("\"a\"b\nc\n"), (Records{"1! there is text behind the closing quote of a cell", "2:c"}));
  EXPECT_EQ(read_csv("a\rb\nc\n"), (Records{"1! a carriage return is not followed by a line feed", "2:c"}));
  EXPECT_EQ(read_csv("a\nb\xff\nc\n"), (Records{"1:a", "2! the row is not valid UTF-8", "3:c"}));
  EXPECT_EQ(read_csv("a\n\"b\nc\n"), (Records{"1:a", "2! a quoted cell does not end"}));
}

TEST(CsvReaderTest, LongRecordsAreCutOff) {
  EXPECT_EQ(read_csv("abcdef\nab\n", 1, 5), (Records{"1! the row is longer than 5 bytes", "2:ab"}));
  EXPECT_EQ(read_csv("abcd\nab\n", 1, 5), (Records{"1:abcd", "2:ab"}));
  EXPECT_EQ(read_csv("abcde\nab\n", 1, 5), (Records{"1! the row is longer than 5 bytes", "2:ab"}));
  EXPECT_EQ(read_csv("\"abc\nd\ne\n", 1, 5), (Records{"1! the row is longer than 5 bytes", "3:e"}));
}

TEST(CsvReaderTest, PiecesDoNotMatter) {
  const std::string text = "\xef\xbb\xbfh,\"x\"\"y\"\r\n\"a\r\nb\",c\n\n\"\",\nbad\"\ngood,é\n\"open";
  const auto whole = read_csv(text, text.size());
  for (std::size_t piece = 1; piece < text.size(); ++piece) EXPECT_EQ(read_csv(text, piece), whole) << piece;
}

TEST(CsvWriterTest, QuotesWhatMustBeQuoted) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"a", "a"},           {"", "\"\""},     {"a,b", "\"a,b\""}, {"q\"", "\"q\"\"\""},
      {"a\nb", "\"a\nb\""}, {"=1+1", "=1+1"}, {" ", " "}};
  for (const auto& [text, expected] : cases) {
    std::string out;
    append_csv_cell(out, text);
    EXPECT_EQ(out, expected);
  }
}

std::vector<std::string> read_ndjson(std::string_view text, std::size_t piece_bytes = 1) {
  NdjsonReader reader(10);
  for (std::size_t i = 0; i < text.size(); i += piece_bytes) reader.feed(text.substr(i, piece_bytes));
  reader.finish();
  std::vector<std::string> lines;
  while (auto line = reader.next()) {
    lines.push_back(std::to_string(line->line) +
                    (line->fault.empty() ? ":" + line->text : "! " + line->fault));
  }
  return lines;
}

TEST(NdjsonReaderTest, Lines) {
  EXPECT_EQ(read_ndjson("\xef\xbb\xbf{}\r\n\n \t\n[1]\nlast"), (Records{"1:{}", "4:[1]", "5:last"}));
  EXPECT_EQ(read_ndjson(""), Records());
  EXPECT_EQ(read_ndjson("0123456789\n01234567890\nx"),
            (Records{"1:0123456789", "2! the row is longer than 10 bytes", "3:x"}));
  EXPECT_EQ(read_ndjson("01234567890", 100), (Records{"1! the row is longer than 10 bytes"}));
  const std::string text = "{}\n\n0123456789abc\nx\n";
  for (std::size_t piece = 1; piece < text.size(); ++piece)
    EXPECT_EQ(read_ndjson(text, piece), read_ndjson(text, 100));
}

TEST(RowDecoderTest, AnEmptyCellIsTheDefaultOfAColumnThatCannotBeNull) {
  const auto resource = testing::sample_resource();
  const auto decoder = make_row_decoder(resource, RowFormat::csv, 1000);
  ASSERT_TRUE(decoder->feed("name,stock,note\na,,\n\"\",5,\"\"\n,1,x\n").ok());
  ASSERT_TRUE(decoder->finish().ok());
  const auto first = decoder->next();
  EXPECT_EQ(first->row, 1U);
  EXPECT_EQ(first->line, 2U);
  EXPECT_TRUE(first->errors.empty());
  EXPECT_FALSE(first->input.cells[3].has_value()) << "DEFAULT";
  EXPECT_TRUE(first->input.cells[2].has_value() && !first->input.cells[2]->has_value()) << "NULL";
  const auto second = decoder->next();
  EXPECT_EQ(second->input.cells[1], pg::Param(""));
  EXPECT_EQ(second->input.cells[2], pg::Param(""));
  const auto third = decoder->next();
  ASSERT_EQ(third->errors.size(), 1U);
  EXPECT_EQ(third->errors[0].path + " " + third->errors[0].message, "/name must not be null");
  EXPECT_FALSE(decoder->next());
}

}  // namespace
}  // namespace rowhouse::data
