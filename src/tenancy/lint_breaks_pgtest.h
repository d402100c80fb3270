// One way to break an installation for each rule, and more for those that look at several things.
#pragma once

#include <array>

namespace rowhouse::tenancy::fixture {

enum class Where { pool, schema, template_database, own_database, server, platform };

struct Break {
  const char* rule;
  Where where;
  const char* sql;        // as superuser, with an empty search path; statements end with ";\n"
  const char* undo = "";  // what mends it where no fix can; "": the fixes must
};

inline constexpr auto kBreaks = std::to_array<Break>({
    // Row rules
    {"row-rule-missing", Where::pool, "DROP POLICY rowhouse_role ON app.leads"},
    {"row-rule-missing", Where::own_database, "DROP POLICY rowhouse_role ON app.notes"},
    {"row-rule-changed", Where::schema, "ALTER POLICY rowhouse_role ON @schema@.leads USING (true)"},
    {"row-rule-changed", Where::template_database,
     "ALTER POLICY rowhouse_role ON app.leads WITH CHECK (tenant_id IS NOT NULL)"},
    {"row-rule-changed", Where::pool,
     "DROP POLICY rowhouse_role ON app.notes;\nCREATE POLICY rowhouse_role ON app.notes AS RESTRICTIVE FOR "
     "SELECT TO PUBLIC USING (COALESCE((SELECT rowhouse.principal_role()), 0) <> 1 OR EXISTS (SELECT FROM "
     "app.leads rowhouse_parent WHERE rowhouse_parent.tenant_id = notes.tenant_id AND rowhouse_parent.id = "
     "notes.lead_id))"},
    // Another schema's leads: every number is the same but one.
    {"row-rule-changed", Where::schema,
     "ALTER POLICY rowhouse_role ON @schema@.notes USING (COALESCE((SELECT rowhouse.principal_role()), 0) <> "
     "1 "
     "OR EXISTS (SELECT FROM @other@.leads rowhouse_parent WHERE rowhouse_parent.tenant_id = notes.tenant_id "
     "AND rowhouse_parent.id = notes.lead_id))"},
    {"row-rule-changed", Where::own_database,
     "CREATE POLICY rowhouse_role ON app.events AS RESTRICTIVE FOR ALL TO PUBLIC USING (true)"},
    {"row-rule-default", Where::pool, "ALTER TABLE app.leads ALTER COLUMN created_by DROP DEFAULT"},
    {"row-rule-default", Where::schema,
     "ALTER TABLE @schema@.leads ALTER COLUMN created_by SET DEFAULT rowhouse.principal_id()"},
    {"row-rule-default", Where::own_database,
     "ALTER TABLE app.leads ALTER COLUMN assigned_to SET DEFAULT CASE WHEN rowhouse.principal_role() > 0 "
     "THEN "
     "rowhouse.principal_id() END"},
    {"row-rule-impossible", Where::pool, "ALTER TABLE app.leads RENAME COLUMN assigned_to TO given_to",
     "ALTER TABLE app.leads RENAME COLUMN given_to TO assigned_to"},
    {"row-rules-stale", Where::own_database,
     "UPDATE rowhouse.row_rules SET rules = '[]' WHERE schema_name = 'app'"},
    {"row-rules-stale", Where::schema, "DELETE FROM rowhouse.row_rules WHERE schema_name = '@schema@'"},
    {"row-rules-stale", Where::pool, "INSERT INTO rowhouse.row_rules VALUES ('nowhere', '[]')"},

    // Tables
    {"tenant-id-missing", Where::pool,
     "CREATE TABLE app.things (id uuid NOT NULL);\nALTER TABLE app.things OWNER TO tenant_owner",
     "DROP TABLE app.things"},
    {"tenant-id-wrong-type", Where::pool,
     "CREATE TABLE app.things (tenant_id text NOT NULL, id uuid, PRIMARY KEY (tenant_id, id))",
     "DROP TABLE app.things"},
    {"tenant-id-nullable", Where::pool, "CREATE TABLE app.things (tenant_id uuid, id uuid NOT NULL)",
     "DROP TABLE app.things"},
    {"tenant-id-default", Where::pool,
     "ALTER TABLE app.leads ALTER COLUMN tenant_id SET DEFAULT gen_random_uuid()"},
    {"tenant-id-default", Where::own_database, "ALTER TABLE app.leads ALTER COLUMN tenant_id DROP DEFAULT"},
    {"primary-key-missing", Where::pool,
     "CREATE TABLE app.things (tenant_id uuid NOT NULL, id uuid NOT NULL)", "DROP TABLE app.things"},
    {"primary-key-not-tenant-led", Where::pool,
     "CREATE TABLE app.things (tenant_id uuid NOT NULL, id uuid PRIMARY KEY)", "DROP TABLE app.things"},
    {"unique-not-tenant-led", Where::pool,
     "ALTER TABLE app.leads DROP CONSTRAINT leads_email_unique, ADD CONSTRAINT leads_email_unique UNIQUE "
     "(email)"},
    {"unique-not-tenant-led", Where::schema, "CREATE UNIQUE INDEX by_body ON @schema@.notes (lower(body))",
     "DROP INDEX @schema@.by_body"},
    {"exclusion-not-tenant-led", Where::pool,
     "ALTER TABLE app.notes ADD CONSTRAINT no_overlap EXCLUDE USING btree (number WITH =)",
     "ALTER TABLE app.notes DROP CONSTRAINT no_overlap"},
    {"foreign-key-not-tenant-led", Where::own_database,
     "ALTER TABLE app.leads ADD CONSTRAINT by_id UNIQUE (id);\nALTER TABLE app.notes DROP CONSTRAINT "
     "notes_lead,"
     " ADD CONSTRAINT notes_lead FOREIGN KEY (lead_id) REFERENCES app.leads (id) ON DELETE SET NULL",
     "ALTER TABLE app.notes DROP CONSTRAINT notes_lead;\nALTER TABLE app.leads DROP CONSTRAINT by_id;\nALTER "
     "TABLE app.notes"
     " ADD CONSTRAINT notes_lead FOREIGN KEY (tenant_id, lead_id) REFERENCES app.leads (tenant_id, id) ON "
     "DELETE SET NULL (lead_id)"},
    {"foreign-key-outside-pack", Where::pool,
     "ALTER TABLE app.notes ADD CONSTRAINT away FOREIGN KEY (tenant_id, body) REFERENCES "
     "rowhouse.idempotency_keys"},
    {"foreign-key-clears-tenant-id", Where::pool,
     "ALTER TABLE app.notes DROP CONSTRAINT notes_lead, ADD CONSTRAINT notes_lead FOREIGN KEY (tenant_id, "
     "lead_id)"
     " REFERENCES app.leads (tenant_id, id) ON DELETE SET NULL"},
    {"constraint-not-valid", Where::pool,
     "ALTER TABLE app.leads ADD CONSTRAINT late CHECK (value < 1000) NOT VALID",
     "ALTER TABLE app.leads DROP CONSTRAINT late"},
    {"index-invalid", Where::schema,
     "UPDATE pg_catalog.pg_index SET indisvalid = false WHERE indexrelid = "
     "'@schema@.leads_by_created'::pg_catalog.regclass"},

    // Row security
    {"row-security-off", Where::pool, "ALTER TABLE app.leads NO FORCE ROW LEVEL SECURITY"},
    {"row-security-off", Where::own_database, "ALTER TABLE app.leads DISABLE ROW LEVEL SECURITY"},
    {"row-security-off", Where::schema, "ALTER TABLE @schema@.events_1 DISABLE ROW LEVEL SECURITY"},
    {"row-security-off", Where::pool, "ALTER TABLE rowhouse.idempotency_keys NO FORCE ROW LEVEL SECURITY"},
    {"policy-missing", Where::template_database, "DROP POLICY rowhouse_wall ON app.leads"},
    {"policy-missing", Where::pool, "DROP POLICY rowhouse_tenant ON rowhouse.idempotency_keys"},
    {"policy-changed", Where::schema, "ALTER POLICY rowhouse_tenant ON @schema@.leads USING (true)"},
    {"policy-changed", Where::pool, "ALTER POLICY rowhouse_tenant ON app.leads WITH CHECK (true)"},
    {"policy-changed", Where::pool, "ALTER POLICY rowhouse_wall ON app.leads TO tenant_service"},
    {"policy-permissive", Where::pool, "CREATE POLICY mine ON app.leads USING (true)"},
    {"policy-not-for-public", Where::pool,
     "CREATE POLICY mine ON app.leads AS RESTRICTIVE TO tenant_owner USING (true)",
     "DROP POLICY mine ON app.leads"},
    {"policy-on-partition", Where::pool, "CREATE POLICY mine ON app.events_0 AS RESTRICTIVE USING (true)"},

    // Other objects
    {"view-not-security-invoker", Where::pool,
     "CREATE OR REPLACE VIEW app.open_leads WITH (security_barrier) AS"
     " SELECT tenant_id, id, email, created_at FROM app.leads WHERE status = 'new'"},
    {"view-not-security-barrier", Where::own_database, "ALTER VIEW app.open_leads RESET (security_barrier)"},
    {"partition-elsewhere", Where::pool, "ALTER TABLE app.events_1 SET SCHEMA rowhouse"},
    {"table-kind", Where::pool, "CREATE MATERIALIZED VIEW app.kept AS SELECT * FROM app.leads"},
    {"table-kind", Where::pool, "ALTER TABLE app.notes SET UNLOGGED"},
    {"table-inherits", Where::pool,
     "CREATE TABLE app.child (PRIMARY KEY (tenant_id, id)) INHERITS (app.leads)", "DROP TABLE app.child"},
    {"rewrite-rule", Where::pool, "CREATE RULE sly AS ON DELETE TO app.leads DO ALSO DELETE FROM app.notes"},
    {"trigger-disabled", Where::pool, "ALTER TABLE app.leads DISABLE TRIGGER touch"},
    {"trigger-disabled", Where::schema, "ALTER TABLE @schema@.notes DISABLE TRIGGER ALL"},
    {"trigger-function-elsewhere", Where::pool,
     "CREATE FUNCTION rowhouse.sly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';\n"
     "CREATE TRIGGER sly BEFORE INSERT ON app.leads FOR EACH ROW EXECUTE FUNCTION rowhouse.sly()",
     "DROP FUNCTION rowhouse.sly() CASCADE"},
    {"function-definer-search-path", Where::pool, "ALTER FUNCTION app.lead_total(numeric) SECURITY DEFINER",
     "ALTER FUNCTION app.lead_total(numeric) SECURITY INVOKER"},
    {"function-leakproof", Where::pool, "ALTER FUNCTION app.lead_total(numeric) LEAKPROOF"},
    {"function-setting", Where::pool, "ALTER FUNCTION app.lead_total(numeric) SET row_security = off"},
    {"function-setting", Where::pool,
     "ALTER FUNCTION app.lead_total(numeric) SET backtrace_functions = 'rowhouse_context_'"},
    {"function-setting", Where::pool,
     "CREATE FUNCTION app.sly() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS"
     " 'BEGIN PERFORM pg_catalog.set_config(''backtrace_functions'', ''x'', true); END'"},
    {"function-language", Where::pool,
     "CREATE FUNCTION app.raw(text) RETURNS text LANGUAGE internal STRICT AS 'upper'"},
    {"extension-object", Where::pool, "CREATE EXTENSION citext SCHEMA app"},
    {"replica-identity", Where::pool, "ALTER TABLE app.leads REPLICA IDENTITY FULL"},
    {"statistics-object", Where::pool, "CREATE STATISTICS app.together ON email, status FROM app.leads"},
    {"tablespace", Where::pool,
     "SET allow_in_place_tablespaces = on;\nCREATE TABLESPACE elsewhere LOCATION '';\nALTER TABLE app.notes "
     "SET TABLESPACE elsewhere",
     "ALTER TABLE app.notes SET TABLESPACE pg_default;\nDROP TABLESPACE elsewhere"},
    {"name-too-long", Where::pool,
     "ALTER TABLE app.leads ADD COLUMN a23456789a123456789a123456789a123456789a123456789a123456789a123 int",
     "ALTER TABLE app.leads DROP COLUMN a23456789a123456789a123456789a123456789a123456789a123456789a123"},

    // Owners and grants
    {"owner-not-tenant-owner", Where::pool, "ALTER TABLE app.leads OWNER TO platform_service"},
    {"owner-not-tenant-owner", Where::schema, "ALTER SCHEMA @schema@ OWNER TO tenant_service"},
    {"owner-not-tenant-owner", Where::pool, "ALTER TYPE app.lead_status OWNER TO backup_service"},
    {"grant-to-public", Where::pool, "GRANT SELECT ON app.leads TO PUBLIC"},
    {"grant-to-public", Where::pool, "GRANT EXECUTE ON FUNCTION rowhouse.grant_runtime(name) TO PUBLIC"},
    {"grant-excess", Where::pool, "GRANT INSERT ON app.leads TO tenant_service"},
    {"grant-excess", Where::schema, "GRANT UPDATE (tenant_id) ON @schema@.leads TO tenant_service"},
    {"grant-excess", Where::pool, "GRANT SELECT ON app.events_0 TO tenant_service"},
    {"grant-excess", Where::own_database, "GRANT SELECT ON app.leads TO tenant_service"},
    {"grant-excess", Where::pool, "GRANT CREATE ON SCHEMA app TO tenant_service"},
    {"grant-missing", Where::pool, "REVOKE DELETE ON app.leads FROM tenant_service"},
    {"grant-missing", Where::own_database, "REVOKE INSERT (email) ON app.leads FROM @own_role@"},

    // A database
    {"catalog-function-open", Where::pool,
     "GRANT EXECUTE ON FUNCTION pg_catalog.pg_advisory_lock(bigint) TO PUBLIC"},
    {"catalog-function-open", Where::own_database,
     "GRANT EXECUTE ON FUNCTION pg_catalog.pg_notify(text, text) TO @own_role@"},
    {"catalog-relation-open", Where::pool, "GRANT SELECT ON pg_catalog.pg_stat_activity TO PUBLIC"},
    {"catalog-grant-added", Where::pool,
     "GRANT SELECT (rolpassword) ON pg_catalog.pg_authid TO tenant_service"},
    {"catalog-object-added", Where::pool,
     "CREATE FUNCTION pg_catalog.sly() RETURNS int LANGUAGE sql RETURN 1"},
    {"catalog-function-changed", Where::pool,
     "UPDATE pg_catalog.pg_proc SET prosecdef = true WHERE oid = "
     "'pg_catalog.pg_backend_pid()'::pg_catalog.regprocedure",
     "UPDATE pg_catalog.pg_proc SET prosecdef = false WHERE oid = "
     "'pg_catalog.pg_backend_pid()'::pg_catalog.regprocedure"},
    {"language-open", Where::pool, "GRANT USAGE ON LANGUAGE plpgsql TO tenant_service"},
    {"language-unknown", Where::pool, "CREATE LANGUAGE other HANDLER pg_catalog.plpgsql_call_handler", ""},
    {"schema-open", Where::pool, "GRANT CREATE ON SCHEMA public TO tenant_service"},
    {"schema-open", Where::template_database, "GRANT USAGE ON SCHEMA public TO PUBLIC"},
    {"schema-unknown", Where::pool, "CREATE SCHEMA t_lost_0123456789ab", "DROP SCHEMA t_lost_0123456789ab"},
    {"object-outside-packs", Where::pool, "CREATE TABLE public.copied AS SELECT * FROM app.leads"},
    {"object-outside-packs", Where::own_database,
     "CREATE FUNCTION public.sly() RETURNS int LANGUAGE sql RETURN 1"},
    {"cast-added", Where::pool, "CREATE CAST (text AS app.lead_status) WITH INOUT AS IMPLICIT"},
    {"extension", Where::pool, "CREATE EXTENSION pgcrypto SCHEMA public"},
    {"publication", Where::pool, "CREATE PUBLICATION away FOR ALL TABLES"},
    {"subscription", Where::pool,
     "CREATE SUBSCRIPTION inward CONNECTION 'dbname=nowhere' PUBLICATION x WITH (connect = false)"},
    {"event-trigger", Where::pool,
     "CREATE FUNCTION public.sly() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';\n"
     "CREATE EVENT TRIGGER sly ON ddl_command_end EXECUTE FUNCTION public.sly()",
     "DROP EVENT TRIGGER sly;\nDROP FUNCTION public.sly()"},
    {"foreign-server", Where::pool,
     "CREATE FOREIGN DATA WRAPPER far;\nCREATE SERVER far_server FOREIGN DATA WRAPPER far"},
    {"security-label", Where::pool,
     "SET allow_system_table_mods = on;\nINSERT INTO pg_catalog.pg_seclabel VALUES "
     "('app.leads'::pg_catalog.regclass,"
     " 'pg_catalog.pg_class'::pg_catalog.regclass, 0, 'someone', 'secret')",
     "SET allow_system_table_mods = on;\nDELETE FROM pg_catalog.pg_seclabel"},
    {"large-object", Where::pool, "SELECT pg_catalog.lo_create(0)"},
    {"default-privilege-excess", Where::pool,
     "ALTER DEFAULT PRIVILEGES FOR ROLE tenant_owner GRANT INSERT ON TABLES TO tenant_service"},
    {"default-privilege-excess", Where::pool,
     "ALTER DEFAULT PRIVILEGES FOR ROLE tenant_owner IN SCHEMA app GRANT SELECT ON TABLES TO PUBLIC"},
    {"default-privilege-missing", Where::pool,
     "ALTER DEFAULT PRIVILEGES FOR ROLE tenant_owner GRANT EXECUTE ON FUNCTIONS TO PUBLIC"},
    {"default-privilege-missing", Where::pool,
     "ALTER DEFAULT PRIVILEGES FOR ROLE tenant_owner REVOKE SELECT ON TABLES FROM backup_service"},
    {"schema-missing", Where::pool, "ALTER SCHEMA @schema@ RENAME TO moved",
     "ALTER SCHEMA moved RENAME TO @schema@"},
    {"behind", Where::schema,
     "UPDATE rowhouse.pack_migrations SET schema_name = 'x' WHERE schema_name = '@schema@' AND number = 2",
     "UPDATE rowhouse.pack_migrations SET schema_name = '@schema@' WHERE schema_name = 'x'"},
    {"migration-differs", Where::own_database,
     "UPDATE rowhouse.pack_migrations SET checksum = pg_catalog.md5('a') || checksum || "
     "pg_catalog.repeat('0', 0) WHERE false;\n"
     "UPDATE rowhouse.pack_migrations SET name = '0001_other' WHERE number = 1",
     "UPDATE rowhouse.pack_migrations SET name = '0001_step' WHERE number = 1"},
    {"migration-orphan", Where::pool,
     "INSERT INTO rowhouse.pack_migrations (schema_name, pack, number, name, checksum)"
     " VALUES ('gone', 'mini', 1, '0001_step', pg_catalog.repeat('0', 64))"},

    {"drift", Where::schema, "ALTER TABLE @schema@.leads DROP CONSTRAINT leads_value_check"},
    {"drift", Where::own_database, "DROP TRIGGER touch ON app.leads"},
    {"drift", Where::pool, "ALTER TABLE app.leads ALTER COLUMN value DROP DEFAULT"},
    {"drift", Where::schema,
     "CREATE OR REPLACE FUNCTION @schema@.lead_total(minimum numeric) RETURNS bigint LANGUAGE sql STABLE "
     "RETURN 7"},
    {"drift", Where::own_database,
     "CREATE OR REPLACE VIEW app.open_leads WITH (security_invoker, security_barrier) AS SELECT tenant_id, "
     "id, email, created_at FROM app.leads"},
    // Into another tenant's schema, where the others point into their own
    {"drift", Where::schema,
     "CREATE OR REPLACE VIEW @schema@.open_leads WITH (security_invoker, security_barrier) AS SELECT "
     "tenant_id, id, email, created_at FROM @other@.leads WHERE status = 'new'"},
    {"drift", Where::schema,
     "CREATE OR REPLACE FUNCTION @schema@.lead_total(minimum numeric) RETURNS bigint LANGUAGE sql STABLE "
     "BEGIN ATOMIC SELECT count(*) FROM @other@.leads WHERE value >= minimum; END"},
    {"drift", Where::schema,
     "ALTER TABLE @schema@.leads ALTER COLUMN value SET DEFAULT @other@.lead_total(0)"},
    {"drift", Where::schema, "CREATE INDEX further ON @schema@.leads (tenant_id, nickname)"},
    {"drift", Where::schema, "ALTER TYPE @schema@.lead_status RENAME VALUE 'won' TO 'gained'",
     "ALTER TYPE @schema@.lead_status RENAME VALUE 'gained' TO 'won'"},
    {"order-not-indexed", Where::schema, "DROP INDEX @schema@.leads_by_created"},
    {"natural-key-not-unique", Where::own_database,
     "ALTER TABLE app.leads DROP CONSTRAINT leads_email_unique"},
    {"manifest-broken", Where::own_database, "DROP FUNCTION app.lead_total(numeric)"},
    {"context-key-unknown", Where::pool,
     "INSERT INTO rowhouse.context_keys (id, key) VALUES (999, pg_catalog.decode(pg_catalog.repeat('00', "
     "64), 'hex'))"},
    {"rowhouse-schema-changed", Where::pool, "GRANT SELECT ON rowhouse.context_keys TO tenant_service"},
    {"rowhouse-schema-changed", Where::own_database,
     "GRANT SELECT ON rowhouse.context_keys TO backup_service"},
    {"rowhouse-schema-changed", Where::pool,
     "GRANT USAGE ON SEQUENCE rowhouse.context_number TO tenant_service"},
    {"rowhouse-schema-changed", Where::pool,
     "CREATE OR REPLACE FUNCTION rowhouse.tenant_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL RESTRICTED"
     " RETURN pg_catalog.gen_random_uuid()"},
    {"rowhouse-schema-changed", Where::own_database, "ALTER FUNCTION rowhouse.principal_id() VOLATILE"},
    {"rowhouse-schema-changed", Where::pool, "ALTER FUNCTION rowhouse.tenant_id() SECURITY DEFINER"},
    {"rowhouse-schema-changed", Where::pool,
     "CREATE FUNCTION rowhouse.sly() RETURNS int LANGUAGE sql RETURN 1"},
    {"rowhouse-schema-changed", Where::template_database,
     "REVOKE EXECUTE ON FUNCTION rowhouse.tenant_id() FROM tenant_service"},
    {"rowhouse-schema-changed", Where::pool,
     "GRANT INSERT (tenant_id) ON rowhouse.idempotency_keys TO tenant_service"},
    {"rowhouse-schema-changed", Where::pool, "GRANT SELECT ON rowhouse.pack_migrations TO tenant_service"},

    // The server
    {"role-missing", Where::server, "ALTER ROLE @own_role@ RENAME TO elsewhere",
     "ALTER ROLE elsewhere RENAME TO @own_role@"},
    {"role-attributes", Where::server, "ALTER ROLE tenant_service BYPASSRLS"},
    {"role-attributes", Where::server, "ALTER ROLE tenant_owner LOGIN"},
    {"role-attributes", Where::server, "ALTER ROLE @own_role@ SUPERUSER"},
    {"role-membership", Where::server, "GRANT tenant_owner TO tenant_service"},
    {"role-membership", Where::server, "GRANT @own_role@ TO tenant_service"},
    {"role-membership", Where::server, "GRANT tenant_owner TO tenant_migrator WITH ADMIN OPTION"},
    {"role-membership", Where::server, "GRANT pg_read_all_data TO tenant_service"},
    {"role-owns-objects", Where::pool, "ALTER TABLE app.leads OWNER TO tenant_service"},
    {"role-bypasses-row-security", Where::server, "CREATE ROLE mighty LOGIN BYPASSRLS", "DROP ROLE mighty"},
    {"role-superuser", Where::server, "CREATE ROLE mighty SUPERUSER", "DROP ROLE mighty"},
    {"role-reads-everything", Where::server, "CREATE ROLE reader IN ROLE pg_read_all_data",
     "DROP ROLE reader"},
    {"role-orphan", Where::server, "CREATE ROLE tenant_lost_0123456789ab"},
    {"parameter-granted", Where::server, "GRANT SET ON PARAMETER session_replication_role TO tenant_service"},
    {"database-missing", Where::server, "ALTER DATABASE @own_database@ RENAME TO moved",
     "ALTER DATABASE moved RENAME TO @own_database@"},
    {"database-owner", Where::server, "ALTER DATABASE @own_database@ OWNER TO backup_service"},
    {"database-grant-excess", Where::server, "GRANT CONNECT ON DATABASE @own_database@ TO tenant_service"},
    {"database-grant-excess", Where::server, "GRANT TEMPORARY ON DATABASE rowhouse_pool_mini TO PUBLIC"},
    {"database-grant-excess", Where::server, "GRANT CONNECT ON DATABASE rowhouse_platform TO @own_role@"},
    {"database-grant-missing", Where::server, "REVOKE CONNECT ON DATABASE @own_database@ FROM @own_role@"},
    {"database-open", Where::server, "CREATE DATABASE guest TEMPLATE template0", "DROP DATABASE guest"},
    {"database-is-template", Where::server, "ALTER DATABASE rowhouse_template_mini IS_TEMPLATE true"},
    {"database-orphan", Where::server,
     "CREATE DATABASE tenant_lost_0123456789ab TEMPLATE template0;\nREVOKE ALL ON DATABASE "
     "tenant_lost_0123456789ab FROM PUBLIC",
     "DROP DATABASE tenant_lost_0123456789ab"},
    {"database-unreachable", Where::server, "ALTER DATABASE @own_database@ ALLOW_CONNECTIONS false",
     "ALTER DATABASE @own_database@ ALLOW_CONNECTIONS true"},
    {"setting-dangerous", Where::server, "ALTER ROLE tenant_service SET row_security = off"},
    {"setting-dangerous", Where::server,
     "ALTER ROLE @own_role@ IN DATABASE @own_database@ SET search_path = public"},
    {"setting-dangerous", Where::server,
     "ALTER DATABASE rowhouse_pool_mini SET session_replication_role = replica"},
    {"setting-dangerous", Where::server, "ALTER ROLE ALL SET backtrace_functions = 'rowhouse_context_'"},
    {"setting-missing", Where::server, "ALTER ROLE @own_role@ IN DATABASE @own_database@ RESET ALL"},
    {"server-setting", Where::server,
     "ALTER SYSTEM SET row_security = off;\nSELECT pg_catalog.pg_reload_conf()"},
    {"replication-slot", Where::server, "SELECT pg_catalog.pg_create_physical_replication_slot('lost')"},
});

}  // namespace rowhouse::tenancy::fixture
