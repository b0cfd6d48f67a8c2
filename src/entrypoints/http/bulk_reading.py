"""The body of many operations: the whole decides whether there is a list, each operation stands or falls by itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Annotated

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
from entrypoints.http.body_reading import reader_of
from entrypoints.http.bulk_shapes import (
    CreateOperationBody,
    DeleteOperationBody,
    OperationBody,
    UpdateOperationBody,
)
from entrypoints.http.faults import violations_against
from entrypoints.http.json_tree import parse, refusal
from entrypoints.http.refusals import PreconditionMissing
from entrypoints.http.tasks import changes_of

_KINDS: dict[str, type[OperationBody]] = {
    "create": CreateOperationBody,
    "update": UpdateOperationBody,
    "delete": DeleteOperationBody,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for: at each place an operation, or why it cannot be one."""

    items: tuple[TaskOperation | TandemError, ...]
    is_atomic: bool

    def all_or_none(self) -> list[TaskOperation]:
        """Every operation. Raises the violations of all that are none."""
        errors = [placed(each, at) for at, each in enumerate(self.items) if isinstance(each, TandemError)]
        if malformed := [each for each in errors if isinstance(each, Invalid)]:
            raise refusal(violation for each in malformed for violation in each.violations)
        if errors:
            raise merged_error(errors)
        return self.sound()

    def sound(self) -> list[TaskOperation]:
        """The operations without what cannot be one."""
        return [each for each in self.items if not isinstance(each, TandemError)]


class _Envelope(Struct, forbid_unknown_fields=True):
    """The list, its elements not looked at."""

    operations: Annotated[list[msgspec.Raw], Meta(min_length=1, max_length=OPERATIONS_MAX)]
    atomic: bool = True


class _Outline(Struct, forbid_unknown_fields=True):
    """What an envelope must be, for saying what one is not."""

    operations: Annotated[list[object], Meta(min_length=1, max_length=OPERATIONS_MAX)]
    atomic: bool = True


class _Named(Struct):
    """An operation of which only the kind is known."""

    op: str


_ENVELOPES = msgspec.json.Decoder(_Envelope)
_NAMED = msgspec.json.Decoder(_Named)
_UNKNOWN = f"must be one of {', '.join(_KINDS)}"


def read_bulk(raw: bytes, *, needs_versions: bool) -> Asked:
    """What the body asks for. Raises Invalid where it is no list of operations, or one of more than OPERATIONS_MAX."""
    try:
        envelope = _ENVELOPES.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        tree, doubled = parse(raw)
        raise refusal(chain(doubled, violations_against(tree, _Outline))) from error
    if _may_be_doubled(raw, b'"operations"', b'"atomic"') and (doubled := parse(raw)[1]):
        raise refusal(doubled)
    return Asked(tuple(_items(envelope.operations, needs_versions=needs_versions)), envelope.atomic)


def _items(operations: list[msgspec.Raw], *, needs_versions: bool) -> Iterator[TaskOperation | TandemError]:
    """Each operation, or why it cannot be one. After VIOLATIONS_MAX violations a single one of each is looked for."""
    left = VIOLATIONS_MAX
    for raw in operations:
        try:
            yield _operation(bytes(raw), needs_versions=needs_versions, violations_max=max(left, 1))
        except (Invalid, PreconditionMissing, RuleBroken) as error:
            left -= len(error.violations)
            yield error


def _operation(raw: bytes, *, needs_versions: bool, violations_max: int) -> TaskOperation:
    body: OperationBody = reader_of(_kind_of(raw)).read(raw, violations_max=violations_max)
    if isinstance(body, CreateOperationBody):
        return CreateOperation(changes_of(body))
    version: int | UnsetType = body.version
    if version is UNSET and needs_versions:
        raise PreconditionMissing(
            "Say which version you mean to change.", violations=[Violation("/version", "is required here")]
        )
    expected = None if isinstance(version, UnsetType) else version
    if isinstance(body, DeleteOperationBody):
        return DeleteOperation(body.id, expected)
    changes = changes_of(body, without=("id", "version"))
    return UpdateOperation(body.id, changes, expected)


def _kind_of(raw: bytes) -> type[OperationBody]:
    """The kind of body that an operation says it is. Raises Invalid."""
    try:
        name = _NAMED.decode(raw).op
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refusal(_nameless(raw)) from error
    if _may_be_doubled(raw, b'"op"') and (doubled := parse(raw)[1]):
        raise refusal(doubled)
    if name not in _KINDS:
        raise refusal([Violation("/op", _UNKNOWN)])
    return _KINDS[name]


def _nameless(raw: bytes) -> Iterator[Violation]:
    """What is wrong with an operation that does not say what it is."""
    is_object = raw.lstrip().startswith(b"{")
    yield Violation("/op", _UNKNOWN) if is_object else Violation("", "must be a JSON object")


def _may_be_doubled(raw: bytes, *names: bytes) -> bool:
    return any(raw.count(name) > 1 for name in names)
