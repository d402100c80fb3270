#include "storage/minio_admin.h"

#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "storage/admin_calls.h"
#include "storage/minio_payload.h"

namespace rowhouse::storage {
namespace {

constexpr std::size_t kSecretKeyBytes = 30;  // 40 characters, the longest that MinIO takes
constexpr const char* kAdmin = "/minio/admin/v3/";

json::Value list_of(std::initializer_list<std::string> texts) {
  json::Array list;
  for (const std::string& text : texts) list.emplace_back(text);
  return json::Value(std::move(list));
}

json::Value allow(json::Value actions, std::string resource) {
  json::Value statement;
  statement.set("Effect", "Allow");
  statement.set("Action", std::move(actions));
  statement.set("Resource", list_of({std::move(resource)}));
  return statement;
}

// What Rowhouse itself does in the bucket.
std::string policy_of(const std::string& bucket) {
  json::Array statements;
  statements.push_back(
      allow(list_of({"s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"}),
            "arn:aws:s3:::" + bucket));
  statements.push_back(allow(list_of({"s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject",
                                      "s3:ListMultipartUploadParts", "s3:PutObject"}),
                             "arn:aws:s3:::" + bucket + "/*"));
  json::Value policy;
  policy.set("Version", "2012-10-17");
  policy.set("Statement", json::Value(std::move(statements)));
  return json::serialize(policy);
}

class MinioAdmin final : public ObjectStoreAdmin {
 public:
  MinioAdmin(const StoreTools& tools, Endpoint endpoint, MinioAdminConfig config, DeriveSecret derive)
      : tools_(tools),
        endpoint_(std::move(endpoint)),
        region_(std::move(config.region)),
        secret_key_(config.secret_key),
        signer_(std::move(config.access_key), std::move(config.secret_key), region_),
        derive_(std::move(derive)) {}

  Task<Result<MadeStore>> create(Uuid tenant, std::uint64_t quota_bytes, CallOptions options) override {
    const std::string name = made_name_of(tenant);
    const std::string secret = secret_key_of(tenant);
    const std::function<Task<Result<void>>()> policy = [&] { return make_policy(name, options); };
    CO_TRY_DO(co_await as_effect("make storage policy", policy, options));
    const std::function<Task<Result<void>>()> bucket = [&] { return make_bucket(name, options); };
    CO_TRY_DO(co_await as_effect("make bucket", bucket, options));
    CO_TRY_DO(co_await set_quota(tenant, quota_bytes, options));
    const std::function<Task<Result<void>>()> user = [&] { return make_user(name, secret, options); };
    CO_TRY_DO(co_await as_effect("make storage user", user, options));
    const std::function<Task<Result<void>>()> attach = [&] { return attach_policy(name, options); };
    CO_TRY_DO(co_await as_effect("attach storage policy", attach, options));
    MadeStore made;
    made.provider = "minio";
    made.config.set("endpoint", endpoint_.authority);
    made.config.set("secure", endpoint_.scheme == "https");
    made.config.set("region", region_);
    made.config.set("bucket", name);
    made.config.set("access_key", name);
    made.config.set("secret_key", secret);
    co_return made;
  }

  Task<Result<void>> set_quota(Uuid tenant, std::uint64_t quota_bytes, CallOptions options) override {
    const std::string name = made_name_of(tenant);
    const std::function<Task<Result<void>>()> work = [&] { return limit_bucket(name, quota_bytes, options); };
    co_return co_await as_effect("set storage quota", work, options);
  }

  Task<Result<void>> remove(Uuid tenant, CallOptions options) override {
    const std::string name = made_name_of(tenant);
    const std::function<Task<Result<void>>()> bucket = [&] { return drop_bucket(name, options); };
    CO_TRY_DO(co_await as_effect("remove bucket", bucket, options));
    const std::function<Task<Result<void>>()> user = [&] {
      return drop("remove-user", "accessKey", name, options);
    };
    CO_TRY_DO(co_await as_effect("remove storage user", user, options));
    const std::function<Task<Result<void>>()> policy = [&] {
      return drop("remove-canned-policy", "name", name, options);
    };
    co_return co_await as_effect("remove storage policy", policy, options);
  }

