// Invitations, links and mail as JSON documents, the bodies of their routes, and the schemas of both. Pure
// functions. Errors of the readers: validation_failed, one field for each fault.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "identity/invitations.h"
#include "identity/links.h"
#include "identity/mail_queue.h"

namespace rowhouse::http {

json::Value invitation_document(const identity::Invitation& invitation);
json::Value invited_document(const identity::Invited& invited);
json::Value offer_document(const identity::InvitationOffer& offer);
json::Value accepted_document(const identity::InvitationOffer& offer);
json::Value handed_over_document(const identity::HandedOver& link);
json::Value mail_document(const identity::MailInfo& mail);
json::Value mail_test_document(const net::SmtpOutcome& outcome);

Result<identity::NewInvitation> read_new_invitation(const json::Value& body);
// An object with one member, a string, which is required.
Result<std::string> read_only_text(const json::Value& body, const char* member);
struct Acceptance {
  std::string token, password, name;
};
Result<Acceptance> read_acceptance(const json::Value& body);
struct PasswordReset {
  std::string token, password;
};
Result<PasswordReset> read_password_reset(const json::Value& body);

// A JSON object, name → schema: a part of component_schemas().
std::string_view mail_schemas();

}  // namespace rowhouse::http
