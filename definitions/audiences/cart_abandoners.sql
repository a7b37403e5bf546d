-- purpose: marketing
-- description: Put something into the cart after the last order, on whatever device.
(SELECT max(at) FROM events WHERE name = 'Product Added')
  > coalesce((SELECT max(at) FROM events WHERE name = 'Order Completed'), TIMESTAMP '1970-01-01 00:00:00')
