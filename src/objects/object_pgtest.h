// An ObjectService over a directory, on a real installation with the pack tekup, whose plan "basic" allows
// 100 million bytes.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "identity/context_pgtest.h"
#include "net/blocking_work.h"
#include "net/http_transfer.h"
#include "objects/object_service.h"
#include "storage/open.h"
#include "tenancy/installation_pgtest.h"
#include "testing/temporary_directory.h"

namespace rowhouse::objects::fixture {

using identity::TenantContext;
using identity::TenantContextForTests;
using testing::patient;

// The body of a request, out of memory; may end with an error.
class Body final : public net::BodyReader {
 public:
  explicit Body(std::string text, std::size_t piece_bytes = 60'000)
      : text_(std::move(text)), piece_bytes_(piece_bytes) {}
  void fail_after(std::size_t bytes) { fails_after_ = bytes; }
  Task<Result<std::optional<std::string_view>>> read() override {
    if (fails_after_ && at_ >= *fails_after_) co_return Error(ErrorCode::cancelled, "the client is gone");
    if (at_ == text_.size()) co_return std::optional<std::string_view>();
    const std::string_view piece = std::string_view(text_).substr(at_, piece_bytes_);
    at_ += piece.size();
    co_return std::optional(piece);
  }
  void set_limit(std::uint64_t) override {}

 private:
  std::string text_;
  std::size_t piece_bytes_;
  std::size_t at_ = 0;
  std::optional<std::size_t> fails_after_;
};

class OneStore final : public StoreSource {
 public:
  std::shared_ptr<storage::ObjectStore> store;
  Task<Result<TenantStore>> open(const TenantContext& context, CallOptions options) override {
    return open_number(context, kFirstStore, options);
  }
  Task<Result<TenantStore>> open_number(const TenantContext&, int number, CallOptions) override {
    TenantStore opened;
    opened.number = number;
    opened.store = store;
    co_return opened;
  }
  void forget(const TenantContext&) override {}
};

class ObjectsTest : public tenancy::fixture::InstallationTest {
 protected:
  static void SetUpTestSuite() {
    InstallationTest::SetUpTestSuite();
    auto installed = run(node().upgrades.install(tenancy::bundle_from_embedded("tekup").value(),
                                                 tenancy::UpgradeOptions(), "tester", patient()));
    ASSERT_TRUE(installed.ok()) << installed.error().message;
    auto reloaded = run(node().registry.reload_packs(patient()));
    ASSERT_TRUE(reloaded.ok()) << reloaded.error().message;
  }

  void SetUp() override {
    InstallationTest::SetUp();
    session::TenantDatabaseOptions options;
    const auto server = testing::superuser("postgres");
    options.host = server.host;
    options.port = server.port;
    database_ = std::make_unique<session::TenantDatabase>(
        executor(), std::move(options),
        [](const std::string& role) { return cluster().credentials().password_of(role); },
        [](const std::string& database) { return context_key(database); });
    work_ = std::make_unique<net::BlockingWork>(net::BlockingWorkOptions());
    transfers_ = std::make_unique<net::HttpTransfers>(executor(), egress_, net::TransferOptions());
    const storage::StoreTools tools{executor(), *transfers_, egress_, *work_, clock_};
    storage::DirectoryConfig config;
    config.root = std::filesystem::canonical(directory_.path());
    auto store = storage::open_store(tools, config);
    ASSERT_TRUE(store.ok()) << store.error().message;
    source_.store = std::move(*store);
    service_ = std::make_unique<ObjectService>(executor(), *database_, source_, log_, clock_);
  }
  void TearDown() override {
    net::run_until_done(executor(), service_->stop());
    service_.reset();
    source_.store.reset();
    transfers_.reset();
    work_.reset();
    database_.reset();
  }

  static TenantContext new_tenant(tenancy::Tier tier = tenancy::Tier::pool) {
    static int number = 0;
    tenancy::NewTenant wanted = request("Files " + std::to_string(++number), tier);
    wanted.pack = "tekup";
    wanted.plan = "basic";
    return TenantContextForTests::make(create(std::move(wanted)).tenant);
  }

