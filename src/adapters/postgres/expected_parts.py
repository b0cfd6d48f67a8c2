"""The indexes and checks that the tables must have, derived from the specs, each with the statement that makes it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from adapters.postgres.columns import NEVER_NULL_COLUMNS, WORDS, column_of
from adapters.postgres.conditions import checks_of, condition_of
from adapters.postgres.expected_columns import PRIMARY_KEYS
from adapters.records.record import ID
from adapters.records.specs import ALL_SPECS, RecordSpec

TRIGGER: Final = "tandem_foreign_change"
"""The only trigger that Tandem makes, on every table with records."""
BTREE, GIN = "btree", "gin"
CHECKS: Final[Mapping[str, Mapping[str, str]]] = {spec.table: checks_of(spec) for spec in ALL_SPECS}
"""The conditions of the checks of each table, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedIndex:
    """An index by its table and name; `condition` as the specs say it, None for an index of all rows."""

    table: str
    name: str
    columns: tuple[str, ...]
    condition: str | None = None
    is_unique: bool = False
    method: str = BTREE

    @property
    def creation(self) -> str:
        """The statement that makes it."""
        kind = "UNIQUE INDEX" if self.is_unique else "INDEX"
        where = "" if self.condition is None else f" WHERE {self.condition}"
        return (
            f"CREATE {kind} {self.name} ON {self.table} USING {self.method} ({', '.join(self.keys)}){where}"
        )

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns with their order."""
        return tuple(
            f"{column} NULLS FIRST" if self.has_nulls_first(column) else column for column in self.columns
        )

    def has_nulls_first(self, column: str) -> bool:
        """A key is only looked up. Other indexes are read in order, too: nulls first ascending, and so last when read
        backwards, so that one index serves both directions.
        """
        is_in_order = not self.is_unique and self.method == BTREE
        return is_in_order and column not in {PRIMARY_KEYS[self.table], *NEVER_NULL_COLUMNS}


def _indexes_of(spec: RecordSpec[Any]) -> Iterator[ExpectedIndex]:
    for key in spec.unique_keys:
        columns = tuple(column_of(spec.field(name)) for name in key.fields)
        condition = condition_of(spec, key)
        yield ExpectedIndex(
            table=spec.table, name=key.name, columns=columns, condition=condition, is_unique=True
        )
    for index in spec.indexes:
        columns = tuple(column_of(spec.field(name)) for name in dict.fromkeys((*index.fields, ID)))
        condition = condition_of(spec, index)
        yield ExpectedIndex(table=spec.table, name=index.name, columns=columns, condition=condition)
    if spec.text_fields:
        yield ExpectedIndex(table=spec.table, name=f"{spec.collection}_words", columns=(WORDS,), method=GIN)


INDEXES: Final[tuple[ExpectedIndex, ...]] = (
    *(index for spec in ALL_SPECS for index in _indexes_of(spec)),
    *(
        ExpectedIndex(
            table=table, name=f"{table}_compared", columns=("lane",), condition="NOT is_checkpointed"
        )
        for table in ("tandem_lanes", "tandem_seen")
    ),
)
"""All indexes besides the primary keys."""
