"""Tenants and their keys: the whole life in three tiers, names that collide, and nothing left behind."""

import concurrent.futures
import re
import uuid

import pytest

from support import settings
from support.api import Tenant

LEADS = "/v1/data/leads"


def databases(server):
    return {name for (name,) in server.query("SELECT datname FROM pg_database")}


def roles(server):
    return {name for (name,) in server.query("SELECT rolname FROM pg_roles")}


def schemas(server, database="rowhouse_pool_tekup"):
    return {name for (name,) in server.query("SELECT nspname FROM pg_namespace", database=database)}


def rows_with(server, database, tenant_id):
    """Tables of a database that hold rows of a tenant, whatever their schema."""
    found = {}
    tables = server.query("SELECT table_schema, table_name FROM information_schema.columns JOIN information_schema.tables"
                          " USING (table_schema, table_name) WHERE column_name = 'tenant_id' AND table_type = 'BASE TABLE'",
                          database=database)
    for schema, table in tables:
        (count,), = server.query(f'SELECT count(*) FROM "{schema}"."{table}" WHERE tenant_id = %s', (tenant_id,), database)
        if count:
            found[f"{schema}.{table}"] = count
    return found


@pytest.mark.parametrize("tier", settings.TIERS)
def test_life(server, admin, tier):
    before = databases(server), roles(server), schemas(server)
    tenant = admin.create_tenant(f"Life in {tier}", tier=tier, plan="professional", settings={"timezone": "Europe/Oslo"},
                                 contact={"phone": "1"}, branding={"color": "#fff"}, storage="byos",
                                 domain=f"{tier}.example.com", admin_email="admin@example.com", sample_data=True)
    record = tenant.record
    assert tenant.count("leads") == 60 and tenant.sample_rows == 60 + tenant.count("activities") > 60
    assert re.fullmatch(r"tk_[A-Za-z0-9_-]{43}", tenant.key)
    assert (record["slug"], record["status"], record["tier"], record["plan"]) == (
        f"life-in-{tier}", "active", tier, "professional")
    assert record["storage"] == "byos" and record["domain"] == f"{tier}.example.com" and record["subdomain"] == record["slug"]
    assert record["settings"]["timezone"] == "Europe/Oslo" and record["contact"]["phone"] == "1"
    assert record["placement"]["tier"] == tier and uuid.UUID(record["id"]).version == 7
    expected = {"pool": ("rowhouse_pool_tekup", "app"), "schema": ("rowhouse_pool_tekup", None), "database": (None, "app")}
    for member, value in zip(("database", "schema"), expected[tier]):
        assert value in (None, record["placement"][member]), record["placement"]

    for name in (tenant.id, tenant.slug):
        answer = admin.call("GET", f"/v1/tenants/{name}", 200)
        assert answer.json() == record and answer.headers["ETag"] == f'"v{record["version"]}"'
    listed = admin.get(f"/v1/tenants?search=life%20in%20{tier}&tier={tier}&pack=tekup&status=active")["data"]
    assert listed == [record]

    changed = admin.patch(f"/v1/tenants/{tenant.id}", {"name": "Renamed “Žluťoučký”", "plan": "enterprise"})
    assert changed["slug"] == tenant.slug and changed["version"] > record["version"]
    answer = tenant.api.call("GET", "/v1/tenant", 200)
    assert answer.json()["name"] == "Renamed “Žluťoučký”"
    assert answer.headers["X-Tenant-Name"] == "Renamed%20%E2%80%9C%C5%BDlu%C5%A5ou%C4%8Dk%C3%BD%E2%80%9D"
    for stale in (f'"v{record["version"]}"',):
        admin.refused("PATCH", f"/v1/tenants/{tenant.id}", 412, "precondition_failed", json={"name": "x"},
                      headers={"If-Match": stale})
    admin.call("PATCH", f"/v1/tenants/{tenant.id}", 200, json={"name": "Again"},
               headers={"If-Match": f'"v{changed["version"]}"'})

    assert admin.post(f"/v1/tenants/{tenant.slug}/suspend", expect=200)["status"] == "suspended"
    tenant.api.refused("GET", LEADS, 403, "tenant_suspended")
    assert admin.post(f"/v1/tenants/{tenant.slug}/resume", expect=200)["status"] == "active"
    assert tenant.count("leads") == 60

    admin.delete(f"/v1/tenants/{tenant.id}")
    tenant.api.refused("GET", LEADS, 401, "credential_unknown")
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/suspend"), ("GET", "/keys")):
        admin.refused(method, f"/v1/tenants/{tenant.id}{path}", 404, "not_found",
                      json={"name": "x"} if method == "PATCH" else None)
    assert (databases(server), roles(server), schemas(server)) == before
    for database in databases(server) - {"template0"}:
        left = set(rows_with(server, database, tenant.id)) - {"identity.outbox"}  # what happened, on its way to the audit
        assert not left or database == "rowhouse_platform", (database, left)
    kept = set(rows_with(server, "rowhouse_platform", tenant.id))
    assert all(re.search("audit|events|operations|usage|registry_changes", name) for name in kept), f"only the record of what happened: {kept}"
    again = admin.create_tenant(f"Life in {tier}", tier=tier, domain=f"{tier}.example.com")
    assert again.slug == f"life-in-{tier}" and again.count("leads") == 0, "the name is free again"


