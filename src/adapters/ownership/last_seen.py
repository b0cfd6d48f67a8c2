"""A small file beside the stores with the numbers of lanes of the source: bounds what a restored copy can hide.

While the target cannot be reached, nothing else shows that the source is older than it was. Its methods block.
"""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from loguru import logger

from adapters.files.whole_files import OWNER_ONLY, replace_file
from adapters.ownership import refusals
from adapters.records.lanes import Positions

NAME = "last-seen"
LANES_MAX = 1_000
"""Beyond it, the lanes that were noted first are left out. Any lane that a copy lacks shows that it is older."""


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the file says. Without an installation: nothing."""

    installation: str | None = None
    lanes: Mapping[int, int] = field(default_factory=dict)
    only_store: str | None = None

    def numbers(self, installation: str) -> dict[int, int]:
        """By lane, the numbers of this installation."""
        return dict(self.lanes) if self.installation == installation else {}


class LastSeen:
    """The file in the data directory; for one installation and its source. None where the source does not last.

    Several processes may share it: each adds its own lanes. What asks it raises DamagedFile.
    """

    def __init__(self, directory: Path | None) -> None:
        self.path = None if directory is None else directory / NAME
        self._writing = threading.Lock()

    def installation(self, store: str) -> str | None:
        """The installation that was last seen here, unless another store was its only one; None where none was."""
        facts = self._read()
        return facts.installation if facts.only_store in (None, store) else None

    def require_unknown(self, store: str) -> None:
        """Raises StoreRefused where an empty store was a filled one before, so that it must not begin anew."""
        if self.installation(store) is not None:
            raise refusals.known_but_empty(store, str(self.path))

    def is_ahead_of(self, positions: Positions, *, installation: str) -> bool:
        """Whether lanes of this installation's source were seen beyond where they stand now."""
        lanes = self._read().numbers(installation)
        return any(positions.number_of(lane) < number for lane, number in lanes.items())

    def note(self, numbers: Mapping[int, int], *, installation: str, only_store: str | None = None) -> None:
        """Adds these numbers, the highest of each lane. Raises OSError.

        `only_store` is the source of an installation without a target. Somebody may try another store in the same
        directory, which is empty then and rightly so.
        """
        with self._writing:
            facts = self._facts()
            known = facts.numbers(installation)
            raised = {lane: max(number, known.get(lane, 0)) for lane, number in numbers.items()}
            is_new = (facts.installation, facts.only_store) != (installation, only_store)
            if is_new or not raised.items() <= known.items():
                others = {lane: number for lane, number in known.items() if lane not in raised}
                self._replace(_Facts(installation, others | raised, only_store))

    def forget_beyond(self, positions: Positions, *, installation: str) -> None:
        """Forgets lanes that stand below what was seen of them, because a comparison or the operator vouches for that.

        Raises OSError.
        """
        with self._writing:
            facts = self._facts()
            known = facts.numbers(installation)
            kept = {lane: number for lane, number in known.items() if positions.number_of(lane) >= number}
            if kept != known:
                self._replace(_Facts(installation, kept, facts.only_store))

    def _facts(self) -> _Facts:
        """What the file says. Nothing in a damaged one, which is written anew: this process may use the source."""
        try:
            return self._read()
        except refusals.DamagedFile as damaged:
            logger.warning("{} It is written anew.", damaged.cause)
            return _Facts()

    def _replace(self, facts: _Facts) -> None:
        """Replaces the file so that it survives a power cut, whole."""
        if self.path is None or not self.path.parent.is_dir():
            return
        newest = list(facts.lanes.items())[-LANES_MAX:]
        document = {
            "installation": facts.installation,
            "lanes": {str(lane): number for lane, number in newest},
            "onlyStore": facts.only_store,
        }
        replace_file(self.path, json.dumps(document).encode(), mode=OWNER_ONLY)

    def _read(self) -> _Facts:
        if self.path is None:
            return _Facts()
        try:
            text = self.path.read_text()
        except FileNotFoundError:
            return _Facts()
        except (OSError, UnicodeDecodeError) as error:
            raise refusals.damaged_file(str(self.path)) from error
        try:
            document = json.loads(text)
            lanes = {int(lane): int(number) for lane, number in document["lanes"].items()}
            only_store = document.get("onlyStore")
            return _Facts(
                str(document["installation"]), lanes, None if only_store is None else str(only_store)
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise refusals.damaged_file(str(self.path)) from error
