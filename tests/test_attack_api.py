"""The HTTP API with credentials and names that are wrong, foreign, revoked, doubled or contradictory; with what was said before,
said again; with members that nobody may set; and with paths that mean something else than they say."""

import concurrent.futures
import json
import re
import urllib.parse
import uuid

import pytest

from support import packs, settings
from support.api import Api
from support.attack_templates import METHODS
from support.people import add_person, new_platform_admin
from support.raw import Connection
from support.server import Server, wait_until

LEADS = "/v1/data/leads"
SECRET = "secret-of-the-victim"
DOMAIN = "app.example"


@pytest.fixture(scope="module")
def site(work):
    server = Server(work / "api", options=["--base-domain", DOMAIN, "--access-log", "off"])
    try:
        server.start()
        server.attacker, server.victim = server.admin.create_tenant("Acme Attacker"), server.admin.create_tenant("Acme Victim")
        server.lead = server.victim.api.post(LEADS, {"name": SECRET, "email": "v@example.com"}, 201)
        server.own = server.attacker.api.post(LEADS, {"name": "own row", "email": "v@example.com"}, 201)
        server.before = server.victim.rows("leads"), server.admin.get(f"/v1/tenants/{server.victim.id}")
        yield server
        server.stop()
    finally:
        server.clear()


@pytest.fixture(autouse=True)
def victim_unharmed(site):
    yield
    site.check_alive()
    assert (site.victim.rows("leads"), site.admin.get(f"/v1/tenants/{site.victim.id}")) == site.before


def tells_nothing(site, text):
    for secret in (SECRET, site.lead["id"], site.victim.id, site.victim.slug, site.victim.key):
        assert secret not in text, text[:2000]


def say(site, method, target, headers, body=""):
    """(status, headers, body) of a request written by hand; header names may come twice."""
    lines = [f"{method} {target} HTTP/1.1", *[f"{name}: {value}" for name, value in headers if name != "Host"]]
    lines += [f"Host: {value}" for name, value in headers if name == "Host"] or ["Host: 127.0.0.1"]
    if body or method != "GET":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body.encode())}"]
    with Connection(site) as connection:
        connection.send(("\r\n".join(lines) + "\r\n\r\n" + body).encode("utf-8", "surrogateescape"))
        status, fields, content = connection.answer()
    return status, fields, content.decode(errors="replace")


REQUESTS = [("GET", LEADS, ""), ("GET", "/v1/tenant", ""), ("GET", "/v1/export/leads?format=csv", ""), ("POST", LEADS, '{"name": "planted"}'),
            ("POST", "/v1/rpc/lead_counts", "{}"), ("DELETE", f"{LEADS}/{uuid.UUID(int=7)}", "")]


def swapped(key):
    return key[:3] + key[3:].swapcase()


