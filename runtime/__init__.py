"""Foundation of every process: settings from the environment, start and stop, HTTP servers, Kafka topics.

Any package may import it; it imports none of ours.
"""
