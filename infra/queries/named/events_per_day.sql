-- Events that arrived per day in the last thirty days, by source and name.
-- Asks raw_events, where the bound on dt chooses the folders that are read. The view events has to read every day to
-- know which of an event's copies came first; here copies are left out by counting each message once a day.
SELECT
  dt,
  source,
  kind,
  coalesce(name, kind) AS event_name,
  count(DISTINCT message_id) AS events,
  count(*) - count(DISTINCT message_id) AS repeats,
  count(DISTINCT fragment_key) AS fragments,
  count(DISTINCT CASE WHEN cardinality(violations) > 0 THEN message_id END) AS events_with_violations
FROM raw_events
WHERE dt >= date_format(current_date - INTERVAL '30' DAY, '%Y-%m-%d')
GROUP BY dt, source, kind, coalesce(name, kind)
ORDER BY dt DESC, events DESC
