#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "base/effects.h"
#include "base/text.h"
#include "pg/migrations.h"
#include "secrets/rotation.h"
#include "secrets/tenant_secrets.h"
#include "testing/postgres.h"

namespace rowhouse::secrets {
namespace {

using testing::patient;

constexpr const char* kPurpose = "storage aws_s3 config";

std::string key_of(char byte) { return std::string(kWrappingKeyBytes, byte); }

// Called around every statement; may say that this is where the process dies.
class Watch final : public EffectGuard {
 public:
  explicit Watch(std::function<bool()> goes_on) : goes_on_(std::move(goes_on)) {}
  std::string label() const override { return "test"; }
  Task<Result<void>> admit() override { co_return Result<void>(); }
  Task<Result<void>> around(Moment, std::string_view) override {
    ++effects_;
    if (!goes_on_()) co_return Error(ErrorCode::cancelled, "killed here");
    co_return Result<void>();
  }
  int effects() const { return effects_; }

 private:
  std::function<bool()> goes_on_;
  int effects_ = 0;
};

class SecretsTest : public testing::PgTest {
 protected:
  void SetUp() override {
    const auto migrations = pg::migrations_from_embedded("sql/platform/");
    ASSERT_TRUE(migrations.ok());
    auto session = run(pg::connect(executor(), testing::superuser(database()), patient()));
    ASSERT_TRUE(session.ok());
    const auto migrated = run(pg::run_migrations(*session, *migrations, patient()));
    ASSERT_TRUE(migrated.ok()) << migrated.error().message << migrated.error().detail(pg::kServerMessage);
    sql().run(
        "INSERT INTO platform.packs (name, version, manifest, checksum) VALUES ('p', '1', '{}', repeat('0', "
        "64))");
  }

  Uuid make_tenant() {
    const Uuid id = Uuid::make_v7(std::chrono::system_clock::now());
    sql().run("INSERT INTO platform.tenants (id, slug, name, pack, plan, tier) VALUES ('" + id.to_string() +
              "', 't-" + id.to_string().substr(24) + "', 'T', 'p', 'x', 'pool')");
    return id;
  }
  std::string seal(TenantSecrets& secrets, const Uuid& tenant, const std::string& text) {
    auto sealed = run(secrets.seal(tenant, kPurpose, text, patient()));
    EXPECT_TRUE(sealed.ok()) << sealed.error().message << sealed.error().detail(pg::kServerMessage);
    return sealed.ok() ? *sealed : "";
  }
  void store(const Uuid& tenant, const std::string& sealed) {
    sql().run("INSERT INTO platform.tenant_storage_configs (tenant_id, provider, sealed) VALUES ('" +
              tenant.to_string() + "', 'aws_s3', '\\x" + to_hex(sealed) + "')");
  }
  // Reads a row and its data key in one statement and opens it, beside whatever else is going on.
  std::string stored_text(const Uuid& tenant, const WrappingKeys& keys) {
    const auto rows = sql().run(
        "SELECT encode(c.sealed, 'hex'), k.generation, encode(k.wrapped, 'hex'), k.wrapping_key "
        "FROM platform.tenant_storage_configs c JOIN platform.tenant_data_keys k "
        "ON (k.tenant_id, k.generation) = (c.tenant_id, c.data_key) WHERE c.tenant_id = '" +
        tenant.to_string() + "'");
    if (rows.size() != 1) return "no row";
    const WrappedKey key{std::stoi(*rows[0][1]), *from_hex(*rows[0][2]), *rows[0][3]};
    const auto text = TenantSecrets(pool(), keys).open_with(key, tenant, kPurpose, *from_hex(*rows[0][0]));
    return text.ok() ? *text : text.error().message;
  }

