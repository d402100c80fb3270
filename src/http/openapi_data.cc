#include "http/openapi_data.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <set>

#include "http/column_schema.h"
#include "http/openapi_parts.h"
#include "http/schemas.h"

namespace rowhouse::http {
namespace {

using tenancy::Column;
using tenancy::Function;
using tenancy::Pack;
using tenancy::Resource;
using tenancy::Verb;

enum class DataRoute { list, get, create, update, remove, import_rows, export_rows, call };

struct GenericRoute {
  net::Method method;
  std::string_view path;
  DataRoute kind;
  Verb verb;  // without meaning for call
};

constexpr GenericRoute kGenericRoutes[] = {
    {net::Method::get, "/v1/data/{resource}", DataRoute::list, Verb::read},
    {net::Method::post, "/v1/data/{resource}", DataRoute::create, Verb::create},
    {net::Method::get, "/v1/data/{resource}/{id}", DataRoute::get, Verb::read},
    {net::Method::patch, "/v1/data/{resource}/{id}", DataRoute::update, Verb::update},
    {net::Method::remove, "/v1/data/{resource}/{id}", DataRoute::remove, Verb::remove},
    {net::Method::post, "/v1/import/{resource}", DataRoute::import_rows, Verb::import_rows},
    {net::Method::get, "/v1/export/{resource}", DataRoute::export_rows, Verb::export_rows},
    {net::Method::post, "/v1/rpc/{function}", DataRoute::call, Verb::read},
};

const GenericRoute* find_generic(const RouteInfo& route) {
  for (const GenericRoute& generic : kGenericRoutes) {
    if (route.method == generic.method && route.path == generic.path) return &generic;
  }
  return nullptr;
}

std::string with_name(std::string_view path, std::string_view name) {
  const auto open = path.find('{');
  const auto close = path.find('}');
  return std::string(path.substr(0, open)) + std::string(name) + std::string(path.substr(close + 1));
}

// Dots cannot be in names of packs and resources, so that no two schemas get the same name.
std::string schema_name(const Pack& pack, std::string_view name, std::string_view form = {}) {
  std::string text = pack.manifest.name + "." + std::string(name);
  return form.empty() ? text : text + "." + std::string(form);
}

json::Value link_to(const Pack& pack, std::string_view name, std::string_view form = {}) {
  return http::ref(schema_name(pack, name, form));  // qualified: std::ref would be found as well
}

std::string tag_of(const Pack& pack, std::string_view resource) {
  return pack.manifest.name + " / " + std::string(resource);
}
std::string function_tag_of(const Pack& pack) { return pack.manifest.name + " functions"; }

json::Value any_of(json::Array schemas) {
  if (schemas.size() == 1) return std::move(schemas.front());
  return json::Object{{"anyOf", std::move(schemas)}};
}

json::Value list_of(json::Value items) {
  return json::Object{{"type", "array"}, {"items", std::move(items)}};
}

// What all operations of packs have in common. `names`: packs and the features that guard the operation in
// each.
json::Value operation_of(std::string operation_id, std::string summary, std::string description,
                         json::Array tags, const std::vector<std::pair<std::string, std::string>>& guards) {
  json::Value operation;
  operation.set("operationId", std::move(operation_id));
  operation.set("summary", std::move(summary));
  std::set<std::string_view> features;
  json::Array packs;
  json::Object by_pack;
  for (const auto& [pack, feature] : guards) {
    features.insert(feature);
    packs.emplace_back(pack);
    by_pack.emplace_back(pack, feature);
  }
  const bool is_one = features.size() == 1;
  if (is_one) description += " The plan must include `" + std::string(*features.begin()) + "`.";
  operation.set("description", std::move(description));
  operation.set("tags", std::move(tags));
  operation.set("x-rowhouse-audience", audience_name(Audience::tenant));
  operation.set("x-rowhouse-pack",
                packs.size() == 1 ? std::move(packs.front()) : json::Value(std::move(packs)));
  operation.set("x-rowhouse-operation",
                is_one ? json::Value(*features.begin()) : json::Value(std::move(by_pack)));
  operation.set("security", security_of(Audience::tenant));
  return operation;
}

json::Value problem_response() { return json::Object{{"$ref", "#/components/responses/Problem"}}; }

// The operations of one resource name. The entries are those packs that offer the route's verb.
class ResourceOperation {
 public:
  template <class Entries>
  ResourceOperation(std::string_view name, const Entries& entries) : name_(name) {
    for (const auto& entry : entries) members_.emplace_back(entry.pack, entry.resource);
  }

