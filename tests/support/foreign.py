"""Records that only other producers write: a header name that is not UTF-8, by librdkafka itself."""

import ctypes
from pathlib import Path

import confluent_kafka

from runtime.kafka import topics
from tests.support.warehouse import NOW_MS

_LIBRARY = next((Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs").glob("librdkafka*"))
_PRODUCER = 0
_TOPIC, _KEY, _VALUE, _FLAGS, _TIMESTAMP, _HEADERS, _END = 1, 5, 4, 7, 8, 10, 0
_COPY = 2


def put_with_header(kafka: str, topic: str, name: bytes, key: bytes, value: bytes) -> None:
    """Write a record with one header that confluent_kafka's producer would reject."""
    library = ctypes.CDLL(str(_LIBRARY))
    for function in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_headers_new"):
        getattr(library, function).restype = ctypes.c_void_p
    error = ctypes.create_string_buffer(512)
    conf = ctypes.c_void_p(library.rd_kafka_conf_new())
    for setting, text in (("bootstrap.servers", kafka), ("partitioner", topics.PARTITIONER)):
        assert library.rd_kafka_conf_set(conf, setting.encode(), text.encode(), error, 512) == 0
    producer = ctypes.c_void_p(library.rd_kafka_new(_PRODUCER, conf, error, 512))
    headers = ctypes.c_void_p(library.rd_kafka_headers_new(ctypes.c_size_t(1)))
    library.rd_kafka_header_add(headers, name, ctypes.c_ssize_t(len(name)), b"x", ctypes.c_ssize_t(1))
    given = (
        *(_TOPIC, ctypes.c_char_p(topic.encode())),
        *(_KEY, ctypes.c_char_p(key), ctypes.c_size_t(len(key))),
        *(_VALUE, ctypes.c_char_p(value), ctypes.c_size_t(len(value))),
        *(_FLAGS, _COPY),
        *(_TIMESTAMP, ctypes.c_int64(NOW_MS)),
        *(_HEADERS, headers),
    )
    assert library.rd_kafka_producev(producer, *given, _END) == 0
    assert library.rd_kafka_flush(producer, 20_000) == 0
    library.rd_kafka_destroy(producer)
