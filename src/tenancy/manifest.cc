// Reads pack.json. Every fault is collected, so that an author sees all of them at once.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <span>

#include "base/text.h"
#include "tenancy/manifest_roles.h"
#include "tenancy/manifest_row_rules.h"
#include "tenancy/pack.h"
#include "tenancy/pack_names.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::size_t kMaxFaults = 100;  // further ones are dropped: the author has enough to do
constexpr std::size_t kMaxMembers = 500;
constexpr std::size_t kMaxShortCharacters = 200;
constexpr std::size_t kMaxLongCharacters = 2'000;
constexpr std::size_t kMaxUnitCharacters = 40;
constexpr std::size_t kMaxKeyColumns = 8;
constexpr std::size_t kMaxMetricLabels = 3;

constexpr std::array<std::string_view, 3> kServices = {"poller", "storage", "vectors"};
constexpr std::array<std::string_view, 5> kSettingTypes = {"string", "integer", "number", "boolean",
                                                           "object"};
constexpr std::array<std::string_view, 4> kMetricEvents = {"create", "update", "delete", "read"};
constexpr std::array<std::pair<std::string_view, Verb>, 6> kVerbs = {{{"read", Verb::read},
                                                                      {"create", Verb::create},
                                                                      {"update", Verb::update},
                                                                      {"delete", Verb::remove},
                                                                      {"import", Verb::import_rows},
                                                                      {"export", Verb::export_rows}}};

