"""The signed tenant context: it cannot be forged, altered, moved to another connection, or used twice.

A raw connection with the runtime role's own password, no server between, and both implementations of the check: what SQL
that slipped into a tenant's transaction could do to become another tenant.
"""

import os
import time
import uuid

import psycopg2
import psycopg2.extensions
import pytest

from support.attack_site import DENIED, POOL, SECRET, Site
from support.credentials import CONTEXT_NUMBER, claims_of
from support.server import Server


@pytest.fixture(scope="module", params=["extension", "portable"])
def guarded(work, request):
    """The same attacks on both implementations of the check."""
    server = Server(work / request.param, env={"ROWHOUSE_PACKS": "tekup"}, options=["--context-guard", request.param])
    try:
        server.start()
        yield Site(server)
        server.stop()
    finally:
        server.clear()


def seen(runtime):
    return {row[0] for row in runtime.run("SELECT tenant_id FROM app.leads")}


def refused(runtime, claims, message="the tenant context is not valid"):
    """No context, whatever the claims say; and the transaction sees nothing."""
    runtime.rollback()
    try:
        runtime.set_context(claims)
        assert None in claims.values(), f"taken for good: {claims}"  # a strict function does nothing at all then
    except psycopg2.Error as error:
        assert error.pgcode == DENIED and error.diag.message_primary == message, error
    assert runtime.connection.info.transaction_status != psycopg2.extensions.TRANSACTION_STATUS_INTRANS or seen(runtime) == set()
    runtime.rollback()
    assert runtime.run("SELECT rowhouse.tenant_id(), rowhouse.principal_id(), rowhouse.principal_role()") == [(None, None, None)]
    assert seen(runtime) == set()
    runtime.rollback()


def test_keys_are_derived_and_unreadable(guarded):
    stored = dict(guarded.server.query("SELECT id, key FROM rowhouse.context_keys", database=POOL))
    assert stored
    for generation, key in stored.items():
        assert bytes(key) == guarded.credentials.context_key(POOL, generation)
    other = {bytes(key) for key, in guarded.server.query("SELECT key FROM rowhouse.context_keys", database=guarded.database("database"))}
    assert not other & {bytes(key) for key in stored.values()}, "each database has its own"
    with guarded.runtime() as runtime:
        for statement in ("SELECT * FROM rowhouse.context_keys", "SELECT count(*) FROM rowhouse.context_keys",
                          "COPY rowhouse.context_keys TO STDOUT", "SELECT key FROM rowhouse.context_keys FOR UPDATE",
                          "INSERT INTO rowhouse.context_keys VALUES (99, repeat('x', 64)::bytea)", "LOCK TABLE rowhouse.context_keys",
                          "UPDATE rowhouse.context_keys SET key = repeat('x', 64)::bytea", "DELETE FROM rowhouse.context_keys",
                          "TRUNCATE rowhouse.context_keys", "SELECT query_to_xml('TABLE rowhouse.context_keys', true, true, '')",
                          "SELECT setval('rowhouse.context_number', 1)", "SELECT nextval('rowhouse.context_number')",
                          "SELECT currval('rowhouse.context_number')", "SELECT setval('rowhouse.context_stamp', 1)",
                          "SELECT nextval('rowhouse.context_stamp')", "SELECT last_value FROM rowhouse.context_stamp",
                          "CREATE OR REPLACE FUNCTION rowhouse.tenant_id() RETURNS uuid LANGUAGE internal AS 'gen_random_uuid'",
                          "ALTER FUNCTION rowhouse.tenant_id() OWNER TO CURRENT_USER", "DROP FUNCTION rowhouse.set_context",
                          "GRANT SELECT ON rowhouse.context_keys TO PUBLIC"):
            for tenant in (None, guarded.attacker.id):
                state, told = runtime.attempt(statement, tenant=tenant)
                assert state in (DENIED, "42P01", "42704") or told == "[]", (statement, state, told)
                assert not any(key.hex() in told for key in stored.values())
        everything = runtime.attempt("SELECT string_agg(p::text, '') FROM pg_proc p")[1] + runtime.attempt("SELECT * FROM pg_settings")[1]
        assert not any(bytes(key).hex() in everything for key in stored.values())
    backup = guarded.credentials.connect(POOL, "backup_service")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        backup.cursor().execute("TABLE rowhouse.context_keys")
    backup.close()


def test_a_good_context_works_for_one_transaction(guarded):
    with guarded.runtime() as runtime:
        assert seen(runtime) == set(), "without a context there is nothing"
        runtime.as_tenant(guarded.attacker.id)
        assert seen(runtime) == {guarded.attacker.id}
        runtime.commit()
        assert seen(runtime) == set(), "it ended with its transaction"
        runtime.as_tenant(guarded.attacker.id).rollback()
        assert seen(runtime) == set()
        with pytest.raises(psycopg2.Error):
            runtime.as_tenant(guarded.attacker.id).run("SELECT 1 / 0")
        runtime.rollback()
        assert seen(runtime) == set()


