"""Problems of our topics -> log lines, one for each new problem."""

import logging

from runtime.kafka import topics
from runtime.kafka.topic_contract import Cluster, Problem, TopicContract, TopicFinding, problems, readable

_LOG = logging.getLogger(__name__)


class TopicLog:
    """Remembers the problems already logged. Not thread-safe."""

    def __init__(self, contract: TopicContract) -> None:
        self._contract = contract
        self._logged: frozenset[TopicFinding] = frozenset()
        self._was_readable = True

    def take(self, cluster: Cluster) -> tuple[TopicFinding, ...]:
        """Return the current problems, and log new ones."""
        found = problems(cluster, self._contract)
        for finding in found:
            if finding not in self._logged:
                extra = {"topic": finding.topic, "problem": finding.problem, "detail": finding.words}
                _LOG.warning("topic_problem", extra=extra)
        self._logged = frozenset(found)
        is_readable = len(readable(cluster)) == len(topics.ALL) * len(Problem)
        if self._was_readable and not is_readable:
            _LOG.warning("topic_configuration_unreadable", extra={"needs": "DescribeConfigs on the topics"})
        self._was_readable = is_readable
        return found
