"""One record that two stores have changed apart: what the source stores so that no change of either side is lost."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from adapters.migration.divergence import RecordKey
from adapters.records.change_set import Put
from adapters.records.record import ID, VERSION, Record, is_tombstone, json_value
from adapters.records.specs import AUDIT_LOGS, SYNC_FIELDS
from domain.audit import REBASED, SyncStatus, overlaid

DISPLAY_ID = "displayId"
_UNDELIVERED: Record = {
    **dict.fromkeys(SYNC_FIELDS),
    "syncStatus": SyncStatus.PENDING.value,
    "syncAttempts": 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """A record in the source (`held`) and the target (`mirrored`), None where it is absent.

    `own` are the entries of it that only the source holds, oldest first. `display_id` replaces a number that another
    task of the target has.
    """

    key: RecordKey
    held: Record | None
    mirrored: Record | None
    own: Sequence[Record]
    display_id: int | None = None

    @property
    def is_rebased(self) -> bool:
        """Whether own changes get new versions: the target holds others of the same versions, or a number is taken."""
        collides = self.mirrored is not None and any(
            entry[VERSION] <= self.mirrored[VERSION] for entry in self.own
        )
        return bool(self.own) and (collides or self.display_id is not None)

    def puts(self, taken_keys: Collection[str]) -> list[Put]:
        """What the source stores of the record and of its own entries; nothing if it is the newer one as it is.

        `taken_keys` are the idempotency keys of entries that come from the target: an own entry with one of them gives
        it up, because the target's answer is the older one.
        """
        if self.is_rebased:
            return self._rebased(taken_keys)
        expected = _version(self.held)
        if self.mirrored is None or _version(self.mirrored) <= expected:
            return []
        return [Put(self.key[0], self.mirrored, expected)]

    def _rebased(self, taken_keys: Collection[str]) -> list[Put]:
        expected, base = _version(self.held), _version(self.mirrored)
        if base + len(self.own) <= expected:
            base = expected
        record = Put(self.key[0], {**self._content(), VERSION: base + len(self.own)}, expected)
        running = {name: json_value(value) for name, value in (self.mirrored or {}).items()}
        puts: list[Put] = []
        for version, entry in enumerate(self.own, start=base + 1):
            changes = {
                name: {**change, "before": running[name]} if name in running else change
                for name, change in entry["changes"].items()
            }
            if self.display_id is not None and DISPLAY_ID in changes:
                changes[DISPLAY_ID] = {**changes[DISPLAY_ID], "after": self.display_id}
            running |= {name: change["after"] for name, change in changes.items() if name in running}
            changes[REBASED] = {"before": entry[VERSION], "after": version}
            key = entry["idempotencyKey"]
            kept = {"idempotencyKey": None if key in taken_keys else key}
            newer: Record = {**entry, **_UNDELIVERED, **kept, VERSION: version, "changes": changes}
            puts.append(Put(AUDIT_LOGS.collection, newer, entry[VERSION]))
        # The newest first: it gives up the version that the one before it gets.
        return [record, *reversed(puts)]

    def _content(self) -> Record:
        """The target's content with the fields that own entries have changed. What is removed for good stays so."""
        held, mirrored = self.held, self.mirrored
        if held is None or (mirrored is not None and is_tombstone(mirrored)):
            return dict(mirrored or {})
        if mirrored is None or is_tombstone(held) or not all(entry["changes"] for entry in self.own):
            content = dict(held)
        else:
            content = dict(mirrored)
            for entry in self.own:
                content = overlaid(content, held, entry["changes"])
            content |= {name: held[name] for name in ("updatedAt", "updatedBy") if name in held}
        return content if self.display_id is None else {**content, DISPLAY_ID: self.display_id}


def taken(entry: Record) -> Record:
    """An entry of the target as the source stores it: it is delivered again, which changes nothing but its mark."""
    return {**entry, **_UNDELIVERED}


def _version(record: Record | None) -> int:
    return 0 if record is None else int(record[VERSION])


def by_key(entries: Sequence[Record]) -> dict[RecordKey, list[Record]]:
    """The entries of each record, oldest first."""
    found: dict[RecordKey, list[Record]] = {}
    for entry in sorted(entries, key=lambda one: (one[VERSION], one[ID])):
        found.setdefault((entry["collection"], entry["entityId"]), []).append(entry)
    return found