# name → (headers out of keys and names of attacker `a` and victim `v`, statuses that are right)
CREDENTIALS = {
    "two keys": (lambda a, v: [("X-Tenant-Key", a.key), ("X-Tenant-Key", v.key)], (400,)),
    "two keys, the other way round": (lambda a, v: [("X-Tenant-Key", v.key), ("X-Tenant-Key", a.key)], (400,)),
    "one key twice": (lambda a, v: [("X-Tenant-Key", a.key)] * 2, (400,)),
    "two spellings of the header": (lambda a, v: [("x-tenant-key", a.key), ("X-TENANT-KEY", v.key)], (400,)),
    "a key and an empty one": (lambda a, v: [("X-Tenant-Key", a.key), ("X-Tenant-Key", "")], (400,)),
    "an empty one and a key": (lambda a, v: [("X-Tenant-Key", ""), ("X-Tenant-Key", v.key)], (400,)),
    "a list of keys": (lambda a, v: [("X-Tenant-Key", f"{a.key}, {v.key}")], (401,)),
    "two keys in one line": (lambda a, v: [("X-Tenant-Key", f"{a.key} {v.key}")], (401,)),
    "underscores": (lambda a, v: [("X_Tenant_Key", v.key), ("X-Tenant-Key", "tk_" + "A" * 43)], (401,)),
    "other case of the victim's key": (lambda a, v: [("X-Tenant-Key", swapped(v.key))], (401,)),
    "upper case": (lambda a, v: [("X-Tenant-Key", v.key.upper())], (401,)),
    "prefix in upper case": (lambda a, v: [("X-Tenant-Key", "TK_" + v.key[3:])], (401,)),
    "cut off": (lambda a, v: [("X-Tenant-Key", v.key[:-1])], (401,)), "longer": (lambda a, v: [("X-Tenant-Key", v.key + "A")], (401,)),
    "padded": (lambda a, v: [("X-Tenant-Key", v.key + "=")], (401,)), "quoted": (lambda a, v: [("X-Tenant-Key", f'"{v.key}"')], (401,)),
    "with a NUL": (lambda a, v: [("X-Tenant-Key", v.key + "\0")], (400,)), "escaped": (lambda a, v: [("X-Tenant-Key", "%74k_" + v.key[3:])], (401,)),
    "as a bearer": (lambda a, v: [("Authorization", f"Bearer {v.key}")], (401,)), "the id for a key": (lambda a, v: [("X-Tenant-Key", v.id)], (401,)),
    "its hint": (lambda a, v: [("X-Tenant-Key", v.key[:8])], (401,)), "half and half": (lambda a, v: [("X-Tenant-Key", a.key[:23] + v.key[23:])], (401,)),
    "own key, other bearer": (lambda a, v: [("X-Tenant-Key", a.key), ("Authorization", f"Bearer {v.key}")], (400,)),
    "own key, cookie": (lambda a, v: [("X-Tenant-Key", a.key), ("Cookie", f"X-Tenant-Key={v.key}; tenant={v.id}")], "own"),
    "own key, other id": (lambda a, v: [("X-Tenant-Key", a.key), ("X-Tenant-ID", v.id)], (403,)),
    "own key, other slug": (lambda a, v: [("X-Tenant-Key", a.key), ("X-Tenant-ID", v.slug)], (403,)),
    "own and other id": (lambda a, v: [("X-Tenant-Key", a.key), ("X-Tenant-ID", a.id), ("X-Tenant-ID", v.id)], (400,)),
    "other and own id": (lambda a, v: [("X-Tenant-Key", a.key), ("X-Tenant-ID", v.id), ("x-tenant-id", a.id)], (400,)),
    "list of ids": (lambda a, v: [("X-Tenant-Key", a.key), ("X-Tenant-ID", f"{a.id}, {v.id}")], (403,)),
    "empty id": (lambda a, v: [("X-Tenant-Key", a.key), ("X-Tenant-ID", "")], (400,)),
    "slug in upper case": (lambda a, v: [("X-Tenant-Key", a.key), ("X-Tenant-ID", v.slug.upper())], (403,)),
    "look-alike of the own slug": (lambda a, v: [("X-Tenant-Key", a.key), ("X-Tenant-ID", a.slug.replace("a", "а"))], (403, 400)),
    "id without dashes": (lambda a, v: [("X-Tenant-Key", a.key), ("X-Tenant-ID", v.id.replace("-", ""))], (403,)),
    "other host": (lambda a, v: [("X-Tenant-Key", a.key), ("Host", f"{v.slug}.{DOMAIN}")], (403,)),
    "other host in upper case": (lambda a, v: [("X-Tenant-Key", a.key), ("Host", f"{v.slug}.{DOMAIN}".upper())], (403,)),
    "other host with port": (lambda a, v: [("X-Tenant-Key", a.key), ("Host", f"{v.slug}.{DOMAIN}:8080")], (403,)),
    "other host with a dot": (lambda a, v: [("X-Tenant-Key", a.key), ("Host", f"{v.slug}.{DOMAIN}.")], (403, 400)),
    "nobody's host": (lambda a, v: [("X-Tenant-Key", a.key), ("Host", f"nobody.{DOMAIN}")], (403,)),
    "host with the own one in it": (lambda a, v: [("X-Tenant-Key", a.key), ("Host", f"{a.slug}.{DOMAIN}@{v.slug}.{DOMAIN}")], (403, 400)),
    "two hosts": (lambda a, v: [("X-Tenant-Key", a.key), ("Host", f"{a.slug}.{DOMAIN}"), ("Host", f"{v.slug}.{DOMAIN}")], (400,)),
    "look-alike host": (lambda a, v: [("X-Tenant-Key", a.key), ("Host", f"{a.slug}.{DOMAIN}".replace("a", "а"))], (403, 400)),
    "own host": (lambda a, v: [("X-Tenant-Key", a.key), ("Host", f"{a.slug}.{DOMAIN}")], "own"),
    "forwarded host": (lambda a, v: [("X-Tenant-Key", a.key), ("X-Forwarded-Host", f"{v.slug}.{DOMAIN}"), ("Forwarded", f"host={v.slug}.{DOMAIN}")], "own"),
    "other addresses": (lambda a, v: [("X-Tenant-Key", a.key), ("X-Original-URL", "/v1/tenants"), ("X-Rewrite-URL", "/v1/tenants"),
                                      ("X-HTTP-Method-Override", "GET"), ("X-Forwarded-For", "127.0.0.1"), ("X-Tenant", v.id), ("Tenant-ID", v.id)], "own"),
    "key dropped by Connection": (lambda a, v: [("X-Tenant-Key", a.key), ("Connection", "keep-alive, X-Tenant-ID"), ("X-Tenant-ID", v.id)], (403,)),
}


