-- `carts_abandoned` with your own number of hours: SELECT ... FROM tapcart.carts_abandoned_after(hours = 4).
WITH happened AS (
    SELECT app_id, device_id, session_id, timestamp AS at, event_id, 1 AS filled,
        event_properties.cart_total_items_list AS items,
        event_properties.cart_total_price_amount AS total, event_properties.multi_currency_code AS currency_code,
        app_properties.environment AS environment
    FROM tapcart.added_to_cart
    WHERE device_id != ''
    UNION ALL
    SELECT app_id, device_id, session_id, timestamp, event_id,
        ifNull(event_properties.cart_total_items_number, 1) > 0,
        event_properties.cart_total_items_list,
        event_properties.cart_total_price_amount, event_properties.multi_currency_code, app_properties.environment
    FROM tapcart.cart_updated
    WHERE device_id != ''
    UNION ALL
    SELECT app_id, device_id, session_id, ordered_at, checkout_id, 0, [], NULL, '', environment
    FROM tapcart.orders
)
SELECT
    toDate(at, $ZONE) AS day, app_id, device_id, session_id, at AS abandoned_at, items, total AS cart_total,
    upper(trimBoth(currency_code, ' \t\r\n')) AS currency_code, environment
FROM (
    SELECT
        happened.*,
        leadInFrame(toNullable(at)) OVER (
            PARTITION BY app_id, device_id ORDER BY at ASC, event_id ASC
            ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
        ) AS next
    FROM happened
    WHERE $COUNTED
)
WHERE filled AND ifNull(next, now64(3)) > at + toIntervalHour({hours:UInt32})
