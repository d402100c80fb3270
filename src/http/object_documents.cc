#include "http/object_documents.h"

#include "base/clock.h"

namespace rowhouse::http {
namespace {

constexpr std::string_view kSchemas = R"json({
"Object": {"type": "object", "description": "A file of the tenant", "properties": {
  "key": {"type": "string"},
  "bytes": {"type": "integer", "format": "int64"},
  "version": {"type": "string", "description": "Another one after each change; the ETag is \"<version>\""},
  "sha256": {"type": ["string", "null"], "description": "Hexadecimal; null if it came in parts and nobody said it"},
  "content_type": {"type": "string"},
  "modified_at": {"type": "string", "format": "date-time"}},
  "required": ["key", "bytes", "version", "sha256", "content_type", "modified_at"]},
"ObjectPage": {"type": "object", "properties": {
  "data": {"type": "array", "items": {"$ref": "#/components/schemas/Object"}},
  "folders": {"type": "array", "items": {"type": "string"},
    "description": "With delimiter=/: what keys on this page begin with, up to the next /"},
  "next_cursor": {"type": ["string", "null"]}},
  "required": ["data", "folders", "next_cursor"]},
"ObjectUsage": {"type": "object", "description": "What counts against the plan", "properties": {
  "bytes": {"type": "integer", "format": "int64", "description": "Of objects that are there"},
  "objects": {"type": "integer", "format": "int64"},
  "reserved": {"type": "integer", "format": "int64", "description": "Bytes for objects that are being written"},
  "limit": {"type": ["integer", "null"], "format": "int64", "description": "Bytes that the plan allows; null: any number"}},
  "required": ["bytes", "objects", "reserved", "limit"]},
"ObjectsRemove": {"type": "object", "additionalProperties": false, "properties": {
  "keys": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 1000}},
  "required": ["keys"]},
"ObjectsRemoved": {"type": "object", "properties": {
  "removed": {"type": "integer", "description": "How many were there"}}, "required": ["removed"]},
"ObjectCopy": {"type": "object", "additionalProperties": false, "properties": {
  "from": {"type": "string"}, "to": {"type": "string"}}, "required": ["from", "to"]},
"ObjectLinkRequest": {"type": "object", "additionalProperties": false, "properties": {
  "key": {"type": "string"},
  "method": {"type": "string", "enum": ["get", "put"], "default": "get"},
  "expires_in": {"type": "integer", "minimum": 1, "maximum": 604800, "default": 900, "description": "Seconds"},
  "content_type": {"type": "string", "description": "Of a put: what must be sent; left out: anything"},
  "download_name": {"type": "string", "description": "Of a get: what browsers save it as"},
  "via": {"type": "string", "enum": ["any", "rowhouse"], "default": "any",
    "description": "any: a get goes straight to the storage provider where that can sign links"}},
  "required": ["key"]},
"ObjectLink": {"type": "object", "properties": {
  "url": {"type": "string", "description": "Works without a credential until it expires: whoever has it may use it"},
  "method": {"type": "string", "enum": ["GET", "PUT"]},
  "expires_at": {"type": "string", "format": "date-time"}},
  "required": ["url", "method", "expires_at"]},
"ObjectUploadCreate": {"type": "object", "additionalProperties": false, "properties": {
  "key": {"type": "string"},
  "content_type": {"type": "string"},
  "bytes": {"type": "integer", "format": "int64", "minimum": 1,
    "description": "Of the whole: reserved at once. Left out: each part is reserved as it comes"},
  "sha256": {"type": "string", "description": "Of the whole, hexadecimal: checked before the object counts"}},
  "required": ["key"]},
"ObjectPart": {"type": "object", "properties": {
  "number": {"type": "integer", "minimum": 1, "maximum": 10000},
  "bytes": {"type": "integer", "format": "int64"},
  "sha256": {"type": "string"}},
  "required": ["number", "bytes", "sha256"]},
"ObjectUpload": {"type": "object", "description": "A large object on its way, in parts", "properties": {
  "id": {"type": "string"},
  "key": {"type": "string"},
  "content_type": {"type": "string"},
  "bytes": {"type": ["integer", "null"], "format": "int64", "description": "Of the whole, if that was said"},
  "reserved": {"type": "integer", "format": "int64"},
  "started_at": {"type": "string", "format": "date-time"},
  "expires_at": {"type": "string", "format": "date-time", "description": "Given up then; every part prolongs it by a day"},
  "parts": {"type": "array", "items": {"$ref": "#/components/schemas/ObjectPart"}, "description": "That have arrived"},
  "part_min_bytes": {"type": "integer", "format": "int64", "description": "Of all parts but the last, which have one size"},
  "part_alignment": {"type": "integer", "format": "int64", "description": "Their size is a multiple of this"},
  "parallel": {"type": "boolean", "description": "May parts be sent at the same time and in any order?"}},
  "required": ["id", "key", "content_type", "bytes", "reserved", "started_at", "expires_at"]},
"ObjectUploads": {"type": "object", "properties": {
  "data": {"type": "array", "items": {"$ref": "#/components/schemas/ObjectUpload"}}}, "required": ["data"]},
"ObjectUploadComplete": {"type": "object", "additionalProperties": false, "properties": {
  "sha256": {"type": "string", "description": "Of the whole, hexadecimal: checked before the object counts"}}}
})json";

