"""The error for two stores that differ."""

from collections.abc import Sequence
from typing import Final

from application.ports.migration import Difference
from domain.errors import Conflict

NAMED_MAX: Final = 5
VERIFY: Final = "Type: tandem move verify --full"


class StoresDiffer(Conflict):
    """The stores differ, or it cannot be known whether they do; the message names the first of `differences`."""

    def __init__(self, message: str, differences: Sequence[Difference] = ()) -> None:
        super().__init__(message)
        self.differences = tuple(differences)


def named(found: Sequence[Difference], *, count: int) -> str:
    """The first of `count` differences, and what to type."""
    records = [
        f"{one.collection} {one.id} ({one.kind}{': ' if one.fields else ''}{', '.join(one.fields)})"
        for one in found[:NAMED_MAX]
    ]
    more = f" and {count - NAMED_MAX} more" if count > NAMED_MAX else ""
    return (
        f"{count} records differ that were equal or have changed since the stores were compared:"
        f" {'; '.join(records)}{more}. {VERIFY}, then: tandem move repair"
    )
