-- ISP monitor: the network as it is built. Routers, their interfaces and the links between them.
-- Rowhouse adds the tenant_id defaults, row security and grants after this file has run.

-- Keeps the columns that the database owns. Touches NEW and OLD only, so it is the same in every schema.
CREATE FUNCTION keep_row_times() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  NEW.created_at := OLD.created_at;
  NEW.updated_at := pg_catalog.now();
  RETURN NEW;
END $$;

CREATE TABLE routers (
  tenant_id                uuid NOT NULL,
  id                       uuid NOT NULL DEFAULT gen_random_uuid(),
  name                     varchar(255) NOT NULL,
  address                  inet NOT NULL,
  vendor                   varchar(100) NOT NULL,
  model                    varchar(100),
  serial_number            varchar(100),
  site                     varchar(200),
  latitude                 numeric(8,6),
  longitude                numeric(9,6),
  status                   varchar(20) NOT NULL DEFAULT 'unknown',
  snmp_version             varchar(2) NOT NULL DEFAULT '2c',
  snmp_port                integer NOT NULL DEFAULT 161,
  snmp_security_level      varchar(12),
  polling_enabled          boolean NOT NULL DEFAULT true,
  polling_interval_seconds integer,
  tags                     jsonb NOT NULL DEFAULT '[]',
  installed_on             date,
  last_polled_at           timestamptz,
  created_at               timestamptz NOT NULL DEFAULT now(),
  updated_at               timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT routers_name_unique UNIQUE (tenant_id, name),
  CONSTRAINT routers_name_not_blank CHECK (btrim(name) <> ''),
  CONSTRAINT routers_address_is_host CHECK (masklen(address) = CASE family(address) WHEN 4 THEN 32 ELSE 128 END),
  CONSTRAINT routers_latitude_range CHECK (latitude BETWEEN -90 AND 90),
  CONSTRAINT routers_longitude_range CHECK (longitude BETWEEN -180 AND 180),
  CONSTRAINT routers_location_complete CHECK ((latitude IS NULL) = (longitude IS NULL)),
  CONSTRAINT routers_status_known CHECK (status IN ('up', 'down', 'degraded', 'maintenance', 'unknown')),
  CONSTRAINT routers_snmp_version_known CHECK (snmp_version IN ('1', '2c', '3')),
  CONSTRAINT routers_snmp_port_range CHECK (snmp_port BETWEEN 1 AND 65535),
  CONSTRAINT routers_snmp_security_level_known CHECK (snmp_security_level IN ('noAuthNoPriv', 'authNoPriv', 'authPriv')),
  CONSTRAINT routers_snmp_security_level_version CHECK ((snmp_version = '3') = (snmp_security_level IS NOT NULL)),
  CONSTRAINT routers_polling_interval_range CHECK (polling_interval_seconds BETWEEN 10 AND 86400),
  CONSTRAINT routers_tags_array CHECK (jsonb_typeof(tags) = 'array'),
  CONSTRAINT routers_tags_size CHECK (octet_length(tags::text) <= 4096)
);
CREATE INDEX routers_by_created ON routers (tenant_id, created_at, id);
CREATE INDEX routers_by_status ON routers (tenant_id, status, id);
CREATE INDEX routers_by_site ON routers (tenant_id, site, name);
CREATE INDEX routers_by_address ON routers (tenant_id, address);
CREATE TRIGGER routers_keep_row_times BEFORE UPDATE ON routers FOR EACH ROW EXECUTE FUNCTION keep_row_times();

