#include "storage/garage_admin.h"

#include <utility>

#include "storage/admin_calls.h"
#include "storage/store_xml.h"

namespace rowhouse::storage {
namespace {

constexpr const char* kKeysPerPage = "1000";

struct Key {
  std::string id, secret;
};

Key key_of(const json::Value& document) {
  Key key;
  key.id = text_member(document, "accessKeyId");
  key.secret = text_member(document, "secretAccessKey");
  return key;
}

json::Value object_of(std::string_view name, json::Value value) {
  json::Value object;
  object.set(std::string(name), std::move(value));
  return object;
}

class GarageAdmin final : public ObjectStoreAdmin {
 public:
  GarageAdmin(const StoreTools& tools, Endpoint admin, Endpoint s3, GarageAdminConfig config)
      : tools_(tools),
        admin_(std::move(admin)),
        s3_(std::move(s3)),
        token_(std::move(config.admin_token)),
        region_(std::move(config.region)) {}

  Task<Result<MadeStore>> create(Uuid tenant, std::uint64_t quota_bytes, CallOptions options) override {
    const std::string name = made_name_of(tenant);
    const std::function<Task<Result<void>>()> bucket = [&] { return make_bucket(name, options); };
    CO_TRY_DO(co_await as_effect("make bucket", bucket, options));
    const std::function<Task<Result<void>>()> key = [&] { return make_key(name, options); };
    CO_TRY_DO(co_await as_effect("make storage key", key, options));
    CO_TRY_DO(co_await set_quota(tenant, quota_bytes, options));
    CO_TRY(const auto keys, co_await find_keys(name, options));
    if (keys.empty() || keys.front().secret.empty()) {
      co_return Error(ErrorCode::storage_failed, "the object storage does not tell the key that it has made");
    }
    MadeStore made;
    made.provider = "minio";
    made.config.set("endpoint", s3_.authority);
    made.config.set("secure", s3_.scheme == "https");
    made.config.set("region", region_);
    made.config.set("bucket", name);
    made.config.set("access_key", keys.front().id);
    made.config.set("secret_key", keys.front().secret);
    co_return made;
  }

  Task<Result<void>> set_quota(Uuid tenant, std::uint64_t quota_bytes, CallOptions options) override {
    const std::string name = made_name_of(tenant);
    const std::function<Task<Result<void>>()> work = [&] { return limit_bucket(name, quota_bytes, options); };
    co_return co_await as_effect("set storage quota", work, options);
  }

  Task<Result<void>> remove(Uuid tenant, CallOptions options) override {
    const std::string name = made_name_of(tenant);
    CO_TRY(const std::string bucket, co_await find_bucket(name, options));
    if (!bucket.empty()) {
      const std::function<Task<Result<void>>()> empty = [&] { return empty_bucket(name, bucket, options); };
      CO_TRY_DO(co_await as_effect("empty bucket", empty, options));
      const std::function<Task<Result<void>>()> drop = [&] { return drop_bucket(bucket, options); };
      CO_TRY_DO(co_await as_effect("remove bucket", drop, options));
    }
    const std::function<Task<Result<void>>()> keys = [&] { return drop_keys(name, options); };
    co_return co_await as_effect("remove storage key", keys, options);
  }

  Task<Result<std::vector<Uuid>>> list_ours(CallOptions options) override {
    std::vector<Uuid> found;
    StoreRequest all_buckets("GET", "/v2/ListBuckets");
    CO_TRY(const Answer buckets, co_await send(std::move(all_buckets), options));
    CO_TRY(const json::Value list, json_of(buckets));
    if (list.as_array() != nullptr) {
      for (const json::Value& bucket : *list.as_array()) {
        const json::Value* aliases = bucket.find("globalAliases");
        if (aliases == nullptr || aliases->as_array() == nullptr) continue;
        for (const json::Value& alias : *aliases->as_array()) {
          if (alias.as_string() != nullptr) add_tenant_of(*alias.as_string(), found);
        }
      }
    }
    StoreRequest all_keys("GET", "/v2/ListKeys");
    CO_TRY(const Answer keys, co_await send(std::move(all_keys), options));
    CO_TRY(const json::Value names, json_of(keys));
    if (names.as_array() != nullptr) {
      for (const json::Value& key : *names.as_array()) add_tenant_of(text_member(key, "name"), found);
    }
    co_return found;
  }

