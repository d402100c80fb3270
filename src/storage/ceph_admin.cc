#include "storage/ceph_admin.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "storage/admin_calls.h"

namespace rowhouse::storage {
namespace {

constexpr std::size_t kAccessKeyBytes = 10;
constexpr std::size_t kSecretKeyBytes = 30;
constexpr std::uint64_t kQuotaUnitBytes = 1024;
constexpr const char* kUsersPerPage = "1000";

std::string to_upper_hex(std::string_view bytes) {
  std::string text = to_hex(bytes);
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'a' ? static_cast<char>(c - 32) : c; });
  return text;
}

void add_ours(const json::Value* names, std::vector<Uuid>& found) {
  if (names == nullptr || names->as_array() == nullptr) return;
  for (const json::Value& name : *names->as_array()) {
    if (name.as_string() != nullptr) add_tenant_of(*name.as_string(), found);
  }
}

class CephAdmin final : public ObjectStoreAdmin {
 public:
  CephAdmin(const StoreTools& tools, Endpoint endpoint, CephAdminConfig config, DeriveSecret derive)
      : tools_(tools),
        endpoint_(std::move(endpoint)),
        region_(std::move(config.region)),
        signer_(std::move(config.access_key), std::move(config.secret_key), region_),
        derive_(std::move(derive)) {}

  Task<Result<MadeStore>> create(Uuid tenant, std::uint64_t quota_bytes, CallOptions options) override {
    const std::function<Task<Result<void>>()> user = [&] { return make_user(tenant, options); };
    CO_TRY_DO(co_await as_effect("make storage user", user, options));
    const std::function<Task<Result<void>>()> bucket = [&] { return make_bucket(tenant, options); };
    CO_TRY_DO(co_await as_effect("make bucket", bucket, options));
    CO_TRY_DO(co_await set_quota(tenant, quota_bytes, options));
    const std::string key = access_key_of(tenant);
    const std::string secret = secret_key_of(tenant);
    MadeStore made;
    made.provider = "minio";
    made.config.set("endpoint", endpoint_.authority);
    made.config.set("secure", endpoint_.scheme == "https");
    made.config.set("region", region_);
    made.config.set("bucket", made_name_of(tenant));
    made.config.set("access_key", key);
    made.config.set("secret_key", secret);
    co_return made;
  }

  Task<Result<void>> set_quota(Uuid tenant, std::uint64_t quota_bytes, CallOptions options) override {
    const std::uint64_t units = (quota_bytes + kQuotaUnitBytes - 1) / kQuotaUnitBytes;
    const std::function<Task<Result<void>>()> work = [&]() -> Task<Result<void>> {
      StoreRequest request("PUT", "/admin/user");
      request.query = {
          {"quota", ""},          {"uid", made_name_of(tenant)},
          {"quota-type", "user"}, {"max-size-kb", quota_bytes == 0 ? "-1" : std::to_string(units)},
          {"max-objects", "-1"},  {"enabled", quota_bytes == 0 ? "false" : "true"}};
      CO_TRY_DO(co_await call(std::move(request), options));
      co_return Result<void>();
    };
    co_return co_await as_effect("set storage quota", work, options);
  }

  Task<Result<void>> remove(Uuid tenant, CallOptions options) override {
    const std::function<Task<Result<void>>()> bucket = [&]() -> Task<Result<void>> {
      StoreRequest request("DELETE", "/admin/bucket");
      request.query = {{"bucket", made_name_of(tenant)}, {"purge-objects", "true"}};
      request.accept = {404};
      CO_TRY_DO(co_await call(std::move(request), options));
      co_return Result<void>();
    };
    CO_TRY_DO(co_await as_effect("remove bucket", bucket, options));
    const std::function<Task<Result<void>>()> user = [&]() -> Task<Result<void>> {
      StoreRequest request("DELETE", "/admin/user");
      request.query = {{"uid", made_name_of(tenant)}, {"purge-data", "true"}};
      request.accept = {404};
      CO_TRY_DO(co_await call(std::move(request), options));
      co_return Result<void>();
    };
    co_return co_await as_effect("remove storage user", user, options);
  }

