-- Usage, audit and the outbox of events.

CREATE TABLE platform.api_usage_logs (
  day date NOT NULL,
  tenant_id uuid NOT NULL,
  calls bigint NOT NULL DEFAULT 0 CHECK (calls >= 0),
  failed_calls bigint NOT NULL DEFAULT 0 CHECK (failed_calls >= 0),
  bytes_in bigint NOT NULL DEFAULT 0 CHECK (bytes_in >= 0),
  bytes_out bigint NOT NULL DEFAULT 0 CHECK (bytes_out >= 0),
  database_us bigint NOT NULL DEFAULT 0 CHECK (database_us >= 0),
  PRIMARY KEY (tenant_id, day)
);
COMMENT ON TABLE platform.api_usage_logs IS 'API use of a tenant on one day (UTC). Nodes add to it; no foreign key: bills outlive tenants.';
CREATE INDEX api_usage_logs_by_day ON platform.api_usage_logs (day);

CREATE TABLE platform.audit_log (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  tenant_id uuid,
  actor text NOT NULL CHECK (actor <> ''),
  action text NOT NULL CHECK (action <> ''),
  object_type text NOT NULL DEFAULT '',
  object_id text NOT NULL DEFAULT '',
  old_values jsonb,
  new_values jsonb,
  address inet,
  agent text,
  severity text NOT NULL DEFAULT 'info' CHECK (severity IN ('info', 'low', 'medium', 'high', 'critical')),
  kind text NOT NULL DEFAULT 'change' CHECK (kind IN ('change', 'security', 'access', 'system'))
);
COMMENT ON TABLE platform.audit_log IS 'Who did what, append-only: triggers refuse every change.';
CREATE INDEX audit_log_by_tenant ON platform.audit_log (tenant_id, id);
CREATE INDEX audit_log_by_time ON platform.audit_log (at);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON platform.audit_log
  FOR EACH ROW EXECUTE FUNCTION platform.refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON platform.audit_log
  FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_change();

CREATE TABLE platform.events (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  tenant_id uuid,
  type text NOT NULL CHECK (type ~ '^[a-z][a-z0-9_.]{0,62}$'),
  payload jsonb NOT NULL DEFAULT '{}',
  published_at timestamptz
);
COMMENT ON TABLE platform.events IS 'Outbox: written in the transaction of the change, published afterwards.';
CREATE INDEX events_unpublished ON platform.events (id) WHERE published_at IS NULL;
CREATE INDEX events_by_tenant ON platform.events (tenant_id, id);
