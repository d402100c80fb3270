#include "tenancy/bundle.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tenancy/pack_fixture.h"

namespace rowhouse::tenancy {
namespace {

using ::testing::HasSubstr;

class BundleTest : public ::testing::Test {
 protected:
  BundleTest() {
    directory_ = (std::filesystem::temp_directory_path() / "rowhouse-pack-XXXXXX").string();
    if (mkdtemp(directory_.data()) == nullptr) std::abort();
    write("pack.json", fixture::kManifest);
    write("migrations/0001_tables.sql", fixture::kTables);
    write("migrations/0002_views.sql", fixture::kViews);
    write("migrations/.0003_editor.sql.swp", "x");
    write("sample/leads.csv", "email,status\n");
  }

  ~BundleTest() override { std::filesystem::remove_all(directory_); }

  void write(const std::string& path, const std::string& text) {
    const auto file = std::filesystem::path(directory_) / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
  }
  void remove(const std::string& path) { std::filesystem::remove_all(directory_ + "/" + path); }

  Result<Bundle> load() const { return bundle_from_directory(directory_); }
  // "path: message" of the first fault.
  std::string fault() const { return words(load()); }
  static std::string words(const Result<Bundle>& bundle) {
    if (bundle.ok()) return "";
    EXPECT_EQ(bundle.error().code, ErrorCode::pack_refused);
    const FieldError& field = bundle.error().fields.at(0);
    return field.path + ": " + field.message;
  }

