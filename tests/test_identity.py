"""People: signing in, what they may do, how their access ends; roles, sessions, tokens; the command line for it."""

import concurrent.futures
import hashlib
import hmac
import json
import os
import pty
import subprocess
import types
import uuid

import jsonschema
import pytest

from support import settings
from support.api import Api, text_of
from support.people import Person, add_person, encoded, new_email, new_platform_admin, parts_of, put_together, with_token
from support.server import environment, wait_until

UNKNOWN = "credential_unknown"


@pytest.fixture(scope="module")
def team(admin):
    """A tekup tenant with an admin and two users."""

    tenant = admin.create_tenant("People of tekup")
    boss, one, two = (add_person(admin, tenant, role, name)
                      for name, role in (("boss", None), ("one", "user"), ("two", "user")))
    return types.SimpleNamespace(tenant=tenant, boss=boss, one=one, two=two)


# ---- signing in

def test_the_first_user_is_the_admin_and_later_ones_need_a_role(admin, team):
    assert team.boss.user["role"] == "admin"
    problem = admin.refused("POST", f"/v1/tenants/{team.tenant.slug}/users", 422, "validation_failed",
                            json={"email": new_email()})
    assert [fault["path"] for fault in problem["errors"]] == ["/role"]


def test_login_gives_a_token_that_opens_the_tenants_rows(team):
    signed_in = team.boss.login().json()
    assert signed_in["tenant"]["slug"] == team.tenant.slug and signed_in["role"] == "admin"
    assert signed_in["token_type"] == "Bearer" and 0 < signed_in["expires_in"] <= 600
    api = with_token(team.boss.url, signed_in["access_token"])
    lead = api.post("/v1/data/leads", {"name": "By a person"}, 201)
    assert team.tenant.api.get(f"/v1/data/leads/{lead['id']}")["name"] == "By a person"
    answer = api.call("GET", "/v1/data/leads", 200)
    assert answer.headers["X-Tenant-ID"] == team.tenant.id


def test_who_am_i(team):
    me = team.one.api.get("/v1/me")
    assert (me["kind"], me["id"], me["email"], me["role"]) == ("user", team.one.id, team.one.email, "user")
    assert me["tenant"]["id"] == team.tenant.id and me["session"] == team.one.signed_in["session"]
    assert me["operations"] and "*" not in me["operations"]
    key = team.tenant.api.get("/v1/me")
    assert (key["kind"], key["email"], key["operations"], key["tenant"]["id"]) == ("key", None, ["*"], team.tenant.id)


def test_the_tenant_may_be_left_out_by_who_has_one(team):
    assert Person(team.one.url, team.one.email, team.one.password).login().json()["tenant"]["id"] == team.tenant.id


def test_every_failed_login_has_one_answer(admin, team):
    other = admin.create_tenant("Not theirs")
    disabled = add_person(admin, team.tenant, "user")
    admin.patch(f"/v1/platform/users/{disabled.id}", {"status": "disabled"})
    stranger = Person(team.one.url, new_email("nobody"), "wrong password here", team.tenant.slug)
    target = add_person(admin, team.tenant, "user")
    attempts = {
        "unknown user": stranger.login(401),
        "wrong password": target.login(401, password="not the password"),
        "another tenant": target.login(401, tenant=other.slug),
        "no such tenant": target.login(401, tenant="no-such-tenant"),
        "disabled": disabled.login(401),
        "an empty password": target.login(401, password=""),
        "a long password": target.login(401, password="x" * 5000),
    }
    texts = {text_of(answer) for answer in attempts.values()}
    assert len(texts) == 1, {what: answer.text for what, answer in attempts.items()}
    assert attempts["wrong password"].json()["code"] == UNKNOWN


@pytest.mark.parametrize("body", [[], {"email": "a@b.example"}, {"email": 1, "password": "x"}, {"password": "x"},
                                  {"email": "a@b.example", "password": "x", "more": 1}])
