"""What each topic and table holds, and until when: `python -m consumers.retention`.

It reads Kafka's and ClickHouse's own configurations, so a retention that was changed by hand shows too.

Exit status: 0 done, 2 Kafka or ClickHouse failed; all else: see `runtime.command`.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence

from confluent_kafka import KafkaException

from consumers.kit.errors import TransientError
from consumers.warehouse.errors import FAILURES
from consumers.warehouse.privacy.retention import Held, held
from consumers.warehouse.settings import Settings
from runtime import command
from runtime.kafka import topic_reader
from runtime.printable import printable

_SECONDS_MAX = 10.0
_HOUR_MS, _MEBIBYTE = 3_600_000, 1024 * 1024
_FOREVER = "forever"


def main(arguments: Sequence[str]) -> int:
    """Print the retention of topics and tables. Raises: TransientError, SettingsError."""
    argparse.ArgumentParser(
        prog="tapline retention", description="Show what each topic and table holds, and until when."
    ).parse_args(arguments)
    settings = Settings.from_env(os.environ)
    url = settings.clickhouse_url.get_secret_value()
    lines = [*_topics(settings.kafka), "", *_tables(held(url, settings.table_options))]
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


def _topics(kafka: Mapping[str, str]) -> Iterator[str]:
    try:
        with topic_reader.client(kafka) as admin:
            cluster = topic_reader.read(admin, _SECONDS_MAX)
    except KafkaException as error:
        raise TransientError(f"Kafka: {error.args[0].str()}") from None
    yield f"{'topic':<28}records are kept"
    for name, topic in cluster.topics.items():
        yield f"{name:<28}{_kept(topic.config) if topic else 'the topic does not exist yet'}"


def _kept(config: Mapping[str, str] | None) -> str:
    if config is None:
        return "not readable: this user needs the permission DescribeConfigs"
    milliseconds, size = int(config.get("retention.ms", -1)), int(config.get("retention.bytes", -1))
    kept = f"{milliseconds / _HOUR_MS:g} hours" if milliseconds >= 0 else _FOREVER
    return kept if size < 0 else f"{kept}, at most {size / _MEBIBYTE:,.0f} MiB in each partition"


def _tables(found: Iterator[Held]) -> Iterator[str]:
    yield f"{'table':<28}{'rows':>14}{'MiB':>10}  {'oldest row':<12}{'kept':<12}the oldest goes"
    for one in found:
        oldest = f"{one.oldest:%Y-%m-%d}" if one.oldest else ""
        goes = f"{one.goes_at:%Y-%m-%d}" if one.goes_at else ""
        kept = f"{one.days} days" if one.days else printable(one.ttl) or _FOREVER
        size = one.bytes / _MEBIBYTE
        line = f"{printable(one.table):<28}{one.rows:>14,}{size:>10,.1f}  {oldest:<12}{kept:<12}{goes}"
        yield line.rstrip()


if __name__ == "__main__":
    command.main("could not show the retention", main, FAILURES)
