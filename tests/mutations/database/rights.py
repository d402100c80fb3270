"""Privileges: on tables, columns, schemas, databases, and on what PostgreSQL itself opens."""

from mutation import Mutation


def grant(name, breaks, where, what, on, to, tells, **options):
    return Mutation(name, breaks, where, f"GRANT {what} ON {on} TO {to};", f"REVOKE {what} ON {on} FROM {to};", tells, **options)


LEADS, RUNTIME = "{schema}.leads", "{runtime}"

TABLES = [
    grant("insert-any-tenant", "Rows may be inserted with any tenant_id.", "pool", "INSERT (tenant_id)", LEADS, RUNTIME, "leads"),
    grant("update-tenant", "Rows may be given to another tenant.", "schema", "UPDATE (tenant_id)", LEADS, RUNTIME, "leads"),
    Mutation("insert-on-table", "Every column may be written.", "database", f"GRANT INSERT ON {LEADS} TO {RUNTIME};",
             f"REVOKE INSERT ON {LEADS} FROM {RUNTIME}; GRANT INSERT ({{saved}}) ON {LEADS} TO {RUNTIME};", "leads",
             saves="SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute"
                   f" WHERE attrelid = '{LEADS}'::regclass AND attnum > 0 AND NOT attisdropped AND attname <> 'tenant_id'"),
    grant("truncate", "The rows of all tenants may be removed: TRUNCATE knows no policies.", "pool", "TRUNCATE", LEADS, RUNTIME,
          "leads", attackable=True),
    grant("trigger", "The runtime role may put triggers on a table.", "pool", "TRIGGER", LEADS, RUNTIME, "leads"),
    grant("references", "The runtime role may probe rows by foreign keys.", "schema", "REFERENCES", LEADS, RUNTIME, "leads"),
    grant("select-for-public", "Everybody may read a table.", "pool", "SELECT", LEADS, "PUBLIC", "PUBLIC"),
    grant("column-for-public", "Everybody may read a column.", "schema", "SELECT (email)", LEADS, "PUBLIC", "PUBLIC"),
    grant("platform-reads-rows", "The role of the control plane may read tenants' rows.", "pool", "SELECT", LEADS, "platform_service",
          "platform_service"),
    grant("backup-writes", "The backup, for which row security does not hold, may write.", "pool", "INSERT, UPDATE", LEADS,
          "backup_service", "backup_service"),
    Mutation("grant-option", "The runtime role may hand on its rights.", "database",
             f"GRANT SELECT ON {LEADS} TO {RUNTIME} WITH GRANT OPTION;", f"REVOKE GRANT OPTION FOR SELECT ON {LEADS} FROM {RUNTIME};",
             "leads"),
    Mutation("select-revoked", "The runtime role has lost a right that tenants need.", "pool",
             f"REVOKE SELECT ON {LEADS} FROM {RUNTIME};", f"GRANT SELECT ON {LEADS} TO {RUNTIME};", "leads", attackable=True),
    Mutation("default-privileges", "Tables to come are granted to the runtime role.", "pool",
             "ALTER DEFAULT PRIVILEGES FOR ROLE tenant_owner GRANT SELECT ON TABLES TO {runtime};",
             "ALTER DEFAULT PRIVILEGES FOR ROLE tenant_owner REVOKE SELECT ON TABLES FROM {runtime};", "{runtime}"),
    Mutation("default-privileges-of-functions", "Functions to come are for everybody.", "database",
             "ALTER DEFAULT PRIVILEGES FOR ROLE tenant_owner GRANT EXECUTE ON FUNCTIONS TO PUBLIC;",
             "ALTER DEFAULT PRIVILEGES FOR ROLE tenant_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;", "PUBLIC"),
]

SCHEMAS = [
    grant("schema-for-public", "Everybody may use a tenant's schema.", "schema", "USAGE", "SCHEMA {schema}", "PUBLIC", "PUBLIC"),
    grant("create-in-schema", "The runtime role may put functions beside the pack's tables.", "pool", "CREATE", "SCHEMA {schema}",
          RUNTIME, "CREATE", attackable=True),
    grant("create-in-public", "Everybody may make objects in the schema public.", "database", "CREATE, USAGE", "SCHEMA public", "PUBLIC",
          "public"),
    grant("temporary-tables", "The runtime role may make temporary tables, which the next request would find.", "pool", "TEMPORARY",
          "DATABASE {database}", RUNTIME, "TEMP"),
    grant("create-in-database", "A tenant's own role may make schemas.", "database", "CREATE", "DATABASE {database}", RUNTIME,
          "CREATE"),
    grant("connect-for-public", "Everybody may connect to a tenant's database.", "database", "CONNECT", "DATABASE {database}", "PUBLIC",
          "PUBLIC"),
    grant("pool-role-in-tenants-database", "The role of the pool may connect to a tenant's own database.", "database", "CONNECT",
          "DATABASE {database}", "tenant_service", "tenant_service"),
    grant("tenants-role-in-pool", "A tenant's own role may connect to the pool.", "database", "CONNECT", "DATABASE rowhouse_pool_tekup",
          RUNTIME, "rowhouse_pool_tekup"),
    grant("runtime-in-platform", "The runtime role may connect to the control plane's database.", "server", "CONNECT",
          "DATABASE rowhouse_platform", "tenant_service", "rowhouse_platform"),
    grant("runtime-in-maintenance", "Everybody may connect to the database that every server has.", "server", "CONNECT",
          "DATABASE postgres", "PUBLIC", "postgres"),
]

BUILT_IN = [
    grant("advisory-locks", "Tenants may take the locks of others.", "pool", "EXECUTE",
          "FUNCTION pg_catalog.pg_advisory_lock(bigint)", "PUBLIC", "pg_advisory_lock", attackable=True),
    grant("large-objects", "Tenants may share large objects, which have no row security.", "database", "EXECUTE",
          "FUNCTION pg_catalog.lo_create(oid), pg_catalog.lo_open(oid, integer), pg_catalog.lo_get(oid)", RUNTIME, "lo_"),
    grant("notifications", "Tenants may send messages to others.", "pool", "EXECUTE", "FUNCTION pg_catalog.pg_notify(text, text)",
          "PUBLIC", "pg_notify"),
    grant("end-other-backends", "Tenants may end the requests of others.", "pool", "EXECUTE",
          "FUNCTION pg_catalog.pg_terminate_backend(integer, bigint)", RUNTIME, "pg_terminate_backend"),
    grant("activity", "Tenants may read the statements of others.", "pool", "SELECT", "pg_catalog.pg_stat_activity", RUNTIME,
          "pg_stat_activity"),
    grant("column-statistics", "Tenants may read samples of everybody's values.", "pool", "SELECT", "pg_catalog.pg_statistic", RUNTIME,
          "pg_statistic", attackable=True),
    grant("read-files", "Tenants may read files of the server.", "database", "EXECUTE", "FUNCTION pg_catalog.pg_read_file(text)",
          RUNTIME, "pg_read_file"),
    grant("password-hashes", "Tenants may read the passwords of roles.", "pool", "SELECT", "pg_catalog.pg_authid", RUNTIME, "pg_authid"),
]

MUTATIONS = TABLES + SCHEMAS + BUILT_IN
