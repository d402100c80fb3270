// Invitations: of one's own tenant, for the platform of any tenant; and what whoever has the link does with
// it.
#include "http/mail_documents.h"
#include "http/routes/people.h"
#include "http/routes/routes.h"
#include "http/schemas.h"

namespace rowhouse::http {
namespace {

using identity::PlatformContext;
using identity::TenantContext;

class InvitationRoutes {
 public:
  using Member = Reply (InvitationRoutes::*)(Call&, const Place&) const;

  explicit InvitationRoutes(const Dependencies& dependencies)
      : invitations_(dependencies.invitations), tenants_(dependencies.tenants) {}

  Reply on_own_tenant(Member member, Call& call, const TenantContext& context) const {
    const Place place = own_place(call, context);
    co_return co_await (this->*member)(call, place);
  }

  Reply on_any_tenant(Member member, Call& call, const PlatformContext& context) const {
    CO_TRY(const auto place, co_await place_in_path(call, context, tenants_));
    co_return co_await (this->*member)(call, place);
  }

  Reply list(Call& call, const Place& place) const {
    CO_TRY(const auto found, co_await invitations_.list(place.tenant, call.options));
    json::Array data;
    for (const auto& invitation : found) data.push_back(invitation_document(invitation));
    co_return json_response(200, list_document(std::move(data)));
  }

  Reply invite(Call& call, const Place& place) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
    CO_TRY(identity::NewInvitation wanted, read_new_invitation(body));
    CO_TRY(const auto invited,
           co_await invitations_.invite(place.tenant, std::move(wanted), place.requester, call.options));
    co_return unstored(json_response(201, invited_document(invited)));
  }

  Reply send_again(Call& call, const Place& place) const {
    CO_TRY(const Uuid invitation, id_in_path(call.parameters[0], "invitation"));
    CO_TRY(const auto invited,
           co_await invitations_.send_again(place.tenant, invitation, place.requester, call.options));
    co_return unstored(json_response(200, invited_document(invited)));
  }

  Reply revoke(Call& call, const Place& place) const {
    CO_TRY(const Uuid invitation, id_in_path(call.parameters[0], "invitation"));
    CO_TRY_DO(co_await invitations_.revoke(place.tenant, invitation, place.requester, call.options));
    co_return net::HttpResponse(204);
  }

  // ---- with the link

  Reply look(Call& call) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
    CO_TRY(std::string token, read_only_text(body, "token"));
    CO_TRY(const auto offer, co_await invitations_.look(std::move(token), origin_of(call), call.options));
    co_return unstored(json_response(200, offer_document(offer)));
  }

  Reply accept(Call& call) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
    CO_TRY(Acceptance acceptance, read_acceptance(body));
    CO_TRY(const auto offer,
           co_await invitations_.accept(std::move(acceptance.token), std::move(acceptance.password),
                                        std::move(acceptance.name), origin_of(call), call.options));
    co_return unstored(json_response(200, accepted_document(offer)));
  }

 private:
  identity::InvitationService& invitations_;
  tenancy::TenantService& tenants_;
};

// Adds each route twice: for the caller's own tenant, and for the platform.
class Table {
 public:
  Table(Router& router, std::shared_ptr<InvitationRoutes> routes)
      : router_(router), routes_(std::move(routes)) {}

  struct Names {
    const char* own_id;
    const char* platform_id;
    const char* title;
  };
  using Describe = std::function<RouteInfo(RouteInfo)>;

  void add(net::Method method, const std::string& path, Guard platform, Names names,
           InvitationRoutes::Member member, const Describe& describe) {
    const auto routes = routes_;
    router_.add(
        describe(RouteInfo(method, "/v1" + path, Guard::tenant("user:manage"), names.own_id, names.title)
                     .in("People")),
        TenantHandler([routes, member](Call& call, const TenantContext& context) {
          return routes->on_own_tenant(member, call, context);
        }));
    const std::string title = std::string(names.title) + ", of any tenant";
    router_.add(describe(RouteInfo(method, "/v1/tenants/{tenant}" + path, platform, names.platform_id, title)
                             .in("People of tenants")),
                PlatformHandler([routes, member](Call& call, const PlatformContext& context) {
                  return routes->on_any_tenant(member, call, context);
                }));
  }

 private:
  Router& router_;
  std::shared_ptr<InvitationRoutes> routes_;  // shared by the handlers, which live as long as the router
};

}  // namespace

void add_invitation_routes(Router& router, const Dependencies& dependencies, const ApiOptions&) {
  using net::Method;
  const auto routes = std::make_shared<InvitationRoutes>(dependencies);
  Table table(router, routes);
  constexpr Guard kReadAll = Guard::platform("users:read");
  constexpr Guard kManageAll = Guard::platform("users:manage");
  table.add(Method::get, "/invitations", kReadAll,
            {"listInvitations", "listTenantInvitations", "List invitations"}, &InvitationRoutes::list,
            [](RouteInfo info) { return std::move(info).returns(200, ref("InvitationList")); });
  table.add(Method::post, "/invitations", kManageAll, {"invite", "inviteToTenant", "Invite a person"},
            &InvitationRoutes::invite, [](RouteInfo info) {
              return std::move(info)
                  .about(
                      "By mail, with a one-time link. Nobody can give a role that permits more than their "
                      "own. Open "
                      "invitations count as users of the plan.")
                  .takes(ref("InvitationCreate"))
                  .returns(201, ref("Invited"));
            });
  table.add(Method::remove, "/invitations/{invitation}", kManageAll,
            {"revokeInvitation", "revokeTenantInvitation", "Revoke an invitation"}, &InvitationRoutes::revoke,
            [](RouteInfo info) { return std::move(info).returns(204); });
  table.add(
      Method::post, "/invitations/{invitation}/send", kManageAll,
      {"sendInvitation", "sendTenantInvitation", "Send an invitation again"}, &InvitationRoutes::send_again,
      [](RouteInfo info) {
        return std::move(info)
            .about(
                "With another link, good for as long as that of a new invitation. The one before is good no "
                "more.")
            .returns(200, ref("Invited"));
      });
  const auto open = [&](RouteInfo info, auto member) {
    router.add(std::move(info).in("Sign-in"),
               OpenHandler([routes, member](Call& call) { return ((*routes).*member)(call); }));
  };
  open(RouteInfo(Method::post, "/v1/auth/invitations", Guard::open(), "getInvitationOffer",
                 "What does an invitation offer?")
           .about(
               "A token that is not good any more, whatever the reason, is answered like one that never was.")
           .takes(ref("LinkToken"))
           .returns(200, ref("InvitationOffer")),
       &InvitationRoutes::look);
  open(RouteInfo(Method::post, "/v1/auth/invitations/accept", Guard::open(), "acceptInvitation",
                 "Accept an invitation")
           .about("Makes the account if there is none. Then sign in.")
           .takes(ref("InvitationAcceptance"))
           .returns(200, ref("InvitationAccepted")),
       &InvitationRoutes::accept);
}

}  // namespace rowhouse::http
