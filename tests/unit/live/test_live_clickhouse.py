"""Answers that are not ClickHouse's."""

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from consumers.live.clickhouse import ClickHouseSource, QueryLimits
from consumers.live.poller import SourceAwayError


@pytest.mark.parametrize("rows", [[], [()], [("", "", "")], [(None,) * 8], "html"])
def test_an_answer_of_another_shape_is_no_fault_of_the_page(rows: Any) -> None:
    """A proxy may answer for ClickHouse; then ClickHouse counts as down, and the page continues."""
    looking = ClickHouseSource(
        "http://127.0.0.1:9", list, QueryLimits(1, 1), lambda _body, _source: "", "UTC"
    )
    answer: Any = SimpleNamespace(query=lambda *_, **__: SimpleNamespace(result_rows=rows))
    looking._client = answer

    with pytest.raises(SourceAwayError, match="does not answer like ClickHouse"):
        looking.poll(1_795_000_000_000)


# The driver as in the page's process, reading blocks in format Native.
_READ = """
import sys
from types import SimpleNamespace
import consumers.live.__main__
from clickhouse_connect.driver.ctypes import RespBuffCls
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.transform import NativeTransform
for block in sys.argv[1:]:
    body = SimpleNamespace(gen=iter([bytes.fromhex(block)]), last_message=b"", close=lambda: None)
    try:
        NativeTransform.parse_response(RespBuffCls(body))
    except ClickHouseError:
        print("refused")
"""


def test_an_answer_of_broken_bytes_neither_hangs_nor_ends_the_page() -> None:
    """A text with a claimed length of nearly 2^63 bytes, and one of 2^64."""
    column = b"\1\1\1a\6String".hex()
    blocks = [column + size for size in ("ff" * 8 + "7f", "ff" * 9 + "01")]
    read = subprocess.run(
        [sys.executable, "-c", _READ, *blocks], capture_output=True, text=True, timeout=300, check=True
    )

    assert read.stdout == "refused\nrefused\n"
