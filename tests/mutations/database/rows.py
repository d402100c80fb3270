"""Tables: row security, policies, the column tenant_id, keys, and what differs between tenants of one pack."""

from mutation import Mutation, policy, replaced

LEADS, ACTIVITIES = "{schema}.leads", "{schema}.activities"
OUR_POLICIES = policy("rowhouse_tenant", LEADS) + policy("rowhouse_wall", LEADS)
DROP_POLICIES = f"DROP POLICY rowhouse_tenant ON {LEADS}; DROP POLICY rowhouse_wall ON {LEADS};"


def both(using, check):
    """Both policies of leads, changed in the same way."""
    return "".join(f"ALTER POLICY {name} ON {LEADS} USING ({using}) WITH CHECK ({check});"
                   for name in ("rowhouse_tenant", "rowhouse_wall"))


ROW_SECURITY = [
    Mutation("row-security-off", "Row security of a table is disabled.", "pool",
             f"ALTER TABLE {LEADS} DISABLE ROW LEVEL SECURITY;", f"ALTER TABLE {LEADS} ENABLE ROW LEVEL SECURITY;",
             "leads", attackable=True),
    Mutation("row-security-off-in-template", "Tenants to come get a table without row security.", "template",
             f"ALTER TABLE {LEADS} DISABLE ROW LEVEL SECURITY;", f"ALTER TABLE {LEADS} ENABLE ROW LEVEL SECURITY;", "leads"),
    Mutation("row-security-not-forced", "Row security does not hold for the table's owner.", "database",
             f"ALTER TABLE {LEADS} NO FORCE ROW LEVEL SECURITY;", f"ALTER TABLE {LEADS} FORCE ROW LEVEL SECURITY;", "leads"),
    Mutation("row-security-off-on-partition", "Row security of a partition is disabled.", "partitions",
             "ALTER TABLE {schema}.poll_results_p3 DISABLE ROW LEVEL SECURITY;",
             "ALTER TABLE {schema}.poll_results_p3 ENABLE ROW LEVEL SECURITY;", "poll_results_p3"),
    Mutation("policy-dropped", "The policy that lets tenants see their rows is gone.", "pool",
             f"DROP POLICY rowhouse_tenant ON {LEADS};", policy("rowhouse_tenant", LEADS), "leads", attackable=True),
    Mutation("wall-dropped", "The restrictive policy is gone.", "schema",
             f"DROP POLICY rowhouse_wall ON {LEADS};", policy("rowhouse_wall", LEADS), "leads"),
    Mutation("policy-for-everybody", "A further permissive policy lets everybody in; the wall alone holds.", "database",
             policy("everybody", LEADS, using="true", check="true"), f"DROP POLICY everybody ON {LEADS};", "everybody"),
    Mutation("policy-instead-of-wall", "The wall is gone and a permissive policy lets everybody in.", "pool",
             f"DROP POLICY rowhouse_wall ON {LEADS};" + policy("everybody", LEADS, using="true", check="true"),
             f"DROP POLICY everybody ON {LEADS};" + policy("rowhouse_wall", LEADS), "policy-permissive leads",
             attackable=True),
    Mutation("wall-for-one-role", "The wall holds for one role alone.", "pool",
             *replaced("rowhouse_wall", LEADS, rest="FOR ALL TO {runtime}"), "rowhouse_wall"),
    Mutation("wall-for-select-only", "The wall holds for reading alone.", "schema",
             *replaced("rowhouse_wall", LEADS, rest="FOR SELECT TO PUBLIC", check=""), "rowhouse_wall"),
    Mutation("wall-permissive", "The wall is permissive, so that any other policy opens it.", "database",
             *replaced("rowhouse_wall", LEADS, kind="PERMISSIVE"), "rowhouse_wall"),
    Mutation("policies-true", "Both policies let everybody in.", "pool",
             both("true", "true"), DROP_POLICIES + OUR_POLICIES, "leads", attackable=True),
    Mutation("policies-true-in-schema", "Both policies of a tenant's own schema let everybody in.", "schema",
             both("true", "true"), DROP_POLICIES + OUR_POLICIES, "leads"),
    Mutation("with-check-true", "Rows may be written in the name of any tenant.", "pool",
             both("tenant_id = (SELECT rowhouse.tenant_id())", "true"), DROP_POLICIES + OUR_POLICIES, "leads"),
    Mutation("with-check-missing", "The wall has no WITH CHECK of its own.", "pool",
             *replaced("rowhouse_wall", LEADS, check=""), "rowhouse_wall"),
    Mutation("policy-with-or", "The policies let in one tenant's rows for everybody.", "pool",
             both("tenant_id = (SELECT rowhouse.tenant_id()) OR status = 'WON'", "tenant_id = (SELECT rowhouse.tenant_id())"),
             DROP_POLICIES + OUR_POLICIES, "leads", attackable=True),
    Mutation("policy-reads-setting", "The policies believe a setting that every session can change.", "pool",
             both("tenant_id = pg_catalog.current_setting('app.tenant', true)::uuid OR tenant_id = (SELECT rowhouse.tenant_id())",
                  "tenant_id = (SELECT rowhouse.tenant_id())"), DROP_POLICIES + OUR_POLICIES, "leads"),
    Mutation("policy-with-own-operator", "The policies compare with an operator that always says yes.", "pool",
             "CREATE FUNCTION {schema}.always(uuid, uuid) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN true;"
             "ALTER FUNCTION {schema}.always(uuid, uuid) OWNER TO tenant_owner;"
             "REVOKE ALL ON FUNCTION {schema}.always(uuid, uuid) FROM PUBLIC;"
             "GRANT EXECUTE ON FUNCTION {schema}.always(uuid, uuid) TO {runtime};"
             "CREATE OPERATOR {schema}.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = {schema}.always);"
             "ALTER OPERATOR {schema}.= (uuid, uuid) OWNER TO tenant_owner;"
             + both("tenant_id OPERATOR({schema}.=) (SELECT rowhouse.tenant_id())",
                    "tenant_id = (SELECT rowhouse.tenant_id())"),
             DROP_POLICIES + OUR_POLICIES + "DROP OPERATOR {schema}.= (uuid, uuid); DROP FUNCTION {schema}.always(uuid, uuid);",
             "leads", attackable=True),
    Mutation("policy-on-partition", "A partition has a policy of its own.", "partitions",
             policy("direct", "{schema}.poll_results_p1", using="true", check="true"),
             "DROP POLICY direct ON {schema}.poll_results_p1;", "poll_results_p1"),
]

