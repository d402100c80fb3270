"""The runtime roles of PostgreSQL, with everything that SQL could say if some got through: nothing of another tenant.

A raw connection with the role's own password, no server between. What an injected statement runs inside is a transaction
with the context of the attacker, or none. The context itself is attacked in test_attack_context.py.
"""

import concurrent.futures
import os
import subprocess
import uuid

import psycopg2
import pytest

from support import packs
from support.attack_site import DENIED, POOL, SECRET, Site
from support.credentials import CONTEXT_NUMBER, RUNTIME_ROLE, SET_CONTEXT, Runtime
from support.server import Server, wait_until


@pytest.fixture(scope="module")
def site(work):
    server = Server(work / "site", env={"ROWHOUSE_PACKS": "tekup,isp-monitor"})
    try:
        server.start()
        yield Site(server)
        server.stop()
    finally:
        server.clear()


@pytest.fixture(scope="module")
def runtime(site):
    with site.runtime() as made:
        yield made


@pytest.fixture(scope="module", autouse=True)
def unharmed(site):
    yield
    site.check()


def filled(site, statement):
    return statement.format(
        victim=site.victim.id, attacker=site.attacker.id, lead=site.lead["id"], own=site.own["id"], schema=site.schema("schema"),
        secret=SECRET, database=site.database("database"), role=site.database("database"), random=uuid.uuid4())


# Statements that run, and see the attacker's own rows at most

