"""Every route, with tenant A's key against everything of tenant B's, for every pack in every tier.

Generated from /openapi.json; the attacks are in support/matrix.py. Beside them: every route of tenants without a good
credential, and every route of the control plane with tenants' keys.
"""

import concurrent.futures
import uuid

import jsonschema
import pytest

from support import settings
from support.api import Api, text_of
from support.matrix import Duel, attacks_on

METHODS = ("get", "post", "put", "patch", "delete")
OPEN_ROUTES = {"/healthz", "/readyz", "/openapi.json", "/docs", "/docs/{asset}", "/docs/{file}", "/v1/auth/login", "/v1/auth/refresh",
               "/v1/auth/logout", "/.well-known/jwks.json", "/.well-known/openid-configuration",
               "/v1/auth/browser/login", "/v1/auth/browser/refresh", "/v1/auth/browser/logout", "/account/", "/account/{asset}",
               "/v1/auth/invitations", "/v1/auth/invitations/accept", "/v1/auth/password/forgot", "/v1/auth/password/reset",
               "/v1/auth/email/verify", "/v1/auth/sso/discover", "/v1/auth/sso/start", "/v1/auth/sso/callback",
               "/v1/object-links/{tenant}/{object}"}
# What docs promise; the document must not forget any.
CONTROL_PLANE = {
    ("GET", "/v1/tenants"), ("POST", "/v1/tenants"), ("GET", "/v1/tenants/{tenant}"), ("PATCH", "/v1/tenants/{tenant}"),
    ("DELETE", "/v1/tenants/{tenant}"), ("POST", "/v1/tenants/{tenant}/suspend"), ("POST", "/v1/tenants/{tenant}/resume"),
    ("GET", "/v1/tenants/{tenant}/keys"), ("POST", "/v1/tenants/{tenant}/keys"),
    ("DELETE", "/v1/tenants/{tenant}/keys/{key}"), ("POST", "/v1/tenants/{tenant}/keys/{key}/rotate"),
    ("GET", "/v1/service-keys"), ("POST", "/v1/service-keys"), ("DELETE", "/v1/service-keys/{key}"),
    *[(method, f"/v1/tenants/{{tenant}}/{kind}") for method in ("GET", "POST") for kind in ("users", "roles")],
    *[(method, f"/v1/tenants/{{tenant}}/{item}") for method in ("GET", "PATCH", "DELETE") for item in ("users/{user}", "roles/{role}")],
    ("GET", "/v1/tenants/{tenant}/sessions"), ("DELETE", "/v1/tenants/{tenant}/sessions/{session}"),
    ("GET", "/v1/platform/users"), ("POST", "/v1/platform/users"), ("POST", "/v1/platform/password"),
    *[(method, "/v1/platform/users/{user}") for method in ("GET", "PATCH", "DELETE")],
    ("GET", "/v1/token-keys"), ("POST", "/v1/token-keys"), ("GET", "/v1/platform/sessions"), ("DELETE", "/v1/platform/sessions/{session}"),
    ("GET", "/v1/packs"), ("GET", "/v1/packs/{pack}"), ("POST", "/v1/packs"),
    ("GET", "/v1/operations"), ("GET", "/v1/operations/{operation}"), ("GET", "/v1/operations/{operation}/events"),
    *[("POST", f"/v1/operations/{{operation}}/{verb}") for verb in ("cancel", "pause", "resume", "retry")],
    ("GET", "/v1/operations/{operation}/targets"), ("GET", "/v1/packs/{pack}/drift"),
    *[(method, "/v1/tenants/{tenant}/storage") for method in ("GET", "PUT", "DELETE")], ("POST", "/v1/tenants/{tenant}/storage/test"),
    *[("POST", f"/v1/tenants/{{tenant}}/storage/move{ending}") for ending in ("", "/confirm")],
    ("GET", "/v1/platform/encryption-keys"), ("POST", "/v1/platform/encryption-keys/rotate"),
    ("GET", "/v1/status"), ("GET", "/v1/context-keys"), ("POST", "/v1/context-keys"),
}


OTHER_IDS = ("verification", "operation", "user", "role", "session", "invitation", "mail")


def operations(document):
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield method.upper(), path, item[method]


def routes_of(document, audience):
    return [(method, path) for method, path, operation in operations(document)
            if operation["x-rowhouse-audience"] == audience]


@pytest.fixture(scope="module")
def documents(server):
    return {pack: server.anonymous.get(f"/openapi.json?pack={pack}") for pack in settings.PACKS}


def test_every_route_has_an_attack(server, documents):
    for document in [server.anonymous.get("/openapi.json"), *documents.values()]:
        for method, path, operation in operations(document):
            audience = operation["x-rowhouse-audience"]
            if audience == "tenant":
                attacks_on(method, path)
            elif audience == "open":
                assert path in OPEN_ROUTES, f"{method} {path} is open to everybody: add it to OPEN_ROUTES if it must be"
            else:
                assert audience == "platform", (method, path, audience)
        assert CONTROL_PLANE <= set(routes_of(document, "platform"))


