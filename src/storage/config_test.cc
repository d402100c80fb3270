#include "storage/config.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace rowhouse::storage {
namespace {

Result<StoreConfig> read(std::string_view provider, std::string_view text) {
  ConfigLimits limits;
  limits.mount_roots = {"/srv/mounts"};
  return read_config(provider, json::parse(text).value(), limits);
}

template <class T>
T read_ok(std::string_view provider, std::string_view text) {
  const auto config = read(provider, text);
  EXPECT_TRUE(config.ok()) << text
                           << (config.ok() ? ""
                                           : config.error().fields.front().path + " " +
                                                 config.error().fields.front().message);
  return config.ok() && std::holds_alternative<T>(*config) ? std::get<T>(*config) : T();
}

// The paths of the faults, in their order: "/bucket /region".
std::string faults(std::string_view provider, std::string_view text) {
  const auto config = read(provider, text);
  if (config.ok()) return "none";
  EXPECT_EQ(config.error().code, ErrorCode::validation_failed);
  std::string paths;
  for (const FieldError& field : config.error().fields) {
    paths += (paths.empty() ? "" : " ") + field.path;
    EXPECT_EQ(field.message.find("hunter2"), std::string::npos);
  }
  return paths;
}

TEST(StorageConfig, S3) {
  const auto aws =
      read_ok<S3Config>("aws_s3", R"({"access_key":"AK","secret_key":"s/+=","region":"eu-central-1",
      "bucket":"my-bucket","cloudfront_domain":"d1.cloudfront.net","prefix":"tenant/a"})");
  EXPECT_EQ(aws.endpoint, "https://s3.eu-central-1.amazonaws.com");
  EXPECT_EQ(aws.addressing, S3Config::Addressing::host);
  EXPECT_EQ(aws.cdn_base, "https://d1.cloudfront.net");
  EXPECT_EQ(aws.prefix, "tenant/a/");
  const auto dotted = read_ok<S3Config>(
      "aws_s3", R"({"access_key":"AK","secret_key":"s","region":"cn-north-1","bucket":"my.bucket"})");
  EXPECT_EQ(dotted.endpoint, "https://s3.cn-north-1.amazonaws.com.cn");
  EXPECT_EQ(dotted.addressing, S3Config::Addressing::path);
  const auto other =
      read_ok<S3Config>("aws_s3", R"({"access_key":"AK","secret_key":"s","region":"r","bucket":"abc",
      "endpoint":"https://S3.Example.com:8443/"})");
  EXPECT_EQ(other.endpoint, "https://s3.example.com:8443");
  EXPECT_EQ(faults("aws_s3", "{}"), "/access_key /secret_key /region /bucket");
  EXPECT_EQ(
      faults("aws_s3", R"({"access_key":"a b","secret_key":"hunter2\n","region":"x/y","bucket":"No_Good"})"),
      "/access_key /secret_key /region /bucket");
  EXPECT_EQ(faults("aws_s3",
                   R"({"access_key":1,"secret_key":"s","region":"r","bucket":"abc","buckets":"hunter2"})"),
            "/access_key /buckets");
  for (const char* endpoint :
       {"s3.example.com", "https://u:p@host", "https://host/path", "https://host?x=1", "ftp://host",
        "https://", "https://host:0", "https://ho st", "https://host:99999"}) {
    json::Value config =
        json::parse(R"({"access_key":"a","secret_key":"s","region":"r","bucket":"abc"})").value();
    config.set("endpoint", endpoint);
    EXPECT_EQ(faults("aws_s3", json::serialize(config)), "/endpoint") << endpoint;
  }
}

TEST(StorageConfig, Minio) {
  const auto plain = read_ok<S3Config>("minio", R"({"endpoint":"minio.example.com:9000","access_key":"a",
      "secret_key":"s","bucket":"images"})");
  EXPECT_EQ(plain.endpoint, "https://minio.example.com:9000");
  EXPECT_EQ(plain.addressing, S3Config::Addressing::path);
  EXPECT_EQ(plain.region, "us-east-1");
  const auto open = read_ok<S3Config>("minio", R"({"endpoint":"[::1]:9000","access_key":"a","secret_key":"s",
      "bucket":"images","secure":false,"region":"garage"})");
  EXPECT_EQ(open.endpoint, "http://[::1]:9000");
  EXPECT_EQ(open.region, "garage");
  EXPECT_EQ(
      faults("minio",
             R"({"endpoint":"http://h","access_key":"a","secret_key":"s","bucket":"abc","secure":true})"),
      "/secure");
  EXPECT_EQ(
      faults("minio", R"({"endpoint":"h","access_key":"a","secret_key":"s","bucket":"abc","secure":"no"})"),
      "/secure");
}

