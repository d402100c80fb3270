"""Packs: a fourth one without recompiling, what is refused and with which words, upgrades of every tenant."""

import concurrent.futures
import copy
import json
import re

import jsonschema
import pytest

from support import packs, settings
from support.server import wait_until

SCHEMA = json.loads((settings.ROOT / "docs" / "pack.schema.json").read_text())


def install(admin, pack, expect=(200, 201), **options):
    return admin.call("POST", "/v1/packs", expect, json=packs.bundle(pack), **options).json()


def run_sql(server, sql, database):
    connection = server.connect(database)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(sql)
    finally:
        connection.close()


def install_skipping_lint(admin, pack):
    return admin.call("POST", "/v1/packs?lint=skip", 200, json=packs.bundle(pack)).json()


def findings(problem):
    return json.dumps(problem, ensure_ascii=False)


def test_bundled_packs_follow_the_schema(server):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for name in settings.PACKS:
        directory = settings.ROOT / "packs" / name
        jsonschema.Draft202012Validator(SCHEMA).validate(json.loads((directory / "pack.json").read_text()))
        assert "breaks no rule" in server.cli("pack", "check", str(directory)).stdout


def test_a_fourth_pack(server, admin, tmp_path):
    """The pack that docs/packs.md teaches, line by line."""
    directory = packs.write(tmp_path / "library", packs.LIBRARY)
    jsonschema.Draft202012Validator(SCHEMA).validate(packs.LIBRARY["manifest"])
    server.cli("pack", "check", directory)
    assert "library" not in [pack["name"] for pack in admin.get("/v1/packs")["data"]], "check installs nothing"
    server.cli("pack", "install", directory)
    listed = {pack["name"]: pack for pack in admin.get("/v1/packs")["data"]}
    assert set(settings.PACKS) < set(listed) and listed["library"]["version"] == "1.0.0"
    for tier in settings.TIERS:
        tenant = admin.create_tenant(f"Reading room {tier}", pack="library", plan=None, tier=tier, sample_data=True)
        titles = [row["title"] for row in tenant.api.get("/v1/data/books?limit=2")["data"]]
        assert titles == ["Bread, Salt and Rye", "Rivers of the North"]
        book = tenant.api.get("/v1/data/books?isbn=eq.9780000000019")["data"][0]
        loan = {"book_id": book["id"], "borrower": "Reader", "lent_on": "2026-01-01", "due_on": "2026-01-29"}
        tenant.api.post("/v1/data/loans", loan, 201)
        tenant.api.refused("POST", "/v1/data/loans", 409, "conflict", json=loan)
        problem = tenant.api.refused("POST", "/v1/data/loans", 422, "validation_failed",
                                     json={**loan, "due_on": "2025-01-01"})
        assert "loans_due_after_lent" in findings(problem)
        assert [row["title"] for row in tenant.api.get("/v1/data/books_lent")["data"]] == [book["title"]]
        late = tenant.api.post("/v1/rpc/overdue_loans", {"on_day": "2030-01-01"}, 200)["data"]
        assert late == [{"title": book["title"], "borrower": "Reader", "days_late": 1433}]
        tenant.api.refused("DELETE", f"/v1/data/books/{book['id']}", 405, "method_not_allowed")
    document = server.anonymous.get("/openapi.json?pack=library")
    assert {"/v1/data/books", "/v1/data/loans/{id}", "/v1/rpc/overdue_loans", "/v1/import/books"} <= set(document["paths"])
    report = install(admin, packs.LIBRARY, 200)
    assert report["from_version"] == report["to_version"] == "1.0.0" and report["migrated"] == [] == report["failed"]


TABLE = "CREATE TABLE others (tenant_id uuid NOT NULL, id uuid NOT NULL DEFAULT gen_random_uuid(), {columns}" \
        "PRIMARY KEY (tenant_id, id));"

