#include "operations/engine_pgtest.h"

namespace rowhouse::operations {
namespace {

using namespace fixture;

using StepsTest = EngineTest;

TEST_F(StepsTest, RunInOrderAndAreRecorded) {
  TestNode& node = add_node("a");
  Kind kind;
  kind.name = "test.way";
  kind.steps.push_back(Step::effect("one", [&node](Run& run) -> Task<Result<void>> {
    run.state().set("chosen", "name-7");
    run.output().set("size", 3);
    co_return co_await node.note(run, "one");
  }));
  kind.steps.push_back(Step::record("two", node.recording("two")));
  kind.steps.push_back(Step::effect("three", [&node](Run& run) -> Task<Result<void>> {
    const json::Value* chosen = run.state().find("chosen");
    std::string what = chosen == nullptr ? "?" : *chosen->as_string();
    co_return co_await node.note(run, std::move(what));
  }));
  node.engine.add(std::move(kind));
  node.engine.start(Engine::Duty::own);
  Submission submission = of("test.way");
  submission.tenant = Uuid::make_v7(node.clock.now());
  submission.input.set("wish", "x");
  const Operation operation = perform(node, submission);

  EXPECT_EQ(status_of(operation), "succeeded");
  EXPECT_EQ(noted(operation.id), "one two name-7");
  EXPECT_EQ(steps_of(operation), "one:done:1 two:done:1 three:done:1");
  EXPECT_EQ(json::serialize(operation.output), R"({"size":3})");
  EXPECT_EQ(operation.tenant, submission.tenant);
  EXPECT_TRUE(operation.error.is_null());
  EXPECT_EQ(operation.node, "");
  EXPECT_EQ(operation.attempts, 1);
  EXPECT_EQ(operation.requested_by, "tester");
  EXPECT_FALSE(operation.finished_at.empty());
  EXPECT_FALSE(operation.steps[1].finished_at.empty());
  EXPECT_EQ(events(operation.id), "operation.started operation.succeeded");
  EXPECT_EQ(sql().value("SELECT count(*) FROM platform.events WHERE tenant_id = '" +
                        submission.tenant->to_string() + "' AND payload->>'kind' = 'test.way'"),
            "2");
  EXPECT_EQ(column(operation.id, "state->>'chosen'"), "name-7");
  EXPECT_EQ(node.ended_sessions, 0) << "nobody had it before";
  EXPECT_EQ(node.sink.count_of("operation_step_done"), 3U);
}

TEST_F(StepsTest, AreLeftOutUnlessTheirConditionHolds) {
  TestNode& node = add_node("a");
  Kind kind;
  kind.name = "test.some";
  kind.steps.push_back(Step::effect("always", node.noting("always")));
  kind.steps.push_back(Step::effect("sometimes", node.noting("sometimes")).when([](const json::Value& input) {
    return input.find("more") != nullptr;
  }));
  node.engine.add(std::move(kind));
  node.engine.start(Engine::Duty::own);
  EXPECT_EQ(steps_of(perform(node, of("test.some"))), "always:done:1");
  Submission more = of("test.some");
  more.input.set("more", true);
  EXPECT_EQ(steps_of(perform(node, more)), "always:done:1 sometimes:done:1");
}

TEST_F(StepsTest, StoreWhatTheySaveBeforeTheyEnd) {
  TestNode& node = add_node("a");
  std::string seen;
  Kind kind;
  kind.name = "test.save";
  kind.steps.push_back(Step::effect("save", [&](Run& run) -> Task<Result<void>> {
    run.state().set("name", "random");
    CO_TRY_DO(co_await run.save());
    for (int i = 0; i <= 100; ++i) {
      std::string what = "piece";
      CO_TRY_DO(co_await run.progress(i, 100, std::move(what)));
    }
    seen = column(run.id(),
                  "state->>'name' || ' ' || progress_done || '/' || progress_total || ' ' || progress_what");
    co_return Result<void>();
  }));
  node.engine.add(std::move(kind));
  node.engine.start(Engine::Duty::own);
  const Operation operation = perform(node, of("test.save"));
  EXPECT_EQ(status_of(operation), "succeeded");
  EXPECT_EQ(seen, "random 100/100 piece");
  EXPECT_LT(operation.revision, 10) << "progress is written now and then, not a hundred times";
}

TEST_F(StepsTest, SessionsAreMarkedWithOperationAndEpoch) {
  TestNode& node = add_node("a");
  std::string marked;
  std::string lent;
  Kind kind;
  kind.name = "test.mark";
  kind.steps.push_back(Step::effect("mark", [&](Run& run) -> Task<Result<void>> {
    const pg::Statement ask("SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()");
    CO_TRY(auto session, co_await pg::connect(node.executor, testing::superuser(database()), run.options()));
    CO_TRY(const auto rows, co_await session.query(ask, run.options()));
    marked = rows.text(0, 0);
    CO_TRY(auto borrowed, co_await node.pool.acquire(run.options()));
    CO_TRY(const auto others, co_await borrowed.query(ask, run.options()));
    lent = others.text(0, 0);
    co_return Result<void>();
  }));
  node.engine.add(std::move(kind));
  node.engine.start(Engine::Duty::own);
  const Operation operation = perform(node, of("test.mark"));
  EXPECT_EQ(status_of(operation), "succeeded") << json::serialize(operation.error);
  EXPECT_EQ(marked, "rowhouse op " + operation.id.to_string() + " 1.1");
  EXPECT_EQ(lent, marked);
  EXPECT_EQ(sql().value("SELECT count(*) FROM pg_stat_activity WHERE application_name = '" + marked +
                        "' AND state <> 'idle'"),
            "0");
}

TEST_F(StepsTest, EveryEffectIsAPoint) {
  FaultAt observer("", permanent());
  TestNode& node = add_node("a", &observer);
  Kind kind;
  kind.name = "test.points";
  kind.steps.push_back(Step::record("row", node.recording("row")));
  kind.steps.push_back(Step::effect("two", [&node](Run& run) -> Task<Result<void>> {
    CO_TRY_DO(co_await node.note(run, "first"));
    const pg::Statement second("SELECT 'a secret'", {}, pg::Access::write);
    CO_TRY_DO(co_await node.pool.run(nullptr, second, run.options()));
    co_return Result<void>();
  }));
  node.engine.add(std::move(kind));
  node.engine.start(Engine::Duty::own);
  EXPECT_EQ(status_of(perform(node, of("test.points"))), "succeeded");
  const std::vector<std::string> expected = {"test.points/submit/run/1 WITH/before",
                                             "test.points/submit/run/1 WITH/after",
                                             "test.points/row/run/before",
                                             "test.points/row/run/1 INSERT INTO/before",
                                             "test.points/row/run/1 INSERT INTO/after",
                                             "test.points/row/run/2 COMMIT/before",
                                             "test.points/row/run/2 COMMIT/after",
                                             "test.points/row/run/after",
                                             "test.points/two/run/before",
                                             "test.points/two/run/1 INSERT INTO/before",
                                             "test.points/two/run/1 INSERT INTO/after",
                                             "test.points/two/run/2 SELECT/before",
                                             "test.points/two/run/2 SELECT/after",
                                             "test.points/two/run/after"};
  EXPECT_EQ(observer.seen, expected);
}

using SubmissionTest = EngineTest;

Kind one_step(TestNode& node, std::string name) {
  Kind kind;
  kind.name = std::move(name);
  kind.steps.push_back(Step::record("first", node.recording("first"), node.recording("first_undone")));
  kind.steps.push_back(Step::effect("second", node.noting("second")));
  return kind;
}

TEST_F(SubmissionTest, FiftyWithOneKeyMakeOneOperation) {
  TestNode& a = add_node("a");
  TestNode& b = add_node("b");
  for (TestNode* node : {&a, &b}) {
    node->engine.add(one_step(*node, "test.once"));
    node->engine.start(Engine::Duty::own);
  }
  constexpr int kRequests = 50;
  std::vector<Uuid> ids;
  int started = 0;
  net::TaskGroup group;
  const auto request = [&](TestNode& node) -> Task<void> {
    Submission submission = of("test.once");
    submission.request_key = "the key";
    submission.request_digest = "digest";
    submission.first = node.recording("first");
    const auto submitted = co_await node.engine.submit(std::move(submission), patient());
    EXPECT_TRUE(submitted.ok()) << submitted.error().message;
    if (!submitted.ok()) co_return;
    ids.push_back(submitted->id);
    started += submitted->novelty == Submitted::Novelty::started ? 1 : 0;
  };
  for (int i = 0; i < kRequests; ++i) group.spawn(request(i % 2 == 0 ? a : b));
  run(group.join());
  ASSERT_EQ(ids.size(), static_cast<std::size_t>(kRequests));
  for (const Uuid& id : ids) EXPECT_EQ(id, ids.front());
  EXPECT_EQ(started, 1);
  EXPECT_EQ(status_of(wait(a, ids.front())), "succeeded");
  EXPECT_EQ(sql().value("SELECT string_agg(what, ' ' ORDER BY id) FROM effects"), "first second");
  EXPECT_EQ(sql().value("SELECT count(*) FROM platform.operations"), "1");
}

TEST_F(SubmissionTest, AKeyBelongsToOneRequest) {
  TestNode& node = add_node("a");
  node.engine.add(one_step(node, "test.once"));
  node.engine.start(Engine::Duty::own);
  Submission submission = of("test.once");
  submission.request_key = "key";
  submission.request_digest = "one";
  const Uuid id = submit(node, submission);
  EXPECT_EQ(submit(node, submission), id);
  submission.request_digest = "another";
  const auto reused = run(node.engine.submit(submission, patient()));
  ASSERT_FALSE(reused.ok());
  EXPECT_EQ(reused.error().code, ErrorCode::idempotency_key_reused);
  EXPECT_EQ(status_of(wait(node, id)), "succeeded");
}

TEST_F(SubmissionTest, TheFirstStepIsPartOfIt) {
  TestNode& node = add_node("a");
  node.engine.add(one_step(node, "test.first"));
  node.engine.start(Engine::Duty::own);
  Submission submission = of("test.first");
  submission.first = [&node](Run& run, pg::Session& platform) -> Task<Result<void>> {
    run.state().set("made", "here");
    co_return co_await node.record(run, platform, "made");
  };
  const Operation operation = perform(node, submission);
  EXPECT_EQ(steps_of(operation), "first:done:1 second:done:1");
  EXPECT_EQ(noted(operation.id), "made second") << "the step itself is not run again";
  EXPECT_EQ(column(operation.id, "state->>'made'"), "here");

  submission.id = Uuid::make_v7(node.clock.now());
  submission.first = [&node](Run& run, pg::Session& platform) -> Task<Result<void>> {
    CO_TRY_DO(co_await node.record(run, platform, "made"));
    co_return permanent();
  };
  const auto refused = run(node.engine.submit(submission, patient()));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::validation_failed);
  EXPECT_EQ(noted(*submission.id), "");
  const auto missing = run(node.engine.get(*submission.id, patient()));
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
}

TEST_F(SubmissionTest, IsThereAlthoughTheAnswerToItsCommitWasLost) {
  for (const std::string point :
       {"test.lost/submit/run/1 WITH/after", "test.lost/first/run/2 COMMIT/after"}) {
    FaultAt observer(point, transient());
    TestNode& node = add_node("a " + point, &observer);
    node.engine.add(one_step(node, "test.lost"));
    node.engine.start(Engine::Duty::own);
    Submission submission = of("test.lost");
    if (point.find("COMMIT") != std::string::npos) submission.first = node.recording("first");
    const Operation operation = perform(node, submission);
    EXPECT_TRUE(observer.done);
    EXPECT_EQ(status_of(operation), "succeeded");
    EXPECT_EQ(noted(operation.id), "first second");
    run(node.engine.stop());
  }
}

TEST_F(SubmissionTest, ThatDidNotHappenIsAnError) {
  FaultAt observer("test.lost/first/run/2 COMMIT/before", transient());
  TestNode& node = add_node("a", &observer);
  node.engine.add(one_step(node, "test.lost"));
  node.engine.start(Engine::Duty::own);
  Submission submission = of("test.lost");
  submission.first = node.recording("first");
  const auto submitted = run(node.engine.submit(submission, patient()));
  ASSERT_FALSE(submitted.ok());
  EXPECT_EQ(submitted.error().code, ErrorCode::database_unavailable);
  EXPECT_EQ(sql().value("SELECT count(*) FROM platform.operations"), "0");
  EXPECT_EQ(sql().value("SELECT count(*) FROM effects"), "0");
}

TEST_F(SubmissionTest, WaitsForRoomAndThenBegins) {
  EngineOptions options = TestNode::options("a");
  options.max_running = 2;
  TestNode& node = add_node(options);
  node.engine.add(one_step(node, "test.many"));
  node.engine.start(Engine::Duty::own);
  std::vector<Uuid> ids;
  net::TaskGroup group;
  const auto request = [&]() -> Task<void> {
    Submission submission = of("test.many");
    const auto submitted = co_await node.engine.submit(std::move(submission), patient());
    EXPECT_TRUE(submitted.ok());
    if (submitted.ok()) ids.push_back(submitted->id);
  };
  for (int i = 0; i < 20; ++i) group.spawn(request());
  run(group.join());
  for (const Uuid& id : ids) EXPECT_EQ(status_of(wait(node, id)), "succeeded");
  EXPECT_EQ(sql().value("SELECT count(*) FROM effects"), "40");
}

TEST_F(SubmissionTest, OfAnUnknownKindIsABug) {
  TestNode& node = add_node("a");
  node.engine.start(Engine::Duty::own);
  const auto submitted = run(node.engine.submit(of("test.unheard"), patient()));
  ASSERT_FALSE(submitted.ok());
  EXPECT_EQ(submitted.error().code, ErrorCode::internal);
}

TEST_F(SubmissionTest, OneThatIsOverAtOnceIsAPartOfAStatement) {
  TestNode& node = add_node("a");
  Kind kind = one_step(node, "test.rows");
  Submission submission = of("test.rows");
  submission.id = Uuid::make_v7(node.clock.now());
  submission.request_key = "key";
  submission.request_digest = "digest";
  pg::Params params;
  params.emplace_back("done");
  append_finished_parameters(params, submission, kind);
  ASSERT_EQ(params.size(), 1U + kFinishedParameters);
  const std::string text = "WITH " + finished_operation_sql(2) +
                           " INSERT INTO effects (operation, what) SELECT id, $1::text FROM operation";
  for (int i = 0; i < 2; ++i) {
    const pg::Statement statement(text, params, pg::Access::write);
    const auto rows = run(node.pool.run(nullptr, statement, patient()));
    ASSERT_TRUE(rows.ok()) << rows.error().detail(pg::kServerMessage);
    EXPECT_EQ(rows->affected(), i == 0 ? 1U : 0U) << "the key was used";
  }
  node.engine.add(std::move(kind));
  node.engine.start(Engine::Duty::adopt);
  const Operation operation = wait(node, *submission.id);
  EXPECT_EQ(status_of(operation), "succeeded");
  EXPECT_EQ(steps_of(operation), "first:done:1 second:done:1");
  EXPECT_EQ(noted(operation.id), "done");
  EXPECT_EQ(events(operation.id), "operation.succeeded");
  submission.id = std::nullopt;
  EXPECT_EQ(submit(node, submission), operation.id) << "found by its key";
}

using ListTest = EngineTest;

TEST_F(ListTest, GoesPageByPageAndFilters) {
  TestNode& node = add_node("a");
  node.engine.add(one_step(node, "test.list"));
  node.engine.add(one_step(node, "test.other"));
  const Uuid tenant = Uuid::make_v7(node.clock.now());
  std::vector<Uuid> ids;
  for (int i = 0; i < 7; ++i) {
    Submission submission = of(i == 3 ? "test.other" : "test.list");
    if (i == 5) submission.tenant = tenant;
    ids.push_back(submit(node, submission));
  }
  OperationFilter filter;
  filter.limit = 3;
  std::vector<Uuid> listed;
  int pages = 0;
  do {
    const auto page = run(node.engine.list(filter, patient()));
    ASSERT_TRUE(page.ok()) << page.error().detail(pg::kServerMessage);
    for (const Operation& operation : page->operations) listed.push_back(operation.id);
    filter.cursor = page->next_cursor;
    ++pages;
  } while (!filter.cursor.empty());
  EXPECT_EQ(pages, 3);
  std::reverse(ids.begin(), ids.end());
  EXPECT_EQ(listed, ids);

  const auto count = [&](const OperationFilter& wanted) {
    const auto page = run(node.engine.list(wanted, patient()));
    return page.ok() ? page->operations.size() : 999;
  };
  OperationFilter of_kind;
  of_kind.kind = "test.other";
  EXPECT_EQ(count(of_kind), 1U);
  OperationFilter of_tenant;
  of_tenant.tenant = tenant;
  EXPECT_EQ(count(of_tenant), 1U);
  OperationFilter pending;
  pending.status = OperationStatus::pending;
  EXPECT_EQ(count(pending), 7U);
  pending.status = OperationStatus::failed;
  EXPECT_EQ(count(pending), 0U);
  for (const char* cursor : {"x", "!", "AAAA"}) {
    OperationFilter wrong;
    wrong.cursor = cursor;
    const auto page = run(node.engine.list(wrong, patient()));
    ASSERT_FALSE(page.ok());
    EXPECT_EQ(page.error().code, ErrorCode::invalid_cursor);
  }
}

TEST_F(ListTest, WaitingHasADeadlineAndAnUnknownOneIsNotFound) {
  TestNode& node = add_node("a");
  node.engine.add(one_step(node, "test.list"));
  const Uuid id = submit(node, of("test.list"));  // nobody runs it
  const auto late = run(node.engine.wait(id, CallOptions{deadline_in(30ms)}));
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, ErrorCode::statement_timeout);
  const auto missing = run(node.engine.wait(Uuid(), patient()));
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace rowhouse::operations
