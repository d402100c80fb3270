-- Second factors: codes of an authenticator app, and recovery codes for when it is lost.

CREATE TABLE identity.second_factors (
  user_id uuid PRIMARY KEY REFERENCES identity.users ON DELETE CASCADE,
  sealed_secret bytea NOT NULL CHECK (octet_length(sealed_secret) BETWEEN 41 AND 200),
  created_at timestamptz NOT NULL,
  confirmed_at timestamptz,
  last_step bigint,
  CONSTRAINT confirmed_by_a_code CHECK (confirmed_at IS NULL OR last_step IS NOT NULL)
);
COMMENT ON TABLE identity.second_factors IS 'TOTP secrets (RFC 6238). One that its user has confirmed is asked for at each sign-in with a password.';
COMMENT ON COLUMN identity.second_factors.sealed_secret IS 'Encrypted with a key that no database has.';
COMMENT ON COLUMN identity.second_factors.last_step IS 'Of the last code that was taken: neither that one nor an earlier one is good again.';

CREATE TABLE identity.recovery_codes (
  user_id uuid NOT NULL REFERENCES identity.second_factors ON DELETE CASCADE,
  code_hash bytea NOT NULL CHECK (octet_length(code_hash) = 32),
  used_at timestamptz,
  PRIMARY KEY (user_id, code_hash)
);
COMMENT ON TABLE identity.recovery_codes IS 'Each stands once for a code of the authenticator; SHA-256 of 80 random bits.';
