"""Operations from outside: by the API, as a stream of events, and on the command line; what stops them, and what goes on."""

import concurrent.futures
import contextlib
import json
import re
import threading
import uuid

import jsonschema
import pytest
import requests

from support import settings
from support.relay import Relay
from support.server import wait_until
from support.terminal import Terminal

ASYNC = {"Prefer": "respond-async"}
ENDS = ("succeeded", "undone", "cancelled", "failed")


def begin(admin, name="Begun", headers=None, **members):
    """Starts a creation and returns the whole answer."""
    body = {"name": name, "pack": "tekup", **members}
    return admin.call("POST", "/v1/tenants", 202, json=body, headers={**ASYNC, **(headers or {})})


def operation(admin, identifier):
    return admin.get(f"/v1/operations/{identifier}")


def wait_for(admin, identifier, *statuses, limit_s=60):
    def there():
        found = operation(admin, identifier)
        assert found["status"] in statuses or found["status"] not in ENDS, found
        return found if found["status"] in statuses else None
    return wait_until(there, f"{identifier} to be {statuses}", limit_s)


def step(found, name):
    return next(step for step in found["steps"] if step["name"] == name)


class Events:
    """A stream of server-sent events, read as it comes."""

    def __init__(self, server, identifier, headers=None):
        self.answer = requests.get(f"{server.url}/v1/operations/{identifier}/events", stream=True, timeout=settings.REQUEST_LIMIT_S,
                                   headers={"Authorization": f"Bearer {server.admin_token}", **(headers or {})})
        self.lines = self.answer.iter_lines(chunk_size=1, decode_unicode=True)

    def blocks(self):
        """One list of lines for each event or comment."""
        block = []
        for line in self.lines:
            if line:
                block.append(line)
            else:
                yield block
                block = []
        assert not block, block

    def __iter__(self):
        """(name, id, document) of each event."""
        for block in self.blocks():
            fields = dict(line.split(": ", 1) for line in block if not line.startswith(":"))
            if fields:
                yield fields.get("event", "message"), int(fields["id"]), json.loads(fields["data"])


@contextlib.contextmanager
def held_up(server):
    """Tenants with a database of their own cannot be made meanwhile: somebody is connected to the template. It is retried."""
    connection = server.connect("rowhouse_template_tekup")
    try:
        yield
    finally:
        connection.close()


@contextlib.contextmanager
def refused(server, *commands, by="RAISE EXCEPTION 'refused by a test'"):
    """The pool database refuses these commands within tenants' own schemas, for good."""
    connection = server.connect("rowhouse_pool_tekup")
    tags = ", ".join(f"'{command}'" for command in commands)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN {by}; END $$")
        cursor.execute(f"CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ({tags}) EXECUTE FUNCTION public.refuse()")

    def end():
        with connection.cursor() as cursor:
            cursor.execute("DROP EVENT TRIGGER IF EXISTS refuse")
            cursor.execute("DROP FUNCTION IF EXISTS public.refuse()")
    try:
        yield end
    finally:
        end()
        connection.close()


def remains(server, slug):
    """Everything that is left of a tenant of this slug, wherever it may lie."""
    like = slug.replace("-", "_") + "\\_%"
    found = [("tenant", row) for row in server.query("SELECT slug FROM platform.tenants WHERE slug = %s", (slug,), "rowhouse_platform")]
    found += [("key", row) for row in server.query("SELECT k.id FROM platform.api_keys k LEFT JOIN platform.tenants t ON t.id = k.tenant_id WHERE t.id IS NULL",
                                                   database="rowhouse_platform")]
    found += [("database", row) for row in server.query("SELECT datname FROM pg_database WHERE datname LIKE %s", ("tenant\\_" + like,))]
    found += [("role", row) for row in server.query("SELECT rolname FROM pg_roles WHERE rolname LIKE %s", ("tenant\\_" + like,))]
    found += [("schema", row) for row in server.query("SELECT nspname FROM pg_namespace WHERE nspname LIKE %s", ("t\\_" + like,), "rowhouse_pool_tekup")]
    return found


