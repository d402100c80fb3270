"""The inventory of everything that tenants leave on a server, and what must be there according to the registry."""

import base64
import collections
import dataclasses
import pathlib
import re

import psycopg2

from support.credentials import KEY_BYTES, hkdf
from support.postgres import PASSWORD

PLATFORM = "rowhouse_platform"
IDENTITY = "rowhouse_identity"
# What may outlive a tenant: the record of what happened.
KEPT = {(PLATFORM, table) for table in ("api_usage_logs", "operations", "audit_log", "events", "operation_targets", "registry_changes")}
KEPT |= {(IDENTITY, "outbox")}
OPERATIONS = "rowhouse op "

DATABASES_SQL = "SELECT datname FROM pg_database WHERE datallowconn AND datname <> 'template1'"
ALL_DATABASES_SQL = "SELECT datname, oid::text FROM pg_database"
ROLES_SQL = "SELECT rolname FROM pg_roles"
SCHEMAS_SQL = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_(temp|toast_temp)_'"
TENANT_TABLES_SQL = """
SELECT n.nspname, c.relname, a.attname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid
 WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND a.atttypid = 'uuid'::regtype
   AND (a.attname = 'tenant_id' OR (n.nspname, c.relname, a.attname) IN
     (('platform', 'tenants', 'id'), ('identity', 'users', 'home_tenant')))"""
# Two members, one of whom belongs nowhere else, with a role of the tenant's own, a session and an invitation.
PEOPLE_SQL = """
WITH r AS (INSERT INTO identity.roles (tenant_id, id, name) VALUES (%(tenant)s, gen_random_uuid(), 'auditor') RETURNING *),
 o AS (INSERT INTO identity.role_operations (tenant_id, role_id, operation) SELECT tenant_id, id, 'lead:read' FROM r),
 u AS (INSERT INTO identity.users (id, email, home_tenant) SELECT gen_random_uuid(), kind || '-' || %(tenant)s || '@example.org',
       CASE kind WHEN 'own' THEN %(tenant)s::uuid END FROM unnest(ARRAY['own', 'guest']) AS kind RETURNING *),
 m AS (INSERT INTO identity.memberships (tenant_id, user_id, role_id) SELECT r.tenant_id, u.id, r.id FROM r, u),
 s AS (INSERT INTO identity.sessions (id, user_id, tenant_id, token_hash, expires_at)
       SELECT gen_random_uuid(), u.id, %(tenant)s, sha256(u.id::text::bytea), now() + interval '1 day' FROM u)
INSERT INTO identity.invitations (id, tenant_id, email, role_id, token_hash, invited_by, expires_at)
SELECT gen_random_uuid(), tenant_id, 'soon@example.org', id, sha256(id::text::bytea), 'crash matrix', now() + interval '1 day' FROM r"""
MIGRATIONS_SQL = "SELECT schema_name, string_agg(pack || ' ' || name || ' ' || checksum, ', ' ORDER BY name) FROM rowhouse.pack_migrations GROUP BY 1"
# Everything of a schema that isolation rests on: tables, policies, rights, columns, functions.
SHAPE_SQL = """
WITH s AS (SELECT oid, nspname, nspacl, nspowner FROM pg_namespace WHERE nspname = %(schema)s),
 t AS (SELECT c.* FROM pg_class c JOIN s ON s.oid = c.relnamespace WHERE c.relkind NOT IN ('i', 'I')),
 lines AS (
  SELECT concat_ws(' ', 'schema', nspowner::regrole, nspacl) AS line FROM s
  UNION ALL SELECT concat_ws(' ', 'table', relname, relkind, relrowsecurity, relforcerowsecurity, relowner::regrole, relacl) FROM t
  UNION ALL SELECT concat_ws(' ', 'policy', t.relname, p.polname, p.polcmd, p.polpermissive, pg_get_expr(p.polqual, t.oid), '/', pg_get_expr(p.polwithcheck, t.oid))
     FROM pg_policy p JOIN t ON t.oid = p.polrelid
  UNION ALL SELECT concat_ws(' ', 'column', t.relname, a.attname, a.atttypid::regtype, a.attnotnull) FROM pg_attribute a JOIN t ON t.oid = a.attrelid
     WHERE a.attnum > 0 AND NOT a.attisdropped
  UNION ALL SELECT concat_ws(' ', 'index', i.relname, x.indisvalid) FROM pg_index x JOIN t ON t.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
  UNION ALL SELECT concat_ws(' ', 'trigger', t.relname, g.tgname) FROM pg_trigger g JOIN t ON t.oid = g.tgrelid WHERE NOT g.tgisinternal
  UNION ALL SELECT concat_ws(' ', 'function', p.proname, p.proowner::regrole, p.proacl) FROM pg_proc p JOIN s ON s.oid = p.pronamespace)
SELECT line FROM lines ORDER BY line COLLATE "C" """
DATABASE_RIGHTS_SQL = "SELECT concat_ws(' ', 'database', datdba::regrole, datacl) FROM pg_database WHERE datname = current_database()"
TENANTS_SQL = """
SELECT t.id::text, t.slug, t.status, t.tier, d.database_name, d.schema_name, d.role_name,
       (SELECT count(*) FROM platform.api_keys k WHERE k.tenant_id = t.id),
       (SELECT c.provider FROM platform.tenant_storage_configs c WHERE c.tenant_id = t.id AND c.origin = 'provisioned')
  FROM platform.tenants t LEFT JOIN platform.tenant_databases d ON d.tenant_id = t.id"""
