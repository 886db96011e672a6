"""A consumer of the kit that prints what it reads: `python -m tests.support.kit_consumer GROUP`."""

from consumers.kit import events, run


def main(group: str) -> None:
    """Print app and id of every event."""
    for event in events(group):
        print(event["app_id"], event["event_id"], flush=True)  # noqa: T201 - that is what it is for


if __name__ == "__main__":
    run(main)
