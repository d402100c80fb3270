-- Signed tenant contexts in C (guard/rowhouse_guard.c), for servers that find the module in their
-- dynamic_library_path. Run by a superuser in one transaction, after sql/tenant; may run again, and over the other one.
-- If the module cannot be loaded, the first CREATE fails and nothing has changed.

SET LOCAL client_min_messages = warning;
SET LOCAL search_path = '';

-- A dump leaves these out, so after a restore they are missing. The sequence is for portable.sql.
SET LOCAL ROLE tenant_owner;
CREATE TABLE IF NOT EXISTS rowhouse.context_keys (
  id integer PRIMARY KEY CHECK (id > 0),
  key bytea NOT NULL CHECK (octet_length(key) = 64),
  added_at timestamptz NOT NULL DEFAULT now()
);
CREATE SEQUENCE IF NOT EXISTS rowhouse.context_number CACHE 1048576;
REVOKE ALL ON rowhouse.context_keys, rowhouse.context_number FROM PUBLIC, backup_service;
RESET ROLE;

CREATE OR REPLACE FUNCTION rowhouse.tenant_id() RETURNS uuid
LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY INVOKER AS 'rowhouse_guard', 'rowhouse_tenant_id';

CREATE OR REPLACE FUNCTION rowhouse.principal_id() RETURNS uuid
LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY INVOKER AS 'rowhouse_guard', 'rowhouse_principal_id';

CREATE OR REPLACE FUNCTION rowhouse.principal_role() RETURNS integer
LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY INVOKER AS 'rowhouse_guard', 'rowhouse_principal_role';

CREATE OR REPLACE FUNCTION rowhouse.context_number() RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY INVOKER AS 'rowhouse_guard', 'rowhouse_context_number';

CREATE OR REPLACE FUNCTION rowhouse.set_context(key_id integer, claims text, expires_at timestamptz, mac bytea) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY INVOKER AS 'rowhouse_guard', 'rowhouse_set_next_context';

-- Every backend forgets the keys it has read when a change of them commits; also under session_replication_role = replica.
CREATE OR REPLACE FUNCTION rowhouse.context_keys_changed() RETURNS trigger
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY INVOKER AS 'rowhouse_guard', 'rowhouse_context_keys_changed';
COMMENT ON FUNCTION rowhouse.context_keys_changed() IS 'Makes every backend read the keys of contexts anew.';
CREATE OR REPLACE TRIGGER context_keys_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON rowhouse.context_keys
  FOR EACH STATEMENT EXECUTE FUNCTION rowhouse.context_keys_changed();
ALTER TABLE rowhouse.context_keys ENABLE ALWAYS TRIGGER context_keys_changed;

ALTER FUNCTION rowhouse.tenant_id() OWNER TO tenant_owner;
ALTER FUNCTION rowhouse.principal_id() OWNER TO tenant_owner;
ALTER FUNCTION rowhouse.principal_role() OWNER TO tenant_owner;
ALTER FUNCTION rowhouse.context_number() OWNER TO tenant_owner;
ALTER FUNCTION rowhouse.set_context(integer, text, timestamptz, bytea) OWNER TO tenant_owner;
ALTER FUNCTION rowhouse.context_keys_changed() OWNER TO tenant_owner;
REVOKE ALL ON FUNCTION rowhouse.tenant_id(), rowhouse.principal_id(), rowhouse.principal_role(),
  rowhouse.context_number(), rowhouse.set_context(integer, text, timestamptz, bytea),
  rowhouse.context_keys_changed() FROM PUBLIC;
