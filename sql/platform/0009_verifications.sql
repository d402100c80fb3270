-- Runs of `rowhouse verify` and their signed reports. Old ones are dropped by the code that writes new ones.

CREATE TABLE platform.verifications (
  id uuid PRIMARY KEY,
  status text NOT NULL CHECK (status IN ('running', 'finished', 'failed')),
  requested_by text NOT NULL,
  request jsonb NOT NULL,
  slug_prefix text NOT NULL UNIQUE CHECK (slug_prefix ~ '^rowhouse-verify-[0-9a-f]{8}-$'),
  cleared boolean NOT NULL DEFAULT false,
  started_at timestamptz NOT NULL DEFAULT now(),
  heartbeat_at timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz,
  progress jsonb NOT NULL DEFAULT '{}',
  result text CHECK (result IN ('proven', 'broken', 'incomplete')),
  surfaces integer,
  uncovered integer,
  findings integer,
  attempts bigint,
  error text,
  report text,
  CONSTRAINT finished_has_a_report CHECK ((status = 'finished') = (report IS NOT NULL AND result IS NOT NULL)),
  CONSTRAINT ended_has_a_time CHECK ((status = 'running') = (finished_at IS NULL))
);
COMMENT ON TABLE platform.verifications IS 'Runs of the verification of isolation; the newest ones are kept.';
COMMENT ON COLUMN platform.verifications.slug_prefix IS 'Slugs of the run''s throw-away tenants begin so; written down before there are any.';
COMMENT ON COLUMN platform.verifications.cleared IS 'Whether nothing of the run is left behind; until then the row stays.';
COMMENT ON COLUMN platform.verifications.heartbeat_at IS 'When the run last said that it goes on; one that is silent for minutes counts as failed.';
COMMENT ON COLUMN platform.verifications.report IS 'The signed report, JSON, byte for byte as it was made.';
-- One at a time, on whichever node.
CREATE UNIQUE INDEX verifications_one_running ON platform.verifications ((true)) WHERE status = 'running';
CREATE INDEX verifications_by_start ON platform.verifications (started_at);
