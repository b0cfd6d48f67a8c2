"""Requests for the conformance tests: generated ones, and one plain valid request per operation, which must succeed
for a caller who is allowed to send it.
"""

import json
from collections.abc import Callable
from functools import cache
from itertools import count
from typing import Any, Final

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from tests.integration.interface_fixtures import Json, Things
from tests.unit.entrypoints.http.openapi_copy import COPY

_NUMBERS = count(1)
_KEYS: Final = {
    "taskId": "task",
    "projectId": "project",
    "teamId": "team",
    "labelId": "label",
    "entityId": "task",
    "ownerId": "member",
    "pocId": "member",
    "executorId": "member",
    "actorId": "owner",
    "createdBy": "owner",
    "parentId": "assigned",
    "labelIds": "label",
    "userIds": "newcomer",
    "code": "code",
    "refreshToken": "refreshToken",
}
"""Which thing a field of a body or of a query names."""
_CONDITIONS: Final = frozenset({"if-match", "if-none-match", "idempotency-key"})
_PLAN: Final = {
    "items": [{"id": "a", "duration": 3}, {"id": "b"}],
    "dependencies": [{"from": "a", "to": "b"}],
}


def _assignment(things: Things) -> Json:
    return {"assigneeId": things["team"], "assigneeType": "TEAM"}


def _bulk(things: Things) -> Json:
    operations = [{"op": "create", "title": "Mow"}, {"op": "update", "id": things["task"], "status": "DONE"}]
    return {"operations": operations}


DISCARD: Final = "POST /v1/sync/failures/{collection}/{id}/discard"
OF_THE_MIRROR: Final = frozenset(
    {DISCARD, "POST /v1/sync/failures/{collection}/{id}/retry", "POST /v1/sync/failures/retry"}
)
"""Without a mirror, or without anything to discard, they conflict with the state of the service."""

MOVE_STEPS: Final = frozenset(
    f"POST /v1/move/{step}"
    for step in (
        *(
            "repair",
            "routes",
            "rehearse",
            "cutover",
            "rollback",
            "finish",
            "retire",
            "recover",
            "pause",
            "resume",
        ),
        *("quarantine/{record}/fix", "quarantine/{record}/skip"),
    )
)
"""They conflict with the first phase of a move, and nothing is in quarantine yet."""
MIRRORED_STEPS: Final = frozenset({"POST /v1/move/backfill", "POST /v1/move/verify"})
"""They conflict where there is one store."""

_BODIES: Final[dict[str, Callable[[Things], Json]]] = {
    "POST /v1/auth/dev/token": lambda _: {"email": _new("eve") + "@example.org"},
    "POST /v1/auth/dev/session": lambda _: {"email": _new("eve") + "@example.org"},
    "POST /v1/auth/logout": lambda things: {"refreshToken": things["refreshToken"]},
    "POST /v1/auth/refresh": lambda things: {"refreshToken": things["refreshToken"]},
    "POST /v1/labels": lambda _: {"name": _new("dry")},
    "PATCH /v1/labels/{id}": lambda _: {"name": _new("damp")},
    "POST /v1/projects": lambda things: {"name": _new("Park"), "teamId": things["team"]},
    "PATCH /v1/projects/{id}": lambda _: {"status": "ARCHIVED"},
    "PUT /v1/projects/{id}/timeline": lambda _: _PLAN,
    "PATCH /v1/projects/{id}/timeline": lambda _: _PLAN,
    "POST /v1/roles": lambda _: {"name": _new("keeper"), "scope": "TEAM", "permissions": ["CHANGE_TEAM"]},
    "PATCH /v1/roles/{id}": lambda _: {"description": "Plans."},
    "POST /v1/task-assignments": lambda things: _assignment(things) | {"taskId": things["task"]},
    "PATCH /v1/task-assignments/{id}": lambda things: {"executorId": things["member"]},
    DISCARD: lambda _: {"reason": "The target holds the newer text."},
    "POST /v1/tasks": lambda things: {
        "title": "Weed",
        "projectId": things["project"],
        "labelIds": [things["label"]],
    },
    "PATCH /v1/tasks/{id}": lambda _: {"status": "IN_PROGRESS"},
    "POST /v1/tasks/{id}/assign": _assignment,
    "POST /v1/tasks/{id}/defer": lambda _: {"deferredTill": "2099-01-01T00:00:00.000Z"},
    "POST /v1/tasks/bulk": _bulk,
    "POST /v1/teams": lambda _: {"name": "Diggers"},
    "PATCH /v1/teams/{id}": lambda things: {"pocId": things["member"]},
    "POST /v1/teams/join": lambda things: {"code": things["code"]},
    "POST /v1/teams/{id}/members": lambda things: {"userIds": [things["newcomer"]]},
    "POST /v1/users": lambda _: {"email": _new("adam") + "@example.org"},
    "POST /v1/users/me/tokens": lambda _: {"name": _new("script"), "scopes": ["read"]},
    "PATCH /v1/users/{id}": lambda _: {"name": "Eve"},
    "POST /v1/move/recover": lambda _: {},
    "POST /v1/move/rollback": lambda _: {},
    "POST /v1/move/routes": lambda _: {"collection": "all", "targetPercent": 1},
    "POST /v1/move/quarantine/{record}/fix": lambda _: {"reason": "The title was cut."},
    "POST /v1/move/quarantine/{record}/skip": lambda _: {"reason": "It is a draft."},
}
"""The plain bodies, by operation."""

