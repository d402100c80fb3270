-- Mail that waits to be sent, one-time links, and how many people a tenant has.

ALTER TABLE identity.invitations ADD COLUMN delivery text NOT NULL DEFAULT 'shown_to_platform'
  CHECK (delivery IN ('mail', 'shown_to_tenant', 'shown_to_platform'));
COMMENT ON COLUMN identity.invitations.delivery IS
  'Who has got the link: whoever reads the mailbox, or the admin who made it. Only the first proves that the address is theirs.';
ALTER TABLE identity.invitations ADD COLUMN welcome boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN identity.invitations.welcome IS 'Of the admin of a tenant that is being made.';

CREATE TABLE identity.links (
  id uuid PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('password_reset', 'email_verification')),
  user_id uuid NOT NULL REFERENCES identity.users ON DELETE CASCADE,
  email text NOT NULL,
  token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
  delivery text NOT NULL CHECK (delivery IN ('mail', 'shown_to_platform')),
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  used_at timestamptz,
  CONSTRAINT ends_after_it_began CHECK (expires_at > created_at)
);
COMMENT ON TABLE identity.links IS 'One-time links of accounts: to choose a password, to confirm the e-mail address.';
COMMENT ON COLUMN identity.links.email IS 'The address that it was made for. An account with another one by now cannot use it.';
CREATE INDEX links_by_user ON identity.links (user_id);
CREATE INDEX links_by_end ON identity.links (expires_at);

CREATE TABLE identity.mail (
  id uuid PRIMARY KEY,
  tenant_id uuid,
  kind text NOT NULL CHECK (kind ~ '^[a-z][a-z_]{0,62}$'),
  recipient text NOT NULL CHECK (char_length(recipient) BETWEEN 3 AND 254),
  sealed bytea,
  status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'sent', 'failed')),
  attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  queued_at timestamptz NOT NULL,
  next_attempt_at timestamptz NOT NULL,
  ended_at timestamptz,
  last_error text NOT NULL DEFAULT '' CHECK (char_length(last_error) <= 400),
  CONSTRAINT sealed_until_sent CHECK ((status = 'sent') = (sealed IS NULL))
);
COMMENT ON TABLE identity.mail IS 'Mail to be sent, at least once. The message holds a link, so it is encrypted, and removed when it was sent.';
COMMENT ON COLUMN identity.mail.next_attempt_at IS 'While a node sends it: when another one may try, because the first has died.';
CREATE INDEX mail_due ON identity.mail (next_attempt_at) WHERE status = 'queued';
CREATE INDEX mail_listing ON identity.mail (queued_at, id);
CREATE INDEX mail_by_tenant ON identity.mail (tenant_id) WHERE tenant_id IS NOT NULL;

-- Whoever asks adds somebody in the same transaction: the next to ask waits, and then sees them (a volatile function
-- takes a new snapshot for each of its statements). The lock's number is 'rowi' in ASCII.
CREATE FUNCTION identity.seats_taken(wanted_tenant uuid, for_email text, at timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = '' AS $$
BEGIN
  PERFORM pg_catalog.pg_advisory_xact_lock(1919907689, pg_catalog.hashtext(wanted_tenant::text));
  RETURN (SELECT count(*) FROM identity.memberships m WHERE m.tenant_id = wanted_tenant)
    + (SELECT count(*) FROM identity.invitations i WHERE i.tenant_id = wanted_tenant AND i.accepted_at IS NULL
        AND i.revoked_at IS NULL AND i.expires_at > at AND pg_catalog.lower(i.email) <> pg_catalog.lower(for_email));
END $$;
COMMENT ON FUNCTION identity.seats_taken IS
  'Members and open invitations of a tenant, but the one to this address; nobody else counts until the transaction ends.';
