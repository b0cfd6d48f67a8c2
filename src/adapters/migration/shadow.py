"""Shadow reads: the target repeats reads that the source has answered, after the response, and both are compared.

A difference counts only if it is still there after a pause, and if the records in question have no undelivered entries:
everything else is the mirror on its way.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loguru import logger

from adapters.records.criteria import AllOf, Equals, OneOf
from adapters.records.indexes import UNDELIVERED_ENTRIES
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS
from application.ports.migration import DifferenceKind
from domain.errors import StoreUnavailable

SHADOWS_MAX = 8
"""So many shadow reads run at once; reads beyond are not compared, and counted as skipped."""
DELAY_SECONDS = 0.02
"""The response is sent first."""
PAUSES_SECONDS = (0.25, 1.0)
"""The pauses before the second and third comparison."""
SECONDS_MAX = 5.0
IDS_KEPT_MAX = 10
FIELDS_KEPT_MAX = 20
ORDER, COUNT = "ORDER", "COUNT"
"""Equal records in another order; another number of records."""

Answer = Any
Read = Callable[[RecordStore], Coroutine[Any, Any, Answer]]
AtTarget = Callable[[Read], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class ShadowDifference:
    """How two answers differ: names only, never values. `ids` and `fields` are the first few of them."""

    collection: str
    kind: str
    ids: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()


def differences_between(collection: str, source: Answer, target: Answer) -> list[ShadowDifference]:
    """How the target's answer to one read differs: a number, records by id, or records in order."""
    if isinstance(source, int):
        return [] if source == target else [ShadowDifference(collection, COUNT)]
    held, other = _by_id(source), _by_id(target)
    ids: dict[str, list[str]] = {}
    fields: dict[str, set[str]] = {}
    for record_id in held.keys() | other.keys():
        kind, changed = _compared(held.get(record_id), other.get(record_id))
        if kind is not None:
            ids.setdefault(kind, []).append(record_id)
            fields.setdefault(kind, set()).update(changed)
    if not ids and isinstance(source, list) and [*held] != [*other]:
        moved = [one for one, its in zip(held, other, strict=True) if one != its]
        return [ShadowDifference(collection, ORDER, tuple(moved[:IDS_KEPT_MAX]))]
    return [
        ShadowDifference(
            collection,
            kind,
            tuple(sorted(of_kind)[:IDS_KEPT_MAX]),
            tuple(sorted(fields[kind])[:FIELDS_KEPT_MAX]),
        )
        for kind, of_kind in sorted(ids.items())
    ]


class ShadowReads:
    """The shadow reads of this process. `on_difference` is called with each difference that counts, `on_error` with the
    collection of a read that the target could not answer.
    """

    def __init__(
        self,
        source: RecordStore,
        *,
        at_target: AtTarget,
        on_difference: Callable[[ShadowDifference], None],
        on_error: Callable[[str], None],
        pauses_seconds: Sequence[float] = PAUSES_SECONDS,
    ) -> None:
        self._source = source
        self._at_target = at_target
        self._on_difference = on_difference
        self._on_error = on_error
        self._pauses = pauses_seconds
        self._running: set[asyncio.Task[None]] = set()
        self.compared: Counter[str] = Counter()
        """Reads by collection, as are the others."""
        self.skipped: Counter[str] = Counter()
        self.differing: Counter[tuple[str, str]] = Counter()
        """Differences by collection and kind."""

    def begin(self, collection: str, read: Read, answer: Answer) -> None:
        """Compares an answer of the source, in the background. Does not wait and does not raise."""
        if len(self._running) >= SHADOWS_MAX:
            self.skipped[collection] += 1
            return
        task = asyncio.create_task(self._compare(collection, read, answer), name="shadow read")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Ends the comparisons under way."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _compare(self, collection: str, read: Read, answer: Answer) -> None:
        await asyncio.sleep(DELAY_SECONDS)
        try:
            async with asyncio.timeout(SECONDS_MAX):
                found = await self._confirmed(collection, read, answer)
        except (StoreUnavailable, TimeoutError):
            self._on_error(collection)
        except Exception:  # noqa: BLE001 - a read that only the target cannot answer is a finding, not a failed request
            logger.exception("A shadow read of {} failed", collection)
            self._on_error(collection)
        else:
            self.compared[collection] += 1
            for one in found:
                self._note(one)

    async def _confirmed(self, collection: str, read: Read, answer: Answer) -> list[ShadowDifference]:
        found = differences_between(collection, answer, await self._at_target(read))
        for pause in self._pauses:
            if not found:
                return []
            await asyncio.sleep(pause)
            # The target first: what it shows is in the source then, too.
            other = await self._at_target(read)
            found = differences_between(collection, await read(self._source), other)
        return [one for one in found if not await self._is_on_its_way(one)]

    async def _is_on_its_way(self, difference: ShadowDifference) -> bool:
        """Whether one of the records, or without ids one of the collection, is still to be delivered."""
        of_records = (OneOf("entityId", difference.ids),) if difference.ids else ()
        where = AllOf((Equals("collection", difference.collection), *of_records, UNDELIVERED_ENTRIES))
        return await self._source.count(AUDIT_LOGS.collection, where) > 0

    def _note(self, difference: ShadowDifference) -> None:
        self.differing[difference.collection, difference.kind] += 1
        logger.warning(
            "A shadow read of {} differs: {}, records {}, fields {}",
            difference.collection,
            difference.kind,
            ", ".join(difference.ids),
            ", ".join(difference.fields),
        )
        self._on_difference(difference)


def _by_id(answer: Sequence[Record] | Mapping[str, Record]) -> dict[str, Record]:
    return dict(answer) if isinstance(answer, Mapping) else {record[ID]: record for record in answer}


def _compared(held: Record | None, other: Record | None) -> tuple[str | None, set[str]]:
    if held is None or other is None:
        return (DifferenceKind.EXTRA if held is None else DifferenceKind.MISSING), set()
    if held[VERSION] != other[VERSION]:
        return (DifferenceKind.BEHIND if other[VERSION] < held[VERSION] else DifferenceKind.AHEAD), set()
    changed = {name for name in held.keys() | other.keys() if held.get(name) != other.get(name)}
    return (DifferenceKind.CHANGED, changed) if changed else (None, changed)
