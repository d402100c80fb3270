-- The platform database: schema, helpers, settings. Run by its owner, platform_service.

REVOKE ALL ON SCHEMA public FROM PUBLIC;

CREATE SCHEMA platform;
COMMENT ON SCHEMA platform IS 'Registry of packs and tenants, their placement, keys, operations, usage, audit and events.';

-- Keeps updated_at and version of a row. The caller's own values are ignored, so forgetting them does no harm.
CREATE FUNCTION platform.touch_version() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  NEW.updated_at := pg_catalog.clock_timestamp();
  NEW.version := OLD.version + 1;
  RETURN NEW;
END $$;

CREATE FUNCTION platform.touch_updated_at() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  NEW.updated_at := pg_catalog.clock_timestamp();
  RETURN NEW;
END $$;

CREATE FUNCTION platform.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  RAISE EXCEPTION USING
    ERRCODE = 'insufficient_privilege',
    MESSAGE = pg_catalog.format('%I.%I is append-only', TG_TABLE_SCHEMA, TG_TABLE_NAME);
END $$;

CREATE TABLE platform.settings (
  key text PRIMARY KEY CHECK (key ~ '^[a-z][a-z0-9_.]{0,62}$'),
  value jsonb NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE platform.settings IS 'Settings of the whole installation, shared by all nodes.';
CREATE TRIGGER touch BEFORE UPDATE ON platform.settings
  FOR EACH ROW EXECUTE FUNCTION platform.touch_updated_at();

CREATE TABLE platform.admin_tokens (
  id uuid PRIMARY KEY,
  name text NOT NULL UNIQUE CHECK (char_length(name) BETWEEN 1 AND 200),
  hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
  created_at timestamptz NOT NULL DEFAULT now(),
  revoked_at timestamptz
);
COMMENT ON TABLE platform.admin_tokens IS 'Credentials of platform admins.';
COMMENT ON COLUMN platform.admin_tokens.hash IS 'SHA-256 of the token; the token itself is never stored.';
