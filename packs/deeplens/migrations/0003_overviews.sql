-- Figures about collections, duplicates and the space they take.

CREATE VIEW collection_overview WITH (security_invoker = true, security_barrier = true) AS
SELECT c.tenant_id, c.id, c.name, c.visibility, c.archived, c.created_at,
       count(i.id) AS images,
       coalesce(sum(i.byte_size), 0)::bigint AS bytes,
       count(i.id) FILTER (WHERE i.processing_status IN ('pending', 'processing')) AS images_waiting,
       count(i.id) FILTER (WHERE i.processing_status = 'failed') AS images_failed,
       max(i.created_at) AS last_image_at
  FROM image_collections c
  LEFT JOIN images i ON i.tenant_id = c.tenant_id AND i.collection_id = c.id
 GROUP BY c.tenant_id, c.id;

COMMENT ON VIEW collection_overview IS 'Collections with the number of their images and the space they take';
COMMENT ON COLUMN collection_overview.tenant_id IS 'Owner of the row';
COMMENT ON COLUMN collection_overview.id IS 'Identifier of the collection';
COMMENT ON COLUMN collection_overview.name IS 'Name of the collection';
COMMENT ON COLUMN collection_overview.visibility IS 'Who may see it within the tenant''s product';
COMMENT ON COLUMN collection_overview.archived IS 'Whether it is kept but no longer shown';
COMMENT ON COLUMN collection_overview.created_at IS 'When it was made';
COMMENT ON COLUMN collection_overview.images IS 'Number of its images';
COMMENT ON COLUMN collection_overview.bytes IS 'Size of all its images together';
COMMENT ON COLUMN collection_overview.images_waiting IS 'Number of images that are not processed yet';
COMMENT ON COLUMN collection_overview.images_failed IS 'Number of images whose processing failed';
COMMENT ON COLUMN collection_overview.last_image_at IS 'When the last image was added';

CREATE FUNCTION duplicate_images(minimum_bytes bigint DEFAULT 0)
RETURNS TABLE (checksum text, copies bigint, byte_size bigint, wasted_bytes numeric, image_ids uuid[])
LANGUAGE sql STABLE SECURITY INVOKER
BEGIN ATOMIC
  SELECT i.checksum::text, count(*), max(i.byte_size), sum(i.byte_size) - max(i.byte_size),
         array_agg(i.id ORDER BY i.created_at, i.id)
    FROM images i
   WHERE i.byte_size >= minimum_bytes
   GROUP BY i.checksum
  HAVING count(*) > 1
   ORDER BY sum(i.byte_size) - max(i.byte_size) DESC, i.checksum;
END;
COMMENT ON FUNCTION duplicate_images(bigint) IS
  'Images whose bytes are kept more than once (in different collections), and how many bytes that wastes';

CREATE FUNCTION storage_used()
RETURNS TABLE (collections bigint, images bigint, bytes bigint, unique_bytes bigint)
LANGUAGE sql STABLE SECURITY INVOKER
BEGIN ATOMIC
  SELECT (SELECT count(*) FROM image_collections),
         (SELECT count(*) FROM images),
         (SELECT coalesce(sum(i.byte_size), 0)::bigint FROM images i),
         (SELECT coalesce(sum(u.byte_size), 0)::bigint
            FROM (SELECT i.checksum, max(i.byte_size) AS byte_size FROM images i GROUP BY i.checksum) u);
END;
COMMENT ON FUNCTION storage_used() IS 'Space that all images take, and that they would take without duplicates';

CREATE FUNCTION popular_searches(since timestamptz DEFAULT NULL, top integer DEFAULT 10)
RETURNS TABLE (query_text text, searches bigint, average_results numeric, average_duration_ms numeric)
LANGUAGE sql STABLE SECURITY INVOKER
BEGIN ATOMIC
  SELECT lower(q.query_text)::text, count(*), round(avg(q.result_count), 1), round(avg(q.duration_ms), 3)
    FROM search_queries q
   WHERE q.query_text IS NOT NULL AND (since IS NULL OR q.searched_at >= since)
   GROUP BY lower(q.query_text)
   ORDER BY count(*) DESC, lower(q.query_text)
   LIMIT least(greatest(top, 0), 100);
END;
COMMENT ON FUNCTION popular_searches(timestamptz, integer) IS 'The most frequent searches by words, at most 100';
