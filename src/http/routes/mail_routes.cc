// One-time links of accounts (a new password, a confirmed address), and the queue of mail.
#include "http/mail_documents.h"
#include "http/routes/people.h"
#include "http/routes/routes.h"
#include "http/schemas.h"

namespace rowhouse::http {
namespace {

using identity::PlatformContext;
using identity::TenantContext;
using identity::User;

// What the reader's browser asks for.
mail::Locale locale_of(const net::HttpRequest& request) {
  return mail::parse_locale(request.header("Accept-Language").value_or(std::string_view()));
}

class MailRoutes {
 public:
  explicit MailRoutes(const Dependencies& dependencies)
      : users_(dependencies.users), links_(dependencies.links), mail_(dependencies.mail) {}

  // ---- links

  Reply forgot_password(Call& call) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
    CO_TRY(std::string email, read_only_text(body, "email"));
    const mail::Locale locale = locale_of(call.request);
    CO_TRY_DO(co_await links_.forgot_password(std::move(email), locale, origin_of(call), call.options));
    co_return net::HttpResponse(202);
  }

  Reply reset_password(Call& call) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
    CO_TRY(PasswordReset reset, read_password_reset(body));
    CO_TRY_DO(co_await links_.reset_password(std::move(reset.token), std::move(reset.password),
                                             origin_of(call), call.options));
    co_return net::HttpResponse(204);
  }

  Reply verify_email(Call& call) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
    CO_TRY(std::string token, read_only_text(body, "token"));
    CO_TRY_DO(co_await links_.verify_email(std::move(token), origin_of(call), call.options));
    co_return net::HttpResponse(204);
  }

  Reply request_verification(Call& call, const TenantContext& context) const {
    if (!context.principal().session) {
      co_return Error(ErrorCode::forbidden, "only a user who has signed in can do this, not a key");
    }
    const mail::Locale locale = locale_of(call.request);
    CO_TRY_DO(co_await links_.request_verification(context.principal().id, locale, call.options));
    co_return net::HttpResponse(202);
  }

  Reply password_link(Call& call, const PlatformContext& context) const {
    CO_TRY(const Uuid id, id_in_path(call.parameters[0], "user"));
    CO_TRY(const auto user, co_await users_.get_user(id, call.options));
    // Whoever has the link could do everything through it.
    const bool is_admin = user.platform_admin == User::PlatformAdmin::yes;
    if (is_admin && !context.permissions().is_everything()) {
      co_return Error(ErrorCode::permission_missing,
                      "platform admins may do everything, so only they and whoever has \"*\" can change one");
    }
    CO_TRY(const auto link,
           co_await links_.password_link(id, acting(call, context.principal()), call.options));
    co_return unstored(json_response(200, handed_over_document(link)));
  }

  // ---- the queue

  Reply list(Call& call, const PlatformContext&) const {
    CO_TRY(const auto parameters, read_query(call.request, {"status"}));
    std::string status;
    for (const auto& [name, value] : parameters) {
      if (value != "queued" && value != "sent" && value != "failed") {
        co_return Error(ErrorCode::invalid_parameter, "status must be queued, sent or failed");
      }
      status = value;
    }
    CO_TRY(const auto found, co_await mail_.list(std::move(status), call.options));
    json::Array data;
    for (const auto& each : found) data.push_back(mail_document(each));
    co_return json_response(200, list_document(std::move(data)));
  }

  Reply retry(Call& call, const PlatformContext& context) const {
    CO_TRY(const Uuid id, id_in_path(call.parameters[0], "mail"));
    CO_TRY_DO(co_await mail_.retry(id, acting(call, context.principal()), call.options));
    co_return net::HttpResponse(204);
  }

  Reply test(Call& call, const PlatformContext&) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
    CO_TRY(std::string to, read_only_text(body, "to"));
    const mail::Locale locale = locale_of(call.request);
    CO_TRY(const auto outcome, co_await mail_.test(std::move(to), locale, call.options));
    co_return json_response(200, mail_test_document(outcome));
  }

 private:
  identity::UserService& users_;
  identity::LinkService& links_;
  identity::MailQueue& mail_;
};

void add_link_routes(Router& router, const std::shared_ptr<MailRoutes>& routes) {
  using net::Method;
  const auto open = [&](RouteInfo info, auto member) {
    router.add(std::move(info).in("Sign-in"),
               OpenHandler([routes, member](Call& call) { return ((*routes).*member)(call); }));
  };
  open(RouteInfo(Method::post, "/v1/auth/password/forgot", Guard::open(), "forgotPassword",
                 "Ask for a link to choose a new password")
           .about("The answer is the same whether or not there is such an account. Too many from one "
                  "address: 429 with "
                  "Retry-After.")
           .takes(ref("PasswordForgotten"))
           .returns(202),
       &MailRoutes::forgot_password);
  open(RouteInfo(Method::post, "/v1/auth/password/reset", Guard::open(), "resetPassword",
                 "Choose a new password with a link")
           .about("Ends all of the user's sessions.")
           .takes(ref("PasswordReset"))
           .returns(204),
       &MailRoutes::reset_password);
  open(RouteInfo(Method::post, "/v1/auth/email/verify", Guard::open(), "verifyEmail",
                 "Confirm an e-mail address with a link")
           .takes(ref("LinkToken"))
           .returns(204),
       &MailRoutes::verify_email);
  router.add(RouteInfo(Method::post, "/v1/me/email/verification", Guard::caller(), "requestEmailVerification",
                       "Ask for a link that confirms one's own e-mail address")
                 .in("Sign-in")
                 .returns(202),
             TenantHandler([routes](Call& call, const TenantContext& context) {
               return routes->request_verification(call, context);
             }));
}

}  // namespace

void add_mail_routes(Router& router, const Dependencies& dependencies, const ApiOptions&) {
  using net::Method;
  // Shared by the handlers, which live as long as the router.
  const auto routes = std::make_shared<MailRoutes>(dependencies);
  add_link_routes(router, routes);
  const auto on = [&](RouteInfo info, auto member) {
    router.add(std::move(info), PlatformHandler([routes, member](Call& call, const PlatformContext& context) {
                 return ((*routes).*member)(call, context);
               }));
  };
  constexpr Guard kRead = Guard::platform("users:read");
  constexpr Guard kManage = Guard::platform("users:manage");
  on(RouteInfo(Method::post, "/v1/platform/users/{user}/password-link", kManage, "makePasswordLink",
               "Let somebody choose a new password")
         .in("Accounts")
         .about("By mail; where the installation sends none, the link is shown in the answer, once.")
         .returns(200, ref("PasswordLink")),
     &MailRoutes::password_link);
  on(RouteInfo(Method::get, "/v1/mail", kRead, "listMail", "List the mail of this installation")
         .in("Mail")
         .query("status", "queued, sent or failed", string_schema())
         .returns(200, ref("MailList")),
     &MailRoutes::list);
  on(RouteInfo(Method::post, "/v1/mail/{mail}/retry", kManage, "retryMail", "Try to send a mail again, now")
         .in("Mail")
         .returns(204),
     &MailRoutes::retry);
  on(RouteInfo(Method::post, "/v1/mail/test", kManage, "testMail", "Send a test mail, and say how it went")
         .in("Mail")
         .takes(ref("MailTest"))
         .returns(200, ref("MailTested")),
     &MailRoutes::test);
}

}  // namespace rowhouse::http