READS = [
    "SELECT * FROM app.leads", "TABLE app.leads", "SELECT * FROM ONLY app.leads", "SELECT leads FROM app.leads",
    "SELECT * FROM app.leads WHERE tenant_id = '{victim}'", "SELECT * FROM app.leads WHERE id = '{lead}' OR true",
    "SELECT * FROM app.leads WHERE tenant_id <> rowhouse.tenant_id()", "SELECT * FROM app.leads WHERE rowhouse.tenant_id() IS NOT NULL",
    "SELECT count(*) FROM app.leads HAVING count(*) > 1", "SELECT 1 FROM app.leads WHERE EXISTS (SELECT FROM app.leads WHERE name = '{secret}')",
    "SELECT * FROM app.leads a FULL JOIN app.activities b ON true", "SELECT * FROM app.leads, app.leads b, app.activities c",
    "SELECT * FROM app.leads UNION ALL SELECT * FROM app.leads", "SELECT * FROM app.leads TABLESAMPLE BERNOULLI (100)",
    "SELECT * FROM app.leads WHERE ctid = ANY (ARRAY(SELECT format('(0,%s)', i)::tid FROM generate_series(1, 100) i))",
    "SELECT * FROM app.leads WHERE ctid >= '(0,0)'", "SELECT tableoid, xmin, xmax, ctid, * FROM app.leads",
    "SELECT * FROM app.leads FOR UPDATE", "SELECT * FROM app.leads FOR KEY SHARE SKIP LOCKED",
    # Functions in conditions are called with rows that the policies would have hidden, if anything leaks.
    "SELECT * FROM app.leads WHERE 1 / (CASE WHEN name = '{secret}' THEN 0 ELSE 1 END) = 1",
    "SELECT * FROM app.leads WHERE CASE WHEN name ~ 'secret' THEN name::integer ELSE 1 END = 1",
    "SELECT * FROM app.leads WHERE (name || '')::xml IS NOT NULL AND name = '{secret}'",
    "SELECT * FROM app.leads WHERE CAST(company AS integer) > 0", "SELECT * FROM app.leads ORDER BY 1 / (length(name) - length('{secret}'))",
    "SELECT jsonb_agg(l) FROM app.leads l", "SELECT string_agg(l::text, '') FROM app.leads l", "SELECT row_to_json(l) FROM app.leads l",
    "SELECT array_agg(l) OVER () FROM app.leads l", "WITH RECURSIVE r AS (SELECT id FROM app.leads UNION SELECT a.lead_id FROM app.activities a) TABLE r",
    "SELECT * FROM app.activities", "SELECT * FROM app.open_leads", "SELECT * FROM app.lead_counts()", "SELECT * FROM app.leads_by_source()",
    "SELECT * FROM rowhouse.idempotency_keys", "SELECT * FROM \"{schema}\".leads", "SELECT * FROM \"{schema}\".open_leads",
    "SELECT * FROM \"{schema}\".leads WHERE tenant_id IS NOT NULL", "SELECT * FROM \"{schema}\".lead_counts()",
    "SELECT query_to_xml('SELECT * FROM app.leads', true, true, '')", "SELECT table_to_xml('app.leads', true, true, '')",
    "SELECT schema_to_xml('app', true, true, '')", "SELECT schema_to_xml('{schema}', true, true, '')",
    "SELECT * FROM ts_stat($$SELECT to_tsvector('simple', name) FROM app.leads$$)", "SELECT database_to_xml(true, true, '')",
    "SELECT pg_get_viewdef('app.open_leads'::regclass)", "EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM app.leads",
    "EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM app.leads WHERE name LIKE 'secret%'", "EXPLAIN SELECT * FROM app.leads WHERE email > 's'",
    "UPDATE app.leads SET name = 'taken' WHERE tenant_id = '{victim}' RETURNING *", "UPDATE app.leads SET name = 'taken' RETURNING *",
    "UPDATE app.leads l SET name = o.name FROM app.leads o RETURNING l.*, o.*", "DELETE FROM app.leads RETURNING *",
    "DELETE FROM app.leads WHERE id = '{lead}' RETURNING *", "DELETE FROM app.activities USING app.leads RETURNING *",
    "WITH gone AS (DELETE FROM app.leads RETURNING *) SELECT * FROM gone", "UPDATE app.open_leads SET name = 'taken' RETURNING *",
    "UPDATE \"{schema}\".leads SET name = 'taken' RETURNING *", "DELETE FROM \"{schema}\".activities RETURNING *",
    "INSERT INTO app.leads (name, email) VALUES ('x', 'shared@example.com') ON CONFLICT (tenant_id, email) DO UPDATE SET name = 'mine' RETURNING *",
    "INSERT INTO app.leads (id, name) VALUES ('{lead}', 'same id') RETURNING name",
    "INSERT INTO app.leads (name) SELECT name FROM app.leads RETURNING *", "INSERT INTO app.leads (name) TABLE app.leads RETURNING *",
    "INSERT INTO app.activities (lead_id, kind, subject, due_at) SELECT id, 'NOTE', name, now() FROM app.leads RETURNING *",
    "INSERT INTO app.activities (lead_id, kind, subject, due_at) VALUES ('{lead}', 'NOTE', 'x', now())",
    "MERGE INTO app.leads l USING (SELECT '{lead}'::uuid AS id) s ON l.id = s.id WHEN MATCHED THEN UPDATE SET name = 'taken'"
    " WHEN NOT MATCHED THEN DO NOTHING",
    "MERGE INTO app.leads l USING app.leads s ON true WHEN MATCHED THEN DELETE",
    "SELECT * FROM pg_stats WHERE tablename IN ('leads', 'activities')", "SELECT * FROM pg_stats_ext", "SELECT * FROM pg_stats_ext_exprs",
    "SELECT * FROM information_schema.tables", "SELECT * FROM pg_prepared_statements", "SELECT * FROM pg_cursors",
    "SELECT * FROM pg_prepared_xacts", "SELECT * FROM pg_stat_user_tables", "SELECT * FROM pg_stat_progress_copy",
    "SELECT * FROM pg_class", "SELECT * FROM pg_attribute", "SELECT * FROM pg_description", "SELECT * FROM pg_seclabels",
    "SELECT * FROM pg_sequences", "SELECT * FROM pg_settings", "SELECT * FROM pg_policies", "SELECT * FROM pg_user_mappings",
]


