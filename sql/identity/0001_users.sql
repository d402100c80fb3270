-- The identity database: who people are, and what they may do at which tenant. Run by its owner, platform_service.
-- Tenants live in another database, so tenant_id has no foreign key; inside this one every reference is led by it.

REVOKE ALL ON SCHEMA public FROM PUBLIC;

CREATE SCHEMA identity;
COMMENT ON SCHEMA identity IS 'Users, memberships, roles, sessions, invitations.';

CREATE FUNCTION identity.touch_updated_at() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  NEW.updated_at := pg_catalog.clock_timestamp();
  RETURN NEW;
END $$;

CREATE TABLE identity.users (
  id uuid PRIMARY KEY,
  email text NOT NULL CHECK (char_length(email) BETWEEN 3 AND 254 AND email ~ '^[^[:space:]@]+@[^[:space:]@]+$'),
  name text NOT NULL DEFAULT '' CHECK (char_length(name) <= 200),
  password_hash text CHECK (starts_with(password_hash, '$argon2id$')),
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
  platform_admin boolean NOT NULL DEFAULT false,
  email_verified_at timestamptz,
  failed_logins integer NOT NULL DEFAULT 0 CHECK (failed_logins >= 0),
  locked_until timestamptz,
  last_login_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE identity.users IS 'People. One account may belong to several tenants.';
COMMENT ON COLUMN identity.users.password_hash IS 'argon2id; null when the user signs in elsewhere or has not chosen one yet.';
CREATE UNIQUE INDEX users_email ON identity.users (lower(email));
CREATE INDEX users_listing ON identity.users (created_at, id);
CREATE TRIGGER touch BEFORE UPDATE ON identity.users
  FOR EACH ROW EXECUTE FUNCTION identity.touch_updated_at();

CREATE TABLE identity.roles (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL CHECK (name ~ '^[a-z][a-z0-9_-]{0,62}$'),
  description text NOT NULL DEFAULT '',
  built_in boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, name)
);
COMMENT ON TABLE identity.roles IS 'Roles of a tenant; the built-in ones are made with it.';
CREATE TRIGGER touch BEFORE UPDATE ON identity.roles
  FOR EACH ROW EXECUTE FUNCTION identity.touch_updated_at();

CREATE TABLE identity.role_operations (
  tenant_id uuid NOT NULL,
  role_id uuid NOT NULL,
  operation text NOT NULL CHECK (operation ~ '^[a-z][a-z0-9_]*:([a-z][a-z0-9_]*|\*)$' OR operation = '*'),
  PRIMARY KEY (tenant_id, role_id, operation),
  FOREIGN KEY (tenant_id, role_id) REFERENCES identity.roles (tenant_id, id) ON DELETE CASCADE
);
COMMENT ON TABLE identity.role_operations IS 'Operations that a role permits ("lead:read"), all of a kind ("lead:*") or all ("*"). The plan must have them, too.';

CREATE TABLE identity.memberships (
  tenant_id uuid NOT NULL,
  user_id uuid NOT NULL REFERENCES identity.users ON DELETE CASCADE,
  role_id uuid NOT NULL,
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, user_id),
  FOREIGN KEY (tenant_id, role_id) REFERENCES identity.roles (tenant_id, id)
);
COMMENT ON TABLE identity.memberships IS 'A user at a tenant, with one role there.';
CREATE INDEX memberships_by_user ON identity.memberships (user_id);
CREATE INDEX memberships_by_role ON identity.memberships (tenant_id, role_id);
CREATE TRIGGER touch BEFORE UPDATE ON identity.memberships
  FOR EACH ROW EXECUTE FUNCTION identity.touch_updated_at();

CREATE TABLE identity.sessions (
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES identity.users ON DELETE CASCADE,
  tenant_id uuid,
  token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  last_seen_at timestamptz,
  revoked_at timestamptz,
  address inet,
  agent text,
  CONSTRAINT ends_after_it_began CHECK (expires_at > created_at)
);
COMMENT ON TABLE identity.sessions IS 'Signed-in browsers and command lines.';
COMMENT ON COLUMN identity.sessions.tenant_id IS 'The tenant the session acts for; null for a platform admin.';
COMMENT ON COLUMN identity.sessions.token_hash IS 'SHA-256 of the session token; the token itself is never stored.';
CREATE INDEX sessions_by_user ON identity.sessions (user_id);
CREATE INDEX sessions_by_tenant ON identity.sessions (tenant_id);
CREATE INDEX sessions_by_end ON identity.sessions (expires_at);

CREATE TABLE identity.invitations (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  email text NOT NULL CHECK (char_length(email) BETWEEN 3 AND 254 AND email ~ '^[^[:space:]@]+@[^[:space:]@]+$'),
  role_id uuid NOT NULL,
  token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
  invited_by text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  accepted_at timestamptz,
  revoked_at timestamptz,
  FOREIGN KEY (tenant_id, role_id) REFERENCES identity.roles (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT ends_after_it_began CHECK (expires_at > created_at),
  CONSTRAINT accepted_or_revoked CHECK (accepted_at IS NULL OR revoked_at IS NULL)
);
COMMENT ON TABLE identity.invitations IS 'Offers of a membership, sent by mail as a one-time link.';
CREATE UNIQUE INDEX invitations_open ON identity.invitations (tenant_id, lower(email))
  WHERE accepted_at IS NULL AND revoked_at IS NULL;
CREATE INDEX invitations_by_role ON identity.invitations (tenant_id, role_id);