def test_bad_login_bodies(server, body):
    server.anonymous.refused("POST", "/v1/auth/login", 422, "validation_failed", json=body)


def test_attempts_on_one_account_do_not_lock_others_out(admin, team):
    target = add_person(admin, team.tenant, "user", "target")
    target.login()  # so that this address is one that the account was signed in from
    for _ in range(5):
        target.login(401, password="guess number something")
    refused = target.login(429)
    assert refused.json()["code"] == "rate_limited" and int(refused.headers["Retry-After"]) > 1
    assert target.login(429, password="still guessing").status_code == 429
    team.one.login()  # from the same address


# ---- refresh and logout

def test_refresh_gives_new_tokens_and_a_reused_one_ends_the_session(admin, team):
    person = add_person(admin, team.tenant, "user")
    api = person.api
    api.get("/v1/me")
    first = person.signed_in["refresh_token"]
    second = person.refresh().json()
    assert second["refresh_token"] != first and second["session"] == parts_of(second["access_token"])[1]["sid"]
    with_token(person.url, second["access_token"]).get("/v1/me")
    assert person.refresh(401, token=first).json()["code"] == UNKNOWN
    # the thief's use of the old one ends what the owner has, too
    api.refused("GET", "/v1/me", 401, UNKNOWN)
    with_token(person.url, second["access_token"]).refused("GET", "/v1/me", 401, UNKNOWN)
    person.refresh(401, token=second["refresh_token"])


@pytest.mark.parametrize("token", ["", "rht_", "rht_" + "A" * 43, "rubbish", "\u0000", "x" * 10000])
def test_foreign_refresh_tokens(server, token):
    answer = server.anonymous.call("POST", "/v1/auth/refresh", 401, json={"refresh_token": token})
    assert answer.json()["code"] == UNKNOWN
    server.anonymous.call("POST", "/v1/auth/logout", 204, json={"refresh_token": token})


def test_logout_ends_the_session_on_its_open_connection(admin, team):
    person = add_person(admin, team.tenant, "user")
    api = person.api
    api.get("/v1/me")
    Api(person.url).call("POST", "/v1/auth/logout", 204, json={"refresh_token": person.signed_in["refresh_token"]})
    api.refused("GET", "/v1/me", 401, UNKNOWN)
    person.refresh(401)


# ---- access that ends, on the next request of an open connection

def test_removing_a_member_ends_access_at_once(admin, team):
    person = add_person(admin, team.tenant, "user")
    api = person.api
    api.get("/v1/data/leads")
    team.boss.api.delete(f"/v1/users/{person.id}")
    api.refused("GET", "/v1/data/leads", 401, UNKNOWN)
    person.refresh(401)
    person.login(401)
    admin.call("GET", f"/v1/platform/users/{person.id}", (200, 404))


def test_disabling_a_member_ends_access_at_once(admin, team):
    person = add_person(admin, team.tenant, "user")
    api = person.api
    api.get("/v1/data/leads")
    admin.patch(f"/v1/tenants/{team.tenant.slug}/users/{person.id}", {"status": "disabled"})
    api.refused("GET", "/v1/data/leads", 401, UNKNOWN)
    person.login(401)
    admin.patch(f"/v1/tenants/{team.tenant.slug}/users/{person.id}", {"status": "active"})
    person.login()


def test_another_role_counts_from_the_next_request_on(admin, team):
    person = add_person(admin, team.tenant, "user")
    api = person.api
    api.refused("GET", "/v1/sessions", 403, "permission_missing")
    admin.patch(f"/v1/tenants/{team.tenant.slug}/users/{person.id}", {"role": "admin"})
    assert api.get("/v1/me")["role"] == "admin"
    api.get("/v1/sessions")
    admin.patch(f"/v1/tenants/{team.tenant.slug}/users/{person.id}", {"role": "user"})
    api.refused("GET", "/v1/sessions", 403, "permission_missing")


