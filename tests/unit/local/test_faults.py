"""The engine's errors over HTTP."""

import pytest

from deploy.local.clickhouse.faults import from_text


@pytest.mark.parametrize(
    ("text", "code", "status", "detail"),
    [
        ("Code: 60. DB::Exception: No t. (UNKNOWN_TABLE)", 60, 404, "No t."),
        ("Code: 62. DB::Exception: Bad (x). (SYNTAX_ERROR)\n", 62, 400, "Bad (x)."),
        ("Code: 159. DB::Exception: Late. (TIMEOUT_EXCEEDED)", 159, 408, "Late."),
        ("Code: 241. DB::Exception: Much. (MEMORY_LIMIT_EXCEEDED)", 241, 500, "Much."),
        ("Code: 48. DB::Exception: Not yet. (NOT_IMPLEMENTED)", 48, 501, "Not yet."),
        (
            "Code: 7. DB::Exception: Code: 7. DB::Exception: No X. (UNKNOWN_FORMAT) (version 2). (OTHER)",
            7,
            404,
            "No X.",
        ),
        ("something else", 1002, 500, "something else"),
    ],
)
def test_tells_code_status_and_text(text: str, code: int, status: int, detail: str) -> None:
    """Codes, texts and statuses are a server's, without the embedded client's wrapping."""
    fault = from_text(text)

    assert (fault.code, fault.status, fault.detail) == (code, status, detail)
    assert fault.text("26.9").startswith(
        f"Code: {code}. DB::Exception: {detail} ({fault.name}) (version 26.9)"
    )
