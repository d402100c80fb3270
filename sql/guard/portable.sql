-- Signed tenant contexts in PL/pgSQL, for servers where rowhouse_guard cannot be loaded. The contract is that of
-- guard/README.md. Run by a superuser in one transaction, after sql/tenant; may run again, and over the other one.
--
-- What is remembered, and where:
-- - the context of the transaction: in the setting backtrace_functions, set locally. PostgreSQL takes it back at the end
--   of the transaction, whatever its end. Only superusers may set it, and, from here on, tenant_owner, as whom
--   set_context() runs: so a runtime role can read it (as it may ask for its tenant) and reset it, which leaves it no
--   tenant at all, but cannot write it. It is the one built-in setting that holds any word and means nothing by it:
--   these are names of C functions whose errors are logged with a stack trace, and none has such a name.
--   (Settings with a dot in their name are no use: everybody may set them.)
-- - the session's last number: in what the session keeps of a sequence that only the owner may use. Unlike everything
--   else that a session keeps, neither ROLLBACK nor an error takes it back; and a session that forgets it (DISCARD
--   SEQUENCES) begins another range of numbers, above all that were ever given out.

SET LOCAL client_min_messages = warning;
SET LOCAL search_path = '';

-- A dump leaves these out, so after a restore they are missing.
SET LOCAL ROLE tenant_owner;
CREATE TABLE IF NOT EXISTS rowhouse.context_keys (
  id integer PRIMARY KEY CHECK (id > 0),
  key bytea NOT NULL CHECK (octet_length(key) = 64),
  added_at timestamptz NOT NULL DEFAULT now()
);
CREATE SEQUENCE IF NOT EXISTS rowhouse.context_number CACHE 1048576;
REVOKE ALL ON rowhouse.context_keys, rowhouse.context_number FROM PUBLIC, backup_service;
RESET ROLE;

-- The other implementation's; this one reads the keys each time.
DROP TRIGGER IF EXISTS context_keys_changed ON rowhouse.context_keys;
DROP FUNCTION IF EXISTS rowhouse.context_keys_changed();

-- One grant for the whole server, which several databases may want at the same time.
DO $$
BEGIN
  IF NOT pg_catalog.has_parameter_privilege('tenant_owner', 'backtrace_functions', 'SET') THEN
    LOCK TABLE pg_catalog.pg_parameter_acl IN SHARE ROW EXCLUSIVE MODE;
    IF NOT pg_catalog.has_parameter_privilege('tenant_owner', 'backtrace_functions', 'SET') THEN
      GRANT SET ON PARAMETER backtrace_functions TO tenant_owner;
    END IF;
  END IF;
END $$;

-- The value: 'rowhouse_context_' and in hexadecimal tenant (32 digits), principal (32) and role (8). Somebody else's
-- value is no context. These three are inlined into the queries that call them.
CREATE OR REPLACE FUNCTION rowhouse.tenant_id() RETURNS uuid
LANGUAGE sql STABLE PARALLEL RESTRICTED SECURITY INVOKER
RETURN CASE WHEN pg_catalog.starts_with(pg_catalog.current_setting('backtrace_functions'), 'rowhouse_context_')
  THEN pg_catalog.substr(pg_catalog.current_setting('backtrace_functions'), 18, 32)::pg_catalog.uuid END;

CREATE OR REPLACE FUNCTION rowhouse.principal_id() RETURNS uuid
LANGUAGE sql STABLE PARALLEL RESTRICTED SECURITY INVOKER
RETURN CASE WHEN pg_catalog.starts_with(pg_catalog.current_setting('backtrace_functions'), 'rowhouse_context_')
  THEN pg_catalog.substr(pg_catalog.current_setting('backtrace_functions'), 50, 32)::pg_catalog.uuid END;

CREATE OR REPLACE FUNCTION rowhouse.principal_role() RETURNS integer
LANGUAGE sql STABLE PARALLEL RESTRICTED SECURITY INVOKER
RETURN CASE WHEN pg_catalog.starts_with(pg_catalog.current_setting('backtrace_functions'), 'rowhouse_context_')
  THEN ('x' OPERATOR(pg_catalog.||) pg_catalog.substr(pg_catalog.current_setting('backtrace_functions'), 82, 8))::pg_catalog.bit(32)::pg_catalog.int4 END;

