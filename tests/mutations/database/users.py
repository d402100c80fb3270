"""Row rules by role: what keeps the users of one tenant out of each other's rows."""

from mutation import Mutation

LEADS, ACTIVITIES = "{schema}.leads", "{schema}.activities"
NOT_OWN_ROWS = "COALESCE((SELECT rowhouse.principal_role()), 0) <> 1"
OWNERS = f"{NOT_OWN_ROWS} OR (SELECT rowhouse.principal_id()) = ANY (ARRAY[assigned_to, created_by])"
PARENT = (f"{NOT_OWN_ROWS} OR EXISTS (SELECT FROM {{}}.leads rowhouse_parent WHERE rowhouse_parent.tenant_id = activities.tenant_id"
          " AND rowhouse_parent.id = activities.lead_id)")
THROUGH, THROUGH_ELSEWHERE = PARENT.format("{schema}"), PARENT.format("{elsewhere}")
CREATOR = "CASE WHEN rowhouse.principal_role() > 0 THEN rowhouse.principal_id() END"
RULES = "rowhouse.row_rules"


def make(table, condition, kind="RESTRICTIVE", rest="FOR ALL TO PUBLIC", check=None):
    """CREATE POLICY rowhouse_role; without further arguments as Rowhouse does."""
    return (f"CREATE POLICY rowhouse_role ON {table} AS {kind} {rest} USING ({condition})"
            + ("" if check == "" else f" WITH CHECK ({check or condition})") + ";")


def drop(table):
    return f"DROP POLICY rowhouse_role ON {table};"


def remade(table, condition, **options):
    """(sql, undo) of the policy made in another way."""
    right = OWNERS if table == LEADS else THROUGH
    return drop(table) + make(table, condition, **options), drop(table) + make(table, right)


MUTATIONS = [
    Mutation("row-rule-dropped", "Every user sees all leads of their tenant.", "pool",
             drop(LEADS), make(LEADS, OWNERS), "row-rule-missing leads", attackable=True),
    Mutation("row-rule-dropped-in-schema", "The same in a tenant's own schema, for activities.", "schema",
             drop(ACTIVITIES), make(ACTIVITIES, THROUGH), "row-rule-missing activities"),
    Mutation("row-rule-dropped-in-template", "Tenants to come get leads without the rule.", "template",
             drop(LEADS), make(LEADS, OWNERS), "row-rule-missing leads"),
    Mutation("row-rule-true", "The rule lets every user in.", "database", *remade(LEADS, "true"), "row-rule-changed leads"),
    Mutation("row-rule-check-true", "Users may give rows away, and enter them for others.", "pool",
             *remade(LEADS, OWNERS, check="true"), "row-rule-changed leads", attackable=True),
    Mutation("row-rule-without-check", "The rule has no WITH CHECK of its own.", "pool",
             *remade(LEADS, OWNERS, check=""), "row-rule-changed leads"),
    Mutation("row-rule-for-select", "The rule holds for reading alone.", "schema",
             *remade(LEADS, OWNERS, rest="FOR SELECT TO PUBLIC", check=""), "row-rule-changed leads"),
    Mutation("row-rule-for-one-role", "The rule holds for another role alone.", "pool",
             *remade(ACTIVITIES, THROUGH, rest="FOR ALL TO backup_service"), "rowhouse_role", attackable=True),
    Mutation("row-rule-permissive", "The rule is permissive: it lets rows in in place of keeping them out.", "pool",
             *remade(LEADS, OWNERS, kind="PERMISSIVE"), "rowhouse_role", attackable=True),
    Mutation("row-rule-of-other-role", "The rule is about a role that nobody has.", "database",
             *remade(LEADS, OWNERS.replace("<> 1", "<> 7")), "row-rule-changed leads"),
    Mutation("row-rule-with-one-owner", "The rule has lost an owner.", "pool",
             *remade(LEADS, OWNERS.replace("assigned_to, ", "")), "row-rule-changed leads"),
    Mutation("row-rule-through-elsewhere", "The rule of activities asks the leads of another schema.", "schema",
             *remade(ACTIVITIES, THROUGH_ELSEWHERE), "row-rule-changed activities"),
    Mutation("row-rule-any-parent", "A lead of the user's opens all activities.", "pool",
             *remade(ACTIVITIES, THROUGH.replace(" AND rowhouse_parent.id = activities.lead_id", "")), "row-rule-changed activities"),
    Mutation("row-rule-undeclared", "A rule that nobody declared hides rows.", "schema",
             "SET ROLE tenant_owner; CREATE TABLE {schema}.notes (tenant_id uuid NOT NULL DEFAULT rowhouse.tenant_id(), id uuid,"
             " PRIMARY KEY (tenant_id, id));" + make("{schema}.notes", NOT_OWN_ROWS),
             "DROP TABLE {schema}.notes;", "row-rule-changed notes"),
    Mutation("creator-without-default", "What users enter belongs to nobody.", "pool",
             f"ALTER TABLE {LEADS} ALTER COLUMN created_by DROP DEFAULT;",
             f"ALTER TABLE {LEADS} ALTER COLUMN created_by SET DEFAULT {CREATOR};", "row-rule-default leads.created_by"),
    Mutation("creator-of-another-column", "What users enter is assigned to them, which nobody declared.", "database",
             f"ALTER TABLE {LEADS} ALTER COLUMN assigned_to SET DEFAULT {CREATOR};",
             f"ALTER TABLE {LEADS} ALTER COLUMN assigned_to DROP DEFAULT;", "row-rule-default leads.assigned_to"),
    Mutation("row-rules-forgotten", "The rule is gone, and with it what says that there is one.", "pool",
             drop(LEADS) + drop(ACTIVITIES)
             + "".join(f"ALTER TABLE {table} ALTER COLUMN created_by DROP DEFAULT;" for table in (LEADS, ACTIVITIES))
             + f"DELETE FROM {RULES} WHERE schema_name = '{{schema}}';",
             f"INSERT INTO {RULES} VALUES ('{{schema}}', '{{saved}}');" + make(LEADS, OWNERS) + make(ACTIVITIES, THROUGH)
             + "".join(f"ALTER TABLE {table} ALTER COLUMN created_by SET DEFAULT {CREATOR};" for table in (LEADS, ACTIVITIES)),
             "row-rules-stale", saves=f"SELECT rules::text FROM {RULES} WHERE schema_name = 'app'"),
    Mutation("row-rules-writable", "The runtime role may change what is written down of the rules.", "pool",
             f"GRANT UPDATE ON {RULES} TO {{runtime}};", f"REVOKE UPDATE ON {RULES} FROM {{runtime}};", "row_rules"),
    Mutation("principal-role-constant", "Every user counts as one who reaches all rows.", "pool",
             "CREATE OR REPLACE FUNCTION rowhouse.principal_role() RETURNS integer LANGUAGE sql STABLE PARALLEL RESTRICTED RETURN 2;",
             "{saved};", "principal_role", saves="SELECT pg_get_functiondef('rowhouse.principal_role()'::regprocedure)", attackable=True),
]
