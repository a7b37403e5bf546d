-- What was refused in the last thirty days, the commonest reason first. A message that was sent again with the same
-- bytes is refused again, but counts once.
SELECT
  reason,
  component,
  source,
  count(*) AS refused,
  count(DISTINCT md5(to_utf8(concat(source, chr(10), message_id, chr(10), body)))) AS messages,
  min(received_at) AS first_received_at,
  max(received_at) AS last_received_at,
  max_by(detail, received_at) AS latest_detail
FROM quarantine
WHERE dt >= date_format(current_date - INTERVAL '30' DAY, '%Y-%m-%d')
GROUP BY reason, component, source
ORDER BY messages DESC
