-- What sales people look at every morning: open leads with their next task, and the pipeline in figures.

CREATE VIEW open_leads WITH (security_invoker = true, security_barrier = true) AS
SELECT l.tenant_id, l.id, l.name, l.email, l.company, l.source, l.status, l.status_since, l.value, l.assigned_to,
       l.last_activity_at, l.created_at,
       (SELECT count(*) FROM activities a
         WHERE a.tenant_id = l.tenant_id AND a.lead_id = l.id AND NOT a.completed) AS open_activities,
       (SELECT min(a.due_at) FROM activities a
         WHERE a.tenant_id = l.tenant_id AND a.lead_id = l.id AND NOT a.completed) AS next_due_at
  FROM leads l
 WHERE l.status NOT IN ('WON', 'LOST');

COMMENT ON VIEW open_leads IS 'Leads that are neither won nor lost, with what remains to be done';
COMMENT ON COLUMN open_leads.tenant_id IS 'Owner of the row';
COMMENT ON COLUMN open_leads.id IS 'Identifier of the lead';
COMMENT ON COLUMN open_leads.name IS 'Name of the contact';
COMMENT ON COLUMN open_leads.email IS 'E-mail address of the contact';
COMMENT ON COLUMN open_leads.company IS 'Organisation the contact works for';
COMMENT ON COLUMN open_leads.source IS 'Where the lead came from';
COMMENT ON COLUMN open_leads.status IS 'Stage in the sales pipeline, never WON or LOST here';
COMMENT ON COLUMN open_leads.status_since IS 'When the lead entered its status';
COMMENT ON COLUMN open_leads.value IS 'Expected value of the deal, in the tenant''s currency';
COMMENT ON COLUMN open_leads.assigned_to IS 'User who works on the lead';
COMMENT ON COLUMN open_leads.last_activity_at IS 'When somebody last dealt with the lead';
COMMENT ON COLUMN open_leads.created_at IS 'When the lead was entered';
COMMENT ON COLUMN open_leads.open_activities IS 'Number of activities that are not completed';
COMMENT ON COLUMN open_leads.next_due_at IS 'When the next open activity is due';

CREATE FUNCTION lead_counts()
RETURNS TABLE (status text, count bigint, average_days_in_status numeric)
LANGUAGE sql STABLE SECURITY INVOKER
BEGIN ATOMIC
  SELECT l.status::text, count(*), round((avg(extract(epoch FROM now() - l.status_since)) / 86400)::numeric, 1)
    FROM leads l
   GROUP BY l.status
   ORDER BY count(*) DESC, l.status;
END;
COMMENT ON FUNCTION lead_counts() IS 'Number of leads in each status and how many days they have been in it on average';

CREATE FUNCTION leads_by_source(from_date date DEFAULT NULL, to_date date DEFAULT NULL)
RETURNS TABLE (source text, leads bigint, won bigint, lost bigint, value_won numeric, value_open numeric)
LANGUAGE sql STABLE SECURITY INVOKER
BEGIN ATOMIC
  SELECT coalesce(l.source, 'unknown')::text,
         count(*),
         count(*) FILTER (WHERE l.status = 'WON'),
         count(*) FILTER (WHERE l.status = 'LOST'),
         coalesce(sum(l.value) FILTER (WHERE l.status = 'WON'), 0),
         coalesce(sum(l.value) FILTER (WHERE l.status NOT IN ('WON', 'LOST')), 0)
    FROM leads l
   WHERE (from_date IS NULL OR l.created_at >= from_date::timestamp AT TIME ZONE 'UTC')
     AND (to_date IS NULL OR l.created_at < (to_date + 1)::timestamp AT TIME ZONE 'UTC')
   GROUP BY coalesce(l.source, 'unknown')
   ORDER BY count(*) DESC, coalesce(l.source, 'unknown');
END;
COMMENT ON FUNCTION leads_by_source(date, date) IS
  'Leads, deals won and lost and their value for each source; both dates (UTC) are inclusive and optional';