 private:
  // The bucket's id; "" if there is none of that name.
  Task<Result<std::string>> find_bucket(std::string name, CallOptions options) {
    StoreRequest look("GET", "/v2/GetBucketInfo");
    look.query.emplace_back("globalAlias", std::move(name));
    look.accept = {404};
    CO_TRY(const Answer answer, co_await send(std::move(look), options));
    if (answer.status == 404) co_return std::string();
    CO_TRY(const json::Value bucket, json_of(answer));
    co_return text_member(bucket, "id");
  }

  // Those of that name, with their secrets: one, none, or several after two attempts at the same time.
  Task<Result<std::vector<Key>>> find_keys(std::string name, CallOptions options) {
    std::vector<Key> keys;
    StoreRequest look("GET", "/v2/GetKeyInfo");
    look.query = {{"search", name}, {"showSecretKey", "true"}};
    look.accept = {400, 404};  // 400: several match
    CO_TRY(const Answer answer, co_await send(std::move(look), options));
    if (answer.status == 404) co_return keys;
    if (answer.status != 400) {
      CO_TRY(const json::Value found, json_of(answer));
      if (text_member(found, "name") == name) keys.push_back(key_of(found));
      co_return keys;
    }
    StoreRequest all("GET", "/v2/ListKeys");
    CO_TRY(const Answer listed, co_await send(std::move(all), options));
    CO_TRY(const json::Value list, json_of(listed));
    if (list.as_array() == nullptr) co_return keys;
    for (const json::Value& item : *list.as_array()) {
      if (text_member(item, "name") != name) continue;
      StoreRequest one("GET", "/v2/GetKeyInfo");
      one.query = {{"id", text_member(item, "id")}, {"showSecretKey", "true"}};
      CO_TRY(const Answer info, co_await send(std::move(one), options));
      CO_TRY(const json::Value key, json_of(info));
      keys.push_back(key_of(key));
    }
    co_return keys;
  }

  Task<Result<void>> make_bucket(std::string name, CallOptions options) {
    CO_TRY(const std::string there, co_await find_bucket(name, options));
    if (!there.empty()) co_return Result<void>();
    StoreRequest make("POST", "/v2/CreateBucket");
    make.body = json::serialize(object_of("globalAlias", name));
    CO_TRY_DO(co_await send(std::move(make), options));
    co_return Result<void>();
  }

  // A key of that name, allowed to read and write in the bucket of that name.
  Task<Result<void>> make_key(std::string name, CallOptions options) {
    CO_TRY(const auto keys, co_await find_keys(name, options));
    std::string id = keys.empty() ? "" : keys.front().id;
    if (id.empty()) {
      StoreRequest make("POST", "/v2/CreateKey");
      make.body = json::serialize(object_of("name", name));
      CO_TRY(const Answer made, co_await send(std::move(make), options));
      CO_TRY(const json::Value key, json_of(made));
      id = text_member(key, "accessKeyId");
    }
    CO_TRY(const std::string bucket, co_await find_bucket(name, options));
    json::Value permissions;
    permissions.set("read", true);
    permissions.set("write", true);
    permissions.set("owner", false);
    json::Value body;
    body.set("bucketId", bucket);
    body.set("accessKeyId", id);
    body.set("permissions", std::move(permissions));
    StoreRequest allow("POST", "/v2/AllowBucketKey");
    allow.body = json::serialize(body);
    CO_TRY_DO(co_await send(std::move(allow), options));
    co_return Result<void>();
  }

  Task<Result<void>> limit_bucket(std::string name, std::uint64_t quota_bytes, CallOptions options) {
    CO_TRY(const std::string bucket, co_await find_bucket(name, options));
    json::Value quotas;
    quotas.set("maxSize",
               quota_bytes == 0 ? json::Value() : json::Value(static_cast<std::int64_t>(quota_bytes)));
    quotas.set("maxObjects", json::Value());
    StoreRequest update("POST", "/v2/UpdateBucket");
    update.query.emplace_back("id", bucket);
    update.body = json::serialize(object_of("quotas", std::move(quotas)));
    CO_TRY_DO(co_await send(std::move(update), options));
    co_return Result<void>();
  }

