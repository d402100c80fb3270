"""Secrets that tenants entrust to the server are in clear nowhere: planted ones are looked for wherever a thief or a support case would look.

A tenant's S3 credentials (of a real gateway), the wrapping key, and the master key go their ways: set, tried, used, refused, rotated; then logs,
answers, command lines, PostgreSQL's settings, statistics, WAL and files, a dump of each database, and what a crash leaves are searched.
"""

import base64
import json
import os
import pathlib
import secrets
import signal
import subprocess

import pytest

from support.server import SUPERUSER, Server
from support.services.ceph import Ceph

WRAPPING_KEY = secrets.token_hex(32)


def spellings(secret):
    """As it is, and as it may stand in a file by mistake."""
    plain = secret.encode()
    found = {plain, plain.hex().encode(), base64.b64encode(plain).rstrip(b"=")[:-2]}
    if all(c in "0123456789abcdef" for c in secret) and len(secret) == 64:
        found.add(bytes.fromhex(secret))
    return found


def look_in(data, planted, where):
    for name, secret in planted.items():
        for text in spellings(secret):
            assert text not in data, f"{name} is in {where}"


def look_in_tree(root, planted, apart=()):
    looked = 0
    for path in pathlib.Path(root).rglob("*"):
        if path in apart or not path.is_file() or path.is_socket():
            continue
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue  # PostgreSQL has removed it
        look_in(content, planted, path)
        looked += len(content)
    return looked


@pytest.fixture(scope="module")
def gateway():
    with Ceph() as running:
        yield running


@pytest.fixture
def doomed(work, gateway):
    """A server that the test ends in its own way."""
    running = Server(work / "data", env={
        "ROWHOUSE_PACKS": "tekup", "ROWHOUSE_EGRESS_ALLOW": f"127.0.0.1:{gateway.port}", "ROWHOUSE_WRAPPING_KEY_COMMAND": f"printf %s {WRAPPING_KEY}",
        "ROWHOUSE_LOG_LEVEL": "debug"})
    try:
        running.start()
        yield running
    finally:
        running.clear()


def test_planted_secrets_are_found_nowhere(doomed, gateway, work):
    server = doomed
    admin = server.admin
    good = gateway.config
    wrong = "wrong" + secrets.token_hex(20)
    unused = "unused" + secrets.token_hex(20)
    planted = {"the S3 secret": good["secret_key"], "a refused S3 secret": wrong, "a secret of a tenant that was not made": unused}
    answers = []

    def call(method, path, status, client=admin, **options):
        answer = client.call(method, path, status, **options)
        answers.append(answer.text + str(answer.headers))
        return answer

    # Statements as they are sent, and their statistics, are the harshest settings that an operator may choose.
    connection = server.connect("rowhouse_platform")
    with connection.cursor() as cursor:
        for setting in ("log_statement = 'all'", "log_parameter_max_length_on_error = -1", "log_min_duration_statement = 0"):
            cursor.execute(f"ALTER SYSTEM SET {setting}")
        cursor.execute("SELECT pg_reload_conf()")

    tenant = admin.create_tenant("Planted")
    setting = {"provider": "minio", "config": good}
    call("PUT", "/v1/storage", 200, tenant.api, json=setting)
    call("PUT", "/v1/storage", 502, tenant.api, json={**setting, "config": {**good, "secret_key": wrong}})
    call("GET", "/v1/storage", 200, tenant.api)
    call("POST", "/v1/storage/test", 200, tenant.api)
    call("PUT", "/v1/storage", (422,), tenant.api, json={"provider": "minio", "config": {**good, "secret_key": wrong, "bucket": "Not A Bucket"}})
    call("POST", "/v1/tenants", (409, 502), json={"name": "Never", "pack": "tekup", "storage": "byos",
                                                  "storage_config": {"provider": "minio", "config": {**good, "secret_key": unused}}})
    config = work / "planted.json"
    config.write_text(json.dumps(setting))
    shown = server.cli("storage", "set", "--tenant", tenant.slug, "--storage-config", str(config), "--json")
    answers += [shown.stdout, shown.stderr, server.cli("storage", "show", "--tenant", tenant.slug).stdout]
    config.unlink()
    call("POST", "/v1/platform/encryption-keys/rotate", 200, json={"data_keys": True})
    answers.append(server.cli("config").stdout)

    planted["the wrapping key"] = WRAPPING_KEY
    for text in answers:
        look_in(text.encode(), {name: text for name, text in planted.items() if name != "the wrapping key"}, "an answer")
    # The command that prints the key is the operator's own text: what it prints is shown nowhere.
    look_in(server.log().encode(), planted, "the log")

    with connection.cursor() as cursor:
        for query in ("SELECT coalesce(string_agg(s::text, ' '), '') FROM pg_settings s", "SELECT coalesce(string_agg(a::text, ' '), '') FROM pg_stat_activity a",
                      "SELECT coalesce(string_agg(r::text, ' '), '') FROM platform.audit_log r", "SELECT coalesce(string_agg(o::text, ' '), '') FROM platform.operations o",
                      "SELECT coalesce(string_agg(e::text, ' '), '') FROM platform.events e"):
            cursor.execute(query)
            look_in(cursor.fetchone()[0].encode(), planted, query)
        cursor.execute("CHECKPOINT")
    connection.close()

    for process in [server.process.pid, server.postmaster_pid]:
        look_in(pathlib.Path(f"/proc/{process}/cmdline").read_bytes(), planted, "a command line")
    # Tables, WAL and PostgreSQL's own log. The command stands in no file of ours.
    assert look_in_tree(server.data, planted) > 1_000_000

    password = (server.data / "secrets" / "superuser-password").read_text().strip()
    dump = subprocess.run(["pg_dump", "-h", os.path.realpath(server.data / "socket"), "-U", SUPERUSER, "rowhouse_platform"], capture_output=True,
                          env={**os.environ, "PGPASSWORD": password}, check=True).stdout
    assert tenant.id.encode() in dump and b"tenant_storage_configs" in dump
    look_in(dump, planted, "a dump")

    # A crash: what is printed, and what is left; no core file, which would hold everything.


    server.process.send_signal(signal.SIGABRT)
    server.process.wait(60)
    look_in(server.log().encode(), planted, "what a crash prints")
    look_in_tree(server.data, planted)
    assert server.process.returncode == -signal.SIGABRT
    assert not pathlib.Path("core").exists() and not list(server.data.rglob("core")), "a core file holds everything"
