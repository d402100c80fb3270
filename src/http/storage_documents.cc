#include "http/storage_documents.h"

#include <optional>
#include <utility>

#include "http/body_reader.h"

namespace rowhouse::http {
namespace {

constexpr std::string_view kStorageSchemas = R"json({
"StorageProvider": {"type": "string", "enum": ["azure_blob", "aws_s3", "gcs", "minio", "nfs", "smb"]},
"StorageSet": {"type": "object", "additionalProperties": false,
  "description": "Replaces the whole configuration", "properties": {
  "provider": {"$ref": "#/components/schemas/StorageProvider"},
  "config": {"type": "object",
    "description": "Its members depend on the provider. azure_blob: connection_string, container, cdn_endpoint. aws_s3: access_key, secret_key, region, bucket, cloudfront_domain, endpoint. gcs: service_account_key, bucket, project_id, cdn_domain, endpoint. minio (and every other S3): endpoint, access_key, secret_key, bucket, secure. nfs: share_path, or mount_path. smb: share_path, username, password, protocol, or mount_path. Each takes prefix"}},
  "required": ["provider", "config"]},
"Storage": {"type": "object", "description": "The object storage of a tenant", "properties": {
  "provider": {"type": "string"},
  "origin": {"type": "string", "enum": ["byos", "provisioned"],
    "description": "Brought along by the tenant, or made for it by this installation"},
  "config": {"type": ["object", "null"],
    "description": "Which members are set: secrets as true, never their values. null for provisioned storage"},
  "status": {"type": "string", "enum": ["untested", "working", "failing"]},
  "last_test_at": {"type": ["string", "null"], "format": "date-time"},
  "last_test": {"oneOf": [{"$ref": "#/components/schemas/StorageTest"}, {"type": "null"}]},
  "created_at": {"type": "string", "format": "date-time"},
  "updated_at": {"type": "string", "format": "date-time"},
  "move": {"oneOf": [{"$ref": "#/components/schemas/StorageMove"}, {"type": "null"}],
    "description": "A move from another storage that was not confirmed yet"}},
  "required": ["provider", "origin", "config", "status", "last_test_at", "last_test", "created_at", "updated_at", "move"]},
"StorageMove": {"type": "object", "properties": {
  "state": {"type": "string", "enum": ["copying", "copied"],
    "description": "copied: everything is in the new storage, and the move waits for its confirmation"},
  "from": {"type": "string", "description": "Provider of the former storage"},
  "remaining_objects": {"type": "integer", "format": "int64", "description": "Not in the new storage yet; they are readable"},
  "remaining_bytes": {"type": "integer", "format": "int64"},
  "open_uploads": {"type": "integer", "format": "int64", "description": "In parts, begun before the move"},
  "operation": {"type": ["string", "null"], "format": "uuid"}},
  "required": ["state", "from", "remaining_objects", "remaining_bytes", "open_uploads", "operation"]},
"StorageMoveTo": {"type": "object", "description": "Where to: a storage of the tenant's own, or one that is made for it", "oneOf": [
  {"$ref": "#/components/schemas/StorageSet"},
  {"type": "object", "additionalProperties": false, "properties": {
    "provider": {"type": "string", "enum": ["provisioned"]}}, "required": ["provider"]}]},
"StorageMoveConfirm": {"type": "object", "additionalProperties": false, "properties": {
  "old_objects": {"type": "string", "enum": ["delete", "keep"], "default": "delete",
    "description": "The copies in the former storage. What this installation had made for the tenant goes in any case"}}},
"StorageMoveAccepted": {"type": "object", "properties": {
  "operation": {"type": "object", "properties": {
    "id": {"type": "string", "format": "uuid"},
    "kind": {"type": "string"},
    "status": {"type": "string"}},
    "required": ["id", "kind", "status"]}},
  "required": ["operation"]},
"StorageTest": {"type": "object", "description": "What became of a probe object", "properties": {
  "ok": {"type": "boolean"},
  "steps": {"type": "array", "items": {"type": "object", "properties": {
    "name": {"type": "string", "enum": ["write", "read", "list", "delete"]},
    "ok": {"type": "boolean"},
    "error": {"type": ["string", "null"]},
    "duration_us": {"type": "integer", "format": "int64"}},
    "required": ["name", "ok", "error", "duration_us"]}}},
  "required": ["ok", "steps"]},
"EncryptionKeyRotate": {"type": "object", "additionalProperties": false, "properties": {
  "data_keys": {"type": "boolean", "default": false,
    "description": "Also make a new data key for each tenant, and seal its secrets again"}}},
"EncryptionKeyList": {"type": "object", "description": "The keys that data keys of tenants are wrapped with", "properties": {
  "tenants": {"type": "integer", "format": "int64", "description": "That have data keys"},
  "data_key_renewal_since": {"type": ["string", "null"], "format": "date-time",
    "description": "A renewal of data keys that began then was interrupted: rotate again to end it"},
  "data": {"type": "array", "items": {"type": "object", "properties": {
    "fingerprint": {"type": "string"},
    "state": {"type": "string", "enum": ["current", "former", "unknown"],
      "description": "unknown: this node does not have it, so what is wrapped with it cannot be read here"},
    "data_keys": {"type": "integer", "format": "int64", "description": "Wrapped with it"}},
    "required": ["fingerprint", "state", "data_keys"]}}},
  "required": ["tenants", "data_key_renewal_since", "data"]},
"EncryptionKeyRotation": {"type": "object", "properties": {
  "rewrapped": {"type": "integer", "format": "int64", "description": "Data keys"},
  "renewed": {"type": "integer", "format": "int64", "description": "Tenants with a new data key"},
  "resealed": {"type": "integer", "format": "int64", "description": "Secrets"},
  "keys": {"$ref": "#/components/schemas/EncryptionKeyList"}},
  "required": ["rewrapped", "renewed", "resealed", "keys"]}
})json";

