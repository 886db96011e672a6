CREATE DATABASE IF NOT EXISTS tapcart_raw ON CLUSTER 'prod'
;
CREATE DATABASE IF NOT EXISTS tapcart ON CLUSTER 'prod'
;
CREATE TABLE IF NOT EXISTS tapcart_raw.product_viewed_local ON CLUSTER 'prod' (
  `event_type` LowCardinality(String) COMMENT 'Always ProductViewed.' CODEC(ZSTD(1)),
  `event_id` String COMMENT 'The event\'s unique id: opaque text, not always a UUID. A retried event comes with the same id.' CODEC(ZSTD(1)),
  `app_id` LowCardinality(String) COMMENT 'The merchant\'s app.' CODEC(ZSTD(1)),
  `device_id` String COMMENT 'The device.' CODEC(ZSTD(1)),
  `timestamp` DateTime64(3, 'UTC') COMMENT 'When the event happened, by the device\'s clock; milliseconds since 1970-01-01T00:00:00Z.' CODEC(Delta, ZSTD(1)),
  `received_at` DateTime64(3, 'UTC') COMMENT 'Added on receipt: when the event arrived, milliseconds since 1970-01-01T00:00:00Z.' CODEC(Delta, ZSTD(1)),
  `session_id` String COMMENT 'The session; many events share one.' CODEC(ZSTD(1)),
  `timestamp_iso` String COMMENT 'When the event happened, in ISO 8601 with the offset to UTC. Tapcart\'s own example contradicts its timestamp by 337 days.' CODEC(ZSTD(1)),
  `metadata.schema_id` LowCardinality(String) COMMENT 'The schema as the sender names it, Event_<event type>_<major>_<minor>_<patch>, also one that is not known here.' CODEC(ZSTD(1)),
  `device_properties.ip` String COMMENT 'Not described by Tapcart; by name and example: the shopper\'s IP address. Personal data.' CODEC(ZSTD(1)),
  `device_properties.os` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: the operating system. Seen: iOS; other values may come.' CODEC(ZSTD(1)),
  `device_properties.model` String COMMENT 'Not described by Tapcart; by name and example: the device\'s model.' CODEC(ZSTD(1)),
  `device_properties.orientation` String COMMENT 'Not described by Tapcart; by name and example: how the screen is held. Seen: portrait; other values may come.' CODEC(ZSTD(1)),
  `device_properties.carrier` String COMMENT 'Not described by Tapcart; by name and example: the mobile network\'s name; empty in the example.' CODEC(ZSTD(1)),
  `device_properties.radio` String COMMENT 'Not described by Tapcart; by name and example: the kind of connection. Seen: Wifi; other values may come.' CODEC(ZSTD(1)),
  `device_properties.manufacturer` String COMMENT 'Not described by Tapcart; by name and example: the device\'s maker. Seen: Apple; other values may come.' CODEC(ZSTD(1)),
  `device_properties.lib_version` String COMMENT 'Not described by Tapcart; by name and example: version of the analytics library.' CODEC(ZSTD(1)),
  `device_properties.country` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: two-letter country code.' CODEC(ZSTD(1)),
  `device_properties.locale` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: language of the device. Seen: en; other values may come.' CODEC(ZSTD(1)),
  `device_properties.wifi` Nullable(Bool) COMMENT 'Not described by Tapcart; by name and example: whether the device is on Wi-Fi.' CODEC(ZSTD(1)),
  `device_properties.app_version` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: version of the app; null in the example, where app_properties.app_version is filled.' CODEC(ZSTD(1)),
  `device_properties.tapcart_build` String COMMENT 'Not described by Tapcart; by name and example: version of Tapcart\'s code; null in the example, where app_properties.tapcart_build is filled.' CODEC(ZSTD(1)),
  `device_properties.external_build` String COMMENT 'Not described by Tapcart; by name and example: build number shown to the outside; null in the example, where app_properties.external_build is filled.' CODEC(ZSTD(1)),
  `device_properties.os_version` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: version of the operating system: several numbers with dots, so no number itself.' CODEC(ZSTD(1)),
  `device_properties.tapcart_commit_hash` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: commit of Tapcart\'s code.' CODEC(ZSTD(1)),
  `device_properties.consumer_type` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: whether this person has used the app before. Seen: Returning; other values may come.' CODEC(ZSTD(1)),
  `device_properties.device_id` String COMMENT 'Not described by Tapcart; by name and example: repeats the top-level device_id.' CODEC(ZSTD(1)),
  `device_properties.prev_push_enabled` Nullable(Bool) COMMENT 'Not described by Tapcart; by name and example: whether push notifications were allowed before.' CODEC(ZSTD(1)),
  `device_properties.push_enabled` Nullable(Bool) COMMENT 'Not described by Tapcart; by name and example: whether push notifications are allowed.' CODEC(ZSTD(1)),
  `shopify_properties.shopify_user_id` String COMMENT 'Not described by Tapcart; by name and example: Shopify\'s customer id; null while logged out. Digits as text.' CODEC(ZSTD(1)),
  `shopify_properties.logged_in` Nullable(Bool) COMMENT 'Not described by Tapcart; by name and example: whether the shopper is logged in.' CODEC(ZSTD(1)),
  `session_properties.session_id` String COMMENT 'Repeats the top-level session_id.' CODEC(ZSTD(1)),
  `session_properties.source` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: where the session came from. Seen: direct; other values may come.' CODEC(ZSTD(1)),
  `session_properties.session_type` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: whether this is the person\'s first session. Seen: Returning; other values may come.' CODEC(ZSTD(1)),
  `session_properties.session_start_time` Nullable(DateTime64(3, 'UTC')) COMMENT 'Not described by Tapcart; by name and example: when the session began, milliseconds since 1970-01-01T00:00:00Z. One of the few numbers that are sent as JSON numbers.' CODEC(ZSTD(1)),
  `session_properties.notification_id` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: the push notification that led to the session.' CODEC(ZSTD(1)),
  `session_properties.notification_type` LowCardinality(String) COMMENT 'Not described by Tapcart and only ever shown as null; by its name: the kind of that notification.' CODEC(ZSTD(1)),
  `session_properties.utm_source` LowCardinality(String) COMMENT 'Not described by Tapcart and only ever shown as null; by its name: UTM parameter: the site or system that sent the shopper.' CODEC(ZSTD(1)),
  `session_properties.utm_medium` LowCardinality(String) COMMENT 'Not described by Tapcart and only ever shown as null; by its name: UTM parameter: the kind of channel.' CODEC(ZSTD(1)),
  `session_properties.utm_campaign` LowCardinality(String) COMMENT 'Not described by Tapcart and only ever shown as null; by its name: UTM parameter: the campaign.' CODEC(ZSTD(1)),
  `session_properties.utm_content` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: UTM parameter: the variant of the advertisement.' CODEC(ZSTD(1)),
  `session_properties.utm_term` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: UTM parameter: the search term that was paid for.' CODEC(ZSTD(1)),
  `app_properties.app_id` String COMMENT 'Not described by Tapcart; by name and example: repeats the top-level app_id.' CODEC(ZSTD(1)),
  `app_properties.currency_code` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: the shop\'s currency (ISO 4217).' CODEC(ZSTD(1)),
  `app_properties.app_version` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: version of the app.' CODEC(ZSTD(1)),
  `app_properties.tapcart_build` String COMMENT 'Not described by Tapcart; by name and example: version of Tapcart\'s code.' CODEC(ZSTD(1)),
  `app_properties.external_build` String COMMENT 'Not described by Tapcart; by name and example: build number shown to the outside.' CODEC(ZSTD(1)),
  `app_properties.os_version` String COMMENT 'Not described by Tapcart; by name and example: repeats device_properties.os_version.' CODEC(ZSTD(1)),
  `app_properties.tapcart_commit_hash` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: commit of Tapcart\'s code.' CODEC(ZSTD(1)),
  `app_properties.environment` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: debug for builds under development: filter these out of figures. Seen: debug; other values may come.' CODEC(ZSTD(1)),
  `event_properties.source` LowCardinality(String) COMMENT 'Where the session came from, the same on all events of a session; direct by default.' CODEC(ZSTD(1)),
  `event_properties.event_id` String COMMENT 'Repeats the top-level event_id; Tapcart\'s pages call it, oddly, the session\'s identifier.' CODEC(ZSTD(1)),
  `event_properties.collection_id` String COMMENT 'Shopify\'s collection id: digits as text; filled only when the product was reached through a collection, else empty.' CODEC(ZSTD(1)),
  `event_properties.product_id` String COMMENT 'Shopify\'s product id: digits as text.' CODEC(ZSTD(1)),
  `event_properties.product_title` String COMMENT 'Not described by Tapcart; by name and example: the product\'s title in Shopify.' CODEC(ZSTD(1)),
  `event_properties.product_type` String COMMENT 'Not described by Tapcart; by name and example: the product\'s type in Shopify; may be empty.' CODEC(ZSTD(1)),
  `event_properties.product_price` String COMMENT 'Not described by Tapcart; by name and example: the product\'s price. A decimal number sent as text.' CODEC(ZSTD(1)),
  `event_properties.product_price_amount` Nullable(Decimal(18, 4)) MATERIALIZED toDecimal64OrNull(`event_properties.product_price`, 4) COMMENT 'event_properties.product_price as a number; null where it is none.' CODEC(ZSTD(1)),
  `event_properties.product_view_source` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: where in the app the product was opened. Seen: collections_page, dashboard_four_sixty_block, dashboard_featured_products, dashboard_single_collection_grid, dashboard_single_collection_carousel, dashboard_single_collection_circle, dashboard_recently_viewed_block, dashboard_image_banner, dashboard_video_block, pdp_recently_viewed_block, account_recently_viewed_block, pdp_related_products_block, pdp_colored_product_selected, pdp_four_sixty_block, quick_add, four_sixty_page; other values may come.' CODEC(ZSTD(1)),
  `event_properties.collection_title` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: the collection\'s title.' CODEC(ZSTD(1)),
  `event_properties.multi_currency_code` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: the currency shown to the shopper (ISO 4217).' CODEC(ZSTD(1)),
  `event_properties.product_tags_list` Array(String) COMMENT 'Not described by Tapcart; by name and example: the product\'s tags in Shopify.' CODEC(ZSTD(1)),
  `event_properties.product_badge_titles_list` Array(String) COMMENT 'Not described by Tapcart; by name and example: titles of the badges shown on the product; none is said as [] or [""].' CODEC(ZSTD(1)),
  `event_properties.product_badge_ids_list` Array(String) COMMENT 'Not described by Tapcart; by name and example: ids of the badges shown on the product; none is said as [] or [""].' CODEC(ZSTD(1)),
  `event_properties.product_badge_positioning_list` Array(String) COMMENT 'Not described by Tapcart and only ever shown empty; by its name: where the badges sit. The type of its elements is unknown.' CODEC(ZSTD(1)),
  `event_properties.custom_block_id` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: the custom block involved.' CODEC(ZSTD(1)),
  `event_properties.custom_block_source_url` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: URL of that custom block.' CODEC(ZSTD(1)),
  `extra` String COMMENT 'Added on receipt: what was sent and has no place in the other fields. JSON text: an object of the values, verbatim, by path (names joined by dots; within a name % is %25 and . is %2E).' CODEC(ZSTD(1)),
  `_log` Int32 COMMENT 'The log of Kafka\'s topic that the record is from; 0: unknown.' CODEC(ZSTD(1)),
  `_partition` Int32 COMMENT 'The record\'s partition in Kafka.' CODEC(ZSTD(1)),
  `_offset` Int64 COMMENT 'The record\'s offset in Kafka.' CODEC(Delta, ZSTD(1)),
  `_appended_at` DateTime64(3, 'UTC') COMMENT 'The record\'s timestamp in Kafka.' CODEC(Delta, ZSTD(1)),
  `_loaded_at` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When the row was written.' CODEC(Delta, ZSTD(1)),
  INDEX loaded_at _loaded_at TYPE minmax
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/tapcart_raw/product_viewed_local', '{replica}', _loaded_at)
PARTITION BY toYYYYMMDD(timestamp)
ORDER BY (app_id, toStartOfHour(timestamp), cityHash64(device_id), event_id)
TTL toDateTime(timestamp) + INTERVAL 400 DAY
SETTINGS share_nested_offsets = 0, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1, merge_selector_base = 12, auto_statistics_types = '', ttl_only_drop_parts = 1
;
CREATE TABLE IF NOT EXISTS tapcart_raw.product_viewed ON CLUSTER 'prod' AS tapcart_raw.product_viewed_local ENGINE = Distributed('prod', tapcart_raw, product_viewed_local, cityHash64(app_id, device_id))
;
CREATE OR REPLACE TABLE tapcart_raw.product_viewed_inserts ON CLUSTER 'prod' (
  `event_type` LowCardinality(String),
  `event_id` String,
  `app_id` LowCardinality(String),
  `device_id` String,
  `timestamp` DateTime64(3, 'UTC'),
  `received_at` DateTime64(3, 'UTC'),
  `session_id` String,
  `timestamp_iso` String,
  `metadata.schema_id` LowCardinality(String),
  `device_properties.ip` String,
  `device_properties.os` LowCardinality(String),
  `device_properties.model` String,
  `device_properties.orientation` String,
  `device_properties.carrier` String,
  `device_properties.radio` String,
  `device_properties.manufacturer` String,
  `device_properties.lib_version` String,
  `device_properties.country` LowCardinality(String),
  `device_properties.locale` LowCardinality(String),
  `device_properties.wifi` Nullable(Bool),
  `device_properties.app_version` LowCardinality(String),
  `device_properties.tapcart_build` String,
  `device_properties.external_build` String,
  `device_properties.os_version` LowCardinality(String),
  `device_properties.tapcart_commit_hash` String,
  `device_properties.consumer_type` LowCardinality(String),
  `device_properties.device_id` String,
  `device_properties.prev_push_enabled` Nullable(Bool),
  `device_properties.push_enabled` Nullable(Bool),
  `shopify_properties.shopify_user_id` String,
  `shopify_properties.logged_in` Nullable(Bool),
  `session_properties.session_id` String,
  `session_properties.source` LowCardinality(String),
  `session_properties.session_type` LowCardinality(String),
  `session_properties.session_start_time` Nullable(DateTime64(3, 'UTC')),
  `session_properties.notification_id` String,
  `session_properties.notification_type` LowCardinality(String),
  `session_properties.utm_source` LowCardinality(String),
  `session_properties.utm_medium` LowCardinality(String),
  `session_properties.utm_campaign` LowCardinality(String),
  `session_properties.utm_content` String,
  `session_properties.utm_term` String,
  `app_properties.app_id` String,
  `app_properties.currency_code` LowCardinality(String),
  `app_properties.app_version` LowCardinality(String),
  `app_properties.tapcart_build` String,
  `app_properties.external_build` String,
  `app_properties.os_version` String,
  `app_properties.tapcart_commit_hash` String,
  `app_properties.environment` LowCardinality(String),
  `event_properties.source` LowCardinality(String),
  `event_properties.event_id` String,
  `event_properties.collection_id` String,
  `event_properties.product_id` String,
  `event_properties.product_title` String,
  `event_properties.product_type` String,
  `event_properties.product_price` String,
  `event_properties.product_view_source` LowCardinality(String),
  `event_properties.collection_title` String,
  `event_properties.multi_currency_code` LowCardinality(String),
  `event_properties.product_tags_list` Variant(Array(String)),
  `event_properties.product_badge_titles_list` Variant(Array(String)),
  `event_properties.product_badge_ids_list` Variant(Array(String)),
  `event_properties.product_badge_positioning_list` Variant(Array(String)),
  `event_properties.custom_block_id` String,
  `event_properties.custom_block_source_url` String,
  `extra` String,
  `_log` Int32,
  `_partition` Int32,
  `_offset` Int64,
  `_appended_at` DateTime64(3, 'UTC'),
  `_loaded_at` DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = Distributed('prod', tapcart_raw, product_viewed_local, cityHash64(app_id, device_id))
;
CREATE TABLE IF NOT EXISTS tapcart_raw.unmodelled_local ON CLUSTER 'prod' (
  `event_type` LowCardinality(String) COMMENT 'The event\'s type, as sent.' CODEC(ZSTD(1)),
  `event_id` String COMMENT 'The event\'s unique id: opaque text, not always a UUID. A retried event comes with the same id.' CODEC(ZSTD(1)),
  `app_id` LowCardinality(String) COMMENT 'The merchant\'s app.' CODEC(ZSTD(1)),
  `device_id` String COMMENT 'The device.' CODEC(ZSTD(1)),
  `timestamp` DateTime64(3, 'UTC') COMMENT 'When the event happened, by the device\'s clock; milliseconds since 1970-01-01T00:00:00Z.' CODEC(Delta, ZSTD(1)),
  `received_at` DateTime64(3, 'UTC') COMMENT 'Added on receipt: when the event arrived, milliseconds since 1970-01-01T00:00:00Z.' CODEC(Delta, ZSTD(1)),
  `session_id` String COMMENT 'The session; many events share one.' CODEC(ZSTD(1)),
  `timestamp_iso` String COMMENT 'When the event happened, in ISO 8601 with the offset to UTC. Tapcart\'s own example contradicts its timestamp by 337 days.' CODEC(ZSTD(1)),
  `metadata.schema_id` LowCardinality(String) COMMENT 'The schema as the sender names it, Event_<event type>_<major>_<minor>_<patch>, also one that is not known here.' CODEC(ZSTD(1)),
  `device_properties.ip` String COMMENT 'Not described by Tapcart; by name and example: the shopper\'s IP address. Personal data.' CODEC(ZSTD(1)),
  `device_properties.os` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: the operating system. Seen: iOS; other values may come.' CODEC(ZSTD(1)),
  `device_properties.model` String COMMENT 'Not described by Tapcart; by name and example: the device\'s model.' CODEC(ZSTD(1)),
  `device_properties.orientation` String COMMENT 'Not described by Tapcart; by name and example: how the screen is held. Seen: portrait; other values may come.' CODEC(ZSTD(1)),
  `device_properties.carrier` String COMMENT 'Not described by Tapcart; by name and example: the mobile network\'s name; empty in the example.' CODEC(ZSTD(1)),
  `device_properties.radio` String COMMENT 'Not described by Tapcart; by name and example: the kind of connection. Seen: Wifi; other values may come.' CODEC(ZSTD(1)),
  `device_properties.manufacturer` String COMMENT 'Not described by Tapcart; by name and example: the device\'s maker. Seen: Apple; other values may come.' CODEC(ZSTD(1)),
  `device_properties.lib_version` String COMMENT 'Not described by Tapcart; by name and example: version of the analytics library.' CODEC(ZSTD(1)),
  `device_properties.country` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: two-letter country code.' CODEC(ZSTD(1)),
  `device_properties.locale` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: language of the device. Seen: en; other values may come.' CODEC(ZSTD(1)),
  `device_properties.wifi` Nullable(Bool) COMMENT 'Not described by Tapcart; by name and example: whether the device is on Wi-Fi.' CODEC(ZSTD(1)),
  `device_properties.app_version` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: version of the app; null in the example, where app_properties.app_version is filled.' CODEC(ZSTD(1)),
  `device_properties.tapcart_build` String COMMENT 'Not described by Tapcart; by name and example: version of Tapcart\'s code; null in the example, where app_properties.tapcart_build is filled.' CODEC(ZSTD(1)),
  `device_properties.external_build` String COMMENT 'Not described by Tapcart; by name and example: build number shown to the outside; null in the example, where app_properties.external_build is filled.' CODEC(ZSTD(1)),
  `device_properties.os_version` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: version of the operating system: several numbers with dots, so no number itself.' CODEC(ZSTD(1)),
  `device_properties.tapcart_commit_hash` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: commit of Tapcart\'s code.' CODEC(ZSTD(1)),
  `device_properties.consumer_type` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: whether this person has used the app before. Seen: Returning; other values may come.' CODEC(ZSTD(1)),
  `device_properties.device_id` String COMMENT 'Not described by Tapcart; by name and example: repeats the top-level device_id.' CODEC(ZSTD(1)),
  `device_properties.prev_push_enabled` Nullable(Bool) COMMENT 'Not described by Tapcart; by name and example: whether push notifications were allowed before.' CODEC(ZSTD(1)),
  `device_properties.push_enabled` Nullable(Bool) COMMENT 'Not described by Tapcart; by name and example: whether push notifications are allowed.' CODEC(ZSTD(1)),
  `shopify_properties.shopify_user_id` String COMMENT 'Not described by Tapcart; by name and example: Shopify\'s customer id; null while logged out. Digits as text.' CODEC(ZSTD(1)),
  `shopify_properties.logged_in` Nullable(Bool) COMMENT 'Not described by Tapcart; by name and example: whether the shopper is logged in.' CODEC(ZSTD(1)),
  `session_properties.session_id` String COMMENT 'Repeats the top-level session_id.' CODEC(ZSTD(1)),
  `session_properties.source` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: where the session came from. Seen: direct; other values may come.' CODEC(ZSTD(1)),
  `session_properties.session_type` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: whether this is the person\'s first session. Seen: Returning; other values may come.' CODEC(ZSTD(1)),
  `session_properties.session_start_time` Nullable(DateTime64(3, 'UTC')) COMMENT 'Not described by Tapcart; by name and example: when the session began, milliseconds since 1970-01-01T00:00:00Z. One of the few numbers that are sent as JSON numbers.' CODEC(ZSTD(1)),
  `session_properties.notification_id` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: the push notification that led to the session.' CODEC(ZSTD(1)),
  `session_properties.notification_type` LowCardinality(String) COMMENT 'Not described by Tapcart and only ever shown as null; by its name: the kind of that notification.' CODEC(ZSTD(1)),
  `session_properties.utm_source` LowCardinality(String) COMMENT 'Not described by Tapcart and only ever shown as null; by its name: UTM parameter: the site or system that sent the shopper.' CODEC(ZSTD(1)),
  `session_properties.utm_medium` LowCardinality(String) COMMENT 'Not described by Tapcart and only ever shown as null; by its name: UTM parameter: the kind of channel.' CODEC(ZSTD(1)),
  `session_properties.utm_campaign` LowCardinality(String) COMMENT 'Not described by Tapcart and only ever shown as null; by its name: UTM parameter: the campaign.' CODEC(ZSTD(1)),
  `session_properties.utm_content` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: UTM parameter: the variant of the advertisement.' CODEC(ZSTD(1)),
  `session_properties.utm_term` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: UTM parameter: the search term that was paid for.' CODEC(ZSTD(1)),
  `app_properties.app_id` String COMMENT 'Not described by Tapcart; by name and example: repeats the top-level app_id.' CODEC(ZSTD(1)),
  `app_properties.currency_code` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: the shop\'s currency (ISO 4217).' CODEC(ZSTD(1)),
  `app_properties.app_version` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: version of the app.' CODEC(ZSTD(1)),
  `app_properties.tapcart_build` String COMMENT 'Not described by Tapcart; by name and example: version of Tapcart\'s code.' CODEC(ZSTD(1)),
  `app_properties.external_build` String COMMENT 'Not described by Tapcart; by name and example: build number shown to the outside.' CODEC(ZSTD(1)),
  `app_properties.os_version` String COMMENT 'Not described by Tapcart; by name and example: repeats device_properties.os_version.' CODEC(ZSTD(1)),
  `app_properties.tapcart_commit_hash` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: commit of Tapcart\'s code.' CODEC(ZSTD(1)),
  `app_properties.environment` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: debug for builds under development: filter these out of figures. Seen: debug; other values may come.' CODEC(ZSTD(1)),
  `raw` String COMMENT 'The event\'s event_properties: JSON text, an object. Members that are no portable JSON (numbers beyond a double, nesting deeper than 64) are in extra instead.' CODEC(ZSTD(1)),
  `event_properties` JSON(max_dynamic_types=4, max_dynamic_paths=64) MATERIALIZED accurateCastOrDefault(`raw`, 'JSON(max_dynamic_types=4, max_dynamic_paths=64)') COMMENT 'raw as JSON; empty where it is none.' CODEC(ZSTD(1)),
  `extra` String COMMENT 'Added on receipt: what was sent and has no place in the other fields. JSON text: an object of the values, verbatim, by path (names joined by dots; within a name % is %25 and . is %2E).' CODEC(ZSTD(1)),
  `_log` Int32 COMMENT 'The log of Kafka\'s topic that the record is from; 0: unknown.' CODEC(ZSTD(1)),
  `_partition` Int32 COMMENT 'The record\'s partition in Kafka.' CODEC(ZSTD(1)),
  `_offset` Int64 COMMENT 'The record\'s offset in Kafka.' CODEC(Delta, ZSTD(1)),
  `_appended_at` DateTime64(3, 'UTC') COMMENT 'The record\'s timestamp in Kafka.' CODEC(Delta, ZSTD(1)),
  `_loaded_at` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When the row was written.' CODEC(Delta, ZSTD(1)),
  INDEX loaded_at _loaded_at TYPE minmax
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/tapcart_raw/unmodelled_local', '{replica}', _loaded_at)
PARTITION BY toYYYYMMDD(timestamp)
ORDER BY (app_id, toStartOfHour(timestamp), cityHash64(device_id), event_id, event_type)
TTL toDateTime(timestamp) + INTERVAL 400 DAY
SETTINGS share_nested_offsets = 0, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1, merge_selector_base = 12, auto_statistics_types = '', ttl_only_drop_parts = 1, min_bytes_for_wide_part = 1099511627776
;
CREATE TABLE IF NOT EXISTS tapcart_raw.unmodelled ON CLUSTER 'prod' AS tapcart_raw.unmodelled_local ENGINE = Distributed('prod', tapcart_raw, unmodelled_local, cityHash64(app_id, device_id))
;
CREATE TABLE IF NOT EXISTS tapcart_raw.quarantine_local ON CLUSTER 'prod' (
  `received_at` DateTime64(3, 'UTC') COMMENT 'When it arrived, milliseconds since 1970-01-01T00:00:00Z.' CODEC(Delta, ZSTD(1)),
  `app_id` LowCardinality(String) COMMENT 'The merchant\'s app, where known.' CODEC(ZSTD(1)),
  `event_id` String COMMENT 'The event\'s id, where known.' CODEC(ZSTD(1)),
  `reason` LowCardinality(String) COMMENT 'Why, as one word of a fixed list.' CODEC(ZSTD(1)),
  `detail` String COMMENT 'Why, as a sentence.' CODEC(ZSTD(1)),
  `pointer` String COMMENT 'JSON pointer (RFC 6901) of the first fault, where there is one.' CODEC(ZSTD(1)),
  `source` LowCardinality(String) COMMENT 'Who refused it: ingest or warehouse.' CODEC(ZSTD(1)),
  `record` String COMMENT 'topic/partition/offset, when it came out of Kafka.' CODEC(ZSTD(1)),
  `body` String COMMENT 'The body, byte for byte.' CODEC(ZSTD(1)),
  `allowed_app_ids` String COMMENT 'The apps that the sender\'s token was bound to, `|` between them; none: every app.' CODEC(ZSTD(1)),
  `content_encoding` String COMMENT 'The Content-Encoding that the body still has, where it could not be undone.' CODEC(ZSTD(1)),
  `traceparent` String COMMENT 'The trace that its sender named (W3C Trace Context), with which a replay goes on.' CODEC(ZSTD(1)),
  `body_hash` FixedString(16) MATERIALIZED sipHash128(body) COMMENT 'What a body is known by.' CODEC(ZSTD(1)),
  `_log` Int32 COMMENT 'The log of Kafka\'s topic that the record is from; 0: unknown.' CODEC(ZSTD(1)),
  `_partition` Int32 COMMENT 'The record\'s partition in Kafka.' CODEC(ZSTD(1)),
  `_offset` Int64 COMMENT 'The record\'s offset in Kafka.' CODEC(Delta, ZSTD(1)),
  `_appended_at` DateTime64(3, 'UTC') COMMENT 'The record\'s timestamp in Kafka.' CODEC(Delta, ZSTD(1)),
  `_loaded_at` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When the row was written.' CODEC(Delta, ZSTD(1)),
  INDEX loaded_at _loaded_at TYPE minmax
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/tapcart_raw/quarantine_local', '{replica}', _loaded_at)
ORDER BY (body_hash)
TTL toDateTime(received_at) + INTERVAL 30 DAY
SETTINGS share_nested_offsets = 0, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1, merge_selector_base = 12, auto_statistics_types = ''
;
CREATE TABLE IF NOT EXISTS tapcart_raw.quarantine ON CLUSTER 'prod' AS tapcart_raw.quarantine_local ENGINE = Distributed('prod', tapcart_raw, quarantine_local, sipHash64(body))
;
CREATE TABLE IF NOT EXISTS tapcart_raw.clickstream_local ON CLUSTER 'prod' (
  `event` LowCardinality(String) COMMENT 'The event\'s type, such as cartAdd.' CODEC(ZSTD(1)),
  `event_id` String COMMENT 'mp_metadata.mp_event_id, the documented key against duplicates; else the header eventid.' CODEC(ZSTD(1)),
  `app_id` LowCardinality(String) COMMENT 'The merchant\'s app: the header appid.' CODEC(ZSTD(1)),
  `device_id` String COMMENT 'The device: the header deviceid.' CODEC(ZSTD(1)),
  `session_id` String COMMENT 'The session: mp_metadata.mp_session_id.' CODEC(ZSTD(1)),
  `received_at` DateTime64(3, 'UTC') COMMENT 'Added on receipt: when the event arrived, milliseconds since 1970-01-01T00:00:00Z.' CODEC(Delta, ZSTD(1)),
  `data` String COMMENT 'What is particular to this type of event: JSON text, an object.' CODEC(ZSTD(1)),
  `properties` String COMMENT 'Device, locale and session: JSON text, an object.' CODEC(ZSTD(1)),
  `mp_metadata` String COMMENT 'Identifiers of Tapcart\'s analytics: JSON text, an object.' CODEC(ZSTD(1)),
  `extra` String COMMENT 'Added on receipt: what was sent and has no place in the other fields. JSON text: an object of the values, verbatim, by path (names joined by dots; within a name % is %25 and . is %2E).' CODEC(ZSTD(1)),
  `_log` Int32 COMMENT 'The log of Kafka\'s topic that the record is from; 0: unknown.' CODEC(ZSTD(1)),
  `_partition` Int32 COMMENT 'The record\'s partition in Kafka.' CODEC(ZSTD(1)),
  `_offset` Int64 COMMENT 'The record\'s offset in Kafka.' CODEC(Delta, ZSTD(1)),
  `_appended_at` DateTime64(3, 'UTC') COMMENT 'The record\'s timestamp in Kafka.' CODEC(Delta, ZSTD(1)),
  `_loaded_at` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When the row was written.' CODEC(Delta, ZSTD(1)),
  INDEX loaded_at _loaded_at TYPE minmax
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/tapcart_raw/clickstream_local', '{replica}', _loaded_at)
ORDER BY (app_id, event_id)
TTL toDateTime(received_at) + INTERVAL 400 DAY
SETTINGS share_nested_offsets = 0, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1, merge_selector_base = 12, auto_statistics_types = ''
;
CREATE TABLE IF NOT EXISTS tapcart_raw.clickstream ON CLUSTER 'prod' AS tapcart_raw.clickstream_local ENGINE = Distributed('prod', tapcart_raw, clickstream_local, cityHash64(app_id, event_id))
;
CREATE TABLE IF NOT EXISTS tapcart_raw.quarantine_replays_local ON CLUSTER 'prod' (
  `body_hash` FixedString(16) COMMENT 'sipHash128(body) of the row in quarantine.' CODEC(ZSTD(1)),
  `replayed_at` DateTime64(3, 'UTC') COMMENT 'When the body became an event after all.' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/tapcart_raw/quarantine_replays_local', '{replica}', replayed_at)
ORDER BY (body_hash)
SETTINGS share_nested_offsets = 0, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1, merge_selector_base = 12, auto_statistics_types = ''
;
CREATE TABLE IF NOT EXISTS tapcart_raw.quarantine_replays ON CLUSTER 'prod' AS tapcart_raw.quarantine_replays_local ENGINE = Distributed('prod', tapcart_raw, quarantine_replays_local, sipHash64(body_hash))
;
CREATE TABLE IF NOT EXISTS tapcart_raw.audit_trail_local ON CLUSTER 'prod' (
  `audit_id` String COMMENT 'One action; its steps have the same.' CODEC(ZSTD(1)),
  `at` DateTime64(3, 'UTC') COMMENT 'When.' CODEC(Delta, ZSTD(1)),
  `action` LowCardinality(String) COMMENT 'What was done.' CODEC(ZSTD(1)),
  `state` LowCardinality(String) COMMENT 'started, done or failed.' CODEC(ZSTD(1)),
  `actor` String COMMENT 'The user and host that did it.' CODEC(ZSTD(1)),
  `count` Nullable(UInt64) COMMENT 'How many rows, records, releases or tokens.' CODEC(ZSTD(1)),
  `detail` String COMMENT 'The rest, without ids.' CODEC(ZSTD(1)),
  `_loaded_at` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When the row was written.' CODEC(Delta, ZSTD(1)),
  INDEX loaded_at _loaded_at TYPE minmax
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/tapcart_raw/audit_trail_local', '{replica}', _loaded_at)
ORDER BY (at, audit_id, state)
SETTINGS share_nested_offsets = 0, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1, merge_selector_base = 12, auto_statistics_types = ''
;
CREATE TABLE IF NOT EXISTS tapcart_raw.audit_trail ON CLUSTER 'prod' AS tapcart_raw.audit_trail_local ENGINE = Distributed('prod', tapcart_raw, audit_trail_local, cityHash64(audit_id))
;
ALTER TABLE tapcart_raw.product_viewed_local ON CLUSTER 'prod' ADD COLUMN IF NOT EXISTS `event_id` String COMMENT 'The event\'s unique id: opaque text, not always a UUID. A retried event comes with the same id.' CODEC(ZSTD(1)), ADD COLUMN IF NOT EXISTS `_log` Int32 DEFAULT 7 COMMENT 'The log of Kafka\'s topic that the record is from; 0: unknown.' CODEC(ZSTD(1))
;
ALTER TABLE tapcart_raw.product_viewed ON CLUSTER 'prod' ADD COLUMN IF NOT EXISTS `event_id` String COMMENT 'The event\'s unique id: opaque text, not always a UUID. A retried event comes with the same id.' CODEC(ZSTD(1)), ADD COLUMN IF NOT EXISTS `_log` Int32 DEFAULT 7 COMMENT 'The log of Kafka\'s topic that the record is from; 0: unknown.' CODEC(ZSTD(1))
;
ALTER TABLE tapcart_raw.unmodelled_local ON CLUSTER 'prod' ADD COLUMN IF NOT EXISTS `event_id` String COMMENT 'The event\'s unique id: opaque text, not always a UUID. A retried event comes with the same id.' CODEC(ZSTD(1)), ADD COLUMN IF NOT EXISTS `_log` Int32 DEFAULT 7 COMMENT 'The log of Kafka\'s topic that the record is from; 0: unknown.' CODEC(ZSTD(1))
;
ALTER TABLE tapcart_raw.unmodelled ON CLUSTER 'prod' ADD COLUMN IF NOT EXISTS `event_id` String COMMENT 'The event\'s unique id: opaque text, not always a UUID. A retried event comes with the same id.' CODEC(ZSTD(1)), ADD COLUMN IF NOT EXISTS `_log` Int32 DEFAULT 7 COMMENT 'The log of Kafka\'s topic that the record is from; 0: unknown.' CODEC(ZSTD(1))
;
ALTER TABLE tapcart_raw.quarantine_local ON CLUSTER 'prod' ADD COLUMN IF NOT EXISTS `app_id` LowCardinality(String) COMMENT 'The merchant\'s app, where known.' CODEC(ZSTD(1)), ADD COLUMN IF NOT EXISTS `_log` Int32 DEFAULT 8 COMMENT 'The log of Kafka\'s topic that the record is from; 0: unknown.' CODEC(ZSTD(1))
;
ALTER TABLE tapcart_raw.quarantine ON CLUSTER 'prod' ADD COLUMN IF NOT EXISTS `app_id` LowCardinality(String) COMMENT 'The merchant\'s app, where known.' CODEC(ZSTD(1)), ADD COLUMN IF NOT EXISTS `_log` Int32 DEFAULT 8 COMMENT 'The log of Kafka\'s topic that the record is from; 0: unknown.' CODEC(ZSTD(1))
;
ALTER TABLE tapcart_raw.clickstream_local ON CLUSTER 'prod' ADD COLUMN IF NOT EXISTS `event_id` String COMMENT 'mp_metadata.mp_event_id, the documented key against duplicates; else the header eventid.' CODEC(ZSTD(1)), ADD COLUMN IF NOT EXISTS `_log` Int32 DEFAULT 7 COMMENT 'The log of Kafka\'s topic that the record is from; 0: unknown.' CODEC(ZSTD(1))
;
ALTER TABLE tapcart_raw.clickstream ON CLUSTER 'prod' ADD COLUMN IF NOT EXISTS `event_id` String COMMENT 'mp_metadata.mp_event_id, the documented key against duplicates; else the header eventid.' CODEC(ZSTD(1)), ADD COLUMN IF NOT EXISTS `_log` Int32 DEFAULT 7 COMMENT 'The log of Kafka\'s topic that the record is from; 0: unknown.' CODEC(ZSTD(1))
;
ALTER TABLE tapcart_raw.quarantine_replays_local ON CLUSTER 'prod' ADD COLUMN IF NOT EXISTS `replayed_at` DateTime64(3, 'UTC') COMMENT 'When the body became an event after all.' CODEC(Delta, ZSTD(1))
;
ALTER TABLE tapcart_raw.quarantine_replays ON CLUSTER 'prod' ADD COLUMN IF NOT EXISTS `replayed_at` DateTime64(3, 'UTC') COMMENT 'When the body became an event after all.' CODEC(Delta, ZSTD(1))
;
ALTER TABLE tapcart_raw.audit_trail_local ON CLUSTER 'prod' ADD COLUMN IF NOT EXISTS `at` DateTime64(3, 'UTC') COMMENT 'When.' CODEC(Delta, ZSTD(1))
;
ALTER TABLE tapcart_raw.audit_trail ON CLUSTER 'prod' ADD COLUMN IF NOT EXISTS `at` DateTime64(3, 'UTC') COMMENT 'When.' CODEC(Delta, ZSTD(1))
;
ALTER TABLE tapcart_raw.product_viewed_local ON CLUSTER 'prod' MODIFY SETTING merge_selector_base = 12, auto_statistics_types = ''
;
ALTER TABLE tapcart_raw.unmodelled_local ON CLUSTER 'prod' MODIFY SETTING merge_selector_base = 12, auto_statistics_types = '', min_bytes_for_wide_part = 1099511627776
;
ALTER TABLE tapcart_raw.quarantine_local ON CLUSTER 'prod' MODIFY SETTING merge_selector_base = 12, auto_statistics_types = ''
;
ALTER TABLE tapcart_raw.clickstream_local ON CLUSTER 'prod' MODIFY SETTING merge_selector_base = 12, auto_statistics_types = ''
;
ALTER TABLE tapcart_raw.quarantine_replays_local ON CLUSTER 'prod' MODIFY SETTING merge_selector_base = 12, auto_statistics_types = ''
;
ALTER TABLE tapcart_raw.audit_trail_local ON CLUSTER 'prod' MODIFY SETTING merge_selector_base = 12, auto_statistics_types = ''
;
ALTER TABLE tapcart_raw.product_viewed_local ON CLUSTER 'prod' MODIFY SETTING ttl_only_drop_parts = 1
;
ALTER TABLE tapcart_raw.product_viewed_local ON CLUSTER 'prod' MODIFY TTL toDateTime(timestamp) + INTERVAL 400 DAY SETTINGS alter_sync = 0, mutations_sync = 0
;
ALTER TABLE tapcart_raw.unmodelled_local ON CLUSTER 'prod' MODIFY SETTING ttl_only_drop_parts = 1
;
ALTER TABLE tapcart_raw.unmodelled_local ON CLUSTER 'prod' MODIFY TTL toDateTime(timestamp) + INTERVAL 400 DAY SETTINGS alter_sync = 0, mutations_sync = 0
;
ALTER TABLE tapcart_raw.quarantine_local ON CLUSTER 'prod' MODIFY TTL toDateTime(received_at) + INTERVAL 30 DAY SETTINGS alter_sync = 0, mutations_sync = 0
;
ALTER TABLE tapcart_raw.clickstream_local ON CLUSTER 'prod' MODIFY TTL toDateTime(received_at) + INTERVAL 400 DAY SETTINGS alter_sync = 0, mutations_sync = 0
;
ALTER TABLE tapcart_raw.unmodelled_local ON CLUSTER 'prod' MODIFY COLUMN `event_properties` JSON(max_dynamic_types=4, max_dynamic_paths=64) MATERIALIZED accurateCastOrDefault(`raw`, 'JSON(max_dynamic_types=4, max_dynamic_paths=64)') COMMENT 'raw as JSON; empty where it is none.' CODEC(ZSTD(1)) SETTINGS alter_sync = 0, mutations_sync = 0
;
ALTER TABLE tapcart_raw.unmodelled ON CLUSTER 'prod' MODIFY COLUMN `event_properties` JSON(max_dynamic_types=4, max_dynamic_paths=64) MATERIALIZED accurateCastOrDefault(`raw`, 'JSON(max_dynamic_types=4, max_dynamic_paths=64)') COMMENT 'raw as JSON; empty where it is none.' CODEC(ZSTD(1)) SETTINGS alter_sync = 0, mutations_sync = 0
;
CREATE OR REPLACE VIEW tapcart.product_viewed ON CLUSTER 'prod' (
  `event_type` LowCardinality(String) COMMENT 'Always ProductViewed.',
  `event_id` String COMMENT 'The event\'s unique id: opaque text, not always a UUID. A retried event comes with the same id.',
  `app_id` LowCardinality(String) COMMENT 'The merchant\'s app.',
  `device_id` String COMMENT 'The device.',
  `timestamp` DateTime64(3, 'UTC') COMMENT 'When the event happened, by the device\'s clock; milliseconds since 1970-01-01T00:00:00Z.',
  `received_at` DateTime64(3, 'UTC') COMMENT 'Added on receipt: when the event arrived, milliseconds since 1970-01-01T00:00:00Z.',
  `session_id` String COMMENT 'The session; many events share one.',
  `timestamp_iso` String COMMENT 'When the event happened, in ISO 8601 with the offset to UTC. Tapcart\'s own example contradicts its timestamp by 337 days.',
  `metadata.schema_id` LowCardinality(String) COMMENT 'The schema as the sender names it, Event_<event type>_<major>_<minor>_<patch>, also one that is not known here.',
  `device_properties.ip` String COMMENT 'Not described by Tapcart; by name and example: the shopper\'s IP address. Personal data.',
  `device_properties.os` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: the operating system. Seen: iOS; other values may come.',
  `device_properties.model` String COMMENT 'Not described by Tapcart; by name and example: the device\'s model.',
  `device_properties.orientation` String COMMENT 'Not described by Tapcart; by name and example: how the screen is held. Seen: portrait; other values may come.',
  `device_properties.carrier` String COMMENT 'Not described by Tapcart; by name and example: the mobile network\'s name; empty in the example.',
  `device_properties.radio` String COMMENT 'Not described by Tapcart; by name and example: the kind of connection. Seen: Wifi; other values may come.',
  `device_properties.manufacturer` String COMMENT 'Not described by Tapcart; by name and example: the device\'s maker. Seen: Apple; other values may come.',
  `device_properties.lib_version` String COMMENT 'Not described by Tapcart; by name and example: version of the analytics library.',
  `device_properties.country` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: two-letter country code.',
  `device_properties.locale` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: language of the device. Seen: en; other values may come.',
  `device_properties.wifi` Nullable(Bool) COMMENT 'Not described by Tapcart; by name and example: whether the device is on Wi-Fi.',
  `device_properties.app_version` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: version of the app; null in the example, where app_properties.app_version is filled.',
  `device_properties.tapcart_build` String COMMENT 'Not described by Tapcart; by name and example: version of Tapcart\'s code; null in the example, where app_properties.tapcart_build is filled.',
  `device_properties.external_build` String COMMENT 'Not described by Tapcart; by name and example: build number shown to the outside; null in the example, where app_properties.external_build is filled.',
  `device_properties.os_version` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: version of the operating system: several numbers with dots, so no number itself.',
  `device_properties.tapcart_commit_hash` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: commit of Tapcart\'s code.',
  `device_properties.consumer_type` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: whether this person has used the app before. Seen: Returning; other values may come.',
  `device_properties.device_id` String COMMENT 'Not described by Tapcart; by name and example: repeats the top-level device_id.',
  `device_properties.prev_push_enabled` Nullable(Bool) COMMENT 'Not described by Tapcart; by name and example: whether push notifications were allowed before.',
  `device_properties.push_enabled` Nullable(Bool) COMMENT 'Not described by Tapcart; by name and example: whether push notifications are allowed.',
  `shopify_properties.shopify_user_id` String COMMENT 'Not described by Tapcart; by name and example: Shopify\'s customer id; null while logged out. Digits as text.',
  `shopify_properties.logged_in` Nullable(Bool) COMMENT 'Not described by Tapcart; by name and example: whether the shopper is logged in.',
  `session_properties.session_id` String COMMENT 'Repeats the top-level session_id.',
  `session_properties.source` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: where the session came from. Seen: direct; other values may come.',
  `session_properties.session_type` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: whether this is the person\'s first session. Seen: Returning; other values may come.',
  `session_properties.session_start_time` Nullable(DateTime64(3, 'UTC')) COMMENT 'Not described by Tapcart; by name and example: when the session began, milliseconds since 1970-01-01T00:00:00Z. One of the few numbers that are sent as JSON numbers.',
  `session_properties.notification_id` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: the push notification that led to the session.',
  `session_properties.notification_type` LowCardinality(String) COMMENT 'Not described by Tapcart and only ever shown as null; by its name: the kind of that notification.',
  `session_properties.utm_source` LowCardinality(String) COMMENT 'Not described by Tapcart and only ever shown as null; by its name: UTM parameter: the site or system that sent the shopper.',
  `session_properties.utm_medium` LowCardinality(String) COMMENT 'Not described by Tapcart and only ever shown as null; by its name: UTM parameter: the kind of channel.',
  `session_properties.utm_campaign` LowCardinality(String) COMMENT 'Not described by Tapcart and only ever shown as null; by its name: UTM parameter: the campaign.',
  `session_properties.utm_content` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: UTM parameter: the variant of the advertisement.',
  `session_properties.utm_term` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: UTM parameter: the search term that was paid for.',
  `app_properties.app_id` String COMMENT 'Not described by Tapcart; by name and example: repeats the top-level app_id.',
  `app_properties.currency_code` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: the shop\'s currency (ISO 4217).',
  `app_properties.app_version` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: version of the app.',
  `app_properties.tapcart_build` String COMMENT 'Not described by Tapcart; by name and example: version of Tapcart\'s code.',
  `app_properties.external_build` String COMMENT 'Not described by Tapcart; by name and example: build number shown to the outside.',
  `app_properties.os_version` String COMMENT 'Not described by Tapcart; by name and example: repeats device_properties.os_version.',
  `app_properties.tapcart_commit_hash` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: commit of Tapcart\'s code.',
  `app_properties.environment` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: debug for builds under development: filter these out of figures. Seen: debug; other values may come.',
  `event_properties.source` LowCardinality(String) COMMENT 'Where the session came from, the same on all events of a session; direct by default.',
  `event_properties.event_id` String COMMENT 'Repeats the top-level event_id; Tapcart\'s pages call it, oddly, the session\'s identifier.',
  `event_properties.collection_id` String COMMENT 'Shopify\'s collection id: digits as text; filled only when the product was reached through a collection, else empty.',
  `event_properties.product_id` String COMMENT 'Shopify\'s product id: digits as text.',
  `event_properties.product_title` String COMMENT 'Not described by Tapcart; by name and example: the product\'s title in Shopify.',
  `event_properties.product_type` String COMMENT 'Not described by Tapcart; by name and example: the product\'s type in Shopify; may be empty.',
  `event_properties.product_price` String COMMENT 'Not described by Tapcart; by name and example: the product\'s price. A decimal number sent as text.',
  `event_properties.product_price_amount` Nullable(Decimal(18, 4)) COMMENT 'event_properties.product_price as a number; null where it is none.',
  `event_properties.product_view_source` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: where in the app the product was opened. Seen: collections_page, dashboard_four_sixty_block, dashboard_featured_products, dashboard_single_collection_grid, dashboard_single_collection_carousel, dashboard_single_collection_circle, dashboard_recently_viewed_block, dashboard_image_banner, dashboard_video_block, pdp_recently_viewed_block, account_recently_viewed_block, pdp_related_products_block, pdp_colored_product_selected, pdp_four_sixty_block, quick_add, four_sixty_page; other values may come.',
  `event_properties.collection_title` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: the collection\'s title.',
  `event_properties.multi_currency_code` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: the currency shown to the shopper (ISO 4217).',
  `event_properties.product_tags_list` Array(String) COMMENT 'Not described by Tapcart; by name and example: the product\'s tags in Shopify.',
  `event_properties.product_badge_titles_list` Array(String) COMMENT 'Not described by Tapcart; by name and example: titles of the badges shown on the product; none is said as [] or [""].',
  `event_properties.product_badge_ids_list` Array(String) COMMENT 'Not described by Tapcart; by name and example: ids of the badges shown on the product; none is said as [] or [""].',
  `event_properties.product_badge_positioning_list` Array(String) COMMENT 'Not described by Tapcart and only ever shown empty; by its name: where the badges sit. The type of its elements is unknown.',
  `event_properties.custom_block_id` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: the custom block involved.',
  `event_properties.custom_block_source_url` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: URL of that custom block.',
  `extra` String COMMENT 'Added on receipt: what was sent and has no place in the other fields. JSON text: an object of the values, verbatim, by path (names joined by dots; within a name % is %25 and . is %2E).'
) AS
SELECT `event_type`, `event_id`, `app_id`, `device_id`, `timestamp`, `received_at`, `session_id`, `timestamp_iso`, `metadata.schema_id`, `device_properties.ip`, `device_properties.os`, `device_properties.model`, `device_properties.orientation`, `device_properties.carrier`, `device_properties.radio`, `device_properties.manufacturer`, `device_properties.lib_version`, `device_properties.country`, `device_properties.locale`, `device_properties.wifi`, `device_properties.app_version`, `device_properties.tapcart_build`, `device_properties.external_build`, `device_properties.os_version`, `device_properties.tapcart_commit_hash`, `device_properties.consumer_type`, `device_properties.device_id`, `device_properties.prev_push_enabled`, `device_properties.push_enabled`, `shopify_properties.shopify_user_id`, `shopify_properties.logged_in`, `session_properties.session_id`, `session_properties.source`, `session_properties.session_type`, `session_properties.session_start_time`, `session_properties.notification_id`, `session_properties.notification_type`, `session_properties.utm_source`, `session_properties.utm_medium`, `session_properties.utm_campaign`, `session_properties.utm_content`, `session_properties.utm_term`, `app_properties.app_id`, `app_properties.currency_code`, `app_properties.app_version`, `app_properties.tapcart_build`, `app_properties.external_build`, `app_properties.os_version`, `app_properties.tapcart_commit_hash`, `app_properties.environment`, `event_properties.source`, `event_properties.event_id`, `event_properties.collection_id`, `event_properties.product_id`, `event_properties.product_title`, `event_properties.product_type`, `event_properties.product_price`, `event_properties.product_price_amount`, `event_properties.product_view_source`, `event_properties.collection_title`, `event_properties.multi_currency_code`, `event_properties.product_tags_list`, `event_properties.product_badge_titles_list`, `event_properties.product_badge_ids_list`, `event_properties.product_badge_positioning_list`, `event_properties.custom_block_id`, `event_properties.custom_block_source_url`, `extra`
FROM tapcart_raw.product_viewed FINAL SETTINGS do_not_merge_across_partitions_select_final = 1
;
CREATE OR REPLACE VIEW tapcart.unmodelled ON CLUSTER 'prod' (
  `event_type` LowCardinality(String) COMMENT 'The event\'s type, as sent.',
  `event_id` String COMMENT 'The event\'s unique id: opaque text, not always a UUID. A retried event comes with the same id.',
  `app_id` LowCardinality(String) COMMENT 'The merchant\'s app.',
  `device_id` String COMMENT 'The device.',
  `timestamp` DateTime64(3, 'UTC') COMMENT 'When the event happened, by the device\'s clock; milliseconds since 1970-01-01T00:00:00Z.',
  `received_at` DateTime64(3, 'UTC') COMMENT 'Added on receipt: when the event arrived, milliseconds since 1970-01-01T00:00:00Z.',
  `session_id` String COMMENT 'The session; many events share one.',
  `timestamp_iso` String COMMENT 'When the event happened, in ISO 8601 with the offset to UTC. Tapcart\'s own example contradicts its timestamp by 337 days.',
  `metadata.schema_id` LowCardinality(String) COMMENT 'The schema as the sender names it, Event_<event type>_<major>_<minor>_<patch>, also one that is not known here.',
  `device_properties.ip` String COMMENT 'Not described by Tapcart; by name and example: the shopper\'s IP address. Personal data.',
  `device_properties.os` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: the operating system. Seen: iOS; other values may come.',
  `device_properties.model` String COMMENT 'Not described by Tapcart; by name and example: the device\'s model.',
  `device_properties.orientation` String COMMENT 'Not described by Tapcart; by name and example: how the screen is held. Seen: portrait; other values may come.',
  `device_properties.carrier` String COMMENT 'Not described by Tapcart; by name and example: the mobile network\'s name; empty in the example.',
  `device_properties.radio` String COMMENT 'Not described by Tapcart; by name and example: the kind of connection. Seen: Wifi; other values may come.',
  `device_properties.manufacturer` String COMMENT 'Not described by Tapcart; by name and example: the device\'s maker. Seen: Apple; other values may come.',
  `device_properties.lib_version` String COMMENT 'Not described by Tapcart; by name and example: version of the analytics library.',
  `device_properties.country` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: two-letter country code.',
  `device_properties.locale` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: language of the device. Seen: en; other values may come.',
  `device_properties.wifi` Nullable(Bool) COMMENT 'Not described by Tapcart; by name and example: whether the device is on Wi-Fi.',
  `device_properties.app_version` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: version of the app; null in the example, where app_properties.app_version is filled.',
  `device_properties.tapcart_build` String COMMENT 'Not described by Tapcart; by name and example: version of Tapcart\'s code; null in the example, where app_properties.tapcart_build is filled.',
  `device_properties.external_build` String COMMENT 'Not described by Tapcart; by name and example: build number shown to the outside; null in the example, where app_properties.external_build is filled.',
  `device_properties.os_version` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: version of the operating system: several numbers with dots, so no number itself.',
  `device_properties.tapcart_commit_hash` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: commit of Tapcart\'s code.',
  `device_properties.consumer_type` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: whether this person has used the app before. Seen: Returning; other values may come.',
  `device_properties.device_id` String COMMENT 'Not described by Tapcart; by name and example: repeats the top-level device_id.',
  `device_properties.prev_push_enabled` Nullable(Bool) COMMENT 'Not described by Tapcart; by name and example: whether push notifications were allowed before.',
  `device_properties.push_enabled` Nullable(Bool) COMMENT 'Not described by Tapcart; by name and example: whether push notifications are allowed.',
  `shopify_properties.shopify_user_id` String COMMENT 'Not described by Tapcart; by name and example: Shopify\'s customer id; null while logged out. Digits as text.',
  `shopify_properties.logged_in` Nullable(Bool) COMMENT 'Not described by Tapcart; by name and example: whether the shopper is logged in.',
  `session_properties.session_id` String COMMENT 'Repeats the top-level session_id.',
  `session_properties.source` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: where the session came from. Seen: direct; other values may come.',
  `session_properties.session_type` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: whether this is the person\'s first session. Seen: Returning; other values may come.',
  `session_properties.session_start_time` Nullable(DateTime64(3, 'UTC')) COMMENT 'Not described by Tapcart; by name and example: when the session began, milliseconds since 1970-01-01T00:00:00Z. One of the few numbers that are sent as JSON numbers.',
  `session_properties.notification_id` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: the push notification that led to the session.',
  `session_properties.notification_type` LowCardinality(String) COMMENT 'Not described by Tapcart and only ever shown as null; by its name: the kind of that notification.',
  `session_properties.utm_source` LowCardinality(String) COMMENT 'Not described by Tapcart and only ever shown as null; by its name: UTM parameter: the site or system that sent the shopper.',
  `session_properties.utm_medium` LowCardinality(String) COMMENT 'Not described by Tapcart and only ever shown as null; by its name: UTM parameter: the kind of channel.',
  `session_properties.utm_campaign` LowCardinality(String) COMMENT 'Not described by Tapcart and only ever shown as null; by its name: UTM parameter: the campaign.',
  `session_properties.utm_content` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: UTM parameter: the variant of the advertisement.',
  `session_properties.utm_term` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: UTM parameter: the search term that was paid for.',
  `app_properties.app_id` String COMMENT 'Not described by Tapcart; by name and example: repeats the top-level app_id.',
  `app_properties.currency_code` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: the shop\'s currency (ISO 4217).',
  `app_properties.app_version` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: version of the app.',
  `app_properties.tapcart_build` String COMMENT 'Not described by Tapcart; by name and example: version of Tapcart\'s code.',
  `app_properties.external_build` String COMMENT 'Not described by Tapcart; by name and example: build number shown to the outside.',
  `app_properties.os_version` String COMMENT 'Not described by Tapcart; by name and example: repeats device_properties.os_version.',
  `app_properties.tapcart_commit_hash` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: commit of Tapcart\'s code.',
  `app_properties.environment` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: debug for builds under development: filter these out of figures. Seen: debug; other values may come.',
  `raw` String COMMENT 'The event\'s event_properties: JSON text, an object. Members that are no portable JSON (numbers beyond a double, nesting deeper than 64) are in extra instead.',
  `event_properties` JSON(max_dynamic_types=4, max_dynamic_paths=64) COMMENT 'raw as JSON; empty where it is none.',
  `extra` String COMMENT 'Added on receipt: what was sent and has no place in the other fields. JSON text: an object of the values, verbatim, by path (names joined by dots; within a name % is %25 and . is %2E).'
) AS
SELECT `event_type`, `event_id`, `app_id`, `device_id`, `timestamp`, `received_at`, `session_id`, `timestamp_iso`, `metadata.schema_id`, `device_properties.ip`, `device_properties.os`, `device_properties.model`, `device_properties.orientation`, `device_properties.carrier`, `device_properties.radio`, `device_properties.manufacturer`, `device_properties.lib_version`, `device_properties.country`, `device_properties.locale`, `device_properties.wifi`, `device_properties.app_version`, `device_properties.tapcart_build`, `device_properties.external_build`, `device_properties.os_version`, `device_properties.tapcart_commit_hash`, `device_properties.consumer_type`, `device_properties.device_id`, `device_properties.prev_push_enabled`, `device_properties.push_enabled`, `shopify_properties.shopify_user_id`, `shopify_properties.logged_in`, `session_properties.session_id`, `session_properties.source`, `session_properties.session_type`, `session_properties.session_start_time`, `session_properties.notification_id`, `session_properties.notification_type`, `session_properties.utm_source`, `session_properties.utm_medium`, `session_properties.utm_campaign`, `session_properties.utm_content`, `session_properties.utm_term`, `app_properties.app_id`, `app_properties.currency_code`, `app_properties.app_version`, `app_properties.tapcart_build`, `app_properties.external_build`, `app_properties.os_version`, `app_properties.tapcart_commit_hash`, `app_properties.environment`, `raw`, `event_properties`, `extra`
FROM tapcart_raw.unmodelled FINAL SETTINGS do_not_merge_across_partitions_select_final = 1
;
CREATE OR REPLACE VIEW tapcart.quarantine ON CLUSTER 'prod' (
  `received_at` DateTime64(3, 'UTC') COMMENT 'When it arrived, milliseconds since 1970-01-01T00:00:00Z.',
  `app_id` LowCardinality(String) COMMENT 'The merchant\'s app, where known.',
  `event_id` String COMMENT 'The event\'s id, where known.',
  `reason` LowCardinality(String) COMMENT 'Why, as one word of a fixed list.',
  `detail` String COMMENT 'Why, as a sentence.',
  `pointer` String COMMENT 'JSON pointer (RFC 6901) of the first fault, where there is one.',
  `source` LowCardinality(String) COMMENT 'Who refused it: ingest or warehouse.',
  `record` String COMMENT 'topic/partition/offset, when it came out of Kafka.',
  `body` String COMMENT 'The body, byte for byte.',
  `allowed_app_ids` String COMMENT 'The apps that the sender\'s token was bound to, `|` between them; none: every app.',
  `content_encoding` String COMMENT 'The Content-Encoding that the body still has, where it could not be undone.',
  `traceparent` String COMMENT 'The trace that its sender named (W3C Trace Context), with which a replay goes on.',
  `replayed_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'When it became an event after all; null until then.'
) AS
SELECT `received_at`, `app_id`, `event_id`, `reason`, `detail`, `pointer`, `source`, `record`, `body`, `allowed_app_ids`, `content_encoding`, `traceparent`, `replayed_at`
FROM (SELECT `received_at`, `app_id`, `event_id`, `reason`, `detail`, `pointer`, `source`, `record`, `body`, `allowed_app_ids`, `content_encoding`, `traceparent`, body_hash FROM tapcart_raw.quarantine FINAL WHERE reason != 'probe') AS rows LEFT JOIN (SELECT body_hash, toNullable(max(replayed_at)) AS replayed_at FROM tapcart_raw.quarantine_replays GROUP BY body_hash) AS replays ON rows.body_hash = replays.body_hash
;
CREATE OR REPLACE VIEW tapcart.clickstream ON CLUSTER 'prod' (
  `event` LowCardinality(String) COMMENT 'The event\'s type, such as cartAdd.',
  `event_id` String COMMENT 'mp_metadata.mp_event_id, the documented key against duplicates; else the header eventid.',
  `app_id` LowCardinality(String) COMMENT 'The merchant\'s app: the header appid.',
  `device_id` String COMMENT 'The device: the header deviceid.',
  `session_id` String COMMENT 'The session: mp_metadata.mp_session_id.',
  `received_at` DateTime64(3, 'UTC') COMMENT 'Added on receipt: when the event arrived, milliseconds since 1970-01-01T00:00:00Z.',
  `data` String COMMENT 'What is particular to this type of event: JSON text, an object.',
  `properties` String COMMENT 'Device, locale and session: JSON text, an object.',
  `mp_metadata` String COMMENT 'Identifiers of Tapcart\'s analytics: JSON text, an object.',
  `extra` String COMMENT 'Added on receipt: what was sent and has no place in the other fields. JSON text: an object of the values, verbatim, by path (names joined by dots; within a name % is %25 and . is %2E).'
) AS
SELECT `event`, `event_id`, `app_id`, `device_id`, `session_id`, `received_at`, `data`, `properties`, `mp_metadata`, `extra`
FROM tapcart_raw.clickstream FINAL SETTINGS do_not_merge_across_partitions_select_final = 1
;
CREATE OR REPLACE VIEW tapcart.audit_trail ON CLUSTER 'prod' (
  `audit_id` String COMMENT 'One action; its steps have the same.',
  `at` DateTime64(3, 'UTC') COMMENT 'When.',
  `action` LowCardinality(String) COMMENT 'What was done.',
  `state` LowCardinality(String) COMMENT 'started, done or failed.',
  `actor` String COMMENT 'The user and host that did it.',
  `count` Nullable(UInt64) COMMENT 'How many rows, records, releases or tokens.',
  `detail` String COMMENT 'The rest, without ids.'
) AS
SELECT `audit_id`, `at`, `action`, `state`, `actor`, `count`, `detail`
FROM tapcart_raw.audit_trail FINAL SETTINGS do_not_merge_across_partitions_select_final = 1
;
CREATE OR REPLACE TABLE tapcart_raw.events_local ON CLUSTER 'prod' (
  `event_type` LowCardinality(String),
  `event_id` String,
  `app_id` LowCardinality(String),
  `device_id` String,
  `timestamp` DateTime64(3, 'UTC'),
  `received_at` DateTime64(3, 'UTC'),
  `session_id` String,
  `timestamp_iso` String,
  `metadata.schema_id` LowCardinality(String),
  `device_properties.ip` String,
  `device_properties.os` LowCardinality(String),
  `device_properties.model` String,
  `device_properties.orientation` String,
  `device_properties.carrier` String,
  `device_properties.radio` String,
  `device_properties.manufacturer` String,
  `device_properties.lib_version` String,
  `device_properties.country` LowCardinality(String),
  `device_properties.locale` LowCardinality(String),
  `device_properties.wifi` Nullable(Bool),
  `device_properties.app_version` LowCardinality(String),
  `device_properties.tapcart_build` String,
  `device_properties.external_build` String,
  `device_properties.os_version` LowCardinality(String),
  `device_properties.tapcart_commit_hash` String,
  `device_properties.consumer_type` LowCardinality(String),
  `device_properties.device_id` String,
  `device_properties.prev_push_enabled` Nullable(Bool),
  `device_properties.push_enabled` Nullable(Bool),
  `shopify_properties.shopify_user_id` String,
  `shopify_properties.logged_in` Nullable(Bool),
  `session_properties.session_id` String,
  `session_properties.source` LowCardinality(String),
  `session_properties.session_type` LowCardinality(String),
  `session_properties.session_start_time` Nullable(DateTime64(3, 'UTC')),
  `session_properties.notification_id` String,
  `session_properties.notification_type` LowCardinality(String),
  `session_properties.utm_source` LowCardinality(String),
  `session_properties.utm_medium` LowCardinality(String),
  `session_properties.utm_campaign` LowCardinality(String),
  `session_properties.utm_content` String,
  `session_properties.utm_term` String,
  `app_properties.app_id` String,
  `app_properties.currency_code` LowCardinality(String),
  `app_properties.app_version` LowCardinality(String),
  `app_properties.tapcart_build` String,
  `app_properties.external_build` String,
  `app_properties.os_version` String,
  `app_properties.tapcart_commit_hash` String,
  `app_properties.environment` LowCardinality(String),
  `extra` String,
  `_log` Int32,
  `_partition` Int32,
  `_offset` Int64,
  `_appended_at` DateTime64(3, 'UTC'),
  `_loaded_at` DateTime64(3, 'UTC')
)
ENGINE = Merge('tapcart_raw', '^(product_viewed_local|unmodelled_local)$')
;
CREATE OR REPLACE TABLE tapcart_raw.events ON CLUSTER 'prod' (
  `event_type` LowCardinality(String),
  `event_id` String,
  `app_id` LowCardinality(String),
  `device_id` String,
  `timestamp` DateTime64(3, 'UTC'),
  `received_at` DateTime64(3, 'UTC'),
  `session_id` String,
  `timestamp_iso` String,
  `metadata.schema_id` LowCardinality(String),
  `device_properties.ip` String,
  `device_properties.os` LowCardinality(String),
  `device_properties.model` String,
  `device_properties.orientation` String,
  `device_properties.carrier` String,
  `device_properties.radio` String,
  `device_properties.manufacturer` String,
  `device_properties.lib_version` String,
  `device_properties.country` LowCardinality(String),
  `device_properties.locale` LowCardinality(String),
  `device_properties.wifi` Nullable(Bool),
  `device_properties.app_version` LowCardinality(String),
  `device_properties.tapcart_build` String,
  `device_properties.external_build` String,
  `device_properties.os_version` LowCardinality(String),
  `device_properties.tapcart_commit_hash` String,
  `device_properties.consumer_type` LowCardinality(String),
  `device_properties.device_id` String,
  `device_properties.prev_push_enabled` Nullable(Bool),
  `device_properties.push_enabled` Nullable(Bool),
  `shopify_properties.shopify_user_id` String,
  `shopify_properties.logged_in` Nullable(Bool),
  `session_properties.session_id` String,
  `session_properties.source` LowCardinality(String),
  `session_properties.session_type` LowCardinality(String),
  `session_properties.session_start_time` Nullable(DateTime64(3, 'UTC')),
  `session_properties.notification_id` String,
  `session_properties.notification_type` LowCardinality(String),
  `session_properties.utm_source` LowCardinality(String),
  `session_properties.utm_medium` LowCardinality(String),
  `session_properties.utm_campaign` LowCardinality(String),
  `session_properties.utm_content` String,
  `session_properties.utm_term` String,
  `app_properties.app_id` String,
  `app_properties.currency_code` LowCardinality(String),
  `app_properties.app_version` LowCardinality(String),
  `app_properties.tapcart_build` String,
  `app_properties.external_build` String,
  `app_properties.os_version` String,
  `app_properties.tapcart_commit_hash` String,
  `app_properties.environment` LowCardinality(String),
  `extra` String,
  `_log` Int32,
  `_partition` Int32,
  `_offset` Int64,
  `_appended_at` DateTime64(3, 'UTC'),
  `_loaded_at` DateTime64(3, 'UTC')
)
ENGINE = Distributed('prod', tapcart_raw, events_local)
;
CREATE OR REPLACE VIEW tapcart.events ON CLUSTER 'prod' (
  `event_type` LowCardinality(String) COMMENT 'The event\'s type, as sent.',
  `event_id` String COMMENT 'The event\'s unique id: opaque text, not always a UUID. A retried event comes with the same id.',
  `app_id` LowCardinality(String) COMMENT 'The merchant\'s app.',
  `device_id` String COMMENT 'The device.',
  `timestamp` DateTime64(3, 'UTC') COMMENT 'When the event happened, by the device\'s clock; milliseconds since 1970-01-01T00:00:00Z.',
  `received_at` DateTime64(3, 'UTC') COMMENT 'Added on receipt: when the event arrived, milliseconds since 1970-01-01T00:00:00Z.',
  `session_id` String COMMENT 'The session; many events share one.',
  `timestamp_iso` String COMMENT 'When the event happened, in ISO 8601 with the offset to UTC. Tapcart\'s own example contradicts its timestamp by 337 days.',
  `metadata.schema_id` LowCardinality(String) COMMENT 'The schema as the sender names it, Event_<event type>_<major>_<minor>_<patch>, also one that is not known here.',
  `device_properties.ip` String COMMENT 'Not described by Tapcart; by name and example: the shopper\'s IP address. Personal data.',
  `device_properties.os` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: the operating system. Seen: iOS; other values may come.',
  `device_properties.model` String COMMENT 'Not described by Tapcart; by name and example: the device\'s model.',
  `device_properties.orientation` String COMMENT 'Not described by Tapcart; by name and example: how the screen is held. Seen: portrait; other values may come.',
  `device_properties.carrier` String COMMENT 'Not described by Tapcart; by name and example: the mobile network\'s name; empty in the example.',
  `device_properties.radio` String COMMENT 'Not described by Tapcart; by name and example: the kind of connection. Seen: Wifi; other values may come.',
  `device_properties.manufacturer` String COMMENT 'Not described by Tapcart; by name and example: the device\'s maker. Seen: Apple; other values may come.',
  `device_properties.lib_version` String COMMENT 'Not described by Tapcart; by name and example: version of the analytics library.',
  `device_properties.country` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: two-letter country code.',
  `device_properties.locale` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: language of the device. Seen: en; other values may come.',
  `device_properties.wifi` Nullable(Bool) COMMENT 'Not described by Tapcart; by name and example: whether the device is on Wi-Fi.',
  `device_properties.app_version` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: version of the app; null in the example, where app_properties.app_version is filled.',
  `device_properties.tapcart_build` String COMMENT 'Not described by Tapcart; by name and example: version of Tapcart\'s code; null in the example, where app_properties.tapcart_build is filled.',
  `device_properties.external_build` String COMMENT 'Not described by Tapcart; by name and example: build number shown to the outside; null in the example, where app_properties.external_build is filled.',
  `device_properties.os_version` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: version of the operating system: several numbers with dots, so no number itself.',
  `device_properties.tapcart_commit_hash` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: commit of Tapcart\'s code.',
  `device_properties.consumer_type` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: whether this person has used the app before. Seen: Returning; other values may come.',
  `device_properties.device_id` String COMMENT 'Not described by Tapcart; by name and example: repeats the top-level device_id.',
  `device_properties.prev_push_enabled` Nullable(Bool) COMMENT 'Not described by Tapcart; by name and example: whether push notifications were allowed before.',
  `device_properties.push_enabled` Nullable(Bool) COMMENT 'Not described by Tapcart; by name and example: whether push notifications are allowed.',
  `shopify_properties.shopify_user_id` String COMMENT 'Not described by Tapcart; by name and example: Shopify\'s customer id; null while logged out. Digits as text.',
  `shopify_properties.logged_in` Nullable(Bool) COMMENT 'Not described by Tapcart; by name and example: whether the shopper is logged in.',
  `session_properties.session_id` String COMMENT 'Repeats the top-level session_id.',
  `session_properties.source` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: where the session came from. Seen: direct; other values may come.',
  `session_properties.session_type` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: whether this is the person\'s first session. Seen: Returning; other values may come.',
  `session_properties.session_start_time` Nullable(DateTime64(3, 'UTC')) COMMENT 'Not described by Tapcart; by name and example: when the session began, milliseconds since 1970-01-01T00:00:00Z. One of the few numbers that are sent as JSON numbers.',
  `session_properties.notification_id` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: the push notification that led to the session.',
  `session_properties.notification_type` LowCardinality(String) COMMENT 'Not described by Tapcart and only ever shown as null; by its name: the kind of that notification.',
  `session_properties.utm_source` LowCardinality(String) COMMENT 'Not described by Tapcart and only ever shown as null; by its name: UTM parameter: the site or system that sent the shopper.',
  `session_properties.utm_medium` LowCardinality(String) COMMENT 'Not described by Tapcart and only ever shown as null; by its name: UTM parameter: the kind of channel.',
  `session_properties.utm_campaign` LowCardinality(String) COMMENT 'Not described by Tapcart and only ever shown as null; by its name: UTM parameter: the campaign.',
  `session_properties.utm_content` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: UTM parameter: the variant of the advertisement.',
  `session_properties.utm_term` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: UTM parameter: the search term that was paid for.',
  `app_properties.app_id` String COMMENT 'Not described by Tapcart; by name and example: repeats the top-level app_id.',
  `app_properties.currency_code` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: the shop\'s currency (ISO 4217).',
  `app_properties.app_version` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: version of the app.',
  `app_properties.tapcart_build` String COMMENT 'Not described by Tapcart; by name and example: version of Tapcart\'s code.',
  `app_properties.external_build` String COMMENT 'Not described by Tapcart; by name and example: build number shown to the outside.',
  `app_properties.os_version` String COMMENT 'Not described by Tapcart; by name and example: repeats device_properties.os_version.',
  `app_properties.tapcart_commit_hash` String COMMENT 'Not described by Tapcart and only ever shown as null; by its name: commit of Tapcart\'s code.',
  `app_properties.environment` LowCardinality(String) COMMENT 'Not described by Tapcart; by name and example: debug for builds under development: filter these out of figures. Seen: debug; other values may come.',
  `extra` String COMMENT 'Added on receipt: what was sent and has no place in the other fields. JSON text: an object of the values, verbatim, by path (names joined by dots; within a name % is %25 and . is %2E).'
) AS
SELECT `event_type`, `event_id`, `app_id`, `device_id`, `timestamp`, `received_at`, `session_id`, `timestamp_iso`, `metadata.schema_id`, `device_properties.ip`, `device_properties.os`, `device_properties.model`, `device_properties.orientation`, `device_properties.carrier`, `device_properties.radio`, `device_properties.manufacturer`, `device_properties.lib_version`, `device_properties.country`, `device_properties.locale`, `device_properties.wifi`, `device_properties.app_version`, `device_properties.tapcart_build`, `device_properties.external_build`, `device_properties.os_version`, `device_properties.tapcart_commit_hash`, `device_properties.consumer_type`, `device_properties.device_id`, `device_properties.prev_push_enabled`, `device_properties.push_enabled`, `shopify_properties.shopify_user_id`, `shopify_properties.logged_in`, `session_properties.session_id`, `session_properties.source`, `session_properties.session_type`, `session_properties.session_start_time`, `session_properties.notification_id`, `session_properties.notification_type`, `session_properties.utm_source`, `session_properties.utm_medium`, `session_properties.utm_campaign`, `session_properties.utm_content`, `session_properties.utm_term`, `app_properties.app_id`, `app_properties.currency_code`, `app_properties.app_version`, `app_properties.tapcart_build`, `app_properties.external_build`, `app_properties.os_version`, `app_properties.tapcart_commit_hash`, `app_properties.environment`, `extra`
FROM tapcart_raw.events FINAL SETTINGS do_not_merge_across_partitions_select_final = 1
;
DROP TABLE IF EXISTS tapcart_raw.visits_of_product_viewed ON CLUSTER 'prod' SYNC
;
DROP TABLE IF EXISTS tapcart_raw.visits ON CLUSTER 'prod' SYNC
;
DROP TABLE IF EXISTS tapcart_raw.visits_local ON CLUSTER 'prod' SYNC
;
CREATE TABLE IF NOT EXISTS tapcart_raw.visits_local ON CLUSTER 'prod' (
  app_id LowCardinality(String),
  day Date,
  device_id String,
  session_id String,
  environment LowCardinality(String),
  source LowCardinality(String),
  utm_source LowCardinality(String),
  utm_medium LowCardinality(String),
  utm_campaign LowCardinality(String),
  notification_id LowCardinality(String),
  started_at SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
  ended_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
  events SimpleAggregateFunction(groupUniqArrayArray, Array(UInt64)),
  opened_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
  viewed_at SimpleAggregateFunction(groupUniqArrayArray, Array(DateTime64(3, 'UTC'))),
  added_at SimpleAggregateFunction(groupUniqArrayArray, Array(DateTime64(3, 'UTC'))),
  checkout_at SimpleAggregateFunction(groupUniqArrayArray, Array(DateTime64(3, 'UTC'))),
  ordered_at SimpleAggregateFunction(max, Nullable(DateTime64(3, 'UTC')))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/tapcart_raw/visits_local/e8ca004f4e18', '{replica}')
PARTITION BY toYYYYMM(day)
PRIMARY KEY (app_id, day)
ORDER BY (app_id, day, device_id, session_id, environment, source, utm_source, utm_medium, utm_campaign, notification_id)
TTL day + INTERVAL 400 DAY
SETTINGS merge_selector_base = 12, auto_statistics_types = ''
COMMENT 'filling by definition e8ca004f4e18'
;
CREATE TABLE IF NOT EXISTS tapcart_raw.visits ON CLUSTER 'prod' AS tapcart_raw.visits_local ENGINE = Distributed('prod', tapcart_raw, visits_local, cityHash64(app_id, device_id)) COMMENT 'filling by definition e8ca004f4e18'
;
CREATE MATERIALIZED VIEW IF NOT EXISTS tapcart_raw.visits_of_product_viewed ON CLUSTER 'prod' TO tapcart_raw.visits_local AS
SELECT
  app_id AS app_id,
  toDate(timestamp, 'UTC') AS day,
  device_id AS device_id,
  session_id AS session_id,
  `app_properties.environment` AS environment,
  `session_properties.source` AS source,
  `session_properties.utm_source` AS utm_source,
  `session_properties.utm_medium` AS utm_medium,
  `session_properties.utm_campaign` AS utm_campaign,
  `session_properties.notification_id` AS notification_id,
  min(timestamp) AS started_at,
  max(timestamp) AS ended_at,
  groupUniqArray(cityHash64(event_type, event_id)) AS events,
  groupUniqArray(timestamp) AS viewed_at
FROM tapcart_raw.product_viewed_local
WHERE device_id != '' OR session_id != ''
GROUP BY app_id, day, device_id, session_id, environment, source, utm_source, utm_medium, utm_campaign, notification_id
;
CREATE MATERIALIZED VIEW IF NOT EXISTS tapcart_raw.visits_of_unmodelled ON CLUSTER 'prod' TO tapcart_raw.visits_local AS
SELECT
  app_id AS app_id,
  toDate(timestamp, 'UTC') AS day,
  device_id AS device_id,
  session_id AS session_id,
  `app_properties.environment` AS environment,
  `session_properties.source` AS source,
  `session_properties.utm_source` AS utm_source,
  `session_properties.utm_medium` AS utm_medium,
  `session_properties.utm_campaign` AS utm_campaign,
  `session_properties.notification_id` AS notification_id,
  min(timestamp) AS started_at,
  max(timestamp) AS ended_at,
  groupUniqArray(cityHash64(event_type, event_id)) AS events,
  minOrNullIf(timestamp, event_type IN ('AppOpened')) AS opened_at,
  groupUniqArrayIf(timestamp, event_type IN ('ProductViewed')) AS viewed_at,
  groupUniqArrayIf(timestamp, event_type IN ('AddedToCart')) AS added_at,
  groupUniqArrayIf(timestamp, event_type IN ('CheckoutCreated')) AS checkout_at,
  maxOrNullIf(timestamp, event_type IN ('OrderCreated', 'PurchaseCompleted')) AS ordered_at
FROM tapcart_raw.unmodelled_local
WHERE device_id != '' OR session_id != ''
GROUP BY app_id, day, device_id, session_id, environment, source, utm_source, utm_medium, utm_campaign, notification_id
;
INSERT INTO tapcart_raw.product_viewed_inserts (`event_type`, `event_id`, `app_id`, `device_id`, `timestamp`, `received_at`, `session_id`, `timestamp_iso`, `metadata.schema_id`, `device_properties.ip`, `device_properties.os`, `device_properties.model`, `device_properties.orientation`, `device_properties.carrier`, `device_properties.radio`, `device_properties.manufacturer`, `device_properties.lib_version`, `device_properties.country`, `device_properties.locale`, `device_properties.wifi`, `device_properties.app_version`, `device_properties.tapcart_build`, `device_properties.external_build`, `device_properties.os_version`, `device_properties.tapcart_commit_hash`, `device_properties.consumer_type`, `device_properties.device_id`, `device_properties.prev_push_enabled`, `device_properties.push_enabled`, `shopify_properties.shopify_user_id`, `shopify_properties.logged_in`, `session_properties.session_id`, `session_properties.source`, `session_properties.session_type`, `session_properties.session_start_time`, `session_properties.notification_id`, `session_properties.notification_type`, `session_properties.utm_source`, `session_properties.utm_medium`, `session_properties.utm_campaign`, `session_properties.utm_content`, `session_properties.utm_term`, `app_properties.app_id`, `app_properties.currency_code`, `app_properties.app_version`, `app_properties.tapcart_build`, `app_properties.external_build`, `app_properties.os_version`, `app_properties.tapcart_commit_hash`, `app_properties.environment`, `event_properties.source`, `event_properties.event_id`, `event_properties.collection_id`, `event_properties.product_id`, `event_properties.product_title`, `event_properties.product_type`, `event_properties.product_price`, `event_properties.product_view_source`, `event_properties.collection_title`, `event_properties.multi_currency_code`, `event_properties.product_tags_list`, `event_properties.product_badge_titles_list`, `event_properties.product_badge_ids_list`, `event_properties.product_badge_positioning_list`, `event_properties.custom_block_id`, `event_properties.custom_block_source_url`, `extra`, `_log`, `_partition`, `_offset`, `_appended_at`) SELECT * FROM input('`event_type` LowCardinality(String), `event_id` String, `app_id` LowCardinality(String), `device_id` String, `timestamp` DateTime64(3, \'UTC\'), `received_at` DateTime64(3, \'UTC\'), `session_id` String, `timestamp_iso` String, `metadata.schema_id` LowCardinality(String), `device_properties.ip` String, `device_properties.os` LowCardinality(String), `device_properties.model` String, `device_properties.orientation` String, `device_properties.carrier` String, `device_properties.radio` String, `device_properties.manufacturer` String, `device_properties.lib_version` String, `device_properties.country` LowCardinality(String), `device_properties.locale` LowCardinality(String), `device_properties.wifi` Nullable(Bool), `device_properties.app_version` LowCardinality(String), `device_properties.tapcart_build` String, `device_properties.external_build` String, `device_properties.os_version` LowCardinality(String), `device_properties.tapcart_commit_hash` String, `device_properties.consumer_type` LowCardinality(String), `device_properties.device_id` String, `device_properties.prev_push_enabled` Nullable(Bool), `device_properties.push_enabled` Nullable(Bool), `shopify_properties.shopify_user_id` String, `shopify_properties.logged_in` Nullable(Bool), `session_properties.session_id` String, `session_properties.source` LowCardinality(String), `session_properties.session_type` LowCardinality(String), `session_properties.session_start_time` Nullable(DateTime64(3, \'UTC\')), `session_properties.notification_id` String, `session_properties.notification_type` LowCardinality(String), `session_properties.utm_source` LowCardinality(String), `session_properties.utm_medium` LowCardinality(String), `session_properties.utm_campaign` LowCardinality(String), `session_properties.utm_content` String, `session_properties.utm_term` String, `app_properties.app_id` String, `app_properties.currency_code` LowCardinality(String), `app_properties.app_version` LowCardinality(String), `app_properties.tapcart_build` String, `app_properties.external_build` String, `app_properties.os_version` String, `app_properties.tapcart_commit_hash` String, `app_properties.environment` LowCardinality(String), `event_properties.source` LowCardinality(String), `event_properties.event_id` String, `event_properties.collection_id` String, `event_properties.product_id` String, `event_properties.product_title` String, `event_properties.product_type` String, `event_properties.product_price` String, `event_properties.product_view_source` LowCardinality(String), `event_properties.collection_title` String, `event_properties.multi_currency_code` LowCardinality(String), `event_properties.product_tags_list` Array(String), `event_properties.product_badge_titles_list` Array(String), `event_properties.product_badge_ids_list` Array(String), `event_properties.product_badge_positioning_list` Array(String), `event_properties.custom_block_id` String, `event_properties.custom_block_source_url` String, `extra` String, `_log` Int32, `_partition` Int32, `_offset` Int64, `_appended_at` DateTime64(3, \'UTC\')') FORMAT Avro
;
INSERT INTO tapcart_raw.product_viewed_inserts (`event_type`, `event_id`, `app_id`, `device_id`, `timestamp`, `received_at`, `session_id`, `timestamp_iso`, `metadata.schema_id`, `device_properties.ip`, `device_properties.os`, `device_properties.model`, `device_properties.orientation`, `device_properties.carrier`, `device_properties.radio`, `device_properties.manufacturer`, `device_properties.lib_version`, `device_properties.country`, `device_properties.locale`, `device_properties.wifi`, `device_properties.app_version`, `device_properties.tapcart_build`, `device_properties.external_build`, `device_properties.os_version`, `device_properties.tapcart_commit_hash`, `device_properties.consumer_type`, `device_properties.device_id`, `device_properties.prev_push_enabled`, `device_properties.push_enabled`, `shopify_properties.shopify_user_id`, `shopify_properties.logged_in`, `session_properties.session_id`, `session_properties.source`, `session_properties.session_type`, `session_properties.session_start_time`, `session_properties.notification_id`, `session_properties.notification_type`, `session_properties.utm_source`, `session_properties.utm_medium`, `session_properties.utm_campaign`, `session_properties.utm_content`, `session_properties.utm_term`, `app_properties.app_id`, `app_properties.currency_code`, `app_properties.app_version`, `app_properties.tapcart_build`, `app_properties.external_build`, `app_properties.os_version`, `app_properties.tapcart_commit_hash`, `app_properties.environment`, `event_properties.source`, `event_properties.event_id`, `event_properties.collection_id`, `event_properties.product_id`, `event_properties.product_title`, `event_properties.product_type`, `event_properties.product_price`, `event_properties.product_view_source`, `event_properties.collection_title`, `event_properties.multi_currency_code`, `event_properties.product_tags_list`, `event_properties.product_badge_titles_list`, `event_properties.product_badge_ids_list`, `event_properties.product_badge_positioning_list`, `event_properties.custom_block_id`, `event_properties.custom_block_source_url`, `extra`, `_log`, `_partition`, `_offset`, `_appended_at`, `_loaded_at`) SELECT * FROM input('`event_type` LowCardinality(String), `event_id` String, `app_id` LowCardinality(String), `device_id` String, `timestamp` DateTime64(3, \'UTC\'), `received_at` DateTime64(3, \'UTC\'), `session_id` String, `timestamp_iso` String, `metadata.schema_id` LowCardinality(String), `device_properties.ip` String, `device_properties.os` LowCardinality(String), `device_properties.model` String, `device_properties.orientation` String, `device_properties.carrier` String, `device_properties.radio` String, `device_properties.manufacturer` String, `device_properties.lib_version` String, `device_properties.country` LowCardinality(String), `device_properties.locale` LowCardinality(String), `device_properties.wifi` Nullable(Bool), `device_properties.app_version` LowCardinality(String), `device_properties.tapcart_build` String, `device_properties.external_build` String, `device_properties.os_version` LowCardinality(String), `device_properties.tapcart_commit_hash` String, `device_properties.consumer_type` LowCardinality(String), `device_properties.device_id` String, `device_properties.prev_push_enabled` Nullable(Bool), `device_properties.push_enabled` Nullable(Bool), `shopify_properties.shopify_user_id` String, `shopify_properties.logged_in` Nullable(Bool), `session_properties.session_id` String, `session_properties.source` LowCardinality(String), `session_properties.session_type` LowCardinality(String), `session_properties.session_start_time` Nullable(DateTime64(3, \'UTC\')), `session_properties.notification_id` String, `session_properties.notification_type` LowCardinality(String), `session_properties.utm_source` LowCardinality(String), `session_properties.utm_medium` LowCardinality(String), `session_properties.utm_campaign` LowCardinality(String), `session_properties.utm_content` String, `session_properties.utm_term` String, `app_properties.app_id` String, `app_properties.currency_code` LowCardinality(String), `app_properties.app_version` LowCardinality(String), `app_properties.tapcart_build` String, `app_properties.external_build` String, `app_properties.os_version` String, `app_properties.tapcart_commit_hash` String, `app_properties.environment` LowCardinality(String), `event_properties.source` LowCardinality(String), `event_properties.event_id` String, `event_properties.collection_id` String, `event_properties.product_id` String, `event_properties.product_title` String, `event_properties.product_type` String, `event_properties.product_price` String, `event_properties.product_view_source` LowCardinality(String), `event_properties.collection_title` String, `event_properties.multi_currency_code` LowCardinality(String), `event_properties.product_tags_list` Array(String), `event_properties.product_badge_titles_list` Array(String), `event_properties.product_badge_ids_list` Array(String), `event_properties.product_badge_positioning_list` Array(String), `event_properties.custom_block_id` String, `event_properties.custom_block_source_url` String, `extra` String, `_log` Int32, `_partition` Int32, `_offset` Int64, `_appended_at` DateTime64(3, \'UTC\'), `_loaded_at` DateTime64(3, \'UTC\')') FORMAT Native
;
INSERT INTO tapcart_raw.unmodelled (`event_type`, `event_id`, `app_id`, `device_id`, `timestamp`, `received_at`, `session_id`, `timestamp_iso`, `metadata.schema_id`, `device_properties.ip`, `device_properties.os`, `device_properties.model`, `device_properties.orientation`, `device_properties.carrier`, `device_properties.radio`, `device_properties.manufacturer`, `device_properties.lib_version`, `device_properties.country`, `device_properties.locale`, `device_properties.wifi`, `device_properties.app_version`, `device_properties.tapcart_build`, `device_properties.external_build`, `device_properties.os_version`, `device_properties.tapcart_commit_hash`, `device_properties.consumer_type`, `device_properties.device_id`, `device_properties.prev_push_enabled`, `device_properties.push_enabled`, `shopify_properties.shopify_user_id`, `shopify_properties.logged_in`, `session_properties.session_id`, `session_properties.source`, `session_properties.session_type`, `session_properties.session_start_time`, `session_properties.notification_id`, `session_properties.notification_type`, `session_properties.utm_source`, `session_properties.utm_medium`, `session_properties.utm_campaign`, `session_properties.utm_content`, `session_properties.utm_term`, `app_properties.app_id`, `app_properties.currency_code`, `app_properties.app_version`, `app_properties.tapcart_build`, `app_properties.external_build`, `app_properties.os_version`, `app_properties.tapcart_commit_hash`, `app_properties.environment`, `raw`, `extra`, `_log`, `_partition`, `_offset`, `_appended_at`) FORMAT Avro
;
INSERT INTO tapcart_raw.unmodelled (`event_type`, `event_id`, `app_id`, `device_id`, `timestamp`, `received_at`, `session_id`, `timestamp_iso`, `metadata.schema_id`, `device_properties.ip`, `device_properties.os`, `device_properties.model`, `device_properties.orientation`, `device_properties.carrier`, `device_properties.radio`, `device_properties.manufacturer`, `device_properties.lib_version`, `device_properties.country`, `device_properties.locale`, `device_properties.wifi`, `device_properties.app_version`, `device_properties.tapcart_build`, `device_properties.external_build`, `device_properties.os_version`, `device_properties.tapcart_commit_hash`, `device_properties.consumer_type`, `device_properties.device_id`, `device_properties.prev_push_enabled`, `device_properties.push_enabled`, `shopify_properties.shopify_user_id`, `shopify_properties.logged_in`, `session_properties.session_id`, `session_properties.source`, `session_properties.session_type`, `session_properties.session_start_time`, `session_properties.notification_id`, `session_properties.notification_type`, `session_properties.utm_source`, `session_properties.utm_medium`, `session_properties.utm_campaign`, `session_properties.utm_content`, `session_properties.utm_term`, `app_properties.app_id`, `app_properties.currency_code`, `app_properties.app_version`, `app_properties.tapcart_build`, `app_properties.external_build`, `app_properties.os_version`, `app_properties.tapcart_commit_hash`, `app_properties.environment`, `raw`, `extra`, `_log`, `_partition`, `_offset`, `_appended_at`, `_loaded_at`) FORMAT Native
;
INSERT INTO tapcart_raw.quarantine (`received_at`, `app_id`, `event_id`, `reason`, `detail`, `pointer`, `source`, `record`, `body`, `allowed_app_ids`, `content_encoding`, `traceparent`, `_log`, `_partition`, `_offset`, `_appended_at`) FORMAT Avro
;
INSERT INTO tapcart_raw.quarantine (`received_at`, `app_id`, `event_id`, `reason`, `detail`, `pointer`, `source`, `record`, `body`, `allowed_app_ids`, `content_encoding`, `traceparent`, `_log`, `_partition`, `_offset`, `_appended_at`, `_loaded_at`) FORMAT Native
;
INSERT INTO tapcart_raw.clickstream (`event`, `event_id`, `app_id`, `device_id`, `session_id`, `received_at`, `data`, `properties`, `mp_metadata`, `extra`, `_log`, `_partition`, `_offset`, `_appended_at`) FORMAT Avro
;
INSERT INTO tapcart_raw.clickstream (`event`, `event_id`, `app_id`, `device_id`, `session_id`, `received_at`, `data`, `properties`, `mp_metadata`, `extra`, `_log`, `_partition`, `_offset`, `_appended_at`, `_loaded_at`) FORMAT Native
;
INSERT INTO tapcart_raw.quarantine_replays (`body_hash`, `replayed_at`) FORMAT Avro
;
INSERT INTO tapcart_raw.quarantine_replays (`body_hash`, `replayed_at`) FORMAT Native
;
INSERT INTO tapcart_raw.audit_trail (`audit_id`, `at`, `action`, `state`, `actor`, `count`, `detail`) FORMAT Avro
;
INSERT INTO tapcart_raw.audit_trail (`audit_id`, `at`, `action`, `state`, `actor`, `count`, `detail`, `_loaded_at`) FORMAT Native
;
SELECT DISTINCT toYYYYMMDD(timestamp) AS day FROM tapcart_raw.events ORDER BY day
;
INSERT INTO tapcart_raw.visits (app_id, day, device_id, session_id, environment, source, utm_source, utm_medium, utm_campaign, notification_id, started_at, ended_at, events, opened_at, viewed_at, added_at, checkout_at, ordered_at)
SELECT
  app_id AS app_id,
  toDate(timestamp, 'UTC') AS day,
  device_id AS device_id,
  session_id AS session_id,
  `app_properties.environment` AS environment,
  `session_properties.source` AS source,
  `session_properties.utm_source` AS utm_source,
  `session_properties.utm_medium` AS utm_medium,
  `session_properties.utm_campaign` AS utm_campaign,
  `session_properties.notification_id` AS notification_id,
  min(timestamp) AS started_at,
  max(timestamp) AS ended_at,
  groupUniqArray(cityHash64(event_type, event_id)) AS events,
  minOrNullIf(timestamp, event_type IN ('AppOpened')) AS opened_at,
  groupUniqArrayIf(timestamp, event_type IN ('ProductViewed')) AS viewed_at,
  groupUniqArrayIf(timestamp, event_type IN ('AddedToCart')) AS added_at,
  groupUniqArrayIf(timestamp, event_type IN ('CheckoutCreated')) AS checkout_at,
  maxOrNullIf(timestamp, event_type IN ('OrderCreated', 'PurchaseCompleted')) AS ordered_at
FROM tapcart_raw.events
WHERE (device_id != '' OR session_id != '') AND toYYYYMMDD(timestamp) = 20260131
GROUP BY app_id, day, device_id, session_id, environment, source, utm_source, utm_medium, utm_campaign, notification_id
;
ALTER TABLE tapcart_raw.visits ON CLUSTER 'prod' MODIFY COMMENT 'filled by definition e8ca004f4e18'
;
CREATE OR REPLACE VIEW tapcart.active_devices_daily ON CLUSTER 'prod' AS
WITH
    devices AS (
        SELECT
            app_id, device_id, arraySort(groupUniqArray(toInt32(visits.day))) AS days,
            arrayPushBack(arrayPopFront(days), toInt32(1000000)) AS nexts
        FROM tapcart_raw.visits AS visits
        WHERE device_id != '' AND 1
        GROUP BY app_id, device_id
    ),
    -- A device counts from a day on until 7 (30) days later, or until it returns and counts again.
    changes AS (
        SELECT app_id, change.1 AS day, sum(change.2) AS dau, sum(change.3) AS wau, sum(change.4) AS mau, sum(change.5) AS new
        FROM (
            SELECT app_id, arrayJoin(arrayConcat(
                arrayMap((day, i) -> (day, 1, 1, 1, toInt32(i = 1)), days, arrayEnumerate(days)),
                arrayMap((day, next) -> (least(day + 7, next), 0, -1, 0, 0), days, nexts),
                arrayMap((day, next) -> (least(day + 30, next), 0, 0, -1, 0), days, nexts)
            )) AS change
            FROM devices
        )
        GROUP BY app_id, day
    ),
    calendar AS (
        SELECT app_id, arrayJoin(range(min(changes.day), maxIf(changes.day, dau > 0) + 1)) AS day
        FROM changes
        GROUP BY app_id
    )
SELECT
    toDate(calendar.day) AS day, calendar.app_id AS app_id, toUInt64(changes.dau) AS dau,
    toUInt64(sum(changes.wau) OVER past) AS wau, toUInt64(sum(changes.mau) OVER past) AS mau,
    toUInt64(changes.new) AS new_devices
FROM calendar
LEFT JOIN changes ON calendar.app_id = changes.app_id AND calendar.day = changes.day
WINDOW past AS (PARTITION BY calendar.app_id ORDER BY calendar.day ASC)
COMMENT '`dau`: devices with an event of any type on the day. `wau`, `mau`: on the day or the 6, 29 days before. `new_devices`: devices whose first event ever is of that day. One row for every day from an app\'s first event to its last, including days without events.'
;
CREATE OR REPLACE VIEW tapcart.retention_weekly ON CLUSTER 'prod' AS
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
        WHERE device_id != '' AND 1
        GROUP BY app_id, device_id
    )
    GROUP BY app_id, cohort_week, week
)
COMMENT 'Cohorts: the devices of an app by the week (from Monday) of their first event ever. `devices` of them had an event of any type in `week`, which is `weeks_after` after the cohort\'s week. `retained` is their share of `cohort_devices`. Weeks without any are omitted.'
;
CREATE OR REPLACE VIEW tapcart.funnel_daily_by_source ON CLUSTER 'prod' AS
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
    WHERE device_id != '' AND 1
    GROUP BY app_id, day, device_id
    HAVING opened < never
    SETTINGS max_bytes_before_external_group_by = 536870912
) AS steps
GROUP BY day, app_id, source
COMMENT '`funnel_daily`, divided by `source`: that of the device\'s first AppOpened of the day. Adds up to `funnel_daily`.'
;
CREATE OR REPLACE VIEW tapcart.funnel_daily ON CLUSTER 'prod' AS
SELECT
    day, app_id,
    sum(funnel.opened) AS opened, sum(funnel.viewed) AS viewed, sum(funnel.added) AS added,
    sum(funnel.checkout) AS checkout, sum(funnel.ordered) AS ordered
FROM tapcart.funnel_daily_by_source AS funnel
GROUP BY day, app_id
COMMENT 'Devices that reached each step within the day, each step at or after the step before: AppOpened, then ProductViewed, then AddedToCart, then CheckoutCreated, then OrderCreated or PurchaseCompleted. A device that was in the background and sent no AppOpened that day is not included.'
;
DELETE FROM tapcart_raw.`unmodelled_local` ON CLUSTER 'prod' IN PARTITION ID '20260131' WHERE event_type = 'Wished' SETTINGS lightweight_deletes_sync = 0, allow_nondeterministic_mutations = 1
;
ALTER TABLE tapcart_raw.`product_viewed_local` ON CLUSTER 'prod' DELETE WHERE sipHash64(device_id) IN (1, 2) SETTINGS mutations_sync = 0
;
SELECT toUInt64(countIf(NOT is_done) + sumIf(parts_to_do, NOT is_done) + (SELECT uniqExact(hostName()) FROM clusterAllReplicas('prod', system.one)) * length({tables:Array(String)}) - uniqExactIf((hostName(), table), arrayExists(mark -> position(command, mark) > 0, {marks:Array(String)}))), maxIf(latest_fail_reason, NOT is_done) FROM clusterAllReplicas('prod', system.mutations) WHERE database = 'tapcart_raw' AND table IN {tables:Array(String)}
;
SYSTEM SYNC REPLICA ON CLUSTER 'prod' tapcart_raw.`product_viewed_local` LIGHTWEIGHT
;
SELECT name, sum(total_rows), sum(total_bytes), any(extract(engine_full, ' TTL (.+?) SETTINGS ')) AS ttl,
    toUInt32OrZero(extract(ttl, '^[\\w()]+ \\+ toIntervalDay\\(([0-9]+)\\)$')) AS days
FROM cluster('prod', system.tables) WHERE database = {database:String} AND engine LIKE '%MergeTree'
GROUP BY name ORDER BY name
;
