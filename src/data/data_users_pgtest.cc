// Users of one tenant of tekup: a user works on the leads that they entered or that are assigned to them, an
// admin on all. What the database divides must read as "not there" here.
#include <gmock/gmock.h>

#include "data/data_pgtest.h"

namespace rowhouse::data {
namespace {

using fixture::TenantContext;
using fixture::TenantContextForTests;
using testing::patient;

constexpr const char* kAnn = "aaaaaaaa-0000-7000-8000-00000000000a";
constexpr const char* kBob = "bbbbbbbb-0000-7000-8000-00000000000b";
constexpr const char* kNobodysLead = "99999999-0000-7000-8000-000000000009";

class DataUsersTest : public fixture::DataTest, public ::testing::WithParamInterface<tenancy::Tier> {
 protected:
  void SetUp() override {
    DataTest::SetUp();
    key_.emplace(tenant_of("tekup", "professional", GetParam()));
    ann_.emplace(user(kAnn, tenancy::RowScope::own));
    bob_.emplace(user(kBob, tenancy::RowScope::own));
    admin_.emplace(user(kBob, tenancy::RowScope::all));
    anns_ = id_of(json_of(post(*ann_, "leads", R"({"name":"Of Ann","email":"one@example.com"})"), 201));
    bobs_ = id_of(json_of(post(*bob_, "leads", R"({"name":"Of Bob","email":"two@example.com"})"), 201));
    json_of(post(*bob_, "activities", activity_on(bobs_)), 201);
  }

  TenantContext user(const char* id, tenancy::RowScope rows) const {
    identity::Rights rights;
    rights.rows = rows;
    rights.role = rows == tenancy::RowScope::own ? "user" : "admin";
    return TenantContextForTests::make_user(key_->shared_tenant(), Uuid::parse(id).value(),
                                            std::move(rights));
  }

  static std::string activity_on(const std::string& lead) {
    return R"({"lead_id":")" + lead + R"(","kind":"NOTE","subject":"x","due_at":"2026-01-01T00:00:00Z"})";
  }

  std::optional<TenantContext> key_, ann_, bob_, admin_;
  std::string anns_, bobs_;
};

INSTANTIATE_TEST_SUITE_P(Tiers, DataUsersTest,
                         ::testing::Values(tenancy::Tier::pool, tenancy::Tier::schema,
                                           tenancy::Tier::database),
                         [](const auto& tested) { return std::string(tenancy::tier_name(tested.param)); });

TEST_P(DataUsersTest, ReadTheirs) {
  for (const char* resource : {"leads", "open_leads"}) {
    EXPECT_EQ(count(*ann_, resource), "1");
    EXPECT_EQ(count(*admin_, resource), "2");
    EXPECT_EQ(count(*key_, resource), "2");
    expect_error(get(*ann_, resource, bobs_), ErrorCode::not_found);
    body_of(get(*bob_, resource, bobs_));
    body_of(get(*admin_, resource, anns_));
  }
  EXPECT_EQ(count(*ann_, "activities"), "0");
  EXPECT_EQ(count(*bob_, "activities"), "1");
  EXPECT_THAT(body_of(call(*ann_, "lead_counts", "{}")), ::testing::HasSubstr("\"count\":1"));
  EXPECT_THAT(body_of(call(*admin_, "lead_counts", "{}")), ::testing::HasSubstr("\"count\":2"));
  const auto row = json_of(get(*ann_, "leads", anns_));
  EXPECT_EQ(*row.find("created_by")->as_string(), kAnn);
}

TEST_P(DataUsersTest, WriteTheirs) {
  expect_error(patch(*ann_, "leads", bobs_, R"({"value":1})"), ErrorCode::not_found);
  expect_error(remove(*ann_, "leads", bobs_), ErrorCode::not_found);
  body_of(patch(*ann_, "leads", anns_, R"({"value":1})"));
  // Handed over, and still theirs, since they entered it; then no longer.
  body_of(patch(*ann_, "leads", anns_, R"({"assigned_to":")" + std::string(kBob) + "\"}"));
  EXPECT_EQ(count(*bob_, "leads"), "2");
  expect_error(patch(*ann_, "leads", anns_, R"({"created_by":")" + std::string(kBob) + "\"}"),
               ErrorCode::forbidden, {"/assigned_to", "/created_by"});
  body_of(patch(*admin_, "leads", anns_, R"({"created_by":")" + std::string(kBob) + "\"}"));
  expect_error(get(*ann_, "leads", anns_), ErrorCode::not_found);
  expect_error(post(*ann_, "leads", R"({"name":"x","created_by":")" + std::string(kBob) + "\"}"),
               ErrorCode::forbidden, {"/assigned_to", "/created_by"});
  body_of(remove(*bob_, "leads", anns_), 204);
  body_of(remove(*admin_, "leads", bobs_), 204);
}

TEST_P(DataUsersTest, ALeadOfSomebodyElseIsNoLead) {
  const auto of_another = post(*ann_, "activities", activity_on(bobs_));
  const auto of_nobody = post(*ann_, "activities", activity_on(kNobodysLead));
  expect_error(of_another, ErrorCode::validation_failed, {"/lead_id"});
  expect_error(of_nobody, ErrorCode::validation_failed, {"/lead_id"});
  EXPECT_EQ(of_another.error().message, of_nobody.error().message);
  EXPECT_EQ(of_another.error().fields[0].message, of_nobody.error().fields[0].message);
  // As an admin is told of a lead that does not exist.
  const auto of_nobody_for_all = post(*admin_, "activities", activity_on(kNobodysLead));
  expect_error(of_nobody_for_all, ErrorCode::validation_failed, {"/lead_id"});
  EXPECT_EQ(of_nobody_for_all.error().fields[0].message, of_nobody.error().fields[0].message);
  json_of(post(*ann_, "activities", activity_on(anns_)), 201);
  json_of(post(*admin_, "activities", activity_on(bobs_)), 201);
}

// An address is taken, whoever has it; an upsert changes nobody else's lead.
TEST_P(DataUsersTest, AnAddressIsTakenWhoeverHasIt) {
  const char* lead = R"({"name":"Mine","email":"two@example.com"})";
  expect_error(post(*ann_, "leads", lead), ErrorCode::conflict, {"/email"});
  WriteOptions upsert;
  upsert.on_conflict = WriteOptions::OnConflict::update;
  expect_error(post(*ann_, "leads", lead, upsert), ErrorCode::conflict, {"/email"});
  EXPECT_EQ(*json_of(get(*bob_, "leads", bobs_)).find("name")->as_string(), "Of Bob");
  body_of(post(*bob_, "leads", lead, upsert));
}

}  // namespace
}  // namespace rowhouse::data
