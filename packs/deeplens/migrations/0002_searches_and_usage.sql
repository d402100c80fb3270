-- How the catalogue is searched, what users prefer, and what is used day by day.

CREATE TABLE search_sessions (
  tenant_id      uuid NOT NULL,
  id             uuid NOT NULL DEFAULT gen_random_uuid(),
  user_id        uuid,
  client         varchar(20) NOT NULL DEFAULT 'web',
  client_address inet,
  user_agent     varchar(500),
  started_at     timestamptz NOT NULL DEFAULT now(),
  ended_at       timestamptz,
  created_at     timestamptz NOT NULL DEFAULT now(),
  updated_at     timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT search_sessions_client_known CHECK (client IN ('web', 'mobile', 'desktop', 'api')),
  CONSTRAINT search_sessions_ended_after_started CHECK (ended_at >= started_at)
);
CREATE INDEX search_sessions_by_started ON search_sessions (tenant_id, started_at, id);
CREATE INDEX search_sessions_by_user ON search_sessions (tenant_id, user_id, started_at);
CREATE TRIGGER search_sessions_keep_row_times BEFORE UPDATE ON search_sessions
  FOR EACH ROW EXECUTE FUNCTION keep_row_times();

COMMENT ON TABLE search_sessions IS 'Visits during which somebody searched';
COMMENT ON COLUMN search_sessions.tenant_id IS 'Owner of the row';
COMMENT ON COLUMN search_sessions.id IS 'Identifier, chosen by the database unless given';
COMMENT ON COLUMN search_sessions.user_id IS 'User who searched; empty for visitors';
COMMENT ON COLUMN search_sessions.client IS 'What they searched with';
COMMENT ON COLUMN search_sessions.client_address IS 'Network address they came from';
COMMENT ON COLUMN search_sessions.user_agent IS 'How their software named itself';
COMMENT ON COLUMN search_sessions.started_at IS 'When the visit began';
COMMENT ON COLUMN search_sessions.ended_at IS 'When the visit ended';
COMMENT ON COLUMN search_sessions.created_at IS 'When the row was created';
COMMENT ON COLUMN search_sessions.updated_at IS 'When the row last changed';

