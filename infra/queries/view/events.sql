SELECT
  message_id, kind, name, source, fragment_key, user_id, anonymous_id, email, identifiers,
  at, received_at, sent_at, original_at, clock, traits, properties, context, consent, violations,
  sequence, identifier_priorities, identifier_roles, previous, account, position, dt, hour
FROM (
  SELECT
    raw_events.*,
    row_number() OVER (PARTITION BY source, message_id ORDER BY length(sequence), sequence) AS copy_number
  FROM raw_events
) AS numbered
WHERE copy_number = 1
