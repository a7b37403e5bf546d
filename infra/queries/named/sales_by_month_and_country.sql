-- Sales per month and country. Money is counted as decimal, never as float.
-- The country is the order's own, else the one of the event's location. An order whose total is no number counts as 0,
-- and is counted in without_amount.
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
    coalesce(
      try_cast(json_extract_scalar(properties, '$.total') AS decimal(18, 2)),
      try_cast(json_extract_scalar(properties, '$.revenue') AS decimal(18, 2))
    ) AS amount,
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
  sum(CASE WHEN is_refund THEN 0 ELSE coalesce(amount, 0) END) AS gross_revenue,
  sum(CASE WHEN is_refund THEN coalesce(amount, 0) ELSE 0 END) AS refunds,
  sum(CASE WHEN is_refund THEN -coalesce(amount, 0) ELSE coalesce(amount, 0) END) AS net_revenue,
  count_if(amount IS NULL) AS without_amount
FROM orders
GROUP BY month, country, currency
ORDER BY month, net_revenue DESC
