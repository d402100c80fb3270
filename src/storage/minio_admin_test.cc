// The requests are those of madmin-go, MinIO's published client of its admin API (add-canned-policy,
// add-user, set-user-or-group-policy, set-bucket-quota, remove-user, remove-canned-policy,
// list-canned-policies), and of minio-go (x-minio-force-delete). Neither is in the registries that the tests
// use, so they are written down here; the encrypted body is one that Python's cryptography made after the
// published format.
#include "storage/minio_admin.h"

#include <map>
#include <set>

#include "crypto/crypto.h"
#include "storage/admin_test_support.h"
#include "storage/minio_payload.h"

namespace rowhouse::storage {
namespace {

constexpr const char* kAdminSecret = "admin-secret-key";

std::string counting(std::size_t size, char first) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(first + static_cast<char>(i));
  return text;
}

TEST(MinioPayload, IsTheOneOfThePublishedFormat) {
  const std::string sealed = seal_minio_payload(kAdminSecret, R"({"secretKey":"s3cr3t","status":"enabled"})",
                                                counting(kMinioSaltBytes, 0), counting(8, 0x40));
  EXPECT_EQ(to_hex(sealed),
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f024041424344454647b83793c5e15335"
            "5e6fc3351cf58f7fd79b42900e2a9464c6f86fb914cde9ff3dfcb2e6a4faa99ac96f848669ed596b67db1297b895ff65"
            "653a");
}

class FakeMinio final : public test::FakeStore {
 public:
  bool is_empty() override {
    const std::lock_guard lock(mutex_);
    return buckets_.empty() && users_.empty() && policies_.empty();
  }
  std::map<std::string, std::string> quotas() {
    const std::lock_guard lock(mutex_);
    return buckets_;
  }
  std::set<std::string> attached() {
    const std::lock_guard lock(mutex_);
    return attached_;
  }
  void add_policy(const std::string& name) {
    const std::lock_guard lock(mutex_);
    policies_[name] = "{}";
  }

 private:
  net::HttpResponse respond(const net::HttpRequest& request, const std::string& body) override {
    const std::string authorization(request.header("Authorization").value_or(""));
    if (authorization.find("Credential=admin/") == std::string::npos) {
      return reply(403, R"({"Code":"InvalidAccessKeyId","Message":"no such key","Key":"stranger"})");
    }
    EXPECT_EQ(request.header("X-Amz-Content-Sha256"), to_hex(crypto::sha256(body)));
    if (!request.path.starts_with("/minio/")) return respond_s3(request);
    const std::string call = request.path.substr(std::string_view("/minio/admin/v3/").size());
    if (call == "list-canned-policies") {
      std::string list;
      for (const auto& [name, policy] : policies_) {
        list += (list.empty() ? "\"" : ",\"") + name + "\":" + policy;
      }
      return reply(200, "{" + list + "}");
    }
    if (call == "add-canned-policy") {
      policies_[parameter(request, "name")] = body;
      return reply(200);
    }
    if (call == "add-user") {
      users_.insert(parameter(request, "accessKey"));
      return reply(200);
    }
    if (call == "set-user-or-group-policy") {
      const std::string user = parameter(request, "userOrGroup");
      const std::string policy = parameter(request, "policyName");
      if (!users_.contains(user)) return reply(404, R"({"Code":"XMinioAdminNoSuchUser"})");
      if (!policies_.contains(policy)) return reply(404, R"({"Code":"XMinioAdminNoSuchPolicy"})");
      attached_.insert(user + " " + policy);
      return reply(200);
    }
    if (call == "set-bucket-quota") {
      const auto found = buckets_.find(parameter(request, "bucket"));
      if (found == buckets_.end()) return reply(404, R"({"Code":"NoSuchBucket"})");
      found->second = body;
      return reply(200);
    }
    if (call == "remove-user") {
      return users_.erase(parameter(request, "accessKey")) > 0
                 ? reply(200)
                 : reply(404, R"({"Code":"XMinioAdminNoSuchUser"})");
    }
    if (call == "remove-canned-policy") {
      const std::string name = parameter(request, "name");
      // MinIO refuses while a user has it.
      if (users_.contains(name)) return reply(400, R"({"Code":"XMinioAdminPolicyInUse"})");
      return policies_.erase(name) > 0 ? reply(200) : reply(404, R"({"Code":"XMinioAdminNoSuchPolicy"})");
    }
    return reply(400, R"({"Code":"MethodNotAllowed"})");
  }

  net::HttpResponse respond_s3(const net::HttpRequest& request) {
    const std::string name = request.path.substr(1);
    const bool is_there = buckets_.contains(name);
    if (request.method_text == "HEAD") return reply(is_there ? 200 : 404);
    if (request.method_text == "PUT") {
      if (is_there) return reply(409, "<Error><Code>BucketAlreadyOwnedByYou</Code></Error>");
      buckets_[name] = "";
      return reply(200);
    }
    EXPECT_EQ(request.method_text, "DELETE");
    if (!is_there) return reply(404, "<Error><Code>NoSuchBucket</Code></Error>");
    if (request.header("x-minio-force-delete") != "true") {
      return reply(409, "<Error><Code>BucketNotEmpty</Code></Error>");
    }
    buckets_.erase(name);
    return reply(204);
  }

