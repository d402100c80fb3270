"""Browser sessions: cookies, the proof that a request comes from our own page, security headers, the account page."""

import json
import os
import shutil
import subprocess

import jsonschema
import pytest

from support import settings
from support.api import Api
from support.browser import BROWSER, NAMES, Browser, cookies_of
from support.people import Person, add_person, new_email, new_platform_admin
from support.server import Server, environment, wait_until

CROSS_SITE = "cross_site_request"
CHEAP = {"ROWHOUSE_PACKS": "tekup", "ROWHOUSE_PASSWORD_MEMORY": "8MiB", "ROWHOUSE_PASSWORD_PASSES": "1"}
LEAD = {"name": "From a browser"}


@pytest.fixture(scope="session")
def server(work):
    running = Server(work / "browsers", env=CHEAP)
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.clear()


@pytest.fixture(scope="module")
def tenant(admin):
    return admin.create_tenant("Browsers")


@pytest.fixture(scope="module")
def boss(admin, tenant):
    return add_person(admin, tenant)


@pytest.fixture
def person(admin, tenant, boss):
    return add_person(admin, tenant, "user")


@pytest.fixture
def browser(person):
    made = Browser(person.url)
    made.login(person)
    return made


# ---- cookies

def test_the_tokens_are_in_cookies_and_nowhere_else(person):
    answer = Browser(person.url).login(person)
    document, cookies = answer.json(), cookies_of(answer)
    assert sorted(cookies) == sorted(NAMES)
    access, refresh, csrf = (cookies[name] for name in NAMES)
    assert "httponly" in access[1] and access[1]["samesite"] == "Lax" and access[1]["path"] == "/"
    assert "httponly" in refresh[1] and refresh[1]["samesite"] == "Strict" and refresh[1]["path"] == BROWSER
    assert "httponly" not in csrf[1] and csrf[1]["samesite"] == "Strict" and csrf[1]["path"] == "/"
    assert not any("secure" in attributes or "domain" in attributes for _, attributes in cookies.values())
    assert 0 < int(access[1]["max-age"]) <= 600 < int(refresh[1]["max-age"]) == int(csrf[1]["max-age"])
    assert answer.headers["Cache-Control"] == "no-store"
    assert access[0] not in answer.text and refresh[0] not in answer.text
    assert document["csrf_token"] == csrf[0] and document["user"]["email"] == person.email
    assert document["tenant"]["slug"] == person.tenant and document["role"] == "user"


def test_the_cookie_opens_the_tenants_rows(browser, person, tenant):
    me = browser.get("/v1/me")
    assert (me["kind"], me["email"]) == ("user", person.email)
    lead = browser.post("/v1/data/leads", LEAD, 201)
    assert tenant.api.get(f"/v1/data/leads/{lead['id']}")["created_by"] == person.id
    assert browser.patch(f"/v1/data/leads/{lead['id']}", {"name": "Changed"})["name"] == "Changed"


def test_a_header_goes_before_the_cookie(browser, tenant, boss):
    assert browser.get("/v1/me", headers={"X-Tenant-Key": tenant.key})["kind"] == "key"
    token = boss.login().json()["access_token"]
    assert browser.get("/v1/me", headers={"Authorization": f"Bearer {token}"})["email"] == boss.email
    browser.refused("GET", "/v1/me", 401, "credential_unknown", headers={"X-Tenant-Key": "tk_" + "A" * 43})


def test_another_tenants_name_is_refused_as_with_a_token(browser, admin):
    other = admin.create_tenant("Not of the browser")
    browser.refused("GET", "/v1/data/leads", 403, "tenant_mismatch", headers={"X-Tenant-ID": other.slug})


@pytest.mark.parametrize("cookie, status, code", [
    ("rowhouse_access=", 401, "credential_missing"), ("other=1", 401, "credential_missing"),
    ("rowhouse_access=nonsense", 401, "credential_unknown"), ("rowhouse_access=a.b.c", 401, "credential_unknown"),
    ("Rowhouse_access=a.b.c", 401, "credential_missing"), ("rowhouse_access=a.b.c; rowhouse_access=d.e.f", 400, "malformed_request"),
    ("__Host-rowhouse_access=a.b.c", 401, "credential_missing"), ("=;;= ;rowhouse_access", 401, "credential_missing")])
def test_bad_cookies(server, cookie, status, code):
    for path in ("/v1/me", "/v1/tenants"):
        server.anonymous.refused("GET", path, status, code, headers={"Cookie": cookie})


