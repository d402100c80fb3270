-- The keys that tenant contexts are signed with, by generation, and which database has been brought to what. The keys
-- themselves are derived from the master key and stored only in the databases that check them.

CREATE TABLE platform.context_keys (
  generation integer PRIMARY KEY CHECK (generation > 0),
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  activated_at timestamptz,
  retire_at timestamptz,
  retired_at timestamptz,
  CONSTRAINT retires_after_it_was_active CHECK (retire_at IS NULL OR activated_at IS NOT NULL),
  CONSTRAINT retired_when_due CHECK (retired_at IS NULL OR retire_at IS NOT NULL)
);
COMMENT ON TABLE platform.context_keys IS 'Generations of the key of tenant contexts. Those that are not retired are valid in every database; the youngest active one signs.';
COMMENT ON COLUMN platform.context_keys.activated_at IS 'Null while the generation is being added to the databases.';
COMMENT ON COLUMN platform.context_keys.retire_at IS 'Set when a younger generation became active: until then the nodes have noticed.';
COMMENT ON COLUMN platform.context_keys.retired_at IS 'From here on it is valid nowhere; guarded_databases tells where it still has to be removed.';
CREATE UNIQUE INDEX context_keys_one_is_added_at_a_time ON platform.context_keys ((true)) WHERE activated_at IS NULL;

INSERT INTO platform.context_keys (generation, activated_at) VALUES (1, clock_timestamp());

CREATE TABLE platform.guarded_databases (
  database_name text PRIMARY KEY CHECK (octet_length(database_name) BETWEEN 1 AND 63),
  database_oid oid NOT NULL,
  version text NOT NULL CHECK (version <> ''),
  generations integer[] NOT NULL,
  guarded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE platform.guarded_databases IS 'Every database with tenant rows, and what it was brought to last; a start compares instead of connecting to each.';
COMMENT ON COLUMN platform.guarded_databases.database_oid IS 'A database that was dropped and made again under the same name is another one.';
COMMENT ON COLUMN platform.guarded_databases.version IS 'Implementation of the context, and a digest of its SQL and of the migrations in sql/tenant.';

-- Nodes hear of another signing key as they hear of other changes, but need not forget everything for it.
ALTER TABLE platform.registry_changes ADD COLUMN topic text;
COMMENT ON COLUMN platform.registry_changes.topic IS 'Null: tenants and packs; context_keys: the keys of tenant contexts.';

CREATE FUNCTION platform.record_context_key_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  PERFORM pg_catalog.pg_advisory_xact_lock(1919907688, 1);
  INSERT INTO platform.registry_changes (topic) VALUES ('context_keys');
  PERFORM pg_catalog.pg_notify('rowhouse_registry', 'context_keys');
  RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER registry AFTER UPDATE OF activated_at OR DELETE ON platform.context_keys
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION platform.record_context_key_change();
