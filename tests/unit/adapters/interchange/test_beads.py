import bz2
import gzip
import json
import lzma
from datetime import UTC, date, datetime
from typing import Any

import pytest

from adapters.interchange.beads import BeadsReader
from application.ports.interchange import IssueLink, Loss, ReadIssues
from domain.errors import Invalid, Violation
from domain.task import Priority, TaskStatus
from domain.task_changes import LinkKind

ENCODINGS = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
PLAIN = {
    "id": "bd-1",
    "title": "Dig the pond",
    "status": "open",
    "priority": 2,
    "created_at": "2025-10-27T22:55:44.511-07:00",
}


def line(**fields: object) -> bytes:
    """One issue; a field that is None is left out."""
    merged = {**PLAIN, **fields}
    return json.dumps({name: value for name, value in merged.items() if value is not None}).encode()


def read(*lines: bytes) -> ReadIssues:
    return BeadsReader().read(b"\n".join(lines) + b"\n")


def violations_of(*lines: bytes) -> list[Violation]:
    with pytest.raises(Invalid) as refusal:
        read(*lines)
    return list(refusal.value.violations)


def losses_of(*lines: bytes) -> list[Loss]:
    return list(read(*lines).losses)


FILE = line(title="Gräben – 1") + b"\n" + line(id="bd-2")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (gzip.compress(FILE), "gzip"),
        (bz2.compress(FILE), "bzip2"),
        (lzma.compress(FILE), "xz"),
        (b"PK\x03\x04" + FILE, "zip"),
        (b"\x28\xb5\x2f\xfd" + FILE, "zstd"),
        *((FILE.decode().encode(name), name[:6].upper()) for name in ENCODINGS),
    ],
)
def test_a_file_of_another_kind_is_named_once(content: bytes, kind: str) -> None:
    (violation,) = violations_of(content)
    assert kind in violation.message
    assert "line" not in violation.message


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_lines_end_as_on_any_system(start: bytes, end: bytes) -> None:
    found = BeadsReader().read(start + FILE.replace(b"\n", end) + end).issues
    assert [(issue.key, issue.title, issue.place) for issue in found] == [
        ("bd-1", "Gräben – 1", "line 1"),
        ("bd-2", "Dig the pond", "line 2"),
    ]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("open", TaskStatus.TODO),
        ("in_progress", TaskStatus.IN_PROGRESS),
        ("blocked", TaskStatus.BLOCKED),
        ("closed", TaskStatus.DONE),
        ("deferred", TaskStatus.TODO),
        ("pinned", TaskStatus.TODO),
        ("hooked", TaskStatus.IN_PROGRESS),
        ("In Review", TaskStatus.IN_PROGRESS),
        ("in-progress", TaskStatus.IN_PROGRESS),
        ("on_hold", TaskStatus.BLOCKED),
        ("wontfix", TaskStatus.DONE),
        ("Backlog", TaskStatus.TODO),
    ],
)
def test_every_status_has_its_equal(status: str, expected: TaskStatus) -> None:
    assert read(line(status=status)).issues[0].status is expected


@pytest.mark.parametrize(
    ("status", "fields_lost"),
    [("open", []), ("deferred", ["status"]), ("pinned", ["status"]), ("hooked", ["status"])],
)
def test_a_status_without_equal_is_reported(status: str, fields_lost: list[str]) -> None:
    assert [loss.field for loss in losses_of(line(status=status))] == fields_lost


@pytest.mark.parametrize(
    ("rank", "expected", "is_loss"),
    [
        (0, Priority.HIGH, True),
        (1, Priority.HIGH, True),
        (2, Priority.MEDIUM, False),
        (3, Priority.LOW, True),
        (4, Priority.LOW, True),
        (7, Priority.LOW, True),
        ("P1", Priority.HIGH, True),
        ("3", Priority.LOW, True),
    ],
)
def test_five_priorities_become_three_and_the_difference_is_reported(
    rank: object, expected: Priority, is_loss: bool
) -> None:
    answer = read(line(priority=rank))
    assert answer.issues[0].priority is expected
    assert [loss.field for loss in answer.losses] == (["priority"] if is_loss else [])


