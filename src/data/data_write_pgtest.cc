#include "data/data_pgtest.h"

namespace rowhouse::data {
namespace {

using fixture::TenantContext;
using testing::patient;

class DataWriteTest : public fixture::DataTest {
 protected:
  static WriteOptions on_conflict(WriteOptions::OnConflict choice) {
    WriteOptions write;
    write.on_conflict = choice;
    return write;
  }
  static WriteOptions keyed(std::string key) {
    WriteOptions write;
    write.idempotency_key = std::move(key);
    return write;
  }
};

TEST_F(DataWriteTest, RowsInEveryTier) {
  for (const tenancy::Tier tier : {tenancy::Tier::pool, tenancy::Tier::schema, tenancy::Tier::database}) {
    const auto tekup = tenant_of("tekup", "professional", tier);
    const auto lead = json_of(post(tekup, "leads", R"({"name":"Ada","email":"ada@example.com"})"), 201);
    EXPECT_EQ(*lead.find("status")->as_string(), "NEW");
    const auto changed = json_of(patch(tekup, "leads", id_of(lead), R"({"status":"WON","value":5})"));
    EXPECT_EQ(json::serialize(*changed.find("version")), "2");
    EXPECT_EQ(count(tekup, "open_leads"), "0");
    expect_error(
        post(tekup, "activities", R"({"lead_id":")" + id_of(lead) + R"(","kind":"CALL","subject":"x"})"),
        ErrorCode::validation_failed, {"/due_at", "/occurred_at"});
    body_of(post(tekup, "activities",
                 R"({"lead_id":")" + id_of(lead) +
                     R"(","kind":"CALL","subject":"x","due_at":"2026-01-01T00:00:00Z"})"),
            201);
    EXPECT_EQ(body_of(remove(tekup, "leads", id_of(lead)), 204), "");
    EXPECT_EQ(count(tekup, "activities"), "0");
  }
}

TEST_F(DataWriteTest, FaultsHavePlaces) {
  const auto zoo = tenant_of("zoo");
  expect_error(post(zoo, "animals", "{"), ErrorCode::malformed_json);
  expect_error(post(zoo, "animals", R"({"name":"a","weight":-1})"), ErrorCode::validation_failed,
               {"/weight"});
  expect_error(post(zoo, "animals", R"({"name":"a","born":"2024-02-30"})"), ErrorCode::validation_failed,
               {"/born"});
  expect_error(post(zoo, "animals", R"({"name":"a","address":"nowhere"})"), ErrorCode::validation_failed,
               {"/address"});
  expect_error(post(zoo, "animals", R"({"name":"a","ratio":1e999})"), ErrorCode::validation_failed,
               {"/ratio"});
  expect_error(post(zoo, "animals", R"({"name":"a","counts":[1,"x"]})"), ErrorCode::validation_failed,
               {"/counts"});
  expect_error(post(zoo, "animals", R"({"name":"a","moods":["bored"]})"), ErrorCode::validation_failed,
               {"/moods"});
  expect_error(post(zoo, "animals", R"({"name":"a","parent_id":"0197f3a2-89ab-7cde-8f01-23456789abcd"})"),
               ErrorCode::validation_failed, {"/parent_id"});
  expect_error(post(zoo, "animals", R"({"name":"a","doubled":1,"tenant_id":null,"x":1,"legs":1.5})"),
               ErrorCode::validation_failed, {"/doubled", "/tenant_id", "/x", "/legs"});
  EXPECT_EQ(count(zoo, "animals"), "0");
}

TEST_F(DataWriteTest, AFailedBatchLeavesNothingAndNamesItsRows) {
  const auto zoo = tenant_of("zoo");
  body_of(post(zoo, "animals", R"({"name":"taken"})"), 201);
  expect_error(post(zoo, "animals",
                    R"([{"name":"a"},{"name":"b","weight":-1},{"name":"c"},{"name":"d","weight":-2}])"),
               ErrorCode::validation_failed, {"/1/weight", "/3/weight"});
  expect_error(post(zoo, "animals", R"([{"name":"a"},{"name":"b","born":"2024-02-30"}])"),
               ErrorCode::validation_failed, {"/1/born"});
  expect_error(post(zoo, "animals", R"([{"name":"a"},{"name":"taken"}])"), ErrorCode::conflict, {"/1/name"});
  expect_error(post(zoo, "animals", R"([{"name":"a"},{"name":"b"},{"name":"a"}])"), ErrorCode::conflict,
               {"/2/name"});
  expect_error(post(zoo, "animals", R"([{"name":"taken"}])"), ErrorCode::conflict, {"/0/name"});
  expect_error(post(zoo, "animals", R"({"name":"taken"})"), ErrorCode::conflict, {"/name"});
  EXPECT_EQ(count(zoo, "animals"), "1");
}