@pytest.mark.parametrize("what", CREDENTIALS, ids=lambda what: what)
def test_contradictory_credentials(site, what):
    make, allowed = CREDENTIALS[what]
    headers = make(site.attacker, site.victim)
    count = site.attacker.count("leads")
    for method, target, body in REQUESTS:
        status, fields, text = say(site, method, target, headers, body)
        tells_nothing(site, json.dumps(fields) + text)
        if allowed == "own":
            assert status in (200, 201, 404) and fields["x-tenant-id"] == site.attacker.id, (method, target, status, text)
            if method == "POST" and target == LEADS:
                site.attacker.api.delete(f"{LEADS}/{json.loads(text)['id']}")
        else:
            assert status in allowed, (method, target, status, text)
    assert site.attacker.count("leads") == count, "a refused request wrote something"


@pytest.mark.parametrize("query", ["X-Tenant-Key={v.key}", "x-tenant-key={v.key}", "key={v.key}", "api_key={v.key}", "tenant={v.id}", "tenant_id={v.id}",
                                   "tenant_id=eq.{v.id}", "X-Tenant-ID={v.id}", "access_token={v.key}", "_method=DELETE", "schema=app", "role=tenant_owner"])
def test_credentials_in_the_query(site, query):
    query = query.format(v=site.victim)
    for path in (LEADS, f"{LEADS}/{site.lead['id']}", "/v1/export/leads", "/v1/tenant"):
        for headers, allowed in (([("X-Tenant-Key", site.attacker.key)], (200, 400, 404)), ([], (401,))):
            status, fields, text = say(site, "GET", f"{path}?{query}", headers)
            assert status in allowed, (path, status, text)
            tells_nothing(site, text.replace(urllib.parse.unquote(query), ""))
            assert fields.get("x-tenant-id") in (None, site.attacker.id)


def test_tokens_in_the_wrong_place(site):
    token, a = site.admin_token, site.attacker
    for method, target, body in REQUESTS:
        for headers in ([("Authorization", f"Bearer {token}")], [("Authorization", f"Bearer {token}"), ("X-Tenant-ID", site.victim.id)],
                        [("X-Tenant-Key", token)]):
            status, _, text = say(site, method, target, headers, body)
            assert status in (401, 403), (method, target, status, text)
            tells_nothing(site, text)
        for key in ("tk_" + "A" * 43, a.key):
            status, _, text = say(site, method, target, [("Authorization", f"Bearer {token}"), ("X-Tenant-Key", key)], body)
            assert status == 400, "a token beside a key is one credential too many"
            tells_nothing(site, text)
    for headers, allowed in (([("X-Tenant-Key", a.key)], (401, 403)), ([("Authorization", f"Bearer {a.key}")], (401,)),
                             ([("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {a.key}")], (400,)),
                             ([("Authorization", f"Bearer {a.key}"), ("Authorization", f"Bearer {token}")], (400,)),
                             ([("Authorization", f"Bearer {token}, Bearer {token}")], (401,)), ([("Authorization", f"Basic {token}")], (401,)),
                             ([("Authorization", token)], (401,)), ([("Authorization", f"Bearer {swapped(token)}")], (401,)),
                             ([("Authorization", f"Bearer {token[:-1]}")], (401,)), ([("Proxy-Authorization", f"Bearer {token}")], (401,))):
        for target in ("/v1/tenants", f"/v1/tenants/{site.victim.id}", f"/v1/tenants/{site.victim.slug}/keys", "/v1/status", "/v1/packs"):
            status, _, text = say(site, "GET", target, headers)
            assert status in allowed, (target, headers, status)
            tells_nothing(site, text)


