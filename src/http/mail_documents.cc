#include "http/mail_documents.h"

#include "http/body_reader.h"

namespace rowhouse::http {
namespace {

json::Value text_or_null(const std::string& text) { return text.empty() ? json::Value() : json::Value(text); }

json::Value tenant_of(const tenancy::Tenant& tenant) {
  json::Value document;
  document.set("id", tenant.id.to_string());
  document.set("slug", tenant.slug);
  document.set("name", tenant.name);
  return document;
}

constexpr std::string_view kMailSchemas = R"json({
"Invitation": {"type": "object", "description": "An offer of a membership with a role", "properties": {
  "id": {"type": "string", "format": "uuid"},
  "email": {"type": "string"},
  "role": {"type": "string"},
  "status": {"type": "string", "enum": ["open", "accepted", "revoked", "expired"]},
  "mail": {"type": ["string", "null"], "enum": ["queued", "sent", "failed", null],
    "description": "How the last mail fared; null: none was sent, or long ago"},
  "invited_by": {"type": "string"},
  "created_at": {"type": "string", "format": "date-time"},
  "expires_at": {"type": "string", "format": "date-time"},
  "accepted_at": {"type": ["string", "null"], "format": "date-time"}},
  "required": ["id", "email", "role", "status", "mail", "invited_by", "created_at", "expires_at", "accepted_at"]},
"InvitationList": {"type": "object", "description": "Newest first; the newest 500 of the last 90 days", "properties": {
  "data": {"type": "array", "items": {"$ref": "#/components/schemas/Invitation"}}}, "required": ["data"]},
"InvitationCreate": {"type": "object", "additionalProperties": false, "properties": {
  "email": {"type": "string", "format": "email"},
  "role": {"type": "string", "description": "May be left out for the first user, who gets the pack's admin role"}},
  "required": ["email"]},
"Invited": {"type": "object", "properties": {
  "invitation": {"$ref": "#/components/schemas/Invitation"},
  "link": {"type": ["string", "null"],
    "description": "Where the installation sends no mail: the one-time link, shown here and never again"}},
  "required": ["invitation", "link"]},
"LinkToken": {"type": "object", "additionalProperties": false, "properties": {
  "token": {"type": "string", "description": "What follows the last slash of the link: `rhl_…`"}},
  "required": ["token"]},
"InvitationOffer": {"type": "object", "description": "What an invitation offers", "properties": {
  "tenant": {"type": "object", "properties": {
    "id": {"type": "string", "format": "uuid"},
    "slug": {"type": "string"},
    "name": {"type": "string"}},
    "required": ["id", "slug", "name"]},
  "email": {"type": "string"},
  "role": {"type": "string"},
  "choose_password": {"type": "boolean", "description": "Is a password needed to accept it? If not, it must be left out"},
  "account": {"type": "string", "enum": ["known", "none"], "description": "none: one is made, and a name may be given"},
  "expires_at": {"type": "string", "format": "date-time"}},
  "required": ["tenant", "email", "role", "choose_password", "account", "expires_at"]},
"InvitationAcceptance": {"type": "object", "additionalProperties": false, "properties": {
  "token": {"type": "string"},
  "password": {"type": "string", "format": "password"},
  "name": {"type": "string", "maxLength": 200, "description": "Of a new account"}},
  "required": ["token"]},
"InvitationAccepted": {"type": "object", "description": "Sign in now", "properties": {
  "tenant": {"type": "object", "properties": {
    "id": {"type": "string", "format": "uuid"},
    "slug": {"type": "string"},
    "name": {"type": "string"}},
    "required": ["id", "slug", "name"]},
  "email": {"type": "string"},
  "role": {"type": "string"}},
  "required": ["tenant", "email", "role"]},
"PasswordForgotten": {"type": "object", "additionalProperties": false, "properties": {
  "email": {"type": "string"}}, "required": ["email"]},
"PasswordReset": {"type": "object", "additionalProperties": false, "properties": {
  "token": {"type": "string"},
  "password": {"type": "string", "format": "password"}},
  "required": ["token", "password"]},
"PasswordLink": {"type": "object", "properties": {
  "link": {"type": ["string", "null"],
    "description": "Where the installation sends no mail: the one-time link, shown here and never again"},
  "expires_at": {"type": "string", "format": "date-time"}},
  "required": ["link", "expires_at"]},
"Mail": {"type": "object", "description": "A mail to a person; its text is kept, encrypted, until it was sent", "properties": {
  "id": {"type": "string", "format": "uuid"},
  "tenant": {"type": ["string", "null"], "format": "uuid"},
  "kind": {"type": "string"},
  "recipient": {"type": "string"},
  "status": {"type": "string", "enum": ["queued", "sent", "failed"]},
  "attempts": {"type": "integer"},
  "queued_at": {"type": "string", "format": "date-time"},
  "next_attempt_at": {"type": ["string", "null"], "format": "date-time"},
  "ended_at": {"type": ["string", "null"], "format": "date-time"},
  "last_error": {"type": ["string", "null"], "description": "What the mail server said"}},
  "required": ["id", "tenant", "kind", "recipient", "status", "attempts", "queued_at", "next_attempt_at", "ended_at",
    "last_error"]},
"MailList": {"type": "object", "description": "Newest first; the newest 200", "properties": {
  "data": {"type": "array", "items": {"$ref": "#/components/schemas/Mail"}}}, "required": ["data"]},
"MailTest": {"type": "object", "additionalProperties": false, "properties": {
  "to": {"type": "string", "format": "email"}}, "required": ["to"]},
"MailTested": {"type": "object", "properties": {
  "sent": {"type": "boolean"},
  "outcome": {"type": "string", "enum": ["sent", "again", "refused"],
    "description": "again: a queued mail would be tried again later; refused: it would have failed"},
  "reply": {"type": ["integer", "null"], "description": "The last reply code of the mail server"},
  "reason": {"type": ["string", "null"]}},
  "required": ["sent", "outcome", "reply", "reason"]}
})json";

}  // namespace

