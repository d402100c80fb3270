#include "data/errors.h"

#include <gtest/gtest.h>

#include "data/etag.h"
#include "data/idempotency.h"
#include "testing/sample_resource.h"

namespace rowhouse::data {
namespace {

Error refusal(ErrorCode code, std::vector<std::pair<std::string_view, std::string>> details) {
  Error error(code, "as pg says it");
  for (auto& [key, value] : details) error.details.emplace_back(std::string(key), value);
  return error;
}

class ErrorsTest : public ::testing::Test {
 protected:
  ErrorsTest() {
    const auto add = [&](std::string name, tenancy::ConstraintKind kind, std::vector<std::string> columns) {
      tenancy::Constraint constraint;
      constraint.name = std::move(name);
      constraint.kind = kind;
      constraint.columns = std::move(columns);
      resource_.constraints.push_back(std::move(constraint));
    };
    add("things_name_unique", tenancy::ConstraintKind::unique, {"name", "born"});
    add("things_parent", tenancy::ConstraintKind::foreign_key, {"note"});
    add("things_rule", tenancy::ConstraintKind::check, {"price", "ratio"});
  }
  static std::string shown(const Error& error) {
    std::string text = std::string(error_code_name(error.code)) + ": " + error.message;
    for (const FieldError& field : error.fields) text += " | " + field.path + " " + field.message;
    return text;
  }
  tenancy::Resource resource_ = testing::sample_resource();
};

TEST_F(ErrorsTest, ConstraintsNameTheirColumns) {
  EXPECT_EQ(shown(explain_write(refusal(ErrorCode::conflict,
                                        {{pg::kSqlState, "23505"}, {pg::kConstraint, "things_name_unique"}}),
                                resource_, nullptr, "/3")),
            "conflict: there is a row with the same name and born | /3/name is taken by another row | "
            "/3/born is taken by "
            "another row");
  EXPECT_EQ(shown(explain_write(refusal(ErrorCode::validation_failed,
                                        {{pg::kSqlState, "23503"}, {pg::kConstraint, "things_parent"}}),
                                resource_, nullptr, "")),
            "validation_failed: the row is not valid | /note refers to a row that does not exist");
  EXPECT_EQ(
      shown(explain_write(
          refusal(ErrorCode::validation_failed, {{pg::kSqlState, "23514"}, {pg::kConstraint, "things_rule"}}),
          resource_, nullptr, "")),
      "validation_failed: the row is not valid | /price breaks the rule things_rule | /ratio breaks the rule "
      "things_rule");
  EXPECT_EQ(shown(explain_write(
                refusal(ErrorCode::validation_failed, {{pg::kSqlState, "23502"}, {pg::kColumn, "name"}}),
                resource_, nullptr, "/0")),
            "validation_failed: the row is not valid | /0/name must not be null");
  EXPECT_EQ(
      shown(explain_write(refusal(ErrorCode::internal, {{pg::kSqlState, "P0001"}}), resource_, nullptr, "")),
      "validation_failed: the row is not valid |  is not accepted by the database");
}

TEST_F(ErrorsTest, RowsThatWouldNotBeTheUsers) {
  const auto refused = [](const std::string& rest) {
    return refusal(
        ErrorCode::forbidden,
        {{pg::kSqlState, "42501"},
         {pg::kServerMessage, "new row violates row-level security policy \"rowhouse_role\"" + rest}});
  };
  EXPECT_TRUE(is_row_fault(refused("")));
  EXPECT_EQ(shown(explain_write(refused(" for table \"things\""), resource_, nullptr, "/1")),
            "forbidden: the row would belong to other users alone");
  tenancy::RowRule& rule = resource_.row_rule.emplace();
  rule.owners = {"assigned_to", "created_by"};
  EXPECT_EQ(shown(explain_write(refused(" for table \"things\""), resource_, nullptr, "/1")),
            "forbidden: the row would belong to other users alone | /1/assigned_to does not name you | "
            "/1/created_by does not name you");
  resource_.natural_key = {"name"};
  EXPECT_EQ(shown(explain_write(refused(" (USING expression) for table \"things\""), resource_, nullptr, "")),
            "conflict: there is a row with the same name | /name is taken by another row");
  rule.owners.clear();
  rule.through = "note";
  const Error of_nobody =
      refusal(ErrorCode::validation_failed, {{pg::kSqlState, "23503"}, {pg::kConstraint, "things_parent"}});
  EXPECT_EQ(shown(explain_write(refused(" for table \"things\""), resource_, nullptr, "")),
            shown(explain_write(of_nobody, resource_, nullptr, "")));
}

TEST_F(ErrorsTest, ParametersNameTheirColumn) {
  const std::vector<ParameterOrigin> origins = {ParameterOrigin(0, resource_.find_column("name")),
                                                ParameterOrigin(1, resource_.find_column("at"))};
  const Error error =
      refusal(ErrorCode::validation_failed, {{pg::kSqlState, "22008"}, {pg::kParameter, "2"}});
  const ParameterOrigin* origin = refused_parameter(error, origins);
  ASSERT_NE(origin, nullptr);
  EXPECT_EQ(origin->row, 1U);
  EXPECT_EQ(shown(explain_write(error, resource_, origin, "/1")),
            "validation_failed: a value is not valid | /1/at is not a valid timestamptz");
  for (const char* number : {"", "0", "3", "x"}) {
    EXPECT_EQ(refused_parameter(refusal(ErrorCode::internal, {{pg::kParameter, number}}), origins), nullptr);
  }
}

TEST_F(ErrorsTest, WhatIsNotTheRowsFaultStaysAsItIs) {
  for (const char* state : {"57014", "40P01", "53100", "42501", "08006", ""}) {
    const Error error = refusal(ErrorCode::overloaded, {{pg::kSqlState, state}});
    EXPECT_FALSE(is_row_fault(error)) << state;
    EXPECT_EQ(shown(explain_write(error, resource_, nullptr, "")), "overloaded: as pg says it");
  }
}

TEST_F(ErrorsTest, RemovalsAndReads) {
  EXPECT_EQ(shown(explain_remove(
                refusal(ErrorCode::validation_failed,
                        {{pg::kSqlState, "23503"}, {pg::kConstraint, "x"}, {pg::kTable, "children"}}),
                resource_)),
            "conflict: other rows refer to this one, in children");
  const Query query = parse_query(*parse_parameters("note=is.null&name=eq.x&born=gt.2024-02-30"), resource_,
                                  DataOptions(), QueryUse::list)
                          .value();
  EXPECT_EQ(
      shown(explain_read(
          refusal(ErrorCode::validation_failed, {{pg::kSqlState, "22008"}, {pg::kParameter, "2"}}), query)),
      "invalid_parameter: \"born\": the value is not a valid date | born is not a valid date");
  EXPECT_EQ(explain_read(refusal(ErrorCode::internal, {{pg::kSqlState, "42883"}}), query).code,
            ErrorCode::invalid_parameter);
  EXPECT_EQ(explain_read(refusal(ErrorCode::internal, {{pg::kSqlState, "XX000"}}), query).code,
            ErrorCode::internal);
}

TEST(EtagTest, Lists) {
  EXPECT_EQ(xmin_etag("731"), "\"x731\"");
  EXPECT_EQ(row_text_etag("{}"), row_text_etag("{}"));
  EXPECT_NE(row_text_etag("{}"), row_text_etag("{\"a\":1}"));
  const auto list = parse_if_match(" \"x1\" , W/\"x2\",\"h3\",\"x4;\",\"x5\" ");
  ASSERT_TRUE(list.ok());
  EXPECT_EQ(list->tags, (std::vector<std::string>{"\"x1\"", "\"h3\"", "\"x4;\"", "\"x5\""}));
  EXPECT_EQ(list->xmins(), (std::vector<std::string>{"1", "5"}));
  EXPECT_TRUE(parse_if_none_match("W/\"x2\"")->contains("\"x2\""));
  EXPECT_FALSE(parse_if_match("W/\"x2\"")->contains("\"x2\""));
  EXPECT_TRUE(parse_if_match("*")->any);
  for (const char* text : {"", "x1", "\"x1", "\"x1\" \"x2\"", "\"x1\",", "*,\"x\"", "w/\"x\""}) {
    EXPECT_FALSE(parse_if_match(text).ok()) << text;
  }
}

TEST(FingerprintTest, EveryPartCounts) {
  const WriteOptions plain;
  WriteOptions conditional;
  conditional.if_match = "\"x1\"";
  WriteOptions upsert;
  upsert.on_conflict = WriteOptions::OnConflict::update;
  const std::string base = request_fingerprint("POST", "leads", "", "{}", plain);
  EXPECT_EQ(base, request_fingerprint("POST", "leads", "", "{}", plain));
  EXPECT_EQ(base.size(), 32U);
  EXPECT_NE(base, request_fingerprint("PATCH", "leads", "", "{}", plain));
  EXPECT_NE(base, request_fingerprint("POST", "lead", "s", "{}", plain));
  EXPECT_NE(base, request_fingerprint("POST", "leads", "", "{} ", plain));
  EXPECT_NE(base, request_fingerprint("POST", "leads", "", "{}", conditional));
  EXPECT_NE(base, request_fingerprint("POST", "leads", "", "{}", upsert));
}

}  // namespace
}  // namespace rowhouse::data
