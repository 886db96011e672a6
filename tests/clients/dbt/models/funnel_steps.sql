{{ config(materialized="table", order_by="step") }}
SELECT step, event_type, count() AS events
FROM {{ source("tapcart", "events") }} INNER JOIN {{ ref("funnel") }} USING (event_type)
GROUP BY step, event_type
