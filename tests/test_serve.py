"""`rowhouse serve` on an operator's own PostgreSQL: what it refuses, and several nodes on one database."""

import concurrent.futures
import secrets
import time

import pytest

from support import packs, settings
from support.people import add_person, with_token
from support.postgres import PASSWORD, OwnPostgres
from support.server import Server, cli, wait_until

LEADS = "/v1/data/leads"
TOKEN = "rha_" + secrets.token_urlsafe(32)
KEY = secrets.token_hex(32)


@pytest.fixture(scope="module")
def postgres(work):
    own = OwnPostgres(work / "operator")
    try:
        yield own.start()
    finally:
        own.stop()


def environment(postgres, **more):
    return {"ROWHOUSE_DATABASE_URL": postgres.url(), "ROWHOUSE_ENCRYPTION_KEY": KEY, "ROWHOUSE_ADMIN_TOKEN": TOKEN, **more}


def node(work, postgres, name):
    return Server(work / name, command=["serve"], env=environment(postgres, ROWHOUSE_BASE_DOMAIN="app.example"), token=TOKEN)


@pytest.fixture(scope="module")
def nodes(work, postgres):
    """Two nodes that were started at the same moment, on an empty server: both migrate."""
    both = [node(work, postgres, "one"), node(work, postgres, "two")]
    try:
        for one in both:
            one.launch()
        for one in both:
            one.wait_ready()
        yield both
        for one in both:
            one.stop()
    finally:
        for one in both:
            one.clear()


def refused(env):
    done = cli("serve", "--listen", "127.0.0.1:0", env=env, expect=(1, 2))
    said = done.stdout + done.stderr
    assert PASSWORD not in said and "operator%27s" not in said and KEY not in said and TOKEN not in said, "no secrets in messages"
    return said


def test_what_is_missing_is_named(postgres):
    for name in ("ROWHOUSE_DATABASE_URL", "ROWHOUSE_ENCRYPTION_KEY", "ROWHOUSE_ADMIN_TOKEN"):
        said = refused({key: value for key, value in environment(postgres).items() if key != name})
        assert name.removeprefix("ROWHOUSE_").lower() in said.lower().replace("-", "_").replace(" ", "_"), said


@pytest.mark.parametrize("changes, words", [
    ({"ROWHOUSE_ENCRYPTION_KEY": "short"}, ["64"]),
    ({"ROWHOUSE_ADMIN_TOKEN": "short"}, ["token"]),
    ({"ROWHOUSE_DATABASE_URL": "mysql://x"}, ["postgresql://"]),
    ({"ROWHOUSE_DATABASE_URL": "postgresql://operator:x@127.0.0.1:1/postgres"}, ["127.0.0.1"]),
])
def test_bad_settings(postgres, changes, words):
    said = refused(environment(postgres, **changes))
    for word in words:
        assert word in said, said


def test_a_wrong_password(postgres):
    said = refused(environment(postgres, ROWHOUSE_DATABASE_URL=postgres.url(password="wrong")))
    assert "password" in said or "authentication" in said


def test_a_role_without_rights(postgres):
    postgres.query("CREATE ROLE weak LOGIN CREATEDB PASSWORD 'weak'")
    said = refused(environment(postgres, ROWHOUSE_DATABASE_URL=postgres.url("weak", "weak")))
    assert "weak" in said and "superuser" in said.lower()


def test_a_server_with_another_encoding(work):
    odd = OwnPostgres(work / "odd", encoding="SQL_ASCII")
    try:
        odd.start()
        said = refused(environment(odd))
        assert "SQL_ASCII" in said and "UTF8" in said
        assert odd.query("SELECT count(*) FROM pg_database WHERE datname LIKE 'rowhouse%'") == [(0,)], "nothing was made there"
    finally:
        odd.stop()


def test_two_nodes_start_at_once(nodes):
    one, two = (found.admin for found in nodes)
    assert [pack["name"] for pack in one.get("/v1/packs")["data"]] == [pack["name"] for pack in two.get("/v1/packs")["data"]]
    assert {pack["name"] for pack in one.get("/v1/packs")["data"]} >= set(settings.PACKS)


