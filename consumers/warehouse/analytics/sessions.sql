-- One row per app and session_id; events without one are in no session. It begins with its first event and ends with its
-- last, by their own time; Tapcart's app gives a new id after 30 minutes without activity, Tapline never splits or joins.
-- `source`, `utm_*` and `notification_id` are those of the first event that has any of them. `converted`: an order (see
-- `orders`) belongs to it. `currency_code` is that of its first order, `order_total` the sum of its orders in that currency.
WITH paid AS (
    SELECT app_id, session_id, argMin((total, currency_code), first) AS price
    FROM (
        SELECT app_id, session_id, currency_code, sum(orders.total) AS total, min((ordered_at, checkout_id)) AS first
        FROM tapcart.orders
        WHERE session_id != ''
        GROUP BY app_id, session_id, currency_code
    )
    GROUP BY app_id, session_id
)
SELECT
    visited.day AS day, visited.app_id AS app_id, visited.session_id AS session_id, visited.device_id AS device_id,
    toDateTime64(visited.started_at, 3, 'UTC') AS started_at, toDateTime64(visited.ended_at, 3, 'UTC') AS ended_at, visited.events AS events,
    visited.touch.1 AS source, visited.touch.2 AS utm_source, visited.touch.3 AS utm_medium,
    visited.touch.4 AS utm_campaign, visited.touch.5 AS notification_id,
    paid.session_id != '' AS converted, paid.price.1 AS order_total, paid.price.2 AS currency_code
FROM (
    SELECT
        app_id, session_id,
        min(parts.day) AS day, min(parts.device_id) AS device_id,
        min(parts.started_at) AS started_at, max(parts.ended_at) AS ended_at, sum(parts.events) AS events,
        argMinIf(parts.touch, (parts.touched_at, parts.touch), parts.touch != ('', '', '', '', '')) AS touch
    FROM (
        -- An event is of one day and one device, so what they count can be added.
        SELECT
            app_id, visits.day AS day, visits.device_id AS device_id, session_id,
            min(visits.started_at) AS started_at, max(visits.ended_at) AS ended_at,
            length(groupUniqArrayArray(visits.events)) AS events,
            minIf(visits.started_at, origin != ('', '', '', '', '')) AS touched_at,
            argMinIf(origin, (visits.started_at, origin), origin != ('', '', '', '', '')) AS touch
        FROM (
            SELECT *, (source, utm_source, utm_medium, utm_campaign, notification_id) AS origin
            FROM tapcart_raw.visits
        ) AS visits
        WHERE session_id != ''
        GROUP BY app_id, day, device_id, session_id
        SETTINGS optimize_aggregation_in_order = 1
    ) AS parts
    GROUP BY app_id, session_id
    SETTINGS max_bytes_before_external_group_by = 268435456
) AS visited
LEFT JOIN paid ON visited.app_id = paid.app_id AND visited.session_id = paid.session_id
