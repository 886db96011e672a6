"""An engine's error text -> ClickHouse's code, name and HTTP status. Pure.

Source: the server's own mapping, src/Server/HTTP/exceptionCodeToHTTPStatus.cpp of ClickHouse; default 500.
"""

import re

_TEXT = re.compile(
    r"Code: (?P<code>\d+)\. DB::\w*Exception: (?P<detail>.*)\((?P<name>[A-Z0-9_]+)\)\s*\Z", re.DOTALL
)
# A text ends at a NUL byte, which can only come from the statement itself.
_CUT = re.compile(r"Code: 62\. DB::\w*Exception: (?P<detail>.*)", re.DOTALL)

_WRAPPED = re.compile(
    r"(?P<text>Code: \d+\. DB::\w*Exception: .*\([A-Z0-9_]+\)) \(version [^)]*\)\.?", re.DOTALL
)

_NAMES_BY_STATUS = {
    400: """BAD_ARGUMENTS CANNOT_COMPILE_REGEXP CANNOT_PARSE_TEXT CANNOT_PARSE_ESCAPE_SEQUENCE
        CANNOT_PARSE_QUOTED_STRING CANNOT_PARSE_DATE CANNOT_PARSE_DATETIME CANNOT_PARSE_NUMBER
        CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING CANNOT_PARSE_IPV4 CANNOT_PARSE_IPV6 CANNOT_PARSE_UUID
        CANNOT_PARSE_INPUT_ASSERTION_FAILED DUPLICATE_COLUMN ILLEGAL_COLUMN UNKNOWN_ELEMENT_IN_AST
        UNKNOWN_TYPE_OF_AST_NODE THERE_IS_NO_COLUMN TOO_DEEP_AST TOO_BIG_AST UNEXPECTED_AST_STRUCTURE
        SYNTAX_ERROR INCORRECT_DATA TYPE_MISMATCH VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE""",
    401: "REQUIRED_PASSWORD",
    403: "UNKNOWN_USER WRONG_PASSWORD AUTHENTICATION_FAILED SET_NON_GRANTED_ROLE ACCESS_DENIED",
    404: """UNKNOWN_TABLE UNKNOWN_FUNCTION UNKNOWN_IDENTIFIER UNKNOWN_TYPE UNKNOWN_STORAGE UNKNOWN_DATABASE
        UNKNOWN_SETTING UNKNOWN_DIRECTION_OF_SORTING UNKNOWN_AGGREGATE_FUNCTION UNKNOWN_FORMAT
        UNKNOWN_DATABASE_ENGINE UNKNOWN_TYPE_OF_QUERY UNKNOWN_ROLE""",
    408: "TIMEOUT_EXCEEDED",
    411: "HTTP_LENGTH_REQUIRED",
    413: "QUERY_IS_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    501: "NOT_IMPLEMENTED",
    503: "SOCKET_TIMEOUT CANNOT_OPEN_FILE CANNOT_SCHEDULE_TASK",
}
_STATUSES = {name: status for status, names in _NAMES_BY_STATUS.items() for name in names.split()}


class FrontError(Exception):
    """A failed request, as a server would report it."""

    def __init__(self, code: int, name: str, detail: str) -> None:
        super().__init__(code, name, detail)
        self.code = code
        self.name = name
        self.detail = detail

    @property
    def status(self) -> int:
        """The HTTP status that a server uses for this error."""
        return _STATUSES.get(self.name, 500)

    def text(self, version: str) -> str:
        """Return the body of the answer."""
        return f"Code: {self.code}. DB::Exception: {self.detail} ({self.name}) (version {version})\n"


def from_text(text: str) -> FrontError:
    """Parse the engine's error message `text`; UNKNOWN_EXCEPTION if it has no code."""
    match = _TEXT.search(text)
    if not match:
        if cut := _CUT.match(text):
            return FrontError(62, "SYNTAX_ERROR", cut["detail"])
        return FrontError(1002, "UNKNOWN_EXCEPTION", text.strip())
    # The embedded client wraps the embedded server's message; a server's client sees only the inner one.
    inner = _WRAPPED.fullmatch(match["detail"].strip())
    if inner:
        return from_text(inner["text"])
    return FrontError(int(match["code"]), match["name"], match["detail"].strip())
