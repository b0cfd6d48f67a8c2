"""Query parameters: one struct per operation, which both reads them and describes them."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args, get_type_hints
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta, Struct

from application.paging import LIMIT_DEFAULT, LIMIT_MAX
from domain.audit import Action
from domain.errors import Violation
from domain.project import ProjectStatus
from domain.role import RoleScope
from domain.storable import INTEGER_MAX, violations_in
from entrypoints.http.bodies import Instant
from entrypoints.http.faults import instant_violations, violations_against
from entrypoints.http.json_tree import refusal
from entrypoints.http.rendering import HttpRequest
from entrypoints.http.searching import TEXT_LENGTH_MAX, Search, Text, order_told, search_violations
from entrypoints.http.views import Id, PriorityName, ShownStatus

PARAMETERS_MAX = 50
CURSOR_LENGTH_MAX = 4_096
_NUMBER_LENGTH_MAX = 20

Q = TypeVar("Q", bound=Struct)

Limit = Annotated[int, Meta(ge=1, le=LIMIT_MAX, description="How many items at most.")]
Cursor = Annotated[
    str, Meta(max_length=CURSOR_LENGTH_MAX, description="Where the next page starts: `nextCursor`.")
]
Expand = Annotated[
    str,
    Meta(
        pattern=r"^(labels|assignee)(,(labels|assignee))*$",
        max_length=TEXT_LENGTH_MAX,
        description="What to show in full beside each task, separated by commas.",
        examples=["labels,assignee"],
    ),
]
SearchOrder = Literal["relevance", "createdAt", "-createdAt", "updatedAt", "-updatedAt", "name", "-name"]
TaskOrder = Literal[
    "relevance",
    "createdAt",
    "-createdAt",
    "updatedAt",
    "-updatedAt",
    "dueAt",
    "-dueAt",
    "priority",
    "-priority",
    "displayId",
    "-displayId",
]
Version = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]


class _Query(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """The habits of all queries."""


class NoQuery(_Query):
    """Operations without parameters."""


class PageQuery(_Query):
    """A page of something in the one order it has."""

    limit: Limit = LIMIT_DEFAULT
    cursor: Cursor | None = None


class ListQuery(PageQuery):
    """A page that can be counted."""

    count: Literal["exact"] | None = None


class ProjectQuery(ListQuery, rename="camel"):
    """Which projects, in which order."""

    usual_order: ClassVar[str] = "-createdAt"

    q: Text | None = None
    owner_id: Id | None = None
    team_id: Id | None = None
    status: ProjectStatus | None = None
    sort: Annotated[SearchOrder, order_told("-createdAt")] | None = None


class TaskQuery(ListQuery, rename="camel"):
    """Which tasks, in which order. A task that is put off at present is DEFERRED and nothing else."""

    usual_order: ClassVar[str] = "-createdAt"

    q: Text | None = None
    project_id: Id | None = None
    team_id: (
        Annotated[Id, Meta(description="Tasks of the team's projects, and those given to it.")] | None
    ) = None
    assignee_id: Annotated[Id, Meta(description="Tasks given to this user or team.")] | None = None
    created_by: Id | None = None
    watching: Annotated[bool, Meta(description="Only what you watch.")] = False
    status: ShownStatus | None = None
    priority: PriorityName | None = None
    label_id: Id | None = None
    due_before: Instant | None = None
    due_after: Instant | None = None
    sort: Annotated[TaskOrder, order_told("-createdAt")] | None = None
    expand: Expand | None = None


class TaskViewQuery(_Query):
    """How to show a task."""

    expand: Expand | None = None


class TaskTrashQuery(ListQuery, rename="camel"):
    """Which deleted tasks, and how to show them."""

    sort: Literal["createdAt", "-createdAt", "updatedAt", "-updatedAt"] = "-updatedAt"
    expand: Expand | None = None


class WatchlistQuery(ListQuery):
    """How to show what you watch."""

    expand: Expand | None = None


class AssignmentQuery(ListQuery, rename="camel"):
    """Which live assignments; those of the newest tasks come first."""

    task_id: Id | None = None
    assignee_id: Id | None = None
    executor_id: Id | None = None


class LabelQuery(ListQuery, rename="camel"):
    """Which labels, in which order."""

    usual_order: ClassVar[str] = "name"

    q: Text | None = None
    sort: Annotated[SearchOrder, order_told("name")] | None = None


class TeamQuery(ListQuery, rename="camel"):
    """Which of your teams, in which order."""

    usual_order: ClassVar[str] = "-createdAt"

    q: Text | None = None
    owner_id: Id | None = None
    sort: Annotated[SearchOrder, order_told("-createdAt")] | None = None


class RoleQuery(ListQuery):
    """Which roles, in which order."""

    scope: RoleScope | None = None
    sort: Literal["createdAt", "-createdAt", "updatedAt", "-updatedAt", "name", "-name"] = "name"


class TrashQuery(ListQuery, rename="camel"):
    """What is in the trash."""

    sort: Literal["createdAt", "-createdAt", "updatedAt", "-updatedAt"] = "-updatedAt"


class UserQuery(ListQuery, rename="camel"):
    """Which users."""

    search: Search | None = None


class AuditQuery(ListQuery, rename="camel"):
    """Which entries; `from` is inclusive, `to` exclusive."""

    collection: Annotated[str, Meta(max_length=100)] | None = None
    entity_id: Id | None = None
    actor_id: Id | None = None
    action: Action | None = None
    from_: Instant | None = msgspec.field(default=None, name="from")
    to: Instant | None = None


class TimelineQuery(_Query, rename="camel"):
    """Which version: by number, or the one that was current at an instant."""

    version: Version | None = None
    at: Instant | None = None


class SaveQuery(_Query, rename="camel"):
    """How to save."""

    dry_run: Annotated[
        bool,
        Meta(
            description="Show what would be stored, under the version that it would be, and store nothing. Without "
            "ETag: there is no such version."
        ),
    ] = False


class DiffQuery(_Query):
    """Which two versions to compare."""

    from_: Version = msgspec.field(name="from")
    to: Version


def read_query(request: HttpRequest, kind: type[Q]) -> Q:
    """The query parameters of a request. Raises Invalid naming every unknown, doubled or unfit one."""
    raw: bytes = request.scope["query_string"]
    if not raw and not _has_required(kind):
        return kind()
    values, violations = _values(raw, kind)
    try:
        query = msgspec.convert(values, kind)
    except msgspec.ValidationError:
        query, violations = None, [*violations, *_unfit(values, kind)]
    if query is not None:
        violations += [*_settled(query), *search_violations(query)]
    if query is None or violations:
        raise refusal(violations)
    return query


def require_no_query(request: HttpRequest) -> None:
    """Raises Invalid naming every parameter of an operation that takes none."""
    if request.scope["query_string"]:
        read_query(request, NoQuery)


def _values(raw: bytes, kind: type[Struct]) -> tuple[dict[str, object], list[Violation]]:
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS_MAX
        )
    except ValueError as error:
        raise refusal(
            [Violation("/", "the query is not percent-encoded UTF-8, or has too many parameters")]
        ) from error
    values: dict[str, object] = {}
    violations: list[Violation] = []
    numbers, flags = _number_and_flag_names(kind)
    for name, text in pairs:
        if name in values:
            violations.append(Violation(f"/{name}", "is given more than once"))
        values[name] = _number(text) if name in numbers else _flag(text) if name in flags else text
    return values, [*violations, *violations_in(values)]


def _number(text: str) -> int | str:
    return int(text) if len(text) <= _NUMBER_LENGTH_MAX and text.isascii() and text.isdecimal() else text


def _flag(text: str) -> bool | str:
    return text == "true" if text in ("true", "false") else text


def _unfit(values: dict[str, object], kind: type[Struct]) -> list[Violation]:
    known = ", ".join(field.encode_name for field in msgspec.structs.fields(kind)) or "none"
    unknown = f"is not a known query parameter (known: {known})"
    return [
        Violation(violation.pointer, unknown) if violation.message == "is not a known field" else violation
        for violation in violations_against(values, kind)
    ]


def _settled(query: Struct) -> list[Violation]:
    """Puts instants into UTC; answers a violation for each that cannot be kept as it is."""
    violations: list[Violation] = []
    for name, parameter in _instant_names(type(query)):
        value = getattr(query, name)
        if value is not None:
            found = list(instant_violations(value, f"/{parameter}"))
            violations += found
            if not found:
                setattr(query, name, value.astimezone(UTC))
    return violations


@lru_cache(maxsize=64)
def _instant_names(kind: type[Struct]) -> tuple[tuple[str, str], ...]:
    """The attributes that hold instants, with the parameters they come from."""
    hints = get_type_hints(kind)
    return tuple(
        (field.name, field.encode_name)
        for field in msgspec.structs.fields(kind)
        if datetime in (hints[field.name], *get_args(hints[field.name]))
    )


@lru_cache(maxsize=64)
def _number_and_flag_names(kind: type[Struct]) -> tuple[frozenset[str], frozenset[str]]:
    hints = get_type_hints(kind)
    by_kind: dict[type[Any], set[str]] = {int: set(), bool: set()}
    for field in msgspec.structs.fields(kind):
        hint = hints[field.name]
        for part in (hint, *get_args(hint)):
            if part in by_kind:
                by_kind[part].add(field.encode_name)
    return frozenset(by_kind[int]), frozenset(by_kind[bool])


@lru_cache(maxsize=64)
def _has_required(kind: type[Struct]) -> bool:
    return any(field.required for field in msgspec.structs.fields(kind))
