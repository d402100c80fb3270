"""What credentials give: scopes, time and networks of API keys and service keys, and rotation without a failed request."""

import datetime
import itertools
import json
import threading

import pytest

from support.api import Api
from support.server import wait_until

LEADS = "/v1/data/leads"
LEAD = {"name": "Ada Lovelace", "email": "ada@example.com"}


def make(admin, tenant, name="test", **rights):
    """A key of the tenant, made by the platform: (document, secret)."""
    made = admin.post(f"/v1/tenants/{tenant.id}/keys", {"name": name, **rights}, 201)
    return made["key"], made["secret"]


def from_now(**span):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%SZ")


def service(server, admin, name, scopes, **rights):
    made = admin.post("/v1/service-keys", {"name": name, "scopes": scopes, **rights}, 201)
    return made["key"], Api(server.url, {"Authorization": f"Bearer {made['secret']}"})


def security_events(server, tenant_id, action):
    return server.query("SELECT actor, new_values->>'detail' FROM platform.audit_log WHERE kind = 'security' AND action = %s"
                        " AND tenant_id IS NOT DISTINCT FROM %s", (action, tenant_id), "rowhouse_platform")


def test_scopes(server, admin, tenant):
    key, secret = make(admin, tenant, scopes=["lead:read", "export:*", "lead:read"])
    assert key["scopes"] == ["export:*", "lead:read"] and key["allowed_networks"] == [] and key["created_by"].startswith("admin ")
    reader = server.with_key(secret)
    assert reader.get(LEADS)["data"] == []
    reader.call("GET", "/v1/export/leads", 200)
    reader.get("/v1/data/activities")  # also guarded by lead:read
    for method, path, operation in (("POST", LEADS, "lead:create"), ("PATCH", f"{LEADS}/1", "lead:update"),
                                    ("DELETE", f"{LEADS}/1", "lead:delete"), ("GET", "/v1/tenant", "tenant:read"),
                                    ("GET", "/v1/keys", "key:read"), ("POST", "/v1/keys", "key:manage")):
        body = None if method == "GET" else LEAD
        problem = reader.refused(method, path, 403, "permission_missing", json=body)
        assert operation in problem["detail"], problem
    # Upsert needs both; import needs its own.
    writer = server.with_key(make(admin, tenant, scopes=["lead:create"])[1])
    writer.post(LEADS, LEAD, 201)
    writer.refused("GET", LEADS, 403, "permission_missing")
    problem = writer.refused("POST", f"{LEADS}?on_conflict=update", 403, "permission_missing", json=LEAD)
    assert "lead:update" in problem["detail"]
    # The default is everything that the plan has.
    everything = server.with_key(make(admin, tenant)[1])
    assert everything.get(LEADS)["data"][0]["name"] == "Ada Lovelace" and everything.get("/v1/keys")["data"]
    wait_until(lambda: security_events(server, tenant.id, "PERMISSION_DENIED"), "the refusals are in the audit")


def test_the_plan_is_named_before_the_permission(server, admin):
    tenant = admin.create_tenant(plan="basic")
    reader = server.with_key(make(admin, tenant, scopes=["lead:read"])[1])
    reader.refused("DELETE", f"{LEADS}/1", 403, "feature_missing")
    reader.refused("POST", LEADS, 403, "permission_missing", json=LEAD)
    reader.refused("GET", "/v1/data/nothing", 404, "unknown_resource")


