-- What a credential gives: operations, until when, from where; and two secrets for one key while it is being rotated.
-- Credentials that were there before keep everything they had.

ALTER TABLE platform.api_keys
  ADD COLUMN scopes text[] NOT NULL DEFAULT '{*}' CHECK (cardinality(scopes) BETWEEN 1 AND 500),
  ADD COLUMN networks cidr[] NOT NULL DEFAULT '{}' CHECK (cardinality(networks) <= 50),
  ADD COLUMN created_by text NOT NULL DEFAULT '',
  ADD COLUMN rotated_at timestamptz,
  ADD COLUMN previous_hash bytea UNIQUE CHECK (octet_length(previous_hash) = 32),
  ADD COLUMN previous_until timestamptz,
  ADD CHECK ((previous_hash IS NULL) = (previous_until IS NULL));
COMMENT ON COLUMN platform.api_keys.scopes IS 'Operations (lead:read), all of a kind (lead:*) or all (*).';
COMMENT ON COLUMN platform.api_keys.networks IS 'Where it may be used from; empty: from everywhere.';
COMMENT ON COLUMN platform.api_keys.created_by IS 'Actor, as in the audit.';
COMMENT ON COLUMN platform.api_keys.previous_hash IS 'Of the secret before the last rotation, which is good until previous_until.';

DROP TRIGGER registry ON platform.api_keys;
CREATE CONSTRAINT TRIGGER registry
  AFTER UPDATE OF tenant_id, name, hash, expires_at, revoked_at, scopes, networks, previous_hash, previous_until OR DELETE
  ON platform.api_keys
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION platform.record_registry_change('tenant_id');

-- Service keys are tokens as those of admins are, made for programs: a name may be used again when the key is revoked.
ALTER TABLE platform.admin_tokens
  ADD COLUMN kind text NOT NULL DEFAULT 'admin' CHECK (kind IN ('admin', 'service')),
  ADD COLUMN hint text NOT NULL DEFAULT '' CHECK (char_length(hint) <= 8),
  ADD COLUMN scopes text[] NOT NULL DEFAULT '{*}' CHECK (cardinality(scopes) BETWEEN 1 AND 500),
  ADD COLUMN networks cidr[] NOT NULL DEFAULT '{}' CHECK (cardinality(networks) <= 50),
  ADD COLUMN created_by text NOT NULL DEFAULT '',
  ADD COLUMN expires_at timestamptz,
  ADD COLUMN last_used_at timestamptz,
  DROP CONSTRAINT admin_tokens_name_key;
COMMENT ON TABLE platform.admin_tokens IS 'Credentials of the platform: of admins, and of programs (service keys).';
CREATE UNIQUE INDEX admin_tokens_by_name ON platform.admin_tokens (name) WHERE kind = 'admin';
CREATE UNIQUE INDEX service_keys_by_name ON platform.admin_tokens (name) WHERE kind = 'service' AND revoked_at IS NULL;

-- last_used_at is left out, as with API keys.
DROP TRIGGER registry ON platform.admin_tokens;
CREATE CONSTRAINT TRIGGER registry
  AFTER INSERT OR UPDATE OF name, hash, expires_at, revoked_at, scopes, networks OR DELETE ON platform.admin_tokens
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION platform.record_registry_change('none');
