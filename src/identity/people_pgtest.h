// For tests of people: an installation with two tenants, and nodes of identity on it, each with a memory of
// its own.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "identity/access_directory.h"
#include "identity/outbox.h"
#include "identity/sessions.h"
#include "identity/signing_keys.h"
#include "identity/users.h"
#include "tenancy/installation_pgtest.h"

namespace rowhouse::identity {

using testing::patient;

inline constexpr const char* kGoodPassword = "correct horse battery";
inline constexpr const char* kOtherPassword = "staple of the whole house";

inline PasswordOptions cheap_passwords() {
  PasswordOptions options;
  options.cost = crypto::PasswordCost{64 * 1024, 1};
  options.threads = 1;
  return options;
}

// The identity part of one worker.
struct PeopleNode {
  PeopleNode(tenancy::Cluster& cluster, const Clock& clock, pg::Pool& platform, tenancy::Registry& registry,
             SessionOptions session_options = SessionOptions(),
             AccessDirectoryOptions directory_options = AccessDirectoryOptions())
      : pool(cluster.executor(), pool_options(cluster)),
        passwords(cheap_passwords()),
        outbox(pool, platform),
        trail(cluster.executor(), platform, audit::TrailOptions()),
        keys(
            pool, [&cluster](std::string_view purpose) { return cluster.credentials().derive(purpose); },
            clock, TokenOptions()),
        directory(cluster, pool, keys, outbox, clock, directory_options),
        users(cluster.executor(), pool, passwords, clock),
        sessions(cluster.executor(), pool, registry, trail, passwords, keys, clock, session_options) {
    users.wire([this](const Uuid& subject) { directory.forget(subject); });
    sessions.wire([this](const Uuid& subject) { directory.forget(subject); });
  }

  static pg::PoolOptions pool_options(const tenancy::Cluster& cluster) {
    pg::PoolOptions options;
    options.parameters = cluster.as(tenancy::kPlatformRole, tenancy::kIdentityDatabase);
    return options;
  }

  pg::Pool pool;
  Passwords passwords;
  Outbox outbox;
  audit::Trail trail;
  SigningKeys keys;
  AccessDirectory directory;
  UserService users;
  SessionService sessions;
};

class PeopleTest : public tenancy::fixture::InstallationTest {
 protected:
  using Tenant = std::shared_ptr<const tenancy::Tenant>;

  void SetUp() override {
    InstallationTest::SetUp();
    acme_ = create(request("Acme")).tenant;
    other_ = create(request("Other")).tenant;
    // As a node has it: with pack and plan.
    acme_ = *run(node().registry.find_tenant("acme", patient()));
    other_ = *run(node().registry.find_tenant("other", patient()));
    here_ = make_node();
    const auto started = run(here_->directory.start(patient()));
    ASSERT_TRUE(started.ok()) << started.error().message << started.error().detail(pg::kServerMessage);
    identity_sql_ = std::make_unique<testing::BlockingSql>(testing::superuser(tenancy::kIdentityDatabase));
  }
  void TearDown() override {
    identity_sql_->run(
        "TRUNCATE identity.users, identity.roles, identity.login_attempts, identity.outbox CASCADE");
    run(here_->trail.stop());
    here_.reset();
    remove(*acme_);
    remove(*other_);
  }

  std::unique_ptr<PeopleNode> make_node(SessionOptions options = SessionOptions(),
                                        AccessDirectoryOptions directory = AccessDirectoryOptions()) {
    return std::make_unique<PeopleNode>(cluster(), clock(), node().platform, node().registry, options,
                                        directory);
  }

  UserService& users() { return here_->users; }
  SessionService& sessions() { return here_->sessions; }
  AccessDirectory& directory() { return here_->directory; }
  testing::BlockingSql& identity_sql() { return *identity_sql_; }
  static tenancy::Actor admin() { return tenancy::Actor("admin of a test", "192.0.2.7:4711"); }
  static Requester platform() { return Requester::platform(admin()); }
  static Requester with(const std::vector<std::string>& permissions,
                        tenancy::RowScope rows = tenancy::RowScope::all) {
    auto made = tenancy::Permissions::from(permissions);
    return Requester::tenant(admin(), std::make_shared<const tenancy::Permissions>(std::move(made).value()),
                             rows);
  }
  static Origin from(const std::string& address) { return Origin(address, "a browser", "request-1"); }

  Result<AddedMember> add(const Tenant& tenant, const std::string& email, const std::string& role,
                          const Requester& requester, const std::string& password = kGoodPassword) {
    NewMember wanted;
    wanted.email = email;
    wanted.role = role;
    wanted.password = password;
    return run(users().add_member(tenant, wanted, requester, patient()));
  }
  // Fails the test if it does not work.
  Member added(const Tenant& tenant, const std::string& email, const std::string& role = "admin",
               const std::string& password = kGoodPassword) {
    auto result = add(tenant, email, role, platform(), password);
    if (!result.ok()) {
      ADD_FAILURE() << result.error().message << " " << result.error().detail(pg::kServerMessage);
      std::abort();
    }
    return result->member;
  }
  User make_admin(const std::string& email) {
    NewUser wanted;
    wanted.email = email;
    wanted.password = kGoodPassword;
    wanted.platform_admin = User::PlatformAdmin::yes;
    auto made = run(users().create_user(wanted, admin(), patient()));
    if (!made.ok()) {
      ADD_FAILURE() << made.error().message << " " << made.error().detail(pg::kServerMessage);
      std::abort();
    }
    return std::move(made).value();
  }
  Result<SignedIn> login(const std::string& email, const std::string& password,
                         const std::string& tenant = "", const std::string& address = "198.51.100.9:5000") {
    Login wanted;
    wanted.email = email;
    wanted.password = password;
    wanted.tenant = tenant;
    return run(sessions().login(wanted, from(address), patient()));
  }
  SignedIn signed_in(const std::string& email, const std::string& tenant = "") {
    auto result = login(email, kGoodPassword, tenant);
    if (!result.ok()) {
      ADD_FAILURE() << result.error().message << " " << result.error().detail(pg::kServerMessage);
      std::abort();
    }
    return std::move(result).value();
  }
  Result<SignedIn> refreshed(const std::string& token) {
    return run(sessions().refresh(token, from("198.51.100.9:5000"), patient()));
  }
  static Result<std::shared_ptr<const Access>> access(PeopleNode& where, const std::string& token) {
    return run(where.directory.find(token, patient()));
  }
  Result<std::shared_ptr<const Access>> access(const std::string& token) { return access(*here_, token); }

  Tenant acme_, other_;
  std::unique_ptr<PeopleNode> here_;
  std::unique_ptr<testing::BlockingSql> identity_sql_;
};

}  // namespace rowhouse::identity