json::Value invitation_document(const identity::Invitation& invitation) {
  json::Value document;
  document.set("id", invitation.id.to_string());
  document.set("email", invitation.email);
  document.set("role", invitation.role);
  document.set("status", invitation.status);
  document.set("mail", text_or_null(invitation.mail));
  document.set("invited_by", invitation.invited_by);
  document.set("created_at", invitation.created_at);
  document.set("expires_at", invitation.expires_at);
  document.set("accepted_at", text_or_null(invitation.accepted_at));
  return document;
}

json::Value invited_document(const identity::Invited& invited) {
  json::Value document;
  document.set("invitation", invitation_document(invited.invitation));
  document.set("link", text_or_null(invited.link));
  return document;
}

json::Value offer_document(const identity::InvitationOffer& offer) {
  json::Value document;
  document.set("tenant", tenant_of(*offer.tenant));
  document.set("email", offer.email);
  document.set("role", offer.role);
  document.set("choose_password", offer.password == identity::InvitationOffer::Password::choose);
  document.set("account", offer.account == identity::InvitationOffer::Account::known ? "known" : "none");
  document.set("expires_at", offer.expires_at);
  return document;
}

json::Value accepted_document(const identity::InvitationOffer& offer) {
  json::Value document;
  document.set("tenant", tenant_of(*offer.tenant));
  document.set("email", offer.email);
  document.set("role", offer.role);
  return document;
}

json::Value handed_over_document(const identity::HandedOver& link) {
  json::Value document;
  document.set("link", text_or_null(link.url));
  document.set("expires_at", to_rfc3339(link.expires_at));
  return document;
}

json::Value mail_document(const identity::MailInfo& mail) {
  json::Value document;
  document.set("id", mail.id.to_string());
  document.set("tenant", mail.tenant ? json::Value(mail.tenant->to_string()) : json::Value());
  document.set("kind", mail.kind);
  document.set("recipient", mail.recipient);
  document.set("status", mail.status);
  document.set("attempts", static_cast<std::int64_t>(mail.attempts));
  document.set("queued_at", mail.queued_at);
  document.set("next_attempt_at", text_or_null(mail.next_attempt_at));
  document.set("ended_at", text_or_null(mail.ended_at));
  document.set("last_error", text_or_null(mail.last_error));
  return document;
}

json::Value mail_test_document(const net::SmtpOutcome& outcome) {
  using Kind = net::SmtpOutcome::Kind;
  json::Value document;
  document.set("sent", outcome.kind == Kind::sent);
  std::string word = "sent";
  if (outcome.kind == Kind::again) word = "again";
  if (outcome.kind == Kind::refused) word = "refused";
  document.set("outcome", word);
  document.set("reply",
               outcome.reply == 0 ? json::Value() : json::Value(static_cast<std::int64_t>(outcome.reply)));
  document.set("reason", text_or_null(outcome.reason));
  return document;
}

Result<identity::NewInvitation> read_new_invitation(const json::Value& body) {
  identity::NewInvitation wanted;
  BodyReader reader(body);
  reader.require("email");
  reader.text("email", wanted.email);
  reader.text("role", wanted.role);
  TRY_DO(reader.done());
  return wanted;
}

Result<std::string> read_only_text(const json::Value& body, const char* member) {
  std::string text;
  BodyReader reader(body);
  reader.require(member);
  reader.text(member, text);
  TRY_DO(reader.done());
  return text;
}

Result<Acceptance> read_acceptance(const json::Value& body) {
  Acceptance acceptance;
  BodyReader reader(body);
  reader.require("token");
  reader.text("token", acceptance.token);
  reader.text("password", acceptance.password);
  reader.text("name", acceptance.name);
  TRY_DO(reader.done());
  return acceptance;
}

Result<PasswordReset> read_password_reset(const json::Value& body) {
  PasswordReset reset;
  BodyReader reader(body);
  reader.require("token");
  reader.require("password");
  reader.text("token", reset.token);
  reader.text("password", reset.password);
  TRY_DO(reader.done());
  return reset;
}

std::string_view mail_schemas() { return kMailSchemas; }

}  // namespace rowhouse::http