 private:
  std::string directory_;
};

TEST_F(BundleTest, ReadsADirectory) {
  const auto bundle = load();
  ASSERT_TRUE(bundle.ok()) << words(bundle);
  EXPECT_EQ(bundle->manifest.name, "mini");
  ASSERT_EQ(bundle->migrations.size(), 2U);
  EXPECT_EQ(bundle->migrations[1].number, 2);
  EXPECT_EQ(bundle->migrations[1].name, "0002_views");
  EXPECT_EQ(bundle->migrations[1].sql, fixture::kViews);
  ASSERT_EQ(bundle->samples.size(), 1U);
  EXPECT_EQ(bundle->samples[0].csv, "email,status\n");
}

TEST_F(BundleTest, ChecksumsAreSha256) {
  EXPECT_EQ(PackMigration(1, "0001_x", "abc").checksum(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_F(BundleTest, MissingPartsAreNamed) {
  remove("sample/leads.csv");
  EXPECT_THAT(fault(), HasSubstr("sample/leads.csv: sample-file-missing: cannot be read"));
  remove("migrations");
  EXPECT_THAT(fault(), HasSubstr("migrations/: cannot be read"));
  write("migrations/.keep", "");
  EXPECT_THAT(fault(), HasSubstr("migrations/: holds no migration"));
  remove("pack.json");
  EXPECT_THAT(fault(), HasSubstr("pack.json: cannot be read"));
  EXPECT_THAT(words(bundle_from_directory("/nowhere/at/all")), HasSubstr("pack.json: cannot be read"));
}

TEST_F(BundleTest, MigrationsAreNumberedWithoutGaps) {
  write("migrations/0004_more.sql", "SELECT 1");
  EXPECT_THAT(fault(), HasSubstr("migrations/0004_more.sql: should have the number 0003"));
  remove("migrations/0004_more.sql");
  write("migrations/0002_again.sql", "SELECT 1");
  EXPECT_THAT(fault(), HasSubstr("should have the number 0003"));
  remove("migrations/0002_again.sql");
  write("migrations/0003_Upper.sql", "SELECT 1");
  EXPECT_THAT(fault(), HasSubstr("must be named like"));
  remove("migrations/0003_Upper.sql");
  write("migrations/notes.txt", "x");
  EXPECT_THAT(fault(), HasSubstr("migrations/notes.txt: is no migration"));
}

TEST_F(BundleTest, TextsMustBeUtf8WithoutNul) {
  write("migrations/0003_bad.sql", "SELECT '\xff'");
  EXPECT_THAT(fault(), HasSubstr("0003_bad.sql: must be UTF-8"));
  write("migrations/0003_bad.sql", std::string("SELECT 1\0", 9));
  EXPECT_THAT(fault(), HasSubstr("0003_bad.sql: must not contain NUL"));
  remove("migrations/0003_bad.sql");
  write("sample/leads.csv", "email\n\xc0\xaf\n");
  EXPECT_THAT(fault(), HasSubstr("sample/leads.csv: must be UTF-8"));
}

TEST_F(BundleTest, SizesAreBounded) {
  write("migrations/0003_big.sql", std::string((std::size_t{1} << 20) + 1, ' '));
  EXPECT_THAT(fault(), HasSubstr("0003_big.sql: is larger than"));
  write("pack.json", std::string((std::size_t{1} << 20) + 1, ' '));
  EXPECT_THAT(fault(), HasSubstr("pack.json: is larger than"));
}

TEST_F(BundleTest, AManifestThatIsNoJsonIsRefused) {
  write("pack.json", "{");
  EXPECT_THAT(fault(), HasSubstr("pack.json: "));
}

TEST_F(BundleTest, TravelsAsJson) {
  const auto bundle = load();
  ASSERT_TRUE(bundle.ok());
  const auto parsed = json::parse(json::serialize(bundle_to_json(*bundle)));
  ASSERT_TRUE(parsed.ok());
  const auto again = bundle_from_json(*parsed);
  ASSERT_TRUE(again.ok()) << words(again);
  EXPECT_EQ(bundle_to_json(*again), bundle_to_json(*bundle));
}

TEST_F(BundleTest, JsonIsReadStrictly) {
  const json::Value good = bundle_to_json(fixture::bundle());
  const auto with = [&](const char* name, json::Value value) {
    json::Value document = good;
    document.set(name, std::move(value));
    return words(bundle_from_json(document));
  };
  const auto parse = [](const char* text) { return json::parse(text).value(); };
  EXPECT_THAT(with("extra", 1), HasSubstr("/extra: is not known"));
  EXPECT_THAT(with("manifest", 1), HasSubstr("/: must be an object, not number"));
  EXPECT_THAT(with("manifest", parse(R"({"name": 1})")), HasSubstr("/name: must be a string"));
  EXPECT_THAT(with("migrations", parse("[]")), HasSubstr("/migrations: must be an array of 1"));
  EXPECT_THAT(with("migrations", parse(R"([{"name": "0002_x", "sql": ""}])")),
              HasSubstr("should have the number 0001"));
  EXPECT_THAT(with("migrations", parse(R"([{"name": "0001_x"}])")),
              HasSubstr("/migrations/0/sql: must be a string"));
  EXPECT_THAT(with("migrations", parse(R"([{"name": "0001_x", "sql": "", "more": 1}])")),
              HasSubstr("unknown members"));
  EXPECT_THAT(with("samples", parse("[]")),
              HasSubstr("/samples: sample-file-missing: must hold the 1 files"));
  EXPECT_THAT(with("samples", parse(R"([{"resource": "notes", "csv": ""}])")), HasSubstr("should be leads"));
  EXPECT_THAT(words(bundle_from_json(1)), HasSubstr("/: must be an object"));
  EXPECT_THAT(words(bundle_from_json(parse("{}"))), HasSubstr("/manifest: is missing"));
}

TEST_F(BundleTest, BundledPacksAreWellFormed) {
  ASSERT_FALSE(embedded_pack_names().empty());
  for (const std::string& name : embedded_pack_names()) {
    const auto bundle = bundle_from_embedded(name);
    ASSERT_TRUE(bundle.ok()) << name << " " << words(bundle);
    EXPECT_EQ(bundle->manifest.name, name);
    EXPECT_EQ(bundle->samples.size(), bundle->manifest.sample_data.size());
  }
  EXPECT_THAT(words(bundle_from_embedded("nothing")), HasSubstr("pack.json: is missing"));
}

}  // namespace
}  // namespace rowhouse::tenancy
