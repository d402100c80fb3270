-- More than one object store for a tenant: the one in use, and one that its objects are being moved to or from.
--
-- Each store that a tenant has had has a number, which only rises; every row about an object says which store it is in
-- (sql/tenant/0006_store_numbers.sql).

ALTER TABLE platform.tenant_storage_configs
  ADD COLUMN store integer NOT NULL DEFAULT 1 CHECK (store > 0),
  ADD COLUMN active boolean NOT NULL DEFAULT true,
  DROP CONSTRAINT tenant_storage_configs_pkey,
  ADD CONSTRAINT tenant_storage_configs_pkey PRIMARY KEY (tenant_id, store);
CREATE UNIQUE INDEX tenant_storage_configs_active ON platform.tenant_storage_configs (tenant_id) WHERE active;
COMMENT ON COLUMN platform.tenant_storage_configs.store IS 'Number of the store among those that the tenant has had.';
COMMENT ON COLUMN platform.tenant_storage_configs.active IS
  'New objects go there. Of the others a higher number is where a move will go, a lower one where it came from.';

-- A number is not used again, also when its configuration was forgotten: rows may still name it.
CREATE TABLE platform.tenant_store_numbers (
  tenant_id uuid PRIMARY KEY REFERENCES platform.tenants ON DELETE CASCADE,
  last integer NOT NULL CHECK (last > 0)
);
COMMENT ON TABLE platform.tenant_store_numbers IS 'The highest number of a store that each tenant has had.';

CREATE FUNCTION platform.next_store(of_tenant uuid) RETURNS integer
LANGUAGE sql SET search_path = '' AS $$
  INSERT INTO platform.tenant_store_numbers AS n (tenant_id, last)
  SELECT of_tenant, 1 + COALESCE(pg_catalog.max(c.store), 0)
  FROM platform.tenant_storage_configs c WHERE c.tenant_id = of_tenant
  ON CONFLICT (tenant_id) DO UPDATE SET last = n.last + 1
  RETURNING last
$$;

-- Other nodes keep stores open by their numbers, and remember which one is in use.
DROP TRIGGER registry ON platform.tenant_storage_configs;
CREATE CONSTRAINT TRIGGER registry AFTER UPDATE OF version, active OR DELETE ON platform.tenant_storage_configs
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION platform.record_registry_change('tenant_id');
