"""Single sign-on: a tenant's identity provider (the real oidc-provider), what a hostile one can not do, its tokens."""

import base64
import hashlib
import hmac
import json
import time
import types
import urllib.parse

import pytest
import requests

from support.api import Api
from support.identity_provider import HostileProvider, RealProvider, authorize, shared_key
from support.people import add_person, encoded, new_email, new_platform_admin, with_token
from support.server import Server, wait_until
from support.temporary import free_port

CHEAP = {"ROWHOUSE_PASSWORD_MEMORY": "8MiB", "ROWHOUSE_PASSWORD_PASSES": "1", "ROWHOUSE_SSO_REACH": "development",
         "ROWHOUSE_PACKS": "tekup"}
CALLBACK = "/v1/auth/sso/callback"
AUDIENCE = "urn:rowhouse:rows"
ADA, BOB = "ada@acme.example", "bob@elsewhere.example"


@pytest.fixture(scope="module")
def server(work):
    port = free_port()
    running = Server(work / "data", port=port, env={**CHEAP, "ROWHOUSE_ISSUER": f"http://127.0.0.1:{port}"})
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.clear()


@pytest.fixture(scope="module")
def admin(server):
    return server.admin


@pytest.fixture(scope="module")
def real(server):
    provider = RealProvider(server.url + CALLBACK, resources=[AUDIENCE], accounts={
        "ada": {"email": ADA, "email_verified": True, "name": "Ada", "groups": ["everybody", "crm-admins"]},
        "bob": {"email": BOB, "email_verified": True, "name": "Bob", "groups": ["everybody"]},
        "eve": {"email": new_email("eve"), "email_verified": True, "groups": ["nobody"]}})
    yield provider
    provider.close()


@pytest.fixture(scope="module")
def with_userinfo(server):
    """It says who somebody is at userinfo alone, as many do."""
    provider = RealProvider(server.url + CALLBACK, userinfo=True,
                            accounts={"ida": {"email": "ida@info.example", "email_verified": True, "groups": ["everybody"]}})
    yield provider
    provider.close()


@pytest.fixture
def hostile():
    provider = HostileProvider()
    yield provider
    provider.close()


def provider_path(tenant):
    return f"/v1/tenants/{tenant.slug}/sso/provider"


def settings_of(provider, **changes):
    return {"issuer": provider.issuer, "client_id": "rowhouse", "client_secret": getattr(provider, "secret", None),
            "new_members": "join", "default_role": "user", **changes}


def set_provider(admin, tenant, provider, expect=200, **changes):
    return admin.call("PUT", provider_path(tenant), expect, json=settings_of(provider, **changes)).json()


def new_browser():
    browser = requests.Session()
    browser.trust_env = False
    return browser


def begin(server, browser=None, expect=302, **query):
    browser = browser or new_browser()
    answer = browser.get(server.url + "/v1/auth/sso/start", params=query, allow_redirects=False, timeout=60)
    assert answer.status_code == expect, answer.text
    return browser, answer.headers.get("Location")


def end(browser, url):
    return browser.get(url, allow_redirects=False, timeout=60)


def sign_in(server, tenant, provider, subject, **query):
    """The whole way. Returns browser and the callback's answer."""
    browser, url = begin(server, tenant=tenant.slug, **query)
    return browser, end(browser, authorize(url, subject, provider.issuer))


def me(server, browser):
    answer = browser.get(server.url + "/v1/me", timeout=60)
    return answer.json() if answer.status_code == 200 else answer.status_code


def assert_refused(answer, code="credential_unknown", status=401):
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    assert "Set-Cookie" not in answer.headers
    if code == "credential_unknown":
        assert answer.json()["detail"] == "the sign-in did not succeed; start again"


def claims_for(hostile, url, **changes):
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
    now = int(time.time())
    claims = {"iss": hostile.issuer, "aud": "rowhouse", "sub": "s1", "nonce": query["nonce"], "iat": now, "exp": now + 300, **changes}
    return {name: value for name, value in claims.items() if value is not None}, query["state"]


