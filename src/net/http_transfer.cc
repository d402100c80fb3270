#include "net/http_transfer.h"

#include <fmt/format.h>

#include <utility>

#include "base/text.h"
#include "net/transfer_engine.h"

namespace rowhouse::net {
namespace {

// Ends a transfer with its owner, while the engine is there for certain.
class TransferOwner {
 public:
  explicit TransferOwner(std::shared_ptr<Transfer> transfer) : transfer_(std::move(transfer)) {}
  TransferOwner(TransferOwner&& other) noexcept = default;
  ~TransferOwner() {
    if (transfer_ != nullptr) transfer_->abandon();
  }
  Transfer* operator->() const { return transfer_.get(); }

 private:
  std::shared_ptr<Transfer> transfer_;
};

class Response final : public TransferResponse {
 public:
  Response(TransferOwner transfer, std::string place)
      : transfer_(std::move(transfer)), place_(std::move(place)) {}

  int status() const override { return transfer_->status(); }
  const std::vector<Header>& headers() const override { return transfer_->headers(); }
  std::string_view header(std::string_view name) const override {
    for (const Header& header : transfer_->headers()) {
      if (equals_ignoring_case(header.first, name)) return header.second;
    }
    return "";
  }
  Task<Result<std::optional<std::string>>> next(CallOptions options) override {
    return transfer_->next_piece(options);
  }
  Task<Result<std::string>> read_all(std::size_t limit, CallOptions options) override {
    std::string whole;
    while (true) {
      CO_TRY(const std::optional<std::string> piece, co_await transfer_->next_piece(options));
      if (!piece.has_value()) co_return whole;
      if (piece->size() > limit - whole.size()) {
        co_return Error(ErrorCode::server_unreachable, fmt::format("{}: answered too much", place_));
      }
      whole += *piece;
    }
  }

 private:
  TransferOwner transfer_;
  const std::string place_;
};

}  // namespace

HttpTransfers::HttpTransfers(Executor& executor, const EgressPolicy& policy, TransferOptions options)
    : engine_(std::make_unique<TransferEngine>(executor, policy, std::move(options))) {}

HttpTransfers::~HttpTransfers() = default;

Task<Result<std::unique_ptr<TransferResponse>>> HttpTransfers::send(TransferRequest request,
                                                                    CallOptions options) {
  CO_TRY(TransferTarget target, target_of(request.url));
  CO_TRY_DO(engine_->policy().check_host(target.host, target.port));
  if (target.scheme == TransferTarget::Scheme::http &&
      !engine_->policy().may_be_plain(target.host, target.port)) {
    co_return Error(
        ErrorCode::address_refused,
        fmt::format("{}: plain http is used only where the operator allows it (egress_allow); use "
                    "https",
                    target.place()));
  }
  std::string place = target.place();
  TransferOwner transfer(std::make_shared<Transfer>(*engine_, std::move(target), std::move(request)));
  CO_TRY_DO(co_await transfer->exchange_head(options));
  std::unique_ptr<TransferResponse> response =
      std::make_unique<Response>(std::move(transfer), std::move(place));
  co_return response;
}

}  // namespace rowhouse::net
