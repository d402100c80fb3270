-- Durable operations: every step is recorded before and after, so that a crash is resumed and a failure undone.

CREATE TABLE platform.operations (
  id uuid PRIMARY KEY,
  kind text NOT NULL CHECK (kind ~ '^[a-z][a-z0-9_.]{0,62}$'),
  tenant_id uuid,
  status text NOT NULL DEFAULT 'pending'
    CHECK (status IN ('pending', 'running', 'succeeded', 'undoing', 'undone', 'failed', 'cancelled')),
  input jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(input) = 'object'),
  output jsonb,
  error jsonb,
  request_key text UNIQUE,
  requested_by text NOT NULL,
  attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  run_after timestamptz NOT NULL DEFAULT now(),
  lease_holder text,
  lease_expires_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  started_at timestamptz,
  finished_at timestamptz,
  CONSTRAINT a_lease_has_holder_and_end CHECK ((lease_holder IS NULL) = (lease_expires_at IS NULL)),
  CONSTRAINT finished_when_final CHECK ((finished_at IS NOT NULL) = (status IN ('succeeded', 'undone', 'failed', 'cancelled')))
);
COMMENT ON TABLE platform.operations IS 'Workflows such as provision, move, delete, backup, restore.';
COMMENT ON COLUMN platform.operations.tenant_id IS 'No foreign key: the record outlives the tenant.';
COMMENT ON COLUMN platform.operations.request_key IS 'Makes a repeated request find the operation it has already started.';
COMMENT ON COLUMN platform.operations.lease_holder IS 'The node that works on it now; another may take over when the lease has run out.';
CREATE INDEX operations_runnable ON platform.operations (run_after) WHERE status IN ('pending', 'running', 'undoing');
CREATE INDEX operations_by_tenant ON platform.operations (tenant_id, created_at);
CREATE INDEX operations_listing ON platform.operations (created_at, id);

CREATE TABLE platform.operation_steps (
  operation_id uuid NOT NULL REFERENCES platform.operations ON DELETE CASCADE,
  ordinal integer NOT NULL CHECK (ordinal >= 0),
  name text NOT NULL CHECK (name ~ '^[a-z][a-z0-9_.]{0,62}$'),
  status text NOT NULL DEFAULT 'pending'
    CHECK (status IN ('pending', 'running', 'done', 'failed', 'undoing', 'undone')),
  attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  state jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(state) = 'object'),
  error jsonb,
  started_at timestamptz,
  finished_at timestamptz,
  PRIMARY KEY (operation_id, ordinal),
  UNIQUE (operation_id, name)
);
COMMENT ON TABLE platform.operation_steps IS 'The steps of an operation in their order.';
COMMENT ON COLUMN platform.operation_steps.state IS 'What the step needs to be repeated or undone, for example the names it has chosen.';
