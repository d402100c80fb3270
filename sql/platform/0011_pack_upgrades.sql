-- Upgrades of packs over all tenants: what was handed in, and what became of each place where the pack lives.

CREATE TABLE platform.pack_uploads (
  pack text PRIMARY KEY CHECK (pack ~ '^[a-z][a-z0-9-]{0,39}$'),
  operation_id uuid NOT NULL UNIQUE REFERENCES platform.operations ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  checksum text NOT NULL CHECK (checksum ~ '^[0-9a-f]{64}$'),
  bundle text,
  uploaded_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE platform.pack_uploads IS 'The last upgrade of each pack; an earlier operation that does not stand here any more must not go on.';
COMMENT ON COLUMN platform.pack_uploads.bundle IS 'The pack as it was handed in, JSON; null as soon as it is stored in packs and pack_migrations.';

CREATE TABLE platform.operation_targets (
  operation_id uuid NOT NULL REFERENCES platform.operations ON DELETE CASCADE,
  database_name text NOT NULL CHECK (octet_length(database_name) BETWEEN 1 AND 63),
  schema_name text NOT NULL CHECK (octet_length(schema_name) BETWEEN 1 AND 63),
  role_name text NOT NULL,
  tenant_id uuid,
  slug text NOT NULL,
  tier text CHECK (tier IN ('schema', 'database')),
  plan text,
  wave integer NOT NULL CHECK (wave >= 0),
  ordinal bigint NOT NULL,
  status text NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'running', 'done', 'unchanged', 'failed', 'behind')),
  attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  error text,
  migrations_run integer NOT NULL DEFAULT 0 CHECK (migrations_run >= 0),
  duration_us bigint NOT NULL DEFAULT 0 CHECK (duration_us >= 0),
  finished_at timestamptz,
  PRIMARY KEY (operation_id, database_name, schema_name),
  CONSTRAINT tenants_have_a_tier CHECK ((tenant_id IS NULL) = (tier IS NULL)),
  CONSTRAINT finished_when_settled CHECK ((status IN ('waiting', 'running')) = (finished_at IS NULL))
);
COMMENT ON TABLE platform.operation_targets IS 'Every place that an upgrade of a pack migrates, and what became of it.';
COMMENT ON COLUMN platform.operation_targets.tenant_id IS 'Null for the template and the pool. No foreign key: the record outlives the tenant.';
COMMENT ON COLUMN platform.operation_targets.wave IS '0 template and pool, 1 the canary, then plan by plan, schemas before databases.';
COMMENT ON COLUMN platform.operation_targets.ordinal IS 'Order of the report.';
COMMENT ON COLUMN platform.operation_targets.status IS 'running: its wave is being worked on; behind: its database could not be reached, it is caught up later.';
CREATE UNIQUE INDEX operation_targets_in_order ON platform.operation_targets (operation_id, wave, ordinal);