  Task<Result<std::vector<Uuid>>> list_ours(CallOptions options) override {
    StoreRequest list("GET", std::string(kAdmin) + "list-canned-policies");
    CO_TRY(const Answer answer, co_await call(std::move(list), options));
    CO_TRY(const json::Value policies, json_of(answer));
    std::vector<Uuid> found;
    if (policies.as_object() == nullptr) co_return found;
    for (const auto& [name, policy] : *policies.as_object()) add_tenant_of(name, found);
    co_return found;
  }

 private:
  std::string secret_key_of(const Uuid& tenant) const {
    return to_base64url(derive_("storage secret key of tenant " + tenant.to_string(), kSecretKeyBytes));
  }

  Task<Result<void>> make_policy(std::string name, CallOptions options) {
    StoreRequest request("PUT", std::string(kAdmin) + "add-canned-policy");
    request.body = policy_of(name);
    request.query.emplace_back("name", std::move(name));
    CO_TRY_DO(co_await call(std::move(request), options));
    co_return Result<void>();
  }

  Task<Result<void>> make_bucket(std::string name, CallOptions options) {
    StoreRequest look("HEAD", "/" + name);
    look.accept = {404};
    CO_TRY(const Answer found, co_await call(std::move(look), options));
    if (found.status != 404) co_return Result<void>();
    StoreRequest make("PUT", "/" + name);
    CO_TRY_DO(co_await call(std::move(make), options));
    co_return Result<void>();
  }

  Task<Result<void>> limit_bucket(std::string name, std::uint64_t quota_bytes, CallOptions options) {
    // "quota" for releases before 2024, "size" for those after.
    json::Value quota;
    quota.set("quota", static_cast<std::int64_t>(quota_bytes));
    quota.set("size", static_cast<std::int64_t>(quota_bytes));
    quota.set("quotatype", "hard");
    StoreRequest request("PUT", std::string(kAdmin) + "set-bucket-quota");
    request.query.emplace_back("bucket", std::move(name));
    request.body = json::serialize(quota);
    CO_TRY_DO(co_await call(std::move(request), options));
    co_return Result<void>();
  }

  Task<Result<void>> make_user(std::string name, std::string secret, CallOptions options) {
    json::Value user;
    user.set("secretKey", std::move(secret));
    user.set("status", "enabled");
    StoreRequest request("PUT", std::string(kAdmin) + "add-user");
    request.query.emplace_back("accessKey", std::move(name));
    request.body =
        seal_minio_payload(secret_key_, json::serialize(user), crypto::random_bytes(kMinioSaltBytes),
                           crypto::random_bytes(kMinioNonceBytes));
    CO_TRY_DO(co_await call(std::move(request), options));
    co_return Result<void>();
  }

  Task<Result<void>> attach_policy(std::string name, CallOptions options) {
    StoreRequest request("PUT", std::string(kAdmin) + "set-user-or-group-policy");
    request.query = {{"isGroup", "false"}, {"policyName", name}, {"userOrGroup", name}};
    CO_TRY_DO(co_await call(std::move(request), options));
    co_return Result<void>();
  }

  Task<Result<void>> drop_bucket(std::string name, CallOptions options) {
    StoreRequest request("DELETE", "/" + name);
    request.headers.emplace_back("x-minio-force-delete", "true");
    request.accept = {404};
    CO_TRY_DO(co_await call(std::move(request), options));
    co_return Result<void>();
  }

  Task<Result<void>> drop(std::string what, std::string parameter, std::string name, CallOptions options) {
    StoreRequest request("DELETE", kAdmin + what);
    request.query.emplace_back(std::move(parameter), std::move(name));
    request.accept = {404};
    CO_TRY_DO(co_await call(std::move(request), options));
    co_return Result<void>();
  }

  Task<Result<Answer>> call(StoreRequest request, CallOptions options) {
    co_return co_await send_signed_request(tools_, endpoint_, signer_, std::move(request), options);
  }

  const StoreTools tools_;
  const Endpoint endpoint_;
  const std::string region_, secret_key_;
  const S3Signer signer_;
  const DeriveSecret derive_;
};

}  // namespace

Result<std::unique_ptr<ObjectStoreAdmin>> open_minio_admin(const StoreTools& tools, MinioAdminConfig config,
                                                           DeriveSecret derive) {
  TRY(Endpoint endpoint, parse_endpoint(config.endpoint));
  TRY_DO(tools.egress.check_host(endpoint.host, endpoint.port));
  return std::unique_ptr<ObjectStoreAdmin>(
      std::make_unique<MinioAdmin>(tools, std::move(endpoint), std::move(config), std::move(derive)));
}

}  // namespace rowhouse::storage
