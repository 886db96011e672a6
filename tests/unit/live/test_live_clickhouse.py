"""What the page makes of answers that are none of ClickHouse's."""

from types import SimpleNamespace
from typing import Any

import pytest

from consumers.live.clickhouse import ClickHouse, Limits
from consumers.live.poller import Away


@pytest.mark.parametrize("rows", [[], [()], [("", "", "")], [(None,) * 8], "html"])
def test_an_answer_of_another_shape_is_no_fault_of_the_page(rows: Any) -> None:
    """A proxy may answer for ClickHouse; it is away then, and the page goes on."""
    looking = ClickHouse("http://127.0.0.1:9", list, Limits(1, 1), lambda _body, _source: "", "UTC")
    answer: Any = SimpleNamespace(query=lambda *_, **__: SimpleNamespace(result_rows=rows))
    looking._client = answer

    with pytest.raises(Away, match="something else than ClickHouse"):
        looking.look(1_795_000_000_000)