def test_the_document_has_every_verb_of_every_resource(admin, documents):
    for pack, document in documents.items():
        routes = set(routes_of(document, "tenant"))
        expected = {("GET", "/v1/tenant")}
        for name, resource in admin.get(f"/v1/packs/{pack}")["resources"].items():
            verbs = {"read": ("GET", f"/v1/data/{name}"), "create": ("POST", f"/v1/data/{name}"),
                     "update": ("PATCH", f"/v1/data/{name}/{{id}}"), "delete": ("DELETE", f"/v1/data/{name}/{{id}}"),
                     "import": ("POST", f"/v1/import/{name}"), "export": ("GET", f"/v1/export/{name}")}
            expected |= {verbs[verb] for verb in resource["operations"]} | {("GET", f"/v1/data/{name}/{{id}}")}
        expected |= {("POST", f"/v1/rpc/{name}") for name in admin.get(f"/v1/packs/{pack}")["functions"]}
        assert expected <= routes, expected - routes
        of_packs = {route for route in routes if route[1].startswith(("/v1/data/", "/v1/rpc/", "/v1/import/"))}
        assert of_packs <= expected, of_packs - expected


@pytest.mark.parametrize("tier", settings.TIERS)
@pytest.mark.parametrize("pack", settings.PACKS)
def test_matrix(admin, documents, pack, tier):
    duel = Duel(admin, pack, tier)
    routes = [(method, path, *attacks_on(method, path)) for method, path in routes_of(documents[pack], "tenant")]
    failures = []
    for act in ("probe", "copy", "overwrite"):
        rank = {name: at for at, name in enumerate(duel.order)}
        sign = -1 if act == "overwrite" else 1  # what refers to others goes first
        for method, path, target, acts in sorted(routes, key=lambda route: sign * rank.get(route[2], len(rank))):
            if act in acts:
                try:
                    acts[act](duel, target)
                except AssertionError as error:
                    failures.append(f"{act} {method} {path}: {error}")
        duel.check_victim(after=act)
    assert not failures, f"{len(failures)} attacks:\n" + "\n".join(failures)
    if tier == "pool":
        assert {row["id"] for row in duel.attacker.rows(duel.order[-1])} & duel.ids, "the same ids in one table"
    admin.delete(f"/v1/tenants/{duel.attacker.id}")
    duel.check_victim(after="the attacker was deleted")
    admin.delete(f"/v1/tenants/{duel.victim.id}")


def resolve(document, schema):
    return {**schema, "components": document["components"]} if isinstance(schema, dict) else schema


@pytest.mark.parametrize("pack", settings.PACKS)
def test_answers_have_the_form_of_the_document(admin, documents, pack):
    document = documents[pack]
    tenant = admin.create_tenant(f"Forms {pack}", pack=pack, tier="pool", sample_data=True, storage="provisioned")
    seen = 0
    for method, path, operation in operations(document):
        if method != "GET" or operation["x-rowhouse-audience"] != "tenant" or path.startswith("/v1/export/"):
            continue
        if operation["tags"][0] in ("Sign-in", "People", "Second factor", "Single sign-on"):
            continue  # tests of their own ask them, as a person
        if "{object}" in path or "{upload}" in path:
            continue  # test_objects.py asks them
        if "{id}" in path:
            rows = tenant.api.get(path.replace("/{id}", "?limit=1"))["data"]
            answer = tenant.api.get(path.replace("{id}", str(rows[0]["id"])))
        else:
            answer = tenant.api.get(path)
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.Draft202012Validator(resolve(document, schema)).validate(answer)
        seen += 1
    assert seen > 5
    problem = tenant.api.refused("GET", "/v1/data/nothing", 404, "unknown_resource")
    jsonschema.Draft202012Validator(resolve(document, {"$ref": "#/components/schemas/Problem"})).validate(problem)


BAD_CREDENTIALS = {
    "none": {},
    "unknown key": {"X-Tenant-Key": "tk_" + "A" * 43},
    "no key at all": {"X-Tenant-Key": "rubbish"},
    "unknown token": {"Authorization": "Bearer rha_" + "A" * 43},
    "basic": {"Authorization": "Basic YWRtaW46YWRtaW4="},
}