TEST_F(DataWriteTest, BatchesAnswerInTheirOrder) {
  const auto zoo = tenant_of("zoo");
  std::string body = "[";
  for (int i = 0; i < 1000; ++i)
    body += (i > 0 ? ",{\"name\":\"n" : "{\"name\":\"n") + std::to_string(i) + "\"}";
  const auto reply = json_of(post(zoo, "animals", body + "]"), 201);
  const json::Array& rows = *reply.find("data")->as_array();
  ASSERT_EQ(rows.size(), 1000U);
  for (int i = 0; i < 1000; ++i)
    EXPECT_EQ(*rows[static_cast<std::size_t>(i)].find("name")->as_string(), "n" + std::to_string(i));
  expect_error(post(zoo, "animals", "[]"), ErrorCode::validation_failed, {""});
}

TEST_F(DataWriteTest, PartitionedTables) {
  const auto zoo = tenant_of("zoo");
  const auto first = post(zoo, "sightings", R"({"place":"here"})");
  const auto row = json_of(first, 201);
  const std::string id = json::serialize(*row.find("id"));
  EXPECT_EQ(first->location, "/v1/data/sightings/" + id);
  EXPECT_EQ(get(zoo, "sightings", id)->etag, first->etag);
  const auto changed = patch(zoo, "sightings", id, R"({"place":"there"})", first->etag);
  EXPECT_EQ(*json_of(changed).find("place")->as_string(), "there");
  EXPECT_NE(changed->etag, first->etag);
  expect_error(patch(zoo, "sightings", id, R"({"place":"x"})", first->etag), ErrorCode::precondition_failed);
  expect_error(remove(zoo, "sightings", id, first->etag), ErrorCode::precondition_failed);
  expect_error(post(zoo, "sightings", R"({"id":5,"place":"x"})"), ErrorCode::validation_failed, {"/id"});
  expect_error(patch(zoo, "sightings", "99999999", R"({"place":"x"})", changed->etag), ErrorCode::not_found);
  body_of(remove(zoo, "sightings", id, changed->etag), 204);
  expect_error(remove(zoo, "sightings", id), ErrorCode::not_found);
  expect_error(post(zoo, "sightings", R"({"place":"x"})", on_conflict(WriteOptions::OnConflict::update)),
               ErrorCode::invalid_parameter, {"on_conflict"});
}

TEST_F(DataWriteTest, IfMatchTellsGoneFromChanged) {
  const auto zoo = tenant_of("zoo");
  const auto created = post(zoo, "animals", R"({"name":"a"})");
  const std::string id = id_of(json_of(created, 201));
  const auto changed = patch(zoo, "animals", id, R"({"legs":4})", created->etag);
  body_of(changed);
  for (const std::string& stale : {created->etag, std::string("\"rubbish\""), "W/" + changed->etag}) {
    expect_error(patch(zoo, "animals", id, R"({"legs":5})", stale), ErrorCode::precondition_failed);
    expect_error(remove(zoo, "animals", id, stale), ErrorCode::precondition_failed);
  }
  expect_error(patch(zoo, "animals", id, R"({"legs":5})", "unquoted"), ErrorCode::invalid_parameter);
  body_of(patch(zoo, "animals", id, R"({"legs":6})", "*"));
  const std::string current = get(zoo, "animals", id)->etag;
  body_of(remove(zoo, "animals", id, "\"x1\", " + current), 204);
  expect_error(remove(zoo, "animals", id, current), ErrorCode::not_found);
  expect_error(patch(zoo, "animals", id, R"({"legs":5})", current), ErrorCode::not_found);
}

TEST_F(DataWriteTest, IdsOfOtherTypes) {
  const auto zoo = tenant_of("zoo");
  const auto created = post(zoo, "hosts", R"({"id":"10.0.0.0/8","name":"a"})");
  body_of(created, 201);
  EXPECT_EQ(created->location, "/v1/data/hosts/10.0.0.0%2F8");
  body_of(patch(zoo, "hosts", "10.0.0.0/8", R"({"name":"b"})", created->etag));
  for (const char* id : {"nowhere", "", "10.0.0.1"}) {
    expect_error(get(zoo, "hosts", id), ErrorCode::not_found);
    expect_error(patch(zoo, "hosts", id, R"({"name":"b"})"), ErrorCode::not_found);
    expect_error(remove(zoo, "hosts", id), ErrorCode::not_found);
  }
  EXPECT_EQ(*json_of(get(zoo, "hosts", "10.0.0.0/8")).find("name")->as_string(), "b");
  body_of(remove(zoo, "hosts", "10.0.0.0/8"), 204);
}

