"""Records as rows: checked, never changed, and found by their words."""

import math
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.postgres.rows import FORMS, Unstorable, storable_tree
from adapters.records.record import tombstone
from adapters.records.specs import SPECS
from domain.errors import RuleBroken
from tests.unit.builders import numbered_id
from tests.unit.contracts.builders import task

TASKS = FORMS["tasks"]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_is_written_so_that_its_digits_read_as_the_same_float(number: float) -> None:
    written = msgspec.json.encode(storable_tree([number], "n"))
    digits = written.strip(b"[]").decode()
    assert msgspec.json.decode(written) == [number]
    assert abs(number) < 1e16 or "e" not in digits
    assert isinstance(msgspec.json.decode(written)[0], float)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_without_json_form_are_refused(number: float) -> None:
    with pytest.raises(Unstorable, match="extra"):
        TASKS.json_row(task(1, extra={"deep": [1, (number,)]}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", 5),
        ("priority", "5"),
        ("priority", True),
        ("priority", 3.0),
        ("isAcknowledged", 1),
        ("dueAt", "2026-01-01T00:00:00Z"),
        ("dueAt", datetime(2026, 1, 1)),  # noqa: DTZ001 - that is what is refused
    ],
)
def test_a_value_of_another_type_is_refused_by_name_and_not_shown(field: str, value: Any) -> None:
    with pytest.raises(RuleBroken) as refusal:
        TASKS.values(task(1, **{field: value}))
    assert [fault.pointer for fault in refusal.value.violations] == [f"/{field}"]
    assert repr(value) not in f"{refusal.value.message} {refusal.value.violations[0].message}"


def test_unknown_fields_come_back_as_they_were() -> None:
    extras: dict[str, Any] = {"at": datetime(2026, 1, 1, tzinfo=UTC), "none": None, "list": [1], "words": "x"}
    record = task(1, **extras)
    row = TASKS.json_row(record)
    stored = msgspec.json.decode(msgspec.json.encode(row["extra"]))
    values = [row.get(field.name) for field in SPECS["tasks"].fields]
    assert TASKS.record((*values, None, stored)) == record


def test_a_record_without_unknown_fields_has_no_extra() -> None:
    assert TASKS.json_row(task(1)).get("extra") is None


def test_a_tombstone_s_row_holds_nothing_else() -> None:
    row = TASKS.json_row({**tombstone(numbered_id(1), 4), "title": "left behind"})
    assert row == {"id": numbered_id(1), "version": 4, "isDeleted": True, "isErased": True}
    blank = [None] * (len(TASKS.read_columns) - 4)
    assert TASKS.record((numbered_id(1), 4, *blank, True, None)) == tombstone(numbered_id(1), 4)


def test_a_row_is_made_without_touching_the_record() -> None:
    record = task(1, extra={"a": [1e20]})
    before = msgspec.json.encode(record)
    TASKS.json_row(record)
    assert msgspec.json.encode(record) == before


@pytest.mark.parametrize(
    ("title", "copied"),
    [
        ("Dig pond", "Dig pond"),
        ("two\tcolumns", r"two\tcolumns"),
        ("two\nlines", r"two\nlines"),
        ("two\r\nlines", r"two\r\nlines"),
        (r"C:\ponds", r"C:\\ponds"),
        (r"\N", r"\\N"),
        (r"\.", r"\\."),
    ],
)
def test_a_line_for_copy_keeps_every_character_of_a_text(title: str, copied: str) -> None:
    form = FORMS["tasks"]
    names = [column.name for column in form.columns]
    line = form.copy_line({**task(1), "title": title}).decode()
    assert "\n" not in line
    assert line.count("\t") == len(names) - 1
    assert line.split("\t")[names.index("title")] == copied