@pytest.mark.parametrize("statement", READS)
def test_statements_see_own_rows_alone(site, runtime, statement):
    text = filled(site, statement)
    for tenant in (None, site.attacker.id):
        state, told = runtime.attempt(text, tenant=tenant)
        site.tells_nothing(told.replace(text, ""))
        assert state is None or state in (DENIED, "22P02", "22012", "23503", "23505", "23502", "23514", "42601", "42804", "42703", "0A000",
                                          "55000", "42P10", "2200N", "21000"), (state, told)
        if tenant is None:
            assert "own row" not in told, "no context, no rows"


def test_division_by_what_is_hidden(site, runtime):
    """An error that only a hidden row could raise is not raised."""
    for condition in ("1 / (length(name) - 20) > 5", "name::date > now()", "company::integer > 0", "1 / (value - 0) = 1 AND tenant_id = '{victim}'"):
        text = filled(site, f"SELECT count(*) FROM app.leads WHERE name <> 'own row' AND {condition}")
        assert len(SECRET) == 20
        assert runtime.attempt(text, tenant=site.attacker.id) == (None, "[(0,)]"), condition


# Statements that must be refused

OTHER_ROLES = ["tenant_owner", "tenant_migrator", "platform_service", "backup_service", "rowhouse_admin", "{role}", "pg_read_all_data",
               "pg_write_all_data", "pg_monitor", "pg_read_server_files", "pg_execute_server_program", "pg_signal_backend", "pg_database_owner"]
