"""Signed tenant contexts as a property of the installation: which implementation checks them, keys, rotation."""

import contextlib
import secrets
import shutil
import threading

import psycopg2
import pytest

from support import settings
from support.api import Api
from support.postgres import OwnPostgres
from support.server import Server, cli, wait_until

LEADS = "/v1/data/leads"
KEYS = "/v1/context-keys"
PLATFORM = "rowhouse_platform"
SHORT = {"ROWHOUSE_CONTEXT_KEY_GRACE": "1s"}
IN_FORCE = ("adding", "signing", "expiring", "retiring")


def states(admin):
    """{generation: state} of the keys that are not retired."""
    return {key["generation"]: key["state"] for key in admin.get(KEYS)["data"] if key["state"] in IN_FORCE}


def generation(admin):
    return admin.get("/v1/status")["context"]["generation"]


def settled(admin):
    """Waits until one key is left, everywhere; returns its generation."""
    def one_key():
        listed = admin.get(KEYS)
        in_force = [key for key in listed["data"] if key["state"] in IN_FORCE]
        return len(in_force) == 1 and in_force[0]["state"] == "signing" and not listed["behind"] and in_force[0]
    return wait_until(one_key, "one key, in every database", 90)["generation"]


def tenants_of(admin, name):
    return [admin.create_tenant(f"{name} {tier}", tier=tier) for tier in settings.TIERS]


def keys_in(server, database):
    return [row[0] for row in server.query("SELECT id FROM rowhouse.context_keys ORDER BY id", database=database)]


def language_in(server, database):
    return server.query("SELECT lanname FROM pg_proc p JOIN pg_language l ON l.oid = prolang WHERE proname = 'set_context'"
                        " AND pronamespace = 'rowhouse'::regnamespace", database=database)[0][0]


def context_event(server):
    return [line for line in server.log_lines() if line["event"] == "context_guard"][-1]


@pytest.fixture(scope="module")
def binary_alone(work):
    """The binary without the library beside it."""
    path = work / "alone" / "bin" / "rowhouse"
    path.parent.mkdir(parents=True)
    shutil.copy(settings.BINARY, path)
    return path


class Load:
    """Tenants that read and write all the time, each over a connection of its own; keeps what went wrong."""

    def __init__(self, apis):
        self.stopping = threading.Event()
        self.done = [0] * len(apis)
        self.wrong = []
        self.threads = [threading.Thread(target=self.work, args=(number, api)) for number, api in enumerate(apis)]

    def work(self, number, api):
        rows = 0
        while not self.stopping.is_set():
            try:
                api.post(LEADS, {"name": f"Lead {rows}"}, 201)
                rows += 1
                count = api.get(f"{LEADS}?limit=1&count=exact")["count"]
                assert count >= rows, f"{count} rows of at least {rows}"
            except Exception as error:  # any answer but the right one
                self.wrong.append(f"{api.url}: {error}")
                return
            self.done[number] += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def turns(self, more=5):
        """Waits until every tenant has had some more turns."""
        wanted = [done + more for done in self.done]
        wait_until(lambda: self.wrong or all(done >= want for done, want in zip(self.done, wanted)), "requests under load", 60)
        assert not self.wrong, self.wrong

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        assert not self.wrong, self.wrong


# ------------------------------------------------------------------------------------------ implementations

@pytest.mark.parametrize("mode, expected", [("auto", "extension"), ("extension", "extension"), ("portable", "portable")])
def test_a_fresh_installation(new_server, mode, expected):
    server = new_server(fresh=True, env={"ROWHOUSE_CONTEXT_GUARD": mode}).start()
    context = server.admin.get("/v1/status")["context"]
    assert context["implementation"] == expected and context["generation"] == 1 and context["databases_behind"] == 0
    assert f"{expected}, key generation 1 (since 20" in server.cli("status").stdout
    for tenant in tenants_of(server.admin, mode):
        row = tenant.api.post(LEADS, {"name": "x"}, 201)
        assert tenant.rows("leads") == [row]
        database = tenant.record["placement"]["database"]
        assert keys_in(server, database) == [1]
        assert language_in(server, database) == {"extension": "c", "portable": "plpgsql"}[expected]
        server.admin.delete(f"/v1/tenants/{tenant.id}")
    server.stop()


