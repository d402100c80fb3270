#include "operations/operation.h"

#include <gtest/gtest.h>

#include "operations/engine.h"
#include "operations/error_json.h"

namespace rowhouse::operations {
namespace {

TEST(Operation, StatusesHaveNamesThatAreReadBack) {
  for (const auto* name :
       {"pending", "running", "paused", "undoing", "succeeded", "undone", "cancelled", "failed"}) {
    const auto status = parse_operation_status(name);
    ASSERT_TRUE(status) << name;
    EXPECT_EQ(operation_status_name(*status), name);
  }
  EXPECT_FALSE(parse_operation_status("Running"));
  EXPECT_EQ(operation_status_name(OperationStatus::failed), "failed");
  EXPECT_EQ(operation_status_name(OperationStatus::pending), "pending");
  EXPECT_EQ(step_status_name(StepStatus::undone), "undone");
  EXPECT_EQ(parse_step_status("undoing"), StepStatus::undoing);
  EXPECT_TRUE(has_ended(OperationStatus::failed));
  EXPECT_FALSE(has_ended(OperationStatus::paused));
  EXPECT_FALSE(has_ended(OperationStatus::undoing));
}

TEST(Operation, ErrorsAreStoredWithoutDetailsOfRows) {
  const Error error = Error(ErrorCode::conflict, "another tenant has this slug")
                          .with_field("/slug", "is taken")
                          .with_detail(std::string(pg::kSqlState), "23505")
                          .with_detail(std::string(pg::kServerMessage), "Key (email)=(joe@example.com)");
  const json::Value stored = error_to_json(error, "register");
  EXPECT_EQ(json::serialize(stored),
            R"({"code":"conflict","message":"another tenant has this slug","step":"register",)"
            R"("fields":[{"path":"/slug","message":"is taken"}],"sqlstate":"23505"})");
  Operation operation;
  operation.error = stored;
  const Error read = operation_error(operation);
  EXPECT_EQ(read.code, ErrorCode::conflict);
  EXPECT_EQ(read.message, error.message);
  ASSERT_EQ(read.fields.size(), 1U);
  EXPECT_EQ(read.fields[0].path, "/slug");
  EXPECT_EQ(read.detail(pg::kSqlState), "23505");
  EXPECT_EQ(operation_error(Operation()).code, ErrorCode::internal);
}

TEST(Operation, WhatIsWorthAnotherAttempt) {
  EXPECT_TRUE(is_transient(Error(ErrorCode::database_unavailable, "")));
  EXPECT_TRUE(is_transient(Error(ErrorCode::statement_timeout, "")));
  EXPECT_FALSE(is_transient(Error(ErrorCode::conflict, "")));
  EXPECT_FALSE(is_transient(Error(ErrorCode::validation_failed, "")));
  EXPECT_FALSE(is_transient(Error(ErrorCode::cancelled, "")));
  const auto with_state = [](const char* state) {
    return Error(ErrorCode::internal, "").with_detail(std::string(pg::kSqlState), state);
  };
  EXPECT_TRUE(is_transient(with_state("40P01")));
  EXPECT_TRUE(is_transient(with_state("55006")));
  EXPECT_FALSE(is_transient(with_state("3D000"))) << "a database that is not there comes by no waiting";
  EXPECT_FALSE(is_transient(with_state("42P01")));
  EXPECT_TRUE(is_paused(paused()));
  EXPECT_FALSE(is_paused(Error(ErrorCode::cancelled, "")));
}

TEST(Operation, PointsHaveNames) {
  Point point;
  point.kind = "tenant.create";
  point.step = "create_schema";
  EXPECT_EQ(point.name(), "tenant.create/create_schema/run/before");
  point.direction = Point::Direction::undo;
  point.scope = Point::Scope::effect;
  point.ordinal = 2;
  point.effect = "DROP SCHEMA";
  point.moment = EffectGuard::Moment::after;
  EXPECT_EQ(point.name(), "tenant.create/create_schema/undo/2 DROP SCHEMA/after");
}

}  // namespace
}  // namespace rowhouse::operations