def fresh(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


# The API


@pytest.mark.parametrize("tier", settings.TIERS)
def test_a_creation_that_nobody_waits_for(server, admin, tier):
    slug = fresh("later")
    answer = begin(admin, slug=slug, tier=tier, sample_data=True)
    body, identifier = answer.json(), answer.headers["Operation-Id"]
    assert answer.headers["Location"] == f"/v1/operations/{identifier}" and answer.headers["Preference-Applied"] == "respond-async"
    assert body["operation"]["id"] == identifier and body["tenant"]["slug"] == slug
    assert body["operation"]["kind"] == "tenant.create" and body["operation"]["tenant_id"] == body["tenant"]["id"]
    seen = list(Events(server, identifier))
    assert [name for name, _, _ in seen].index("end") == len(seen) - 1, "the last event, and no other, is the end"
    revisions = [revision for name, revision, _ in seen if name == "message"]
    assert revisions == sorted(set(revisions)) and all(document["revision"] == revision for _, revision, document in seen)
    last = seen[-1][2]
    assert last == operation(admin, identifier)
    assert last["status"] == "succeeded" and last["error"] is None and last["finished_at"] and last["node"] is None
    assert {step["status"] for step in last["steps"]} == {"done"} and last["output"]["sample_rows"] > 100
    assert server.with_key(body["api_key"]).get("/v1/tenant")["id"] == body["tenant"]["id"]
    assert body["api_key"] not in server.log() and body["api_key"] not in json.dumps(last)
    removal = admin.call("DELETE", f"/v1/tenants/{slug}", 202, headers=ASYNC)
    assert list(Events(server, removal.json()["operation"]["id"]))[-1][2]["status"] == "succeeded"
    assert remains(server, slug) == []


def test_a_creation_that_is_waited_for_names_its_operation(admin):
    answer = admin.call("POST", "/v1/tenants", 201, json={"name": "Waited for", "pack": "tekup", "tier": "schema"})
    found = operation(admin, answer.headers["Operation-Id"])
    assert found["status"] == "succeeded" and found["tenant_id"] == answer.json()["tenant"]["id"]
    gone = admin.delete(f"/v1/tenants/{found['tenant_id']}")
    assert operation(admin, gone.headers["Operation-Id"])["kind"] == "tenant.delete"


def test_documents(server, admin):
    document = server.anonymous.get("/openapi.json")

    def check(schema, value):
        jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{schema}", "components": document["components"]}).validate(value)
    accepted = begin(admin, tier="schema").json()
    check("TenantAccepted", accepted)
    check("Operation", wait_for(admin, accepted["operation"]["id"], "succeeded"))
    check("OperationPage", admin.get("/v1/operations?limit=5"))
    check("OperationAccepted", admin.call("DELETE", f"/v1/tenants/{accepted['tenant']['id']}", 202, headers=ASYNC).json())
    assert "text/event-stream" in document["paths"]["/v1/operations/{operation}/events"]["get"]["responses"]["200"]["content"]
    assert set(document["paths"]["/v1/tenants"]["post"]["responses"]) >= {"201", "202"}


def test_lists(admin):
    tenant = admin.create_tenant("Listed", tier="schema")
    admin.delete(f"/v1/tenants/{tenant.id}")
    mine = admin.get(f"/v1/operations?tenant={tenant.id}")["data"]
    assert [found["kind"] for found in mine] == ["tenant.delete", "tenant.create"] and all("steps" not in found for found in mine)
    assert admin.get(f"/v1/operations?tenant={tenant.id}&kind=tenant.create")["data"] == [mine[1]]
    assert admin.get(f"/v1/operations?tenant={tenant.id}&status=failed")["data"] == []
    present = admin.create_tenant("Listed by slug")
    assert [found["tenant_id"] for found in admin.get(f"/v1/operations?tenant={present.slug}")["data"]] == [present.id]
    admin.refused("GET", f"/v1/operations?tenant={tenant.slug}", 404, "not_found")
    seen, cursor = [], ""
    while cursor is not None:
        page = admin.get(f"/v1/operations?limit=2{'&cursor=' + cursor if cursor else ''}")
        seen += [found["id"] for found in page["data"]]
        cursor = page["next_cursor"]
    assert len(seen) == len(set(seen)) and {found["id"] for found in mine} < set(seen)
    for wrong in ("status=odd", "limit=0", "limit=501", "limit=x", "colour=red"):
        admin.refused("GET", f"/v1/operations?{wrong}", 400, "invalid_parameter")
    admin.refused("GET", "/v1/operations?cursor=rubbish", 400, "invalid_cursor")


def test_operations_that_are_not_there(admin):
    for identifier in (str(uuid.uuid4()), "rubbish"):
        for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/retry")):
            admin.refused(method, f"/v1/operations/{identifier}{path}", 404, "not_found")


def test_what_has_ended_cannot_be_changed(admin):
    identifier = begin(admin).json()["operation"]["id"]
    wait_for(admin, identifier, "succeeded")
    for verb in ("cancel", "pause", "resume", "retry"):
        admin.refused("POST", f"/v1/operations/{identifier}/{verb}", 409, "conflict")


# One request, however often it comes


def test_one_key_fifty_times_at_once(server, admin):
    key, name = uuid.uuid4().hex, fresh("Fifty")
    barrier = threading.Barrier(50)

    def ask(number):
        api = admin.with_headers(**{"Idempotency-Key": key, **(ASYNC if number % 2 else {})})
        barrier.wait()
        answer = api.call("POST", "/v1/tenants", (201, 202), json={"name": name, "pack": "tekup", "tier": "schema"})
        return answer.json()["tenant"]["id"], answer.json()["api_key"], answer.headers["Operation-Id"], answer.headers.get("Idempotency-Replayed")
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(ask, range(50)))
    assert len({answer[:3] for answer in answers}) == 1, answers
    assert [answer[3] for answer in answers].count(None) == 1
    assert len(admin.get(f"/v1/tenants?search={name}")["data"]) == 1
    assert server.with_key(answers[0][1]).get("/v1/tenant")["name"] == name