REFUSED = [
    *[f"SET {what} \"{role}\"" for role in OTHER_ROLES for what in ("ROLE", "SESSION AUTHORIZATION")],
    *[f"GRANT \"{role}\" TO CURRENT_USER" for role in OTHER_ROLES],
    *[f"ALTER ROLE CURRENT_USER {what}" for what in ("SUPERUSER", "BYPASSRLS", "CREATEROLE", "REPLICATION", "CREATEDB", "VALID UNTIL 'infinity'",
                                                     "CONNECTION LIMIT 1")], "ALTER ROLE tenant_service RENAME TO x",
    "ALTER ROLE tenant_owner PASSWORD 'x'", "ALTER ROLE backup_service SET statement_timeout = 1", "DROP ROLE backup_service",
    "CREATE ROLE intruder SUPERUSER", "REASSIGN OWNED BY tenant_owner TO CURRENT_USER", "SET LOCAL row_security = off; SELECT * FROM app.leads",
    "INSERT INTO app.leads (tenant_id, name) VALUES ('{victim}', 'planted')", "INSERT INTO app.leads (tenant_id, name) VALUES (DEFAULT, 'x')",
    "UPDATE app.leads SET tenant_id = '{victim}'", "UPDATE app.leads SET tenant_id = tenant_id", "INSERT INTO app.leads TABLE app.leads",
    "COPY app.leads FROM PROGRAM 'cat /etc/passwd'", "COPY app.leads TO PROGRAM 'cat'", "COPY app.leads TO '/tmp/stolen'",
    "COPY app.leads FROM '/etc/passwd'", "SELECT pg_read_file('PG_VERSION')", "SELECT pg_read_binary_file('PG_VERSION')", "SELECT pg_ls_dir('.')",
    "SELECT pg_stat_file('PG_VERSION')", "SELECT pg_ls_logdir()", "SELECT pg_ls_waldir()", "SELECT pg_ls_tmpdir()", "SELECT pg_current_logfile()",
    "SELECT pg_reload_conf()", "SELECT pg_rotate_logfile()", "SELECT pg_switch_wal()", "SELECT pg_create_restore_point('x')", "SELECT pg_promote()",
    "SELECT pg_terminate_backend(pg_backend_pid())", "SELECT pg_cancel_backend(pg_backend_pid())", "SELECT pg_backup_start('x')",
    "SELECT pg_export_snapshot()", "SELECT pg_notify('x', 'y')", "SELECT pg_advisory_lock(1)", "SELECT pg_try_advisory_lock(1)",
    "SELECT pg_advisory_xact_lock(1, 2)", "SELECT pg_try_advisory_xact_lock_shared(1)", "SELECT pg_advisory_unlock_all()",
    "SELECT lo_create(0)", "SELECT lo_import('/etc/passwd')", "SELECT lo_export(1, '/tmp/x')", "SELECT lo_from_bytea(0, 'x')", "SELECT lo_get(1)",
    "SELECT lo_put(1, 0, 'x')", "SELECT lo_unlink(1)", "SELECT loread(1, 1)", "SELECT lo_open(1, 1)", "SELECT * FROM pg_largeobject",
    "SELECT * FROM pg_authid", "SELECT * FROM pg_shadow", "SELECT * FROM pg_statistic", "SELECT * FROM pg_statistic_ext_data",
    "SELECT * FROM pg_hba_file_rules", "SELECT * FROM pg_file_settings", "SELECT * FROM pg_stat_activity", "SELECT * FROM pg_locks",
    "SELECT * FROM pg_stat_get_activity(NULL)", "SELECT pg_stat_get_backend_activity(1)", "SELECT * FROM pg_lock_status()",
    "SELECT pg_blocking_pids(pg_backend_pid())", "SELECT * FROM pg_subscription", "SELECT pg_create_logical_replication_slot('x', 'pgoutput')",
    "SELECT pg_create_physical_replication_slot('x')", "SELECT pg_log_backend_memory_contexts(pg_backend_pid())", "SELECT pg_stat_reset()",
    "SELECT pg_replication_origin_create('x')", "SELECT set_config('session_replication_role', 'replica', true)", "SET log_statement = 'all'",
    "SET session_preload_libraries = 'x'", "LOAD 'dblink'", "CREATE EXTENSION dblink SCHEMA app", "CREATE EXTENSION postgres_fdw SCHEMA app", "CREATE EXTENSION plpython3u SCHEMA app",
    "CREATE SERVER s FOREIGN DATA WRAPPER w", "CREATE FOREIGN DATA WRAPPER w", "CREATE SUBSCRIPTION s CONNECTION 'dbname=x' PUBLICATION p",
    "CREATE PUBLICATION p FOR TABLE app.leads", "ALTER SYSTEM SET work_mem = '1MB'", "ALTER DATABASE rowhouse_pool_tekup SET work_mem = '1MB'",
    "DO $$ BEGIN PERFORM 1; END $$", "DO LANGUAGE sql 'SELECT 1'", "CREATE FUNCTION app.f() RETURNS integer LANGUAGE sql AS 'SELECT 1'", "CREATE FUNCTION pg_temp.f() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION app.f() RETURNS integer LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'", "CREATE PROCEDURE app.p() LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION app.f(internal) RETURNS internal LANGUAGE internal AS 'int4in'", "CREATE OPERATOR app.= (FUNCTION = uuid_eq, LEFTARG = uuid, RIGHTARG = uuid)",
    "CREATE CAST (text AS uuid) WITH INOUT", "CREATE SCHEMA mine", "CREATE TABLE app.mine (a integer)", "CREATE TABLE public.mine (a integer)",
    "CREATE TABLE rowhouse.mine (a integer)", "CREATE TABLE \"{schema}\".mine (a integer)", "CREATE TEMP TABLE mine (a integer)",
    "CREATE TEMP TABLE leads AS TABLE app.leads", "CREATE TEMP VIEW v AS TABLE app.leads", "CREATE VIEW app.v AS TABLE app.leads",
    "CREATE MATERIALIZED VIEW app.v AS TABLE app.leads", "CREATE TEMP SEQUENCE s", "SELECT * INTO TEMP mine FROM app.leads",
    "CREATE INDEX ON app.leads (name)", "CREATE STATISTICS app.s ON name, email FROM app.leads", "CREATE RULE r AS ON SELECT TO app.leads DO INSTEAD NOTHING",
    "CREATE TRIGGER t AFTER INSERT ON app.leads EXECUTE FUNCTION app.keep_row_times()", "CREATE POLICY p ON app.leads USING (true)",
    "ALTER POLICY rowhouse_wall ON app.leads USING (true)", "DROP POLICY rowhouse_wall ON app.leads", "ALTER TABLE app.leads DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE app.leads NO FORCE ROW LEVEL SECURITY", "ALTER TABLE app.leads OWNER TO CURRENT_USER", "ALTER TABLE app.leads DISABLE TRIGGER ALL",
    "ALTER TABLE app.leads ALTER tenant_id DROP NOT NULL", "ALTER VIEW app.open_leads SET (security_invoker = false)", "DROP VIEW app.open_leads",
    "DROP TABLE app.leads", "TRUNCATE app.leads", "DROP SCHEMA app CASCADE", "DROP DATABASE rowhouse_pool_tekup", "COMMENT ON TABLE app.leads IS 'x'",
    "ALTER DEFAULT PRIVILEGES FOR ROLE tenant_owner GRANT ALL ON TABLES TO PUBLIC", "CLUSTER app.leads",
    "REINDEX TABLE app.leads", "REFRESH MATERIALIZED VIEW app.open_leads", "SELECT * FROM rowhouse.pack_migrations", "SELECT * FROM rowhouse.row_rules", "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f()",
    "SECURITY LABEL ON TABLE app.leads IS 'x'", "SELECT app.keep_row_times()", "SELECT rowhouse.grant_runtime('tenant_service')",
    "UPDATE pg_catalog.pg_class SET relrowsecurity = false", "DELETE FROM pg_catalog.pg_policy", "UPDATE pg_catalog.pg_authid SET rolsuper = true",
    "INSERT INTO pg_catalog.pg_auth_members VALUES (1, 2, 3, true)",
]
# Refused for another reason than a right, with the SQLSTATE that says so.
OTHER_REFUSALS = {"42P01", "42704", "42883", "0A000", "42601", "42809", "22023", "55000", "58P01", "42501", "55P02", "22012", "42P16", "42P17"}


