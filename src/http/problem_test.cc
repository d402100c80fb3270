#include "http/problem.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace rowhouse::http {
namespace {

std::string header(const net::HttpResponse& response, std::string_view name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return "";
}

TEST(Problem, CarriesCodeFieldsAndRequestId) {
  const Error error =
      Error(ErrorCode::validation_failed, "the content is not valid").with_field("/email", "is required");
  const auto response = problem_response(error, "r-1");
  EXPECT_EQ(response.status, 422);
  EXPECT_EQ(header(response, "Content-Type"), "application/problem+json");
  const auto document = json::parse(response.body);
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(*document->find("code")->as_string(), "validation_failed");
  EXPECT_EQ(*document->find("request_id")->as_string(), "r-1");
  EXPECT_EQ(*document->find("errors")->as_array()->at(0).find("path")->as_string(), "/email");
}

TEST(Problem, KeepsInternalsToItself) {
  const auto response = problem_response(Error(ErrorCode::internal, "password of db is hunter2"), "r-2");
  EXPECT_EQ(response.body.find("hunter2"), std::string::npos);
  EXPECT_NE(response.body.find("r-2"), std::string::npos);
}

TEST(Problem, NeverShowsDetails) {
  const Error error =
      Error(ErrorCode::conflict, "exists").with_detail("server_message", "Key (email)=(a@b.c)");
  EXPECT_EQ(problem_response(error, "r").body.find("a@b.c"), std::string::npos);
}

TEST(Problem, SaysWhenToComeBack) {
  EXPECT_EQ(header(problem_response(Error(ErrorCode::database_unavailable, ""), "r"), "Retry-After"), "1");
  EXPECT_EQ(header(problem_response(Error(ErrorCode::rate_limited, ""), "r"), "Retry-After"), "1");
  EXPECT_EQ(header(problem_response(Error(ErrorCode::not_found, ""), "r"), "Retry-After"), "");
  EXPECT_NE(header(problem_response(Error(ErrorCode::credential_missing, ""), "r"), "WWW-Authenticate"), "");
}

}  // namespace
}  // namespace rowhouse::http