def test_auto_falls_back_and_says_why(new_server, binary_alone):
    server = new_server(fresh=True)
    server.command[0] = str(binary_alone)
    server.start()
    assert server.admin.get("/v1/status")["context"]["implementation"] == "portable"
    event = context_event(server)
    assert event["implementation"] == "portable" and "could not access file" in event["reason"]
    tenant = server.admin.create_tenant()
    tenant.api.post(LEADS, {"name": "x"}, 201)
    server.stop()


def test_a_library_that_does_not_fit_is_no_reason_to_stop(new_server, binary_alone, work):
    """A file that is no library of this PostgreSQL."""
    folder = work / "broken" / "bin"
    (folder / "guard").mkdir(parents=True)
    shutil.copy(binary_alone, folder / "rowhouse")
    (folder / "guard" / "rowhouse_guard.so").write_bytes(b"\x7fELF nonsense")
    server = new_server()
    server.command[0] = str(folder / "rowhouse")
    server.start()
    event = context_event(server)
    assert event["implementation"] == "portable" and "rowhouse_guard" in event["reason"]
    server.stop()


def test_the_extension_is_demanded_in_vain(new_server, binary_alone):
    server = new_server(env={"ROWHOUSE_CONTEXT_GUARD": "extension"})
    server.command[0] = str(binary_alone)
    server.launch()
    assert server.wait_end() == 2  # the configuration is wrong
    server.process = None
    assert "cannot load rowhouse_guard" in server.log() and "make install-guard" in server.log()


def test_switching_at_a_restart(new_server, binary_alone):
    server = new_server(env={"ROWHOUSE_CONTEXT_GUARD": "portable"}).start()
    tenants = tenants_of(server.admin, "Switched")
    rows = [tenant.api.post(LEADS, {"name": "before"}, 201) for tenant in tenants]

    def check(implementation, word):
        context = server.admin.get("/v1/status")["context"]
        assert context["implementation"] == implementation and context["databases_behind"] == 0
        for tenant, row in zip(tenants, rows):
            api = Api(server.url, {"X-Tenant-Key": tenant.key})
            assert api.get(f"{LEADS}/{row['id']}") == row
            api.post(LEADS, {"name": word}, 201)
            assert len(api.get(f"{LEADS}?name=eq.{word}")["data"]) == 1
            expected = {"extension": "c", "portable": "plpgsql"}[implementation]
            assert language_in(server, tenant.record["placement"]["database"]) == expected

    check("portable", "first")
    server.stop()
    server.env["ROWHOUSE_CONTEXT_GUARD"] = "extension"
    server.start()
    check("extension", "second")
    assert (server.data / "lib" / "rowhouse_guard.so").exists()
    server.kill()  # and not only after a clean stop
    # Without the library: what the earlier binary left is not used.
    server.env["ROWHOUSE_CONTEXT_GUARD"] = "auto"
    server.command[0] = str(binary_alone)
    server.start()
    check("portable", "third")
    assert not (server.data / "lib" / "rowhouse_guard.so").exists()
    server.stop()