UNFINISHED_SQL = "SELECT id::text, kind, status FROM platform.operations WHERE finished_at IS NULL"
SESSIONS_SQL = f"SELECT application_name, state, query FROM pg_stat_activity WHERE starts_with(application_name, '{OPERATIONS}')"
ADVISORY_SQL = """
SELECT coalesce(d.datname, ''), l.classid, l.objid, coalesce(a.application_name, '') FROM pg_locks l LEFT JOIN pg_database d ON d.oid = l.database
  LEFT JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory'"""
PREPARED_SQL = "SELECT gid FROM pg_prepared_xacts"


class Connections:
    """One connection as superuser to each database, kept while it is good."""

    def __init__(self, port):
        self.port = port
        self.open = {}

    def query(self, sql, parameters=None, database="postgres"):
        for attempt in (1, 2):
            try:
                connection = self.open.get(database)
                if connection is None:
                    connection = psycopg2.connect(host="127.0.0.1", port=self.port, user="operator", password=PASSWORD,
                                                  dbname=database, application_name="crash matrix")
                    connection.autocommit = True
                    self.open[database] = connection
                with connection.cursor() as cursor:
                    cursor.execute(sql, parameters)
                    return cursor.fetchall() if cursor.description else []
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                self.close(database)
                if attempt == 2:
                    raise

    def close(self, database):
        """DROP DATABASE and CREATE DATABASE want nobody to be connected."""
        connection = self.open.pop(database, None)
        if connection is not None:
            connection.close()

    def close_all(self):
        for database in list(self.open):
            self.close(database)


@dataclasses.dataclass(frozen=True)
class Home:
    """A tenant as the registry has it."""

    id: str
    slug: str
    status: str
    tier: str
    database: str
    schema: str
    role: str
    keys: int
    store: str  # the provider of provisioned storage


@dataclasses.dataclass
class Inventory:
    tenants: dict        # id → Home
    databases: set
    roles: set
    schemas: dict        # database → set
    rows: dict           # (database, schema, table) → {tenant id: count}
    migrations: dict     # (database, schema) → names and checksums
    shapes: dict         # id → list of lines
    unfinished: list
    sessions: list
    advisory: list
    prepared: list
    port_leases: int
    orphan_files: list
    stores: set          # names of directories of provisioned storage


