-- By product and day: `views` are ProductViewed events, `adds` AddedToCart events, `purchases` orders (checkout_ids) whose
-- PurchaseCompleted lists the product, on the day of the first one; `add_rate` and `purchase_rate` are adds and purchases divided by
-- views, null without views. The title is the last one in the alphabet when it changed that day.
WITH happened AS (
    SELECT
        toDate(timestamp, $ZONE) AS day, app_id, event_properties.product_id AS product_id,
        max(event_properties.product_title) AS title, count() AS views, 0 AS adds, 0 AS purchases
    FROM tapcart.product_viewed
    WHERE product_id != ''
    GROUP BY day, app_id, product_id
    UNION ALL
    SELECT
        toDate(timestamp, $ZONE) AS day, app_id, event_properties.product_id AS product_id,
        max(event_properties.product_title), 0, count(), 0
    FROM tapcart.added_to_cart
    WHERE product_id != ''
    GROUP BY day, app_id, product_id
    UNION ALL
    SELECT toDate(at, $ZONE) AS day, app_id, product_id, '', 0, 0, count()
    FROM (
        SELECT
            app_id, event_properties.checkout_id AS checkout_id, min(timestamp) AS at,
            arrayJoin(groupUniqArrayArray(event_properties.product_ids)) AS product_id
        FROM tapcart.purchase_completed
        WHERE checkout_id != ''
        GROUP BY app_id, checkout_id
    )
    WHERE product_id != ''
    GROUP BY day, app_id, product_id
)
SELECT
    day, app_id, product_id, max(title) AS product_title,
    sum(happened.views) AS views, sum(happened.adds) AS adds, sum(happened.purchases) AS purchases,
    if(views = 0, NULL, adds / views) AS add_rate, if(views = 0, NULL, purchases / views) AS purchase_rate
FROM happened
GROUP BY day, app_id, product_id