  std::map<std::string, std::string> buckets_, policies_;
  std::set<std::string> users_, attached_;
};

class MinioAdminTest : public testing::Test {
 protected:
  MinioAdminTest() : admin_(open("admin")) {}
  std::unique_ptr<ObjectStoreAdmin> open(std::string access_key) {
    MinioAdminConfig config;
    config.endpoint = minio_.url();
    config.access_key = std::move(access_key);
    config.secret_key = kAdminSecret;
    DeriveSecret derive = [](std::string_view purpose, std::size_t bytes) {
      return crypto::derive_key("master key of the test", purpose, bytes);
    };
    return std::move(open_minio_admin(caller_.tools(), config, std::move(derive))).value();
  }
  Result<MadeStore> create(std::uint64_t quota = 0) {
    return caller_.run(admin_->create(tenant_, quota, caller_.options()));
  }

  FakeMinio minio_;
  test::Caller caller_;
  std::unique_ptr<ObjectStoreAdmin> admin_;
  const Uuid tenant_ = *Uuid::parse("0190f6a0-0000-7000-8000-000000000001");
  const std::string name_ = "rowhouse-0190f6a0-0000-7000-8000-000000000001";
};

TEST_F(MinioAdminTest, MakesABucketWithAUserAPolicyAndAQuota) {
  const auto made = create(5'000'000);
  ASSERT_TRUE(made.ok()) << made.error().message;
  const auto config = read_provisioned_config(made->provider, made->config);
  ASSERT_TRUE(config.ok()) << config.error().message;
  const auto& s3 = std::get<S3Config>(*config);
  EXPECT_EQ(s3.bucket, name_);
  EXPECT_EQ(s3.access_key, name_);
  EXPECT_EQ(s3.secret_key.size(), 40u);
  EXPECT_EQ(s3.endpoint, minio_.url());
  EXPECT_EQ(minio_.attached(), std::set<std::string>{name_ + " " + name_});

  std::vector<std::string> lines;
  std::map<std::string, std::string> bodies;
  for (const test::Recorded& one : minio_.take()) {
    lines.push_back(one.line);
    bodies[one.line.substr(0, one.line.find('?'))] = one.body;
    EXPECT_EQ(one.body.find(s3.secret_key), std::string::npos) << one.line;
  }
  const std::string admin = "/minio/admin/v3/";
  const std::vector<std::string> published = {
      "PUT " + admin + "add-canned-policy?name=" + name_,
      "HEAD /" + name_,
      "PUT /" + name_,
      "PUT " + admin + "set-bucket-quota?bucket=" + name_,
      "PUT " + admin + "add-user?accessKey=" + name_,
      "PUT " + admin + "set-user-or-group-policy?isGroup=false&policyName=" + name_ +
          "&userOrGroup=" + name_};
  EXPECT_EQ(lines, published);
  EXPECT_EQ(bodies["PUT " + admin + "set-bucket-quota"],
            R"({"quota":5000000,"size":5000000,"quotatype":"hard"})");
  EXPECT_EQ(
      bodies["PUT " + admin + "add-canned-policy"],
      R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetBucketLocation",)"
      R"("s3:ListBucket","s3:ListBucketMultipartUploads"],"Resource":["arn:aws:s3:::)" +
          name_ +
          R"("]},{"Effect":"Allow","Action":["s3:AbortMultipartUpload","s3:DeleteObject","s3:GetObject",)"
          R"("s3:ListMultipartUploadParts","s3:PutObject"],"Resource":["arn:aws:s3:::)" +
          name_ + R"(/*"]}]})");
  // Sealed again with what it was sealed with, it is the same: the user's secret and nothing else.
  const std::string sealed = bodies["PUT " + admin + "add-user"];
  ASSERT_GT(sealed.size(), kMinioSaltBytes + 1 + kMinioNonceBytes);
  EXPECT_EQ(sealed,
            seal_minio_payload(kAdminSecret, R"({"secretKey":")" + s3.secret_key + R"(","status":"enabled"})",
                               sealed.substr(0, kMinioSaltBytes), sealed.substr(kMinioSaltBytes + 1, 8)));
}

TEST_F(MinioAdminTest, MakesTheSameAgain) {
  const auto first = create();
  const auto second = create();
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->config, second->config);
}

TEST_F(MinioAdminTest, TheQuotaFollows) {
  ASSERT_TRUE(create(1'000).ok());
  ASSERT_TRUE(caller_.run(admin_->set_quota(tenant_, 0, caller_.options())).ok());
  EXPECT_EQ(minio_.quotas().at(name_), R"({"quota":0,"size":0,"quotatype":"hard"})");
}

TEST_F(MinioAdminTest, MayBeCutOffAnywhere) { test::expect_repeatable(caller_, minio_, *admin_, tenant_); }

TEST_F(MinioAdminTest, ListsWhatIsOursAlone) {
  for (const char* name : {"readwrite", "rowhouse-", "rowhouse-backup"}) minio_.add_policy(name);
  const auto none = caller_.run(admin_->list_ours(caller_.options()));
  ASSERT_TRUE(none.ok());
  EXPECT_TRUE(none->empty());
}

TEST_F(MinioAdminTest, ErrorsHaveTheCodeAndNoSecret) {
  const auto stranger = open("stranger");
  const auto refused = caller_.run(stranger->create(tenant_, 0, caller_.options()));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::storage_failed);
  EXPECT_NE(refused.error().message.find("InvalidAccessKeyId"), std::string::npos) << refused.error().message;
  EXPECT_EQ(refused.error().message.find("stranger"), std::string::npos) << refused.error().message;
}

}  // namespace
}  // namespace rowhouse::storage
