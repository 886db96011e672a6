"""Tapline's version: in the package's metadata, in the logs at each start, in metrics and on the live page.

It is set here alone. It follows Semantic Versioning; what it covers is the contract in docs/.
"""

from typing import Final

from prometheus_client import CollectorRegistry, Info

VERSION: Final = "0.1.0"


def publish(registry: CollectorRegistry) -> None:
    """Add `tapline_build_info` to the metrics of a process."""
    Info("tapline_build", "1, with the version as label.", registry=registry).info({"version": VERSION})