def hostile_sign_in(server, tenant, hostile, header=None, key=None, **claims):
    """A sign-in whose ID token holds just this."""
    browser, url = begin(server, tenant=tenant.slug)
    body, state = claims_for(hostile, url, **claims)
    hostile.id_token = lambda code: (key or hostile.key).token(body, **(header or {}))
    return browser, end(browser, f"{server.url}{CALLBACK}?state={state}&code=c")


def reasons(server, tenant):
    """What the audit says of refused sign-ins."""
    return server.query("SELECT DISTINCT new_values::text FROM platform.audit_log WHERE action = 'LOGIN_FAILED' AND tenant_id = %s::uuid",
                        (tenant.id,), "rowhouse_platform")


# ---- setting a provider

def test_a_provider_is_set_shown_and_removed(admin, real):
    tenant = admin.create_tenant()
    boss = add_person(admin, tenant)
    path = "/v1/sso/provider"
    boss.api.refused("GET", path, 404, "not_found")
    made = boss.api.call("PUT", path, 200, json=settings_of(real, role_mapping=[{"group": "g", "role": "admin"}])).json()
    assert made["has_secret"] and made["redirect_uri"].endswith(CALLBACK) and made["domains"] == []
    assert real.secret not in json.dumps(made)
    kept = boss.api.call("PUT", path, 200, json={"issuer": real.issuer, "client_id": "rowhouse"}).json()
    assert kept["has_secret"] and (kept["new_members"], kept["default_role"], kept["role_mapping"]) == ("refuse", None, [])
    assert not boss.api.call("PUT", path, 200, json={**settings_of(real), "client_secret": None}).json()["has_secret"]
    report = boss.api.post(path + "/test", None, 200)
    assert (report["keys"], report["offers_pkce"], report["problems"]) == (1, True, [])
    boss.api.delete(path)
    boss.api.refused("GET", path, 404, "not_found")
    boss.api.refused("DELETE", path, 404, "not_found")


@pytest.mark.parametrize("field, changes", [
    ("/issuer", {"issuer": "http://id.acme.example"}), ("/issuer", {"issuer": "https://u@id.acme.example"}),
    ("/issuer", {"issuer": "https://id.acme.example?x=1"}), ("/issuer", {"issuer": "file:///etc/passwd"}),
    ("/client_id", {"client_id": ""}), ("/scopes", {"scopes": ["email"]}), ("/scopes", {"scopes": ["openid", "a b"]}),
    ("/default_role", {"default_role": "no-such-role"}), ("/role_mapping/0/role", {"role_mapping": [{"group": "g", "role": "x"}]}),
    ("/role_mapping/0", {"role_mapping": [{"group": "g"}]}), ("/token_audience", {"accepts_tokens": True}),
    ("/token_audience", {"accepts_tokens": True, "token_audience": "rowhouse"}), ("/new_members", {"new_members": "maybe"}),
    ("/domains", {"domains": ["no domain"]}), ("/status", {"status": "odd"})])
def test_faults_are_named(admin, real, field, changes):
    if not hasattr(test_faults_are_named, "tenant"):
        test_faults_are_named.tenant = admin.create_tenant()
    problem = set_provider(admin, test_faults_are_named.tenant, real, 422, **changes)
    assert [fault["path"] for fault in problem["errors"]] == [field], problem


def test_who_may_set_a_provider(admin, real):
    tenant = admin.create_tenant()
    boss, path = add_person(admin, tenant), "/v1/sso/provider"
    boss.api.refused("PUT", path, 403, "forbidden", json=settings_of(real, domains=["acme.example"]))
    # It speaks for everybody, so it takes every permission.
    boss.api.post("/v1/roles", {"name": "clerk", "operations": ["identity_provider:manage", "identity_provider:read"]}, 201)
    clerk = add_person(admin, tenant, "clerk")
    clerk.api.refused("PUT", path, 403, "permission_missing", json=settings_of(real))
    user = add_person(admin, tenant, "user")
    user.api.refused("GET", path, 403, "permission_missing")
    small = admin.create_tenant(plan="basic")
    small.api.refused("PUT", path, 403, "feature_missing", json=settings_of(real))