def take(connections, postgres, objects):
    tenants = {row[0]: Home(*row) for row in connections.query(TENANTS_SQL, database=PLATFORM)}
    everything = dict(connections.query(ALL_DATABASES_SQL))
    databases = [name for (name,) in connections.query(DATABASES_SQL)]
    schemas, rows, migrations = {}, {}, {}
    for database in databases:
        schemas[database] = {name for (name,) in connections.query(SCHEMAS_SQL, database=database)}
        if not database.startswith(("rowhouse_", "tenant_")):
            continue
        tables = connections.query(TENANT_TABLES_SQL, database=database)
        parts = [f"SELECT '{schema}', '{table}', \"{column}\"::text, count(*) FROM \"{schema}\".\"{table}\" GROUP BY 3"
                 for schema, table, column in tables]
        for schema, table, tenant, count in connections.query(" UNION ALL ".join(parts), database=database) if parts else []:
            rows.setdefault((database, schema, table), {})[tenant] = count
        if "rowhouse" in schemas[database]:
            for schema, names in connections.query(MIGRATIONS_SQL, database=database):
                migrations[database, schema] = names
    shapes = {home.id: shape(connections, home) for home in tenants.values() if home.database in databases}
    files = {path.name for path in (postgres.directory / "base").iterdir()} - {"pgsql_tmp"}
    left_over = sorted(files - set(everything.values()))
    for place in ("pg_twophase", "pg_replslot", "base/pgsql_tmp"):
        folder = postgres.directory / place
        left_over += [str(path) for path in folder.iterdir()] if folder.exists() else []
    inventory = Inventory(
        tenants=tenants, databases=set(everything), roles={name for (name,) in connections.query(ROLES_SQL)}, schemas=schemas,
        rows=rows, migrations=migrations, shapes=shapes, unfinished=connections.query(UNFINISHED_SQL, database=PLATFORM),
        sessions=connections.query(SESSIONS_SQL), advisory=connections.query(ADVISORY_SQL),
        prepared=connections.query(PREPARED_SQL), orphan_files=left_over, stores={path.name for path in objects.iterdir()},
        port_leases=connections.query("SELECT count(*) FROM platform.port_leases", database=PLATFORM)[0][0])
    # Clones want their template for themselves, and a tenant's database is about to be dropped.
    for database in databases:
        if database.startswith(("rowhouse_template_", "tenant_")):
            connections.close(database)
    return inventory


def shape(connections, home):
    """The tenant's structure and rights, with its own names taken out."""
    lines = []
    schemas = ["app", "rowhouse"] if home.tier == "database" else [home.schema]
    for schema in schemas:
        lines += [line for (line,) in connections.query(SHAPE_SQL, {"schema": schema}, home.database)]
    if home.tier == "database":
        lines += [line for (line,) in connections.query(DATABASE_RIGHTS_SQL, database=home.database)]
    own = [(home.role, "ROLE"), (home.schema, "SCHEMA")] if home.tier != "pool" else []
    for name, word in sorted(own, key=lambda pair: -len(pair[0])):
        if name != "app":
            lines = [line.replace(name, word) for line in lines]
    return sorted(lines)


def problems(now, base, expected_rows):
    """What is lost or orphaned: `now` against its own registry and against `base`, which had witnesses alone.
    `expected_rows`: {tenant id: {(schema, table): rows}} of tenants that base does not have."""
    found = []
    new = {id: home for id, home in now.tenants.items() if id not in base.tenants}
    witness = {home.tier: id for id, home in base.tenants.items() if home.slug.startswith("witness")}

    for id, home in base.tenants.items():
        if now.tenants.get(id) != home:
            found.append(f"a tenant that nobody touched has changed: {home} → {now.tenants.get(id)}")
    for home in new.values():
        if home.status != "active":
            found.append(f"tenant {home.slug} stayed {home.status}")
        if home.database is None:
            found.append(f"tenant {home.slug} has no place in tenant_databases")
        if home.keys != 1:
            found.append(f"tenant {home.slug} has {home.keys} keys")

    def compare(what, here, wanted):
        for name in sorted(here - wanted):
            found.append(f"orphaned {what}: {name}")
        for name in sorted(wanted - here):
            found.append(f"lost {what}: {name}")

    own = [home for home in new.values() if home.tier == "database"]
    compare("database", now.databases, base.databases | {home.database for home in own})
    compare("role", now.roles, base.roles | {home.role for home in own})
    for database, here in now.schemas.items():
        if database in base.schemas:
            wanted = base.schemas[database] | {home.schema for home in new.values() if home.tier == "schema" and home.database == database}
        else:
            wanted = base.schemas[base.tenants[witness["database"]].database]
        compare(f"schema in {database}", here, wanted)

    pack = {tier: base.migrations.get((base.tenants[id].database, base.tenants[id].schema)) for tier, id in witness.items()}
    wanted_migrations = dict(base.migrations)
    for home in new.values():
        if home.tier != "pool":
            wanted_migrations[home.database, home.schema] = pack[home.tier]
        if home.tier == "database":
            of_witness = base.tenants[witness["database"]].database
            wanted_migrations.update({(home.database, schema): names for (database, schema), names in base.migrations.items()
                                      if database == of_witness})
    for place in sorted(set(wanted_migrations) | set(now.migrations)):
        if wanted_migrations.get(place) != now.migrations.get(place):
            found.append(f"migrations of {place}: {now.migrations.get(place)} instead of {wanted_migrations.get(place)}")

    for home in new.values():
        if home.id in now.shapes and now.shapes[home.id] != base.shapes[witness[home.tier]]:
            here, wanted = set(now.shapes[home.id]), set(base.shapes[witness[home.tier]])
            found.append(f"tenant {home.slug} is not built as others: {sorted(here - wanted)[:4]} instead of {sorted(wanted - here)[:4]}")
    for id in base.shapes:
        if now.shapes.get(id) != base.shapes[id]:
            found.append(f"the structure of witness {base.tenants[id].slug} has changed")

    stores = {home.id for home in now.tenants.values() if home.store}
    found += [f"orphaned store {name}" for name in sorted(now.stores - stores)]
    found += [f"lost store {name}" for name in sorted(stores - now.stores)]
    found += row_problems(now, base, new, expected_rows)
    found += [f"unfinished operation {row}" for row in now.unfinished]
    found += [f"session of an operation is left: {row}" for row in now.sessions]
    if collections.Counter(now.advisory) - collections.Counter(base.advisory):
        found.append(f"advisory locks are left: {now.advisory}")
    found += [f"prepared transaction {row}" for row in now.prepared]
    found += [f"file of nobody: {name}" for name in now.orphan_files]
    if now.port_leases:
        found.append(f"{now.port_leases} port leases")
    return found