@pytest.mark.parametrize("statement", REFUSED)
def test_refused_statements(site, runtime, statement):
    text = filled(site, statement)
    for tenant in (None, site.attacker.id):
        state, told = runtime.attempt(text, tenant=tenant)
        site.tells_nothing(told)
        if state == "25001":  # not in a transaction
            runtime.connection.autocommit = True
            try:
                state, told = runtime.attempt(text)
            finally:
                runtime.connection.autocommit = False
        assert state is not None, f"it was carried out: {told}"
        assert state in OTHER_REFUSALS, (state, told)


def test_copy_and_cursors(site, runtime, tmp_path):
    runtime.as_tenant(site.attacker.id)
    for statement in ("COPY app.leads TO STDOUT", "COPY (SELECT * FROM app.leads) TO STDOUT", "COPY (TABLE app.open_leads) TO STDOUT CSV",
                      "COPY (UPDATE app.leads SET name = name RETURNING *) TO STDOUT", f"COPY \"{site.schema('schema')}\".leads TO STDOUT"):
        target = tmp_path / "copy"
        with open(target, "w") as file, runtime.connection.cursor() as cursor:
            cursor.execute("SAVEPOINT s")
            try:
                cursor.copy_expert(statement, file)
            except psycopg2.Error as error:
                assert error.pgcode in ("0A000", DENIED), error
            cursor.execute("ROLLBACK TO s")
        site.tells_nothing(target.read_text())
    planted = tmp_path / "planted"
    planted.write_text(f"{site.victim.id}\t{uuid.uuid4()}\tplanted\n")
    for columns, state in (("tenant_id, id, name", DENIED), ("", DENIED)):
        with open(planted) as file, runtime.connection.cursor() as cursor, pytest.raises(psycopg2.Error) as caught:
            runtime.as_tenant(site.attacker.id)
            cursor.copy_expert(f"COPY app.leads {f'({columns})' if columns else ''} FROM STDIN", file)
        assert caught.value.pgcode == state, caught.value
    runtime.as_tenant(site.attacker.id)
    for cursor in ("CURSOR", "SCROLL CURSOR", "INSENSITIVE CURSOR"):
        runtime.run(f"DECLARE c {cursor} FOR SELECT * FROM app.leads")
        site.tells_nothing(repr(runtime.run("FETCH ALL FROM c")))
        state, told = None, repr(runtime.run("SELECT * FROM pg_cursors"))
        site.tells_nothing(told)
        runtime.run("CLOSE c")
    runtime.run("DECLARE kept CURSOR WITH HOLD FOR SELECT * FROM app.leads")
    runtime.commit()
    assert "own row" in repr(runtime.run("FETCH ALL FROM kept")), "of its own session; the server closes them (session)"
    runtime.run("CLOSE kept")
    runtime.rollback()