def test_a_deletion_that_is_refused_says_so_and_goes_on_when_it_can(server, admin):
    tenant = admin.create_tenant("Held up")
    connection = server.connect("rowhouse_pool_tekup")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE app.not_ours (tenant_id uuid NOT NULL, id uuid NOT NULL, PRIMARY KEY (tenant_id, id))")
        try:
            problem = admin.refused("DELETE", f"/v1/tenants/{tenant.id}", 403, "forbidden")
            operation = re.search(r"operation ([0-9a-f-]{36}) deletes it as soon as the cause is mended", problem["detail"])[1]
            assert admin.get(f"/v1/operations/{operation}")["status"] == "running"
            assert tenant.api.call("GET", LEADS).status_code in (401, 403)
        finally:
            cursor.execute("DROP TABLE app.not_ours")
    connection.close()
    assert "event: end" in admin.call("GET", f"/v1/operations/{operation}/events", 200).text
    admin.refused("GET", f"/v1/tenants/{tenant.id}", 404, "not_found")


@pytest.mark.parametrize("pack, tier", [("tekup", "pool"), ("isp-monitor", "pool"), ("deeplens", "database")])
def test_defaults_of_the_pack(admin, pack, tier):
    tenant = admin.create_tenant(pack=pack, plan=None)
    summary, = [found for found in admin.get("/v1/packs")["data"] if found["name"] == pack]
    assert tenant.record["tier"] == tier == summary["default_tier"]
    assert tenant.record["plan"] == summary["default_plan"] and tenant.record["storage"] == "none"
    defaults = admin.get(f"/v1/packs/{pack}")["settings"]
    me = tenant.api.get("/v1/tenant")
    for name, value in me["settings"].items():
        assert value == defaults[name]["default"]


NAMES = ["Acme Corp", "acme corp", "acme-corp", "acme_corp", "ACME CORP", "Acme 'Corp'", 'Acme "Corp"', "acme; DROP TABLE",
         "Café Zürich", "東京カメラ", "🦊🦊🦊", "O'Brien & Söhne", "\\\\", "%s %I $1", "x" * 200, "a" * 63 + "one",
         "a" * 63 + "two", "- - -", "pg_catalog", "postgres", "template0", "App", "../../etc", "null", "Ünïcødé"]


@pytest.mark.parametrize("tier", settings.TIERS)
def test_names_never_collide(server, admin, tier):
    tenants = [admin.create_tenant(name, tier=tier) for name in NAMES]
    assert [tenant.record["name"] for tenant in tenants] == NAMES
    assert len({tenant.slug for tenant in tenants}) == len(NAMES)
    for tenant in tenants:
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", tenant.slug)
        for name in (tenant.record["placement"]["database"], tenant.record["placement"]["schema"]):
            assert len(name.encode()) <= 63
    if tier != "pool":
        places = {(tenant.record["placement"]["database"], tenant.record["placement"]["schema"]) for tenant in tenants}
        assert len(places) == len(NAMES)
    for tenant in tenants:
        tenant.api.post(LEADS, {"name": tenant.id, "email": "same@example.com"}, 201)
    for tenant in tenants:
        assert [row["name"] for row in tenant.rows("leads")] == [tenant.id]
        assert admin.get(f"/v1/tenants/{tenant.slug}")["id"] == tenant.id
    for tenant in tenants[::2]:
        admin.delete(f"/v1/tenants/{tenant.id}")
    for tenant in tenants[1::2]:
        assert tenant.count("leads") == 1, "its neighbours' deletion"
        admin.delete(f"/v1/tenants/{tenant.id}")