  json::Value build(const GenericRoute& route) const {
    Parts parts;
    switch (route.kind) {
      case DataRoute::list:
        list(parts);
        break;
      case DataRoute::get:
        get(parts);
        break;
      case DataRoute::create:
        create(parts);
        break;
      case DataRoute::update:
        update(parts);
        break;
      case DataRoute::remove:
        remove(parts);
        break;
      case DataRoute::import_rows:
        import_rows(parts);
        break;
      case DataRoute::export_rows:
        export_rows(parts);
        break;
      case DataRoute::call:
        break;  // not a resource's
    }
    parts.parameters.push_back(parameter_ref("X-Tenant-ID"));
    parts.responses.set("default", problem_response());
    json::Value operation = describe(route);
    operation.set("parameters", std::move(parts.parameters));
    if (!parts.body.is_null()) operation.set("requestBody", std::move(parts.body));
    operation.set("responses", std::move(parts.responses));
    return operation;
  }

 private:
  using Member = std::pair<const Pack*, const Resource*>;
  struct Parts {
    json::Array parameters;
    json::Value body;
    json::Value responses;
  };

  json::Value describe(const GenericRoute& route) const {
    const std::string what(name_);
    const std::string about = members_.front().second->description;
    const std::string subject = about.empty() ? "" : about + ". ";
    std::string id, summary, text;
    switch (route.kind) {
      case DataRoute::list:
        id = "list", summary = "List " + what;
        text = subject + "Filters are joined by AND; pages are followed by their cursor.";
        break;
      case DataRoute::get:
        id = "get", summary = "Get a row of " + what;
        text = subject + "The ETag serves If-Match of a later change.";
        break;
      case DataRoute::create:
        id = "create", summary = "Create " + what;
        text = subject + "An object makes one row; an array makes many, all or none.";
        break;
      case DataRoute::update:
        id = "update", summary = "Change a row of " + what;
        text = subject + "Members that are left out stay as they are.";
        break;
      case DataRoute::remove:
        id = "delete", summary = "Delete a row of " + what;
        text = subject + "Rows that depend on it may go with it, as the pack decides.";
        break;
      case DataRoute::import_rows:
        id = "import", summary = "Import " + what;
        text = subject + "Rows are read, checked and written as they arrive; the file may be large.";
        break;
      case DataRoute::export_rows:
        id = "export", summary = "Export " + what;
        text = subject + "All rows that match, as one stream in one snapshot.";
        break;
      case DataRoute::call:
        break;
    }
    json::Array tags;
    std::vector<std::pair<std::string, std::string>> guards;
    for (const auto& [pack, resource] : members_) {
      tags.emplace_back(tag_of(*pack, name_));
      guards.emplace_back(pack->manifest.name, resource->operations.at(route.verb));
    }
    // The underscore keeps these apart from the ids of fixed routes, which are in camelCase.
    return operation_of(id + "_" + what, std::move(summary), std::move(text), std::move(tags), guards);
  }

  json::Value schema(std::string_view form = {}) const {
    json::Array schemas;
    for (const auto& member : members_) schemas.push_back(link_to(*member.first, name_, form));
    return any_of(std::move(schemas));
  }

  // Names of columns over all packs, in order, each once.
  std::vector<std::string_view> columns() const {
    std::vector<std::string_view> names;
    for (const auto& member : members_) {
      for (const Column& column : member.second->columns) {
        if (std::find(names.begin(), names.end(), column.name) == names.end()) names.push_back(column.name);
      }
    }
    return names;
  }

  // A list in one parameter, separated by commas.
  static json::Value comma_parameter(std::string_view name, std::string_view text, json::Value items) {
    json::Value value = parameter("query", name, text, list_of(std::move(items)));
    value.set("style", "form");
    value.set("explode", false);
    return value;
  }

