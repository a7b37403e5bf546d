-- Customers who bought in the last year, whose latest word on marketing is yes, and who can be reached by e-mail.
WITH known AS (
  SELECT
    user_id,
    max_by(email, at) FILTER (WHERE email IS NOT NULL) AS email,
    max_by(element_at(consent, 'marketing'), at)
      FILTER (WHERE element_at(consent, 'marketing') IS NOT NULL) AS may_be_marketed_to,
    count_if(name = 'Order Completed') AS orders,
    sum(CASE WHEN name = 'Order Completed' THEN coalesce(
      try_cast(json_extract_scalar(properties, '$.total') AS decimal(18, 2)),
      try_cast(json_extract_scalar(properties, '$.revenue') AS decimal(18, 2)),
      0
    ) ELSE 0 END) AS gross_revenue,
    max(CASE WHEN name = 'Order Completed' THEN at END) AS last_order_at
  FROM events
  WHERE user_id IS NOT NULL
  GROUP BY user_id
)
SELECT user_id, email, orders, gross_revenue, last_order_at
FROM known
WHERE may_be_marketed_to
  AND email IS NOT NULL
  AND last_order_at >= current_timestamp - INTERVAL '365' DAY
ORDER BY gross_revenue DESC
