// What tenants say of their own object storage, as requirements list it: one JSON object for each provider.
//
//   azure_blob  connection_string, container, cdn_endpoint?
//   aws_s3      access_key, secret_key, region, bucket, cloudfront_domain?, endpoint?
//   gcs         service_account_key (the JSON text, or the object itself), bucket, project_id, cdn_domain?,
//   endpoint? minio       endpoint, access_key, secret_key, bucket, secure (default true), region?   also
//   every other S3 nfs         share_path ("HOST:/EXPORT" or
//   "nfs://HOST/EXPORT?version=3&nfsport=…&mountport=…"), or mount_path smb         share_path
//   ("//HOST[:PORT]/SHARE[/FOLDER]"), username, password, protocol? ("SMB2", "SMB3"), or
//               mount_path
// mount_path is a folder of this machine that the operator has mounted; allowed only below
// `storage_mount_roots`. Each may have prefix? ("tenant/a/": all keys go below it).
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace rowhouse::storage {

struct S3Config {
  std::string endpoint;  // "https://s3.eu-central-1.amazonaws.com", without a path
  std::string region = "us-east-1";
  std::string bucket, access_key, secret_key;
  enum class Addressing { path, host } addressing = Addressing::path;  // host: bucket.endpoint
  std::string cdn_base;  // "https://d111.cloudfront.net"; "" if none
  std::string prefix;    // "" or ends with "/"
};
struct AzureConfig {
  std::string account, key;  // key: base64 as given
  std::string
      endpoint;  // "https://ACCOUNT.blob.core.windows.net", or with a path: "http://127.0.0.1:1/ACCOUNT"
  std::string container, cdn_base, prefix;
};
struct GcsConfig {
  std::string client_email, private_key_pem, private_key_id, token_uri;
  std::string endpoint = "https://storage.googleapis.com";
  std::string bucket, project_id, cdn_base, prefix;
};
struct NfsConfig {
  std::string host, export_path;     // "/export/images"
  int version = 3;                   // 3 alone: version 4 of libnfs 4.0 cannot write
  int nfs_port = 0, mount_port = 0;  // 0: ask rpcbind
  std::string prefix;
};
struct SmbConfig {
  std::string host, share, folder;
  int port = 445;
  std::string username, password, domain;
  enum class Protocol { smb2, smb3 } minimum = Protocol::smb2;
  std::string prefix;
};
// A directory of this machine: a mounted share, or provisioned storage.
struct DirectoryConfig {
  std::string root;  // absolute, without symbolic links (std::filesystem::canonical); made by others
  std::string prefix;
};
using StoreConfig = std::variant<S3Config, AzureConfig, GcsConfig, NfsConfig, SmbConfig, DirectoryConfig>;

// The providers' names, in the order of the API's documents.
inline constexpr std::string_view kProviders[] = {"azure_blob", "aws_s3", "gcs", "minio", "nfs", "smb"};

struct ConfigLimits {
  std::vector<std::string> mount_roots;  // absolute directories below which mount_path may be
};

// Checks every member. Errors: validation_failed with a field for each fault ("/bucket"); unknown members are
// faults. Does not connect and does not ask the egress guard.
Result<StoreConfig> read_config(std::string_view provider, const json::Value& config,
                                const ConfigLimits& limits);
// Which members are set, and never their values: {"access_key": true, …} for secrets; harmless ones (bucket,
// region, container, project_id, endpoint, prefix, protocol, share_path, mount_path, secure, CDN) with their
// values.
json::Value describe_config(std::string_view provider, const json::Value& config);

}  // namespace rowhouse::storage