COMMENT ON TABLE routers IS 'Devices that are watched';
COMMENT ON COLUMN routers.tenant_id IS 'Owner of the row';
COMMENT ON COLUMN routers.id IS 'Identifier, chosen by the database unless given';
COMMENT ON COLUMN routers.name IS 'Name of the device; unique';
COMMENT ON COLUMN routers.address IS 'Management address, one IPv4 or IPv6 host';
COMMENT ON COLUMN routers.vendor IS 'Manufacturer';
COMMENT ON COLUMN routers.model IS 'Model of the manufacturer';
COMMENT ON COLUMN routers.serial_number IS 'Serial number on the case';
COMMENT ON COLUMN routers.site IS 'Name of the place where it stands';
COMMENT ON COLUMN routers.latitude IS 'Degrees north (WGS 84); given with longitude or not at all';
COMMENT ON COLUMN routers.longitude IS 'Degrees east (WGS 84)';
COMMENT ON COLUMN routers.status IS 'State as last seen';
COMMENT ON COLUMN routers.snmp_version IS 'Version of SNMP it is polled with; credentials are not kept in this table';
COMMENT ON COLUMN routers.snmp_port IS 'UDP port of its SNMP agent';
COMMENT ON COLUMN routers.snmp_security_level IS 'Security level; required for SNMP version 3, absent otherwise';
COMMENT ON COLUMN routers.polling_enabled IS 'Whether it is polled';
COMMENT ON COLUMN routers.polling_interval_seconds IS 'Seconds between two polls; empty means the tenant''s setting';
COMMENT ON COLUMN routers.tags IS 'Words to group by, a JSON array';
COMMENT ON COLUMN routers.installed_on IS 'Day on which it went into service';
COMMENT ON COLUMN routers.last_polled_at IS 'When it was last polled';
COMMENT ON COLUMN routers.created_at IS 'When the row was created';
COMMENT ON COLUMN routers.updated_at IS 'When the row last changed';

