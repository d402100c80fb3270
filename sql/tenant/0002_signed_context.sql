-- The tenant context is signed: the server proves for each transaction in whose name it runs, and a setting proves
-- nothing any more. Until one of sql/guard/*.sql has run here, nobody is anybody: no rows, no writes.

SET LOCAL ROLE tenant_owner;

-- 1. The keys that contexts are checked with. Nobody but the owner: not the backup either, so a dump holds none, and
-- pg_dump must be told to leave them out (guard/README.md). They are derived from the master key, never lost with it.
CREATE TABLE rowhouse.context_keys (
  id integer PRIMARY KEY CHECK (id > 0),
  key bytea NOT NULL CHECK (octet_length(key) = 64),
  added_at timestamptz NOT NULL DEFAULT now()
);
REVOKE ALL ON rowhouse.context_keys FROM PUBLIC, backup_service;
COMMENT ON TABLE rowhouse.context_keys IS 'Keys of signed tenant contexts, by generation. For the functions of this schema alone.';

-- 2. What sql/guard/portable.sql remembers of a session: the number of its last context, in the session's own currval.
-- Unlogged: what one session says to itself is not worth a write to the log.
CREATE UNLOGGED SEQUENCE rowhouse.context_number;
REVOKE ALL ON SEQUENCE rowhouse.context_number FROM PUBLIC, backup_service;
COMMENT ON SEQUENCE rowhouse.context_number IS 'Number of the last context of a session, in its currval.';

-- 3. Stubs with the names, arguments and grants that both implementations keep.
CREATE OR REPLACE FUNCTION rowhouse.tenant_id() RETURNS uuid
LANGUAGE sql STABLE PARALLEL RESTRICTED
RETURN NULL::pg_catalog.uuid;

CREATE FUNCTION rowhouse.principal_id() RETURNS uuid
LANGUAGE sql STABLE PARALLEL RESTRICTED
RETURN NULL::pg_catalog.uuid;
COMMENT ON FUNCTION rowhouse.principal_id() IS 'Who works in this transaction, or null without a context.';

CREATE FUNCTION rowhouse.principal_role() RETURNS integer
LANGUAGE sql STABLE PARALLEL RESTRICTED
RETURN NULL::pg_catalog.int4;
COMMENT ON FUNCTION rowhouse.principal_role() IS 'What the principal may do, or null without a context.';

CREATE FUNCTION rowhouse.set_context(key_id integer, claims text, expires_at bigint, number bigint, mac bytea) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = '' AS $$
BEGIN
  RAISE EXCEPTION 'no tenant context can be set in this database yet' USING ERRCODE = '55000',
    HINT = 'A Rowhouse server installs the check of contexts when it starts.';
END $$;
COMMENT ON FUNCTION rowhouse.set_context(integer, text, bigint, bigint, bytea) IS
  'Sets the tenant of this transaction, proven by a signature over all arguments and this backend.';

-- 4. As in 0001, with the new functions.
CREATE OR REPLACE FUNCTION rowhouse.grant_runtime(runtime_role name) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA rowhouse TO %I', runtime_role);
  EXECUTE pg_catalog.format(
    'GRANT EXECUTE ON FUNCTION rowhouse.tenant_id(), rowhouse.principal_id(), rowhouse.principal_role(),'
    ' rowhouse.set_context(integer, text, bigint, bigint, bytea) TO %I', runtime_role);
  EXECUTE pg_catalog.format(
    'GRANT SELECT, DELETE, INSERT (key, fingerprint, status, headers, response, created_at),'
    ' UPDATE (fingerprint, status, headers, response, created_at) ON rowhouse.idempotency_keys TO %I', runtime_role);
END $$;

-- 5. Runtime roles that exist already: whoever else may ask for the tenant.
DO $$
DECLARE
  runtime_role name;
BEGIN
  FOR runtime_role IN
    SELECT r.rolname
    FROM pg_catalog.pg_proc f
      CROSS JOIN LATERAL pg_catalog.aclexplode(f.proacl) x
      JOIN pg_catalog.pg_roles r ON r.oid = x.grantee
    WHERE f.oid = 'rowhouse.tenant_id()'::regprocedure AND x.privilege_type = 'EXECUTE' AND x.grantee <> f.proowner
      AND r.rolname <> 'backup_service'
  LOOP
    PERFORM rowhouse.grant_runtime(runtime_role);
  END LOOP;
END $$;

RESET ROLE;