TEST_F(DataWriteTest, ARowThatOthersReferToStays) {
  const auto zoo = tenant_of("zoo");
  const std::string parent = id_of(json_of(post(zoo, "animals", R"({"name":"parent"})"), 201));
  body_of(post(zoo, "animals", R"({"name":"child","parent_id":")" + parent + "\"}"), 201);
  expect_error(remove(zoo, "animals", parent), ErrorCode::conflict);
  EXPECT_EQ(count(zoo, "animals"), "2");
}

TEST_F(DataWriteTest, Upserts) {
  using OnConflict = WriteOptions::OnConflict;
  const auto zoo = tenant_of("zoo");
  const auto first = json_of(
      post(zoo, "animals", R"({"name":"a","legs":4,"weight":1})", on_conflict(OnConflict::update)), 201);
  const auto second =
      json_of(post(zoo, "animals", R"({"name":"a","legs":2})", on_conflict(OnConflict::update)), 200);
  EXPECT_EQ(id_of(second), id_of(first));
  EXPECT_EQ(json::serialize(*second.find("legs")) + json::serialize(*second.find("weight")), "21.00");
  const auto ignored = post(zoo, "animals", R"({"name":"a","legs":9})", on_conflict(OnConflict::ignore));
  EXPECT_EQ(json_of(ignored), second);
  EXPECT_EQ(ignored->location, "");
  EXPECT_EQ(ignored->etag, get(zoo, "animals", id_of(first))->etag);
  const auto batch =
      json_of(post(zoo, "animals", R"([{"name":"b"},{"name":"a","flies":true},{"name":"c","legs":1}])",
                   on_conflict(OnConflict::update)),
              201);
  EXPECT_EQ(batch.find("data")->as_array()->size(), 3U);
  EXPECT_EQ(json::serialize(*json_of(get(zoo, "animals", id_of(first))).find("legs")), "2")
      << "what a row lacks stays";
  EXPECT_EQ(body_of(post(zoo, "animals", R"([{"name":"a"},{"name":"b"}])", on_conflict(OnConflict::ignore))),
            "{\"data\":[]}");
  expect_error(post(zoo, "animals", R"([{"name":"x","legs":1},{"name":"x","legs":2}])",
                    on_conflict(OnConflict::update)),
               ErrorCode::conflict);
  EXPECT_EQ(count(zoo, "animals"), "3");
  const auto tekup = tenant_of("tekup");
  expect_error(post(tekup, "activities", "{}", on_conflict(OnConflict::ignore)), ErrorCode::invalid_parameter,
               {"on_conflict"});
}

TEST_F(DataWriteTest, PlansAreAsked) {
  const auto basic = tenant_of("tekup", "basic");
  const auto lead = json_of(post(basic, "leads", R"({"name":"x"})"), 201);
  expect_error(remove(basic, "leads", id_of(lead)), ErrorCode::feature_missing);
  EXPECT_NE(remove(basic, "leads", id_of(lead)).error().message.find("lead:delete"), std::string::npos);
  EXPECT_EQ(count(basic, "leads"), "1");
}

// Idempotency-Key

TEST_F(DataWriteTest, AKeptAnswerIsGivenAgain) {
  const auto zoo = tenant_of("zoo");
  const auto first = post(zoo, "animals", R"({"name":"a"})", keyed("key 1"));
  body_of(first, 201);
  EXPECT_FALSE(first->replayed);
  for (int i = 0; i < 3; ++i) {
    const auto again = post(zoo, "animals", R"({"name":"a"})", keyed("key 1"));
    EXPECT_EQ(body_of(again, 201), first->body);
    EXPECT_TRUE(again->replayed);
    EXPECT_EQ(again->etag, first->etag);
    EXPECT_EQ(again->location, first->location);
  }
  expect_error(post(zoo, "animals", R"({"name":"b"})", keyed("key 1")), ErrorCode::idempotency_key_reused);
  const auto other = tenant_of("zoo");
  body_of(post(other, "animals", R"({"name":"b"})", keyed("key 1")), 201);
  EXPECT_EQ(count(zoo, "animals"), "1");
}

TEST_F(DataWriteTest, AFailedRequestDoesNotUseItsKeyUp) {
  const auto zoo = tenant_of("zoo");
  expect_error(post(zoo, "animals", R"({"name":"a","weight":-1})", keyed("k")), ErrorCode::validation_failed,
               {"/weight"});
  expect_error(post(zoo, "animals", R"([{"name":"a"},{"name":"b","weight":-1}])", keyed("k")),
               ErrorCode::validation_failed, {"/1/weight"});
  body_of(post(zoo, "animals", R"({"name":"a"})", keyed("k")), 201);
  EXPECT_EQ(count(zoo, "animals"), "1");
}

