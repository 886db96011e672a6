"""The ids of people -> what is looked for, and the command line that names them."""

import io
import sys
from pathlib import Path

import pytest

from consumers import erase, export
from consumers.kit.erasures.erased_ids import DEVICE, SESSION, SHOPPER
from consumers.kit.errors import TransientError
from consumers.warehouse.privacy.columns import text_columns
from consumers.warehouse.privacy.people import People
from consumers.warehouse.privacy.row_filter import RowFilter

COLUMNS = {
    "app_id": "LowCardinality(String)",
    "device_id": "String",
    "tags": "Array(LowCardinality(String))",
    "body": "LowCardinality(Nullable(String))",
    "number": "Nullable(Int64)",
    "hash": "FixedString(16)",
    "at": "SimpleAggregateFunction(groupUniqArrayArray, Array(DateTime64(3, 'UTC')))",
}


def test_the_columns_of_text_are_searched() -> None:
    """Also lists, and nullable ones."""
    assert text_columns(COLUMNS) == ["app_id", "device_id", "tags", "body"]


def test_an_id_is_looked_for_by_its_words() -> None:
    """A short one is compared as a whole."""
    people = People({DEVICE: ("device-17", "17"), SHOPPER: ("gid://shopify/Customer/71",), SESSION: ()})

    assert people.sequences() == {1: ["device-17"], 4: ["gid shopify Customer 71"]}
    assert people.short() == {DEVICE: ["17"]}


def test_a_short_id_counts_in_id_columns_alone() -> None:
    """It would be found by chance elsewhere."""
    where = RowFilter((1, 2), {}, {DEVICE: [17]}).condition(COLUMNS)

    assert where == (
        "(sipHash64Keyed((toUInt64(1), toUInt64(2)), toString(ifNull(`device_id`, ''))) IN (17))"
    )


def test_a_table_without_text_has_no_rows_about_anyone() -> None:
    """The condition is still valid."""
    assert RowFilter((1, 2), {1: [5]}, {}).condition({"number": "Int64"}) == "(0)"


@pytest.mark.parametrize(
    ("columns", "until"),
    [
        (("timestamp", "received_at"), "least(timestamp, received_at)) <= 7000"),
        (("received_at",), "(received_at) <= 607000"),
        (("started_at",), "(started_at) <= 7000"),
        (("body",), "(0) AND 1"),
    ],
)
def test_later_rows_stay(columns: tuple[str, ...], until: str) -> None:
    """Events without a time of their own may be retries, so they get a little longer."""
    kinds = dict.fromkeys(columns, "DateTime64(3, 'UTC')")

    assert RowFilter((1, 2), {}, {}, until_ms=7000).condition(kinds).endswith(until)


def test_rows_of_another_app_stay() -> None:
    """Of an unknown app, they go."""
    where = RowFilter((1, 2), {}, {}, "app'").condition(COLUMNS)

    assert where.endswith(" AND app_id IN ('app\\'', '')")


def test_hashes_are_looked_for_too() -> None:
    """Those that redaction has stored."""
    assert People({DEVICE: ("a", "b")}).with_hashes(str.upper).ids == {DEVICE: ("a", "b", "A", "B")}


def test_an_export_that_fails_leaves_no_file(tmp_path: Path) -> None:
    """Nor does it touch one that exists."""
    existing, new = tmp_path / "existing", tmp_path / "new"
    existing.write_text("of another person")

    with pytest.raises(TransientError), export.output(new) as out:
        out.write(b"a part")
        raise TransientError("away")
    with pytest.raises(FileExistsError), export.output(existing):
        pass

    assert [*tmp_path.iterdir()] == [existing]
    assert existing.read_text() == "of another person"


@pytest.mark.parametrize("command", [export.main, erase.main])
@pytest.mark.parametrize("options", [[], ["--device-id", " "], ["--app-id", "a"]])
def test_these_commands_need_an_id(command: object, options: list[str]) -> None:
    """An export of everybody would be a mistake, an erasure worse."""
    assert callable(command)
    with pytest.raises(SystemExit) as raised:
        command(options)

    assert raised.value.code == 2


@pytest.mark.parametrize("line", ["device_id", "device_id  ", "mail a@example.com"])
def test_a_file_of_ids_with_a_wrong_line(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody is erased by half of a file."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"device_id right-device\n\n{line}\n"))
    with pytest.raises(SystemExit):
        erase.main(["--ids-file", "-"])

    assert "line 3 is not one of device_id, shopify_user_id, session_id" in capsys.readouterr().err