@pytest.mark.parametrize("body, path", [
    ({"name": ""}, "/name"), ({"name": "   "}, "/name"), ({"name": "x" * 201}, "/name"), ({"name": "a\nb"}, "/name"),
    ({"name": "a\u0000b"}, "/name"), ({"name": "a\u202eb"}, "/name"), ({"name": 5}, "/name"), ({}, "/name"),
    ({"slug": "Upper"}, "/slug"), ({"slug": "-x"}, "/slug"), ({"slug": "a_b"}, "/slug"), ({"slug": "x" * 41}, "/slug"),
    ({"slug": "0190a0a0-0000-7000-8000-000000000000"}, "/slug"), ({"slug": "a b"}, "/slug"),
    ({"pack": "nothing"}, "/pack"), ({"pack": None}, "/pack"), ({"plan": "gold"}, "/plan"), ({"tier": "cloud"}, "/tier"),
    ({"storage": "floppy"}, "/storage"), ({"domain": "not a domain"}, "/domain"), ({"subdomain": "A.B"}, "/subdomain"),
    ({"settings": {"nothing": 1}}, "/settings/nothing"), ({"settings": {"date_format": "YY"}}, "/settings/date_format"),
    ({"settings": {"timezone": 5}}, "/settings/timezone"), ({"settings": []}, "/settings"), ({"branding": 5}, "/branding"),
    ({"admin_email": "nobody"}, "/admin_email"), ({"sample_data": "yes"}, "/sample_data"), ({"nothing": 1}, "/nothing"),
    ({"id": str(uuid.uuid4())}, "/id"),
])
def test_bad_tenants(server, admin, body, path):
    before = databases(server), admin.get("/v1/status")["tenants"]["total"]
    whole = {"name": "Fine", "pack": "tekup", **body} if body else {"pack": "tekup"}
    problem = admin.refused("POST", "/v1/tenants", 422, "validation_failed", json=whole)
    assert path in [fault["path"] for fault in problem["errors"]], problem
    assert (databases(server), admin.get("/v1/status")["tenants"]["total"]) == before


def test_slugs_and_domains_are_unique(admin):
    one = admin.create_tenant("Unique", slug="unique-one", domain="unique.example.com", subdomain="unique-sub")
    for member, value in (("slug", "unique-one"), ("domain", "unique.example.com"), ("subdomain", "unique-sub")):
        admin.refused("POST", "/v1/tenants", 409, "conflict", json={"name": "Second", "pack": "tekup", member: value})
    other = admin.create_tenant("Second")
    admin.refused("PATCH", f"/v1/tenants/{other.id}", 409, "conflict", json={"domain": "unique.example.com"})
    admin.patch(f"/v1/tenants/{one.id}", {"domain": None})
    assert admin.patch(f"/v1/tenants/{other.id}", {"domain": "unique.example.com"})["domain"] == "unique.example.com"
    for body in ({"slug": "x"}, {"tier": "schema"}, {"pack": "deeplens"}, {"status": "active"}, {"plan": "gold"}, {"name": ""}):
        admin.refused("PATCH", f"/v1/tenants/{one.id}", 422, "validation_failed", json=body)


def test_the_same_name_at_once(admin):
    def create(_):
        return admin.with_headers().call("POST", "/v1/tenants", 201, json={"name": "Raced", "pack": "tekup"}).json()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = list(pool.map(create, range(16)))
    assert len({created["tenant"]["slug"] for created in made}) == 16
    assert {"raced", "raced-2"} <= {created["tenant"]["slug"] for created in made}

    def take(_):
        return admin.with_headers().call("POST", "/v1/tenants", (201, 409),
                                         json={"name": "Taken", "pack": "tekup", "slug": "taken"}).status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(take, range(8))) == [201] + [409] * 7


def test_suspension_ends_an_open_connection_s_access_at_once(admin, tenant):
    clients = [tenant.api.with_headers() for _ in range(8)]
    for client in clients:
        client.get(LEADS)
    for _ in range(5):
        admin.post(f"/v1/tenants/{tenant.id}/suspend", expect=200)
        for client in clients:
            client.refused("GET", LEADS, 403, "tenant_suspended")
            client.refused("POST", LEADS, 403, "tenant_suspended", json={"name": "x"})
        admin.post(f"/v1/tenants/{tenant.id}/resume", expect=200)
        for client in clients:
            client.get(LEADS)
    admin.post(f"/v1/tenants/{tenant.id}/suspend", expect=200)
    admin.post(f"/v1/tenants/{tenant.id}/suspend", expect=(200, 409))
    tenant.api.refused("GET", LEADS, 403, "tenant_suspended")


