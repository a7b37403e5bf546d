-- description: Customers who would not recommend us: their newest NPS answer is 6 or less.
answers.nps <= 6
AND (SELECT count(*) FROM orders) >= 1
