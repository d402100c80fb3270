"""`rowhouse verify`: proven where nothing is broken, in every pack and tier; broken where one thing is; and a report
that anybody can check."""

import base64
import json
import subprocess

import pytest
import requests

from support import settings
from support.server import Server, environment


def verify(server, *options, expect=(0,)):
    """Runs the command; returns (exit code, report)."""
    env = environment({"ROWHOUSE_ADMIN_TOKEN": server.admin_token, "ROWHOUSE_URL": server.url})
    done = subprocess.run([str(settings.BINARY), "verify", "--format", "json", *options], env=env, capture_output=True, text=True,
                          timeout=600 * settings.SLOWDOWN)
    assert done.returncode in expect, (done.returncode, done.stderr, done.stdout[-3000:])
    return done.returncode, json.loads(done.stdout)


def leftovers(server):
    return [row[0] for row in server.query("SELECT slug FROM platform.tenants WHERE slug LIKE 'rowhouse-verify-%%'",
                                           database="rowhouse_platform")]


@pytest.fixture(scope="module")
def whole(server, work):
    """One run over everything, with a customer beside it."""
    return verify(server, "--seed", "11")[1]


def test_everything_is_proven(server, whole):
    assert whole["result"] == "proven", (whole["findings"][:20], whole["uncovered"][:20], whole["failures"])
    assert whole["uncovered"] == [] and whole["findings"] == [] and whole["failures"] == []
    assert (set(whole["packs"]), set(whole["tiers"])) == (set(settings.PACKS), set(settings.TIERS))
    assert whole["seed"] == 11
    kinds = {surface["kind"] for surface in whole["surfaces"]}
    assert {"table", "partition", "view", "policy", "foreign key", "primary key", "unique key", "function", "sequence", "trigger", "index", "role",
            "database", "catalog", "session", "route"} <= kinds
    for surface in whole["surfaces"]:
        assert any(attack["attempts"] > 0 for attack in surface["attacks"]), surface
    described = {technique["name"] for technique in whole["techniques"]}
    assert {attack["name"] for surface in whole["surfaces"] for attack in surface["attacks"]} == described


def test_every_table_and_route_is_a_surface(server, whole, admin):
    seen = {(surface["pack"], surface["tier"], surface["kind"], surface["name"]) for surface in whole["surfaces"]}
    for pack in settings.PACKS:
        database = "rowhouse_pool_" + pack.replace("-", "_")
        tables = server.query("SELECT relname FROM pg_class WHERE relnamespace = 'app'::regnamespace AND relkind IN ('r', 'p', 'v') "
                              "AND NOT relispartition", database=database)
        for (table,) in tables:
            assert any((pack, "pool", kind, f"app.{table}") in seen for kind in ("table", "view")), table
        for path, item in requests.get(f"{server.url}/openapi.json?pack={pack}", timeout=60).json()["paths"].items():
            for method, operation in item.items():
                if isinstance(operation, dict) and operation.get("x-rowhouse-audience") == "tenant":
                    assert all((pack, tier, "route", f"{method.upper()} {path}") in seen for tier in settings.TIERS), (method, path)


def test_nothing_is_left(server, whole):
    assert leftovers(server) == []
    for pack in settings.PACKS:
        rows = server.query("SELECT count(*) FROM rowhouse.idempotency_keys", database="rowhouse_pool_" + pack.replace("-", "_"))
        assert rows == [(0,)]
    assert server.query("SELECT count(*) FROM pg_database WHERE datname LIKE 'tenant\\_rowhouse\\_verify%%'") == [(0,)]
    assert server.query("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'tenant\\_rowhouse\\_verify%%'") == [(0,)]


# The report


def canonical(report):
    unsigned = {name: value for name, value in report.items() if name != "signature"}
    return json.dumps(unsigned, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def run_check(path, *options):
    return subprocess.run([str(settings.BINARY), "verify", "--check", str(path), *options], env=environment(), capture_output=True, text=True, timeout=60)


def test_the_signature_with_openssl(server, whole, work):
    env = environment({"ROWHOUSE_ADMIN_TOKEN": server.admin_token, "ROWHOUSE_URL": server.url})
    key = work / "verify.pem"
    subprocess.run([str(settings.BINARY), "verify", "--public-key", "--format", "pem", "--output", str(key)], env=env, check=True, timeout=60)
    signature = whole["signature"]["value"]
    (work / "value.bin").write_bytes(base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)))
    (work / "report.canonical").write_bytes(canonical(whole))

    def openssl():
        return subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(key), "-rawin", "-in", str(work / "report.canonical"),
                               "-sigfile", str(work / "value.bin")], capture_output=True, text=True, timeout=60)
    good = openssl()
    assert good.returncode == 0, good.stdout + good.stderr
    (work / "report.canonical").write_bytes(canonical({**whole, "result": "proved"}))
    assert openssl().returncode != 0