def test_a_key_belongs_to_one_request(admin):
    keyed = admin.with_headers(**{"Idempotency-Key": uuid.uuid4().hex})
    first = keyed.post("/v1/tenants", {"name": "Once", "pack": "tekup"}, 201)
    again = keyed.call("POST", "/v1/tenants", 201, json={"name": "Once", "pack": "tekup"})
    assert (again.json()["tenant"]["id"], again.json()["api_key"]) == (first["tenant"]["id"], first["api_key"])
    assert again.headers["Idempotency-Replayed"] == "true"
    keyed.refused("POST", "/v1/tenants", 422, "idempotency_key_reused", json={"name": "Twice", "pack": "tekup"})
    path = f"/v1/tenants/{first['tenant']['id']}"
    away = admin.with_headers(**{"Idempotency-Key": uuid.uuid4().hex})
    assert away.delete(path).headers["Operation-Id"] == away.delete(path).headers["Operation-Id"]
    admin.refused("DELETE", path, 404, "not_found")


@pytest.mark.parametrize("key", ["", "with space", "x" * 256, "tab\there"])
def test_what_is_no_key(admin, key):
    for method, path, body in (("POST", "/v1/tenants", {"json": {"name": "No", "pack": "tekup"}}), ("DELETE", "/v1/tenants/nobody", {})):
        admin.refused(method, path, 400, "invalid_parameter", headers={"Idempotency-Key": key}, **body)


# On the way


