"""A KafkaError and a client's properties -> one sentence: what is wrong, and which setting to change.

librdkafka reports most of these faults as a timeout, so a connection of our own finds the cause.
Invariants: no text holds a secret; a diagnosis is bounded in time (about 6 s), and is repeated every 30 s at
most.
Source: librdkafka's rdkafka.h; Kafka's documentation of ACL operations.
"""

import ssl
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Producer

from runtime import tls
from runtime.kafka import client_log
from runtime.kafka.property_checks import variable

_LOG = client_log.LOG
_AGAIN_SECONDS = 30.0
_CONNECT_SECONDS_MAX = 1.0
_LOGIN_SECONDS_MAX = 3.0
_SERVERS_MAX = 3
_PORT = 9092

_DENIED = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)
_REJECTED = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001 - the public name of librdkafka's own errors
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.ILLEGAL_SASL_STATE,
    }
)
_NO_CONNECTION = _REJECTED | {
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
    KafkaError._RESOLVE,  # noqa: SLF001
    KafkaError._SSL,  # noqa: SLF001
    KafkaError._TIMED_OUT,  # noqa: SLF001
    KafkaError._TRANSPORT,  # noqa: SLF001
}
_ADDRESS = variable("bootstrap.servers")
_PROTOCOL = variable("security.protocol")
_NAMES = tls.SettingNames(
    variable("ssl.ca.location"), _ADDRESS, f"set {_PROTOCOL} without SSL for a port without TLS"
)


def write_rights(*names: str) -> str:
    """Return what a producer of these topics needs."""
    return f"Create, DescribeConfigs and Write on the topics {' and '.join(names)}"


def read_rights(names: Iterable[str], group: str) -> str:
    """Return what a consumer of these topics needs; `group`: its consumer group."""
    return f"Read on the topics {' and '.join(names)}, and Read on the group {group}"


class KafkaProblem(NamedTuple):
    """Why Kafka cannot be used."""

    text: str  # a sentence, which names what to change
    may_pass: bool = False  # whether it may end without the operator


class Diagnosis:
    """Explains the errors of one client. Safe to use from several threads."""

    def __init__(self, kafka: Mapping[str, Any], rights: str) -> None:
        """`rights`: what the client needs, as a sentence's object."""
        self._kafka = kafka
        self._rights = rights
        self._made_at = float("-inf")
        self._found: KafkaProblem | None = None

    def reason(self, error: KafkaError) -> str:
        """Return the sentence for an error, or librdkafka's own words."""
        return self.sentence(error) or error.str()

    def sentence(self, error: KafkaError) -> str:
        """Return the sentence for an error, or ""; after a failed connection, this may connect."""
        found = self.explain(error)
        return found.text if found else ""

    def explain(self, error: KafkaError) -> KafkaProblem | None:
        """Return what is wrong, if that is known; after a failed connection, this may connect."""
        if error.code() not in _NO_CONNECTION:
            denial = self.denial(error)
            return KafkaProblem(denial) if denial else None
        if time.monotonic() - self._made_at > _AGAIN_SECONDS:
            self._made_at = time.monotonic()
            self._found = problem(self._kafka)
        return self._found

    def denial(self, error: KafkaError) -> str:
        """Return the sentence for a missing right, or "" for any other error."""
        if error.code() not in _DENIED:
            return ""
        name = self._kafka.get("sasl.username")
        user = f"the user `{name}`" if name else "this client"
        return (
            f"Kafka denies {user} a right ({error.name()}): grant {self._rights}, "
            f"or use another user in {variable('sasl.username')}; see deploy/security."
        )


def problem(kafka: Mapping[str, Any]) -> KafkaProblem | None:
    """Connect and log in; return the first problem."""
    found = [_of_server(one, kafka) for one in servers(kafka)]
    if all(found):
        return found[0]
    return None if _protocol(kafka) == "PLAINTEXT" else _of_login(kafka)


