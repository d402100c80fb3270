"""Object storage of tenants: setting it, trying it, who may share a bucket, what nobody reads back; and the keys that secrets are under.

The store is a directory, as if the operator had mounted a share there (storage_mount_roots).
"""

import json
import secrets
import threading
import time
import uuid

import pytest

from support.people import add_person
from support.server import Server, cli

REFUSED = "http://169.254.169.254"


@pytest.fixture(scope="module")
def mounts(work):
    path = work / "mounts"
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def server(work, mounts):
    running = Server(work / "data", env={"ROWHOUSE_PACKS": "tekup", "ROWHOUSE_STORAGE_MOUNT_ROOTS": str(mounts),
                                         "ROWHOUSE_WORKERS": "2"})
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.clear()


@pytest.fixture(scope="module")
def admin(server):
    return server.admin


@pytest.fixture
def share(mounts):
    path = mounts / f"share-{uuid.uuid4().hex[:8]}"
    path.mkdir()
    return path


def nfs(share, **members):
    return {"provider": "nfs", "config": {"mount_path": str(share), **members}}


def s3(secret, endpoint="https://s3.example.com", **members):
    return {"provider": "minio", "config": {"endpoint": endpoint, "access_key": "AKIDEXAMPLE00000", "secret_key": secret, "bucket": "acme-files",
                                            **members}}


def files(share):
    return sorted(path.name for path in share.rglob("*") if path.is_file())


def test_a_tenant_sets_tries_sees_and_removes_its_storage(server, admin, share):
    tenant = admin.create_tenant("Storage Life")
    tenant.api.refused("GET", "/v1/storage", 409, "storage_not_configured")
    tenant.api.refused("POST", "/v1/storage/test", 409, "storage_not_configured")
    made = tenant.api.call("PUT", "/v1/storage", 200, json=nfs(share, prefix="acme/")).json()
    assert made["provider"] == "nfs" and made["origin"] == "byos" and made["status"] == "working"
    assert made["config"] == {"mount_path": str(share), "prefix": "acme/"}
    assert [step["name"] for step in made["last_test"]["steps"]] == ["write", "read", "list", "delete"]
    assert made["last_test"]["ok"] and all(step["error"] is None for step in made["last_test"]["steps"])
    assert files(share) == [], "nothing of the probe is left"
    assert admin.get(f"/v1/tenants/{tenant.slug}")["storage"] == "byos"
    assert admin.get(f"/v1/tenants/{tenant.slug}/storage") == tenant.api.get("/v1/storage") == made

    tried = tenant.api.post("/v1/storage/test", expect=200)
    assert tried["status"] == "working" and tried["last_test_at"] > made["last_test_at"]
    share.rename(share.with_name("gone"))
    failed = tenant.api.post("/v1/storage/test", expect=200)
    assert failed["status"] == "failing" and not failed["last_test"]["ok"] and failed["last_test"]["steps"][0]["error"]
    share.with_name("gone").rename(share)

    tenant.api.delete("/v1/storage")
    for _ in range(8):  # whichever worker answers
        server.with_key(tenant.key).refused("GET", "/v1/storage", 409, "storage_not_configured")
    tenant.api.refused("DELETE", "/v1/storage", 409, "storage_not_configured")


def test_what_does_not_work_does_not_become_active(admin, share):
    tenant = admin.create_tenant("Storage Tried")
    before = tenant.api.call("PUT", "/v1/storage", 200, json=nfs(share)).json()
    missing = tenant.api.refused("PUT", "/v1/storage", 502, "storage_failed", json=nfs(share / "not" / "there"))
    assert "write" in missing["detail"]
    assert tenant.api.get("/v1/storage") == before


@pytest.mark.parametrize("body, paths", [
    ({}, ["/provider", "/config"]), ([], [""]), ({"provider": "ftp", "config": {}}, ["/provider"]),
    ({"provider": "directory", "config": {"root": "/etc"}}, ["/provider"]),
    ({"provider": "nfs", "config": {"mount_path": "/etc"}}, ["/config/mount_path"]),
    ({"provider": "nfs", "config": {"mount_path": "MOUNTS/../etc"}}, ["/config/mount_path"]),
    ({"provider": "minio", "config": {"endpoint": "https://s3.example.com", "colour": "red"}},
     ["/config/access_key", "/config/secret_key", "/config/bucket", "/config/colour"]),
    ({"provider": "nfs", "config": {"mount_path": "MOUNTS"}, "tenant": "other"}, ["/tenant"]),
])
def test_each_fault_is_named(admin, mounts, body, paths):
    tenant = admin.create_tenant("Storage Faults")
    text = json.dumps(body).replace("MOUNTS", str(mounts))
    answer = tenant.api.refused("PUT", "/v1/storage", 422, "validation_failed", data=text, headers={"Content-Type": "application/json"})
    assert sorted(fault["path"] for fault in answer["errors"]) == sorted(paths)
    tenant.api.refused("GET", "/v1/storage", 409, "storage_not_configured")