def test_a_domain_belongs_to_one_tenant(admin, real):
    one, two = admin.create_tenant(), admin.create_tenant()
    assert set_provider(admin, one, real, domains=["One.example"])["domains"] == ["one.example"]
    set_provider(admin, two, real, 409, domains=["one.example"])
    assert set_provider(admin, one, real)["domains"] == ["one.example"]
    admin.delete(provider_path(one))
    # It stays the tenant's without a provider.
    set_provider(admin, two, real, 409, domains=["one.example"])


def test_a_broken_provider_is_explained(admin, hostile):
    tenant = admin.create_tenant()
    set_provider(admin, tenant, hostile, issuer=hostile.issuer + "/elsewhere")
    problem = admin.refused("POST", provider_path(tenant) + "/test", 502, "identity_provider_failed")
    assert "404" in problem["detail"]
    hostile.metadata = lambda: {"issuer": "https://other.example"}
    set_provider(admin, tenant, hostile)
    assert "other.example" in admin.refused("POST", provider_path(tenant) + "/test", 502, "identity_provider_failed")["detail"]


def test_the_command_line(server, admin, real):
    tenant = admin.create_tenant()
    server.cli("sso", "set", tenant.slug, "--issuer", real.issuer, "--client-id", "rowhouse", "--client-secret",
               "--group", "crm-admins=admin", "--domain", "cli.example", stdin=real.secret + "\n")
    shown = json.loads(server.cli("sso", "show", tenant.slug, "--json").stdout)
    assert (shown["has_secret"], shown["domains"]) == (True, ["cli.example"])
    server.cli("sso", "set", tenant.slug, "--default-role", "user", "--new-members", "join")
    shown = json.loads(server.cli("sso", "show", tenant.slug, "--json").stdout)
    assert (shown["has_secret"], shown["default_role"], shown["role_mapping"]) == (True, "user", [{"group": "crm-admins", "role": "admin"}])
    assert real.issuer in server.cli("sso", "test", tenant.slug).stdout
    server.cli("sso", "remove", tenant.slug)
    server.cli("sso", "show", tenant.slug, expect=3)
    admin.refused("GET", provider_path(tenant), 404, "not_found")


# ---- signing in, with the real provider

@pytest.fixture(scope="module")
def acme(admin, real):
    tenant = admin.create_tenant("Acme with single sign-on")
    set_provider(admin, tenant, real, domains=["acme.example"], role_mapping=[{"group": "crm-admins", "role": "admin"}],
                 accepts_tokens=True, token_audience=AUDIENCE)
    return tenant


def test_a_new_person_joins_with_the_role_of_their_group(server, admin, acme, real):
    browser, answer = sign_in(server, acme, real, "ada", return_to="/account/?from=sso")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/account/?from=sso"), answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    who = me(server, browser)
    assert (who["email"], who["role"], who["tenant"]["id"], who["name"]) == (ADA, "admin", acme.id, "Ada")
    assert browser.get(server.url + "/v1/data/leads", timeout=60).status_code == 200
    # Again: the same person.
    again, answer = sign_in(server, acme, real, "ada")
    assert answer.headers["Location"] == "/account/" and me(server, again)["id"] == who["id"]
    assert [user["email"] for user in acme.api.get("/v1/users")["data"]] == [ADA]
    # What a browser does with its session needs the CSRF token, as ever.
    assert browser.post(server.url + "/v1/data/leads", json={"name": "x"}, timeout=60).status_code == 403


def test_userinfo_says_what_the_id_token_leaves_out(server, admin, with_userinfo):
    tenant = admin.create_tenant()
    set_provider(admin, tenant, with_userinfo, role_mapping=[{"group": "everybody", "role": "admin"}])
    browser, answer = sign_in(server, tenant, with_userinfo, "ida")
    assert answer.status_code == 302, answer.text
    assert (me(server, browser)["email"], me(server, browser)["role"]) == ("ida@info.example", "admin")


def test_who_is_outside_of_the_domains_or_groups_does_not_join(server, admin, acme, real):
    assert_refused(sign_in(server, acme, real, "bob")[1])
    tenant = admin.create_tenant()
    set_provider(admin, tenant, real, default_role=None, role_mapping=[{"group": "everybody", "role": "user"}])
    assert sign_in(server, tenant, real, "bob")[1].status_code == 302
    assert_refused(sign_in(server, tenant, real, "eve")[1])
    set_provider(admin, tenant, real, new_members="refuse")
    assert_refused(sign_in(server, tenant, real, "ada")[1])
    assert len(tenant.api.get("/v1/users")["data"]) == 1