def test_cancel(server, admin):
    slug = fresh("cancelled")
    with held_up(server):
        body = begin(admin, slug=slug, tier="database").json()
        identifier = body["operation"]["id"]
        wait_until(lambda: step(operation(admin, identifier), "create_database")["status"] == "running", "the database to be begun")
        assert server.query("SELECT count(*) FROM pg_roles WHERE rolname LIKE %s", ("tenant\\_" + slug.replace("-", "\\_") + "%",)) == [(1,)]
        assert admin.post(f"/v1/operations/{identifier}/cancel")["cancel_requested"]
        admin.post(f"/v1/operations/{identifier}/cancel")
        found = wait_for(admin, identifier, "cancelled")
    assert found["error"]["code"] == "cancelled" and step(found, "create_role")["status"] == "undone"
    assert remains(server, slug) == []
    server.with_key(body["api_key"]).refused("GET", "/v1/tenant", 401, "credential_unknown")
    admin.refused("GET", f"/v1/tenants/{slug}", 404, "not_found")


def test_a_cancel_reaches_whichever_worker_runs_it(new_server):
    # Heartbeats are two minutes apart here, and the step is one statement: who stops sooner was told.
    own = new_server(env={"ROWHOUSE_WORKERS": "4", "ROWHOUSE_OPERATION_LEASE": "10m"})
    own.start()
    with refused(own, "CREATE TABLE", by="PERFORM pg_catalog.pg_sleep(600)"):
        started = [begin(own.admin, slug=fresh("told"), tier="schema").json()["operation"]["id"] for _ in range(6)]
        for identifier in started:
            wait_until(lambda: step(operation(own.admin, identifier), "prepare_schema")["status"] == "running", "the migration to run")
        for identifier in started:
            own.admin.post(f"/v1/operations/{identifier}/cancel")
        for identifier in started:
            wait_for(own.admin, identifier, "cancelled")
    own.stop()


def test_a_deletion_cannot_be_cancelled(admin):
    tenant = admin.create_tenant("No way back", tier="database")
    identifier = admin.call("DELETE", f"/v1/tenants/{tenant.id}", 202, headers=ASYNC).json()["operation"]["id"]
    admin.refused("POST", f"/v1/operations/{identifier}/cancel", 409, "conflict")
    wait_for(admin, identifier, "succeeded")


def test_pause_and_resume_with_heartbeats(server, admin):
    with held_up(server):
        identifier = begin(admin, tier="database").json()["operation"]["id"]
        assert admin.post(f"/v1/operations/{identifier}/pause")["pause_requested"]
        paused = wait_for(admin, identifier, "paused")
    assert paused["finished_at"] is None and paused["node"] is None
    blocks = Events(server, identifier, {"Last-Event-ID": str(paused["revision"])}).blocks()
    assert next(blocks) == [": still here"], "nothing has changed, but the stream is alive"
    admin.post(f"/v1/operations/{identifier}/resume")
    rest = [block for block in blocks if not block[0].startswith(":")]
    assert rest[-1][0] == "event: end" and json.loads(rest[-1][2].split(": ", 1)[1])["status"] == "succeeded"


def test_a_creation_that_fails_leaves_nothing(server, admin):
    slug = fresh("failing")
    with refused(server, "CREATE TABLE"):
        body = begin(admin, slug=slug, tier="schema").json()
        found = wait_for(admin, body["operation"]["id"], "undone")
        assert found["error"]["step"] == "prepare_schema" and found["error"]["message"]
        assert step(found, "create_schema")["status"] == "undone"
        answer = admin.call("POST", "/v1/tenants", tuple(range(400, 600)),
                            json={"name": "Failing too", "slug": slug, "pack": "tekup", "tier": "schema"})
        assert answer.json()["code"] == found["error"]["code"], (answer.text, found["error"])
    assert remains(server, slug) == []
    admin.create_tenant("Working", slug=slug, tier="schema")


def test_what_cannot_be_taken_back_waits_for_an_operator(server, admin):
    slug = fresh("stuck")
    with refused(server, "CREATE TABLE", "DROP SCHEMA") as mend:
        identifier = begin(admin, slug=slug, tier="schema").json()["operation"]["id"]
        found = wait_for(admin, identifier, "failed", limit_s=240)
        assert found["error"]["message"] and remains(server, slug)
        assert identifier in server.cli("operation", "list", "--status", "failed").stdout
        admin.refused("POST", f"/v1/operations/{identifier}/cancel", 409, "conflict")
        mend()
        admin.post(f"/v1/operations/{identifier}/retry")
        wait_for(admin, identifier, "undone")
    assert remains(server, slug) == []


