#include "http/documents.h"

#include <ctime>

#include "base/text.h"
#include "http/body_reader.h"
#include "http/storage_documents.h"

namespace rowhouse::http {
namespace {

json::Value text_or_null(const std::string& text) { return text.empty() ? json::Value() : json::Value(text); }

json::Value limits_document(const tenancy::Plan& plan) {
  json::Object limits;
  for (const auto& [name, value] : plan.limits) {
    limits.emplace_back(name, value == tenancy::kUnlimited ? json::Value() : json::Value(value));
  }
  return limits;
}

json::Value plan_document(const tenancy::Plan& plan) {
  json::Array features;
  for (const std::string& feature : plan.features) features.emplace_back(feature);
  json::Value document;
  document.set("name", plan.name);
  document.set("title", plan.title);
  document.set("support", text_or_null(plan.support));
  document.set("limits", limits_document(plan));
  document.set("features", std::move(features));
  return document;
}

void set_identity(json::Value& document, const tenancy::Tenant& tenant) {
  document.set("id", tenant.id.to_string());
  document.set("slug", tenant.slug);
  document.set("name", tenant.name);
  document.set("status", tenancy::tenant_status_name(tenant.status));
  document.set("pack", tenant.pack_name);
}

void set_profile(json::Value& document, const tenancy::Tenant& tenant) {
  document.set("domain", text_or_null(tenant.domain));
  document.set("subdomain", text_or_null(tenant.subdomain));
  document.set("storage", tenancy::storage_choice_name(tenant.storage));
  document.set("settings", tenant.settings);
  document.set("branding", tenant.branding);
  document.set("contact", tenant.contact);
  document.set("created_at", tenant.created_at);
  document.set("updated_at", tenant.updated_at);
  document.set("version", tenant.version);
}

json::Value names_of(const auto& map) {
  json::Array names;
  for (const auto& [name, value] : map) names.emplace_back(name);
  return names;
}

std::string_view verb_name(tenancy::Verb verb) {
  switch (verb) {
    case tenancy::Verb::read:
      return "read";
    case tenancy::Verb::create:
      return "create";
    case tenancy::Verb::update:
      return "update";
    case tenancy::Verb::remove:
      return "delete";
    case tenancy::Verb::import_rows:
      return "import";
    case tenancy::Verb::export_rows:
      return "export";
  }
  return "";
}

json::Value column_document(const tenancy::Column& column) {
  json::Value document;
  document.set("name", column.name);
  document.set("type", column.type);
  document.set("nullable", column.nullable);
  document.set("has_default", column.has_default);
  document.set("read_only", column.read_only || column.generated);
  document.set("personal_data", column.personal);
  document.set("description", text_or_null(column.comment));
  return document;
}

json::Value resource_document(const tenancy::Resource& resource) {
  json::Object operations;
  for (const auto& [verb, operation] : resource.operations) {
    operations.emplace_back(std::string(verb_name(verb)), operation);
  }
  json::Array columns;
  for (const auto& column : resource.columns) columns.push_back(column_document(column));
  json::Array key;
  for (const auto& column : resource.natural_key) key.emplace_back(column);
  json::Value document;
  document.set("description", resource.description);
  document.set("operations", std::move(operations));
  document.set("natural_key", std::move(key));
  document.set("columns", std::move(columns));
  return document;
}

json::Value function_document(const tenancy::Function& function) {
  json::Array arguments;
  for (const auto& argument : function.arguments) {
    json::Value entry;
    entry.set("name", argument.name);
    entry.set("type", argument.type);
    entry.set("required", !argument.has_default);
    arguments.push_back(std::move(entry));
  }
  json::Value document;
  document.set("description", function.description);
  document.set("operation", function.operation);
  document.set("arguments", std::move(arguments));
  return document;
}

json::Value progress_document(const operations::Progress& progress) {
  if (progress.done == 0 && progress.total == 0 && progress.what.empty()) return {};
  json::Value document;
  document.set("done", progress.done);
  document.set("total", progress.total == 0 ? json::Value() : json::Value(progress.total));
  document.set("what", text_or_null(progress.what));
  return document;
}

json::Value step_document(const operations::OperationStep& step) {
  json::Value document;
  document.set("name", step.name);
  document.set("status", operations::step_status_name(step.status));
  document.set("attempts", step.attempts);
  document.set("error", step.error);
  document.set("started_at", text_or_null(step.started_at));
  document.set("finished_at", text_or_null(step.finished_at));
  return document;
}

}  // namespace

json::Value tenant_document(const tenancy::Tenant& tenant) {
  json::Value document;
  set_identity(document, tenant);
  document.set("plan", tenant.plan_name);
  document.set("tier", tenancy::tier_name(tenant.placement.tier));
  json::Value placement;
  placement.set("tier", tenancy::tier_name(tenant.placement.tier));
  placement.set("server", tenant.placement.server);
  placement.set("database", tenant.placement.database);
  placement.set("schema", tenant.placement.schema);
  document.set("placement", std::move(placement));
  set_profile(document, tenant);
  return document;
}

json::Value own_tenant_document(const identity::TenantContext& context) {
  const tenancy::Tenant& tenant = context.tenant();
  json::Value document;
  set_identity(document, tenant);
  document.set("plan", plan_document(context.plan()));
  set_profile(document, tenant);
  return document;
}

json::Value pack_summary(const tenancy::Pack& pack) {
  const tenancy::Manifest& manifest = pack.manifest;
  json::Array plans, services;
  for (const auto& plan : manifest.plans) plans.emplace_back(plan.name);
  for (const auto& service : manifest.services) services.emplace_back(service);
  json::Value document;
  document.set("name", manifest.name);
  document.set("title", manifest.title);
  document.set("version", manifest.version);
  document.set("description", manifest.description);
  document.set("default_tier", tenancy::tier_name(manifest.default_tier));
  document.set("default_plan", manifest.default_plan);
  document.set("services", std::move(services));
  document.set("plans", std::move(plans));
  document.set("resources", names_of(pack.resources));
  document.set("functions", names_of(pack.functions));
  return document;
}

json::Value pack_document(const tenancy::Pack& pack) {
  json::Value document = pack_summary(pack);
  json::Array plans;
  for (const auto& plan : pack.manifest.plans) plans.push_back(plan_document(plan));
  json::Object resources, functions, features;
  for (const auto& [name, resource] : pack.resources)
    resources.emplace_back(name, resource_document(resource));
  for (const auto& [name, function] : pack.functions)
    functions.emplace_back(name, function_document(function));
  for (const auto& [name, description] : pack.manifest.features) features.emplace_back(name, description);
  json::Object settings;
  for (const auto& setting : pack.manifest.settings) {
    json::Value entry;
    entry.set("type", setting.type);
    entry.set("default", setting.default_value);
    entry.set("description", setting.description);
    settings.emplace_back(setting.name, std::move(entry));
  }
  document.set("plans", std::move(plans));
  document.set("features", std::move(features));
  document.set("settings", std::move(settings));
  document.set("resources", std::move(resources));
  document.set("functions", std::move(functions));
  return document;
}

json::Value operation_document(const operations::Operation& operation) {
  json::Value document;
  document.set("id", operation.id.to_string());
  document.set("kind", operation.kind);
  document.set("tenant_id", operation.tenant ? json::Value(operation.tenant->to_string()) : json::Value());
  document.set("status", operations::operation_status_name(operation.status));
  document.set("progress", progress_document(operation.progress));
  if (!operation.steps.empty()) {
    json::Array steps;
    for (const auto& step : operation.steps) steps.push_back(step_document(step));
    document.set("steps", std::move(steps));
  }
  document.set("output", operation.output);
  document.set("error", operation.error);
  document.set("cancel_requested", operation.cancel_requested);
  document.set("pause_requested", operation.pause_requested);
  document.set("attempts", operation.attempts);
  document.set("node", text_or_null(operation.node));
  document.set("requested_by", operation.requested_by);
  document.set("created_at", operation.created_at);
  document.set("started_at", text_or_null(operation.started_at));
  document.set("finished_at", text_or_null(operation.finished_at));
  const bool ended = operations::has_ended(operation.status);
  document.set("run_after", ended ? json::Value() : text_or_null(operation.run_after));
  document.set("revision", operation.revision);
  return document;
}

json::Value install_report_document(const tenancy::InstallReport& report) {
  json::Array migrated, failed;
  for (const auto& target : report.migrated) migrated.emplace_back(target);
  for (const auto& [target, why] : report.failed) {
    json::Value entry;
    entry.set("target", target);
    entry.set("error", why);
    failed.push_back(std::move(entry));
  }
  json::Value document;
  document.set("pack", report.pack);
  document.set("from_version", text_or_null(report.from_version));
  document.set("to_version", report.to_version);
  document.set("migrated", std::move(migrated));
  document.set("unchanged", static_cast<std::int64_t>(report.unchanged));
  document.set("behind", static_cast<std::int64_t>(report.behind));
  document.set("waiting", static_cast<std::int64_t>(report.waiting));
  document.set("failed", std::move(failed));
  return document;
}

json::Value drift_document(const tenancy::DriftReport& report) {
  json::Array findings, unreachable;
  for (const tenancy::LintFinding& finding : report.findings) {
    json::Value entry;
    entry.set("rule", finding.rule);
    entry.set("database", finding.database);
    entry.set("schema", finding.schema);
    entry.set("object", finding.object);
    entry.set("message", finding.message);
    entry.set("fix", finding.fix);
    findings.push_back(std::move(entry));
  }
  for (const std::string& database : report.unreachable) unreachable.emplace_back(database);
  json::Value document;
  document.set("schemas", static_cast<std::int64_t>(report.schemas));
  document.set("read_anew", static_cast<std::int64_t>(report.read_anew));
  document.set("unreachable", std::move(unreachable));
  document.set("findings", std::move(findings));
  return document;
}

json::Value upgrade_target_document(const tenancy::UpgradeTarget& target) {
  json::Value document;
  document.set("target", target.slug);
  document.set("tenant_id", target.tenant ? json::Value(target.tenant->to_string()) : json::Value());
  document.set("tier", target.tier ? json::Value(tenancy::tier_name(*target.tier)) : json::Value());
  document.set("plan", text_or_null(target.plan));
  document.set("wave", target.wave);
  document.set("status", tenancy::upgrade_status_name(target.status));
  document.set("attempts", target.attempts);
  document.set("migrations_run", target.migrations_run);
  document.set("duration_us", static_cast<std::int64_t>(target.duration.count()));
  document.set("error", text_or_null(target.error));
  document.set("finished_at", text_or_null(target.finished_at));
  return document;
}

Result<tenancy::NewTenant> read_new_tenant(const json::Value& body) {
  tenancy::NewTenant tenant;
  std::optional<json::Value> settings, branding, contact, storage_config;
  BodyReader reader(body);
  reader.require("name");
  reader.require("pack");
  reader.text("name", tenant.name);
  reader.text("slug", tenant.slug);
  reader.text("pack", tenant.pack);
  reader.text("plan", tenant.plan);
  reader.text("domain", tenant.domain);
  reader.text("subdomain", tenant.subdomain);
  reader.text("admin_email", tenant.admin_email);
  reader.choice("tier", [&](const std::string& text) {
    tenant.tier = tenancy::parse_tier(text);
    return tenant.tier ? "" : "must be pool, schema or database";
  });
  reader.choice("storage", [&](const std::string& text) {
    const auto choice = tenancy::parse_storage_choice(text);
    if (choice) tenant.storage = *choice;
    return choice ? "" : "must be byos, provisioned or none";
  });
  reader.object("storage_config", storage_config);
  reader.flag("sample_data", [&](bool load) {
    using Sample = tenancy::NewTenant::SampleRows;
    tenant.sample_rows = load ? Sample::load : Sample::none;
  });
  reader.object("settings", settings);
  reader.object("branding", branding);
  reader.object("contact", contact);
  TRY_DO(reader.done());
  const json::Value empty{json::Object()};
  tenant.settings = settings.value_or(empty);
  tenant.branding = branding.value_or(empty);
  tenant.contact = contact.value_or(empty);
  if (storage_config) {
    auto setting = read_storage_setting(*storage_config);
    if (!setting.ok()) {
      for (FieldError& field : setting.error().fields) field.path = "/storage_config" + field.path;
      return std::move(setting).error();
    }
    tenant.storage_config = tenancy::NewStorage{std::move(setting->provider), std::move(setting->config)};
  }
  return tenant;
}

Result<tenancy::TenantChange> read_tenant_change(const json::Value& body) {
  tenancy::TenantChange change;
  BodyReader reader(body);
  reader.text("name", change.name);
  reader.text("plan", change.plan);
  reader.text("domain", change.domain);
  reader.text("subdomain", change.subdomain);
  reader.object("settings", change.settings);
  reader.object("branding", change.branding);
  reader.object("contact", change.contact);
  TRY_DO(reader.done());
  return change;
}

}  // namespace rowhouse::http