def test_check(server, whole, work):
    path = work / "report.json"
    path.write_text(json.dumps(whole, indent=1))  # the layout does not matter
    assert run_check(path).returncode == 0
    assert run_check(path, "--key", whole["signature"]["public_key"]).returncode == 0
    stranger = base64.urlsafe_b64encode(b"x" * 32).decode().rstrip("=")
    assert "another installation" in run_check(path, "--key", stranger).stderr
    out = work / "canonical.txt"
    assert run_check(path, "--canonical", str(out)).returncode == 0 and out.read_bytes() == canonical(whole)
    for change in ({"seed": 12}, {"surfaces": whole["surfaces"][1:]}, {"limits": []}, {"signature": None},
                   {"signature": {**whole["signature"], "public_key": stranger}}):
        path.write_text(json.dumps({**whole, **change}))
        assert run_check(path).returncode == 1, change


def test_the_page(server, admin, whole):
    answer = requests.get(f"{server.url}/v1/verifications/{whole['id']}", timeout=60,
                          headers={"Authorization": f"Bearer {server.admin_token}", "Accept": "text/html,application/xhtml+xml"})
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/html")
    page = answer.text
    assert "Proven" in page and whole["id"] in page and "<script" not in page and "http-equiv" not in page
    assert "script-src" not in answer.headers["Content-Security-Policy"]
    assert all(technique["how"].split("'")[0].split("<")[0].split("&")[0] in page for technique in whole["techniques"])


def test_api(server, admin, whole):
    runs = admin.get("/v1/verifications")
    assert runs["data"][0]["result"] == "proven" and runs["data"][0]["surfaces"] == len(whole["surfaces"])
    assert runs["public_key"] == whole["signature"]["public_key"]
    assert admin.get(f"/v1/verifications/{whole['id']}") == whole
    admin.refused("GET", "/v1/verifications/nothing", 404, "not_found")
    admin.refused("POST", "/v1/verifications", 422, "validation_failed", json={"tiers": ["cellar"], "extra": 1})
    first = admin.post("/v1/verifications", {"packs": ["tekup"], "tiers": ["pool"]}, 202)
    admin.refused("POST", "/v1/verifications", 409, "conflict", json={})
    assert first["status"] == "running"
    while True:
        answer = admin.get(f"/v1/verifications/{first['id']}")
        if "signature" in answer:
            break
        assert answer["status"] == "running", answer
    assert answer["result"] == "proven"


def test_status_and_metrics(server, admin, whole):
    status = admin.get("/v1/status")["verification"]
    assert status["result"] == "proven" and status["uncovered"] == 0 and status["surfaces"] > 50
    text = admin.call("GET", "/metrics", 200).text
    samples = {}
    for line in text.splitlines():
        if line.startswith("#"):
            assert line.split(" ")[1] in ("HELP", "TYPE")
        else:
            name, value = line.rsplit(" ", 1)
            assert name not in samples
            samples[name] = float(value)
    assert samples['rowhouse_verification_result{result="proven"}'] == 1 and samples['rowhouse_verification_result{result="broken"}'] == 0
    assert samples["rowhouse_verification_uncovered"] == 0 and samples["rowhouse_verification_surfaces"] == status["surfaces"]
    assert samples['rowhouse_http_requests_total{class="2xx"}'] > 10
    assert requests.get(server.url + "/metrics", timeout=60).status_code == 401


# What is broken is found. tests/mutations has many more.


class Broken:
    def __init__(self, server, break_sql, mend_sql, database="rowhouse_pool_tekup"):
        self.server, self.sql, self.database = server, (break_sql, mend_sql), database

    def run(self, sql):
        connection = self.server.connect(self.database)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql)
        finally:
            connection.close()

    def __enter__(self):
        self.run(self.sql[0])

    def __exit__(self, *_):
        self.run(self.sql[1])