def test_a_suspended_tenant_refuses_its_people(admin):
    tenant = admin.create_tenant("To be suspended")
    person = add_person(admin, tenant)
    api = person.api
    api.get("/v1/me")
    admin.post(f"/v1/tenants/{tenant.id}/suspend")
    api.refused("GET", "/v1/me", 403, "tenant_suspended")
    assert person.login(403).json()["code"] == "tenant_suspended"
    admin.post(f"/v1/tenants/{tenant.id}/resume")
    api.get("/v1/me")


def test_a_revoked_session_is_refused_and_others_go_on(admin, team):
    person = add_person(admin, team.tenant, "user")
    first, second = person.login().json(), person.login().json()
    apis = [with_token(person.url, one["access_token"]) for one in (first, second)]
    listed = apis[0].get("/v1/me/sessions")["data"]
    assert {session["id"] for session in listed} == {first["session"], second["session"]}
    assert {session["email"] for session in listed} == {person.email}
    team.boss.api.delete(f"/v1/sessions/{first['session']}")
    apis[0].refused("GET", "/v1/me", 401, UNKNOWN)
    apis[1].get("/v1/me")
    apis[1].refused("DELETE", f"/v1/me/sessions/{team.boss.signed_in['session']}", 404, "not_found")
    third = person.login().json()
    assert apis[1].call("DELETE", "/v1/me/sessions", 200).json() == {"ended": 1}
    with_token(person.url, third["access_token"]).refused("GET", "/v1/me", 401, UNKNOWN)
    apis[1].delete(f"/v1/me/sessions/{second['session']}")
    apis[1].refused("GET", "/v1/me", 401, UNKNOWN)


def test_changing_ones_password(admin, team):
    person = add_person(admin, team.tenant, "user")
    elsewhere = with_token(person.url, person.login().json()["access_token"])
    api = person.api
    new = "a longer and better one 7"
    bad = api.call("POST", "/v1/auth/password", 401, json={"current_password": "wrong one", "new_password": new})
    assert bad.json()["code"] == UNKNOWN
    for weak in ("short", "password1234", "abababababab", person.email.split("@")[0] + "1"):
        api.refused("POST", "/v1/auth/password", 422, "validation_failed",
                    json={"current_password": person.password, "new_password": weak})
    api.call("POST", "/v1/auth/password", 204, json={"current_password": person.password, "new_password": new})
    api.get("/v1/me")
    elsewhere.refused("GET", "/v1/me", 401, UNKNOWN)
    person.login(401)
    person.password = new
    person.login()
    team.tenant.api.refused("POST", "/v1/auth/password", 403, "forbidden",
                            json={"current_password": "x", "new_password": "y"})


# ---- tokens

def hostile_tokens(token, jwk):
    header, claims, signature = parts_of(token)
    signed = token.rsplit(".", 1)[0].encode()
    public = encoded(b"").encode() + jwk["x"].encode()
    other = dict(claims, tid=str(uuid.uuid4()))
    yield "none", put_together({**header, "alg": "none"}, claims, b"")
    yield "nOnE", put_together({**header, "alg": "nOnE"}, claims, signature)
    yield "no signature", token.rsplit(".", 1)[0] + "."
    yield "two parts", token.rsplit(".", 1)[0]
    yield "HS256 with the public key", put_together({**header, "alg": "HS256"}, claims,
                                                    hmac.new(public, signed, hashlib.sha256).digest())
    yield "embedded key", put_together({**header, "jwk": jwk}, claims, signature)
    yield "jku", put_together({**header, "jku": "http://127.0.0.1/jwks.json"}, claims, signature)
    yield "x5u", put_together({**header, "x5u": "http://127.0.0.1/cert.pem"}, claims, signature)
    yield "crit", put_together({**header, "crit": ["exp"]}, claims, signature)
    for kid in ("", "../../etc/passwd", "' OR 1=1 --", "x" * 300, None, 1, ["a"]):
        yield f"kid {kid!r:.20}", put_together({**header, "kid": kid}, claims, signature)
    yield "typ JWT", put_together({**header, "typ": "JWT"}, claims, signature)
    for changed in ({"iss": "https://evil.example"}, {"aud": "rowhouse-platform"}, {"exp": claims["exp"] + 10_000},
                    {"sub": str(uuid.uuid4())}, {"role": "admin"}):
        yield f"changed {list(changed)[0]}", put_together(header, {**claims, **changed}, signature)
    yield "another tenant", put_together(header, other, signature)
    yield "no tenant", put_together(header, {name: value for name, value in claims.items() if name != "tid"}, signature)
    yield "a flipped bit", token[:-10] + ("A" if token[-10] != "A" else "B") + token[-9:]
    yield "padding", token + "="
    yield "a space inside", token[:20] + " " + token[20:]
    yield "very long", token + "A" * 5000
    yield "no JSON", "AAAA.BBBB.CCCC"


