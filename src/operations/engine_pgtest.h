// For tests of the engine: nodes on one platform database, with kinds whose effects leave rows to be counted.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "operations/engine.h"
#include "pg/migrations.h"
#include "pg/quote.h"
#include "testing/postgres.h"

namespace rowhouse::operations::fixture {

using namespace std::chrono_literals;
using testing::patient;

inline Error permanent(std::string what = "no use in trying again") {
  return Error(ErrorCode::validation_failed, std::move(what)).with_field("/name", "is bad");
}
inline Error transient() { return Error(ErrorCode::database_unavailable, "not now"); }
// Fast enough for tests, slow enough to be seen.
inline Retry quick(int attempts = 4) {
  Retry retry;
  retry.attempts = attempts;
  retry.first_delay = 1ms;
  retry.max_delay = 4ms;
  return retry;
}

// One process of a cluster: its own pool and engine, on its own thread if it has one.
struct TestNode {
  TestNode(net::Executor& loop, const std::string& database_name, EngineOptions options,
           Observer* observer = nullptr)
      : executor(loop),
        superuser(testing::superuser(database_name)),
        pool(loop, pool_options(database_name)),
        log(sink, clock),
        engine(loop, pool, log, ending(), std::move(options), observer) {}

  static pg::PoolOptions pool_options(const std::string& database) {
    pg::PoolOptions options;
    options.parameters = testing::superuser(database);
    return options;
  }
  static EngineOptions options(std::string name) {
    EngineOptions options;
    options.node = std::move(name);
    options.lease = 20s;
    options.heartbeat = 100ms;
    options.poll = 50ms;
    return options;
  }

  Engine::EndSessions ending() {
    return [this](std::string prefix, std::string own, CallOptions call) -> Task<Result<void>> {
      return end_sessions(std::move(prefix), std::move(own), call);
    };
  }
  Task<Result<void>> end_sessions(std::string prefix, std::string own, CallOptions call) {
    ++ended_sessions;
    pg::Params params;
    params.emplace_back(std::move(prefix));
    params.emplace_back(std::move(own));
    const pg::Statement statement(
        "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE "
        "starts_with(application_name, $1::text) AND application_name <> $2::text",
        std::move(params), pg::Access::write);
    // By a connection of its own, as in the product: this may take a while, and leases are renewed meanwhile.
    CO_TRY(auto session, co_await pg::connect(executor, superuser, call));
    CO_TRY_DO(co_await session.query(statement, call));
    co_return Result<void>();
  }

  // A row that tells of an effect, by a session of its own as effects on other databases have.
  Task<Result<void>> note(Run& run, std::string what) {
    CO_TRY(auto session, co_await pg::connect(executor, superuser, run.options()));
    const pg::Statement statement = note_statement(run, std::move(what));
    CO_TRY_DO(co_await session.query(statement, run.options()));
    co_return Result<void>();
  }
  pg::Statement note_statement(const Run& run, std::string what) const {
    pg::Params params;
    params.emplace_back(run.id().to_string());
    params.emplace_back(std::move(what));
    return pg::Statement("INSERT INTO effects (operation, what) VALUES ($1::uuid, $2::text)",
                         std::move(params), pg::Access::write, pg::Reuse::once);
  }
  Effect noting(std::string what) {
    return [this, what](Run& run) { return note(run, what); };
  }
  Record recording(std::string what) {
    return [this, what](Run& run, pg::Session& platform) { return record(run, platform, what); };
  }
  Task<Result<void>> record(Run& run, pg::Session& platform, std::string what) {
    const pg::Statement statement = note_statement(run, std::move(what));
    CO_TRY_DO(co_await platform.query(statement, run.options()));
    co_return Result<void>();
  }

  net::Executor& executor;
  pg::ConnectionParameters superuser;  // read once: nodes have threads of their own
  pg::Pool pool;
  observe::MemorySink sink;
  SystemClock clock;
  observe::Log log;
  std::atomic<int> ended_sessions = 0;
  Engine engine;
};

// Answers a point with an error, once.
class FaultAt final : public Observer {
 public:
  FaultAt(std::string point, Error error) : point_(std::move(point)), error_(std::move(error)) {}
  Task<Result<void>> at(const Point& point) override {
    seen.push_back(point.name());
    if (point.name() != point_ || std::exchange(done, true)) co_return Result<void>();
    co_return error_;
  }
  std::vector<std::string> seen;
  bool done = false;

