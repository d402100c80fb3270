#include <gmock/gmock.h>

#include "tenancy/pack_fixture.h"
#include "tenancy/pack_names.h"
#include "tenancy/row_rules.h"

namespace rowhouse::tenancy {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;

// The manifest with the value at a JSON Pointer replaced (or added); null removes it.
json::Value edited(const std::string& pointer, json::Value value) {
  json::Value document = fixture::manifest_document();
  json::Value* target = &document;
  std::size_t start = 1;
  while (true) {
    const std::size_t slash = pointer.find('/', start);
    const std::string name =
        pointer.substr(start, slash == std::string::npos ? std::string::npos : slash - start);
    if (slash == std::string::npos) {
      if (value.is_null()) {
        std::erase_if(*target->as_object(), [&](const json::Member& member) { return member.first == name; });
      } else {
        target->set(name, std::move(value));
      }
      return document;
    }
    if (json::Array* items = target->as_array(); items != nullptr) {
      target = &(*items)[static_cast<std::size_t>(std::stoi(name))];
    } else {
      for (auto& [key, member] : *target->as_object()) {
        if (key == name) {
          target = &member;
          break;
        }
      }
    }
    start = slash + 1;
  }
}

std::vector<std::string> faults_of(const json::Value& document) {
  const auto parsed = parse_manifest(document);
  std::vector<std::string> paths;
  if (parsed.ok()) return paths;
  EXPECT_EQ(parsed.error().code, ErrorCode::pack_refused);
  for (const FieldError& field : parsed.error().fields) paths.push_back(field.path);
  return paths;
}

json::Value of(std::string_view text) { return json::parse(text).value(); }

TEST(Manifest, ReadsEverything) {
  const auto parsed = parse_manifest(fixture::manifest_document());
  ASSERT_TRUE(parsed.ok());
  const Manifest& manifest = *parsed;
  EXPECT_EQ(manifest.name, "mini");
  EXPECT_EQ(manifest.version, "1.0.0");
  EXPECT_EQ(manifest.default_tier, Tier::pool);
  EXPECT_EQ(manifest.default_plan, "basic");
  EXPECT_EQ(manifest.features.at("lead:read"), "Read leads");
  ASSERT_EQ(manifest.limits.size(), 1U);
  EXPECT_EQ(manifest.limits[0].resource, "leads");
  ASSERT_EQ(manifest.plans.size(), 2U);
  EXPECT_EQ(manifest.find_plan("basic")->limits.at("leads"), 10);
  EXPECT_EQ(manifest.find_plan("all")->limits.at("leads"), kUnlimited);
  EXPECT_TRUE(manifest.find_plan("basic")->features.contains("lead:write"));
  EXPECT_EQ(manifest.find_plan("none"), nullptr);
  ASSERT_EQ(manifest.settings.size(), 1U);
  EXPECT_EQ(*manifest.settings[0].default_value.as_string(), "UTC");

  ASSERT_EQ(manifest.resources.size(), 4U);
  const Resource& leads = manifest.resources[0];
  EXPECT_EQ(leads.relation, "leads");
  EXPECT_EQ(leads.operations.at(Verb::remove), "lead:write");
  EXPECT_EQ(leads.operations.at(Verb::export_rows), "lead:read") << "export falls back to read";
  EXPECT_FALSE(manifest.resources[1].operations.contains(Verb::update));
  EXPECT_THAT(leads.natural_key, ElementsAre("email"));
  ASSERT_EQ(leads.default_order.size(), 1U);
  EXPECT_EQ(leads.default_order[0].column, "created_at");
  EXPECT_TRUE(leads.default_order[0].descending);
  ASSERT_EQ(leads.orders.size(), 2U);
  EXPECT_FALSE(leads.orders[0][0].descending);
  EXPECT_TRUE(manifest.personal_data.at("leads").contains("email"));
  EXPECT_TRUE(manifest.read_only.at("leads").contains("created_at"));
  EXPECT_EQ(manifest.functions[0].name, "lead_counts");
  EXPECT_EQ(manifest.functions[0].operation, "lead:read");
  EXPECT_EQ(manifest.sample_data[0].file, "sample/leads.csv");
  EXPECT_EQ(manifest.metrics[0].on, "create");
  EXPECT_THAT(manifest.metrics[0].labels, ElementsAre("status"));
}

TEST(Manifest, ReadsRowRules) {
  const Manifest manifest = fixture::bundle_with_row_rules().manifest;
  const auto rule_of = [&](std::string_view name) -> std::optional<RowRule> {
    for (const Resource& resource : manifest.resources) {
      if (resource.name == name) return resource.row_rule;
    }
    return std::nullopt;
  };
  ASSERT_TRUE(rule_of("leads"));
  EXPECT_THAT(rule_of("leads")->owners, ElementsAre("assigned_to", "created_by"));
  EXPECT_EQ(rule_of("leads")->creator, "created_by");
  ASSERT_TRUE(rule_of("notes"));
  EXPECT_EQ(rule_of("notes")->through, "lead_id");
  EXPECT_EQ(rule_of("notes")->parent, "leads");
  EXPECT_FALSE(rule_of("events"));
  EXPECT_EQ(row_rules_json(manifest),
            R"([{"relation":"leads","owners":["assigned_to","created_by"],"creator":"created_by"},)"
            R"({"relation":"notes","through":"lead_id","parent":"leads"}])");
  EXPECT_EQ(row_rules_json(fixture::manifest()), "[]");
}

TEST(Manifest, FaultsOfRowRules) {
  const json::Value owned = of(R"({"owners": ["a"]})");
  const auto leads = [&](std::string_view rule) {
    return faults_of(fixture::with_row_rules("1.1.0", of(rule), json::Value()));
  };
  const auto notes = [&](std::string_view rule) {
    return faults_of(fixture::with_row_rules("1.1.0", owned, of(rule)));
  };
  const std::string path = "/resources/leads/row_rule";
  EXPECT_THAT(leads("5"), ElementsAre(path));
  EXPECT_THAT(leads("{}"), ElementsAre(path));
  EXPECT_THAT(leads(R"({"creator": "a"})"), ElementsAre(path));
  EXPECT_THAT(leads(R"({"owners": ["a"], "through": "b", "resource": "notes"})"), ElementsAre(path));
  EXPECT_THAT(leads(R"({"owners": ["a"], "resource": "notes"})"), ElementsAre(path + "/resource"));
  EXPECT_THAT(leads(R"({"owners": ["a"], "roles": []})"), ElementsAre(path + "/roles"));
  EXPECT_THAT(leads(R"({"owners": []})"), ElementsAre(path + "/owners"));
  EXPECT_THAT(leads(R"({"owners": "a"})"), ElementsAre(path + "/owners"));
  EXPECT_THAT(leads(R"({"owners": ["a", "b", "c", "d", "e", "f", "g", "h", "i"]})"),
              ElementsAre(path + "/owners"));
  EXPECT_THAT(leads(R"({"owners": ["a", "a"]})"), ElementsAre(path + "/owners/1"));
  EXPECT_THAT(leads(R"({"owners": ["tenant_id", 5, "A"]})"),
              ElementsAre(path + "/owners/0", path + "/owners/1", path + "/owners/2"));
  EXPECT_THAT(leads(R"({"owners": ["a"], "creator": "tenant_id"})"), ElementsAre(path + "/creator"));
  EXPECT_THAT(leads(R"({"through": "b"})"), ElementsAre(path + "/resource"));
  EXPECT_THAT(leads(R"({"through": "b", "resource": "nothing"})"), ElementsAre(path + "/resource"));
  EXPECT_THAT(leads(R"({"through": "b", "resource": "notes"})"), ElementsAre(path + "/resource"))
      << "notes have no rule";
  EXPECT_THAT(leads(R"({"through": "b", "resource": "leads"})"), ElementsAre(path + "/resource"));
  EXPECT_THAT(notes(R"({"through": "lead_id", "resource": "leads"})"), ::testing::IsEmpty());
  // In a circle.
  const auto circle =
      faults_of(fixture::with_row_rules("1.1.0", of(R"({"through": "b", "resource": "notes"})"),
                                        of(R"({"through": "c", "resource": "leads"})")));
  EXPECT_THAT(circle, ElementsAre(path + "/resource", "/resources/notes/row_rule/resource"));
  // Two of one table.
  json::Value document = fixture::with_row_rules("1.1.0", owned, owned);
  for (auto& [name, member] : *document.as_object()) {
    if (name != "resources") continue;
    for (auto& [resource_name, resource] : *member.as_object()) {
      if (resource_name == "notes") resource.set("relation", "leads");
    }
  }
  EXPECT_THAT(faults_of(document), ElementsAre("/resources/notes/row_rule"));
}

TEST(Manifest, ResourcesMayBeWriteOnly) {
  const auto parsed =
      parse_manifest(edited("/resources/notes/operations", of(R"({"create": "lead:write"})")));
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->resources[1].operations.size(), 1U);
}