def test_a_tombstone_brings_when_and_why_it_was_removed() -> None:
    issue = read(
        line(
            status="tombstone",
            deleted_at="2025-12-17T23:18:29.110385-08:00",
            deleted_by="daemon",
            delete_reason="batch delete",
            original_type="bug",
            issue_type="task",
        )
    ).issues[0]
    assert issue.deleted_at == datetime(2025, 12, 18, 7, 18, 29, 110_000, tzinfo=UTC)
    assert issue.deleted_reason == "batch delete (by daemon)"
    assert issue.label_names == ("bug",)


def test_instants_are_whole_milliseconds_in_utc() -> None:
    issue = read(line(closed_at="2025-12-24T10:00:00.123456789+05:30", status="closed")).issues[0]
    assert issue.created_at == datetime(2025, 10, 28, 5, 55, 44, 511_000, tzinfo=UTC)
    assert issue.closed_at == datetime(2025, 12, 24, 4, 30, 0, 123_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "text", "is_loss"),
    [
        ("created_at", "2026-01-01T00:00:00.123456789+05:30", True),
        ("updated_at", "2026-01-01T00:00:00.1230000001Z", True),
        ("due_at", "2026-01-01T00:00:00.123456789+05:30", True),
        ("due_at", "2026-01-01T23:59:59.9995Z", True),
        ("defer_until", "2026-01-01T00:00:00,1234Z", True),
        ("started_at", "2026-01-01T00:00:00.123000Z", False),
        ("started_at", "2026-01-01T00:00:00.5+05:30", False),
        ("due_at", "2026-01-01", False),
    ],
)
def test_fractions_of_a_millisecond_are_not_lost_in_silence(name: str, text: str, *, is_loss: bool) -> None:
    assert [loss.field for loss in losses_of(line(**{name: text}))] == ([name] if is_loss else [])


def test_what_only_tombstones_have_is_not_lost_in_silence_elsewhere() -> None:
    found = losses_of(line(deleted_at="2026-01-01T00:00:00Z", deleted_by="anna", delete_reason=""))
    assert [loss.field for loss in found] == ["deleted_at", "deleted_by"]


def test_labels_and_kind_become_labels() -> None:
    assert read(line(labels=["urgent", "bug"], issue_type="bug")).issues[0].label_names == ("urgent", "bug")


def test_long_texts_follow_the_description_under_headings() -> None:
    issue = read(line(description="What.", design="How.", notes="Why.")).issues[0]
    assert issue.description == "What.\n\n## Design\n\nHow.\n\n## Notes\n\nWhy."


def test_the_first_parent_stays_and_links_come_over() -> None:
    links = [
        {"type": "blocks", "depends_on_id": "bd-7"},
        {"type": "parent-child", "depends_on_id": "bd-2"},
        {"type": "parent-child", "depends_on_id": "bd-3"},
        {"type": "parent-child", "depends_on_id": "bd-2"},
        {"type": "discovered-from", "depends_on_id": "bd-8"},
        {"type": "replies-to", "depends_on_id": "bd-9"},
    ]
    answer = read(line(dependencies=links))
    assert answer.issues[0].parent_key == "bd-2"
    assert answer.issues[0].links == (
        IssueLink(LinkKind.BLOCKS, "bd-7", is_reversed=True),
        IssueLink(LinkKind.DISCOVERED_FROM, "bd-8"),
    )
    assert [loss.field for loss in answer.losses] == ["dependencies.replies-to", "dependencies.parent-child"]


