"""Kill -9 as a user meets it: `rowhouse up` and `rowhouse tenant create --tier database`, with the product itself, and a
PostgreSQL that the killed server had started."""

import contextlib
import re
import subprocess
import threading

import pytest

from support import settings
from support.server import Server, environment, wait_until

# What the command line says when a step is over; the server is killed there.
STEPS = ("create role", "create database", "guard", "prepare schema", "load samples", "activate")
KEY = re.compile(r"tk_[A-Za-z0-9_-]{43}")


class Command:
    """`rowhouse …` whose progress is read line by line as it comes."""

    def __init__(self, server, *words):
        env = environment({"ROWHOUSE_URL": server.url, "ROWHOUSE_ADMIN_TOKEN": server.admin_token})
        self.process = subprocess.Popen([str(settings.BINARY), *words], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.lines = []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stderr:
            self.lines.append(line)

    def has_said(self, words):
        return any(line.startswith(words) for line in list(self.lines))

    def wait_for(self, words):
        wait_until(lambda: self.has_said(words) or self.process.poll() is not None, f"{words!r} of {self.lines}", settings.REQUEST_LIMIT_S)
        assert self.has_said(words), f"ended with {self.process.returncode} before {words!r}: {self.lines}"

    def end(self):
        out = self.process.stdout.read()
        status = self.process.wait(settings.REQUEST_LIMIT_S)
        self.reader.join()
        return status, out


@contextlib.contextmanager
def template_in_use(server):
    """Nobody can clone it meanwhile: the creation of a database is tried again and again."""
    connection = server.connect("rowhouse_template_tekup")
    try:
        yield
    finally:
        connection.close()


@pytest.fixture(scope="module")
def own(work):
    made = Server(work / "user", env={"ROWHOUSE_PACKS": "tekup"})
    try:
        made.start()
        yield made
        made.stop()
    finally:
        made.clear()


def world(server):
    """Databases and roles of tenants, and the rows that tell of them."""
    return {
        "databases": sorted(server.query("SELECT datname FROM pg_database WHERE datname LIKE 'tenant\\_%%'")),
        "roles": sorted(server.query("SELECT rolname FROM pg_roles WHERE rolname LIKE 'tenant\\_%%' AND rolname <> 'tenant_service'")),
        "tenants": sorted(server.query("SELECT slug, status FROM platform.tenants", database="rowhouse_platform")),
        "places": server.query("SELECT count(*) FROM platform.tenant_databases", database="rowhouse_platform"),
        "keys": server.query("SELECT count(*) FROM platform.api_keys", database="rowhouse_platform"),
    }


def create(server, slug):
    return Command(server, "tenant", "create", slug, "--pack", "tekup", "--tier", "database", "--sample-data")


@pytest.mark.parametrize("step", STEPS)
def test_a_tenant_works_although_the_server_was_killed(own, step):
    slug = "killed-after-" + step.replace(" ", "-")
    before = world(own)
    command = create(own, slug)
    command.wait_for(step + ":")
    own.kill()
    own.start()
    status, out = command.end()
    assert status == 0, command.lines
    tenant = own.with_key(KEY.search(out).group())
    assert tenant.get("/v1/tenant")["slug"] == slug
    assert tenant.get("/v1/data/leads?limit=1")["data"], "the sample rows are there"
    assert tenant.call("POST", "/v1/data/leads", 201, json={"name": "Works"}).json()["name"] == "Works"
    after = world(own)
    assert len(after["databases"]) == len(before["databases"]) + 1 and len(after["roles"]) == len(before["roles"]) + 1
    assert after["tenants"] == sorted(before["tenants"] + [(slug, "active")])
    own.cli("tenant", "delete", slug, "--yes")
    assert world(own) == before


def test_nothing_is_left_when_it_was_cancelled_before_the_kill(own):
    before = world(own)
    with template_in_use(own):
        command = create(own, "given-up")
        command.wait_for("create role:")
        (id,), = own.query("SELECT id::text FROM platform.operations WHERE finished_at IS NULL", database="rowhouse_platform")
        own.cli("operation", "cancel", id)
        own.kill()
    own.start()
    status, _ = command.end()
    assert status == 1, command.lines
    assert own.query("SELECT status FROM platform.operations WHERE id = %s", (id,), "rowhouse_platform") == [("cancelled",)]
    assert world(own) == before
