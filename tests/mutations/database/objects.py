"""Views, functions, partitions, triggers, rules, extensions and whatever else can carry rows past row security."""

import re

from mutation import Mutation
from support import settings

LEADS, VIEW = "{schema}.leads", "{schema}.open_leads"
REPORTS = (settings.ROOT / "packs" / "tekup" / "migrations" / "0002_reports.sql").read_text()
QUERY = re.search(r"CREATE VIEW open_leads WITH \(.*?\) AS\n(.*?);", REPORTS, re.S).group(1)
OPTIONS = "security_invoker = true, security_barrier = true"

VIEWS = [
    Mutation("view-with-owners-rights", "A view reads with the rights of its owner.", "pool",
             f"ALTER VIEW {VIEW} RESET (security_invoker);", f"ALTER VIEW {VIEW} SET ({OPTIONS});",
             "view-not-security-invoker open_leads"),
    Mutation("view-made-anew", "A view was made anew, without its options.", "schema",
             f"SET search_path = {{schema}}; CREATE OR REPLACE VIEW open_leads AS {QUERY};", f"ALTER VIEW {VIEW} SET ({OPTIONS});",
             "view-not-security-invoker open_leads"),
    Mutation("view-of-superuser", "A view reads with the rights of a superuser.", "pool",
             f"ALTER VIEW {VIEW} RESET (security_invoker); ALTER VIEW {VIEW} OWNER TO CURRENT_USER;",
             f"ALTER VIEW {VIEW} OWNER TO tenant_owner; ALTER VIEW {VIEW} SET ({OPTIONS});", "open_leads", attackable=True),
    Mutation("view-without-barrier", "A function of the caller looks behind the conditions of a view.", "database",
             f"ALTER VIEW {VIEW} RESET (security_barrier);", f"ALTER VIEW {VIEW} SET ({OPTIONS});", "open_leads"),
    Mutation("materialized-view", "A copy of everybody's rows lies where row security cannot hold.", "pool",
             f"CREATE MATERIALIZED VIEW {{schema}}.all_leads AS SELECT * FROM {LEADS};"
             "ALTER MATERIALIZED VIEW {schema}.all_leads OWNER TO tenant_owner; GRANT SELECT ON {schema}.all_leads TO {runtime};",
             "DROP MATERIALIZED VIEW {schema}.all_leads;", "table-kind all_leads", attackable=True),
]

PARTITIONS = [
    Mutation("partition-exposed", "A partition can be read past the policies of its table.", "partitions",
             "ALTER TABLE {schema}.poll_results_p0 DISABLE ROW LEVEL SECURITY; GRANT SELECT ON {schema}.poll_results_p0 TO {runtime};",
             "ALTER TABLE {schema}.poll_results_p0 ENABLE ROW LEVEL SECURITY; REVOKE SELECT ON {schema}.poll_results_p0 FROM {runtime};",
             "row-security-off poll_results_p0"),
    Mutation("partition-granted", "The runtime role may use a partition directly.", "partitions",
             "GRANT SELECT ON {schema}.poll_results_p2 TO {runtime};", "REVOKE SELECT ON {schema}.poll_results_p2 FROM {runtime};",
             "poll_results_p2"),
    Mutation("partition-elsewhere", "A partition lies in another schema.", "partitions",
             "CREATE SCHEMA attic AUTHORIZATION tenant_owner; ALTER TABLE {schema}.poll_results_p4 SET SCHEMA attic;",
             "ALTER TABLE attic.poll_results_p4 SET SCHEMA {schema}; DROP SCHEMA attic;", "poll_results_p4"),
    Mutation("table-inherits", "Rows of a table are reached through another one, past its policies.", "pool",
             f"SET ROLE tenant_owner; CREATE TABLE {{schema}}.old_leads () INHERITS ({LEADS});", "DROP TABLE {schema}.old_leads;",
             "table-inherits old_leads"),
]

