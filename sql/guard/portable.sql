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
-- every operator is qualified. One query and a few expressions, for speed: PERFORM would be a query more.
--
-- CASE looks at its conditions one after the other, so nothing is stored before everything is verified.
--
-- "=" of bytea is memcmp. It compares words of at least 8 bytes, so time could tell a guess apart only after 2^64 of
-- them, each of which costs a transaction.
CREATE OR REPLACE FUNCTION rowhouse.set_context(key_id integer, tenant_high bigint, tenant_low bigint, principal_high bigint,
  principal_low bigint, role integer, expires_at bigint, number bigint, mac bytea) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS $$
#variable_conflict use_variable
DECLARE
  message pg_catalog.bytea;
  last_number pg_catalog.int8;
  refusal pg_catalog.text;
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

  SELECT k.key INTO message FROM rowhouse.context_keys k WHERE k.id OPERATOR(pg_catalog.=) key_id;
  message := message OPERATOR(pg_catalog.||) pg_catalog.int8send(tenant_high)
    OPERATOR(pg_catalog.||) pg_catalog.int8send(tenant_low) OPERATOR(pg_catalog.||) pg_catalog.int8send(principal_high)
    OPERATOR(pg_catalog.||) pg_catalog.int8send(principal_low) OPERATOR(pg_catalog.||) pg_catalog.int4send(role)
    OPERATOR(pg_catalog.||) pg_catalog.int8send(expires_at) OPERATOR(pg_catalog.||) pg_catalog.int8send(number)
    OPERATOR(pg_catalog.||) pg_catalog.int4send(pg_catalog.pg_backend_pid());

  refusal := CASE
    -- Of an unknown key or anything null, the message is null.
    WHEN (pg_catalog.sha256(message) OPERATOR(pg_catalog.=) mac) IS NOT TRUE THEN 'the tenant context is not valid'
    WHEN number OPERATOR(pg_catalog.<=) COALESCE(last_number, pg_catalog.currval('rowhouse.context_number'))
      THEN 'the tenant context is not valid'
    WHEN expires_at OPERATOR(pg_catalog.<)
        (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) OPERATOR(pg_catalog.*) 1e6::pg_catalog.float8)
      THEN 'the tenant context has expired'
    WHEN pg_catalog.starts_with(pg_catalog.current_setting('backtrace_functions'), 'rowhouse_context_')
      THEN 'a tenant context is already set in this transaction'
    WHEN pg_catalog.setval('rowhouse.context_number', number) IS NULL
        OR pg_catalog.set_config('backtrace_functions', 'rowhouse_context_' OPERATOR(pg_catalog.||)
             pg_catalog.encode(pg_catalog.substr(message, 65, 36), 'hex'), true) IS NULL
      THEN 'the tenant context cannot be kept'
    END;
  IF refusal IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = refusal, HINT = CASE refusal
      WHEN 'the tenant context has expired' THEN 'It may have waited too long, or the clocks of the servers differ.'
      ELSE '' END;
  END IF;
END $$;

ALTER FUNCTION rowhouse.tenant_id() OWNER TO tenant_owner;
ALTER FUNCTION rowhouse.principal_id() OWNER TO tenant_owner;
ALTER FUNCTION rowhouse.principal_role() OWNER TO tenant_owner;
ALTER FUNCTION rowhouse.set_context(integer, bigint, bigint, bigint, bigint, integer, bigint, bigint, bytea) OWNER TO tenant_owner;
REVOKE ALL ON FUNCTION rowhouse.tenant_id(), rowhouse.principal_id(), rowhouse.principal_role(),
  rowhouse.set_context(integer, bigint, bigint, bigint, bigint, integer, bigint, bigint, bytea) FROM PUBLIC;