def row_problems(now, base, new, expected_rows):
    found = []
    for place, counts in now.rows.items():
        database, schema, table = place
        if (database, table) in KEPT:
            continue
        for tenant, count in counts.items():
            if tenant is None:
                continue
            if tenant in base.tenants:
                if base.rows.get(place, {}).get(tenant) != count:
                    found.append(f"{place}: {count} rows of a witness instead of {base.rows.get(place, {}).get(tenant, 0)}")
            elif tenant not in new:
                found.append(f"{place}: {count} rows of a tenant that is not registered ({tenant})")
            elif database not in (PLATFORM, IDENTITY) and schema != "rowhouse":
                home = new[tenant]
                wanted = expected_rows.get(tenant, {}).get(table, 0)
                if (database, schema) != (home.database, home.schema):
                    found.append(f"{place}: rows of {home.slug}, who lives in {home.database}.{home.schema}")
                elif count != wanted:
                    found.append(f"{place}: {count} rows of {home.slug} instead of {wanted}")
    for tenant, tables in expected_rows.items():
        home = new.get(tenant)
        for table, wanted in tables.items() if home else ():
            if wanted and not now.rows.get((home.database, home.schema, table), {}).get(tenant):
                found.append(f"{table} of {home.slug}: no rows instead of {wanted}")
    for place, counts in base.rows.items():
        if (place[0], place[2]) in KEPT:
            continue
        for tenant in set(counts) & set(base.tenants) - set(now.rows.get(place, {})):
            found.append(f"{place}: the rows of a witness are gone")
    return found


# ------------------------------------------------------------------------------------------------- history

# Opening rows for the eraser belongs to an effect, which may run again; everything else happens once.
HISTORY_SQL = """
SELECT 'event ' || type || ' of ' || coalesce(payload->>'operation', tenant_id::text), count(*) FROM platform.events
 WHERE tenant_id = ANY(%(tenants)s::uuid[]) OR payload->>'operation' = ANY(%(operations)s) GROUP BY 1 HAVING count(*) > 1
UNION ALL SELECT 'audit ' || action || ' of ' || tenant_id, count(*) FROM platform.audit_log
 WHERE tenant_id = ANY(%(tenants)s::uuid[]) AND action <> 'tenant.rows_opened' GROUP BY 1 HAVING count(*) > 1"""
