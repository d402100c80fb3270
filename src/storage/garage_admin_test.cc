// The requests are those of Garage's published API document (doc/api/garage-admin-v2.json, Garage 2.0); the
// answers have the members of it that the driver reads. There is no client of it to compare with in the
// registries that the tests use.
#include "storage/garage_admin.h"

#include <map>
#include <set>

#include "storage/admin_test_support.h"

namespace rowhouse::storage {
namespace {

class FakeGarage final : public test::FakeStore {
 public:
  struct Bucket {
    std::string id;
    std::string quota = "null";
    std::set<std::string> keys_allowed, objects;
  };
  struct Key {
    std::string name, secret;
  };

  bool is_empty() override {
    const std::lock_guard lock(mutex_);
    return buckets_.empty() && keys_.empty();
  }
  void store(const std::string& bucket, const std::string& key) {
    const std::lock_guard lock(mutex_);
    buckets_.at(bucket).objects.insert(key);
  }
  // As if two attempts had made it at the same time.
  void add_key(const std::string& name) {
    const std::lock_guard lock(mutex_);
    make_key(name);
  }
  std::map<std::string, Bucket> buckets() {
    const std::lock_guard lock(mutex_);
    return buckets_;
  }
  std::map<std::string, Key> keys() {
    const std::lock_guard lock(mutex_);
    return keys_;
  }

 private:
  net::HttpResponse respond(const net::HttpRequest& request, const std::string& body) override {
    if (!request.path.starts_with("/v2/")) return respond_s3(request, body);
    if (request.header("Authorization") != "Bearer the-token") {
      return reply(403, R"({"code":"AccessDenied","message":"Forbidden: the-token?","region":"garage"})");
    }
    const std::string call = request.path.substr(4);
    const auto document = json::parse(body.empty() ? "{}" : body);
    if (!document.ok()) return reply(400, R"({"code":"InvalidRequest"})");
    if (request.method_text == "GET") return respond_get(call, request);
    if (call == "CreateBucket") return create_bucket(text_of(*document, "globalAlias"));
    if (call == "CreateKey") return reply(200, key_json(make_key(text_of(*document, "name")), true));
    if (call == "AllowBucketKey") {
      Bucket* bucket = by_id(text_of(*document, "bucketId"));
      const std::string key = text_of(*document, "accessKeyId");
      if (bucket == nullptr || !keys_.contains(key)) return reply(404, R"({"code":"NoSuchAccessKey"})");
      bucket->keys_allowed.insert(key);
      return reply(200, "{}");
    }
    if (call == "CleanupIncompleteUploads") return reply(200, R"({"uploadsDeleted":0})");
    if (call == "DeleteKey") {
      return keys_.erase(parameter(request, "id")) > 0 ? reply(200)
                                                       : reply(404, R"({"code":"NoSuchAccessKey"})");
    }
    Bucket* bucket = by_id(parameter(request, "id"));
    if (bucket == nullptr) return reply(404, R"({"code":"NoSuchBucket"})");
    if (call == "UpdateBucket") {
      bucket->quota = json::serialize(*document->find("quotas")->find("maxSize"));
      return reply(200, "{}");
    }
    if (call != "DeleteBucket") return reply(400, R"({"code":"InvalidRequest"})");
    if (!bucket->objects.empty()) return reply(409, R"({"code":"BucketNotEmpty"})");
    std::erase_if(buckets_, [&](const auto& one) { return &one.second == bucket; });
    return reply(200);
  }

  net::HttpResponse respond_get(const std::string& call, const net::HttpRequest& request) {
    if (call == "GetBucketInfo") {
      const auto found = buckets_.find(parameter(request, "globalAlias"));
      if (found == buckets_.end()) return reply(404, R"({"code":"NoSuchBucket"})");
      return reply(200, R"({"id":")" + found->second.id + R"("})");
    }
    if (call == "GetKeyInfo") {
      std::vector<std::string> matching;
      for (const auto& [id, key] : keys_) {
        const bool matches = id == parameter(request, "id") || key.name == parameter(request, "search");
        if (matches) matching.push_back(id);
      }
      if (matching.empty()) return reply(404, R"({"code":"NoSuchAccessKey"})");
      if (matching.size() > 1) return reply(400, R"({"code":"InvalidRequest"})");
      return reply(200, key_json(matching.front(), parameter(request, "showSecretKey") == "true"));
    }
    std::string list;
    if (call == "ListBuckets") {
      for (const auto& [name, bucket] : buckets_) {
        list += (list.empty() ? "" : ",") + std::string(R"({"id":")") + bucket.id +
                R"(","globalAliases":[")" + name + R"("],"localAliases":[]})";
      }
    }
    if (call == "ListKeys") {
      for (const auto& [id, key] : keys_) {
        list +=
            (list.empty() ? "" : ",") + std::string(R"({"id":")") + id + R"(","name":")" + key.name + "\"}";
      }
    }
    return reply(200, "[" + list + "]");
  }