def test_an_installation_from_before(new_server):
    """Databases that know nothing of signed contexts, as those of the version before, and one that is down."""
    server = new_server().start()
    tenants = tenants_of(server.admin, "Before")
    down = server.admin.create_tenant("Down", tier="database")
    for tenant in tenants:
        tenant.api.post(LEADS, {"name": "old"}, 201)
    databases = {tenant.record["placement"]["database"] for tenant in tenants + [down]} | {"rowhouse_template_tekup"}
    for database in databases:
        server.query("DELETE FROM rowhouse.context_keys RETURNING 1", database=database)
        server.query("DELETE FROM rowhouse_meta.migrations WHERE number > 1 RETURNING 1", database=database)
        connection = server.connect(database)
        with connection.cursor() as cursor:
            # CASCADE: the row rules of the pack, which came later, too, as objects did, and are not what this is about.
            cursor.execute("DROP FUNCTION rowhouse.set_context, rowhouse.context_number, rowhouse.principal_id, rowhouse.principal_role CASCADE;"
                           "DROP TABLE rowhouse.row_rules, rowhouse.objects, rowhouse.object_writes, rowhouse.object_parts,"
                           " rowhouse.object_garbage, rowhouse.object_usage;"
                           "DROP FUNCTION IF EXISTS rowhouse.context_keys_changed CASCADE;"
                           "DROP TABLE rowhouse.context_keys; DROP SEQUENCE rowhouse.context_number;"
                           "CREATE OR REPLACE FUNCTION rowhouse.tenant_id() RETURNS uuid LANGUAGE sql STABLE AS 'SELECT NULL::uuid'")
        connection.close()
    server.query("DELETE FROM platform.guarded_databases RETURNING 1", database=PLATFORM)
    server.stop()
    server.start()  # the first one is mended without help
    assert server.admin.get(KEYS)["behind"] == []
    name = down.record["placement"]["database"]
    connection = server.connect()
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    server.query("DELETE FROM platform.guarded_databases RETURNING 1", database=PLATFORM)
    connection.close()
    server.stop()
    server.start()
    behind = [line for line in server.log_lines() if line["event"] == "database_behind"]
    assert [line["database"] for line in behind] == [name] and behind[0]["reason"]
    for tenant in tenants:
        api = Api(server.url, {"X-Tenant-Key": tenant.key})
        assert [row["name"] for row in api.get(LEADS)["data"]] == ["old"]
        api.post(LEADS, {"name": "new"}, 201)
    assert server.admin.get(KEYS)["behind"] == [name]
    connection = server.connect()
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    connection.close()
    wait_until(lambda: server.admin.get(KEYS)["behind"] == [], "the database is brought to the keys by itself", 60)
    Api(server.url, {"X-Tenant-Key": down.key}).post(LEADS, {"name": "x"}, 201)
    server.stop()


# ------------------------------------------------------------------------------------------------- rotation

@pytest.mark.parametrize("mode", ["extension", "portable"])
def test_rotation_under_load(new_server, mode):
    server = new_server(env={**SHORT, "ROWHOUSE_CONTEXT_GUARD": mode, "ROWHOUSE_WORKERS": "2"}).start()
    admin, tenants = server.admin, tenants_of(server.admin, "Loaded")
    with Load([Api(server.url, {"X-Tenant-Key": tenant.key}) for tenant in tenants for _ in range(2)]) as load:
        load.turns()
        for turn in (2, 3):
            answer = admin.post(KEYS, None, 201)
            assert answer["data"][0]["generation"] == turn and answer["data"][0]["state"] == "signing"
            load.turns()
            late = admin.create_tenant(f"Made in turn {turn}", tier="database")
            late.api.post(LEADS, {"name": "x"}, 201)
            assert settled(admin) == turn
            load.turns()
        # A key that leaked.
        answer = admin.post(KEYS, {"retire_now": True}, 201)
        assert states(admin) == {4: "signing"} and answer["data"][1]["retired_at"]
        load.turns()
    for tenant in tenants:
        assert keys_in(server, tenant.record["placement"]["database"]) == [4]
    assert not [line for line in server.log_lines() if line["event"] == "tenant_context_refused"]
    actions = server.query("SELECT action, object_id FROM platform.audit_log WHERE object_type = 'context_key' ORDER BY id",
                           database=PLATFORM)
    for number in ("2", "3", "4"):
        assert ("context_key.added", number) in actions and ("context_key.activated", number) in actions
    for number in ("1", "2", "3"):
        assert ("context_key.retired", number) in actions
    server.stop()


@contextlib.contextmanager
def holding(server, sql, database):
    """A transaction that stands in the way of a rotation."""
    connection = server.connect(database)
    connection.autocommit = False
    with connection.cursor() as cursor:
        cursor.execute(sql)
        yield
    with contextlib.suppress(psycopg2.Error):  # its server may have been killed
        connection.close()


