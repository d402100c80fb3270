// The XML of the S3 and the Azure Blob API: strict about form, lenient about what is unknown. pugixml
// underneath, which follows no external entity and no document type; answers are bounded by the caller.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "storage/object_store.h"

namespace rowhouse::storage {

// <Error><Code>…: "" if the text is no such document.
std::string error_code_of_xml(std::string_view text);

// Text of the element at "/Root/Child", or "". Error: storage_failed (no XML).
Result<std::string> text_of_xml(std::string_view text, const char* path);

struct S3List {
  std::vector<ObjectInfo> objects;
  std::string next_token;
};
Result<S3List> parse_s3_list(std::string_view text);
struct S3Parts {
  std::vector<Part> parts;
  int next_marker = 0;  // 0 at the end
};
Result<S3Parts> parse_s3_parts(std::string_view text);
std::string complete_xml(const std::vector<Part>& parts);
std::string delete_xml(const std::vector<std::string>& keys);
// The first <Error> of a DeleteResult: its code, or "".
Result<std::string> error_of_delete_result(std::string_view text);

struct AzureList {
  std::vector<ObjectInfo> objects;
  std::string next_marker;
};
Result<AzureList> parse_azure_list(std::string_view text);
// Names (decoded from base64) and sizes.
Result<std::vector<std::pair<std::string, std::uint64_t>>> parse_azure_blocks(std::string_view text);
std::string block_list_xml(const std::vector<std::string>& base64_ids);

}  // namespace rowhouse::storage
