"""For a secure pipeline: certificates of a private authority, users and rights in Kafka and ClickHouse."""