TEST(Manifest, LengthsAreCountedInCharacters) {
  std::string title;
  for (int i = 0; i < 200; ++i) title += "ü";
  EXPECT_TRUE(faults_of(edited("/title", title)).empty());
  EXPECT_THAT(faults_of(edited("/title", title + "ü")), ElementsAre("/title"));
}

TEST(Manifest, EveryFaultIsNamedWithItsPath) {
  struct Fault {
    const char* path;   // expected
    const char* where;  // edited
    const char* value;  // "null" removes
  };
  const Fault faults[] = {
      {"/name", "/name", "null"},
      {"/name", "/name", R"("Mini")"},
      {"/name", "/name", R"("a234567890123456789012345678901234567890x")"},
      {"/name", "/name", "7"},
      {"/title", "/title", R"("")"},
      {"/version", "/version", R"("1.0")"},
      {"/version", "/version", R"("1.0.01")"},
      {"/version", "/version", R"("1.0.0-beta")"},
      {"/default_tier", "/default_tier", R"("cloud")"},
      {"/default_plan", "/default_plan", R"("gold")"},
      {"/extra", "/extra", "1"},
      {"/services/0", "/services", R"(["telepathy"])"},
      {"/services/1", "/services", R"(["poller", "poller"])"},
      {"/services", "/services", R"("poller")"},
      {"/features/read", "/features/read", R"("x")"},
      {"/features/lead:read", "/features/lead:read", "1"},
      {"/features", "/features", "[]"},
      {"/limits/Leads", "/limits/Leads", R"({"description": "d", "unit": "u"})"},
      {"/limits/leads/resource", "/limits/leads/resource", R"("deals")"},
      {"/limits/leads/unit", "/limits/leads/unit", "null"},
      {"/plans", "/plans", "{}"},
      {"/plans/basic/limits/leads", "/plans/basic/limits", "{}"},
      {"/plans/basic/limits/leads", "/plans/basic/limits/leads", "-2"},
      {"/plans/basic/limits/leads", "/plans/basic/limits/leads", "1.5"},
      {"/plans/basic/limits/users", "/plans/basic/limits/users", "1"},
      {"/plans/basic/features/0", "/plans/basic/features", R"(["lead:fly"])"},
      {"/plans/basic/price", "/plans/basic/price", "1"},
      {"/plans/basic/title", "/plans/basic/title", "null"},
      {"/settings/timezone/type", "/settings/timezone/type", R"("date")"},
      {"/settings/timezone/default", "/settings/timezone/default", "null"},
      {"/settings/timezone/default", "/settings/timezone/default", "7"},
      {"/settings/timezone/default", "/settings/timezone/enum", R"(["CET"])"},
      {"/settings/timezone/enum/0", "/settings/timezone/enum", "[7]"},
      {"/settings/timezone/minimum", "/settings/timezone/minimum", "1"},
      {"/settings/n/default", "/settings/n",
       R"({"type": "integer", "default": 5, "maximum": 4, "description": "d"})"},
      {"/settings/n/default", "/settings/n",
       R"({"type": "number", "default": -0.5, "minimum": 0, "description": "d"})"},
      {"/settings/n/default", "/settings/n", R"({"type": "integer", "default": 0.5, "description": "d"})"},
      {"/settings/n/minimum", "/settings/n",
       R"({"type": "integer", "default": 2, "minimum": 3, "maximum": 1, "description": "d"})"},
      {"/resources", "/resources", "{}"},
      {"/resources/Deals", "/resources/Deals",
       R"({"description": "d", "default_order": ["id"], "operations": {"read": "lead:read"}})"},
      {"/resources/leads/relation", "/resources/leads/relation", R"("public.leads")"},
      {"/resources/leads/operations", "/resources/leads/operations", "null"},
      {"/resources/leads/operations", "/resources/leads/operations", "{}"},
      {"/resources/leads/operations/export", "/resources/leads/operations",
       R"({"create": "lead:write", "export": "lead:read"})"},
      {"/resources/leads/natural_key", "/resources/leads/natural_key", "[]"},
      {"/services", "/services", "null"},
      {"/limits", "/limits", "null"},
      {"/settings", "/settings", "null"},
      {"/features", "/features", "{}"},
      {"/settings/b/enum", "/settings/b",
       R"({"type": "boolean", "default": true, "enum": [true], "description": "d"})"},
      {"/resources/leads/operations/read", "/resources/leads/operations/read", R"("lead:fly")"},
      {"/resources/leads/operations/fly", "/resources/leads/operations/fly", R"("lead:read")"},
      {"/resources/leads/operations/import", "/resources/leads/operations/create", "null"},
      {"/resources/leads/natural_key/0", "/resources/leads/natural_key", R"(["tenant_id"])"},
      {"/resources/leads/natural_key/0", "/resources/leads/natural_key", R"(["limit"])"},
      {"/resources/leads/natural_key/0", "/resources/leads/natural_key", R"(["E Mail"])"},
      {"/resources/leads/natural_key/1", "/resources/leads/natural_key", R"(["email", "email"])"},
      {"/resources/leads/default_order", "/resources/leads/default_order", "null"},
      {"/resources/leads/default_order", "/resources/leads/default_order", "[]"},
      {"/resources/leads/default_order/0", "/resources/leads/default_order", R"(["--id"])"},
      {"/resources/leads/orders/0", "/resources/leads/orders", R"(["id,status"])"},
      {"/resources/leads/personal_data/0", "/resources/leads/personal_data", "[1]"},
      {"/resources/leads/read_only", "/resources/leads/read_only", R"("id")"},
      {"/functions/lead_counts/operation", "/functions/lead_counts/operation", R"("lead:fly")"},
      {"/functions/Fly", "/functions/Fly", R"({"description": "d", "operation": "lead:read"})"},
      {"/sample_data/0/resource", "/sample_data/0/resource", R"("deals")"},
      {"/sample_data/0/file", "/sample_data/0/file", R"("sample/../../etc/passwd.csv")"},
      {"/sample_data/0/file", "/sample_data/0/file", R"("/etc/x.csv")"},
      {"/sample_data", "/sample_data", "{}"},
      {"/metrics/0/on", "/metrics/0/on", R"("poke")"},
      {"/metrics/0/resource", "/metrics/0/resource", R"("deals")"},
      {"/metrics/0/name", "/metrics/0/name", R"("leads_total")"},
      {"/metrics/0/labels", "/metrics/0/labels", R"(["a", "b", "c", "d", "e"])"},
      {"/resources/a~1b~0c", "/resources/leads2", "null"},
  };
  for (const Fault& fault : faults) {
    SCOPED_TRACE(std::string(fault.where) + " = " + fault.value);
    if (std::string_view(fault.path) == "/resources/a~1b~0c") {
      auto document = fixture::manifest_document();
      json::Value resources = *document.find("resources");
      resources.set("a/b~c", 1);
      document.set("resources", std::move(resources));
      EXPECT_THAT(faults_of(document), Contains(fault.path)) << "names are escaped in paths";
      continue;
    }
    EXPECT_THAT(faults_of(edited(fault.where, of(fault.value))), Contains(fault.path));
  }
}