def test_a_server_that_stops_lets_go_of_watchers(new_server):
    own = new_server(env={"ROWHOUSE_DRAIN_TIMEOUT": "10m"})
    own.start()
    admin = own.admin
    with held_up(own):
        identifier = begin(admin, tier="database").json()["operation"]["id"]
        stream = iter(Events(own, identifier))
        assert next(stream)[0] == "message"
        own.stop()
        assert "end" not in [name for name, _, _ in stream], "the stream ends, the operation does not"
    own.start()
    wait_for(own.admin, identifier, "succeeded")
    own.stop()


def test_watchers_are_bounded(server, admin):
    with held_up(server):
        identifier = begin(admin, tier="database").json()["operation"]["id"]
        streams = []
        try:
            while True:
                streams.append(Events(server, identifier))
                if streams[-1].answer.status_code != 200:
                    break
                assert len(streams) < 10_000
            assert streams[-1].answer.status_code == 503 and streams[-1].answer.json()["code"] == "overloaded"
            assert len(streams) > 32 and operation(admin, identifier)["status"] == "running"
        finally:
            for stream in streams:
                stream.answer.close()
        wait_until(lambda: Events(server, identifier).answer.status_code == 200, "a free place")
        admin.post(f"/v1/operations/{identifier}/cancel")
        wait_for(admin, identifier, "cancelled")


# The command line


def test_create_and_delete_in_scripts(server, tmp_path):
    slug = fresh("script")
    made = server.cli("tenant", "create", slug, "--pack", "tekup", "--tier", "schema", "--storage", "none", "--sample-data")
    for name in ("create schema", "prepare schema", "load samples", "activate"):
        assert re.search(rf"^{name}: done \(.+\)$", made.stderr, re.M), made.stderr
    assert "\x1b" not in made.stderr and "sample rows" in made.stdout
    key = re.search(r"tk_[A-Za-z0-9_-]{43}", made.stdout).group()
    assert server.with_key(key).get("/v1/tenant")["slug"] == slug
    gone = server.cli("tenant", "delete", slug, "--yes")
    assert re.search(r"^drop schema: done", gone.stderr, re.M) and f"{slug} is deleted." in gone.stderr
    begun = json.loads(server.cli("tenant", "create", slug, "--pack", "tekup", "--tier", "schema", "--no-wait", "--json").stdout)
    identifier = begun["operation"]["id"]
    assert server.cli("operation", "watch", identifier, "--json").stdout.startswith("{")
    assert server.with_key(begun["api_key"]).get("/v1/tenant")["slug"] == slug
    shown = server.cli("operation", "show", identifier).stdout
    assert "create_schema" in shown and "succeeded" in shown
    assert json.loads(server.cli("operation", "show", identifier, "--json").stdout)["id"] == identifier
    listed = server.cli("operation", "list", "--tenant", slug).stdout.splitlines()
    assert listed[0].split()[:3] == ["ID", "KIND", "STATUS"] and listed[1].startswith(identifier)
    removal = server.cli("tenant", "delete", slug, "--yes", "--no-wait").stdout.strip()
    server.cli("operation", "watch", removal)
    server.cli("operation", "cancel", removal, expect=1)
    server.cli("operation", "show", str(uuid.uuid4()), expect=3)
    server.cli("operation", "watch", str(uuid.uuid4()), expect=3)
    key_file = tmp_path / "quiet.key"
    quiet = server.cli("tenant", "create", slug, "--pack", "tekup", "--no-wait", "--key-file", str(key_file))
    assert uuid.UUID(quiet.stdout.strip()) and "tk_" not in quiet.stdout + quiet.stderr
    assert key_file.read_text().startswith("tk_")