# (SQL at the end of a good migration, the rule it breaks, words that the report must have: object and fix)
BAD_SQL = [
    ("CREATE TABLE others (id uuid PRIMARY KEY);", "tenant-id-missing", ["others", "tenant_id uuid NOT NULL"]),
    ("CREATE TABLE others (tenant_id text NOT NULL, id uuid, PRIMARY KEY (tenant_id, id));", "tenant-id-wrong-type",
     ["others", "uuid"]),
    ("CREATE TABLE others (tenant_id uuid, id uuid NOT NULL);", "tenant-id-nullable", ["others", "SET NOT NULL"]),
    ("CREATE TABLE others (tenant_id uuid NOT NULL, id uuid NOT NULL);", "primary-key-missing", ["others", "PRIMARY KEY"]),
    ("CREATE TABLE others (tenant_id uuid NOT NULL, id uuid PRIMARY KEY);", "primary-key-not-tenant-led",
     ["others", "PRIMARY KEY (tenant_id, id)"]),
    ("ALTER TABLE notes ADD CONSTRAINT oracle UNIQUE (body);", "unique-not-tenant-led", ["oracle", "UNIQUE (tenant_id"]),
    ("CREATE UNIQUE INDEX oracle ON notes (lower(title)) WHERE body IS NULL;", "unique-not-tenant-led", ["oracle", "tenant_id"]),
    ("CREATE UNIQUE INDEX oracle ON notes (title, tenant_id);", "unique-not-tenant-led", ["oracle", "tenant_id"]),
    ("ALTER TABLE notes ADD CONSTRAINT oracle EXCLUDE USING btree (title WITH =);", "exclusion-not-tenant-led",
     ["oracle", "tenant_id WITH ="]),
    ("ALTER TABLE notes ADD UNIQUE (id); " + TABLE.format(columns="note uuid REFERENCES notes (id),"),
     "foreign-key-not-tenant-led", ["others", "tenant_id"]),
    (TABLE.format(columns="note uuid, FOREIGN KEY (note, tenant_id) REFERENCES notes (id, tenant_id),")
     .replace("CREATE TABLE others", "ALTER TABLE notes ADD UNIQUE (id, tenant_id); CREATE TABLE others"),
     "foreign-key-not-tenant-led", ["others", "tenant_id"]),
    (TABLE.format(columns="note uuid, FOREIGN KEY (tenant_id, note) REFERENCES notes (tenant_id, id) ON DELETE SET NULL,"),
     "foreign-key-clears-tenant-id", ["others", "SET NULL ("]),
    ("CREATE VIEW peek AS SELECT * FROM notes;", "view-not-security-invoker", ["peek", "security_invoker = true"]),
    ("CREATE VIEW peek WITH (security_invoker = true, security_barrier = true) AS SELECT * FROM notes;"
     " CREATE OR REPLACE VIEW peek WITH (security_barrier = true) AS SELECT * FROM notes;", "view-not-security-invoker",
     ["peek", "security_invoker"]),
    ("CREATE VIEW peek WITH (security_invoker = true) AS SELECT * FROM notes;", "view-not-security-barrier",
     ["peek", "security_barrier = true"]),
    ("CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER BEGIN ATOMIC SELECT count(*) FROM notes; END;",
     "function-definer-search-path", ["peek", "search_path"]),
    ("GRANT SELECT ON notes TO PUBLIC;", "grant-to-public", ["notes", "REVOKE"]),
    ("GRANT UPDATE ON notes TO tenant_service;", "grant-in-migration", ["notes", "GRANT"]),
    ("CREATE POLICY open_door ON notes USING (true);", "policy-permissive", ["open_door", "RESTRICTIVE"]),
    ("CREATE RULE quiet AS ON DELETE TO notes DO INSTEAD NOTHING;", "rewrite-rule", ["quiet", "DROP RULE"]),
    ("CREATE MATERIALIZED VIEW peek AS SELECT * FROM notes;", "table-kind", ["peek", "view"]),
    ("CREATE UNLOGGED TABLE others (tenant_id uuid NOT NULL, id uuid NOT NULL, PRIMARY KEY (tenant_id, id));", "table-kind",
     ["others", "SET LOGGED"]),
    ("CREATE TABLE others (PRIMARY KEY (tenant_id, id)) INHERITS (notes);", "table-inherits", ["others"]),
    ('ALTER TABLE notes ADD COLUMN "limit" integer;', "column-name-reserved", ["notes", "limit"]),
    ("CREATE POLICY narrow ON notes AS RESTRICTIVE TO tenant_service USING (true);", "policy-not-for-public", ["narrow", "PUBLIC"]),
    ("ALTER TABLE notes ALTER COLUMN tenant_id SET DEFAULT gen_random_uuid();", "tenant-id-default", ["notes", "SET DEFAULT rowhouse.tenant_id()"]),
    ("GRANT SELECT ON notes TO platform_service;", "grant-in-migration", ["notes", "platform_service"]),
    ("ALTER TABLE notes RENAME id TO key;", "id-missing", ["notes", "id"]),
]