def test_the_provider_may_refuse_and_the_audit_says_why(server, acme, real):
    assert_refused(sign_in(server, acme, real, "no-such-subject")[1])
    wait_until(lambda: any("the provider refused" in text for (text,) in reasons(server, acme)), "the reason is recorded")


def test_a_person_in_a_browser_is_told_by_the_account_page(server, acme, real):
    browser, url = begin(server, tenant=acme.slug)
    answer = browser.get(authorize(url, "no-such-subject", real.issuer), headers={"Accept": "text/html,*/*"}, allow_redirects=False, timeout=60)
    assert answer.status_code == 302 and "Set-Cookie" not in answer.headers
    assert urllib.parse.urljoin(answer.url, answer.headers["Location"]) == server.url + "/account/#/sign-in-failed"


def test_discovery_by_domain_and_tenant(server, admin, acme):
    ask = lambda **body: server.anonymous.post("/v1/auth/sso/discover", body, 200)
    yes, no = {"available": True, "tenant": acme.slug}, {"available": False, "tenant": None}
    for email in (ADA, "nobody-at-all@ACME.example"):
        assert ask(email=email) == yes
    assert ask(tenant=acme.slug) == ask(tenant=acme.id) == yes
    without = admin.create_tenant()
    for body in ({"email": BOB}, {"email": "x@sub.acme.example"}, {"email": "acme.example"}, {"tenant": without.slug}, {"tenant": "no-such"}):
        assert ask(**body) == no, body
    for body in ({}, {"email": ADA, "tenant": acme.slug}, {"email": 7}):
        server.anonymous.refused("POST", "/v1/auth/sso/discover", 422, "validation_failed", json=body)
    begin(server, expect=404, tenant=without.slug)
    assert "login_hint=ada" in begin(server, email=ADA)[1]


@pytest.mark.parametrize("path", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\nb", "account"])
def test_the_way_back_stays_here(server, acme, path):
    begin(server, expect=422, tenant=acme.slug, return_to=path)


# ---- the answer of a provider, swapped, replayed, stolen

def test_a_state_is_good_once_and_in_its_browser(server, acme, real):
    browser, url = begin(server, tenant=acme.slug)
    back = authorize(url, "ada", real.issuer)
    victim, _ = begin(server, tenant=acme.slug)
    for other in (new_browser(), victim):  # without a sign-in of its own, and with one
        assert_refused(end(other, back))
    # The attempts have not used it up for whom it belongs to.
    assert end(browser, back).status_code == 302
    for _ in range(2):
        assert_refused(end(browser, back))


def test_a_code_of_another_sign_in_is_worth_nothing(server, acme, real):
    """Codes are bound to the verifier: one that was stolen, or pushed on somebody, is not exchanged."""
    thief, own = begin(server, tenant=acme.slug)
    victim, url = begin(server, tenant=acme.slug)
    stolen = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(authorize(url, "ada", real.issuer)).query))
    back = urllib.parse.urlsplit(authorize(own, "bob", real.issuer))
    query = {**dict(urllib.parse.parse_qsl(back.query)), "code": stolen["code"]}
    assert_refused(end(thief, urllib.parse.urlunsplit(back._replace(query=urllib.parse.urlencode(query)))))


def test_the_answer_must_name_its_issuer(server, acme, real):
    for iss in (None, "https://evil.example", real.issuer + "/"):
        browser, url = begin(server, tenant=acme.slug)
        back = urllib.parse.urlsplit(authorize(url, "ada", real.issuer))
        query = {name: value for name, value in urllib.parse.parse_qsl(back.query) if name != "iss"}
        query.update({"iss": iss} if iss else {})
        assert_refused(end(browser, urllib.parse.urlunsplit(back._replace(query=urllib.parse.urlencode(query)))))


def test_answers_without_sense(server, acme):
    browser, url = begin(server, tenant=acme.slug)
    state = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))["state"]
    assert end(browser, server.url + CALLBACK).json()["code"] == "validation_failed"
    assert_refused(end(browser, f"{server.url}{CALLBACK}?state=rhs_{'A' * 43}&code=c"))
    assert_refused(end(browser, f"{server.url}{CALLBACK}?state=' OR 1=1&code=c"))
    assert_refused(end(browser, f"{server.url}{CALLBACK}?state={state}"))  # without code