COLUMNS = [
    Mutation("tenant-id-without-default", "New rows do not get the tenant of their transaction.", "pool",
             f"ALTER TABLE {LEADS} ALTER COLUMN tenant_id DROP DEFAULT;",
             f"ALTER TABLE {LEADS} ALTER COLUMN tenant_id SET DEFAULT rowhouse.tenant_id();", "leads", attackable=True),
    Mutation("tenant-id-with-other-default", "New rows get a constant as their tenant.", "schema",
             f"ALTER TABLE {LEADS} ALTER COLUMN tenant_id SET DEFAULT '00000000-0000-7000-8000-000000000001';",
             f"ALTER TABLE {LEADS} ALTER COLUMN tenant_id SET DEFAULT rowhouse.tenant_id();", "leads"),
    Mutation("tenant-id-nullable", "Rows may belong to nobody.", "pool",
             f"ALTER TABLE {ACTIVITIES} DROP CONSTRAINT activities_pkey, ALTER COLUMN tenant_id DROP NOT NULL,"
             " ADD CONSTRAINT activities_pkey UNIQUE (tenant_id, id);",
             f"ALTER TABLE {ACTIVITIES} DROP CONSTRAINT activities_pkey, ALTER COLUMN tenant_id SET NOT NULL,"
             " ADD CONSTRAINT activities_pkey PRIMARY KEY (tenant_id, id);", "tenant-id-nullable activities"),
    Mutation("table-without-tenant-id", "A table holds rows of which nobody knows whose they are.", "pool",
             "SET ROLE tenant_owner; CREATE TABLE {schema}.notes (id integer PRIMARY KEY, text text);"
             "GRANT SELECT, INSERT ON {schema}.notes TO {runtime};", "DROP TABLE {schema}.notes;", "tenant-id-missing notes",
             attackable=True),
    Mutation("unprotected-table", "A table of tenants' rows was made by hand and granted, without row security.", "pool",
             "SET ROLE tenant_owner; CREATE TABLE {schema}.notes (tenant_id uuid NOT NULL DEFAULT rowhouse.tenant_id(),"
             " id uuid NOT NULL DEFAULT gen_random_uuid(), text text, PRIMARY KEY (tenant_id, id));"
             "GRANT SELECT, INSERT, DELETE ON {schema}.notes TO {runtime};", "DROP TABLE {schema}.notes;",
             "row-security-off notes", attackable=True),
]

