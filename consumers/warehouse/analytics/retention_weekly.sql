-- Cohorts: the devices of an app by the week (from Monday) of their first event ever. `devices` of them had an event of
-- any type in `week`, which is `weeks_after` after the cohort's week. `retained` is their share of `cohort_devices`.
-- Weeks without any are omitted.
SELECT
    cohort_week, app_id, week, weeks_after, devices,
    max(if(weeks_after = 0, devices, 0)) OVER (PARTITION BY app_id, cohort_week) AS cohort_devices,
    devices / cohort_devices AS retained
FROM (
    SELECT
        app_id, weeks[1] AS cohort_week, arrayJoin(weeks) AS week,
        toUInt16(intDiv(week - cohort_week, 7)) AS weeks_after, count() AS devices
    FROM (
        SELECT app_id, device_id, arraySort(groupUniqArray(toMonday(visits.day))) AS weeks
        FROM tapcart_raw.visits AS visits
        WHERE device_id != '' AND $COUNTED
        GROUP BY app_id, device_id
    )
    GROUP BY app_id, cohort_week, week
)