def test_partitions_are_out_of_reach(site):
    with Runtime(site.credentials, "rowhouse_pool_isp_monitor") as runtime:
        partitions = site.server.query("SELECT c.oid::regclass::text FROM pg_class c WHERE c.relispartition AND c.relkind = 'r'",
                                       database="rowhouse_pool_isp_monitor")
        assert partitions
        for name, in partitions:
            for statement in (f"SELECT * FROM {name}", f"DELETE FROM {name}", f"TRUNCATE {name}", f"INSERT INTO {name} DEFAULT VALUES"):
                assert runtime.attempt(statement)[0] == DENIED, statement


def test_messages_do_not_travel(site, runtime):
    """Notifications reach no other database, and the server says nothing in the tenants' own."""
    with Runtime(site.credentials, POOL) as listener:
        for channel in ("rowhouse", "rowhouse_changes", "registry", "tenants", "leads", "events"):
            listener.run(f"LISTEN {channel}")
        listener.commit()
        site.victims["pool"].api.call("GET", "/v1/data/leads", 200)
        extra = site.victims["schema"].api.post("/v1/data/leads", {"name": "noise"}, 201)
        site.victims["schema"].api.delete(f"/v1/data/leads/{extra['id']}")
        listener.run("SELECT 1")
        listener.connection.poll()
        assert listener.connection.notifies == []


@pytest.mark.parametrize("role", [RUNTIME_ROLE, "{role}"])
def test_other_databases(site, role):
    role = role.format(role=site.database("database"))
    own = {POOL, "rowhouse_pool_isp_monitor", "rowhouse_template_tekup", "rowhouse_template_isp_monitor"} if role == RUNTIME_ROLE else {role}
    names = [name for name, in site.server.query("SELECT datname FROM pg_database WHERE datallowconn")]
    assert {"postgres", "template1", "rowhouse_platform", "rowhouse_identity"} <= set(names) and own <= set(names)
    for name in names:
        try:
            site.credentials.connect(name, role).close()
            assert name in own, f"{role} connects to {name}"
        except psycopg2.OperationalError as error:
            assert name not in own and "permission denied for database" in str(error), error


def test_other_roles_passwords(site):
    password = site.credentials.password_of(RUNTIME_ROLE)
    for role in ("tenant_owner", "tenant_migrator", "platform_service", "backup_service", "rowhouse_admin", "postgres", site.database("database")):
        with pytest.raises(psycopg2.OperationalError):
            site.credentials.connect(POOL, role, password)
    for wrong in ("", "x", password[:-1], password.lower(), "tenant_service"):
        with pytest.raises(psycopg2.OperationalError):
            site.credentials.connect(POOL, RUNTIME_ROLE, wrong or " ")
    for option in ("session_replication_role=replica", f"backtrace_functions=rowhouse_context_{uuid.UUID(site.victim.id).hex * 2}00000000",
                   "role=tenant_owner", "session_authorization=tenant_owner"):
        with pytest.raises(psycopg2.OperationalError):
            site.credentials.connect(POOL, options=f"-c {option}").cursor().execute("SELECT 1")
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(host=site.credentials.host, dbname="postgres", user=RUNTIME_ROLE, password=password, replication="database")