@pytest.mark.parametrize("sql, rule, words", BAD_SQL, ids=[f"{rule}-{at}" for at, (_, rule, _) in enumerate(BAD_SQL)])
def test_packs_that_break_a_rule(server, admin, sql, rule, words):
    before = {name for (name,) in server.query("SELECT datname FROM pg_database")}
    problem = install(admin, packs.notes("bad-pack", "\n" + sql), 422)
    assert problem["code"] == "pack_refused"
    for word in [rule, *words]:
        assert word in findings(problem), f"{word!r} is missing in: {problem}"
    assert "bad-pack" not in [found["name"] for found in admin.get("/v1/packs")["data"]]
    assert {name for (name,) in server.query("SELECT datname FROM pg_database")} == before


def test_check_reports_everything_at_once(server, tmp_path):
    """On a throw-away PostgreSQL, so once for all rules that can be broken side by side."""
    alone = ("id-missing", "table-inherits")  # would spoil what the others build on
    chosen = [bad for bad in BAD_SQL if bad[1] not in alone and "OR REPLACE" not in bad[0]]
    sql = []
    for at, (text, _, _) in enumerate(chosen):
        for name in ("others", "oracle", "peek"):
            text = re.sub(rf"\b{name}\b", f"{name}_{at}", text)
        sql.append(text if "ALTER TABLE notes ADD UNIQUE (id" not in text else text.split(";", 1)[1])
    sql.insert(0, "ALTER TABLE notes ADD UNIQUE (id); ALTER TABLE notes ADD UNIQUE (id, tenant_id);")
    directory = packs.write(tmp_path / "bad", packs.notes("bad-pack", "\n" + "\n".join(sql)))
    found = json.loads(server.cli("pack", "check", "--json", directory, expect=1).stdout)["findings"]
    assert {rule for _, rule, _ in chosen} <= {finding["rule"] for finding in found}
    assert all(finding["object"] and finding["message"] and finding["fix"] for finding in found), found
    shown = server.cli("pack", "check", directory, expect=1).stdout
    for finding in found:
        assert finding["rule"] in shown and finding["object"] in shown


@pytest.mark.parametrize("sql, words", [
    ("CREATE TABLE;", ["0001_notes", "syntax error"]),
    ("COMMIT; DROP SCHEMA app CASCADE;", ["0001_notes"]),
    ("SET ROLE postgres;", ["0001_notes"]),
    ("RESET ROLE; CREATE ROLE intruder SUPERUSER;", ["0001_notes"]),
    ("CREATE EXTENSION dblink;", ["0001_notes"]),
    ("COPY notes FROM PROGRAM 'id';", ["0001_notes"]),
    ("SELECT 1/0;", ["0001_notes", "division by zero"]),
    ("ALTER TABLE notes OWNER TO tenant_service;", ["0001_notes"]),
    ("DO LANGUAGE plpgsql $$ BEGIN EXECUTE 'ALTER ROLE tenant_owner BYPASSRLS'; END $$;", ["0001_notes"]),
])
def test_migrations_that_fail(admin, sql, words):
    problem = install(admin, packs.notes("failing-pack", "\n" + sql), 422)
    for word in words:
        assert word in findings(problem), f"{word!r} is missing in: {problem}"
    assert "failing-pack" not in [found["name"] for found in admin.get("/v1/packs")["data"]]


def manifest_with(path, value, remove=False):
    """The notes manifest with one member changed: path like "resources/notes/natural_key"."""
    manifest = copy.deepcopy(packs.NOTES["manifest"])
    place, steps = manifest, path.split("/")
    for step in steps[:-1]:
        place = place[step]
    if remove:
        del place[steps[-1]]
    else:
        place[steps[-1]] = value
    return manifest


