"""The bounds of times, in milliseconds since 1970: the one place for all who check them."""

# 2010-01-01: before Tapcart existed; ClickHouse would wrap far dates without an error.
EVENT_MS_MIN = 1_262_304_000_000
# 2100-01-01: ClickHouse counts hours from 1970 to 2106.
EVENT_MS_MAX = 4_102_444_800_000
# How far ahead of ingest's clock an event may be: phones' clocks run ahead, by less than a week.
AHEAD_MS_MAX = 7 * 24 * 3600 * 1000
# The range of DateTime64(3) in every version of ClickHouse: 1900 to 2299. It wraps outside.
SHOWN_MS_MIN, SHOWN_MS_MAX = -2_208_988_800_000, 10_413_791_999_999
