"""The stored records that could not be decoded, or fit no entity, by name, until they can be read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.records.criteria import Question
from adapters.records.record import CorruptRecord, Record, is_tombstone
from adapters.records.record_store import RecordStore
from adapters.records.specs import SPECS
from adapters.records.wrapped_store import Answer
from domain.errors import StoreUnavailable

DAMAGED_MAX = 100
"""Damage that is remembered; the oldest is forgotten, and found again when somebody reads it."""

Key = tuple[str, str]
"""The collection and the id of a record; the id is empty until it is known."""


@dataclass(slots=True)
class _Damage:
    """`suspects`: the records among which it is, by collection; empty where the call does not name any."""

    suspects: Mapping[str, Sequence[str]]
    again: Callable[[], Answer[Any]]


class DamagedRecords:
    """Reads of several records fail as a whole, so the damaged one is looked for when somebody asks for the state."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store
        self._found: dict[Key, _Damage] = {}

    @property
    def words(self) -> str | None:
        """Which record is damaged and what to do; None where none is known to be."""
        if not self._found:
            return None
        collection, id = min(self._found, key=lambda key: key[1] == "")
        name = f"{collection} {id}" if id else f"one of {collection}"
        others = f" {len(self._found) - 1} more are damaged." if len(self._found) > 1 else ""
        return f"A stored record is damaged ({name}): restore it from a copy.{others}"

    @property
    def count(self) -> int:
        """How many are known, up to DAMAGED_MAX."""
        return len(self._found)

    def note_unfit(self, collection: str, error: CorruptRecord, question: Question | None) -> None:
        """Notes a record that was decoded and fits no entity; `question` finds it where its id is no text."""
        record_id = error.record_id or ""
        if record_id.startswith("(") and question is not None:
            self._add((collection, record_id), _Damage({}, lambda: self._require_fit(record_id, question)))
        else:
            self._add((collection, record_id), _Damage({collection: [record_id]}, _nothing))

    def note(
        self,
        again: Callable[[], Answer[Any]],
        operation: str,
        arguments: tuple[Any, ...],
        error: CorruptRecord,
    ) -> None:
        """Notes that a read met a damaged record; `again` repeats the read."""
        suspects = _suspects(operation, arguments)
        collection = ", ".join(suspects) or str(getattr(arguments[0], "collection", arguments[0]))
        ids = [id for of_collection in suspects.values() for id in of_collection]
        id = error.record_id or (ids[0] if len(ids) == 1 else "")
        if error.record_id:
            collection = next((name for name, some in suspects.items() if id in some), collection)
            suspects = {collection: [id]}
        self._add((collection, id), _Damage(suspects, again))

    async def check(self) -> None:
        """Reads again what was damaged, and finds out which record it is. Raises nothing."""
        for key, damage in list(self._found.items()):
            try:
                found = await self._damaged_of(key, damage)
            except StoreUnavailable:
                return
            if found != key:
                del self._found[key]
            if found is not None and found != key:
                self._add(found, _Damage({found[0]: [found[1]]}, damage.again))

    async def _damaged_of(self, key: Key, damage: _Damage) -> Key | None:
        """The damaged record, with its name if that can be told; None once everything can be read."""
        if not damage.suspects:
            try:
                await damage.again()
            except CorruptRecord:
                return key
            return None
        for collection, ids in damage.suspects.items():
            for id in ids:
                try:
                    for record in (await self._store.fetch(collection, [id])).values():
                        _require_entity(collection, record)
                except CorruptRecord:
                    return collection, id
        return None

    async def _require_fit(self, record_id: str, question: Question) -> None:
        """Raises CorruptRecord while the question still finds the record, which fits no entity."""
        for record in await self._store.find(question):
            try:
                _require_entity(question.collection, record)
            except CorruptRecord as error:
                if error.record_id == record_id:
                    raise

    def _add(self, key: Key, damage: _Damage) -> None:
        if len(self._found) >= DAMAGED_MAX and key not in self._found:
            del self._found[next(iter(self._found))]
        self._found[key] = damage


async def _nothing() -> None:
    """Repeats no read: the record is looked for by its id."""


def _require_entity(collection: str, record: Record) -> None:
    """Raises CorruptRecord where the record fits no entity."""
    if not is_tombstone(record):
        SPECS[collection].entity(record)


def _suspects(operation: str, arguments: tuple[Any, ...]) -> Mapping[str, Sequence[str]]:
    if operation == "fetch":
        return {arguments[0]: list(arguments[1])}
    return dict(arguments[0]) if operation == "gather" else {}
