-- How nodes learn that their cached tenants, keys and packs are out of date: LISTEN rowhouse_registry for speed, and
-- the revision below for certainty (a node that lost its connection compares revisions).

CREATE TABLE platform.registry_changes (
  revision bigserial PRIMARY KEY,
  tenant_id uuid,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE platform.registry_changes IS 'One row for each change of the registry; a node reads those above the revision it knows. Old rows may be deleted.';
COMMENT ON COLUMN platform.registry_changes.tenant_id IS 'Whose cached state is stale; null when a pack changed, which concerns all.';
CREATE INDEX registry_changes_by_age ON platform.registry_changes (at);

-- Runs at commit (deferred): from the lock to the commit nothing else happens, so revisions become visible in order and
-- a reader that has seen revision n can never miss one below it. The lock's number is 'rowh' in ASCII.
CREATE FUNCTION platform.record_registry_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  concerned uuid;
BEGIN
  IF TG_ARGV[0] = 'tenant_id' THEN
    concerned := CASE WHEN TG_OP = 'DELETE' THEN OLD.tenant_id ELSE NEW.tenant_id END;
  ELSIF TG_ARGV[0] = 'id' THEN
    concerned := CASE WHEN TG_OP = 'DELETE' THEN OLD.id ELSE NEW.id END;
  END IF;
  PERFORM pg_catalog.pg_advisory_xact_lock(1919907688, 1);
  INSERT INTO platform.registry_changes (tenant_id) VALUES (concerned);
  PERFORM pg_catalog.pg_notify('rowhouse_registry', COALESCE(concerned::text, ''));
  RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER registry AFTER INSERT OR UPDATE OR DELETE ON platform.packs
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION platform.record_registry_change('none');
-- A new tenant, placement or key is in nobody's cache, so only changes are told: the lock would let one creation at a
-- time through to its commit (measured: 140 a second instead of 730).
CREATE CONSTRAINT TRIGGER registry AFTER UPDATE OR DELETE ON platform.tenants
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION platform.record_registry_change('id');
CREATE CONSTRAINT TRIGGER registry AFTER UPDATE OR DELETE ON platform.tenant_databases
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION platform.record_registry_change('tenant_id');
-- last_used_at is left out: use of a key makes nobody's cache stale.
CREATE CONSTRAINT TRIGGER registry
  AFTER UPDATE OF tenant_id, name, hash, expires_at, revoked_at OR DELETE ON platform.api_keys
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION platform.record_registry_change('tenant_id');
-- Admin tokens belong to no tenant.
CREATE CONSTRAINT TRIGGER registry AFTER INSERT OR UPDATE OR DELETE ON platform.admin_tokens
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION platform.record_registry_change('none');