def test_revocation_is_at_once_and_everywhere(site):
    """On connections that are open, by every worker; and nothing that comes later revives a key."""
    tenant = site.admin.create_tenant("Short Lived")
    key = site.admin.post(f"/v1/tenants/{tenant.id}/keys", {"name": "second"}, 201)
    clients = [site.with_key(key["secret"]) for _ in range(24)]

    def all_say(status):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return {answer.status_code for answer in pool.map(lambda api: api.call("GET", LEADS), clients)} == {status}

    assert all_say(200)
    site.admin.delete(f"/v1/tenants/{tenant.id}/keys/{key['key']['id']}")
    wait_until(lambda: all_say(401), "the key is revoked")
    for api in clients:
        api.refused("POST", LEADS, 401, "credential_unknown", json={"name": "late"})
    assert tenant.count("leads") == 0
    clients = [site.with_key(tenant.key) for _ in range(24)]
    site.admin.post(f"/v1/tenants/{tenant.id}/suspend")
    wait_until(lambda: all_say(403), "it is suspended")
    site.admin.post(f"/v1/tenants/{tenant.id}/resume")
    wait_until(lambda: all_say(200), "it is resumed")
    site.admin.delete(f"/v1/tenants/{tenant.id}")
    wait_until(lambda: all_say(401), "it is gone")
    again = site.admin.create_tenant("Short Lived")
    assert again.slug == tenant.slug and all_say(401), "the name is another's now"


# What was said before


