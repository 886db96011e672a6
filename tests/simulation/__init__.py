"""ingest's way out in virtual time: its real code, on a fake clock, disk and Kafka that misbehave by a seed.

`python -m tests.simulation --seeds 100000` runs so many; `--seed N` runs one again and prints its script.
"""