FUNCTIONS = [
    Mutation("definer-function-of-superuser", "A function reads everybody's rows with the rights of a superuser.", "pool",
             f"CREATE FUNCTION {{schema}}.all_leads() RETURNS SETOF {LEADS} LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''"
             f" BEGIN ATOMIC SELECT * FROM {LEADS}; END;"
             "REVOKE ALL ON FUNCTION {schema}.all_leads() FROM PUBLIC; GRANT EXECUTE ON FUNCTION {schema}.all_leads() TO {runtime};",
             "DROP FUNCTION {schema}.all_leads();", "all_leads", attackable=True),
    Mutation("definer-function-without-path", "A SECURITY DEFINER function finds its tables on its caller's path.", "schema",
             f"SET ROLE tenant_owner; CREATE FUNCTION {{schema}}.all_leads() RETURNS SETOF {LEADS} LANGUAGE plpgsql STABLE"
             " SECURITY DEFINER AS $$BEGIN RETURN QUERY SELECT * FROM leads; END$$;", "DROP FUNCTION {schema}.all_leads();", "all_leads"),
    Mutation("function-turned-definer", "A function of the pack runs with its owner's rights.", "pool",
             "ALTER FUNCTION {schema}.lead_counts() SECURITY DEFINER;", "ALTER FUNCTION {schema}.lead_counts() SECURITY INVOKER;",
             "lead_counts"),
    Mutation("function-sets-row-security", "A function of the pack changes the setting row_security.", "pool",
             "ALTER FUNCTION {schema}.lead_counts() SET row_security = off;",
             "ALTER FUNCTION {schema}.lead_counts() RESET row_security;", "lead_counts"),
    Mutation("function-sets-role", "A function of the pack takes on another role.", "database",
             "ALTER FUNCTION {schema}.lead_counts() SET role = 'tenant_owner';", "ALTER FUNCTION {schema}.lead_counts() RESET role;",
             "lead_counts"),
    Mutation("function-for-public", "Everybody may call a function of the pack.", "schema",
             "GRANT EXECUTE ON FUNCTION {schema}.lead_counts() TO PUBLIC;",
             "REVOKE EXECUTE ON FUNCTION {schema}.lead_counts() FROM PUBLIC;", "lead_counts"),
    Mutation("trigger-function-granted", "The runtime role may make triggers out of a function.", "pool",
             "GRANT EXECUTE ON FUNCTION {schema}.keep_row_times() TO {runtime};",
             "REVOKE EXECUTE ON FUNCTION {schema}.keep_row_times() FROM {runtime};", "keep_row_times"),
    Mutation("leakproof-function", "A function that is called leakproof sees rows before the policies do.", "pool",
             "ALTER FUNCTION {schema}.lead_counts() LEAKPROOF;", "ALTER FUNCTION {schema}.lead_counts() NOT LEAKPROOF;", "lead_counts"),
    Mutation("language-trusted", "A language without limits is called trusted and granted.", "pool",
             "UPDATE pg_language SET lanpltrusted = true WHERE lanname = 'c'; GRANT USAGE ON LANGUAGE c TO {runtime};",
             "REVOKE USAGE ON LANGUAGE c FROM {runtime}; UPDATE pg_language SET lanpltrusted = false, lanacl = NULL WHERE lanname = 'c';",
             "LANGUAGE"),
    Mutation("plpgsql-for-public", "Everybody may run code of their own (DO).", "pool",
             "GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC;", "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC;", "plpgsql", attackable=True),
    Mutation("sql-for-public-in-database", "Everybody may make functions in SQL.", "database",
             "GRANT USAGE ON LANGUAGE sql TO PUBLIC;", "REVOKE USAGE ON LANGUAGE sql FROM PUBLIC;", "sql"),
]