json::Value text_or_null(const std::string& text) { return text.empty() ? json::Value() : json::Value(text); }

std::string_view state_name(secrets::WrappingKeyStatus::State state) {
  using State = secrets::WrappingKeyStatus::State;
  switch (state) {
    case State::current:
      return "current";
    case State::former:
      return "former";
    case State::unknown:
      break;
  }
  return "unknown";
}

json::Value move_document(const objects::MoveView& move) {
  json::Value document;
  document.set("state", move.state == objects::MoveView::State::copied ? "copied" : "copying");
  document.set("from", move.from);
  document.set("remaining_objects", move.rest.objects);
  document.set("remaining_bytes", move.rest.bytes);
  document.set("open_uploads", move.rest.uploads);
  document.set("operation", text_or_null(move.operation));
  return document;
}

}  // namespace

std::string_view storage_schemas() { return kStorageSchemas; }

json::Value storage_document(const objects::StorageView& view, const std::optional<objects::MoveView>& move) {
  json::Value document;
  document.set("provider", view.provider);
  document.set("origin", view.origin);
  document.set("config", view.config);
  document.set("status", view.status);
  document.set("last_test_at", text_or_null(view.last_test_at));
  document.set("last_test", view.last_test_result);
  document.set("created_at", view.created_at);
  document.set("updated_at", view.updated_at);
  document.set("move", move ? move_document(*move) : json::Value());
  return document;
}

Result<objects::StorageSetting> read_storage_setting(const json::Value& body) {
  BodyReader reader(body);
  objects::StorageSetting setting;
  std::optional<json::Value> config;
  reader.choice("provider", [&](const std::string& text) -> std::string {
    std::string names;
    for (const std::string_view name : storage::kProviders) {
      if (text == name) setting.provider = text;
      names += (names.empty() ? "" : ", ") + std::string(name);
    }
    return setting.provider.empty() ? "must be one of " + names : "";
  });
  reader.object("config", config);
  if (body.as_object() != nullptr) {
    reader.require("provider");
    reader.require("config");
  }
  TRY_DO(reader.done());
  setting.config = std::move(config).value_or(json::Value());
  return setting;
}

Result<std::optional<objects::StorageSetting>> read_storage_move(const json::Value& body) {
  std::optional<objects::StorageSetting> setting;
  const json::Value* provider = body.find("provider");
  if (provider != nullptr && *provider == json::Value("provisioned")) {
    BodyReader reader(body);
    std::string known;
    reader.text("provider", known);
    TRY_DO(reader.done());
    return setting;
  }
  TRY(setting, read_storage_setting(body));
  return setting;
}

Result<objects::OldObjects> read_move_confirmation(const json::Value& body) {
  auto old_objects = objects::OldObjects::remove;
  BodyReader reader(body);
  reader.choice("old_objects", [&](const std::string& text) {
    if (text == "keep") old_objects = objects::OldObjects::keep;
    return text == "keep" || text == "delete" ? std::string() : std::string("must be delete or keep");
  });
  TRY_DO(reader.done());
  return old_objects;
}

json::Value begun_document(const operations::Operation& operation) {
  json::Value begun;
  begun.set("id", operation.id.to_string());
  begun.set("kind", operation.kind);
  begun.set("status", operations::operation_status_name(operation.status));
  json::Value document;
  document.set("operation", std::move(begun));
  return document;
}

json::Value encryption_keys_document(const secrets::RotationStatus& status) {
  json::Array data;
  for (const secrets::WrappingKeyStatus& key : status.keys) {
    json::Value entry;
    entry.set("fingerprint", key.fingerprint);
    entry.set("state", state_name(key.state));
    entry.set("data_keys", key.data_keys);
    data.push_back(std::move(entry));
  }
  json::Value document;
  document.set("tenants", status.tenants);
  document.set("data_key_renewal_since", text_or_null(status.data_keys_since));
  document.set("data", std::move(data));
  return document;
}

json::Value rotation_document(const secrets::RotationReport& report, const secrets::RotationStatus& status) {
  json::Value document;
  document.set("rewrapped", report.rewrapped);
  document.set("renewed", report.renewed);
  document.set("resealed", report.resealed);
  document.set("keys", encryption_keys_document(status));
  return document;
}

Result<secrets::KeyRotation::DataKeys> read_encryption_key_rotation(const json::Value& body) {
  using DataKeys = secrets::KeyRotation::DataKeys;
  BodyReader reader(body);
  DataKeys data_keys = DataKeys::keep;
  reader.flag("data_keys", [&](bool renew) { data_keys = renew ? DataKeys::renew : DataKeys::keep; });
  TRY_DO(reader.done());
  return data_keys;
}

}  // namespace rowhouse::http
