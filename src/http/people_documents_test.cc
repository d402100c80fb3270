#include "http/people_documents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "http/schemas.h"

namespace rowhouse::http {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

json::Value parsed(std::string_view text) { return json::parse(text).value(); }

template <class T>
std::vector<std::string> faults_of(const Result<T>& result) {
  std::vector<std::string> paths;
  if (result.ok()) return paths;
  EXPECT_EQ(result.error().code, ErrorCode::validation_failed);
  for (const FieldError& field : result.error().fields) paths.push_back(field.path);
  return paths;
}

TEST(PeopleDocuments, LoginNeedsAddressAndPassword) {
  const auto login = read_login(parsed(R"({"email": "a@b.example", "password": "x", "tenant": "acme"})"));
  ASSERT_TRUE(login.ok());
  EXPECT_EQ(login->email, "a@b.example");
  EXPECT_EQ(login->tenant, "acme");
  EXPECT_THAT(faults_of(read_login(parsed(R"({"email": 1, "more": 2})"))),
              ElementsAre("/password", "/email", "/more"));
  EXPECT_THAT(faults_of(read_login(parsed("[]"))), ::testing::Not(IsEmpty()));
}

TEST(PeopleDocuments, WhatIsLeftOutOfAChangeStays) {
  const auto nothing = read_member_change(parsed("{}"));
  ASSERT_TRUE(nothing.ok());
  EXPECT_FALSE(nothing->role || nothing->status || nothing->name || nothing->password);
  const auto all = read_member_change(parsed(R"({"role": "user", "status": "disabled", "name": null})"));
  ASSERT_TRUE(all.ok());
  EXPECT_EQ(all->role, "user");
  EXPECT_EQ(all->status, identity::AccountStatus::disabled);
  EXPECT_EQ(all->name, "");
  EXPECT_THAT(faults_of(read_member_change(parsed(R"({"status": "asleep"})"))), ElementsAre("/status"));
}

TEST(PeopleDocuments, RolesNameTheirOperationsAndRows) {
  const auto role = read_new_role(parsed(R"({"name": "r", "operations": ["lead:read"], "rows": "own"})"));
  ASSERT_TRUE(role.ok());
  EXPECT_THAT(role->operations, ElementsAre("lead:read"));
  EXPECT_EQ(role->rows, tenancy::RowScope::own);
  EXPECT_EQ(read_new_role(parsed(R"({"name": "r", "operations": []})"))->rows, tenancy::RowScope::all);
  EXPECT_THAT(faults_of(read_new_role(parsed(R"({"name": "r", "operations": ["a:b", 1], "rows": "some"})"))),
              ElementsAre("/operations/1", "/rows"));
  EXPECT_THAT(faults_of(read_new_role(parsed(R"({"name": "r", "operations": "lead:read"})"))),
              ElementsAre("/operations"));
}

TEST(PeopleDocuments, AccountsBecomePlatformAdminsOnlyWhenAsked) {
  using Admin = identity::User::PlatformAdmin;
  EXPECT_EQ(read_new_account(parsed(R"({"email": "a@b.example"})"))->platform_admin, Admin::no);
  EXPECT_EQ(read_new_account(parsed(R"({"email": "a", "platform_admin": true})"))->platform_admin,
            Admin::yes);
  EXPECT_FALSE(read_account_change(parsed("{}"))->user.platform_admin.has_value());
  EXPECT_THAT(faults_of(read_new_account(parsed(R"({"email": "a", "platform_admin": "yes"})"))),
              ElementsAre("/platform_admin"));
}

TEST(PeopleDocuments, MadePasswordsDifferAndAreReadable) {
  std::set<std::string> made;
  for (int i = 0; i < 100; ++i) {
    const std::string password = make_password();
    EXPECT_EQ(password.size(), 23U);  // four groups of five
    EXPECT_EQ(password.find_first_not_of("0123456789abcdefghjkmnpqrstvwxyz-"), std::string::npos) << password;
    made.insert(password);
  }
  EXPECT_EQ(made.size(), 100U);
}

TEST(PeopleDocuments, NoSchemaHasANameTwice) {
  std::set<std::string> names;
  for (const auto& [name, schema] : component_schemas()) EXPECT_TRUE(names.insert(name).second) << name;
}

}  // namespace
}  // namespace rowhouse::http