def test_hostile_tokens(server, team):
    token = team.boss.login().json()["access_token"]
    (jwk, *_) = server.anonymous.get("/.well-known/jwks.json")["keys"]
    answers = {what: with_token(server.url, bad).call("GET", "/v1/data/leads", 401) for what, bad in hostile_tokens(token, jwk)}
    assert {answer.json()["code"] for answer in answers.values()} == {UNKNOWN}
    for what, bad in hostile_tokens(token, jwk):
        with_token(server.url, bad).refused("GET", "/v1/platform/users", 401, UNKNOWN)
    with_token(server.url, token).get("/v1/data/leads")


def test_a_token_and_a_key_are_one_too_many(team):
    api = team.one.api
    for name, value in (("X-Tenant-Key", team.tenant.key), ("X-Tenant-Key", "")):
        api.refused("GET", "/v1/me", 400, "malformed_request", headers={name: value})


def test_a_token_opens_no_other_tenant(admin, team):
    other = admin.create_tenant("Neighbour")
    api = team.boss.api
    for named in (other.id, other.slug, "nobody-here"):
        api.refused("GET", "/v1/data/leads", 403, "tenant_mismatch", headers={"X-Tenant-ID": named})
    api.call("GET", "/v1/data/leads", 200, headers={"X-Tenant-ID": team.tenant.slug})


def test_tokens_of_tenants_open_no_platform_and_the_reverse(admin, team):
    platform = new_platform_admin(admin)
    assert platform.login().json()["tenant"] is None
    platform.api.get("/v1/tenants?limit=1")
    platform.api.refused("GET", "/v1/data/leads", 401, UNKNOWN)
    platform.api.refused("GET", "/v1/me", 401, UNKNOWN)
    team.boss.api.refused("GET", "/v1/tenants", 401, UNKNOWN)


def test_keys_are_published_and_verify_what_the_server_signs(server, team):
    keys = server.anonymous.call("GET", "/.well-known/jwks.json", 200)
    assert "max-age=300" in keys.headers["Cache-Control"]
    header, claims, signature = parts_of(team.boss.login().json()["access_token"])
    assert set(header) == {"alg", "kid", "typ"} and header["alg"] == "EdDSA"
    (jwk,) = [key for key in keys.json()["keys"] if key["kid"] == header["kid"]]
    assert (jwk["kty"], jwk["crv"]) == ("OKP", "Ed25519") and "d" not in jwk
    assert len(signature) == 64
    discovery = server.anonymous.get("/.well-known/openid-configuration")
    assert discovery["issuer"] == claims["iss"] == server.url and discovery["jwks_uri"] == claims["iss"] + "/.well-known/jwks.json"


