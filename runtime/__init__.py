"""What every process runs on: settings, start, stop, retries, HTTP servers, Kafka topics, ClickHouse client.

Any package may import it; it imports none of ours.
"""
