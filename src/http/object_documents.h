// Objects as JSON documents, and the schemas of those. Pure functions.
#pragma once

#include <string_view>

#include "base/json.h"
#include "objects/object_uploads.h"

namespace rowhouse::http {

json::Value object_document(const objects::Object& object);
json::Value object_page_document(const objects::ObjectPage& page);
json::Value usage_document(const objects::Usage& usage);
json::Value upload_document(const objects::Upload& upload);
json::Value begun_upload_document(const objects::BegunUpload& begun);  // with what parts must be like
json::Value part_document(const objects::UploadPart& part);

std::string_view object_schemas();  // JSON text, for component_schemas()

}  // namespace rowhouse::http