# ---- hostile ID tokens

@pytest.fixture
def target(admin, hostile):
    """A tenant with the hostile provider, and claims of somebody whom nobody knows yet."""
    tenant = admin.create_tenant()
    set_provider(admin, tenant, hostile)
    tenant.person = {"email": new_email("person"), "email_verified": True}
    return tenant


def test_only_a_token_for_this_sign_in_is_taken(server, target, hostile):
    browser, answer = hostile_sign_in(server, target, hostile, **target.person)
    assert answer.status_code == 302 and me(server, browser)["email"] == target.person["email"], answer.text
    path, form, authorization = [request for request in hostile.requests if request[0] == "/token"][-1]
    assert form["grant_type"] == "authorization_code" and len(form["code_verifier"]) >= 43 and authorization is None
    now = int(time.time())
    bad = [{"nonce": "other"}, {"nonce": None}, {"aud": "other"}, {"aud": ["rowhouse", "other"]}, {"aud": None}, {"azp": "other"},
           {"iss": "https://other.example"}, {"iss": None}, {"iss": hostile.issuer + "/"}, {"exp": now - 31}, {"exp": None},
           {"exp": "never"}, {"iat": now + 300}, {"iat": None}, {"nbf": now + 300}, {"sub": None}, {"sub": ""}, {"sub": 7}, {"sub": "x" * 256}]
    for claims in bad:
        assert_refused(hostile_sign_in(server, target, hostile, **{**target.person, **claims})[1])
    assert len(target.api.get("/v1/users")["data"]) == 1


def test_only_a_signature_of_the_issuer_is_taken(server, target, hostile):
    stranger = shared_key("stranger")
    headers = [{"alg": "none"}, {"alg": "nOnE"}, {"alg": "HS256"}, {"alg": "ES256"}, {"kid": "other"}, {"kid": "../../dev/null"},
               {"jku": hostile.issuer + "/jwks"}, {"x5u": hostile.issuer}, {"jwk": hostile.key.jwk()}, {"crit": ["exp"]}, {"typ": "at+jwt"}]
    for header in headers:
        assert_refused(hostile_sign_in(server, target, hostile, header=header, **target.person)[1])
    assert_refused(hostile_sign_in(server, target, hostile, key=stranger, **target.person)[1])
    assert_refused(hostile_sign_in(server, target, hostile, key=stranger, header={"jwk": stranger.jwk()}, **target.person)[1])
    # Signed with the public key as the secret of an HMAC, or not at all.
    for alg, sign in (("HS256", lambda text: hmac.new(hostile.key.n.to_bytes(256, "big"), text, hashlib.sha256).digest()), ("none", lambda text: b"")):
        browser, url = begin(server, tenant=target.slug)
        claims, state = claims_for(hostile, url, **target.person)
        text = f"{encoded({'alg': alg, 'kid': 'key', 'typ': 'JWT'})}.{encoded(claims)}"
        hostile.id_token = lambda code: text + "." + encoded(sign(text.encode()))
        assert_refused(end(browser, f"{server.url}{CALLBACK}?state={state}&code=c"))
    for nonsense in ("", "a.b", "a.b.c", None, {"alg": "RS256"}):
        browser, url = begin(server, tenant=target.slug)
        state = claims_for(hostile, url)[1]
        hostile.id_token = lambda code: nonsense
        assert_refused(end(browser, f"{server.url}{CALLBACK}?state={state}&code=c"))
    assert target.api.get("/v1/users")["data"] == []


def test_userinfo_of_somebody_else_is_not_mixed_in(server, admin, target, hostile):
    hostile.userinfo = {"sub": "another", **target.person}
    assert_refused(hostile_sign_in(server, target, hostile)[1])
    # A verified address of userinfo does not verify the one in the ID token.
    victim = add_person(admin, target, "user")
    hostile.userinfo = {"sub": "s1", "email": "own@hostile.example", "email_verified": True}
    assert_refused(hostile_sign_in(server, target, hostile, email=victim.email)[1])