  Task<Result<std::vector<Uuid>>> list_ours(CallOptions options) override {
    std::vector<Uuid> found;
    StoreRequest buckets("GET", "/admin/bucket");
    CO_TRY(const Answer names, co_await call(std::move(buckets), options));
    CO_TRY(const json::Value list, json_of(names));
    add_ours(&list, found);
    std::string marker;
    do {
      StoreRequest users("GET", "/admin/user");
      users.query = {{"list", ""}, {"max-entries", kUsersPerPage}};
      if (!marker.empty()) users.query.emplace_back("marker", marker);
      CO_TRY(const Answer answer, co_await call(std::move(users), options));
      CO_TRY(const json::Value page, json_of(answer));
      add_ours(page.find("keys"), found);
      const json::Value* more = page.find("truncated");
      const bool goes_on = more != nullptr && (*more == json::Value(true) || *more == json::Value("true"));
      marker = goes_on ? text_member(page, "marker") : "";
    } while (!marker.empty());
    co_return found;
  }

 private:
  std::string access_key_of(const Uuid& tenant) const {
    return to_upper_hex(derive_("storage access key of tenant " + tenant.to_string(), kAccessKeyBytes));
  }
  std::string secret_key_of(const Uuid& tenant) const {
    return to_base64url(derive_("storage secret key of tenant " + tenant.to_string(), kSecretKeyBytes));
  }

  Task<Result<void>> make_user(Uuid tenant, CallOptions options) {
    StoreRequest request("PUT", "/admin/user");
    request.query = {{"uid", made_name_of(tenant)},
                     {"display-name", made_name_of(tenant)},
                     {"max-buckets", "-1"},
                     {"generate-key", "false"},
                     {"key-type", "s3"},
                     {"access-key", access_key_of(tenant)},
                     {"secret-key", secret_key_of(tenant)}};
    request.accept = {409};
    CO_TRY(const Answer made, co_await call(request, options));
    if (made.status != 409) co_return Result<void>();
    // It is there; its key may be one of another master key.
    request.method = "POST";
    request.accept.clear();
    CO_TRY_DO(co_await call(std::move(request), options));
    co_return Result<void>();
  }

  Task<Result<void>> make_bucket(Uuid tenant, CallOptions options) {
    const std::string name = made_name_of(tenant);
    StoreRequest look("GET", "/admin/bucket");
    look.query = {{"bucket", name}, {"stats", "true"}};
    look.accept = {404};
    CO_TRY(Answer found, co_await call(look, options));
    if (found.status == 404) {
      StoreRequest make("PUT", "/" + name);
      CO_TRY_DO(co_await call(std::move(make), options));
      look.accept.clear();
      CO_TRY(found, co_await call(std::move(look), options));
    }
    CO_TRY(const json::Value bucket, json_of(found));
    if (text_member(bucket, "owner") == name) co_return Result<void>();
    StoreRequest link("PUT", "/admin/bucket");
    link.query = {{"bucket", name}, {"bucket-id", text_member(bucket, "id")}, {"uid", name}};
    CO_TRY_DO(co_await call(std::move(link), options));
    co_return Result<void>();
  }

  Task<Result<Answer>> call(StoreRequest request, CallOptions options) {
    if (request.path.starts_with("/admin/")) request.query.emplace_back("format", "json");
    co_return co_await send_signed_request(tools_, endpoint_, signer_, std::move(request), options);
  }

  const StoreTools tools_;
  const Endpoint endpoint_;
  const std::string region_;
  const S3Signer signer_;
  const DeriveSecret derive_;
};

}  // namespace

Result<std::unique_ptr<ObjectStoreAdmin>> open_ceph_admin(const StoreTools& tools, CephAdminConfig config,
                                                          DeriveSecret derive) {
  TRY(Endpoint endpoint, parse_endpoint(config.endpoint));
  TRY_DO(tools.egress.check_host(endpoint.host, endpoint.port));
  return std::unique_ptr<ObjectStoreAdmin>(
      std::make_unique<CephAdmin>(tools, std::move(endpoint), std::move(config), std::move(derive)));
}

}  // namespace rowhouse::storage
