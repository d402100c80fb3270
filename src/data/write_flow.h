// A write from beginning to end: alone on the shared lane when it is one statement, in a transaction when it
// is more or when its answer is kept under an Idempotency-Key.
#pragma once

#include "data/idempotency.h"
#include "data/insert_each.h"
#include "data/write.h"

namespace rowhouse::data {

class WriteWork {
 public:
  virtual ~WriteWork() = default;
  virtual Task<Result<Reply>> run(Runner& runner, CallOptions options) = 0;
};

class CreateWork final : public WriteWork {
 public:
  CreateWork(Target target, const Body& body, OnConflict on_conflict)
      : target_(target), body_(body), on_conflict_(on_conflict) {}
  Task<Result<Reply>> run(Runner& runner, CallOptions options) override {
    return create_rows(runner, target_, body_, on_conflict_, options);
  }

 private:
  Target target_;
  const Body& body_;
  OnConflict on_conflict_;
};

class UpdateWork final : public WriteWork {
 public:
  UpdateWork(Target target, std::string id, const RowInput& row, const std::optional<EtagList>& if_match)
      : target_(target), id_(std::move(id)), row_(row), if_match_(if_match) {}
  Task<Result<Reply>> run(Runner& runner, CallOptions options) override {
    return update_row(runner, target_, id_, row_, if_match_, options);
  }

 private:
  Target target_;
  std::string id_;
  const RowInput& row_;
  const std::optional<EtagList>& if_match_;
};

class RemoveWork final : public WriteWork {
 public:
  RemoveWork(Target target, std::string id, const std::optional<EtagList>& if_match)
      : target_(target), id_(std::move(id)), if_match_(if_match) {}
  Task<Result<Reply>> run(Runner& runner, CallOptions options) override {
    return remove_row(runner, target_, id_, if_match_, options);
  }

 private:
  Target target_;
  std::string id_;
  const std::optional<EtagList>& if_match_;
};

enum class Lane { shared, transaction };

// `key`: "" = none; `fingerprint`: of the request, see request_fingerprint(). Everything outlives the task.
Task<Result<Reply>> carry_out(session::TenantDatabase& database, const identity::TenantContext& context,
                              WriteWork& work, Lane lane, const std::string& key,
                              const std::string& fingerprint, CallOptions options);

}  // namespace rowhouse::data
