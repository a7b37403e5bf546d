-- Sales per month and country. Money is counted as decimal, never as float.
-- The country is the order's own, else the one of the event's location.
WITH orders AS (
  SELECT
    date_trunc('month', at) AS month,
    coalesce(
      json_extract_scalar(properties, '$.country'),
      json_extract_scalar(context, '$.location.country'),
      'unknown'
    ) AS country,
    name = 'Order Refunded' AS is_refund,
    coalesce(user_id, anonymous_id) AS customer,
    json_extract_scalar(properties, '$.order_id') AS order_id,
    cast(coalesce(
      json_extract_scalar(properties, '$.total'),
      json_extract_scalar(properties, '$.revenue'),
      '0'
    ) AS decimal(18, 2)) AS amount,
    coalesce(json_extract_scalar(properties, '$.currency'), 'unknown') AS currency
  FROM events
  WHERE kind = 'track' AND name IN ('Order Completed', 'Order Refunded')
)
SELECT
  month,
  country,
  currency,
  count(DISTINCT customer) AS customers,
  count(DISTINCT CASE WHEN NOT is_refund THEN order_id END) AS orders,
  sum(CASE WHEN is_refund THEN 0 ELSE amount END) AS gross_revenue,
  sum(CASE WHEN is_refund THEN amount ELSE 0 END) AS refunds,
  sum(CASE WHEN is_refund THEN -amount ELSE amount END) AS net_revenue
FROM orders
GROUP BY month, country, currency
ORDER BY month, net_revenue DESC