TEST(Manifest, AllFaultsAreReportedTogether) {
  auto document = edited("/title", of("1"));
  document.set("version", "x");
  document.set("default_plan", "gold");
  EXPECT_THAT(faults_of(document), ElementsAre("/title", "/version", "/default_plan"));
}

TEST(Manifest, AnythingElseThanAnObjectIsRefused) {
  for (const char* text : {"null", "[]", "1", R"("x")", "{}"})
    EXPECT_FALSE(faults_of(of(text)).empty()) << text;
}

TEST(Manifest, FaultsAreBounded) {
  json::Array many;
  for (int i = 0; i < 400; ++i) many.emplace_back("service" + std::to_string(i));
  EXPECT_EQ(faults_of(edited("/services", std::move(many))).size(), 100U);
}

TEST(PackNames, VersionsCompareByNumber) {
  EXPECT_LT(parse_pack_version("1.9.0"), parse_pack_version("1.10.0"));
  EXPECT_LT(parse_pack_version("1.10.9"), parse_pack_version("2.0.0"));
  EXPECT_EQ(parse_pack_version("0.0.0"), PackVersion());
  for (const char* bad :
       {"", "1", "1.2", "1.2.3.4", "1.2.x", "01.2.3", "1..2", "1.2.3 ", "-1.2.3", "1.2.9999999999"}) {
    EXPECT_EQ(parse_pack_version(bad), std::nullopt) << bad;
  }
}

TEST(PackNames, MigrationsAndSamplesStayInTheirFolders) {
  EXPECT_TRUE(is_migration_name("0001_leads_and_activities"));
  for (const char* bad : {"1_leads", "0001-leads", "0001_", "0001_Leads", "00012leads", "0001_../x"}) {
    EXPECT_FALSE(is_migration_name(bad)) << bad;
  }
  EXPECT_TRUE(is_sample_path("sample/leads_2.csv"));
  for (const char* bad :
       {"leads.csv", "sample/.csv", "sample/a/b.csv", "sample/.x.csv", "sample/a.txt", "/sample/a.csv"}) {
    EXPECT_FALSE(is_sample_path(bad)) << bad;
  }
}

TEST(Tiers, HaveNames) {
  for (const Tier tier : {Tier::pool, Tier::schema, Tier::database})
    EXPECT_EQ(parse_tier(tier_name(tier)), tier);
  EXPECT_EQ(parse_tier("cloud"), std::nullopt);
}

}  // namespace
}  // namespace rowhouse::tenancy
