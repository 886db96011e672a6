-- By product and day: `views` are ProductViewed events, `adds` AddedToCart events, `purchases` orders (see `orders`)
-- whose PurchaseCompleted lists the product, by the order's day. `add_rate` and `purchase_rate` are adds and purchases
-- divided by views, null without views. If the title changed that day, it is the last one in the alphabet.
WITH happened AS (
    WITH app_properties.environment AS environment
    SELECT
        toDate(timestamp, $ZONE) AS day, app_id, event_properties.product_id AS product_id,
        max(event_properties.product_title) AS title, count() AS views, 0 AS adds, 0 AS purchases
    FROM tapcart.product_viewed
    WHERE product_id != '' AND $COUNTED
    GROUP BY day, app_id, product_id
    UNION ALL
    WITH app_properties.environment AS environment
    SELECT
        toDate(timestamp, $ZONE) AS day, app_id, event_properties.product_id AS product_id,
        max(event_properties.product_title), 0, count(), 0
    FROM tapcart.added_to_cart
    WHERE product_id != '' AND $COUNTED
    GROUP BY day, app_id, product_id
    UNION ALL
    SELECT day, app_id, arrayJoin(product_ids) AS product_id, '', 0, 0, count()
    FROM tapcart.orders
    GROUP BY day, app_id, product_id
)
SELECT
    day, app_id, product_id, max(title) AS product_title,
    sum(happened.views) AS views, sum(happened.adds) AS adds, sum(happened.purchases) AS purchases,
    if(views = 0, NULL, adds / views) AS add_rate, if(views = 0, NULL, purchases / views) AS purchase_rate
FROM happened
GROUP BY day, app_id, product_id
