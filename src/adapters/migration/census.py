"""What a source holds, and what of it the target cannot hold or would change. Nothing is changed by it."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from adapters.migration.census_checks import Trouble, references_of, troubles_of
from adapters.migration.comparing import COMPARED
from adapters.migration.guards import processes_of
from adapters.records.indexes import UniqueKey
from adapters.records.lanes import LanedStore
from adapters.records.raw_reading import RawReader
from adapters.records.record import ID, IS_DELETED, Record, is_tombstone
from adapters.records.specs import AUDIT_LOGS, SPECS, RecordSpec
from application.ports.migration import Finding, OnProgress, Preflight, Progress
from domain.entity import ID_LENGTH, is_id

PAGE: Final = 500
SAMPLES_MAX: Final = 5
HASHES_MAX: Final = 20_000_000
"""How many ids and unique values are remembered, about a gigabyte; beyond that the census says what it did not check.
"""
BACKFILL_PER_SECOND: Final = (4_000, 25_000)
"""Records that a backfill carries in a second, at worst and at best."""

UNREADABLE = Trouble(
    "unreadable",
    "A document cannot be decoded, so it cannot be carried over.",
    "Restore it from a copy, or remove it.",
)
DUPLICATE = Trouble(
    "duplicate_value",
    "Several records hold a value that must be unique ({detail}); the target rejects all but the first.",
    "Change the value of the others.",
)
ORPHAN = Trouble(
    "orphan",
    "A record refers to one that does not exist ({detail}). It is carried over as it is.",
    "Nothing needs to be done; the reference shows nothing today either.",
    blocks=False,
)
NO_ENTRIES = Trouble(
    "no_entries",
    "Records have no audit entries. The backfill carries them; the mirror alone never would.",
    "Nothing needs to be done.",
    blocks=False,
)
UNCHECKED = Trouble(
    "not_checked",
    "The source holds too many records to look for duplicates and references among all of them.",
    "Look for duplicates in the database itself.",
)
UNMET = Trouble(
    "not_listed",
    "The store counts more records than it lists, so some were not looked at.",
    "Check the indexes of the store.",
)
NOT_MIRRORING = Trouble(
    "process_without_mirror",
    "A process writes to the source and is not seen at the target, so its writes would be missing there.",
    "Restart it with the settings of the mirror, or stop it: {detail}",
)


class Census:
    """Reads a whole source. `lanes` are the source and, where there is one, the target."""

    def __init__(self, source: RawReader, *, lanes: Sequence[LanedStore] = ()) -> None:
        self._source, self._lanes = source, lanes

    async def take(self, on_progress: OnProgress) -> Preflight:
        """Everything that was found. Raises StoreUnavailable."""
        counts = {name: await self._source.raw_count(name) for name in COMPARED}
        total, done = sum(counts.values()), 0
        survey = _Survey()
        for collection in COMPARED:
            seen, after = 0, None
            while True:
                page = await self._source.raw_scan(collection, after=after, limit=PAGE)
                survey.note_unreadable(collection, page.unreadable)
                for record in page.records:
                    survey.note(collection, record)
                seen += len(page.records) + len(page.unreadable)
                done += len(page.records)
                on_progress(Progress(done=done, total=max(total, done), collection=collection))
                if page.is_last or page.last_id is None:
                    break
                after = page.last_id
            if seen < counts[collection]:
                survey.add(UNMET, collection, "", times=counts[collection] - seen)
        survey.conclude()
        await self._look_for_processes(survey)
        worst, best = BACKFILL_PER_SECOND
        return Preflight(
            records=counts,
            findings=survey.findings(),
            estimate_seconds=(total // best + 1, total // worst + 1),
        )

    async def _look_for_processes(self, survey: "_Survey") -> None:
        if not self._lanes:
            return
        source, *others = [await store.positions() for store in self._lanes]
        for one in processes_of(source, others[0] if others else None):
            if one.is_alive and not one.mirrors:
                survey.add(NOT_MIRRORING, None, one.process, detail=one.process)


class _Survey:
    """What was found so far."""

    def __init__(self) -> None:
        self._counts: dict[tuple[Trouble, str | None, str], int] = defaultdict(int)
        self._samples: dict[tuple[Trouble, str | None, str], list[str]] = defaultdict(list)
        self._ids: dict[str, set[int]] = defaultdict(set)
        self._unique: dict[str, set[int]] = defaultdict(set)
        self._referred: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
        self._with_entries: dict[str, set[int]] = defaultdict(set)
        self._remembered = 0

    def add(
        self, trouble: Trouble, collection: str | None, record_id: str, *, detail: str = "", times: int = 1
    ) -> None:
        """Counts trouble with one record, or with several at once."""
        key = (trouble, collection, detail)
        self._counts[key] += times
        if record_id and len(self._samples[key]) < SAMPLES_MAX:
            self._samples[key].append(record_id)

    def note_unreadable(self, collection: str, unreadable: dict[str, str]) -> None:
        for record_id in unreadable:
            self.add(UNREADABLE, collection, record_id)

    def note(self, collection: str, record: Record) -> None:
        spec = SPECS[collection]
        for trouble in dict.fromkeys(troubles_of(spec, record)):
            self.add(trouble, collection, record[ID])
        if self._remembered >= HASHES_MAX:
            return
        if collection == AUDIT_LOGS.collection:
            self._remember(self._with_entries[str(record.get("collection"))], _number(record.get("entityId")))
        else:
            self._remember(self._ids[collection], _number(record[ID]))
        self._note_unique(spec, record)
        for other, referred in references_of(collection, record):
            if _number(referred) not in self._ids[other]:
                # It may follow, as a parent does among the tasks.
                self._referred[collection, other].setdefault(_number(referred), record[ID])
                self._remembered += 1

    def _note_unique(self, spec: RecordSpec[Any], record: Record) -> None:
        for key in () if is_tombstone(record) else spec.unique_keys:
            values = _values_of(spec, key, record)
            if values is not None and not self._remember(self._unique[key.name], hash(values)):
                self.add(DUPLICATE, spec.collection, record[ID], detail=", ".join(key.fields))

    def _remember(self, known: set[int], value: int) -> bool:
        """Whether it was new."""
        before = len(known)
        known.add(value)
        self._remembered += len(known) - before
        return len(known) > before

    def conclude(self) -> None:
        """What can be said once everything is read."""
        if self._remembered >= HASHES_MAX:
            self.add(UNCHECKED, None, "")
            return
        for (collection, other), referred in self._referred.items():
            for value, record_id in referred.items():
                if value not in self._ids[other]:
                    self.add(ORPHAN, collection, record_id, detail=f"in {other}")
        for collection, ids in self._ids.items():
            without = ids - self._with_entries[collection]
            for value in sorted(without)[:SAMPLES_MAX]:
                self.add(NO_ENTRIES, collection, f"{value:0{ID_LENGTH}x}" if value >= 0 else "", times=0)
            if without:
                self.add(NO_ENTRIES, collection, "", times=len(without))

    def findings(self) -> tuple[Finding, ...]:
        """The findings, those that block first."""
        found = [
            Finding(
                code=trouble.code,
                collection=collection,
                count=count,
                samples=tuple(self._samples[trouble, collection, detail]),
                consequence=trouble.consequence.format(detail=detail),
                remedy=trouble.remedy.format(detail=detail),
                blocks=trouble.blocks,
            )
            for (trouble, collection, detail), count in self._counts.items()
        ]
        return tuple(sorted(found, key=lambda one: (not one.blocks, one.collection or "", one.code)))


def _number(record_id: Any) -> int:
    """An id as a number, which takes less memory than the text. Ids of other kinds become negative."""
    return (
        int(record_id, 16) if isinstance(record_id, str) and is_id(record_id) else -abs(hash(record_id)) - 1
    )


def _values_of(spec: RecordSpec[Any], key: UniqueKey, record: Record) -> tuple[Any, ...] | None:
    """The values of a unique key; None where the record cannot collide."""
    if key.live_only and record.get(IS_DELETED) is True:
        return None
    upgraded = spec.upgraded(record) if any(record.get(name) is None for name in key.fields) else record
    values = tuple(upgraded.get(name) for name in key.fields)
    return None if any(value is None or isinstance(value, dict | list) for value in values) else values
