-- Contexts are numbered one after the other within a session, beginning where the session's own numbers begin: whoever
-- signs asks for that once. The number is no longer said, only signed, so one comparison settles signature, session and
-- turn. (0002 let the signer count from 1, and took any number above the last.)

SET LOCAL ROLE tenant_owner;

-- 1. For sql/guard/portable.sql. CACHE gives every session a range of its own, of which it takes numbers without touching
-- what sessions share. (PostgreSQL counts the range through when it is taken: a million takes a millisecond.) NO CYCLE
-- and a log make sure that no number is ever given out twice, not even after a crash.
ALTER SEQUENCE rowhouse.context_number CACHE 1048576 NO CYCLE;
ALTER SEQUENCE rowhouse.context_number SET LOGGED;
COMMENT ON SEQUENCE rowhouse.context_number IS 'Numbers of contexts; each session takes a range of them.';

-- 2. Stubs with the names, arguments and grants that both implementations keep.
CREATE FUNCTION rowhouse.context_number() RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = '' AS $$
BEGIN
  RAISE EXCEPTION 'no tenant context can be set in this database yet' USING ERRCODE = '55000',
    HINT = 'A Rowhouse server installs the check of contexts when it starts.';
END $$;
COMMENT ON FUNCTION rowhouse.context_number() IS
  'Takes the next number of this session; its next context has to be signed with the one after it.';

DROP FUNCTION rowhouse.set_context(integer, text, bigint, bigint, bytea);
CREATE FUNCTION rowhouse.set_context(key_id integer, claims text, expires_at timestamptz, mac bytea) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = '' AS $$
BEGIN
  RAISE EXCEPTION 'no tenant context can be set in this database yet' USING ERRCODE = '55000',
    HINT = 'A Rowhouse server installs the check of contexts when it starts.';
END $$;
COMMENT ON FUNCTION rowhouse.set_context(integer, text, timestamptz, bytea) IS
  'Sets the tenant of this transaction, proven by a signature over all arguments, this backend and its next number.';

-- 3. As in 0002, with the new functions.
CREATE OR REPLACE FUNCTION rowhouse.grant_runtime(runtime_role name) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA rowhouse TO %I', runtime_role);
  EXECUTE pg_catalog.format(
    'GRANT EXECUTE ON FUNCTION rowhouse.tenant_id(), rowhouse.principal_id(), rowhouse.principal_role(),'
    ' rowhouse.context_number(), rowhouse.set_context(integer, text, timestamptz, bytea) TO %I', runtime_role);
  EXECUTE pg_catalog.format(
    'GRANT SELECT, DELETE, INSERT (key, fingerprint, status, headers, response, created_at),'
    ' UPDATE (fingerprint, status, headers, response, created_at) ON rowhouse.idempotency_keys TO %I', runtime_role);
END $$;

-- 4. Runtime roles that exist already: whoever else may ask for the tenant.
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
