"""A bare produce: one record, then its delivery report, then the next. Prints the median seconds of one."""

import os
import sys
import time
from statistics import median

from confluent_kafka import Producer

from tests.bench.payloads import payloads
from tests.bench.receivers.futures import PROPERTIES
from tests.bench.receivers.serve import SERVERS, TOPIC


def main() -> None:
    """Produce for that many seconds."""
    producer = Producer(PROPERTIES | {"bootstrap.servers": SERVERS})
    template = payloads()["AppOpened"].templates[0]
    # About as many bytes as Tapline's value of the same event.
    value = (template.before + template.after)[: template.size // 2]
    producer.produce(TOPIC, value, "app")
    producer.flush(10)  # the first one finds the broker
    end = time.perf_counter() + float(os.environ["BENCH_SECONDS"])
    taken = []
    while (began := time.perf_counter()) < end:
        producer.produce(TOPIC, value, "app")
        if producer.flush(10):
            sys.exit("Kafka does not answer")
        taken.append(time.perf_counter() - began)
    sys.stdout.write(f"{median(taken)}\n")


if __name__ == "__main__":
    main()
