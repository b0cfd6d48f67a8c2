"""Requests that must be refused, whatever the stores: what is wrong with each, the status, and where the fault is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from entrypoints.http.protocol.request import BODY_BYTES_MAX

ID: Final = "{id}"
"""Stands for the id of a project of the caller's, at version 2, named Garden."""
NOBODY: Final = "f" * 24
CODES: Final = {
    400: "invalid",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "already_exists",
    412: "version_conflict",
    413: "body_too_large",
    415: "unsupported_media_type",
    422: "rule_broken",
}
"""The code that each of these refusals carries."""
PROJECT: Final = f"/v1/projects/{ID}"
RENAMED: Final = {"name": "Park"}
BIG: Final = b'{"name": "x", "description": "' + b"y" * BODY_BYTES_MAX + b'"}'


@dataclass(frozen=True, slots=True)
class RejectedRequest:
    """One request. `given` is what JourneyService.call takes: a body, bytes, a media type, headers."""

    what: str
    method: str
    path: str
    status: int
    at: Sequence[str] = ()
    given: Mapping[str, Any] = field(default_factory=dict)


REJECTED_REQUESTS: Final = (
    RejectedRequest("unknown query parameter", "GET", "/v1/projects?colour=red", 400, at=["/colour"]),
    RejectedRequest(
        "query where there is none", "POST", "/v1/projects?x=1", 400, at=["/x"], given={"body": RENAMED}
    ),
    RejectedRequest("query twice", "GET", "/v1/tasks?limit=1&limit=2", 400, at=["/limit"]),
    RejectedRequest("limit of none", "GET", "/v1/tasks?limit=0", 400, at=["/limit"]),
    RejectedRequest("limit beyond 200", "GET", "/v1/tasks?limit=201", 400, at=["/limit"]),
    RejectedRequest("limit that is no number", "GET", "/v1/tasks?limit=many", 400, at=["/limit"]),
    RejectedRequest("order that is none", "GET", "/v1/tasks?sort=title", 400, at=["/sort"]),
    RejectedRequest("NUL in words", "GET", "/v1/tasks?q=a%00b", 400, at=["/q"]),
    RejectedRequest("lone surrogate in words", "GET", "/v1/tasks?q=%ED%A0%80", 400, at=["/"]),
    RejectedRequest(
        "instant without zone", "GET", "/v1/tasks?dueAfter=2026-01-01T00:00:00", 400, at=["/dueAfter"]
    ),
    RejectedRequest("id that is none, in a query", "GET", "/v1/tasks?projectId=1", 400, at=["/projectId"]),
    RejectedRequest("cursor of nobody", "GET", "/v1/tasks?cursor=abc", 400, at=["/cursor"]),
    RejectedRequest(
        "version beyond 63 bits", "GET", f"{PROJECT}/timeline?version={2**63}", 400, at=["/version"]
    ),
    RejectedRequest("diff of one", "GET", f"{PROJECT}/diff?from=1", 400, at=["/to"]),
    RejectedRequest("id that is none", "GET", "/v1/projects/1", 404),
    RejectedRequest("id with capitals", "PATCH", f"/v1/projects/{'A' * 24}", 404, given={"body": RENAMED}),
    RejectedRequest("id with a NUL", "DELETE", "/v1/projects/%00", 404),
    RejectedRequest("id nobody has", "DELETE", f"/v1/projects/{NOBODY}", 404),
    RejectedRequest("address of nothing", "GET", "/v1/nothing", 404),
    RejectedRequest("collection of nothing", "GET", f"/v1/sync/status/shoes/{ID}", 404),
    RejectedRequest("method of nothing", "PUT", PROJECT, 405, given={"body": RENAMED}),
    RejectedRequest("plain text", "POST", "/v1/projects", 415, given={"raw": b"{}", "kind": "text/plain"}),
    RejectedRequest(
        "merge patch that creates",
        "POST",
        "/v1/projects",
        415,
        given={"body": RENAMED, "kind": "application/merge-patch+json"},
    ),
    RejectedRequest("body over a mebibyte", "POST", "/v1/projects", 413, given={"raw": BIG}),
    RejectedRequest(
        "description too long",
        "POST",
        "/v1/projects",
        400,
        at=["/description"],
        given={"body": {"name": "x", "description": "y" * 10_001}},
    ),
    RejectedRequest(
        "integer beyond 63 bits",
        "POST",
        f"{PROJECT}/rollback",
        400,
        at=["/version"],
        given={"raw": b'{"version": 9223372036854775808}'},
    ),
    RejectedRequest(
        "If-Match without quotes",
        "PATCH",
        PROJECT,
        400,
        at=["/If-Match"],
        given={"body": RENAMED, "If_Match": "2"},
    ),
    RejectedRequest("If-Match half open", "DELETE", PROJECT, 400, at=["/If-Match"], given={"If_Match": '"2'}),
    RejectedRequest("If-Match weak", "PATCH", PROJECT, 412, given={"body": RENAMED, "If_Match": 'W/"2"'}),
    RejectedRequest(
        "If-Match of another time", "PATCH", PROJECT, 412, given={"body": RENAMED, "If_Match": '"7"'}
    ),
    RejectedRequest("If-Match stale, deleting", "DELETE", PROJECT, 412, given={"If_Match": '"1"'}),
    RejectedRequest(
        "key with a space",
        "POST",
        "/v1/projects",
        400,
        at=["/Idempotency-Key"],
        given={"body": RENAMED, "Idempotency_Key": "a b"},
    ),
    RejectedRequest(
        "key too long",
        "PATCH",
        PROJECT,
        400,
        at=["/Idempotency-Key"],
        given={"body": RENAMED, "Idempotency_Key": "k" * 256},
    ),
    RejectedRequest(
        "name that is taken",
        "POST",
        "/v1/projects",
        409,
        at=["/name"],
        given={"body": {"name": "Garden"}},
    ),
    RejectedRequest(
        "owner who is nobody", "PATCH", PROJECT, 422, at=["/ownerId"], given={"body": {"ownerId": NOBODY}}
    ),
    RejectedRequest(
        "version that never was", "POST", f"{PROJECT}/rollback", 404, given={"body": {"version": 9}}
    ),
    RejectedRequest(
        "plan without its items",
        "PUT",
        f"{PROJECT}/timeline",
        422,
        at=["/dependencies/0/from", "/dependencies/0/to"],
        given={"body": {"dependencies": [{"from": "a", "to": "b"}]}},
    ),
    RejectedRequest("not an administrator", "POST", "/v1/sync/failures/retry", 403),
)