def test_the_same_key_on_the_command_line(server, admin):
    words = ("tenant", "create", fresh("Repeated"), "--pack", "tekup", "--idempotency-key", uuid.uuid4().hex, "--json")
    first, second = (json.loads(server.cli(*words).stdout) for _ in range(2))
    assert first["api_key"] == second["api_key"] and first["tenant"]["id"] == second["tenant"]["id"]


def test_a_failure_in_a_script(server):
    slug = fresh("script")
    with refused(server, "CREATE TABLE"):
        done = server.cli("tenant", "create", slug, "--pack", "tekup", "--tier", "schema", "--storage", "none", expect=1)
    assert "nothing is left of it" in done.stderr and "prepare schema" in done.stderr and "create schema: undone" in done.stderr, done.stderr
    assert "tk_" not in done.stdout + done.stderr and remains(server, slug) == []


def test_steps_on_a_terminal(server, admin):
    slug = fresh("live")
    with held_up(server):
        terminal = Terminal(server, "tenant", "create", slug, "--pack", "tekup", "--tier", "database", "--storage", "none")
        terminal.read_until("▸\x1b[0m create database")
        terminal.read_until("1 s")
    text = terminal.read_until("✓\x1b[0m activate")
    assert terminal.end() == 0, terminal.text
    assert "·\x1b[0m prepare schema" in text and "✓\x1b[0m create role" in text and "\x1b[K" in text
    assert re.search(r"tk_[A-Za-z0-9_-]{43}", terminal.text)
    admin.delete(f"/v1/tenants/{slug}")


def test_control_c_leaves_it_to_the_server(server, admin):
    slug = fresh("left")
    with held_up(server):
        terminal = Terminal(server, "tenant", "create", slug, "--pack", "tekup", "--tier", "database", "--storage", "none")
        terminal.read_until("▸\x1b[0m create database")
        terminal.press_interrupt()
        assert terminal.end() == 130, terminal.text
        identifier = re.search(r"rowhouse operation watch ([0-9a-f-]{36})", terminal.text).group(1)
        key = re.search(r"tk_[A-Za-z0-9_-]{43}", terminal.text).group()
        assert operation(admin, identifier)["status"] == "running"
    server.cli("operation", "watch", identifier)
    assert server.with_key(key).get("/v1/tenant")["slug"] == slug


def test_cancelled_by_somebody_else(server, admin):
    slug = fresh("withdrawn")
    with held_up(server):
        terminal = Terminal(server, "tenant", "create", slug, "--pack", "tekup", "--tier", "database", "--storage", "none")
        terminal.read_until("▸\x1b[0m create database")
        found, = admin.get(f"/v1/operations?tenant={slug}")["data"]
        assert "cancel" in server.cli("operation", "cancel", found["id"], "--json").stdout
        assert terminal.end() == 1, terminal.text
    assert "cancelled" in terminal.text and "tk_" not in terminal.text
    assert remains(server, slug) == []


def test_a_killed_server_is_waited_for(new_server):
    own = new_server()
    own.start()
    slug = fresh("survivor")
    with held_up(own):
        terminal = Terminal(own, "tenant", "create", slug, "--pack", "tekup", "--tier", "database", "--storage", "none")
        terminal.read_until("▸\x1b[0m create database")
        own.kill()
        terminal.read_until("does not answer")
    own.start()
    assert terminal.end() == 0, terminal.text
    key = re.search(r"tk_[A-Za-z0-9_-]{43}", terminal.text).group()
    assert own.with_key(key).get("/v1/tenant")["slug"] == slug
    own.stop()


def test_a_server_that_goes_away_when_the_tenant_is_made_is_waited_for(server):
    slug = fresh("at-the-end")
    with Relay(server.port, '"status":"succeeded"', refused=2) as relay:
        done = server.cli("tenant", "create", slug, "--pack", "tekup", "--tier", "schema", "--storage", "none", env={"ROWHOUSE_URL": relay.url})
    assert relay.refused == 2 and "trying again" in done.stderr
    key = re.search(r"tk_[A-Za-z0-9_-]{43}", done.stdout).group()
    assert server.with_key(key).get("/v1/tenant")["slug"] == slug
