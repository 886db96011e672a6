-- Orders (see `orders`) and their revenue by touch. A touch is a session (see `sessions`) of the same device with a UTM
-- source, medium or campaign or a notification_id, begun at or up to 30 days before the order. Each order counts twice:
-- under `touch` 'first' with its first touch, under 'last' with its last; with empty texts if it has none.
WITH touches AS (
    SELECT
        app_id, device_id,
        groupArray((started_at, (utm_source, utm_medium, utm_campaign, notification_id), session_id)) AS all
    FROM tapcart.sessions
    WHERE device_id != '' AND (utm_source, utm_medium, utm_campaign, notification_id) != ('', '', '', '')
    GROUP BY app_id, device_id
)
SELECT
    orders.day AS day, orders.app_id AS app_id, found.1 AS touch,
    found.2.1 AS utm_source, found.2.2 AS utm_medium, found.2.3 AS utm_campaign, found.2.4 AS notification_id,
    orders.currency_code AS currency_code, count() AS orders, ifNull(sum(orders.total), 0) AS revenue
FROM (
    SELECT
        orders.day AS day, orders.app_id AS app_id, orders.currency_code AS currency_code, orders.total AS total,
        arraySort(arrayFilter(
            touch -> touch.1 BETWEEN orders.ordered_at - INTERVAL 30 DAY AND orders.ordered_at, touches.all
        )) AS before,
        arrayJoin([('first', before[1].2), ('last', before[-1].2)]) AS found
    FROM tapcart.orders AS orders
    LEFT JOIN touches ON orders.app_id = touches.app_id AND orders.device_id = touches.device_id
) AS orders
GROUP BY day, app_id, touch, utm_source, utm_medium, utm_campaign, notification_id, currency_code