json::Value number_of(std::uint64_t number) { return static_cast<std::int64_t>(number); }

std::string time_of(std::int64_t unix_ms) { return to_rfc3339(WallTime(std::chrono::milliseconds(unix_ms))); }

json::Value checksum_of(const std::string& sha256) {
  return sha256.empty() ? json::Value() : json::Value(sha256);
}

}  // namespace

json::Value object_document(const objects::Object& object) {
  return json::Object{{"key", object.key},
                      {"bytes", number_of(object.bytes)},
                      {"version", object.version},
                      {"sha256", checksum_of(object.sha256)},
                      {"content_type", object.content_type},
                      {"modified_at", time_of(object.modified_ms)}};
}

json::Value object_page_document(const objects::ObjectPage& page) {
  json::Array data, folders;
  for (const objects::Object& object : page.objects) data.push_back(object_document(object));
  for (const std::string& folder : page.folders) folders.emplace_back(folder);
  json::Value document;
  document.set("data", std::move(data));
  document.set("folders", std::move(folders));
  document.set("next_cursor", page.next_cursor.empty() ? json::Value() : json::Value(page.next_cursor));
  return document;
}

json::Value usage_document(const objects::Usage& usage) {
  return json::Object{{"bytes", number_of(usage.bytes)},
                      {"objects", number_of(usage.objects)},
                      {"reserved", number_of(usage.reserved)},
                      {"limit", usage.limit < 0 ? json::Value() : json::Value(usage.limit)}};
}

json::Value part_document(const objects::UploadPart& part) {
  return json::Object{{"number", part.number}, {"bytes", number_of(part.bytes)}, {"sha256", part.sha256}};
}

json::Value upload_document(const objects::Upload& upload) {
  return json::Object{{"id", upload.id},
                      {"key", upload.key},
                      {"content_type", upload.content_type},
                      {"bytes", upload.declared ? number_of(*upload.declared) : json::Value()},
                      {"reserved", number_of(upload.reserved)},
                      {"started_at", time_of(upload.started_ms)},
                      {"expires_at", time_of(upload.expires_ms)}};
}

json::Value begun_upload_document(const objects::BegunUpload& begun) {
  json::Value document = upload_document(begun.upload);
  json::Array parts;
  for (const objects::UploadPart& part : begun.upload.parts) parts.push_back(part_document(part));
  document.set("parts", std::move(parts));
  document.set("part_min_bytes", number_of(begun.rules.min_bytes));
  document.set("part_alignment", number_of(begun.rules.alignment));
  document.set("parallel", begun.rules.parallel);
  return document;
}

std::string_view object_schemas() { return kSchemas; }

}  // namespace rowhouse::http
