-- DeepLens: the catalogue of images. The bytes are in the tenant's object store; these rows describe them.
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

CREATE TABLE image_collections (
  tenant_id   uuid NOT NULL,
  id          uuid NOT NULL DEFAULT gen_random_uuid(),
  name        varchar(255) NOT NULL,
  description varchar(2000),
  visibility  varchar(20) NOT NULL DEFAULT 'private',
  tags        text[] NOT NULL DEFAULT '{}',
  settings    jsonb NOT NULL DEFAULT '{}',
  archived    boolean NOT NULL DEFAULT false,
  created_by  uuid,
  created_at  timestamptz NOT NULL DEFAULT now(),
  updated_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT image_collections_name_unique UNIQUE (tenant_id, name),
  CONSTRAINT image_collections_name_not_blank CHECK (btrim(name) <> ''),
  CONSTRAINT image_collections_visibility_known CHECK (visibility IN ('private', 'shared', 'public')),
  CONSTRAINT image_collections_tags_size CHECK (cardinality(tags) <= 50 AND octet_length(tags::text) <= 4096),
  CONSTRAINT image_collections_settings_object CHECK (jsonb_typeof(settings) = 'object'),
  CONSTRAINT image_collections_settings_size CHECK (octet_length(settings::text) <= 65536)
);
CREATE INDEX image_collections_by_created ON image_collections (tenant_id, created_at, id);
CREATE TRIGGER image_collections_keep_row_times BEFORE UPDATE ON image_collections
  FOR EACH ROW EXECUTE FUNCTION keep_row_times();

COMMENT ON TABLE image_collections IS 'Groups of images, as the tenant organises them';
COMMENT ON COLUMN image_collections.tenant_id IS 'Owner of the row';
COMMENT ON COLUMN image_collections.id IS 'Identifier, chosen by the database unless given';
COMMENT ON COLUMN image_collections.name IS 'Name of the collection; unique';
COMMENT ON COLUMN image_collections.description IS 'What the collection holds';
COMMENT ON COLUMN image_collections.visibility IS 'Who may see it within the tenant''s product';
COMMENT ON COLUMN image_collections.tags IS 'Words to group by';
COMMENT ON COLUMN image_collections.settings IS 'How images of this collection are processed, a JSON object of up to 64 KiB';
COMMENT ON COLUMN image_collections.archived IS 'Whether it is kept but no longer shown';
COMMENT ON COLUMN image_collections.created_by IS 'User who made it';
COMMENT ON COLUMN image_collections.created_at IS 'When it was made; may be given on creation, not changed later';
COMMENT ON COLUMN image_collections.updated_at IS 'When the row last changed';

