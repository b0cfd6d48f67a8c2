"""Which entries only one of two stores holds, and which of them belong together."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS
from domain.errors import Conflict

PAGE = 1_000
ENTRIES_MAX = 300_000
"""So many entries that only one store holds are kept in mind; their content stays in the stores."""

RecordKey = tuple[str, str]
"""The collection and the id of a record."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What is kept in mind of an entry."""

    id: str
    change_set: str
    record: RecordKey
    version: int


@dataclass(frozen=True, slots=True)
class Group:
    """Change sets that are connected by a record: `own` are those of the source that the target lacks, `theirs` those
    of the target that the source lacks. Both in the order of their ids.
    """

    own: tuple[Trace, ...]
    theirs: tuple[Trace, ...]

    @property
    def records(self) -> tuple[RecordKey, ...]:
        """The records of all entries, each once."""
        return tuple(dict.fromkeys(trace.record for trace in (*self.own, *self.theirs)))


@dataclass(frozen=True, slots=True)
class Divergence:
    """The entries that only the source holds, and those that only the target holds."""

    own: Sequence[Trace]
    theirs: Sequence[Trace]

    def groups(self, connected: Iterable[tuple[RecordKey, RecordKey]] = ()) -> list[Group]:
        """The groups; `connected` names records that belong together for another reason."""
        sets = _Sets()
        for trace in (*self.own, *self.theirs):
            sets.join(trace.record, trace.change_set)
        for first, second in connected:
            sets.join(first, second)
        own: dict[object, list[Trace]] = defaultdict(list)
        theirs: dict[object, list[Trace]] = defaultdict(list)
        for traces, by_set in ((self.own, own), (self.theirs, theirs)):
            for trace in traces:
                by_set[sets.of(trace.record)].append(trace)
        return [Group(tuple(own[one]), tuple(theirs[one])) for one in dict.fromkeys([*own, *theirs])]


async def divergence_of(source: RecordStore, target: RecordStore) -> Divergence:
    """Reads all entries of both stores, in the order of their ids. Neither may be written meanwhile.

    Raises Conflict beyond ENTRIES_MAX differences, and StoreUnavailable.
    """
    own: list[Trace] = []
    theirs: list[Trace] = []
    ours, others = _entries(source), _entries(target)
    left, right = await anext(ours, None), await anext(others, None)
    while left is not None or right is not None:
        if left is not None and (right is None or left[ID] < right[ID]):
            own.append(_trace(left))
            left = await anext(ours, None)
        elif right is not None and (left is None or right[ID] < left[ID]):
            theirs.append(_trace(right))
            right = await anext(others, None)
        else:
            left, right = await anext(ours, None), await anext(others, None)
        if len(own) + len(theirs) > ENTRIES_MAX:
            raise Conflict(
                f"The stores differ by more than {ENTRIES_MAX} changes. Restore a newer copy of {source.name}, or let"
                f" {target.name} own the writes, which gives up what only {source.name} holds: tandem recover"
                " --from-target"
            )
    return Divergence(own, theirs)


async def _entries(store: RecordStore) -> AsyncIterator[Record]:
    after: str | None = None
    while page := await store.scan(AUDIT_LOGS.collection, after=after, limit=PAGE):
        for entry in page:
            yield entry
        after = page[-1][ID]


def _trace(entry: Record) -> Trace:
    record = (entry["collection"], entry["entityId"])
    return Trace(entry[ID], entry["changeSetId"], record, entry[VERSION])


class _Sets:
    """Disjoint sets of names, joined in pairs."""

    def __init__(self) -> None:
        self._parents: dict[object, object] = {}

    def of(self, name: object) -> object:
        """The name that stands for the set of this one."""
        root = name
        while (parent := self._parents.get(root, root)) != root:
            root = parent
        while name != root:
            self._parents[name], name = root, self._parents[name]
        return root

    def join(self, first: object, second: object) -> None:
        """Joins the sets of both."""
        self._parents.setdefault(first, first)
        self._parents.setdefault(second, second)
        self._parents[self.of(second)] = self.of(first)
