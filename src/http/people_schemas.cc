#include "http/people_schemas.h"

namespace rowhouse::http {
namespace {

constexpr std::string_view kPeopleSchemas = R"json({
"AccountStatus": {"type": "string", "enum": ["active", "disabled"]},
"RowScope": {"type": "string", "enum": ["all", "own"],
  "description": "All rows of the tenant, or only those that the pack's row rules call the user's own"},
"Login": {"type": "object", "additionalProperties": false, "properties": {
  "email": {"type": "string"},
  "password": {"type": "string", "format": "password"},
  "tenant": {"type": "string",
    "description": "Slug or id. If left out, the one tenant that the user belongs to, or the platform for its admins"},
  "code": {"type": "string",
    "description": "Of the second factor, if the account has one: the authenticator's, or a recovery code"}},
  "required": ["email", "password"]},
"RefreshToken": {"type": "object", "additionalProperties": false, "properties": {
  "refresh_token": {"type": "string", "description": "Good once: the answer holds the next one"}},
  "required": ["refresh_token"]},
"SignedIn": {"type": "object", "description": "A session: who, where, and its tokens", "properties": {
  "access_token": {"type": "string", "description": "A JWT, for `Authorization: Bearer`"},
  "token_type": {"type": "string", "enum": ["Bearer"]},
  "expires_in": {"type": "integer", "description": "Seconds that the access token is good for"},
  "refresh_token": {"type": "string", "description": "For POST /v1/auth/refresh, once"},
  "refresh_expires_in": {"type": "integer", "description": "Seconds that the refresh token is good for, if it is not used"},
  "session": {"type": "string", "format": "uuid"},
  "user": {"type": "object", "properties": {
    "id": {"type": "string", "format": "uuid"},
    "email": {"type": "string"},
    "name": {"type": "string"}},
    "required": ["id", "email", "name"]},
  "role": {"type": "string"},
  "tenant": {"type": ["object", "null"], "description": "null: the platform", "properties": {
    "id": {"type": "string", "format": "uuid"},
    "slug": {"type": "string"},
    "name": {"type": "string"},
    "pack": {"type": "string"}},
    "required": ["id", "slug", "name", "pack"]}},
  "required": ["access_token", "token_type", "expires_in", "refresh_token", "refresh_expires_in", "session", "user",
    "role", "tenant"]},
"BrowserSession": {"type": "object", "description": "A session whose tokens are in cookies", "properties": {
  "csrf_token": {"type": "string", "description": "For the header X-CSRF-Token of requests that change something"},
  "expires_in": {"type": "integer", "description": "Seconds until it must be refreshed"},
  "refresh_expires_in": {"type": "integer", "description": "Seconds until it ends, if it is not refreshed"},
  "session": {"type": "string", "format": "uuid"},
  "user": {"type": "object", "properties": {
    "id": {"type": "string", "format": "uuid"},
    "email": {"type": "string"},
    "name": {"type": "string"}},
    "required": ["id", "email", "name"]},
  "role": {"type": "string"},
  "tenant": {"type": ["object", "null"], "description": "null: the platform", "properties": {
    "id": {"type": "string", "format": "uuid"},
    "slug": {"type": "string"},
    "name": {"type": "string"},
    "pack": {"type": "string"}},
    "required": ["id", "slug", "name", "pack"]}},
  "required": ["csrf_token", "expires_in", "refresh_expires_in", "session", "user", "role", "tenant"]},
"PlatformMe": {"type": "object", "description": "Whose credential this is, and what it may do", "properties": {
  "kind": {"type": "string", "enum": ["user", "token"]},
  "id": {"type": "string", "format": "uuid"},
  "name": {"type": "string"},
  "email": {"type": ["string", "null"], "description": "Of a user"},
  "session": {"type": ["string", "null"], "format": "uuid", "description": "Of a user"},
  "operations": {"type": "array", "items": {"type": "string"}}},
  "required": ["kind", "id", "name", "email", "session", "operations"]},
"SecondFactor": {"type": "object", "properties": {
  "enabled": {"type": "boolean"},
  "since": {"type": ["string", "null"], "format": "date-time"},
  "recovery_codes_left": {"type": "integer"}},
  "required": ["enabled", "since", "recovery_codes_left"]},
"PasswordProof": {"type": "object", "additionalProperties": false, "properties": {
  "password": {"type": "string", "format": "password", "description": "The user's own, once more"}},
  "required": ["password"]},
"SecondFactorProof": {"type": "object", "additionalProperties": false, "properties": {
  "password": {"type": "string", "format": "password", "description": "The user's own, once more"},
  "code": {"type": "string", "description": "The authenticator's, or a recovery code"}},
  "required": ["password", "code"]},
"SecondFactorBegun": {"type": "object", "description": "Shown once; counts when it is confirmed", "properties": {
  "secret": {"type": "string", "description": "For typing into an authenticator app (base32)"},
  "uri": {"type": "string", "description": "The same as otpauth:// address, for a QR code"}},
  "required": ["secret", "uri"]},
"SecondFactorCode": {"type": "object", "additionalProperties": false, "properties": {
  "code": {"type": "string", "description": "The authenticator's code of this moment"}},
  "required": ["code"]},
"RecoveryCodes": {"type": "object", "properties": {
  "recovery_codes": {"type": "array", "items": {"type": "string"},
    "description": "Each is good once in place of a code of the authenticator; shown here and never again"}},
  "required": ["recovery_codes"]},
"PasswordChange": {"type": "object", "additionalProperties": false, "properties": {
  "current_password": {"type": "string", "format": "password"},
  "new_password": {"type": "string", "format": "password"}},
  "required": ["current_password", "new_password"]},
"Me": {"type": "object", "description": "Whose credential this is, and what it may do", "properties": {
  "kind": {"type": "string", "enum": ["user", "key"]},
  "id": {"type": "string", "format": "uuid"},
  "name": {"type": "string"},
  "email": {"type": ["string", "null"], "description": "Of a user"},
  "role": {"type": ["string", "null"], "description": "Of a user"},
  "session": {"type": ["string", "null"], "format": "uuid", "description": "Of a user"},
  "rows": {"$ref": "#/components/schemas/RowScope"},
  "operations": {"type": "array", "items": {"type": "string"},
    "description": "What the role or key permits: operations, `kind:*` or `*`. The plan may include less."},
  "tenant": {"type": "object", "properties": {
    "id": {"type": "string", "format": "uuid"},
    "slug": {"type": "string"},
    "name": {"type": "string"},
    "pack": {"type": "string"}},
    "required": ["id", "slug", "name", "pack"]}},
  "required": ["kind", "id", "name", "email", "role", "session", "rows", "operations", "tenant"]},
"User": {"type": "object", "description": "A person at one tenant", "properties": {
  "id": {"type": "string", "format": "uuid"},
  "email": {"type": "string"},
  "name": {"type": "string"},
  "role": {"type": "string"},
  "status": {"$ref": "#/components/schemas/AccountStatus", "description": "At this tenant"},
  "account_status": {"$ref": "#/components/schemas/AccountStatus", "description": "Everywhere"},
  "has_password": {"type": "boolean"},
  "created_at": {"type": "string", "format": "date-time"},
  "updated_at": {"type": "string", "format": "date-time"},
  "last_login_at": {"type": ["string", "null"], "format": "date-time"}},
  "required": ["id", "email", "name", "role", "status", "account_status", "has_password", "created_at", "updated_at",
    "last_login_at"]},
"UserPage": {"type": "object", "properties": {
  "data": {"type": "array", "items": {"$ref": "#/components/schemas/User"}},
  "next_cursor": {"type": ["string", "null"], "description": "Parameter cursor of the next page; null at the end"}},
  "required": ["data", "next_cursor"]},
"UserCreate": {"type": "object", "additionalProperties": false, "properties": {
  "email": {"type": "string", "format": "email"},
  "name": {"type": "string", "maxLength": 200},
  "role": {"type": "string", "description": "May be left out for the first user, who gets the pack's admin role"},
  "password": {"type": "string", "format": "password",
    "description": "Of a new account; if left out, one is made and shown in the answer"}},
  "required": ["email"]},
"UserCreated": {"type": "object", "properties": {
  "user": {"$ref": "#/components/schemas/User"},
  "account": {"type": "string", "enum": ["created", "known"],
    "description": "known: the person had an account already, and keeps its password"},
  "password": {"type": ["string", "null"], "description": "The one that was made, shown here and never again"}},
  "required": ["user", "account", "password"]},
"UserUpdate": {"type": "object", "additionalProperties": false, "description": "What is left out stays as it is",
  "properties": {
  "role": {"type": "string"},
  "status": {"$ref": "#/components/schemas/AccountStatus"},
  "name": {"type": "string", "maxLength": 200},
  "password": {"type": "string", "format": "password",
    "description": "Only of an account that this tenant has made and that belongs nowhere else; ends its sessions"}}},
"Role": {"type": "object", "description": "A set of operations that users have", "properties": {
  "name": {"type": "string"},
  "title": {"type": "string"},
  "description": {"type": "string"},
  "origin": {"type": "string", "enum": ["pack", "tenant"], "description": "Roles of the pack cannot be changed"},
  "operations": {"type": "array", "items": {"type": "string"}},
  "rows": {"$ref": "#/components/schemas/RowScope"},
  "created_at": {"type": ["string", "null"], "format": "date-time"},
  "updated_at": {"type": ["string", "null"], "format": "date-time"}},
  "required": ["name", "title", "description", "origin", "operations", "rows", "created_at", "updated_at"]},
"RoleList": {"type": "object", "properties": {
  "data": {"type": "array", "items": {"$ref": "#/components/schemas/Role"}}}, "required": ["data"]},
"RoleCreate": {"type": "object", "additionalProperties": false, "properties": {
  "name": {"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,62}$"},
  "description": {"type": "string"},
  "operations": {"type": "array", "items": {"type": "string"}, "minItems": 1,
    "description": "Operations of the plan and of Rowhouse: `lead:read`, `lead:*`, `*`"},
  "rows": {"$ref": "#/components/schemas/RowScope"}},
  "required": ["name", "operations"]},
"RoleUpdate": {"type": "object", "additionalProperties": false, "description": "What is left out stays as it is",
  "properties": {
  "description": {"type": "string"},
  "operations": {"type": "array", "items": {"type": "string"}, "minItems": 1},
  "rows": {"$ref": "#/components/schemas/RowScope"}}},
"Session": {"type": "object", "description": "Somebody who is signed in", "properties": {
  "id": {"type": "string", "format": "uuid"},
  "user": {"type": "string", "format": "uuid"},
  "email": {"type": "string"},
  "tenant": {"type": ["string", "null"], "format": "uuid", "description": "null: the platform"},
  "created_at": {"type": "string", "format": "date-time"},
  "expires_at": {"type": "string", "format": "date-time"},
  "last_seen_at": {"type": ["string", "null"], "format": "date-time"},
  "address": {"type": ["string", "null"], "description": "From where it was begun"},
  "agent": {"type": ["string", "null"]}},
  "required": ["id", "user", "email", "tenant", "created_at", "expires_at", "last_seen_at", "address", "agent"]},
"SessionList": {"type": "object", "description": "Newest first; the newest 500", "properties": {
  "data": {"type": "array", "items": {"$ref": "#/components/schemas/Session"}}}, "required": ["data"]},
"SessionsEnded": {"type": "object", "properties": {
  "ended": {"type": "integer", "description": "How many"}}, "required": ["ended"]},
"Account": {"type": "object", "description": "A person on this platform", "properties": {
  "id": {"type": "string", "format": "uuid"},
  "email": {"type": "string"},
  "name": {"type": "string"},
  "status": {"$ref": "#/components/schemas/AccountStatus"},
  "platform_admin": {"type": "boolean"},
  "has_password": {"type": "boolean"},
  "home_tenant": {"type": ["string", "null"], "format": "uuid", "description": "Whose admin made the account"},
  "created_at": {"type": "string", "format": "date-time"},
  "updated_at": {"type": "string", "format": "date-time"},
  "last_login_at": {"type": ["string", "null"], "format": "date-time"},
  "memberships": {"type": "array", "description": "Only where one account is asked for", "items": {"type": "object", "properties": {
    "tenant": {"type": "string", "format": "uuid"},
    "role": {"type": "string"},
    "status": {"$ref": "#/components/schemas/AccountStatus"},
    "created_at": {"type": "string", "format": "date-time"}},
    "required": ["tenant", "role", "status", "created_at"]}}},
  "required": ["id", "email", "name", "status", "platform_admin", "has_password", "home_tenant", "created_at",
    "updated_at", "last_login_at"]},
"AccountPage": {"type": "object", "properties": {
  "data": {"type": "array", "items": {"$ref": "#/components/schemas/Account"}},
  "next_cursor": {"type": ["string", "null"], "description": "Parameter cursor of the next page; null at the end"}},
  "required": ["data", "next_cursor"]},
"AccountCreate": {"type": "object", "additionalProperties": false, "properties": {
  "email": {"type": "string", "format": "email"},
  "name": {"type": "string", "maxLength": 200},
  "password": {"type": "string", "format": "password",
    "description": "If left out, one is made and shown in the answer"},
  "platform_admin": {"type": "boolean", "default": false, "description": "May do everything on this platform"}},
  "required": ["email"]},
"AccountCreated": {"type": "object", "properties": {
  "user": {"$ref": "#/components/schemas/Account"},
  "password": {"type": ["string", "null"], "description": "The one that was made, shown here and never again"}},
  "required": ["user", "password"]},
"AccountUpdate": {"type": "object", "additionalProperties": false, "description": "What is left out stays as it is",
  "properties": {
  "email": {"type": "string", "format": "email"},
  "name": {"type": "string", "maxLength": 200},
  "status": {"$ref": "#/components/schemas/AccountStatus"},
  "platform_admin": {"type": "boolean"},
  "password": {"type": "string", "format": "password", "description": "Ends the user's sessions"}}},
"TokenKeyList": {"type": "object", "description": "Newest first", "properties": {
  "data": {"type": "array", "items": {"type": "object", "properties": {
    "kid": {"type": "string"},
    "state": {"type": "string", "enum": ["announced", "signing", "accepted"],
      "description": "announced: published, signs from not_before on; accepted: signs no more"},
    "not_before": {"type": "string", "format": "date-time"},
    "retired_at": {"type": ["string", "null"], "format": "date-time",
      "description": "From when on nothing that it signed is accepted"}},
    "required": ["kid", "state", "not_before", "retired_at"]}}},
  "required": ["data"]},
"TokenKeyRotate": {"type": "object", "additionalProperties": false, "properties": {
  "retire_now": {"type": "boolean", "default": false, "description": "Refuse every access token at once"}}},
"JwkSet": {"type": "object", "description": "Public keys of access tokens (RFC 7517)", "properties": {
  "keys": {"type": "array", "items": {"type": "object", "properties": {
    "kty": {"type": "string"},
    "crv": {"type": "string"},
    "use": {"type": "string"},
    "alg": {"type": "string"},
    "kid": {"type": "string"},
    "x": {"type": "string"}},
    "required": ["kty", "kid"]}}},
  "required": ["keys"]},
"OpenIdConfiguration": {"type": "object", "description": "Who issues access tokens, and where their keys are", "properties": {
  "issuer": {"type": "string"},
  "jwks_uri": {"type": "string"},
  "id_token_signing_alg_values_supported": {"type": "array", "items": {"type": "string"}},
  "subject_types_supported": {"type": "array", "items": {"type": "string"}},
  "claims_supported": {"type": "array", "items": {"type": "string"}}},
  "required": ["issuer", "jwks_uri"]}
})json";

}  // namespace

std::string_view people_schemas() { return kPeopleSchemas; }

}  // namespace rowhouse::http
