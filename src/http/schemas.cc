#include "http/schemas.h"

#include <string>

#include "http/mail_documents.h"
#include "http/object_documents.h"
#include "http/people_schemas.h"
#include "http/sso_documents.h"
#include "http/storage_documents.h"

namespace rowhouse::http {
namespace {

// JSON as text, because a schema is read far more often than it is changed.
constexpr std::string_view kTenantSchemas = R"json({
"Tier": {"type": "string", "enum": ["pool", "schema", "database"],
  "description": "Where a tenant's rows live: in a schema shared with others, in a schema of its own, in a database of its own"},
"TenantStatus": {"type": "string", "enum": ["provisioning", "active", "suspended", "archived", "deleting"]},
"StorageChoice": {"type": "string", "enum": ["byos", "provisioned", "none"],
  "description": "Object storage: the tenant's own, provisioned by the platform, or none"},
"Placement": {"type": "object", "description": "Where the tenant's rows live", "properties": {
  "tier": {"$ref": "#/components/schemas/Tier"},
  "server": {"type": "string"},
  "database": {"type": "string"},
  "schema": {"type": "string"}},
  "required": ["tier", "server", "database", "schema"]},
"Tenant": {"type": "object", "description": "One customer organisation", "properties": {
  "id": {"type": "string", "format": "uuid"},
  "slug": {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$",
    "description": "Short name, unique on the platform"},
  "name": {"type": "string"},
  "status": {"$ref": "#/components/schemas/TenantStatus"},
  "pack": {"type": "string"},
  "plan": {"type": "string"},
  "tier": {"$ref": "#/components/schemas/Tier"},
  "domain": {"type": ["string", "null"]},
  "subdomain": {"type": ["string", "null"]},
  "storage": {"$ref": "#/components/schemas/StorageChoice"},
  "settings": {"type": "object", "description": "Values of the settings that the pack declares"},
  "branding": {"type": "object"},
  "contact": {"type": "object"},
  "placement": {"$ref": "#/components/schemas/Placement"},
  "created_at": {"type": "string", "format": "date-time"},
  "updated_at": {"type": "string", "format": "date-time"},
  "version": {"type": "integer", "format": "int64", "description": "Rises with every change; the ETag is \"v<version>\""}},
  "required": ["id", "slug", "name", "status", "pack", "plan", "tier", "domain", "subdomain", "storage", "settings",
    "branding", "contact", "placement", "created_at", "updated_at", "version"]},
"OwnTenant": {"type": "object", "description": "The tenant of the key, with what its plan allows", "properties": {
  "id": {"type": "string", "format": "uuid"},
  "slug": {"type": "string"},
  "name": {"type": "string"},
  "status": {"$ref": "#/components/schemas/TenantStatus"},
  "pack": {"type": "string"},
  "plan": {"$ref": "#/components/schemas/Plan"},
  "domain": {"type": ["string", "null"]},
  "subdomain": {"type": ["string", "null"]},
  "storage": {"$ref": "#/components/schemas/StorageChoice"},
  "settings": {"type": "object"},
  "branding": {"type": "object"},
  "contact": {"type": "object"},
  "created_at": {"type": "string", "format": "date-time"},
  "updated_at": {"type": "string", "format": "date-time"},
  "version": {"type": "integer", "format": "int64"}},
  "required": ["id", "slug", "name", "status", "pack", "plan", "domain", "subdomain", "storage", "settings", "branding",
    "contact", "created_at", "updated_at", "version"]},
"TenantPage": {"type": "object", "properties": {
  "data": {"type": "array", "items": {"$ref": "#/components/schemas/Tenant"}},
  "next_cursor": {"type": ["string", "null"], "description": "Parameter cursor of the next page; null at the end"}},
  "required": ["data", "next_cursor"]},
"TenantCreate": {"type": "object", "additionalProperties": false, "properties": {
  "name": {"type": "string", "minLength": 1, "maxLength": 200},
  "slug": {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$",
    "description": "Made from the name if left out"},
  "pack": {"type": "string", "description": "Name of an installed pack"},
  "plan": {"type": "string", "description": "The pack's default plan if left out"},
  "tier": {"$ref": "#/components/schemas/Tier", "description": "The pack's default tier if left out"},
  "domain": {"type": "string"},
  "subdomain": {"type": "string", "description": "The slug if left out"},
  "storage": {"$ref": "#/components/schemas/StorageChoice"},
  "storage_config": {"$ref": "#/components/schemas/StorageSet",
    "description": "With storage byos: kept sealed, and tried before the tenant works"},
  "admin_email": {"type": "string", "format": "email", "description": "Who is invited as the tenant's first admin"},
  "settings": {"type": "object", "description": "Settings that differ from the pack's defaults"},
  "branding": {"type": "object"},
  "contact": {"type": "object"},
  "sample_data": {"type": "boolean", "default": false, "description": "Load the pack's sample rows"}},
  "required": ["name", "pack"]},
"TenantCreated": {"type": "object", "properties": {
  "tenant": {"$ref": "#/components/schemas/Tenant"},
  "api_key": {"type": "string", "description": "The tenant's first key, shown here and never again"},
  "sample_rows": {"type": "integer", "format": "int64", "description": "Sample rows that were loaded"},
  "invitation_link": {"type": ["string", "null"],
    "description": "With admin_email, where the installation sends no mail: the admin's one-time link, shown here and never again"}},
  "required": ["tenant", "api_key", "sample_rows", "invitation_link"]},
"TenantUpdate": {"type": "object", "additionalProperties": false, "description": "What is left out stays as it is",
  "properties": {
  "name": {"type": "string", "minLength": 1, "maxLength": 200},
  "plan": {"type": "string"},
  "domain": {"type": ["string", "null"]},
  "subdomain": {"type": ["string", "null"]},
  "settings": {"type": "object"},
  "branding": {"type": "object"},
  "contact": {"type": "object"}}},
"Key": {"type": "object", "description": "An API key of a tenant, or a service key, without its secret", "properties": {
  "id": {"type": "string", "format": "uuid"},
  "name": {"type": "string"},
  "hint": {"type": "string", "description": "The few characters of the secret by which people recognise it"},
  "scopes": {"$ref": "#/components/schemas/Scopes"},
  "allowed_networks": {"$ref": "#/components/schemas/AllowedNetworks"},
  "created_by": {"type": ["string", "null"], "description": "Who made it, as in the audit"},
  "created_at": {"type": "string", "format": "date-time"},
  "expires_at": {"type": ["string", "null"], "format": "date-time"},
  "revoked_at": {"type": ["string", "null"], "format": "date-time"},
  "last_used_at": {"type": ["string", "null"], "format": "date-time"},
  "rotated_at": {"type": ["string", "null"], "format": "date-time"},
  "previous_until": {"type": ["string", "null"], "format": "date-time",
    "description": "Until when the secret before the last rotation is good"}},
  "required": ["id", "name", "hint", "scopes", "allowed_networks", "created_by", "created_at", "expires_at", "revoked_at",
    "last_used_at", "rotated_at", "previous_until"]},
"Scopes": {"type": "array", "minItems": 1, "maxItems": 500, "items": {"type": "string", "maxLength": 127},
  "description": "What it may do: operations (lead:read), all of a kind (lead:*) or all (*)"},
"AllowedNetworks": {"type": "array", "maxItems": 50, "items": {"type": "string"},
  "description": "From where it may be used: addresses and networks (10.0.0.0/8); empty: from everywhere"},
"KeyList": {"type": "object", "properties": {
  "data": {"type": "array", "items": {"$ref": "#/components/schemas/Key"}}}, "required": ["data"]},
"KeyCreate": {"type": "object", "additionalProperties": false, "properties": {
  "name": {"type": "string", "minLength": 1},
  "scopes": {"$ref": "#/components/schemas/Scopes"},
  "allowed_networks": {"$ref": "#/components/schemas/AllowedNetworks"},
  "expires_at": {"type": ["string", "null"], "format": "date-time", "description": "Null: never"}},
  "required": ["name"]},
"ServiceKeyCreate": {"type": "object", "additionalProperties": false, "properties": {
  "name": {"type": "string", "minLength": 1},
  "scopes": {"$ref": "#/components/schemas/Scopes"},
  "allowed_networks": {"$ref": "#/components/schemas/AllowedNetworks"},
  "expires_at": {"type": ["string", "null"], "format": "date-time", "description": "Null: never"}},
  "required": ["name", "scopes"]},
"KeyRotation": {"type": "object", "additionalProperties": false, "properties": {
  "overlap_seconds": {"type": "integer", "minimum": 0, "maximum": 2592000, "default": 86400,
    "description": "How long the secret of before stays good"}}},
"KeyCreated": {"type": "object", "properties": {
  "key": {"$ref": "#/components/schemas/Key"},
  "secret": {"type": "string", "description": "The key itself (tk_…, of a service key rha_…), shown here and never again"}},
  "required": ["key", "secret"]}
})json";

