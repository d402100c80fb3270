#include "platform/storage_settings.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/text.h"
#include "platform/secrets.h"
#include "storage/directory_admin.h"
#include "storage/url.h"

namespace rowhouse::platform {
namespace {

using Provisioning = ProvisioningSettings::Kind;

constexpr mode_t kOwnerOnly = 0700;

std::vector<std::string> list_of(std::string_view text) {
  std::vector<std::string> entries;
  for (const auto& entry : split(text, ',')) {
    const std::string_view trimmed = trim(entry);
    if (!trimmed.empty()) entries.emplace_back(trimmed);
  }
  return entries;
}

Result<std::string> provisioned_directory(const ProvisioningSettings& settings, const Config& config,
                                          ServerKind kind) {
  std::string directory = settings.directory;
  if (directory.empty()) {
    if (kind != ServerKind::embedded) {
      return Error(
          ErrorCode::config_invalid,
          "storage_provisioned = directory needs storage_directory: a directory that every node shares");
    }
    directory = config.postgres.data_directory + "/objects";
    if (::mkdir(directory.c_str(), kOwnerOnly) != 0 && errno != EEXIST) {
      return Error(ErrorCode::config_invalid,
                   fmt::format("cannot make {}: {}", directory, std::strerror(errno)));
    }
  }
  struct stat status {};
  if (::stat(directory.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) {
    return Error(ErrorCode::config_invalid,
                 fmt::format("storage_directory: {} is not a directory; make it, or mount it", directory));
  }
  return directory;
}

}  // namespace

namespace {

// What an endpoint of the operator's own is reached by. Error: config_invalid, naming the option.
Result<std::string> egress_entry(std::string_view option, const std::string& url) {
  const auto endpoint = storage::parse_endpoint(url);
  if (!endpoint.ok() || !endpoint->path.empty()) {
    return Error(ErrorCode::config_invalid, fmt::format("{} is not https://HOST:PORT", option));
  }
  const bool is_ipv6 = endpoint->host.find(':') != std::string::npos;
  std::string entry =
      fmt::format(fmt::runtime(is_ipv6 ? "[{}]:{}" : "{}:{}"), endpoint->host, endpoint->port);
  const auto policy = net::EgressPolicy::create({entry});
  if (!policy.ok() || !policy->check_host(endpoint->host, endpoint->port).ok()) {
    return Error(ErrorCode::config_invalid, fmt::format("{} names a host that cannot be one", option));
  }
  return entry;
}

std::string_view name_of(Provisioning kind) {
  if (kind == Provisioning::minio) return "minio";
  return kind == Provisioning::garage ? "garage" : "ceph_rgw";
}

// The operator's own gateway may be anywhere, and is reached by nothing but what is provisioned.
Result<void> add_gateway(const Resolved& resolved, StorageSetup& setup) {
  const ProvisioningSettings& settings = resolved.config.provisioning;
  const bool is_garage = setup.kind == Provisioning::garage;
  TRY(const std::string secret,
      find_secret(resolved, "storage_admin_secret_key", "storage_admin_secret_key_file"));
  const std::string& second = is_garage ? settings.admin_endpoint : settings.admin_access_key;
  if (settings.endpoint.empty() || second.empty() || secret.empty()) {
    return Error(
        ErrorCode::config_invalid,
        fmt::format("storage_provisioned = {} needs storage_endpoint, {} and "
                    "storage_admin_secret_key (or its file)",
                    name_of(setup.kind), is_garage ? "storage_admin_endpoint" : "storage_admin_access_key"));
  }
  std::vector<std::string> allowed = list_of(resolved.config.egress.allow);
  TRY(std::string place, egress_entry("storage_endpoint", settings.endpoint));
  allowed.push_back(std::move(place));
  if (is_garage) {
    TRY(place, egress_entry("storage_admin_endpoint", settings.admin_endpoint));
    allowed.push_back(std::move(place));
  }
  TRY(setup.own_egress, net::EgressPolicy::create(allowed));
  setup.gateway = {settings.endpoint, settings.region, settings.admin_access_key, secret};
  setup.minio = {settings.endpoint, settings.region, settings.admin_access_key, secret};
  setup.garage = {settings.admin_endpoint, secret, settings.endpoint, settings.region};
  return {};
}

}  // namespace

Result<StorageSetup> storage_setup(const Resolved& resolved, ServerKind kind) {
  const Config& config = resolved.config;
  StorageSetup setup;
  TRY(setup.egress, net::EgressPolicy::create(list_of(config.egress.allow)));
  setup.own_egress = setup.egress;
  setup.transfers.ca_file = config.egress.ca_file;
  setup.kind = config.provisioning.kind;
  if (setup.kind == Provisioning::automatic) {
    setup.kind = kind == ServerKind::embedded ? Provisioning::directory : Provisioning::none;
  }
  if (setup.kind == Provisioning::directory) {
    TRY(setup.directory, provisioned_directory(config.provisioning, config, kind));
  }
  const bool is_gateway = setup.kind == Provisioning::ceph_rgw || setup.kind == Provisioning::minio ||
                          setup.kind == Provisioning::garage;
  if (is_gateway) TRY_DO(add_gateway(resolved, setup));
  return setup;
}

std::unique_ptr<storage::ObjectStoreAdmin> open_store_admin(const StorageSetup& setup,
                                                            const storage::StoreTools& tools,
                                                            const tenancy::Credentials& credentials) {
  if (setup.kind == Provisioning::directory) {
    return storage::open_directory_admin(tools.executor, tools.file_work, setup.directory);
  }
  storage::DeriveSecret derive = [&credentials](std::string_view purpose, std::size_t bytes) {
    return credentials.derive(purpose, bytes);
  };
  // storage_setup() has looked at the endpoints.
  if (setup.kind == Provisioning::ceph_rgw) {
    return std::move(storage::open_ceph_admin(tools, setup.gateway, std::move(derive))).value();
  }
  if (setup.kind == Provisioning::minio) {
    return std::move(storage::open_minio_admin(tools, setup.minio, std::move(derive))).value();
  }
  if (setup.kind == Provisioning::garage) {
    return std::move(storage::open_garage_admin(tools, setup.garage)).value();
  }
  return nullptr;
}

}  // namespace rowhouse::platform
