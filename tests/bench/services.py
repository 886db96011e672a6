"""The services that a measured program needs, on the core that is not measured."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.bench import cores
from tests.support.stack import Stack


@contextmanager
def running(
    only: str, env: Mapping[str, str] | None = None, on: set[int] | None = None
) -> Iterator[tuple[Stack, Path]]:
    """Yield a stack of its own that runs `only` (`kafka,clickhouse`), and a folder for other files."""
    with tempfile.TemporaryDirectory(prefix="tapline-bench-") as name:
        folder = Path(name)
        stack = Stack(folder / "data", only, env)
        with cores.on(cores.OTHERS if on is None else on):
            stack.start()
        try:
            yield stack, folder
        finally:
            stack.stop()
