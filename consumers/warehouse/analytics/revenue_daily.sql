-- Orders (see `orders`) by the day of their first event and by currency; currencies are never added up. `revenue` is
-- the sum of their totals. `average_order_value` is revenue divided by the orders with a total, cut after four
-- decimals; null if none has one. `unmatched`: orders reported by OrderCreated or PurchaseCompleted alone.
SELECT
    day,
    app_id,
    currency_code,
    count() AS orders,
    countIf(matched_by = 'none') AS unmatched,
    ifNull(sum(total), 0) AS revenue,
    if(count(total) = 0, NULL, sum(total) / greatest(count(total), 1)) AS average_order_value
FROM tapcart.orders
GROUP BY day, app_id, currency_code