SIDE_EFFECTS = [
    Mutation("trigger-copies-rows", "A trigger keeps everybody's rows in a log that everybody reads.", "pool",
             "SET ROLE tenant_owner; CREATE TABLE {schema}.log (tenant_id uuid, id bigint GENERATED ALWAYS AS IDENTITY, entry text);"
             "CREATE FUNCTION {schema}.keep_log() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS"
             " $$BEGIN INSERT INTO {schema}.log (entry) VALUES (NEW::text); RETURN NEW; END$$;"
             f"CREATE TRIGGER keep_log AFTER INSERT ON {LEADS} FOR EACH ROW EXECUTE FUNCTION {{schema}}.keep_log();"
             "GRANT SELECT ON {schema}.log TO {runtime};",
             f"DROP TRIGGER keep_log ON {LEADS}; DROP FUNCTION {{schema}}.keep_log(); DROP TABLE {{schema}}.log;",
             "drift keep_log", attackable=True),
    Mutation("trigger-changes-tenant", "A trigger gives new rows to another tenant.", "pool",
             "SET ROLE tenant_owner; CREATE FUNCTION {schema}.give_away() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS"
             " $$BEGIN NEW.tenant_id := '{tenant}'; RETURN NEW; END$$;"
             f"CREATE TRIGGER give_away BEFORE INSERT ON {LEADS} FOR EACH ROW EXECUTE FUNCTION {{schema}}.give_away();",
             f"DROP TRIGGER give_away ON {LEADS}; DROP FUNCTION {{schema}}.give_away();", "give_away", attackable=True),
    Mutation("rule-copies-rows", "A rewrite rule acts with the rights of the table's owner.", "schema",
             "SET ROLE tenant_owner; CREATE TABLE {schema}.log (entry text);"
             f"CREATE RULE keep_log AS ON INSERT TO {LEADS} DO ALSO INSERT INTO {{schema}}.log VALUES (NEW.name);",
             f"DROP RULE keep_log ON {LEADS}; DROP TABLE {{schema}}.log;", "keep_log"),
    Mutation("event-trigger", "Code of a stranger runs whenever a definition changes.", "pool",
             "CREATE FUNCTION public.watch() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN NULL; END$$;"
             "CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION public.watch();",
             "DROP EVENT TRIGGER watch; DROP FUNCTION public.watch();", "watch"),
    Mutation("publication-of-all", "Every row is offered to subscribers.", "pool",
             "CREATE PUBLICATION everything FOR ALL TABLES;", "DROP PUBLICATION everything;", "everything"),
    Mutation("publication-of-one", "The rows of one table are offered to subscribers.", "database",
             f"CREATE PUBLICATION leads_out FOR TABLE {LEADS};", "DROP PUBLICATION leads_out;", "leads_out"),
    Mutation("extension-dblink", "SQL may open connections of its own.", "pool",
             "CREATE EXTENSION dblink;", "DROP EXTENSION dblink;", "dblink"),
    Mutation("foreign-table", "A table reads from another server.", "schema",
             "CREATE EXTENSION postgres_fdw; CREATE SERVER away FOREIGN DATA WRAPPER postgres_fdw;"
             "CREATE FOREIGN TABLE {schema}.far_leads (tenant_id uuid, id uuid) SERVER away; ALTER TABLE {schema}.far_leads OWNER TO tenant_owner;"
             "GRANT SELECT ON {schema}.far_leads TO {runtime};", "DROP EXTENSION postgres_fdw CASCADE;", "table-kind far_leads"),
    Mutation("extension-file-fdw-in-database", "SQL may read files of the server.", "database",
             "CREATE EXTENSION file_fdw;", "DROP EXTENSION file_fdw;", "file_fdw"),
    Mutation("table-in-public", "A copy of everybody's rows lies in a schema that nobody looks at.", "pool",
             f"CREATE TABLE public.leads AS SELECT * FROM {LEADS}; GRANT USAGE ON SCHEMA public TO {{runtime}};"
             "GRANT SELECT ON public.leads TO {runtime};",
             "DROP TABLE public.leads; REVOKE USAGE ON SCHEMA public FROM {runtime};", "public", attackable=True),
    Mutation("schema-beside", "A schema that Rowhouse does not know holds rows and is granted.", "database",
             f"CREATE SCHEMA attic; CREATE TABLE attic.leads AS SELECT * FROM {LEADS}; GRANT USAGE ON SCHEMA attic TO {{runtime}};"
             "GRANT SELECT ON attic.leads TO {runtime};", "DROP SCHEMA attic CASCADE;", "attic"),
    Mutation("table-unlogged", "A crash empties a table.", "schema",
             "ALTER TABLE {schema}.activities SET UNLOGGED;", "ALTER TABLE {schema}.activities SET LOGGED;", "activities"),
]

MUTATIONS = VIEWS + PARTITIONS + FUNCTIONS + SIDE_EFFECTS
