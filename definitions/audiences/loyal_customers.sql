-- purpose: marketing
-- description: Bought at least twice and kept goods worth 100 euros or more.
(SELECT count(*) FROM orders) >= 2
AND (SELECT sum(net) FROM orders WHERE currency = 'EUR') >= 100