def test_refresh_changes_all_cookies_and_a_used_one_ends_the_session(person, browser):
    first = dict(browser.session.cookies)
    answer = browser.call("POST", f"{BROWSER}/refresh", 200)
    assert answer.json()["user"]["email"] == person.email
    second = dict(browser.session.cookies)
    assert second["rowhouse_refresh"] != first["rowhouse_refresh"] and second["rowhouse_access"] != first["rowhouse_access"]
    browser.get("/v1/me")
    thief = Browser(person.url)
    refused = thief.call("POST", f"{BROWSER}/refresh", 401, headers={"Cookie": f"rowhouse_refresh={first['rowhouse_refresh']}"})
    gone = cookies_of(refused)
    assert sorted(gone) == sorted(NAMES) and all(value == "" and attributes["max-age"] == "0" for value, attributes in gone.values())
    browser.refused("GET", "/v1/me", 401, "credential_unknown")
    browser.call("POST", f"{BROWSER}/refresh", 401)
    assert not dict(browser.session.cookies)


def test_logout_ends_the_session_and_removes_the_cookies(browser, person):
    access = browser.session.cookies["rowhouse_access"]
    browser.call("POST", f"{BROWSER}/logout", 204)
    assert not dict(browser.session.cookies)
    Api(person.url).refused("GET", "/v1/me", 401, "credential_unknown", headers={"Cookie": f"rowhouse_access={access}"})
    browser.call("POST", f"{BROWSER}/logout", 204)  # nothing is left to end
    browser.refused("POST", f"{BROWSER}/refresh", 401, "credential_missing")


def test_sign_out_everywhere(person):
    here, there = Browser(person.url), Browser(person.url)
    here.login(person), there.login(person)
    assert here.call("DELETE", "/v1/me/sessions", 200).json() == {"ended": 1}
    here.get("/v1/me")
    there.refused("GET", "/v1/me", 401, "credential_unknown")


def test_a_platform_admins_cookie_works_for_the_platform_alone(admin):
    ada = new_platform_admin(admin)
    browser = Browser(ada.url)
    assert browser.login(ada).json()["tenant"] is None
    me = browser.get("/v1/platform/me")
    assert (me["kind"], me["email"], me["operations"]) == ("user", ada.email, ["*"])
    assert [each["id"] for each in browser.get("/v1/platform/me/sessions")["data"]] == [me["session"]]
    browser.get("/v1/tenants")
    browser.refused("GET", "/v1/me", 401, "credential_unknown")
    browser.refused("POST", "/v1/tenants", 403, CROSS_SITE, json={}, own_page=False)
    browser.refused("POST", "/v1/tenants", 422, "validation_failed", json={})
    other = Browser(ada.url)
    other.login(ada)
    assert browser.call("DELETE", "/v1/platform/me/sessions", 200).json() == {"ended": 1}
    other.refused("GET", "/v1/platform/me", 401, "credential_unknown")
    assert admin.get("/v1/platform/me")["kind"] == "token"


def test_failures_of_login_are_those_of_login_and_set_no_cookie(person):
    browser = Browser(person.url)
    answer = browser.login(person, 401, password="not the password")
    assert answer.json()["code"] == "credential_unknown" and not cookies_of(answer)
    browser.refused("POST", f"{BROWSER}/login", 422, "validation_failed", json={})