  json::Value select_parameter() const {
    return comma_parameter("select", "Columns to answer with, separated by commas; all if left out.",
                           enum_schema(columns()));
  }

  static std::string order_text(const std::vector<tenancy::OrderTerm>& terms) {
    std::string text;
    for (const auto& term : terms)
      text += (text.empty() ? "" : ",") + std::string(term.descending ? "-" : "") + term.column;
    return text;
  }

  bool has_order(std::string_view name) const {
    return std::any_of(members_.begin(), members_.end(), [&](const Member& member) {
      const Column* column = member.second->find_column(name);
      return column != nullptr && column->kind != tenancy::ColumnKind::json;
    });
  }

  json::Value order_parameter() const {
    const Resource& resource = *members_.front().second;
    std::string text =
        "Columns to sort by, separated by commas; `-` in front sorts descending, `.nullsfirst` and "
        "`.nullslast` place NULL. `id` breaks ties.";
    if (!resource.default_order.empty()) text += " Default: `" + order_text(resource.default_order) + "`.";
    std::string fast;
    for (const auto& order : resource.orders) fast += (fast.empty() ? "`" : ", `") + order_text(order) + "`";
    if (!fast.empty()) text += " Fast on any number of rows: " + fast + ".";
    std::string names;
    for (const std::string_view column : columns()) {
      if (has_order(column)) names += (names.empty() ? "" : "|") + std::string(column);
    }
    json::Value term = string_schema();
    term.set("pattern", "^(-?(" + names + ")|(" + names + ")\\.(asc|desc))(\\.(nullsfirst|nullslast))?$");
    return comma_parameter("order", text, std::move(term));
  }

  void add_filters(json::Array& parameters) const {
    for (const std::string_view column : columns()) {
      parameters.push_back(parameter_ref(std::string(name_) + "." + std::string(column)));
    }
  }

  json::Value id_parameter() const {
    json::Array schemas;
    for (const auto& member : members_) {
      const Column* id = member.second->find_column("id");
      json::Value one = id == nullptr ? string_schema() : column_schema(*id);
      if (const json::Value* type = one.find("type"); type != nullptr && type->as_array() != nullptr) {
        json::Value without_null = type->as_array()->front();
        one.set("type", std::move(without_null));  // ids of views
      }
      if (std::find(schemas.begin(), schemas.end(), one) == schemas.end()) schemas.push_back(std::move(one));
    }
    return parameter("path", "id", "Identifier of the row", any_of(std::move(schemas)));
  }

  // A conflict can be settled where rows have a natural key and a version of their own: in plain tables.
  bool settles_conflicts() const {
    return std::any_of(members_.begin(), members_.end(), [](const Member& member) {
      return !member.second->natural_key.empty() && !member.second->is_view && !member.second->is_partitioned;
    });
  }

  bool any_offers(Verb verb) const {
    return std::any_of(members_.begin(), members_.end(),
                       [&](const Member& member) { return member.second->operations.contains(verb); });
  }

  std::string natural_key_text() const {
    std::string text;
    for (const auto& member : members_) {
      if (!text.empty()) break;
      for (const auto& column : member.second->natural_key)
        text += (text.empty() ? "`" : ", `") + column + "`";
    }
    return text;
  }

  json::Value on_conflict_parameter(std::string_view by_default) const {
    std::vector<std::string_view> choices = {"error"};
    if (any_offers(Verb::update)) choices.push_back("update");
    if (any_offers(Verb::read)) choices.push_back("ignore");
    json::Value choice = enum_schema(choices);
    choice.set("default", by_default);
    const std::string text =
        "What becomes of a row whose natural key (" + natural_key_text() +
        ") is there already: `error` refuses, `update` changes the row that is there, `ignore` "
        "leaves it as it is.";
    return parameter("query", "on_conflict", text, std::move(choice));
  }

  static json::Value answer(int status, json::Value content) {
    return response_of(status_phrase(status), Audience::tenant, std::move(content));
  }