@pytest.mark.parametrize("pack", settings.PACKS)
def test_tenant_routes_without_a_good_credential(server, admin, documents, pack):
    tenant = admin.create_tenant(f"Bystander {pack}", pack=pack, tier="pool")
    other = admin.create_tenant(f"Neighbour {pack}", pack=pack, tier="pool")
    revoked = admin.post(f"/v1/tenants/{tenant.id}/keys", {"name": "gone"}, 201)
    admin.delete(f"/v1/tenants/{tenant.id}/keys/{revoked['key']['id']}")
    expired = admin.post(f"/v1/tenants/{tenant.id}/keys", {"name": "old", "expires_at": "2099-01-01T00:00:00Z"}, 201)
    server.query("UPDATE platform.api_keys SET expires_at = now() - interval '1 s' WHERE id = %s RETURNING id",
                 (expired["key"]["id"],), database="rowhouse_platform")
    credentials = {**BAD_CREDENTIALS, "revoked key": {"X-Tenant-Key": revoked["secret"]},
                   "expired key": {"X-Tenant-Key": expired["secret"]},
                   "admin token as key": {"X-Tenant-Key": server.admin_token},
                   "admin token": {"Authorization": f"Bearer {server.admin_token}"}}
    for method, path in routes_of(documents[pack], "tenant"):
        path = path.replace("{id}", str(uuid.uuid4()))
        body = {"json": {}} if method in ("POST", "PATCH") else {}
        for what, headers in credentials.items():
            answer = Api(server.url, headers).call(method, path, (401, 403), **body)
            assert answer.status_code == 401 or what == "admin token", (method, path, what, answer.text)
        mismatches = [tenant.api.call(method, path, 403, headers={"X-Tenant-ID": named}, **body)
                      for named in (other.id, other.slug, str(uuid.uuid4()), "nobody-here")]
        assert len({text_of(answer) for answer in mismatches}) == 1, [answer.text for answer in mismatches]
        assert mismatches[0].json()["code"] == "tenant_mismatch"


def test_control_plane_with_tenant_keys(server, admin, documents):
    victim = admin.create_tenant("Victim of keys")
    attacker = admin.create_tenant("Attacker with keys")
    key_id = admin.get(f"/v1/tenants/{victim.id}/keys")["data"][0]["id"]
    before = admin.get("/v1/tenants?limit=500")
    credentials = {**BAD_CREDENTIALS, "tenant key": {"X-Tenant-Key": attacker.key},
                   "own key as token": {"Authorization": f"Bearer {attacker.key}"},
                   "both": {"X-Tenant-Key": attacker.key, "Authorization": f"Bearer {victim.key}"}}
    for method, path in routes_of(documents["tekup"], "platform"):
        body = {"json": {"name": "Taken over", "pack": "tekup"}} if method in ("POST", "PATCH") else {}
        places = [{"{tenant}": victim.id, "{key}": key_id, "{pack}": "tekup"},
                  {"{tenant}": victim.slug, "{key}": key_id, "{pack}": "tekup"},
                  {"{tenant}": attacker.id, "{key}": key_id, "{pack}": "tekup"},
                  {"{tenant}": str(uuid.uuid4()), "{key}": str(uuid.uuid4()), "{pack}": "nothing"}]
        for what, headers in credentials.items():
            seen = set()
            for names in places:
                concrete = path
                for name, value in {**names, **{f"{{{kind}}}": names["{key}"] for kind in OTHER_IDS}}.items():
                    concrete = concrete.replace(name, value)
                assert "{" not in concrete, f"do not know how to fill {path}"
                seen.add(text_of(Api(server.url, headers).call(method, concrete, (401, 403), **body)))
            assert len(seen) == 1, (method, path, what, seen)
    assert admin.get("/v1/tenants?limit=500") == before
    assert victim.count("leads") == 0


def test_open_routes_tell_nothing_of_tenants(server, admin):
    tenant = admin.create_tenant("Unspoken Name")
    for path in ("/healthz", "/readyz", "/openapi.json", "/docs"):
        plain = server.anonymous.call("GET", path, 200)
        assert text_of(tenant.api.call("GET", path, 200)) == text_of(plain), path
        for secret in (tenant.id, tenant.slug, "Unspoken", tenant.key, server.admin_token):
            assert secret not in plain.text, path


def test_a_key_of_one_tenant_cannot_be_revoked_through_another(admin):
    one, two = admin.create_tenant(), admin.create_tenant()
    key = admin.get(f"/v1/tenants/{two.id}/keys")["data"][0]["id"]
    unknown = str(uuid.uuid4())
    texts = {text_of(admin.call("DELETE", f"/v1/tenants/{one.id}/keys/{wanted}", 404)).replace(wanted, "KEY")
             for wanted in (key, unknown)}
    assert len(texts) == 1
    assert two.count("leads") == 0


def test_contexts_do_not_mix_under_load(admin):
    """Many requests of several tenants share connections to PostgreSQL: each sees its own rows."""
    tenants = [admin.create_tenant(f"Mixed {i}") for i in range(6)]
    for i, tenant in enumerate(tenants):
        tenant.api.post("/v1/data/leads", [{"name": f"{tenant.id}"} for _ in range(i + 1)], 201)

    def hammer(worker):
        for turn in range(150):
            at = (worker + turn) % len(tenants)
            tenant = tenants[at]
            api = clients[worker][at]
            if turn % 5 == 0:
                api.call("GET", "/v1/data/leads?value=eq.x", 400)
            if turn % 7 == 0:
                api.call("POST", "/v1/data/leads", 422, json={"name": ""})
            page = api.get("/v1/data/leads?count=exact")
            assert page["count"] == at + 1 and {row["name"] for row in page["data"]} == {tenant.id}, (tenant.id, page)

    clients = [[Api(tenant.api.url, {"X-Tenant-Key": tenant.key}) for tenant in tenants] for _ in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(hammer, worker) for worker in range(8)]:
            done.result()
