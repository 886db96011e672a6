"""An administrator's login -> Kafka's users (SCRAM-SHA-512), each with the rights that its process needs.

Invariants: the call can be repeated; passwords are in files that only their owner can read, and in no text.
Source: Apache Kafka's documentation of ACLs. Describe follows from Read or Write; an idempotent producer
needs no right of its own since Kafka 3.0.
"""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from ingest.token_file import write_secret
from runtime.command import CommandError
from runtime.kafka import topic_reader, topics
from runtime.kafka.diagnosis import Diagnosis

LOADER_GROUP = "tapline.warehouse"
CONSUMER_GROUPS = "consumer."  # the names of consumers' groups begin like this
_TAIL_GROUP = "tapline.tail"
_ITERATIONS = 8192
_SECONDS_MAX = 15.0
_RANDOM_BYTES = 32


class UsersNotMadeError(CommandError):
    """Kafka did not make users or rights."""


@dataclass(frozen=True, slots=True)
class Right:
    """One operation on a topic, or on the groups of a name or prefix."""

    operation: AclOperation
    resource: ResourceType
    name: str
    pattern: ResourcePatternType = ResourcePatternType.LITERAL


def _on(resource: ResourceType, names: Iterable[str], *operations: AclOperation) -> tuple[Right, ...]:
    return tuple(Right(operation, resource, name) for name in names for operation in operations)


_TOPIC, _GROUP = ResourceType.TOPIC, ResourceType.GROUP
_READ, _WRITE, _CREATE = AclOperation.READ, AclOperation.WRITE, AclOperation.CREATE
_DESCRIBE, _CONFIGS = AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS
_ALTER = AclOperation.ALTER_CONFIGS  # for INGEST_RETENTION_HOURS and INGEST_RETENTION_BYTES
RIGHTS: Mapping[str, tuple[Right, ...]] = {
    # Also the commands schemas and tokens, which leave an audit trail.
    "ingest": (
        *_on(_TOPIC, topics.ALL, _CREATE, _WRITE, _CONFIGS, _ALTER),
        *_on(_TOPIC, [topics.AUDIT], _CREATE, _WRITE),
    ),
    # Also reconcile, replay, export and erase.
    "loader": (
        *_on(_TOPIC, topics.ALL, _READ, _CONFIGS),
        *_on(_TOPIC, [topics.QUARANTINE], _WRITE),
        *_on(_TOPIC, [topics.AUDIT], _CREATE, _READ, _WRITE),
        *_on(_TOPIC, [topics.ERASURES], _CREATE, _READ, _WRITE, _CONFIGS),
        *_on(_GROUP, [LOADER_GROUP], _READ),
    ),
    "live": (*_on(_TOPIC, [*topics.ALL, topics.ERASURES], _READ), *_on(_GROUP, [LOADER_GROUP], _DESCRIBE)),
    # Consumers of the kit, tail, and programs of your own.
    "consumer": (
        *_on(_TOPIC, [topics.EVENTS, topics.ERASURES], _READ),
        *_on(_TOPIC, [topics.QUARANTINE], _WRITE),
        *_on(_GROUP, [_TAIL_GROUP], _DESCRIBE),
        Right(_READ, _GROUP, CONSUMER_GROUPS, ResourcePatternType.PREFIXED),
    ),
}


def make(kafka: Mapping[str, str], folder: Path, users: Iterable[str] = tuple(RIGHTS)) -> None:
    """Make users and rights, with the passwords in `<folder>/<user>.password`. Raises: UsersNotMadeError."""
    diagnosis = Diagnosis(kafka, "Alter on the cluster")
    try:
        with topic_reader.client(kafka) as admin:
            for user in users:
                _make_user(admin, user, password(folder, user))
                _grant(admin, user)
    except KafkaException as error:
        raise UsersNotMadeError(diagnosis.reason(error.args[0])) from error


def password(folder: Path, user: str) -> str:
    """Return a user's password, from its file, which is written if it does not exist.

    It ends without a new line, because Kafka takes the file as it is.
    """
    path = folder / f"{user}.password"
    if not path.exists():
        write_secret(path, secrets.token_urlsafe(_RANDOM_BYTES))
    return path.read_text().strip()


def _make_user(admin: AdminClient, user: str, secret: str) -> None:
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, _ITERATIONS)
    change = UserScramCredentialUpsertion(user, info, secret.encode())
    for made in admin.alter_user_scram_credentials([change], request_timeout=_SECONDS_MAX).values():
        topic_reader.answer(made, _SECONDS_MAX)


def _grant(admin: AdminClient, user: str) -> None:
    bindings = [
        AclBinding(
            right.resource,
            right.name,
            right.pattern,
            f"User:{user}",
            "*",
            right.operation,
            AclPermissionType.ALLOW,
        )
        for right in RIGHTS[user]
    ]
    for made in admin.create_acls(bindings, request_timeout=_SECONDS_MAX).values():
        topic_reader.answer(made, _SECONDS_MAX)
