-- What polling finds, what counts as trouble, and who is told.

-- Append-only. Spread by tenant, so that one tenant's history neither bloats nor locks another's.
CREATE TABLE poll_results (
  tenant_id           uuid NOT NULL,
  id                  uuid NOT NULL DEFAULT gen_random_uuid(),
  router_id           uuid NOT NULL,
  polled_at           timestamptz NOT NULL DEFAULT now(),
  status              varchar(20) NOT NULL,
  latency_ms          numeric(9,3),
  packet_loss_percent numeric(5,2),
  cpu_percent         numeric(5,2),
  memory_percent      numeric(5,2),
  uptime_seconds      bigint,
  in_octets           bigint,
  out_octets          bigint,
  interface_counters  jsonb NOT NULL DEFAULT '{}',
  error               varchar(500),
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT poll_results_router_exists FOREIGN KEY (tenant_id, router_id)
    REFERENCES routers (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT poll_results_status_known CHECK (status IN ('ok', 'timeout', 'error')),
  CONSTRAINT poll_results_latency_not_negative CHECK (latency_ms >= 0),
  CONSTRAINT poll_results_packet_loss_range CHECK (packet_loss_percent BETWEEN 0 AND 100),
  CONSTRAINT poll_results_cpu_range CHECK (cpu_percent BETWEEN 0 AND 100),
  CONSTRAINT poll_results_memory_range CHECK (memory_percent BETWEEN 0 AND 100),
  CONSTRAINT poll_results_counters_not_negative CHECK (uptime_seconds >= 0 AND in_octets >= 0 AND out_octets >= 0),
  CONSTRAINT poll_results_interface_counters_object CHECK (jsonb_typeof(interface_counters) = 'object'),
  CONSTRAINT poll_results_interface_counters_size CHECK (octet_length(interface_counters::text) <= 262144)
) PARTITION BY HASH (tenant_id);
CREATE TABLE poll_results_p0 PARTITION OF poll_results FOR VALUES WITH (MODULUS 8, REMAINDER 0);
CREATE TABLE poll_results_p1 PARTITION OF poll_results FOR VALUES WITH (MODULUS 8, REMAINDER 1);
CREATE TABLE poll_results_p2 PARTITION OF poll_results FOR VALUES WITH (MODULUS 8, REMAINDER 2);
CREATE TABLE poll_results_p3 PARTITION OF poll_results FOR VALUES WITH (MODULUS 8, REMAINDER 3);
CREATE TABLE poll_results_p4 PARTITION OF poll_results FOR VALUES WITH (MODULUS 8, REMAINDER 4);
CREATE TABLE poll_results_p5 PARTITION OF poll_results FOR VALUES WITH (MODULUS 8, REMAINDER 5);
CREATE TABLE poll_results_p6 PARTITION OF poll_results FOR VALUES WITH (MODULUS 8, REMAINDER 6);
CREATE TABLE poll_results_p7 PARTITION OF poll_results FOR VALUES WITH (MODULUS 8, REMAINDER 7);
CREATE INDEX poll_results_by_polled ON poll_results (tenant_id, polled_at, id);
CREATE INDEX poll_results_by_router ON poll_results (tenant_id, router_id, polled_at, id);

COMMENT ON TABLE poll_results IS 'What each poll of a router found; rows are added and never changed';
COMMENT ON COLUMN poll_results.tenant_id IS 'Owner of the row';
COMMENT ON COLUMN poll_results.id IS 'Identifier, chosen by the database unless given';
COMMENT ON COLUMN poll_results.router_id IS 'Router that was polled; deleting the router deletes its history';
COMMENT ON COLUMN poll_results.polled_at IS 'When it was polled';
COMMENT ON COLUMN poll_results.status IS 'Whether an answer came';
COMMENT ON COLUMN poll_results.latency_ms IS 'Round trip in milliseconds';
COMMENT ON COLUMN poll_results.packet_loss_percent IS 'Share of probes without an answer';
COMMENT ON COLUMN poll_results.cpu_percent IS 'Load of its processor';
COMMENT ON COLUMN poll_results.memory_percent IS 'Share of its memory in use';
COMMENT ON COLUMN poll_results.uptime_seconds IS 'Seconds since it started';
COMMENT ON COLUMN poll_results.in_octets IS 'Bytes received by all interfaces together, a running total';
COMMENT ON COLUMN poll_results.out_octets IS 'Bytes sent by all interfaces together, a running total';
COMMENT ON COLUMN poll_results.interface_counters IS 'Counters of each interface by its name, a JSON object';
COMMENT ON COLUMN poll_results.error IS 'Why there was no answer';

CREATE TABLE alert_rules (
  tenant_id        uuid NOT NULL,
  id               uuid NOT NULL DEFAULT gen_random_uuid(),
  name             varchar(200) NOT NULL,
  description      varchar(1000),
  router_id        uuid,
  metric           varchar(40) NOT NULL,
  comparison       varchar(3) NOT NULL DEFAULT 'gt',
  threshold        numeric(16,3) NOT NULL,
  duration_seconds integer NOT NULL DEFAULT 0,
  severity         varchar(20) NOT NULL DEFAULT 'warning',
  match_tags       text[] NOT NULL DEFAULT '{}',
  active           boolean NOT NULL DEFAULT true,
  created_at       timestamptz NOT NULL DEFAULT now(),
  updated_at       timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT alert_rules_name_unique UNIQUE (tenant_id, name),
  CONSTRAINT alert_rules_router_exists FOREIGN KEY (tenant_id, router_id)
    REFERENCES routers (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT alert_rules_name_not_blank CHECK (btrim(name) <> ''),
  CONSTRAINT alert_rules_metric_known CHECK (metric IN
    ('latency_ms', 'packet_loss_percent', 'cpu_percent', 'memory_percent', 'uptime_seconds', 'failed_polls')),
  CONSTRAINT alert_rules_comparison_known CHECK (comparison IN ('gt', 'gte', 'lt', 'lte', 'eq')),
  CONSTRAINT alert_rules_duration_range CHECK (duration_seconds BETWEEN 0 AND 86400),
  CONSTRAINT alert_rules_severity_known CHECK (severity IN ('info', 'warning', 'critical')),
  CONSTRAINT alert_rules_match_tags_size CHECK (cardinality(match_tags) <= 20 AND octet_length(match_tags::text) <= 2000)
);
CREATE INDEX alert_rules_by_created ON alert_rules (tenant_id, created_at, id);
CREATE INDEX alert_rules_by_router ON alert_rules (tenant_id, router_id);
CREATE TRIGGER alert_rules_keep_row_times BEFORE UPDATE ON alert_rules FOR EACH ROW EXECUTE FUNCTION keep_row_times();

COMMENT ON TABLE alert_rules IS 'What counts as trouble';
COMMENT ON COLUMN alert_rules.tenant_id IS 'Owner of the row';
COMMENT ON COLUMN alert_rules.id IS 'Identifier, chosen by the database unless given';
COMMENT ON COLUMN alert_rules.name IS 'Name of the rule; unique';
COMMENT ON COLUMN alert_rules.description IS 'What to do when it fires';
COMMENT ON COLUMN alert_rules.router_id IS 'The one router it is about; empty means every router that match_tags allows';
COMMENT ON COLUMN alert_rules.metric IS 'Which figure of a poll is compared';
COMMENT ON COLUMN alert_rules.comparison IS 'How it is compared with the threshold';
COMMENT ON COLUMN alert_rules.threshold IS 'The figure it is compared with';
COMMENT ON COLUMN alert_rules.duration_seconds IS 'How long it must hold before an alert is raised';
COMMENT ON COLUMN alert_rules.severity IS 'How serious it is';
COMMENT ON COLUMN alert_rules.match_tags IS 'Only routers that carry all of these tags; empty means all routers';
COMMENT ON COLUMN alert_rules.active IS 'Whether the rule is applied';
COMMENT ON COLUMN alert_rules.created_at IS 'When the row was created';
COMMENT ON COLUMN alert_rules.updated_at IS 'When the row last changed';

CREATE TABLE alerts (
  tenant_id       uuid NOT NULL,
  id              uuid NOT NULL DEFAULT gen_random_uuid(),
  alert_rule_id   uuid,
  router_id       uuid NOT NULL,
  severity        varchar(20) NOT NULL,
  status          varchar(20) NOT NULL DEFAULT 'open',
  message         varchar(1000) NOT NULL,
  observed_value  numeric(16,3),
  opened_at       timestamptz NOT NULL DEFAULT now(),
  acknowledged_at timestamptz,
  acknowledged_by uuid,
  resolved_at     timestamptz,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT alerts_rule_exists FOREIGN KEY (tenant_id, alert_rule_id)
    REFERENCES alert_rules (tenant_id, id) ON DELETE SET NULL (alert_rule_id),
  CONSTRAINT alerts_router_exists FOREIGN KEY (tenant_id, router_id)
    REFERENCES routers (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT alerts_severity_known CHECK (severity IN ('info', 'warning', 'critical')),
  CONSTRAINT alerts_status_known CHECK (status IN ('open', 'acknowledged', 'resolved')),
  CONSTRAINT alerts_message_not_blank CHECK (btrim(message) <> ''),
  CONSTRAINT alerts_acknowledged_has_time CHECK (status <> 'acknowledged' OR acknowledged_at IS NOT NULL),
  CONSTRAINT alerts_resolved_has_time CHECK ((status = 'resolved') = (resolved_at IS NOT NULL)),
  CONSTRAINT alerts_resolved_after_opened CHECK (resolved_at >= opened_at)
);
-- A rule has at most one unresolved alert per router: polling again must not raise it again.
CREATE UNIQUE INDEX alerts_one_unresolved ON alerts (tenant_id, alert_rule_id, router_id) WHERE status <> 'resolved';
CREATE INDEX alerts_by_opened ON alerts (tenant_id, opened_at, id);
CREATE INDEX alerts_by_status ON alerts (tenant_id, status, opened_at, id);
CREATE INDEX alerts_by_router ON alerts (tenant_id, router_id, status);
CREATE INDEX alerts_by_rule ON alerts (tenant_id, alert_rule_id);
CREATE TRIGGER alerts_keep_row_times BEFORE UPDATE ON alerts FOR EACH ROW EXECUTE FUNCTION keep_row_times();

COMMENT ON TABLE alerts IS 'Trouble that a rule found, until it is resolved and afterwards';
COMMENT ON COLUMN alerts.tenant_id IS 'Owner of the row';
COMMENT ON COLUMN alerts.id IS 'Identifier, chosen by the database unless given';
COMMENT ON COLUMN alerts.alert_rule_id IS 'Rule that raised it; empty once the rule is deleted';
COMMENT ON COLUMN alerts.router_id IS 'Router it is about';
COMMENT ON COLUMN alerts.severity IS 'How serious it is';
COMMENT ON COLUMN alerts.status IS 'Whether somebody has seen it, whether it is over';
COMMENT ON COLUMN alerts.message IS 'What happened, for people';
COMMENT ON COLUMN alerts.observed_value IS 'The figure that broke the threshold';
COMMENT ON COLUMN alerts.opened_at IS 'When it began';
COMMENT ON COLUMN alerts.acknowledged_at IS 'When somebody took it up';
COMMENT ON COLUMN alerts.acknowledged_by IS 'User who took it up';
COMMENT ON COLUMN alerts.resolved_at IS 'When it was over; set exactly when the status is resolved';
COMMENT ON COLUMN alerts.created_at IS 'When the row was created';
COMMENT ON COLUMN alerts.updated_at IS 'When the row last changed';

CREATE TABLE webhooks (
  tenant_id   uuid NOT NULL,
  id          uuid NOT NULL DEFAULT gen_random_uuid(),
  name        varchar(200) NOT NULL,
  url         varchar(2000) NOT NULL,
  events      text[] NOT NULL,
  active      boolean NOT NULL DEFAULT true,
  description varchar(1000),
  created_at  timestamptz NOT NULL DEFAULT now(),
  updated_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT webhooks_name_unique UNIQUE (tenant_id, name),
  CONSTRAINT webhooks_name_not_blank CHECK (btrim(name) <> ''),
  CONSTRAINT webhooks_url_https CHECK (url ~ '^https://[^/@[:space:]]+(/[^[:space:]]*)?$'),
  CONSTRAINT webhooks_events_known CHECK (cardinality(events) BETWEEN 1 AND 8 AND events <@ ARRAY[
    'alert.opened', 'alert.acknowledged', 'alert.resolved', 'router.created', 'router.updated', 'router.deleted',
    'router.up', 'router.down']::text[])
);
CREATE INDEX webhooks_by_created ON webhooks (tenant_id, created_at, id);
CREATE TRIGGER webhooks_keep_row_times BEFORE UPDATE ON webhooks FOR EACH ROW EXECUTE FUNCTION keep_row_times();

COMMENT ON TABLE webhooks IS 'Who is told about events; the signing key is not kept in this table';
COMMENT ON COLUMN webhooks.tenant_id IS 'Owner of the row';
COMMENT ON COLUMN webhooks.id IS 'Identifier, chosen by the database unless given';
COMMENT ON COLUMN webhooks.name IS 'Name of the webhook; unique';
COMMENT ON COLUMN webhooks.url IS 'Where events are sent: https only, no user name or password in it';
COMMENT ON COLUMN webhooks.events IS 'Kinds of event that are sent';
COMMENT ON COLUMN webhooks.active IS 'Whether events are sent';
COMMENT ON COLUMN webhooks.description IS 'What the receiver does with them';
COMMENT ON COLUMN webhooks.created_at IS 'When the row was created';
COMMENT ON COLUMN webhooks.updated_at IS 'When the row last changed';