# ---- a provider of one tenant and the people of another

def test_a_provider_takes_over_no_account(server, admin, hostile):
    attacker, other = admin.create_tenant(), admin.create_tenant()
    set_provider(admin, attacker, hostile)
    victim, platform = add_person(admin, other), new_platform_admin(admin)
    both = add_person(admin, attacker)  # made by the platform
    users = len(attacker.api.get("/v1/users")["data"])
    for email in (victim.email, platform.email, both.email, both.email.upper()):
        for verified in (True, False, None):
            answer = hostile_sign_in(server, attacker, hostile, email=email, email_verified=verified)[1]
            assert_refused(answer)
    assert len(attacker.api.get("/v1/users")["data"]) == users
    # Domains are for the platform to give; and a platform admin's account is out of reach even then.
    set_provider(admin, attacker, hostile, domains=["people.example"])
    for email in (victim.email, platform.email):
        assert_refused(hostile_sign_in(server, attacker, hostile, email=email, email_verified=True)[1])
    for person in (victim, platform, both):
        person.login()
    browser, answer = hostile_sign_in(server, attacker, hostile, email=both.email, email_verified=True)
    assert answer.status_code == 302 and me(server, browser)["id"] == both.id
    set_provider(admin, attacker, hostile, domains=[])


def test_a_joined_account_opens_this_tenant_alone(server, admin, hostile):
    """Ada is a member of two tenants; the provider of one vouches for her."""
    one, two = admin.create_tenant(), admin.create_tenant()
    set_provider(admin, one, hostile, domains=["shared.example"])
    email = "ada@shared.example"
    made = admin.post(f"/v1/tenants/{two.slug}/users", {"email": email}, 201)
    admin.post(f"/v1/tenants/{one.slug}/users", {"email": email, "role": "user"}, 201)
    browser, answer = hostile_sign_in(server, one, hostile, email=email, email_verified=True)
    assert answer.status_code == 302 and me(server, browser)["id"] == made["user"]["id"], answer.text
    token = next(cookie.value for cookie in browser.cookies if cookie.name == "rowhouse_access")
    api = with_token(server.url, token)
    assert api.get("/v1/me")["tenant"]["id"] == one.id
    api.refused("GET", "/v1/data/leads", 403, "tenant_mismatch", headers={"X-Tenant-ID": two.slug})
    assert all(session["tenant"] == one.id for session in api.get("/v1/me/sessions")["data"])
    two.api.refused("GET", "/v1/users/" + made["user"]["id"] + "0", 404, "not_found")
    set_provider(admin, one, hostile, domains=[])


def test_an_account_that_a_provider_made_is_no_way_into_another_tenant(server, admin, hostile, target):
    email = new_email("squatted")
    assert hostile_sign_in(server, target, hostile, email=email, email_verified=True)[1].status_code == 302
    other = admin.create_tenant()
    boss = add_person(admin, other)
    boss.api.refused("POST", "/v1/users", 409, "conflict", json={"email": email, "role": "user"})


def test_an_address_that_is_given_to_somebody_else_does_not_take_the_account_along(server, hostile, target):
    browser, answer = hostile_sign_in(server, target, hostile, sub="first", **target.person)
    assert answer.status_code == 302
    assert_refused(hostile_sign_in(server, target, hostile, sub="second", **target.person)[1])
    # The first one's address may change: who they are does not.
    again, answer = hostile_sign_in(server, target, hostile, sub="first", email="changed@hostile.example")
    assert answer.status_code == 302 and me(server, again)["id"] == me(server, browser)["id"]


def test_an_unverified_address_joins_no_account_of_the_tenant_either(server, admin, hostile, target):
    boss = add_person(admin, target)
    own = boss.api.post("/v1/users", {"email": new_email("own"), "role": "user"}, 201)["user"]
    assert_refused(hostile_sign_in(server, target, hostile, email=own["email"])[1])
    browser, answer = hostile_sign_in(server, target, hostile, email=own["email"], email_verified=True)
    assert answer.status_code == 302 and me(server, browser)["id"] == own["id"]


# ---- how access ends

