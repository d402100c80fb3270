#include "operations/engine_pgtest.h"

namespace rowhouse::operations {
namespace {

using namespace fixture;

// Fails so many times, then notes.
Effect failing(TestNode& node, std::string what, int times, Error error) {
  auto left = std::make_shared<int>(times);
  return [&node, what, left, error](Run& run) -> Task<Result<void>> {
    if ((*left)-- > 0) co_return error;
    std::string text = what;
    co_return co_await node.note(run, std::move(text));
  };
}

class FailureTest : public EngineTest {
 protected:
  // Three steps with undos; the middle one fails.
  static Kind kind_with(TestNode& node, OnFailure on_failure, int failures, const Error& error) {
    Kind kind;
    kind.name = "test.fails";
    kind.on_failure = on_failure;
    kind.steps.push_back(Step::record("one", node.recording("one"), node.recording("-one")));
    kind.steps.push_back(Step::effect("plain", node.noting("plain")));
    kind.steps.push_back(
        Step::effect("two", failing(node, "two", failures, error), node.noting("-two")).retried(quick()));
    kind.steps.push_back(Step::effect("three", node.noting("three"), node.noting("-three")));
    return kind;
  }
};

TEST_F(FailureTest, ForGoodIsUndoneInReverse) {
  TestNode& node = add_node("a");
  node.engine.add(kind_with(node, OnFailure::undo, 1, permanent("the name is taken")));
  node.engine.start(Engine::Duty::own);
  const Operation operation = perform(node, of("test.fails"));
  EXPECT_EQ(status_of(operation), "undone");
  EXPECT_EQ(noted(operation.id), "one plain -two -one") << "three never began; plain has no undo";
  EXPECT_EQ(steps_of(operation), "one:undone:1 plain:undone:1 two:undone:1 three:pending:0");
  const Error error = operation_error(operation);
  EXPECT_EQ(error.code, ErrorCode::validation_failed);
  EXPECT_EQ(error.message, "the name is taken");
  ASSERT_EQ(error.fields.size(), 1U);
  EXPECT_EQ(error.fields[0].path, "/name");
  EXPECT_EQ(*operation.error.find("step")->as_string(), "two");
  EXPECT_EQ(events(operation.id), "operation.started operation.undone");
}

TEST_F(FailureTest, UndosKnowWhyAndFindTheState) {
  TestNode& node = add_node("a");
  Kind kind;
  kind.name = "test.why";
  kind.steps.push_back(Step::effect(
      "choose",
      [](Run& run) -> Task<Result<void>> {
        run.state().set("name", "abc");
        co_return permanent("why not");
      },
      [&node](Run& run) -> Task<Result<void>> {
        std::string what = *run.state().find("name")->as_string() + "/" + run.failure()->message;
        co_return co_await node.note(run, std::move(what));
      }));
  node.engine.add(std::move(kind));
  node.engine.start(Engine::Duty::own);
  EXPECT_EQ(noted(perform(node, of("test.why")).id), "abc/why not");
}

TEST_F(FailureTest, ThatPassesIsTriedAgain) {
  TestNode& node = add_node("a");
  node.engine.add(kind_with(node, OnFailure::undo, 3, transient()));
  node.engine.start(Engine::Duty::own);
  const Operation operation = perform(node, of("test.fails"));
  EXPECT_EQ(status_of(operation), "succeeded");
  EXPECT_EQ(steps_of(operation), "one:done:1 plain:done:1 two:done:4 three:done:1");
  EXPECT_TRUE(operation.steps[2].error.is_null());
  EXPECT_EQ(node.sink.count_of("operation_step_failed"), 3U);
  EXPECT_GE(node.ended_sessions, 1) << "sessions of failed attempts may still work";
}

TEST_F(FailureTest, ThatDoesNotPassIsUndoneAfterItsAttempts) {
  TestNode& node = add_node("a");
  node.engine.add(kind_with(node, OnFailure::undo, 4, transient()));
  node.engine.start(Engine::Duty::own);
  const Operation operation = perform(node, of("test.fails"));
  EXPECT_EQ(status_of(operation), "undone");
  EXPECT_EQ(operation_error(operation).code, ErrorCode::database_unavailable);
  EXPECT_EQ(column(operation.id,
                   "(SELECT attempts FROM platform.operation_steps WHERE operation_id = "
                   "operations.id AND name = 'two')"),
            "4");
}

TEST_F(FailureTest, OfARecordStepLeavesNothingOfIt) {
  TestNode& node = add_node("a");
  int calls = 0;
  Kind kind;
  kind.name = "test.rolled";
  kind.steps.push_back(Step::record("row", [&](Run& run, pg::Session& platform) -> Task<Result<void>> {
                         ++calls;
                         run.state().set("calls", calls);
                         CO_TRY_DO(co_await node.record(run, platform, "row"));
                         if (calls < 3) co_return transient();
                         co_return Result<void>();
                       }).retried(quick()));
  node.engine.add(std::move(kind));
  node.engine.start(Engine::Duty::own);
  const Operation operation = perform(node, of("test.rolled"));
  EXPECT_EQ(status_of(operation), "succeeded");
  EXPECT_EQ(noted(operation.id), "row");
  EXPECT_EQ(steps_of(operation), "row:done:3");
  EXPECT_EQ(column(operation.id, "state->>'calls'"), "3");
}

TEST_F(FailureTest, WithoutAWayBackIsTriedForEver) {
  TestNode& node = add_node("a");
  node.engine.add(kind_with(node, OnFailure::keep_trying, 9, permanent()));
  node.engine.start(Engine::Duty::own);
  const Uuid id = submit(node, of("test.fails"));
  const auto refused = run(node.engine.cancel(id, "tester", patient()));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::conflict);
  const Operation operation = wait(node, id);
  EXPECT_EQ(status_of(operation), "succeeded");
  EXPECT_EQ(steps_of(operation), "one:done:1 plain:done:1 two:done:10 three:done:1");
}

TEST_F(FailureTest, WithoutAWayBackIsToldToThoseWhoWait) {
  TestNode& node = add_node("a");
  Kind kind;
  kind.name = "test.held_up";
  kind.on_failure = OnFailure::keep_trying;
  Retry seldom = quick();
  seldom.first_delay = seldom.max_delay = std::chrono::hours(1);
  kind.steps.push_back(
      Step::effect("refused", [](Run&) -> Task<Result<void>> { co_return permanent(); }).retried(seldom));
  node.engine.add(std::move(kind));
  node.engine.start(Engine::Duty::own);
  const Operation operation = wait(node, submit(node, of("test.held_up")));
  EXPECT_EQ(status_of(operation), "running");
  EXPECT_TRUE(is_held_up(operation));
  EXPECT_EQ(operation_error(operation).message, permanent().message);
}

TEST_F(FailureTest, MayStopWhereItIsAndGoOnWhenAsked) {
  TestNode& node = add_node("a");
  node.engine.add(kind_with(node, OnFailure::stop, 1, permanent()));
  node.engine.start(Engine::Duty::own);
  const Operation failed = perform(node, of("test.fails"));
  EXPECT_EQ(status_of(failed), "failed");
  EXPECT_EQ(steps_of(failed), "one:done:1 plain:done:1 two:failed:1 three:pending:0");
  EXPECT_EQ(events(failed.id), "operation.started operation.failed");
  EXPECT_EQ(*failed.error.find("step")->as_string(), "two");
  const auto retried = run(node.engine.retry(failed.id, "tester", patient()));
  ASSERT_TRUE(retried.ok()) << retried.error().message;
  const Operation operation = wait(node, failed.id);
  EXPECT_EQ(status_of(operation), "succeeded");
  EXPECT_TRUE(operation.error.is_null());
  EXPECT_EQ(noted(operation.id), "one plain two three");
  const auto twice = run(node.engine.retry(failed.id, "tester", patient()));
  ASSERT_FALSE(twice.ok());
  EXPECT_EQ(twice.error().code, ErrorCode::conflict);
}

TEST_F(FailureTest, OfAnUndoNeedsAnOperator) {
  TestNode& node = add_node("a");
  Kind kind;
  kind.name = "test.stuck";
  kind.steps.push_back(Step::effect("one", node.noting("one"), node.noting("-one")));
  kind.steps.push_back(Step::effect("two", failing(node, "two", 1, permanent("first")),
                                    failing(node, "-two", 4, permanent("second")))
                           .retried(quick()));
  node.engine.add(std::move(kind));
  node.engine.start(Engine::Duty::own);
  const Operation stuck = perform(node, of("test.stuck"));
  EXPECT_EQ(status_of(stuck), "failed");
  EXPECT_EQ(steps_of(stuck), "one:done:1 two:failed:4");
  EXPECT_EQ(operation_error(stuck).message, "second");
  ASSERT_TRUE(run(node.engine.retry(stuck.id, "tester", patient())).ok());
  const Operation operation = wait(node, stuck.id);
  EXPECT_EQ(status_of(operation), "undone");
  EXPECT_EQ(operation_error(operation).message, "first");
  EXPECT_EQ(noted(operation.id), "one -two -one");
  EXPECT_EQ(events(operation.id), "operation.started operation.failed operation.undone");
}

TEST_F(FailureTest, LongWaitsGiveTheLeaseBack) {
  TestNode& node = add_node("a");
  Kind kind;
  kind.name = "test.later";
  Retry slow;
  slow.first_delay = 3min;
  slow.max_delay = 3min;
  kind.steps.push_back(Step::effect("one", failing(node, "one", 1, transient())).retried(slow));
  node.engine.add(std::move(kind));
  node.engine.start(Engine::Duty::adopt);
  const Uuid id = submit(node, of("test.later"));
  ASSERT_TRUE(eventually([&] { return column(id, "lease_holder IS NULL AND status = 'running'") == "t"; }));
  EXPECT_EQ(
      column(id, "run_after > now() + interval '80 seconds' AND run_after < now() + interval '181 seconds'"),
      "t");
  const Operation waiting = look(node, id);
  EXPECT_EQ(operation_error(waiting).code, ErrorCode::database_unavailable) << "of the last attempt";
  sql().run("UPDATE platform.operations SET run_after = now()");
  const Operation operation = wait(node, id);
  EXPECT_EQ(status_of(operation), "succeeded");
  EXPECT_EQ(operation.attempts, 2);
}

TEST_F(FailureTest, AnAttemptHasADeadline) {
  TestNode& node = add_node("a");
  int attempts = 0;
  Kind kind;
  kind.name = "test.slow";
  kind.steps.push_back(
      Step::effect("slow",
                   [&](Run& run) -> Task<Result<void>> {
                     attempts = run.attempt();
                     const pg::Statement sleep(attempts == 1 ? "SELECT pg_sleep(60)" : "SELECT 1");
                     CO_TRY(auto session, co_await pg::connect(node.executor, testing::superuser(database()),
                                                               run.options()));
                     CO_TRY_DO(co_await session.query(sleep, run.options()));
                     co_return Result<void>();
                   })
          .within(300ms)
          .retried(quick()));
  node.engine.add(std::move(kind));
  node.engine.start(Engine::Duty::own);
  EXPECT_EQ(status_of(perform(node, of("test.slow"))), "succeeded");
  EXPECT_EQ(attempts, 2);
}

TEST_F(FailureTest, ALostAnswerToAnEffectRepeatsIt) {
  FaultAt observer("test.lost/two/run/1 INSERT INTO/after", transient());
  TestNode& node = add_node("a", &observer);
  Kind kind;
  kind.name = "test.lost";
  kind.steps.push_back(Step::effect("two", node.noting("two")).retried(quick()));
  node.engine.add(std::move(kind));
  node.engine.start(Engine::Duty::own);
  const Operation operation = perform(node, of("test.lost"));
  EXPECT_EQ(status_of(operation), "succeeded");
  EXPECT_EQ(noted(operation.id), "two two") << "that is why effects have to be repeatable";
}

TEST_F(FailureTest, ALostAnswerToACommitRepeatsNothing) {
  for (const char* point : {"test.lost/row/run/2 COMMIT/after", "test.lost/row/run/after"}) {
    FaultAt observer(point, transient());
    TestNode& node = add_node(std::string("a ") + point, &observer);
    Kind kind;
    kind.name = "test.lost";
    kind.steps.push_back(Step::effect("before", node.noting("before")));
    kind.steps.push_back(Step::record("row", node.recording("row")).retried(quick()));
    kind.steps.push_back(Step::effect("after", node.noting("after")));
    node.engine.add(std::move(kind));
    node.engine.start(Engine::Duty::own);
    const Operation operation = perform(node, of("test.lost"));
    EXPECT_TRUE(observer.done);
    EXPECT_EQ(status_of(operation), "succeeded");
    EXPECT_EQ(noted(operation.id), "before row after");
    run(node.engine.stop());
  }
}

TEST_F(FailureTest, ACommitThatWasNotSentIsRepeated) {
  FaultAt observer("test.lost/row/run/2 COMMIT/before", transient());
  TestNode& node = add_node("a", &observer);
  Kind kind;
  kind.name = "test.lost";
  kind.steps.push_back(Step::record("row", node.recording("row")).retried(quick()));
  node.engine.add(std::move(kind));
  node.engine.start(Engine::Duty::own);
  const Operation operation = perform(node, of("test.lost"));
  EXPECT_EQ(status_of(operation), "succeeded");
  EXPECT_EQ(noted(operation.id), "row");
  EXPECT_EQ(steps_of(operation), "row:done:2");
}

}  // namespace
}  // namespace rowhouse::operations