constexpr std::string_view kPackSchemas = R"json({
"PackSummary": {"type": "object", "description": "A product that tenants subscribe to", "properties": {
  "name": {"type": "string"},
  "title": {"type": "string"},
  "version": {"type": "string"},
  "description": {"type": "string"},
  "default_tier": {"$ref": "#/components/schemas/Tier"},
  "default_plan": {"type": "string"},
  "services": {"type": "array", "items": {"type": "string"}},
  "plans": {"type": "array", "items": {"type": "string"}, "description": "Names of the plans"},
  "resources": {"type": "array", "items": {"type": "string"}, "description": "Names of the resources"},
  "functions": {"type": "array", "items": {"type": "string"}, "description": "Names of the functions"}},
  "required": ["name", "title", "version", "description", "default_tier", "default_plan", "services", "plans",
    "resources", "functions"]},
"PackList": {"type": "object", "properties": {
  "data": {"type": "array", "items": {"$ref": "#/components/schemas/PackSummary"}}}, "required": ["data"]},
"Plan": {"type": "object", "description": "What a tenant of this plan may use", "properties": {
  "name": {"type": "string"},
  "title": {"type": "string"},
  "support": {"type": ["string", "null"]},
  "limits": {"type": "object", "additionalProperties": {"type": ["integer", "null"], "format": "int64"},
    "description": "By name; null means unlimited"},
  "features": {"type": "array", "items": {"type": "string"}}},
  "required": ["name", "title", "support", "limits", "features"]},
