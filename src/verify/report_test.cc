#include "verify/report.h"

#include <gtest/gtest.h>

#include <set>

#include "base/text.h"
#include "crypto/ed25519.h"
#include "verify/engine.h"
#include "verify/report_html.h"

namespace rowhouse::verify {
namespace {

const SurfaceId kTable{"table", "app.leads", "tekup", "pool", "rowhouse_pool_tekup"};
const SurfaceId kView{"view", "app.<open>", "tekup", "pool", "rowhouse_pool_tekup"};
const std::string kSeed(32, 's');

TEST(ReportTest, NothingIsNotProven) { EXPECT_EQ(Report().outcome(), Outcome::incomplete); }

TEST(ReportTest, ASurfaceWithoutAnAttackIsUncovered) {
  Report report;
  report.found(kTable);
  report.found(kView);
  report.attacked(kTable, "select", 1, Verdict::held);
  EXPECT_EQ(report.outcome(), Outcome::incomplete);
  ASSERT_EQ(report.uncovered().size(), 1U);
  EXPECT_EQ(report.uncovered()[0], kView);
  report.attacked(kView, "select", 1, Verdict::failed, "it could not run");
  EXPECT_EQ(report.uncovered().size(), 1U) << "an attack that failed covers nothing";
  report.attacked(kView, "count", 1, Verdict::refused);
  EXPECT_TRUE(report.uncovered().empty());
}

TEST(ReportTest, AControlAloneCoversNothing) {
  Report report;
  report.attacked(kTable, "select", 0, Verdict::held);
  EXPECT_EQ(report.uncovered().size(), 1U);
}

TEST(ReportTest, TheWorstVerdictStays) {
  Report report;
  report.attacked(kTable, "select", 1, Verdict::held);
  EXPECT_EQ(report.outcome(), Outcome::proven);
  report.attacked(kTable, "select", 1, Verdict::unproven, "nothing was seen");
  EXPECT_EQ(report.outcome(), Outcome::incomplete);
  report.attacked(kTable, "select", 1, Verdict::broken, "rows were seen");
  report.attacked(kTable, "select", 1, Verdict::held);
  EXPECT_EQ(report.outcome(), Outcome::broken);
  const Attack& attack = report.surfaces().at(kTable).attacks.at(0);
  EXPECT_EQ(attack.attempts, 4);
  EXPECT_EQ(attack.note, "rows were seen");
  EXPECT_EQ(report.findings(), 1);
}

TEST(ReportTest, AFailureOfTheRunIsNotProven) {
  Report report;
  report.attacked(kTable, "select", 1, Verdict::held);
  report.failures.emplace_back("no canary");
  EXPECT_EQ(report.outcome(), Outcome::incomplete);
}

TEST(ReportTest, CanonicalTextIsSortedAndEscaped) {
  json::Value document;
  document.set("b", json::Array{json::Value(1), json::Value(true), json::Value()});
  document.set("a", "x\"\\\n\x01\xC3\xA9");
  document.set("signature", "is left out");
  EXPECT_EQ(canonical_text(document), "{\"a\":\"x\\\"\\\\\\n\\u0001\xC3\xA9\",\"b\":[1,true,null]}");
}

TEST(ReportTest, SignaturesHoldAndBreak) {
  Report report;
  report.id = "one";
  report.attacked(kTable, "select", 1, Verdict::held);
  json::Value document = report.document();
  EXPECT_FALSE(check_signature(document, "").ok()) << "not signed";
  sign(document, kSeed);
  EXPECT_TRUE(check_signature(document, "").ok());
  EXPECT_TRUE(check_signature(document, crypto::ed25519_public_key(kSeed)).ok());
  EXPECT_FALSE(check_signature(document, crypto::ed25519_public_key(std::string(32, 't'))).ok());
  // The layout of the text does not matter, its content does.
  const auto again = json::parse(json::serialize_pretty(document));
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(check_signature(*again, "").ok());
  json::Value changed = document;
  changed.set("result", "broken");
  EXPECT_FALSE(check_signature(changed, "").ok());
  json::Value another = report.document();
  another.set("signature", "nothing");
  EXPECT_FALSE(check_signature(another, "").ok());
}

TEST(ReportTest, EveryAttackIsDescribedOnce) {
  std::set<std::string> names;
  for (const Technique& technique : techniques()) {
    EXPECT_TRUE(names.insert(technique.name).second) << technique.name;
    EXPECT_FALSE(technique.how.empty()) << technique.name;
  }
  Report report;
  report.attacked(kTable, "select", 1, Verdict::held);
  report.attacked(kTable, "an attack of tomorrow", 1, Verdict::held);
  EXPECT_EQ(report.document().find("techniques")->as_array()->size(), 2U);
}

TEST(ReportTest, ThePageEscapesWhatItShows) {
  Report report;
  report.attacked(kView, "select", 1, Verdict::broken, "<script>alert(1)</script> & more");
  json::Value document = report.document();
  sign(document, kSeed);
  const std::string page = report_html(document);
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_NE(page.find("&lt;script&gt;alert(1)&lt;/script&gt; &amp; more"), std::string::npos);
  EXPECT_NE(page.find("app.&lt;open&gt;"), std::string::npos);
  EXPECT_NE(page.find("Broken"), std::string::npos);
}

TEST(RequestTest, IsReadStrictly) {
  const auto good =
      read_request(json::parse(R"({"packs": ["tekup"], "tiers": ["schema"], "seed": 7})").value());
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(good->packs, std::vector<std::string>{"tekup"});
  EXPECT_EQ(good->tiers, std::vector<tenancy::Tier>{tenancy::Tier::schema});
  EXPECT_EQ(good->seed, 7);
  EXPECT_TRUE(read_request(json::parse("{}").value()).ok());
  for (const char* bad : {R"({"tiers": ["cellar"]})", R"({"packs": "tekup"})", R"({"packs": [1]})",
                          R"({"seed": -1})", R"({"seed": 1.5})", R"({"pack": ["tekup"]})", "[]"}) {
    EXPECT_FALSE(read_request(json::parse(bad).value()).ok()) << bad;
  }
}

}  // namespace
}  // namespace rowhouse::verify
