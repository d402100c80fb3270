#include "tenancy/names.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "base/text.h"

namespace rowhouse::tenancy {
namespace {

Uuid new_id() { return Uuid::make_v7(std::chrono::system_clock::now()); }

TEST(Names, SlugsComeFromNames) {
  const Uuid id = new_id();
  EXPECT_EQ(slug_from_name("Acme Corp.", id), "acme-corp");
  EXPECT_EQ(slug_from_name("  --Acme__Corp--  ", id), "acme-corp");
  EXPECT_EQ(slug_from_name("O'Brien \"& Söhne\" GmbH", id), "obrien-sohne-gmbh");
  EXPECT_EQ(slug_from_name("Łódź Æther Straße", id), "lodz-aether-strasse");
  EXPECT_EQ(slug_from_name("cafe\xCC\x81", id), "cafe");
  EXPECT_EQ(slug_from_name("東京 42", id), "42");
}

TEST(Names, NothingUsableStillGivesASlug) {
  const Uuid id = new_id();
  EXPECT_EQ(slug_from_name("🚀🚀", id), "tenant-" + short_id(id));
  EXPECT_EQ(slug_from_name("株式会社", id), "tenant-" + short_id(id));
  EXPECT_EQ(slug_from_name("---", id), "tenant-" + short_id(id));
}

TEST(Names, ASlugIsNeverAnId) {
  const Uuid id = new_id();
  EXPECT_FALSE(is_valid_slug(id.to_string()));
  EXPECT_EQ(slug_from_name(new_id().to_string(), id), "tenant-" + short_id(id));
}

TEST(Names, SlugGrammar) {
  for (const char* good : {"a", "7", "a-b", "acme--corp", "x123456789012345678901234567890123456789"}) {
    EXPECT_TRUE(is_valid_slug(good)) << good;
  }
  for (const char* bad : {"", "-a", "a-", "A", "a_b", "a.b", "a b", "ä", "a\"b", "a/b", "a;drop",
                          "x1234567890123456789012345678901234567890"}) {
    EXPECT_FALSE(is_valid_slug(bad)) << bad;
  }
}

TEST(Names, NumbersFitIntoTheSlug) {
  EXPECT_EQ(slug_with_number("acme", 2), "acme-2");
  const std::string longest(kMaxSlugBytes, 'x');
  EXPECT_EQ(slug_with_number(longest, 12345).size(), kMaxSlugBytes);
  EXPECT_TRUE(is_valid_slug(slug_with_number(longest, 12345)));
  EXPECT_EQ(slug_with_number(std::string(37, 'x') + "-yz", 10), std::string(37, 'x') + "-10");
}

TEST(Names, FaultsOfNames) {
  EXPECT_FALSE(fault_of_tenant_name("Acme"));
  EXPECT_FALSE(fault_of_tenant_name("'; DROP TABLE tenants; --"));
  EXPECT_FALSE(fault_of_tenant_name("👩‍💻 Öl"));
  EXPECT_FALSE(fault_of_tenant_name("शक्‍ति"));
  std::string longest;
  for (std::size_t i = 0; i < kMaxTenantNameCharacters; ++i) longest += "ü";
  EXPECT_FALSE(fault_of_tenant_name(longest));
  EXPECT_TRUE(fault_of_tenant_name(longest + "x"));
  EXPECT_TRUE(fault_of_tenant_name(""));
  EXPECT_TRUE(fault_of_tenant_name(" \xC2\xA0 "));
  EXPECT_TRUE(fault_of_tenant_name("a\nb"));
  EXPECT_TRUE(fault_of_tenant_name("a\x7F"));
  EXPECT_TRUE(fault_of_tenant_name(std::string_view("a\0b", 3)));
  EXPECT_TRUE(fault_of_tenant_name("\xC0\xAF"));
  EXPECT_TRUE(
      fault_of_tenant_name("acme\xE2\x80\xAE"
                           "corp"));  // right-to-left override
}

// Whatever the name, the slug is well-formed and the objects' names are distinct, short and plain.
TEST(Names, PropertyOfManyNames) {
  std::mt19937 random(20261121);
  const std::string shared(63, 'p');
  const std::vector<std::string> pieces = {"acme", "-", "_",    "\"", "'",  "ü", "🚀",  " ", "A",
                                           "9",    "ß", shared, "\\", "$$", ";", "株", "é", "."};
  std::set<std::string> databases;
  std::set<std::string> schemas;
  constexpr int kNames = 20'000;
  for (int i = 0; i < kNames; ++i) {
    std::string name;
    const auto count = 1 + random() % 8;
    for (std::size_t piece = 0; piece < count; ++piece) name += pieces[random() % pieces.size()];
    const Uuid id = new_id();
    auto slug = slug_from_name(name, id);
    if (random() % 3 == 0) slug = slug_with_number(slug, 2 + random() % 100'000);
    ASSERT_TRUE(is_valid_slug(slug)) << name << " → " << slug;
    for (const auto& object : {tenant_database_name(slug, id), tenant_schema_name(slug, id)}) {
      ASSERT_LE(object.size(), 63U);
      ASSERT_EQ(object.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_"), std::string::npos)
          << object;
    }
    databases.insert(tenant_database_name(slug, id));
    schemas.insert(tenant_schema_name(slug, id));
  }
  EXPECT_EQ(databases.size(), static_cast<std::size_t>(kNames));
  EXPECT_EQ(schemas.size(), static_cast<std::size_t>(kNames));
}

TEST(Names, SlugsThatDifferOnlyInTheDashGetDifferentObjects) {
  const Uuid one = new_id();
  const Uuid other = new_id();
  EXPECT_NE(tenant_database_name("acme-corp", one), tenant_database_name("acme-corp", other));
  EXPECT_EQ(tenant_database_name("acme-corp", one), "tenant_acme_corp_" + one.to_string().substr(24));
  EXPECT_EQ(tenant_schema_name("acme-corp", one), "t_acme_corp_" + one.to_string().substr(24));
}

}  // namespace
}  // namespace rowhouse::tenancy
