#include "objects/storage_moves.h"

#include "objects/move_pgtest.h"

namespace rowhouse::objects {
namespace {

using namespace fixture;

class StorageMovesPg : public MovesTest {};

TEST_F(StorageMovesPg, EverythingGoesAlongAndNothingIsLeft) {
  const TenantContext acme = tenant_at("a"), other = new_tenant();
  for (int i = 0; i < 120; ++i) {
    ASSERT_TRUE(put_on(*first_, acme, "k" + std::to_string(i), std::string(i * 10, 'x')).ok());
  }
  const Usage before = run(first_->objects.usage(acme, patient())).value();
  EXPECT_FALSE(run(first_->moves.view(acme.tenant().id, patient())).value());
  const auto moved = move_to(*first_, acme, "b");
  EXPECT_EQ(outcome(*first_, moved), "");
  const auto view = run(first_->moves.view(acme.tenant().id, patient())).value();
  ASSERT_TRUE(view);
  EXPECT_EQ(view->state, MoveView::State::copied);
  EXPECT_EQ(view->from, "nfs");
  EXPECT_EQ(view->operation, moved->to_string());
  EXPECT_EQ(files_in("a"), 120U) << "kept until it is confirmed";
  EXPECT_EQ(files_in("b"), 120U);
  EXPECT_EQ(move_to(*first_, acme, "a").error().code, ErrorCode::conflict);
  const auto set =
      run(first_->configs.set(acme.tenant().id, share("ours"), tenancy::fixture::tester(), patient()));
  EXPECT_EQ(set.error().code, ErrorCode::conflict);

  EXPECT_EQ(outcome(*first_, confirm_on(*first_, acme)), "");
  EXPECT_EQ(files_in("a"), 0U);
  for (int i = 0; i < 120; ++i) {
    EXPECT_EQ(get_on(*second_, acme, "k" + std::to_string(i)), std::string(i * 10, 'x'));
  }
  const Usage after = run(first_->objects.usage(acme, patient())).value();
  EXPECT_EQ(after.bytes, before.bytes);
  EXPECT_EQ(after.objects, before.objects);
  EXPECT_EQ(as_superuser(acme, "SELECT count(*) FROM rowhouse.object_garbage WHERE " + of(acme)), "0");
  EXPECT_EQ(
      platform("SELECT string_agg(store || ' ' || active, ',') FROM platform.tenant_storage_configs WHERE " +
               of(acme)),
      "2 true");
  EXPECT_FALSE(run(first_->moves.view(acme.tenant().id, patient())).value());
  expect_exact(acme);
  expect_exact(other);
  remove(acme.tenant());
}

TEST_F(StorageMovesPg, CutOffAnywhereItGoesOn) {
  std::vector<std::string> points;
  {
    const TenantContext model = tenant_at("a");
    ASSERT_TRUE(put_on(*first_, model, "one", "1").ok());
    EXPECT_EQ(outcome(*first_, move_to(*first_, model, "b")), "");
    EXPECT_EQ(outcome(*first_, confirm_on(*first_, model)), "");
    points = death_->seen;
    remove(model.tenant());
  }
  ASSERT_GT(points.size(), 30U);
  std::set<std::string> tried;
  // How often a step looks depends on the moment, so not every point comes again; but each step is cut off.
  std::set<std::string> steps, cut_off;
  for (const std::string& point : points) {
    const bool is_of_a_step =
        point.find("storage.move") == 0 && point.find("/register/") == std::string::npos;
    // Within the transaction of a record the row of the operation is locked: the crash matrix kills there.
    const bool is_within_a_record = (point.find("/switch_store/") != std::string::npos ||
                                     point.find("/forget_store/") != std::string::npos) &&
                                    std::count(point.begin(), point.end(), '/') > 3;
    if (!is_of_a_step || is_within_a_record || !tried.insert(point).second) continue;
    SCOPED_TRACE(point);
    for (const char* name : {"a", "b"}) {
      fs::remove_all(root_ + "/" + name);
      fs::create_directory(root_ + "/" + name);
    }
    stop_nodes();
    start_nodes();
    const TenantContext acme = tenant_at("a");
    for (const char* key : {"one", "two", "three"}) ASSERT_TRUE(put_on(*first_, acme, key, key).ok());
    death_->stop_at = point;
    const auto moved = move_to(*first_, acme, "b");
    EXPECT_EQ(outcome(*second_, moved), "");
    for (const char* key : {"one", "two", "three"}) EXPECT_EQ(get_on(*second_, acme, key), key);
    ASSERT_TRUE(put_on(*second_, acme, "four", "four").ok());
    EXPECT_EQ(outcome(*second_, confirm_on(*first_, acme)), "");
    const std::string step = point.substr(0, point.find('/', point.find('/') + 1));
    steps.insert(step);
    if (death_->stopped) cut_off.insert(step);
    death_->let_go = true;  // what it still tries must do no harm
    run(net::sleep_for(executor(), std::chrono::milliseconds(20)));
    for (const char* key : {"one", "two", "three", "four"}) EXPECT_EQ(get_on(*second_, acme, key), key);
    ASSERT_TRUE(run(second_->objects.writes().sweep(acme, patient())).ok());
    EXPECT_EQ(files_in("a"), 0U);
    EXPECT_EQ(files_in("b"), 4U);
    EXPECT_EQ(as_superuser(acme, "SELECT count(*) FROM rowhouse.object_garbage WHERE " + of(acme)), "0");
    expect_exact(acme);
    remove(acme.tenant());
  }
  EXPECT_EQ(cut_off, steps);
  EXPECT_EQ(steps.size(), 7U);
}

TEST_F(StorageMovesPg, WhatIsReplacedOrDeletedWhileItIsCopiedStaysSo) {
  const TenantContext acme = tenant_at("a");
  for (const char* key : {"kept", "replaced", "deleted"}) ASSERT_TRUE(put_on(*first_, acme, key, "old").ok());
  MoveRows rows(*database_);
  // As the steps of a move do it, with somebody in between.
  platform_sql().run(
      "INSERT INTO platform.tenant_storage_configs (tenant_id, store, active, provider, sealed, store_hash) "
      "SELECT tenant_id, 2, false, provider, sealed, NULL FROM platform.tenant_storage_configs WHERE " +
      of(acme));
  const auto objects = run(rows.next(acme, 1, "", 100, patient())).value();
  ASSERT_EQ(objects.size(), 3U);
  ASSERT_TRUE(run(rows.name_copies(acme, 2, objects, patient())).ok());
  ASSERT_TRUE(put_on(*first_, acme, "replaced", "new").ok());
  ASSERT_TRUE(run(first_->objects.remove(acme, "deleted", "", patient())).ok());
  const auto switched = run(rows.switch_rows(acme, 1, 2, objects, patient())).value();
  EXPECT_EQ(switched.objects, 1);
  EXPECT_EQ(switched.bytes, 3);
  ASSERT_TRUE(run(rows.settle_copies(acme, 2, patient())).ok());
  const std::string needless =
      "SELECT string_agg(split_part(store_key, '~', 1), ' ' ORDER BY store_key) FROM rowhouse.object_garbage "
      "WHERE store = 2 AND due <= now() AND " +
      of(acme);
  EXPECT_EQ(as_superuser(acme, needless), "deleted replaced");
  EXPECT_EQ(
      as_superuser(
          acme, "SELECT string_agg(key || store, ' ' ORDER BY key) FROM rowhouse.objects WHERE " + of(acme)),
      "kept2 replaced1");
  EXPECT_EQ(as_superuser(acme,
                         "SELECT string_agg(split_part(store_key, '~', 1), ' ') FROM rowhouse.object_garbage "
                         "WHERE store = 1 AND due = 'infinity' AND " +
                             of(acme)),
            "kept");
  // Whoever comes late with the same batch changes nothing and names nothing that counts.
  ASSERT_TRUE(run(rows.name_copies(acme, 2, objects, patient())).ok());
  EXPECT_EQ(run(rows.switch_rows(acme, 1, 2, objects, patient())).value().objects, 0);
  ASSERT_TRUE(run(rows.settle_copies(acme, 2, patient())).ok());
  EXPECT_EQ(as_superuser(acme, needless), "deleted replaced");
  EXPECT_FALSE(run(rows.release_old(acme, 1, patient())).value()) << "\"replaced\" is there";
  expect_exact(acme);
}

// What a run before was copying when somebody deleted it.
TEST_F(StorageMovesPg, CopiesThatNobodyNeedsAreRemovedAtItsEnd) {
  const TenantContext acme = tenant_at("a");
  ASSERT_TRUE(put_on(*first_, acme, "kept", "x").ok());
  as_superuser(acme, "INSERT INTO rowhouse.object_garbage (tenant_id, store_key, store, due) VALUES ('" +
                         acme.tenant().id.to_string() +
                         "', 'gone~' || repeat('v', 22), 2, 'infinity') RETURNING 1");
  EXPECT_EQ(outcome(*first_, move_to(*first_, acme, "b")), "");
  const std::string in_new_store =
      "SELECT count(*) FROM rowhouse.object_garbage WHERE store = 2 AND " + of(acme);
  EXPECT_TRUE(eventually([&] { return as_superuser(acme, in_new_store) == "0"; }));
  expect_exact(acme);
}

TEST_F(StorageMovesPg, AWorkerThatHasNotHeardOfItIsSentToTheNewStore) {
  const TenantContext acme = tenant_at("a");
  ASSERT_TRUE(put_on(*second_, acme, "before", "x").ok()) << "the second worker has the store open now";
  EXPECT_EQ(outcome(*first_, move_to(*first_, acme, "b")), "");
  EXPECT_EQ(run(second_->configs.open_tenant(acme.tenant().id, patient())).value().number, 1)
      << "nobody has told";
  ASSERT_TRUE(put_on(*second_, acme, "after", "y").ok());
  EXPECT_EQ(as_superuser(acme, "SELECT store FROM rowhouse.objects WHERE key = 'after' AND " + of(acme)),
            "2");
  EXPECT_EQ(files_in("a"), 1U);
  EXPECT_EQ(get_on(*second_, acme, "before") + get_on(*second_, acme, "after"), "xy");
  // Refused for its size, not for the store.
  const auto too_large = put_on(*second_, acme, "large", std::string(1000, 'l'));
  EXPECT_TRUE(too_large.ok());
  expect_exact(acme);
}

TEST_F(StorageMovesPg, AWrongObjectInTheFormerStoreStopsItAndIsNamed) {
  const TenantContext acme = tenant_at("a");
  ASSERT_TRUE(put_on(*first_, acme, "good", "good bytes").ok());
  const auto bad = put_on(*first_, acme, "photos/bad", "good bytes");
  ASSERT_TRUE(bad.ok());
  std::string file;  // the driver has its own way of writing names
  for (const auto& entry : fs::recursive_directory_iterator(root_ + "/a/photos")) {
    if (entry.is_regular_file()) file = entry.path().string();
  }
  ASSERT_FALSE(file.empty());
  std::ofstream(file) << "evil bytes";
  const auto moved = move_to(*first_, acme, "b");
  const std::string failed = outcome(*first_, moved);
  EXPECT_NE(
      failed.find("failed: object \"photos/bad\" could not be moved: the former storage has other bytes"),
      std::string::npos)
      << failed;
  EXPECT_EQ(get_on(*first_, acme, "good"), "good bytes");
  EXPECT_EQ(confirm_on(*first_, acme).ok(), true) << "a confirmation goes on with it, and fails as it does";
  // Mended, it goes on.
  std::ofstream(file) << "good bytes";
  ASSERT_TRUE(run(first_->engine.retry(*moved, "tester", patient())).ok());
  EXPECT_EQ(outcome(*first_, moved), "");
  EXPECT_EQ(get_on(*first_, acme, "photos/bad"), "good bytes");
}

TEST_F(StorageMovesPg, AChecksumThatWasNotKnownIsStored) {
  const TenantContext acme = tenant_at("a");
  const auto stored = put_on(*first_, acme, "parts", "in parts");
  ASSERT_TRUE(stored.ok());
  as_superuser(acme, "UPDATE rowhouse.objects SET sha256 = NULL WHERE " + of(acme));
  EXPECT_EQ(outcome(*first_, move_to(*first_, acme, "b")), "");
  EXPECT_EQ(as_superuser(acme, "SELECT encode(sha256, 'hex') FROM rowhouse.objects WHERE " + of(acme)),
            stored->object.sha256);
}

TEST_F(StorageMovesPg, UploadsOfBeforeEndWhereTheyBegan) {
  const TenantContext acme = tenant_at("a");
  NewObject object;
  object.key = "film";
  const auto begun = run(first_->objects.uploads().begin(acme, object, std::nullopt, patient()));
  ASSERT_TRUE(begun.ok()) << begun.error().message;
  EXPECT_EQ(outcome(*first_, move_to(*first_, acme, "b")), "");
  EXPECT_EQ(run(first_->moves.view(acme.tenant().id, patient())).value()->rest.uploads, 1);
  const auto refused = confirm_on(*first_, acme);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("1 uploads"), std::string::npos) << refused.error().message;
  UploadPart part;
  part.number = 1;
  part.bytes = 4;
  Body body("film");
  ASSERT_TRUE(run(second_->objects.uploads().put_part(acme, begun->upload.id, part, body, patient())).ok());
  ASSERT_TRUE(run(second_->objects.uploads().complete(acme, begun->upload.id, "", {}, patient())).ok());
  EXPECT_EQ(files_in("b"), 0U);
  EXPECT_EQ(get_on(*first_, acme, "film"), "film");
  EXPECT_EQ(outcome(*first_, confirm_on(*first_, acme)), "") << "what came since goes along";
  EXPECT_EQ(get_on(*first_, acme, "film"), "film");
  EXPECT_EQ(files_in("b"), 1U);
  EXPECT_EQ(files_in("a"), 0U);
}

TEST_F(StorageMovesPg, CopiesBetweenTheTwoGoThroughHere) {
  const TenantContext acme = tenant_at("a");
  ASSERT_TRUE(put_on(*first_, acme, "film", "a film").ok());
  MoveRows rows(*database_);
  // A move that has just switched.
  EXPECT_EQ(outcome(*first_, move_to(*first_, acme, "b")), "");
  as_superuser(acme, "UPDATE rowhouse.objects SET store = 1 WHERE " + of(acme));
  const auto copied = run(first_->objects.copy(acme, "film", "again", {}, patient()));
  ASSERT_TRUE(copied.ok()) << copied.error().message;
  EXPECT_EQ(as_superuser(acme, "SELECT store FROM rowhouse.objects WHERE key = 'again' AND " + of(acme)),
            "2");
  EXPECT_EQ(get_on(*first_, acme, "again"), "a film");
  expect_exact(acme);
}

TEST_F(StorageMovesPg, OldObjectsMayStay) {
  const TenantContext acme = tenant_at("a");
  ASSERT_TRUE(put_on(*first_, acme, "film", "a film").ok());
  EXPECT_EQ(confirm_on(*first_, acme).error().code, ErrorCode::conflict) << "nothing was moved";
  EXPECT_EQ(outcome(*first_, move_to(*first_, acme, "b")), "");
  EXPECT_EQ(outcome(*first_, confirm_on(*first_, acme, OldObjects::keep)), "");
  EXPECT_EQ(files_in("a"), 1U);
  EXPECT_EQ(as_superuser(acme, "SELECT count(*) FROM rowhouse.object_garbage WHERE " + of(acme)), "0");
  EXPECT_EQ(outcome(*first_, move_to(*first_, acme, "a")), "") << "and back";
  EXPECT_EQ(platform("SELECT max(store) FROM platform.tenant_storage_configs WHERE " + of(acme)), "3");
}

TEST_F(StorageMovesPg, ToProvisionedStorageAndAwayFromIt) {
  const TenantContext acme = tenant_at("a");
  const std::string ours = "ours/" + acme.tenant().id.to_string();
  ASSERT_TRUE(put_on(*first_, acme, "film", "a film").ok());
  const auto to_ours = [&] {
    return run(first_->moves.start_provisioned(acme.tenant().id, tenancy::fixture::tester(), patient()));
  };
  EXPECT_EQ(outcome(*first_, to_ours()), "");
  EXPECT_EQ(files_in(ours), 1U);
  EXPECT_EQ(outcome(*first_, confirm_on(*first_, acme)), "");
  EXPECT_EQ(files_in("a"), 0U);
  EXPECT_EQ(get_on(*first_, acme, "film"), "a film");
  EXPECT_EQ(to_ours().error().code, ErrorCode::conflict);
  EXPECT_EQ(platform("SELECT storage_choice FROM platform.tenants WHERE id = '" +
                     acme.tenant().id.to_string() + "'"),
            "provisioned");
  EXPECT_EQ(outcome(*first_, move_to(*first_, acme, "b")), "");
  EXPECT_EQ(outcome(*first_, confirm_on(*first_, acme, OldObjects::keep)), "");
  EXPECT_FALSE(fs::exists(root_ + "/" + ours)) << "what we made goes in any case";
  EXPECT_EQ(get_on(*first_, acme, "film"), "a film");
}

TEST_F(StorageMovesPg, WhereToIsChecked) {
  const TenantContext acme = tenant_at("a"), other = tenant_at("b"), bare = new_tenant();
  EXPECT_EQ(move_to(*first_, bare, "a").error().code, ErrorCode::storage_not_configured);
  EXPECT_EQ(move_to(*first_, acme, "a").error().code, ErrorCode::validation_failed);
  fs::create_directory_symlink(root_ + "/a", root_ + "/alias");
  EXPECT_FALSE(move_to(*first_, acme, "alias").ok()) << "the same place under another name";
  const auto taken = move_to(*first_, acme, "b");
  EXPECT_EQ(taken.error().code, ErrorCode::conflict);
  EXPECT_NE(taken.error().message.find(".rowhouse-control/"), std::string::npos) << taken.error().message;
  EXPECT_EQ(platform("SELECT count(*) FROM platform.tenant_storage_configs WHERE " + of(acme)), "1");
  EXPECT_EQ(files_in("a"), 0U) << "probes are removed";
}

TEST_F(StorageMovesPg, ADeletionInTheMiddleTakesBothStoresAway) {
  const TenantContext acme = tenant_at("a");
  const std::string ours = root_ + "/ours/" + acme.tenant().id.to_string();
  ASSERT_TRUE(put_on(*first_, acme, "film", "a film").ok());
  const auto moved =
      run(first_->moves.start_provisioned(acme.tenant().id, tenancy::fixture::tester(), patient()));
  EXPECT_EQ(outcome(*first_, moved), "");
  ASSERT_TRUE(fs::exists(ours));
  node().tenants.wire_stores(nullptr, [this](Uuid tenant, CallOptions options) {
    return first_->provisioned.remove(tenant, options);
  });
  remove(acme.tenant());
  node().tenants.wire_stores(nullptr, nullptr);
  EXPECT_FALSE(fs::exists(ours));
  EXPECT_EQ(platform("SELECT count(*) FROM platform.tenant_storage_configs WHERE " + of(acme)), "0");
  EXPECT_EQ(files_in("a"), 1U) << "a customer's own stays";
}

}  // namespace
}  // namespace rowhouse::objects