  enum class Length { known, unknown };
  Result<StoredObject> put(const TenantContext& context, std::string key, std::string text,
                           WriteCondition condition = {}, Length length = Length::known,
                           std::string sha256 = "") {
    NewObject object;
    object.key = std::move(key);
    object.condition = std::move(condition);
    object.sha256 = std::move(sha256);
    std::optional<std::uint64_t> bytes;
    if (length == Length::known) bytes = text.size();
    Body body(std::move(text));
    return run(service_->put(context, std::move(object), bytes, body, patient()));
  }
  // The content, or "error: CODE".
  std::string get(const TenantContext& context, const std::string& key) { return run(read(context, key)); }
  Task<std::string> read(const TenantContext& context, std::string key) {
    auto object = co_await service_->stat(context, std::move(key), patient());
    if (!object.ok()) co_return "error: " + std::string(error_code_name(object.error().code));
    auto opened = co_await service_->open(context, std::move(*object), std::nullopt, patient());
    if (!opened.ok()) co_return "error: " + std::string(error_code_name(opened.error().code));
    std::string text;
    while (true) {
      auto piece = co_await opened->download->next(patient());
      if (!piece.ok()) co_return "error: " + std::string(error_code_name(piece.error().code));
      if (!*piece) co_return text;
      text += **piece;
    }
  }
  Usage usage(const TenantContext& context) { return run(service_->usage(context, patient())).value(); }
  // Waits until nothing is left to do in the background, as far as it can be done now.
  void settle(const TenantContext& context) {
    net::run_until_done(executor(), service_->stop());
    service_ = std::make_unique<ObjectService>(executor(), *database_, source_, log_, clock_);
    ASSERT_TRUE(run(service_->writes().sweep(context, patient())).ok());
  }
  std::vector<std::string> stored_keys() {
    storage::ListRequest request;
    auto page = run(source_.store->list(std::move(request), patient()));
    std::vector<std::string> keys;
    if (!page.ok()) return {"error: " + page.error().message};
    for (const auto& object : page->objects) keys.push_back(object.key);
    std::sort(keys.begin(), keys.end());
    return keys;
  }
  static std::string database_of(const TenantContext& context) { return context.tenant().placement.database; }
  // One value, read or written past row security.
  static std::string as_superuser(const TenantContext& context, const std::string& sql) {
    testing::BlockingSql connection(testing::superuser(database_of(context)));
    return connection.value(sql);
  }
  static std::string of(const TenantContext& context) {
    return "tenant_id = '" + context.tenant().id.to_string() + "'";
  }
  // What every test ends with: the counters are the sums of what they count.
  static void expect_exact(const TenantContext& context) {
    EXPECT_EQ(
        as_superuser(context,
                     "SELECT concat_ws(' ', COALESCE((SELECT bytes FROM rowhouse.object_usage WHERE " +
                         of(context) + "), 0), COALESCE((SELECT objects FROM rowhouse.object_usage WHERE " +
                         of(context) + "), 0))"),
        as_superuser(context,
                     "SELECT concat_ws(' ', COALESCE((SELECT sum(bytes) FROM rowhouse.objects WHERE " +
                         of(context) +
                         "), 0) + COALESCE((SELECT sum(reserved) FROM rowhouse.object_writes WHERE " +
                         of(context) + "), 0), (SELECT count(*) FROM rowhouse.objects WHERE " + of(context) +
                         ") + (SELECT count(*) FROM rowhouse.object_writes WHERE " + of(context) + "))"));
  }

  testing::TemporaryDirectory directory_;
  SystemClock clock_;
  observe::MemorySink lines_;
  observe::Log log_{lines_, clock_};
  net::EgressPolicy egress_;
  OneStore source_;
  std::unique_ptr<session::TenantDatabase> database_;
  std::unique_ptr<net::BlockingWork> work_;
  std::unique_ptr<net::HttpTransfers> transfers_;
  std::unique_ptr<ObjectService> service_;
};

}  // namespace rowhouse::objects::fixture