def test_a_tenants_own_role(site):
    """The role of a database-tier tenant in its own database: another tenant's context sees nothing there, and no right is greater."""
    database = site.database("database")
    with Runtime(site.credentials, database, database) as runtime:
        for tenant in (None, site.attacker.id, site.victim.id):
            for statement in ("SELECT * FROM app.leads", "SELECT * FROM app.activities", "DELETE FROM app.leads RETURNING *"):
                state, told = runtime.attempt(statement, tenant=tenant)
                assert (state, told) == (None, "[]"), (statement, told)
        for statement in ("SET ROLE tenant_service", "SET ROLE tenant_owner", "CREATE TEMP TABLE t (a integer)", "TRUNCATE app.leads",
                          "SELECT * FROM rowhouse.context_keys", "ALTER TABLE app.leads DISABLE ROW LEVEL SECURITY", "DO 'BEGIN END'",
                          f"UPDATE app.leads SET tenant_id = '{site.attacker.id}'", "SELECT * FROM pg_stat_activity"):
            assert runtime.attempt(statement, tenant=site.victims["database"].id)[0] == DENIED, statement
        assert SECRET in runtime.attempt("SELECT * FROM app.leads", tenant=site.victims["database"].id)[1], "the owner sees its rows"


def test_what_a_role_does_to_itself_is_not_for_good(new_server):
    """PostgreSQL lets a role change its own settings and password. It shows nobody anything; what it breaks is mended at a start."""
    own = new_server()
    own.start()
    site = Site(own)
    with site.runtime() as runtime:
        for change in ("SET default_transaction_read_only = on", "SET row_security = off", "SET work_mem = '64kB'", "SET statement_timeout = 1",
                       "SET search_path = app", "PASSWORD 'taken'", "IN DATABASE rowhouse_pool_tekup SET default_transaction_read_only = on"):
            runtime.run(f"ALTER ROLE CURRENT_USER {change}")
        runtime.commit()
        assert runtime.attempt("SELECT * FROM app.leads")[1] == "[]"
    own.stop()
    own.start()
    site.check()
    site.attacker.api.post("/v1/data/leads", {"name": "written"}, 201)
    assert own.query("SELECT count(*) FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole WHERE setdatabase = 0 AND rolname ~ 'tenant'") \
        == [(0,)]
    with site.runtime() as runtime:  # its old password is good again
        assert SECRET not in runtime.attempt("SELECT * FROM app.leads")[1]
    own.stop()


# The real psql

SCRIPT = """
SELECT * FROM app.leads; \\d app.leads
\\copy app.leads TO STDOUT
\\copy (SELECT * FROM app.leads) TO STDOUT
\\dp app.*
\\df+ app.*
\\df+ rowhouse.*
\\sf rowhouse.tenant_id
\\dt+ app.*
\\ddp
\\lo_list
\\lo_import /etc/hostname
\\dx+
\\dRp+
\\drds
SELECT 'SELECT * FROM ' || c.oid::regclass FROM pg_class c WHERE relkind IN ('r', 'v', 'p', 'm') \\gexec
SELECT * FROM app.leads \\gdesc
SELECT * FROM app.leads \\crosstabview
\\watch 0
\\set FETCH_COUNT 1
SELECT * FROM app.leads;
"""


def test_psql(site):
    for database, role in ((POOL, RUNTIME_ROLE), (site.database("database"), site.database("database"))):
        out, errors = site.credentials.psql(database, SCRIPT.replace("\\watch 0\n", ""), role)
        site.tells_nothing(out + errors)
        assert "own row" not in out and "permission denied" in errors