TEST(StorageConfig, Azure) {
  const auto azure = read_ok<AzureConfig>("azure_blob", R"({"connection_string":
      "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=aGVsbG8=;EndpointSuffix=core.windows.net",
      "container":"images","cdn_endpoint":"https://acme.azureedge.net/"})");
  EXPECT_EQ(azure.endpoint, "https://acme.blob.core.windows.net");
  EXPECT_EQ(azure.key, "aGVsbG8=");
  EXPECT_EQ(azure.cdn_base, "https://acme.azureedge.net");
  const auto local = read_ok<AzureConfig>("azure_blob", R"({"connection_string":
      "AccountName=acme;AccountKey=aGVsbG8=;BlobEndpoint=http://127.0.0.1:10000/acme;","container":"abc"})");
  EXPECT_EQ(local.endpoint, "http://127.0.0.1:10000/acme");
  for (const char* text : {"hunter2", "AccountName=acme", "AccountName=acme;AccountKey=hunter2",
                           "AccountName=ACME;AccountKey=aGVsbG8=", "UseDevelopmentStorage=true",
                           "SharedAccessSignature=hunter2;AccountName=acme",
                           "AccountName=acme;AccountKey=aGVsbG8=;BlobEndpoint=http://u:p@h"}) {
    json::Value config;
    config.set("connection_string", text);
    config.set("container", "abc");
    EXPECT_EQ(faults("azure_blob", json::serialize(config)), "/connection_string") << text;
  }
}

