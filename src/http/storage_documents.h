// Storage configurations and wrapping keys as JSON documents, and the bodies of their routes. Pure functions.
// Errors of the readers: validation_failed, one field for each fault of form.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "objects/storage_configs.h"
#include "objects/storage_moves.h"
#include "operations/operation.h"
#include "secrets/rotation.h"

namespace rowhouse::http {

// A JSON object, name → schema: a part of component_schemas().
std::string_view storage_schemas();

json::Value storage_document(const objects::StorageView& view, const std::optional<objects::MoveView>& move);
Result<objects::StorageSetting> read_storage_setting(const json::Value& body);

// The body of a move: a setting, or, where the platform asks, nullopt for provisioned storage.
Result<std::optional<objects::StorageSetting>> read_storage_move(const json::Value& body);
Result<objects::OldObjects> read_move_confirmation(const json::Value& body);
// What a tenant is told of an operation that it has begun.
json::Value begun_document(const operations::Operation& operation);

json::Value encryption_keys_document(const secrets::RotationStatus& status);
json::Value rotation_document(const secrets::RotationReport& report, const secrets::RotationStatus& status);
Result<secrets::KeyRotation::DataKeys> read_encryption_key_rotation(const json::Value& body);

}  // namespace rowhouse::http