def test_answers_have_the_form_of_the_document(server, admin, browser, person):
    document = server.anonymous.get("/openapi.json")
    ada = Browser(server.url)
    ada_login = ada.login(new_platform_admin(admin))
    answers = {("/v1/auth/browser/login", "post"): ada_login, ("/v1/me/totp", "get"): browser.call("GET", "/v1/me/totp", 200),
               ("/v1/auth/browser/refresh", "post"): browser.call("POST", f"{BROWSER}/refresh", 200),
               ("/v1/me/totp", "post"): browser.call("POST", "/v1/me/totp", 200, json={"password": person.password})}
    for path in ("/v1/platform/me", "/v1/platform/me/sessions", "/v1/platform/me/totp"):
        answers[path, "get"] = ada.call("GET", path, 200)
    answers["/v1/platform/me", "GET by token"] = admin.call("GET", "/v1/platform/me", 200)
    for (path, method), answer in answers.items():
        schema = document["paths"][path][method[:4].strip().lower()]["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(answer.json())


# ---- other sites

def test_what_changes_something_needs_the_sessions_own_token(browser, person, boss):
    other = Browser(boss.url)
    other.login(boss)
    for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "nonsense"}, {"X-CSRF-Token": other.csrf_token},
                    {"X-CSRF-Token": browser.csrf_token + "A"}, {"X-CSRF-Token": browser.csrf_token[:-1]}):
        for method, path in (("POST", "/v1/data/leads"), ("DELETE", "/v1/me/sessions"), ("POST", "/v1/auth/password"),
                             ("PATCH", f"/v1/data/leads/{person.id}")):
            browser.refused(method, path, 403, CROSS_SITE, json=LEAD, headers=headers, own_page=False)
    assert browser.session.cookies["rowhouse_csrf"] != other.csrf_token
    browser.call("GET", "/v1/me", 200, own_page=False)
    browser.call("HEAD", "/v1/me", 200, own_page=False)
    browser.post("/v1/data/leads", LEAD, 201, own_page=False, headers={"X-CSRF-Token": browser.csrf_token})
    browser.call("POST", f"{BROWSER}/refresh", 200)  # the session stays, and so does its token
    browser.post("/v1/data/leads", LEAD, 201)


@pytest.mark.parametrize("headers, allowed", [
    ({"Sec-Fetch-Site": "same-origin"}, True), ({"Sec-Fetch-Site": "none"}, True),
    ({"Sec-Fetch-Site": "same-site"}, False), ({"Sec-Fetch-Site": "cross-site"}, False), ({"Sec-Fetch-Site": ""}, False),
    ({"Sec-Fetch-Site": "cross-site", "Origin": "SELF"}, False), ({"Origin": "SELF"}, True),
    ({"Origin": "http://evil.example"}, False), ({"Origin": "null"}, False), ({"Origin": ""}, False),
    ({"Origin": "http://127.0.0.1"}, False), ({"Origin": "http://127.0.0.1:1"}, False), ({"Origin": "SELF.evil.example"}, False)])
def test_a_page_of_another_origin_is_refused_whatever_it_knows(browser, person, headers, allowed):
    headers = {name: value.replace("SELF", person.url) for name, value in headers.items()}
    with_token = {**headers, "X-CSRF-Token": browser.csrf_token}
    expect = 201 if allowed else 403
    browser.call("POST", "/v1/data/leads", expect, json=LEAD, headers=with_token, own_page=False)
    stranger = Browser(person.url)
    answer = stranger.call("POST", f"{BROWSER}/login", 200 if allowed else 403, headers=headers, own_page=False,
                           json={"email": person.email, "password": person.password})
    assert bool(cookies_of(answer)) == allowed
    for path in ("/refresh", "/logout"):
        answer = browser.call("POST", BROWSER + path, None, headers=headers, own_page=False)
        assert (answer.status_code == 403) != allowed, answer.text


def test_attempts_of_other_sites_are_recorded(server, person, browser, tenant):
    browser.refused("POST", "/v1/data/leads", 403, CROSS_SITE, json=LEAD, own_page=False)
    Browser(person.url).refused("POST", f"{BROWSER}/login", 403, CROSS_SITE, json={}, headers={"Sec-Fetch-Site": "cross-site"})
    wanted = {(tenant.id, f"user {person.email}"), (None, None)}

    def recorded():
        rows = server.query("SELECT tenant_id::text, actor FROM platform.audit_log WHERE kind = 'security'"
                            " AND new_values->>'detail' = %s", (CROSS_SITE,), "rowhouse_platform")
        return {(tenant_id, actor if actor != "unknown" else None) for tenant_id, actor in rows} >= wanted or None

    wait_until(recorded, "the security events")


def test_keys_and_tokens_need_no_proof(tenant, person):
    tenant.api.call("POST", "/v1/data/leads", 201, json=LEAD, headers={"Origin": "http://other.example"})
    person.api.call("POST", "/v1/data/leads", 201, json=LEAD, headers={"Sec-Fetch-Site": "cross-site"})


# ---- headers

def test_every_answer_tells_browsers_what_not_to_do(server, browser):
    answers = [server.anonymous.call("GET", path) for path in ("/healthz", "/docs", "/nothing", "/v1/me", "/openapi.json", "/account/")]
    answers += [browser.call("GET", "/v1/data/leads", 200), browser.call("GET", "/v1/export/leads")]
    for answer in answers:
        for name, value in (("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"), ("X-Frame-Options", "DENY")):
            assert answer.headers.get(name) == value and len(answer.raw.headers.getlist(name)) == 1, (answer.url, name)
        assert "Strict-Transport-Security" not in answer.headers


