#include "data/sql_builder.h"

#include <gtest/gtest.h>

#include "data/write_sql.h"
#include "testing/sample_resource.h"

namespace rowhouse::data {
namespace {

using testing::sample_resource;

class SqlBuilderTest : public ::testing::Test {
 protected:
  Query query(std::string_view text) {
    return parse_query(*parse_parameters(text), resource_, DataOptions(), QueryUse::list).value();
  }
  // The condition and order of a list: what stands behind FROM.
  std::string tail(std::string_view text, std::vector<pg::Param> after = {}) {
    const Query parsed = query(text);
    const auto list = build_list(resource_, "app", parsed, after.empty() ? nullptr : &after);
    params_ = list.statement.params;
    const auto from = list.statement.sql.find(" FROM ");
    return list.statement.sql.substr(from + 6);
  }

  const tenancy::Resource resource_ = sample_resource();
  pg::Params params_;
};

TEST_F(SqlBuilderTest, ListSelectsWhatIsShownAndWhatIsOrderedBy) {
  const Query parsed = query("select=note,name&order=price,name&limit=20");
  const auto list = build_list(resource_, "t_\"x", parsed, nullptr);
  EXPECT_EQ(list.statement.sql,
            "SELECT \"note\", \"name\", \"price\", \"id\" FROM \"t_\"\"x\".\"things\" "
            "ORDER BY \"price\", \"name\", \"id\" LIMIT 21");
  EXPECT_EQ(list.visible_columns, 2U);
  EXPECT_EQ(list.order_columns, (std::vector<std::size_t>{2, 1, 3}));
  EXPECT_EQ(list.statement.access, pg::Access::read);
  EXPECT_EQ(list.statement.reuse, pg::Reuse::prepared);
}

TEST_F(SqlBuilderTest, FiltersBecomeParametersWithCasts) {
  EXPECT_EQ(tail("name=eq.a&price=gte.10&id=neq.0197f3a2-89ab-7cde-8f01-23456789abcd&order=id&limit=1"),
            "\"app\".\"things\" WHERE \"name\" = $1::pg_catalog.varchar AND \"price\" >= "
            "$2::pg_catalog.numeric AND "
            "\"id\" <> $3::pg_catalog.uuid ORDER BY \"id\" LIMIT 2");
  EXPECT_EQ(params_, (pg::Params{"a", "10", "0197f3a2-89ab-7cde-8f01-23456789abcd"}));
  EXPECT_EQ(tail("name=not.ilike.*x*&note=is.null&done=is.true&order=id&limit=1"),
            "\"app\".\"things\" WHERE NOT (\"name\" ILIKE $1::pg_catalog.text) AND \"note\" IS NULL AND "
            "\"done\" IS TRUE "
            "ORDER BY \"id\" LIMIT 2");
  EXPECT_EQ(tail("mood=in.(happy)&extra=contains.{}&tags=contained.[\"a\"]&order=id&limit=1"),
            "\"app\".\"things\" WHERE \"mood\" = ANY ($1::\"app\".\"mood\"[]) AND \"extra\" @> "
            "$2::pg_catalog.jsonb AND "
            "\"tags\" <@ $3::pg_catalog.text[] ORDER BY \"id\" LIMIT 2");
}

TEST_F(SqlBuilderTest, NullsStandWhereTheyUsuallyDoUnlessAskedFor) {
  EXPECT_EQ(tail("order=price,-note,born.nullsfirst,-small.nullslast&limit=1"),
            "\"app\".\"things\" ORDER BY \"price\", \"note\" DESC, \"born\" NULLS FIRST, \"small\" DESC "
            "NULLS LAST, "
            "\"id\" DESC LIMIT 2");
}

TEST_F(SqlBuilderTest, OneDirectionWithoutNullsIsARowComparison) {
  EXPECT_EQ(tail("order=-at&limit=1", {"2026", "x"}),
            "\"app\".\"things\" WHERE (\"at\", \"id\") < ($1::pg_catalog.timestamptz, $2::pg_catalog.uuid) "
            "ORDER BY \"at\" DESC, \"id\" DESC LIMIT 2");
  EXPECT_EQ(tail("order=stock,name&limit=1", {"1", "n", "x"}),
            "\"app\".\"things\" WHERE (\"stock\", \"name\", \"id\") > "
            "($1::pg_catalog.integer, $2::pg_catalog.varchar, $3::pg_catalog.uuid) "
            "ORDER BY \"stock\", \"name\", \"id\" LIMIT 2");
}

TEST_F(SqlBuilderTest, NullsThatCameBeforeDoNotMatter) {
  EXPECT_EQ(tail("order=-price&limit=1", {"5", "x"}),
            "\"app\".\"things\" WHERE (\"price\", \"id\") < ($1::pg_catalog.numeric, $2::pg_catalog.uuid) "
            "ORDER BY \"price\" DESC, \"id\" DESC LIMIT 2");
}

TEST_F(SqlBuilderTest, NullsThatComeLaterAreIncluded) {
  EXPECT_EQ(tail("order=price&limit=1", {"5", "x"}),
            "\"app\".\"things\" WHERE (\"price\" > $1::pg_catalog.numeric OR \"price\" IS NULL OR "
            "\"price\" = $2::pg_catalog.numeric AND (\"id\" > $3::pg_catalog.uuid OR \"id\" = "
            "$4::pg_catalog.uuid AND "
            "false)) ORDER BY \"price\", \"id\" LIMIT 2");
  EXPECT_EQ(tail("order=price&limit=1", {std::nullopt, "x"}),
            "\"app\".\"things\" WHERE (\"price\" IS NULL AND (\"id\" > $1::pg_catalog.uuid OR "
            "\"id\" = $2::pg_catalog.uuid AND false)) ORDER BY \"price\", \"id\" LIMIT 2");
  EXPECT_EQ(tail("order=-price&limit=1", {std::nullopt, "x"}),
            "\"app\".\"things\" WHERE (\"price\" IS NOT NULL OR \"price\" IS NULL AND (\"id\" < "
            "$1::pg_catalog.uuid OR "
            "\"id\" = $2::pg_catalog.uuid AND false)) ORDER BY \"price\" DESC, \"id\" DESC LIMIT 2");
}

TEST_F(SqlBuilderTest, MixedDirectionsAreBoundedByTheFirstTerm) {
  EXPECT_TRUE(
      tail("order=-at,name&limit=1", {"2026", "n", "x"})
          .starts_with("\"app\".\"things\" WHERE \"at\" <= $1::pg_catalog.timestamptz AND (\"at\" < $2::"));
}

TEST_F(SqlBuilderTest, OneRow) {
  const auto get = build_get(resource_, "app", {resource_.find_column("name")}, "some-id", RowLock::none);
  EXPECT_EQ(
      get.sql,
      "SELECT \"name\", xmin::pg_catalog.text FROM \"app\".\"things\" WHERE \"id\" = $1::pg_catalog.uuid");
  EXPECT_EQ(get.params, (pg::Params{"some-id"}));
  tenancy::Resource view = resource_;
  view.is_view = true;
  const auto locked = build_get(view, "app", {view.find_column("name")}, "some-id", RowLock::for_update);
  EXPECT_EQ(locked.sql,
            "SELECT \"name\" FROM \"app\".\"things\" WHERE \"id\" = $1::pg_catalog.uuid FOR UPDATE");
  EXPECT_EQ(locked.access, pg::Access::write);
}

class WriteSqlTest : public SqlBuilderTest {
 protected:
  RowInput row(std::vector<std::pair<std::string, pg::Param>> values) {
    RowInput input;
    input.cells.resize(resource_.columns.size());
    for (auto& [name, value] : values) {
      input.cells[static_cast<std::size_t>(resource_.find_column(name) - resource_.columns.data())] = value;
    }
    return input;
  }
  std::string insert(std::vector<RowInput> rows, OnConflict on_conflict) {
    insert_ = build_insert(resource_, "app", rows, on_conflict, Returning::outcome);
    return insert_.statement.sql;
  }
  InsertStatement insert_;
};

TEST_F(WriteSqlTest, RowsThatLackAMemberGetTheDefault) {
  EXPECT_EQ(insert({row({{"name", "a"}}), row({{"name", "b"}, {"price", std::nullopt}})}, OnConflict::error),
            "INSERT INTO \"app\".\"things\" (\"name\", \"price\") VALUES ($1::pg_catalog.varchar, DEFAULT), "
            "($2::pg_catalog.varchar, $3::pg_catalog.numeric) RETURNING (xmax = 0)");
  EXPECT_EQ(insert_.statement.params, (pg::Params{"a", "b", std::nullopt}));
  EXPECT_EQ(insert_.statement.reuse, pg::Reuse::once);
  ASSERT_EQ(insert_.origins.size(), 3U);
  EXPECT_EQ(insert_.origins[2].row, 1U);
  EXPECT_EQ(insert_.origins[2].column->name, "price");
}

TEST_F(WriteSqlTest, ARowOfDefaults) {
  EXPECT_EQ(insert({row({})}, OnConflict::error),
            "INSERT INTO \"app\".\"things\" (\"id\") VALUES (DEFAULT) RETURNING (xmax = 0)");
}

TEST_F(WriteSqlTest, ConflictsOfTheNaturalKey) {
  EXPECT_NE(insert({row({{"name", "a"}})}, OnConflict::ignore)
                .find(" ON CONFLICT (\"tenant_id\", \"name\") DO NOTHING "),
            std::string::npos);
  EXPECT_NE(insert({row({{"name", "a"}, {"id", "x"}, {"note", "n"}})}, OnConflict::update)
                .find(" DO UPDATE SET \"note\" = EXCLUDED.\"note\" RETURNING "),
            std::string::npos);
  EXPECT_NE(insert({row({{"name", "a"}})}, OnConflict::update)
                .find(" DO UPDATE SET \"name\" = EXCLUDED.\"name\" RETURNING "),
            std::string::npos);
}

TEST_F(WriteSqlTest, PartitionedTablesHaveNoSystemColumnsToReturn) {
  tenancy::Resource partitioned = resource_;
  partitioned.is_partitioned = true;
  std::vector<RowInput> rows = {row({{"name", "a"}})};
  for (const Returning returning : {Returning::rows, Returning::outcome}) {
    const auto statement = build_insert(partitioned, "app", rows, OnConflict::error, returning).statement;
    EXPECT_EQ(statement.sql.find("xm"), std::string::npos) << statement.sql;
  }
}

TEST_F(WriteSqlTest, StatementsStayBelowTheLimitOfParameters) {
  std::vector<RowInput> rows(1000, row({{"name", "a"}}));
  EXPECT_EQ(split_rows(rows, OnConflict::error).size(), 1U);
  for (RowInput& full : rows) {
    for (auto& cell : full.cells) cell.emplace("1");
  }
  rows.resize(5000, rows[0]);
  const auto runs = split_rows(rows, OnConflict::error);
  EXPECT_GT(runs.size(), 1U);
  std::size_t next = 0;
  for (const auto& [start, count] : runs) {
    EXPECT_EQ(start, next);
    EXPECT_LE(count * resource_.columns.size(), kMaxStatementParameters);
    next = start + count;
  }
  EXPECT_EQ(next, rows.size());
}

TEST_F(WriteSqlTest, UpsertsNeverOverwriteWithDefaults) {
  const std::vector<RowInput> rows = {row({{"name", "a"}}), row({{"name", "b"}}),
                                      row({{"name", "c"}, {"note", "n"}}), row({{"name", "d"}})};
  EXPECT_EQ(split_rows(rows, OnConflict::ignore).size(), 1U);
  const auto runs = split_rows(rows, OnConflict::update);
  const std::vector<std::pair<std::size_t, std::size_t>> expected = {{0, 2}, {2, 1}, {3, 1}};
  EXPECT_EQ(runs, expected);
}

TEST_F(WriteSqlTest, UpdateAndRemoveWithAndWithoutACondition) {
  const std::vector<std::string> xmins = {"731", "732"};
  const RowInput change = row({{"name", "a"}, {"note", std::nullopt}});
  EXPECT_TRUE(build_update(resource_, "app", "some-id", change, &xmins)
                  .statement.sql.starts_with("UPDATE \"app\".\"things\" SET \"name\" = "
                                             "$1::pg_catalog.varchar, \"note\" = $2::pg_catalog.text "
                                             "WHERE \"id\" = $3::pg_catalog.uuid AND xmin::pg_catalog.text = "
                                             "ANY ($4::pg_catalog.text::pg_catalog.text[]) RETURNING "));
  EXPECT_EQ(build_update(resource_, "app", "some-id", change, &xmins).statement.params.back(),
            "{\"731\",\"732\"}");
  EXPECT_EQ(build_remove(resource_, "app", "some-id", nullptr).sql,
            "DELETE FROM \"app\".\"things\" WHERE \"id\" = $1::pg_catalog.uuid");
}

}  // namespace
}  // namespace rowhouse::data
