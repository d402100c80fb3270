// A small pack that keeps every rule, for tests to break on purpose.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tenancy/bundle.h"

namespace rowhouse::tenancy::fixture {

inline constexpr const char* kManifest = R"json({
  "name": "mini", "title": "Mini", "version": "1.0.0", "description": "A pack for tests.",
  "default_tier": "pool", "default_plan": "basic", "services": [],
  "features": {"lead:read": "Read leads", "lead:write": "Change leads"},
  "limits": {"leads": {"description": "Leads kept", "unit": "rows", "resource": "leads"}},
  "plans": {"basic": {"title": "Basic", "limits": {"leads": 10}, "features": ["lead:read", "lead:write"]},
             "all": {"title": "All", "limits": {"leads": -1}, "features": ["lead:read", "lead:write"]}},
  "settings": {"timezone": {"type": "string", "default": "UTC", "description": "Time zone"}},
  "resources": {
    "leads": {"description": "Leads", "natural_key": ["email"], "default_order": ["-created_at"], "orders": ["email", "-created_at"],
              "personal_data": ["email"], "read_only": ["created_at"],
              "operations": {"read": "lead:read", "create": "lead:write", "update": "lead:write", "delete": "lead:write",
                             "import": "lead:write"}},
    "notes": {"description": "Notes", "default_order": ["id"],
              "operations": {"read": "lead:read", "create": "lead:write"}},
    "events": {"description": "Events", "default_order": ["id"], "operations": {"read": "lead:read", "create": "lead:write"}},
    "open_leads": {"description": "Open leads", "default_order": ["-created_at"], "operations": {"read": "lead:read"}}
  },
  "functions": {"lead_counts": {"description": "Leads by status", "operation": "lead:read"},
                "lead_total": {"description": "All leads", "operation": "lead:read"}},
  "sample_data": [{"resource": "leads", "file": "sample/leads.csv"}],
  "metrics": [{"name": "tenant_leads_total", "help": "Leads", "resource": "leads", "on": "create", "labels": ["status"]}]
})json";

inline constexpr const char* kTables = R"sql(
CREATE TYPE lead_status AS ENUM ('new', 'won', 'lost');
CREATE DOMAIN short_name AS varchar(20) CHECK (VALUE <> '');
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  NEW.created_at := OLD.created_at;
  RETURN NEW;
END $$;
CREATE TABLE leads (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  email varchar(100),
  nickname short_name,
  status lead_status NOT NULL DEFAULT 'new',
  past lead_status[] NOT NULL DEFAULT '{}',
  value numeric(10,2) NOT NULL DEFAULT 0 CHECK (value >= 0),
  doubled numeric GENERATED ALWAYS AS (value * 2) STORED,
  extra jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT leads_email_unique UNIQUE (tenant_id, email)
);
CREATE INDEX leads_by_created ON leads (tenant_id, created_at, id);
CREATE TRIGGER touch BEFORE UPDATE ON leads FOR EACH ROW EXECUTE FUNCTION touch();
COMMENT ON COLUMN leads.email IS 'E-mail address';
CREATE TABLE notes (
  tenant_id uuid NOT NULL,
  id bigint GENERATED ALWAYS AS IDENTITY,
  number serial,
  lead_id uuid,
  body text,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT notes_lead FOREIGN KEY (tenant_id, lead_id) REFERENCES leads (tenant_id, id) ON DELETE SET NULL (lead_id)
);
CREATE TABLE events (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  what text,
  PRIMARY KEY (tenant_id, id)
) PARTITION BY HASH (tenant_id);
CREATE TABLE events_0 PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE events_1 PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 1);
)sql";

inline constexpr const char* kViews = R"sql(
CREATE VIEW open_leads WITH (security_invoker = true, security_barrier = true) AS
  SELECT tenant_id, id, email, created_at FROM leads WHERE status = 'new';
CREATE FUNCTION lead_counts(since timestamptz DEFAULT NULL) RETURNS TABLE (status text, leads bigint)
LANGUAGE sql STABLE BEGIN ATOMIC
  SELECT l.status::text, count(*) FROM leads l WHERE since IS NULL OR l.created_at >= since GROUP BY l.status;
END;
CREATE FUNCTION lead_total(minimum numeric) RETURNS bigint LANGUAGE sql STABLE
RETURN (SELECT count(*) FROM leads l WHERE l.value >= minimum);
)sql";

inline json::Value manifest_document() { return json::parse(kManifest).value(); }
inline Manifest manifest() { return parse_manifest(manifest_document()).value(); }

// The document must be valid.
inline Bundle bundle(std::vector<std::string> migrations, json::Value document) {
  Bundle made;
  made.manifest_document = std::move(document);
  made.manifest = parse_manifest(made.manifest_document).value();
  for (std::size_t i = 0; i < migrations.size(); ++i) {
    const std::string number = std::to_string(i + 1);
    made.migrations.emplace_back(static_cast<int>(i + 1),
                                 std::string(4 - number.size(), '0') + number + "_step",
                                 std::move(migrations[i]));
  }
  for (const SampleFile& sample : made.manifest.sample_data) {
    made.samples.emplace_back(sample.resource, "email,status\nann@example.com,new\n");
  }
  return made;
}

inline Bundle bundle() {
  std::vector<std::string> migrations;
  migrations.emplace_back(kTables);
  migrations.emplace_back(kViews);
  return bundle(std::move(migrations), manifest_document());
}

// The next version, with row rules: a lead is reached by those who made it or were given it, a note by those
// who reach its lead.
inline constexpr const char* kOwners =
    "ALTER TABLE leads ADD COLUMN assigned_to uuid, ADD COLUMN created_by uuid";

// The manifest with other row rules; null takes one away.
inline json::Value with_row_rules(std::string_view version, json::Value of_leads, json::Value of_notes) {
  json::Value document = manifest_document();
  document.set("version", version);
  json::Value resources = *document.find("resources");
  const auto put = [&resources](const char* name, json::Value rule) {
    json::Value resource = *resources.find(name);
    if (!rule.is_null()) resource.set("row_rule", std::move(rule));
    resources.set(name, std::move(resource));
  };
  put("leads", std::move(of_leads));
  put("notes", std::move(of_notes));
  document.set("resources", std::move(resources));
  return document;
}

inline json::Value rule(std::string_view text) { return json::parse(text).value(); }

inline Bundle bundle_with_row_rules() {
  std::vector<std::string> migrations;
  migrations.emplace_back(kTables);
  migrations.emplace_back(kViews);
  migrations.emplace_back(kOwners);
  return bundle(
      std::move(migrations),
      with_row_rules("1.1.0", rule(R"({"owners": ["assigned_to", "created_by"], "creator": "created_by"})"),
                     rule(R"({"through": "lead_id", "resource": "leads"})")));
}

}  // namespace rowhouse::tenancy::fixture
