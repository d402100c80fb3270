#include <sstream>

#include "data/data_pgtest.h"

namespace rowhouse::data {
namespace {

using fixture::TenantContext;
using testing::patient;

// A body that arrives in pieces of a given size, and may break off.
class PiecewiseBody final : public net::BodyReader {
 public:
  PiecewiseBody(std::string text, std::size_t piece_bytes, bool breaks_off)
      : text_(std::move(text)), piece_bytes_(piece_bytes), breaks_off_(breaks_off) {}

  Task<Result<std::optional<std::string_view>>> read() override {
    if (offset_ >= text_.size()) {
      if (breaks_off_) co_return Error(ErrorCode::cancelled, "the client went away");
      co_return std::optional<std::string_view>();
    }
    const std::string_view piece = std::string_view(text_).substr(offset_, piece_bytes_);
    offset_ += piece.size();
    co_return std::optional<std::string_view>(piece);
  }
  void set_limit(std::uint64_t bytes) override { limit = bytes; }

  std::uint64_t limit = 0;

 private:
  std::string text_;
  std::size_t piece_bytes_;
  bool breaks_off_;
  std::size_t offset_ = 0;
};

Task<Result<std::string>> read_all(net::BodySource& source, std::size_t* pieces) {
  std::string text;
  while (true) {
    CO_TRY(const auto piece, co_await source.next());
    if (!piece) co_return text;
    text += *piece;
    ++*pieces;
  }
}

class DataBulkTest : public fixture::DataTest {
 protected:
  Result<json::Value> import_file(const TenantContext& context, std::string_view resource, std::string text,
                                  RowFormat format = RowFormat::csv, std::string_view query = "",
                                  std::size_t piece_bytes = 1000) {
    PiecewiseBody body(std::move(text), piece_bytes, false);
    auto reply = run(data_->import_rows(context, resource, format, query, body, patient()));
    if (!reply.ok()) return reply.error();
    EXPECT_GT(body.limit, 0U);
    std::size_t pieces = 0;
    auto report = run(read_all(*reply->body, &pieces));
    if (!report.ok()) return report.error();
    return json::parse(*report);
  }
  // "inserted updated duplicates rejected", then the rows of the report.
  static std::string figures(const Result<json::Value>& report) {
    if (!report.ok()) return describe(report.error());
    std::string text;
    for (const char* name : {"inserted", "updated", "duplicates", "rejected"}) {
      text += json::serialize(*report->find(name)) + " ";
    }
    for (const json::Value& row : *report->find("rows")->as_array()) {
      text += json::serialize(*row.find("row")) +
              (*row.find("status")->as_string() == "rejected" ? "r" : "d") + " ";
    }
    return text;
  }
  Result<std::string> export_all(const TenantContext& context, std::string_view resource, RowFormat format,
                                 std::string_view query = "", std::size_t* pieces = nullptr) {
    auto source = run(data_->export_rows(context, resource, format, query, patient()));
    if (!source.ok()) return source.error();
    std::size_t ignored = 0;
    return run(read_all(**source, pieces != nullptr ? pieces : &ignored));
  }
  TenantContext crm() { return tenant_of("tekup", "enterprise"); }
};

TEST_F(DataBulkTest, CsvOfEveryKind) {
  const auto zoo = tenant_of("zoo");
  const std::string text =
      "\xef\xbb\xbfname,weight,flies,tags,counts,extra,raw,seen,feeling,address\r\n"
      "\"Ada \"\"the\"\" first,\nof her "
      "name\",1.50,yes,\"[\"\"a\"\",\"\"b,c\"\"]\",\"{1,NULL}\",\"{\"\"a\"\": 1}\",\\x00ff,"
      "2026-01-01T00:00:00Z,happy,10.0.0.1\n"
      "\n"
      "Žofie 🦊,,F,,,,,,,\r\n"
      "last,1,0,{},[],{},,,sad,";
  for (const std::size_t piece_bytes : {1, 7, 100'000}) {
    const auto context = tenant_of("zoo");
    EXPECT_EQ(figures(import_file(context, "animals", text, RowFormat::csv, "",
                                  static_cast<std::size_t>(piece_bytes))),
              "3 0 0 0 ");
    const auto page = json_of(
        list(context, "animals", "order=name&select=name,weight,flies,tags,counts,extra,raw,feeling"));
    EXPECT_EQ(json::serialize(*page.find("data")),
              "[{\"name\":\"Ada \\\"the\\\" first,\\nof her "
              "name\",\"weight\":1.50,\"flies\":true,\"tags\":[\"a\",\"b,c\"],"
              "\"counts\":[1,null],\"extra\":{\"a\":1},\"raw\":\"\\\\x00ff\",\"feeling\":\"happy\"},"
              "{\"name\":\"last\",\"weight\":1.00,\"flies\":false,\"tags\":[],\"counts\":[],\"extra\":{},"
              "\"raw\":null,"
              "\"feeling\":\"sad\"},"
              "{\"name\":\"Žofie "
              "🦊\",\"weight\":null,\"flies\":false,\"tags\":null,\"counts\":null,\"extra\":{},"
              "\"raw\":null,\"feeling\":null}]");
  }
}

TEST_F(DataBulkTest, BadRowsAreReportedAndTheOthersKept) {
  const auto zoo = tenant_of("zoo");
  const std::string text =
      "name,weight,born\n"
      "good,1,\n"
      ",1,\n"
      "bad,ten,\n"
      "worse,-1,\n"
      "few cells\n"
      "many,1,,4\n"
      "calendar,1,2024-02-30\n"
      "stray\"quote,1,\n"
      "b\xff,1,\n"
      "last,2,2024-02-29\n";
  const auto report = import_file(zoo, "animals", text);
  EXPECT_EQ(figures(report), "2 0 0 8 2r 3r 4r 5r 6r 7r 8r 9r ");
  const json::Array& rows = *report->find("rows")->as_array();
  const auto path = [&](std::size_t row) {
    return *(*rows[row].find("errors")->as_array())[0].find("path")->as_string();
  };
  EXPECT_EQ(path(0), "/name");
  EXPECT_EQ(path(1), "/weight");
  EXPECT_EQ(path(2), "/weight");
  EXPECT_EQ(path(3), "");
  EXPECT_EQ(path(5), "/born");
  EXPECT_EQ(json::serialize(*rows[5].find("line")), "8");
  EXPECT_EQ(count(zoo, "animals"), "2");
}

TEST_F(DataBulkTest, NdjsonLinesOfEveryKind) {
  const auto zoo = tenant_of("zoo");
  const std::string text =
      "{\"name\":\"good\",\"extra\":{\"n\":[1,null]}}\r\n\n{broken\n[1]\n{\"name\":\"t\",\"tenant_id\":\"x\"}"
      "\n"
      "{\"name\":\"n\",\"nothing\":1}\n{\"name\":\"a\",\"name\":\"b\"}\n{\"name\":\"n\xff\"}\n{\"name\":"
      "\"n\\u0000\"}\n{}\n"
      "{\"name\":\"last\",\"legs\":2}";
  EXPECT_EQ(figures(import_file(zoo, "animals", text, RowFormat::ndjson, "", 3)),
            "2 0 0 8 2r 3r 4r 5r 6r 7r 8r 9r ");
  EXPECT_EQ(figures(import_file(zoo, "animals", "", RowFormat::ndjson)), "0 0 0 0 ");
}

TEST_F(DataBulkTest, HeadersThatDoNotFit) {
  const auto zoo = tenant_of("zoo");
  const std::vector<std::pair<std::string, std::string>> cases = {{"tenant_id,name\n", "/tenant_id"},
                                                                  {"nothing,name\n", "/nothing"},
                                                                  {"doubled,name\n", "/doubled"},
                                                                  {"name,name\n", "/name"},
                                                                  {"legs\n", "/name"},
                                                                  {"name,\n", "/"},
                                                                  {"na\"me\n", ""}};
  for (const auto& [header, path] : cases) {
    const auto report = import_file(zoo, "animals", header + "x,y\n");
    ASSERT_FALSE(report.ok()) << header;
    EXPECT_EQ(report.error().code, ErrorCode::validation_failed);
    EXPECT_EQ(report.error().fields.at(0).path, path) << describe(report.error());
  }
  EXPECT_FALSE(import_file(zoo, "animals", "").ok());
  EXPECT_EQ(figures(import_file(zoo, "animals", "name\n")), "0 0 0 0 ");
  EXPECT_EQ(count(zoo, "animals"), "0");
}

TEST_F(DataBulkTest, DuplicatesFollowOnConflict) {
  const auto zoo = tenant_of("zoo");
  EXPECT_EQ(figures(import_file(zoo, "animals", "name,legs\na,1\nb,1\n")), "2 0 0 0 ");
  EXPECT_EQ(figures(import_file(zoo, "animals", "name,legs\nc,2\na,2\nc,3\nd,2\n")), "2 0 2 0 2d 3d ");
  EXPECT_EQ(figures(import_file(zoo, "animals", "name,legs\na,5\nb,5\n")), "0 0 2 0 1d 2d ");
  EXPECT_EQ(figures(import_file(zoo, "animals", "name,legs\na,6\ne,6\na,7\n", RowFormat::csv,
                                "on_conflict=update")),
            "1 2 0 0 ");
  EXPECT_EQ(
      figures(import_file(zoo, "animals", "name,legs\na,8\nf,8\n", RowFormat::csv, "on_conflict=error")),
      "1 0 0 1 1r ");
  const auto page = json_of(list(zoo, "animals", "order=name&select=name,legs"));
  EXPECT_EQ(json::serialize(*page.find("data")),
            "[{\"name\":\"a\",\"legs\":7},{\"name\":\"b\",\"legs\":1},{\"name\":\"c\",\"legs\":2},{\"name\":"
            "\"d\",\"legs\":2},"
            "{\"name\":\"e\",\"legs\":6},{\"name\":\"f\",\"legs\":8}]");
  for (const char* query : {"on_conflict=x", "on_error=x", "x=1"}) {
    EXPECT_EQ(import_file(zoo, "animals", "name\n", RowFormat::csv, query).error().code,
              ErrorCode::invalid_parameter);
  }
  EXPECT_EQ(import_file(zoo, "sightings", "place\nx\n", RowFormat::csv, "on_conflict=ignore").error().code,
            ErrorCode::invalid_parameter);
  EXPECT_EQ(figures(import_file(zoo, "sightings", "place\nx\ny\n")), "2 0 0 0 ");
}

TEST_F(DataBulkTest, TenThousandRowsWithErrorsInBetween) {
  const auto crm_tenant = crm();
  std::string text = "name,email,value,last_activity_at\n";
  std::size_t bad = 0, duplicates = 0;
  for (int i = 1; i <= 10'000; ++i) {
    std::string email = "n" + std::to_string(i) + "@example.com", value = "5", time = "2026-02-28T00:00:00Z";
    if (i % 1000 == 17) email = "no address", ++bad;
    if (i % 1000 == 18) value = "-1", ++bad;
    if (i % 1000 == 19) time = "2026-02-31T00:00:00Z", ++bad;
    if (i % 1000 == 20) value = "many", ++bad;
    if (i % 1000 == 21) email = "n1@example.com", ++duplicates;
    text += "N" + std::to_string(i) + "," + email + "," + value + "," + time + "\n";
  }
  const auto report = import_file(crm_tenant, "leads", text, RowFormat::csv, "", 1U << 16);
  ASSERT_TRUE(report.ok()) << describe(report.error());
  EXPECT_EQ(json::serialize(*report->find("inserted")), std::to_string(10'000 - bad - duplicates));
  EXPECT_EQ(json::serialize(*report->find("rejected")), std::to_string(bad));
  EXPECT_EQ(json::serialize(*report->find("duplicates")), std::to_string(duplicates));
  const json::Array& rows = *report->find("rows")->as_array();
  ASSERT_EQ(rows.size(), bad + duplicates);
  for (std::size_t i = 1; i < rows.size(); ++i) {
    EXPECT_LT(rows[i - 1].find("row")->as_int64(), rows[i].find("row")->as_int64());
  }
  EXPECT_EQ(count(crm_tenant, "leads"), std::to_string(10'000 - bad - duplicates));
}

TEST_F(DataBulkTest, WhateverEndsAnImportLeavesNothing) {
  const auto zoo = tenant_of("zoo");
  std::string text = "name\n";
  for (int i = 0; i < 1200; ++i) text += "n" + std::to_string(i) + "\n";
  const auto aborted = import_file(zoo, "animals", text + "\"" + std::string(50, 'x') + "\"\nmore\n",
                                   RowFormat::csv, "on_error=abort");
  ASSERT_FALSE(aborted.ok());
  EXPECT_EQ(aborted.error().code, ErrorCode::validation_failed);
  EXPECT_EQ(aborted.error().fields.at(0).path, "/1201/name");
  PiecewiseBody body(text, 1000, true);
  const auto broken = run(data_->import_rows(zoo, "animals", RowFormat::csv, "", body, patient()));
  ASSERT_FALSE(broken.ok());
  EXPECT_EQ(broken.error().code, ErrorCode::cancelled);
  EXPECT_EQ(count(zoo, "animals"), "0");
  EXPECT_EQ(database_->stats().busy_connections, 0U);
}

TEST_F(DataBulkTest, ImportOfATextIsAllOrNothing) {
  const auto zoo = tenant_of("zoo");
  const auto good = run(data_->import_text(zoo, "animals", "name,legs\na,1\nb,2\n", patient()));
  ASSERT_TRUE(good.ok()) << describe(good.error());
  EXPECT_EQ(*good, 2U);
  const auto bad = run(data_->import_text(zoo, "animals", "name,legs\nc,1\na,2\n", patient()));
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().fields.at(0).path, "/2/name");
  EXPECT_EQ(count(zoo, "animals"), "2");
}

TEST_F(DataBulkTest, ImportsAskForTheVerbAndThePlan) {
  const auto zoo = tenant_of("zoo");
  EXPECT_EQ(import_file(zoo, "tame_animals", "name\nx\n").error().code, ErrorCode::method_not_allowed);
  EXPECT_EQ(import_file(zoo, "unicorns", "name\nx\n").error().code, ErrorCode::unknown_resource);
  const auto basic = tenant_of("tekup", "basic");
  EXPECT_EQ(export_all(basic, "leads", RowFormat::csv).error().code, ErrorCode::feature_missing);
}

TEST_F(DataBulkTest, WhatIsExportedCanBeImported) {
  const auto zoo = tenant_of("zoo");
  body_of(
      post(
          zoo, "animals",
          R"([{"name":"a","weight":1.5,"ratio":0.1,"legs":-4,"flies":false,"born":"2024-02-29","feeling":"happy",
                    "moods":["sad"],"tags":["a","b,c","","NULL",null,"q\"\\"],"counts":[],"extra":{"a":[1,"x\ny"]},
                    "loose":{"z":1},"raw":"\\x00ff","address":"10.0.0.1","seen":"2026-01-01T00:00:00.5Z"},
                   {"name":"","seen":"2026-01-02T00:00:00Z"},{"name":"c\r\n\"d\", e","ratio":"NaN"},{"name":"=cmd(1)+2"}])"),
      201);
  const std::string columns =
      "select=id,name,weight,ratio,legs,flies,born,seen,feeling,moods,tags,counts,extra,loose,raw,address&"
      "order=name";
  for (const RowFormat format : {RowFormat::csv, RowFormat::ndjson}) {
    const auto text = export_all(zoo, "animals", format, columns);
    ASSERT_TRUE(text.ok()) << describe(text.error());
    const auto other = tenant_of("zoo");
    EXPECT_EQ(figures(import_file(other, "animals", *text, format)), "4 0 0 0 ");
    EXPECT_EQ(export_all(other, "animals", format, columns).value(), *text);
  }
}

TEST_F(DataBulkTest, ExportsOfAPart) {
  const auto zoo = tenant_of("zoo");
  body_of(post(zoo, "animals", R"([{"name":"a","legs":2},{"name":"b","legs":4},{"name":"c","legs":null}])"),
          201);
  EXPECT_EQ(export_all(zoo, "animals", RowFormat::csv, "select=name,legs&order=-name").value(),
            "name,legs\r\nc,\r\nb,4\r\na,2\r\n");
  EXPECT_EQ(export_all(zoo, "animals", RowFormat::ndjson, "select=name&legs=eq.4&name=like.b*").value(),
            "{\"name\":\"b\"}\n");
  EXPECT_EQ(export_all(zoo, "animals", RowFormat::ndjson, "name=eq.nobody").value(), "");
  EXPECT_EQ(export_all(zoo, "animals", RowFormat::csv, "name=eq.nobody&select=id").value(), "id\r\n");
  EXPECT_EQ(export_all(zoo, "animals", RowFormat::csv, "limit=5").error().code, ErrorCode::invalid_parameter);
  EXPECT_EQ(export_all(zoo, "animals", RowFormat::csv, "born=gt.2024-02-30").error().code,
            ErrorCode::invalid_parameter);
}

TEST_F(DataBulkTest, ALongExportIsOneSnapshotInManyPieces) {
  const auto zoo = tenant_of("zoo");
  std::string text = "name,extra\n";
  for (int i = 0; i < 5000; ++i) {
    text += "n" + std::to_string(i) + ",\"{\"\"f\"\": \"\"" + std::string(500, 'x') + "\"\"}\"\n";
  }
  ASSERT_EQ(figures(import_file(zoo, "animals", text, RowFormat::csv, "", 1U << 16)), "5000 0 0 0 ");
  auto source = run(data_->export_rows(zoo, "animals", RowFormat::ndjson, "order=name", patient()));
  ASSERT_TRUE(source.ok());
  // Rows that come and go while the export runs are not seen by it.
  body_of(post(zoo, "animals", R"({"name":"zzz"})"), 201);
  const auto first = json_of(list(zoo, "animals", "order=-name&limit=2&select=id"));
  body_of(remove(zoo, "animals", id_of((*first.find("data")->as_array())[1])), 204);
  std::size_t pieces = 0;
  const auto exported = run(read_all(**source, &pieces));
  ASSERT_TRUE(exported.ok());
  EXPECT_EQ(std::count(exported->begin(), exported->end(), '\n'), 5000);
  EXPECT_EQ(exported->find("zzz"), std::string::npos);
  EXPECT_GT(pieces, 5U);
  EXPECT_TRUE(eventually([&] { return database_->stats().busy_connections == 0; }))
      << "given back at the last row";
  // One that nobody reads to the end lets go of its connection.
  source = run(data_->export_rows(zoo, "animals", RowFormat::csv, "", patient()));
  ASSERT_TRUE(source.ok());
  source->reset();
  EXPECT_TRUE(eventually([&] { return database_->stats().busy_connections == 0; }));
}

}  // namespace
}  // namespace rowhouse::data
