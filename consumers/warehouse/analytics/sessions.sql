-- One row per app and session_id; events without one belong to no session. A session begins with its first event and
-- ends with its last, by their own time. Tapcart's app assigns a new id after 30 minutes without activity; Tapline
-- never splits or joins sessions. `source`, `utm_*` and `notification_id` are those of the first event that has any of
-- them. `environment` is the one that its events name (of several the last in the alphabet). `converted`: an order (see
-- `orders`) belongs to it. `currency_code` is that of its first order, `order_total` the sum of its orders in that
-- currency.
WITH paid AS (
    SELECT app_id, session_id, argMin((total, currency_code), first) AS price
    FROM (
        SELECT app_id, session_id, currency_code, sum(orders.total) AS total, min((ordered_at, checkout_id, order_id, currency_code)) AS first
        FROM tapcart.orders
        WHERE session_id != ''
        GROUP BY app_id, session_id, currency_code
    )
    GROUP BY app_id, session_id
)
SELECT
    visited.day AS day, visited.app_id AS app_id, visited.session_id AS session_id, visited.device_id AS device_id,
    visited.started_at AS started_at, visited.ended_at AS ended_at, visited.events AS events,
    visited.source AS source, visited.utm_source AS utm_source, visited.utm_medium AS utm_medium,
    visited.utm_campaign AS utm_campaign, visited.notification_id AS notification_id, visited.environment AS environment,
    paid.session_id != '' AS converted, paid.price.1 AS order_total, paid.price.2 AS currency_code
FROM (
    SELECT
        app_id, session_id,
        min(visits.day) AS day, minIf(visits.device_id, visits.device_id != '') AS device_id,
        toDateTime64(min(visits.started_at), 3, 'UTC') AS started_at,
        toDateTime64(max(visits.ended_at), 3, 'UTC') AS ended_at,
        sum(length(visits.events)) AS events,
        argMin(visits.source, visits.rank) AS source, argMin(visits.utm_source, visits.rank) AS utm_source,
        argMin(visits.utm_medium, visits.rank) AS utm_medium,
        argMin(visits.utm_campaign, visits.rank) AS utm_campaign,
        argMin(visits.notification_id, visits.rank) AS notification_id, max(visits.environment) AS environment
    FROM (
        -- FINAL: a row for each key, so that no event is in two. The first that has any comes first, and of two at
        -- one moment always the same; a number is compared several times as fast as a tuple.
        SELECT
            *, cityHash64(source, utm_source, utm_medium, utm_campaign, notification_id) % 65536 AS origin,
            if(
                empty(source) AND empty(utm_source) AND empty(utm_medium) AND empty(utm_campaign)
                    AND empty(notification_id),
                toUInt64(-1), bitShiftLeft(toUInt64(toUnixTimestamp64Milli(started_at)), 16) + origin
            ) AS rank
        FROM tapcart_raw.visits FINAL
        WHERE $COUNTED
        SETTINGS do_not_merge_across_partitions_select_final = 1
    ) AS visits
    WHERE session_id != ''
    GROUP BY app_id, session_id
    SETTINGS max_bytes_before_external_group_by = 536870912
) AS visited
LEFT JOIN paid ON visited.app_id = paid.app_id AND visited.session_id = paid.session_id