BROKEN = {
    "policy": ("CREATE POLICY open ON app.leads USING (true)", "DROP POLICY open ON app.leads", ("policy", "app.leads.open")),
    "wall": ("DROP POLICY rowhouse_wall ON app.leads",
             "CREATE POLICY rowhouse_wall ON app.leads AS RESTRICTIVE FOR ALL TO PUBLIC USING (tenant_id = (SELECT rowhouse.tenant_id())) "
             "WITH CHECK (tenant_id = (SELECT rowhouse.tenant_id()))", ("table", "app.leads")),
    "row security": ("ALTER TABLE app.leads DISABLE ROW LEVEL SECURITY", "ALTER TABLE app.leads ENABLE ROW LEVEL SECURITY", ("table", "app.leads")),
    "force": ("ALTER TABLE app.leads NO FORCE ROW LEVEL SECURITY", "ALTER TABLE app.leads FORCE ROW LEVEL SECURITY", ("table", "app.leads")),
    "view": ("CREATE VIEW app.all_leads AS SELECT * FROM app.leads; GRANT SELECT ON app.all_leads TO tenant_service", "DROP VIEW app.all_leads",
             ("view", "app.all_leads")),
    "function": ("CREATE FUNCTION app.how_many() RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' "
                 "AS 'SELECT count(*) FROM app.leads'; GRANT EXECUTE ON FUNCTION app.how_many() TO tenant_service", "DROP FUNCTION app.how_many()",
                 ("function", "app.how_many()")),
    "unique key": ("CREATE UNIQUE INDEX leads_oracle ON app.leads (email)", "DROP INDEX app.leads_oracle", ("unique key", "app.leads.leads_oracle")),
    "bypass": ("ALTER ROLE tenant_service BYPASSRLS", "ALTER ROLE tenant_service NOBYPASSRLS", ("table", "app.leads")),
    "truncate": ("GRANT TRUNCATE ON app.leads TO tenant_service", "REVOKE TRUNCATE ON app.leads FROM tenant_service", ("table", "app.leads")),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_found(server, name):
    break_sql, mend_sql, (kind, surface) = BROKEN[name]
    with Broken(server, break_sql, mend_sql):
        code, report = verify(server, "--pack", "tekup", "--tier", "pool", expect=(1,))
    assert report["result"] == "broken"
    assert any((finding["kind"], finding["name"]) == (kind, surface) for finding in report["findings"]), report["findings"][:20]
    assert leftovers(server) == []


def test_a_surface_without_an_attack_is_told(server):
    with Broken(server, "CREATE PUBLICATION everything FOR ALL TABLES", "DROP PUBLICATION everything"):
        code, report = verify(server, "--pack", "tekup", "--tier", "pool", expect=(1,))
    assert report["result"] == "incomplete"
    assert [(surface["kind"], surface["name"]) for surface in report["uncovered"]] == [("publication", "everything")]


def test_a_new_table_is_attacked_without_being_told_of(server):
    with Broken(server, "CREATE TABLE app.secrets (tenant_id uuid NOT NULL, id uuid NOT NULL DEFAULT gen_random_uuid(), word text CHECK (word ~ '^[a-z]+$'), "
                        "PRIMARY KEY (tenant_id, id)); GRANT SELECT ON app.secrets TO tenant_service", "DROP TABLE app.secrets"):
        code, report = verify(server, "--pack", "tekup", "--tier", "pool", expect=(1,))
    found = {finding["attack"] for finding in report["findings"] if finding["name"] == "app.secrets"}
    assert report["result"] == "broken" and {"select by tenant", "wall behind the policies"} <= found, found


def test_repairs_make_it_proven_again(server):
    assert verify(server, "--pack", "tekup", "--tier", "pool")[1]["result"] == "proven"


# On its own


def test_the_server_does_it_by_itself(work):
    own = Server(work / "scheduled", env={"ROWHOUSE_PACKS": "tekup", "ROWHOUSE_VERIFY_EVERY": "1s"})
    try:
        own.start()
        api = requests.Session()
        api.headers["Authorization"] = f"Bearer {own.admin_token}"
        while True:
            own.check_alive()
            status = api.get(own.url + "/v1/status", timeout=60).json()
            if status["verification"] is not None:
                break
        assert status["verification"]["result"] == "proven"
        runs = api.get(own.url + "/v1/verifications", timeout=60).json()["data"]
        assert runs[-1]["requested_by"] == "schedule"
        own.stop()  # in the middle of the next one, or between two
    finally:
        own.clear()


def test_what_a_crash_leaves_is_cleared_away(work):
    own = Server(work / "crashed", env={"ROWHOUSE_PACKS": "tekup", "ROWHOUSE_VERIFY_EVERY": "0"})
    try:
        own.start()
        api = requests.Session()
        api.headers["Authorization"] = f"Bearer {own.admin_token}"
        begun = api.post(own.url + "/v1/verifications", json={}, timeout=60).json()
        while not leftovers(own):
            own.check_alive()
        own.process.kill()
        own.process.wait()
        own.start()
        while leftovers(own):
            own.check_alive()
        after = api.get(f"{own.url}/v1/verifications/{begun['id']}", timeout=60).json()
        assert after["status"] == "failed"
        assert verify(own, "--tier", "pool")[1]["result"] == "proven"
        own.stop()
    finally:
        own.clear()
