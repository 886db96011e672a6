-- devices
SELECT toString(day), dau, new_devices, wau
FROM tapcart.active_devices_daily
WHERE app_id = {app:String} AND day BETWEEN {monday:Date} AND {monday:Date} + 6
ORDER BY day

-- devices_before
SELECT max(wau), sum(new_devices)
FROM tapcart.active_devices_daily
WHERE app_id = {app:String} AND day BETWEEN {monday:Date} - 7 AND {monday:Date} - 1

-- sessions
SELECT toString(day) AS on_day, if(source = '', 'unknown', source) AS origin, count(), sum(converted)
FROM tapcart.sessions
WHERE app_id = {app:String} AND day BETWEEN {monday:Date} AND {monday:Date} + 6
GROUP BY on_day, origin
ORDER BY on_day, origin

-- sessions_before
SELECT count(), sum(converted)
FROM tapcart.sessions
WHERE app_id = {app:String} AND day BETWEEN {monday:Date} - 7 AND {monday:Date} - 1

-- funnel
SELECT sum(opened), sum(viewed), sum(added), sum(checkout), sum(ordered)
FROM tapcart.funnel_daily
WHERE app_id = {app:String} AND day BETWEEN {monday:Date} AND {monday:Date} + 6

-- revenue
SELECT toString(day), currency_code, toFloat64(revenue)
FROM tapcart.revenue_daily
WHERE app_id = {app:String} AND day BETWEEN {monday:Date} AND {monday:Date} + 6
ORDER BY day, currency_code

-- money
SELECT
    currency_code, sumIf(orders, day >= {monday:Date}) AS n, toString(sumIf(revenue, day >= {monday:Date}) AS now),
    toString(round(now / greatest(n, 1), 2)), toString(sumIf(revenue, day < {monday:Date}))
FROM tapcart.revenue_daily
WHERE app_id = {app:String} AND day BETWEEN {monday:Date} - 7 AND {monday:Date} + 6
GROUP BY currency_code
HAVING n > 0
ORDER BY n DESC, currency_code

-- matches
SELECT matched_by, count() AS n
FROM tapcart.orders
WHERE app_id = {app:String} AND day BETWEEN {monday:Date} AND {monday:Date} + 6
GROUP BY matched_by
ORDER BY n DESC, matched_by

-- products
SELECT max(product_title), sum(views) AS v, sum(adds), sum(purchases)
FROM tapcart.product_performance
WHERE app_id = {app:String} AND day BETWEEN {monday:Date} AND {monday:Date} + 6
GROUP BY product_id
ORDER BY v DESC, product_id
LIMIT 10

-- pushes
SELECT max(notification_title), sum(received) AS r, sum(opened), sum(converted)
FROM tapcart.push_performance
WHERE app_id = {app:String} AND day BETWEEN {monday:Date} AND {monday:Date} + 6
GROUP BY notification_id
ORDER BY r DESC, notification_id
LIMIT 8

-- touches
SELECT
    multiIf(
        notification_id != '', 'push',
        (utm_source, utm_medium, utm_campaign) = ('', '', ''), 'none',
        concat(utm_source, ' / ', utm_medium, ' / ', utm_campaign)
    ) AS name,
    sumIf(orders, touch = 'first'), sumIf(orders, touch = 'last') AS n
FROM tapcart.attribution
WHERE app_id = {app:String} AND day BETWEEN {monday:Date} AND {monday:Date} + 6
GROUP BY name
ORDER BY n DESC, name
LIMIT 8

-- carts
SELECT currency_code, count() AS n, toString(sum(cart_total))
FROM tapcart.carts_abandoned
WHERE app_id = {app:String} AND day BETWEEN {monday:Date} AND {monday:Date} + 6
GROUP BY currency_code
ORDER BY n DESC, currency_code

-- retention
SELECT toString(cohort_week), weeks_after, devices, retained
FROM tapcart.retention_weekly
WHERE app_id = {app:String} AND week <= {monday:Date} AND cohort_week > {monday:Date} - 56
ORDER BY cohort_week, weeks_after
