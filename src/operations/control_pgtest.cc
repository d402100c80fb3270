#include "operations/engine_pgtest.h"
#include "operations/nap.h"

namespace rowhouse::operations {
namespace {

using namespace fixture;

class ControlTest : public EngineTest {
 protected:
  // Its middle step runs until it is cancelled, asked to pause, or `released`.
  Kind long_kind(TestNode& node, OnFailure on_failure = OnFailure::undo) {
    Kind kind;
    kind.name = "test.long";
    kind.on_failure = on_failure;
    kind.steps.push_back(Step::effect("one", node.noting("one"), node.noting("-one")));
    kind.steps.push_back(Step::effect(
        "long",
        [this, &node](Run& run) -> Task<Result<void>> {
          running_ = true;
          const CallOptions options = run.options();
          while (!released_) {
            if (run.pause_requested()) co_return paused();
            co_await nap(node.executor, 2ms, options.cancel);
            if (options.cancel->cancelled()) co_return Error(ErrorCode::cancelled, "stopped");
          }
          co_return co_await node.note(run, "long");
        },
        node.noting("-long")));
    kind.steps.push_back(Step::record("three", node.recording("three"), node.recording("-three")));
    return kind;
  }
  Uuid begin(TestNode& node) {
    running_ = false;
    const Uuid id = submit(node, of("test.long"));
    EXPECT_TRUE(eventually([this] { return running_; }));
    return id;
  }

  bool running_ = false;
  bool released_ = false;
};

TEST_F(ControlTest, CancelStopsTheStepAndUndoes) {
  TestNode& node = add_node("a");
  node.engine.add(long_kind(node));
  node.engine.start(Engine::Duty::own);
  const Uuid id = begin(node);
  const auto cancelled = run(node.engine.cancel(id, "admin joe", patient()));
  ASSERT_TRUE(cancelled.ok()) << cancelled.error().message;
  EXPECT_TRUE(run(node.engine.cancel(id, "admin joe", patient())).ok()) << "asked for already";
  const Operation operation = wait(node, id);
  EXPECT_EQ(status_of(operation), "cancelled");
  EXPECT_TRUE(operation.cancel_requested);
  EXPECT_EQ(noted(id), "one -long -one");
  EXPECT_EQ(operation_error(operation).message, "cancelled by admin joe");
  EXPECT_EQ(events(id), "operation.started operation.cancelled");
  EXPECT_TRUE(run(node.engine.cancel(id, "admin joe", patient())).ok()) << "done already";
  const auto resumed = run(node.engine.resume(id, "admin joe", patient()));
  ASSERT_FALSE(resumed.ok());
  EXPECT_EQ(resumed.error().code, ErrorCode::conflict);
}

TEST_F(ControlTest, CancelReachesAnotherNode) {
  TestNode& worker = add_node("a");
  worker.engine.add(long_kind(worker));
  worker.engine.start(Engine::Duty::own);
  TestNode& other = add_node("b");
  other.engine.add(long_kind(other));
  other.engine.start(Engine::Duty::own);
  const Uuid id = begin(worker);
  ASSERT_TRUE(run(other.engine.cancel(id, "tester", patient())).ok());
  EXPECT_EQ(status_of(wait(other, id)), "cancelled");
  EXPECT_EQ(noted(id), "one -long -one");
}

TEST_F(ControlTest, CancelOfOneThatHasNotBegunLeavesNothing) {
  TestNode& node = add_node("a");
  node.engine.add(long_kind(node));
  const Uuid id = submit(node, of("test.long"));
  EXPECT_EQ(status_of(look(node, id)), "pending");
  ASSERT_TRUE(run(node.engine.cancel(id, "tester", patient())).ok());
  node.engine.start(Engine::Duty::adopt);
  EXPECT_EQ(status_of(wait(node, id)), "cancelled");
  EXPECT_EQ(noted(id), "");
}

TEST_F(ControlTest, CancelUndoesTheStepOfTheSubmission) {
  TestNode& node = add_node("a");
  Kind kind;
  kind.name = "test.first";
  kind.steps.push_back(Step::record("row", node.recording("unused"), node.recording("-row")));
  kind.steps.push_back(Step::effect("next", node.noting("next")));
  node.engine.add(std::move(kind));
  Submission submission = of("test.first");
  submission.first = node.recording("row");
  const Uuid id = submit(node, submission);
  ASSERT_TRUE(run(node.engine.cancel(id, "tester", patient())).ok());
  node.engine.start(Engine::Duty::adopt);
  EXPECT_EQ(status_of(wait(node, id)), "cancelled");
  EXPECT_EQ(noted(id), "row -row");
}

TEST_F(ControlTest, CancelOfOneThatStopsWhereItIsKeepsWhatIsDone) {
  TestNode& node = add_node("a");
  node.engine.add(long_kind(node, OnFailure::stop));
  node.engine.start(Engine::Duty::own);
  const Uuid id = begin(node);
  ASSERT_TRUE(run(node.engine.cancel(id, "tester", patient())).ok());
  EXPECT_EQ(status_of(wait(node, id)), "cancelled");
  EXPECT_EQ(noted(id), "one");
}

TEST_F(ControlTest, AStepStopsForAPauseAndGoesOn) {
  TestNode& node = add_node("a");
  node.engine.add(long_kind(node));
  node.engine.start(Engine::Duty::own);
  const Uuid id = begin(node);
  const auto asked = run(node.engine.pause(id, "tester", patient()));
  ASSERT_TRUE(asked.ok()) << asked.error().message;
  const Operation waiting = wait(node, id);
  EXPECT_EQ(status_of(waiting), "paused");
  EXPECT_EQ(waiting.node, "");
  EXPECT_EQ(noted(id), "one");
  EXPECT_TRUE(run(node.engine.pause(id, "tester", patient())).ok()) << "done already";
  released_ = true;
  const auto resumed = run(node.engine.resume(id, "tester", patient()));
  ASSERT_TRUE(resumed.ok()) << resumed.error().message;
  const Operation operation = wait(node, id);
  EXPECT_EQ(status_of(operation), "succeeded");
  EXPECT_EQ(steps_of(operation), "one:done:1 long:done:1 three:done:1") << "a pause is no attempt";
  const auto again = run(node.engine.pause(id, "tester", patient()));
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, ErrorCode::conflict);
}

TEST_F(ControlTest, APausedOneCanBeCancelled) {
  TestNode& node = add_node("a");
  node.engine.add(long_kind(node));
  node.engine.start(Engine::Duty::own);
  const Uuid id = begin(node);
  ASSERT_TRUE(run(node.engine.pause(id, "tester", patient())).ok());
  EXPECT_EQ(status_of(wait(node, id)), "paused");
  ASSERT_TRUE(run(node.engine.cancel(id, "tester", patient())).ok());
  EXPECT_TRUE(eventually([&] { return status_of(look(node, id)) == "cancelled"; }));
  EXPECT_EQ(noted(id), "one -long -one");
}

TEST_F(ControlTest, APauseBeforeTheBeginningHoldsItBack) {
  TestNode& node = add_node("a");
  released_ = true;
  node.engine.add(long_kind(node));
  const Uuid id = submit(node, of("test.long"));
  ASSERT_TRUE(run(node.engine.pause(id, "tester", patient())).ok());
  EXPECT_EQ(status_of(look(node, id)), "paused");
  node.engine.start(Engine::Duty::adopt);
  const Operation other = perform(node, of("test.long"));
  EXPECT_EQ(status_of(other), "succeeded");
  EXPECT_EQ(noted(id), "");
  ASSERT_TRUE(run(node.engine.resume(id, "tester", patient())).ok());
  EXPECT_TRUE(eventually([&] { return status_of(look(node, id)) == "succeeded"; }));
}

TEST_F(ControlTest, StopGivesLeasesBackWithoutCountingAnAttempt) {
  TestNode& first = add_node("a");
  first.engine.add(long_kind(first));
  first.engine.start(Engine::Duty::adopt);
  const Uuid id = begin(first);
  run(first.engine.stop());
  EXPECT_EQ(column(id, "status || ' ' || (lease_holder IS NULL) || ' ' || (run_after <= now())"),
            "running true true");
  EXPECT_EQ(steps_of(look(first, id)), "one:done:1 long:running:0 three:pending:0");
  released_ = true;
  TestNode& second = add_node("b");
  second.engine.add(long_kind(second));
  second.engine.start(Engine::Duty::adopt);
  const Operation operation = wait(second, id);
  EXPECT_EQ(status_of(operation), "succeeded");
  EXPECT_EQ(noted(id), "one long three");
  EXPECT_EQ(steps_of(operation), "one:done:1 long:done:1 three:done:1");
  EXPECT_EQ(operation.attempts, 2);
  const auto late = run(first.engine.submit(of("test.long"), patient()));
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, ErrorCode::shutting_down);
}

