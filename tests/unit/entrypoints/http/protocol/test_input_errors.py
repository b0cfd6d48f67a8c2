"""Violations are looked for by a walk of our own: it must agree with the decoder about every value."""

from typing import Any

import msgspec
import pytest

from entrypoints.http.admin import RunQuery
from entrypoints.http.history import DiffQuery, RollbackBody
from entrypoints.http.labels import LabelBody
from entrypoints.http.projects.schemas import ProjectPatch, TimelineBody, TimelineItemBody
from entrypoints.http.protocol.input_errors import violations_against
from entrypoints.http.protocol.schemas import SearchQuery
from entrypoints.http.sessions import DevTokenBody
from entrypoints.http.tasks.queries import TaskQuery
from entrypoints.http.tasks.schemas import AssignBody, DeferBody, TaskPatch
from entrypoints.http.teams.schemas import MembersBody, RolePatch, RoleQuery

KINDS: list[type[msgspec.Struct]] = [
    AssignBody,
    DeferBody,
    DevTokenBody,
    DiffQuery,
    LabelBody,
    MembersBody,
    ProjectPatch,
    RolePatch,
    RoleQuery,
    RollbackBody,
    RunQuery,
    SearchQuery,
    TaskPatch,
    TaskQuery,
    TimelineBody,
    TimelineItemBody,
]
PROBES: list[Any] = [
    *(None, True, False, -1, 0, 1, 200, 201, 2**63 - 1, 2**63, 1.5, 1.0),
    *("", "x", "x" * 201, "x" * 50_001, "a" * 24, "A" * 24, "a" * 24 + "\n", "#aabbcc", "#AABBCC"),
    *("2026-01-31", "2026-02-30", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00", "2026-01-31T12:00:00+02:00"),
    *(
        "ACTIVE",
        "TODO",
        "HIGH",
        "GLOBAL",
        "exact",
        "name",
        "-createdAt",
        "relevance",
        "labels,assignee",
        "me",
    ),
    *([], ["x"], ["a" * 24], ["a" * 24, 1], [None], [{}], [{"id": "a"}], ["MON"], ["MON"] * 8),
    *({}, {"id": "a"}, {"workingDays": ["MON"]}, {"holidays": ["2026-01-31", 3]}, {"x": 1}),
]
# Fields that must be there, so that a probe of another field decides alone.
REQUIRED: dict[type[msgspec.Struct], dict[str, Any]] = {
    AssignBody: {"assigneeId": "a" * 24, "assigneeType": "USER"},
    DeferBody: {"deferredTill": None},
    DevTokenBody: {"email": "ada@example.org"},
    DiffQuery: {"from": 1, "to": 2},
    LabelBody: {"name": "urgent"},
    MembersBody: {"userIds": ["a" * 24]},
    RollbackBody: {"version": 1},
    TimelineItemBody: {"id": "a"},
}


def is_accepted(value: Any, kind: type[msgspec.Struct]) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_walk_finds_a_violation_exactly_where_the_decoder_does(kind: type[msgspec.Struct]) -> None:
    names = [field.encode_name for field in msgspec.structs.fields(kind)]
    for name in (*names, "unknown"):
        for probe in PROBES:
            value = {**REQUIRED.get(kind, {}), name: probe}
            found = list(violations_against(value, kind))
            # An integer that no store holds is refused even where the decoder knows no bound.
            is_beyond = probe == 2**63
            assert (not found) == is_accepted(value, kind) or is_beyond, (name, probe, found)
            assert all(violation.pointer.startswith(f"/{name}") for violation in found), found


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind in REQUIRED], ids=lambda kind: kind.__name__)
def test_what_must_be_there_is_named(kind: type[msgspec.Struct]) -> None:
    assert {(each.pointer, each.message) for each in violations_against({}, kind)} == {
        (f"/{name}", "is required") for name in REQUIRED[kind]
    }