# Faults that the schema and `pack check` both see.
BAD_MANIFESTS = [
    ("name", "Notes"), ("name", "1notes"), ("name", "x" * 41), ("name", 5), ("version", "1.0"), ("version", "01.0.0"),
    ("version", "v1.0.0"), ("title", ""), ("title", "x" * 201), ("default_tier", "cloud"), ("services", ["mail"]),
    ("services", ["poller", "poller"]), ("features", {}), ("features", {"note": "x"}), ("plans", {}), ("nothing", 1),
    ("resources", {}), ("resources/Notes", {"description": "x", "operations": {"read": "note:use"}}),
    ("resources/notes/nothing", 1), ("resources/notes/operations", {}), ("resources/notes/operations", {"drop": "note:use"}),
    ("resources/notes/default_order", ["created_at desc"]), ("resources/notes/natural_key", ["tenant_id"]),
    ("resources/notes/read_only", ["limit"]), ("plans/basic/limits", {"notes": "many"}), ("plans/basic/nothing", 1),
    ("plans/basic/features", ["note"]), ("plans/basic/title", 5), ("settings/zone", {"type": "text", "default": "x"}),
    ("settings/zone", {"type": "string"}),
    ("settings/size", {"type": "integer", "default": "x", "description": "x"}), ("limits/notes", {"description": "x"}), ("functions", {"f": {"description": "x"}}),
    ("sample_data", [{"resource": "notes", "file": "../../etc/passwd"}]), ("sample_data", [{"resource": "notes"}]),
    ("metrics", [{"name": "x", "help": "x", "resource": "notes", "on": "sleep"}]),
]
# Faults that need more than a schema.
INCONSISTENT_MANIFESTS = [
    ("default_plan", "gold", "/default_plan"), ("plans/basic/features", ["note:other"], "/plans/basic/features"),
    ("plans/basic/limits", {"users": 5}, "/plans/basic/limits/users"),
    ("resources/notes/operations/read", "note:other", "/resources/notes/operations/read"),
    ("limits", {"notes": {"description": "Notes", "unit": "rows"}}, "/plans/basic/limits"),
    ("settings/size", {"type": "integer", "default": 5, "minimum": 10, "description": "x"}, "/settings/size"),
    ("settings/zone", {"type": "string", "default": "x", "enum": ["y"], "description": "x"}, "/settings/zone"),
]
REQUIRED = ["name", "title", "version", "description", "default_tier", "default_plan", "services", "features", "limits",
            "plans", "settings", "resources"]


@pytest.mark.parametrize("path, value", BAD_MANIFESTS + [(name, None) for name in REQUIRED],
                         ids=lambda value: str(value)[:40])
def test_schema_and_check_agree_on_bad_manifests(server, tmp_path, path, value):
    manifest = manifest_with(path, value, remove=value is None)
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(manifest), "the schema takes it"
    done = server.cli("pack", "check", packs.write(tmp_path / "bad", {**packs.NOTES, "manifest": manifest}), expect=1)
    assert path.split("/")[0] in done.stdout + done.stderr, done


@pytest.mark.parametrize("path, value, named", INCONSISTENT_MANIFESTS, ids=lambda value: str(value)[:40])
def test_manifests_that_contradict_themselves(server, admin, tmp_path, path, value, named):
    pack = {**packs.NOTES, "manifest": manifest_with(path, value)}
    jsonschema.Draft202012Validator(SCHEMA).validate(pack["manifest"])
    done = server.cli("pack", "check", packs.write(tmp_path / "bad", pack), expect=1)
    assert named in done.stdout + done.stderr, done
    problem = admin.refused("POST", "/v1/packs", 422, "pack_refused", json=packs.bundle(pack))
    assert any(named in fault["path"] for fault in problem["errors"]), problem


@pytest.mark.parametrize("path, value, rule", [
    ("resources/notes/relation", "elsewhere", "resource-relation-missing"),
    ("resources/notes/natural_key", ["body"], "natural-key-not-unique"),
    ("resources/notes/natural_key", ["nothing"], "column-missing"),
    ("resources/notes/orders", ["title", "-body"], "order-not-indexed"),
    ("resources/notes/personal_data", ["nothing"], "column-missing"),
    ("functions", {"count_notes": {"description": "x", "operation": "note:use"}}, "function-missing"),
])
def test_manifest_against_catalog(admin, path, value, rule):
    pack = {**packs.NOTES, "manifest": manifest_with(path, value)}
    jsonschema.Draft202012Validator(SCHEMA).validate(pack["manifest"])
    problem = admin.refused("POST", "/v1/packs", 422, "pack_refused", json=packs.bundle(pack))
    assert rule in findings(problem), problem


