#include "base/text.h"
#include "crypto/crypto.h"
#include "objects/object_pgtest.h"

namespace rowhouse::objects {
namespace {

using fixture::Body;
using fixture::patient;
using fixture::TenantContext;
using Outcome = StoredObject::Outcome;

class ObjectsPg : public fixture::ObjectsTest {};

constexpr std::uint64_t kPlanBytes = 100'000'000;  // "basic"
constexpr std::size_t kBytes = 9'000'000;          // eleven of them fit

WriteCondition absent() { return {WriteCondition::Kind::absent, ""}; }
WriteCondition version(const std::string& text) { return {WriteCondition::Kind::version, text}; }

std::string random_text(std::size_t bytes) { return crypto::random_bytes(bytes); }

TEST_F(ObjectsPg, StoresReadsReplacesAndRemoves) {
  const TenantContext acme = new_tenant();
  const auto first = put(acme, "photos/a b%ü.jpg", "one");
  ASSERT_TRUE(first.ok()) << first.error().message;
  EXPECT_EQ(first->outcome, Outcome::created);
  EXPECT_EQ(first->object.sha256, to_hex(crypto::sha256("one")));
  EXPECT_EQ(get(acme, "photos/a b%ü.jpg"), "one");

  const auto second = put(acme, "photos/a b%ü.jpg", "three");
  ASSERT_TRUE(second.ok()) << second.error().message;
  EXPECT_EQ(second->outcome, Outcome::replaced);
  EXPECT_NE(second->object.version, first->object.version);
  EXPECT_EQ(get(acme, "photos/a b%ü.jpg"), "three");
  settle(acme);
  EXPECT_EQ(stored_keys(), std::vector<std::string>{store_key(second->object.key, second->object.version)})
      << "what was replaced is gone from the store";
  EXPECT_EQ(usage(acme).bytes, 5U);
  EXPECT_EQ(usage(acme).objects, 1U);

  ASSERT_TRUE(run(service_->remove(acme, "photos/a b%ü.jpg", "", patient())).ok());
  EXPECT_EQ(get(acme, "photos/a b%ü.jpg"), "error: not_found");
  const auto again = run(service_->remove(acme, "photos/a b%ü.jpg", "", patient()));
  EXPECT_EQ(again.error().code, ErrorCode::not_found);
  settle(acme);
  EXPECT_TRUE(stored_keys().empty());
  EXPECT_EQ(usage(acme).bytes, 0U);
  expect_exact(acme);
}

TEST_F(ObjectsPg, EverySizeComesBackWhetherItsLengthIsKnownOrNot) {
  const TenantContext acme = new_tenant();
  for (const std::size_t bytes : {0UL, 1UL, 262'144UL, 262'145UL, 9'000'001UL, 17'000'000UL}) {
    const std::string text = random_text(bytes);
    for (const Length length : {Length::known, Length::unknown}) {
      const auto stored = put(acme, "size", text, {}, length);
      ASSERT_TRUE(stored.ok()) << bytes << " " << stored.error().message;
      EXPECT_EQ(stored->object.bytes, bytes);
      EXPECT_EQ(stored->object.sha256, to_hex(crypto::sha256(text))) << bytes;
      EXPECT_TRUE(get(acme, "size") == text) << bytes;
      expect_exact(acme);
    }
  }
  EXPECT_EQ(usage(acme).reserved, 0U);
}

TEST_F(ObjectsPg, ConditionsHoldExactly) {
  const TenantContext acme = new_tenant();
  const auto first = put(acme, "k", "one", absent());
  ASSERT_TRUE(first.ok()) << first.error().message;
  EXPECT_EQ(put(acme, "k", "two", absent()).error().code, ErrorCode::precondition_failed);
  const auto second = put(acme, "k", "two", version(first->object.version));
  ASSERT_TRUE(second.ok()) << second.error().message;
  EXPECT_EQ(put(acme, "k", "three", version(first->object.version)).error().code,
            ErrorCode::precondition_failed);
  EXPECT_EQ(put(acme, "other", "x", version(first->object.version)).error().code,
            ErrorCode::precondition_failed);
  const auto removed = run(service_->remove(acme, "k", first->object.version, patient()));
  EXPECT_EQ(removed.error().code, ErrorCode::precondition_failed);
  EXPECT_EQ(get(acme, "k"), "two");
  settle(acme);
  EXPECT_EQ(stored_keys().size(), 1U);
  expect_exact(acme);
}

// The one that loses the race finds out when it commits: nothing of it is left.
TEST_F(ObjectsPg, OfManyThatWantToBeFirstOneIs) {
  const TenantContext acme = new_tenant();
  constexpr int kMany = 8;
  std::vector<std::optional<Result<StoredObject>>> results(kMany);
  std::vector<std::unique_ptr<Body>> bodies;
  net::TaskGroup group;
  const auto one = [](ObjectService* service, const TenantContext* context, Body* body,
                      std::optional<Result<StoredObject>>* result) -> Task<void> {
    NewObject object;
    object.key = "first";
    object.condition.kind = WriteCondition::Kind::absent;
    result->emplace(co_await service->put(*context, std::move(object), 300'000, *body, patient()));
  };
  for (int i = 0; i < kMany; ++i) {
    bodies.push_back(std::make_unique<Body>(std::string(300'000, static_cast<char>('a' + i))));
    group.spawn(one(service_.get(), &acme, bodies.back().get(), &results[static_cast<std::size_t>(i)]));
  }
  run(group.join());
  int won = 0;
  for (const auto& result : results) {
    if ((*result).ok()) {
      ++won;
    } else {
      EXPECT_EQ(result->error().code, ErrorCode::precondition_failed) << result->error().message;
    }
  }
  EXPECT_EQ(won, 1);
  settle(acme);
  EXPECT_EQ(stored_keys().size(), 1U);
  EXPECT_EQ(usage(acme).bytes, 300'000U);
  expect_exact(acme);
}

TEST_F(ObjectsPg, QuotaIsExactUnderParallelUploads) {
  const TenantContext acme = new_tenant();
  constexpr int kMany = 16;
  std::vector<std::optional<Result<StoredObject>>> results(kMany);
  std::vector<std::unique_ptr<Body>> bodies;
  net::TaskGroup group;
  const auto one = [](ObjectService* service, const TenantContext* context, Body* body, int number,
                      std::optional<Result<StoredObject>>* result) -> Task<void> {
    NewObject object;
    object.key = "many/" + std::to_string(number);
    std::optional<std::uint64_t> bytes;
    if (number % 2 == 0) bytes = kBytes;
    result->emplace(co_await service->put(*context, std::move(object), bytes, *body, patient()));
  };
  for (int i = 0; i < kMany; ++i) {
    bodies.push_back(std::make_unique<Body>(std::string(kBytes, 'x')));
    group.spawn(one(service_.get(), &acme, bodies.back().get(), i, &results[static_cast<std::size_t>(i)]));
  }
  run(group.join());
  std::size_t stored = 0;
  for (const auto& result : results) {
    if ((*result).ok()) {
      ++stored;
    } else {
      EXPECT_EQ(result->error().code, ErrorCode::quota_exceeded) << result->error().message;
      EXPECT_NE(result->error().message.find("100,000,000"), std::string::npos) << result->error().message;
    }
  }
  EXPECT_LE(stored * kBytes, kPlanBytes);
  EXPECT_GE(stored, 5U);
  settle(acme);
  expect_exact(acme);
  EXPECT_EQ(usage(acme).bytes, stored * kBytes);
  EXPECT_EQ(stored_keys().size(), stored) << "nothing is left of those that were refused";
  // To the byte.
  const std::uint64_t rest = kPlanBytes - stored * kBytes;
  EXPECT_EQ(put(acme, "rest", std::string(rest + 1, 'r')).error().code, ErrorCode::quota_exceeded);
  EXPECT_TRUE(put(acme, "rest", std::string(rest, 'r')).ok());
  EXPECT_EQ(put(acme, "one more", "x").error().code, ErrorCode::quota_exceeded);
  expect_exact(acme);
}

TEST_F(ObjectsPg, AWrongChecksumLeavesNothing) {
  const TenantContext acme = new_tenant();
  const std::string wrong(64, '0');
  for (const std::size_t bytes : {10UL, 1'000'000UL, 9'000'000UL}) {
    for (const Length length : {Length::known, Length::unknown}) {
      const auto stored = put(acme, "k", std::string(bytes, 'x'), {}, length, wrong);
      ASSERT_FALSE(stored.ok()) << bytes;
      EXPECT_EQ(stored.error().code, ErrorCode::checksum_mismatch) << stored.error().message;
    }
  }
  settle(acme);
  EXPECT_EQ(get(acme, "k"), "error: not_found");
  EXPECT_TRUE(stored_keys().empty());
  EXPECT_EQ(usage(acme).reserved, 0U);
  expect_exact(acme);
}

TEST_F(ObjectsPg, AClientThatGoesAwayLeavesNothing) {
  const TenantContext acme = new_tenant();
  ASSERT_TRUE(put(acme, "k", "before").ok());
  for (const Length length : {Length::known, Length::unknown}) {
    NewObject object;
    object.key = "k";
    Body body(std::string(20'000'000, 'x'));
    body.fail_after(12'000'000);
    std::optional<std::uint64_t> bytes;
    if (length == Length::known) bytes = 20'000'000;
    const auto stored = run(service_->put(acme, std::move(object), bytes, body, patient()));
    EXPECT_EQ(stored.error().code, ErrorCode::cancelled);
  }
  settle(acme);
  EXPECT_EQ(get(acme, "k"), "before");
  EXPECT_EQ(stored_keys().size(), 1U);
  EXPECT_EQ(usage(acme).reserved, 0U);
  expect_exact(acme);
}

TEST_F(ObjectsPg, TakesBackWhatAKilledProcessLeft) {
  const TenantContext acme = new_tenant();
  // As after a kill: a reservation and half of what was stored.
  const std::string half = "half~" + std::string(kVersionCharacters, 'v');
  as_superuser(
      acme,
      "INSERT INTO rowhouse.object_writes (tenant_id, id, key, reserved, content_type, started, lease_until) "
      "VALUES ('" +
          acme.tenant().id.to_string() + "', '" + std::string(kVersionCharacters, 'v') +
          "', 'half', 99999999, 'text/plain', now() - interval '1 minute', now() - interval '1 second');"
          "INSERT INTO rowhouse.object_usage (tenant_id, bytes, objects) VALUES ('" +
          acme.tenant().id.to_string() + "', 99999999, 1)");
  {
    Body body("half of it");
    TextSource source("half of it");
    storage::PutOptions options;
    std::string name = half;
    ASSERT_TRUE(run(source_.store->put(std::move(name), 10, source, options, patient())).ok());
  }
  EXPECT_EQ(usage(acme).reserved, 99'999'999U);
  const auto stored = put(acme, "new", "needs the room");
  ASSERT_TRUE(stored.ok()) << "what is dead makes room before anything is refused: "
                           << stored.error().message;
  settle(acme);
  EXPECT_EQ(stored_keys(), std::vector<std::string>{store_key("new", stored->object.version)});
  EXPECT_EQ(usage(acme).reserved, 0U);
  expect_exact(acme);
}

TEST_F(ObjectsPg, AWriteThatWasGivenUpDoesNotCount) {
  const TenantContext acme = new_tenant();
  NewWrite write;
  write.id = std::string(kVersionCharacters, 'w');
  write.key = "late";
  write.reserved = 10;
  write.lease_s = 60;
  ObjectRows rows(*database_);
  ASSERT_EQ(run(rows.begin(acme, write, -1, patient())).value(), ObjectRows::Begun::reserved);
  as_superuser(acme,
               "UPDATE rowhouse.object_writes SET started = now() - interval '1 hour', lease_until = now() - "
               "interval '1 second'");
  EXPECT_EQ(run(rows.give_up_dead(acme, patient())).value(), 1U);
  Content content;
  content.bytes = 10;
  content.content_type = "text/plain";
  const auto committed = run(rows.commit(acme, write.id, content, WriteCondition(), patient()));
  ASSERT_TRUE(committed.ok()) << committed.error().message;
  EXPECT_EQ(committed->outcome, Committed::Outcome::write_gone);
  EXPECT_EQ(get(acme, "late"), "error: not_found");
  expect_exact(acme);
}

TEST_F(ObjectsPg, ListsInPagesAndFolders) {
  const TenantContext acme = new_tenant();
  const std::vector<std::string> keys = {"a",  "b/1",  "b/2",       "b/c/3",
                                         "b0", "c%_x", "d\u00e9/x", "\U0010FFFF\U0010FFFF"};
  for (const std::string& key : keys) ASSERT_TRUE(put(acme, key, key).ok()) << key;
  const auto all = [&](std::string prefix, ListObjects::Folders folders, int limit) {
    std::vector<std::string> found;
    std::string cursor;
    do {
      ListObjects request;
      request.prefix = prefix;
      request.folders = folders;
      request.limit = limit;
      request.cursor = cursor;
      auto page = run(service_->list(acme, std::move(request), patient()));
      if (!page.ok()) return std::vector<std::string>{page.error().message};
      EXPECT_LE(page->objects.size() + page->folders.size(), static_cast<std::size_t>(limit));
      for (const Object& object : page->objects) found.push_back(object.key);
      for (const std::string& folder : page->folders) found.push_back("[" + folder + "]");
      cursor = page->next_cursor;
    } while (!cursor.empty());
    return found;
  };
  using Folders = ListObjects::Folders;
  for (const int limit : {1, 2, 3, 100}) {
    EXPECT_EQ(all("", Folders::flat, limit), keys) << limit;
    EXPECT_EQ(all("b/", Folders::flat, limit), (std::vector<std::string>{"b/1", "b/2", "b/c/3"})) << limit;
    EXPECT_EQ(all("c%_", Folders::flat, limit), (std::vector<std::string>{"c%_x"})) << limit;
    EXPECT_EQ(all("zz", Folders::flat, limit), std::vector<std::string>()) << limit;
  }
  EXPECT_EQ(all("", Folders::grouped, 1),
            (std::vector<std::string>{"a", "[b/]", "b0", "c%_x", "[d\u00e9/]", "\U0010FFFF\U0010FFFF"}));
  EXPECT_EQ(all("b/", Folders::grouped, 1), (std::vector<std::string>{"b/1", "b/2", "[b/c/]"}));
  EXPECT_EQ(all("d\u00e9/", Folders::grouped, 10), (std::vector<std::string>{"d\u00e9/x"}));
  ListObjects bad;
  bad.cursor = "!";
  EXPECT_EQ(run(service_->list(acme, bad, patient())).error().code, ErrorCode::invalid_cursor);
}

// A page costs what it shows, wherever it is: it is one scan of the primary key.
TEST_F(ObjectsPg, APageOfAHugeListIsOneIndexScan) {
  const TenantContext acme = new_tenant();
  as_superuser(acme, "INSERT INTO rowhouse.objects (tenant_id, key, version, bytes, content_type) SELECT '" +
                         acme.tenant().id.to_string() +
                         "', 'k/' || lpad(n::text, 7, '0'), 'vvvvvvvvvvvvvvvvvvvvvv', 1, 'text/plain' "
                         "FROM generate_series(1, 200000) n; ANALYZE rowhouse.objects");
  for (const auto folders : {ListObjects::Folders::flat, ListObjects::Folders::grouped}) {
    ListObjects request;
    request.prefix = "k/";
    request.folders = folders;
    request.limit = 100;
    request.cursor = to_base64url("k/0150000");
    const auto page = run(service_->list(acme, request, patient()));
    ASSERT_TRUE(page.ok()) << page.error().message;
    ASSERT_EQ(page->objects.size(), 100U);
    EXPECT_EQ(page->objects.front().key, "k/0150000");
  }
  testing::BlockingSql connection(testing::superuser(database_of(acme)));
  std::string plan;
  for (const auto& row :
       connection.run("SET enable_seqscan = on; EXPLAIN SELECT key FROM rowhouse.objects WHERE " + of(acme) +
                      " AND key >= 'k/0150000' AND key < 'k/~' ORDER BY key LIMIT 101")) {
    plan += row[0].value_or("") + "\n";
  }
  EXPECT_NE(plan.find("objects_pkey"), std::string::npos) << plan;
  EXPECT_EQ(plan.find("Sort"), std::string::npos) << plan;
}

TEST_F(ObjectsPg, CopiesWithinTheQuota) {
  const TenantContext acme = new_tenant();
  ASSERT_TRUE(put(acme, "from", std::string(40'000'000, 'x')).ok());
  const auto copied = run(service_->copy(acme, "from", "to", WriteCondition(), patient()));
  ASSERT_TRUE(copied.ok()) << copied.error().message;
  EXPECT_EQ(copied->object.bytes, 40'000'000U);
  EXPECT_EQ(get(acme, "to").size(), 40'000'000U);
  const auto third = run(service_->copy(acme, "from", "third", WriteCondition(), patient()));
  EXPECT_EQ(third.error().code, ErrorCode::quota_exceeded);
  const auto missing = run(service_->copy(acme, "nothing", "to", WriteCondition(), patient()));
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
  const auto taken = run(service_->copy(acme, "from", "to", absent(), patient()));
  EXPECT_EQ(taken.error().code, ErrorCode::precondition_failed);
  settle(acme);
  EXPECT_EQ(stored_keys().size(), 2U);
  expect_exact(acme);
}

TEST_F(ObjectsPg, OneTenantNeverMeetsAnothersObjects) {
  for (const tenancy::Tier tier : {tenancy::Tier::pool, tenancy::Tier::database}) {
    const TenantContext acme = new_tenant(tier), other = new_tenant(tier);
    ASSERT_TRUE(put(acme, "secret", "of acme").ok());
    EXPECT_EQ(get(other, "secret"), "error: not_found");
    const auto removed = run(service_->remove(other, "secret", "", patient()));
    EXPECT_EQ(removed.error().code, ErrorCode::not_found);
    ASSERT_TRUE(put(other, "secret", "of the other").ok());
    EXPECT_EQ(get(acme, "secret"), "of acme");
    std::vector<std::string> keys = {"secret", "nothing"};
    EXPECT_EQ(run(service_->remove_many(other, std::move(keys), patient())).value(), 1U);
    EXPECT_EQ(get(acme, "secret"), "of acme");
    EXPECT_EQ(usage(other).bytes, 0U);
    settle(other);
    EXPECT_EQ(get(acme, "secret"), "of acme") << "another tenant's garbage is another key";
    ASSERT_TRUE(run(service_->remove(acme, "secret", "", patient())).ok());
    settle(acme);
  }
}

TEST_F(ObjectsPg, UploadsInPartsGoOnAfterARestart) {
  const TenantContext acme = new_tenant();
  constexpr std::size_t kPart = 8U << 20;
  const std::string whole = random_text(2 * kPart + 1'000);
  NewObject object;
  object.key = "big";
  object.content_type = "video/mp4";
  auto begun = run(service_->uploads().begin(acme, object, whole.size(), patient()));
  ASSERT_TRUE(begun.ok()) << begun.error().message;
  const std::string id = begun->upload.id;
  EXPECT_EQ(usage(acme).reserved, whole.size());
  EXPECT_EQ(get(acme, "big"), "error: not_found");
  const auto send = [&](int number, std::string sha256 = "") {
    const std::string text = whole.substr((static_cast<std::size_t>(number) - 1) * kPart, kPart);
    Body body(text);
    UploadPart part;
    part.number = number;
    part.bytes = text.size();
    part.sha256 = std::move(sha256);
    return run(service_->uploads().put_part(acme, id, std::move(part), body, patient()));
  };
  ASSERT_TRUE(send(1).ok());
  EXPECT_EQ(send(2, std::string(64, '0')).error().code, ErrorCode::checksum_mismatch);
  const auto early = run(service_->uploads().complete(acme, id, "", WriteCondition(), patient()));
  EXPECT_EQ(early.error().code, ErrorCode::validation_failed);
  settle(acme);  // another service, as after a restart
  const auto found = run(service_->uploads().find(acme, id, patient()));
  ASSERT_TRUE(found.ok()) << found.error().message;
  ASSERT_EQ(found->upload.parts.size(), 1U);
  EXPECT_EQ(found->upload.parts[0].number, 1);
  ASSERT_TRUE(send(2).ok());
  ASSERT_TRUE(send(3).ok());
  ASSERT_TRUE(send(2).ok()) << "a part may be sent again";
  const auto wrong = run(service_->uploads().find(new_tenant(), id, patient()));
  EXPECT_EQ(wrong.error().code, ErrorCode::not_found) << "another tenant's upload";
  const std::string sha256 = to_hex(crypto::sha256(whole));
  const auto stored = run(service_->uploads().complete(acme, id, sha256, absent(), patient()));
  ASSERT_TRUE(stored.ok()) << stored.error().message;
  EXPECT_EQ(stored->object.sha256, sha256);
  EXPECT_EQ(stored->object.content_type, "video/mp4");
  EXPECT_TRUE(get(acme, "big") == whole);
  const auto twice = run(service_->uploads().complete(acme, id, sha256, WriteCondition(), patient()));
  EXPECT_EQ(twice.error().code, ErrorCode::not_found);
  settle(acme);
  EXPECT_EQ(usage(acme).reserved, 0U);
  expect_exact(acme);
}

TEST_F(ObjectsPg, UploadsInPartsKeepTheQuotaAndMayBeGivenUp) {
  const TenantContext acme = new_tenant();
  NewObject object;
  object.key = "big";
  const auto too_big = run(service_->uploads().begin(acme, object, kPlanBytes + 1, patient()));
  EXPECT_EQ(too_big.error().code, ErrorCode::quota_exceeded);
  const auto begun = run(service_->uploads().begin(acme, object, std::nullopt, patient()));
  ASSERT_TRUE(begun.ok()) << begun.error().message;
  const auto send = [&](int number, std::size_t bytes) {
    Body body(std::string(bytes, 'x'));
    UploadPart part;
    part.number = number;
    part.bytes = bytes;
    return run(service_->uploads().put_part(acme, begun->upload.id, std::move(part), body, patient()));
  };
  ASSERT_TRUE(send(1, 60'000'000).ok());
  EXPECT_EQ(usage(acme).reserved, 60'000'000U);
  EXPECT_EQ(send(2, 60'000'000).error().code, ErrorCode::quota_exceeded);
  expect_exact(acme);
  ASSERT_EQ(run(service_->uploads().list(acme, patient())).value().size(), 1U);
  ASSERT_TRUE(run(service_->uploads().abort(acme, begun->upload.id, patient())).ok());
  EXPECT_EQ(send(2, 1).error().code, ErrorCode::not_found);
  settle(acme);
  EXPECT_EQ(usage(acme).reserved, 0U);
  EXPECT_TRUE(stored_keys().empty());
  expect_exact(acme);
}

TEST_F(ObjectsPg, KeysAreChecked) {
  const TenantContext acme = new_tenant();
  for (const std::string& key :
       {std::string(), std::string("/a"), std::string("a/"), std::string("a//b"), std::string("a/../b"),
        std::string("\x01"), std::string("\xff"), std::string(kMaxObjectKeyBytes + 1, 'k')}) {
    EXPECT_EQ(put(acme, key, "x").error().code, ErrorCode::validation_failed) << key;
  }
  EXPECT_TRUE(put(acme, std::string(kMaxObjectKeyBytes, 'k'), "x").ok());
}

// A deleted tenant's rows go by the eraser, which finds the tables by itself.
TEST_F(ObjectsPg, ADeletedTenantLeavesNoRows) {
  const TenantContext acme = new_tenant(), other = new_tenant();
  ASSERT_TRUE(put(acme, "a", "x").ok());
  ASSERT_TRUE(put(acme, "a", "y").ok());
  ASSERT_TRUE(put(other, "a", "z").ok());
  tenancy::fixture::InstallationTest::remove(acme.tenant());
  for (const char* table : {"objects", "object_writes", "object_parts", "object_garbage", "object_usage"}) {
    EXPECT_EQ(
        as_superuser(other, std::string("SELECT count(*) FROM rowhouse.") + table + " WHERE " + of(acme)),
        "0")
        << table;
  }
  EXPECT_EQ(get(other, "a"), "z");
}

}  // namespace
}  // namespace rowhouse::objects
