#include <algorithm>
#include <random>

#include "data/data_pgtest.h"

namespace rowhouse::data {
namespace {

using fixture::TenantContext;

class DataReadTest : public fixture::DataTest {};

TEST_F(DataReadTest, EveryTypeComesBackAsItWentIn) {
  const auto zoo = tenant_of("zoo");
  const std::string sent =
      R"({"name":"Zoë \"q\" 🦊","weight":12.50,"ratio":0.1,"legs":-4,"flies":false,"born":"2024-02-29",)"
      R"("seen":"2026-02-03T04:05:06.789012+02:00","feeling":"happy","moods":["sad","happy"],)"
      R"("tags":["a","b,c","","NULL","q\"\\",null],"counts":[1,null,-3],"extra":{"a":[1,2.50,{"b":null}]},)"
      R"("loose":{"z":1,"a":2},"raw":"\\x00ff","address":"10.0.0.1"})";
  const auto created = post(zoo, "animals", sent);
  const std::string body = body_of(created, 201);
  const auto row = json::parse(body).value();
  EXPECT_EQ(json_of(get(zoo, "animals", id_of(row))), row);
  EXPECT_NE(
      body.find(
          R"("name":"Zoë \"q\" 🦊","weight":12.50,"ratio":0.1,"legs":-4,"flies":false,"born":"2024-02-29",)"
          R"("seen":"2026-02-03T02:05:06.789012Z","feeling":"happy","moods":["sad","happy"],)"
          R"("tags":["a","b,c","","NULL","q\"\\",null],"counts":[1,null,-3],)"
          R"("extra":{"a": [1, 2.50, {"b": null}]},"loose":{"z":1,"a":2},"raw":"\\x00ff",)"
          R"("address":"10.0.0.1","doubled":25.00,"parent_id":null})"),
      std::string::npos)
      << body;
  EXPECT_EQ(body.find("tenant_id"), std::string::npos);
  EXPECT_EQ(created->location, "/v1/data/animals/" + id_of(row));
}

TEST_F(DataReadTest, NumbersThatJsonCannotWrite) {
  const auto zoo = tenant_of("zoo");
  for (const char* text : {"NaN", "Infinity", "-Infinity"}) {
    const auto row = json_of(
        post(zoo, "animals", R"({"name":")" + std::string(text) + R"(","ratio":")" + text + "\"}"), 201);
    EXPECT_EQ(*row.find("ratio")->as_string(), text);
  }
  const auto row = json_of(post(zoo, "animals", R"({"name":"forever","seen":"infinity"})"), 201);
  EXPECT_EQ(*row.find("seen")->as_string(), "infinity");
}

TEST_F(DataReadTest, FiltersOfEveryType) {
  const auto zoo = tenant_of("zoo");
  body_of(
      post(
          zoo, "animals",
          R"([{"name":"a_b","weight":1,"legs":4,"flies":true,"born":"2024-01-01","tags":["x","y,z"],"feeling":"sad",
                    "extra":{"k":{"n":1}},"address":"10.1.0.0/16","raw":"\\x01"},
                   {"name":"axb","weight":2,"legs":2,"flies":false,"born":"2024-01-02","tags":["x"],"feeling":"happy",
                    "extra":{"k":2}},
                   {"name":"AXB"}])"),
      201);
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"name=eq.a_b", "a_b"},
      {"name=like.a_*", "a_b"},
      {"name=ilike.ax*", "AXB axb"},
      {"name=not.ilike.ax*", "a_b"},
      {"weight=gte.2", "axb"},
      {"weight=in.(1,2.00)", "a_b axb"},
      {"weight=not.in.(1)", "axb"},
      {"legs=lt.4", "axb"},
      {"flies=is.true", "a_b"},
      {"flies=not.is.true", "AXB axb"},
      {"flies=eq.false", "axb"},
      {"born=gt.2024-01-01", "axb"},
      {"tags=contains.[\"y,z\"]", "a_b"},
      {"tags=contained.[\"x\",\"w\"]", "axb"},
      {"tags=eq.[\"x\"]", "axb"},
      {"tags=eq.{x}", "axb"},
      {"feeling=in.(happy)", "axb"},
      {"feeling=gt.sad", "axb"},
      {"extra=contains.{\"k\":{}}", "a_b"},
      {"extra=eq.{\"k\":2}", "axb"},
      {"address=lt.10.2.0.0", "a_b"},
      {"raw=eq.\\x01", "a_b"},
      {"weight=is.null", "AXB"},
      {"weight=is.not_null&flies=eq.true", "a_b"},
      {"name=in.()", ""},
  };
  for (const auto& [query, expected] : cases) {
    const auto page = json_of(list(zoo, "animals", query + "&order=name&select=name&count=exact"));
    std::string found;
    for (const json::Value& row : *page.find("data")->as_array()) {
      found += (found.empty() ? "" : " ") + *row.find("name")->as_string();
    }
    EXPECT_EQ(found, expected) << query;
  }
}