def test_folders_that_are_no_packs(server, tmp_path):
    server.cli("pack", "check", str(tmp_path / "nowhere"), expect=(1, 2, 3))
    directory = tmp_path / "gap"
    packs.write(directory, {**packs.NOTES, "migrations": {**packs.NOTES["migrations"], "0003_gap": "SELECT 1;"}})
    assert "0003_gap.sql" in server.cli("pack", "check", str(directory), expect=1).stdout
    missing = {**packs.NOTES, "manifest": manifest_with("sample_data", [{"resource": "notes", "file": "sample/notes.csv"}])}
    assert "sample/notes.csv" in server.cli("pack", "check", packs.write(tmp_path / "missing", missing), expect=1).stdout
    (tmp_path / "broken" / "migrations").mkdir(parents=True)
    (tmp_path / "broken" / "pack.json").write_text('{"name": "x", "name": "y"}')
    server.cli("pack", "check", str(tmp_path / "broken"), expect=1)


def upgraded(pack, version="1.1.0"):
    newer = copy.deepcopy(pack)
    newer["manifest"]["version"] = version
    newer["manifest"]["resources"]["tags"] = {"description": "Tags", "default_order": ["id"],
                                                  "operations": {"read": "note:use", "create": "note:use"}}
    newer["migrations"]["0002_tags"] = """
ALTER TABLE notes ADD COLUMN starred boolean NOT NULL DEFAULT false;
CREATE TABLE tags (tenant_id uuid NOT NULL, id uuid NOT NULL DEFAULT gen_random_uuid(), word varchar(50) NOT NULL,
                   PRIMARY KEY (tenant_id, id));
"""
    return newer


def test_an_upgrade_reaches_every_tenant(server, admin):
    old = packs.notes("notes-up")
    install(admin, old, 201)
    tenants = [admin.create_tenant(f"Up {tier} {i}", pack="notes-up", plan=None, tier=tier)
               for tier in settings.TIERS for i in range(2)]
    for tenant in tenants:
        tenant.api.post("/v1/data/notes", {"title": tenant.id}, 201)
    report = install(admin, upgraded(old), 200)
    assert (report["from_version"], report["to_version"], report["failed"]) == ("1.0.0", "1.1.0", [])
    own = {tenant.slug for tenant in tenants if tenant.record["tier"] != "pool"}
    assert own < set(report["migrated"]), report
    tenants.append(admin.create_tenant("Up afterwards", pack="notes-up", plan=None, tier="database"))
    tenants[-1].api.post("/v1/data/notes", {"title": tenants[-1].id}, 201)
    for tenant in tenants:
        rows = tenant.api.get("/v1/data/notes?select=title,starred")["data"]
        assert rows == [{"title": tenant.id, "starred": False}]
        tenant.api.post("/v1/data/tags", {"word": tenant.id}, 201)
        assert [row["word"] for row in tenant.rows("tags")] == [tenant.id], "the new table is walled in, too"
    again = install(admin, upgraded(old), 200)
    assert again["migrated"] == [] and again["unchanged"] >= 4


def ended(admin, operation):
    return wait_until(lambda: (found := admin.get(f"/v1/operations/{operation}"))["finished_at"] and found,
                      "the operation has ended")


def wait_for_tags(tenant):
    """Nodes hear of the version that an operation has stored."""
    wait_until(lambda: tenant.api.call("GET", "/v1/data/tags", (200, 404)).status_code == 200, "the new version is served")


