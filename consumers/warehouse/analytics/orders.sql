-- One row per order: one purchase, however many OrderCreated and PurchaseCompleted events report it ("Which events are
-- one order" has the rule). `matched_by` is the property that the two types share: checkout_id, device, session or
-- shopper; none: only one of the types reported it. `day` and `ordered_at` are those of the first event. order_id,
-- device, session and environment are those of the first event that has them; checkout_id is PurchaseCompleted's, else
-- OrderCreated's. Total and currency come from one event: PurchaseCompleted's win over OrderCreated's, and of several
-- the last one's. An event whose total_price is not a number is skipped if another has one; otherwise `total` is null.
-- Currency codes are trimmed and in upper case. `product_ids` are those of PurchaseCompleted.
WITH
    (id) -> replaceRegexpOne(trimBoth(id, ' \t\r\n'), '^gid://[^?]*/([^/?]+)([?].*)?$', '\\1') AS bare,
    (text) -> if(text = '', 0, sipHash64(text)) AS number_of,
    sent AS (
        SELECT
            *,
            -- Milliseconds since 2010; below them what decides between two events of one moment.
            bitShiftLeft(toUInt64(toUnixTimestamp64Milli(at) - 1262304000000), 20) + CRC32(event_id) % 1048576 AS rank,
            bare(checkout_id) AS bare_id,
            -- Of checkout_ids: 0 none, 1 number, 2 hexadecimal token, 3 any other text.
            multiIf(bare_id = '', 0, match(bare_id, '^[0-9]{1,20}$'), 1, match(bare_id, '^[0-9a-fA-F]+$'), 2, 3) AS kind,
            multiIf(
                kind > 0, sipHash64(kind, if(kind = 2, lower(bare_id), bare_id)),
                bare(order_id) != '', sipHash64('order_id', bare(order_id)), sipHash64('event_id', type, event_id)
            ) AS key,
            bitShiftLeft(toUInt64(type = 2), 61) AS of_purchase,
            rank + of_purchase + bitShiftLeft(toUInt64(total IS NOT NULL), 62) AS weight
        FROM (
            SELECT
                app_id, 1 AS type, event_id, timestamp AS at, device_id, session_id,
                shopify_properties.shopify_user_id AS shopper, event_properties.order_id AS order_id,
                event_properties.checkout_id AS checkout_id, event_properties.total_price_amount AS total,
                event_properties.currency_code AS currency_code, app_properties.environment AS environment,
                CAST([], 'Array(String)') AS product_ids
            FROM tapcart.order_created
            UNION ALL
            SELECT
                app_id, 2, event_id, timestamp, device_id, session_id,
                if(
                    event_properties.purchase_shopify_user_id = '',
                    shopify_properties.shopify_user_id, event_properties.purchase_shopify_user_id
                ),
                '', event_properties.checkout_id, event_properties.total_price_amount,
                event_properties.currency_code, app_properties.environment, event_properties.product_ids
            FROM tapcart.purchase_completed
        )
    ),
    -- A candidate is a checkout_id that events of one type only have; type: 1 OrderCreated, 2 PurchaseCompleted, 0 matched.
    -- order, by: key of the OrderCreated that a PurchaseCompleted is matched with, by 1 device, 2 session, 3 shopper.
    (rank, key, type, kind, session, shopper, order, by) -> CAST(
        (rank, key, type, kind, session, shopper, order, by),
        'Tuple(rank UInt64, key UInt64, type UInt8, kind UInt8, session UInt64, shopper UInt64, order UInt64, by UInt8)'
    ) AS candidate_of,
    (one, other) -> abs(toInt64(bitShiftRight(one.rank, 20)) - toInt64(bitShiftRight(other.rank, 20))) AS ms_between,
    -- Candidates by time -> the keys of those that are matched: an order's, its purchase's, the next order's ...
    (near) -> arrayFold(
        (taken, pair) -> if(hasAny(taken, [pair.4, pair.5]), taken, arrayConcat(taken, [pair.4, pair.5])),
        arraySort(arrayFlatten(arrayMap(
            order -> arrayMap(
                purchase -> (ms_between(order, purchase), order.rank, purchase.rank, order.key, purchase.key),
                arrayFilter(
                    c -> c.type = 2 AND c.kind != order.kind AND ms_between(order, c) <= $MATCH_MS, near
                )
            ),
            arrayFilter(c -> c.type = 1, near)
        ))),
        CAST([], 'Array(UInt64)')
    ) AS taken_of,
    -- The candidates once more, those of orders that are taken left out, for their purchases know them.
    (near, taken, by) -> arrayMap(
        c -> if(has(taken, c.key), candidate_of(c.rank, c.key, 0, 0, 0, 0, taken[indexOf(taken, c.key) - 1], by), c),
        arrayFilter(c -> c.type != 1 OR NOT has(taken, c.key), near)
    ) AS matched,
    -- Runs without a gap of more than the time allowed. One of more than 100 is of no single device, session or shopper.
    (candidates, by) -> arrayFlatten(arrayMap(
        near -> if(length(near) BETWEEN 2 AND 100, matched(near, taken_of(near), by), near),
        arraySplit(
            (c, gap) -> gap > $MATCH_MS,
            candidates, arrayDifference(arrayMap(c -> toInt64(bitShiftRight(c.rank, 20)), candidates))
        )
    )) AS matched_in_runs,
    by_checkout AS (
        SELECT
            app_id, if(device = 0, key, device) AS device_or_key,
            candidate_of(min(sent.rank), key, max(sent.type), any(sent.kind), session, shopper, 0, 0) AS candidate,
            argMinIf(number_of(sent.device_id), sent.rank, sent.device_id != '') AS device,
            argMinIf(number_of(sent.session_id), sent.rank, sent.session_id != '') AS session,
            argMinIf(number_of(bare(sent.shopper)), sent.rank, sent.shopper != '') AS shopper
        FROM sent
        WHERE kind > 0
        GROUP BY app_id, key
        HAVING min(sent.type) = max(sent.type)
    ),
    by_device AS (
        SELECT app_id, candidate
        FROM (SELECT app_id, arraySort(groupArray(candidate)) AS candidates FROM by_checkout GROUP BY app_id, device_or_key)
        ARRAY JOIN matched_in_runs(candidates, 1) AS candidate
    ),
    by_session AS (
        SELECT app_id, candidate
        FROM (
            SELECT app_id, arraySort(groupArray(candidate)) AS candidates
            FROM by_device
            GROUP BY app_id, if(candidate.session = 0, candidate.key, candidate.session)
        )
        ARRAY JOIN matched_in_runs(candidates, 2) AS candidate
    ),
    by_shopper AS (
        SELECT app_id, candidate
        FROM (
            SELECT app_id, arraySort(groupArray(candidate)) AS candidates
            FROM by_session
            GROUP BY app_id, if(candidate.shopper = 0, candidate.key, candidate.shopper)
        )
        ARRAY JOIN matched_in_runs(candidates, 3) AS candidate
    ),
    matches AS (
        SELECT app_id, candidate.key AS purchase, candidate.order AS order, candidate.by AS by
        FROM by_shopper
        WHERE candidate.by > 0
    )
SELECT
    toDate(ordered_at, $ZONE) AS day, app_id, checkout_id, order_id, device_id, session_id, ordered_at, total, currency_code,
    environment, matched_by, product_ids
FROM (
    SELECT
        sent.app_id AS app_id, min(sent.at) AS ordered_at,
        argMaxIf(trimBoth(sent.checkout_id, ' \t\r\n'), sent.of_purchase + sent.rank, sent.kind > 0) AS checkout_id,
        argMinIf(sent.order_id, sent.rank, sent.order_id != '') AS order_id,
        argMinIf(sent.device_id, sent.rank, sent.device_id != '') AS device_id,
        argMinIf(sent.session_id, sent.rank, sent.session_id != '') AS session_id,
        argMinIf(sent.environment, sent.rank, sent.environment != '') AS environment,
        argMax(sent.total, sent.weight) AS total,
        argMax(upper(trimBoth(sent.currency_code, ' \t\r\n')), sent.weight) AS currency_code,
        arraySort(arrayFilter(id -> id != '', groupUniqArrayArray(sent.product_ids))) AS product_ids,
        multiIf(
            max(matches.by) > 0, ['device', 'session', 'shopper'][max(matches.by)],
            min(sent.type) != max(sent.type), 'checkout_id', 'none'
        ) AS matched_by
    FROM sent
    LEFT JOIN matches ON sent.app_id = matches.app_id AND sent.key = matches.purchase
    GROUP BY sent.app_id, if(matches.by > 0, matches.order, sent.key)
)
WHERE $COUNTED