def post_in_background(admin):
    def call():
        with contextlib.suppress(Exception):  # the server is killed meanwhile
            Api(admin.url, dict(admin.session.headers)).call("POST", KEYS)
    thread = threading.Thread(target=call)
    thread.start()
    return thread


POOL = "rowhouse_pool_tekup"
LOCK_KEYS = "LOCK TABLE rowhouse.context_keys IN EXCLUSIVE MODE"


def kill_while_adding(server, admin):
    with holding(server, LOCK_KEYS, POOL):
        thread = post_in_background(admin)
        wait_until(lambda: keys_in(server, "rowhouse_template_tekup") == [1, 2], "one database has the new key")
        assert states(admin) == {2: "adding", 1: "signing"}
        server.kill()
    thread.join()


def kill_before_it_signs(server, admin):
    with holding(server, "SELECT FROM platform.context_keys WHERE generation = 1 FOR UPDATE", PLATFORM):
        thread = post_in_background(admin)
        wait_until(lambda: keys_in(server, "rowhouse_template_tekup") == keys_in(server, POOL) == [1, 2], "both have the new key")
        assert states(admin) == {2: "adding", 1: "signing"}
        server.kill()
    thread.join()


def kill_when_it_signs(server, admin):
    admin.post(KEYS, None, 201)
    server.kill()


def kill_while_removing(server, admin):
    with holding(server, LOCK_KEYS, "rowhouse_template_tekup"):
        # The rotation needs that database first.
        thread = post_in_background(admin)
        wait_until(lambda: keys_in(server, POOL) == [1, 2], "the pool has the new key")
    thread.join()
    with holding(server, LOCK_KEYS, POOL):
        wait_until(lambda: states(admin) == {2: "signing", 1: "retiring"}, "the old key is being removed")
        server.kill()


@pytest.mark.parametrize("kill", [kill_while_adding, kill_before_it_signs, kill_when_it_signs, kill_while_removing])
def test_a_killed_rotation_goes_on(new_server, kill):
    server = new_server(env=SHORT).start()
    tenant = server.admin.create_tenant()
    tenant.api.post(LEADS, {"name": "x"}, 201)
    kill(server, server.admin)
    server.start()
    api = Api(server.url, {"X-Tenant-Key": tenant.key})
    assert len(api.get(LEADS)["data"]) == 1, "whatever was half done"
    assert settled(server.admin) == 2
    for database in (POOL, "rowhouse_template_tekup"):
        assert keys_in(server, database) == [2]
    api.post(LEADS, {"name": "y"}, 201)
    server.stop()


# ---------------------------------------------------------------------------------------------------- faces

def test_commands_and_routes(new_server):
    server = new_server().start()  # the grace is two minutes
    admin, tenant = server.admin, server.admin.create_tenant()
    assert "signing" in server.cli("context-key", "list").stdout
    shown = server.cli("context-key", "rotate").stdout
    assert "signing" in shown and "expiring" in shown
    again = server.cli("context-key", "rotate", expect=1)
    assert "another rotation is under way" in again.stderr
    admin.refused("POST", KEYS, 409, "conflict")
    assert states(admin) == {2: "signing", 1: "expiring"}
    for body in ({"retire_now": "yes"}, {"retire": True}, [], 1):
        admin.refused("POST", KEYS, 422, "validation_failed", json=body)
    admin.refused("POST", KEYS, 415, "unsupported_media_type", data="retire_now", headers={"Content-Type": "text/plain"})
    for method in ("GET", "POST"):
        assert tenant.api.call(method, KEYS).status_code in (401, 403)
        assert server.anonymous.call(method, KEYS).status_code == 401
    assert '"retired"' in server.cli("context-key", "rotate", "--retire-now", "--json").stdout
    assert states(admin) == {3: "signing"}
    assert generation(admin) == 3
    assert tenant.count("leads") == 0
    server.stop()


