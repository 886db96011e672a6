-- `funnel_daily`, divided by `source`: that of the device's first AppOpened of the day. Adds up to `funnel_daily`.
SELECT
    day, app_id, source,
    count() AS opened, count(steps.viewed) AS viewed, count(steps.added) AS added, count(steps.checkout) AS checkout,
    countIf(steps.ordered_at >= steps.checkout) AS ordered
FROM (
    SELECT
        day, app_id, device_id,
        min(visits.opened_at) AS opened,
        argMinIf(visits.source, (visits.opened_at, visits.source), visits.opened_at IS NOT NULL) AS source,
        arrayFilter(at -> at >= opened, groupArrayArray(visits.viewed_at)) AS views,
        if(empty(views), NULL, arrayMin(views)) AS viewed,
        arrayFilter(at -> at >= viewed, groupArrayArray(visits.added_at)) AS adds,
        if(empty(adds), NULL, arrayMin(adds)) AS added,
        arrayFilter(at -> at >= added, groupArrayArray(visits.checkout_at)) AS checkouts,
        if(empty(checkouts), NULL, arrayMin(checkouts)) AS checkout,
        max(visits.ordered_at) AS ordered_at
    FROM tapcart_raw.visits AS visits
    GROUP BY app_id, day, device_id
    HAVING opened IS NOT NULL
    SETTINGS optimize_aggregation_in_order = 1
) AS steps
GROUP BY day, app_id, source
