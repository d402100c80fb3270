#include "storage/azure_signing.h"

#include <algorithm>
#include <map>

#include "base/text.h"
#include "crypto/crypto.h"
#include "storage/digests.h"

namespace rowhouse::storage {
namespace {

// In the order of the string to sign; Content-Length stands behind the second.
constexpr std::string_view kSignedHeaders[] = {
    "Content-Encoding",  "Content-Language", "Content-Length", "Content-MD5",         "Content-Type", "Date",
    "If-Modified-Since", "If-Match",         "If-None-Match",  "If-Unmodified-Since", "Range"};

std::string_view header_of(const AzureRequest& request, std::string_view name) {
  const auto found =
      std::find_if(request.headers.begin(), request.headers.end(),
                   [name](const net::Header& header) { return equals_ignoring_case(header.first, name); });
  return found != request.headers.end() ? trim(found->second) : std::string_view();
}

}  // namespace

Result<AzureSigner> AzureSigner::create(std::string account, std::string_view key) {
  auto bytes = from_base64(key);
  if (!bytes.has_value() || bytes->empty()) {
    return Error(ErrorCode::validation_failed, "the account key is not base64");
  }
  return AzureSigner(std::move(account), std::move(*bytes));
}

std::string AzureSigner::authorization(const AzureRequest& request) const {
  std::string text = request.method + "\n";
  for (const std::string_view name : kSignedHeaders) {
    if (name == "Content-Length") {
      if (request.content_bytes > 0) text += std::to_string(request.content_bytes);
    } else {
      text += header_of(request, name);
    }
    text.push_back('\n');
  }
  std::map<std::string, std::string> own;
  for (const auto& [name, value] : request.headers) {
    std::string lower = to_lower_ascii(name);
    if (lower.starts_with("x-ms-")) own.emplace(std::move(lower), trim(value));
  }
  for (const auto& [name, value] : own) text += name + ":" + value + "\n";
  text += "/" + account_ + request.path;
  std::map<std::string, std::string> parameters;
  for (const auto& [name, value] : request.query) parameters.emplace(to_lower_ascii(name), value);
  for (const auto& [name, value] : parameters) text += "\n" + name + ":" + value;
  return "SharedKey " + account_ + ":" + to_base64(crypto::hmac_sha256(key_, text));
}

std::string AzureSigner::sas(const AzureSas& sas) const {
  const std::string version(kAzureVersion);
  // One line each: permissions, start, expiry, resource, identifier, address, protocol, version, kind,
  // snapshot, encryption scope, and the five headers of the answer.
  const std::string text = sas.permissions + "\n" + sas.start + "\n" + sas.expiry + "\n/blob/" + account_ +
                           "/" + sas.container + "/" + sas.blob + "\n\n\n" + sas.protocol + "\n" + version +
                           "\nb\n\n\n\n" + sas.content_disposition + "\n\n\n" + sas.content_type;
  Query query = {{"sv", version}};
  if (!sas.protocol.empty()) query.emplace_back("spr", sas.protocol);
  if (!sas.start.empty()) query.emplace_back("st", sas.start);
  query.emplace_back("se", sas.expiry);
  query.emplace_back("sr", "b");
  query.emplace_back("sp", sas.permissions);
  query.emplace_back("sig", to_base64(crypto::hmac_sha256(key_, text)));
  if (!sas.content_disposition.empty()) query.emplace_back("rscd", sas.content_disposition);
  if (!sas.content_type.empty()) query.emplace_back("rsct", sas.content_type);
  return escape_query(query);
}

}  // namespace rowhouse::storage
