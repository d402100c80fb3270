-- Leases with epochs, requests to stop, and what operations show of themselves.

ALTER TABLE platform.operations
  ADD COLUMN lease_epoch bigint NOT NULL DEFAULT 0 CHECK (lease_epoch >= 0),
  ADD COLUMN lease_write bigint NOT NULL DEFAULT 0,
  ADD COLUMN revision bigint NOT NULL DEFAULT 1 CHECK (revision > 0),
  ADD COLUMN state jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(state) = 'object'),
  ADD COLUMN failure jsonb CHECK (jsonb_typeof(failure) = 'object'),
  ADD COLUMN progress_done bigint,
  ADD COLUMN progress_total bigint,
  ADD COLUMN progress_what text,
  ADD COLUMN cancel_requested_at timestamptz,
  ADD COLUMN cancel_requested_by text,
  ADD COLUMN pause_requested_at timestamptz,
  ADD COLUMN pause_requested_by text,
  ADD COLUMN request_digest text,
  DROP CONSTRAINT operations_status_check,
  ADD CONSTRAINT operations_status_check CHECK
    (status IN ('pending', 'running', 'paused', 'succeeded', 'undoing', 'undone', 'failed', 'cancelled')),
  ADD CONSTRAINT a_waiting_one_has_no_lease CHECK
    (lease_holder IS NULL OR status IN ('running', 'undoing'));
COMMENT ON COLUMN platform.operations.lease_holder IS 'Node and worker that work on it now; another may take over when the lease has run out.';
COMMENT ON COLUMN platform.operations.lease_epoch IS 'Raised by whoever takes it over; a write under an older epoch changes nothing.';
COMMENT ON COLUMN platform.operations.lease_write IS 'Number of the last write under this epoch; an earlier one that comes late changes nothing.';
COMMENT ON COLUMN platform.operations.revision IS 'Rises with every change that can be seen.';
COMMENT ON COLUMN platform.operations.state IS 'What its steps note for later ones and for their undo. No secrets.';
COMMENT ON COLUMN platform.operations.failure IS 'Why it is taken back; null while it goes forward.';
COMMENT ON COLUMN platform.operations.error IS 'Of the last attempt, or of the end: code, message, step.';
COMMENT ON COLUMN platform.operations.request_digest IS 'Of the request behind request_key: a repetition must be the same.';
CREATE INDEX operations_by_kind ON platform.operations (kind, created_at, id);

ALTER TABLE platform.operation_steps
  ADD COLUMN undo_attempts integer NOT NULL DEFAULT 0 CHECK (undo_attempts >= 0);
COMMENT ON COLUMN platform.operation_steps.attempts IS 'Going forward; undo_attempts counts those of taking it back.';