  // S3, as far as emptying a bucket needs it.
  net::HttpResponse respond_s3(const net::HttpRequest& request, const std::string& body) {
    const auto found = buckets_.find(request.path.substr(1));
    if (found == buckets_.end()) return reply(404, "<Error><Code>NoSuchBucket</Code></Error>");
    Bucket& bucket = found->second;
    const std::string authorization(request.header("Authorization").value_or(""));
    const bool may = std::any_of(bucket.keys_allowed.begin(), bucket.keys_allowed.end(), [&](const auto& id) {
      return keys_.contains(id) && authorization.find("Credential=" + id + "/") != std::string::npos;
    });
    if (!may) return reply(403, "<Error><Code>AccessDenied</Code></Error>");
    if (request.method_text == "POST") {
      std::erase_if(bucket.objects, [&](const std::string& key) {
        return body.find("<Key>" + key + "</Key>") != std::string::npos;
      });
      return reply(200, "<DeleteResult></DeleteResult>");
    }
    std::string list = "<ListBucketResult><EncodingType>url</EncodingType>";
    int listed = 0;
    for (const std::string& key : bucket.objects) {
      if (listed++ == 2) break;  // pages of two
      list += "<Contents><Key>" + percent_encode(key) + "</Key><Size>1</Size></Contents>";
    }
    return reply(200, list + "</ListBucketResult>");
  }

  net::HttpResponse create_bucket(const std::string& name) {
    if (buckets_.contains(name)) return reply(409, R"({"code":"BucketAlreadyExists"})");
    buckets_[name].id = "b" + std::to_string(++made_);
    return reply(200, R"({"id":")" + buckets_[name].id + R"("})");
  }
  std::string make_key(const std::string& name) {
    const std::string id = "GK" + std::to_string(++made_);
    keys_[id] = Key{name, "secret-of-" + id};
    return id;
  }
  std::string key_json(const std::string& id, bool with_secret) {
    const std::string secret = with_secret ? "\"" + keys_[id].secret + "\"" : "null";
    return R"({"accessKeyId":")" + id + R"(","name":")" + keys_[id].name + R"(","secretAccessKey":)" +
           secret + "}";
  }
  static std::string text_of(const json::Value& document, std::string_view name) {
    const json::Value* value = document.find(name);
    return value != nullptr && value->as_string() != nullptr ? *value->as_string() : "";
  }
  Bucket* by_id(const std::string& id) {
    for (auto& [name, bucket] : buckets_) {
      if (bucket.id == id) return &bucket;
    }
    return nullptr;
  }

  std::map<std::string, Bucket> buckets_;
  std::map<std::string, Key> keys_;
  int made_ = 0;
};

class GarageAdminTest : public testing::Test {
 protected:
  GarageAdminTest() : admin_(open("the-token")) {}
  std::unique_ptr<ObjectStoreAdmin> open(std::string token) {
    GarageAdminConfig config;
    config.admin_endpoint = config.endpoint = garage_.url();
    config.admin_token = std::move(token);
    return std::move(open_garage_admin(caller_.tools(), config)).value();
  }
  Result<MadeStore> create(std::uint64_t quota = 0) {
    return caller_.run(admin_->create(tenant_, quota, caller_.options()));
  }

  FakeGarage garage_;
  test::Caller caller_;
  std::unique_ptr<ObjectStoreAdmin> admin_;
  const Uuid tenant_ = *Uuid::parse("0190f6a0-0000-7000-8000-000000000001");
  const std::string name_ = "rowhouse-0190f6a0-0000-7000-8000-000000000001";
};

