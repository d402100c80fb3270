-- Objects (files) of tenants: the index of what is in the tenant's object store, exact to the byte. The bytes are in the
-- store, below KEY~VERSION: every version has a name of its own there, so a reader of the index never sees half an object.
--
-- A write reserves its bytes in object_usage before it stores the first one and gives back what it did not need, each in one
-- statement: bytes of object_usage = sum of objects.bytes + sum of object_writes.reserved, at every moment. What was
-- replaced, deleted or given up is named in object_garbage until the store has forgotten it, too.

SET LOCAL ROLE tenant_owner;

CREATE TABLE rowhouse.objects (
  tenant_id uuid NOT NULL DEFAULT rowhouse.tenant_id(),
  key text COLLATE "C" NOT NULL CHECK (octet_length(key) BETWEEN 1 AND 768),
  version text COLLATE "C" NOT NULL CHECK (octet_length(version) = 22),
  bytes bigint NOT NULL CHECK (bytes >= 0),
  sha256 bytea CHECK (octet_length(sha256) = 32),
  content_type text NOT NULL CHECK (octet_length(content_type) BETWEEN 1 AND 255),
  modified timestamptz NOT NULL DEFAULT now(),
  replaced text,
  replaced_bytes bigint,
  PRIMARY KEY (tenant_id, key)
);
COMMENT ON TABLE rowhouse.objects IS 'Objects of the tenant, by key; their bytes are in its object store below KEY~VERSION.';
COMMENT ON COLUMN rowhouse.objects.sha256 IS 'Of the content; null if it came in parts and nobody said it.';
COMMENT ON COLUMN rowhouse.objects.replaced IS
  'Version that this one took the place of; here so that the statement that replaces learns which one that was.';

CREATE TABLE rowhouse.object_writes (
  tenant_id uuid NOT NULL DEFAULT rowhouse.tenant_id(),
  id text COLLATE "C" NOT NULL CHECK (octet_length(id) = 22),
  key text COLLATE "C" NOT NULL CHECK (octet_length(key) BETWEEN 1 AND 768),
  reserved bigint NOT NULL CHECK (reserved >= 0),
  upload text CHECK (octet_length(upload) BETWEEN 1 AND 4096),
  declared bigint CHECK (declared >= 0),
  sha256 bytea CHECK (octet_length(sha256) = 32),
  content_type text NOT NULL CHECK (octet_length(content_type) BETWEEN 1 AND 255),
  resumable boolean NOT NULL DEFAULT false,
  started timestamptz NOT NULL DEFAULT now(),
  lease_until timestamptz NOT NULL CHECK (lease_until > started),
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE rowhouse.object_writes IS 'Objects that are being written; the id becomes the version. One whose lease has ended is given up.';
COMMENT ON COLUMN rowhouse.object_writes.reserved IS 'Bytes of object_usage that are kept for it.';
COMMENT ON COLUMN rowhouse.object_writes.upload IS 'Name of an upload in parts at the store; null: in one piece.';
COMMENT ON COLUMN rowhouse.object_writes.resumable IS 'Sent by the client part by part, in requests of their own.';
CREATE INDEX object_writes_by_lease ON rowhouse.object_writes (tenant_id, lease_until);

CREATE TABLE rowhouse.object_parts (
  tenant_id uuid NOT NULL DEFAULT rowhouse.tenant_id(),
  write_id text COLLATE "C" NOT NULL,
  number integer NOT NULL CHECK (number BETWEEN 1 AND 10000),
  bytes bigint NOT NULL CHECK (bytes >= 0),
  etag text,
  sha256 bytea CHECK (octet_length(sha256) = 32),
  PRIMARY KEY (tenant_id, write_id, number)
);
COMMENT ON TABLE rowhouse.object_parts IS 'Parts of resumable uploads; no etag: not there yet, only reserved.';

CREATE TABLE rowhouse.object_garbage (
  tenant_id uuid NOT NULL DEFAULT rowhouse.tenant_id(),
  store_key text COLLATE "C" NOT NULL CHECK (octet_length(store_key) BETWEEN 1 AND 800),
  upload text CHECK (octet_length(upload) BETWEEN 1 AND 4096),
  due timestamptz NOT NULL DEFAULT now(),
  again_at timestamptz,
  PRIMARY KEY (tenant_id, store_key)
);
COMMENT ON TABLE rowhouse.object_garbage IS 'What the store has to forget: replaced, deleted and given-up versions.';
COMMENT ON COLUMN rowhouse.object_garbage.again_at IS
  'Removed once more then: whoever wrote a version that was given up may have ended it after the first removal.';
CREATE INDEX object_garbage_by_due ON rowhouse.object_garbage (tenant_id, due);

CREATE TABLE rowhouse.object_usage (
  tenant_id uuid NOT NULL DEFAULT rowhouse.tenant_id(),
  bytes bigint NOT NULL CHECK (bytes >= 0),
  objects bigint NOT NULL CHECK (objects >= 0),
  PRIMARY KEY (tenant_id)
);
COMMENT ON TABLE rowhouse.object_usage IS 'What counts against the plan: objects that are there, and what is reserved for those being written.';

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['objects', 'object_writes', 'object_parts', 'object_garbage', 'object_usage'] LOOP
    EXECUTE format('ALTER TABLE rowhouse.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE rowhouse.%I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY rowhouse_tenant ON rowhouse.%I AS PERMISSIVE FOR ALL TO PUBLIC'
      ' USING (tenant_id = (SELECT rowhouse.tenant_id())) WITH CHECK (tenant_id = (SELECT rowhouse.tenant_id()))', name);
    EXECUTE format('CREATE POLICY rowhouse_wall ON rowhouse.%I AS RESTRICTIVE FOR ALL TO PUBLIC'
      ' USING (tenant_id = (SELECT rowhouse.tenant_id())) WITH CHECK (tenant_id = (SELECT rowhouse.tenant_id()))', name);
  END LOOP;
END $$;

-- As in 0003, with the new tables. Nobody but the column's default says whose a row is.
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
    'GRANT SELECT, DELETE, INSERT (key, version, bytes, sha256, content_type, modified, replaced, replaced_bytes),'
    ' UPDATE (version, bytes, sha256, content_type, modified, replaced, replaced_bytes) ON rowhouse.objects TO %I', runtime_role);
  EXECUTE pg_catalog.format(
    'GRANT SELECT, DELETE,'
    ' INSERT (id, key, reserved, upload, declared, sha256, content_type, resumable, started, lease_until),'
    ' UPDATE (reserved, upload, lease_until) ON rowhouse.object_writes TO %I', runtime_role);
  EXECUTE pg_catalog.format(
    'GRANT SELECT, DELETE, INSERT (write_id, number, bytes, etag, sha256), UPDATE (bytes, etag, sha256)'
    ' ON rowhouse.object_parts TO %I', runtime_role);
  EXECUTE pg_catalog.format(
    'GRANT SELECT, DELETE, INSERT (store_key, upload, due, again_at), UPDATE (due, again_at)'
    ' ON rowhouse.object_garbage TO %I', runtime_role);
  EXECUTE pg_catalog.format(
    'GRANT SELECT, INSERT (bytes, objects), UPDATE (bytes, objects) ON rowhouse.object_usage TO %I', runtime_role);
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