CREATE OR REPLACE FUNCTION rowhouse.context_number() RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS $$
BEGIN
  RETURN pg_catalog.nextval('rowhouse.context_number');
END $$;

-- It runs with the search path of the caller (setting one for a function takes longer than the hash), so every name and
-- every operator is qualified. What it costs is the number of functions and expressions in it, each of which PostgreSQL
-- looks up, checks the rights to and sets up in every transaction. Hence one expression, in which signature, session and
-- number are one comparison; claims that are kept as they come; and record_send(), which turns all that is signed into
-- bytes at once.
--
-- CASE looks at its conditions one after the other, so nothing is stored before everything is verified. Whoever calls
-- this with anything wrong uses up a number, and so has lost count.
--
-- "=" of bytea is memcmp. It compares words of at least 8 bytes, so time could tell a guess apart only after 2^64 of
-- them, each of which costs a transaction and has another number to guess for.
--
-- record_send() writes text in the encoding of the client. All of them have ASCII as it is, and nothing else is signed.
CREATE OR REPLACE FUNCTION rowhouse.set_context(key_id integer, claims text, expires_at timestamptz, mac bytea) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS $$
#variable_conflict use_variable
BEGIN
  IF (CASE
      WHEN (pg_catalog.sha256(k.key OPERATOR(pg_catalog.||) pg_catalog.record_send(ROW (
              claims, expires_at, pg_catalog.nextval('rowhouse.context_number'), pg_catalog.pg_backend_pid())))
            OPERATOR(pg_catalog.=) mac) IS NOT TRUE THEN false
      WHEN expires_at OPERATOR(pg_catalog.<) pg_catalog.clock_timestamp() THEN false
      WHEN pg_catalog.starts_with(pg_catalog.current_setting('backtrace_functions'), 'rowhouse_context_') THEN false
      ELSE pg_catalog.set_config('backtrace_functions', claims, true) IS NOT NULL
      END)
    FROM rowhouse.context_keys k WHERE k.id OPERATOR(pg_catalog.=) key_id
  THEN
    RETURN;
  END IF;

  -- Why not is said to those alone who have a valid signature.
  IF pg_catalog.sha256(k.key OPERATOR(pg_catalog.||) pg_catalog.record_send(ROW (
        claims, expires_at, pg_catalog.currval('rowhouse.context_number'), pg_catalog.pg_backend_pid())))
      OPERATOR(pg_catalog.=) mac
    FROM rowhouse.context_keys k WHERE k.id OPERATOR(pg_catalog.=) key_id
  THEN
    IF expires_at OPERATOR(pg_catalog.<) pg_catalog.clock_timestamp() THEN
      RAISE EXCEPTION 'the tenant context has expired' USING ERRCODE = '42501',
        HINT = 'It may have waited too long, or the clocks of the servers differ.';
    END IF;
    RAISE EXCEPTION 'a tenant context is already set in this transaction' USING ERRCODE = '42501';
  END IF;
  RAISE EXCEPTION 'the tenant context is not valid' USING ERRCODE = '42501';
END $$;

ALTER FUNCTION rowhouse.tenant_id() OWNER TO tenant_owner;
ALTER FUNCTION rowhouse.principal_id() OWNER TO tenant_owner;
ALTER FUNCTION rowhouse.principal_role() OWNER TO tenant_owner;
ALTER FUNCTION rowhouse.context_number() OWNER TO tenant_owner;
ALTER FUNCTION rowhouse.set_context(integer, text, timestamptz, bytea) OWNER TO tenant_owner;
REVOKE ALL ON FUNCTION rowhouse.tenant_id(), rowhouse.principal_id(), rowhouse.principal_role(), rowhouse.context_number(),
  rowhouse.set_context(integer, text, timestamptz, bytea) FROM PUBLIC;