 private:
  std::string point_;
  Error error_;
};

class EngineTest : public testing::PgTest {
 protected:
  using Run = operations::Run;  // GoogleTest's Test::Run would hide it

  void SetUp() override {
    const auto migrations = pg::migrations_from_embedded("sql/platform/");
    ASSERT_TRUE(migrations.ok());
    auto session = run(pg::connect(executor(), testing::superuser(database()), patient()));
    ASSERT_TRUE(session.ok());
    const auto migrated = run(pg::run_migrations(*session, *migrations, patient()));
    ASSERT_TRUE(migrated.ok()) << migrated.error().message;
    sql().run("CREATE TABLE effects (id bigint GENERATED ALWAYS AS IDENTITY, operation uuid, what text)");
  }
  void TearDown() override {
    for (const auto& node : nodes_) run(node->engine.stop());
  }

  TestNode& add_node(std::string name, Observer* observer = nullptr) {
    return add_node(TestNode::options(std::move(name)), observer);
  }
  TestNode& add_node(EngineOptions options, Observer* observer = nullptr) {
    nodes_.push_back(std::make_unique<TestNode>(executor(), database(), std::move(options), observer));
    return *nodes_.back();
  }

  static Submission of(std::string kind) {
    Submission submission;
    submission.kind = std::move(kind);
    submission.requested_by = "tester";
    return submission;
  }
  Uuid submit(TestNode& node, Submission submission) {
    const auto submitted = run(node.engine.submit(std::move(submission), patient()));
    if (!submitted.ok()) {
      ADD_FAILURE() << submitted.error().message << " " << submitted.error().detail(pg::kServerMessage);
      return Uuid();
    }
    return submitted->id;
  }
  Operation wait(TestNode& node, const Uuid& id) {
    auto operation = run(node.engine.wait(id, patient()));
    if (!operation.ok()) {
      ADD_FAILURE() << operation.error().message << " " << operation.error().detail(pg::kServerMessage);
      return Operation();
    }
    return std::move(operation).value();
  }
  Operation look(TestNode& node, const Uuid& id) {
    auto operation = run(node.engine.get(id, patient()));
    if (!operation.ok()) {
      ADD_FAILURE() << operation.error().message << " " << operation.error().detail(pg::kServerMessage);
      return Operation();
    }
    return std::move(operation).value();
  }
  Operation perform(TestNode& node, Submission submission) {
    const Uuid id = submit(node, std::move(submission));
    return wait(node, id);
  }

  // What was noted of an operation, in order, joined by spaces.
  std::string noted(const Uuid& id) {
    return sql().value("SELECT string_agg(what, ' ' ORDER BY id) FROM effects WHERE operation = '" +
                       id.to_string() + "'");
  }
  std::string column(const Uuid& id, const std::string& expression) {
    return sql().value("SELECT " + expression + " FROM platform.operations WHERE id = '" + id.to_string() +
                       "'");
  }
  std::string events(const Uuid& id) {
    return sql().value(
        "SELECT string_agg(type, ' ' ORDER BY id) FROM platform.events WHERE payload->>'operation' = '" +
        id.to_string() + "'");
  }
  static std::string steps_of(const Operation& operation) {
    std::string text;
    for (const OperationStep& step : operation.steps) {
      text += (text.empty() ? "" : " ") + step.name + ":" + std::string(step_status_name(step.status)) + ":" +
              std::to_string(step.attempts);
    }
    return text;
  }
  static std::string status_of(const Operation& operation) {
    return std::string(operation_status_name(operation.status));
  }

  // Turns the loop until it is so; false if that takes too long.
  bool eventually(const std::function<bool()>& condition) {
    const auto deadline = deadline_in(30s);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      run(net::sleep_for(executor(), 2ms));
    }
    return true;
  }

 private:
  std::vector<std::unique_ptr<TestNode>> nodes_;
};

}  // namespace rowhouse::operations::fixture