TEST_F(DataWriteTest, ChangesAndRemovalsHaveKeysToo) {
  const auto tekup = tenant_of("tekup", "professional");
  const std::string id = id_of(json_of(post(tekup, "leads", R"({"name":"x"})"), 201));
  for (int i = 0; i < 2; ++i) {
    const auto reply = run(data_->update(tekup, "leads", id, R"({"value":5})", keyed("change"), patient()));
    EXPECT_EQ(json::serialize(*json_of(reply).find("version")), "2");
  }
  for (int i = 0; i < 2; ++i) {
    body_of(run(data_->remove(tekup, "leads", id, keyed("remove"), patient())), 204);
  }
  expect_error(remove(tekup, "leads", id), ErrorCode::not_found);
}

TEST_F(DataWriteTest, KeysExpireAfterADay) {
  const auto zoo = tenant_of("zoo");
  body_of(post(zoo, "animals", R"({"name":"a"})", keyed("k")), 201);
  testing::BlockingSql sql(testing::superuser(tenancy::pool_database_name("zoo")));
  const std::string ours = "tenant_id = '" + zoo.tenant().id.to_string() + "'";
  sql.run("UPDATE rowhouse.idempotency_keys SET created_at = now() - interval '25 hours' WHERE " + ours);
  body_of(post(zoo, "animals", R"({"name":"b"})", keyed("k")), 201);
  // Expired ones are forgotten on the way.
  sql.run("INSERT INTO rowhouse.idempotency_keys (tenant_id, key, fingerprint, created_at) SELECT '" +
          zoo.tenant().id.to_string() +
          "', 'old' || n, '', now() - interval '2 days' FROM generate_series(1, 50) n");
  for (int i = 0; i < 200; ++i) {
    body_of(post(zoo, "animals", R"({"name":"c)" + std::to_string(i) + "\"}", keyed("k" + std::to_string(i))),
            201);
  }
  EXPECT_EQ(sql.value("SELECT count(*) FROM rowhouse.idempotency_keys WHERE key LIKE 'old%' AND " + ours),
            "0");
}

TEST_F(DataWriteTest, KeysOfABadForm) {
  const auto zoo = tenant_of("zoo");
  for (const std::string& key :
       {std::string(256, 'x'), std::string("caf\xc3\xa9"), std::string("tab\there")}) {
    expect_error(post(zoo, "animals", R"({"name":"a"})", keyed(key)), ErrorCode::invalid_parameter);
  }
  EXPECT_EQ(count(zoo, "animals"), "0");
}

Task<void> create_into(DataService& data, TenantContext context, std::string body, std::string key,
                       std::vector<Result<Reply>>& replies) {
  WriteOptions write;
  write.idempotency_key = std::move(key);
  auto reply = co_await data.create(context, "animals", body, write, patient());
  replies.push_back(std::move(reply));
}

TEST_F(DataWriteTest, TwentyRequestsWithOneKeyAtOnce) {
  const auto zoo = tenant_of("zoo");
  int round = 0;
  for (const char* body : {R"({"name":"one"})", R"([{"name":"two"},{"name":"three"}])"}) {
    std::vector<Result<Reply>> replies;
    net::TaskGroup group;
    const std::string key = "round " + std::to_string(++round);
    for (int i = 0; i < 20; ++i) group.spawn(create_into(*data_, zoo, body, key, replies));
    run(group.join());
    ASSERT_EQ(replies.size(), 20U);
    std::size_t first = 0;
    for (const Result<Reply>& reply : replies) {
      ASSERT_TRUE(reply.ok()) << describe(reply.error());
      EXPECT_EQ(reply->body, replies[0]->body);
      first += reply->replayed ? 0 : 1;
    }
    EXPECT_EQ(first, 1U);
  }
  EXPECT_EQ(count(zoo, "animals"), "3");
}

TEST_F(DataWriteTest, ConnectionsAreFitForUseAfterFailures) {
  const auto zoo = tenant_of("zoo");
  for (int i = 0; i < 30; ++i) {
    expect_error(post(zoo, "animals", R"([{"name":"a"},{"name":"b","weight":-1}])"),
                 ErrorCode::validation_failed, {"/1/weight"});
  }
  EXPECT_LE(database_->stats().open_connections, 3U) << "a refused batch costs no connection";
  EXPECT_EQ(database_->stats().busy_connections, 0U);
}

}  // namespace
}  // namespace rowhouse::data
