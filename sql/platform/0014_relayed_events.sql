-- What other databases of the platform have to tell: their outboxes are carried over here, each event once.

CREATE TABLE platform.relayed_events (
  id uuid PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE platform.relayed_events IS 'Ids of events that were carried over from another database''s outbox, so that a repetition is not recorded again. Old rows may be deleted.';
CREATE INDEX relayed_events_by_age ON platform.relayed_events (at);