def test_replayed_cursors(site):
    a, v = site.attacker.api, site.victim.api
    for api in (a, v):
        rows = api.post(LEADS, [{"name": f"page {i}"} for i in range(4)], 201)["data"]
        api.page_rows = [row["id"] for row in rows]
    queries = ["limit=2", "limit=2&order=name", "limit=2&order=-name", "limit=2&name=like.page*", "limit=2&status=eq.NEW"]
    cursors = {(who, query): api.get(f"{LEADS}?{query}")["next_cursor"] for who, api in (("a", a), ("v", v)) for query in queries}
    assert all(cursors.values())
    for (who, made_for), cursor in cursors.items():
        for query in queries:
            problem = a.call("GET", f"{LEADS}?{query}&cursor={cursor}", 200 if (who, made_for) == ("a", query) else 400)
            tells_nothing(site, problem.text)
        a.refused("GET", f"/v1/data/open_leads?limit=2&cursor={cursor}", 400, "invalid_cursor")
        for broken in (cursor[:-1], cursor + "A", cursor.swapcase(), cursor[::-1], cursor[:len(cursor) // 2], cursor + cursor, "%00" + cursor):
            a.call("GET", f"{LEADS}?{made_for}&cursor={broken}", 400)
    for api in (a, v):
        for row in api.page_rows:
            api.delete(f"{LEADS}/{row}")


def test_replayed_etags_and_keys(site):
    a, v = site.attacker.api, site.victim.api
    etag = v.call("GET", f"{LEADS}/{site.lead['id']}", 200).headers["ETag"]
    own = f"{LEADS}/{site.own['id']}"
    mine = a.call("GET", own, 200).headers["ETag"]
    for tag in (etag, f"W/{mine}", mine.strip('"'), '"x0"', f'"x0", {etag}'):
        answer = a.call("PATCH", own, (400, 412), json={"name": "changed"}, headers={"If-Match": tag})
        tells_nothing(site, answer.text)
    assert a.get(own) == site.own
    # One key, two tenants: each has its own answer, whoever was first.
    key, body = {"Idempotency-Key": f"shared-{uuid.uuid4()}"}, {"name": "under a key"}
    first = v.call("POST", LEADS, 201, json=body, headers=key)
    second = a.call("POST", LEADS, 201, json=body, headers=key)
    assert "Idempotency-Replayed" not in second.headers and first.json()["id"] != second.json()["id"]
    again = a.call("POST", LEADS, 201, json=body, headers=key)
    assert again.headers["Idempotency-Replayed"] == "true" and again.json() == second.json()
    a.refused("POST", LEADS, 422, "idempotency_key_reused", json={"name": "another body"}, headers=key)
    a.refused("PATCH", own, 422, "idempotency_key_reused", json={"name": "another route"}, headers=key)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:  # at once, of both
        shared = {"Idempotency-Key": f"race-{uuid.uuid4()}"}
        tenants = [site.attacker, site.victim] * 8
        answers = list(pool.map(lambda tenant: tenant.api.with_headers().call("POST", LEADS, (201, 409), json=body, headers=shared), tenants))
    for tenant in (site.attacker, site.victim):
        ids = {answer.json()["id"] for answer, who in zip(answers, tenants) if who is tenant and answer.status_code == 201}
        assert len(ids) == 1
        for row in [*ids, (second if tenant is site.attacker else first).json()["id"]]:
            tenant.api.delete(f"{LEADS}/{row}")


# Members that nobody may set

FORBIDDEN = {"tenant_id": "{victim}", "tenantId": "{victim}", "tenant": "{victim}", "id": "{unknown}", "plan": "enterprise", "role": "admin", "roles": ["admin"],
             "tier": "database", "created_at": "2001-01-01T00:00:00Z", "updated_at": "2001-01-01T00:00:00Z", "version": 99, "is_admin": True, "placement": {},
             "status": "active", "owner": "{victim}", "xmin": 1, "ctid": "(0,1)", "tableoid": 1, "__proto__": {"role": "admin"}, "constructor": {}, "": 1,
             "TENANT_ID": "{victim}", "tenant_id ": "{victim}", "tenant\u200b_id": "{victim}", "name\u0000": "x", "slug": "{slug}", "api_key": "tk_x",
             "scopes": ["*"], "key": "x", "secret": "x", "password": "x", "$ref": "x", "select": "*"}


def resolved(document, schema):
    """The alternatives of a schema that are objects."""
    if "$ref" in schema:
        node = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            node = node[step.replace("~1", "/").replace("~0", "~")]
        return resolved(document, node)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return [one for other in schema[word] for one in resolved(document, other)]
    return [schema] if "properties" in schema else []


def bodies_of(document):
    """(method, path, audience, schema) of every route that takes JSON."""
    for path, item in document["paths"].items():
        for method in METHODS:
            content = item.get(method, {}).get("requestBody", {}).get("content", {})
            if "application/json" in content:
                yield method.upper(), path, item[method]["x-rowhouse-audience"], resolved(document, content["application/json"]["schema"])


BASES = {("POST", "/v1/tenants"): {"name": "Mass Assigned", "pack": "tekup"}, ("PATCH", "/v1/tenants/{tenant}"): {"name": "Acme Attacker"},
         ("POST", "/v1/tenants/{tenant}/keys"): {"name": "mass assigned"}, ("POST", "/v1/packs"): packs.bundle(packs.NOTES)}


@pytest.mark.parametrize("pack", settings.PACKS)
def test_mass_assignment(site, pack):
    """Every JSON body of the document, with every member that it does not have, or that is marked as read only."""
    document = site.anonymous.get(f"/openapi.json?pack={pack}")
    tenant = site.admin.create_tenant(f"Mass {pack}", pack=pack, tier="pool", sample_data=True)
    key = site.admin.get(f"/v1/tenants/{tenant.id}/keys")["data"][0]["id"]
    # What is about oneself is for people alone.
    person, platform_admin = add_person(site.admin, tenant).api, new_platform_admin(site.admin).api
    tried = 0
    for method, path, audience, schemas in bodies_of(document):
        if audience == "platform" and pack != settings.PACKS[-1]:
            continue
        assert schemas, f"{method} {path}: its body is no object"
        properties = {name: value for schema in schemas for name, value in schema["properties"].items()}
        base = BASES.get((method, path), {})
        if audience == "platform":
            api = platform_admin if path.startswith(("/v1/platform/me", "/v1/platform/password")) else site.admin
        else:
            api = person if path.startswith(("/v1/me", "/v1/auth/password")) else tenant.api
        concrete = path.replace("{tenant}", tenant.id).replace("{pack}", pack).replace("{key}", key).replace("{role}", "nobody-has-it")
        concrete = concrete.replace("{user}", str(uuid.uuid4())).replace("{upload}", "A" * 22)
        rows = tenant.api.get(f"{path.removesuffix('/{id}')}?limit=1")["data"] if path.startswith("/v1/data/") else []
        if rows:
            base = {} if method == "PATCH" else {name: value for name, value in rows[0].items() if name in properties and value is not None
                                                 and not properties[name].get("readOnly") and name != "id"}
            concrete = concrete.replace("{id}", str(rows[0]["id"]))
        assert "{" not in concrete, f"do not know how to fill {path}"
        state = site.admin.get(f"/v1/tenants/{tenant.id}"), rows
        for name, value in FORBIDDEN.items():
            known = properties.get(name)
            if known is not None and not known.get("readOnly") and name not in ("tenant_id",):
                continue
            if isinstance(value, str):
                value = value.format(victim=site.victim.id, unknown=uuid.uuid4(), slug=site.victim.slug)
            answer = api.call(method, concrete, (400, 422), json={**base, name: value})
            problem = answer.json()
            assert problem["code"] in ("validation_failed", "malformed_json", "pack_refused"), (method, path, name, problem)
            if problem["code"] == "validation_failed":
                pointer = "/" + name.replace("~", "~0").replace("/", "~1")
                assert pointer in [fault["path"] for fault in problem["errors"]] or name in answer.text, (method, path, name, problem)
            tried += 1
        now = tenant.api.get(f"{path.removesuffix('/{id}')}?limit=1")["data"] if rows else rows
        assert (site.admin.get(f"/v1/tenants/{tenant.id}"), now) == state, f"{method} {path} changed something"
    assert tried > 100
    site.admin.delete(f"/v1/tenants/{tenant.id}")


def test_bodies_where_none_belongs(site):
    """Routes without a body take nothing from one."""
    tenant = site.admin.create_tenant("Bodiless")
    body = {"tenant": site.victim.id, "tenant_id": site.victim.id, "id": site.victim.id, "slug": site.victim.slug, "plan": "basic", "status": "archived"}
    for method, path in (("POST", "suspend"), ("POST", "resume")):
        answer = site.admin.call(method, f"/v1/tenants/{tenant.id}/{path}", (200, 400, 415, 422), json=body)
        assert answer.status_code != 200 or answer.json()["id"] == tenant.id and answer.json()["plan"] == "enterprise"
    site.admin.post(f"/v1/tenants/{tenant.id}/resume")
    for method, path in (("GET", f"/v1/tenants/{tenant.id}"), ("DELETE", f"/v1/tenants/{tenant.id}")):
        site.admin.call(method, path, (200, 204, 400), json=body)
    for method, path in (("GET", LEADS), ("GET", "/v1/tenant"), ("DELETE", f"{LEADS}/{uuid.uuid4()}")):
        tells_nothing(site, site.attacker.api.call(method, path, (200, 400, 404), json={"tenant_id": "x"}).text)


# Paths

PATHS = [
    "/v1/data/leads/../leads/{lead}", "/v1/data/./leads/{lead}", "/v1//data/leads/{lead}", "//v1/data/leads/{lead}", "/v1/data/leads//{lead}",
    "/v1/data/leads/{lead}/", "/v1/data/leads/{lead}/..", "/v1/data/leads/%2e%2e/leads/{lead}", "/v1/data/%2e/leads/{lead}",
    "/v1/data/leads%2f{lead}", "/v1/data%2fleads%2f{lead}", "/v1%2fdata/leads/{lead}", "/v1/data/leads/..%2fleads%2f{lead}",
    "/v1/data/leads%252f{lead}", "/v1/data/%6c%65ads/{lead}", "/v1/data/leads/{lead}%00", "/v1/data/leads%00/{lead}", "/v1/data/leads/%00{lead}",
    "/v1/data/leads/{lead}%0d%0aX-Tenant-Key:%20{key}", "/v1/data/leads/{lead}%20", "/v1/data/leads/%c0%af{lead}", "/v1/data/leads/%e0%80%af{lead}",
    "/v1/data/leads/..%c0%af..%c0%af", "/v1/data/leads/%f0%80%80%af", "/v1/data/leads/%ff%fe", "/v1/data/leads/%ed%a0%80", "/v1/data/leads/\\..\\{lead}",
    "/v1/data/leads;tenant={victim}/{lead}", "/v1/data/leads/{lead};tenant={victim}", "/v1/data/leads/{lead}.json", "/v1/data/LEADS/{lead}",
    "/V1/data/leads/{lead}", "/v1/data/app.leads/{lead}", "/v1/data/%22app%22.%22leads%22", "/v1/data/leads%20l/{lead}", "/v1/data/leads--/{lead}",
    "/v1/data/leads'/{lead}", "/v1/data/leads%27%20OR%201=1--/{lead}", "/v1/data/\uff4c\uff45\uff41\uff44\uff53", "/v1/data/l\u0435ads", "/v1/data/leads\u200b",
    "/v1/data/lea\u0064\u0301s", "/v1/data/tenants", "/v1/data/rowhouse.context_keys", "/v1/data/context_keys", "/v1/data/idempotency_keys",
    "/v1/data/pg_authid", "/v1/data/../tenants", "/v1/data/..%2ftenants", "/v1/tenant/../tenants", "/v1/tenant/../tenants/{victim}", "/v1/tenant/{victim}",
    "/v1/tenant/keys", "/v1/export/../tenants", "/v1/rpc/../tenants", "/v1/rpc/pg_sleep", "/v1/rpc/set_context", "/v1/rpc/rowhouse.tenant_id",
    "/v1/rpc/lead_counts()", "/v1/export/leads/../../tenants", "/docs/../v1/tenants", "/docs/%2e%2e/%2e%2e/etc/passwd", "/docs/..%2f..%2fetc%2fpasswd",
    "/openapi.json/../v1/tenants", "/openapi.json?pack=../tekup", "/openapi.json?pack=tekup%00", "/healthz/../v1/tenants", "/v1/tenants/../data/leads",
    "http://127.0.0.1/v1/tenants", "http://evil.example/v1/data/leads/{lead}", "/v1/tenants/{victim}/keys/..", "*", "/v1/data/leads/{lead}#x", "/%",
    "/%2", "/%zz", "/v1/data/leads?{lead}", "/v1/data/leads/{lead}?id=eq.{lead}", "/v1/data/" + "../" * 500 + "etc/passwd", "/" + "a/" * 2000,
]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ascii(path)[:60])
def test_paths_that_mean_something_else(site, path):
    target = path.format(lead=site.lead["id"], victim=site.victim.id, key=site.victim.key)
    for method in ("GET", "DELETE", "PATCH"):
        status, fields, text = say(site, method, target, [("X-Tenant-Key", site.attacker.key)], '{"name": "taken"}' if method == "PATCH" else "")
        assert status in (400, 401, 403, 404, 405, 414, 422) or (status == 200 and method == "GET"), (method, status, text)
        assert SECRET not in text and site.victim.key not in text and "root:" not in text, text[:500]
        assert fields.get("x-tenant-id") in (None, site.attacker.id)
        assert "x-tenant-key" not in fields, "a header was let in by the path"


# Names that look like others

LOOK_ALIKES = ["\u0430cme-victim", "acme\u2010victim", "acme-v\u0456ctim", "\uff41cme-victim", "acme-victim\u200b", "acme-victim\u00ad", "ACME-VICTIM",
               "acme-victim ", " acme-victim", "acme-victim.", "acme_victim", "acme--victim", "acme-victim/", "acme-victim%00", "acme-victi\u0301m",
               "acme\u00advictim", "\u202eacme-victim", "acme-vict\u0131m", "acme-victim\ufeff"]


@pytest.mark.parametrize("name", LOOK_ALIKES, ids=ascii)
def test_look_alikes_are_nobody(site, name):
    """No spelling but the slug itself means the tenant; and no new tenant is mistaken for it."""
    quoted = urllib.parse.quote(name, safe="")
    for method, path in (("GET", f"/v1/tenants/{quoted}"), ("GET", f"/v1/tenants/{quoted}/keys"), ("POST", f"/v1/tenants/{quoted}/suspend"),
                         ("DELETE", f"/v1/tenants/{quoted}")):
        answer = site.admin.call(method, path, (400, 404))
        assert site.victim.id not in answer.text
    status, _, text = say(site, "GET", "/v1/tenant", [("X-Tenant-Key", site.victim.key), ("X-Tenant-ID", name)])
    if name.strip() != site.victim.slug:
        assert status in (400, 403), (status, text)
    answer = site.admin.call("POST", "/v1/tenants", (201, 422), json={"name": name, "pack": "tekup", "plan": "enterprise"})
    if answer.status_code == 201:
        made = answer.json()
        slug = made["tenant"]["slug"]
        assert slug != site.victim.slug and re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", slug), slug
        other = Api(site.url, {"X-Tenant-Key": made["api_key"]})
        assert other.get(f"{LEADS}?count=exact")["count"] == 0
        site.admin.delete(f"/v1/tenants/{made['tenant']['id']}")
    for member in ("slug", "subdomain", "domain"):
        answer = site.admin.call("POST", "/v1/tenants", (201, 409, 422), json={"name": "Look alike", "pack": "tekup", member: name})
        if answer.status_code == 201:
            made = answer.json()["tenant"]
            assert made["slug"] != site.victim.slug and made["subdomain"] != site.victim.slug and made["domain"] != f"{site.victim.slug}.{DOMAIN}"
            site.admin.delete(f"/v1/tenants/{made['id']}")


# Text that wants to be SQL

INJECTIONS = ["' OR '1'='1", "'; DELETE FROM app.leads; --", "\\'; SELECT 1; --", "$$; SELECT 1; $$", "') OR tenant_id IS NOT NULL --", "1; SET ROLE tenant_owner",
              "%27%20OR%20true", "' UNION SELECT * FROM app.leads --", "\"; DROP TABLE leads; --", "${jndi:ldap://x}", "{{7*7}}", "' || pg_sleep(9) || '",
              "'; SELECT set_config('rowhouse.context', '{victim}', false); --", "*", "(SELECT name FROM app.leads LIMIT 1)", "name) OR (1=1", "eq.x' --"]


@pytest.mark.parametrize("text", INJECTIONS)
def test_sql_in_values_and_names(site, text):
    text = text.replace("{victim}", str(uuid.uuid4()))
    api, quoted = site.attacker.api, urllib.parse.quote(text, safe="")
    columns = [column["name"] for column in site.admin.get("/v1/packs/tekup")["resources"]["leads"]["columns"]]
    for column in columns:
        for operator in ("eq", "neq", "like", "in", "is", "contains", "gt"):
            value = f"({quoted})" if operator == "in" else quoted
            answer = api.call("GET", f"{LEADS}?{column}={operator}.{value}", (200, 400))
            tells_nothing(site, answer.text.replace(text, ""))
    for query in (f"select={quoted}", f"order={quoted}", f"order=name.{quoted}", f"limit={quoted}", f"cursor={quoted}", f"{quoted}=eq.1", f"on_conflict={quoted}"):
        tells_nothing(site, api.call("GET", f"{LEADS}?{query}", 400).text.replace(text, ""))
    row = api.post(LEADS, {"name": text, "custom_fields": {text: text}}, 201)
    assert row["name"] == text and row["custom_fields"] == {text: text}
    assert [found["id"] for found in api.get(LEADS, params={"name": f"eq.{text}"})["data"]] == [row["id"]]
    api.delete(f"{LEADS}/{row['id']}")
    tells_nothing(site, api.call("POST", "/v1/rpc/leads_by_source", (400, 422), json={"from_date": text}).text)
    for path in (f"/v1/tenants?search={quoted}", f"/v1/tenants?pack={quoted}", f"/v1/packs/{quoted}"):
        site.admin.call("GET", path, (200, 404))
