-- In which of the tenant's object stores something is: a number of platform.tenant_storage_configs. Moving to another
-- store copies the bytes of each object, then changes the number in its row.
--
-- object_usage.store is a fence: a write that begins for a store below it is refused, so that a worker which has not
-- heard of a move cannot put anything into the store that is being left.

SET LOCAL ROLE tenant_owner;

ALTER TABLE rowhouse.objects
  ADD COLUMN store integer NOT NULL DEFAULT 1 CHECK (store > 0),
  ADD COLUMN replaced_store integer;
COMMENT ON COLUMN rowhouse.objects.store IS 'Where the bytes of this version are.';
COMMENT ON COLUMN rowhouse.objects.replaced_store IS 'Where those of the version were that it took the place of.';

ALTER TABLE rowhouse.object_writes ADD COLUMN store integer NOT NULL DEFAULT 1 CHECK (store > 0);
COMMENT ON COLUMN rowhouse.object_writes.store IS 'Where it is written to.';

ALTER TABLE rowhouse.object_garbage
  ADD COLUMN store integer NOT NULL DEFAULT 1 CHECK (store > 0),
  DROP CONSTRAINT object_garbage_pkey,
  ADD CONSTRAINT object_garbage_pkey PRIMARY KEY (tenant_id, store, store_key);
COMMENT ON COLUMN rowhouse.object_garbage.due IS
  'infinity: a move decides. In the store that it goes to, what is being copied; in the one that it comes from, what was.';

ALTER TABLE rowhouse.object_usage ADD COLUMN store integer NOT NULL DEFAULT 1 CHECK (store > 0);
COMMENT ON COLUMN rowhouse.object_usage.store IS 'Writes to stores below this number are refused.';

-- As in 0005, with the new columns. Nobody but the column's default says whose a row is.
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
  EXECUTE pg_catalog.format(
    'GRANT SELECT, DELETE, INSERT (key, version, bytes, sha256, content_type, modified, replaced, replaced_bytes,'
    ' store, replaced_store), UPDATE (version, bytes, sha256, content_type, modified, replaced, replaced_bytes, store,'
    ' replaced_store) ON rowhouse.objects TO %I', runtime_role);
  EXECUTE pg_catalog.format(
    'GRANT SELECT, DELETE,'
    ' INSERT (id, key, reserved, upload, declared, sha256, content_type, resumable, started, lease_until, store),'
    ' UPDATE (reserved, upload, lease_until) ON rowhouse.object_writes TO %I', runtime_role);
  EXECUTE pg_catalog.format(
    'GRANT SELECT, DELETE, INSERT (write_id, number, bytes, etag, sha256), UPDATE (bytes, etag, sha256)'
    ' ON rowhouse.object_parts TO %I', runtime_role);
  EXECUTE pg_catalog.format(
    'GRANT SELECT, DELETE, INSERT (store_key, upload, due, again_at, store), UPDATE (upload, due, again_at)'
    ' ON rowhouse.object_garbage TO %I', runtime_role);
  EXECUTE pg_catalog.format(
    'GRANT SELECT, INSERT (bytes, objects, store), UPDATE (bytes, objects, store) ON rowhouse.object_usage TO %I', runtime_role);
END $$;

-- Runtime roles that exist already: whoever else may ask for the tenant.
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
