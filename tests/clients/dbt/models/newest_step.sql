{{ config(materialized="view") }}
SELECT max(step) AS step FROM {{ ref("funnel_steps") }}