@pytest.mark.parametrize("endpoint", [REFUSED, "http://127.0.0.1:5432", "https://localhost", "https://[::1]:9000", "https://2130706433"])
def test_places_inside_are_refused_and_no_secret_comes_back(admin, endpoint):
    tenant = admin.create_tenant("Storage Inside")
    secret = secrets.token_hex(20)
    answer = tenant.api.call("PUT", "/v1/storage", json=s3(secret, endpoint))
    assert answer.status_code == 422 and answer.json()["code"] in ("address_refused", "validation_failed"), answer.text
    assert secret not in answer.text
    tenant.api.refused("GET", "/v1/storage", 409, "storage_not_configured")


def test_a_bucket_of_another_tenant_takes_a_proof_of_control(admin, share):
    first, second = admin.create_tenant("Proof First"), admin.create_tenant("Proof Second")
    first.api.call("PUT", "/v1/storage", 200, json=nfs(share, prefix="first/"))
    first.api.call("PUT", "/v1/storage", 200, json=nfs(share, prefix="first/")), "again: its own"
    told = second.api.refused("PUT", "/v1/storage", 409, "conflict", json=nfs(share, prefix="second/"))["detail"]
    for word in (first.slug, first.id, "Proof First"):
        assert word not in told
    key = told.split('"')[1]
    assert key.startswith(".rowhouse-control/")
    assert second.api.refused("PUT", "/v1/storage", 409, "conflict", json=nfs(share, prefix="third/"))["detail"] == told
    third = admin.create_tenant("Proof Third").api.refused("PUT", "/v1/storage", 409, "conflict", json=nfs(share))["detail"]
    assert third != told, "a token is good for one tenant"
    (share / key).parent.mkdir()
    (share / key).write_text("it is mine")
    second.api.call("PUT", "/v1/storage", 200, json=nfs(share, prefix="second/"))
    (share / key).unlink()
    second.api.call("PUT", "/v1/storage", 200, json=nfs(share, prefix="other/"))  # proved once
    refused = admin.refused("POST", "/v1/tenants", 409, "conflict",
                            json={"name": "Proof Fourth", "pack": "tekup", "storage": "byos", "storage_config": nfs(share)})
    assert first.slug not in refused["detail"]


def test_a_tenant_is_made_with_its_storage_or_not_at_all(server, admin, share, mounts, work):
    secret = secrets.token_hex(20)
    made = admin.create_tenant("Byos Good", storage="byos", storage_config=nfs(share))
    assert made.api.get("/v1/storage")["status"] == "working"
    count = server.query("SELECT count(*) FROM platform.tenants", database="rowhouse_platform")
    base = {"pack": "tekup", "storage": "byos"}
    admin.refused("POST", "/v1/tenants", 502, "storage_failed", json={**base, "name": "Byos Bad", "storage_config": nfs(mounts / "none")})
    admin.refused("POST", "/v1/tenants", 422, "address_refused", json={**base, "name": "Byos Bad", "storage_config": s3(secret, "https://10.0.0.1")})
    bad = admin.refused("POST", "/v1/tenants", 422, "validation_failed",
                        json={**base, "name": "Byos Bad", "storage_config": {"provider": "gcs", "config": {}}})
    assert all(fault["path"].startswith("/storage_config/config/") for fault in bad["errors"])
    admin.refused("POST", "/v1/tenants", 422, "validation_failed",
                  json={"pack": "tekup", "name": "Byos Bad", "storage": "none", "storage_config": nfs(share)})
    assert server.query("SELECT count(*) FROM platform.tenants", database="rowhouse_platform") == count

    config = work / "byos.json"
    other = mounts / "cli-share"
    other.mkdir()
    config.write_text(json.dumps(nfs(other)))
    shown = json.loads(server.cli("tenant", "create", "Byos Cli", "--pack", "tekup", "--storage", "byos", "--storage-config", str(config), "--json").stdout)
    assert (shown.get("tenant") or shown)["storage"] == "byos"
    inputs = server.query("SELECT string_agg(input::text || coalesce(request_digest, ''), ' ') FROM platform.operations", database="rowhouse_platform")[0][0]
    assert str(other) not in inputs and str(share) not in inputs