@pytest.mark.parametrize("statement", [
    "SELECT set_config('rowhouse.context', '{victim}', {local})", "SELECT set_config('rowhouse.tenant_id', '{victim}', {local})",
    "SELECT set_config('app.tenant_id', '{victim}', {local})", "SELECT set_config('app.current_tenant', '{victim}', {local})",
    "SELECT set_config('rowhouse_guard.tenant', '{victim}', {local})", "SELECT set_config('request.jwt.claims', '{{\"tenant\": \"{victim}\"}}', {local})",
    "SELECT set_config('backtrace_functions', 'rowhouse_context_{hex}{hex}00000000', {local})",
    "SET LOCAL backtrace_functions = 'rowhouse_context_{hex}{hex}00000000'", "RESET backtrace_functions",
    "ALTER ROLE CURRENT_USER SET backtrace_functions = 'rowhouse_context_{hex}{hex}00000000'", "SET rowhouse.context = '{victim}'",
    "SET LOCAL rowhouse.context = '{victim}'", "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "SELECT set_config('search_path', 'pg_temp, app, rowhouse', {local})", "SET row_security = off", "SET session_replication_role = replica",
    "SET SESSION AUTHORIZATION DEFAULT", "DISCARD ALL", "DISCARD SEQUENCES", "DISCARD PLANS", "RESET ALL"])
def test_settings_prove_nothing(guarded, statement):
    victim = guarded.victim.id
    alone = statement.startswith("DISCARD")  # not in a transaction
    for tenant in (None,) if alone else (None, guarded.attacker.id):
        for local in ("true", "false"):
            with guarded.runtime() as runtime:
                runtime.connection.autocommit = alone
                if tenant:
                    runtime.as_tenant(tenant)
                try:
                    runtime.run(statement.format(victim=victim, hex=uuid.UUID(victim).hex, local=local))
                    assert victim not in seen(runtime)
                except psycopg2.Error as error:  # row_security = off refuses rather than shows
                    assert error.pgcode in (DENIED, "42602", "22023", "42704", "55P02"), error
                    runtime.rollback()
                runtime.connection.rollback()
                assert seen_or_refused(runtime) == set()


def seen_or_refused(runtime):
    try:
        return seen(runtime)
    except psycopg2.errors.InsufficientPrivilege:
        return set()


def test_forged_contexts(guarded):
    victim, attacker = guarded.victim.id, guarded.attacker.id
    with guarded.runtime() as runtime, guarded.runtime() as other:
        principal, blank = uuid.uuid4(), "rowhouse_context_"
        mine, victims = claims_of(attacker, principal), claims_of(victim, principal)
        for forged in (victims, victims[:17 + 16] + mine[17 + 16:], mine[:17 + 16] + victims[17 + 16:], claims_of(principal, attacker),
                       claims_of(attacker, victim), claims_of(attacker, principal, 1), claims_of(attacker, principal, -1), mine.upper(),
                       mine + "0", mine[:-1], mine + victims, victims + mine, blank, "", mine + "\n", mine + " ", " " + mine, "x" * 10**6,
                       mine.replace("0", "\N{FULLWIDTH DIGIT ZERO}"), blank + "\N{FULLWIDTH LATIN SMALL LETTER A}" * 72):
            claims = {**runtime.claims(attacker), "claims": mine}
            refused(runtime, {**claims, "mac": runtime.sign(claims), "claims": forged})
        # Cut apart elsewhere: the lengths are signed, too.
        claims = runtime.claims(attacker)
        for cut in (16, 32, 72):
            refused(runtime, {**claims, "claims": claims["claims"][:-cut]})
        for encoding in ("LATIN1", "SJIS", "EUC_JP", "GB18030", "BIG5", "UTF8"):
            runtime.run(f"SET SESSION client_encoding = '{encoding}'")
            runtime.commit()
            refused(runtime, runtime.claims(attacker, claims=victims))
        for member, by in (("expires_at", 10**6), ("expires_at", -1)):
            claims = runtime.claims(attacker)
            refused(runtime, {**claims, member: claims[member] + by})
        for by in (-1, 1, 2**20, 2**40, -2**40):  # not the next number
            claims = runtime.claims(attacker)
            claims["number"] += by
            refused(runtime, {**claims, "mac": runtime.sign(claims)})
        mac = runtime.claims(victim)["mac"]
        for forged in (b"", b"\0" * 32, mac[:-1], mac + b"\0", mac[::-1], bytes([mac[0] ^ 1]) + mac[1:], os.urandom(32), b"x" * 10**6, None):
            refused(runtime, runtime.claims(victim, mac=forged))
        for key_id in (0, -1, runtime.generation + 1, 2**31 - 1, None):
            refused(runtime, runtime.claims(victim, key_id=key_id))
        for member in ("claims", "expires_at"):
            refused(runtime, runtime.claims(victim, **{member: None}))
        keys = {"no key": b"\0" * 64, "of another database": guarded.credentials.context_key(guarded.database("database"), runtime.generation),
                "of another generation": guarded.credentials.context_key(POOL, runtime.generation + 1), "guessed": os.urandom(64)}
        for key in keys.values():
            claims = runtime.claims(victim)
            refused(runtime, {**claims, "mac": runtime.sign(claims, key=key)})
        # Signed for another backend, and for none.
        for pid in (other.pid, 0, -1, runtime.pid + 1):
            claims = runtime.claims(victim)
            refused(runtime, {**claims, "mac": runtime.sign(claims, pid=pid)})
        claims = runtime.claims(victim)
        claims["expires_at"] = int((time.time() - 1) * 1e6)
        refused(runtime, {**claims, "mac": runtime.sign(claims)}, "the tenant context has expired")
        runtime.as_tenant(attacker)
        assert seen(runtime) == {attacker}, "and good ones still work"


