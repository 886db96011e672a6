"""The ids of a person -> the condition for rows about them."""

import json
import re
from pathlib import Path

import pytest

from consumers import export
from consumers.kit.errors import TransientError
from consumers.warehouse.privacy.person import (
    DEVICE,
    SESSION,
    SHOPPER,
    Person,
    as_word,
    as_word_in_json,
    text_columns,
)

COLUMNS = {
    "app_id": "LowCardinality(String)",
    "device_id": "String",
    "tags": "Array(LowCardinality(String))",
    "body": "LowCardinality(Nullable(String))",
    "number": "Nullable(Int64)",
    "hash": "FixedString(16)",
    "at": "SimpleAggregateFunction(groupUniqArrayArray, Array(DateTime64(3, 'UTC')))",
}


@pytest.mark.parametrize(
    "one", ["7120034455667", "gid://shopify/Customer/71", "Zoë-42-\U0001f600 x", 'a"b\\c.*+']
)
def test_an_id_is_found_as_a_whole_word_whatever_its_escapes(one: str) -> None:
    """In JSON of any writer; not inside a longer id."""
    escaped = json.dumps(one)
    every = "".join(
        f"\\u{one.encode('utf-16-be')[at : at + 2].hex().upper()}" for at in range(0, 2 * len(one), 2)
    )
    texts = [
        escaped,
        json.dumps(one, ensure_ascii=False),
        escaped.replace("/", "\\/"),
        f'{{"note": "call\\n{escaped[1:-1]}, please"}}',
    ]
    if one.isascii():
        texts.append(f'"{every}"')

    assert all(re.search(as_word_in_json(one), text) for text in texts)
    assert all(re.search(as_word(one), text) for text in (one, f"https://shop/?a={one}&b=1", f"x\n{one}\ny"))
    for pattern in (as_word(one), as_word_in_json(one)):
        assert not any(re.search(pattern, text) for text in (f"9{one}", f"{one}-1", f"{one}0", one[:-1]))


def test_the_columns_of_text_are_searched() -> None:
    """Also lists, and nullable ones."""
    assert text_columns(COLUMNS) == ["app_id", "device_id", "tags", "body"]


def test_a_short_id_counts_in_id_columns_alone() -> None:
    """It would be found by chance elsewhere."""
    where, parameters = Person({DEVICE: ("17",), SHOPPER: ()}).condition(COLUMNS)

    assert (where, parameters) == ("(`device_id` = {p0:String})", {"p0": "17"})


def test_a_table_without_text_has_no_rows_about_anyone() -> None:
    """The condition is still valid."""
    assert Person({SESSION: ("s-of-a-person",)}).condition({"number": "Int64"}) == ("(0)", {})


def test_no_id_is_part_of_the_statement() -> None:
    """Ids and app are parameters."""
    person = Person({DEVICE: ("x') OR 1 --",), SESSION: ("y'",)}, "app'")
    where, parameters = person.condition(COLUMNS | {"session_id": "String"})

    assert "OR 1" not in where
    assert "y'" not in where
    assert where.endswith(" AND app_id IN ({app:String}, '')")
    assert parameters["app"] == "app'"


def test_hashes_are_looked_for_too() -> None:
    """Those that redaction has stored."""
    assert Person({DEVICE: ("a", "b")}).with_hashes(str.upper).ids == {DEVICE: ("a", "b", "A", "B")}


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


@pytest.mark.parametrize("options", [[], ["--device-id", " "], ["--app-id", "a"]])
def test_an_export_needs_an_id(options: list[str]) -> None:
    """An export of everybody would be a mistake."""
    with pytest.raises(SystemExit) as raised:
        export.main(options)

    assert raised.value.code == 2
