"""Bodies with many operations. A body is rejected as a whole only if it has no valid list of operations."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from application.tasks.bulk_operations import (
    OPERATIONS_MAX,
    CreateOperation,
    DeleteOperation,
    TaskOperation,
    UpdateOperation,
    merged_error,
    placed,
)
from domain.errors import VIOLATIONS_MAX, Invalid, RuleBroken, TandemError, Violation
from entrypoints.http.protocol.input import body_reader
from entrypoints.http.protocol.input_errors import invalid, parse, violations_against
from entrypoints.http.protocol.problems import PreconditionMissing
from entrypoints.http.protocol.schemas import Id, VersionNumber
from entrypoints.http.tasks.controller import changes_of
from entrypoints.http.tasks.schemas import TaskBody, TaskPatch


class CreateOperationBody(TaskBody, rename="camel", forbid_unknown_fields=True, tag_field="op", tag="create"):
    """One operation: create a task."""


class UpdateOperationBody(
    TaskPatch, rename="camel", forbid_unknown_fields=True, kw_only=True, tag_field="op", tag="update"
):
    """One operation: change a task (merge patch). `version` corresponds to If-Match of a single request."""

    id: Id
    version: VersionNumber | UnsetType = UNSET


class DeleteOperationBody(Struct, rename="camel", forbid_unknown_fields=True, tag_field="op", tag="delete"):
    """One operation: move a task to the trash. `version` corresponds to If-Match of a single request."""

    id: Id
    version: VersionNumber | UnsetType = UNSET


OperationBody = CreateOperationBody | UpdateOperationBody | DeleteOperationBody


class BulkBody(Struct, forbid_unknown_fields=True):
    """Operations on different tasks. `atomic`: either all of them are carried out, or none."""

    operations: Annotated[tuple[OperationBody, ...], Meta(min_length=1, max_length=OPERATIONS_MAX)]
    atomic: bool = True


_KINDS: dict[str, type[OperationBody]] = {
    "create": CreateOperationBody,
    "update": UpdateOperationBody,
    "delete": DeleteOperationBody,
}


@dataclass(frozen=True, slots=True)
class BulkRequest:
    """The operations of a request; an invalid one is represented by its error."""

    items: tuple[TaskOperation | TandemError, ...]
    is_atomic: bool

    def requiring_versions(self) -> "BulkRequest":
        """The request, with an error in place of each operation that lacks a required version."""
        return replace(self, items=tuple(map(_require_version, self.items)))

    def all_or_none(self) -> list[TaskOperation]:
        """All operations. Raises an error with all violations if some are invalid."""
        errors = [placed(each, at) for at, each in enumerate(self.items) if isinstance(each, TandemError)]
        if malformed := [each for each in errors if isinstance(each, Invalid)]:
            raise invalid(violation for each in malformed for violation in each.violations)
        if errors:
            raise merged_error(errors)
        return self.valid_operations()

    def valid_operations(self) -> list[TaskOperation]:
        """The operations without those that are invalid."""
        return [each for each in self.items if not isinstance(each, TandemError)]


def _require_version(item: TaskOperation | TandemError) -> TaskOperation | TandemError:
    if isinstance(item, UpdateOperation | DeleteOperation) and item.expected_version is None:
        return PreconditionMissing(
            "Give the version to change.", violations=[Violation("/version", "is required here")]
        )
    return item


class _Envelope(Struct, forbid_unknown_fields=True):
    """The body with its operations still undecoded."""

    operations: Annotated[list[msgspec.Raw], Meta(min_length=1, max_length=OPERATIONS_MAX)]
    atomic: bool = True


class _Outline(Struct, forbid_unknown_fields=True):
    """The schema of an envelope, to find its violations."""

    operations: Annotated[list[Any], Meta(min_length=1, max_length=OPERATIONS_MAX)]
    atomic: bool = True


class _Named(Struct):
    """The kind of an operation, without its other fields."""

    op: str


_ENVELOPES = msgspec.json.Decoder(_Envelope)
_NAMED = msgspec.json.Decoder(_Named)
_UNKNOWN = f"must be one of {', '.join(_KINDS)}"


def read_bulk(raw: bytes) -> BulkRequest:
    """The operations in the body. Raises Invalid without a list of operations, or for more than OPERATIONS_MAX."""
    try:
        envelope = _ENVELOPES.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        envelope = _split(raw, error)
    if _may_be_repeated(raw, b'"operations"', b'"atomic"') and (repeated := parse(raw)[1]):
        raise invalid(repeated)
    return BulkRequest(tuple(_items(envelope.operations)), envelope.atomic)


def _split(raw: bytes, error: Exception) -> _Envelope:
    """The envelope of a body that has a text in it which no decoder takes: that is an error in one operation. Raises
    Invalid where it is not.
    """
    tree, repeated = parse(raw)
    if violations := list(islice(chain(repeated, violations_against(tree, _Outline)), VIOLATIONS_MAX)):
        raise invalid(violations) from error
    operations = [msgspec.Raw(json.dumps(operation).encode()) for operation in tree["operations"]]
    return _Envelope(operations, tree.get("atomic", True))


def _items(operations: list[msgspec.Raw]) -> Iterator[TaskOperation | TandemError]:
    """Each operation, or its error. After VIOLATIONS_MAX violations, only the first of each operation is collected."""
    left = VIOLATIONS_MAX
    for raw in operations:
        try:
            yield _operation(bytes(raw), violations_max=max(left, 1))
        except (Invalid, RuleBroken) as error:
            left -= len(error.violations)
            yield error


def _operation(raw: bytes, *, violations_max: int) -> TaskOperation:
    body: OperationBody = body_reader(_kind_of(raw)).read(raw, violations_max=violations_max)
    if isinstance(body, CreateOperationBody):
        return CreateOperation(changes_of(body))
    expected = None if isinstance(body.version, UnsetType) else body.version
    if isinstance(body, DeleteOperationBody):
        return DeleteOperation(body.id, expected)
    return UpdateOperation(body.id, changes_of(body, without=("id", "version")), expected)


def _kind_of(raw: bytes) -> type[OperationBody]:
    """The kind of operation according to its `op`. Raises Invalid."""
    name: object
    try:
        name = _NAMED.decode(raw).op
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        name = parse(raw)[0].get("op")
    if _may_be_repeated(raw, b'"op"') and (repeated := parse(raw)[1]):
        raise invalid(repeated)
    if not isinstance(name, str) or name not in _KINDS:
        raise invalid([Violation("/op", _UNKNOWN)])
    return _KINDS[name]


def _may_be_repeated(raw: bytes, *names: bytes) -> bool:
    return any(raw.count(name) > 1 for name in names)