TEST_F(DataReadTest, OperandsThatOnlyPostgresqlCanJudge) {
  const auto zoo = tenant_of("zoo");
  expect_error(list(zoo, "animals", "name=eq.x&flies=is.true&born=gt.2024-02-30"),
               ErrorCode::invalid_parameter, {"born"});
  expect_error(list(zoo, "animals", "address=eq.nowhere"), ErrorCode::invalid_parameter, {"address"});
  expect_error(list(zoo, "animals", "counts=contains.{x"), ErrorCode::invalid_parameter, {"counts"});
  expect_error(list(zoo, "animals", "seen=lt.2024-02-30&count=exact"), ErrorCode::invalid_parameter,
               {"seen"});
}

TEST_F(DataReadTest, RefusalsComeInTheirOrder) {
  const auto zoo = tenant_of("zoo");
  expect_error(list(zoo, "unicorns"), ErrorCode::unknown_resource);
  expect_error(post(zoo, "tame_animals", "not json"), ErrorCode::method_not_allowed);
  expect_error(list(zoo, "locked", "nothing=eq.1"), ErrorCode::feature_missing);
  EXPECT_NE(list(zoo, "locked").error().message.find("zoo:never"), std::string::npos);
  EXPECT_NE(list(zoo, "locked").error().message.find("All"), std::string::npos);
  expect_error(list(zoo, "animals", "nothing=eq.1"), ErrorCode::unknown_column, {"nothing"});
}

TEST_F(DataReadTest, AnotherTenantsRowIsOneThatDoesNotExist) {
  const auto ours = tenant_of("zoo");
  const auto theirs = tenant_of("zoo");
  const std::string id = id_of(json_of(post(theirs, "animals", R"({"name":"secret"})"), 201));
  const std::string nobody = "0197f3a2-89ab-7cde-8f01-23456789abcd";
  const auto same = [&](const Result<Reply>& a, const Result<Reply>& b, const Result<Reply>& c) {
    ASSERT_FALSE(a.ok());
    ASSERT_FALSE(b.ok());
    ASSERT_FALSE(c.ok());
    EXPECT_EQ(a.error().code, ErrorCode::not_found);
    EXPECT_EQ(describe(a.error()), describe(b.error()));
    EXPECT_EQ(describe(a.error()), describe(c.error()));
  };
  same(get(ours, "animals", id), get(ours, "animals", nobody), get(ours, "animals", "no-uuid"));
  same(patch(ours, "animals", id, R"({"legs":1})"), patch(ours, "animals", nobody, R"({"legs":1})"),
       patch(ours, "animals", "no-uuid", R"({"legs":1})"));
  same(patch(ours, "animals", id, R"({"legs":1})", "\"x1\""),
       patch(ours, "animals", nobody, R"({"legs":1})", "\"x1\""),
       patch(ours, "animals", "", R"({"legs":1})", "\"x1\""));
  same(remove(ours, "animals", id), remove(ours, "animals", nobody), remove(ours, "animals", "no-uuid"));
  EXPECT_EQ(body_of(list(ours, "animals")), "{\"data\":[],\"next_cursor\":null}");
  EXPECT_EQ(count(theirs, "animals"), "1");
  body_of(post(ours, "animals", R"({"name":"secret"})"), 201);
}

