"""Change sets that take a target too long: because of themselves, or because their table is slow."""

from collections import Counter
from collections.abc import Iterable, Sequence

from adapters.records.change_set import ApplyOutcome, Blocked, ChangeSet, Rejection
from adapters.records.specs import SPECS

SLOW_IN_A_ROW_MAX = 2
"""After so many change sets of one table that were alone and took too long, the rest of the delivery waits: trying each
of them would take hours.
"""


class SlowTables:
    """What one delivery has learned about the tables of its change sets."""

    def __init__(self, store: str) -> None:
        """`store` is the name of the target."""
        self._store = store
        self._in_a_row: Counter[str] = Counter()
        self._last: dict[str, Blocked] = {}

    def blocking(self, change_set: ChangeSet) -> Blocked | None:
        """The outcome of a change set that waits for the next delivery, if it does. Whether its table is slow is found
        out with a record that the target holds already.
        """
        for collection, record_id in change_set.touched():
            if self._in_a_row[collection] >= SLOW_IN_A_ROW_MAX:
                last = self._last[collection]
                cause = f"Others of this delivery took too long, so it waits for the next one. {last.cause}"
                place = SPECS[collection].place_in(self._store)
                return Blocked(collection, place, cause, last.sqlstate, record_id)
        return None

    def learn(self, change_sets: Sequence[ChangeSet], outcomes: Iterable[ApplyOutcome]) -> None:
        """Notes what became of change sets that were sent together."""
        slow: list[tuple[str, Blocked]] = []
        for change_set, outcome in zip(change_sets, outcomes, strict=True):
            for name in tables_of(change_set):
                if isinstance(outcome, Blocked) and outcome.is_slow:
                    slow.append((name, outcome))
                elif not isinstance(outcome, Rejection | Blocked):
                    self._in_a_row.pop(name, None)
        for name, outcome in slow:
            self._in_a_row[name] += 1
            self._last[name] = outcome


def slow_table(collection: str, found: Blocked, *, store: str) -> Blocked:
    """The outcome for everything of a table on which not only one change set is slow."""
    cause = f"Others of this table are not stored in time either. {found.cause}"
    return Blocked(collection, SPECS[collection].place_in(store), cause, found.sqlstate)


def tables_of(change_set: ChangeSet) -> frozenset[str]:
    """The collections whose records the change set changes."""
    return frozenset(put.collection for put in change_set.puts)