  void list(Parts& parts) const {
    parts.parameters.push_back(select_parameter());
    parts.parameters.push_back(order_parameter());
    for (const std::string_view name : {"limit", "cursor", "count"})
      parts.parameters.push_back(parameter_ref(name));
    add_filters(parts.parameters);
    parts.responses.set("200", answer(200, json_content(schema("list"))));
  }

  void get(Parts& parts) const {
    parts.parameters.push_back(id_parameter());
    parts.parameters.push_back(select_parameter());
    parts.parameters.push_back(parameter_ref("If-None-Match"));
    json::Value found = answer(200, json_content(schema()));
    add_header(found, "ETag", header_ref("ETag"));
    parts.responses.set("200", std::move(found));
    json::Value unchanged = answer(304, nullptr);
    add_header(unchanged, "ETag", header_ref("ETag"));
    parts.responses.set("304", std::move(unchanged));
  }

  void create(Parts& parts) const {
    if (settles_conflicts()) parts.parameters.push_back(on_conflict_parameter("error"));
    parts.parameters.push_back(parameter_ref("Idempotency-Key"));
    json::Array bodies;
    bodies.push_back(schema("create"));
    json::Value many = list_of(schema("create"));
    many.set("minItems", 1);
    bodies.push_back(std::move(many));
    parts.body = body(json_content(any_of(std::move(bodies))));

    json::Object page;
    page.emplace_back("data", list_of(schema()));
    json::Array answers;
    answers.push_back(schema());
    answers.emplace_back(json::Object{
        {"type", "object"}, {"properties", std::move(page)}, {"required", json::Array{json::Value("data")}}});
    json::Value created = answer(201, json_content(any_of(std::move(answers))));
    for (const std::string_view name : {"Location", "ETag", "Idempotency-Replayed"}) {
      add_header(created, name, header_ref(name));
    }
    if (settles_conflicts()) {
      json::Value kept = created;
      kept.set("description", "No new row: the one that is there was changed or left as it is (on_conflict)");
      parts.responses.set("200", std::move(kept));
    }
    parts.responses.set("201", std::move(created));
  }

  void update(Parts& parts) const {
    parts.parameters.push_back(id_parameter());
    parts.parameters.push_back(parameter_ref("If-Match"));
    parts.parameters.push_back(parameter_ref("Idempotency-Key"));
    parts.body = body(json_content(schema("patch")));
    json::Value changed = answer(200, json_content(schema()));
    add_header(changed, "ETag", header_ref("ETag"));
    add_header(changed, "Idempotency-Replayed", header_ref("Idempotency-Replayed"));
    parts.responses.set("200", std::move(changed));
  }

  void remove(Parts& parts) const {
    parts.parameters.push_back(id_parameter());
    parts.parameters.push_back(parameter_ref("If-Match"));
    parts.parameters.push_back(parameter_ref("Idempotency-Key"));
    parts.responses.set("204", answer(204, nullptr));
  }

  void import_rows(Parts& parts) const {
    if (settles_conflicts()) parts.parameters.push_back(on_conflict_parameter("ignore"));
    parts.parameters.push_back(parameter_ref("on_error"));
    json::Value content;
    json::Value csv = string_schema();
    csv.set("description",
            "A header row of column names, then one row for each line (RFC 4180); an empty cell is NULL");
    content.set("text/csv", json::Object{{"schema", std::move(csv)}});
    json::Value lines = string_schema();
    lines.set("description", "One JSON object for each line, in the form in which a row is created");
    content.set("application/x-ndjson", json::Object{{"schema", std::move(lines)}});
    parts.body = body(std::move(content));
    parts.responses.set("200", answer(200, json_content(ref("ImportReport"))));
  }

  void export_rows(Parts& parts) const {
    parts.parameters.push_back(parameter_ref("format"));
    parts.parameters.push_back(select_parameter());
    parts.parameters.push_back(order_parameter());
    add_filters(parts.parameters);
    json::Value found = answer(200, content_of({"text/csv", "application/x-ndjson"}, string_schema()));
    add_header(found, "Content-Disposition", header_ref("Content-Disposition"));
    parts.responses.set("200", std::move(found));
  }

  static json::Value body(json::Value content) {
    return json::Object{{"required", true}, {"content", std::move(content)}};
  }

