-- Packs as they were installed: every node can check and migrate tenants from here, without the author's files.

CREATE TABLE platform.packs (
  name text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9-]{0,39}$'),
  version text NOT NULL CHECK (version <> ''),
  manifest json NOT NULL CHECK (json_typeof(manifest) = 'object'),
  checksum text NOT NULL CHECK (checksum ~ '^[0-9a-f]{64}$'),
  upgrade_pending boolean NOT NULL DEFAULT false,
  installed_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE platform.packs IS 'Installed packs.';
COMMENT ON COLUMN platform.packs.manifest IS 'As its author wrote it: json keeps the order of plans and resources, jsonb would not.';
COMMENT ON COLUMN platform.packs.upgrade_pending IS 'Some tenant of its own schema or database does not have the latest migrations yet.';
COMMENT ON COLUMN platform.packs.checksum IS 'SHA-256 (hex) over manifest, migrations and sample data.';
CREATE TRIGGER touch BEFORE UPDATE ON platform.packs
  FOR EACH ROW EXECUTE FUNCTION platform.touch_updated_at();

CREATE TABLE platform.pack_migrations (
  pack text NOT NULL REFERENCES platform.packs ON DELETE CASCADE,
  number integer NOT NULL CHECK (number > 0),
  name text NOT NULL CHECK (name ~ '^[0-9]{4}_[a-z0-9_]+$'),
  sql text NOT NULL,
  checksum text NOT NULL CHECK (checksum ~ '^[0-9a-f]{64}$'),
  PRIMARY KEY (pack, number)
);
COMMENT ON TABLE platform.pack_migrations IS 'SQL files of the installed packs. What ran where: rowhouse.pack_migrations in each tenant-data database.';

CREATE TABLE platform.pack_sample_files (
  pack text NOT NULL REFERENCES platform.packs ON DELETE CASCADE,
  ordinal integer NOT NULL CHECK (ordinal >= 0),
  resource text NOT NULL CHECK (resource ~ '^[a-z][a-z0-9_]{0,62}$'),
  content text NOT NULL,
  PRIMARY KEY (pack, ordinal)
);
COMMENT ON TABLE platform.pack_sample_files IS 'Sample rows as CSV, in loading order.';
