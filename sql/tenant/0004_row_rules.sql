-- Which rows of a table a user reaches who does not reach all of the tenant's: what the manifest declares, for each
-- schema of a pack. It is kept here, beside the migrations that ran, because everything that has to know it works in this
-- database: what makes the policies, what checks them, and what asks in one query which of ten thousand schemas still
-- follow the rules of an earlier version. The linter compares it with the manifest.
SET LOCAL ROLE tenant_owner;

CREATE TABLE rowhouse.row_rules (
  schema_name text PRIMARY KEY,
  rules jsonb NOT NULL CHECK (jsonb_typeof(rules) = 'array')
);
COMMENT ON TABLE rowhouse.row_rules IS 'Row rules by role of the pack in each schema of this database; no row: none. Not for the runtime role.';
COMMENT ON COLUMN rowhouse.row_rules.rules IS
  'Array of {relation, owners} or {relation, through, parent}, each with or without creator, by relation.';

RESET ROLE;
