"""ClickHouse's codes mean: retry, repair tables, split, or never."""

import logging

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError, StreamFailureError

from consumers.kit.errors import TransientError
from consumers.warehouse.clickhouse_errors import mapped
from consumers.warehouse.errors import (
    BrokenError,
    InsertTooLargeError,
    PermanentError,
    ServerError,
    TablesError,
)


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (117, "INCORRECT_DATA", PermanentError),
        (6, "CANNOT_PARSE_TEXT", PermanentError),
        (27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED", PermanentError),
        (26, "CANNOT_PARSE_QUOTED_STRING", PermanentError),
        (72, "CANNOT_PARSE_NUMBER", PermanentError),
        (190, "SIZES_OF_ARRAYS_DONT_MATCH", PermanentError),
        (469, "VIOLATED_CONSTRAINT", PermanentError),
        (252, "Too many partitions for single INSERT block", PermanentError),
        (252, "Too many parts (3000). Merges are processing significantly slower", ServerError),
        (1001, "std::exception. type: avro::Exception, e.what() = EOF reached", PermanentError),
        (1001, "std::exception. type: std::bad_alloc", BrokenError),
        (60, "UNKNOWN_TABLE", TablesError),
        (81, "UNKNOWN_DATABASE", TablesError),
        (16, "NO_SUCH_COLUMN_IN_TABLE", TablesError),
        (241, "MEMORY_LIMIT_EXCEEDED", InsertTooLargeError),
        (202, "TOO_MANY_SIMULTANEOUS_QUERIES", ServerError),
        (242, "TABLE_IS_READ_ONLY", ServerError),
        (243, "NOT_ENOUGH_SPACE", ServerError),
        (999, "KEEPER_EXCEPTION", ServerError),
        (516, "AUTHENTICATION_FAILED", ServerError),
        (987654, "a code of a later version", ServerError),
    ],
)
def test_code_decides(code: int, text: str, kind: type[Exception]) -> None:
    """A row is never blamed for other failures, and never retried forever for its own."""
    assert type(mapped(DatabaseError(f"Code: {code}. {text}", code=code))) is kind


@pytest.mark.parametrize("error", [OperationalError("connection refused"), StreamFailureError("cut")])
def test_network_errors_are_transient(error: OperationalError) -> None:
    """The insert's outcome is unknown: it is retried, and identity removes duplicates."""
    assert type(mapped(error)) is TransientError


def test_unknown_code_is_loud(caplog: pytest.LogCaptureFixture) -> None:
    """An operator sees it at once, a known one only by its retries."""
    with caplog.at_level(logging.ERROR):
        mapped(DatabaseError("Code: 987654.", code=987654))
        mapped(DatabaseError("Code: 999.", code=999))

    assert [record.message for record in caplog.records] == ["clickhouse_error_unknown"]


@pytest.mark.parametrize(
    "error",
    [
        DatabaseError("HTTP driver received HTTP status 500, server response: Internal Server Error"),
        DatabaseError("Code: 1001. std::exception", code=1001),
        DatabaseError("Code: 1002. UNKNOWN_EXCEPTION", code=1002),
        DatabaseError("Code: 49. LOGICAL_ERROR", code=49),
    ],
)
def test_a_broken_clickhouse_is_not_one_that_is_away(error: DatabaseError) -> None:
    """An internal failure needs an operator; an outage ends by itself."""
    assert type(mapped(error)) is BrokenError
    for status in (502, 503, 504):
        assert type(mapped(DatabaseError(f"HTTP driver received HTTP status {status}"))) is TransientError