def test_the_signing_key_rotates_without_logout(server, admin, team):
    person = add_person(admin, team.tenant, "user")
    api = person.api
    before = server.anonymous.get("/.well-known/jwks.json")["keys"]
    listed = admin.post("/v1/token-keys", expect=201)["data"]
    assert [key["state"] for key in listed[:2]] == ["announced", "signing"] and listed[1]["retired_at"]
    assert len(server.anonymous.get("/.well-known/jwks.json")["keys"]) == len(before) + 1
    api.get("/v1/me")
    assert parts_of(person.refresh().json()["access_token"])[0]["kid"] == listed[1]["kid"]
    new = json.loads(server.cli("token-key", "rotate", "--retire-now", "--json").stdout)["data"][0]
    assert new["state"] == "signing"
    wait_until(lambda: api.call("GET", "/v1/me").status_code == 401, "the old key is refused")
    wait_until(lambda: parts_of(person.refresh().json()["access_token"])[0]["kid"] == new["kid"], "the new key signs")
    person.api.get("/v1/me")
    assert new["kid"] in server.cli("token-key", "list").stdout
    team.boss.signed_in = team.one.signed_in = None  # whoever comes next signs in anew


# ---- who may do what

def test_a_user_may_not_manage_users_and_nobody_can_give_more_than_they_have(admin, team):
    for method, path, body in (("GET", "/v1/roles", None), ("POST", "/v1/users", {"email": new_email(), "role": "user"}),
                               ("DELETE", f"/v1/users/{team.two.id}", None), ("GET", "/v1/sessions", None),
                               ("POST", "/v1/roles", {"name": "mine", "operations": ["*"]})):
        problem = team.one.api.refused(method, path, 403, "permission_missing", json=body)
        assert ":" in problem["detail"], problem
    team.boss.api.post("/v1/roles", {"name": "people", "operations": ["user:*", "role:read"]}, 201)
    clerk = add_person(admin, team.tenant, "people", "clerk")
    clerk.api.get("/v1/users")
    clerk.api.refused("POST", "/v1/users", 403, "permission_missing", json={"email": new_email(), "role": "admin"})
    clerk.api.refused("PATCH", f"/v1/users/{clerk.id}", 403, "permission_missing", json={"role": "admin"})
    clerk.api.refused("PATCH", f"/v1/users/{team.boss.id}", 403, "permission_missing", json={"password": "a new one for the boss"})
    clerk.api.refused("DELETE", f"/v1/users/{team.boss.id}", 403, "permission_missing")
    clerk.api.refused("GET", "/v1/data/leads", 403, "permission_missing")


def test_roles_of_a_tenants_own(admin, team):
    api = team.boss.api
    made = api.post("/v1/roles", {"name": "reader", "description": "looks", "operations": ["lead:read"]}, 201)
    assert (made["origin"], made["rows"], made["operations"]) == ("tenant", "all", ["lead:read"])
    reader = add_person(admin, team.tenant, "reader")
    reader.api.get("/v1/data/leads")
    reader.api.refused("POST", "/v1/data/leads", 403, "permission_missing", json={"name": "no"})
    open_connection = reader.api
    open_connection.get("/v1/data/leads")
    api.patch("/v1/roles/reader", {"operations": ["lead:read", "lead:create"]})
    open_connection.post("/v1/data/leads", {"name": "now yes"}, 201)
    api.patch("/v1/roles/reader", {"operations": ["lead:create"]})
    open_connection.refused("GET", "/v1/data/leads", 403, "permission_missing")
    api.refused("DELETE", "/v1/roles/reader", 409, "conflict")
    api.delete(f"/v1/users/{reader.id}")
    api.delete("/v1/roles/reader")
    api.refused("GET", "/v1/roles/reader", 404, "not_found")
    names = {role["name"]: role["origin"] for role in api.get("/v1/roles")["data"]}
    assert names["admin"] == names["user"] == "pack" and "reader" not in names
    api.refused("DELETE", "/v1/roles/admin", 403, "forbidden")
    for operations in ([], ["nonsense"], ["rocket:launch"]):
        api.refused("POST", "/v1/roles", 422, "validation_failed", json={"name": "bad", "operations": operations})