TEST_F(DataReadTest, EtagsOfTablesViewsAndPartitions) {
  const auto zoo = tenant_of("zoo");
  const std::string animal = id_of(json_of(post(zoo, "animals", R"({"name":"a","feeling":"happy"})"), 201));
  const auto sighting = json_of(post(zoo, "sightings", R"({"place":"here"})"), 201);
  const std::string sighting_id = json::serialize(*sighting.find("id"));
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"animals", animal}, {"tame_animals", animal}, {"sightings", sighting_id}};
  for (const auto& [resource, id] : cases) {
    const auto reply = get(zoo, resource, id);
    ASSERT_TRUE(reply.ok()) << describe(reply.error());
    EXPECT_GT(reply->etag.size(), 3U);
    for (const std::string& header :
         {reply->etag, "W/" + reply->etag, "\"other\", " + reply->etag, std::string("*")}) {
      const auto unchanged = get(zoo, resource, id, "", header);
      ASSERT_TRUE(unchanged.ok());
      EXPECT_EQ(unchanged->status, 304) << resource << header;
      EXPECT_EQ(unchanged->body, "");
      EXPECT_EQ(unchanged->etag, reply->etag);
    }
    EXPECT_EQ(get(zoo, resource, id, "", "\"other\"")->status, 200);
    EXPECT_EQ(get(zoo, resource, id, "select=id")->etag, reply->etag);
    const auto part = json_of(get(zoo, resource, id, "select=id"));
    EXPECT_EQ(part.as_object()->size(), 1U);
  }
  body_of(patch(zoo, "animals", animal, R"({"legs":4})"));
  body_of(patch(zoo, "animals", animal, R"({"extra":{"n":1}})"));
  const std::string before = get(zoo, "tame_animals", animal)->etag;
  body_of(patch(zoo, "animals", animal, R"({"extra":{"n":2}})"));
  EXPECT_NE(get(zoo, "tame_animals", animal)->etag, before);
}

// Walks every page of a query and compares with one sorted answer: no gap, no repeat, in order.
class CursorWalkTest : public fixture::DataTest {};