CREATE TABLE search_queries (
  tenant_id        uuid NOT NULL,
  id               uuid NOT NULL DEFAULT gen_random_uuid(),
  session_id       uuid NOT NULL,
  query_type       varchar(20) NOT NULL,
  query_text       varchar(1000),
  query_image_id   uuid,
  filters          jsonb NOT NULL DEFAULT '{}',
  result_count     integer NOT NULL,
  duration_ms      numeric(10,3) NOT NULL,
  clicked_image_id uuid,
  searched_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT search_queries_session_exists FOREIGN KEY (tenant_id, session_id)
    REFERENCES search_sessions (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT search_queries_query_image_exists FOREIGN KEY (tenant_id, query_image_id)
    REFERENCES images (tenant_id, id) ON DELETE SET NULL (query_image_id),
  CONSTRAINT search_queries_clicked_image_exists FOREIGN KEY (tenant_id, clicked_image_id)
    REFERENCES images (tenant_id, id) ON DELETE SET NULL (clicked_image_id),
  CONSTRAINT search_queries_query_type_known CHECK (query_type IN ('text', 'image', 'hybrid')),
  CONSTRAINT search_queries_text_given CHECK (query_type = 'image' OR query_text IS NOT NULL),
  CONSTRAINT search_queries_filters_object CHECK (jsonb_typeof(filters) = 'object'),
  CONSTRAINT search_queries_filters_size CHECK (octet_length(filters::text) <= 16384),
  CONSTRAINT search_queries_result_count_not_negative CHECK (result_count >= 0),
  CONSTRAINT search_queries_duration_not_negative CHECK (duration_ms >= 0)
);
CREATE INDEX search_queries_by_searched ON search_queries (tenant_id, searched_at, id);
CREATE INDEX search_queries_by_session ON search_queries (tenant_id, session_id, searched_at);
CREATE INDEX search_queries_by_query_image ON search_queries (tenant_id, query_image_id);
CREATE INDEX search_queries_by_clicked_image ON search_queries (tenant_id, clicked_image_id);

COMMENT ON TABLE search_queries IS 'Searches of a visit: what was asked, how many images were found, how long it took';
COMMENT ON COLUMN search_queries.tenant_id IS 'Owner of the row';
COMMENT ON COLUMN search_queries.id IS 'Identifier, chosen by the database unless given';
COMMENT ON COLUMN search_queries.session_id IS 'Visit it belongs to; deleting the visit deletes its searches';
COMMENT ON COLUMN search_queries.query_type IS 'Search by words, by an image, or by both';
COMMENT ON COLUMN search_queries.query_text IS 'Words that were searched for; required unless the search was by image alone';
COMMENT ON COLUMN search_queries.query_image_id IS 'Image that was searched with, while it is kept';
COMMENT ON COLUMN search_queries.filters IS 'Further conditions, a JSON object';
COMMENT ON COLUMN search_queries.result_count IS 'Number of images found';
COMMENT ON COLUMN search_queries.duration_ms IS 'How long the search took, in milliseconds';
COMMENT ON COLUMN search_queries.clicked_image_id IS 'Image the user opened, while it is kept';
COMMENT ON COLUMN search_queries.searched_at IS 'When it was searched';

CREATE TABLE user_preferences (
  tenant_id             uuid NOT NULL,
  id                    uuid NOT NULL DEFAULT gen_random_uuid(),
  user_id               uuid NOT NULL,
  theme                 varchar(10) NOT NULL DEFAULT 'system',
  locale                varchar(35) NOT NULL DEFAULT 'en',
  results_per_page      integer NOT NULL DEFAULT 25,
  default_collection_id uuid,
  email_notifications   boolean NOT NULL DEFAULT true,
  feature_flags         jsonb NOT NULL DEFAULT '{}',
  created_at            timestamptz NOT NULL DEFAULT now(),
  updated_at            timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT user_preferences_user_unique UNIQUE (tenant_id, user_id),
  CONSTRAINT user_preferences_collection_exists FOREIGN KEY (tenant_id, default_collection_id)
    REFERENCES image_collections (tenant_id, id) ON DELETE SET NULL (default_collection_id),
  CONSTRAINT user_preferences_theme_known CHECK (theme IN ('system', 'light', 'dark')),
  CONSTRAINT user_preferences_locale_format CHECK (locale ~ '^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$'),
  CONSTRAINT user_preferences_results_per_page_range CHECK (results_per_page BETWEEN 1 AND 200),
  CONSTRAINT user_preferences_feature_flags_object CHECK (jsonb_typeof(feature_flags) = 'object'),
  CONSTRAINT user_preferences_feature_flags_size CHECK (octet_length(feature_flags::text) <= 16384)
);
CREATE INDEX user_preferences_by_created ON user_preferences (tenant_id, created_at, id);
CREATE INDEX user_preferences_by_collection ON user_preferences (tenant_id, default_collection_id);
CREATE TRIGGER user_preferences_keep_row_times BEFORE UPDATE ON user_preferences
  FOR EACH ROW EXECUTE FUNCTION keep_row_times();

COMMENT ON TABLE user_preferences IS 'What each user prefers; one row per user';
COMMENT ON COLUMN user_preferences.tenant_id IS 'Owner of the row';
COMMENT ON COLUMN user_preferences.id IS 'Identifier, chosen by the database unless given';
COMMENT ON COLUMN user_preferences.user_id IS 'The user; unique';
COMMENT ON COLUMN user_preferences.theme IS 'Light or dark, or as the device says';
COMMENT ON COLUMN user_preferences.locale IS 'Language and region (BCP 47)';
COMMENT ON COLUMN user_preferences.results_per_page IS 'Images shown on one page';
COMMENT ON COLUMN user_preferences.default_collection_id IS 'Collection shown first';
COMMENT ON COLUMN user_preferences.email_notifications IS 'Whether the user wants e-mail';
COMMENT ON COLUMN user_preferences.feature_flags IS 'Features switched on or off by the user, a JSON object';
COMMENT ON COLUMN user_preferences.created_at IS 'When the row was created';
COMMENT ON COLUMN user_preferences.updated_at IS 'When the row last changed';

CREATE TABLE usage_statistics (
  tenant_id  uuid NOT NULL,
  id         bigint GENERATED BY DEFAULT AS IDENTITY,
  usage_date date NOT NULL,
  metric     varchar(40) NOT NULL,
  quantity   bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT usage_statistics_day_unique UNIQUE (tenant_id, usage_date, metric),
  CONSTRAINT usage_statistics_metric_known CHECK (metric IN
    ('storage_bytes', 'api_calls', 'images_uploaded', 'images_processed', 'searches', 'active_users')),
  CONSTRAINT usage_statistics_quantity_not_negative CHECK (quantity >= 0)
);
CREATE INDEX usage_statistics_by_date ON usage_statistics (tenant_id, usage_date, id);
CREATE INDEX usage_statistics_by_metric ON usage_statistics (tenant_id, metric, usage_date);
CREATE TRIGGER usage_statistics_keep_row_times BEFORE UPDATE ON usage_statistics
  FOR EACH ROW EXECUTE FUNCTION keep_row_times();

COMMENT ON TABLE usage_statistics IS 'What was used each day, one row per day and figure';
COMMENT ON COLUMN usage_statistics.tenant_id IS 'Owner of the row';
COMMENT ON COLUMN usage_statistics.id IS 'Identifier, counted by the database';
COMMENT ON COLUMN usage_statistics.usage_date IS 'The day (UTC)';
COMMENT ON COLUMN usage_statistics.metric IS 'What is counted';
COMMENT ON COLUMN usage_statistics.quantity IS 'How much it was on that day; for storage, the bytes kept at its end';
COMMENT ON COLUMN usage_statistics.created_at IS 'When the row was created';
COMMENT ON COLUMN usage_statistics.updated_at IS 'When the row last changed';
