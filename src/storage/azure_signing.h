// Shared Key and service SAS of Azure Blob Storage.
//
// Source: "Authorize with Shared Key" and "Create a service SAS" of the Azure Storage REST API reference, for
// versions from 2020-12-06 on; the test compares with @azure/storage-blob. Immutable; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/http_message.h"
#include "storage/url.h"

namespace rowhouse::storage {

inline constexpr std::string_view kAzureVersion = "2021-08-06";

struct AzureRequest {
  std::string method;
  std::string path;                  // escaped, as it stands in the URL
  Query query;                       // not escaped
  std::vector<net::Header> headers;  // with x-ms-date and x-ms-version
  std::uint64_t content_bytes = 0;
};

struct AzureSas {
  std::string container, blob;  // not escaped
  std::string permissions;      // "r", "cw"
  std::string protocol;         // "https", or "" for any
  std::string start;            // "2013-05-24T00:00:00Z"; "" = now
  std::string expiry;
  std::string content_disposition, content_type;  // what a download answers; "" = as stored
};

class AzureSigner {
 public:
  // `key`: base64. Error: validation_failed.
  static Result<AzureSigner> create(std::string account, std::string_view key);

  std::string authorization(const AzureRequest& request) const;  // the header's value
  std::string sas(const AzureSas& sas) const;                    // the query string, without "?"

 private:
  AzureSigner(std::string account, std::string key) : account_(std::move(account)), key_(std::move(key)) {}
  std::string account_, key_;
};

}  // namespace rowhouse::storage