CREATE TABLE interfaces (
  tenant_id             uuid NOT NULL,
  id                    uuid NOT NULL DEFAULT gen_random_uuid(),
  router_id             uuid NOT NULL,
  name                  varchar(100) NOT NULL,
  snmp_index            integer,
  description           varchar(255),
  address               inet,
  mac_address           varchar(17),
  speed_bits_per_second bigint,
  mtu                   integer,
  admin_up              boolean NOT NULL DEFAULT true,
  status                varchar(20) NOT NULL DEFAULT 'unknown',
  created_at            timestamptz NOT NULL DEFAULT now(),
  updated_at            timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT interfaces_name_unique UNIQUE (tenant_id, router_id, name),
  -- Lets a link prove that its interface belongs to its router.
  CONSTRAINT interfaces_router_unique UNIQUE (tenant_id, router_id, id),
  CONSTRAINT interfaces_router_exists FOREIGN KEY (tenant_id, router_id)
    REFERENCES routers (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT interfaces_name_not_blank CHECK (btrim(name) <> ''),
  CONSTRAINT interfaces_snmp_index_positive CHECK (snmp_index > 0),
  CONSTRAINT interfaces_mac_address_format CHECK (mac_address ~ '^[0-9a-f]{2}(:[0-9a-f]{2}){5}$'),
  CONSTRAINT interfaces_speed_positive CHECK (speed_bits_per_second > 0),
  CONSTRAINT interfaces_mtu_range CHECK (mtu BETWEEN 68 AND 65535),
  CONSTRAINT interfaces_status_known CHECK (status IN ('up', 'down', 'dormant', 'unknown'))
);
CREATE INDEX interfaces_by_created ON interfaces (tenant_id, created_at, id);
CREATE INDEX interfaces_by_name ON interfaces (tenant_id, name, id);
CREATE INDEX interfaces_by_status ON interfaces (tenant_id, status, id);
CREATE TRIGGER interfaces_keep_row_times BEFORE UPDATE ON interfaces FOR EACH ROW EXECUTE FUNCTION keep_row_times();

COMMENT ON TABLE interfaces IS 'Ports of the routers';
COMMENT ON COLUMN interfaces.tenant_id IS 'Owner of the row';
COMMENT ON COLUMN interfaces.id IS 'Identifier, chosen by the database unless given';
COMMENT ON COLUMN interfaces.router_id IS 'Router it belongs to; deleting the router deletes its interfaces';
COMMENT ON COLUMN interfaces.name IS 'Name of the port, unique within the router';
COMMENT ON COLUMN interfaces.snmp_index IS 'Its ifIndex';
COMMENT ON COLUMN interfaces.description IS 'What is connected there';
COMMENT ON COLUMN interfaces.address IS 'Address with the length of its network';
COMMENT ON COLUMN interfaces.mac_address IS 'Hardware address, six pairs of lower-case hexadecimal digits with colons';
COMMENT ON COLUMN interfaces.speed_bits_per_second IS 'Nominal speed';
COMMENT ON COLUMN interfaces.mtu IS 'Largest packet in bytes';
COMMENT ON COLUMN interfaces.admin_up IS 'Whether it is switched on by configuration';
COMMENT ON COLUMN interfaces.status IS 'Operational state as last seen';
COMMENT ON COLUMN interfaces.created_at IS 'When the row was created';
COMMENT ON COLUMN interfaces.updated_at IS 'When the row last changed';

CREATE TABLE links (
  tenant_id                uuid NOT NULL,
  id                       uuid NOT NULL DEFAULT gen_random_uuid(),
  name                     varchar(200) NOT NULL,
  kind                     varchar(20) NOT NULL,
  from_router_id           uuid NOT NULL,
  from_interface_id        uuid,
  to_router_id             uuid NOT NULL,
  to_interface_id          uuid,
  capacity_bits_per_second bigint,
  length_km                numeric(8,3),
  status                   varchar(20) NOT NULL DEFAULT 'unknown',
  provider                 varchar(100),
  in_service_since         date,
  created_at               timestamptz NOT NULL DEFAULT now(),
  updated_at               timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT links_name_unique UNIQUE (tenant_id, name),
  CONSTRAINT links_from_router_exists FOREIGN KEY (tenant_id, from_router_id)
    REFERENCES routers (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT links_to_router_exists FOREIGN KEY (tenant_id, to_router_id)
    REFERENCES routers (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT links_from_interface_of_router FOREIGN KEY (tenant_id, from_router_id, from_interface_id)
    REFERENCES interfaces (tenant_id, router_id, id) ON DELETE SET NULL (from_interface_id),
  CONSTRAINT links_to_interface_of_router FOREIGN KEY (tenant_id, to_router_id, to_interface_id)
    REFERENCES interfaces (tenant_id, router_id, id) ON DELETE SET NULL (to_interface_id),
  CONSTRAINT links_name_not_blank CHECK (btrim(name) <> ''),
  CONSTRAINT links_kind_known CHECK (kind IN ('fibre', 'copper', 'microwave', 'satellite', 'virtual')),
  CONSTRAINT links_ends_differ CHECK (from_router_id <> to_router_id),
  CONSTRAINT links_capacity_positive CHECK (capacity_bits_per_second > 0),
  CONSTRAINT links_length_not_negative CHECK (length_km >= 0),
  CONSTRAINT links_status_known CHECK (status IN ('up', 'down', 'degraded', 'planned', 'unknown'))
);
CREATE INDEX links_by_created ON links (tenant_id, created_at, id);
CREATE INDEX links_by_from ON links (tenant_id, from_router_id, from_interface_id);
CREATE INDEX links_by_to ON links (tenant_id, to_router_id, to_interface_id);
CREATE TRIGGER links_keep_row_times BEFORE UPDATE ON links FOR EACH ROW EXECUTE FUNCTION keep_row_times();

COMMENT ON TABLE links IS 'Topology: which router is connected with which, and by what';
COMMENT ON COLUMN links.tenant_id IS 'Owner of the row';
COMMENT ON COLUMN links.id IS 'Identifier, chosen by the database unless given';
COMMENT ON COLUMN links.name IS 'Name of the link; unique';
COMMENT ON COLUMN links.kind IS 'What carries it';
COMMENT ON COLUMN links.from_router_id IS 'Router at one end';
COMMENT ON COLUMN links.from_interface_id IS 'Its interface, when known; must belong to that router';
COMMENT ON COLUMN links.to_router_id IS 'Router at the other end';
COMMENT ON COLUMN links.to_interface_id IS 'Its interface, when known; must belong to that router';
COMMENT ON COLUMN links.capacity_bits_per_second IS 'What it carries at most in one direction';
COMMENT ON COLUMN links.length_km IS 'Length in kilometres';
COMMENT ON COLUMN links.status IS 'State as last seen';
COMMENT ON COLUMN links.provider IS 'Who runs it, when leased';
COMMENT ON COLUMN links.in_service_since IS 'Day on which it went into service';
COMMENT ON COLUMN links.created_at IS 'When the row was created';
COMMENT ON COLUMN links.updated_at IS 'When the row last changed';