"PackColumn": {"type": "object", "description": "A column of a resource", "properties": {
  "name": {"type": "string"},
  "type": {"type": "string", "description": "The database's name of the type"},
  "nullable": {"type": "boolean"},
  "has_default": {"type": "boolean"},
  "read_only": {"type": "boolean", "description": "Kept by the database; refused in bodies"},
  "personal_data": {"type": "boolean", "description": "Data about a person"},
  "description": {"type": ["string", "null"]}},
  "required": ["name", "type", "nullable", "has_default", "read_only", "personal_data", "description"]},
"PackResource": {"type": "object", "description": "A table or view", "properties": {
  "description": {"type": "string"},
  "operations": {"type": "object", "additionalProperties": {"type": "string"},
    "description": "Verb to the feature that a plan needs for it"},
  "natural_key": {"type": "array", "items": {"type": "string"}},
  "columns": {"type": "array", "items": {"$ref": "#/components/schemas/PackColumn"}}},
  "required": ["description", "operations", "natural_key", "columns"]},
"PackFunction": {"type": "object", "properties": {
  "description": {"type": "string"},
  "operation": {"type": "string"},
  "arguments": {"type": "array", "items": {"type": "object", "properties": {
    "name": {"type": "string"},
    "type": {"type": "string"},
    "required": {"type": "boolean"}}, "required": ["name", "type", "required"]}}},
  "required": ["description", "operation", "arguments"]},
