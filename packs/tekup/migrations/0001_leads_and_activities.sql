-- TekUp CRM: leads and what was done about them.
-- Rowhouse adds the tenant_id defaults, row security and grants after this file has run.

-- Keeps the columns that the database owns. Touches NEW and OLD only, so it is the same in every schema.
-- created_at may be given when a row is created (history brought over from another system), never changed later.
CREATE FUNCTION keep_row_times() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  IF NEW.created_at IS DISTINCT FROM OLD.created_at THEN
    RAISE EXCEPTION USING
      ERRCODE = 'check_violation',
      MESSAGE = 'created_at cannot be changed',
      TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA, COLUMN = 'created_at',
      CONSTRAINT = TG_TABLE_NAME || '_created_at_fixed';
  END IF;
  NEW.updated_at := pg_catalog.now();
  RETURN NEW;
END $$;

-- version counts the changes of a lead; status_since follows the status unless the caller gives a date of their own.
CREATE FUNCTION keep_lead_history() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  NEW.version := OLD.version + 1;
  IF NEW.status IS DISTINCT FROM OLD.status AND NEW.status_since IS NOT DISTINCT FROM OLD.status_since THEN
    NEW.status_since := pg_catalog.now();
  END IF;
  RETURN NEW;
END $$;

CREATE TABLE leads (
  tenant_id        uuid NOT NULL,
  id               uuid NOT NULL DEFAULT gen_random_uuid(),
  name             varchar(255) NOT NULL,
  email            varchar(255),
  phone            varchar(50),
  company          varchar(255),
  source           varchar(100),
  status           varchar(20) NOT NULL DEFAULT 'NEW',
  status_since     timestamptz NOT NULL DEFAULT now(),
  value            numeric(12,2) NOT NULL DEFAULT 0,
  custom_fields    jsonb NOT NULL DEFAULT '{}',
  assigned_to      uuid,
  created_by       uuid,
  version          integer NOT NULL DEFAULT 1,
  last_activity_at timestamptz NOT NULL DEFAULT now(),
  created_at       timestamptz NOT NULL DEFAULT now(),
  updated_at       timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT leads_email_unique UNIQUE (tenant_id, email),
  CONSTRAINT leads_name_not_blank CHECK (btrim(name) <> ''),
  CONSTRAINT leads_email_format CHECK (email ~ '^[^@[:space:]]+@[^@[:space:]]+\.[^@[:space:]]+$'),
  CONSTRAINT leads_email_lower_case CHECK (email = lower(email)),
  CONSTRAINT leads_status_known CHECK (status IN
    ('NEW', 'CONTACTED', 'QUALIFIED', 'PROPOSAL', 'NEGOTIATION', 'WON', 'LOST')),
  CONSTRAINT leads_value_not_negative CHECK (value >= 0),
  CONSTRAINT leads_custom_fields_object CHECK (jsonb_typeof(custom_fields) = 'object'),
  CONSTRAINT leads_custom_fields_size CHECK (octet_length(custom_fields::text) <= 65536),
  CONSTRAINT leads_version_positive CHECK (version > 0)
);
CREATE INDEX leads_by_created ON leads (tenant_id, created_at, id);
CREATE INDEX leads_by_updated ON leads (tenant_id, updated_at, id);
CREATE INDEX leads_by_last_activity ON leads (tenant_id, last_activity_at, id);
CREATE INDEX leads_by_name ON leads (tenant_id, name, id);
CREATE INDEX leads_by_status ON leads (tenant_id, status, created_at, id);
CREATE INDEX leads_by_assigned_to ON leads (tenant_id, assigned_to, status);
CREATE INDEX leads_by_created_by ON leads (tenant_id, created_by);

CREATE TRIGGER leads_keep_row_times BEFORE UPDATE ON leads
  FOR EACH ROW EXECUTE FUNCTION keep_row_times();
CREATE TRIGGER leads_keep_history BEFORE UPDATE ON leads
  FOR EACH ROW EXECUTE FUNCTION keep_lead_history();