def test_an_idempotent_creation_compares_the_configuration(admin, share, mounts):
    key = {"Idempotency-Key": uuid.uuid4().hex}
    body = {"name": "Byos Once", "pack": "tekup", "storage": "byos", "storage_config": nfs(share)}
    first = admin.call("POST", "/v1/tenants", 201, json=body, headers=key).json()
    assert admin.call("POST", "/v1/tenants", 201, json=body, headers=key).json()["tenant"]["id"] == first["tenant"]["id"]
    admin.refused("POST", "/v1/tenants", 422, "idempotency_key_reused", json={**body, "storage_config": nfs(mounts)}, headers=key)


def test_permissions(admin, share):
    tenant = admin.create_tenant("Storage Rights")
    admin.call("PUT", f"/v1/tenants/{tenant.slug}/storage", 200, json=nfs(share))
    boss, user = add_person(admin, tenant), add_person(admin, tenant, "user")
    assert boss.api.get("/v1/storage")["provider"] == "nfs"
    user.api.refused("PUT", "/v1/storage", 403, "permission_missing", json=nfs(share))
    user.api.refused("DELETE", "/v1/storage", 403, "permission_missing")


def test_cli(server, admin, share, work):
    tenant = admin.create_tenant("Storage Cli")
    config = json.dumps(nfs(share))
    refused = server.cli("storage", "set", "--tenant", tenant.slug, "--storage-config", config, expect=2)
    assert "command lines are readable" in refused.stderr
    assert "working" in server.cli("storage", "set", "--tenant", tenant.slug, "--storage-config", "-", stdin=config).stdout
    shown = json.loads(server.cli("storage", "show", "--tenant", tenant.slug, "--json").stdout)
    assert shown == tenant.api.get("/v1/storage")
    assert "write" in server.cli("storage", "test", "--tenant", tenant.slug).stdout
    share.rename(share.with_name("cli-gone"))
    assert "failing" in server.cli("storage", "test", "--tenant", tenant.slug, expect=1).stdout
    share.with_name("cli-gone").rename(share)
    server.cli("storage", "remove", "--tenant", tenant.slug)
    server.cli("storage", "show", "--tenant", tenant.slug, expect=1)
    server.cli("storage", "show", expect=2)


def test_changes_are_in_the_audit_with_names_alone(server, admin, share):
    tenant = admin.create_tenant("Storage Audit")
    tenant.api.call("PUT", "/v1/storage", 200, json=nfs(share))
    tenant.api.delete("/v1/storage")
    rows = server.query("SELECT action, coalesce(new_values::text, '') FROM platform.audit_log WHERE tenant_id = %s AND object_type = 'storage' "
                        "ORDER BY id", (tenant.id,), "rowhouse_platform")
    assert [action for action, _ in rows] == ["storage.set", "storage.removed"]
    assert str(share) not in str(rows)


def sealed(server):
    return dict(server.query("SELECT tenant_id::text, encode(sealed, 'hex') FROM platform.tenant_storage_configs", database="rowhouse_platform"))


def wrapped(server):
    return {key for (key,) in server.query("SELECT DISTINCT wrapping_key FROM platform.tenant_data_keys", database="rowhouse_platform")}


def test_a_row_that_is_copied_over_another_one_does_not_open(server, admin, share, mounts):
    mine, other = admin.create_tenant("Swap Mine"), admin.create_tenant("Swap Other")
    mine.api.call("PUT", "/v1/storage", 200, json=nfs(share))
    second = mounts / f"swap-{uuid.uuid4().hex[:6]}"
    second.mkdir()
    other.api.call("PUT", "/v1/storage", 200, json=nfs(second))
    connection = server.connect("rowhouse_platform")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE platform.tenant_storage_configs SET sealed = (SELECT sealed FROM platform.tenant_storage_configs WHERE tenant_id = %s) "
                       "WHERE tenant_id = %s", (mine.id, other.id))
    connection.close()
    answer = other.api.refused("GET", "/v1/storage", 500, "internal")
    assert str(share) not in str(answer)