def test_an_upgrade_is_an_operation(server, admin, tmp_path):
    old = packs.notes("notes-waves")
    install(admin, old, 201)
    tenants = [admin.create_tenant(f"Waves {tier} {i}", pack="notes-waves", plan=None, tier=tier)
               for tier in ("schema", "database") for i in range(2)]
    begun = admin.call("POST", "/v1/packs?canary=1&parallel=4", 202, json=packs.bundle(upgraded(old)),
                       headers={"Prefer": "respond-async", "Idempotency-Key": "waves-1"})
    operation = begun.json()["operation"]
    assert begun.headers["Location"] == f"/v1/operations/{operation['id']}"
    assert begun.headers["Preference-Applied"] == "respond-async" and operation["kind"] == "pack.upgrade"
    done = ended(admin, operation["id"])
    assert done["status"] == "succeeded" and done["output"]["migrated"] == 4, done
    assert [step["name"] for step in done["steps"]] == [
        "upload", "check", "lint", "announce", "list_tenants", "canary", "migrate_tenants", "migrate_template", "migrate_pool", "store", "finish"]
    seen, cursor = [], ""
    while cursor is not None:
        page = admin.get(f"/v1/operations/{operation['id']}/targets?limit=2" + (f"&cursor={cursor}" if cursor else ""))
        seen += page["data"]
        cursor = page["next_cursor"]
    assert [target["target"] for target in seen[:2]] == ["template", "pool"]
    assert {target["target"] for target in seen[2:]} == {tenant.slug for tenant in tenants}
    assert [target["wave"] for target in seen] == [0, 0, 1, 1, 2, 3]
    assert {target["status"] for target in seen} == {"done"} and {target["migrations_run"] for target in seen} == {1}
    shown = server.cli("operation", "targets", operation["id"]).stdout
    assert all(tenant.slug in shown for tenant in tenants)
    for tenant in tenants:
        wait_for_tags(tenant)
        tenant.api.post("/v1/data/tags", {"word": "x"}, 201)
    admin.refused("GET", f"/v1/operations/{operation['id']}/targets?status=lost", 400, "invalid_parameter")
    admin.refused("GET", f"/v1/operations/{operation['id']}/targets?cursor=x", 400, "invalid_cursor")
    admin.refused("GET", f"/v1/operations/{tenants[0].id}/targets", 404, "not_found")
    for wrong in ("canary=-1", "canary=1001", "parallel=0", "parallel=17", "lock_timeout_ms=0", "max_failures=0", "lint=no", "contract=1"):
        admin.refused("POST", f"/v1/packs?{wrong}", 400, "invalid_parameter", json=packs.bundle(upgraded(old, "1.2.0")))
    newest = packs.write(tmp_path / "newest", upgraded(old, "1.2.0"))
    done = server.cli("pack", "upgrade", newest)
    assert "notes-waves 1.2.0 is installed" in done.stdout and "Unchanged: 4" in done.stdout


def test_drift(server, admin):
    install(admin, packs.notes("notes-drift"), 201)
    for i, tier in enumerate(("schema", "schema", "schema", "database", "pool")):
        admin.create_tenant(f"Drift {i}", pack="notes-drift", plan=None, tier=tier)
    path, pool = "/v1/packs/notes-drift/drift", "rowhouse_pool_notes_drift"
    assert admin.get(path) == {"schemas": 6, "read_anew": 6, "unreachable": [], "findings": []}
    assert admin.get(path)["read_anew"] == 2, "template and the tenant's own database are always read"
    assert admin.get(path + "?full=true")["read_anew"] == 6
    assert "No drift in 6 schemas" in server.cli("pack", "drift", "notes-drift").stdout
    schema = server.query("SELECT nspname FROM pg_namespace WHERE nspname ~ '^t_' ORDER BY 1 LIMIT 1", (), pool)[0][0]
    run_sql(server, f'ALTER TABLE "{schema}".notes NO FORCE ROW LEVEL SECURITY', pool)
    found = admin.get(path)
    assert [(one["database"], one["schema"], one["object"]) for one in found["findings"]] == [(pool, schema, "relation notes")]
    assert found["read_anew"] == 3
    shown = server.cli("pack", "drift", "notes-drift", expect=1)
    assert schema in shown.stdout and "relation notes" in shown.stdout
    assert json.loads(server.cli("pack", "drift", "notes-drift", "--full", "--json", expect=1).stdout)["read_anew"] == 6
    run_sql(server, f'ALTER TABLE "{schema}".notes FORCE ROW LEVEL SECURITY', pool)
    assert admin.get(path)["findings"] == []
    admin.refused("GET", path + "?full=yes", 400, "invalid_parameter")
    admin.refused("GET", "/v1/packs/nothing/drift", 404, "not_found")
    server.cli("pack", "drift", "nothing", expect=3)