CREATE TABLE images (
  tenant_id         uuid NOT NULL,
  id                uuid NOT NULL DEFAULT gen_random_uuid(),
  collection_id     uuid NOT NULL,
  file_name         varchar(255) NOT NULL,
  title             varchar(255),
  storage_path      varchar(1024) NOT NULL,
  mime_type         varchar(50) NOT NULL,
  byte_size         bigint NOT NULL,
  width             integer,
  height            integer,
  checksum          varchar(64) NOT NULL,
  processing_status varchar(20) NOT NULL DEFAULT 'pending',
  processing_error  varchar(1000),
  processed_at      timestamptz,
  analysis          jsonb NOT NULL DEFAULT '{}',
  quality           numeric(4,3),
  tags              text[] NOT NULL DEFAULT '{}',
  captured_on       date,
  uploaded_by       uuid,
  created_at        timestamptz NOT NULL DEFAULT now(),
  updated_at        timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  -- The same bytes are kept once in a collection.
  CONSTRAINT images_checksum_unique UNIQUE (tenant_id, collection_id, checksum),
  CONSTRAINT images_storage_path_unique UNIQUE (tenant_id, storage_path),
  -- No cascade: rows that vanish would leave their objects behind in the store.
  CONSTRAINT images_collection_exists FOREIGN KEY (tenant_id, collection_id)
    REFERENCES image_collections (tenant_id, id) ON DELETE RESTRICT,
  CONSTRAINT images_file_name_not_blank CHECK (btrim(file_name) <> ''),
  CONSTRAINT images_storage_path_relative CHECK (storage_path ~ '^[^/]' AND storage_path !~ '(^|/)\.\.(/|$)'),
  CONSTRAINT images_mime_type_known CHECK (mime_type IN
    ('image/jpeg', 'image/png', 'image/webp', 'image/gif', 'image/tiff', 'image/avif', 'image/heic')),
  CONSTRAINT images_byte_size_not_negative CHECK (byte_size >= 0),
  CONSTRAINT images_width_range CHECK (width BETWEEN 1 AND 100000),
  CONSTRAINT images_height_range CHECK (height BETWEEN 1 AND 100000),
  CONSTRAINT images_checksum_sha256 CHECK (checksum ~ '^[0-9a-f]{64}$'),
  CONSTRAINT images_processing_status_known CHECK (processing_status IN ('pending', 'processing', 'completed', 'failed')),
  CONSTRAINT images_failed_has_error CHECK (processing_status <> 'failed' OR processing_error IS NOT NULL),
  CONSTRAINT images_completed_has_time CHECK (processing_status <> 'completed' OR processed_at IS NOT NULL),
  CONSTRAINT images_analysis_object CHECK (jsonb_typeof(analysis) = 'object'),
  CONSTRAINT images_analysis_size CHECK (octet_length(analysis::text) <= 262144),
  CONSTRAINT images_quality_range CHECK (quality BETWEEN 0 AND 1),
  CONSTRAINT images_tags_size CHECK (cardinality(tags) <= 100 AND octet_length(tags::text) <= 8192)
);
CREATE INDEX images_by_created ON images (tenant_id, created_at, id);
CREATE INDEX images_by_collection ON images (tenant_id, collection_id, created_at, id);
CREATE INDEX images_by_file_name ON images (tenant_id, file_name, id);
CREATE INDEX images_by_byte_size ON images (tenant_id, byte_size, id);
CREATE INDEX images_by_status ON images (tenant_id, processing_status, created_at, id);
CREATE INDEX images_by_checksum ON images (tenant_id, checksum);
CREATE TRIGGER images_keep_row_times BEFORE UPDATE ON images FOR EACH ROW EXECUTE FUNCTION keep_row_times();

COMMENT ON TABLE images IS 'Images: where the bytes are, how far processing got, what it found';
COMMENT ON COLUMN images.tenant_id IS 'Owner of the row';
COMMENT ON COLUMN images.id IS 'Identifier, chosen by the database unless given';
COMMENT ON COLUMN images.collection_id IS 'Collection it is in; a collection with images cannot be deleted';
COMMENT ON COLUMN images.file_name IS 'Name of the file as uploaded';
COMMENT ON COLUMN images.title IS 'Title for people';
COMMENT ON COLUMN images.storage_path IS 'Key of the object in the tenant''s store; unique';
COMMENT ON COLUMN images.mime_type IS 'Media type of the file';
COMMENT ON COLUMN images.byte_size IS 'Size of the file in bytes';
COMMENT ON COLUMN images.width IS 'Width in pixels, once known';
COMMENT ON COLUMN images.height IS 'Height in pixels, once known';
COMMENT ON COLUMN images.checksum IS 'SHA-256 of the bytes, 64 lower-case hexadecimal digits; unique within the collection';
COMMENT ON COLUMN images.processing_status IS 'How far processing got';
COMMENT ON COLUMN images.processing_error IS 'Why processing failed; required when it did';
COMMENT ON COLUMN images.processed_at IS 'When processing ended; required when it is completed';
COMMENT ON COLUMN images.analysis IS 'What analysis found (labels, colours, text), a JSON object of up to 256 KiB';
COMMENT ON COLUMN images.quality IS 'Quality as judged by analysis, from 0 to 1';
COMMENT ON COLUMN images.tags IS 'Words given by users';
COMMENT ON COLUMN images.captured_on IS 'Day on which the picture was taken';
COMMENT ON COLUMN images.uploaded_by IS 'User who uploaded it';
COMMENT ON COLUMN images.created_at IS 'When it was added; may be given on creation, not changed later';
COMMENT ON COLUMN images.updated_at IS 'When the row last changed';
