"""Who may call what: every actor on every route, generated from /openapi.json and the pack's manifest.

What a route needs stands in the document (x-rowhouse-audience, x-rowhouse-operation) or, for rows, in the pack. What an
actor has stands in their role or scopes. A request that may not be is refused with 401 or 403 as docs/identity.md says,
before anything else is looked at; one that may be gets any other answer. Nothing is named that exists, so nothing changes.
"""

import re
import uuid

import pytest

from support.api import Api
from support.people import add_person, new_platform_admin

METHODS = ("get", "post", "put", "patch", "delete")
VERBS = {("data", "GET"): "read", ("data", "POST"): "create", ("data", "PATCH"): "update", ("data", "DELETE"): "delete",
         ("import", "POST"): "import", ("export", "GET"): "export"}
# They would do something although nothing is named: tried by those alone who may not.
WITH_EFFECTS = {("POST", "/v1/lint"), ("POST", "/v1/verifications"), ("POST", "/v1/context-keys"), ("POST", "/v1/platform/encryption-keys/rotate"), ("POST", "/v1/token-keys"), ("DELETE", "/v1/me/sessions"), ("DELETE", "/v1/platform/me/sessions")}
# Open, because their credential is the cookie of a browser session, which nobody here has.
BY_COOKIE = {"/v1/auth/browser/refresh": "credential_missing"}
REFUSALS = ("credential_missing", "credential_unknown", "tenant_mismatch", "permission_missing", "feature_missing")
PACK = "tekup"


def permits(patterns, operation):
    return any(pattern in ("*", operation, operation.split(":")[0] + ":*") for pattern in patterns)


class Actor:
    def __init__(self, name, api, tenant=None, platform=None):
        """`tenant`, `platform`: what they may do there; None: they are nobody there."""
        self.name, self.api, self.tenant, self.platform = name, api, tenant, platform


@pytest.fixture(scope="module")
def actors(server, admin):
    tenant, other = admin.create_tenant("Matrix of rights"), admin.create_tenant("Matrix of others")
    boss, user = add_person(admin, tenant), add_person(admin, tenant, "user")
    boss.api.post("/v1/roles", {"name": "viewer", "operations": ["lead:read", "tenant:read"]}, 201)
    viewer = add_person(admin, tenant, "viewer")
    one_scope = admin.post(f"/v1/tenants/{tenant.slug}/keys", {"name": "one scope", "scopes": ["lead:read"]}, 201)["secret"]
    service = admin.post("/v1/service-keys", {"name": "one scope", "scopes": ["tenants:read"]}, 201)["secret"]
    roles = {role["name"]: role["operations"] for role in admin.get(f"/v1/tenants/{tenant.slug}/roles")["data"]}
    stranger = add_person(admin, other)
    return [
        Actor("nobody", server.anonymous),
        Actor("admin token", admin, platform=["*"]),
        Actor("platform admin", new_platform_admin(admin).api, platform=["*"]),
        Actor("service key with one scope", Api(server.url, {"Authorization": f"Bearer {service}"}), platform=["tenants:read"]),
        Actor("tenant admin", boss.api, tenant=roles["admin"]),
        Actor("user", user.api, tenant=roles["user"]),
        Actor("viewer", viewer.api, tenant=roles["viewer"]),
        Actor("key of the tenant", tenant.api, tenant=["*"]),
        Actor("key with one scope", server.with_key(one_scope), tenant=["lead:read"]),
        Actor("other tenant's admin", stranger.api.with_headers(**{"X-Tenant-ID": tenant.slug}), tenant="elsewhere"),
    ]


@pytest.fixture(scope="module")
def routes(server, admin):
    """(method, path, audience, operation or None)"""
    document, pack = server.anonymous.get(f"/openapi.json?pack={PACK}"), admin.get(f"/v1/packs/{PACK}")
    found = []
    for path, item in document["paths"].items():
        for method in (method.upper() for method in METHODS if method in item):
            described = item[method.lower()]
            operation = described.get("x-rowhouse-operation")
            family, name = (path.split("/") + ["", ""])[2:4]
            if family == "rpc":
                operation = pack["functions"][name]["operation"]
            elif (family, method) in VERBS and name in pack["resources"]:
                operation = pack["resources"][name]["operations"][VERBS[family, method]]
            found.append((method, path, described["x-rowhouse-audience"], operation))
    return found


def expected(actor, audience, operation, path):
    """The code of the refusal, or None."""
    if audience == "open":
        return BY_COOKIE.get(path)
    has = actor.platform if audience == "platform" else actor.tenant
    if has is None:
        return "credential_missing" if actor.name == "nobody" else "credential_unknown"
    if has == "elsewhere":
        return "tenant_mismatch"
    return None if operation is None or permits(has, operation) else "permission_missing"


def request_for(method, path):
    concrete = re.sub(r"\{\w+\}", lambda _: str(uuid.uuid4()), path)
    if method not in ("POST", "PATCH", "PUT"):
        return concrete, {}
    if path.startswith("/v1/import/"):
        return concrete, {"data": "name\n", "headers": {"Content-Type": "text/csv"}}
    return concrete, {"json": {}}


def test_every_route_names_what_guards_it(routes):
    callers = {path for _, path, audience, operation in routes if audience == "tenant" and operation is None}
    assert callers == {"/v1/me", "/v1/me/sessions", "/v1/me/sessions/{session}", "/v1/auth/password",
                       "/v1/me/email/verification", "/v1/me/totp", "/v1/me/totp/confirm", "/v1/me/recovery-codes"}
    assert all(operation for _, _, audience, operation in routes if audience == "platform")


def test_every_actor_on_every_route(actors, routes):
    wrong, tried = [], 0
    for method, path, audience, operation in routes:
        for actor in actors:
            code = expected(actor, audience, operation, path)
            if code is None and (method, path) in WITH_EFFECTS:
                continue
            concrete, options = request_for(method, path)
            # An audience that the actor has no credential for may see a credential of another kind as none.
            answer = actor.api.call(method, concrete, **options, stream=path.endswith("/events"))
            told = answer.json().get("code") if answer.status_code >= 400 else None
            refused = told if told in REFUSALS else None
            tried += 1
            either = ("credential_missing", "credential_unknown")
            if refused != code and not (code in either and refused in either):
                wrong.append(f"{actor.name}: {method} {path} ({operation}) → {answer.status_code} {told}, expected {code or 'no refusal'}")
            elif code == "permission_missing" and operation not in answer.json()["detail"]:
                wrong.append(f"{actor.name}: {method} {path}: {answer.text} does not name {operation}")
    assert not wrong, f"{len(wrong)} of {tried}:\n" + "\n".join(wrong)
    assert tried > 500


def test_without_the_plans_feature_the_feature_is_named_first(admin):
    """A viewer of a small plan: the plan comes before the permission."""
    tenant = admin.create_tenant("Small plan", plan="basic")
    boss = add_person(admin, tenant)
    missing = boss.api.refused("GET", "/v1/export/leads", 403, "feature_missing")
    assert "export:csv" in missing["detail"]
    boss.api.post("/v1/roles", {"name": "viewer", "operations": ["lead:read"]}, 201)
    viewer = add_person(admin, tenant, "viewer")
    viewer.api.refused("GET", "/v1/export/leads", 403, "feature_missing")
    viewer.api.refused("POST", "/v1/data/leads", 403, "permission_missing", json={"name": "never"})
