// Recording servers that stand in for an object store's admin API, and a caller of ours against them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/effects.h"
#include "base/text.h"
#include "net/http_test_support.h"
#include "storage/admin.h"
#include "storage/open.h"

namespace rowhouse::storage::test {

inline constexpr std::size_t kMaxTestBody = 1024 * 1024;

// One request as it arrived: "POST /v2/CreateBucket?x=y", and its body.
struct Recorded {
  std::string line, body, authorization;
};

// Answers on its own thread; subclasses hold the state of the store that they play.
class FakeStore {
 public:
  FakeStore() : server_([this](net::HttpRequest& request) { return answer(request); }) {}
  virtual ~FakeStore() = default;

  virtual bool is_empty() = 0;  // of what an admin makes
  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_.port()); }
  std::vector<Recorded> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(recorded_, {});
  }
  // What was asked, without bodies.
  std::vector<std::string> lines() {
    std::vector<std::string> lines;
    for (const Recorded& one : take()) lines.push_back(one.line);
    return lines;
  }

 protected:
  // Under the lock.
  virtual net::HttpResponse respond(const net::HttpRequest& request, const std::string& body) = 0;
  static net::HttpResponse reply(int status, std::string body = "") {
    net::HttpResponse response(status);
    response.body = std::move(body);
    return response;
  }
  // The query's value of that name, "" if none.
  static std::string parameter(const net::HttpRequest& request, std::string_view name) {
    for (const std::string_view pair : split(request.query, '&')) {
      const std::size_t equals = pair.find('=');
      if (pair.substr(0, equals) == name && equals != std::string_view::npos) {
        return percent_decode(pair.substr(equals + 1)).value_or("");
      }
    }
    return "";
  }
  std::mutex mutex_;

 private:
  Task<net::HttpResponse> answer(net::HttpRequest& request) {
    auto body = co_await net::read_whole_body(request, kMaxTestBody);
    EXPECT_TRUE(body.ok());
    const std::lock_guard lock(mutex_);
    Recorded one;
    one.line = request.method_text + " " + request.target;
    one.body = body.ok() ? *body : "";
    one.authorization = std::string(request.header("Authorization").value_or(""));
    recorded_.push_back(std::move(one));
    co_return respond(request, *body);
  }

  std::vector<Recorded> recorded_;
  net::test::TestServer server_;
};

// Cuts the work off at the n-th moment around an effect.
class CutOff final : public EffectGuard {
 public:
  explicit CutOff(int at) : left_(at) {}
  std::string label() const override { return "cut off"; }
  Task<Result<void>> admit() override { co_return Result<void>(); }
  Task<Result<void>> around(Moment, std::string_view) override {
    if (left_-- == 0) co_return Error(ErrorCode::cancelled, "cut off");
    co_return Result<void>();
  }

 private:
  int left_;
};

struct Caller {
  explicit Caller(const std::string& allowed = "127.0.0.1")
      : policy(*net::EgressPolicy::create({allowed})),
        file_work(net::BlockingWorkOptions()),
        transfers(executor, policy, net::TransferOptions()) {}

  StoreTools tools() { return StoreTools{executor, transfers, policy, file_work, clock}; }
  template <class T>
  T run(Task<T> task) {
    return net::run_until_done(executor, std::move(task));
  }
  CallOptions options(EffectGuard* guard = nullptr) {
    return CallOptions{deadline_in(std::chrono::seconds(20)), nullptr, guard};
  }

  net::Executor executor;
  net::EgressPolicy policy;
  net::BlockingWork file_work;
  net::HttpTransfers transfers;
  SystemClock clock;
};

// create() and remove(), cut off at every moment and then repeated, end as if nothing had happened.
// What is there in between is listed.
inline void expect_repeatable(Caller& caller, FakeStore& store, ObjectStoreAdmin& admin, const Uuid& tenant) {
  constexpr int kMoreThanAnyHas = 30;
  int moments = 0;
  for (int at = 0; at < kMoreThanAnyHas; ++at) {
    CutOff guard(at);
    const auto cut = caller.run(admin.create(tenant, 1'000, caller.options(&guard)));
    const auto made = caller.run(admin.create(tenant, 1'000, caller.options()));
    ASSERT_TRUE(made.ok()) << "cut at " << at << ": " << made.error().message;
    const auto there = caller.run(admin.list_ours(caller.options()));
    ASSERT_TRUE(there.ok());
    EXPECT_EQ(*there, std::vector<Uuid>{tenant}) << at;
    CutOff again(at);
    const auto cut_removal = caller.run(admin.remove(tenant, caller.options(&again)));
    const auto left = caller.run(admin.list_ours(caller.options()));
    ASSERT_TRUE(left.ok());
    EXPECT_EQ(store.is_empty(), left->empty()) << "half removed, cut at " << at;
    const auto removed = caller.run(admin.remove(tenant, caller.options()));
    ASSERT_TRUE(removed.ok()) << "cut at " << at << ": " << removed.error().message;
    EXPECT_TRUE(store.is_empty()) << at;
    if (cut.ok() && cut_removal.ok()) break;
    ++moments;
  }
  EXPECT_GE(moments, 6);
  EXPECT_LT(moments, kMoreThanAnyHas - 1);
}

}  // namespace rowhouse::storage::test
