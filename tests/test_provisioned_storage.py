"""Storage that the platform makes for tenants: a directory of its own, or a user and a bucket of a Ceph gateway."""

import uuid

import pytest

from support.server import wait_until
from support.services.ceph import Ceph


def store_of(server, tenant):
    return server.query("SELECT provider, origin, status FROM platform.tenant_storage_configs WHERE tenant_id = %s", (tenant.id,),
                        "rowhouse_platform")


def creation_steps(server, tenant):
    rows = server.query("SELECT s.name, s.status FROM platform.operation_steps s JOIN platform.operations o ON o.id = s.operation_id "
                        "WHERE o.tenant_id = %s AND o.kind = 'tenant.create'", (tenant.id,), "rowhouse_platform")
    return dict(rows)


# ---------------------------------------------------------------------------------------------- directories

@pytest.mark.parametrize("tier", ["pool", "schema", "database"])
def test_a_tenant_gets_a_directory_and_leaves_none(server, admin, tier):
    tenant = admin.create_tenant(storage="provisioned", tier=tier)
    directory = server.data / "objects" / tenant.id
    assert directory.is_dir()
    assert directory.stat().st_mode & 0o077 == 0, "others can read it"
    assert store_of(server, tenant) == [("directory", "provisioned", "working")]
    assert creation_steps(server, tenant)["create_store"] == "done"
    (directory / "folder" / "inner").mkdir(parents=True)
    (directory / "folder" / "inner" / "file").write_text("x")
    admin.delete(f"/v1/tenants/{tenant.id}")
    assert not directory.exists()
    assert [path.name for path in (server.data / "objects").iterdir() if tenant.id in path.name] == []


def test_others_get_none(server, admin):
    tenant = admin.create_tenant(storage="none")
    assert not (server.data / "objects" / tenant.id).exists()
    assert store_of(server, tenant) == []


def test_a_root_that_is_away_makes_no_tenant(server, admin):
    objects = server.data / "objects"
    hidden = server.data / f"objects-{uuid.uuid4().hex}"
    slug = f"no-store-{uuid.uuid4().hex[:8]}"
    objects.rename(hidden)
    try:
        answer = admin.call("POST", "/v1/tenants", 502, json={"name": "No store", "slug": slug, "pack": "tekup", "storage": "provisioned"})
        assert answer.json()["code"] == "storage_failed"
        assert not objects.exists(), "a root is never made while the server runs"
    finally:
        hidden.rename(objects)
    # Whether something was made can be said only now. Who asks for the removal hurries it.
    admin.call("DELETE", f"/v1/tenants/{slug}", None)
    wait_until(lambda: admin.get("/v1/tenants", params={"search": slug})["data"] == [], "the creation was taken back", 60)


def test_where_nothing_is_provisioned_it_is_refused(new_server):
    server = new_server(env={"ROWHOUSE_STORAGE_PROVISIONED": "none"}).start()
    answer = server.admin.call("POST", "/v1/tenants", 422, json={"name": "Nothing", "pack": "tekup", "storage": "provisioned"})
    assert [field["path"] for field in answer.json()["errors"]] == ["/storage"], answer.text


# ---------------------------------------------------------------------------------------------- a gateway

@pytest.fixture(scope="module")
def ceph():
    with Ceph() as made:
        yield made


@pytest.fixture
def gateway_server(new_server, ceph):
    return new_server(env={"ROWHOUSE_STORAGE_PROVISIONED": "ceph_rgw", "ROWHOUSE_STORAGE_ENDPOINT": ceph.endpoint,
                           "ROWHOUSE_STORAGE_ADMIN_ACCESS_KEY": ceph.access_key, "ROWHOUSE_STORAGE_ADMIN_SECRET_KEY": ceph.secret_key}).start()


def buckets(ceph):
    return ceph.request("GET", "/admin/bucket", {"format": "json"}).json()


def test_a_tenant_gets_a_user_and_a_bucket_and_leaves_none(gateway_server, ceph):
    admin = gateway_server.admin
    tenant = admin.create_tenant(storage="provisioned")
    name = f"rowhouse-{tenant.id}"
    assert store_of(gateway_server, tenant) == [("minio", "provisioned", "working")]
    user = ceph.request("GET", "/admin/user", {"uid": name, "format": "json"}).json()
    assert user["max_buckets"] == -1, "it may make other buckets"
    assert len(user["keys"]) == 1
    bucket = ceph.request("GET", "/admin/bucket", {"bucket": name, "stats": "true", "format": "json"}).json()
    assert bucket["owner"] == name
    key = user["keys"][0]
    for path in gateway_server.data.rglob("*.log"):
        assert key["secret_key"] not in path.read_text(errors="replace")
    assert key["secret_key"] not in gateway_server.log()

    # The key opens this bucket, and no other.
    own, ceph.access_key, ceph.secret_key = (ceph.access_key, ceph.secret_key), key["access_key"], key["secret_key"]
    try:
        assert ceph.request("PUT", f"/{name}/a/b", body=b"content").status_code == 200
        assert ceph.request("GET", f"/{name}/a/b").content == b"content"
        assert ceph.request("GET", f"/{ceph.bucket}").status_code == 403
        assert ceph.request("PUT", f"/another-{uuid.uuid4().hex}").status_code in (400, 403)
        assert ceph.request("GET", "/admin/user", {"uid": "rowhouse"}).status_code == 403
        assert ceph.request("POST", f"/{name}/half", {"uploads": ""}).status_code == 200
    finally:
        ceph.access_key, ceph.secret_key = own

    admin.delete(f"/v1/tenants/{tenant.id}")
    assert name not in buckets(ceph)
    assert ceph.request("GET", "/admin/user", {"uid": name}).status_code == 404


def quota_of(ceph, tenant):
    """(bytes, is it on) of the tenant's user at the gateway; bytes are -1 without a limit."""
    answer = ceph.request("GET", "/admin/user", {"quota": "", "uid": f"rowhouse-{tenant.id}", "quota-type": "user", "format": "json"})
    assert answer.status_code == 200, answer.text
    quota = answer.json()
    return quota["max_size"], quota["enabled"]


def test_the_gateway_follows_the_plan(gateway_server, ceph):
    admin = gateway_server.admin
    limits = {plan["name"]: plan["limits"]["storage_mb"] * 1_000_000 for plan in admin.get("/v1/packs/tekup")["plans"]}
    smaller, larger = sorted((limit, plan) for plan, limit in limits.items() if limit > 0)[:2]
    tenant = admin.create_tenant(storage="provisioned", plan=smaller[1])
    wanted = (-(-smaller[0] // 1024) * 1024, True)
    assert quota_of(ceph, tenant) == wanted

    admin.patch(f"/v1/tenants/{tenant.id}", {"plan": larger[1]})
    wanted = (-(-larger[0] // 1024) * 1024, True)
    wait_until(lambda: quota_of(ceph, tenant) == wanted, "the gateway knows the new plan", 30)

    # A change while the gateway is away is made up for when it is back, also by another process.
    ceph.stop()
    admin.patch(f"/v1/tenants/{tenant.id}", {"plan": smaller[1]})
    wanted = (-(-smaller[0] // 1024) * 1024, True)
    gateway_server.kill()
    ceph.start()
    gateway_server.start()
    wait_until(lambda: quota_of(ceph, tenant) == wanted, "the gateway knows the plan after a restart", 60)
    admin.delete(f"/v1/tenants/{tenant.id}")