def test_keys(server, admin, tenant):
    first, = admin.get(f"/v1/tenants/{tenant.id}/keys")["data"]
    assert tenant.key.startswith(first["hint"]) and first["revoked_at"] is None
    second = admin.post(f"/v1/tenants/{tenant.slug}/keys", {"name": "second"}, 201)
    assert second["key"]["name"] == "second" and second["secret"] != tenant.key
    old = tenant.api
    new = server.with_key(second["secret"])
    assert new.get("/v1/tenant")["id"] == tenant.id and old.get("/v1/tenant")["id"] == tenant.id
    admin.delete(f"/v1/tenants/{tenant.id}/keys/{first['id']}")
    old.refused("GET", LEADS, 401, "credential_unknown")
    assert new.get(LEADS)["data"] == []
    listed = {key["id"]: key for key in admin.get(f"/v1/tenants/{tenant.id}/keys")["data"]}
    assert listed[second["key"]["id"]]["revoked_at"] is None
    for secret in (tenant.key, second["secret"]):
        dump = server.query("SELECT string_agg(k::text, ' ') FROM platform.api_keys k", database="rowhouse_platform")[0][0]
        assert secret not in dump and secret[3:] not in dump, "only a hash is kept"
    for body, path in (({"name": ""}, "/name"), ({}, "/name"), ({"name": "x", "expires_at": "soon"}, "/expires_at"),
                       ({"name": "x", "nothing": 1}, "/nothing"), ({"name": "x" * 201}, "/name")):
        problem = admin.refused("POST", f"/v1/tenants/{tenant.id}/keys", 422, "validation_failed", json=body)
        assert path in [fault["path"] for fault in problem["errors"]]
    admin.refused("DELETE", f"/v1/tenants/{tenant.id}/keys/not-a-key", 404, "not_found")


def test_two_hundred_pool_tenants(server, admin):
    before = databases(server)

    def create(number):
        body = {"name": f"Crowd {number}", "pack": "tekup", "tier": "pool"}
        return Tenant(admin.url, admin.with_headers().call("POST", "/v1/tenants", 201, json=body).json())

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        crowd = list(pool.map(create, range(200)))
    assert databases(server) == before
    for tenant in crowd[::20]:
        tenant.api.post(LEADS, {"name": "x"}, 201)
        assert tenant.count("leads") == 1
        tenant.api.close()
    found, cursor = [], ""
    while cursor is not None:
        page = admin.get("/v1/tenants?search=crowd&limit=37" + (f"&cursor={cursor}" if cursor else ""))
        found += [tenant["id"] for tenant in page["data"]]
        cursor = page["next_cursor"]
    assert sorted(found) == sorted(tenant.id for tenant in crowd)
    for query in ("limit=0", "limit=501", "tier=x", "status=x", "cursor=rubbish", "nothing=1"):
        admin.call("GET", f"/v1/tenants?{query}", 400)


def test_more_tenant_databases_than_connections_are_kept(admin):
    """Database-tier tenants share a bounded set of connections: the least recently used makes room."""
    tenants = [admin.create_tenant(tier="database") for _ in range(12)]
    for _ in range(3):
        for tenant in tenants:
            tenant.api.post(LEADS, {"name": tenant.id}, 201)
    for tenant in tenants:
        assert {row["name"] for row in tenant.rows("leads")} == {tenant.id}
        admin.delete(f"/v1/tenants/{tenant.id}")


def test_runtime_role_has_no_rights_of_its_own(server, admin):
    tenant = admin.create_tenant(tier="database")
    for role in ("tenant_service", tenant.record["placement"]["database"]):
        rights = server.query("SELECT rolsuper, rolbypassrls, rolcreatedb, rolcreaterole, rolinherit, rolreplication"
                              " FROM pg_roles WHERE rolname = %s", (role,))
        assert rights == [(False,) * 6], role
        memberships = server.query("SELECT count(*) FROM pg_auth_members WHERE member = %s::regrole", (role,))
        owned = server.query("SELECT count(*) FROM pg_class WHERE relowner = %s::regrole", (role,), "rowhouse_pool_tekup")
        assert memberships == owned == [(0,)]
    may = server.query("SELECT datname FROM pg_database WHERE has_database_privilege(%s, datname, 'CONNECT')"
                       " AND datallowconn", (tenant.record["placement"]["database"],))
    assert may == [(tenant.record["placement"]["database"],)], "a tenant's own role enters its own database alone"


def test_status(admin):
    admin.create_tenant()
    status = admin.get("/v1/status")
    assert status["tenants"]["total"] == sum(row["tenants"] for row in status["tenants"]["by"]) > 0
    assert status["postgresql"] and status["version"] and 0 < status["connections"]["used"] <= status["connections"]["max"]
    names = {database["name"] for database in status["databases"]}
    assert {"rowhouse_platform", "rowhouse_identity"} <= names and all(row["bytes"] > 0 for row in status["databases"])
    assert status["node"]["uptime_seconds"] >= 0 and status["node"]["requests"] > 0