@pytest.mark.parametrize("tier", settings.TIERS)
def test_a_tenant_of_one_node_is_a_tenant_of_the_other(nodes, tier):
    one, two = nodes
    tenant = one.admin.create_tenant(f"Shared {tier}", tier=tier)
    there = two.with_key(tenant.key)
    row = there.post(LEADS, {"name": "x"}, 201)
    assert tenant.api.get(f"{LEADS}/{row['id']}") == row
    page = tenant.api.get(LEADS + "?limit=1")
    assert page["next_cursor"] is None
    tenant.api.post(LEADS, {"name": "y"}, 201)
    cursor = tenant.api.get(LEADS + "?limit=1")["next_cursor"]
    assert len(there.get(f"{LEADS}?limit=1&cursor={cursor}")["data"]) == 1, "cursors are good on every node"
    body, headers = {"name": "once"}, {"Idempotency-Key": "both"}
    assert tenant.api.post(LEADS, body, 201, headers=headers) == there.post(LEADS, body, 201, headers=headers)


def effective_within(limit_s, check, what):
    """The rule is 2 s; under a sanitizer only that it happens."""
    started = time.monotonic()
    wait_until(check, what, 10)
    if not settings.SANITIZED:
        assert time.monotonic() - started < limit_s, f"{what}: later than {limit_s} s"


def test_suspension_reaches_the_other_node(nodes):
    one, two = nodes
    tenant = one.admin.create_tenant("Suspended everywhere")
    there = two.with_key(tenant.key)
    for _ in range(3):
        there.get(LEADS)
        one.admin.post(f"/v1/tenants/{tenant.id}/suspend", expect=200)
        effective_within(2, lambda: there.call("GET", LEADS, (200, 403)).status_code == 403, "suspended on the other node")
        two.admin.post(f"/v1/tenants/{tenant.id}/resume", expect=200)
        effective_within(2, lambda: tenant.api.call("GET", LEADS, (200, 403)).status_code == 200, "resumed on the first node")


def test_other_changes_reach_the_other_node(nodes):
    one, two = nodes
    tenant = one.admin.create_tenant("Changing", plan="basic")
    there = two.with_key(tenant.key)
    there.refused("GET", "/v1/export/leads?format=csv", 403, "feature_missing")
    one.admin.patch(f"/v1/tenants/{tenant.id}", {"plan": "professional"})
    effective_within(2, lambda: there.call("GET", "/v1/export/leads?format=csv", (200, 403)).status_code == 200, "the new plan")
    unknown = two.admin.post(f"/v1/tenants/{tenant.id}/keys", {"name": "new"}, 201)
    assert one.with_key(unknown["secret"]).get("/v1/tenant")["id"] == tenant.id, "a new key is good at once, everywhere"
    first = one.admin.get(f"/v1/tenants/{tenant.id}/keys")["data"][0]["id"]
    one.admin.delete(f"/v1/tenants/{tenant.id}/keys/{first}")
    effective_within(2, lambda: there.call("GET", LEADS, (200, 401)).status_code == 401, "a revoked key")
    one.admin.delete(f"/v1/tenants/{tenant.id}")
    other_key = two.with_key(unknown["secret"])
    effective_within(2, lambda: other_key.call("GET", LEADS, (200, 401)).status_code == 401, "a deleted tenant")


def test_people_of_one_node_are_people_of_the_other(nodes):
    one, two = nodes
    tenant = one.admin.create_tenant("People everywhere")
    person = add_person(one.admin, tenant, name="everywhere")
    here = person.api
    there = with_token(two.url, person.signed_in["access_token"])
    row = here.post(LEADS, {"name": "x"}, 201)
    assert there.get(f"{LEADS}/{row['id']}")["name"] == "x"
    # The session goes on at the other node, whose token is good here.
    person.signed_in = two.anonymous.post("/v1/auth/refresh", {"refresh_token": person.signed_in["refresh_token"]})
    here = with_token(one.url, person.signed_in["access_token"])
    here.get(LEADS)

    # A role of the tenant's own, made and changed at one, counts at the other; on connections that are open.
    path = f"/v1/tenants/{tenant.slug}"
    one.admin.post(path + "/roles", {"name": "reader", "operations": ["lead:read"]}, 201)
    add_person(two.admin, tenant, role="admin", name="second")  # the last one with the admin role stays
    two.admin.patch(f"{path}/users/{person.id}", {"role": "reader"})
    wait_until(lambda: here.call("POST", LEADS, json={"name": "y"}).status_code == 403, "the role is known here", 2)
    assert there.call("POST", LEADS, json={"name": "y"}).status_code == 403
    one.admin.delete(f"{path}/users/{person.id}")
    wait_until(lambda: there.call("GET", LEADS).status_code == 401, "the removal is known there", 2)
    two.anonymous.refused("POST", "/v1/auth/login", 401, "credential_unknown",
                          json={"email": person.email, "password": person.password, "tenant": tenant.slug})


