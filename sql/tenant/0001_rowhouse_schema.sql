-- What every database with tenant rows needs (pool databases, templates, and so their clones), before any pack.
-- Run by a superuser in that database; the roles exist already. Objects belong to tenant_owner.

-- 1. Nothing for PUBLIC. Who may connect is granted by name, by the code that makes databases.
DO $$
BEGIN
  EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
  EXECUTE format('ALTER DATABASE %I OWNER TO tenant_owner', current_database());
END $$;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
-- A statement that slipped in could otherwise run code of its own (DO).
REVOKE USAGE ON LANGUAGE plpgsql, sql FROM PUBLIC;
GRANT USAGE ON LANGUAGE plpgsql, sql TO tenant_owner;

-- 2. Ways around row security that PostgreSQL opens to everyone: locks, large objects and notifications are shared by
-- all tenants of a database; activity shows others' statements; backends of one role may end each other.
DO $$
DECLARE
  routine regprocedure;
BEGIN
  FOR routine IN
    SELECT oid::regprocedure FROM pg_catalog.pg_proc
    WHERE pronamespace = 'pg_catalog'::regnamespace
      AND (proname ~ '^pg_(try_)?advisory_' OR proname ~ '^lo_' OR proname ~ '^pg_stat_get_(activity|backend_)'
           OR proname IN ('loread', 'lowrite', 'pg_notify', 'pg_cancel_backend', 'pg_terminate_backend',
                          'pg_export_snapshot', 'pg_lock_status', 'pg_blocking_pids', 'pg_safe_snapshot_blocking_pids'))
  LOOP
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', routine);
    -- Migrations are trusted and take advisory locks.
    IF routine::text ~ '^pg_(try_)?advisory_' THEN
      EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO tenant_owner, tenant_migrator', routine);
    END IF;
  END LOOP;
END $$;
REVOKE ALL ON pg_catalog.pg_stat_activity, pg_catalog.pg_locks FROM PUBLIC;

-- 3. What tenant_owner will create: functions are for nobody until granted, rows may be read by the backup.
ALTER DEFAULT PRIVILEGES FOR ROLE tenant_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE tenant_owner GRANT USAGE ON SCHEMAS TO backup_service;
ALTER DEFAULT PRIVILEGES FOR ROLE tenant_owner GRANT SELECT ON TABLES TO backup_service;
ALTER DEFAULT PRIVILEGES FOR ROLE tenant_owner GRANT SELECT ON SEQUENCES TO backup_service;

CREATE SCHEMA rowhouse AUTHORIZATION tenant_owner;
GRANT USAGE ON SCHEMA rowhouse TO backup_service;

-- From here on as the owner.
SET LOCAL ROLE tenant_owner;
COMMENT ON SCHEMA rowhouse IS 'Kept by Rowhouse: the tenant context and records beside the pack''s tables.';

-- 4. The tenant of the current transaction, or null. After a transaction-local setting the value comes back as '' on
-- the same connection. The body is parsed now, so no search_path can redirect it later.
CREATE FUNCTION rowhouse.tenant_id() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
RETURN NULLIF(pg_catalog.current_setting('rowhouse.context', true), '')::pg_catalog.uuid;
COMMENT ON FUNCTION rowhouse.tenant_id() IS 'The tenant in whose name this transaction runs; row security compares tenant_id with it.';
GRANT EXECUTE ON FUNCTION rowhouse.tenant_id() TO backup_service;

CREATE TABLE rowhouse.pack_migrations (
  schema_name text NOT NULL,
  pack text NOT NULL,
  number integer NOT NULL CHECK (number > 0),
  name text NOT NULL,
  checksum text NOT NULL CHECK (checksum ~ '^[0-9a-f]{64}$'),
  applied_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (schema_name, number)
);
COMMENT ON TABLE rowhouse.pack_migrations IS 'Migrations of packs that ran in each schema of this database. Not for the runtime role.';

CREATE TABLE rowhouse.idempotency_keys (
  tenant_id uuid NOT NULL DEFAULT rowhouse.tenant_id(),
  key text NOT NULL CHECK (char_length(key) BETWEEN 1 AND 255),
  fingerprint bytea NOT NULL,
  status integer CHECK (status BETWEEN 100 AND 599),
  headers jsonb,
  response text,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, key)
);
COMMENT ON TABLE rowhouse.idempotency_keys IS 'Answers to requests that carried an Idempotency-Key, written in the transaction of the request.';
COMMENT ON COLUMN rowhouse.idempotency_keys.status IS 'HTTP status of the answer; null while the request runs.';
CREATE INDEX idempotency_keys_by_age ON rowhouse.idempotency_keys (tenant_id, created_at);

ALTER TABLE rowhouse.idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE rowhouse.idempotency_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY rowhouse_tenant ON rowhouse.idempotency_keys AS PERMISSIVE FOR ALL TO PUBLIC
  USING (tenant_id = (SELECT rowhouse.tenant_id()))
  WITH CHECK (tenant_id = (SELECT rowhouse.tenant_id()));
CREATE POLICY rowhouse_wall ON rowhouse.idempotency_keys AS RESTRICTIVE FOR ALL TO PUBLIC
  USING (tenant_id = (SELECT rowhouse.tenant_id()))
  WITH CHECK (tenant_id = (SELECT rowhouse.tenant_id()));

-- 5. What a runtime role needs of this schema: tenant_service here, and the own role of each database-tier tenant.
CREATE FUNCTION rowhouse.grant_runtime(runtime_role name) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA rowhouse TO %I', runtime_role);
  EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION rowhouse.tenant_id() TO %I', runtime_role);
  EXECUTE pg_catalog.format(
    'GRANT SELECT, DELETE, INSERT (key, fingerprint, status, headers, response, created_at),'
    ' UPDATE (fingerprint, status, headers, response, created_at) ON rowhouse.idempotency_keys TO %I', runtime_role);
END $$;
COMMENT ON FUNCTION rowhouse.grant_runtime(name) IS 'Gives a runtime role its rights on the schema rowhouse; call it as tenant_owner.';

SELECT rowhouse.grant_runtime('tenant_service');
RESET ROLE;
