"""What every process runs on: settings from the environment, start and stop, HTTP servers, Kafka's topics.

Everything else may import it; it imports nothing of ours.
"""
