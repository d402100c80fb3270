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
-- - the number of the session's last context: in the session's currval of a sequence that only the owner may use. Unlike
--   everything else that a session keeps, neither ROLLBACK nor an error takes it back.

SET LOCAL client_min_messages = warning;
SET LOCAL search_path = '';

-- A dump leaves these out, so after a restore they are missing.
SET LOCAL ROLE tenant_owner;
CREATE TABLE IF NOT EXISTS rowhouse.context_keys (
  id integer PRIMARY KEY CHECK (id > 0),
  key bytea NOT NULL CHECK (octet_length(key) = 64),
  added_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNLOGGED SEQUENCE IF NOT EXISTS rowhouse.context_number;
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

-- It runs with the search path of the caller (setting one for a function takes longer than the hash), so every name and
-- every operator is qualified. What it costs is the number of functions in its expressions, each of which PostgreSQL looks
-- up and checks the rights to in every transaction. Hence one query, claims that are kept as they come, and record_send(),
-- which turns all that is signed into bytes at once.
--
-- CASE looks at its conditions one after the other, so nothing is stored before everything is verified.
--
-- "=" of bytea is memcmp. It compares words of at least 8 bytes, so time could tell a guess apart only after 2^64 of
-- them, each of which costs a transaction.
--
-- record_send() writes text in the encoding of the client. All of them have ASCII as it is, and nothing else is signed.
CREATE OR REPLACE FUNCTION rowhouse.set_context(key_id integer, claims text, expires_at bigint, number bigint, mac bytea) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS $$
#variable_conflict use_variable
DECLARE
  last_number pg_catalog.int8;
  is_kept pg_catalog.bool;
BEGIN
  IF number OPERATOR(pg_catalog.=) 1 THEN
    -- The first one of a session that has no memory yet. Later, a session without memory is one that threw it away:
    -- currval then raises an error of its own.
    BEGIN
      last_number := pg_catalog.currval('rowhouse.context_number');
    EXCEPTION WHEN object_not_in_prerequisite_state THEN
      last_number := 0;
    END;
  END IF;

  -- Null: not valid, also for want of the key. False: valid, but too late for it.
  is_kept := CASE
    WHEN (pg_catalog.sha256(k.key OPERATOR(pg_catalog.||)
           pg_catalog.record_send(ROW (claims, expires_at, number, pg_catalog.pg_backend_pid())))
         OPERATOR(pg_catalog.=) mac) IS NOT TRUE THEN NULL
    WHEN number OPERATOR(pg_catalog.<=) COALESCE(last_number, pg_catalog.currval('rowhouse.context_number')) THEN NULL
    WHEN expires_at OPERATOR(pg_catalog.<)
        (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) OPERATOR(pg_catalog.*) 1e6::pg_catalog.float8) THEN false
    WHEN pg_catalog.starts_with(pg_catalog.current_setting('backtrace_functions'), 'rowhouse_context_') THEN false
    WHEN pg_catalog.setval('rowhouse.context_number', number) IS NULL THEN NULL
    ELSE pg_catalog.set_config('backtrace_functions', claims, true) IS NOT NULL
    END FROM rowhouse.context_keys k WHERE k.id OPERATOR(pg_catalog.=) key_id;
  IF is_kept THEN RETURN; END IF;

  IF is_kept IS NULL THEN
    RAISE EXCEPTION 'the tenant context is not valid' USING ERRCODE = '42501';
  ELSIF expires_at OPERATOR(pg_catalog.<)
      (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) OPERATOR(pg_catalog.*) 1e6::pg_catalog.float8) THEN
    RAISE EXCEPTION 'the tenant context has expired' USING ERRCODE = '42501',
      HINT = 'It may have waited too long, or the clocks of the servers differ.';
  ELSE
    RAISE EXCEPTION 'a tenant context is already set in this transaction' USING ERRCODE = '42501';
  END IF;
END $$;

ALTER FUNCTION rowhouse.tenant_id() OWNER TO tenant_owner;
ALTER FUNCTION rowhouse.principal_id() OWNER TO tenant_owner;
ALTER FUNCTION rowhouse.principal_role() OWNER TO tenant_owner;
ALTER FUNCTION rowhouse.set_context(integer, text, bigint, bigint, bytea) OWNER TO tenant_owner;
REVOKE ALL ON FUNCTION rowhouse.tenant_id(), rowhouse.principal_id(), rowhouse.principal_role(),
  rowhouse.set_context(integer, text, bigint, bigint, bytea) FROM PUBLIC;