TEST_F(GarageAdminTest, MakesABucketWithAKeyAndAQuota) {
  const auto made = create(5'000'000);
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_EQ(made->provider, "minio");
  const auto config = read_provisioned_config(made->provider, made->config);
  ASSERT_TRUE(config.ok()) << config.error().message;
  const auto& s3 = std::get<S3Config>(*config);
  EXPECT_EQ(s3.bucket, name_);
  EXPECT_EQ(s3.endpoint, garage_.url());
  EXPECT_EQ(s3.region, "garage");
  EXPECT_EQ(s3.access_key, "GK2");
  EXPECT_EQ(s3.secret_key, "secret-of-GK2");
  const auto bucket = garage_.buckets().at(name_);
  EXPECT_EQ(bucket.quota, "5000000");
  EXPECT_EQ(bucket.keys_allowed, std::set<std::string>{"GK2"});

  std::vector<std::string> asked;
  for (const test::Recorded& one : garage_.take()) {
    EXPECT_EQ(one.authorization, "Bearer the-token");
    if (one.line.starts_with("POST")) asked.push_back(one.line.substr(5) + " " + one.body);
  }
  const std::vector<std::string> published = {
      R"(/v2/CreateBucket {"globalAlias":")" + name_ + "\"}", R"(/v2/CreateKey {"name":")" + name_ + "\"}",
      R"(/v2/AllowBucketKey {"bucketId":"b1","accessKeyId":"GK2","permissions":)"
      R"({"read":true,"write":true,"owner":false}})",
      R"(/v2/UpdateBucket?id=b1 {"quotas":{"maxSize":5000000,"maxObjects":null}})"};
  EXPECT_EQ(asked, published);
}

TEST_F(GarageAdminTest, MakesTheSameAgain) {
  const auto first = create();
  const auto second = create();
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->config, second->config);
  EXPECT_EQ(garage_.keys().size(), 1u);
  EXPECT_EQ(garage_.buckets().size(), 1u);
}

TEST_F(GarageAdminTest, TheQuotaFollows) {
  ASSERT_TRUE(create(1'000).ok());
  ASSERT_TRUE(caller_.run(admin_->set_quota(tenant_, 2'000, caller_.options())).ok());
  EXPECT_EQ(garage_.buckets().at(name_).quota, "2000");
  ASSERT_TRUE(caller_.run(admin_->set_quota(tenant_, 0, caller_.options())).ok());
  EXPECT_EQ(garage_.buckets().at(name_).quota, "null");
}

TEST_F(GarageAdminTest, RemovesEverythingOfItsOwnAndNothingElse) {
  ASSERT_TRUE(create().ok());
  garage_.add_key(name_);
  garage_.add_key("somebody");
  for (const char* key : {"a", "b/c d", "e", "f", "g"}) garage_.store(name_, key);
  const auto ours = caller_.run(admin_->list_ours(caller_.options()));
  ASSERT_TRUE(ours.ok());
  EXPECT_EQ(*ours, std::vector<Uuid>{tenant_});
  for (int i = 0; i < 2; ++i) {
    const auto removed = caller_.run(admin_->remove(tenant_, caller_.options()));
    ASSERT_TRUE(removed.ok()) << removed.error().message;
    EXPECT_TRUE(garage_.buckets().empty());
    const auto keys = garage_.keys();
    ASSERT_EQ(keys.size(), 1u);
    EXPECT_EQ(keys.begin()->second.name, "somebody");
  }
}

TEST_F(GarageAdminTest, MayBeCutOffAnywhere) { test::expect_repeatable(caller_, garage_, *admin_, tenant_); }

TEST_F(GarageAdminTest, ErrorsHaveTheCodeAndNoSecret) {
  const auto stranger = open("wrong-token");
  const auto refused = caller_.run(stranger->create(tenant_, 0, caller_.options()));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::storage_failed);
  EXPECT_NE(refused.error().message.find("AccessDenied"), std::string::npos) << refused.error().message;
  EXPECT_EQ(refused.error().message.find("-token"), std::string::npos) << refused.error().message;
  GarageAdminConfig config;
  config.endpoint = "http://127.0.0.1:1";
  config.admin_endpoint = "http://10.0.0.1:3903";
  const auto outside = open_garage_admin(caller_.tools(), config);
  ASSERT_FALSE(outside.ok());
  EXPECT_EQ(outside.error().code, ErrorCode::address_refused);
}

}  // namespace
}  // namespace rowhouse::storage
