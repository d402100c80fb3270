#include "tenancy/manifest_roles.h"

#include <gmock/gmock.h>

#include "tenancy/pack_fixture.h"

namespace rowhouse::tenancy {
namespace {

using ::testing::ElementsAre;

constexpr const char* kRoles = R"({
  "admin": {"title": "Administrator", "description": "Everything", "operations": ["*"]},
  "user": {"title": "User", "description": "Own rows", "operations": ["lead:read", "tenant:read"], "rows": "own"}
})";

// The manifest of the fixture with these roles; "" leaves a member out.
json::Value with(std::string_view roles, std::string_view admin_role) {
  auto document = fixture::manifest_document();
  if (!roles.empty()) document.set("roles", json::parse(roles).value());
  if (!admin_role.empty()) document.set("admin_role", json::parse(admin_role).value());
  return document;
}

std::vector<std::string> faults_of(const json::Value& document) {
  const auto parsed = parse_manifest(document);
  std::vector<std::string> paths;
  if (parsed.ok()) return paths;
  for (const FieldError& field : parsed.error().fields) paths.push_back(field.path);
  return paths;
}

// One role "a" with this in place of what is right; "admin" beside it.
std::string role(std::string_view body) {
  return R"({"admin": {"title": "A", "description": "d", "operations": ["*"]}, "a": )" + std::string(body) +
         "}";
}

TEST(ManifestRoles, AreRead) {
  const auto manifest = parse_manifest(with(kRoles, R"("admin")"));
  ASSERT_TRUE(manifest.ok()) << manifest.error().message;
  EXPECT_EQ(manifest->admin_role, "admin");
  ASSERT_EQ(manifest->roles.size(), 2U);
  const Role* user = manifest->find_role("user");
  ASSERT_NE(user, nullptr);
  EXPECT_EQ(user->title, "User");
  EXPECT_EQ(user->rows, RowScope::own);
  EXPECT_TRUE(user->permissions->contains("lead:read"));
  EXPECT_FALSE(user->permissions->contains("lead:delete"));
  EXPECT_EQ(manifest->find_role("admin")->rows, RowScope::all);
  EXPECT_TRUE(manifest->find_role("admin")->permissions->is_everything());
  EXPECT_EQ(manifest->find_role("viewer"), nullptr);
}

TEST(ManifestRoles, WithoutAnyThereIsOneThatMayDoEverything) {
  const auto manifest = parse_manifest(with("", ""));
  ASSERT_TRUE(manifest.ok());
  ASSERT_EQ(manifest->roles.size(), 1U);
  EXPECT_EQ(manifest->roles[0].name, manifest->admin_role);
  EXPECT_TRUE(manifest->roles[0].permissions->is_everything());
}

TEST(ManifestRoles, FaultsAreNamed) {
  EXPECT_THAT(faults_of(with("", R"("admin")")), ElementsAre("/admin_role"));
  EXPECT_THAT(faults_of(with(kRoles, "")), ElementsAre("/admin_role"));
  EXPECT_THAT(faults_of(with(kRoles, R"("boss")")), ElementsAre("/admin_role"));
  EXPECT_THAT(faults_of(with(kRoles, "1")), ElementsAre("/admin_role"));
  EXPECT_THAT(faults_of(with(kRoles, R"("user")")), ElementsAre("/admin_role", "/admin_role"))
      << "a first user who can let nobody else in";
  EXPECT_THAT(faults_of(with("{}", R"("admin")")), ElementsAre("/roles"));
  EXPECT_THAT(faults_of(with("[]", R"("admin")")), ElementsAre("/roles"));
  struct Case {
    const char* body;
    const char* path;
  };
  for (const Case& wrong : std::initializer_list<Case>{
           {"1", "/roles/a"},
           {R"({"description": "d", "operations": ["*"]})", "/roles/a/title"},
           {R"({"title": "t", "description": "", "operations": ["*"]})", "/roles/a/description"},
           {R"({"title": "t", "description": "d"})", "/roles/a/operations"},
           {R"({"title": "t", "description": "d", "operations": []})", "/roles/a/operations"},
           {R"({"title": "t", "description": "d", "operations": ["lead"]})", "/roles/a/operations/0"},
           {R"({"title": "t", "description": "d", "operations": ["lead:fly"]})", "/roles/a/operations/0"},
           {R"({"title": "t", "description": "d", "operations": ["fly:*"]})", "/roles/a/operations/0"},
           {R"({"title": "t", "description": "d", "operations": ["lead:read", "lead:read"]})",
            "/roles/a/operations/1"},
           {R"({"title": "t", "description": "d", "operations": ["tenants:read"]})", "/roles/a/operations/0"},
           {R"({"title": "t", "description": "d", "operations": ["*"], "rows": "some"})", "/roles/a/rows"},
           {R"({"title": "t", "description": "d", "operations": ["*"], "row": "own"})", "/roles/a/row"}}) {
    EXPECT_THAT(faults_of(with(role(wrong.body), R"("admin")")), ElementsAre(wrong.path)) << wrong.body;
  }
}

TEST(ManifestRoles, NoFeatureTakesAKindOfRowhouse) {
  for (const char* name : {"user:fly", "role:read", "key:manage", "session:x", "tenant:read"}) {
    auto document = fixture::manifest_document();
    json::Value features = *document.find("features");
    features.set(name, "A feature");
    document.set("features", std::move(features));
    EXPECT_THAT(faults_of(document), ElementsAre("/features/" + std::string(name)));
  }
}

TEST(ManifestRoles, KnowWhatAPatternCanAllow) {
  const auto manifest = fixture::manifest();
  for (const char* known : {"*", "lead:read", "lead:*", "key:*", "user:manage"}) {
    EXPECT_TRUE(is_permission_of(manifest, known)) << known;
  }
  for (const char* unknown : {"lead:fly", "leads:*", "tenants:read", "key:fly", "packs:*"}) {
    EXPECT_FALSE(is_permission_of(manifest, unknown)) << unknown;
  }
}

}  // namespace
}  // namespace rowhouse::tenancy
