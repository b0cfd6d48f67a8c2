"""Which writes of a caller the target has not confirmed, as far as this process and the caller's own token know.

A maximum would not be enough, because a later write may arrive before an earlier one. So the first entry of every
change set is kept: a change set arrives as a whole.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from adapters.records.change_set import ChangeSet
from application.ports.read_routing import READ_AFTER_PATTERN

IDS_MAX = 8
"""Of a caller with more unconfirmed change sets only the time is kept from which on the target may answer."""
CALLERS_MAX = 10_000
UNTIL_MS = 10_000
"""Twice the lag at which the target stops to answer: whatever is undelivered then stops it anyway."""
OPENING_LENGTH = 8
NOTHING = "none"
"""What a caller sends who repeats tokens and has none."""

_UNTIL = "until="
_TOKEN = re.compile(READ_AFTER_PATTERN)


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """The first entries of change sets that the target may lack; `until_ms`, by the clock, where there are too many."""

    entry_ids: tuple[str, ...] = ()
    until_ms: int = 0

    def __bool__(self) -> bool:
        return bool(self.entry_ids) or self.until_ms > 0

    def joined(self, other: "Unconfirmed", *, now_ms: int) -> "Unconfirmed":
        """Both together, within the bound."""
        ids = tuple(dict.fromkeys((*self.entry_ids, *other.entry_ids)))
        until = max(self.until_ms, other.until_ms)
        if len(ids) > IDS_MAX:
            return Unconfirmed((), max(until, now_ms + UNTIL_MS))
        return Unconfirmed(ids, until)


NOTHING_UNCONFIRMED = Unconfirmed()


@dataclass(frozen=True, slots=True)
class ReadAfter:
    """What a caller says about their writes: the epoch in which they wrote, and what was unconfirmed then."""

    epoch: int
    opening: str
    unconfirmed: Unconfirmed

    @property
    def text(self) -> str:
        """The token, as it is sent."""
        what = self.unconfirmed
        listed = f"{_UNTIL}{what.until_ms}" if what.until_ms else ",".join(what.entry_ids)
        return f"{self.epoch}.{self.opening};{listed}"


def read_after(text: str) -> ReadAfter:
    """The meaning of a token. Raises ValueError for a malformed one."""
    if text == NOTHING:
        return ReadAfter(0, "", NOTHING_UNCONFIRMED)
    if not _TOKEN.fullmatch(text):
        raise ValueError("no token of an earlier response")
    where, _, what = text.partition(";")
    epoch, _, opening = where.partition(".")
    if what.startswith(_UNTIL):
        return ReadAfter(int(epoch), opening, Unconfirmed((), int(what.removeprefix(_UNTIL))))
    return ReadAfter(int(epoch), opening, Unconfirmed(tuple(what.split(","))))


class OwnWrites:
    """By caller, bounded: the unconfirmed writes of those who wrote through this process.

    A forgotten caller counts until the same time as one with too many writes, and so does everybody unknown.
    """

    def __init__(self, *, now_ms: Callable[[], int]) -> None:
        self.now_ms = now_ms
        self._by_caller: dict[str, Unconfirmed] = {}
        self._all_until_ms = 0

    def note(self, change_set: ChangeSet) -> None:
        """The target has not confirmed this change set, which is stored in the source."""
        if not change_set.entries:
            return
        first = change_set.entry_ids[0]
        for caller_id in {entry["actorId"] for entry in change_set.entries}:
            self.add(caller_id, Unconfirmed((first,)))

    def add(self, caller_id: str, unconfirmed: Unconfirmed) -> None:
        """The target may lack these writes of a caller."""
        if not unconfirmed:
            return
        now_ms = self.now_ms()
        earlier = self._by_caller.pop(caller_id, NOTHING_UNCONFIRMED)
        # The newest is the last, so that the oldest is forgotten first.
        self._by_caller[caller_id] = earlier.joined(unconfirmed, now_ms=now_ms)
        if len(self._by_caller) > CALLERS_MAX:
            del self._by_caller[next(iter(self._by_caller))]
            self._all_until_ms = now_ms + UNTIL_MS

    def of(self, caller_id: str) -> Unconfirmed:
        """What the target may lack of a caller; times that are over are left out."""
        now_ms = self.now_ms()
        held = self._by_caller.get(caller_id, NOTHING_UNCONFIRMED)
        until = max(held.until_ms, self._all_until_ms)
        if until > now_ms:
            return replace(held, until_ms=until)
        if held.until_ms:
            held = replace(held, until_ms=0)
            self._keep(caller_id, held)
        return held

    def confirm(self, caller_id: str, entry_ids: Iterable[str]) -> None:
        """The target holds these change sets."""
        held = self._by_caller.get(caller_id)
        if held is not None:
            confirmed = set(entry_ids)
            left: Sequence[str] = [one for one in held.entry_ids if one not in confirmed]
            self._keep(caller_id, replace(held, entry_ids=tuple(left)))

    def _keep(self, caller_id: str, held: Unconfirmed) -> None:
        if held:
            self._by_caller[caller_id] = held
        else:
            self._by_caller.pop(caller_id, None)

    def __len__(self) -> int:
        return len(self._by_caller)