def test_another_tenants_admin_finds_nobody(admin, team):
    other = admin.create_tenant("Other company")
    stranger = add_person(admin, other)
    for method, body in (("GET", None), ("PATCH", {"role": "user"}), ("DELETE", None)):
        texts = {text_of(stranger.api.call(method, f"/v1/users/{user}", 404, json=body)) for user in (team.one.id, uuid.uuid4())}
        assert len(texts) == 1
    stranger.api.refused("DELETE", f"/v1/sessions/{team.boss.login().json()['session']}", 404, "not_found")
    assert {user["email"] for user in stranger.api.get("/v1/users")["data"]} == {stranger.email}
    assert stranger.api.get("/v1/sessions")["data"][0]["email"] == stranger.email
    team.one.login()


def test_one_person_at_two_tenants(admin, team):
    other = admin.create_tenant("Second home")
    person = add_person(admin, team.tenant, "user")
    again = admin.post(f"/v1/tenants/{other.id}/users", {"email": person.email, "role": "admin"}, 201)
    assert (again["account"], again["password"], again["user"]["id"]) == ("known", None, person.id)
    person.tenant = None
    problem = person.login(422).json()
    assert [fault["path"] for fault in problem["errors"]] == ["/tenant"]
    roles = {}
    for tenant in (team.tenant, other):
        signed_in = person.login(tenant=tenant.slug).json()
        roles[tenant.id] = with_token(person.url, signed_in["access_token"]).get("/v1/me")["role"]
    assert roles == {team.tenant.id: "user", other.id: "admin"}


def test_the_last_admin_of_a_tenant_stays(admin):
    tenant = admin.create_tenant("One admin")
    boss = add_person(admin, tenant)
    boss.api.refused("DELETE", f"/v1/users/{boss.id}", 409, "conflict")
    boss.api.refused("PATCH", f"/v1/users/{boss.id}", 409, "conflict", json={"role": "user"})