LAST_OF_DAY = datetime(2025, 12, 24, 23, 59, 59, 999_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "due_at", "due_on", "lost"),
    [
        ({"due_at": "2025-12-24T10:00:00+01:00"}, datetime(2025, 12, 24, 9, tzinfo=UTC), None, []),
        ({"due_at": "2025-12-24"}, None, date(2025, 12, 24), []),
        ({"due_at": "2025-12-24T23:59:59.999Z"}, LAST_OF_DAY, None, []),
        ({"due_at": "2025-12-25T00:59:59.999+01:00"}, LAST_OF_DAY, None, []),
        ({"due_at": "2025-12-24T23:59:59.999Z", "due_on": "2025-12-24"}, None, date(2025, 12, 24), []),
        ({"due_on": "2025-12-24"}, None, date(2025, 12, 24), []),
        ({"due_at": "2025-12-24T23:59:59.999Z", "due_on": "2025-12-25"}, LAST_OF_DAY, None, ["due_on"]),
        (
            {"due_at": "2025-12-24T23:59:59.999Z", "due_on": "2025-12-24T00:00:00Z"},
            LAST_OF_DAY,
            None,
            ["due_on"],
        ),
        ({"due_on": 5}, None, None, ["due_on"]),
        ({"due_at": None, "due_on": None}, None, None, []),
    ],
)
def test_an_issue_is_due_at_an_instant_or_on_a_day(
    fields: dict[str, Any], due_at: datetime | None, due_on: date | None, lost: list[str]
) -> None:
    answer = read(line(defer_until="2025-12-01T00:00:00Z", **fields))
    issue = answer.issues[0]
    assert (issue.due_at, issue.due_on) == (due_at, due_on)
    assert issue.deferred_till == datetime(2025, 12, 1, tzinfo=UTC)
    assert [loss.field for loss in answer.losses] == lost


@pytest.mark.parametrize(
    ("fields", "description"),
    [
        ({"description": ""}, ""),
        ({"description": None}, None),
        ({}, None),
        ({"description": " \n"}, " \n"),
        ({"description": "", "design": ""}, ""),
        ({"description": "", "design": "How."}, "## Design\n\nHow."),
    ],
)
def test_an_empty_description_stays_an_empty_one(fields: dict[str, Any], description: str | None) -> None:
    answer = read(line(**fields))
    assert (answer.issues[0].description, answer.losses) == (description, [])


def test_a_deferred_issue_with_its_time_loses_nothing() -> None:
    assert losses_of(line(status="deferred", defer_until="2025-12-01T00:00:00Z")) == []


def test_a_line_that_is_no_issue_is_reported() -> None:
    memory = b'{"_type": "memory", "key": "lesson", "value": "Dig early."}'
    answer = read(line(_type="issue"), memory, b'{"_type": "memory", "value": ""}')
    assert len(answer.issues) == 1
    assert [(loss.key, loss.field) for loss in answer.losses] == [("lesson", "_type"), ("line 3", "_type")]
    assert list(answer.unfit) == []


def test_a_field_without_equal_is_reported_where_it_says_something() -> None:
    said = losses_of(line(assignee="anna", estimated_minutes=30, comments=[{"text": "Yes"}], external_ref=""))
    assert [loss.field for loss in said] == ["assignee", "comments", "estimated_minutes"]


def test_blank_lines_and_a_byte_order_mark_do_no_harm() -> None:
    assert [issue.place for issue in read(b"\xef\xbb\xbf" + line(), b"  ", line(id="bd-2")).issues] == [
        "line 1",
        "line 3",
    ]


