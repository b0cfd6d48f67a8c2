"""What the store knows of a collection without reading it: its keys in every order the spec names."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any

from adapters.monty.sorted_keys import Key, SortedKeys
from adapters.records.record import ID, IS_DELETED, IS_ERASED, Record, is_tombstone
from adapters.records.specs import Index, RecordSpec, Scope, UniqueKey

Rank = tuple[Any, ...]

NOTHING: Rank = (0,)
"""The rank of null and missing: before everything."""

TOP: Rank = (9,)
"""Above every rank, so that (*prefix, TOP) ends the keys that begin with the prefix."""


_KINDS: dict[type, int] = {int: 1, float: 1, str: 2, bool: 4}
_INSTANT, _TREE = 5, 3


def rank(value: object) -> Rank:
    """A value as something that compares with every other value: nulls, numbers, text, trees, booleans, instants."""
    kind = _KINDS.get(type(value))
    if kind is not None:
        return (kind, value)
    if value is None:
        return NOTHING
    if isinstance(value, datetime):
        return (_INSTANT, value.timestamp())
    for plain, of_plain in _KINDS.items():
        # A member of an enumeration, and the like.
        if isinstance(value, plain):
            return (of_plain, value)
    return (_TREE, repr(value))


@dataclass(frozen=True, slots=True)
class IndexForm:
    """The order of an index, and what it holds.

    `held`: a record is in it where each of these fields has one of these ranks; with no ranks named, any but null's.
    """

    fields: tuple[str, ...]
    held: tuple[tuple[str, frozenset[Rank]], ...] = ()


@dataclass(frozen=True, slots=True)
class OrderedIndex:
    """Records of a collection, less its tombstones, in the order of some fields, of which the id is the last."""

    form: IndexForm
    pick: Callable[[Mapping[str, Rank]], Key]
    """The ranks of the fields, in their order."""
    keys: SortedKeys

    @property
    def fields(self) -> tuple[str, ...]:
        """What it is ordered by."""
        return self.form.fields

    @property
    def concerns(self) -> frozenset[str]:
        """The fields that decide whether and where it holds a record."""
        return frozenset((*self.form.fields, *(name for name, _ in self.form.held)))

    def key(self, ranks: Mapping[str, Rank]) -> Key | None:
        """The key of a record whose values have these ranks; None where the index does not hold it."""
        for name, values in self.form.held:
            if (ranks[name] not in values) if values else (ranks[name] == NOTHING):
                return None
        return self.pick(ranks)


@dataclass(frozen=True, slots=True)
class Claim:
    """Values that a record holds alone, under one unique key of its collection."""

    collection: str
    key: UniqueKey
    values: Key


@dataclass(frozen=True, slots=True)
class Move:
    """What the next state of a record claims anew, and what it gives up, under one unique key."""

    gained: Claim | None
    given_up: Claim | None


class CollectionIndexes:
    """All orders of one collection, kept in step with what is stored."""

    def __init__(self, spec: RecordSpec[Any], records: Sequence[Record] = ()) -> None:
        self._spec = spec
        self._names = tuple(_ranked_fields(spec))
        known = [self._ranks(record) for record in records if not is_tombstone(record)]
        self.orders = tuple(_ordered(form, known) for form in _forms(spec))
        self._concerns = tuple((index, index.concerns) for index in self.orders)
        erased = [(rank(record[ID]),) for record in records if is_tombstone(record)]
        self._all = SortedKeys([*erased, *self.orders[0].keys.between((), (TOP,))])
        self._unique = tuple((key, (*key.fields, IS_DELETED)) for key in spec.unique_keys)
        self._by_fields = {index.fields: index for index in reversed(self.orders)}

    def replace(self, before: Record | None, after: Record) -> None:
        """Takes note that a record has a new state."""
        if before is None:
            self._all.add((rank(after[ID]),))
        if before is None or is_tombstone(before) or is_tombstone(after):
            self._move(self.orders, self._ranks_of_living(before), self._ranks_of_living(after))
            return
        changed = {
            name: (rank(old), rank(new))
            for name in self._names
            if (old := before.get(name)) is not (new := after.get(name))
        }
        # By rank: 1 equals True, and stands elsewhere.
        moved = [name for name, (old, new) in changed.items() if old != new]
        concerned = [index for index, concerns in self._concerns if not concerns.isdisjoint(moved)]
        if concerned:
            former = self._ranks(before)
            self._move(concerned, former, {**former, **{name: new for name, (_, new) in changed.items()}})

    def _move(
        self,
        indexes: Iterable[OrderedIndex],
        before: Mapping[str, Rank] | None,
        after: Mapping[str, Rank] | None,
    ) -> None:
        for index in indexes:
            old_key = None if before is None else index.key(before)
            new_key = None if after is None else index.key(after)
            if old_key == new_key:
                continue
            if old_key is not None:
                index.keys.remove(old_key)
            if new_key is not None:
                index.keys.add(new_key)

    def ids_after(self, last_id: str | None) -> Iterator[str]:
        """The ids above one, tombstones included, in order."""
        low: Key = () if last_id is None else (rank(last_id), TOP)
        return (key[0][1] for key in self._all.between(low, (TOP,)))

    def moves(self, before: Record | None, after: Record) -> list[Move]:
        """Where the record's next state holds other values alone than the former did; what it keeps is no move."""
        moves = []
        for key, names in self._unique:
            if before is not None and all(before.get(name) is after.get(name) for name in names):
                continue
            old = None if before is None else self._claim(key, before)
            new = self._claim(key, after)
            if old != new:
                moves.append(Move(gained=new, given_up=old))
        return moves

    def holder(self, claim: Claim) -> str | None:
        """The id of the record that holds these values alone, if any does."""
        fields = _fields(claim.key.fields, live_only=claim.key.live_only)
        index = self._by_fields[fields]
        alive: list[Key] = [(rank(False),), (NOTHING,)] if claim.key.live_only else [()]  # noqa: FBT003 - a value
        for state in alive:
            prefix = (*state, *claim.values)
            for key in index.keys.between(prefix, (*prefix, TOP)):
                holder: str = key[-1][1]
                return holder
        return None

    def _claim(self, key: UniqueKey, record: Record) -> Claim | None:
        """What a state of a record holds alone. Nulls claim nothing, nor does the trash where the living count."""
        if key.live_only and record.get(IS_DELETED) is True:
            return None
        values = [record.get(name) for name in key.fields]
        return None if None in values else Claim(self._spec.collection, key, tuple(map(rank, values)))

    def _ranks(self, record: Record) -> dict[str, Rank]:
        return {name: rank(record.get(name)) for name in self._names}

    def _ranks_of_living(self, record: Record | None) -> dict[str, Rank] | None:
        return None if record is None or is_tombstone(record) else self._ranks(record)