  WrappingKeys keys_{key_of('a'), {}};
};

TEST_F(SecretsTest, WhatIsSealedOpensForItsTenantAndPurposeAlone) {
  TenantSecrets secrets(pool(), keys_);
  const Uuid acme = make_tenant();
  const Uuid other = make_tenant();
  const std::string sealed = seal(secrets, acme, "s3cr3t");
  EXPECT_EQ(sealed.find("s3cr3t"), std::string::npos);
  EXPECT_EQ(run(secrets.open(acme, kPurpose, sealed, patient())).value(), "s3cr3t");

  EXPECT_EQ(run(secrets.open(acme, "storage gcs config", sealed, patient())).error().code,
            ErrorCode::internal);
  seal(secrets, other, "x");
  EXPECT_EQ(run(secrets.open(other, kPurpose, sealed, patient())).error().code, ErrorCode::internal);
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    std::string damaged = sealed;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    EXPECT_FALSE(run(secrets.open(acme, kPurpose, damaged, patient())).ok()) << i;
    EXPECT_FALSE(run(secrets.open(acme, kPurpose, sealed.substr(0, i), patient())).ok()) << i;
  }
}

TEST_F(SecretsTest, ADataKeyThatIsCopiedToAnotherTenantDoesNotOpen) {
  TenantSecrets secrets(pool(), keys_);
  const Uuid acme = make_tenant();
  const Uuid other = make_tenant();
  const std::string sealed = seal(secrets, acme, "s3cr3t");
  seal(secrets, other, "x");
  sql().run(
      "UPDATE platform.tenant_data_keys SET wrapped = (SELECT wrapped FROM platform.tenant_data_keys WHERE "
      "tenant_id = '" +
      acme.to_string() + "') WHERE tenant_id = '" + other.to_string() + "'");
  EXPECT_EQ(run(secrets.open(other, kPurpose, sealed, patient())).error().code, ErrorCode::internal);
  EXPECT_EQ(run(secrets.seal(other, kPurpose, "y", patient())).error().code, ErrorCode::internal);
}

TEST_F(SecretsTest, OneDataKeyForATenantAlsoWhenTwoSealAtOnceAndInATransaction) {
  TenantSecrets secrets(pool(), keys_);
  const Uuid acme = make_tenant();
  net::TaskGroup tasks;
  int sealed = 0;
  const auto one = [&](int number) -> Task<void> {
    const auto result = co_await secrets.seal(acme, kPurpose, std::to_string(number), patient());
    if (result.ok()) ++sealed;
  };
  for (int i = 0; i < 8; ++i) tasks.spawn(one(i));
  run(tasks.join());
  EXPECT_EQ(sealed, 8);
  EXPECT_EQ(sql().value("SELECT count(*) FROM platform.tenant_data_keys"), "1");

  const auto in_transaction = [&](Uuid tenant) -> Task<Result<std::string>> {
    CO_TRY(auto session, co_await pool().acquire(patient()));
    CO_TRY_DO(co_await session.begin(nullptr, patient()));
    const pg::Statement insert("INSERT INTO platform.tenants (id, slug, name, pack, plan, tier) VALUES ('" +
                               tenant.to_string() + "', 'young', 'T', 'p', 'x', 'pool')");
    CO_TRY_DO(co_await session.query(insert, patient()));
    CO_TRY(auto text, co_await secrets.seal_in(session, tenant, kPurpose, "early", patient()));
    CO_TRY_DO(co_await session.commit(patient()));
    co_return text;
  };
  const Uuid young = Uuid::make_v7(std::chrono::system_clock::now());
  const auto early = run(in_transaction(young));
  ASSERT_TRUE(early.ok()) << early.error().message;
  EXPECT_EQ(run(secrets.open(young, kPurpose, *early, patient())).value(), "early");
  EXPECT_EQ(run(secrets.seal(Uuid::make_v7(std::chrono::system_clock::now()), kPurpose, "z", patient()))
                .error()
                .code,
            ErrorCode::not_found);
}

TEST_F(SecretsTest, ADataKeyInUseCannotBeDeletedAndGoesWithItsTenant) {
  TenantSecrets secrets(pool(), keys_);
  const Uuid acme = make_tenant();
  store(acme, seal(secrets, acme, "text"));
  EXPECT_EQ(sql().failure("DELETE FROM platform.tenant_data_keys"), "23503");
  EXPECT_EQ(sql().failure("DELETE FROM platform.tenants"), "");
  EXPECT_EQ(sql().value("SELECT (SELECT count(*) FROM platform.tenant_data_keys) + (SELECT count(*) FROM "
                        "platform.tenant_storage_configs)"),
            "0");
}

TEST_F(SecretsTest, AKeyThatIsNotConfiguredIsNamedByItsFingerprint) {
  TenantSecrets secrets(pool(), keys_);
  const Uuid acme = make_tenant();
  const std::string sealed = seal(secrets, acme, "text");
  const WrappingKeys others(key_of('b'), {key_of('c')});
  TenantSecrets elsewhere(pool(), others);
  const auto refused = run(elsewhere.open(acme, kPurpose, sealed, patient()));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::config_invalid);
  EXPECT_NE(refused.error().message.find(fingerprint_of(key_of('a'))), std::string::npos)
      << refused.error().message;
  EXPECT_NE(refused.error().message.find("wrapping_key_previous"), std::string::npos);
  EXPECT_FALSE(run(KeyRotation(pool(), others).rotate(KeyRotation::DataKeys::keep, patient())).ok());
  const auto status = run(KeyRotation(pool(), others).status(patient()));
  ASSERT_TRUE(status.ok());
  ASSERT_EQ(status->keys.size(), 3U);
  EXPECT_EQ(status->keys[0].state, WrappingKeyStatus::State::current);
  EXPECT_EQ(status->keys[2].state, WrappingKeyStatus::State::unknown);
  EXPECT_EQ(status->keys[2].fingerprint, fingerprint_of(key_of('a')));
  EXPECT_EQ(status->keys[2].data_keys, 1);
}