COMMENT ON TABLE leads IS 'People or companies that may become customers';
COMMENT ON COLUMN leads.tenant_id IS 'Owner of the row';
COMMENT ON COLUMN leads.id IS 'Identifier, chosen by the database unless given';
COMMENT ON COLUMN leads.name IS 'Name of the contact';
COMMENT ON COLUMN leads.email IS 'E-mail address in lower case; no two leads share one';
COMMENT ON COLUMN leads.phone IS 'Telephone number as written by the user';
COMMENT ON COLUMN leads.company IS 'Organisation the contact works for';
COMMENT ON COLUMN leads.source IS 'Where the lead came from, for example website or referral';
COMMENT ON COLUMN leads.status IS 'Stage in the sales pipeline';
COMMENT ON COLUMN leads.status_since IS 'When the lead entered its status; follows every change of the status';
COMMENT ON COLUMN leads.value IS 'Expected value of the deal, in the tenant''s currency';
COMMENT ON COLUMN leads.custom_fields IS 'Fields of the tenant''s own choosing, a JSON object of up to 64 KiB';
COMMENT ON COLUMN leads.assigned_to IS 'User who works on the lead';
COMMENT ON COLUMN leads.created_by IS 'User who entered the lead';
COMMENT ON COLUMN leads.version IS 'Counts the changes of the row, from 1';
COMMENT ON COLUMN leads.last_activity_at IS 'When somebody last dealt with the lead';
COMMENT ON COLUMN leads.created_at IS 'When the lead was entered; may be given on creation, not changed later';
COMMENT ON COLUMN leads.updated_at IS 'When the row last changed';

CREATE TABLE activities (
  tenant_id   uuid NOT NULL,
  id          uuid NOT NULL DEFAULT gen_random_uuid(),
  lead_id     uuid NOT NULL,
  kind        varchar(20) NOT NULL,
  subject     varchar(255) NOT NULL,
  body        text,
  due_at      timestamptz,
  occurred_at timestamptz,
  completed   boolean NOT NULL DEFAULT false,
  assigned_to uuid,
  created_by  uuid,
  created_at  timestamptz NOT NULL DEFAULT now(),
  updated_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT activities_lead_exists FOREIGN KEY (tenant_id, lead_id)
    REFERENCES leads (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT activities_kind_known CHECK (kind IN ('CALL', 'EMAIL', 'MEETING', 'NOTE', 'TASK')),
  CONSTRAINT activities_subject_not_blank CHECK (btrim(subject) <> ''),
  CONSTRAINT activities_body_length CHECK (char_length(body) <= 20000),
  CONSTRAINT activities_due_or_occurred CHECK (num_nonnulls(due_at, occurred_at) > 0)
);
CREATE INDEX activities_by_created ON activities (tenant_id, created_at, id);
CREATE INDEX activities_by_lead ON activities (tenant_id, lead_id, created_at, id);
CREATE INDEX activities_open_by_due ON activities (tenant_id, due_at, id) WHERE NOT completed AND due_at IS NOT NULL;
CREATE INDEX activities_by_assigned_to ON activities (tenant_id, assigned_to, completed);

CREATE TRIGGER activities_keep_row_times BEFORE UPDATE ON activities
  FOR EACH ROW EXECUTE FUNCTION keep_row_times();

COMMENT ON TABLE activities IS 'Calls, messages, meetings, notes and tasks that belong to a lead';
COMMENT ON COLUMN activities.tenant_id IS 'Owner of the row';
COMMENT ON COLUMN activities.id IS 'Identifier, chosen by the database unless given';
COMMENT ON COLUMN activities.lead_id IS 'Lead the activity belongs to; deleting the lead deletes its activities';
COMMENT ON COLUMN activities.kind IS 'What sort of activity it is';
COMMENT ON COLUMN activities.subject IS 'Summary in one line';
COMMENT ON COLUMN activities.body IS 'Details, up to 20,000 characters';
COMMENT ON COLUMN activities.due_at IS 'When it is to be done; an activity has a due time, a time it took place, or both';
COMMENT ON COLUMN activities.occurred_at IS 'When it took place';
COMMENT ON COLUMN activities.completed IS 'Whether nothing remains to be done';
COMMENT ON COLUMN activities.assigned_to IS 'User who is to do it';
COMMENT ON COLUMN activities.created_by IS 'User who entered it';
COMMENT ON COLUMN activities.created_at IS 'When it was entered; may be given on creation, not changed later';
COMMENT ON COLUMN activities.updated_at IS 'When the row last changed';
