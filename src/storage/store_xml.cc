#include "storage/store_xml.h"

#include <pugixml.hpp>

#include "base/text.h"
#include "storage/digests.h"
#include "storage/url.h"

namespace rowhouse::storage {
namespace {

Result<pugi::xml_document> parse(std::string_view text, const char* root) {
  pugi::xml_document document;
  const auto parsed = document.load_buffer(
      text.data(), text.size(), pugi::parse_default | pugi::parse_ws_pcdata_single, pugi::encoding_utf8);
  if (!parsed || !document.child(root)) {
    return Error(ErrorCode::storage_failed,
                 "the object storage answered something else than the expected XML")
        .with_detail("provider_code", "BadXml");
  }
  return Result<pugi::xml_document>(std::move(document));
}

std::uint64_t number_of(const pugi::xml_node& node, const char* child) {
  const auto number = parse_int64(node.child_value(child));
  return number.has_value() && *number > 0 ? static_cast<std::uint64_t>(*number) : 0;
}

std::string unquoted(std::string_view etag) {
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
  return std::string(etag);
}

void append_escaped(std::string& xml, std::string_view text) {
  for (const char c : text) {
    switch (c) {
      case '&':
        xml += "&amp;";
        break;
      case '<':
        xml += "&lt;";
        break;
      case '>':
        xml += "&gt;";
        break;
      case '"':
        xml += "&quot;";
        break;
      default:
        xml.push_back(c);
    }
  }
}

}  // namespace

std::string error_code_of_xml(std::string_view text) {
  auto document = parse(text, "Error");
  return document.ok() ? document->child("Error").child_value("Code") : "";
}

Result<std::string> text_of_xml(std::string_view text, const char* path) {
  pugi::xml_document document;
  if (!document.load_buffer(text.data(), text.size(), pugi::parse_default, pugi::encoding_utf8)) {
    return Error(ErrorCode::storage_failed,
                 "the object storage answered something else than the expected XML")
        .with_detail("provider_code", "BadXml");
  }
  return std::string(document.first_element_by_path(path).child_value());
}

Result<S3List> parse_s3_list(std::string_view text) {
  TRY(const auto document, parse(text, "ListBucketResult"));
  const pugi::xml_node root = document.child("ListBucketResult");
  const bool escaped = std::string_view(root.child_value("EncodingType")) == "url";
  S3List list;
  for (const pugi::xml_node entry : root.children("Contents")) {
    ObjectInfo object;
    object.key = entry.child_value("Key");
    if (escaped) {
      auto key = percent_decode(object.key, Plus::is_space);
      if (!key.has_value())
        return Error(ErrorCode::storage_failed, "the object storage listed a key that is badly escaped");
      object.key = std::move(*key);
    }
    object.bytes = number_of(entry, "Size");
    object.etag = unquoted(entry.child_value("ETag"));
    object.modified_ms = parse_rfc3339(entry.child_value("LastModified"));
    list.objects.push_back(std::move(object));
  }
  if (std::string_view(root.child_value("IsTruncated")) == "true")
    list.next_token = root.child_value("NextContinuationToken");
  return list;
}

Result<S3Parts> parse_s3_parts(std::string_view text) {
  TRY(const auto document, parse(text, "ListPartsResult"));
  const pugi::xml_node root = document.child("ListPartsResult");
  S3Parts list;
  for (const pugi::xml_node entry : root.children("Part")) {
    Part part;
    part.number = static_cast<int>(number_of(entry, "PartNumber"));
    part.etag = unquoted(entry.child_value("ETag"));
    part.bytes = number_of(entry, "Size");
    list.parts.push_back(std::move(part));
  }
  if (std::string_view(root.child_value("IsTruncated")) == "true") {
    list.next_marker = static_cast<int>(number_of(root, "NextPartNumberMarker"));
  }
  return list;
}

std::string complete_xml(const std::vector<Part>& parts) {
  std::string xml = "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
  for (const Part& part : parts) {
    xml += "<Part><PartNumber>" + std::to_string(part.number) + "</PartNumber><ETag>&quot;";
    append_escaped(xml, part.etag);
    xml += "&quot;</ETag></Part>";
  }
  return xml + "</CompleteMultipartUpload>";
}

std::string delete_xml(const std::vector<std::string>& keys) {
  std::string xml = "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>";
  for (const std::string& key : keys) {
    xml += "<Object><Key>";
    append_escaped(xml, key);
    xml += "</Key></Object>";
  }
  return xml + "</Delete>";
}

Result<std::string> error_of_delete_result(std::string_view text) {
  TRY(const auto document, parse(text, "DeleteResult"));
  for (const pugi::xml_node error : document.child("DeleteResult").children("Error")) {
    const std::string code = error.child_value("Code");
    if (code != "NoSuchKey") return code.empty() ? std::string("InternalError") : code;
  }
  return std::string();
}

Result<AzureList> parse_azure_list(std::string_view text) {
  TRY(const auto document, parse(text, "EnumerationResults"));
  const pugi::xml_node root = document.child("EnumerationResults");
  AzureList list;
  for (const pugi::xml_node entry : root.child("Blobs").children("Blob")) {
    const pugi::xml_node properties = entry.child("Properties");
    ObjectInfo object;
    object.key = entry.child_value("Name");
    if (std::string_view(entry.child("Name").attribute("Encoded").value()) == "true") {
      auto key = percent_decode(object.key, Plus::is_plus);
      if (!key.has_value())
        return Error(ErrorCode::storage_failed, "the object storage listed a key that is badly escaped");
      object.key = std::move(*key);
    }
    object.bytes = number_of(properties, "Content-Length");
    object.etag = unquoted(properties.child_value("Etag"));
    object.content_type = properties.child_value("Content-Type");
    object.modified_ms = parse_http_date(properties.child_value("Last-Modified"));
    list.objects.push_back(std::move(object));
  }
  list.next_marker = root.child_value("NextMarker");
  return list;
}

Result<std::vector<std::pair<std::string, std::uint64_t>>> parse_azure_blocks(std::string_view text) {
  TRY(const auto document, parse(text, "BlockList"));
  std::vector<std::pair<std::string, std::uint64_t>> blocks;
  for (const pugi::xml_node block :
       document.child("BlockList").child("UncommittedBlocks").children("Block")) {
    blocks.emplace_back(from_base64(block.child_value("Name")).value_or(""), number_of(block, "Size"));
  }
  return blocks;
}

std::string block_list_xml(const std::vector<std::string>& base64_ids) {
  std::string xml = "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>";
  for (const std::string& id : base64_ids) xml += "<Uncommitted>" + id + "</Uncommitted>";
  return xml + "</BlockList>";
}

}  // namespace rowhouse::storage