TEST_F(ControlTest, KindsAndStepsOfANewerVersionAreLeftAlone) {
  TestNode& newer = add_node("a");
  released_ = true;
  newer.engine.add(long_kind(newer));
  Kind unknown;
  unknown.name = "test.newer";
  unknown.steps.push_back(Step::effect("one", newer.noting("one")));
  newer.engine.add(std::move(unknown));
  const Uuid of_other_kind = submit(newer, of("test.newer"));
  const Uuid with_other_step = submit(newer, of("test.long"));

  TestNode& older = add_node("b");
  Kind kind = long_kind(older);
  kind.steps.pop_back();  // knows no "three"
  older.engine.add(std::move(kind));
  older.engine.start(Engine::Duty::adopt);
  ASSERT_TRUE(eventually([&] { return older.sink.count_of("operation_step_unknown") == 1; }));
  EXPECT_EQ(noted(with_other_step), "one long");
  EXPECT_TRUE(eventually(
      [&] { return column(with_other_step, "status || ' ' || (lease_holder IS NULL)") == "running true"; }));
  EXPECT_EQ(status_of(look(older, of_other_kind)), "pending");
  const auto cancelled = run(older.engine.cancel(of_other_kind, "tester", patient()));
  ASSERT_FALSE(cancelled.ok());
  EXPECT_EQ(cancelled.error().code, ErrorCode::conflict);

  newer.engine.start(Engine::Duty::adopt);
  EXPECT_EQ(status_of(wait(newer, with_other_step)), "succeeded");
  EXPECT_EQ(status_of(wait(newer, of_other_kind)), "succeeded");
  EXPECT_EQ(noted(with_other_step), "one long three");
  EXPECT_EQ(older.sink.count_of("operation_step_unknown"), 1U) << "not looked at again and again";
}

}  // namespace
}  // namespace rowhouse::operations
