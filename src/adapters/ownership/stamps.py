"""The stamps of applies, from when a target has confirmed change sets until they are marked in the source."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from adapters.records.change_set import ChangeSet, DeliveryMark, LaneStamp
from domain.audit import SyncStatus

STAMPS_MAX = 50_000
"""More than all queues of marks hold; beyond it the oldest are dropped, and their entries are delivered again."""


class AppliedStamps:
    """The stamp that brought each entry to the target last."""

    def __init__(self, *, stamps_max: int = STAMPS_MAX) -> None:
        self._stamps: dict[str, LaneStamp] = {}
        self._stamps_max = stamps_max

    def note(self, change_sets: Iterable[ChangeSet], stamp: LaneStamp) -> None:
        """Notes the stamp of everything in these change sets."""
        for change_set in change_sets:
            for entry_id in change_set.entry_ids:
                self._stamps.pop(entry_id, None)
                self._stamps[entry_id] = stamp
        while len(self._stamps) > self._stamps_max:
            del self._stamps[next(iter(self._stamps))]

    def on(self, marks: Sequence[DeliveryMark]) -> list[DeliveryMark]:
        """The marks, those of confirmed entries with their stamps; a mark that has one keeps it.

        Without a stamp SYNCED would be a claim that no comparison can take back, so such marks are left out.
        """
        carried = []
        for mark in marks:
            stamp = self._stamps.pop(mark.entry_id, None)
            if mark.status is not SyncStatus.SYNCED or mark.lane is not None:
                carried.append(mark)
            elif stamp is not None:
                carried.append(replace(mark, lane=stamp.lane, number=stamp.number))
        return carried