TEST_F(SecretsTest, EverySecretIsReadableAtEveryMomentOfARotationThatIsKilledAgainAndAgain) {
  constexpr int kTenants = 5;
  TenantSecrets secrets(pool(), keys_);
  std::vector<Uuid> tenants;
  for (int i = 0; i < kTenants; ++i) {
    tenants.push_back(make_tenant());
    store(tenants.back(), seal(secrets, tenants.back(), "text " + std::to_string(i)));
  }
  const std::string before =
      sql().value("SELECT string_agg(sealed::text, ' ') FROM platform.tenant_storage_configs");
  const WrappingKeys both(key_of('b'), {key_of('a')});
  const auto all_readable = [&] {
    for (int i = 0; i < kTenants; ++i) {
      if (stored_text(tenants[i], both) != "text " + std::to_string(i)) return false;
    }
    return true;
  };
  // Each run gets two effects further than the one before.
  int runs = 0;
  for (int dies_at = 2;; dies_at += 2) {
    int left = dies_at;
    Watch watch([&] {
      EXPECT_TRUE(all_readable());
      return --left > 0;
    });
    CallOptions options = patient();
    options.effects = &watch;
    ++runs;
    if (run(KeyRotation(pool(), both, 2).rotate(KeyRotation::DataKeys::renew, options)).ok()) break;
    ASSERT_LT(runs, 200);
  }
  EXPECT_GT(runs, 5);
  EXPECT_TRUE(all_readable());
  // The former key is needed no longer, nor is a former data key.
  const WrappingKeys only(key_of('b'), {});
  for (int i = 0; i < kTenants; ++i) EXPECT_EQ(stored_text(tenants[i], only), "text " + std::to_string(i));
  EXPECT_EQ(sql().value("SELECT count(*) FROM platform.tenant_data_keys WHERE wrapping_key <> '" +
                        fingerprint_of(key_of('b')) + "'"),
            "0");
  EXPECT_EQ(sql().value("SELECT min(data_key) || ' ' || max(data_key) FROM platform.tenant_storage_configs"),
            "2 2");
  EXPECT_NE(sql().value("SELECT string_agg(sealed::text, ' ') FROM platform.tenant_storage_configs"), before);
  EXPECT_EQ(sql().value("SELECT count(*) FROM platform.settings WHERE key = 'data_key_renewal'"), "0");
  const auto again = run(KeyRotation(pool(), both).rotate(KeyRotation::DataKeys::keep, patient()));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->rewrapped, 0);
}

TEST_F(SecretsTest, WhatWasSealedJustBeforeARenewalCanStillBeWritten) {
  TenantSecrets secrets(pool(), keys_);
  const Uuid acme = make_tenant();
  const std::string sealed = seal(secrets, acme, "in flight");
  const auto renewed = run(KeyRotation(pool(), keys_).rotate(KeyRotation::DataKeys::renew, patient()));
  ASSERT_TRUE(renewed.ok()) << renewed.error().message;
  EXPECT_EQ(renewed->renewed, 1);
  store(acme, sealed);
  EXPECT_EQ(stored_text(acme, keys_), "in flight");
  // The next one takes it along.
  ASSERT_TRUE(run(KeyRotation(pool(), keys_).rotate(KeyRotation::DataKeys::renew, patient())).ok());
  EXPECT_EQ(stored_text(acme, keys_), "in flight");
  EXPECT_EQ(
      sql().value(
          "SELECT string_agg(generation::text, ' ' ORDER BY generation) FROM platform.tenant_data_keys"),
      "2 3");
}

}  // namespace
}  // namespace rowhouse::secrets
