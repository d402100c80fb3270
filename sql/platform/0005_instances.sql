-- Running services that belong to one tenant, and the ports they hold.

CREATE TABLE platform.instances (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES platform.tenants ON DELETE RESTRICT,
  kind text NOT NULL CHECK (kind IN ('vectors', 'object_store', 'cache')),
  runtime text NOT NULL CHECK (runtime IN ('process', 'podman', 'external')),
  server text NOT NULL DEFAULT 'local' CHECK (server <> ''),
  name text NOT NULL CHECK (name <> ''),
  endpoint text,
  status text NOT NULL DEFAULT 'creating' CHECK (status IN ('creating', 'running', 'stopped', 'failed', 'removing')),
  configuration jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(configuration) = 'object'),
  sealed bytea,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (server, name)
);
COMMENT ON TABLE platform.instances IS 'Vector stores, object stores and caches of single tenants. A tenant that still has one cannot be deleted.';
COMMENT ON COLUMN platform.instances.sealed IS 'Encrypted credentials of the instance.';
CREATE INDEX instances_by_tenant ON platform.instances (tenant_id, kind);
CREATE TRIGGER touch BEFORE UPDATE ON platform.instances
  FOR EACH ROW EXECUTE FUNCTION platform.touch_updated_at();

CREATE TABLE platform.port_leases (
  server text NOT NULL DEFAULT 'local' CHECK (server <> ''),
  port integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
  purpose text NOT NULL CHECK (purpose <> ''),
  instance_id uuid REFERENCES platform.instances ON DELETE CASCADE,
  holder text NOT NULL CHECK (holder <> ''),
  leased_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (server, port)
);
COMMENT ON TABLE platform.port_leases IS 'Ports in use by instances; the primary key is what makes a lease unique.';
COMMENT ON COLUMN platform.port_leases.holder IS 'Who took the lease: an operation, until the instance exists.';
CREATE INDEX port_leases_by_instance ON platform.port_leases (instance_id);
