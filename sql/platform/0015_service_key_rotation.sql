-- Service keys rotate as API keys do: for a while two secrets are good.

ALTER TABLE platform.admin_tokens
  ADD COLUMN rotated_at timestamptz,
  ADD COLUMN previous_hash bytea UNIQUE CHECK (octet_length(previous_hash) = 32),
  ADD COLUMN previous_until timestamptz,
  ADD CHECK ((previous_hash IS NULL) = (previous_until IS NULL));
COMMENT ON COLUMN platform.admin_tokens.previous_hash IS 'Of the secret before the last rotation, which is good until previous_until.';

DROP TRIGGER registry ON platform.admin_tokens;
CREATE CONSTRAINT TRIGGER registry
  AFTER INSERT OR UPDATE OF name, hash, expires_at, revoked_at, scopes, networks, previous_hash, previous_until OR DELETE
  ON platform.admin_tokens
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION platform.record_registry_change('none');