def test_a_refused_context_is_logged_once(new_server):
    server = new_server().start()
    tenant = server.admin.create_tenant()
    server.query("UPDATE rowhouse.context_keys SET key = decode(repeat('00', 64), 'hex') RETURNING 1", database=POOL)
    for _ in range(3):
        assert "context" not in tenant.api.call("GET", LEADS, 500).json()["detail"]
    refused = [line for line in server.log_lines() if line["event"] == "tenant_context_refused"]
    assert len(refused) == 1 and "clocks" in refused[0]["hint"] and "not valid" in refused[0]["server_message"]
    server.stop()


# ------------------------------------------------------------------------------------------------ two nodes

TOKEN = "rha_" + secrets.token_urlsafe(32)
MASTER_KEY = secrets.token_hex(32)


@pytest.fixture(scope="module")
def postgres(work):
    own = OwnPostgres(work / "operator")
    try:
        yield own.start()
    finally:
        own.stop()


@pytest.fixture
def nodes(work, postgres):
    env = {"ROWHOUSE_DATABASE_URL": postgres.url(), "ROWHOUSE_ENCRYPTION_KEY": MASTER_KEY, "ROWHOUSE_ADMIN_TOKEN": TOKEN,
           "ROWHOUSE_PACKS": "tekup", **SHORT}
    both = [Server(work / name, command=["serve"], env=env, token=TOKEN) for name in ("one", "two")]
    try:
        for node in both:
            node.launch()
        for node in both:
            node.wait_ready()
        yield both
        for node in both:
            node.stop()
    finally:
        for node in both:
            node.clear()


def test_rotation_on_two_nodes(nodes):
    one, two = nodes
    before = generation(one.admin)
    tenants = tenants_of(one.admin, "Two nodes")
    with Load([Api(node.url, {"X-Tenant-Key": tenant.key}) for tenant in tenants for node in nodes]) as load:
        for turn, node in enumerate((one, two), 1):
            node.admin.post(KEYS, None, 201)
            load.turns()
            assert settled(one.admin) == before + turn == generation(two.admin)
        two.admin.post(KEYS, {"retire_now": True}, 201)
        load.turns()
    assert states(one.admin) == {before + 3: "signing"}


def test_another_node_ends_what_a_killed_one_began(nodes, postgres):
    one, two = nodes
    before = settled(two.admin)
    connection = psycopg2.connect(postgres.url() + "?sslmode=disable", dbname=POOL)
    with connection.cursor() as cursor:
        cursor.execute(LOCK_KEYS)
        thread = post_in_background(one.admin)
        wait_until(lambda: states(two.admin).get(before + 1) == "adding", "the new key is recorded")
        one.kill()
    thread.join()
    connection.close()
    assert settled(two.admin) == before + 1
    one.start()


def test_the_operator_installs_the_library(nodes, postgres, work):
    """Found at the next start of a node; the other one goes on meanwhile."""
    one, two = nodes
    tenants = tenants_of(one.admin, "Installed later")
    apis = [Api(two.url, {"X-Tenant-Key": tenant.key}) for tenant in tenants]
    for api in apis:
        api.post(LEADS, {"name": "before"}, 201)
    assert one.admin.get("/v1/status")["context"]["implementation"] == "portable"
    folder = work / "library"
    folder.mkdir()
    shutil.copy(settings.BINARY.parent / "guard" / "rowhouse_guard.so", folder)
    work.chmod(0o755)
    postgres.query(f"ALTER SYSTEM SET dynamic_library_path = '{folder}:$libdir'")
    postgres.query("SELECT pg_reload_conf()")
    wait_until(lambda: "library" in postgres.query("SHOW dynamic_library_path")[0][0], "the setting")
    one.stop()
    one.start()
    for node in nodes:
        assert node.admin.get("/v1/status")["context"]["implementation"] == "extension"
    for api in apis:
        assert [row["name"] for row in api.get(LEADS)["data"]] == ["before"]
        api.post(LEADS, {"name": "after"}, 201)
    assert cli("context-key", "list", env={"ROWHOUSE_URL": two.url, "ROWHOUSE_ADMIN_TOKEN": TOKEN}).stdout.count("signing") == 1
