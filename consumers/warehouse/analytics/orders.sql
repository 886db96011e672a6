-- One row per order: a distinct checkout_id of an app, from OrderCreated and PurchaseCompleted. Events without a
-- checkout_id name no order. `day` and `ordered_at` are those of the first event; order_id, device and session are
-- those of the first event that has them. Total and currency come from one and the same event: PurchaseCompleted's win
-- over OrderCreated's, of several the last one's; an event whose total_price is no number is passed over where another
-- has one, else `total` is null.
WITH happened AS (
    SELECT
        app_id, event_properties.checkout_id AS checkout_id, event_properties.order_id AS order_id, device_id, session_id,
        timestamp AS at, event_properties.total_price_amount AS total,
        event_properties.currency_code AS currency_code,
        -- By time, and of two at one moment always in the same order; a number is compared several times as fast as a tuple.
        bitShiftLeft(toUInt64(toUnixTimestamp64Milli(timestamp)), 16) + cityHash64(event_id) % 65536 AS rank,
        if(total IS NULL, 0, bitShiftLeft(toUInt64(1), 62)) AS weight
    FROM tapcart.order_created
    WHERE event_properties.checkout_id != ''
    UNION ALL
    SELECT
        app_id, event_properties.checkout_id, '', device_id, session_id,
        timestamp, event_properties.total_price_amount,
        event_properties.currency_code,
        bitShiftLeft(toUInt64(toUnixTimestamp64Milli(timestamp)), 16) + cityHash64(event_id) % 65536,
        if(event_properties.total_price_amount IS NULL, 0, bitShiftLeft(toUInt64(1), 62))
            + bitShiftLeft(toUInt64(1), 61)
    FROM tapcart.purchase_completed
    WHERE event_properties.checkout_id != ''
)
SELECT
    toDate(ordered_at, $ZONE) AS day, app_id, checkout_id, order_id, device_id, session_id, ordered_at, total, currency_code
FROM (
    SELECT
        app_id,
        checkout_id,
        argMinIf(happened.order_id, rank, happened.order_id != '') AS order_id,
        argMin(happened.device_id, rank) AS device_id,
        argMinIf(happened.session_id, rank, happened.session_id != '') AS session_id,
        min(at) AS ordered_at,
        argMax(happened.total, weight + rank) AS total,
        argMax(happened.currency_code, weight + rank) AS currency_code
    FROM happened
    GROUP BY app_id, checkout_id
)
