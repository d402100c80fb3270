#include "data/row_json.h"

#include <gtest/gtest.h>
#include <libpq-fe.h>

#include <array>

#include "base/json.h"
#include "testing/sample_resource.h"

namespace rowhouse::data {
namespace {

using tenancy::ColumnKind;
using testing::column;

std::string rendered(const tenancy::Column& of, std::string_view text) {
  std::string out;
  append_cell(out, cell_format(of), text);
  return out;
}

TEST(RowJsonTest, Scalars) {
  EXPECT_EQ(rendered(column("c", "boolean", ColumnKind::boolean), "t"), "true");
  EXPECT_EQ(rendered(column("c", "boolean", ColumnKind::boolean), "f"), "false");
  EXPECT_EQ(rendered(column("c", "bigint", ColumnKind::integer), "-9223372036854775808"),
            "-9223372036854775808");
  EXPECT_EQ(rendered(column("c", "numeric", ColumnKind::number), "12.50"), "12.50");
  EXPECT_EQ(rendered(column("c", "numeric", ColumnKind::number), "NaN"), "\"NaN\"");
  EXPECT_EQ(rendered(column("c", "float8", ColumnKind::number), "-Infinity"), "\"-Infinity\"");
  EXPECT_EQ(rendered(column("c", "float8", ColumnKind::number), "1e-05"), "1e-05");
  EXPECT_EQ(rendered(column("c", "text", ColumnKind::text), "a\"\n\\é"), "\"a\\\"\\n\\\\é\"");
  EXPECT_EQ(rendered(column("c", "jsonb", ColumnKind::json), "{\"a\": [1, 2]}"), "{\"a\": [1, 2]}");
  EXPECT_EQ(rendered(column("c", "json", ColumnKind::json), "{\r\n \"a\":\n1}"), "{   \"a\": 1}");
  EXPECT_EQ(rendered(column("c", "bytea", ColumnKind::bytes), "\\x00ff"), "\"\\\\x00ff\"");
  EXPECT_EQ(rendered(column("c", "date", ColumnKind::date), "2024-02-29"), "\"2024-02-29\"");
}

TEST(RowJsonTest, Timestamps) {
  const auto zoned = column("c", "timestamp with time zone", ColumnKind::timestamp);
  EXPECT_EQ(rendered(zoned, "2026-11-21 05:40:00+00"), "\"2026-11-21T05:40:00Z\"");
  EXPECT_EQ(rendered(zoned, "2026-11-21 05:40:00.123456+00"), "\"2026-11-21T05:40:00.123456Z\"");
  EXPECT_EQ(rendered(zoned, "12026-11-21 05:40:00+00"), "\"12026-11-21T05:40:00Z\"");
  EXPECT_EQ(rendered(zoned, "infinity"), "\"infinity\"");
  EXPECT_EQ(rendered(zoned, "0044-03-15 00:00:00+00 BC"), "\"0044-03-15 00:00:00+00 BC\"");
  EXPECT_EQ(
      rendered(column("c", "timestamp without time zone", ColumnKind::timestamp), "2026-11-21 05:40:00"),
      "\"2026-11-21T05:40:00\"");
}

TEST(RowJsonTest, Arrays) {
  const auto texts = column("c", "text[]", ColumnKind::array);
  EXPECT_EQ(rendered(texts, "{}"), "[]");
  EXPECT_EQ(rendered(texts, "{a,\"b,c\",\"\",\"NULL\",NULL,\"q\\\"\\\\\",\"{}\"}"),
            R"(["a","b,c","","NULL",null,"q\"\\","{}"])");
  EXPECT_EQ(rendered(texts, "{{a,b},{c,d}}"), R"([["a","b"],["c","d"]])");
  EXPECT_EQ(rendered(texts, "[0:1]={a,b}"), R"(["a","b"])");
  EXPECT_EQ(rendered(column("c", "integer[]", ColumnKind::array), "{1,-2,NULL}"), "[1,-2,null]");
  EXPECT_EQ(rendered(column("c", "numeric(5,2)[]", ColumnKind::array), "{1.50,NaN}"), "[1.50,\"NaN\"]");
  EXPECT_EQ(rendered(column("c", "boolean[]", ColumnKind::array), "{t,f}"), "[true,false]");
  EXPECT_EQ(rendered(column("c", "jsonb[]", ColumnKind::array), "{\"{\\\"a\\\": 1}\",\"[]\"}"),
            "[{\"a\": 1},[]]");
  EXPECT_EQ(
      rendered(column("c", "timestamp with time zone[]", ColumnKind::array), "{\"2026-11-21 05:40:00+00\"}"),
      "[\"2026-11-21T05:40:00Z\"]");
}

TEST(RowJsonTest, ArraysThatAreNoneStayStrings) {
  const auto texts = column("c", "text[]", ColumnKind::array);
  for (const char* text :
       {"", "{", "{a", "a}", "{a}b", "{a,}", "{\"a}", "{\"a\\", "[0:1]", "{{{{{{{{{a}}}}}}}}}"}) {
    const std::string out = rendered(texts, text);
    const auto value = json::parse(out);
    ASSERT_TRUE(value.ok()) << text << " became " << out;
    EXPECT_EQ(*value->as_string(), text);
  }
}

// Rows as libpq would hand them over.
pg::Rows make_rows(std::vector<std::vector<pg::Param>> cells) {
  PGresult* result = PQmakeEmptyPGresult(nullptr, PGRES_TUPLES_OK);
  std::vector<std::string> names;
  std::vector<PGresAttDesc> attributes(cells[0].size());
  for (std::size_t i = 0; i < attributes.size(); ++i) names.push_back("c" + std::to_string(i));
  for (std::size_t i = 0; i < attributes.size(); ++i) attributes[i].name = names[i].data();
  EXPECT_EQ(PQsetResultAttrs(result, static_cast<int>(attributes.size()), attributes.data()), 1);
  for (std::size_t row = 0; row < cells.size(); ++row) {
    for (std::size_t i = 0; i < cells[row].size(); ++i) {
      const pg::Param& cell = cells[row][i];
      std::string text = cell.value_or("");
      EXPECT_EQ(PQsetvalue(result, static_cast<int>(row), static_cast<int>(i), cell ? text.data() : nullptr,
                           cell ? static_cast<int>(text.size()) : -1),
                1);
    }
  }
  return pg::Rows(result);
}

TEST(RowJsonTest, RowsAndHiddenColumns) {
  const auto id = column("id", "integer", ColumnKind::integer);
  const auto name = column("na\"me", "text", ColumnKind::text);
  const pg::Rows rows = make_rows({{"1", "a", "hidden"}, {"2", std::nullopt, "hidden"}});
  std::string out = "x";
  RowRenderer({&id, &name}).append_rows(out, rows, 2);
  EXPECT_EQ(out, "x[{\"id\":1,\"na\\\"me\":\"a\"},{\"id\":2,\"na\\\"me\":null}]");
  out.clear();
  RowRenderer({&id, &name}).append_rows(out, rows, 0);
  EXPECT_EQ(out, "[]");
  out.clear();
  RowRenderer({&name, &id}, {1, 0}).append_row(out, rows, 0);
  EXPECT_EQ(out, "{\"na\\\"me\":\"a\",\"id\":1}");
}

}  // namespace
}  // namespace rowhouse::data
