#include "http/openapi.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <regex>
#include <set>

#include "http/column_schema.h"
#include "http/openapi_parts.h"
#include "http/schemas.h"

namespace rowhouse::http {
namespace {

using json::Value;
using net::Method;
using tenancy::Column;
using tenancy::ColumnKind;
using tenancy::Pack;
using tenancy::Resource;
using tenancy::Verb;

std::vector<RouteInfo> all_routes() {
  std::vector<RouteInfo> routes;
  const auto add = [&](RouteInfo route) { routes.push_back(std::move(route)); };
  const auto data = [&](Method method, const char* path, Guard guard, const char* id) {
    add(RouteInfo(method, path, guard, id, id).in("Data"));
  };
  add(RouteInfo(Method::get, "/healthz", Guard::open(), "getHealth", "Alive?")
          .in("Server")
          .returns(200, ref("Health")));
  add(RouteInfo(Method::get, "/v1/tenants", Guard::platform("tenants:read"), "listTenants", "List tenants")
          .in("Tenants")
          .query("limit", "Tenants on a page", integer_schema(1, 500, 50))
          .returns(200, ref("TenantPage")));
  add(RouteInfo(Method::post, "/v1/tenants", Guard::platform("tenants:manage"), "createTenant",
                "Create a tenant")
          .in("Tenants")
          .takes(ref("TenantCreate"))
          .returns(201, ref("TenantCreated"))
          .also(200)
          .with_location());
  add(RouteInfo(Method::remove, "/v1/tenants/{tenant}/keys/{key}", Guard::platform("keys:manage"),
                "revokeKey", "Revoke a key")
          .in("Tenants")
          .returns(204));
  add(RouteInfo(Method::get, "/v1/tenant", Guard::tenant("tenant:read"), "getOwnTenant",
                "The tenant of the key")
          .in("Tenant")
          .returns(200, ref("OwnTenant")));
  data(Method::get, "/v1/data/{resource}", Guard::resource(Verb::read), "listRows");
  data(Method::post, "/v1/data/{resource}", Guard::resource(Verb::create), "createRows");
  data(Method::get, "/v1/data/{resource}/{id}", Guard::resource(Verb::read), "getRow");
  data(Method::patch, "/v1/data/{resource}/{id}", Guard::resource(Verb::update), "updateRow");
  data(Method::remove, "/v1/data/{resource}/{id}", Guard::resource(Verb::remove), "deleteRow");
  data(Method::post, "/v1/rpc/{function}", Guard::function(), "callFunction");
  data(Method::post, "/v1/import/{resource}", Guard::resource(Verb::import_rows), "importRows");
  data(Method::get, "/v1/export/{resource}", Guard::resource(Verb::export_rows), "exportRows");
  return routes;
}

enum class Null { yes, no };
enum class Default { yes, no };

Column make_column(std::string name, std::string type, ColumnKind kind, Null null, Default has_default) {
  Column column;
  column.name = std::move(name);
  column.type = std::move(type);
  column.kind = kind;
  column.nullable = null == Null::yes;
  column.has_default = has_default == Default::yes;
  return column;
}

Resource books_resource() {
  Resource books;
  books.name = "books";
  books.description = "Books of the library";
  books.operations = {{Verb::read, "book:read"},         {Verb::create, "book:write"},
                      {Verb::update, "book:write"},      {Verb::remove, "book:delete"},
                      {Verb::import_rows, "book:write"}, {Verb::export_rows, "book:read"}};
  books.natural_key = {"isbn"};
  books.default_order = {{"title", false}, {"pages", true}};
  books.orders = {{{"title", false}}};
  books.columns = {make_column("id", "uuid", ColumnKind::uuid, Null::no, Default::yes),
                   make_column("isbn", "character varying(13)", ColumnKind::text, Null::no, Default::no),
                   make_column("title", "text", ColumnKind::text, Null::no, Default::no),
                   make_column("pages", "smallint", ColumnKind::integer, Null::yes, Default::no),
                   make_column("state", "book_state", ColumnKind::text, Null::yes, Default::no),
                   make_column("tags", "text[]", ColumnKind::array, Null::no, Default::yes),
                   make_column("extra", "jsonb", ColumnKind::json, Null::no, Default::yes),
                   make_column("title_length", "integer", ColumnKind::integer, Null::no, Default::no),
                   make_column("version", "integer", ColumnKind::integer, Null::no, Default::no)};
  books.columns[1].max_characters = 13;
  books.columns[1].comment = "ISBN-13 without hyphens";
  books.columns[2].personal = true;
  books.columns[4].labels = {"on_shelf", "lent"};
  books.columns[7].generated = true;
  books.columns[8].read_only = true;
  return books;
}

std::shared_ptr<Pack> library_pack() {
  auto pack = std::make_shared<Pack>();
  pack->manifest.name = "library";
  pack->manifest.title = "Lending library";
  pack->resources.emplace("books", books_resource());
  Resource lent;
  lent.name = "books_lent";
  lent.is_view = true;
  lent.operations = {{Verb::read, "loan:read"}};
  lent.columns = {make_column("id", "uuid", ColumnKind::uuid, Null::yes, Default::no)};
  pack->resources.emplace("books_lent", std::move(lent));
  tenancy::Function overdue;
  overdue.name = "overdue";
  overdue.description = "Loans that should have been returned";
  overdue.operation = "loan:read";
  overdue.returns_set = true;
  overdue.returns_row = true;
  tenancy::FunctionArgument day;
  day.name = "on_day";
  day.type = "date";
  day.kind = ColumnKind::date;
  overdue.arguments.push_back(day);
  overdue.result = {make_column("days_late", "integer", ColumnKind::integer, Null::yes, Default::no)};
  pack->functions.emplace("overdue", std::move(overdue));
  return pack;
}

// Has a resource of the same name, with another operation and other columns.
std::shared_ptr<Pack> shop_pack() {
  auto pack = std::make_shared<Pack>();
  pack->manifest.name = "shop";
  pack->manifest.title = "Book shop";
  Resource books;
  books.name = "books";
  books.operations = {{Verb::read, "stock:read"}, {Verb::create, "stock:write"}};
  books.columns = {make_column("id", "bigint", ColumnKind::integer, Null::no, Default::yes),
                   make_column("price", "numeric(10,2)", ColumnKind::number, Null::no, Default::no)};
  pack->resources.emplace("books", std::move(books));
  return pack;
}

Value build(const std::vector<std::shared_ptr<const Pack>>& packs, std::string_view filter = "") {
  const std::vector<RouteInfo> routes = all_routes();
  return build_openapi(routes, packs, filter);
}

const Value& at(const Value& value, std::initializer_list<std::string_view> path) {
  static const Value missing;
  const Value* current = &value;
  for (const std::string_view name : path) {
    current = current->find(name);
    if (current == nullptr) {
      ADD_FAILURE() << "no member " << name;
      return missing;
    }
  }
  return *current;
}

bool has(const Value& value, std::string_view name) { return value.find(name) != nullptr; }

std::string text_of(const Value& value) {
  const std::string* text = value.as_string();
  return text == nullptr ? json::serialize(value) : *text;
}

void for_each_value(const Value& value, const std::function<void(const Value&)>& visit) {
  visit(value);
  if (const json::Array* array = value.as_array()) {
    for (const Value& item : *array) for_each_value(item, visit);
  }
  if (const json::Object* object = value.as_object()) {
    for (const auto& [name, item] : *object) for_each_value(item, visit);
  }
}

using Visit = std::function<void(const std::string& path, const std::string& method, const Value& operation)>;
void for_each_operation(const Value& document, const Visit& visit) {
  for (const auto& [path, item] : *at(document, {"paths"}).as_object()) {
    for (const auto& [method, operation] : *item.as_object()) visit(path, method, operation);
  }
}

// The value a reference leads to, or null.
const Value* resolve(const Value& document, const Value& value) {
  const Value* reference = value.find("$ref");
  if (reference == nullptr) return &value;
  std::string_view rest = *reference->as_string();
  if (!rest.starts_with("#/components/")) return nullptr;
  rest.remove_prefix(2);
  const Value* current = &document;
  while (current != nullptr && !rest.empty()) {
    const auto slash = rest.find('/');
    current = current->find(rest.substr(0, slash));
    rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
  }
  return current;
}

std::vector<std::string> parameter_names(const Value& document, const Value& operation, std::string_view in) {
  std::vector<std::string> names;
  const Value* parameters = operation.find("parameters");
  if (parameters == nullptr) return names;
  for (const Value& entry : *parameters->as_array()) {
    const Value* parameter = resolve(document, entry);
    if (parameter != nullptr && text_of(at(*parameter, {"in"})) == in) {
      names.push_back(text_of(at(*parameter, {"name"})));
    }
  }
  return names;
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

TEST(OpenApi, HasTheShapeOfVersion31) {
  const Value document = build({library_pack(), shop_pack()});
  EXPECT_EQ(at(document, {"openapi"}), Value("3.1.0"));
  EXPECT_NE(at(document, {"info", "title"}).as_string(), nullptr);
  EXPECT_NE(at(document, {"info", "version"}).as_string(), nullptr);
  std::set<std::string> tags;
  for (const Value& tag : *at(document, {"tags"}).as_array()) {
    EXPECT_TRUE(tags.insert(text_of(at(tag, {"name"}))).second) << "tag twice: " << json::serialize(tag);
  }
  for_each_operation(document,
                     [&](const std::string& path, const std::string& method, const Value& operation) {
                       SCOPED_TRACE(method + " " + path);
                       for (const Value& tag : *at(operation, {"tags"}).as_array())
                         EXPECT_TRUE(tags.contains(text_of(tag)));
                       bool succeeds = false;
                       for (const auto& [status, response] : *at(operation, {"responses"}).as_object()) {
                         succeeds = succeeds || status.starts_with('2');
                         const Value* target = resolve(document, response);
                         ASSERT_NE(target, nullptr);
                         EXPECT_NE(at(*target, {"description"}).as_string(), nullptr);
                       }
                       EXPECT_TRUE(succeeds);
                       EXPECT_TRUE(has(at(operation, {"responses"}), "default"));
                     });
}

TEST(OpenApi, EveryReferenceResolves) {
  const Value document = build({library_pack(), shop_pack()});
  std::size_t references = 0;
  for_each_value(document, [&](const Value& value) {
    if (!has(value, "$ref")) return;
    ++references;
    EXPECT_NE(resolve(document, value), nullptr) << json::serialize(value);
  });
  EXPECT_GT(references, 50U);
}

TEST(OpenApi, OperationIdsAreUnique) {
  const Value document = build({library_pack(), shop_pack()});
  std::set<std::string> ids;
  for_each_operation(document, [&](const std::string& path, const std::string&, const Value& operation) {
    EXPECT_TRUE(ids.insert(text_of(at(operation, {"operationId"}))).second) << path;
  });
  EXPECT_TRUE(ids.contains("listTenants"));
  EXPECT_TRUE(ids.contains("list_books"));
  EXPECT_TRUE(ids.contains("call_overdue"));
}

TEST(OpenApi, PathParametersAreThoseOfTheTemplate) {
  const Value document = build({library_pack(), shop_pack()});
  for_each_operation(document, [&](const std::string& path, const std::string&, const Value& operation) {
    std::vector<std::string> declared = parameter_names(document, operation, "path");
    std::vector<std::string> expected;
    for (const std::string_view name : template_names(path)) expected.emplace_back(name);
    EXPECT_EQ(declared, expected) << path;
    std::set<std::string> seen;
    for (const std::string_view in : {"path", "query", "header"}) {
      for (const std::string& name : parameter_names(document, operation, in)) {
        EXPECT_TRUE(seen.insert(std::string(in) + " " + name).second) << path << " declares twice: " << name;
      }
    }
  });
}

TEST(OpenApi, SecurityFollowsTheAudience) {
  const Value document = build({library_pack()});
  const auto security = [&](const char* path, const char* method) {
    return json::serialize(at(document, {"paths", path, method, "security"}));
  };
  EXPECT_EQ(security("/healthz", "get"), "[]");
  EXPECT_EQ(security("/v1/tenants", "get"), R"([{"adminToken":[]},{"browserSession":[]}])");
  EXPECT_EQ(security("/v1/tenant", "get"), R"([{"tenantKey":[]},{"userToken":[]},{"browserSession":[]}])");
  EXPECT_EQ(security("/v1/data/books", "get"),
            R"([{"tenantKey":[]},{"userToken":[]},{"browserSession":[]}])");
  EXPECT_EQ(at(document, {"paths", "/v1/tenants", "get", "x-rowhouse-audience"}), Value("platform"));
  EXPECT_EQ(at(document, {"paths", "/v1/tenants", "get", "x-rowhouse-operation"}), Value("tenants:read"));
  EXPECT_EQ(at(document, {"paths", "/v1/tenant", "get", "x-rowhouse-operation"}), Value("tenant:read"));
  EXPECT_FALSE(has(at(document, {"paths", "/healthz", "get"}), "x-rowhouse-operation"));
  EXPECT_TRUE(has(at(document, {"components", "securitySchemes"}), "tenantKey"));
  EXPECT_TRUE(has(at(document, {"components", "securitySchemes"}), "userToken"));
  EXPECT_TRUE(has(at(document, {"components", "securitySchemes"}), "adminToken"));
  EXPECT_TRUE(has(at(document, {"components", "securitySchemes"}), "browserSession"));
}

TEST(OpenApi, FixedRoutesCarryWhatTheTableSays) {
  const Value document = build({});
  const Value& create = at(document, {"paths", "/v1/tenants", "post"});
  EXPECT_EQ(at(create, {"requestBody", "content", "application/json", "schema"}), ref("TenantCreate"));
  EXPECT_EQ(at(create, {"responses", "201", "content", "application/json", "schema"}), ref("TenantCreated"));
  EXPECT_TRUE(has(at(create, {"responses", "200", "headers"}), "Location"));
  const Value& revoke = at(document, {"paths", "/v1/tenants/{tenant}/keys/{key}", "delete"});
  EXPECT_FALSE(has(at(revoke, {"responses", "204"}), "content"));
  EXPECT_FALSE(has(revoke, "requestBody"));
  EXPECT_EQ(parameter_names(document, at(document, {"paths", "/v1/tenants", "get"}), "query"),
            std::vector<std::string>{"limit"});
}

TEST(OpenApi, ResourcesReplaceTheGenericRoutesAndOfferTheirVerbsAlone) {
  const Value document = build({library_pack()});
  const Value& paths = at(document, {"paths"});
  EXPECT_FALSE(has(paths, "/v1/data/{resource}"));
  EXPECT_FALSE(has(paths, "/v1/rpc/{function}"));
  EXPECT_TRUE(has(at(paths, {"/v1/data/books"}), "get"));
  EXPECT_TRUE(has(at(paths, {"/v1/data/books"}), "post"));
  EXPECT_TRUE(has(at(paths, {"/v1/data/books/{id}"}), "patch"));
  EXPECT_TRUE(has(at(paths, {"/v1/data/books/{id}"}), "delete"));
  EXPECT_TRUE(has(at(paths, {"/v1/import/books"}), "post"));
  EXPECT_TRUE(has(at(paths, {"/v1/export/books"}), "get"));
  EXPECT_FALSE(has(at(paths, {"/v1/data/books_lent"}), "post"));
  EXPECT_FALSE(has(at(paths, {"/v1/data/books_lent/{id}"}), "patch"));
  EXPECT_FALSE(has(paths, "/v1/import/books_lent"));
  const Value& remove = at(paths, {"/v1/data/books/{id}", "delete"});
  EXPECT_EQ(at(remove, {"x-rowhouse-operation"}), Value("book:delete"));
  EXPECT_EQ(at(remove, {"x-rowhouse-pack"}), Value("library"));
}

TEST(OpenApi, GenericRoutesStayWithoutPacks) {
  const Value document = build({});
  EXPECT_TRUE(has(at(document, {"paths"}), "/v1/data/{resource}/{id}"));
  EXPECT_TRUE(has(at(document, {"paths"}), "/v1/rpc/{function}"));
}

TEST(OpenApi, WritesCarryTheirHeadersAndConflictRule) {
  const Value document = build({library_pack()});
  const Value& create = at(document, {"paths", "/v1/data/books", "post"});
  EXPECT_TRUE(contains(parameter_names(document, create, "query"), "on_conflict"));
  EXPECT_TRUE(contains(parameter_names(document, create, "header"), "Idempotency-Key"));
  const Value& patch = at(document, {"paths", "/v1/data/books/{id}", "patch"});
  EXPECT_TRUE(contains(parameter_names(document, patch, "header"), "If-Match"));
  EXPECT_TRUE(has(at(patch, {"responses", "200", "headers"}), "ETag"));
  const Value& import = at(document, {"paths", "/v1/import/books", "post", "requestBody", "content"});
  EXPECT_TRUE(has(import, "text/csv"));
  EXPECT_TRUE(has(import, "application/x-ndjson"));
  const Value shop = build({shop_pack()});
  EXPECT_FALSE(
      contains(parameter_names(shop, at(shop, {"paths", "/v1/data/books", "post"}), "query"), "on_conflict"))
      << "there is no natural key";
}

TEST(OpenApi, ListsTakeAFilterForEachColumn) {
  const Value document = build({library_pack()});
  const Value& list = at(document, {"paths", "/v1/data/books", "get"});
  const auto names = parameter_names(document, list, "query");
  for (const char* name : {"select", "order", "limit", "cursor", "count", "isbn", "tags", "title_length"}) {
    EXPECT_TRUE(contains(names, name)) << name;
  }
  const Value& tags = at(document, {"components", "parameters", "books.tags"});
  EXPECT_EQ(at(tags, {"schema", "items", "pattern"}),
            Value("^(not\\.)?(eq|neq|lt|lte|gt|gte|is|contains|contained)\\."));
  const Value& isbn = at(document, {"components", "parameters", "books.isbn"});
  EXPECT_NE(text_of(at(isbn, {"description"})).find("ISBN-13 without hyphens"), std::string::npos);
  const auto one = parameter_names(document, at(document, {"paths", "/v1/data/books/{id}", "get"}), "query");
  EXPECT_EQ(one, std::vector<std::string>{"select"});
}

TEST(OpenApi, OrdersNameEveryColumnThatHasOne) {
  const Value document = build({library_pack()});
  for (const Value& parameter : *at(document, {"paths", "/v1/data/books", "get", "parameters"}).as_array()) {
    if (parameter.find("name") == nullptr || at(parameter, {"name"}) != Value("order")) continue;
    const std::regex pattern(text_of(at(parameter, {"schema", "items", "pattern"})));
    for (const char* good : {"title", "-title", "title.desc", "-pages.nullslast", "title.asc.nullsfirst"}) {
      EXPECT_TRUE(std::regex_match(good, pattern)) << good;
    }
    for (const char* bad : {"", "extra", "-title.desc", "nothing", "title.up"}) {
      EXPECT_FALSE(std::regex_match(bad, pattern)) << bad;
    }
    const std::string text = text_of(at(parameter, {"description"}));
    EXPECT_NE(text.find("Default: `title,-pages`"), std::string::npos) << text;
    return;
  }
  FAIL() << "there is no order";
}

TEST(OpenApi, FunctionsHaveArgumentsAndResults) {
  const Value document = build({library_pack()});
  const Value& call = at(document, {"paths", "/v1/rpc/overdue", "post"});
  EXPECT_EQ(at(call, {"x-rowhouse-operation"}), Value("loan:read"));
  EXPECT_EQ(at(call, {"requestBody", "required"}), Value(true)) << "an argument has no default";
  const Value& arguments = at(document, {"components", "schemas", "library.overdue.arguments"});
  EXPECT_EQ(json::serialize(at(arguments, {"required"})), R"(["on_day"])");
  const Value& result = at(document, {"components", "schemas", "library.overdue.result"});
  EXPECT_TRUE(has(at(result, {"properties", "data", "items", "properties"}), "days_late"));
}

TEST(OpenApi, PacksThatShareANameShareAPath) {
  const Value document = build({shop_pack(), library_pack()});
  const Value& list = at(document, {"paths", "/v1/data/books", "get"});
  EXPECT_EQ(json::serialize(at(list, {"x-rowhouse-pack"})), R"(["library","shop"])");
  EXPECT_EQ(json::serialize(at(list, {"x-rowhouse-operation"})),
            R"({"library":"book:read","shop":"stock:read"})");
  const Value& schema = at(list, {"responses", "200", "content", "application/json", "schema"});
  EXPECT_EQ(at(schema, {"anyOf"}).as_array()->size(), 2U);
  const auto names = parameter_names(document, list, "query");
  EXPECT_TRUE(contains(names, "isbn"));
  EXPECT_TRUE(contains(names, "price"));
  EXPECT_EQ(at(document, {"paths", "/v1/data/books/{id}", "patch", "x-rowhouse-pack"}), Value("library"))
      << "the shop does not offer changes";
}

TEST(OpenApi, AFilterLeavesOnePack) {
  const Value document = build({library_pack(), shop_pack()}, "shop");
  EXPECT_TRUE(has(at(document, {"components", "schemas"}), "shop.books"));
  EXPECT_FALSE(has(at(document, {"components", "schemas"}), "library.books"));
  EXPECT_FALSE(has(at(document, {"paths"}), "/v1/rpc/overdue"));
}

TEST(OpenApi, TheOrderOfPacksDoesNotMatter) {
  EXPECT_EQ(json::serialize(build({library_pack(), shop_pack()})),
            json::serialize(build({shop_pack(), library_pack()})));
}

TEST(ColumnSchema, FollowsTypeNullAndLength) {
  const Resource books = books_resource();
  const auto schema = [&](const char* name) {
    return json::serialize(column_schema(*books.find_column(name)));
  };
  EXPECT_EQ(schema("id"), R"({"type":"string","format":"uuid"})");
  EXPECT_EQ(schema("isbn"), R"({"type":"string","maxLength":13,"description":"ISBN-13 without hyphens"})");
  EXPECT_EQ(schema("title"), R"({"type":"string","x-rowhouse-personal-data":true})");
  EXPECT_EQ(schema("pages"),
            R"({"type":["integer","null"],"format":"int32","minimum":-32768,"maximum":32767})");
  EXPECT_EQ(schema("state"), R"({"type":["string","null"],"enum":["on_shelf","lent",null]})");
  EXPECT_EQ(schema("tags"), R"({"type":"array","items":{"type":"string"}})");
  EXPECT_EQ(schema("extra"), "{}");
  EXPECT_EQ(json::serialize(column_schema(make_column("d", "date", ColumnKind::date, Null::no, Default::no))),
            R"({"type":"string","format":"date"})");
  EXPECT_EQ(
      json::serialize(column_schema(make_column("n", "inet", ColumnKind::other, Null::no, Default::no))),
      R"x({"type":"string","description":"(PostgreSQL type inet)"})x");
}

TEST(ColumnSchema, BodiesLeaveOutWhatTheDatabaseKeeps) {
  const Resource books = books_resource();
  const Value create = create_schema(books);
  EXPECT_EQ(json::serialize(at(create, {"required"})), R"(["isbn","title"])");
  EXPECT_EQ(at(create, {"additionalProperties"}), Value(false));
  EXPECT_TRUE(has(at(create, {"properties"}), "id"));
  EXPECT_FALSE(has(at(create, {"properties"}), "title_length")) << "generated";
  EXPECT_FALSE(has(at(create, {"properties"}), "version")) << "read-only";
  const Value patch = patch_schema(books);
  EXPECT_FALSE(has(patch, "required"));
  EXPECT_FALSE(has(at(patch, {"properties"}), "id"));
  EXPECT_TRUE(has(at(patch, {"properties"}), "pages"));
  const Value row = row_schema(books);
  EXPECT_EQ(at(row, {"required"}).as_array()->size(), books.columns.size());
  EXPECT_EQ(at(row, {"properties", "version", "readOnly"}), Value(true));
}

TEST(ColumnSchema, ScalarsAndRowsOfFunctions) {
  tenancy::Function function;
  function.result = {make_column("total", "bigint", ColumnKind::integer, Null::yes, Default::no)};
  EXPECT_EQ(json::serialize(result_schema(function)), R"({"type":["integer","null"],"format":"int64"})");
  function.returns_row = true;
  EXPECT_EQ(json::serialize(at(result_schema(function), {"type"})), R"(["object","null"])");
}

TEST(Schemas, TellOnesOwnFromPacks) {
  for (const auto& [name, schema] : component_schemas()) {
    EXPECT_EQ(name.find('.'), std::string::npos) << "names with dots are those of packs";
    EXPECT_TRUE(has(schema, "type")) << name;
  }
}

}  // namespace
}  // namespace rowhouse::http
