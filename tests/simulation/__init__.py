"""ingest's delivery in virtual time: its real code, on a fake clock, disk and Kafka that fail as a seed says.

`python -m tests.simulation --seeds 100000` runs that many; `--seed N` repeats one and prints its script.
"""