def test_rotation_of_encryption_keys(new_server, mounts):
    """A new wrapping key and new data keys, with a kill in the middle; every configuration is readable at any moment."""
    env = {"ROWHOUSE_STORAGE_MOUNT_ROOTS": str(mounts)}
    own = new_server(env=env).start()
    tenants = []
    for at in range(12):
        share = mounts / f"rotation-{at}"
        share.mkdir()
        tenants.append(own.admin.create_tenant(f"Rotation {at}", storage="byos", storage_config=nfs(share)))
    derived = json.loads(own.cli("encryption-key", "list", "--json").stdout)["data"]
    assert [key["state"] for key in derived] == ["current"] and derived[0]["data_keys"] == 12
    own.stop()

    new = secrets.token_hex(32)
    command = f"printf %s {new}"
    own.env = {**own.env, "ROWHOUSE_WRAPPING_KEY_COMMAND": command}
    own.start()
    for tenant in tenants:
        assert own.with_key(tenant.key).get("/v1/storage")["config"]
    keys = json.loads(own.cli("encryption-key", "list", "--json").stdout)["data"]
    assert [(key["state"], key["data_keys"]) for key in keys] == [("current", 0), ("former", 12)]
    old = sealed(own)

    stop, faults, reads = threading.Event(), [], [0]

    def read():
        client = own.admin
        while not stop.is_set():
            for tenant in tenants:
                try:
                    answer = client.call("GET", f"/v1/tenants/{tenant.slug}/storage")
                except Exception:  # noqa: BLE001 - the server is being killed
                    if stop.is_set():
                        return
                    continue
                reads[0] += 1
                if answer.status_code != 200 or "mount_path" not in answer.json()["config"]:
                    faults.append(answer.text)
    reader = threading.Thread(target=read)
    reader.start()
    try:
        rotation = threading.Thread(target=lambda: cli("encryption-key", "rotate", "--data-keys", expect=(0, 1, 5),
                                                       env={"ROWHOUSE_URL": own.url, "ROWHOUSE_ADMIN_TOKEN": own.admin_token}))
        rotation.start()
        while reads[0] < 12:
            assert reader.is_alive()
            time.sleep(0.01)
        own.kill()
        rotation.join()
    finally:
        stop.set()
        reader.join()
    assert not faults, faults[0]
    own.start()
    assert len(sealed(own)) == 12
    done = json.loads(own.cli("encryption-key", "rotate", "--data-keys", "--json").stdout)
    assert [(key["state"], key["data_keys"] >= 12) for key in done["keys"]["data"]] == [("current", True), ("former", False)]
    assert done["keys"]["data_key_renewal_since"] is None
    assert wrapped(own) == {done["keys"]["data"][0]["fingerprint"]}
    assert all(old[tenant.id] != sealed(own)[tenant.id] for tenant in tenants)
    for tenant in tenants:
        assert own.admin.get(f"/v1/tenants/{tenant.slug}/storage")["config"]["mount_path"].startswith(str(mounts))
    assert new not in own.log()
    own.stop()

    # Without the key the server says which one is missing, and nobody else's error tells anything.
    own.env.pop("ROWHOUSE_WRAPPING_KEY_COMMAND")
    own.start()
    answer = own.admin.refused("GET", f"/v1/tenants/{tenants[0].slug}/storage", 500, "config_invalid")
    assert done["keys"]["data"][0]["fingerprint"] in answer["detail"] and "wrapping_key_previous" in answer["detail"]
    assert [key["state"] for key in own.admin.get("/v1/platform/encryption-keys")["data"]] == ["current", "unknown"]
    own.cli("encryption-key", "rotate", expect=1)
    own.stop()
    # Back under the derived key.
    own.env["ROWHOUSE_WRAPPING_KEY_PREVIOUS"] = new
    own.start()
    assert json.loads(own.cli("encryption-key", "rotate", "--json").stdout)["rewrapped"] >= 12
    own.stop()


@pytest.mark.parametrize("settings, said", [
    ({"ROWHOUSE_WRAPPING_KEY": "abc"}, "wrapping_key"), ({"ROWHOUSE_WRAPPING_KEY_COMMAND": "exit 3"}, "status 3"),
    ({"ROWHOUSE_WRAPPING_KEY_COMMAND": "echo no-key-planted"}, "wrapping_key_command"),
    ({"ROWHOUSE_WRAPPING_KEY_COMMAND": "yes planted | head -c 100000"}, "more than a key"),
    ({"ROWHOUSE_WRAPPING_KEY": "0" * 64, "ROWHOUSE_WRAPPING_KEY_COMMAND": "true"}, "set one of them"),
    ({"ROWHOUSE_WRAPPING_KEY_PREVIOUS": "0" * 64 + ",planted"}, "wrapping_key_previous"),
])
def test_bad_wrapping_keys(new_server, settings, said):
    own = new_server(env=settings).launch()
    assert own.wait_end() != 0
    assert said in own.log() and "planted" not in own.log(), own.log_tail()
    own.process = None