@pytest.mark.parametrize("body, path", [
    ({"scopes": ["leads:read"]}, "/scopes"), ({"scopes": ["lead"]}, "/scopes/0"), ({"scopes": []}, "/scopes"),
    ({"scopes": "lead:read"}, "/scopes"), ({"scopes": ["tenants:read"]}, "/scopes"), ({"scopes": [7]}, "/scopes/0"),
    ({"allowed_networks": ["10.0.0.1/8"]}, "/allowed_networks/0"), ({"allowed_networks": ["home"]}, "/allowed_networks/0"),
    ({"allowed_networks": ["10.0.0.1"] * 51}, "/allowed_networks"), ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at")])
def test_mistakes_are_named(admin, tenant, body, path):
    problem = admin.refused("POST", f"/v1/tenants/{tenant.id}/keys", 422, "validation_failed", json={"name": "x", **body})
    assert path in [fault["path"] for fault in problem["errors"]]


def test_networks(server, admin, tenant):
    here = server.with_key(make(admin, tenant, allowed_networks=["127.0.0.0/8", "::1"])[1])
    here.get(LEADS)
    key, secret = make(admin, tenant, name="elsewhere", allowed_networks=["198.51.100.0/24", "2001:db8::7"])
    assert key["allowed_networks"] == ["198.51.100.0/24", "2001:db8::7/128"]
    elsewhere = server.with_key(secret)
    problem = elsewhere.refused("GET", LEADS, 403, "forbidden")
    assert "127.0.0.1" in problem["detail"] and "198.51" not in problem["detail"]
    # What a proxy might say counts for nothing.
    elsewhere.with_headers(**{"X-Forwarded-For": "198.51.100.1", "Forwarded": "for=198.51.100.1"}).refused(
        "GET", LEADS, 403, "forbidden")
    wait_until(lambda: ("key elsewhere", "forbidden") in security_events(server, tenant.id, "INVALID_TENANT_ACCESS"),
               "the refusal is in the audit")


def test_expiry(server, admin, tenant):
    expires_at = from_now(days=1)
    key, secret = make(admin, tenant, expires_at=expires_at)
    assert key["expires_at"].startswith(expires_at[:-1])
    client = server.with_key(secret)
    client.get(LEADS)
    server.query("UPDATE platform.api_keys SET expires_at = now() - interval '1 second' WHERE id = %s RETURNING 1", (key["id"],),
                 "rowhouse_platform")
    wait_until(lambda: client.call("GET", LEADS).status_code == 401, "the key has ended")
    admin.refused("POST", f"/v1/tenants/{tenant.id}/keys/{key['id']}/rotate", 409, "conflict", json={})


def test_rotation_under_load_fails_no_request(server, admin, tenant):
    """Clients take the new secret whenever they like, while the key is rotated again and again."""
    key, secret = make(admin, tenant, name="busy")
    path = f"/v1/tenants/{tenant.id}/keys/{key['id']}/rotate"
    secrets, answers, ended = [secret], [], threading.Event()

    def client(lag):
        own = None
        for turn in itertools.count():
            if ended.is_set():
                return
            if own is None or turn % lag == 0:
                own = server.with_key(secrets[-1])
            answers.append(own.call("GET", LEADS).status_code)

    threads = [threading.Thread(target=client, args=(lag,)) for lag in (1, 7, 50, 10**9)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(answers) > 100, "the clients are at work")
    rotated = admin.post(path, {"overlap_seconds": 3600}, 200)
    assert rotated["key"]["id"] == key["id"] and rotated["key"]["previous_until"] and rotated["key"]["rotated_at"]
    secrets.append(rotated["secret"])
    before = len(answers)
    wait_until(lambda: len(answers) > before + 200, "the clients are at work with both secrets")
    # An overlap is not cut short by accident.
    problem = admin.refused("POST", path, 409, "conflict", json={})
    assert "overlap of 0" in problem["detail"]
    ended.set()
    for thread in threads:
        thread.join()
    assert set(answers) == {200}, f"{len(answers)} answers"

    for each in secrets:
        server.with_key(each).get(LEADS)
    newest = admin.post(path, {"overlap_seconds": 0}, 200)
    assert newest["key"]["previous_until"] is None
    for each in secrets:
        wait_until(lambda each=each: server.with_key(each).call("GET", LEADS).status_code == 401, "every older secret has ended")
    server.with_key(newest["secret"]).get(LEADS)
    dump = json.dumps(server.query("SELECT k::text FROM platform.api_keys k UNION ALL SELECT a::text FROM platform.audit_log a",
                                   database="rowhouse_platform"))
    for each in (*secrets, newest["secret"]):
        assert each not in dump and each[8:] not in dump, "only hashes are kept"


def test_the_old_secret_ends_when_the_overlap_is_over(server, admin, tenant):
    key, secret = make(admin, tenant, name="overlap")
    fresh = admin.post(f"/v1/tenants/{tenant.id}/keys/{key['id']}/rotate", None, 200)["secret"]
    old, new = server.with_key(secret), server.with_key(fresh)
    old.get(LEADS), new.get(LEADS)
    server.query("UPDATE platform.api_keys SET previous_until = now() WHERE id = %s RETURNING 1", (key["id"],), "rowhouse_platform")
    wait_until(lambda: old.call("GET", LEADS).status_code == 401, "the old secret has ended")
    new.get(LEADS)
    admin.post(f"/v1/tenants/{tenant.id}/keys/{key['id']}/rotate", {"overlap_seconds": 60}, 200)  # now it may go on
    admin.delete(f"/v1/tenants/{tenant.id}/keys/{key['id']}")
    for client in (old, new):
        client.refused("GET", LEADS, 401, "credential_unknown")
    admin.refused("POST", f"/v1/tenants/{tenant.id}/keys/{key['id']}/rotate", 409, "conflict", json={"overlap_seconds": 0})
    admin.refused("POST", f"/v1/tenants/{tenant.id}/keys/{key['id']}/rotate", 422, "validation_failed",
                  json={"overlap_seconds": 2592001})


def test_a_tenant_manages_its_own_keys(server, admin, tenant):
    mine = tenant.api
    made = mine.post("/v1/keys", {"name": "own", "scopes": ["lead:*"]}, 201)
    assert made["key"]["created_by"] == "key default" and made["secret"].startswith("tk_")
    child = server.with_key(made["secret"])
    child.get(LEADS)
    assert {"default", "own"} <= {key["name"] for key in mine.get("/v1/keys")["data"]}
    assert mine.get("/v1/keys")["data"] == admin.get(f"/v1/tenants/{tenant.id}/keys")["data"]
    second = mine.post(f"/v1/keys/{made['key']['id']}/rotate", {"overlap_seconds": 0}, 200)["secret"]
    server.with_key(second).get(LEADS)
    mine.delete(f"/v1/keys/{made['key']['id']}")
    server.with_key(second).refused("GET", LEADS, 401, "credential_unknown")
    actions = {action for (action,) in server.query(
        "SELECT action FROM platform.audit_log WHERE tenant_id = %s AND object_id = %s AND actor = 'key default'",
        (tenant.id, made["key"]["id"]), "rowhouse_platform")}
    assert actions == {"key.created", "key.rotated", "key.revoked"}


def test_a_key_gives_no_more_than_its_maker_has(server, admin, tenant):
    until = from_now(days=2)
    key, secret = make(admin, tenant, name="maker", scopes=["lead:read", "key:*"], expires_at=until, allowed_networks=["127.0.0.0/8"])
    maker = server.with_key(secret)
    for more in ({"scopes": ["lead:*"]}, {"scopes": ["*"]}, {"scopes": ["lead:read", "lead:create"]}, {"scopes": ["user:read"]},
                 {"expires_at": None}, {"expires_at": from_now(days=3)}, {"allowed_networks": []},
                 {"allowed_networks": ["0.0.0.0/0"]}, {"allowed_networks": ["127.0.0.0/8", "10.0.0.0/8"]}):
        maker.refused("POST", "/v1/keys", 403, "permission_missing", json={"name": "more", **more})
    # Left out, it is the maker's own.
    same = maker.post("/v1/keys", {"name": "same"}, 201)["key"]
    assert (same["scopes"], same["allowed_networks"]) == (["key:*", "lead:read"], ["127.0.0.0/8"])
    assert same["expires_at"] == key["expires_at"]
    less = maker.post("/v1/keys", {"name": "less", "scopes": ["lead:read"], "allowed_networks": ["127.0.0.1"],
                                   "expires_at": from_now(days=1)}, 201)
    server.with_key(less["secret"]).get(LEADS)
    # To rotate a key is to get it.
    first, = [each["id"] for each in maker.get("/v1/keys")["data"] if each["name"] == "default"]
    maker.refused("POST", f"/v1/keys/{first}/rotate", 403, "permission_missing", json={})
    maker.post(f"/v1/keys/{less['key']['id']}/rotate", {}, 200)
    tenant.api.get(LEADS)


def test_keys_of_another_tenant_are_not_there(server, admin, tenant):
    other = admin.create_tenant()
    key, secret = make(admin, other)
    for name in (key["id"], "not-a-key", "00000000-0000-0000-0000-000000000000"):
        first = tenant.api.refused("POST", f"/v1/keys/{name}/rotate", 404, "not_found", json={})
        tenant.api.refused("DELETE", f"/v1/keys/{name}", 404, "not_found")
        admin.refused("POST", f"/v1/tenants/{tenant.id}/keys/{name}/rotate", 404, "not_found", json={})
        assert other.slug not in json.dumps(first)
    assert key["id"] not in json.dumps(tenant.api.get("/v1/keys"))
    server.with_key(secret).get(LEADS)


def test_service_keys(server, admin, tenant):
    key, watcher = service(server, admin, "watcher", ["tenants:read", "platform:*"], expires_at=from_now(days=1))
    assert key["scopes"] == ["platform:*", "tenants:read"]
    assert watcher.get(f"/v1/tenants/{tenant.id}")["id"] == tenant.id
    watcher.get("/v1/status")
    watcher.call("GET", "/metrics", 200)
    for method, path, operation in (("POST", "/v1/tenants", "tenants:manage"), ("DELETE", f"/v1/tenants/{tenant.id}", "tenants:manage"),
                                    ("GET", f"/v1/tenants/{tenant.id}/keys", "keys:read"), ("GET", "/v1/packs", "packs:read"),
                                    ("POST", "/v1/lint", "lint:run"), ("GET", "/v1/service-keys", "service-keys:manage"),
                                    ("GET", "/v1/operations", "operations:read"),
                                    ("POST", "/v1/context-keys", "context-keys:manage")):
        problem = watcher.refused(method, path, 403, "permission_missing", json=None if method == "GET" else {})
        assert operation in problem["detail"], problem
    wait_until(lambda: any(actor == "service key watcher" for actor, _ in security_events(server, None, "PERMISSION_DENIED")),
               "the refusals are in the audit")
    # No tenant's credential, and the other way round.
    watcher.call("GET", LEADS, 401)
    tenant.api.refused("GET", "/v1/tenants", 401, "credential_missing")

    admin.refused("POST", "/v1/service-keys", 409, "conflict", json={"name": "watcher", "scopes": ["*"]})
    for body, path in (({"name": "x"}, "/scopes"), ({"name": "x", "scopes": ["lead:read"]}, "/scopes"),
                       ({"name": "x", "scopes": ["user:read"]}, "/scopes"), ({"scopes": ["*"]}, "/name")):
        problem = admin.refused("POST", "/v1/service-keys", 422, "validation_failed", json=body)
        assert path in [fault["path"] for fault in problem["errors"]]

    # Nobody gives more than they have.
    _, maker = service(server, admin, "maker", ["service-keys:manage", "tenants:read"])
    maker.refused("POST", "/v1/service-keys", 403, "permission_missing", json={"name": "more", "scopes": ["tenants:manage"]})
    maker.post("/v1/service-keys", {"name": "child", "scopes": ["tenants:read"]}, 201)

    _, elsewhere = service(server, admin, "elsewhere", ["*"], allowed_networks=["198.51.100.7"])
    elsewhere.refused("GET", "/v1/tenants", 403, "forbidden")
    admin.delete(f"/v1/service-keys/{key['id']}")
    wait_until(lambda: watcher.call("GET", "/v1/status").status_code == 401, "the service key is revoked")
    service(server, admin, "watcher", ["tenants:read"])  # the name is free again
    admin.refused("DELETE", "/v1/service-keys/not-a-key", 404, "not_found")
    assert "admin" not in {listed["name"] for listed in admin.get("/v1/service-keys")["data"]}


def test_a_service_key_rotates(server, admin):
    key, first = service(server, admin, "nightly", ["tenants:read"])
    path = f"/v1/service-keys/{key['id']}/rotate"
    second = Api(server.url, {"Authorization": "Bearer " + admin.post(path, {"overlap_seconds": 3600})["secret"]})
    for both in (first, second):
        both.get("/v1/tenants")
    admin.refused("POST", path, 409, "conflict")  # its overlap is not over
    # What it gave, it gives; and nobody rotates what gives more than they have.
    second.refused("GET", "/v1/status", 403, "permission_missing")
    _, maker = service(server, admin, "rotator", ["service-keys:manage"])
    maker.refused("POST", path, 403, "permission_missing")
    third = Api(server.url, {"Authorization": "Bearer " + admin.post(path, {"overlap_seconds": 0})["secret"]})
    third.get("/v1/tenants")
    for ended in (first, second):
        wait_until(lambda: ended.call("GET", "/v1/tenants").status_code == 401, "older secrets have ended")
    admin.delete(f"/v1/service-keys/{key['id']}")
    admin.refused("POST", path, 409, "conflict")
    wait_until(lambda: third.call("GET", "/v1/tenants").status_code == 401, "the key is revoked")
    token = server.query("SELECT id FROM platform.admin_tokens WHERE kind = 'admin'", database="rowhouse_platform")[0][0]
    admin.refused("POST", f"/v1/service-keys/{token}/rotate", 404, "not_found")  # an admin's token is no service key
    listed = next(each for each in admin.get("/v1/service-keys")["data"] if each["id"] == key["id"])
    assert listed["rotated_at"]


def test_every_route_names_its_operation(server):
    document = Api(server.url).get("/openapi.json")
    unguarded = {f"{method} {path}" for path, methods in document["paths"].items() for method, route in methods.items()
                 if route["x-rowhouse-audience"] != "open" and not route.get("x-rowhouse-operation")}
    for name in unguarded:
        # Routes about the caller alone need no right.
        assert name.split(" ")[1].startswith(("/v1/me", "/v1/auth/")), f"{name} names no operation"
    rotate = document["paths"]["/v1/keys/{key}/rotate"]["post"]
    assert rotate["x-rowhouse-operation"] == "key:manage" and rotate["x-rowhouse-audience"] == "tenant"


def test_command_line(server, admin, tenant, tmp_path):
    made = json.loads(server.cli("key", "create", tenant.slug, "--name", "reports", "--scope", "lead:read", "--scope", "export:*",
                                 "--expires", "90d", "--allow", "127.0.0.0/8", "--json").stdout)
    assert made["key"]["scopes"] == ["export:*", "lead:read"] and made["key"]["allowed_networks"] == ["127.0.0.0/8"]
    assert made["key"]["expires_at"][:10] == from_now(days=90)[:10]
    listed = server.cli("key", "list", tenant.slug).stdout
    assert "reports" in listed and "lead:read" in listed and "127.0.0.0/8" in listed
    file = tmp_path / "rotated.key"
    rotated = server.cli("key", "rotate", tenant.slug, made["key"]["id"], "--overlap", "24h", "--key-file", str(file))
    assert "good until" in rotated.stderr
    for secret in (made["secret"], file.read_text().strip()):
        server.with_key(secret).get(LEADS)
    assert "refused from now on" in server.cli("key", "rotate", tenant.slug, made["key"]["id"], "--overlap", "0").stderr
    wait_until(lambda: server.with_key(made["secret"]).call("GET", LEADS).status_code == 401, "the old secret has ended")

    key = json.loads(server.cli("service-key", "create", "robot", "--scope", "tenants:read", "--json").stdout)
    robot = Api(server.url, {"Authorization": f"Bearer {key['secret']}"})
    robot.get("/v1/tenants")
    assert "robot" in server.cli("service-key", "list").stdout
    assert "good until" in server.cli("service-key", "rotate", key["key"]["id"], "--overlap", "1h").stderr
    robot.get("/v1/tenants")
    server.cli("service-key", "revoke", key["key"]["id"])
    wait_until(lambda: robot.call("GET", "/v1/tenants").status_code == 401, "the service key is revoked")
