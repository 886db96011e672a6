-- `dau`: devices with an event of any type on the day. `wau`, `mau`: on the day or the 6, 29 days before.
-- `new_devices`: devices whose first event ever is of that day. One row for every day from an app's first event to its
-- last, including days without events.
WITH
    devices AS (
        SELECT
            app_id, device_id, arraySort(groupUniqArray(toInt32(visits.day))) AS days,
            arrayPushBack(arrayPopFront(days), toInt32(1000000)) AS nexts
        FROM tapcart_raw.visits AS visits
        WHERE device_id != '' AND $COUNTED
        GROUP BY app_id, device_id
    ),
    -- A device counts from a day on until 7 (30) days later, or until it returns and counts again.
    changes AS (
        SELECT app_id, change.1 AS day, sum(change.2) AS dau, sum(change.3) AS wau, sum(change.4) AS mau, sum(change.5) AS new
        FROM (
            SELECT app_id, arrayJoin(arrayConcat(
                arrayMap((day, i) -> (day, 1, 1, 1, toInt32(i = 1)), days, arrayEnumerate(days)),
                arrayMap((day, next) -> (least(day + 7, next), 0, -1, 0, 0), days, nexts),
                arrayMap((day, next) -> (least(day + 30, next), 0, 0, -1, 0), days, nexts)
            )) AS change
            FROM devices
        )
        GROUP BY app_id, day
    ),
    calendar AS (
        SELECT app_id, arrayJoin(range(min(changes.day), maxIf(changes.day, dau > 0) + 1)) AS day
        FROM changes
        GROUP BY app_id
    )
SELECT
    toDate(calendar.day) AS day, calendar.app_id AS app_id, toUInt64(changes.dau) AS dau,
    toUInt64(sum(changes.wau) OVER past) AS wau, toUInt64(sum(changes.mau) OVER past) AS mau,
    toUInt64(changes.new) AS new_devices
FROM calendar
LEFT JOIN changes ON calendar.app_id = changes.app_id AND calendar.day = changes.day
WINDOW past AS (PARTITION BY calendar.app_id ORDER BY calendar.day ASC)