std::string escape_pointer(std::string_view name) {
  std::string escaped;
  for (const char c : name) {
    if (c == '~') {
      escaped += "~0";
    } else if (c == '/') {
      escaped += "~1";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string at(const std::string& path, std::string_view name) { return path + "/" + escape_pointer(name); }
std::string at(const std::string& path, std::size_t index) { return path + "/" + std::to_string(index); }

template <class Range>
std::string join(const Range& words) {
  std::string text;
  for (const auto& word : words) {
    if (!text.empty()) text += ", ";
    text += word;
  }
  return text;
}

class ManifestReader {
 public:
  Result<Manifest> read(const json::Value& document);

 private:
  using Names = std::vector<std::string>;
  enum class Presence { required, optional };

  void fault(const std::string& path, std::string what) {
    if (faults_.size() < kMaxFaults) faults_.emplace_back(path.empty() ? "/" : path, std::move(what));
  }
  // The object at `path` with no members but those allowed (an empty list: any); null after a fault.
  const json::Object* object(const json::Value* value, const std::string& path,
                             std::initializer_list<std::string_view> allowed);
  std::string text(const json::Value& parent, const std::string& path, std::string_view name,
                   Presence presence, std::size_t max_characters);
  std::string choice(const json::Value& parent, const std::string& path, std::string_view name,
                     std::span<const std::string_view> choices);
  Names strings(const json::Value& parent, const std::string& path, std::string_view name, Presence presence);
  Names column_names(const json::Value& parent, const std::string& path, std::string_view name);
  void check_column(const std::string& column, const std::string& path);
  void check_operation(const std::string& operation, const std::string& path);
  OrderTerm order(const std::string& text, const std::string& path);

  void read_head(const json::Value& document);
  void read_features(const json::Value* features);
  void read_limits(const json::Value* limits);
  void read_plans(const json::Value* plans);
  void read_plan(const std::string& name, const json::Value& value, const std::string& path);
  void read_settings(const json::Value* settings);
  void read_setting(const std::string& name, const json::Value& value, const std::string& path);
  void check_setting_value(const Setting& setting, const json::Value& value, const std::string& path);
  void read_resources(const json::Value* resources);
  void read_resource(const std::string& name, const json::Value& value, const std::string& path);
  void read_operations(Resource& resource, const json::Value* operations, const std::string& path);
  void read_functions(const json::Value* functions);
  void read_sample_data(const json::Value* samples);
  void read_metrics(const json::Value* metrics);
  void read_metric(const json::Value& value, const std::string& path);
  const Resource* find_resource(std::string_view name) const;

  Manifest manifest_;
  std::vector<FieldError> faults_;
};

const json::Object* ManifestReader::object(const json::Value* value, const std::string& path,
                                           std::initializer_list<std::string_view> allowed) {
  if (value == nullptr) {
    fault(path, "is missing");
    return nullptr;
  }
  const json::Object* members = value->as_object();
  if (members == nullptr) {
    fault(path, "must be an object, not " + std::string(value->type_name()));
    return nullptr;
  }
  if (members->size() > kMaxMembers) {
    fault(path, "has more than " + std::to_string(kMaxMembers) + " members");
    return nullptr;
  }
  if (allowed.size() == 0) return members;
  for (const auto& [name, member] : *members) {
    if (std::ranges::find(allowed, name) == allowed.end()) {
      fault(at(path, name), "is not known here; known are " + join(allowed));
    }
  }
  return members;
}

std::string ManifestReader::text(const json::Value& parent, const std::string& path, std::string_view name,
                                 Presence presence, std::size_t max_characters) {
  const json::Value* value = parent.find(name);
  if (value == nullptr) {
    if (presence == Presence::required) fault(at(path, name), "is missing");
    return "";
  }
  const std::string* content = value->as_string();
  if (content == nullptr) {
    fault(at(path, name), "must be a string, not " + std::string(value->type_name()));
    return "";
  }
  if (utf8_length(*content) > max_characters) {
    fault(at(path, name), "is longer than " + std::to_string(max_characters) + " characters");
  } else if (content->empty() && presence == Presence::required) {
    fault(at(path, name), "must not be empty");
  } else if (content->find('\0') != std::string::npos) {
    fault(at(path, name), "must not contain NUL");
  }
  return *content;
}

std::string ManifestReader::choice(const json::Value& parent, const std::string& path, std::string_view name,
                                   std::span<const std::string_view> choices) {
  std::string value = text(parent, path, name, Presence::required, kMaxShortCharacters);
  if (!value.empty() && std::ranges::find(choices, value) == choices.end()) {
    fault(at(path, name), "must be one of " + join(choices));
  }
  return value;
}

ManifestReader::Names ManifestReader::strings(const json::Value& parent, const std::string& path,
                                              std::string_view name, Presence presence) {
  Names names;
  const json::Value* value = parent.find(name);
  const std::string list_path = at(path, name);
  if (value == nullptr) {
    if (presence == Presence::required) fault(list_path, "is missing");
    return names;
  }
  const json::Array* items = value->as_array();
  if (items == nullptr || items->size() > kMaxMembers) {
    fault(list_path, "must be an array of at most " + std::to_string(kMaxMembers) + " strings");
    return names;
  }
  for (std::size_t i = 0; i < items->size(); ++i) {
    const std::string* item = (*items)[i].as_string();
    if (item == nullptr) {
      fault(at(list_path, i), "must be a string, not " + std::string((*items)[i].type_name()));
    } else if (std::ranges::find(names, *item) != names.end()) {
      fault(at(list_path, i), "stands there twice");
    } else {
      names.push_back(*item);
    }
  }
  return names;
}

void ManifestReader::check_column(const std::string& column, const std::string& path) {
  if (column == kTenantColumn) {
    fault(path, "tenant_id is kept by Rowhouse and never named here");
  } else if (!is_simple_name(column)) {
    fault(path, "is not a column name ([a-z][a-z0-9_]*, at most 63 bytes)");
  } else if (is_reserved_column(column)) {
    fault(path, "is reserved: the data API uses this name for a query parameter");
  }
}

ManifestReader::Names ManifestReader::column_names(const json::Value& parent, const std::string& path,
                                                   std::string_view name) {
  Names names = strings(parent, path, name, Presence::optional);
  for (std::size_t i = 0; i < names.size(); ++i) check_column(names[i], at(at(path, name), i));
  return names;
}

void ManifestReader::check_operation(const std::string& operation, const std::string& path) {
  if (!operation.empty() && !manifest_.features.contains(operation)) {
    fault(path, "is not declared in /features");
  }
}

// "-created_at"
OrderTerm ManifestReader::order(const std::string& text, const std::string& path) {
  OrderTerm term;
  term.descending = text.starts_with('-');
  term.column = text.substr(term.descending ? 1 : 0);
  check_column(term.column, path);
  return term;
}

const Resource* ManifestReader::find_resource(std::string_view name) const {
  for (const Resource& resource : manifest_.resources) {
    if (resource.name == name) return &resource;
  }
  return nullptr;
}

void ManifestReader::read_head(const json::Value& document) {
  manifest_.name = text(document, "", "name", Presence::required, kMaxShortCharacters);
  if (!manifest_.name.empty() && !is_pack_name(manifest_.name)) {
    fault("/name", "must be [a-z][a-z0-9-]*, at most 40 bytes");
  }
  manifest_.title = text(document, "", "title", Presence::required, kMaxShortCharacters);
  manifest_.description = text(document, "", "description", Presence::required, kMaxLongCharacters);
  manifest_.version = text(document, "", "version", Presence::required, kMaxShortCharacters);
  if (!manifest_.version.empty() && !parse_pack_version(manifest_.version)) {
    fault("/version", "must be MAJOR.MINOR.PATCH, for example 1.4.0");
  }
  constexpr std::array<std::string_view, 3> kTiers = {"pool", "schema", "database"};
  manifest_.default_tier = parse_tier(choice(document, "", "default_tier", kTiers)).value_or(Tier::pool);
  manifest_.default_plan = text(document, "", "default_plan", Presence::required, kMaxShortCharacters);
  manifest_.services = strings(document, "", "services", Presence::required);
  for (std::size_t i = 0; i < manifest_.services.size(); ++i) {
    if (std::ranges::find(kServices, manifest_.services[i]) == kServices.end()) {
      fault(at("/services", i), "must be one of " + join(kServices));
    }
  }
}

void ManifestReader::read_features(const json::Value* features) {
  const json::Object* members = object(features, "/features", {});
  if (members == nullptr) return;
  if (members->empty()) fault("/features", "must declare at least one feature");
  for (const auto& [name, value] : *members) {
    const std::string path = at("/features", name);
    if (!is_operation_name(name)) {
      fault(path, "must be named like lead:read");
    } else if (is_reserved_kind(operation_kind(name))) {
      fault(path, "has a kind of Rowhouse itself (user, role, key, session, tenant)");
    }
    const std::string* description = value.as_string();
    if (description == nullptr || description->empty() || utf8_length(*description) > kMaxShortCharacters) {
      fault(path, "must be a description in words");
      continue;
    }
    manifest_.features.emplace(name, *description);
  }
}

void ManifestReader::read_limits(const json::Value* limits) {
  const json::Object* members = object(limits, "/limits", {});
  if (members == nullptr) return;
  for (const auto& [name, value] : *members) {
    const std::string path = at("/limits", name);
    if (!is_simple_name(name)) fault(path, "is not a name ([a-z][a-z0-9_]*, at most 63 bytes)");
    if (object(&value, path, {"description", "unit", "resource"}) == nullptr) continue;
    Limit limit;
    limit.name = name;
    limit.description = text(value, path, "description", Presence::required, kMaxShortCharacters);
    limit.unit = text(value, path, "unit", Presence::required, kMaxUnitCharacters);
    limit.resource = text(value, path, "resource", Presence::optional, kMaxShortCharacters);
    if (!limit.resource.empty() && find_resource(limit.resource) == nullptr) {
      fault(at(path, "resource"), "is not declared in /resources");
    }
    manifest_.limits.push_back(std::move(limit));
  }
}

void ManifestReader::read_plans(const json::Value* plans) {
  const json::Object* members = object(plans, "/plans", {});
  if (members == nullptr) return;
  if (members->empty()) fault("/plans", "must hold at least one plan");
  for (const auto& [name, value] : *members) {
    const std::string path = at("/plans", name);
    if (!is_simple_name(name)) fault(path, "is not a name ([a-z][a-z0-9_]*, at most 63 bytes)");
    read_plan(name, value, path);
  }
  if (!manifest_.default_plan.empty() && manifest_.find_plan(manifest_.default_plan) == nullptr) {
    fault("/default_plan", "is not declared in /plans");
  }
}

void ManifestReader::read_plan(const std::string& name, const json::Value& value, const std::string& path) {
  Plan plan;
  plan.name = name;
  if (object(&value, path, {"title", "description", "support", "limits", "features"}) != nullptr) {
    plan.title = text(value, path, "title", Presence::required, kMaxShortCharacters);
    plan.description = text(value, path, "description", Presence::optional, kMaxLongCharacters);
    plan.support = text(value, path, "support", Presence::optional, kMaxShortCharacters);
    const Names features = strings(value, path, "features", Presence::required);
    for (std::size_t i = 0; i < features.size(); ++i)
      check_operation(features[i], at(at(path, "features"), i));
    plan.features.insert(features.begin(), features.end());
    const std::string limits_path = at(path, "limits");
    if (const json::Object* limits = object(value.find("limits"), limits_path, {}); limits != nullptr) {
      for (const auto& [limit, amount] : *limits) {
        const bool is_known =
            std::ranges::find(manifest_.limits, limit, &Limit::name) != manifest_.limits.end();
        const auto number = amount.as_int64();
        if (!is_known) {
          fault(at(limits_path, limit), "is not declared in /limits");
        } else if (!number || *number < kUnlimited) {
          fault(at(limits_path, limit), "must be a whole number, 0 or more, or -1 for unlimited");
        } else {
          plan.limits.emplace(limit, *number);
        }
      }
      for (const Limit& limit : manifest_.limits) {
        if (value.find("limits")->find(limit.name) == nullptr) {
          fault(at(limits_path, limit.name), "is missing; -1 means unlimited");
        }
      }
    }
  }
  manifest_.plans.push_back(std::move(plan));
}

void ManifestReader::read_settings(const json::Value* settings) {
  const json::Object* members = object(settings, "/settings", {});
  if (members == nullptr) return;
  for (const auto& [name, value] : *members) {
    const std::string path = at("/settings", name);
    if (!is_simple_name(name)) fault(path, "is not a name ([a-z][a-z0-9_]*, at most 63 bytes)");
    read_setting(name, value, path);
  }
}

void ManifestReader::read_setting(const std::string& name, const json::Value& value,
                                  const std::string& path) {
  if (object(&value, path, {"type", "default", "description", "enum", "minimum", "maximum"}) == nullptr)
    return;
  Setting setting;
  setting.name = name;
  setting.type = choice(value, path, "type", kSettingTypes);
  setting.description = text(value, path, "description", Presence::required, kMaxShortCharacters);
  const bool numeric = setting.type == "integer" || setting.type == "number";
  const auto bound = [&](std::string_view member, std::optional<std::int64_t>& target) {
    const json::Value* given = value.find(member);
    if (given == nullptr) return;
    target = given->as_int64();
    if (!numeric) {
      fault(at(path, member), "fits only the types integer and number");
      target.reset();
    } else if (!target) {
      fault(at(path, member), "must be a whole number");
    }
  };
  bound("minimum", setting.minimum);
  bound("maximum", setting.maximum);
  if (setting.minimum && setting.maximum && *setting.minimum > *setting.maximum) {
    fault(at(path, "minimum"), "is above the maximum");
  }
  if (const json::Value* allowed = value.find("enum"); allowed != nullptr) {
    const json::Array* items = allowed->as_array();
    if (setting.type == "boolean" || setting.type == "object") {
      fault(at(path, "enum"), "fits only the types string, integer and number");
    } else if (items == nullptr || items->empty() || items->size() > kMaxMembers) {
      fault(at(path, "enum"), "must be an array with at least one value");
    } else {
      for (std::size_t i = 0; i < items->size(); ++i) {
        check_setting_value(setting, (*items)[i], at(at(path, "enum"), i));
      }
      setting.allowed = *items;
    }
  }
  if (const json::Value* preset = value.find("default"); preset == nullptr) {
    fault(at(path, "default"), "is missing");
  } else {
    check_setting_value(setting, *preset, at(path, "default"));
    setting.default_value = *preset;
  }
  manifest_.settings.push_back(std::move(setting));
}

void ManifestReader::check_setting_value(const Setting& setting, const json::Value& value,
                                         const std::string& path) {
  const bool fits =
      setting.type == "integer" ? value.as_int64().has_value() : value.type_name() == setting.type;
  if (!fits) {
    fault(path, "must be of type " + setting.type);
    return;
  }
  if (const json::Number* number = value.as_number(); number != nullptr) {
    // Bounds are whole numbers, so a double is exact enough to compare with them.
    const double amount = std::strtod(number->text.c_str(), nullptr);
    if (setting.minimum && amount < static_cast<double>(*setting.minimum))
      fault(path, "is below the minimum");
    if (setting.maximum && amount > static_cast<double>(*setting.maximum))
      fault(path, "is above the maximum");
  }
  if (!setting.allowed.empty() && std::ranges::find(setting.allowed, value) == setting.allowed.end()) {
    fault(path, "is not among the values of enum");
  }
}

void ManifestReader::read_resources(const json::Value* resources) {
  const json::Object* members = object(resources, "/resources", {});
  if (members == nullptr) return;
  if (members->empty()) fault("/resources", "must hold at least one resource");
  for (const auto& [name, value] : *members) {
    const std::string path = at("/resources", name);
    if (!is_simple_name(name)) fault(path, "is not a name ([a-z][a-z0-9_]*, at most 63 bytes)");
    read_resource(name, value, path);
  }
}

void ManifestReader::read_resource(const std::string& name, const json::Value& value,
                                   const std::string& path) {
  Resource resource;
  resource.name = name;
  resource.relation = name;
  if (object(&value, path,
             {"description", "relation", "operations", "natural_key", "default_order", "orders",
              "personal_data", "read_only", "row_rule"}) != nullptr) {
    resource.description = text(value, path, "description", Presence::required, kMaxLongCharacters);
    if (value.find("relation") != nullptr) {
      resource.relation = text(value, path, "relation", Presence::required, kMaxShortCharacters);
      if (!is_simple_name(resource.relation)) {
        fault(at(path, "relation"), "is not a name ([a-z][a-z0-9_]*, at most 63 bytes)");
      }
    }
    read_operations(resource, value.find("operations"), at(path, "operations"));
    resource.natural_key = column_names(value, path, "natural_key");
    if (value.find("natural_key") != nullptr &&
        (resource.natural_key.empty() || resource.natural_key.size() > kMaxKeyColumns)) {
      fault(at(path, "natural_key"), "must name 1 to " + std::to_string(kMaxKeyColumns) + " columns");
    }
    const Names defaults = strings(value, path, "default_order", Presence::required);
    for (std::size_t i = 0; i < defaults.size(); ++i) {
      resource.default_order.push_back(order(defaults[i], at(at(path, "default_order"), i)));
    }
    if (defaults.empty() && value.find("default_order") != nullptr &&
        value.find("default_order")->as_array() != nullptr) {
      fault(at(path, "default_order"), "must name at least one column");
    }
    const Names orders = strings(value, path, "orders", Presence::optional);
    for (std::size_t i = 0; i < orders.size(); ++i) {
      resource.orders.emplace_back(1, order(orders[i], at(at(path, "orders"), i)));
    }
    const Names personal = column_names(value, path, "personal_data");
    const Names fixed = column_names(value, path, "read_only");
    if (!personal.empty()) manifest_.personal_data[name].insert(personal.begin(), personal.end());
    if (!fixed.empty()) manifest_.read_only[name].insert(fixed.begin(), fixed.end());
  }
  manifest_.resources.push_back(std::move(resource));
}

void ManifestReader::read_operations(Resource& resource, const json::Value* operations,
                                     const std::string& path) {
  const json::Object* members =
      object(operations, path, {"read", "create", "update", "delete", "import", "export"});
  if (members == nullptr) return;
  for (const auto& [verb_name, verb] : kVerbs) {
    if (operations->find(verb_name) == nullptr) continue;
    const std::string operation = text(*operations, path, verb_name, Presence::required, kMaxShortCharacters);
    check_operation(operation, at(path, verb_name));
    resource.operations.emplace(verb, operation);
  }
  const auto offers = [&](Verb verb) { return resource.operations.contains(verb); };
  if (resource.operations.empty()) fault(path, "must name at least one verb");
  if (offers(Verb::export_rows) && !offers(Verb::read)) fault(at(path, "export"), "needs read as well");
  if (offers(Verb::import_rows) && !offers(Verb::create)) fault(at(path, "import"), "needs create as well");
  if (!offers(Verb::export_rows) && offers(Verb::read)) {
    resource.operations.emplace(Verb::export_rows, resource.operations.at(Verb::read));
  }
}

void ManifestReader::read_functions(const json::Value* functions) {
  if (functions == nullptr) return;
  const json::Object* members = object(functions, "/functions", {});
  if (members == nullptr) return;
  for (const auto& [name, value] : *members) {
    const std::string path = at("/functions", name);
    if (!is_simple_name(name)) fault(path, "is not a name ([a-z][a-z0-9_]*, at most 63 bytes)");
    if (object(&value, path, {"description", "operation"}) == nullptr) continue;
    Function function;
    function.name = name;
    function.description = text(value, path, "description", Presence::required, kMaxLongCharacters);
    function.operation = text(value, path, "operation", Presence::required, kMaxShortCharacters);
    check_operation(function.operation, at(path, "operation"));
    manifest_.functions.push_back(std::move(function));
  }
}

void ManifestReader::read_sample_data(const json::Value* samples) {
  if (samples == nullptr) return;
  const json::Array* items = samples->as_array();
  if (items == nullptr || items->size() > kMaxMembers) {
    fault("/sample_data", "must be an array of at most " + std::to_string(kMaxMembers) + " files");
    return;
  }
  for (std::size_t i = 0; i < items->size(); ++i) {
    const std::string path = at("/sample_data", i);
    const json::Value& item = (*items)[i];
    if (object(&item, path, {"resource", "file"}) == nullptr) continue;
    SampleFile sample;
    sample.resource = text(item, path, "resource", Presence::required, kMaxShortCharacters);
    sample.file = text(item, path, "file", Presence::required, kMaxShortCharacters);
    if (!sample.resource.empty() && find_resource(sample.resource) == nullptr) {
      fault(at(path, "resource"), "is not declared in /resources");
    }
    if (!sample.file.empty() && !is_sample_path(sample.file)) {
      fault(at(path, "file"), "must be like sample/leads.csv");
    }
    const auto same = [&](const SampleFile& other) { return other.file == sample.file; };
    if (std::ranges::any_of(manifest_.sample_data, same)) fault(at(path, "file"), "stands there twice");
    manifest_.sample_data.push_back(std::move(sample));
  }
}

void ManifestReader::read_metrics(const json::Value* metrics) {
  if (metrics == nullptr) return;
  const json::Array* items = metrics->as_array();
  if (items == nullptr || items->size() > kMaxMembers) {
    fault("/metrics", "must be an array of at most " + std::to_string(kMaxMembers) + " metrics");
    return;
  }
  for (std::size_t i = 0; i < items->size(); ++i) read_metric((*items)[i], at("/metrics", i));
}

void ManifestReader::read_metric(const json::Value& value, const std::string& path) {
  if (object(&value, path, {"name", "help", "resource", "on", "labels"}) == nullptr) return;
  Metric metric;
  metric.name = text(value, path, "name", Presence::required, kMaxShortCharacters);
  metric.help = text(value, path, "help", Presence::required, kMaxShortCharacters);
  metric.resource = text(value, path, "resource", Presence::required, kMaxShortCharacters);
  metric.on = choice(value, path, "on", kMetricEvents);
  metric.labels = column_names(value, path, "labels");
  if (!metric.name.empty() && !is_metric_name(metric.name))
    fault(at(path, "name"), "must be named like tenant_leads_created_total");
  if (!metric.resource.empty() && find_resource(metric.resource) == nullptr) {
    fault(at(path, "resource"), "is not declared in /resources");
  }
  if (metric.labels.size() > kMaxMetricLabels) {
    fault(at(path, "labels"), "has more than " + std::to_string(kMaxMetricLabels) + " columns");
  }
  const auto same = [&](const Metric& other) { return other.name == metric.name; };
  if (std::ranges::any_of(manifest_.metrics, same)) fault(at(path, "name"), "stands there twice");
  manifest_.metrics.push_back(std::move(metric));
}

Result<Manifest> ManifestReader::read(const json::Value& document) {
  if (object(&document, "",
             {"name", "title", "version", "description", "default_tier", "default_plan", "services",
              "features", "limits", "plans", "settings", "resources", "functions", "sample_data", "metrics",
              "roles", "admin_role"}) != nullptr) {
    // Features and resources first: the others refer to them.
    read_head(document);
    read_features(document.find("features"));
    read_resources(document.find("resources"));
    read_limits(document.find("limits"));
    read_plans(document.find("plans"));
    read_settings(document.find("settings"));
    read_functions(document.find("functions"));
    read_sample_data(document.find("sample_data"));
    read_metrics(document.find("metrics"));
    read_roles(document, manifest_, faults_);
    read_row_rules(document, manifest_, faults_);
  }
  if (faults_.empty()) return std::move(manifest_);
  Error error(ErrorCode::pack_refused, "pack.json has " + std::to_string(faults_.size()) +
                                           (faults_.size() == 1 ? " fault" : " faults"));
  error.fields = std::move(faults_);
  return error;
}

}  // namespace

Result<Manifest> parse_manifest(const json::Value& document) { return ManifestReader().read(document); }

}  // namespace rowhouse::tenancy
