-- What the last drift report saw of databases with many schemas, so that the next one need not read every schema anew.

CREATE TABLE platform.drift_databases (
  database_name text PRIMARY KEY CHECK (octet_length(database_name) BETWEEN 1 AND 63),
  revision bigint NOT NULL CHECK (revision > 0),
  recipe text NOT NULL,
  horizon bigint NOT NULL CHECK (horizon > 0),
  surroundings bigint NOT NULL CHECK (surroundings >= 0),
  read_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE platform.drift_databases IS 'Databases whose schemas are remembered. Safe to empty: the next report reads everything anew.';
COMMENT ON COLUMN platform.drift_databases.recipe IS 'How fingerprints are made, and which database of which server they are of; another one makes all of it worthless.';
COMMENT ON COLUMN platform.drift_databases.horizon IS 'Every transaction before this one had ended when the catalogs were read.';
COMMENT ON COLUMN platform.drift_databases.surroundings IS 'Rows of the catalogs that belong to no schema of a tenant, and were made before the horizon.';

CREATE TABLE platform.drift_schemas (
  database_name text NOT NULL REFERENCES platform.drift_databases ON DELETE CASCADE,
  schema_name text NOT NULL CHECK (octet_length(schema_name) BETWEEN 1 AND 63),
  role_name text NOT NULL,
  catalog_rows bigint NOT NULL CHECK (catalog_rows >= 0),
  fingerprint text NOT NULL,
  PRIMARY KEY (database_name, schema_name)
);
COMMENT ON COLUMN platform.drift_schemas.catalog_rows IS 'Rows of the catalogs about it, all of them made before the horizon.';
COMMENT ON TABLE platform.drift_schemas IS 'Fingerprints of schemas in which no transaction after the horizon had made anything.';