TEST_F(CursorWalkTest, EveryRowOnceInEveryOrder) {
  const auto zoo = tenant_of("zoo");
  std::mt19937 random(7);
  std::string batch = "[";
  for (int i = 0; i < 1000; ++i) {
    const auto pick = [&](const char* name, std::vector<std::string> values) {
      return std::string(",\"") + name + "\":" + values[random() % values.size()];
    };
    batch += (i > 0 ? ",{" : "{") + std::string("\"name\":\"n") + std::to_string(i) + "\"" +
             pick("weight", {"null", "1", "2.5", "1000.01"}) + pick("legs", {"null", "0", "-3", "4"}) +
             pick("ratio", {"null", "0.1", "\"NaN\"", "1e300"}) + pick("flies", {"null", "true", "false"}) +
             pick("seen", {"\"2026-01-01T00:00:00Z\"", "\"2026-01-01T00:00:00.000001Z\"", "\"infinity\""}) +
             pick("feeling", {"null", "\"sad\"", "\"happy\""}) +
             pick("tags", {"null", "[]", "[\"a\"]", "[\"b\"]"}) + "}";
  }
  body_of(post(zoo, "animals", batch + "]"), 201);
  const std::vector<std::string> orders = {"",
                                           "order=id",
                                           "order=-id",
                                           "order=weight",
                                           "order=-weight",
                                           "order=weight.desc.nullslast",
                                           "order=weight.nullsfirst",
                                           "order=-seen,weight",
                                           "order=weight,-legs,flies",
                                           "order=-weight,-legs",
                                           "order=-weight.nullslast,legs.nullsfirst,-ratio",
                                           "order=feeling,-flies,ratio",
                                           "order=tags,-seen",
                                           "order=seen,name",
                                           "order=-ratio,name.desc",
                                           "flies=is.true&order=legs.nullsfirst,weight",
                                           "weight=is.null&order=-weight,seen"};
  std::size_t walked = 0;
  for (const std::string& order : orders) {
    const auto whole = json_of(list(zoo, "animals", order + "&select=id,weight,legs&limit=1000"));
    const json::Array& expected = *whole.find("data")->as_array();
    json::Array found;
    std::string cursor;
    const std::size_t limit = 1 + random() % 97;
    do {
      const auto page = json_of(
          list(zoo, "animals", order + "&select=id,weight,legs&limit=" + std::to_string(limit) + cursor));
      const json::Array& rows = *page.find("data")->as_array();
      found.insert(found.end(), rows.begin(), rows.end());
      const std::string* next = page.find("next_cursor")->as_string();
      cursor = next != nullptr ? "&cursor=" + *next : "";
      ASSERT_EQ(rows.size(), next != nullptr ? limit : rows.size());
      ASSERT_LE(found.size(), expected.size()) << order;
    } while (!cursor.empty());
    EXPECT_EQ(found, expected) << order << " limit " << limit;
    walked += found.size();
  }
  EXPECT_GT(walked, 12'000U);
}

TEST_F(CursorWalkTest, ACursorIsForOneTenantAndQuery) {
  const auto ours = tenant_of("zoo");
  const auto theirs = tenant_of("zoo");
  for (const auto& context : {ours, theirs})
    body_of(post(context, "animals", R"([{"name":"a"},{"name":"b"}])"), 201);
  const auto page = json_of(list(ours, "animals", "limit=1&order=name"));
  const std::string cursor = "&cursor=" + *page.find("next_cursor")->as_string();
  EXPECT_EQ(json_of(list(ours, "animals", "limit=5&order=name&select=name" + cursor))
                .find("data")
                ->as_array()
                ->size(),
            1U);
  expect_error(list(theirs, "animals", "limit=1&order=name" + cursor), ErrorCode::invalid_cursor);
  expect_error(list(ours, "animals", "limit=1&order=-name" + cursor), ErrorCode::invalid_cursor);
  expect_error(list(ours, "animals", "limit=1&order=name&name=neq.x" + cursor), ErrorCode::invalid_cursor);
  expect_error(list(ours, "sightings", "limit=1&order=place" + cursor), ErrorCode::invalid_cursor);
}

TEST_F(DataReadTest, FunctionsOfEveryShape) {
  const auto zoo = tenant_of("zoo");
  EXPECT_EQ(body_of(call(zoo, "animal_count", "")), "0");
  EXPECT_EQ(json_of(call(zoo, "heaviest", "{}")).find("id") != nullptr, true)
      << "a row of NULLs, as PostgreSQL has it";
  body_of(post(zoo, "animals", R"([{"name":"ant","weight":0.01},{"name":"ape","weight":80}])"), 201);
  EXPECT_EQ(body_of(call(zoo, "animal_count", "{}")), "2");
  const auto heaviest = json_of(call(zoo, "heaviest", "{}"));
  EXPECT_EQ(*heaviest.find("name")->as_string(), "ape");
  EXPECT_EQ(heaviest.find("tenant_id"), nullptr);
  EXPECT_EQ(body_of(call(zoo, "names_like", R"({"pattern":"a%"})")), R"({"data":["ant","ape"]})");
  EXPECT_EQ(body_of(call(zoo, "names_like", R"({"pattern":"a%","at_most":1})")), R"({"data":["ant"]})");
  EXPECT_EQ(body_of(call(zoo, "rename_all", R"({"suffix":"!"})")), "2");
  EXPECT_EQ(body_of(call(zoo, "names_like", R"({"pattern":"%!"})")), R"({"data":["ant!","ape!"]})");
  expect_error(call(zoo, "names_like", "{}"), ErrorCode::validation_failed, {"/pattern"});
  expect_error(call(zoo, "names_like", R"({"pattern":5,"x":1})"), ErrorCode::validation_failed,
               {"/pattern", "/x"});
  expect_error(call(zoo, "names_like", "[]"), ErrorCode::validation_failed, {""});
  expect_error(call(zoo, "names_like", "{"), ErrorCode::malformed_json);
  expect_error(call(zoo, "pg_sleep", "{}"), ErrorCode::unknown_resource);
  EXPECT_TRUE(call(zoo, "numbers", R"({"last":10000})").ok());
  expect_error(call(zoo, "numbers", R"({"last":10001})"), ErrorCode::validation_failed);
  const auto tekup = tenant_of("tekup");
  EXPECT_EQ(body_of(call(tekup, "lead_counts", "")), "{\"data\":[]}");
  expect_error(call(tekup, "leads_by_source", R"({"from_date":"2026-02-31"})"), ErrorCode::validation_failed,
               {"/from_date"});
}

}  // namespace
}  // namespace rowhouse::data
