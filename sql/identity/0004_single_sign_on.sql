-- Single sign-on: a tenant's identity provider, who its people are here, and sign-ins under way.

CREATE TABLE identity.verified_domains (
  domain text PRIMARY KEY CHECK (domain = lower(domain) AND char_length(domain) BETWEEN 3 AND 253),
  tenant_id uuid NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE identity.verified_domains IS
  'Domains of e-mail addresses that belong to a tenant, as the platform has found: its provider speaks for the addresses there.';
CREATE INDEX verified_domains_by_tenant ON identity.verified_domains (tenant_id);

CREATE TABLE identity.identity_providers (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL UNIQUE,
  issuer text NOT NULL CHECK (char_length(issuer) BETWEEN 1 AND 500),
  client_id text NOT NULL CHECK (char_length(client_id) BETWEEN 1 AND 300),
  client_secret bytea,
  scopes text NOT NULL CHECK (char_length(scopes) <= 500),
  email_claim text NOT NULL CHECK (char_length(email_claim) BETWEEN 1 AND 200),
  groups_claim text NOT NULL CHECK (char_length(groups_claim) <= 200),
  role_mapping jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(role_mapping) = 'array'),
  default_role text NOT NULL DEFAULT '',
  new_members text NOT NULL CHECK (new_members IN ('join', 'refuse')),
  accepts_tokens boolean NOT NULL DEFAULT false,
  token_audience text NOT NULL DEFAULT '' CHECK (char_length(token_audience) <= 500),
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT tokens_name_their_audience CHECK (NOT accepts_tokens OR (token_audience <> '' AND token_audience <> client_id))
);
COMMENT ON TABLE identity.identity_providers IS 'The OpenID Connect provider of a tenant.';
COMMENT ON COLUMN identity.identity_providers.client_secret IS 'Sealed; null: a public client.';
COMMENT ON COLUMN identity.identity_providers.role_mapping IS '[{"group": …, "role": …}, …]; the first that fits counts, at every sign-in.';
-- A token names one tenant, or none.
CREATE UNIQUE INDEX identity_providers_of_tokens ON identity.identity_providers (issuer, token_audience)
  WHERE accepts_tokens;
CREATE TRIGGER touch BEFORE UPDATE ON identity.identity_providers
  FOR EACH ROW EXECUTE FUNCTION identity.touch_updated_at();
CREATE CONSTRAINT TRIGGER told AFTER UPDATE OR DELETE ON identity.identity_providers
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION identity.record_change('id');

CREATE TABLE identity.external_identities (
  provider_id uuid NOT NULL REFERENCES identity.identity_providers ON DELETE CASCADE,
  subject text NOT NULL CHECK (char_length(subject) BETWEEN 1 AND 255),
  user_id uuid NOT NULL REFERENCES identity.users ON DELETE CASCADE,
  created_at timestamptz NOT NULL DEFAULT now(),
  last_login_at timestamptz,
  PRIMARY KEY (provider_id, subject),
  -- An address that is given to somebody else at the provider does not come with the account.
  CONSTRAINT one_subject_for_each_user UNIQUE (provider_id, user_id)
);
COMMENT ON TABLE identity.external_identities IS 'Who a person of a provider is here. The subject counts, never the e-mail address.';
CREATE INDEX external_identities_by_user ON identity.external_identities (user_id);
CREATE CONSTRAINT TRIGGER told AFTER DELETE ON identity.external_identities
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION identity.record_change('user_id');

CREATE TABLE identity.sso_logins (
  state_hash bytea PRIMARY KEY CHECK (octet_length(state_hash) = 32),
  provider_id uuid NOT NULL REFERENCES identity.identity_providers ON DELETE CASCADE,
  browser_hash bytea NOT NULL CHECK (octet_length(browser_hash) = 32),
  sealed bytea NOT NULL,
  address text NOT NULL CHECK (char_length(address) <= 64),
  expires_at timestamptz NOT NULL
);
COMMENT ON TABLE identity.sso_logins IS 'Sign-ins that wait for the provider''s answer: good once, in the browser that began, for minutes.';
COMMENT ON COLUMN identity.sso_logins.sealed IS 'PKCE verifier, nonce, and where to go afterwards.';
CREATE INDEX sso_logins_by_end ON identity.sso_logins (expires_at);
CREATE INDEX sso_logins_by_address ON identity.sso_logins (address);
CREATE INDEX sso_logins_by_provider ON identity.sso_logins (provider_id);

ALTER TABLE identity.sessions ADD COLUMN provider_id uuid;
COMMENT ON COLUMN identity.sessions.provider_id IS 'The identity provider through which the user signed in; what ends it, ends these.';
CREATE INDEX sessions_by_provider ON identity.sessions (provider_id) WHERE provider_id IS NOT NULL AND revoked_at IS NULL;