def test_the_role_follows_the_groups(server, admin, hostile, target):
    boss = add_person(admin, target)
    mapping = [{"group": "bosses", "role": "admin"}, {"group": "staff", "role": "user"}]
    set_provider(admin, target, hostile, role_mapping=mapping, default_role=None)
    first, _ = hostile_sign_in(server, target, hostile, groups=["staff", "bosses"], **target.person)
    assert me(server, first)["role"] == "admin"
    second, _ = hostile_sign_in(server, target, hostile, groups=["staff"], **target.person)
    assert me(server, second)["role"] == me(server, first)["role"] == "user"
    assert_refused(hostile_sign_in(server, target, hostile, groups=[], **target.person)[1])
    assert boss.api.get("/v1/me")["role"] == "admin"


def test_the_last_admin_stays_one(server, admin, hostile, target):
    set_provider(admin, target, hostile, role_mapping=[{"group": "bosses", "role": "admin"}])
    hostile_sign_in(server, target, hostile, groups=["bosses"], **target.person)
    browser, answer = hostile_sign_in(server, target, hostile, groups=[], **target.person)
    assert answer.status_code == 302 and me(server, browser)["role"] == "admin"


@pytest.mark.parametrize("how", ["provider removed", "provider disabled", "another issuer", "member disabled", "tenant suspended"])
def test_sessions_end_with_what_they_rest_on(server, admin, hostile, target, how):
    browser, answer = hostile_sign_in(server, target, hostile, **target.person)
    who = me(server, browser)
    if how == "provider removed":
        admin.delete(provider_path(target))
    elif how == "provider disabled":
        set_provider(admin, target, hostile, status="disabled")
        begin(server, expect=404, tenant=target.slug)
    elif how == "another issuer":
        set_provider(admin, target, hostile, issuer=hostile.issuer + "/other")
    elif how == "member disabled":
        admin.patch(f"/v1/tenants/{target.slug}/users/{who['id']}", {"status": "disabled"})
    else:
        admin.post(f"/v1/tenants/{target.slug}/suspend", None, 200)
    assert me(server, browser) == (403 if how == "tenant suspended" else 401)
    if how == "member disabled":
        assert_refused(hostile_sign_in(server, target, hostile, **target.person)[1])
    if how == "another issuer":
        # Its subjects are strangers, also those of the same name.
        set_provider(admin, target, hostile)
        assert hostile_sign_in(server, target, hostile, **{**target.person, "email_verified": False})[1].status_code == 401


# ---- access tokens of the provider

def api_token(hostile, key=None, header=None, **changes):
    now = int(time.time())
    claims = {"iss": hostile.issuer, "aud": AUDIENCE + ":hostile", "sub": "s1", "iat": now, "exp": now + 300, **changes}
    claims = {name: value for name, value in claims.items() if value is not None}
    return (key or hostile.key).token(claims, **{"typ": "at+jwt", **(header or {})})


def token_refused(server, token, code="credential_unknown", status=401):
    with_token(server.url, token).refused("GET", "/v1/data/leads", status, code)


@pytest.fixture
def accepting(server, admin, hostile, target):
    set_provider(admin, target, hostile, accepts_tokens=True, token_audience=AUDIENCE + ":hostile")
    token_refused(server, api_token(hostile))  # nobody of this subject has signed in
    assert hostile_sign_in(server, target, hostile, **target.person)[1].status_code == 302
    # Refused tokens are remembered for two seconds.
    wait_until(lambda: with_token(server.url, api_token(hostile)).call("GET", "/v1/me").status_code == 200, "the token is taken")
    return target


def test_a_token_is_its_member(server, accepting, hostile):
    for token in (api_token(hostile), api_token(hostile, header={"typ": None}), api_token(hostile, aud=["x", AUDIENCE + ":hostile"])):
        api = with_token(server.url, token)
        who = api.get("/v1/me")
        assert (who["email"], who["role"], who["tenant"]["id"]) == (accepting.person["email"], "user", accepting.id)
        api.post("/v1/data/leads", {"name": "By a token"}, 201)
        api.refused("POST", "/v1/users", 403, "permission_missing", json={})
        # It is no session.
        api.refused("GET", "/v1/me/sessions", 403, "forbidden")
        api.refused("POST", "/v1/auth/password", 403, "forbidden", json={"current": "x", "new": "y"})
        api.refused("GET", "/v1/tenants", 401, "credential_unknown")
    # Browsers have sessions, programs have tokens.
    answer = requests.get(server.url + "/v1/me", cookies={"rowhouse_access": api_token(hostile)}, timeout=60)
    assert answer.status_code == 401