def test_pages_run_nothing_inline_and_load_nothing_from_elsewhere(server):
    pages = {"/account/": "text/html", "/account/account.js": "text/javascript", "/account/account.css": "text/css", "/docs": "text/html"}
    for path, media_type in pages.items():
        answer = server.anonymous.call("GET", path, 200)
        assert answer.headers["Content-Type"] == f"{media_type}; charset=utf-8"
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert answer.headers["Cross-Origin-Opener-Policy"] == answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    html = server.anonymous.call("GET", "/account/", 200).text
    assert "<style" not in html and "style=" not in html and "onclick" not in html and html.count("<script") == 1
    for path in ("/account/docs.html", "/account/nothing.js", "/docs/account.js", "/account/..%2Fdocs.html"):
        server.anonymous.refused("GET", path, 404, "unknown_route")


def test_where_people_come_by_https(new_server):
    own = new_server(env={**CHEAP, "ROWHOUSE_ISSUER": "https://rows.example/base"}).start()
    ada = new_platform_admin(own.admin)
    api = Api(own.url)
    answer = api.call("POST", f"{BROWSER}/login", 200, json={"email": ada.email, "password": ada.password},
                      headers={"Origin": "https://rows.example"})
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    cookies = cookies_of(answer)
    assert sorted(cookies) == ["__Host-rowhouse_access", "__Host-rowhouse_csrf", "__Secure-rowhouse_refresh"]
    assert all("secure" in attributes and "domain" not in attributes for _, attributes in cookies.values())
    assert cookies["__Host-rowhouse_access"][1]["path"] == "/"
    assert cookies["__Secure-rowhouse_refresh"][1]["path"] == "/base/v1/auth/browser"
    access, csrf = cookies["__Host-rowhouse_access"][0], cookies["__Host-rowhouse_csrf"][0]
    api.call("GET", "/v1/platform/me", 200, headers={"Cookie": f"__Host-rowhouse_access={access}"})
    # a sibling host could have set one without the prefix
    api.refused("GET", "/v1/platform/me", 401, "credential_missing", headers={"Cookie": f"rowhouse_access={access}"})
    proof = {"Cookie": f"__Host-rowhouse_access={access}", "X-CSRF-Token": csrf}
    for origin, allowed in (("https://rows.example", True), ("http://rows.example", False), (own.url, False),
                            (own.url.replace("http:", "https:"), True)):  # the last: what the proxy in front is called
        answer = api.call("POST", "/v1/tenants", None, json={}, headers={**proof, "Origin": origin})
        assert (answer.status_code == 422) == allowed, (origin, answer.text)


# ---- with a real browser

def run_chromium(script, **task):
    """Runs a script of tests/node with Chromium; returns what it found."""
    chromium = os.environ.get("ROWHOUSE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, "chromium is missing: run tools/setup"
    done = subprocess.run(["node", str(settings.ROOT / "tests" / "node" / script)], input=json.dumps({"chromium": chromium, **task}),
                          capture_output=True, text=True, timeout=settings.REQUEST_LIMIT_S * 2, env=environment())
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


def invitation_link(boss, email):
    made = boss.api.post("/v1/invitations", {"email": email, "role": "user"}, (200, 201))
    return made["link"]


def test_the_account_page_in_chromium(server, admin, tenant, boss, person):
    """Sign in, set up an authenticator app, sign in with its code, sign out; accept an invitation; an evil page gets nowhere."""
    invited = new_email("invited")
    link = invitation_link(boss, invited)
    assert "/account/#/invitation/" in link
    found = run_chromium("account_page.cjs", url=server.url, email=person.email, password=person.password,
                         invitation=server.url + "/account/" + link.split("/account/")[1], invited=invited,
                         invited_password="a password of one's own")
    assert found["recovery_codes"] == 10
    assert found["cookies_of_script"] == ["rowhouse_csrf"]
    assert found["violations"] == [] and found["errors"] == [], found
    assert set(found["evil_answers"]) == {403}
    Person(server.url, invited, "a password of one's own", tenant.slug).login()
    assert person.login(401).json()["code"] == "second_factor_required"
    state = server.query("SELECT confirmed_at IS NOT NULL FROM identity.second_factors WHERE user_id = %s", (person.id,),
                         "rowhouse_identity")
    assert state == [(True,)]
