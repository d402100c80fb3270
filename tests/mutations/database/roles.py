"""Roles: what they are, what they own, whose members they are, what is set for them."""

from mutation import Mutation


def attribute(name, breaks, where, words, opposite, role="{runtime}", **options):
    return Mutation(name, breaks, where, f"ALTER ROLE {role} {words};", f"ALTER ROLE {role} {opposite};", role, **options)


MUTATIONS = [
    attribute("runtime-bypasses", "Row security does not hold for the runtime role.", "pool", "BYPASSRLS", "NOBYPASSRLS",
              attackable=True),
    attribute("runtime-is-superuser", "Nothing holds for the runtime role.", "pool", "SUPERUSER", "NOSUPERUSER"),
    attribute("runtime-makes-roles", "The runtime role may make roles.", "pool", "CREATEROLE", "NOCREATEROLE"),
    attribute("runtime-makes-databases", "The runtime role may make databases.", "pool", "CREATEDB", "NOCREATEDB"),
    attribute("runtime-replicates", "The runtime role may copy the whole server.", "pool", "REPLICATION", "NOREPLICATION"),
    attribute("tenants-role-bypasses", "Row security does not hold for a tenant's own role.", "database", "BYPASSRLS", "NOBYPASSRLS"),
    attribute("owner-may-log-in", "Somebody may log in as the owner of all tables.", "server", "LOGIN", "NOLOGIN", "tenant_owner"),
    attribute("owner-bypasses", "Row security does not hold for the owner of all tables.", "server", "BYPASSRLS", "NOBYPASSRLS",
              "tenant_owner"),
    attribute("migrator-is-superuser", "Migrations of packs run as superuser.", "server", "SUPERUSER", "NOSUPERUSER", "tenant_migrator"),
    attribute("platform-bypasses", "Row security does not hold for the role of the control plane.", "server", "BYPASSRLS",
              "NOBYPASSRLS", "platform_service"),
    Mutation("runtime-in-owner", "The runtime role is a member of the owner.", "pool",
             "GRANT tenant_owner TO {runtime};", "REVOKE tenant_owner FROM {runtime};", "tenant_owner"),
    Mutation("runtime-reads-all-data", "The runtime role is a member of pg_read_all_data.", "pool",
             "GRANT pg_read_all_data TO {runtime};", "REVOKE pg_read_all_data FROM {runtime};", "{runtime}"),
    Mutation("runtime-runs-programs", "The runtime role is a member of pg_execute_server_program.", "pool",
             "GRANT pg_execute_server_program TO {runtime};", "REVOKE pg_execute_server_program FROM {runtime};", "{runtime}"),
    Mutation("tenants-role-in-runtime", "A tenant's own role is a member of the one that serves the pool.", "database",
             "GRANT tenant_service TO {runtime};", "REVOKE tenant_service FROM {runtime};", "{runtime}"),
    Mutation("backup-in-runtime", "Another role may act as the runtime role.", "server",
             "GRANT tenant_service TO backup_service;", "REVOKE tenant_service FROM backup_service;", "tenant_service"),
    Mutation("stranger-in-owner", "A role of nobody's is a member of the owner.", "server",
             "CREATE ROLE stranger LOGIN; GRANT tenant_owner TO stranger;", "DROP ROLE stranger;", "stranger"),
    Mutation("owner-in-runtime", "The owner is a member of the runtime role.", "server",
             "GRANT tenant_service TO tenant_owner;", "REVOKE tenant_service FROM tenant_owner;", "tenant_service"),
    Mutation("runtime-owns-partition", "The runtime role owns a partition, so that it may lift its row security.", "partitions",
             "ALTER TABLE {schema}.poll_results_p5 OWNER TO {runtime};", "ALTER TABLE {schema}.poll_results_p5 OWNER TO tenant_owner;",
             "poll_results_p5"),
    Mutation("runtime-owns-schema", "The runtime role owns a tenant's schema.", "schema",
             "ALTER SCHEMA {schema} OWNER TO {runtime};",
             "ALTER SCHEMA {schema} OWNER TO tenant_owner; GRANT USAGE ON SCHEMA {schema} TO {runtime};", "{schema}"),
    Mutation("runtime-owns-database", "A tenant's own role owns its database.", "database",
             "ALTER DATABASE {database} OWNER TO {runtime};",
             "ALTER DATABASE {database} OWNER TO tenant_owner; GRANT CONNECT ON DATABASE {database} TO {runtime};", "{database}"),
    Mutation("runtime-search-path", "The runtime role finds functions on a path that others may write to.", "pool",
             "ALTER ROLE {runtime} IN DATABASE {database} SET search_path = 'public';",
             "ALTER ROLE {runtime} IN DATABASE {database} SET search_path = '';", "search_path"),
    Mutation("runtime-row-security-setting", "The setting row_security is changed for the runtime role.", "pool",
             "ALTER ROLE {runtime} SET row_security = off;", "ALTER ROLE {runtime} RESET row_security;", "row_security"),
    Mutation("runtime-takes-other-role", "Sessions of the runtime role begin as another one.", "database",
             "ALTER ROLE {runtime} SET role = 'backup_service';", "ALTER ROLE {runtime} RESET role;", "role"),
    Mutation("database-without-triggers", "In a database, triggers and foreign keys are not looked at.", "pool",
             "ALTER DATABASE {database} SET session_replication_role = 'replica';",
             "ALTER DATABASE {database} RESET session_replication_role;", "session_replication_role"),
]
