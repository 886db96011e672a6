{{ config(materialized="incremental", unique_key="day", order_by="day") }}
SELECT toDate(timestamp) AS day, uniqExact(device_id) AS devices, count() AS events
FROM {{ source("tapcart", "events") }}
{% if is_incremental() %} WHERE toDate(timestamp) >= (SELECT max(day) FROM {{ this }}) {% endif %}
GROUP BY day
