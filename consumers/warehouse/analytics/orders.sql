-- One row per order: a distinct checkout_id of an app, from OrderCreated and PurchaseCompleted. Events without a
-- checkout_id name no order. `day` and `ordered_at` are those of the first event; order_id, device and session are
-- those of the first event that has them. Total and currency come from one and the same event: PurchaseCompleted's win
-- over OrderCreated's, of several the last one's; an event whose total_price is no number is passed over where another
-- has one, else `total` is null.
WITH happened AS (
    SELECT
        app_id, event_properties.checkout_id AS checkout_id, event_properties.order_id AS order_id, device_id, session_id,
        timestamp AS at, event_id, event_properties.total_price_amount AS total,
        event_properties.currency_code AS currency_code, 0 AS paid
    FROM tapcart.order_created
    WHERE event_properties.checkout_id != ''
    UNION ALL
    SELECT
        app_id, event_properties.checkout_id, '', device_id, session_id,
        timestamp, event_id, event_properties.total_price_amount,
        event_properties.currency_code, 1
    FROM tapcart.purchase_completed
    WHERE event_properties.checkout_id != ''
)
SELECT
    toDate(ordered_at, $ZONE) AS day, app_id, checkout_id, order_id, device_id, session_id, ordered_at,
    price.1 AS total, price.2 AS currency_code
FROM (
    SELECT
        app_id,
        checkout_id,
        argMinIf(happened.order_id, (at, event_id), happened.order_id != '') AS order_id,
        argMin(happened.device_id, (at, event_id)) AS device_id,
        argMinIf(happened.session_id, (at, event_id), happened.session_id != '') AS session_id,
        min(at) AS ordered_at,
        argMax((happened.total, happened.currency_code), (happened.total IS NOT NULL, paid, at, event_id)) AS price
    FROM happened
    GROUP BY app_id, checkout_id
)