  Task<Result<void>> empty_bucket(std::string name, std::string bucket, CallOptions options) {
    // Its key may be gone already, or never have been made.
    CO_TRY_DO(co_await make_key(name, options));
    CO_TRY(const auto keys, co_await find_keys(name, options));
    if (keys.empty()) co_return Error(ErrorCode::storage_failed, "the object storage hides a key");
    json::Value uploads;
    uploads.set("bucketId", bucket);
    uploads.set("olderThanSecs", std::int64_t{0});
    StoreRequest clean("POST", "/v2/CleanupIncompleteUploads");
    clean.body = json::serialize(uploads);
    CO_TRY_DO(co_await send(std::move(clean), options));
    const S3Signer signer(keys.front().id, keys.front().secret, region_);
    while (true) {
      CO_TRY(const std::size_t removed, co_await remove_page(signer, name, options));
      if (removed == 0) co_return Result<void>();
    }
  }

  // How many there were.
  Task<Result<std::size_t>> remove_page(const S3Signer& signer, std::string name, CallOptions options) {
    StoreRequest list("GET", "/" + name);
    list.query = {{"encoding-type", "url"}, {"list-type", "2"}, {"max-keys", kKeysPerPage}};
    CO_TRY(const Answer answer, co_await send_signed_request(tools_, s3_, signer, std::move(list), options));
    CO_TRY(const S3List page, parse_s3_list(answer.body));
    if (page.objects.empty()) co_return std::size_t{0};
    std::vector<std::string> keys;
    for (const ObjectInfo& object : page.objects) keys.push_back(object.key);
    StoreRequest drop("POST", "/" + name);
    drop.query = {{"delete", ""}};
    drop.body = delete_xml(keys);
    CO_TRY(const Answer dropped, co_await send_signed_request(tools_, s3_, signer, std::move(drop), options));
    CO_TRY(const std::string failed, error_of_delete_result(dropped.body));
    if (!failed.empty()) co_return provider_error(ErrorCode::storage_failed, failed, dropped.status);
    co_return keys.size();
  }

  Task<Result<void>> drop_bucket(std::string bucket, CallOptions options) {
    StoreRequest drop("POST", "/v2/DeleteBucket");
    drop.query.emplace_back("id", std::move(bucket));
    drop.accept = {404};
    CO_TRY_DO(co_await send(std::move(drop), options));
    co_return Result<void>();
  }

  Task<Result<void>> drop_keys(std::string name, CallOptions options) {
    CO_TRY(const auto keys, co_await find_keys(name, options));
    for (const Key& key : keys) {
      StoreRequest drop("POST", "/v2/DeleteKey");
      drop.query.emplace_back("id", key.id);
      drop.accept = {404};
      CO_TRY_DO(co_await send(std::move(drop), options));
    }
    co_return Result<void>();
  }

  // To the administration API; a body is JSON.
  Task<Result<Answer>> send(StoreRequest request, CallOptions options) {
    const std::string query = escape_query(request.query);
    net::TransferRequest prepared(request.method,
                                  admin_.origin() + request.path + (query.empty() ? "" : "?" + query));
    prepared.headers.emplace_back("Authorization", "Bearer " + token_);
    if (!request.body.empty()) prepared.headers.emplace_back("Content-Type", "application/json");
    prepared.body = std::move(request.body);
    co_return co_await send_admin_request(tools_, std::move(prepared), std::move(request.accept), options);
  }

  const StoreTools tools_;
  const Endpoint admin_, s3_;
  const std::string token_, region_;
};

}  // namespace

Result<std::unique_ptr<ObjectStoreAdmin>> open_garage_admin(const StoreTools& tools,
                                                            GarageAdminConfig config) {
  TRY(Endpoint admin, parse_endpoint(config.admin_endpoint));
  TRY(Endpoint s3, parse_endpoint(config.endpoint));
  TRY_DO(tools.egress.check_host(admin.host, admin.port));
  TRY_DO(tools.egress.check_host(s3.host, s3.port));
  return std::unique_ptr<ObjectStoreAdmin>(
      std::make_unique<GarageAdmin>(tools, std::move(admin), std::move(s3), std::move(config)));
}

}  // namespace rowhouse::storage
