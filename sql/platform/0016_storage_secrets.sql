-- Secrets of tenants under keys of their own (src/secrets), and more about their object storage.

CREATE TABLE platform.tenant_data_keys (
  tenant_id uuid NOT NULL REFERENCES platform.tenants ON DELETE CASCADE,
  generation integer NOT NULL CHECK (generation > 0),
  wrapped bytea NOT NULL CHECK (octet_length(wrapped) > 32),
  wrapping_key text NOT NULL CHECK (wrapping_key ~ '^[0-9a-f]{16}$'),
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (tenant_id, generation)
);
COMMENT ON TABLE platform.tenant_data_keys IS 'The keys that secrets of a tenant are sealed with; the youngest seals, the others still open.';
COMMENT ON COLUMN platform.tenant_data_keys.wrapped IS 'The key itself, encrypted with a key that no database has.';
COMMENT ON COLUMN platform.tenant_data_keys.wrapping_key IS 'Fingerprint of the key that it is wrapped with.';
CREATE INDEX tenant_data_keys_by_wrapping_key ON platform.tenant_data_keys (wrapping_key);

-- Bytes 1 to 4 of a sealed secret are the generation of its data key. A key that is in use cannot go.
ALTER TABLE platform.tenant_storage_configs
  DROP CONSTRAINT tenant_storage_configs_provider_check,
  ADD COLUMN origin text NOT NULL DEFAULT 'byos' CHECK (origin IN ('byos', 'provisioned')),
  ADD COLUMN store_hash bytea CHECK (octet_length(store_hash) = 32),
  ADD COLUMN proved_at timestamptz,
  ADD COLUMN version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
  ADD COLUMN data_key integer NOT NULL GENERATED ALWAYS AS (
    get_byte(sealed, 1) * 16777216 + get_byte(sealed, 2) * 65536 + get_byte(sealed, 3) * 256 + get_byte(sealed, 4)) STORED,
  ADD CONSTRAINT tenant_storage_configs_provider_check CHECK (
    provider IN ('azure_blob', 'aws_s3', 'gcs', 'minio', 'nfs', 'smb') OR (provider = 'directory' AND origin = 'provisioned')),
  ADD CONSTRAINT tenant_storage_configs_data_key FOREIGN KEY (tenant_id, data_key)
    REFERENCES platform.tenant_data_keys (tenant_id, generation) DEFERRABLE INITIALLY DEFERRED;
COMMENT ON TABLE platform.tenant_storage_configs IS 'Object storage of a tenant: brought along, or made for it.';
COMMENT ON COLUMN platform.tenant_storage_configs.store_hash IS 'SHA-256 of what bucket or share it is, without the prefix; null for provisioned storage.';
COMMENT ON COLUMN platform.tenant_storage_configs.proved_at IS 'When the tenant proved that it controls a bucket that another one uses; null if it did not have to.';
COMMENT ON COLUMN platform.tenant_storage_configs.version IS 'Counts what was set; a test or another data key is no new version.';
CREATE INDEX tenant_storage_configs_by_store ON platform.tenant_storage_configs (store_hash);

CREATE CONSTRAINT TRIGGER registry AFTER UPDATE OF version OR DELETE ON platform.tenant_storage_configs
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION platform.record_registry_change('tenant_id');
