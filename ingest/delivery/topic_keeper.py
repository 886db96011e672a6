"""Our topics: creates missing ones, and repeatedly compares all of them with their contract.

Invariants: of an existing topic only the retention is changed, if the operator has set it, once per process;
a failed comparison counts as unknown, neither good nor bad. Source: `runtime.kafka.topic_contract`.
"""

import asyncio
import logging
from collections.abc import Mapping
from math import nan

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from ingest.metrics import Metrics
from runtime.kafka import topic_reader, topics
from runtime.kafka.diagnosis import Diagnosis, write_rights
from runtime.kafka.topic_contract import (
    Cluster,
    Problem,
    TopicContract,
    TopicFinding,
    new_topic_config,
    readable,
    retention_changes,
)
from runtime.kafka.topic_log import TopicLog

_LOG = logging.getLogger(__name__)
_CHECK_SECONDS = 60.0
_RETRY_SECONDS = 5.0
_REQUEST_SECONDS_MAX = 5.0


class TopicsNotReadyError(Exception):
    """Kafka does not respond, or does not create our topics. The same call may succeed later."""


class TopicKeeper:
    """The topics of one cluster. Call every method on the event loop."""

    def __init__(
        self, properties: Mapping[str, str], contract: TopicContract, metrics: Metrics, seconds_max: float
    ) -> None:
        self._properties = properties
        self._contract = contract
        self._metrics = metrics
        self._seconds_max = seconds_max
        self._readable: frozenset[tuple[str, Problem]] = frozenset()
        self._diagnosis = Diagnosis(properties, write_rights(*topics.ALL))
        self.findings: tuple[TopicFinding, ...] | None = None  # None: unknown
        self.kafka_problem = ""  # why Kafka cannot be used; empty: it can, or the reason is unknown
        self._log = TopicLog(contract)
        self._is_retention_set = False
        self._show()

    async def ensure(self) -> None:
        """Create our missing topics. Raises: TopicsNotReadyError."""
        try:
            await asyncio.to_thread(create_missing, self._properties, self._contract, self._seconds_max)
        except KafkaException as error:
            fault = error.args[0]
            raise TopicsNotReadyError(self._diagnosis.denial(fault) or fault.str()) from error

    async def watch(self) -> None:
        """Compare once a minute, or sooner while a topic is missing or unknown, until cancelled.

        A new topic counts as missing until all brokers have heard of it.
        """
        while True:
            await self.check()
            is_known = self.findings is not None and not any(
                f.problem is Problem.MISSING for f in self.findings
            )
            await asyncio.sleep(_CHECK_SECONDS if is_known else _RETRY_SECONDS)

    async def check(self) -> None:
        """Create missing topics, compare all of them, and log and publish the findings."""
        problem = ""
        try:
            await asyncio.to_thread(create_missing, self._properties, self._contract, self._seconds_max)
            cluster = await asyncio.to_thread(_read, self._properties)
            if not self._is_retention_set:
                self._is_retention_set = True
                if await asyncio.to_thread(_set_retention, self._properties, cluster, self._contract):
                    cluster = await asyncio.to_thread(_read, self._properties)
        except KafkaException as error:
            # The publisher reports that Kafka is unavailable.
            problem = await asyncio.to_thread(self._diagnosis.sentence, error.args[0])
            self.findings, self._readable = None, frozenset()
        else:
            self.findings, self._readable = self._log.take(cluster), readable(cluster)
        if problem and problem != self.kafka_problem:
            _LOG.error("kafka_unusable", extra={"problem": problem})
        self.kafka_problem = problem
        self._show()

    def _show(self) -> None:
        found = {(finding.topic, finding.problem) for finding in self.findings or ()}
        for topic in topics.ALL:
            for problem in Problem:
                key = topic, problem
                value = float(key in found) if key in self._readable else nan
                self._metrics.topic_problems.labels(topic, problem).set(value)


def _read(properties: Mapping[str, str]) -> Cluster:
    with topic_reader.client(properties) as admin:
        return topic_reader.read(admin, _REQUEST_SECONDS_MAX)


def _set_retention(properties: Mapping[str, str], cluster: Cluster, contract: TopicContract) -> bool:
    """Give existing topics the operator's retention; return whether any was changed."""
    changes = retention_changes(cluster, contract)
    if not changes:
        return False
    with topic_reader.client(properties) as admin:
        for topic, entries in changes.items():
            changed = [
                ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                for name, value in entries.items()
            ]
            resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=changed)
            altered = admin.incremental_alter_configs([resource], request_timeout=_REQUEST_SECONDS_MAX)
            try:
                topic_reader.answer(altered[resource], _REQUEST_SECONDS_MAX)
            except KafkaException as error:  # a right that we lack: the comparison names the remedy
                extra = {"topic": topic, "error": error.args[0].str()}
                _LOG.warning("topic_retention_not_changed", extra=extra)
            else:
                _LOG.warning("topic_retention_changed", extra={"topic": topic, "entries": entries})
    return True


def create_missing(properties: Mapping[str, str], contract: TopicContract, seconds_max: float) -> None:
    """Create missing topics. Raises: KafkaException."""
    with topic_reader.client(properties) as admin:
        missing = topic_reader.missing(admin, seconds_max)
        if not missing:
            return
        cluster = topic_reader.read(admin, seconds_max)
        replicas = contract.replicas(cluster.brokers, topic_reader.default_replicas(admin, seconds_max))
        new = [
            NewTopic(
                name,
                contract.partitions_of(name),
                replicas,
                config=new_topic_config(name, replicas, contract),
            )
            for name in missing
        ]
        for name, created in admin.create_topics(new, request_timeout=seconds_max).items():
            try:
                topic_reader.answer(created, seconds_max)
                _LOG.info("topic_created", extra={"topic": name})
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
