-- Signing in: keys of access tokens, refresh tokens that were used, attempts, and how nodes learn of changes.

ALTER TABLE identity.users ADD COLUMN home_tenant uuid;
COMMENT ON COLUMN identity.users.home_tenant IS
  'The tenant whose admin made the account, and so may know its password; null when a platform admin did.';

CREATE INDEX users_by_home ON identity.users (home_tenant) WHERE home_tenant IS NOT NULL;

ALTER TABLE identity.roles ADD COLUMN row_scope text NOT NULL DEFAULT 'all' CHECK (row_scope IN ('all', 'own'));
COMMENT ON COLUMN identity.roles.row_scope IS 'Of a role of the tenant''s own: all rows, or those that the pack''s row rules call the user''s own.';
COMMENT ON COLUMN identity.roles.built_in IS 'A role of the pack: what it permits stands in the manifest. The row is made when somebody gets the role.';

ALTER TABLE identity.sessions ADD COLUMN end_reason text CHECK (char_length(end_reason) <= 100);
COMMENT ON COLUMN identity.sessions.token_hash IS 'SHA-256 of the refresh token that is good now; the token itself is never stored.';
-- One tenant's sessions of one user: what ends when a membership does.
CREATE INDEX sessions_by_member ON identity.sessions (tenant_id, user_id);
DROP INDEX identity.sessions_by_tenant;
CREATE INDEX sessions_live ON identity.sessions (user_id, created_at) WHERE revoked_at IS NULL;

CREATE TABLE identity.used_refresh_tokens (
  token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
  session_id uuid NOT NULL REFERENCES identity.sessions ON DELETE CASCADE,
  used_at timestamptz NOT NULL
);
COMMENT ON TABLE identity.used_refresh_tokens IS 'Each refresh token is good once. One that comes again was stolen, or its successor was: the session ends.';
CREATE INDEX used_refresh_tokens_by_session ON identity.used_refresh_tokens (session_id);

CREATE TABLE identity.signing_keys (
  kid text PRIMARY KEY CHECK (kid ~ '^[a-z0-9-]{1,64}$'),
  public_key bytea NOT NULL UNIQUE CHECK (octet_length(public_key) = 32),
  created_at timestamptz NOT NULL DEFAULT now(),
  not_before timestamptz NOT NULL,
  retired_at timestamptz
);
COMMENT ON TABLE identity.signing_keys IS 'Ed25519 keys of access tokens. The private halves are derived from the master key and stored nowhere.';
COMMENT ON COLUMN identity.signing_keys.not_before IS 'From when on it signs; it is published before.';
COMMENT ON COLUMN identity.signing_keys.retired_at IS 'From when on nothing that it signed is accepted.';

CREATE TABLE identity.login_attempts (
  key bytea PRIMARY KEY CHECK (octet_length(key) = 32),
  attempts integer NOT NULL CHECK (attempts >= 0),
  ends_at timestamptz NOT NULL
);
COMMENT ON TABLE identity.login_attempts IS 'Attempts that failed or have not ended, counted until ends_at; the key is a hash of account, address or both.';
CREATE INDEX login_attempts_by_end ON identity.login_attempts (ends_at);

CREATE TABLE identity.known_addresses (
  user_id uuid NOT NULL REFERENCES identity.users ON DELETE CASCADE,
  address text NOT NULL CHECK (char_length(address) BETWEEN 1 AND 64),
  last_login_at timestamptz NOT NULL,
  PRIMARY KEY (user_id, address)
);
COMMENT ON TABLE identity.known_addresses IS 'From where a user has signed in before: strangers'' attempts cannot lock these out.';
CREATE INDEX known_addresses_by_age ON identity.known_addresses (last_login_at);

CREATE TABLE identity.outbox (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  sequence bigint GENERATED ALWAYS AS IDENTITY,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  tenant_id uuid,
  actor text NOT NULL CHECK (actor <> ''),
  action text NOT NULL CHECK (action ~ '^[a-z][a-z0-9_.]{0,62}$'),
  object_type text NOT NULL DEFAULT '',
  object_id text NOT NULL DEFAULT '',
  old_values jsonb,
  new_values jsonb,
  address inet
);
COMMENT ON TABLE identity.outbox IS 'Written in the transaction of the change; carried to the audit and the events of the platform database, and deleted then.';
CREATE INDEX outbox_in_order ON identity.outbox (sequence);

CREATE TABLE identity.changes (
  revision bigserial PRIMARY KEY,
  subject uuid,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE identity.changes IS 'One row for each change that makes remembered access stale; a node reads those above the revision it knows. Old rows may be deleted.';
COMMENT ON COLUMN identity.changes.subject IS 'The user, session or tenant it concerns; null when a signing key changed.';
CREATE INDEX changes_by_age ON identity.changes (at);

-- At commit and under a lock, so that revisions become visible in order. The lock's number is 'rowh' in ASCII.
CREATE FUNCTION identity.record_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  concerned uuid;
BEGIN
  IF TG_ARGV[0] <> 'none' THEN
    concerned := (pg_catalog.to_jsonb(CASE WHEN TG_OP = 'INSERT' THEN NEW ELSE OLD END) ->> TG_ARGV[0])::uuid;
  END IF;
  PERFORM pg_catalog.pg_advisory_xact_lock(1919907688, 2);
  INSERT INTO identity.changes (subject) VALUES (concerned);
  PERFORM pg_catalog.pg_notify('rowhouse_identity', COALESCE(concerned::text, ''));
  RETURN NULL;
END $$;

-- What is new is in nobody's memory, so only changes are told; use is no change.
CREATE CONSTRAINT TRIGGER told AFTER UPDATE OF email, name, status, platform_admin OR DELETE ON identity.users
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION identity.record_change('id');
CREATE CONSTRAINT TRIGGER told AFTER UPDATE OF role_id, status OR DELETE ON identity.memberships
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION identity.record_change('user_id');
CREATE CONSTRAINT TRIGGER told AFTER UPDATE OF name, row_scope ON identity.roles
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION identity.record_change('tenant_id');
CREATE CONSTRAINT TRIGGER told AFTER INSERT OR DELETE ON identity.role_operations
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION identity.record_change('tenant_id');
CREATE CONSTRAINT TRIGGER told AFTER UPDATE OF revoked_at ON identity.sessions
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION identity.record_change('id');
-- Those that have ended are removed in the end; nobody remembers them.
CREATE CONSTRAINT TRIGGER told_of_removal AFTER DELETE ON identity.sessions
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.revoked_at IS NULL)
  EXECUTE FUNCTION identity.record_change('id');
CREATE CONSTRAINT TRIGGER told AFTER INSERT OR UPDATE OR DELETE ON identity.signing_keys
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION identity.record_change('none');