def test_contexts_are_not_replayed(guarded):
    with guarded.runtime() as runtime, guarded.runtime() as other:
        first = runtime.claims(guarded.victim.id)
        runtime.set_context(first)
        assert seen(runtime) == {guarded.victim.id}
        with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="already set"):
            runtime.set_context(runtime.claims(guarded.attacker.id))
        runtime.rollback()
        refused(runtime, first)  # in the next transaction of the same connection
        refused(other, first)  # in another connection
        runtime.as_tenant(guarded.attacker.id).commit()
        refused(runtime, first)
        lost = runtime.claims(guarded.victim.id)
        runtime.set_context(lost)
        runtime.rollback()
        refused(runtime, lost)  # rolled back, and used up
        late, later = runtime.claims(guarded.victim.id), runtime.claims(guarded.attacker.id)
        runtime.set_context(later)
        runtime.commit()
        refused(runtime, late)  # overtaken
        # SQL that takes numbers itself makes what was signed worthless.
        spoilt = runtime.claims(guarded.victim.id)
        runtime.run(CONTEXT_NUMBER)
        refused(runtime, spoilt)
        for wipe in ("DISCARD SEQUENCES", "DISCARD ALL"):
            runtime.rollback()
            runtime.connection.autocommit = True
            runtime.run(wipe)
            runtime.connection.autocommit = False
            refused(runtime, first)
            refused(runtime, later)
    with guarded.runtime() as runtime:  # subtransactions do not help
        runtime.as_tenant(guarded.attacker.id)
        runtime.run("SAVEPOINT s")
        with pytest.raises(psycopg2.Error):
            runtime.set_context(runtime.claims(guarded.victim.id))
        runtime.run("ROLLBACK TO s")
        assert seen(runtime) == {guarded.attacker.id}
        runtime.rollback()
        runtime.run("SAVEPOINT s")
        used = runtime.claims(guarded.victim.id)
        runtime.set_context(used)
        runtime.run("ROLLBACK TO s")
        with pytest.raises(psycopg2.Error):
            runtime.set_context(used)
        runtime.rollback()


def test_nothing_of_a_context_can_be_read_back(guarded):
    with guarded.runtime() as runtime:
        claims = runtime.claims(guarded.attacker.id)
        runtime.set_context(claims)
        told = "".join(repr(runtime.run(statement)) for statement in (
            "SELECT name, setting FROM pg_settings", "SELECT * FROM pg_prepared_statements", "SELECT * FROM pg_cursors",
            "SELECT current_query()", "SELECT * FROM pg_sequences"))
        assert claims["mac"].hex() not in told


def test_what_a_transaction_leaves_behind(guarded):
    """Prepared statements and cursors of one tenant's transaction, used in another's."""
    with guarded.runtime() as runtime:
        runtime.as_tenant(guarded.victim.id)
        runtime.run("PREPARE peek AS SELECT tenant_id FROM app.leads")
        assert runtime.run("EXECUTE peek") == [(guarded.victim.id,)]
        runtime.run("DECLARE c CURSOR FOR SELECT * FROM app.leads")
        runtime.commit()
        assert runtime.run("EXECUTE peek") == []
        runtime.as_tenant(guarded.attacker.id)
        for _ in range(8):  # past the point where the plan is kept
            assert runtime.run("EXECUTE peek") == [(guarded.attacker.id,)]
        with pytest.raises(psycopg2.errors.InvalidCursorName):
            runtime.run("FETCH c")


def test_the_server_passes_the_same_contexts(guarded):
    for tier, victim in guarded.victims.items():
        assert [row["name"] for row in victim.rows("leads")] == [SECRET], tier
    guarded.check()
