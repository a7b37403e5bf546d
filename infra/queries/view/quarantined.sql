SELECT
  message_id, source, reason, detail, component, version, body, received_at, envelope, dt, copies
FROM (
  SELECT
    quarantine.*,
    row_number() OVER (PARTITION BY source, message_id, body ORDER BY received_at, component) AS copy_number,
    count(*) OVER (PARTITION BY source, message_id, body) AS copies
  FROM quarantine
) AS numbered
WHERE copy_number = 1
