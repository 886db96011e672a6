"""ClickHouse's error codes -> the loader's errors, which say whether the same call may succeed later.

Invariant: an unknown code is transient, and logged as such. Source: ClickHouse's src/Common/ErrorCodes.cpp.
"""

import logging

from clickhouse_connect.driver.exceptions import ClickHouseError, Error

from consumers.kit.errors import TransientError
from consumers.warehouse.errors import (
    BrokenError,
    InsertTooLargeError,
    PermanentError,
    ServerError,
    TablesError,
)
from runtime.clickhouse_faults import ACCESS_CODES

_LOG = logging.getLogger(__name__)

# The data will never fit.
_PERMANENT = frozenset(
    {
        6,  # CANNOT_PARSE_TEXT
        26,  # CANNOT_PARSE_QUOTED_STRING
        27,  # CANNOT_PARSE_INPUT_ASSERTION_FAILED
        32,  # ATTEMPT_TO_READ_AFTER_EOF
        33,  # CANNOT_READ_ALL_DATA
        38,  # CANNOT_PARSE_DATE
        41,  # CANNOT_PARSE_DATETIME
        53,  # TYPE_MISMATCH
        69,  # ARGUMENT_OUT_OF_BOUND
        70,  # CANNOT_CONVERT_TYPE
        72,  # CANNOT_PARSE_NUMBER
        117,  # INCORRECT_DATA
        128,  # TOO_LARGE_ARRAY_SIZE
        131,  # TOO_LARGE_STRING_SIZE
        190,  # SIZES_OF_ARRAYS_DONT_MATCH
        321,  # VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
        349,  # CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
        407,  # DECIMAL_OVERFLOW
        467,  # CANNOT_PARSE_BOOL
        469,  # VIOLATED_CONSTRAINT
        691,  # UNKNOWN_ELEMENT_OF_ENUM
    }
)
_TABLES = frozenset(
    {
        10,  # NOT_FOUND_COLUMN_IN_BLOCK
        16,  # NO_SUCH_COLUMN_IN_TABLE
        47,  # UNKNOWN_IDENTIFIER
        60,  # UNKNOWN_TABLE
        81,  # UNKNOWN_DATABASE
        218,  # TABLE_IS_DROPPED
    }
)
_TOO_LARGE = frozenset(
    {
        241,  # MEMORY_LIMIT_EXCEEDED
        307,  # TOO_MANY_BYTES
        396,  # TOO_MANY_ROWS_OR_BYTES
    }
)
# Known transient errors; they are logged at a lower level than unknown ones.
TRANSIENT = frozenset(
    {
        159,  # TIMEOUT_EXCEEDED
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        225,  # NO_ZOOKEEPER
        236,  # ABORTED
        242,  # TABLE_IS_READ_ONLY
        243,  # NOT_ENOUGH_SPACE
        252,  # TOO_MANY_PARTS
        279,  # ALL_CONNECTION_TRIES_FAILED
        285,  # TOO_FEW_LIVE_REPLICAS
        319,  # UNKNOWN_STATUS_OF_INSERT
        394,  # QUERY_WAS_CANCELLED
        999,  # KEEPER_EXCEPTION
        *ACCESS_CODES,
    }
)
# Faults of the server itself, reported as such.
_BROKEN = frozenset(
    {
        49,  # LOGICAL_ERROR
        1001,  # STD_EXCEPTION
        1002,  # UNKNOWN_EXCEPTION
        None,  # HTTP 500 without a code
    }
)
_KINDS = {_TABLES: TablesError, _TOO_LARGE: InsertTooLargeError, _BROKEN: BrokenError}
_TOO_MANY_PARTS, _STD_EXCEPTION = 252, 1001
# Texts of clickhouse_connect. 502 to 504 without a code: a proxy reports that ClickHouse is away.
_NO_CODE = "received HTTP status 500"


def mapped(error: ClickHouseError) -> TransientError | PermanentError:
    """Return what the engine's error means for the call."""
    code = error.code if isinstance(error, Error) else None
    text = str(error)[:2000]
    if code == _TOO_MANY_PARTS and "partitions" in text:
        return PermanentError(text)  # more days in one insert than allowed: bisecting it helps
    if code in _PERMANENT or (code == _STD_EXCEPTION and "avro::" in text):
        return PermanentError(text)
    if code is None and _NO_CODE not in text:
        return TransientError(text)
    for codes, kind in _KINDS.items():
        if code in codes:
            return kind(text, code)
    if code not in TRANSIENT:
        _LOG.error("clickhouse_error_unknown", extra={"code": code, "error": text})
    return ServerError(text, code)