def servers(kafka: Mapping[str, Any]) -> list[tls.ServerAddress]:
    """Return the first few bootstrap servers."""
    found = []
    for entry in str(kafka["bootstrap.servers"]).split(",")[:_SERVERS_MAX]:
        host, _, port = entry.strip().rpartition("://")[2].rpartition(":")
        is_port = bool(host) and port.isdecimal()
        found.append(
            tls.ServerAddress("Kafka", host.strip("[]") if is_port else port, int(port) if is_port else _PORT)
        )
    return found


def uses_tls(kafka: Mapping[str, Any]) -> bool:
    """Return whether the client speaks TLS."""
    return _protocol(kafka).endswith("SSL")


def _of_server(at: tls.ServerAddress, kafka: Mapping[str, Any]) -> KafkaProblem | None:
    protocol = _protocol(kafka)
    try:
        if uses_tls(kafka):
            tls.expires_at_seconds(at, context(kafka), _CONNECT_SECONDS_MAX)
        elif tls.is_spoken(at, _CONNECT_SECONDS_MAX):
            return KafkaProblem(
                f"{at} expects TLS, and {_PROTOCOL} is {protocol}: set it to SASL_SSL or SSL."
            )
    except ssl.SSLError as error:
        return KafkaProblem(tls.sentence(error, at, _NAMES))
    except OSError as error:
        reason = error.strerror or error
        return KafkaProblem(
            f"{at} cannot be reached ({reason}): start it, or correct {_ADDRESS}.", may_pass=True
        )
    return None


def context(kafka: Mapping[str, Any]) -> ssl.SSLContext:
    """Return a context that trusts as the client does. Raises: OSError."""
    location = kafka.get("ssl.ca.location")
    is_folder = location is not None and Path(location).is_dir()
    made = tls.context(ca_folder=location) if is_folder else tls.context(location)
    if kafka.get("ssl.ca.pem"):
        made.load_verify_locations(cadata=str(kafka["ssl.ca.pem"]))
    if kafka.get("ssl.certificate.location"):
        made.load_cert_chain(
            kafka["ssl.certificate.location"], kafka.get("ssl.key.location"), kafka.get("ssl.key.password")
        )
    if kafka.get("ssl.endpoint.identification.algorithm") == "none":
        made.check_hostname = False
    if str(kafka.get("enable.ssl.certificate.verification", "true")).lower() == "false":
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


def _of_login(kafka: Mapping[str, Any]) -> KafkaProblem | None:
    errors: list[KafkaError] = []
    properties = {**kafka, "log_level": "0", "error_cb": errors.append}
    client = Producer(properties, logger=_LOG)
    deadline = time.monotonic() + _LOGIN_SECONDS_MAX
    while time.monotonic() < deadline and not any(one.code() in _REJECTED for one in errors):
        try:
            client.list_topics(timeout=0.3)
        except KafkaException:
            client.poll(0)
        else:
            return None
    rejected = next((one for one in errors if one.code() in _REJECTED), None)
    if rejected is not None:
        return KafkaProblem(_of_rejection(rejected, kafka))
    protocol = _protocol(kafka)
    if errors and not protocol.startswith("SASL_"):
        text = f"Kafka hangs up, and {_PROTOCOL} is {protocol}: if it expects logins, set SASL_{protocol}."
        return KafkaProblem(text, may_pass=True)
    return KafkaProblem(f"Kafka does not answer: {errors[0].str()}.", may_pass=True) if errors else None


def _of_rejection(error: KafkaError, kafka: Mapping[str, Any]) -> str:
    mechanism = kafka.get("sasl.mechanism") or kafka.get("sasl.mechanisms")
    if "supported mechanisms" in error.str():
        offered = error.str().rpartition(": ")[2].partition(" (")[0]
        return f"Kafka does not offer logins by {mechanism}: set {variable('sasl.mechanism')} to {offered}."
    names = ", ".join(map(variable, ("sasl.username", "sasl.password", "sasl.mechanism")))
    return (
        f"Kafka rejects the login of the user `{kafka.get('sasl.username')}` by {mechanism}: correct {names}."
    )


def _protocol(kafka: Mapping[str, Any]) -> str:
    return str(kafka.get("security.protocol", "PLAINTEXT")).upper()
