"""The schema rowhouse: what the signed context and the records beside the packs rest on."""

from mutation import Mutation, policy

KEYS = "rowhouse.idempotency_keys"
ARGUMENTS = "key_id integer, claims text, expires_at timestamptz, mac bytea"
SET_CONTEXT = "rowhouse.set_context(integer, text, timestamptz, bytea)"
DEFINITION = "SELECT pg_get_functiondef('{}'::regprocedure)"

MUTATIONS = [
    Mutation("tenant-from-setting", "The tenant is what a setting says, which every session can change.", "pool",
             "CREATE OR REPLACE FUNCTION rowhouse.tenant_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL RESTRICTED"
             " RETURN NULLIF(pg_catalog.current_setting('rowhouse.context', true), '')::uuid;", "{saved};", "tenant_id",
             saves=DEFINITION.format("rowhouse.tenant_id()"), attackable=True),
    Mutation("tenant-constant", "Everybody is the same tenant.", "schema",
             "CREATE OR REPLACE FUNCTION rowhouse.tenant_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL RESTRICTED"
             " RETURN '{tenant}'::uuid;",
             "{saved};", "tenant_id", saves=DEFINITION.format("rowhouse.tenant_id()"), attackable=True),
    Mutation("tenant-immutable", "The tenant is looked up when a statement is planned, and kept in its plan.", "pool",
             "ALTER FUNCTION rowhouse.tenant_id() IMMUTABLE;", "ALTER FUNCTION rowhouse.tenant_id() STABLE;", "tenant_id"),
    Mutation("tenant-of-runtime", "The runtime role owns the function that names the tenant.", "database",
             "ALTER FUNCTION rowhouse.tenant_id() OWNER TO {runtime};",
             "ALTER FUNCTION rowhouse.tenant_id() OWNER TO tenant_owner;"
             "GRANT EXECUTE ON FUNCTION rowhouse.tenant_id() TO {runtime};", "tenant_id"),
    Mutation("context-not-checked", "The context is believed without its signature.", "pool",
             f"CREATE OR REPLACE FUNCTION rowhouse.set_context({ARGUMENTS}) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS $$BEGIN"
             " PERFORM pg_catalog.set_config('rowhouse.believed', pg_catalog.substr(claims, 18, 32), true); END$$;"
             "CREATE OR REPLACE FUNCTION rowhouse.tenant_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL RESTRICTED"
             " RETURN NULLIF(pg_catalog.current_setting('rowhouse.believed', true), '')::uuid;", "{saved};", "set_context",
             saves=f"SELECT pg_get_functiondef('{SET_CONTEXT}'::regprocedure) || ';'"
                   " || pg_get_functiondef('rowhouse.tenant_id()'::regprocedure)",
             attackable=True),
    Mutation("set-context-for-public", "Everybody may set a context.", "pool",
             f"GRANT EXECUTE ON FUNCTION {SET_CONTEXT} TO PUBLIC;", f"REVOKE EXECUTE ON FUNCTION {SET_CONTEXT} FROM PUBLIC;",
             "set_context"),
    Mutation("context-keys-readable", "The runtime role may read the key that contexts are signed with.", "pool",
             "GRANT SELECT ON rowhouse.context_keys TO {runtime};", "REVOKE SELECT ON rowhouse.context_keys FROM {runtime};",
             "context_keys", attackable=True),
    Mutation("context-keys-in-backup", "The backup carries the key that contexts are signed with.", "database",
             "GRANT SELECT ON rowhouse.context_keys TO backup_service;", "REVOKE SELECT ON rowhouse.context_keys FROM backup_service;",
             "context_keys"),
    Mutation("context-key-of-stranger", "A key that nobody derived is accepted.", "pool",
             "INSERT INTO rowhouse.context_keys (id, key) VALUES (999, pg_catalog.decode(pg_catalog.repeat('00', 64), 'hex'));",
             "DELETE FROM rowhouse.context_keys WHERE id = 999;", "context_keys", attackable=True),
    Mutation("context-memory-writable", "A session may set back what it remembers of the contexts that it has seen.", "pool",
             "GRANT UPDATE ON SEQUENCE rowhouse.context_number TO {runtime};",
             "REVOKE UPDATE ON SEQUENCE rowhouse.context_number FROM {runtime};", "context_number", attackable=True),
    Mutation("idempotency-without-row-security", "Answers of all tenants are found by their keys.", "pool",
             f"ALTER TABLE {KEYS} DISABLE ROW LEVEL SECURITY;", f"ALTER TABLE {KEYS} ENABLE ROW LEVEL SECURITY;", "idempotency_keys",
             attackable=True),
    Mutation("idempotency-without-wall", "The table of answers has lost its wall.", "database",
             f"DROP POLICY rowhouse_wall ON {KEYS};", policy("rowhouse_wall", KEYS), "idempotency_keys"),
    Mutation("idempotency-any-tenant", "Answers may be kept in the name of any tenant.", "schema",
             f"GRANT INSERT (tenant_id) ON {KEYS} TO {{runtime}};", f"REVOKE INSERT (tenant_id) ON {KEYS} FROM {{runtime}};",
             "idempotency_keys"),
    Mutation("pack-migrations-granted", "The runtime role may read which tenants have schemas.", "pool",
             "GRANT SELECT ON rowhouse.pack_migrations TO {runtime};", "REVOKE SELECT ON rowhouse.pack_migrations FROM {runtime};",
             "pack_migrations"),
    Mutation("grant-runtime-granted", "The runtime role may call what grants rights.", "pool",
             "GRANT EXECUTE ON FUNCTION rowhouse.grant_runtime(name) TO {runtime};",
             "REVOKE EXECUTE ON FUNCTION rowhouse.grant_runtime(name) FROM {runtime};", "grant_runtime"),
    Mutation("create-in-rowhouse", "The runtime role may put functions beside those that policies rest on.", "database",
             "GRANT CREATE ON SCHEMA rowhouse TO {runtime};", "REVOKE CREATE ON SCHEMA rowhouse FROM {runtime};", "rowhouse"),
]