def test_other_tokens_are_refused(server, admin, accepting, hostile):
    now, stranger = int(time.time()), shared_key("stranger")
    for changes in ({"aud": "rowhouse"}, {"aud": AUDIENCE}, {"aud": None}, {"iss": "https://other.example"}, {"iss": server.url}, {"exp": now - 31},
                    {"exp": None}, {"nbf": now + 300}, {"sub": "stranger"}, {"sub": None}, {"nonce": "n"}, {"cnf": {"jkt": "x"}}):
        token_refused(server, api_token(hostile, **changes))
    for header in ({"alg": "none"}, {"alg": "HS256"}, {"kid": "other"}, {"jwk": hostile.key.jwk()}, {"jku": hostile.issuer + "/jwks"},
                   {"typ": "logout+jwt"}, {"crit": ["exp"]}):
        token_refused(server, api_token(hostile, header=header))
    token_refused(server, api_token(hostile, key=stranger))
    # Claims of ours in a token of theirs.
    token_refused(server, api_token(hostile, iss=server.url, aud="rowhouse", tid=accepting.id, role="admin", sid=accepting.id, jti=accepting.id))
    token = api_token(hostile)
    other = admin.create_tenant()
    with_token(server.url, token).refused("GET", "/v1/data/leads", 403, "tenant_mismatch", headers={"X-Tenant-ID": other.slug})
    # Nobody else gets these tokens.
    set_provider(admin, other, hostile, 409, accepts_tokens=True, token_audience=AUDIENCE + ":hostile")


@pytest.mark.parametrize("how", ["provider removed", "not accepted any more", "member removed", "role changed", "plan without the feature"])
def test_tokens_end_at_once(server, admin, accepting, hostile, how):
    api = with_token(server.url, api_token(hostile))
    who = api.get("/v1/me")
    user = f"/v1/tenants/{accepting.slug}/users/{who['id']}"
    if how == "provider removed":
        admin.delete(provider_path(accepting))
    elif how == "not accepted any more":
        set_provider(admin, accepting, hostile)
    elif how == "member removed":
        admin.delete(user)
    elif how == "role changed":
        admin.patch(user, {"role": "admin"})
        assert api.get("/v1/me")["role"] == "admin"
        return
    else:
        admin.patch(f"/v1/tenants/{accepting.slug}", {"plan": "basic"})
    assert api.call("GET", "/v1/me").status_code == 401


def test_a_token_of_the_real_provider(server, acme, real):
    """As a program gets one: by the provider's own code flow, for the audience that the tenant has set."""
    sign_in(server, acme, real, "ada")
    verifier = "v" * 50
    challenge = encoded(hashlib.sha256(verifier.encode()).digest())
    query = {"client_id": "rowhouse", "response_type": "code", "scope": "openid", "redirect_uri": server.url + CALLBACK, "state": "s",
             "code_challenge": challenge, "code_challenge_method": "S256", "resource": AUDIENCE}
    back = authorize(f"{real.issuer}/auth?{urllib.parse.urlencode(query)}", "ada", real.issuer)
    code = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(back).query))["code"]
    quoted = ":".join(urllib.parse.quote(part, safe="") for part in ("rowhouse", real.secret))
    answer = requests.post(real.issuer + "/token", timeout=60, headers={"Authorization": "Basic " + base64.b64encode(quoted.encode()).decode()},
                           data={"grant_type": "authorization_code", "code": code, "redirect_uri": query["redirect_uri"],
                                 "code_verifier": verifier, "resource": AUDIENCE})
    assert answer.status_code == 200, answer.text
    who = with_token(server.url, answer.json()["access_token"]).get("/v1/me")
    assert (who["email"], who["role"]) == (ADA, "admin")
    # The ID token is no access token.
    token_refused(server, answer.json()["id_token"])


def test_nothing_secret_is_in_the_log(server, real):
    log = server.log()
    assert real.secret not in log and "code_verifier" not in log and "rhb_" not in log and "code=" not in log
