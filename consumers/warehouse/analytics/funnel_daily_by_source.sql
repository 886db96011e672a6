-- `funnel_daily`, divided by `source`: that of the device's first AppOpened of the day. Adds up to `funnel_daily`.
SELECT
    day, app_id, source,
    count() AS opened, countIf(steps.last_view >= steps.opened) AS viewed, countIf(steps.added < never) AS added,
    countIf(steps.checkout < never) AS checkout, countIf(steps.ordered >= steps.checkout) AS ordered
FROM (
    WITH
        toInt64(9000000000000) AS never,
        -- Moments in milliseconds; the first view matters only to those that added something, which few did.
        at -> toUnixTimestamp64Milli(at) AS ms,
        arrayMap(ms, groupArrayArray(visits.added_at)) AS adds,
        arrayMap(ms, if(empty(adds), [], groupArrayArray(visits.viewed_at))) AS views,
        arrayMap(ms, groupArrayArray(visits.checkout_at)) AS checkouts
    SELECT
        day, app_id, device_id, never,
        ifNull(toUnixTimestamp64Milli(min(visits.opened_at)), never) AS opened,
        -- The first, and of two at one moment always the same; a number is compared several times as fast as a tuple.
        argMin(
            visits.source,
            bitShiftLeft(toUInt64(toUnixTimestamp64Milli(visits.opened_at)), 16) + cityHash64(visits.source) % 65536
        ) AS source,
        toUnixTimestamp64Milli(max(arrayMax(visits.viewed_at))) AS last_view,
        arrayMin(arrayPushBack(arrayFilter(at -> at >= opened, views), never)) AS viewed,
        arrayMin(arrayPushBack(arrayFilter(at -> at >= viewed, adds), never)) AS added,
        arrayMin(arrayPushBack(arrayFilter(at -> at >= added, checkouts), never)) AS checkout,
        ifNull(toUnixTimestamp64Milli(max(visits.ordered_at)), 0) AS ordered
    FROM tapcart_raw.visits AS visits
    WHERE device_id != '' AND $COUNTED
    GROUP BY app_id, day, device_id
    HAVING opened < never
    SETTINGS max_bytes_before_external_group_by = 536870912
) AS steps
GROUP BY day, app_id, source