KEYS = [
    Mutation("primary-key-without-tenant", "Tenants share one space of identifiers.", "pool",
             f"ALTER TABLE {ACTIVITIES} DROP CONSTRAINT activities_pkey, ADD CONSTRAINT activities_pkey PRIMARY KEY (id);",
             f"ALTER TABLE {ACTIVITIES} DROP CONSTRAINT activities_pkey, ADD CONSTRAINT activities_pkey PRIMARY KEY (tenant_id, id);",
             "activities", attackable=True),
    Mutation("unique-without-tenant", "A unique index tells which values other tenants have.", "pool",
             f"SET ROLE tenant_owner; CREATE UNIQUE INDEX leads_phone ON {LEADS} (phone);", "DROP INDEX {schema}.leads_phone;",
             "leads_phone", attackable=True),
    Mutation("unique-with-tenant-last", "A unique index hangs the tenant on behind.", "schema",
             f"SET ROLE tenant_owner; CREATE UNIQUE INDEX leads_phone ON {LEADS} (phone, tenant_id);",
             "DROP INDEX {schema}.leads_phone;", "leads_phone"),
    Mutation("foreign-key-of-one-column", "A row can refer to another tenant's.", "pool",
             f"ALTER TABLE {LEADS} ADD CONSTRAINT leads_id_alone UNIQUE (id);"
             f"ALTER TABLE {ACTIVITIES} ADD CONSTRAINT activities_lead_alone FOREIGN KEY (lead_id) REFERENCES {LEADS} (id);",
             f"ALTER TABLE {ACTIVITIES} DROP CONSTRAINT activities_lead_alone; ALTER TABLE {LEADS} DROP CONSTRAINT leads_id_alone;",
             "activities_lead_alone", attackable=True),
    Mutation("foreign-key-replaced", "The foreign key that names the tenant is gone, one of a single column is there.", "database",
             f"ALTER TABLE {LEADS} ADD CONSTRAINT leads_id_alone UNIQUE (id);"
             f"ALTER TABLE {ACTIVITIES} DROP CONSTRAINT activities_lead_exists,"
             f" ADD CONSTRAINT activities_lead_exists FOREIGN KEY (lead_id) REFERENCES {LEADS} (id) ON DELETE CASCADE;",
             f"ALTER TABLE {ACTIVITIES} DROP CONSTRAINT activities_lead_exists, ADD CONSTRAINT activities_lead_exists"
             f" FOREIGN KEY (tenant_id, lead_id) REFERENCES {LEADS} (tenant_id, id) ON DELETE CASCADE;"
             f"ALTER TABLE {LEADS} DROP CONSTRAINT leads_id_alone;", "activities_lead_exists"),
    Mutation("foreign-key-to-other-schema", "A tenant's own schema refers to the shared tables.", "schema",
             f"ALTER TABLE {ACTIVITIES} ADD CONSTRAINT activities_lead_elsewhere FOREIGN KEY (tenant_id, lead_id)"
             " REFERENCES {elsewhere}.leads (tenant_id, id) NOT VALID;",
             f"ALTER TABLE {ACTIVITIES} DROP CONSTRAINT activities_lead_elsewhere;",
             "foreign-key-outside-pack activities_lead_elsewhere"),
    Mutation("foreign-key-clears-tenant", "Deleting a row takes the owner away from those that refer to it.", "pool",
             f"ALTER TABLE {ACTIVITIES} ADD CONSTRAINT activities_lead_forgotten FOREIGN KEY (tenant_id, lead_id)"
             f" REFERENCES {LEADS} (tenant_id, id) ON DELETE SET DEFAULT;",
             f"ALTER TABLE {ACTIVITIES} DROP CONSTRAINT activities_lead_forgotten;", "activities_lead_forgotten"),
    Mutation("exclusion-without-tenant", "An exclusion constraint compares rows of different tenants.", "partitions",
             "ALTER TABLE {schema}.routers ADD CONSTRAINT routers_apart EXCLUDE USING gist (address inet_ops WITH &&);",
             "ALTER TABLE {schema}.routers DROP CONSTRAINT routers_apart;", "routers_apart", attackable=True),
]