"PackDetail": {"type": "object", "description": "What a pack declares, with the catalog of its tables", "properties": {
  "name": {"type": "string"},
  "title": {"type": "string"},
  "version": {"type": "string"},
  "description": {"type": "string"},
  "default_tier": {"$ref": "#/components/schemas/Tier"},
  "default_plan": {"type": "string"},
  "services": {"type": "array", "items": {"type": "string"}},
  "plans": {"type": "array", "items": {"$ref": "#/components/schemas/Plan"}},
  "features": {"type": "object", "additionalProperties": {"type": "string"},
    "description": "Name to what it allows"},
  "settings": {"type": "object", "additionalProperties": {"type": "object"}},
  "resources": {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/PackResource"}},
  "functions": {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/PackFunction"}}},
  "required": ["name", "title", "version", "description", "default_tier", "default_plan", "services", "plans",
    "features", "settings", "resources", "functions"]},
"PackBundle": {"type": "object", "additionalProperties": false, "description": "The files of a pack", "properties": {
  "manifest": {"type": "object", "description": "The content of pack.json"},
  "migrations": {"type": "array", "items": {"type": "object", "properties": {
    "name": {"type": "string", "description": "File name without .sql", "examples": ["0001_books"]},
    "sql": {"type": "string"}}, "required": ["name", "sql"]}},
  "samples": {"type": "array", "items": {"type": "object", "properties": {
    "resource": {"type": "string"},
    "csv": {"type": "string"}}, "required": ["resource", "csv"]}}},
  "required": ["manifest", "migrations"]},
"InstallReport": {"type": "object", "properties": {
  "pack": {"type": "string"},
  "from_version": {"type": ["string", "null"], "description": "Version that was installed before, if any"},
  "to_version": {"type": "string"},
  "migrated": {"type": "array", "items": {"type": "string"}, "description": "Places that changed"},
  "unchanged": {"type": "integer", "format": "int64", "description": "Number of places that were up to date"},
  "behind": {"type": "integer", "format": "int64", "description": "Databases that could not be reached; they are caught up later"},
  "waiting": {"type": "integer", "format": "int64", "description": "Places that were not touched because too many failed before"},
  "failed": {"type": "array", "description": "Places that must be mended; install again afterwards",
    "items": {"type": "object", "properties": {"target": {"type": "string"}, "error": {"type": "string"}},
      "required": ["target", "error"]}}},
  "required": ["pack", "to_version", "migrated", "unchanged", "behind", "waiting", "failed"]},
"PackDrift": {"type": "object", "properties": {
  "schemas": {"type": "integer", "format": "int64", "description": "How many were compared"},
  "read_anew": {"type": "integer", "format": "int64", "description": "How many of them were read; the others are proven to be unchanged"},
  "unreachable": {"type": "array", "items": {"type": "string"}, "description": "Databases that could not be reached"},
  "findings": {"type": "array", "items": {"type": "object", "properties": {
    "rule": {"type": "string"}, "database": {"type": "string"}, "schema": {"type": "string"}, "object": {"type": "string"},
    "message": {"type": "string"}, "fix": {"type": "string", "description": "SQL for a superuser in that database, or a sentence"}},
    "required": ["rule", "database", "schema", "object", "message", "fix"]}}},
  "required": ["schemas", "read_anew", "unreachable", "findings"]},
"UpgradeStatus": {"type": "string", "enum": ["waiting", "running", "done", "unchanged", "failed", "behind"]},
"UpgradeTarget": {"type": "object", "description": "One place that an upgrade migrates", "properties": {
  "target": {"type": "string", "description": "Slug of the tenant; or template, pool"},
  "tenant_id": {"type": ["string", "null"], "format": "uuid"},
  "tier": {"oneOf": [{"$ref": "#/components/schemas/Tier"}, {"type": "null"}]},
  "plan": {"type": ["string", "null"]},
  "wave": {"type": "integer", "description": "0 template and pool, 1 the canary, then plan by plan"},
  "status": {"$ref": "#/components/schemas/UpgradeStatus"},
  "attempts": {"type": "integer"},
  "migrations_run": {"type": "integer"},
  "duration_us": {"type": "integer", "format": "int64"},
  "error": {"type": ["string", "null"], "description": "Of the last attempt"},
  "finished_at": {"type": ["string", "null"], "format": "date-time"}},
  "required": ["target", "tenant_id", "tier", "plan", "wave", "status", "attempts", "migrations_run", "duration_us", "error", "finished_at"]},
"UpgradeTargetPage": {"type": "object", "properties": {
  "data": {"type": "array", "items": {"$ref": "#/components/schemas/UpgradeTarget"}},
  "next_cursor": {"type": ["string", "null"]}},
  "required": ["data", "next_cursor"]}
})json";

constexpr std::string_view kOtherSchemas = R"json({
"Status": {"type": "object", "description": "The platform at a glance", "properties": {
  "version": {"type": "string", "description": "Version of Rowhouse"},
  "postgresql": {"type": "string", "description": "Version of PostgreSQL"},
  "tenants": {"type": "object", "properties": {
    "total": {"type": "integer", "format": "int64"},
    "by": {"type": "array", "items": {"type": "object", "properties": {
      "pack": {"type": "string"},
      "plan": {"type": "string"},
      "tier": {"$ref": "#/components/schemas/Tier"},
      "status": {"$ref": "#/components/schemas/TenantStatus"},
      "tenants": {"type": "integer", "format": "int64"}},
      "required": ["pack", "plan", "tier", "status", "tenants"]}}},
    "required": ["total", "by"]},
  "databases": {"type": "array", "items": {"type": "object", "properties": {
    "name": {"type": "string"},
    "bytes": {"type": "integer", "format": "int64"}}, "required": ["name", "bytes"]}},
  "connections": {"type": "object", "description": "Connections of the PostgreSQL server", "properties": {
    "used": {"type": "integer", "format": "int64"},
    "max": {"type": "integer", "format": "int64"}}, "required": ["used", "max"]},
  "context": {"type": "object", "description": "What checks signed tenant contexts in PostgreSQL", "properties": {
    "implementation": {"$ref": "#/components/schemas/GuardImplementation"},
    "generation": {"type": ["integer", "null"], "description": "Of the key that signs now"},
    "since": {"type": ["string", "null"], "format": "date-time"},
    "databases_behind": {"type": "integer", "format": "int64",
      "description": "Databases that do not have the current keys yet"}},
    "required": ["implementation", "generation", "since", "databases_behind"]},
  "lint": {"type": ["object", "null"], "description": "The last `rowhouse lint` of everything; null if there was none", "properties": {
    "finished_at": {"type": "string", "format": "date-time"},
    "errors": {"type": "integer", "format": "int64"},
    "warnings": {"type": "integer", "format": "int64"},
    "databases": {"type": "integer", "format": "int64"},
    "schemas": {"type": "integer", "format": "int64"},
    "duration_ms": {"type": "integer", "format": "int64"}},
    "required": ["finished_at", "errors", "warnings", "databases", "schemas", "duration_ms"]},
  "verification": {"type": ["object", "null"], "description": "The newest run of the verification that finished", "properties": {
    "id": {"type": "string", "format": "uuid"},
    "result": {"type": "string", "enum": ["proven", "broken", "incomplete"]},
    "started_at": {"type": "string", "format": "date-time"},
    "age_seconds": {"type": "integer", "format": "int64"},
    "surfaces": {"type": "integer", "format": "int64"},
    "uncovered": {"type": "integer", "format": "int64"},
    "findings": {"type": "integer", "format": "int64"}}},
  "node": {"type": "object", "description": "The server that answers", "properties": {
    "pools": {"type": "integer", "format": "int64"},
    "open_connections": {"type": "integer", "format": "int64"},
    "busy_connections": {"type": "integer", "format": "int64"},
    "waiting": {"type": "integer", "format": "int64"},
    "requests": {"type": "integer", "format": "int64"},
    "uptime_seconds": {"type": "number"},
    "workers": {"type": "integer", "format": "int64"}}}},
  "required": ["version", "postgresql", "tenants", "databases", "connections", "context", "lint", "node"]},
"LintReport": {"type": "object", "description": "What breaks the rules of isolation", "properties": {
  "findings": {"type": "array", "items": {"$ref": "#/components/schemas/LintFinding"}},
  "errors": {"type": "integer", "format": "int64"},
  "warnings": {"type": "integer", "format": "int64"},
  "databases": {"type": "integer", "format": "int64", "description": "Databases that were read"},
  "schemas": {"type": "integer", "format": "int64"},
  "duration_ms": {"type": "integer", "format": "int64"},
  "truncated": {"type": "boolean", "description": "There are more findings than are listed"}},
  "required": ["findings", "errors", "warnings", "databases", "schemas", "duration_ms", "truncated"]},
"LintFinding": {"type": "object", "properties": {
  "rule": {"type": "string"},
  "severity": {"type": "string", "enum": ["error", "warning"]},
  "database": {"type": "string", "description": "Empty: the server"},
  "schema": {"type": "string"},
  "object": {"type": "string"},
  "message": {"type": "string"},
  "fix": {"type": "string", "description": "SQL for that database if it ends with a semicolon, otherwise a sentence"}},
  "required": ["rule", "severity", "database", "schema", "object", "message", "fix"]},
"GuardImplementation": {"type": "string", "enum": ["extension", "portable"],
  "description": "The library rowhouse_guard, or portable SQL"},
"ContextKeyRotation": {"type": "object", "additionalProperties": false, "properties": {
  "retire_now": {"type": "boolean", "default": false,
    "description": "Refuse every older key at once, without the grace: for a key that leaked"}}},
"ContextKeyList": {"type": "object", "description": "The keys that tenant contexts are signed with, by generation", "properties": {
  "implementation": {"$ref": "#/components/schemas/GuardImplementation"},
  "reason": {"type": "string", "description": "Why this implementation"},
  "databases": {"type": "integer", "format": "int64", "description": "Databases with tenant rows"},
  "behind": {"type": "array", "items": {"type": "string"},
    "description": "Those that do not have the current keys yet; at most 100 names"},
  "data": {"type": "array", "description": "Youngest first", "items": {"type": "object", "properties": {
    "generation": {"type": "integer"},
    "state": {"type": "string", "enum": ["adding", "signing", "expiring", "retiring", "retired"]},
    "created_at": {"type": "string", "format": "date-time"},
    "activated_at": {"type": ["string", "null"], "format": "date-time"},
    "retire_at": {"type": ["string", "null"], "format": "date-time", "description": "From then on it is refused"},
    "retired_at": {"type": ["string", "null"], "format": "date-time"}},
    "required": ["generation", "state", "created_at", "activated_at", "retire_at", "retired_at"]}}},
  "required": ["implementation", "reason", "databases", "behind", "data"]},
"VerificationRequest": {"type": "object", "additionalProperties": false, "properties": {
  "packs": {"type": "array", "items": {"type": "string"}, "description": "Empty or absent: all that are installed"},
  "tiers": {"type": "array", "items": {"$ref": "#/components/schemas/Tier"}, "description": "Empty or absent: all three"},
  "seed": {"type": ["integer", "null"], "minimum": 0, "description": "Of an earlier run, to repeat its order and values"}}},
"Verification": {"type": "object", "description": "One run", "properties": {
  "id": {"type": "string", "format": "uuid"},
  "status": {"type": "string", "enum": ["running", "finished", "failed"]},
  "requested_by": {"type": "string", "description": "Name of the admin token, or schedule"},
  "started_at": {"type": "string", "format": "date-time"},
  "finished_at": {"type": ["string", "null"], "format": "date-time"},
  "result": {"type": ["string", "null"], "enum": ["proven", "broken", "incomplete", null]},
  "surfaces": {"type": "integer", "format": "int64"},
  "uncovered": {"type": "integer", "format": "int64"},
  "findings": {"type": "integer", "format": "int64"},
  "attempts": {"type": "integer", "format": "int64"},
  "progress": {"type": "object", "properties": {"done": {"type": "integer"}, "total": {"type": "integer"}, "step": {"type": "string"}}},
  "error": {"type": ["string", "null"]}},
  "required": ["id", "status", "requested_by", "started_at", "finished_at", "result", "surfaces", "uncovered", "findings", "attempts",
    "progress", "error"]},
"VerificationList": {"type": "object", "properties": {
  "public_key": {"type": "string", "description": "Ed25519, base64url"},
  "public_key_pem": {"type": "string"},
  "data": {"type": "array", "items": {"$ref": "#/components/schemas/Verification"}}},
  "required": ["public_key", "public_key_pem", "data"]},
"VerificationReport": {"type": "object", "description": "A signed report, or the Verification while it runs", "properties": {
  "id": {"type": "string", "format": "uuid"},
  "result": {"type": ["string", "null"]},
  "findings": {},
  "uncovered": {},
  "signature": {"type": "object", "properties": {"algorithm": {"type": "string"}, "public_key": {"type": "string"}, "value": {"type": "string"}}}},
  "required": ["id"]},
"OperationStatus": {"type": "string",
  "enum": ["pending", "running", "paused", "undoing", "succeeded", "undone", "cancelled", "failed"],
  "description": "The last four are ends. undone and cancelled: nothing is left of it; failed: it stopped where it is and needs an operator"},
"Operation": {"type": "object", "description": "Durable work: it goes on when a node dies", "properties": {
  "id": {"type": "string", "format": "uuid"},
  "kind": {"type": "string", "examples": ["tenant.create"]},
  "tenant_id": {"type": ["string", "null"], "format": "uuid"},
  "status": {"$ref": "#/components/schemas/OperationStatus"},
  "progress": {"type": ["object", "null"], "description": "Of the running step, if it tells", "properties": {
    "done": {"type": "integer", "format": "int64"},
    "total": {"type": ["integer", "null"], "format": "int64", "description": "null: not known"},
    "what": {"type": ["string", "null"]}},
    "required": ["done", "total", "what"]},
  "steps": {"type": "array", "description": "In their order; left out in lists", "items": {"type": "object", "properties": {
    "name": {"type": "string"},
    "status": {"type": "string", "enum": ["pending", "running", "done", "failed", "undoing", "undone"]},
    "attempts": {"type": "integer"},
    "error": {"type": ["object", "null"]},
    "started_at": {"type": ["string", "null"], "format": "date-time"},
    "finished_at": {"type": ["string", "null"], "format": "date-time"}},
    "required": ["name", "status", "attempts", "error", "started_at", "finished_at"]}},
  "output": {"type": ["object", "null"], "description": "Of one that succeeded"},
  "error": {"type": ["object", "null"], "description": "Why it is taken back, why it stopped, or what the last attempt met", "properties": {
    "code": {"type": "string"},
    "message": {"type": "string"},
    "step": {"type": ["string", "null"]}}},
  "cancel_requested": {"type": "boolean"},
  "pause_requested": {"type": "boolean"},
  "attempts": {"type": "integer", "description": "How often a node took it up"},
  "node": {"type": ["string", "null"], "description": "That works on it now"},
  "requested_by": {"type": "string"},
  "created_at": {"type": "string", "format": "date-time"},
  "started_at": {"type": ["string", "null"], "format": "date-time"},
  "finished_at": {"type": ["string", "null"], "format": "date-time"},
  "run_after": {"type": ["string", "null"], "format": "date-time", "description": "Not before; null once it has ended"},
  "revision": {"type": "integer", "format": "int64", "description": "Rises with every change that can be seen"}},
  "required": ["id", "kind", "tenant_id", "status", "progress", "output", "error", "cancel_requested", "pause_requested", "attempts",
    "node", "requested_by", "created_at", "started_at", "finished_at", "run_after", "revision"]},
"OperationPage": {"type": "object", "properties": {
  "data": {"type": "array", "items": {"$ref": "#/components/schemas/Operation"}},
  "next_cursor": {"type": ["string", "null"]}},
  "required": ["data", "next_cursor"]},
"OperationAccepted": {"type": "object", "description": "It was begun, and goes on by itself", "properties": {
  "operation": {"$ref": "#/components/schemas/Operation"}},
  "required": ["operation"]},
"TenantAccepted": {"type": "object", "description": "The creation was begun, and goes on by itself", "properties": {
  "operation": {"$ref": "#/components/schemas/Operation"},
  "tenant": {"oneOf": [{"$ref": "#/components/schemas/Tenant"}, {"type": "null"}],
    "description": "As it was registered; null if it is gone already"},
  "api_key": {"type": ["string", "null"], "description": "The tenant's first key, good as soon as the tenant is active; never shown again"},
  "invitation_link": {"type": ["string", "null"], "description": "As of TenantCreated; good as soon as the tenant is active"}},
  "required": ["operation", "tenant", "api_key", "invitation_link"]},
"Health": {"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]},
"OpenApi": {"type": "object", "description": "An OpenAPI 3.1 document"},
"ImportReport": {"type": "object", "description": "What became of the rows of an import", "properties": {
  "inserted": {"type": "integer", "format": "int64"},
  "updated": {"type": "integer", "format": "int64"},
  "duplicates": {"type": "integer", "format": "int64", "description": "Rows whose natural key was there already"},
  "rejected": {"type": "integer", "format": "int64"},
  "rows": {"type": "array", "description": "The rows that need attention", "items": {"type": "object", "properties": {
    "row": {"type": "integer", "format": "int64", "description": "Number of the row in the file, from 1"},
    "line": {"type": "integer", "format": "int64", "description": "Line of the file on which the row begins"},
    "status": {"type": "string", "enum": ["duplicate", "rejected"]},
    "errors": {"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}}},
    "required": ["row", "status"]}}},
  "required": ["inserted", "updated", "duplicates", "rejected", "rows"]},
"Row": {"type": "object", "description": "A row; its members are the columns of the resource"},
"RowPage": {"type": "object", "properties": {
  "data": {"type": "array", "items": {"$ref": "#/components/schemas/Row"}},
  "next_cursor": {"type": ["string", "null"]},
  "count": {"type": "integer", "format": "int64"}},
  "required": ["data", "next_cursor"]},
"FieldError": {"type": "object", "description": "One fault of the input", "properties": {
  "path": {"type": "string", "description": "Where: a JSON Pointer into the body, or the name of a parameter"},
  "message": {"type": "string"}},
  "required": ["path", "message"]},
"Problem": {"type": "object", "description": "Why a request failed (RFC 9457)", "properties": {
  "type": {"type": "string", "format": "uri-reference", "examples": ["urn:rowhouse:error:validation_failed"]},
  "title": {"type": "string", "examples": ["The content is not valid"]},
  "status": {"type": "integer", "examples": [422]},
  "code": {"type": "string", "description": "Stable name of the error, for programs",
    "examples": ["validation_failed"]},
  "detail": {"type": "string", "description": "What happened, for people"},
  "errors": {"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}},
  "request_id": {"type": "string", "description": "Finds the request in the server's log"}},
  "required": ["title", "status", "code", "request_id"]}
})json";

json::Object load() {
  json::Object all;
  for (const std::string_view text : {kTenantSchemas, kPackSchemas, people_schemas(), mail_schemas(),
                                      sso_schemas(), storage_schemas(), object_schemas(), kOtherSchemas}) {
    json::Value part = json::parse(text).value();  // text of ours: a fault is a bug, found by the first test
    for (json::Member& member : *part.as_object()) all.push_back(std::move(member));
  }
  return all;
}

}  // namespace

const json::Object& component_schemas() {
  static const json::Object schemas = load();
  return schemas;
}

json::Value ref(std::string_view name) {
  return json::Object{{"$ref", "#/components/schemas/" + std::string(name)}};
}

json::Value string_schema() { return json::Object{{"type", "string"}}; }

json::Value boolean_schema() { return json::Object{{"type", "boolean"}}; }

json::Value integer_schema(std::int64_t minimum, std::int64_t maximum,
                           std::optional<std::int64_t> by_default) {
  json::Value schema = json::Object{{"type", "integer"}, {"minimum", minimum}, {"maximum", maximum}};
  if (by_default) schema.set("default", *by_default);
  return schema;
}

json::Value enum_schema(const std::vector<std::string_view>& values) {
  json::Array allowed(values.begin(), values.end());
  return json::Object{{"type", "string"}, {"enum", std::move(allowed)}};
}

}  // namespace rowhouse::http