STEPS_SQL = """
SELECT o.id::text, o.kind, o.status, o.lease_holder, array_agg(s.name || ':' || s.status ORDER BY s.ordinal),
       (SELECT string_agg(e.type, ' ' ORDER BY e.type) FROM platform.events e WHERE e.payload->>'operation' = o.id::text), o.error::text, o.tenant_id::text
  FROM platform.operations o LEFT JOIN platform.operation_steps s ON s.operation_id = o.id WHERE o.id = ANY(%s::uuid[]) GROUP BY o.id"""
TEXTS_SQL = """
SELECT o::text FROM platform.operations o WHERE id = ANY(%(operations)s::uuid[])
UNION ALL SELECT s::text FROM platform.operation_steps s WHERE operation_id = ANY(%(operations)s::uuid[])
UNION ALL SELECT e::text FROM platform.events e WHERE tenant_id = ANY(%(tenants)s::uuid[])
UNION ALL SELECT a::text FROM platform.audit_log a WHERE tenant_id = ANY(%(tenants)s::uuid[])"""


def history_problems(connections, operations):
    """What the records of ended operations say that cannot be: {id: status} is what they must have ended as."""
    found = []
    rows = connections.query(STEPS_SQL, (list(operations),), PLATFORM)
    for id, kind, status, holder, steps, events, error, _ in rows:
        if status != operations[id]:
            found.append(f"{kind} ended as {status} instead of {operations[id]}: {error} {steps}")
        if holder is not None:
            found.append(f"{kind} has ended and is still held by {holder}")
        allowed = {"succeeded": ("done",), "undone": ("undone", "pending"), "cancelled": ("undone", "pending")}.get(status, ())
        odd = [step for step in steps if allowed and step.rpartition(":")[2] not in allowed]
        if odd:
            found.append(f"{kind} is {status} with steps {odd}")
        if (events or "").split().count(f"operation.{status}") != 1:
            found.append(f"{kind} ended as {status} and announced {events}")
    tenants = [row[7] for row in rows if row[7]]
    for what, count in connections.query(HISTORY_SQL, {"tenants": tenants, "operations": list(operations)}, PLATFORM):
        found.append(f"{count} times: {what}")
    return found


# ------------------------------------------------------------------------------------------------- secrets

def role_password(master, role):
    """As the server derives it."""
    return base64.urlsafe_b64encode(hkdf(master, f"password of database role {role}")).rstrip(b"=").decode()


def first_key(master, operation):
    """Of the tenant that an operation makes."""
    return "tk_" + base64.urlsafe_b64encode(hkdf(master, f"tenant key of operation {operation}")).rstrip(b"=").decode()


def invitation(master, operation):
    """Of the admin of that tenant."""
    return "rhl_" + base64.urlsafe_b64encode(hkdf(master, f"invitation of operation {operation}")).rstrip(b"=").decode()


def context_keys(master, connections):
    """What signs the contexts of each database, as it would look in a statement."""
    found = []
    for (database,) in connections.query("SELECT datname FROM pg_database WHERE datname ~ '^(rowhouse_pool|tenant)_'"):
        for generation in (1, 2):
            key = hkdf(master, f"context key {generation} of database {database}", KEY_BYTES)
            found += [(key.hex(), f"a context key of {database}"), (base64.b64encode(key).decode(), f"a context key of {database}")]
    return found


class Logs:
    """Reads logs on, and finds in them what must never be there."""

    SCRAM = re.compile(rb"SCRAM-SHA-256\$")

    def __init__(self):
        self.offsets = {}
        self.secrets = {}  # bytes → what it is

    def secret(self, text, what):
        self.secrets[text.encode()] = what

    def read_on(self, paths):
        found = []
        for path in map(pathlib.Path, paths):
            if not path.exists():
                continue
            with open(path, "rb") as file:
                # Overlapping: what was read last may have ended within a line.
                file.seek(max(0, self.offsets.get(path, 0) - 4096))
                text = file.read()
                self.offsets[path] = file.tell()
            found += self.told(text, path.name)
        return found

    def told(self, text, where):
        text = text if isinstance(text, bytes) else text.encode()
        found = [f"{what} stands in {where}: {self._line(text, secret)}" for secret, what in self.secrets.items() if secret in text]
        match = self.SCRAM.search(text)
        return found + ([f"a password's verifier stands in {where}: {self._line(text, match.group())}"] if match else [])

    @staticmethod
    def _line(text, secret):
        return next(line for line in text.splitlines() if secret in line)[:300].replace(secret, b"***").decode(errors="replace")
