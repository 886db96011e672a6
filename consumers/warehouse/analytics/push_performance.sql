-- By notification and day. `received`: devices by their first PushNotificationReceived of the notification on the day.
-- `opened`: those of them that opened the app by it, which is an AppOpened with its notification_id, from a minute
-- before (both are sent together) to 24 hours after. `converted`: those that ordered (see `orders`) within 24 hours
-- after, opened or not. Rates are shares of `received`.
WITH
    received AS (
        WITH app_properties.environment AS environment
        SELECT
            toDate(timestamp, $ZONE) AS day, app_id, device_id, event_properties.notification_id AS notification_id,
            min(timestamp) AS at, max(event_properties.notification_title) AS title,
            max(event_properties.notification_type) AS type
        FROM tapcart.push_notification_received
        WHERE notification_id != '' AND device_id != '' AND $COUNTED
        GROUP BY day, app_id, device_id, notification_id
    ),
    opens AS (
        WITH app_properties.environment AS environment
        SELECT app_id, device_id, event_properties.notification_id AS notification_id, groupArray(timestamp) AS ats
        FROM tapcart.app_opened
        WHERE notification_id != '' AND $COUNTED
        GROUP BY app_id, device_id, notification_id
    ),
    buys AS (SELECT app_id, device_id, groupArray(ordered_at) AS ats FROM tapcart.orders GROUP BY app_id, device_id)
SELECT
    received.day AS day, received.app_id AS app_id, received.notification_id AS notification_id,
    max(received.title) AS notification_title, max(received.type) AS notification_type, count() AS received,
    countIf(arrayExists(
        at -> at BETWEEN received.at - INTERVAL 1 MINUTE AND received.at + INTERVAL 24 HOUR, opens.ats
    )) AS opened,
    countIf(arrayExists(at -> at BETWEEN received.at AND received.at + INTERVAL 24 HOUR, buys.ats)) AS converted,
    opened / count() AS open_rate, converted / count() AS conversion_rate
FROM received
LEFT JOIN opens ON received.app_id = opens.app_id AND received.device_id = opens.device_id
    AND received.notification_id = opens.notification_id
LEFT JOIN buys ON received.app_id = buys.app_id AND received.device_id = buys.device_id
GROUP BY day, app_id, notification_id