def test_psql_in_the_attackers_name(site, runtime):
    """The same, in a transaction with the attacker's own context: psql tells its backend, and gets a signature for it."""
    client = subprocess.Popen(["psql", "-X", "-A", "-t", "-q", "-h", site.credentials.host, "-U", RUNTIME_ROLE, "-d", POOL],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env={"PATH": os.environ["PATH"], "PGPASSWORD": site.credentials.password_of(RUNTIME_ROLE)})
    client.stdin.write(f"BEGIN; SELECT pg_backend_pid(); {CONTEXT_NUMBER};\n")
    client.stdin.flush()
    pid, last = int(client.stdout.readline()), int(client.stdout.readline())
    claims = {**runtime.claims(site.attacker.id), "number": last + 1}
    claims["mac"] = runtime.sign(claims, pid=pid)
    with runtime.connection.cursor() as cursor:
        statement = cursor.mogrify(SET_CONTEXT, claims).decode()
    out, _ = client.communicate(f"{statement};\nSELECT name FROM app.leads;\n\\copy app.leads TO STDOUT\nTABLE app.open_leads;\n"
                                f"SAVEPOINT s; TABLE \"{site.schema('schema')}\".leads; ROLLBACK TO s; DELETE FROM app.leads; ROLLBACK;\n"
                                "SELECT count(*) FROM app.leads;\n", timeout=60)
    assert "own row" in out and out.rstrip().endswith("0"), out
    site.tells_nothing(out)


# What takes long, and what is held


def test_held_locks(site, runtime):
    """Injected SQL that locks rows holds up its own tenant at most; one that locks a table, for no longer than a statement may take."""
    victim = site.victims["pool"]
    runtime.as_tenant(site.attacker.id).run("SELECT * FROM app.leads FOR UPDATE")
    victim.api.patch(f"/v1/data/leads/{site.lead['id']}", {"name": SECRET})
    runtime.as_tenant(site.attacker.id).run("LOCK TABLE app.activities IN ACCESS EXCLUSIVE MODE")
    problem = victim.api.refused("GET", "/v1/data/activities", 503, "statement_timeout")
    assert problem["status"] == 503
    for tier in ("schema", "database"):
        assert site.victims[tier].count("activities") == 1, "other schemas are not held up"
    assert victim.count("leads") == 1 and site.attacker.count("leads") == 1, "nor are other tables"
    runtime.rollback()
    assert victim.count("activities") == 1
    site.before = site.state()  # the patch above counts a version


BURN = "CREATE FUNCTION burn(rounds integer) RETURNS bigint LANGUAGE sql STABLE BEGIN ATOMIC" \
       " SELECT count(*) FROM generate_series(1, rounds) a, generate_series(1, rounds) b, generate_series(1, rounds) c; END;"


def test_cartesian_joins(site):
    """Statements that would take for ever end at the limit, and others are served meanwhile."""
    pack = packs.notes("burning", BURN, functions={"burn": {"description": "Takes long", "operation": "note:use"}})
    site.admin.call("POST", "/v1/packs", (200, 201), json=packs.bundle(pack))
    burner = site.admin.create_tenant("Burner", pack="burning", plan=None)
    neighbour = site.admin.create_tenant("Neighbour", pack="burning", plan=None)
    neighbour.api.post("/v1/data/notes", {"title": "kept"}, (200, 201))

    def burn(_):
        return burner.api.with_headers().call("POST", "/v1/rpc/burn", 503, json={"rounds": 1_000_000}).json()["code"]

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        burning = [pool.submit(burn, number) for number in range(6)]
        wait_until(lambda: backends(site) > 0, "the joins run")
        served = 0
        while not all(one.done() for one in burning):
            assert len(neighbour.api.get("/v1/data/notes")["data"]) == 1
            assert site.victims["pool"].count("leads") == 1 and site.victims["database"].count("leads") == 1
            served += 1
        assert served > 0
        assert {one.result() for one in burning} == {"statement_timeout"}
    wait_until(lambda: backends(site) == 0, "no join is left")


def backends(site):
    return site.server.query("SELECT count(*) FROM pg_stat_activity WHERE datname = 'rowhouse_pool_burning' AND query LIKE '%%burn%%'"
                             " AND state = 'active'")[0][0]