_ISSUE: Final = {
    "id": "bd-1",
    "title": "Dig",
    "status": "open",
    "priority": 2,
    "created_at": "2025-10-27T22:55:44Z",
}
_FILES: Final = {"POST /v1/imports": json.dumps(_ISSUE)}
"""The plain files, by operation."""

_QUERIES: Final = {"POST /v1/imports": {"format": "beads"}, "GET /v1/exports": {"format": "beads"}}
"""The parameters that a plain question cannot do without."""


@cache
def operations() -> dict[str, Any]:
    """Every operation of the document, by method and path. Read once: each mode is compared with this copy."""
    return operations_of(json.loads(COPY.read_text("utf-8")))


def operations_of(document: Json) -> dict[str, Any]:
    """The same of another document."""
    schema: Any = schemathesis.openapi.from_dict(document)
    found = [result.ok() for result in schema.get_all_operations()]
    return {f"{operation.method.upper()} {operation.path}": operation for operation in found}


@cache
def generated(name: str, examples_max: int) -> tuple[list[Any], list[Any]]:
    """Questions that fit the operation, and questions that do not; made once, so every mode is asked the same."""
    operation = operations()[name]
    fitting, unfitting = [
        _examples(operation, mode, examples_max)
        if mode.is_positive or list(operation.iter_parameters()) or operation.body
        else []
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    ]
    return fitting, unfitting


def _examples(operation: Any, mode: schemathesis.GenerationMode, examples_max: int) -> list[Any]:
    found: list[Any] = []

    @settings(
        max_examples=examples_max,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def collect(case: Any) -> None:
        found.append(case)

    collect()
    return found


def plain(name: str, address: dict[str, str], things: Things) -> Any:
    """The question that nobody could misunderstand."""
    operation = operations()[name]
    body = {"version": 1} if name.endswith("/rollback") else None
    if name in _BODIES:
        body = _BODIES[name](things)
    query = {"from": 1, "to": 2} if name.endswith("/diff") else _QUERIES.get(name, {})
    more = {} if body is None else {"body": body, "media_type": "application/json"}
    if name in _FILES:
        more = {"body": _FILES[name], "media_type": "text/plain"}
    return operation.Case(path_parameters=address, query=query, **more)


def led(case: Any, address: dict[str, str]) -> Any:
    """The same question about something that is there."""
    return _changed(case, path_parameters={**(case.path_parameters or {}), **address})


def aimed(case: Any, address: dict[str, str], things: Things) -> Any:
    """The same question with every id leading to something that is there, and under no condition."""
    query = {key: value for key, value in (case.query or {}).items() if key != "cursor"}
    headers = {key: value for key, value in (case.headers or {}).items() if key.lower() not in _CONDITIONS}
    return _changed(
        led(case, address), query=_named(query, things), headers=headers, body=_named(case.body, things)
    )


def _changed(case: Any, **parts: Any) -> Any:
    kept = {
        name: getattr(case, name) for name in ("path_parameters", "headers", "query", "body", "media_type")
    }
    return case.operation.Case(**{**kept, **parts})


def _named(value: Any, things: Things) -> Any:
    """The value with known ids wherever a field names one."""
    if isinstance(value, list):
        return [_named(each, things) for each in value]
    if not isinstance(value, dict):
        return value
    known = {**_KEYS, "assigneeId": "team" if value.get("assigneeType") == "TEAM" else "member"}
    if "op" in value:
        known["id"] = "task"
    if "duration" in value or "kind" in value:
        del known["parentId"]  # of an item of a plan
    return {
        key: _replaced(part, things[known[key]])
        if part is not None and things.get(known.get(key, ""))
        else _named(part, things)
        for key, part in value.items()
    }


def _replaced(value: Any, known: str) -> Any:
    if isinstance(value, list):
        return [known, *value[:1]] if value else value
    return known


def _new(word: str) -> str:
    return f"{word} {next(_NUMBERS)}".replace(" ", "-")