def indexed_fields(spec: RecordSpec[Any]) -> frozenset[str]:
    """All that the indexes of a collection need to know of a record."""
    return frozenset({IS_ERASED, *_ranked_fields(spec)})


def _ranked_fields(spec: RecordSpec[Any]) -> set[str]:
    forms = _forms(spec)
    return {name for form in forms for name in (*form.fields, *(held for held, _ in form.held))}


def _forms(spec: RecordSpec[Any]) -> list[IndexForm]:
    """The form of each index of a collection; by id is the first, and holds everything."""
    unique = [
        IndexForm(_fields(key.fields, live_only=key.live_only), _present(spec, key))
        for key in spec.unique_keys
    ]
    asked = [
        IndexForm(_fields(index.fields, live_only=index.scope is Scope.LIVE), _held(spec, index))
        for index in spec.indexes
    ]
    return list(dict.fromkeys([IndexForm((ID,)), *unique, *asked]))


def _held(spec: RecordSpec[Any], index: Index) -> tuple[tuple[str, frozenset[Rank]], ...]:
    """What the index holds. Those for the living hold the trash as well, which they serve too: see `_fields`."""
    values = {} if index.scope is Scope.LIVE else index.scope.held
    return (
        *_present(spec, index),
        *((name, frozenset(map(rank, ranked))) for name, ranked in values.items()),
    )


def _present(spec: RecordSpec[Any], index: UniqueKey | Index) -> tuple[tuple[str, frozenset[Rank]], ...]:
    return tuple((name, frozenset()) for name in spec.present_in(index))


def _ordered(form: IndexForm, known: Sequence[Mapping[str, Rank]]) -> OrderedIndex:
    pick = itemgetter(*form.fields) if len(form.fields) > 1 else _only(form.fields[0])
    empty = OrderedIndex(form, pick, SortedKeys())
    keys = SortedKeys(key for ranks in known if (key := empty.key(ranks)) is not None)
    return OrderedIndex(form, pick, keys)


def late_order(form: IndexForm) -> OrderedIndex:
    """An order without a record in it yet."""
    return _ordered(form, ())


def _only(name: str) -> Callable[[Mapping[str, Rank]], Key]:
    return lambda ranks: (ranks[name],)


def _fields(fields: tuple[str, ...], *, live_only: bool) -> tuple[str, ...]:
    """An index that serves the living is led by whether a record lives, so that it serves the trash as well."""
    named = (IS_DELETED, *fields) if live_only else fields
    return named if named[-1] == ID else (*named, ID)
