-- Tenants, where their rows live, and their API keys.

CREATE TABLE platform.tenants (
  id uuid PRIMARY KEY,
  slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$'),
  name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200 AND name !~ '[[:cntrl:]]'),
  pack text NOT NULL REFERENCES platform.packs,
  plan text NOT NULL CHECK (plan <> ''),
  status text NOT NULL DEFAULT 'provisioning'
    CHECK (status IN ('provisioning', 'active', 'suspended', 'archived', 'deleting')),
  tier text NOT NULL CHECK (tier IN ('pool', 'schema', 'database')),
  domain text UNIQUE CHECK (char_length(domain) <= 253 AND domain ~ '^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$'),
  subdomain text UNIQUE CHECK (subdomain ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  settings jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(settings) = 'object'),
  branding jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(branding) = 'object'),
  contact jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(contact) = 'object'),
  storage_choice text NOT NULL DEFAULT 'none' CHECK (storage_choice IN ('byos', 'provisioned', 'none')),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  version bigint NOT NULL DEFAULT 1 CHECK (version > 0)
);
COMMENT ON TABLE platform.tenants IS 'One customer organisation each.';
COMMENT ON COLUMN platform.tenants.id IS 'UUID v7, made by the server.';
COMMENT ON COLUMN platform.tenants.version IS 'Counts the changes of this row; kept by a trigger.';
CREATE INDEX tenants_listing ON platform.tenants (created_at, id);
CREATE INDEX tenants_by_pack ON platform.tenants (pack, plan, created_at, id);
CREATE INDEX tenants_by_status ON platform.tenants (status, created_at, id);
CREATE TRIGGER touch BEFORE UPDATE ON platform.tenants
  FOR EACH ROW EXECUTE FUNCTION platform.touch_version();

CREATE TABLE platform.tenant_databases (
  tenant_id uuid NOT NULL REFERENCES platform.tenants ON DELETE CASCADE,
  kind text NOT NULL DEFAULT 'metadata' CHECK (kind IN ('metadata', 'vectors', 'cache')),
  tier text NOT NULL CHECK (tier IN ('pool', 'schema', 'database')),
  server text NOT NULL DEFAULT 'local' CHECK (server <> ''),
  database_name text NOT NULL CHECK (octet_length(database_name) BETWEEN 1 AND 63),
  schema_name text NOT NULL CHECK (octet_length(schema_name) BETWEEN 1 AND 63),
  role_name text NOT NULL CHECK (octet_length(role_name) BETWEEN 1 AND 63),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, kind),
  -- The two kinds of database never share a name, so a tenant's own one is nobody else's shared one.
  CONSTRAINT own_database_is_named_so CHECK ((tier = 'database') = starts_with(database_name, 'tenant_')),
  CONSTRAINT own_schema_is_not_the_shared_one CHECK (tier <> 'schema' OR schema_name <> 'app'),
  CONSTRAINT own_database_has_its_own_role CHECK (tier <> 'database' OR role_name <> 'tenant_service')
);
COMMENT ON TABLE platform.tenant_databases IS 'Placement: server, database, schema and runtime role of a tenant''s rows.';
COMMENT ON COLUMN platform.tenant_databases.tier IS 'As in tenants, for this kind: decides what this tenant owns alone.';
CREATE UNIQUE INDEX tenant_databases_own_database ON platform.tenant_databases (server, database_name)
  WHERE tier = 'database';
CREATE UNIQUE INDEX tenant_databases_own_schema ON platform.tenant_databases (server, database_name, schema_name)
  WHERE tier = 'schema';
CREATE UNIQUE INDEX tenant_databases_own_role ON platform.tenant_databases (server, role_name)
  WHERE tier = 'database';
CREATE INDEX tenant_databases_by_database ON platform.tenant_databases (server, database_name);
CREATE TRIGGER touch BEFORE UPDATE ON platform.tenant_databases
  FOR EACH ROW EXECUTE FUNCTION platform.touch_updated_at();

CREATE TABLE platform.tenant_storage_configs (
  tenant_id uuid PRIMARY KEY REFERENCES platform.tenants ON DELETE CASCADE,
  provider text NOT NULL CHECK (provider IN ('azure_blob', 'aws_s3', 'gcs', 'minio', 'nfs', 'smb')),
  sealed bytea NOT NULL CHECK (octet_length(sealed) > 0),
  status text NOT NULL DEFAULT 'untested' CHECK (status IN ('untested', 'working', 'failing')),
  last_test_at timestamptz,
  last_test_result jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE platform.tenant_storage_configs IS 'Object storage that a tenant brings along.';
COMMENT ON COLUMN platform.tenant_storage_configs.sealed IS 'Encrypted configuration; never in the clear.';
CREATE TRIGGER touch BEFORE UPDATE ON platform.tenant_storage_configs
  FOR EACH ROW EXECUTE FUNCTION platform.touch_updated_at();

CREATE TABLE platform.api_keys (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES platform.tenants ON DELETE CASCADE,
  name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
  hint text NOT NULL CHECK (char_length(hint) = 8),
  hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  last_used_at timestamptz
);
COMMENT ON TABLE platform.api_keys IS 'Credentials of tenants.';
COMMENT ON COLUMN platform.api_keys.hash IS 'SHA-256 of the whole key; the key itself is never stored.';
COMMENT ON COLUMN platform.api_keys.hint IS 'First 8 characters, so that people can tell keys apart.';
CREATE INDEX api_keys_by_tenant ON platform.api_keys (tenant_id, created_at);
