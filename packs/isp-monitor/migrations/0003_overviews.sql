-- The map and the wall screen: one line per router, and figures about the whole network.

CREATE VIEW router_overview WITH (security_invoker = true, security_barrier = true) AS
SELECT r.tenant_id, r.id, r.name, r.address, r.vendor, r.model, r.site, r.latitude, r.longitude, r.status, r.last_polled_at,
       (SELECT count(*) FROM interfaces i WHERE i.tenant_id = r.tenant_id AND i.router_id = r.id) AS interfaces,
       (SELECT count(*) FROM interfaces i
         WHERE i.tenant_id = r.tenant_id AND i.router_id = r.id AND i.admin_up AND i.status = 'down') AS interfaces_down,
       (SELECT count(*) FROM links l WHERE l.tenant_id = r.tenant_id AND l.from_router_id = r.id)
       + (SELECT count(*) FROM links l WHERE l.tenant_id = r.tenant_id AND l.to_router_id = r.id) AS links,
       (SELECT count(*) FROM alerts a
         WHERE a.tenant_id = r.tenant_id AND a.router_id = r.id AND a.status <> 'resolved') AS unresolved_alerts
  FROM routers r;

COMMENT ON VIEW router_overview IS 'Routers with the number of their interfaces, links and unresolved alerts';
COMMENT ON COLUMN router_overview.tenant_id IS 'Owner of the row';
COMMENT ON COLUMN router_overview.id IS 'Identifier of the router';
COMMENT ON COLUMN router_overview.name IS 'Name of the router';
COMMENT ON COLUMN router_overview.address IS 'Management address';
COMMENT ON COLUMN router_overview.vendor IS 'Manufacturer';
COMMENT ON COLUMN router_overview.model IS 'Model of the manufacturer';
COMMENT ON COLUMN router_overview.site IS 'Name of the place where it stands';
COMMENT ON COLUMN router_overview.latitude IS 'Degrees north (WGS 84)';
COMMENT ON COLUMN router_overview.longitude IS 'Degrees east (WGS 84)';
COMMENT ON COLUMN router_overview.status IS 'State as last seen';
COMMENT ON COLUMN router_overview.last_polled_at IS 'When it was last polled';
COMMENT ON COLUMN router_overview.interfaces IS 'Number of its interfaces';
COMMENT ON COLUMN router_overview.interfaces_down IS 'Number of interfaces that should be up and are down';
COMMENT ON COLUMN router_overview.links IS 'Number of links that end there';
COMMENT ON COLUMN router_overview.unresolved_alerts IS 'Number of alerts that are not resolved';

CREATE FUNCTION router_status_counts()
RETURNS TABLE (status text, routers bigint, polled_routers bigint)
LANGUAGE sql STABLE SECURITY INVOKER
BEGIN ATOMIC
  SELECT r.status::text, count(*), count(*) FILTER (WHERE r.polling_enabled)
    FROM routers r
   GROUP BY r.status
   ORDER BY count(*) DESC, r.status;
END;
COMMENT ON FUNCTION router_status_counts() IS 'Number of routers in each state, and how many of them are polled';

CREATE FUNCTION topology_summary(site_name text DEFAULT NULL)
RETURNS TABLE (routers bigint, sites bigint, interfaces bigint, links bigint, links_down bigint, isolated_routers bigint,
               capacity_bits_per_second numeric)
LANGUAGE sql STABLE SECURITY INVOKER
BEGIN ATOMIC
  WITH chosen AS (
    SELECT r.tenant_id, r.id, r.site FROM routers r WHERE site_name IS NULL OR r.site = site_name
  ), joined AS (
    SELECT l.id, l.status, l.capacity_bits_per_second AS capacity
      FROM links l
     WHERE EXISTS (SELECT FROM chosen c WHERE c.tenant_id = l.tenant_id AND c.id IN (l.from_router_id, l.to_router_id))
  )
  SELECT (SELECT count(*) FROM chosen),
         (SELECT count(DISTINCT c.site) FROM chosen c),
         (SELECT count(*) FROM interfaces i JOIN chosen c ON c.tenant_id = i.tenant_id AND c.id = i.router_id),
         (SELECT count(*) FROM joined),
         (SELECT count(*) FROM joined j WHERE j.status = 'down'),
         (SELECT count(*) FROM chosen c
           WHERE NOT EXISTS (SELECT FROM links l WHERE l.tenant_id = c.tenant_id AND l.from_router_id = c.id)
             AND NOT EXISTS (SELECT FROM links l WHERE l.tenant_id = c.tenant_id AND l.to_router_id = c.id)),
         (SELECT coalesce(sum(j.capacity), 0) FROM joined j);
END;
COMMENT ON FUNCTION topology_summary(text) IS
  'The network in one row of figures; with a site, the routers of that site and the links that touch them';

CREATE FUNCTION poll_summary(router uuid, since timestamptz DEFAULT NULL)
RETURNS TABLE (polls bigint, failed bigint, success_percent numeric, average_latency_ms numeric, p95_latency_ms numeric,
               last_polled_at timestamptz)
LANGUAGE sql STABLE SECURITY INVOKER
BEGIN ATOMIC
  SELECT count(*),
         count(*) FILTER (WHERE p.status <> 'ok'),
         round(100.0 * count(*) FILTER (WHERE p.status = 'ok') / nullif(count(*), 0), 2),
         round(avg(p.latency_ms), 3),
         round((percentile_cont(0.95) WITHIN GROUP (ORDER BY p.latency_ms))::numeric, 3),
         max(p.polled_at)
    FROM poll_results p
   WHERE p.router_id = router AND (since IS NULL OR p.polled_at >= since);
END;
COMMENT ON FUNCTION poll_summary(uuid, timestamptz) IS 'How reliably and how fast one router has answered, optionally since a moment';