TEST(StorageConfig, Gcs) {
  json::Value key;
  key.set("type", "service_account");
  key.set("client_email", "a@b.iam.gserviceaccount.com");
  key.set("private_key", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n");
  key.set("private_key_id", "abc123");
  json::Value config;
  config.set("service_account_key", key);
  config.set("bucket", "my_bucket");
  config.set("project_id", "my-project");
  const auto object = read_ok<GcsConfig>("gcs", json::serialize(config));
  EXPECT_EQ(object.token_uri, "https://oauth2.googleapis.com/token");
  EXPECT_EQ(object.endpoint, "https://storage.googleapis.com");
  config.set("service_account_key", json::serialize(key));
  EXPECT_EQ(read_ok<GcsConfig>("gcs", json::serialize(config)).client_email, object.client_email);
  key.set("type", "authorized_user");
  for (const json::Value& bad :
       {json::Value("hunter2 {"), json::Value(json::serialize(key)), json::Value(1), key}) {
    config.set("service_account_key", bad);
    EXPECT_EQ(faults("gcs", json::serialize(config)), "/service_account_key");
  }
}

TEST(StorageConfig, Nfs) {
  const auto short_form = read_ok<NfsConfig>("nfs", R"({"share_path":"nas.example.com:/export/images/"})");
  EXPECT_EQ(short_form.host, "nas.example.com");
  EXPECT_EQ(short_form.export_path, "/export/images");
  EXPECT_EQ(short_form.nfs_port, 0);
  const auto url = read_ok<NfsConfig>(
      "nfs", R"({"share_path":"nfs://[fd00::1]/e?version=3&nfsport=2049&mountport=20048"})");
  EXPECT_EQ(url.host, "[fd00::1]");
  EXPECT_EQ(url.nfs_port, 2049);
  EXPECT_EQ(url.mount_port, 20048);
  for (const char* text :
       {"nas", "nas:export", "/export", "nfs://nas", "nfs://nas/e?uid=0", "nfs://nas/e?version=4",
        "nfs://nas/e?nfsport=0", "nfs://nas/e?nfsport=2049&gid=0", "nas:/a/../b", "nas:/a?uid=0", "nas:/a//b",
        "u@nas:/a", "nas:/a%2e", "nfs://nas:2049/e", "nfs:///e", "nas:/a&b"}) {
    json::Value config;
    config.set("share_path", text);
    EXPECT_EQ(faults("nfs", json::serialize(config)), "/share_path") << text;
  }
  EXPECT_EQ(faults("nfs", "{}"), "/share_path");
}

TEST(StorageConfig, Smb) {
  const auto smb =
      read_ok<SmbConfig>("smb", R"({"share_path":"\\\\NAS\\Photos\\Sub Folder","username":"ACME\\bob",
      "password":"p","protocol":"smb3"})");
  EXPECT_EQ(smb.host, "nas");
  EXPECT_EQ(smb.share, "Photos");
  EXPECT_EQ(smb.folder, "Sub Folder");
  EXPECT_EQ(smb.domain, "ACME");
  EXPECT_EQ(smb.username, "bob");
  EXPECT_EQ(smb.minimum, SmbConfig::Protocol::smb3);
  EXPECT_EQ(read_ok<SmbConfig>("smb", R"({"share_path":"//h:1445/s","username":"u","password":"p"})").port,
            1445);
  for (const char* text :
       {"//host", "host/share", "//host/../x", "//host/a/..", "//u@host/share", "//u:p@host/share",
        "//host/sh%61re", "//host/share;x", "//host//share", "//host:0/share", "//host/a?b"}) {
    json::Value config = json::parse(R"({"username":"u","password":"p"})").value();
    config.set("share_path", text);
    EXPECT_EQ(faults("smb", json::serialize(config)), "/share_path") << text;
  }
  EXPECT_EQ(faults("smb", R"({"share_path":"//h/s","username":"u%p","password":"hunter2","protocol":"NT1"})"),
            "/username /protocol");
  EXPECT_EQ(faults("smb", R"({"share_path":"//h/s"})"), "/username /password");
}

TEST(StorageConfig, MountPaths) {
  const auto config = read_ok<DirectoryConfig>("nfs", R"({"mount_path":"/srv/mounts/acme","prefix":"a/"})");
  EXPECT_EQ(config.root, "/srv/mounts/acme");
  EXPECT_EQ(config.prefix, "a/");
  for (const char* path : {"/srv/mounts/../etc", "/etc", "/srv/mountsx", "srv/mounts", "/srv/mounts//a", "/",
                           "/srv/mounts/a/", "/srv/mounts/./a"}) {
    json::Value mounted;
    mounted.set("mount_path", path);
    EXPECT_EQ(faults("nfs", json::serialize(mounted)), "/mount_path") << path;
    EXPECT_EQ(faults("smb", json::serialize(mounted)), "/mount_path") << path;
  }
  EXPECT_EQ(faults("nfs", R"({"mount_path":"/srv/mounts/a","share_path":"h:/e"})"), "/share_path");
  EXPECT_FALSE(
      read_config("nfs", json::parse(R"({"mount_path":"/srv/mounts/a"})").value(), ConfigLimits()).ok());
}

TEST(StorageConfig, Prefixes) {
  for (const char* prefix : {"/", "a//b", "../x", "a/./b", "x\\u0000", "a\\n"}) {
    const std::string text = std::string(R"({"share_path":"h:/e","prefix":")") + prefix + "\"}";
    EXPECT_EQ(faults("nfs", text), "/prefix") << prefix;
  }
}

TEST(StorageConfig, UnknownProvidersAndShapes) {
  EXPECT_EQ(faults("ftp", "{}"), "/provider");
  EXPECT_EQ(faults("nfs", "[]"), "");
}

TEST(StorageConfig, DescriptionsHaveNoSecret) {
  const auto config =
      json::parse(R"({"access_key":"hunter2","secret_key":"hunter2","bucket":"b","secure":false,
      "connection_string":"hunter2","service_account_key":{"private_key":"hunter2"},"password":"hunter2",
      "username":"hunter2","region":null})");
  const std::string text = json::serialize(describe_config("minio", config.value()));
  EXPECT_EQ(text.find("hunter2"), std::string::npos);
  EXPECT_EQ(text,
            R"({"access_key":true,"secret_key":true,"bucket":"b","secure":false,"connection_string":true,)"
            R"("service_account_key":true,"password":true,"username":true})");
}

}  // namespace
}  // namespace rowhouse::storage