DRIFT = [
    Mutation("drift-column", "One tenant's schema has a column that its pack does not know.", "schema",
             f"SET ROLE tenant_owner; ALTER TABLE {LEADS} ADD COLUMN note text;", f"ALTER TABLE {LEADS} DROP COLUMN note;", "drift note"),
    Mutation("drift-constraint", "One tenant's database has lost a rule of its pack.", "database",
             f"ALTER TABLE {LEADS} DROP CONSTRAINT leads_value_not_negative;",
             f"ALTER TABLE {LEADS} ADD CONSTRAINT leads_value_not_negative CHECK (value >= 0);", "leads"),
    Mutation("drift-trigger", "One tenant's schema has lost a trigger of its pack.", "schema",
             f"DROP TRIGGER leads_keep_history ON {LEADS};",
             f"SET ROLE tenant_owner; CREATE TRIGGER leads_keep_history BEFORE UPDATE ON {LEADS}"
             " FOR EACH ROW EXECUTE FUNCTION {schema}.keep_lead_history();", "leads"),
    Mutation("drift-function", "One tenant's schema has another body for a function of its pack.", "schema",
             "CREATE OR REPLACE FUNCTION {schema}.keep_lead_history() RETURNS trigger LANGUAGE plpgsql SET search_path = ''"
             " AS $$BEGIN RETURN NEW; END$$;", "{saved};", "keep_lead_history",
             saves="SELECT pg_get_functiondef('{schema}.keep_lead_history()'::regprocedure)"),
    Mutation("drift-type", "One tenant's schema has another type for a column.", "schema",
             "SET ROLE tenant_owner; ALTER TABLE {schema}.activities ALTER COLUMN body TYPE varchar(30000);",
             "SET ROLE tenant_owner; ALTER TABLE {schema}.activities ALTER COLUMN body TYPE text;", "activities"),
    Mutation("index-for-order-dropped", "An order that the pack declares has no index led by tenant_id.", "pool",
             "DROP INDEX {schema}.leads_by_created;",
             f"SET ROLE tenant_owner; CREATE INDEX leads_by_created ON {LEADS} (tenant_id, created_at, id);", "leads"),
    Mutation("index-without-tenant", "The index for a declared order is not led by tenant_id.", "pool",
             f"SET ROLE tenant_owner; DROP INDEX {{schema}}.leads_by_created;"
             f"CREATE INDEX leads_by_created ON {LEADS} (created_at, id);",
             f"SET ROLE tenant_owner; DROP INDEX {{schema}}.leads_by_created;"
             f"CREATE INDEX leads_by_created ON {LEADS} (tenant_id, created_at, id);", "leads"),
]

MUTATIONS = ROW_SECURITY + COLUMNS + KEYS + DRIFT