  std::string_view name_;
  std::vector<Member> members_;
};

std::string example_operand(const Column& column) {
  using tenancy::ColumnKind;
  if (!column.labels.empty() && column.kind != ColumnKind::array) return "eq." + column.labels.front();
  switch (column.kind) {
    case ColumnKind::boolean:
      return "is.true";
    case ColumnKind::integer:
    case ColumnKind::number:
      return "gte.10";
    case ColumnKind::uuid:
      return "eq.018f4e1c-0000-7000-8000-000000000001";
    case ColumnKind::date:
      return "gte.2026-01-31";
    case ColumnKind::timestamp:
      return "gte.2026-01-31T00:00:00Z";
    case ColumnKind::json:
      return column.type == "jsonb" ? "contains.{\"key\":\"value\"}" : "is.not_null";
    case ColumnKind::array:
      return "contains.[\"a\"]";
    case ColumnKind::bytes:
      return "eq.\\x00ff";
    case ColumnKind::text:
      return "ilike.*north*";
    case ColumnKind::other:
      break;
  }
  return "is.not_null";
}

json::Value filter_parameter(const Column& column) {
  std::string names, alternatives;
  for (const std::string_view name : filter_operators(column)) {
    names += (names.empty() ? "`" : ", `") + std::string(name) + "`";
    alternatives += (alternatives.empty() ? "" : "|") + std::string(name);
  }
  std::string text = column.comment.empty() ? "" : column.comment + ". ";
  text += "Filter `OPERATOR.VALUE` or `not.OPERATOR.VALUE`; operators: " + names + ". May be repeated.";
  json::Value condition = string_schema();
  condition.set("pattern", "^(not\\.)?(" + alternatives + ")\\.");
  json::Value value = parameter("query", column.name, text, list_of(std::move(condition)));
  value.set("style", "form");
  value.set("explode", true);
  value.set("example", json::Array{json::Value(example_operand(column))});
  return value;
}

json::Value page_schema(const Pack& pack, std::string_view resource) {
  json::Object properties;
  properties.emplace_back("data", list_of(link_to(pack, resource)));
  properties.emplace_back(
      "next_cursor", json::Object{{"type", json::Array{json::Value("string"), json::Value("null")}},
                                  {"description", "Parameter cursor of the next page; null at the end"}});
  properties.emplace_back("count",
                          json::Object{{"type", "integer"},
                                       {"format", "int64"},
                                       {"description", "Number of rows that match; with count=exact"}});
  return json::Object{{"type", "object"},
                      {"properties", std::move(properties)},
                      {"required", json::Array{json::Value("data"), json::Value("next_cursor")}}};
}

json::Value function_operation(std::string_view name, const std::vector<const Pack*>& packs) {
  json::Array tags, arguments, results;
  std::vector<std::pair<std::string, std::string>> guards;
  bool needs_body = true;
  for (const Pack* pack : packs) {
    const Function& function = pack->functions.find(name)->second;
    tags.emplace_back(function_tag_of(*pack));
    guards.emplace_back(pack->manifest.name, function.operation);
    arguments.push_back(link_to(*pack, name, "arguments"));
    results.push_back(link_to(*pack, name, "result"));
    needs_body = needs_body && std::any_of(function.arguments.begin(), function.arguments.end(),
                                           [](const auto& argument) { return !argument.has_default; });
  }
  const Function& first = packs.front()->functions.find(name)->second;
  std::string text = first.description.empty() ? "" : first.description + ".";
  text += first.read_only ? " It only reads." : " It may change rows.";
  json::Value operation = operation_of("call_" + std::string(name), "Call " + std::string(name),
                                       std::move(text), std::move(tags), guards);
  operation.set("parameters", json::Array{parameter_ref("X-Tenant-ID")});
  operation.set("requestBody", json::Object{{"required", needs_body},
                                            {"content", json_content(any_of(std::move(arguments)))}});
  json::Value responses;
  responses.set("200",
                response_of(status_phrase(200), Audience::tenant, json_content(any_of(std::move(results)))));
  responses.set("default", problem_response());
  operation.set("responses", std::move(responses));
  return operation;
}

void set_operation(json::Value& paths, const std::string& path, net::Method method, json::Value operation) {
  const json::Value* existing = paths.find(path);
  json::Value item = existing == nullptr ? json::Value() : *existing;
  item.set(std::string(path_item_key(method)), std::move(operation));
  paths.set(path, std::move(item));
}

bool offers(const Resource& resource, Verb verb) { return resource.operations.contains(verb); }

}  // namespace

DataPaths::DataPaths(std::vector<const Pack*> packs) : packs_(std::move(packs)) {
  for (const Pack* pack : packs_) {
    for (const auto& [name, resource] : pack->resources) resources_[name].emplace_back(pack, &resource);
  }
}

bool DataPaths::is_generic(const RouteInfo& route) { return find_generic(route) != nullptr; }

void DataPaths::append_paths(std::span<const RouteInfo> routes, json::Value& paths) const {
  for (const auto& [name, entries] : resources_) {
    for (const RouteInfo& route : routes) {
      const GenericRoute* generic = find_generic(route);
      if (generic == nullptr || generic->kind == DataRoute::call) continue;
      Entries offering;
      std::copy_if(entries.begin(), entries.end(), std::back_inserter(offering),
                   [&](const Entry& entry) { return offers(*entry.resource, generic->verb); });
      if (offering.empty()) continue;
      set_operation(paths, with_name(route.path, name), route.method,
                    ResourceOperation(name, offering).build(*generic));
    }
  }
  std::map<std::string_view, std::vector<const Pack*>> functions;
  for (const Pack* pack : packs_) {
    for (const auto& [name, function] : pack->functions) functions[name].push_back(pack);
  }
  for (const RouteInfo& route : routes) {
    const GenericRoute* generic = find_generic(route);
    if (generic == nullptr || generic->kind != DataRoute::call) continue;
    for (const auto& [name, packs] : functions) {
      set_operation(paths, with_name(route.path, name), route.method, function_operation(name, packs));
    }
  }
}

void DataPaths::append_schemas(json::Value& schemas) const {
  for (const Pack* pack : packs_) {
    for (const auto& [name, resource] : pack->resources) {
      schemas.set(schema_name(*pack, name), row_schema(resource));
      if (offers(resource, Verb::read))
        schemas.set(schema_name(*pack, name, "list"), page_schema(*pack, name));
      if (offers(resource, Verb::create))
        schemas.set(schema_name(*pack, name, "create"), create_schema(resource));
      if (offers(resource, Verb::update))
        schemas.set(schema_name(*pack, name, "patch"), patch_schema(resource));
    }
    for (const auto& [name, function] : pack->functions) {
      schemas.set(schema_name(*pack, name, "arguments"), arguments_schema(function));
      schemas.set(schema_name(*pack, name, "result"), result_schema(function));
    }
  }
}

void DataPaths::append_parameters(json::Value& parameters) const {
  for (const auto& [name, entries] : resources_) {
    for (const Entry& entry : entries) {
      if (!offers(*entry.resource, Verb::read) && !offers(*entry.resource, Verb::export_rows)) continue;
      for (const Column& column : entry.resource->columns) {
        const std::string key = std::string(name) + "." + column.name;
        if (parameters.find(key) == nullptr) parameters.set(key, filter_parameter(column));
      }
    }
  }
}

void DataPaths::append_tags(json::Array& tags, json::Array& tag_groups) const {
  for (const Pack* pack : packs_) {
    json::Array names;
    for (const auto& [name, resource] : pack->resources) {
      const std::string tag = tag_of(*pack, name);
      tags.emplace_back(json::Object{{"name", tag}, {"description", resource.description}});
      names.emplace_back(tag);
    }
    if (!pack->functions.empty()) {
      const std::string tag = function_tag_of(*pack);
      tags.emplace_back(json::Object{{"name", tag}, {"description", "Functions of " + pack->manifest.title}});
      names.emplace_back(tag);
    }
    tag_groups.emplace_back(json::Object{{"name", pack->manifest.title}, {"tags", std::move(names)}});
  }
}

}  // namespace rowhouse::http