def test_lists_go_page_by_page(admin):
    tenant = admin.create_tenant("Many people")
    made = {add_person(admin, tenant, "user" if i else None).id for i in range(5)}
    seen, cursor = [], None
    while True:
        page = tenant.api.get("/v1/users?limit=2" + (f"&cursor={cursor}" if cursor else ""))
        seen += [user["id"] for user in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == 5 and set(seen) == made
    tenant.api.refused("GET", "/v1/users?cursor=rubbish", 400, "invalid_cursor")
    tenant.api.refused("GET", "/v1/users?limit=0", 400, "invalid_parameter")
    assert len(tenant.api.get("/v1/users?role=admin")["data"]) == 1


def test_a_deleted_tenant_leaves_nobody(server, admin):
    tenant = admin.create_tenant("Short-lived")
    person = add_person(admin, tenant)
    person.login()
    admin.delete(f"/v1/tenants/{tenant.id}")
    person.login(401)
    for table in ("memberships", "roles", "sessions", "invitations"):
        rows = server.query(f"SELECT count(*) FROM identity.{table} WHERE tenant_id = %s", (tenant.id,), database="rowhouse_identity")
        assert rows[0][0] == 0, table


# ---- platform admins

def test_platform_admins(admin):
    new_platform_admin(admin)  # the last one could not go
    platform = new_platform_admin(admin)
    listed = platform.api.get("/v1/platform/users?platform_admin=true&limit=500")["data"]
    assert platform.email in {user["email"] for user in listed}
    platform.api.refused("POST", "/v1/platform/users", 409, "conflict", json={"email": platform.email.upper()})
    new = "something quite new 42"
    api = platform.api
    api.call("POST", "/v1/platform/password", 204, json={"current_password": platform.password, "new_password": new})
    api.get("/v1/platform/users?limit=1")
    admin.refused("POST", "/v1/platform/password", 403, "forbidden", json={"current_password": "x", "new_password": "y"})
    admin.patch(f"/v1/platform/users/{platform.id}", {"platform_admin": False})
    api.refused("GET", "/v1/tenants", 401, UNKNOWN)
    admin.delete(f"/v1/platform/users/{platform.id}")
    admin.refused("GET", f"/v1/platform/users/{platform.id}", 404, "not_found")


def test_a_service_key_for_users_makes_no_platform_admin(server, admin):
    """It could do everything through one."""
    made = admin.post("/v1/service-keys", {"name": "users", "scopes": ["users:read", "users:manage"]}, 201)
    service = with_token(server.url, made["secret"])
    body = {"email": new_email(), "platform_admin": True}
    service.refused("POST", "/v1/platform/users", 403, "permission_missing", json=body)
    user = service.post("/v1/platform/users", {**body, "platform_admin": False}, 201)["user"]
    service.refused("PATCH", f"/v1/platform/users/{user['id']}", 403, "permission_missing", json={"platform_admin": True})
    platform = new_platform_admin(admin)
    for method, change in (("PATCH", {"password": "mine from now on 1"}), ("PATCH", {"email": new_email()}), ("DELETE", None)):
        service.refused(method, f"/v1/platform/users/{platform.id}", 403, "permission_missing", json=change)
    platform.login()
    service.delete(f"/v1/platform/users/{user['id']}")


# ---- what is kept, and what is not

def test_passwords_and_tokens_are_nowhere_in_plain(server, admin, team):
    person = add_person(admin, team.tenant, "user")
    signed_in = person.login().json()
    person.login(401, password="a guess in plain text")
    rows = server.query("SELECT u::text FROM identity.users u UNION ALL SELECT s::text FROM identity.sessions s"
                        " UNION ALL SELECT o::text FROM identity.outbox o", database="rowhouse_identity")
    kept = json.dumps(rows) + server.log()
    for secret in (person.password, signed_in["refresh_token"], signed_in["access_token"], "a guess in plain text"):
        assert secret not in kept


def test_changes_and_refusals_are_recorded(server, admin, team):
    person = add_person(admin, team.tenant, "user")
    person.login(401, password="a wrong password")
    admin.delete(f"/v1/tenants/{team.tenant.slug}/users/{person.id}")
    wanted = {"user.created", "member.added", "member.removed"}
    def recorded():
        rows = server.query("SELECT DISTINCT action FROM platform.audit_log WHERE object_id = %s", (person.id,),
                            database="rowhouse_platform")
        return wanted <= {row[0] for row in rows}

    wait_until(recorded, "the changes are in the audit")


def test_answers_have_the_form_of_the_document(server, admin, team):
    document = server.anonymous.get("/openapi.json")
    api = team.boss.api
    places = {"{user}": team.one.id, "{role}": "admin", "{tenant}": team.tenant.slug}
    seen = 0
    for path, item in document["paths"].items():
        operation = item.get("get")
        if operation is None or not operation.get("tags", [""])[0] in ("Sign-in", "People", "People of tenants", "Accounts"):
            continue
        concrete = path
        for name, value in places.items():
            concrete = concrete.replace(name, value)
        client = admin if operation["x-rowhouse-audience"] == "platform" else api
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(client.get(concrete))
        seen += 1
    assert seen >= 15


# ---- row rules

def test_users_see_their_own_leads_and_the_admin_all(admin):
    tenant = admin.create_tenant("Own rows")
    boss, one, two = (add_person(admin, tenant, role) for role in (None, "user", "user"))
    mine, theirs = (person.api.post("/v1/data/leads", {"name": person.email}, 201) for person in (one, two))
    of_a_key = tenant.api.post("/v1/data/leads", {"name": "imported"}, 201)

    def seen_by(person):
        return {lead["id"] for lead in person.api.get("/v1/data/leads")["data"]}

    assert (seen_by(one), seen_by(two)) == ({mine["id"]}, {theirs["id"]})
    assert seen_by(boss) == {mine["id"], theirs["id"], of_a_key["id"]}
    for method, body in (("GET", None), ("PATCH", {"name": "taken"})):
        texts = {text_of(one.api.call(method, f"/v1/data/leads/{lead}", 404, json=body)).replace(lead, "ID")
                 for lead in (theirs["id"], str(uuid.uuid4()))}
        assert len(texts) == 1
    boss.api.patch(f"/v1/data/leads/{of_a_key['id']}", {"assigned_to": one.id})
    assert seen_by(one) == {mine["id"], of_a_key["id"]}
    admin.patch(f"/v1/tenants/{tenant.slug}/users/{one.id}", {"role": "admin"})
    assert seen_by(one) == seen_by(boss)


# ---- load

def test_many_sign_in_at_once_and_requests_go_on(admin, team):
    api = team.boss.api
    people = [add_person(admin, team.tenant, "user") for _ in range(8)]

    def sign_in(turn):
        return people[turn % len(people)].login((200, 503)).status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        attempts = pool.map(sign_in, range(24))
        for _ in range(50):
            api.get("/v1/data/leads?limit=1")
        assert 200 in set(attempts)


# ---- the command line

def test_a_password_is_typed_without_echo(server, admin, team):
    person = add_person(admin, team.tenant, "user")
    new = "typed on a terminal 5"

    def run(*lines):
        """Answers each question with a line; what the terminal shows, and the exit status."""
        master, slave = pty.openpty()
        env = environment({"ROWHOUSE_URL": server.url, "ROWHOUSE_ADMIN_TOKEN": server.admin_token})
        process = subprocess.Popen([str(settings.BINARY), "user", "password", person.email], env=env, close_fds=True,
                                   stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        shown = ""
        for question, line in zip(("Password for", "Once more"), lines):
            while question not in shown:
                shown += os.read(master, 1000).decode()
            os.write(master, line.encode() + b"\n")
        try:
            while piece := os.read(master, 1000):
                shown += piece.decode()
        except OSError:  # the other end is closed
            pass
        os.close(master)
        return shown, process.wait(settings.REQUEST_LIMIT_S)

    shown, status = run("one thing entirely", "and another one")
    assert status == 2 and "differ" in shown and "entirely" not in shown
    person.login()
    shown, status = run(new, new)
    assert status == 0 and new not in shown, shown
    person.login(401)
    person.password = new
    person.login()


def test_cli(server, admin):
    tenant = admin.create_tenant("By command line")
    email, mail = new_email("cli"), new_email("boss")
    boss = json.loads(server.cli("user", "create", tenant.slug, mail, "--json").stdout)
    assert boss["user"]["role"] == "admin" and boss["password"]
    shown = server.cli("user", "create", tenant.slug, email, "--role", "user", "--name", "Cli User", "--password",
                       stdin="a password from stdin\n")
    assert "a password from stdin" not in shown.stdout + shown.stderr
    person = Person(server.url, email, "a password from stdin", tenant.slug)
    person.login()
    assert email in server.cli("user", "list", tenant.slug).stdout
    server.cli("user", "role", tenant.slug, email, "admin")
    assert person.api.get("/v1/me")["role"] == "admin"
    server.cli("user", "password", email, stdin="another password, too\n")
    person.login(401)
    person.password, person.signed_in = "another password, too", None
    api = person.api
    listed = json.loads(server.cli("session", "list", "--tenant", tenant.slug, "--user", email, "--json").stdout)["data"]
    (session,) = [one["id"] for one in listed if one["id"] == person.signed_in["session"]]
    server.cli("session", "revoke", session)
    api.refused("GET", "/v1/me", 401, UNKNOWN)
    server.cli("role", "create", tenant.slug, "reader", "--operation", "lead:read", "--operation", "lead:create")
    assert "reader" in server.cli("role", "list", tenant.slug).stdout
    server.cli("role", "delete", tenant.slug, "reader")
    server.cli("user", "remove", tenant.slug, email)
    person.login(401)
    server.cli("user", "remove", tenant.slug, email, expect=1)
    new_platform_admin(admin)  # the last one could not go
    admin_email = new_email("root")
    made = json.loads(server.cli("admin", "create", admin_email, "--json").stdout)
    assert Person(server.url, admin_email, made["password"]).login().json()["role"] == "platform_admin"
    assert admin_email in server.cli("admin", "list").stdout
    server.cli("admin", "remove", admin_email)
    assert admin_email not in server.cli("admin", "list").stdout