def test_a_canary_that_fails_stops_the_upgrade(server, admin, tmp_path):
    old = packs.notes("notes-canary")
    install(admin, old, 201)
    first, canary = [admin.create_tenant(f"Canary {i}", pack="notes-canary", plan=None, tier="schema") for i in range(2)]
    schema = server.query("SELECT schema_name FROM platform.tenant_databases WHERE tenant_id = %s", (canary.id,),
                          database="rowhouse_platform")[0][0]
    run_sql(server, f'ALTER TABLE "{schema}".notes ADD COLUMN starred integer', database="rowhouse_pool_notes_canary")
    report = install_skipping_lint(admin, upgraded(old))
    assert [failed["target"] for failed in report["failed"]] == [canary.slug] and report["waiting"] == 1
    untouched = server.query("SELECT schema_name FROM platform.tenant_databases WHERE tenant_id = %s", (first.id,),
                             database="rowhouse_platform")[0][0]
    assert server.query("SELECT count(*) FROM information_schema.columns WHERE table_schema = %s AND column_name = 'starred'",
                        (untouched,), database="rowhouse_pool_notes_canary") == [(0,)]
    for tenant in (first, canary):
        assert "starred" not in tenant.api.post("/v1/data/notes", {"title": "meanwhile"}, 201), "the old version is served"
    newcomers = [admin.create_tenant(f"Newcomer {tier}", pack="notes-canary", plan=None, tier=tier) for tier in settings.TIERS]
    for newcomer in newcomers:
        assert "starred" not in newcomer.api.post("/v1/data/notes", {"title": "meanwhile"}, 201)
    operation = admin.get("/v1/operations?kind=pack.upgrade&status=failed")["data"][0]["id"]
    run_sql(server, f'ALTER TABLE "{schema}".notes DROP COLUMN starred', database="rowhouse_pool_notes_canary")
    server.cli("operation", "retry", operation)
    assert ended(admin, operation)["status"] == "succeeded"
    for tenant in (first, canary, *newcomers):
        wait_for_tags(tenant)
        tenant.api.post("/v1/data/tags", {"word": "x"}, 201)
        assert tenant.api.get("/v1/data/notes")["data"][0]["starred"] is False


def test_an_upgrade_that_breaks_a_rule_changes_nothing(admin):
    old = packs.notes("notes-careful")
    install(admin, old, 201)
    tenant = admin.create_tenant(pack="notes-careful", plan=None, tier="schema")
    bad = upgraded(old)
    bad["migrations"]["0002_tags"] += "CREATE VIEW peek AS SELECT * FROM notes;"
    assert install(admin, bad, 422)["code"] == "pack_refused"
    assert "starred" not in tenant.api.post("/v1/data/notes", {"title": "x"}, 201)
    tenant.api.refused("GET", "/v1/data/tags", 404, "unknown_resource")
    install(admin, upgraded(old), 200)
    assert tenant.api.get("/v1/data/notes")["data"][0]["starred"] is False


def test_released_migrations_never_change(server, admin, tmp_path):
    old = packs.notes("notes-fixed")
    install(admin, old, 201)
    changed = packs.notes("notes-fixed", "-- one more comment\n", version="1.0.1")
    problem = admin.call("POST", "/v1/packs", (409, 422, 500), json=packs.bundle(changed)).json()
    assert problem["code"] in ("migration_changed", "pack_refused", "conflict"), problem
    assert "0001_notes" in findings(problem)
    done = server.cli("pack", "install", packs.write(tmp_path / "changed", changed), expect=1)
    assert "0001_notes" in done.stdout + done.stderr
    assert admin.get("/v1/packs/notes-fixed")["version"] == "1.0.0"
    older = copy.deepcopy(old)
    older["manifest"]["version"] = "0.9.0"
    assert admin.call("POST", "/v1/packs", (409, 422), json=packs.bundle(older)).json()["code"]


def test_running_requests_survive_an_upgrade(server, admin):
    """Prepared statements and caches of old and new shape side by side: every request is answered well."""
    old = packs.notes("notes-live")
    install(admin, old, 201)
    tenant = admin.create_tenant(pack="notes-live", plan=None, tier="pool")
    for i in range(5):
        tenant.api.post("/v1/data/notes", {"title": f"N{i}"}, 201)
    for _ in range(10):
        assert len(tenant.api.get("/v1/data/notes")["data"]) == 5
    newer = upgraded(old)
    newer["migrations"]["0002_tags"] += "ALTER TABLE notes ALTER COLUMN title TYPE varchar(300);"
    install(admin, newer, 200)
    wait_until(lambda: "starred" in tenant.api.get("/v1/data/notes")["data"][0], "the new column is shown")
    for _ in range(20):
        assert len(tenant.api.get("/v1/data/notes")["data"]) == 5
    tenant.api.post("/v1/data/notes", {"title": "x" * 300, "starred": True}, 201)


def test_installs_at_once(admin):
    pack = packs.notes("notes-raced")
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: admin.with_headers().call("POST", "/v1/packs", (200, 201, 409),
                                                                    json=packs.bundle(pack)), range(3)))
    assert sum(answer.status_code == 201 for answer in answers) == 1
    assert admin.create_tenant(pack="notes-raced", plan=None).count("notes") == 0