def test_a_deleted_database_is_no_trouble_for_the_other_node(nodes):
    one, two = nodes
    tenant = one.admin.create_tenant("Dropped", tier="database")
    there = two.with_key(tenant.key)
    there.post(LEADS, {"name": "x"}, 201)
    one.admin.delete(f"/v1/tenants/{tenant.id}")
    effective_within(2, lambda: there.call("GET", LEADS, (200, 401, 503)).status_code == 401, "gone")
    assert two.admin.create_tenant("Dropped", tier="database").count("leads") == 0


def test_a_pack_reaches_the_other_node(nodes):
    one, two = nodes
    one.admin.call("POST", "/v1/packs", 201, json=packs.bundle(packs.notes("notes-nodes")))
    effective_within(2, lambda: any(pack["name"] == "notes-nodes" for pack in two.admin.get("/v1/packs")["data"]), "the new pack")
    tenant = two.admin.create_tenant(pack="notes-nodes", plan=None)
    assert one.with_key(tenant.key).get("/v1/data/notes")["data"] == []


def test_a_host_names_its_tenant_and_no_other(nodes):
    mine, other = nodes[0].admin.create_tenant(), nodes[0].admin.create_tenant(domain="crm.other.example")
    subdomain = mine.record["subdomain"]
    for host in (f"{subdomain}.app.example", f"{subdomain.upper()}.app.example:8080", "app.example"):
        assert mine.api.get("/v1/tenant", headers={"Host": host})["id"] == mine.id
    for host in (f"{other.record['subdomain']}.app.example", "crm.other.example", "nobody.app.example"):
        mine.api.refused("GET", LEADS, 403, "tenant_mismatch", headers={"Host": host})
    assert other.api.get("/v1/tenant", headers={"Host": "crm.other.example"})["id"] == other.id


def test_the_same_name_on_two_nodes(nodes):
    def create(number):
        return nodes[number % 2].admin.call("POST", "/v1/tenants", (201, 409), timeout=settings.REQUEST_LIMIT_S,
                                            json={"name": "Both", "pack": "tekup", "slug": "both"}).status_code
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(create, range(6))) == [201] + [409] * 5


def test_a_restart_of_the_operator_s_server(nodes, postgres):
    one, two = nodes
    tenant = one.admin.create_tenant("Restarted")
    tenant.api.post(LEADS, {"name": "Kept"}, 201)
    postgres.restart()
    for api in (tenant.api, two.with_key(tenant.key)):
        wait_until(lambda: api.call("GET", LEADS, (200, 503)).status_code == 200, "requests are answered again", 30)
        assert len(api.get(LEADS)["data"]) == 1
    one.admin.post(f"/v1/tenants/{tenant.id}/suspend", expect=200)
    there = two.with_key(tenant.key)
    wait_until(lambda: there.call("GET", LEADS, (200, 403)).status_code == 403, "nodes listen to each other again", 15)


def test_another_key_is_refused(nodes, postgres):
    """A node with another master key could not read what the others wrote."""
    said = refused(environment(postgres, ROWHOUSE_ENCRYPTION_KEY=secrets.token_hex(32)))
    assert "key" in said
    assert nodes[0].admin.create_tenant().count("leads") == 0, "and changes nothing for the others"


def test_nodes_leave_and_come_back(nodes, postgres, work):
    third = node(work, postgres, "three")
    try:
        third.start()
        tenant = third.admin.create_tenant("Third")
        third.kill()
        assert nodes[0].with_key(tenant.key).get(LEADS)["data"] == []
        third.start()
        third.stop()
    finally:
        third.clear()