@pytest.mark.parametrize(
    ("broken", "pointer"),
    [
        (b"{", "/lines/2"),
        (b"[]", "/lines/2"),
        (b'"text"', "/lines/2"),
        (b'{"id": NaN}', "/lines/2"),
        (b"\xff\xfe", "/lines/2"),
        (b"[" * 100_000, "/lines/2"),
        (line(id=None), "/lines/2/id"),
        (line(id="  "), "/lines/2/id"),
        (line(id="x" * 201), "/lines/2/id"),
        (line(id="bd-1"), "/lines/2/id"),
        (line(id="bd-2", title=None), "/lines/2/title"),
        (line(id="bd-2", title=7), "/lines/2/title"),
        (line(id="bd-2", status="sleeping"), "/lines/2/status"),
        (line(id="bd-2", priority=-1), "/lines/2/priority"),
        (b"{}", "/lines/2/id"),
        (line(id="bd-2").replace(b"{", b'{"title": "Twice", ', 1), "/lines/2/title"),
        (
            line(id="bd-2", dependencies=[{"type": "blocks"}]).replace(b"[{", b'[{"type": "x", ', 1),
            "/lines/2/dependencies/0/type",
        ),
        (line(id="bd-2", priority=True), "/lines/2/priority"),
        (line(id="bd-2", priority="high"), "/lines/2/priority"),
        (line(id="bd-2", created_at=None), "/lines/2/created_at"),
        (line(id="bd-2", created_at="yesterday"), "/lines/2/created_at"),
        (line(id="bd-2", created_at="2025-10-27T22:55:44"), "/lines/2/created_at"),
        (line(id="bd-2", created_at="0001-01-01T00:00:00+14:00"), "/lines/2/created_at"),
        (line(id="bd-2", status="tombstone"), "/lines/2/deleted_at"),
        (line(id="bd-2", description=["no"]), "/lines/2/description"),
        (line(id="bd-2", labels="bug"), "/lines/2/labels"),
        (line(id="bd-2", labels=[" "]), "/lines/2/labels"),
        (line(id="bd-2", dependencies={"a": 1}), "/lines/2/dependencies"),
        (line(id="bd-2", dependencies=[{"type": "blocks"}]), "/lines/2/dependencies/0"),
    ],
)
def test_a_malformed_line_is_named_and_the_others_are_read(broken: bytes, pointer: str) -> None:
    answer = read(line(), broken, line(id="bd-3"))
    assert [issue.key for issue in answer.issues] == ["bd-1", "bd-3"]
    (unfit,) = answer.unfit
    assert unfit.violations[0].pointer == pointer


def test_all_violations_of_a_file_show_at_once() -> None:
    violations = violations_of(line(title="", priority=-9), b"{", line(id="bd-2", status="odd"))
    assert [violation.pointer for violation in violations] == [
        "/lines/1/title",
        "/lines/1/priority",
        "/lines/2",
        "/lines/3/status",
    ]
    assert violations[0].message.startswith("line 1, title: ")


def test_the_second_issue_with_a_key_is_named_with_the_place_of_the_first() -> None:
    (unfit,) = read(line(), line()).unfit
    assert unfit.key == "bd-1"
    assert "already occurs in line 1" in unfit.violations[0].message


@pytest.mark.parametrize("key", ["a\x1b[31mX", "a\u202ecod.exe", "two\nlines", "a\x85b"])
def test_a_key_with_characters_that_names_must_not_have_is_named_by_its_line(key: str) -> None:
    found = read(line(), line(id=key))
    assert [issue.key for issue in found.issues] == ["bd-1"]
    (unfit,) = found.unfit
    (violation,) = unfit.violations
    assert violation.pointer == "/lines/2/id"
    assert violation.message.startswith("line 2, id: must ")
    assert "remove U+" in violation.message


@pytest.mark.parametrize("name", ["priority", "estimate"])
def test_a_number_with_too_many_digits_is_named_as_such(name: str) -> None:
    long = (
        line(**{name: 1})
        .replace(b": 1,", b": " + b"9" * 5_000 + b",")
        .replace(b": 1}", b": " + b"9" * 5_000 + b"}")
    )
    found = read(line(), long)
    (unfit,) = found.unfit
    assert [each.message for each in unfit.violations] == ["line 2: has a number of more than 1000 digits"]


def test_an_empty_file_is_refused() -> None:
    assert [violation.message for violation in violations_of(b"")] == ["the file contains no issues"]


def test_a_file_of_another_kind_does_not_flood_its_reader() -> None:
    assert len(violations_of(*[b"<xml/>"] * 1_000)) == 200
